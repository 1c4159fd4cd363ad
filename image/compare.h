/* image/compare.h - are two trees the same? For an unpacked layer and what its blob unpacks to now. */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct compare {
	/* path: below the roots, "" the root itself; text: what is wrong with it in the first tree. */
	void (*differs)(void *arg, const char *path, const char *text);
	void (*tick)(void *arg, uint64_t bytes); /* compared so far; NULL: nobody wants to know */
	void *arg;
	uint64_t bytes;
};

/* Kind, mode, owner, size, times of files and folders, number of links, devices, targets, extended attributes, content. What cannot be read in
 * the first tree is a difference, in the second (which was just made) a failure. */
int tree_compare(struct compare *c, int first_fd, int second_fd, struct err *e);
