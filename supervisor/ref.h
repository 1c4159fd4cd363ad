/* supervisor/ref.h - an object that projects may share, by what somebody calls it: its name or its uuid. */
#pragma once

#include "supervisor/client.h"
#include "supervisor/table.h"

struct ref_kind {
	const char *field;     /* of the error */
	const char *one, *all; /* "network", "networks" */
	/* NULL: it is not there for who asks. */
	const Berth__Meta *(*seen)(const struct principal *who, const struct table_node *n);
};

/* One of his own project comes before those that others share with it. NULL: e is filled (ENOENT, ENOTUNIQ). */
struct table_node *ref_find(const struct table *t, const struct ref_kind *kind, const struct principal *who,
			    const char *ref, struct err *e);
