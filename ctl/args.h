/* ctl/args.h - a command's flags: one table from which come parsing, help and completion.
 *
 * Not getopt_long: that takes any unambiguous beginning of a long flag (`--mem` works until a second flag begins so, and then
 * the script breaks) and keeps its state in globals. Accepted are --name=value, --name value, --name for switches (also
 * --name=false), -abc for switches in one word, -nVALUE and -n VALUE; "--" ends the flags. Flags may stand after
 * operands unless the command takes somebody else's command line (run, exec). */
#pragma once

#include "base/err.h"
#include "ctl/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct flag;

/* opts is the struct that the flag's table fills, f the row, without its letter if the user wrote the name. Negative errno with e->text
 * for the user, who knows the flag already. */
typedef int flag_fn(void *opts, const struct flag *f, const char *value, struct err *e);

struct flag {
	char letter;	  /* 0: none */
	const char *name; /* NULL ends a table */
	const char *arg;  /* name of its value in the help; NULL: a switch, set to "true" or "false" */
	const char *help; /* NULL: accepted but not shown */
	flag_fn *set;
	size_t offset;	   /* of a plain variable in opts (flag_bool, flag_text …) */
	const char *field; /* of a flag that sets a field of the request: its path there */
	const char *
		complete; /* what its value may be: "container", "image", "pod", "volume", "file", "dir" or words "a b c" */
};

struct flag_table {
	const struct flag *rows;
	size_t offset; /* of the table's struct in the command's */
};

#define FLAG_TABLES 10

flag_fn flag_bool;    /* bool */
flag_fn flag_text;    /* const char *, into argv */
flag_fn flag_list;    /* struct strings */
flag_fn flag_u32;     /* uint32_t */
flag_fn flag_i64;     /* int64_t */
flag_fn flag_refused; /* a flag that users of other tools know: help_text of `complete` says why not, and what instead */

enum args_result {		  /* positive */
		   ARGS_HELP = 1, /* help was asked for */
		   ARGS_USAGE,	  /* an unknown flag, a missing value: e->text is complete */
};

/* The command line behind the command's name. 0, one of the above, or negative errno with e->text complete: a bad value. */
int args_parse(const struct flag_table *tables, bool command_follows, void *opts, int argc, char **argv,
	       struct strings *ret_operands, struct err *e);

void args_help(FILE *out, const struct flag_table *tables);

/* The row of a flag that sets this field of the request ("resources.memory_bytes"), or NULL. */
const struct flag *args_find_field(const struct flag_table *tables, const char *field);

/* Walks over all rows of all tables. */
#define args_each(f, tables)                                                                                           \
	for (const struct flag_table *t_ = (tables); t_->rows; t_++)                                                   \
		for (f = t_->rows; f->name; f++)
