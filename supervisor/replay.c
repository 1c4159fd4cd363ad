/* supervisor/replay.c - see supervisor/replay.h. Running and answered client_tokens in one table; the store has a copy of each, so that
 * they outlive berthd. What the store keeps of one that runs is an Envelope `more`, with Done.uuid once the object is known. */
#include "supervisor/replay.h"

#include "base/log.h"
#include "supervisor/control.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLAY_BUCKETS	1024u
#define REPLAY_SWEEP_NS (60 * NS_PER_S)

struct waiting {
	struct list link; /* replay.joined */
	struct parked parked;
};

/* Whoever has client_tokens. */
struct holder {
	struct list link; /* replays.holders */
	char principal[PRINCIPAL_SIZE];
	uint32_t n;
	struct list answered; /* of struct replay.in_holder, longest answered first */
};

struct replay {
	struct list link;    /* replays.all, oldest first */
	struct replay *next; /* same bucket */
	struct list in_holder;
	struct holder *holder;
	char text[REPLAY_SIZE];
	uint64_t hash;
	int64_t expires_at; /* wall clock, as it is in the store */
	bool running;	    /* someone owes the answer */
	char uuid[UUID_SIZE];
	void *answer; /* owned */
	size_t answer_len;
	struct list joined; /* of struct waiting */
};

struct replays {
	struct supervisor *sv;
	struct list all;
	struct list holders;
	struct replay *bucket[REPLAY_BUCKETS];
	struct timer sweep;
};

static uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--)
		h = (h ^ *p++) * 1099511628211ull; /* FNV-1a: a principal can only collide with itself */
	return h;
}

#define HASH_START 14695981039346656037ull

static struct replay **replay_bucket(struct replays *ts, const char *principal, const char *text)
{
	uint64_t h = hash_bytes(HASH_START, principal, strlen(principal) + 1);

	return &ts->bucket[hash_bytes(h, text, strlen(text)) % REPLAY_BUCKETS];
}

static struct replay *replay_find(struct replays *ts, const char *principal, const char *text)
{
	struct replay *t = *replay_bucket(ts, principal, text);

	while (t && (strcmp(t->text, text) || strcmp(t->holder->principal, principal)))
		t = t->next;
	return t;
}

/* Principals are few: root, the members of a group, the users of tokens that change something within an hour. */
static struct holder *holder_get(struct replays *ts, const char *principal, bool make)
{
	struct holder *h;

	list_each (h, &ts->holders, link)
		if (!strcmp(h->principal, principal))
			return h;
	h = make ? calloc(1, sizeof *h) : NULL;
	if (!h)
		return NULL;
	snprintf(h->principal, sizeof h->principal, "%s", principal);
	list_init(&h->answered);
	list_push(&ts->holders, &h->link);
	return h;
}

static struct replay *replay_new(struct replays *ts, const char *principal, const char *text)
{
	struct replay **bucket = replay_bucket(ts, principal, text), *t = calloc(1, sizeof *t);
	struct holder *h = t ? holder_get(ts, principal, true) : NULL;

	if (!h) {
		free(t);
		return NULL;
	}
	snprintf(t->text, sizeof t->text, "%s", text);
	list_init(&t->joined);
	list_init(&t->in_holder);
	t->holder = h;
	h->n++;
	t->next = *bucket;
	*bucket = t;
	list_push(&ts->all, &t->link);
	return t;
}

static void replay_free(struct replays *ts, struct replay *t)
{
	struct replay **at = replay_bucket(ts, t->holder->principal, t->text);
	struct waiting *w;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	list_del(&t->link);
	list_del(&t->in_holder);
	if (--t->holder->n == 0) {
		list_del(&t->holder->link);
		free(t->holder);
	}
	while ((w = list_pop(&t->joined, struct waiting, link)))
		free(w);
	free(t->answer);
	free(t);
}

uint64_t replay_hash(const Berth__Envelope *env)
{
	Berth__Envelope what = BERTH__ENVELOPE__INIT;
	uint64_t h = HASH_START;
	uint8_t *data;
	size_t len;

	what.project = env->project;
	what.has_if_revision = env->has_if_revision;
	what.if_revision = env->if_revision;
	what.has_accept = what.accept = env->accept; /* what is repeated is another answer */
	what.body_case = env->body_case;
	what.container_create = env->container_create; /* any member of the union: they are all one pointer */
	len = berth__envelope__get_packed_size(&what);
	data = malloc(len ? len : 1);
	if (!data)
		return 0;
	berth__envelope__pack(&what, data);
	h = hash_bytes(h, data, len);
	free(data);
	return h;
}

/* ---------------------------------------------------------------- the copy in the store */

/* A copy that cannot be queued is lost in a crash only, and mutations are refused when the queue is full. */
static void replay_store(struct supervisor *sv, const struct replay *t, const void *data, size_t len)
{
	int r = store_put_token(sv->store, t->holder->principal, t->text, t->hash, data, len, t->expires_at);

	if (r < 0)
		log_warn("a client_token of %s is kept in memory only: %s", t->holder->principal, strerror(-r));
}

static void replay_store_running(struct supervisor *sv, const struct replay *t)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Done done = BERTH__DONE__INIT;
	uint8_t data[128];

	env.has_more = env.more = true;
	env.body_case = BERTH__ENVELOPE__BODY_DONE;
	env.done = &done;
	if (*t->uuid)
		done.uuid = (char *)(uintptr_t)t->uuid; /* only packed */
	_Static_assert(sizeof data > UUID_SIZE + 32, "room for the packed message");
	replay_store(sv, t, data, berth__envelope__pack(&env, data));
}

static int on_replay_load(void *arg, const char *principal, const char *text, uint64_t hash, const void *reply,
			  size_t len, int64_t expires_at)
{
	struct replays *ts = arg;
	Berth__Envelope *env;
	struct replay *t;

	if (expires_at <= wall_ns() || strlen(principal) >= sizeof t->holder->principal ||
	    strlen(text) >= sizeof t->text)
		return 0;
	env = berth__envelope__unpack(NULL, len, reply);
	if (!env)
		return 0; /* not an answer: then this client_token knows nothing worth keeping */
	t = replay_new(ts, principal, text);
	if (t) {
		t->hash = hash;
		t->expires_at = expires_at;
		list_push(&t->holder->answered, &t->in_holder); /* nobody works for it now */
		if (!env->more) {
			t->answer = malloc(len);
			t->answer_len = len;
			if (t->answer)
				memcpy(t->answer, reply, len);
		} else if (env->body_case == BERTH__ENVELOPE__BODY_DONE && env->done->uuid) {
			snprintf(t->uuid, sizeof t->uuid, "%s", env->done->uuid);
		}
	}
	berth__envelope__free_unpacked(env, NULL);
	return t ? 0 : -ENOMEM;
}

/* ---------------------------------------------------------------- life */

static void on_sweep(struct timer *timer)
{
	struct replays *ts = container_of(timer, struct replays, sweep);
	int64_t now = wall_ns();
	bool any = false;
	struct replay *t;

	list_each (t, &ts->all, link) {
		if (t->running || t->expires_at > now)
			continue;
		replay_free(ts, t);
		any = true;
	}
	if (any)
		(void)store_drop_tokens(ts->sv->store, NULL, NULL,
					now); /* asked again with the next that expires, or at start */
	(void)timer_in(&ts->sv->loop, &ts->sweep, REPLAY_SWEEP_NS,
		       on_sweep); /* cannot fail: its slot has just become free */
}

int replays_open(struct supervisor *sv)
{
	struct replays *ts = calloc(1, sizeof *ts);
	int r;

	if (!ts)
		return -ENOMEM;
	ts->sv = sv;
	list_init(&ts->all);
	list_init(&ts->holders);
	r = store_load_tokens(sv->store, on_replay_load, ts);
	if (r == 0)
		r = store_drop_tokens(sv->store, NULL, NULL, wall_ns());
	if (r == 0)
		r = timer_in(&sv->loop, &ts->sweep, REPLAY_SWEEP_NS, on_sweep);
	sv->replays = ts;
	if (r < 0)
		replays_close(sv);
	return r;
}

void replays_close(struct supervisor *sv)
{
	struct replays *ts = sv->replays;
	struct replay *t;

	if (!ts)
		return;
	timer_del(&ts->sweep);
	while ((t = list_first(&ts->all, struct replay, link)))
		replay_free(ts, t);
	sv->replays = NULL;
	free(ts);
}

/* ---------------------------------------------------------------- use */

/* Room for one more of this principal: what was answered longest ago goes. False: all of them run. */
static bool replay_make_room(struct replays *ts, const char *principal)
{
	struct holder *h = holder_get(ts, principal, false);
	struct replay *oldest;

	if (!h || h->n < REPLAY_PER_PRINCIPAL)
		return true;
	oldest = list_first(&h->answered, struct replay, in_holder);
	if (!oldest)
		return false;
	(void)store_drop_tokens(ts->sv->store, principal, oldest->text, 0); /* if not: it expires there */
	replay_free(ts, oldest);
	return true;
}

static int replay_join(struct replay *t, struct parked p)
{
	struct waiting *w = malloc(sizeof *w);

	if (!w)
		return -ENOMEM;
	w->parked = p;
	list_push(&t->joined, &w->link);
	return REPLAY_JOINED;
}

int replay_take(struct replays *ts, const char *principal, const char *text, uint64_t hash, struct parked p,
		struct replay **ret)
{
	struct replay *t = replay_find(ts, principal, text);

	if (t && !t->running && t->expires_at <= wall_ns()) {
		replay_free(ts, t);
		t = NULL;
	}
	if (t && t->hash != hash)
		return REPLAY_OTHER;
	if (t && t->running)
		return replay_join(t, p);
	if (t && t->answer) {
		*ret = t;
		return REPLAY_REPEAT;
	}
	if (t) { /* known from before a crash, without an answer */
		t->running = true;
		list_del(&t->in_holder);
		*ret = t;
		return *t->uuid ? REPLAY_MADE : REPLAY_NEW;
	}
	if (!replay_make_room(ts, principal))
		return REPLAY_FULL;
	t = replay_new(ts, principal, text);
	if (!t)
		return -ENOMEM;
	t->hash = hash;
	t->expires_at = wall_ns() + (int64_t)REPLAY_LIFE_NS;
	t->running = true;
	replay_store_running(ts->sv, t);
	*ret = t;
	return REPLAY_NEW;
}

void replay_object(struct supervisor *sv, struct replay *t, const char *uuid)
{
	snprintf(t->uuid, sizeof t->uuid, "%s", uuid);
	replay_store_running(sv, t);
}

const char *replay_object_uuid(const struct replay *t)
{
	return t->uuid;
}

const void *replay_answer(const struct replay *t, size_t *ret_len)
{
	*ret_len = t->answer_len;
	return t->answer;
}

static void replay_tell_joined(struct supervisor *sv, struct replay *t, const void *answer, size_t len)
{
	Berth__Envelope *env = answer ? berth__envelope__unpack(NULL, len, answer) : NULL;
	struct waiting *w;

	while ((w = list_pop(&t->joined, struct waiting, link))) {
		if (env)
			reply(sv, w->parked, env, NULL, 0);
		else
			reply_error(sv, w->parked, BERTH__ERROR__CODE__INTERNAL, "client_token",
				    "out of memory for the answer");
		free(w);
	}
	if (env)
		berth__envelope__free_unpacked(env, NULL);
}

void replay_finish(struct supervisor *sv, struct replay *t, const void *answer, size_t len)
{
	void *copy = malloc(len ? len : 1);

	if (!copy) {
		replay_drop(sv, t, answer, len);
		return;
	}
	memcpy(copy, answer, len);
	free(t->answer);
	t->answer = copy;
	t->answer_len = len;
	t->running = false;
	list_push(&t->holder->answered, &t->in_holder);
	t->expires_at =
		wall_ns() + (int64_t)REPLAY_LIFE_NS; /* an hour from the answer, however long the request took */
	replay_store(sv, t, answer, len);
	replay_tell_joined(sv, t, answer, len);
}

void replay_drop(struct supervisor *sv, struct replay *t, const void *answer, size_t len)
{
	replay_tell_joined(sv, t, answer, len);
	(void)store_drop_tokens(sv->store, t->holder->principal, t->text, 0); /* if not: it expires */
	replay_free(sv->replays, t);
}
