/* gateway/upstream.c - see gateway/upstream.h
 *
 * A question is packed once, without its id: that is appended when it is sent, since each connection counts anew and protobuf does not
 * mind the order. It stands in `waiting` until there is a berthd with room for it, in `sent` until its answer; a lost connection puts
 * the sent ones back in front. Its timer is the nearer of its deadline and, while there is no berthd, the end of our patience. */
#include "gateway/upstream.h"

#include "base/log.h"
#include "base/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SENT_MAX	 60 /* of the 64 unanswered requests that berthd allows a client */
#define WAITING_MAX	 4096
#define WAITING_BYTES	 (32u << 20)
#define HELLO_TIMEOUT_MS 5000
#define BACKOFF_FIRST_MS 10
#define BACKOFF_LAST_MS	 500
#define BUSY_PAUSE_MS	 50
#define ID_MAX		 11 /* bytes of a packed id */
#define VERSION_OLDEST	 2  /* of the control protocol: before it there were no tokens, and no accept */

static void upstream_connect(struct upstream *u);
static void upstream_flush(struct upstream *u);

bool upstream_up(const struct upstream *u)
{
	return u->greeted;
}

/* ---------------------------------------------------------------- questions */

static void on_question_timer(struct timer *t);

static void question_arm(struct question *q)
{
	struct upstream *u = q->up;
	uint64_t at_ns = q->deadline_ns, patience_ns = u->lost_ns + UPSTREAM_PATIENCE_MS * NS_PER_MS;

	if (u->lost_ns && patience_ns < at_ns)
		at_ns = patience_ns;
	/* The heap had room for this timer before, or upstream_ask reports it. */
	if (!timer_armed(&q->timer) || q->timer.at_ns != at_ns)
		(void)!timer_at(u->loop, &q->timer, at_ns, on_question_timer);
}

static void question_end(struct question *q)
{
	struct upstream *u = q->up;

	list_del(&q->link);
	*(q->sent ? &u->n_sent : &u->n_waiting) -= 1;
	u->bytes -= q->len;
	timer_del(&q->timer);
	free(take_ptr(q->data));
	q->up = NULL;
}

static void question_fail(struct question *q, enum upstream_failure why)
{
	question_end(q);
	q->ops->failed(q, why);
}

static void on_question_timer(struct timer *t)
{
	struct question *q = container_of(t, struct question, timer);
	struct upstream *u = q->up;

	question_fail(q, u->lost_ns ? UPSTREAM_AWAY : UPSTREAM_LATE);
	upstream_flush(u);
}

void question_drop(struct question *q)
{
	struct upstream *u = q->up;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__CancelRequest cancel = BERTH__CANCEL_REQUEST__INIT;
	uint8_t data[64];
	bool tell = u && q->sent && u->greeted;

	if (!u)
		return;
	cancel.has_id = true;
	cancel.id = q->id;
	question_end(q);
	if (!tell)
		return;
	env.has_id = true;
	env.id = ++u->last_id;
	env.body_case = BERTH__ENVELOPE__BODY_CANCEL;
	env.cancel = &cancel;
	/* Only to save berthd the work: no harm if it does not get there. */
	(void)!peer_send(&u->peer, data, berth__envelope__pack(&env, data), NULL, 0);
}

int upstream_ask(struct upstream *u, struct question *q, const Berth__Envelope *env, uint64_t deadline_ns)
{
	size_t len = berth__envelope__get_packed_size(env);
	int r;

	if (len + ID_MAX > ENVELOPE_MAX)
		return -E2BIG;
	if (u->n_waiting >= WAITING_MAX || u->bytes + len > WAITING_BYTES)
		return -EBUSY;
	q->data = malloc(len + 1);
	if (!q->data)
		return -ENOMEM;
	q->len = berth__envelope__pack(env, q->data);
	q->deadline_ns = deadline_ns;
	q->sent = false;
	q->timer = (struct timer){0};
	r = timer_at(u->loop, &q->timer, deadline_ns, on_question_timer);
	if (r < 0) {
		free(take_ptr(q->data));
		return r;
	}
	q->up = u;
	list_push(&u->waiting, &q->link);
	u->n_waiting++;
	u->bytes += q->len;
	question_arm(q);
	upstream_flush(u);
	return 0;
}

/* ---------------------------------------------------------------- sending */

/* 0, or -ENOBUFS when there is no room now, or another errno: this one will never go. */
static int question_send(struct upstream *u, struct question *q)
{
	Berth__Envelope id = BERTH__ENVELOPE__INIT;
	AUTO_FREE uint8_t *data = malloc(q->len + ID_MAX);
	AUTO_FD memfd = -1;
	size_t len = q->len;
	int r;

	if (!data)
		return -ENOMEM;
	memcpy(data, q->data, len);
	id.has_id = true;
	id.id = ++u->last_id;
	len += berth__envelope__pack(&id, data + len);
	r = envelope_spill(data, &len, &memfd);
	if (r == 0)
		r = peer_send(&u->peer, data, len, &memfd, memfd >= 0);
	if (r < 0)
		return r;
	q->id = id.id;
	q->sent = true;
	list_del(&q->link);
	list_push(&u->sent, &q->link);
	u->n_waiting--;
	u->n_sent++;
	return 0;
}

static void upstream_flush(struct upstream *u)
{
	struct question *q;

	while (u->greeted && !timer_armed(&u->retry) && u->n_sent < SENT_MAX &&
	       (q = list_first(&u->waiting, struct question, link))) {
		int r = question_send(u, q);

		if (r == -ENOBUFS)
			return; /* on_drained comes */
		if (r < 0) {
			log_error("a question to berthd cannot be sent: %s", strerror(-r));
			/* From the loop, never from within upstream_ask. */
			q->deadline_ns = 0;
			(void)!timer_at(u->loop, &q->timer, 0, on_question_timer);
			return;
		}
	}
}

/* ---------------------------------------------------------------- the connection */

static void on_retry(struct timer *t)
{
	struct upstream *u = container_of(t, struct upstream, retry);

	if (u->greeted)
		upstream_flush(u);
	else if (u->peer.fd >= 0)
		peer_drop(&u->peer, -ETIMEDOUT); /* no Hello came */
	else
		upstream_connect(u);
}

static void retry_in(struct upstream *u, unsigned ms)
{
	(void)!timer_in(u->loop, &u->retry, ms * NS_PER_MS, on_retry);
}

static void requeue(struct upstream *u, struct question *q)
{
	list_del(&q->link);
	list_push_front(&u->waiting, &q->link);
	q->sent = false;
	u->n_sent--;
	u->n_waiting++;
}

static void upstream_lost(struct upstream *u)
{
	struct list failed;
	struct question *q;

	peer_fini(&u->peer);
	u->peer = PEER_NULL;
	u->greeted = false;
	if (!u->lost_ns)
		u->lost_ns = now_ns();
	list_init(&failed);
	while (!list_empty(&u->sent)) {
		q = list_entry(u->sent.prev, struct question, link);
		if (q->once) {
			list_del(&q->link);
			list_push_front(&failed, &q->link);
		} else {
			requeue(u, q);
		}
	}
	list_each (q, &u->waiting, link)
		question_arm(q);
	retry_in(u, u->backoff_ms);
	u->backoff_ms = u->backoff_ms * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : u->backoff_ms * 2;
	while ((q = list_first(&failed, struct question, link)))
		question_fail(q, UPSTREAM_LOST);
}

static void upstream_greeted(struct upstream *u, const Berth__Hello *hello)
{
	struct question *q;

	if (hello->oldest > ENVELOPE_VERSION || hello->version < VERSION_OLDEST) {
		log_error("%s speaks versions %u to %u of the control protocol, we %d to %d",
			  hello->software ? hello->software : "berthd", hello->oldest, hello->version, ENVELOPE_OLDEST,
			  ENVELOPE_VERSION);
		peer_drop(&u->peer, -EPROTONOSUPPORT);
		return;
	}
	log_info("berthd is there: %s", hello->software ? hello->software : "of no name");
	timer_del(&u->retry);
	u->greeted = true;
	u->connections++;
	u->lost_ns = 0;
	u->backoff_ms = BACKOFF_FIRST_MS;
	list_each (q, &u->waiting, link)
		question_arm(q);
	upstream_flush(u);
}

static bool is_unavailable(const Berth__Envelope *env)
{
	return env->body_case == BERTH__ENVELOPE__BODY_ERROR && env->error->code == BERTH__ERROR__CODE__UNAVAILABLE;
}

static struct question *question_find(struct upstream *u, uint64_t id)
{
	struct question *q;

	list_each (q, &u->sent, link)
		if (q->id == id)
			return q;
	return NULL;
}

static void upstream_answer(struct upstream *u, const Berth__Envelope *env, struct wire_fds *fds)
{
	struct question *q = question_find(u, env->id);

	if (!q) {
		if (!env->id && env->body_case == BERTH__ENVELOPE__BODY_ERROR)
			log_warn("berthd says: %s", env->error->text);
		return; /* of one that was dropped */
	}
	if (env->more)
		return;
	if (is_unavailable(env)) {
		/* It did nothing, and goes or comes just now. */
		requeue(u, q);
		retry_in(u, BUSY_PAUSE_MS);
		return;
	}
	question_end(q);
	q->ops->answered(q, env, fds);
}

static int on_record(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	struct upstream *u = container_of(p, struct upstream, peer);
	Berth__Envelope *env = envelope_unpack(data, len, fds);

	if (!env)
		return -EPROTO;
	if (!u->greeted && env->body_case == BERTH__ENVELOPE__BODY_HELLO)
		upstream_greeted(u, env->hello);
	else
		upstream_answer(u, env, fds);
	berth__envelope__free_unpacked(env, NULL);
	if (u->peer.fd >= 0)
		upstream_flush(u);
	return 0;
}

static void on_gone(struct peer *p, int reason)
{
	struct upstream *u = container_of(p, struct upstream, peer);

	log_warn("berthd is gone%s%s", reason ? ": " : "", reason ? strerror(-reason) : "");
	upstream_lost(u);
}

static void on_drained(struct peer *p)
{
	upstream_flush(container_of(p, struct upstream, peer));
}

static const struct peer_ops peer_ops = {on_record, on_gone, on_drained};

static int hello_send(struct upstream *u)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Hello hello = BERTH__HELLO__INIT;
	uint8_t data[128];

	hello.has_version = hello.has_oldest = true;
	hello.version = ENVELOPE_VERSION;
	hello.oldest = VERSION_OLDEST;
	hello.software = (char *)(uintptr_t)("berth-gateway " BERTH_VERSION);
	env.body_case = BERTH__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	return peer_send(&u->peer, data, berth__envelope__pack(&env, data), NULL, 0);
}

static void upstream_connect(struct upstream *u)
{
	int fd = wire_connect(u->path), r = fd;

	if (fd >= 0)
		r = peer_init(&u->peer, u->loop, fd, &peer_ops, 4u << 20, 2 * SENT_MAX);
	if (r >= 0)
		r = hello_send(u);
	if (r < 0) {
		if (!u->connections && u->backoff_ms == BACKOFF_FIRST_MS)
			log_warn("no berthd on %s yet: %s", u->path, strerror(-r));
		upstream_lost(u);
		return;
	}
	retry_in(u, HELLO_TIMEOUT_MS);
}

void upstream_init(struct upstream *u, struct loop *l, const char *path)
{
	*u = (struct upstream){.loop = l, .path = path, .peer = PEER_NULL, .backoff_ms = BACKOFF_FIRST_MS};
	list_init(&u->waiting);
	list_init(&u->sent);
}

void upstream_open(struct upstream *u)
{
	u->lost_ns = now_ns();
	upstream_connect(u);
}

void upstream_fini(struct upstream *u)
{
	struct question *q;

	timer_del(&u->retry);
	peer_fini(&u->peer);
	u->greeted = false;
	while ((q = list_first(&u->sent, struct question, link)) ||
	       (q = list_first(&u->waiting, struct question, link)))
		question_fail(q, UPSTREAM_AWAY);
}
