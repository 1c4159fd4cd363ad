/* ctl/inspect.h - inspect is the same for every kind of object. */
#pragma once

#include "ctl/command.h"
#include "ctl/format.h"

struct inspect_kind {
	const char *word;
	Berth__Envelope__BodyCase body_case;
	const ProtobufCMessageDescriptor *type; /* of the answer */
};

int inspect_run(struct app *app, struct format_opts *o, const struct inspect_kind *kind, char **refs, unsigned n);

/* The first object of a reply, or NULL. */
void *inspect_answer(const Berth__Envelope *reply);
