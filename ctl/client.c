/* ctl/client.c - see ctl/client.h */
#include "ctl/client.h"

#include "base/loop.h"
#include "base/own.h"
#include "ctl/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define HELLO_TIMEOUT_MS 10000
#define ASKED_AT_ONCE	 32
#define RETRY_FIRST_MS	 20
#define RETRY_LAST_MS	 250

enum client_result {		      /* positive: for client_ask_all */
		     CLIENT_LOST = 1, /* the connection is gone */
		     CLIENT_BUSY,     /* berthd said UNAVAILABLE */
};

/* Requests that change nothing need no client_token: asking them again is harmless, and berthd need not remember them. */
static bool body_changes(Berth__Envelope__BodyCase body)
{
	switch (body) {
	case BERTH__ENVELOPE__BODY_CONTAINER_WAIT:
	case BERTH__ENVELOPE__BODY_CONTAINER_INSPECT:
	case BERTH__ENVELOPE__BODY_CONTAINER_LIST:
	case BERTH__ENVELOPE__BODY_CONTAINER_LOGS:
	case BERTH__ENVELOPE__BODY_CONTAINER_ATTACH:
	case BERTH__ENVELOPE__BODY_CONTAINER_TOP:
	case BERTH__ENVELOPE__BODY_CONTAINER_DIFF:
	case BERTH__ENVELOPE__BODY_CONTAINER_STATS:
	case BERTH__ENVELOPE__BODY_CONTAINER_COPY: /* its archive cannot be sent again anyway */
	case BERTH__ENVELOPE__BODY_EVENTS:
	case BERTH__ENVELOPE__BODY_ACTIONS:
	case BERTH__ENVELOPE__BODY_CANCEL:
	case BERTH__ENVELOPE__BODY_POD_INSPECT:
	case BERTH__ENVELOPE__BODY_POD_LIST:
	case BERTH__ENVELOPE__BODY_IMAGE_PULL: /* goes on where it was; and without a token it ends when we do */
	case BERTH__ENVELOPE__BODY_IMAGE_PUSH:
	case BERTH__ENVELOPE__BODY_IMAGE_LIST:
	case BERTH__ENVELOPE__BODY_IMAGE_INSPECT:
	case BERTH__ENVELOPE__BODY_VOLUME_LIST:
	case BERTH__ENVELOPE__BODY_TOKEN_LIST:
	case BERTH__ENVELOPE__BODY_TOKEN_CHECK:
	case BERTH__ENVELOPE__BODY_INFO:
	case BERTH__ENVELOPE__BODY_CHECK:
		return false;
	default:
		return true;
	}
}

void ask_init(struct ask *a, Berth__Envelope__BodyCase body_case, void *body)
{
	*a = (struct ask){.env = BERTH__ENVELOPE__INIT};
	a->env.body_case = body_case;
	a->env.hello = body; /* all members of the union are pointers */
	a->changes = body_changes(body_case);
	uuid_make(a->id);
}

void ask_fini(struct ask *a)
{
	if (a->reply)
		berth__envelope__free_unpacked(a->reply, NULL);
	a->reply = NULL;
	wire_fds_close(&a->reply_fds);
}

/* ---------------------------------------------------------------- records */

static int wait_for(struct client *c, short events, int timeout_ms)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	int r;

	do
		r = poll(&p, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

static int record_send(struct client *c, const Berth__Envelope *env, const int *fds, unsigned n_fds)
{
	int r;

	while ((r = envelope_send(c->fd, env, fds, n_fds)) == WIRE_AGAIN) {
		r = wait_for(c, POLLOUT, -1);
		if (r < 0)
			return r;
	}
	return r == WIRE_GONE ? CLIENT_LOST : r;
}

static int record_recv(struct client *c, int timeout_ms, Berth__Envelope **ret, struct wire_fds *ret_fds)
{
	static char data[WIRE_MAX];
	size_t len;
	int r;

	while ((r = wire_recv(c->fd, data, sizeof data, &len, ret_fds)) == WIRE_AGAIN) {
		r = wait_for(c, POLLIN, timeout_ms);
		if (r < 0)
			return r;
	}
	if (r == WIRE_GONE)
		return CLIENT_LOST;
	if (r)
		return r < 0 ? r : -EBADMSG;
	*ret = envelope_unpack(data, len, ret_fds);
	if (!*ret) {
		wire_fds_close(ret_fds);
		return -EBADMSG;
	}
	return 0;
}

/* ---------------------------------------------------------------- connection */

static int hello_exchange(struct client *c, struct err *e)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT, *reply = NULL;
	Berth__Hello hello = BERTH__HELLO__INIT;
	struct wire_fds fds = {0};
	int r;

	hello.has_version = hello.has_oldest = true;
	hello.version = ENVELOPE_VERSION;
	hello.oldest = ENVELOPE_OLDEST;
	hello.software = (char *)(uintptr_t)("berth " BERTH_VERSION);
	env.body_case = BERTH__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	r = record_send(c, &env, NULL, 0);
	if (r == 0)
		r = record_recv(c, HELLO_TIMEOUT_MS, &reply, &fds);
	if (r > 0)
		return r;
	if (r == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "hello", "berthd does not answer on %s", c->path);
	if (r < 0)
		return err_set(e, -r, "hello", "speaking to berthd on %s", c->path);
	wire_fds_close(&fds);
	r = 0;
	if (reply->body_case == BERTH__ENVELOPE__BODY_HELLO) {
		snprintf(c->server, sizeof c->server, "%s", reply->hello->software ? reply->hello->software : "");
		c->server_version = reply->hello->version;
		if (reply->hello->oldest > ENVELOPE_VERSION || reply->hello->version < ENVELOPE_OLDEST)
			r = err_set(e, EPROTONOSUPPORT, "hello",
				    "%s speaks versions %u to %u of the control protocol, this berth %s %d to %d",
				    c->server, reply->hello->oldest, reply->hello->version, BERTH_VERSION,
				    ENVELOPE_OLDEST, ENVELOPE_VERSION);
	} else if (reply->body_case == BERTH__ENVELOPE__BODY_ERROR) {
		r = reply->error->code == BERTH__ERROR__CODE__UNAVAILABLE
			    ? CLIENT_BUSY
			    : err_set(e, 0, "hello", "%s", reply->error->text);
	} else {
		r = err_set(e, EBADMSG, "hello", "%s is not the control socket of a berthd", c->path);
	}
	berth__envelope__free_unpacked(reply, NULL);
	return r;
}

static int connect_explain(const struct client *c, int code, struct err *e)
{
	switch (code) {
	case ENOENT:
		return err_set(e, 0, "connect",
			       "no berthd here: there is no socket %s (start berthd, or name its socket with --socket "
			       "or BERTH_SOCKET)",
			       c->path);
	case ECONNREFUSED:
		return err_set(e, 0, "connect", "berthd does not run: nobody listens on %s", c->path);
	case EACCES:
	case EPERM:
		return err_set(e, 0, "connect",
			       "you may not use %s: be root or a member of the group that owns it (berth)", c->path);
	default:
		return err_set(e, code, "connect", "connecting to %s", c->path);
	}
}

/* One attempt. 0, CLIENT_LOST or CLIENT_BUSY (worth another attempt if there was a connection before), negative errno. */
static int client_connect(struct client *c, struct err *e)
{
	int r;

	c->fd = wire_connect(c->path);
	if (c->fd < 0) {
		int code = -c->fd;

		c->fd = -1;
		connect_explain(c, code, e);
		return code == ENOENT || code == ECONNREFUSED || code == EAGAIN ? CLIENT_LOST
		       : e->code						? -e->code
										: -EINVAL;
	}
	c->connections++;
	r = hello_exchange(c, e);
	if (r > 0)
		err_set(e, 0, "hello",
			r == CLIENT_BUSY ? "berthd is going down or starting" : "berthd closed the connection");
	if (r)
		client_close(c);
	return r;
}

void client_close(struct client *c)
{
	close_fd(&c->fd);
}

static void pause_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

/* After the connection was lost. deadline_ns is set by the first loss since the last answer. */
static int client_reconnect(struct client *c, uint64_t *deadline_ns, struct err *e)
{
	unsigned wait_ms = RETRY_FIRST_MS;
	int r;

	client_close(c);
	if (!*deadline_ns)
		*deadline_ns = now_ns() + CLIENT_PATIENCE_MS * NS_PER_MS;
	for (;;) {
		/* Before the first attempt too: a berthd that answers UNAVAILABLE is asked again in a moment, not at once. */
		pause_ms(wait_ms);
		r = client_connect(c, e);
		if (r <= 0)
			return r;
		if (now_ns() >= *deadline_ns) {
			err_wrap(e, "berthd went away and was not back within %d seconds", CLIENT_PATIENCE_MS / 1000);
			return -EINVAL;
		}
		wait_ms = wait_ms * 2 > RETRY_LAST_MS ? RETRY_LAST_MS : wait_ms * 2;
	}
}

int client_open(struct client *c, struct err *e)
{
	uint64_t deadline_ns = 0;
	int r = client_connect(c, e);

	/* There is a berthd, but it was just going or coming. */
	if (r > 0 && c->connections)
		r = client_reconnect(c, &deadline_ns, e);
	return r > 0 ? -EINVAL : r;
}

/* ---------------------------------------------------------------- asking */

/* What was sent before may have been read in part: a file begins again, a stream is gone. */
static int fds_rewind(const struct ask *a, struct err *e)
{
	for (unsigned i = 0; i < a->n_fds; i++) {
		struct stat st;

		if (fstat(a->fds[i], &st) < 0)
			return err_set(e, errno, "ask again", "looking at what was being sent");
		if (S_ISREG(st.st_mode) && lseek(a->fds[i], 0, SEEK_SET) == 0)
			continue;
		if (!S_ISDIR(st.st_mode))
			return err_set(e, 0, "ask again",
				       "berthd went away while it read, and a stream cannot be sent again");
	}
	return 0;
}

static int ask_send(struct client *c, struct ask *a, struct err *e)
{
	int r;

	if (a->env.has_id && a->n_fds) {
		r = fds_rewind(a, e);
		if (r < 0)
			return r;
	}
	a->env.has_id = true;
	a->env.id = ++c->last_id;
	a->env.request_id = a->id;
	a->env.client_token = a->changes && !a->once ? a->id : NULL;
	a->env.project = (char *)(uintptr_t)c->project;
	a->env.token = (char *)(uintptr_t)c->token;
	r = record_send(c, &a->env, a->fds, a->n_fds);
	if (r == -E2BIG || r == -EMSGSIZE)
		return err_set(e, E2BIG, "send", "the request is larger than berthd takes");
	if (r < 0)
		return err_set(e, -r, "send", "sending to berthd");
	a->sent = r == 0;
	return r;
}

static struct ask *ask_find(struct ask *asks, unsigned n, uint64_t id)
{
	for (unsigned i = 0; i < n; i++)
		if (asks[i].sent && !asks[i].reply && asks[i].env.id == id)
			return &asks[i];
	return NULL;
}

static bool is_unavailable(const Berth__Envelope *reply)
{
	return reply->body_case == BERTH__ENVELOPE__BODY_ERROR && reply->error->code == BERTH__ERROR__CODE__UNAVAILABLE;
}

/* One record from berthd to the request that it answers. *progress becomes true for a terminal reply. */
static int answer_take(struct client *c, struct ask *asks, unsigned n, bool *progress, struct err *e)
{
	struct wire_fds fds = {0};
	Berth__Envelope *reply = NULL;
	struct ask *a;
	int r = record_recv(c, -1, &reply, &fds);

	if (r > 0)
		return r;
	if (r < 0)
		return err_set(e, -r, "receive", "reading berthd's answer");
	a = ask_find(asks, n, reply->id);
	if (!a || reply->more || is_unavailable(reply)) {
		if (a && reply->more && a->more)
			a->more(a, reply);
		if (!a && reply->body_case == BERTH__ENVELOPE__BODY_ERROR) /* about the connection itself */
			r = err_set(e, 0, "receive", "%s", reply->error->text);
		else
			r = a && !reply->more ? CLIENT_BUSY : 0;
		*progress = *progress || (a && reply->more);
		wire_fds_close(&fds);
		berth__envelope__free_unpacked(reply, NULL);
		return r;
	}
	a->reply = reply;
	a->reply_fds = fds;
	*progress = true;
	return 0;
}

/* Sends as many as may be under way. */
static int asks_send(struct client *c, struct ask *asks, unsigned n, unsigned *ret_waiting, struct err *e)
{
	*ret_waiting = 0;
	for (unsigned i = 0; i < n && *ret_waiting < ASKED_AT_ONCE; i++) {
		if (asks[i].reply)
			continue;
		if (!asks[i].sent) {
			int r = ask_send(c, &asks[i], e);

			if (r)
				return r;
		}
		++*ret_waiting;
	}
	return 0;
}

static int asks_again(struct client *c, struct ask *asks, unsigned n, int why, uint64_t *deadline_ns, struct err *e)
{
	for (unsigned i = 0; i < n; i++) {
		if (asks[i].once && asks[i].sent && !asks[i].reply && why == CLIENT_LOST) {
			asks[i].lost = true;
			client_close(c);
			return err_set(e, 0, "ask",
				       "berthd went away after it was asked; whether it did it is not known");
		}
		asks[i].sent = false;
	}
	return client_reconnect(c, deadline_ns, e);
}

int client_ask_all(struct client *c, struct ask *asks, unsigned n, struct err *e)
{
	uint64_t deadline_ns = 0;
	unsigned waiting;

	for (;;) {
		bool progress = false;
		int r = c->fd < 0 ? CLIENT_LOST : asks_send(c, asks, n, &waiting, e);

		if (r == 0 && !waiting)
			return 0;
		if (r == 0)
			r = answer_take(c, asks, n, &progress, e);
		if (progress)
			deadline_ns = 0;
		if (r > 0)
			r = asks_again(c, asks, n, r, &deadline_ns, e);
		if (r < 0)
			return r;
	}
}

int client_ask(struct client *c, struct ask *a, struct err *e)
{
	return client_ask_all(c, a, 1, e);
}
