/* ctl/spec_own.h - what the files with flags of specs share. */
#pragma once

#include "ctl/spec_flags.h"

/* Takes field. */
void spec_origin_add(struct spec_opts *o, char *field, const struct flag *f, const char *value);
void spec_origin_of(struct spec_opts *o, const struct flag *f, const char *field, const char *value);
/* The next element of a repeated field of messages, with its origin noted. */
void *spec_element(struct spec_opts *o, const struct flag *f, const char *value);

/* A flag that users of other tools know. */
#define SPEC_REFUSED(letter, name, why)                                                                                \
	{                                                                                                              \
		letter, name, "", NULL, flag_refused, .complete = why                                                  \
	}

/* Setters: the field that the row names; KEY=VALUE. */
int spec_field(void *opts, const struct flag *f, const char *value, struct err *e);
int spec_label(void *opts, const struct flag *f, const char *value, struct err *e);
