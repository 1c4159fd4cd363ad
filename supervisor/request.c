/* supervisor/request.c - see supervisor/request.h. The table, and the order in which a request is looked at before its handler
 * sees it: is it well formed, may it be asked, can it be done now, was it asked before. */
#include "supervisor/request.h"

#include "base/log.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/control.h"
#include "supervisor/repeat.h"
#include "supervisor/replay.h"
#include "supervisor/store.h"
#include "supervisor/token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS(n) ((n)*1000u)

/* What waits for an end that may never come (wait, events, a stop whose process hangs in the kernel and which says so itself,
 * an import or a pull of any size) has no deadline of its own. Whatever else changes something waits for the disk at most that long.
 *
 * CHANGES needs room on the store's disk and is refused when there is none. Starting, stopping and removing are tried all the
 * same: supervision goes on, and removing is what makes room. */
#define LOOKS(f)	       .fn = f
#define CHANGES(f, v, seconds) .fn = f, .verb = v, .stores = true, .deadline_ms = SECONDS(seconds)
#define ENDS(f, v)	       .fn = f, .verb = v
#define MEMBER		       .least = ROLE_MEMBER /* its handler shows and touches what principal_sees alone */
#define OPERATOR	       .least = ROLE_OPERATOR
#define ACCEPTS		       .accept = true /* accept: its handler makes an event of it, or says itself when it has begun */
#define CASE(name)	       [BERTH__ENVELOPE__BODY_##name]

static const struct request_row rows[] = {
	CASE(CONTAINER_CREATE) = {MEMBER, CHANGES(on_container_create, "create", 120), ACCEPTS, .starts = true},
	CASE(CONTAINER_START) = {MEMBER, ENDS(on_container_start, "start"), ACCEPTS, .deadline_ms = SECONDS(120),
				 .revision = true, .starts = true},
	CASE(CONTAINER_STOP) = {MEMBER, ENDS(on_container_stop, "stop"), ACCEPTS, .revision = true},
	CASE(CONTAINER_RESTART) = {MEMBER, ENDS(on_container_restart, "restart"), ACCEPTS, .revision = true,
				   .starts = true},
	CASE(CONTAINER_KILL) = {MEMBER, ENDS(on_container_kill, "kill"), ACCEPTS, .revision = true,
				.deadline_ms = SECONDS(120)},
	CASE(CONTAINER_PAUSE) = {MEMBER, ENDS(on_container_pause, "pause"), ACCEPTS, .revision = true,
				 .deadline_ms = SECONDS(120)},
	CASE(CONTAINER_UNPAUSE) = {MEMBER, ENDS(on_container_unpause, "unpause"), ACCEPTS, .revision = true,
				   .deadline_ms = SECONDS(120)},
	CASE(CONTAINER_RENAME) = {MEMBER, CHANGES(on_container_rename, "rename", 120), .revision = true},
	CASE(CONTAINER_REMOVE) = {MEMBER, ENDS(on_container_remove, "remove"), ACCEPTS, .deadline_ms = SECONDS(600),
				  .revision = true},
	CASE(CONTAINER_UPDATE) = {MEMBER, CHANGES(on_container_update, "update", 120), .revision = true},
	CASE(CONTAINER_WAIT) = {MEMBER, LOOKS(on_container_wait)},
	CASE(CONTAINER_INSPECT) = {MEMBER, LOOKS(on_container_inspect)},
	CASE(CONTAINER_LIST) = {MEMBER, LOOKS(on_container_list)},
	CASE(CONTAINER_LOGS) = {MEMBER, LOOKS(on_container_logs), .deadline_ms = SECONDS(30), .once = true},
	CASE(CONTAINER_ATTACH) = {MEMBER, ENDS(on_container_attach, "attach"), .deadline_ms = SECONDS(30),
				  .once = true},
	CASE(CONTAINER_EXEC) = {MEMBER, ENDS(on_container_exec, "exec"), .deadline_ms = SECONDS(60), .once = true},
	CASE(CONTAINER_TOP) = {MEMBER, LOOKS(on_container_top), .deadline_ms = SECONDS(15)},
	CASE(CONTAINER_STATS) = {MEMBER, LOOKS(on_container_stats), .deadline_ms = SECONDS(30)},
	CASE(CONTAINER_COPY) = {MEMBER, ENDS(on_container_copy, "copy"), .max_fds = 1},
	/* What it makes is the host's, under a name that may have been another's. */
	CASE(CONTAINER_COMMIT) = {CHANGES(on_container_commit, "commit", 0), .revision = true},
	CASE(CONTAINER_REBUILD) = {MEMBER, CHANGES(on_container_rebuild, "rebuild", 0), .revision = true,
				   .starts = true},
	CASE(CONTAINER_DIFF) = {MEMBER, LOOKS(on_container_diff)},
	CASE(EVENTS) = {MEMBER, LOOKS(on_events)},
	CASE(ACTIONS) = {MEMBER, LOOKS(on_actions), .deadline_ms = SECONDS(30)},
	CASE(CANCEL) = {MEMBER, LOOKS(on_cancel)},

	CASE(POD_CREATE) = {MEMBER, CHANGES(on_pod_create, "create", 120)},
	CASE(POD_INSPECT) = {MEMBER, LOOKS(on_pod_inspect)},
	CASE(POD_LIST) = {MEMBER, LOOKS(on_pod_list)},
	CASE(POD_REMOVE) = {MEMBER, ENDS(on_pod_remove, "remove"), .deadline_ms = SECONDS(600), .revision = true},

	CASE(IMAGE_IMPORT) = {CHANGES(on_image_import, "import", 0), .min_fds = 1, .max_fds = 1},
	CASE(IMAGE_PULL) = {MEMBER, CHANGES(on_image_pull, "pull", 0)}, /* if members_pull says so: image_want */
	CASE(IMAGE_PUSH) = {ENDS(on_image_push, "push")},
	CASE(IMAGE_EXPORT) = {ENDS(on_image_export, "export"), .min_fds = 1, .max_fds = 1, .once = true},
	CASE(IMAGE_LIST) = {MEMBER, LOOKS(on_image_list)},
	CASE(IMAGE_INSPECT) = {MEMBER, LOOKS(on_image_inspect)},
	CASE(IMAGE_TAG) = {CHANGES(on_image_tag, "tag", 120), .revision = true},
	CASE(IMAGE_HISTORY) = {MEMBER, LOOKS(on_image_history), .deadline_ms = SECONDS(60)},
	CASE(IMAGE_PRUNE) = {ENDS(on_image_prune, "prune")},
	CASE(IMAGE_VERIFY) = {LOOKS(on_image_verify)},
	CASE(IMAGE_REMOVE) = {ENDS(on_image_remove, "remove"), .deadline_ms = SECONDS(120), .revision = true},

	CASE(VOLUME_CREATE) = {MEMBER, CHANGES(on_volume_create, "create", 600)},
	CASE(VOLUME_UPDATE) = {MEMBER, CHANGES(on_volume_update, "update", 600), .revision = true},
	CASE(VOLUME_PRUNE) = {MEMBER, ENDS(on_volume_prune, "prune"), .deadline_ms = SECONDS(600)},
	CASE(VOLUME_LIST) = {MEMBER, LOOKS(on_volume_list)},
	CASE(VOLUME_INSPECT) = {MEMBER, LOOKS(on_volume_inspect), .deadline_ms = SECONDS(30)},
	CASE(VOLUME_REMOVE) = {MEMBER, ENDS(on_volume_remove, "remove"), .deadline_ms = SECONDS(120), .revision = true},

	CASE(NETWORK_CREATE) = {CHANGES(on_network_create, "create", 120)},
	CASE(NETWORK_LIST) = {MEMBER, LOOKS(on_network_list)},
	CASE(NETWORK_INSPECT) = {MEMBER, LOOKS(on_network_inspect)},
	CASE(NETWORK_DRIVERS) = {MEMBER, LOOKS(on_network_drivers)},
	CASE(NETWORK_UPDATE) = {CHANGES(on_network_update, "update", 120)},
	CASE(NETWORK_CONNECT) = {MEMBER, CHANGES(on_network_connect, "connect", 120), .revision = true},
	CASE(NETWORK_DISCONNECT) = {MEMBER, CHANGES(on_network_disconnect, "disconnect", 120), .revision = true},
	CASE(NETWORK_REMOVE) = {ENDS(on_network_remove, "remove"), .deadline_ms = SECONDS(120)},

	CASE(SECURITY_GROUP_CREATE) = {MEMBER, CHANGES(on_security_group_create, "create", 120)},
	CASE(SECURITY_GROUP_LIST) = {MEMBER, LOOKS(on_security_group_list)},
	CASE(SECURITY_GROUP_INSPECT) = {MEMBER, LOOKS(on_security_group_inspect)},
	CASE(SECURITY_GROUP_REMOVE) = {MEMBER, ENDS(on_security_group_remove, "remove"), .deadline_ms = SECONDS(120)},
	CASE(SECURITY_GROUP_RULE_ADD) = {MEMBER, CHANGES(on_security_group_rule_add, "update", 120)},
	CASE(SECURITY_GROUP_RULE_REMOVE) = {MEMBER, CHANGES(on_security_group_rule_remove, "update", 120)},
	CASE(SECURITY_GROUP_ATTACH) = {MEMBER, CHANGES(on_security_group_attach, "update", 120)},
	CASE(INTERFACE_LIMIT) = {CHANGES(on_interface_limit, "update", 120)},
	/* A pool answers on a link of the host for addresses of others. */
	CASE(FLOATING_IP_POOL_CREATE) = {CHANGES(on_floating_ip_pool_create, "create", 120)},
	CASE(FLOATING_IP_POOL_LIST) = {MEMBER, LOOKS(on_floating_ip_pool_list)},
	CASE(FLOATING_IP_POOL_REMOVE) = {ENDS(on_floating_ip_pool_remove, "remove"), .deadline_ms = SECONDS(120)},
	CASE(FLOATING_IP_ALLOCATE) = {MEMBER, CHANGES(on_floating_ip_allocate, "allocate", 120)},
	CASE(FLOATING_IP_LIST) = {MEMBER, LOOKS(on_floating_ip_list)},
	CASE(FLOATING_IP_RELEASE) = {MEMBER, ENDS(on_floating_ip_release, "release"), .deadline_ms = SECONDS(120)},
	CASE(FLOATING_IP_ASSOCIATE) = {MEMBER, CHANGES(on_floating_ip_associate, "associate", 120)},
	CASE(FLOATING_IP_DISASSOCIATE) = {MEMBER, CHANGES(on_floating_ip_disassociate, "disassociate", 120)},

	CASE(TOKEN_CREATE) = {OPERATOR, CHANGES(on_token_create, "create", 120), .once = true},
	CASE(TOKEN_LIST) = {OPERATOR, LOOKS(on_token_list)},
	CASE(TOKEN_REVOKE) = {OPERATOR, ENDS(on_token_revoke, "revoke"), .deadline_ms = SECONDS(120)},
	CASE(TOKEN_CHECK) = {MEMBER, LOOKS(on_token_check)},

	CASE(INFO) = {MEMBER, LOOKS(on_info)},
	CASE(DISK_USAGE) = {LOOKS(on_disk_usage), .deadline_ms = SECONDS(600)},
	CASE(CHECK) = {LOOKS(on_check), .deadline_ms = SECONDS(60)},
	CASE(UPGRADE) = {.fn = on_upgrade, .least = ROLE_ROOT, .verb = "upgrade", .deadline_ms = SECONDS(60)},
	CASE(SHUTDOWN) = {.fn = on_shutdown, .least = ROLE_ROOT, .verb = "shutdown"},
};

const struct request_row *request_row_of(Berth__Envelope__BodyCase body)
{
	return (size_t)body < ARRAY_SIZE(rows) && rows[body].fn ? &rows[body] : NULL;
}

/* ---------------------------------------------------------------- before the handler */

static enum role least_role(const struct request_row *row)
{
	return row->least ? row->least : ROLE_ADMIN;
}

static bool is_word(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (!n || n > max)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	return true;
}

/* A token counts instead of the peer's credentials, wherever it came in. */
static int request_token(struct client *c, const Berth__Envelope *env, struct principal *who)
{
	*who = c->who;
	if (env->token && token_principal(c->sv, env->token, who) < 0) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__UNAUTHENTICATED, "token",
			      "the token is unknown, has expired or was revoked");
		return -EACCES;
	}
	if (who->role == ROLE_NONE) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__UNAUTHENTICATED, "token",
			      "a token is needed here (berth token create)");
		return -EACCES;
	}
	return 0;
}

/* Whose objects: a token has its project, and only an admin's may name another. */
static int request_project(struct client *c, const Berth__Envelope *env, struct principal *who)
{
	if (!env->project || !*env->project) {
		if (!*who->project)
			snprintf(who->project, sizeof who->project, "default");
		return 0;
	}
	if (!str_is_name(env->project)) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__INVALID, "project", "'%.80s' is not a project's name",
			      env->project);
		return -EINVAL;
	}
	if (strlen(env->project) >= sizeof who->project) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__INVALID, "project", "longer than %zu bytes",
			      sizeof who->project - 1);
		return -EINVAL;
	}
	if (!principal_sees_all(who) && strcmp(env->project, who->project) != 0) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__DENIED, "project", "the token is for project %s",
			      who->project);
		return -EACCES;
	}
	snprintf(who->project, sizeof who->project, "%s", env->project);
	return 0;
}

static int request_principal(struct client *c, const Berth__Envelope *env, struct principal *who)
{
	int r = request_token(c, env, who);

	if (r == 0)
		r = request_project(c, env, who);
	if (r < 0)
		return r;
	if (env->request_id && !is_word(env->request_id, sizeof who->request_id - 1)) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__INVALID, "request_id",
			      "must be 1 to %zu printable characters without blanks", sizeof who->request_id - 1);
		return -EINVAL;
	}
	who->exact = env->exact;
	if (env->request_id)
		snprintf(who->request_id, sizeof who->request_id, "%s", env->request_id);
	else
		uuid_make(who->request_id);
	return 0;
}

/* A connection of api.sock speaks for many, of whom none may take it all. */
static int request_room(struct client *c, const Berth__Envelope *env, const struct principal *who)
{
	const struct open *o;
	unsigned n = c->n_open;

	if (n < CLIENT_OPEN_MAX)
		return 0;
	if (c->api && n < API_OPEN_MAX) {
		n = 0;
		list_each (o, &c->open, link)
			n += o->token == who->token;
		if (n < CLIENT_OPEN_MAX)
			return 0;
	}
	client_refuse(c, env->id, BERTH__ERROR__CODE__EXHAUSTED, NULL,
		      "%u requests of this %s are not answered yet: that is the limit", n,
		      c->api && n < API_OPEN_MAX ? "token" : "connection");
	return -ENOBUFS;
}

static bool answer_is_once(const Berth__Envelope *env, const struct request_row *row)
{
	return row->once ||
	       (env->body_case == BERTH__ENVELOPE__BODY_CONTAINER_COPY && /* … or its archive one */
		env->container_copy->direction != BERTH__CONTAINER_COPY__DIRECTION__STAT) ||
	       (env->body_case == BERTH__ENVELOPE__BODY_CONTAINER_CREATE && env->container_create->attach) ||
	       (env->body_case == BERTH__ENVELOPE__BODY_CONTAINER_START && env->container_start->attach);
}

/* May it be asked, by this one, with these descriptors? */
static int request_admit(struct client *c, const Berth__Envelope *env, const struct request_row *row,
			 const struct principal *who, unsigned n_fds)
{
	int r = request_room(c, env, who);

	if (r < 0)
		return r;
	if (who->role < least_role(row)) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__DENIED, NULL, "%s may not ask for %s%s", who->name,
			      envelope_body_name(env),
			      who->token && row->least > ROLE_ADMIN
				      ? " under a token: that is done on the control socket"
				      : "");
		return -EACCES;
	}
	if (n_fds < row->min_fds || n_fds > row->max_fds) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__INVALID, NULL,
			      "%s takes %u file descriptors, %u came with it", envelope_body_name(env), row->min_fds,
			      n_fds);
		return -EINVAL;
	}
	if (row->starts && c->sv->going_down) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__CONFLICT, NULL,
			      "the host is going down: nothing is started any more");
		return -ESHUTDOWN;
	}
	if (env->accept && (!row->accept || answer_is_once(env, row))) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__INVALID, "accept",
			      "%s is not answered before it has ended", envelope_body_name(env));
		return -EINVAL;
	}
	if (env->has_if_revision && !row->revision) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__INVALID, "if_revision",
			      "%s has no object whose revision could be compared", envelope_body_name(env));
		return -EINVAL;
	}
	return 0;
}

static int request_store_admit(struct client *c, const Berth__Envelope *env, const struct request_row *row)
{
	struct store *st = c->sv->store;

	if (!row->stores)
		return 0;
	if (*store_error(st)) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			      "nothing can be changed while the store cannot be written (%s); what runs goes on",
			      store_error(st));
		return -ENOSPC;
	}
	if (store_full(st)) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			      "the store's disk does not keep up: %llu writes wait; what runs goes on",
			      (unsigned long long)store_queued(st));
		return -ENOBUFS;
	}
	return 0;
}

/* ---------------------------------------------------------------- asked before? */

static void request_repeat(struct supervisor *sv, struct parked p, const struct replay *t)
{
	size_t len;
	const void *data = replay_answer(t, &len);
	Berth__Envelope *env = berth__envelope__unpack(NULL, len, data); /* our own bytes */

	if (!env) {
		reply_error(sv, p, BERTH__ERROR__CODE__INTERNAL, "client_token", "the stored answer cannot be read");
		return;
	}
	reply(sv, p, env, NULL, 0);
	berth__envelope__free_unpacked(env, NULL);
}

/* True: it is to be done. Else it was answered, or will be. */
static bool request_is_new(struct request *rq, struct open *o)
{
	const Berth__Envelope *env = rq->env;
	struct supervisor *sv = rq->sv;
	struct replay *t;
	int r;

	if (!env->client_token || !o->row->verb)
		return true; /* what only looks is the same every time */
	if (!is_word(env->client_token, REPLAY_SIZE - 1)) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INVALID, "client_token",
			    "must be 1 to %d printable characters without blanks", REPLAY_SIZE - 1);
		return false;
	}
	if (answer_is_once(env, o->row)) {
		reply_error(
			sv, rq->parked, BERTH__ERROR__CODE__INVALID, "client_token",
			"the answer to this request carries a descriptor or a secret and could not be repeated: ask "
			"without a client_token");
		return false;
	}
	r = replay_take(sv->replays, rq->who.name, env->client_token, replay_hash(env), rq->parked, &t);
	switch (r) {
	case REPLAY_NEW:
		o->replay = t;
		return true;
	case REPLAY_JOINED:
		return false;
	case REPLAY_REPEAT:
		request_repeat(sv, rq->parked, t);
		return false;
	case REPLAY_MADE:
		o->replay = t;
		return !request_repeated(rq, replay_object_uuid(t));
	case REPLAY_OTHER:
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "client_token",
			    "this client_token belongs to a request that asked for something else");
		return false;
	case REPLAY_FULL:
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, "client_token",
			    "%s has %u requests with a client_token running: that is the limit", rq->who.name,
			    REPLAY_PER_PRINCIPAL);
		return false;
	default:
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, "client_token", "remember it: %s",
			    strerror(-r));
		return false;
	}
}

/* ---------------------------------------------------------------- deadline, and the way in */

/* The asker is told; what was begun goes on, and its action gets the real result. */
static void on_deadline(struct timer *t)
{
	struct open *o = container_of(t, struct open, deadline);
	struct client *c = o->client;
	struct supervisor *sv = c->sv;
	struct parked p = o->parked;
	void (*off)(void *arg, bool cancelled) = o->on_gone;
	void *off_arg = o->on_gone_arg;
	bool goes_on = o->replay != NULL;

	client_refuse(c, p.request, BERTH__ERROR__CODE__TIMEOUT, NULL, "no result within the deadline%s",
		      o->row->verb ? ": it goes on, look at the object or its actions" : "");
	o->on_gone = NULL;
	control_open_detach(sv, o);
	if (off && !goes_on)
		off(off_arg, false);
}

void parked_deadline(struct supervisor *sv, struct parked p, bool runs)
{
	struct open *o = control_open_find(sv, p);

	if (!o || o->own_deadline || !o->row->deadline_ms)
		return;
	timer_del(&o->deadline);
	if (runs && timer_in(&sv->loop, &o->deadline, o->row->deadline_ms * NS_PER_MS, on_deadline) < 0)
		log_warn("no memory for a deadline");
}

int request_handle(struct client *c, const Berth__Envelope *env, struct wire_fds *fds)
{
	struct supervisor *sv = c->sv;
	const struct request_row *row = request_row_of(env->body_case);
	struct request rq = {.sv = sv, .env = env, .fds = fds};
	uint64_t deadline_ms;
	struct open *o;

	rq.parked = (struct parked){.client = c->id, .request = env->id};
	if (!env->id)
		return client_bad(c, "a request without an id");
	if (control_open_find(sv, rq.parked))
		return client_bad(c, "a second request %llu before the first is answered", (unsigned long long)env->id);
	if (sv->stopping) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__UNAVAILABLE, NULL,
			      "berthd is going down or upgrading: connect again and ask again");
		return 0;
	}
	if (request_principal(c, env, &rq.who) < 0)
		return 0;
	if (!row) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__UNSUPPORTED, NULL,
			      "this version of berthd does not know this request");
		return 0;
	}
	if (request_admit(c, env, row, &rq.who, fds->n) < 0 || request_store_admit(c, env, row) < 0)
		return 0;
	if (control_open_add(c, &rq.who, env->id, row, &o) < 0) {
		client_refuse(c, env->id, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return 0;
	}
	o->own_deadline = env->has_deadline_ms;
	deadline_ms = env->has_deadline_ms ? env->deadline_ms : row->deadline_ms;
	if (deadline_ms > UINT32_MAX)
		deadline_ms = UINT32_MAX; /* 49 days */
	if (deadline_ms && timer_in(&sv->loop, &o->deadline, deadline_ms * NS_PER_MS, on_deadline) < 0) {
		reply_error(sv, rq.parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return 0;
	}
	rq.verb = row->verb;
	o->begun_is_done = env->accept && env->body_case != BERTH__ENVELOPE__BODY_CONTAINER_CREATE;
	log_about(rq.who.request_id);
	log_debug("%s: %s", rq.who.name, envelope_body_name(env));
	if (request_is_new(&rq, o))
		row->fn(&rq);
	log_about(NULL);
	return 0;
}

bool request_revision_fits(struct request *rq, const char *noun, const Berth__Meta *object)
{
	if (!rq->env->has_if_revision || rq->env->if_revision == object->revision)
		return true;
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__STALE, "if_revision", "the %s is at revision %llu", noun,
		    (unsigned long long)object->revision);
	return false;
}

bool request_sees_all(struct request *rq)
{
	if (principal_sees_all(&rq->who))
		return true;
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__DENIED, "all_projects",
		    "%s is a member of project %s and sees no other", rq->who.name, rq->who.project);
	return false;
}

void on_cancel(struct request *rq)
{
	struct client *c = control_client_find(rq->sv, rq->parked.client);
	uint64_t id = rq->env->cancel->id;
	int r = id == rq->parked.request ? -ENOENT : control_cancel(c, id, rq->who.token);

	if (r == -ENOENT)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__NOT_FOUND, "id", "request %llu is not open",
			    (unsigned long long)id);
	else if (r == -EBUSY)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "id",
			    "request %llu changes something and has begun: it cannot be taken back",
			    (unsigned long long)id);
	else
		reply_done(rq->sv, rq->parked, NULL);
}
