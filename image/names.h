/* image/names.h - the names in a folder, sorted, so that whoever walks a tree does so in one order. */
#pragma once

#include <stddef.h>

struct names {
	char **item; /* owned */
	size_t n;
};

int names_read(int dir_fd, struct names *ret); /* negative errno */
void names_fini(struct names *l);
