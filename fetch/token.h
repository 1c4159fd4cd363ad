/* fetch/token.h - the answer of a token server (the distribution spec's Bearer scheme). Foreign bytes. */
#pragma once

#include "base/err.h"

#include <stddef.h>

/* "Bearer …", owned by the caller; NULL: e is filled. */
char *token_parse(const char *json, size_t len, struct err *e);
/* The text of a registry's error, {"errors":[{"code":…,"message":…}]}, into buf; "" when there is none to be read. */
void registry_error(const char *json, size_t len, char *buf, size_t size);
