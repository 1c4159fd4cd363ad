/* ctl/cmd_inspect.c - inspect of containers, and for the other kinds: always an array of JSON, in the order asked for. */
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/inspect.h"

#include <stdlib.h>

void *inspect_answer(const Berth__Envelope *reply)
{
	switch (reply->body_case) {
	case BERTH__ENVELOPE__BODY_CONTAINER_REPLY:
		return reply->container_reply->container;
	case BERTH__ENVELOPE__BODY_POD_REPLY:
		return reply->pod_reply->pod;
	case BERTH__ENVELOPE__BODY_IMAGE_REPLY:
		return reply->image_reply->n_images ? reply->image_reply->images[0] : NULL;
	case BERTH__ENVELOPE__BODY_VOLUME_REPLY:
		return reply->volume_reply->n_volumes ? reply->volume_reply->volumes[0] : NULL;
	case BERTH__ENVELOPE__BODY_NETWORK_REPLY:
		return reply->network_reply->n_networks ? reply->network_reply->networks[0] : NULL;
	case BERTH__ENVELOPE__BODY_SECURITY_GROUP_REPLY:
		return reply->security_group_reply->n_groups ? reply->security_group_reply->groups[0] : NULL;
	default:
		return NULL;
	}
}

/* What was found is printed even when something else was not. */
int inspect_run(struct app *app, struct format_opts *o, const struct inspect_kind *kind, char **refs, unsigned n)
{
	struct ask *asks = mem_zero(n * sizeof *asks);
	void **found = mem_zero((n + 1) * sizeof *found);
	size_t n_found = 0;
	struct err e = {0};
	int status;

	if (!o->format)
		o->format = "json";
	if (format_check(o, kind->type, &e) < 0)
		return app_usage(app, "%s", e.text);
	for (unsigned i = 0; i < n; i++)
		ask_init(&asks[i], kind->body_case, request_new(kind->body_case, refs[i]));
	status = app_connect(app);
	if (!status && client_ask_all(&app->client, asks, n, &e) < 0)
		status = app_fail(app, &e);
	for (unsigned i = 0; i < n; i++) {
		void *answer = asks[i].reply ? inspect_answer(asks[i].reply) : NULL;

		if (ask_error(&asks[i])) {
			status = app_refused(app, ask_error(&asks[i]), NULL);
		} else if (asks[i].reply && !answer) {
			say("%s %s is not there", kind->word, refs[i]);
			status = app->failure;
		} else if (answer) {
			found[n_found++] = answer;
		}
	}
	if (n_found || format_is_json(o))
		format_print(o, found, n_found);
	for (unsigned i = 0; i < n; i++) {
		protobuf_c_message_free_unpacked((ProtobufCMessage *)asks[i].env.hello, NULL);
		ask_fini(&asks[i]);
	}
	free(found);
	free(asks);
	return status;
}

static int container_inspect_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct inspect_kind kind = {"container", BERTH__ENVELOPE__BODY_CONTAINER_INSPECT,
						 &berth__container__descriptor};

	return inspect_run(app, opts, &kind, operands, n);
}

const struct command cmd_inspect = {
	.flags = {{format_inspect_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = MANY,
	.complete = "container",
	.run = container_inspect_run,
};
