/* gateway/zun/actions.c - GET container_actions: what was done to a container, by whom, and how it ended.
 *
 * berth's own records, newest first. They have more than Zun's: every change is one, what failed says why, what berthd did of itself
 * (a restart by the policy) is there too, and they outlive the container: by its uuid they are found after its end. */
#include "gateway/zun/handlers.h"
#include "gateway/zun/value.h"

#include <stdio.h>
#include <string.h>

#define ACTIONS_MAX 1000

/* Where Zun has another word for it. */
static const struct {
	const char *berth, *zun;
} verbs[] = {
	{"restart", "reboot"},
	{"remove", "delete"},
	{"exec", "execute"},
};

static const char *verb_of(const Berth__Action *a)
{
	const char *verb = a->verb ? a->verb : "";

	/* A restart that nobody asked for keeps its own name. */
	if (a->principal && !strcmp(a->principal, "berthd"))
		return verb;
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verb, verbs[i].berth))
			return verbs[i].zun;
	return verb;
}

static bool has_failed(const Berth__Action *a)
{
	return a->result && !strcmp(a->result, "error");
}

static void time_write(struct jw *j, const char *key, int64_t at)
{
	char buf[ZUN_TIME_SIZE];

	jw_str(j, key, at ? zun_time(at, 'T', buf) : NULL);
}

static void action_write(struct jw *j, const Berth__Action *a)
{
	jw_str(j, "action", verb_of(a));
	jw_str(j, "container_uuid", a->object_uuid);
	jw_str(j, "request_id", a->request_id);
	zun_view_user(j, "user_id", a->principal);
	jw_str(j, "project_id", a->project);
	time_write(j, "start_time", a->started_at);
	time_write(j, "finish_time", a->finished_at);
	jw_str(j, "message", has_failed(a) ? (a->reason && *a->reason ? a->reason : "Error") : NULL);
}

/* The traceback is for admins; here it is the reason. */
static void event_write(struct jw *j, const Berth__Action *a, bool admin)
{
	jw_object(j, NULL);
	jw_fmt(j, "event", "compute__do_container_%s", verb_of(a));
	time_write(j, "start_time", a->started_at);
	time_write(j, "finish_time", a->finished_at);
	jw_str(j, "result", !a->finished_at ? NULL : has_failed(a) ? "Error" : "Success");
	jw_str(j, "traceback", admin && has_failed(a) ? a->reason : NULL);
	jw_end(j);
}

/* ---------------------------------------------------------------- requests */

static const Berth__ActionsReply *actions_of(struct call *c, const Berth__Envelope *reply)
{
	if (reply->body_case == BERTH__ENVELOPE__BODY_ACTIONS_REPLY)
		return reply->actions_reply;
	zun_refuse_upstream(c, "list of actions");
	return NULL;
}

static void list_reply(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	const Berth__ActionsReply *list = actions_of(c, reply);

	if (!list)
		return;
	jw_object(&c->out, NULL);
	jw_array(&c->out, "containerActions");
	for (size_t i = 0; i < list->n_actions; i++) {
		jw_object(&c->out, NULL);
		action_write(&c->out, list->actions[i]);
		jw_end(&c->out);
	}
	jw_end(&c->out);
	jw_end(&c->out);
	call_reply(c, 200);
}

/* One request may have done several things: it is the first of them, and each is an event. */
static void one_reply(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	const Berth__ActionsReply *list = actions_of(c, reply);

	if (!list)
		return;
	if (!list->n_actions) {
		zun_refuse(c, ZUN_E_RESOURCE, "The Action resource %.100s could not be found.",
			   call_param(c, "request"));
		return;
	}
	jw_object(&c->out, NULL);
	action_write(&c->out, list->actions[0]);
	jw_array(&c->out, "events");
	for (size_t i = 0; i < list->n_actions; i++)
		event_write(&c->out, list->actions[i], c->who.admin);
	jw_end(&c->out);
	jw_end(&c->out);
	call_reply(c, 200);
}

void on_actions(struct call *c)
{
	Berth__ActionsRequest m = BERTH__ACTIONS_REQUEST__INIT;

	m.ref = call_param(c, "id");
	m.has_newest_first = m.newest_first = true;
	m.has_limit = true;
	m.limit = ACTIONS_MAX;
	call_ask(c, BERTH__ENVELOPE__BODY_ACTIONS, &m, list_reply);
}

void on_action(struct call *c)
{
	Berth__ActionsRequest m = BERTH__ACTIONS_REQUEST__INIT;

	m.ref = call_param(c, "id");
	m.request_id = call_param(c, "request");
	m.has_limit = true;
	m.limit = ACTIONS_MAX;
	call_ask(c, BERTH__ENVELOPE__BODY_ACTIONS, &m, one_reply);
}
