/* supervisor/audit.c - see supervisor/audit.h. The store has every action twice written: when it begins and when it ends; memory
 * has those between. The loop never waits for either write. */
#include "supervisor/audit.h"

#include "base/log.h"
#include "supervisor/container.h"
#include "supervisor/control.h"
#include "supervisor/repeat.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AUDIT_BUCKETS	 1024u
#define AUDIT_SWEEP_NS	 (3600ull * NS_PER_S)
#define ACTIONS_PAGE	 200u
#define ACTIONS_PAGE_MAX 2000u

struct running {
	struct running *next;  /* same bucket */
	Berth__Action *action; /* owned */
};

struct audit {
	struct supervisor *sv;
	struct timer sweep;
	uint64_t unwritten; /* could not even be queued */
	struct running *bucket[AUDIT_BUCKETS];
};

static void audit_store(struct supervisor *sv, const Berth__Action *a)
{
	int r = store_put_action(sv->store, a, NULL, NULL);

	if (r < 0 && !(sv->audit->unwritten++ & 1023))
		log_error("an action could not be recorded (%llu so far): %s", (unsigned long long)sv->audit->unwritten,
			  strerror(-r));
}

/* ---------------------------------------------------------------- running actions */

static void set_text(char **to, const char *text)
{
	char *copy = text && *text ? strdup(text) : NULL;

	free(*to);
	*to = copy;
}

static void action_set_object(Berth__Action *a, const Berth__Meta *object)
{
	if (!object)
		return;
	set_text(&a->object_uuid, object->uuid);
	set_text(&a->object_name, object->name);
	set_text(&a->project, object->project);
}

static struct running **running_find(struct audit *au, uint64_t id)
{
	struct running **at = &au->bucket[id % AUDIT_BUCKETS];

	while (*at && (*at)->action->id != id)
		at = &(*at)->next;
	return at;
}

static void running_free(struct running *r)
{
	berth__action__free_unpacked(r->action, NULL);
	free(r);
}

/* NULL: out of memory, said in the log. The request goes on: an audit log that stops the service would be worse. */
static struct running *running_new(struct supervisor *sv, const char *verb, const char *kind, const Berth__Meta *object)
{
	struct running *r = calloc(1, sizeof *r);
	Berth__Action *a = r ? malloc(sizeof *a) : NULL;
	struct running **bucket;

	if (!a) {
		free(r);
		log_error("no memory to record an action (%s)", verb);
		return NULL;
	}
	berth__action__init(a);
	r->action = a;
	a->has_id = a->has_started_at = true;
	a->id = supervisor_next_id(sv);
	a->started_at = wall_ns();
	set_text(&a->verb, verb);
	set_text(&a->object_kind, kind);
	action_set_object(a, object);
	bucket = &sv->audit->bucket[a->id % AUDIT_BUCKETS];
	r->next = *bucket;
	*bucket = r;
	return r;
}

void audit_object(struct supervisor *sv, uint64_t action, const Berth__Meta *object)
{
	struct running *r = *running_find(sv->audit, action);

	if (!r)
		return;
	action_set_object(r->action, object);
	audit_store(sv, r->action);
}

void audit_finish(struct supervisor *sv, uint64_t action, bool ok, const char *reason)
{
	/* Closed: berthd's end answers what containers still owe, and their actions stay open for the next one. */
	struct running **at = action && sv->audit ? running_find(sv->audit, action) : NULL, *r;

	if (!at || !*at)
		return;
	r = *at;
	*at = r->next;
	r->action->has_finished_at = true;
	r->action->finished_at = wall_ns();
	set_text(&r->action->result, ok ? "ok" : "error");
	if (reason)
		set_text(&r->action->reason, reason);
	audit_store(sv, r->action);
	running_free(r);
}

uint64_t audit_own(struct supervisor *sv, const char *verb, const char *kind, const Berth__Meta *object, bool finished,
		   bool ok, const char *reason)
{
	struct running *r = running_new(sv, verb, kind, object);
	uint64_t id = r ? r->action->id : 0;

	if (!r)
		return 0;
	set_text(&r->action->principal, "berthd");
	set_text(&r->action->reason, reason);
	if (finished)
		audit_finish(sv, id, ok, reason);
	else
		audit_store(sv, r->action);
	return id;
}

void request_audit(struct request *rq, const char *kind, const Berth__Meta *object)
{
	struct open *o = control_open_find(rq->sv, rq->parked);
	struct running *r;

	if (rq->parked.action) { /* one request is one action: now its object is known */
		if (object)
			audit_object(rq->sv, rq->parked.action, object);
		return;
	}
	r = running_new(rq->sv, rq->verb ? rq->verb : "look", kind, object);
	if (!r)
		return;
	set_text(&r->action->principal, rq->who.name);
	set_text(&r->action->request_id, rq->who.request_id);
	if (!object)
		set_text(&r->action->project, rq->who.project);
	rq->parked.action = r->action->id;
	if (o)
		o->parked.action = r->action->id;
	/* Before the row of what is created or removed is queued, so that a repetition after a crash knows what became of it. */
	if (object && object->uuid && repeat_is_of_object(rq->env->body_case))
		repeat_note(rq->sv, rq->parked, object->uuid);
	audit_store(rq->sv, r->action);
}

/* ---------------------------------------------------------------- life */

static void on_audit_sweep(struct timer *t)
{
	struct audit *au = container_of(t, struct audit, sweep);

	if (store_drop_actions(au->sv->store, wall_ns() - (int64_t)au->sv->cfg.action_keep_ns) < 0)
		log_warn("old actions are not dropped now: the store's queue is full");
	(void)timer_in(&au->sv->loop, &au->sweep, AUDIT_SWEEP_NS, on_audit_sweep); /* its slot has just become free */
}

int audit_open(struct supervisor *sv)
{
	struct audit *au = calloc(1, sizeof *au);
	int r;

	if (!au)
		return -ENOMEM;
	au->sv = sv;
	sv->audit = au;
	r = store_end_actions(sv->store, sv->next_id, wall_ns(), "interrupted: berthd ended before it was finished");
	if (r == 0)
		r = timer_in(&sv->loop, &au->sweep, 10 * NS_PER_S, on_audit_sweep);
	if (r < 0)
		audit_close(sv);
	return r;
}

/* What is still running is left open in the store: the next berthd ends it, with its reason. */
void audit_close(struct supervisor *sv)
{
	struct audit *au = sv->audit;

	if (!au)
		return;
	timer_del(&au->sweep);
	for (unsigned i = 0; i < AUDIT_BUCKETS; i++)
		while (au->bucket[i]) {
			struct running *r = au->bucket[i];

			au->bucket[i] = r->next;
			running_free(r);
		}
	sv->audit = NULL;
	free(au);
}

/* ---------------------------------------------------------------- on_actions */

struct asking {
	struct supervisor *sv;
	struct parked parked;
	uint32_t limit;
	char ref[256];
	char request_id[64]; /* "": of any request */
	char project[64];    /* "": of any project */
	bool newest_first;
	bool known; /* the reference names a living object */
	uint64_t after_id;
	char uuid[UUID_SIZE]; /* what is asked next: the reference as the beginning of a uuid; "" for nothing */
};

static int uuid_query(struct asking *ask);

static void on_actions_found(void *arg, int result, Berth__Action **actions, size_t n, uint64_t next_id)
{
	struct asking *ask = arg;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ActionsReply body = BERTH__ACTIONS_REPLY__INIT;

	if (result == 0 && !n && !next_id && *ask->uuid && uuid_query(ask) == 0)
		return;
	if (result < 0) {
		reply_error(ask->sv, ask->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "read the actions: %s",
			    strerror(-result));
	} else if (!n && !next_id && *ask->ref && !ask->known) {
		reply_error(ask->sv, ask->parked, BERTH__ERROR__CODE__NOT_FOUND, "ref",
			    "no container '%s', and no action on one of that name is kept", ask->ref);
	} else {
		body.has_next_after_id = next_id != 0;
		body.next_after_id = next_id;
		body.actions = actions;
		body.n_actions = n;
		env.body_case = BERTH__ENVELOPE__BODY_ACTIONS_REPLY;
		env.actions_reply = &body;
		reply(ask->sv, ask->parked, &env, NULL, 0);
	}
	free(ask);
}

/* "0a1b2c3d4e5f", as lists show it, becomes the beginning of a uuid as it is stored. "" if it cannot be one. */
static void uuid_beginning(const char *ref, char ret[UUID_SIZE])
{
	size_t n = 0;

	for (; *ref && n < UUID_SIZE - 1; ref++) {
		if ((n == 8 || n == 13 || n == 18 || n == 23) && *ref != '-')
			ret[n++] = '-';
		if (!strchr("0123456789abcdef-", *ref))
			break;
		ret[n++] = *ref;
	}
	ret[*ref ? 0 : n] = 0;
}

static int query(struct asking *ask, const char *uuid, const char *name)
{
	const struct actions_query q = {
		.object_uuid = uuid,
		.object_name = name,
		.project = *ask->project ? ask->project : NULL,
		.request_id = *ask->request_id ? ask->request_id : NULL,
		.after_id = ask->after_id,
		.newest_first = ask->newest_first,
		.limit = ask->limit,
	};

	return store_get_actions(ask->sv->store, &q, on_actions_found, ask);
}

static int uuid_query(struct asking *ask)
{
	char uuid[UUID_SIZE];

	memcpy(uuid, ask->uuid, sizeof uuid);
	ask->uuid[0] = 0;
	return query(ask, uuid, NULL);
}

/* A name, be it of one that is gone, comes before the beginning of a uuid: "c1" may be both. */
static int actions_query(struct asking *ask, const struct principal *who)
{
	struct err e;
	struct container *c = *ask->ref ? container_find(ask->sv, who, ask->ref, &e) : NULL;

	ask->known = c != NULL;
	if (c && !strcmp(ask->ref, c->obj->meta->name))
		return query(ask, c->obj->meta->uuid, NULL);
	if (!*ask->ref)
		return query(ask, NULL, NULL);
	if (!who->exact || uuid_is(ask->ref))
		uuid_beginning(ask->ref, ask->uuid);
	return query(ask, NULL, ask->ref);
}

void on_actions(struct request *rq)
{
	const Berth__ActionsRequest *a = rq->env->actions;
	struct asking *ask = calloc(1, sizeof *ask);
	int r;

	if (!ask) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	ask->sv = rq->sv;
	ask->parked = rq->parked;
	ask->newest_first = a->newest_first;
	ask->limit = a->limit ? a->limit : ACTIONS_PAGE;
	if (ask->limit > ACTIONS_PAGE_MAX)
		ask->limit = ACTIONS_PAGE_MAX;
	if (a->ref && strlen(a->ref) >= sizeof ask->ref) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "ref", "longer than a name can be");
		free(ask);
		return;
	}
	if (a->request_id && strlen(a->request_id) >= sizeof ask->request_id) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "request_id", "longer than %zu bytes",
			    sizeof ask->request_id - 1);
		free(ask);
		return;
	}
	snprintf(ask->ref, sizeof ask->ref, "%s", a->ref ? a->ref : "");
	snprintf(ask->request_id, sizeof ask->request_id, "%s", a->request_id ? a->request_id : "");
	ask->after_id = a->after_id;
	if (!principal_sees_all(&rq->who))
		snprintf(ask->project, sizeof ask->project, "%s", rq->who.project);
	r = actions_query(ask, &rq->who);
	if (r < 0) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the store's queue is full");
		free(ask);
	}
}
