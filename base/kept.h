/* base/kept.h - a text file that berth writes, and writes again as long as nobody else has: its first line says, by a sum of the rest, that it
 * is still as it was written. So nothing has to be remembered of what was written when, by which berthd. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define KEPT_LINE 80u

/* The line that is to stand before body, newline and NUL included. */
void kept_line(const char *body, size_t len, char ret[KEPT_LINE]);
/* Such a line is there, and fits what follows. */
bool kept_is_ours(const char *text, size_t len);
