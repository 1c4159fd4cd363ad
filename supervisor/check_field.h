/* supervisor/check_field.h - what check*.c share: refusing with the path of the field, and fields that occur in several specs. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIELD_SIZE 48 /* of err.step */

/* "spec.mounts[2].target" into buf; returns buf. */
const char *field_at(char buf[FIELD_SIZE], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* -EINVAL. */
int field_bad(struct err *e, const char *field, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* -ENOTSUP. */
int field_unsupported(struct err *e, const char *field, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A refusal of what is below `above`: "mac" -> "spec.networks[0].mac", "" -> "spec.networks[0]". Returns r. */
int field_below(int r, const char *above, struct err *e);

/* Text given as "" is as good as absent: freed and set to NULL. */
void field_empty_is_absent(char **text);
int field_set(char **text, const char *value); /* -ENOMEM */

/* Absolute; "//", "/./" and a slash at the end are taken out, ".." is refused. */
int field_path(const char *field, char **path, struct err *e);
int field_env(const char *field, char **env, size_t n, struct err *e);
int field_args(const char *field, char **args, size_t n, struct err *e);
int field_user(const char *field, char **user, struct err *e);
int field_hostname(const char *field, char **hostname, struct err *e);
int field_window(const char *field, bool tty, uint32_t rows, uint32_t cols, struct err *e);
/* Labels or annotations. Of equal keys the last one stays. */
int field_labels(const char *field, Berth__KeyValue **labels, size_t *n, struct err *e);
