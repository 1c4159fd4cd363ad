/* image/diff.h - what the upper layer of an overlay makes of the layers below it, file by file. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

enum diff_kind { DIFF_ADDED, DIFF_CHANGED, DIFF_DELETED };

struct diff_how {
	/* Paths without a slash in front, a folder before what is in it, sorted in each; a folder is "changed" when itself is or something in
	 * it. Negative errno ends it. */
	int (*put)(void *arg, enum diff_kind kind, const char *path, struct err *e);
	bool (*skip)(void *arg, const char *path); /* not looked at, nor what lies below; NULL: all is */
	/* A folder in which something was made that is skipped: its time says nothing. NULL: there is none. */
	bool (*touched)(void *arg, const char *path);
	void *arg;
};

/* lower_fd: the layers below, as they are seen together. */
int tree_diff(const struct diff_how *how, int upper_fd, int lower_fd, struct err *e);
