/* gateway/percent.h - %41 -> A. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* len bytes at from to `to`, which may be the same place, and a NUL behind them; plus: + is a space. The length, or -1: a % without two
 * hexadecimal digits, a NUL, or what comes out is not UTF-8. */
ssize_t percent_decode(char *to, const char *from, size_t len, bool plus);
