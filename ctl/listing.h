/* ctl/listing.h - a list of objects is shown in the same ways whatever they are: a table, their ids, JSON, a template. */
#pragma once

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/print.h"

#define FLAG_ALL_PROJECTS(format)                                                                                      \
	{                                                                                                              \
		0, "all-projects", NULL, "of all projects", flag_bool,                                                 \
			(format) + offsetof(struct format_opts, all_projects)                                          \
	}

struct listing_opts { /* of a list that is asked for in one request */
	struct format_opts format;
	struct strings filters;
};

struct listing {
	const ProtobufCMessageDescriptor *type; /* of an object */
	const struct column *columns;
	size_t n_columns;
	/* The cells of an object's line, or lines: each begins with table_line. */
	void (*line)(struct table *t, const struct format_opts *o, const void *object, int64_t now_ns);
	const char *(*id)(const void *object, char buf[PRINT_SIZE]); /* what -q prints */
	bool project_last;					     /* the last column is for --all-projects only */
};

/* Whether --format fits the objects; the exit status. */
int listing_check(const struct app *app, const struct listing *l, const struct format_opts *o);
void listing_print(const struct listing *l, const struct format_opts *o, void *const *objects, size_t n);

/* The objects in a reply: its first list of messages. */
void *const *reply_objects(const Berth__Envelope *reply, size_t *ret_n);

/* Asks for the list and prints it; the exit status. */
int listing_run(struct app *app, const struct listing *l, const struct listing_opts *o,
		Berth__Envelope__BodyCase body_case);
