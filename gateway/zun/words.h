/* gateway/zun/words.h - a command line split into its words as a POSIX shell would, without expanding anything. Pure. */
#pragma once

#include "base/err.h"

#include <stddef.h>

/* A NULL-terminated vector in one block (the caller frees it with one free). -EINVAL and e ("No closing quotation",
 * "No escaped character"), -ENOMEM. */
int words_split(const char *line, char ***ret_words, size_t *ret_n, struct err *e);
