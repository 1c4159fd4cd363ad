/* supervisor/token.c - see supervisor/token.h. Two tables: by the secret's digest, for each request; by uuid, for people. In the store
 * a token is an object of a kind of its own, which an older berthd does not look at. */
#include "supervisor/token.h"

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "supervisor/control.h"
#include "supervisor/request.h"
#include "supervisor/set.h"
#include "supervisor/store.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SHA256_SIZE    32
#define TOKENS_MAX     16384u
#define TOKEN_BUCKETS  4096u
#define TOKEN_SWEEP_NS (5 * NS_PER_S)
#define TOKEN_KEEP_NS  (int64_t)(86400 * NS_PER_S) /* an expired one is listed for so long */
#define TOKEN_PREFIX   "berth_"

struct token {
	struct table_node node;	 /* tokens.by_id */
	struct token *next;	 /* same bucket of tokens.bucket */
	Berth__StoredToken *obj; /* owned */
	bool valid;		 /* stored, and neither revoked nor seen to have expired */
	bool removing;		 /* the deletion of its row is on the way */
};

struct tokens {
	struct supervisor *sv;
	struct table by_id;
	struct token *bucket[TOKEN_BUCKETS];
	struct timer sweep;
	uint64_t strangers; /* secrets that nobody knows */
};

/* ---------------------------------------------------------------- secrets */

static void secret_digest(const char *secret, uint8_t ret[SHA256_SIZE])
{
	if (EVP_Digest(secret, strlen(secret), ret, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* without memory; a wrong digest would be somebody else's */
}

static void secret_make(char ret[TOKEN_SECRET_SIZE])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char bits[33] = {0}; /* 256 bits and 2 more for the last digit, which are 0 */
	char *to = ret + strlen(TOKEN_PREFIX);

	if (getrandom(bits, 32, 0) != 32)
		abort(); /* without randomness no secret is one */
	memcpy(ret, TOKEN_PREFIX, strlen(TOKEN_PREFIX));
	for (unsigned bit = 0; bit < 256; bit += 6) {
		unsigned two = (unsigned)bits[bit / 8] << 8 | bits[bit / 8 + 1];

		*to++ = digits[two >> (10 - bit % 8) & 63];
	}
	*to = 0;
	explicit_bzero(bits, sizeof bits);
}

static struct token **bucket_of(struct tokens *ts, const unsigned char sum[SHA256_SIZE])
{
	return &ts->bucket[(sum[0] << 8 | sum[1]) % TOKEN_BUCKETS];
}

static bool token_expired(const struct token *t, int64_t now)
{
	return t->obj->token->expires_at && t->obj->token->expires_at <= now;
}

/* By the digest of 256 random bits: how long the comparison takes tells nobody anything about a secret. */
static struct token *token_find(struct tokens *ts, const char *secret)
{
	unsigned char sum[SHA256_SIZE];
	struct token *t;

	if (strlen(secret) != TOKEN_SECRET_SIZE - 1 || !str_starts(secret, TOKEN_PREFIX))
		return NULL;
	secret_digest(secret, sum);
	t = *bucket_of(ts, sum);
	while (t && memcmp(t->obj->secret_sha256.data, sum, SHA256_SIZE) != 0)
		t = t->next;
	return t && t->valid && !token_expired(t, wall_ns()) ? t : NULL;
}

int token_principal(struct supervisor *sv, const char *secret, struct principal *who)
{
	struct token *t = token_find(sv->tokens, secret);
	const Berth__AccessToken *obj = t ? t->obj->token : NULL;

	if (!t) {
		uint64_t n = ++sv->tokens->strangers;

		if (!(n & (n - 1))) /* the 1st, 2nd, 4th …: a storm must not fill the log */
			log_warn("%s, pid %d: a token that is unknown, revoked or expired (%llu so far)", who->name,
				 who->pid, (unsigned long long)n);
		return -ENOENT;
	}
	snprintf(who->name, sizeof who->name, "%s@%s", obj->user, obj->project);
	snprintf(who->project, sizeof who->project, "%s", obj->project);
	who->role = obj->role == BERTH__ACCESS_TOKEN__ROLE__ADMIN ? ROLE_ADMIN : ROLE_MEMBER;
	who->token = t->node.id;
	return 0;
}

/* ---------------------------------------------------------------- the tables */

static void token_free(struct tokens *ts, struct token *t)
{
	struct token **at = bucket_of(ts, t->obj->secret_sha256.data);

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	table_del(&ts->by_id, &t->node);
	berth__stored_token__free_unpacked(t->obj, NULL);
	free(t);
}

static bool object_is_whole(const Berth__StoredToken *obj)
{
	const Berth__AccessToken *t = obj->token;

	return t && obj->number && t->id && uuid_is(t->id) && t->project && t->user && t->has_role &&
	       obj->secret_sha256.len == SHA256_SIZE;
}

/* Takes obj, also on failure. */
static int token_new(struct tokens *ts, Berth__StoredToken *obj, struct token **ret)
{
	struct token *t = calloc(1, sizeof *t), **bucket;
	int r = -ENOMEM;

	if (t) {
		t->obj = obj;
		t->node.id = obj->number;
		snprintf(t->node.uuid, sizeof t->node.uuid, "%s", obj->token->id);
		r = table_add(&ts->by_id, &t->node);
	}
	if (r < 0) {
		berth__stored_token__free_unpacked(obj, NULL);
		free(t);
		return r;
	}
	bucket = bucket_of(ts, obj->secret_sha256.data);
	t->next = *bucket;
	*bucket = t;
	*ret = t;
	return 0;
}

static int on_token_load(void *arg, const void *blob, size_t len)
{
	Berth__StoredToken *obj = berth__stored_token__unpack(NULL, len, blob);
	struct token *t;
	int r;

	if (!obj || !object_is_whole(obj)) {
		log_error("an access token in the store cannot be read and is left alone there");
		if (obj)
			berth__stored_token__free_unpacked(obj, NULL);
		return 0;
	}
	r = token_new(arg, obj, &t);
	if (r == 0)
		t->valid = true;
	return r;
}

/* It counts for nothing from now on, and whoever watches under it is told. */
static void token_end(struct supervisor *sv, struct token *t)
{
	if (!t->valid)
		return;
	t->valid = false;
	control_token_ended(sv, t->node.id);
}

static void on_sweep(struct timer *timer)
{
	struct tokens *ts = container_of(timer, struct tokens, sweep);
	int64_t now = wall_ns();
	struct table_node *n;

	list_each (n, &ts->by_id.all, link) {
		struct token *t = container_of(n, struct token, node);

		if (!token_expired(t, now))
			continue;
		token_end(ts->sv, t);
		/* Without a `done`: if it fails, the next berthd sweeps it. */
		if (!t->removing && now - t->obj->token->expires_at > TOKEN_KEEP_NS &&
		    store_delete(ts->sv->store, STORE_TOKEN, t->node.uuid, NULL, NULL) == 0)
			token_free(ts, t);
	}
	(void)timer_in(&ts->sv->loop, &ts->sweep, TOKEN_SWEEP_NS, on_sweep); /* its slot has just become free */
}

int tokens_open(struct supervisor *sv, struct err *e)
{
	struct tokens *ts = calloc(1, sizeof *ts);
	int r = ts ? table_init(&ts->by_id, TOKENS_MAX) : -ENOMEM;

	if (r < 0) {
		free(ts);
		return err_set(e, ENOMEM, "tokens", "make the table of access tokens");
	}
	ts->sv = sv;
	sv->tokens = ts;
	r = store_load(sv->store, STORE_TOKEN, on_token_load, ts, e);
	if (r == 0 && (r = timer_in(&sv->loop, &ts->sweep, TOKEN_SWEEP_NS, on_sweep)) < 0)
		(void)err_set(e, -r, "tokens", "watch for tokens that expire");
	return r;
}

void tokens_close(struct supervisor *sv)
{
	struct tokens *ts = sv->tokens;
	struct table_node *n;

	if (!ts)
		return;
	timer_del(&ts->sweep);
	while ((n = list_first(&ts->by_id.all, struct table_node, link)))
		token_free(ts, container_of(n, struct token, node));
	table_fini(&ts->by_id);
	sv->tokens = NULL;
	free(ts);
}

/* ---------------------------------------------------------------- answers */

static void reply_token(struct supervisor *sv, struct parked p, Berth__AccessToken *token, char *secret)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__TokenReply body = BERTH__TOKEN_REPLY__INIT;

	body.token = token;
	body.secret = secret;
	env.body_case = BERTH__ENVELOPE__BODY_TOKEN_REPLY;
	env.token_reply = &body;
	reply(sv, p, &env, NULL, 0);
}

void on_token_check(struct request *rq)
{
	struct table_node *n;
	Berth__AccessToken me = BERTH__ACCESS_TOKEN__INIT;

	list_each (n, &rq->sv->tokens->by_id.all, link)
		if (rq->who.token && n->id == rq->who.token) {
			reply_token(rq->sv, rq->parked, container_of(n, struct token, node)->obj->token, NULL);
			return;
		}
	me.user = rq->who.name;
	me.project = rq->who.project;
	SET(&me, role, BERTH__ACCESS_TOKEN__ROLE__ADMIN);
	reply_token(rq->sv, rq->parked, &me, NULL);
}

void on_token_list(struct request *rq)
{
	struct tokens *ts = rq->sv->tokens;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__TokenListReply body = BERTH__TOKEN_LIST_REPLY__INIT;
	AUTO_FREE Berth__AccessToken **list = calloc(ts->by_id.n + 1, sizeof *list);
	struct table_node *n;

	if (!list) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	list_each (n, &ts->by_id.all, link) {
		struct token *t = container_of(n, struct token, node);

		if (t->valid || token_expired(t, wall_ns()))
			list[body.n_tokens++] = t->obj->token;
	}
	body.tokens = list;
	env.body_case = BERTH__ENVELOPE__BODY_TOKEN_LIST_REPLY;
	env.token_list_reply = &body;
	reply(rq->sv, rq->parked, &env, NULL, 0);
}

/* ---------------------------------------------------------------- create */

/* On its way into the store. */
struct creation {
	struct supervisor *sv;
	struct parked parked;
	char uuid[UUID_SIZE];
	char secret[TOKEN_SECRET_SIZE];
};

static void creation_free(struct creation *k)
{
	explicit_bzero(k->secret, sizeof k->secret);
	free(k);
}

static void on_token_stored(void *arg, int result)
{
	struct creation *k = arg;
	struct table_node *n = table_find(&k->sv->tokens->by_id, k->uuid);
	struct token *t = n ? container_of(n, struct token, node) : NULL;

	if (!t) {
		reply_error(k->sv, k->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "it was revoked at once");
	} else if (result < 0) {
		reply_error(k->sv, k->parked,
			    result == -ENOSPC ? BERTH__ERROR__CODE__EXHAUSTED : BERTH__ERROR__CODE__INTERNAL, NULL,
			    "the token could not be stored: %s", strerror(-result));
		token_free(k->sv->tokens, t);
	} else {
		t->valid = true;
		reply_token(k->sv, k->parked, t->obj->token, k->secret);
	}
	creation_free(k);
}

/* A letter or digit, then those of names and @: what a mail address is made of. */
static bool is_user(const char *s)
{
	char without[64];
	size_t n = strlen(s);

	if (n >= sizeof without)
		return false;
	for (size_t i = 0; i <= n; i++)
		without[i] = i && s[i] == '@' ? '-' : s[i];
	return str_is_name(without);
}

static bool ask_is_good(struct request *rq, const Berth__TokenCreate *ask)
{
	const char *field = NULL, *text = NULL;

	if (!ask->project || !str_is_name(ask->project) || strlen(ask->project) >= sizeof rq->who.project) {
		field = "project";
		text = "a project's name: a letter or digit, then letters, digits, _ . or -, at most 63 in all";
	} else if (!ask->user || !is_user(ask->user)) {
		field = "user";
		text = "a user's name: a letter or digit, then letters, digits, _ . - or @, at most 63 in all";
	} else if (ask->role != BERTH__ACCESS_TOKEN__ROLE__MEMBER && ask->role != BERTH__ACCESS_TOKEN__ROLE__ADMIN) {
		field = "role";
		text = "member or admin";
	} else if (ask->has_expires_at && ask->expires_at && ask->expires_at <= wall_ns()) {
		field = "expires_at";
		text = "a time to come";
	}
	if (ask->has_role && !field)
		return true;
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, field ? field : "role", "needed is %s",
		    field ? text : "member or admin");
	return false;
}

static Berth__StoredToken *object_of(const struct request *rq, const Berth__TokenCreate *ask, const char *secret)
{
	Berth__StoredToken *obj = calloc(1, sizeof *obj);
	Berth__AccessToken *t = calloc(1, sizeof *t);
	uint8_t *sum = malloc(SHA256_SIZE);
	char uuid[UUID_SIZE];

	if (!obj || !t || !sum) {
		free(obj);
		free(t);
		free(sum);
		return NULL;
	}
	berth__stored_token__init(obj);
	berth__access_token__init(t);
	obj->token = t;
	obj->has_secret_sha256 = true;
	obj->secret_sha256.data = sum;
	obj->secret_sha256.len = SHA256_SIZE;
	secret_digest(secret, sum);
	uuid_make(uuid);
	set_text(&t->id, "%s", uuid);
	set_text(&t->project, "%s", ask->project);
	set_text(&t->user, "%s", ask->user);
	set_text(&t->created_by, "%s", rq->who.name);
	SET(obj, number, supervisor_next_id(rq->sv));
	SET(t, role, ask->role);
	SET(t, created_at, wall_ns());
	if (ask->expires_at)
		SET(t, expires_at, ask->expires_at);
	if (object_is_whole(obj))
		return obj;
	berth__stored_token__free_unpacked(obj, NULL);
	return NULL;
}

/* How a token stands in rows and in actions. The strings stay the token's. */
static Berth__Meta meta_of(const struct token *t)
{
	Berth__Meta m = BERTH__META__INIT;

	m.uuid = t->obj->token->id;
	m.project = t->obj->token->project;
	m.name = t->obj->token->user;
	SET(&m, id, t->node.id);
	return m;
}

void on_token_create(struct request *rq)
{
	const Berth__TokenCreate *ask = rq->env->token_create;
	struct supervisor *sv = rq->sv;
	struct creation *k;
	Berth__StoredToken *obj;
	struct token *t;
	Berth__Meta meta;
	int r = -ENOMEM;

	if (!ask_is_good(rq, ask))
		return;
	k = calloc(1, sizeof *k);
	if (k)
		secret_make(k->secret);
	obj = k ? object_of(rq, ask, k->secret) : NULL;
	if (obj)
		r = token_new(sv->tokens, obj, &t);
	if (r == 0) {
		meta = meta_of(t);
		SET(&meta, revision, supervisor_next_revision(sv));
		request_audit(rq, "token", &meta);
		k->sv = sv;
		k->parked = rq->parked;
		snprintf(k->uuid, sizeof k->uuid, "%s", t->node.uuid);
		r = store_put(sv->store, STORE_TOKEN, &meta, &obj->base, false, on_token_stored, k);
		if (r < 0)
			token_free(sv->tokens, t);
	}
	if (r == 0)
		return;
	if (k)
		creation_free(k);
	reply_error(sv, rq->parked, r == -ENOMEM ? BERTH__ERROR__CODE__INTERNAL : BERTH__ERROR__CODE__EXHAUSTED, NULL,
		    r == -ENOMEM   ? "out of memory"
		    : r == -ENOSPC ? "%u tokens: that is the limit, revoke some"
				   : "the store's queue is full",
		    TOKENS_MAX);
}

/* ---------------------------------------------------------------- revoke */

struct revocation {
	struct supervisor *sv;
	struct parked parked;
	char uuid[UUID_SIZE];
};

static void on_token_removed(void *arg, int result)
{
	struct revocation *k = arg;
	struct table_node *n = table_find(&k->sv->tokens->by_id, k->uuid);
	struct token *t = n ? container_of(n, struct token, node) : NULL;

	if (result < 0) {
		if (t)
			t->removing = false;
		reply_error(k->sv, k->parked,
			    result == -ENOSPC ? BERTH__ERROR__CODE__EXHAUSTED : BERTH__ERROR__CODE__INTERNAL, NULL,
			    "it counts for nothing now, but would again after a restart of berthd: its row could not "
			    "be deleted (%s), so revoke it once more",
			    strerror(-result));
	} else {
		if (t)
			token_free(k->sv->tokens, t);
		reply_done(k->sv, k->parked, k->uuid);
	}
	free(k);
}

void on_token_revoke(struct request *rq)
{
	const char *id = rq->env->token_revoke->id;
	struct supervisor *sv = rq->sv;
	bool many = false;
	struct table_node *n = id ? table_find_prefix(&sv->tokens->by_id, id, NULL, NULL, &many) : NULL;
	struct revocation *k;
	struct token *t;
	Berth__Meta meta;
	int r;

	if (!n) {
		reply_error(sv, rq->parked, many ? BERTH__ERROR__CODE__AMBIGUOUS : BERTH__ERROR__CODE__NOT_FOUND, "id",
			    many ? "several tokens have an id that begins with '%.40s'" : "there is no token '%.40s'",
			    id ? id : "");
		return;
	}
	t = container_of(n, struct token, node);
	meta = meta_of(t);
	request_audit(rq, "token", &meta);
	k = t->removing ? NULL : calloc(1, sizeof *k);
	if (!k) {
		reply_error(sv, rq->parked, t->removing ? BERTH__ERROR__CODE__CONFLICT : BERTH__ERROR__CODE__INTERNAL,
			    NULL, t->removing ? "it is being revoked already" : "out of memory");
		return;
	}
	k->sv = sv;
	k->parked = rq->parked;
	snprintf(k->uuid, sizeof k->uuid, "%s", t->node.uuid);
	t->removing = true;
	token_end(sv, t); /* the asker is no token: its own request stays */
	r = store_delete(sv->store, STORE_TOKEN, k->uuid, on_token_removed, k);
	if (r < 0)
		on_token_removed(k, r == -ENOBUFS ? -ENOSPC : r);
}
