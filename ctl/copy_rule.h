/* ctl/copy_rule.h - what `cp` makes of its two paths, as docker cp does: pure, tested by table. */
#pragma once

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>

/* "web:/etc" -> "web", and *ret_path = "/etc"; a path of this host (it has no colon, or begins with "/" or ".") -> NULL. On the heap. */
char *copy_split(const char *arg, const char **ret_path);
/* A path of a container: absolute, without "." and ".." (which do not follow links), a "/" or "/." at its end kept. On the heap. */
char *copy_container_path(const char *path);
bool copy_says_folder(const char *path);   /* it ends in "/", "/." or is "." or ".." */
bool copy_says_contents(const char *path); /* it ends in "/." or is "." */
bool copy_says_parent(const char *path);   /* it ends in "..": that has a name, which must be looked up */

struct copy_end {
	const char *path;
	bool exists, folder;
};

struct copy_way {
	char folder[PATH_MAX];	 /* where it is unpacked */
	char name[NAME_MAX + 1]; /* what it is called there; ".": what is in the folder, and not the folder */
};

/* Negative errno, and e for the user. */
int copy_rule(const struct copy_end *from, const struct copy_end *to, struct copy_way *ret, struct err *e);
