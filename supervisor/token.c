/* supervisor/token.c - see supervisor/token.h. Running and answered tokens in one table; the store has a copy of each, so that
 * they outlive berthd. What the store keeps of one that runs is an Envelope `more`, with Done.uuid once the object is known. */
#include "supervisor/token.h"

#include "base/log.h"
#include "supervisor/control.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_BUCKETS  1024u
#define TOKEN_SWEEP_NS (60 * NS_PER_S)

struct waiting {
	struct list link; /* token.joined */
	struct parked parked;
};

/* Whoever has tokens. */
struct holder {
	struct list link; /* tokens.holders */
	char principal[64];
	uint32_t n;
	struct list answered; /* of struct token.in_holder, longest answered first */
};

struct token {
	struct list link;   /* tokens.all, oldest first */
	struct token *next; /* same bucket */
	struct list in_holder;
	struct holder *holder;
	char text[TOKEN_SIZE];
	uint64_t hash;
	int64_t expires_at; /* wall clock, as it is in the store */
	bool running;	    /* someone owes the answer */
	char uuid[UUID_SIZE];
	void *answer; /* owned */
	size_t answer_len;
	struct list joined; /* of struct waiting */
};

struct tokens {
	struct supervisor *sv;
	struct list all;
	struct list holders;
	struct token *bucket[TOKEN_BUCKETS];
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

static struct token **token_bucket(struct tokens *ts, const char *principal, const char *text)
{
	uint64_t h = hash_bytes(HASH_START, principal, strlen(principal) + 1);

	return &ts->bucket[hash_bytes(h, text, strlen(text)) % TOKEN_BUCKETS];
}

static struct token *token_find(struct tokens *ts, const char *principal, const char *text)
{
	struct token *t = *token_bucket(ts, principal, text);

	while (t && (strcmp(t->text, text) || strcmp(t->holder->principal, principal)))
		t = t->next;
	return t;
}

/* Principals are few: root and the members of a group. */
static struct holder *holder_get(struct tokens *ts, const char *principal, bool make)
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

static struct token *token_new(struct tokens *ts, const char *principal, const char *text)
{
	struct token **bucket = token_bucket(ts, principal, text), *t = calloc(1, sizeof *t);
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

static void token_free(struct tokens *ts, struct token *t)
{
	struct token **at = token_bucket(ts, t->holder->principal, t->text);
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

uint64_t token_hash(const Berth__Envelope *env)
{
	Berth__Envelope what = BERTH__ENVELOPE__INIT;
	uint64_t h = HASH_START;
	uint8_t *data;
	size_t len;

	what.project = env->project;
	what.has_if_revision = env->has_if_revision;
	what.if_revision = env->if_revision;
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
static void token_store(struct supervisor *sv, const struct token *t, const void *data, size_t len)
{
	int r = store_put_token(sv->store, t->holder->principal, t->text, t->hash, data, len, t->expires_at);

	if (r < 0)
		log_warn("a client_token of %s is kept in memory only: %s", t->holder->principal, strerror(-r));
}

static void token_store_running(struct supervisor *sv, const struct token *t)
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
	token_store(sv, t, data, berth__envelope__pack(&env, data));
}

static int on_token_load(void *arg, const char *principal, const char *text, uint64_t hash, const void *reply,
			 size_t len, int64_t expires_at)
{
	struct tokens *ts = arg;
	Berth__Envelope *env;
	struct token *t;

	if (expires_at <= wall_ns() || strlen(principal) >= sizeof t->holder->principal ||
	    strlen(text) >= sizeof t->text)
		return 0;
	env = berth__envelope__unpack(NULL, len, reply);
	if (!env)
		return 0; /* not an answer: then this token knows nothing worth keeping */
	t = token_new(ts, principal, text);
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
	struct tokens *ts = container_of(timer, struct tokens, sweep);
	int64_t now = wall_ns();
	bool any = false;
	struct token *t;

	list_each (t, &ts->all, link) {
		if (t->running || t->expires_at > now)
			continue;
		token_free(ts, t);
		any = true;
	}
	if (any)
		(void)store_drop_tokens(ts->sv->store, NULL, NULL,
					now); /* asked again with the next that expires, or at start */
	(void)timer_in(&ts->sv->loop, &ts->sweep, TOKEN_SWEEP_NS,
		       on_sweep); /* cannot fail: its slot has just become free */
}

int tokens_open(struct supervisor *sv)
{
	struct tokens *ts = calloc(1, sizeof *ts);
	int r;

	if (!ts)
		return -ENOMEM;
	ts->sv = sv;
	list_init(&ts->all);
	list_init(&ts->holders);
	r = store_load_tokens(sv->store, on_token_load, ts);
	if (r == 0)
		r = store_drop_tokens(sv->store, NULL, NULL, wall_ns());
	if (r == 0)
		r = timer_in(&sv->loop, &ts->sweep, TOKEN_SWEEP_NS, on_sweep);
	sv->tokens = ts;
	if (r < 0)
		tokens_close(sv);
	return r;
}

void tokens_close(struct supervisor *sv)
{
	struct tokens *ts = sv->tokens;
	struct token *t;

	if (!ts)
		return;
	timer_del(&ts->sweep);
	while ((t = list_first(&ts->all, struct token, link)))
		token_free(ts, t);
	sv->tokens = NULL;
	free(ts);
}

/* ---------------------------------------------------------------- use */

/* Room for one more of this principal: what was answered longest ago goes. False: all of them run. */
static bool token_make_room(struct tokens *ts, const char *principal)
{
	struct holder *h = holder_get(ts, principal, false);
	struct token *oldest;

	if (!h || h->n < TOKEN_PER_PRINCIPAL)
		return true;
	oldest = list_first(&h->answered, struct token, in_holder);
	if (!oldest)
		return false;
	(void)store_drop_tokens(ts->sv->store, principal, oldest->text, 0); /* if not: it expires there */
	token_free(ts, oldest);
	return true;
}

static int token_join(struct token *t, struct parked p)
{
	struct waiting *w = malloc(sizeof *w);

	if (!w)
		return -ENOMEM;
	w->parked = p;
	list_push(&t->joined, &w->link);
	return TOKEN_JOINED;
}

int token_take(struct tokens *ts, const char *principal, const char *text, uint64_t hash, struct parked p,
	       struct token **ret)
{
	struct token *t = token_find(ts, principal, text);

	if (t && !t->running && t->expires_at <= wall_ns()) {
		token_free(ts, t);
		t = NULL;
	}
	if (t && t->hash != hash)
		return TOKEN_OTHER;
	if (t && t->running)
		return token_join(t, p);
	if (t && t->answer) {
		*ret = t;
		return TOKEN_REPEAT;
	}
	if (t) { /* known from before a crash, without an answer */
		t->running = true;
		list_del(&t->in_holder);
		*ret = t;
		return *t->uuid ? TOKEN_MADE : TOKEN_NEW;
	}
	if (!token_make_room(ts, principal))
		return TOKEN_FULL;
	t = token_new(ts, principal, text);
	if (!t)
		return -ENOMEM;
	t->hash = hash;
	t->expires_at = wall_ns() + (int64_t)TOKEN_LIFE_NS;
	t->running = true;
	token_store_running(ts->sv, t);
	*ret = t;
	return TOKEN_NEW;
}

void token_object(struct supervisor *sv, struct token *t, const char *uuid)
{
	snprintf(t->uuid, sizeof t->uuid, "%s", uuid);
	token_store_running(sv, t);
}

const char *token_object_uuid(const struct token *t)
{
	return t->uuid;
}

const void *token_answer(const struct token *t, size_t *ret_len)
{
	*ret_len = t->answer_len;
	return t->answer;
}

static void token_tell_joined(struct supervisor *sv, struct token *t, const void *answer, size_t len)
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

void token_finish(struct supervisor *sv, struct token *t, const void *answer, size_t len)
{
	void *copy = malloc(len ? len : 1);

	if (!copy) {
		token_drop(sv, t, answer, len);
		return;
	}
	memcpy(copy, answer, len);
	free(t->answer);
	t->answer = copy;
	t->answer_len = len;
	t->running = false;
	list_push(&t->holder->answered, &t->in_holder);
	t->expires_at = wall_ns() + (int64_t)TOKEN_LIFE_NS; /* an hour from the answer, however long the request took */
	token_store(sv, t, answer, len);
	token_tell_joined(sv, t, answer, len);
}

void token_drop(struct supervisor *sv, struct token *t, const void *answer, size_t len)
{
	token_tell_joined(sv, t, answer, len);
	(void)store_drop_tokens(sv->store, t->holder->principal, t->text, 0); /* if not: it expires */
	token_free(sv->tokens, t);
}
