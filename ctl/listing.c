/* ctl/listing.c - see ctl/listing.h */
#include "ctl/listing.h"

#include "base/loop.h"
#include "ctl/field.h"

#include <stdio.h>

int listing_check(const struct app *app, const struct listing *l, const struct format_opts *o)
{
	struct err e;

	return format_check(o, l->type, &e) < 0 ? app_usage(app, "%s", e.text) : 0;
}

void listing_print(const struct listing *l, const struct format_opts *o, void *const *objects, size_t n)
{
	int64_t now = wall_ns();
	char id[PRINT_SIZE];

	if (o->quiet) {
		for (size_t i = 0; i < n; i++)
			puts(l->id(objects[i], id));
	} else if (format_is_table(o)) {
		struct table *t =
			table_new(l->columns, l->n_columns - (l->project_last && !o->all_projects), o->no_trunc);

		for (size_t i = 0; i < n; i++)
			l->line(t, o, objects[i], now);
		table_print(t);
		table_free(t);
	} else {
		format_print(o, objects, n);
	}
}

void *const *reply_objects(const Berth__Envelope *reply, size_t *ret_n)
{
	const ProtobufCMessage *body = (const ProtobufCMessage *)reply->hello; /* one of the union's pointers */

	for (unsigned i = 0; body && i < body->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &body->descriptor->fields[i];

		if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		*ret_n = *(const size_t *)((const char *)body + f->quantifier_offset);
		return *(void *const *const *)((const char *)body + f->offset);
	}
	*ret_n = 0;
	return NULL;
}

int listing_run(struct app *app, const struct listing *l, const struct listing_opts *o,
		Berth__Envelope__BodyCase body_case)
{
	const ProtobufCFieldDescriptor *body =
		protobuf_c_message_descriptor_get_field(&berth__envelope__descriptor, body_case);
	ProtobufCMessage *request = message_new(body->descriptor);
	struct err e;
	struct ask a;
	int status = listing_check(app, l, &o->format);

	if (!status)
		status = app_filters(app, &o->filters, request);
	if (!status && o->format.all_projects)
		(void)field_set(request, "all_projects", "true", &e); /* it has the field: it has the flag */
	ask_init(&a, body_case, request);
	if (!status)
		status = app_ask(app, &a, NULL);
	if (!status) {
		size_t n;
		void *const *objects = reply_objects(a.reply, &n);

		listing_print(l, &o->format, objects, n);
	}
	ask_fini(&a);
	protobuf_c_message_free_unpacked(request, NULL);
	return status;
}
