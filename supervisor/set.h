/* supervisor/set.h - fields of a protobuf-c message in memory: the `has_` flag is never forgotten, the old string never lost. */
#pragma once

#include <stddef.h>

#define SET(message, field, value) ((message)->has_##field = 1, (message)->field = (value))

/* *text is freed (unless it is protobuf-c's shared empty string) and replaced; kept as it was when there is no memory. */
void set_text(char **text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void set_null(char **text);
/* A repeated string gets one more; -ENOMEM leaves it as it was. */
int strings_add(char ***list, size_t *n, const char *text);
void strings_free(char ***list, size_t *n);
int strings_copy(char ***list, size_t *n, char *const *from, size_t n_from); /* replaces the list */
