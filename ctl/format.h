/* ctl/format.h - `--format`: json, table, or a text with {{.fields}} filled in ("{{.meta.name}} {{.status.pid}}", or just ".status.pid").
 * The fields are those of the JSON, lists are indexed ({{.spec.env[0]}}), labels go by key ({{.spec.labels["a.b"]}});
 * {{json .spec}} keeps JSON. Names are checked against the message's type before anything is asked. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "ctl/args.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

struct format_opts {
	const char *format; /* NULL: the command's default */
	bool quiet;	    /* ids only */
	bool no_trunc;
	bool all_projects; /* the list is of all: with a column that says of which */
};

extern const struct flag format_flags[];	 /* --format */
extern const struct flag format_f_flags[];	 /* --format, -f */
extern const struct flag format_inspect_flags[]; /* the same, and no table */
extern const struct flag format_list_flags[];	 /* --format, -q, --no-trunc */

bool format_is_table(const struct format_opts *o);
bool format_is_json(const struct format_opts *o);
int format_check(const struct format_opts *o, const ProtobufCMessageDescriptor *type, struct err *e);

/* json: an array (or, one: the object itself); a template: a line for each. On stdout. */
void format_print(const struct format_opts *o, void *const *messages, size_t n);
void format_print_one(const struct format_opts *o, const void *message);

/* One message by a template, appended without newline. For tests. */
void format_expand(struct buf *b, const char *template, const ProtobufCMessage *m);
