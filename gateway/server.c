/* gateway/server.c - see gateway/server.h
 *
 * libmicrohttpd brings its own epoll; its descriptor is one source of our loop. We accept ourselves and hand each socket in. What one
 * must know of the library (0.9.75):
 *  - A handler that cannot answer yet suspends its connection. A suspended one is not watched by the library, nor does it see an end
 *    that came right behind a request (it takes a short read for the last): we watch each socket for EPOLLRDHUP ourselves.
 *  - Its timeouts count idle time: a byte a second defeats them. Ours (struct conn.deadline) are for a whole step: the head, the body, the
 *    answer. A connection is ended from outside by shutdown(2), which the library sees as the client's end.
 *  - An answer queued before the body was read ends the connection, even where there is no body. So answers wait for the last call
 *    of the handler, unless the body is too long to be read away.
 *  - What it refuses itself (no HTTP, heads over its memory) it answers in HTML, and no call is made of it.
 *  - It must not be stopped while connections are suspended: it panics. They are all resumed first, to be ended. */
#include "gateway/server.h"

#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "gateway/calls.h"
#include "gateway/memory.h"
#include "gateway/peers.h"

#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HEADERS_MAX 64
#define HEAD_MAX    (8u << 10) /* bytes */
/* Of the library's, for each connection: the head, 64 bytes a header beside it, and the head of the answer. All of it is resident after
 * the first request, so it is what an idle connection costs. */
#define CONNECTION_MEMORY (16u << 10)
#define ACCEPT_PER_WAKEUP 16
#define BODY_READ_AWAY	  (16u << 20) /* of a refused request: so that its client comes to read the answer */
#define ANSWER_PER_S	  16384	      /* bytes that a reader must take, above answer_timeout */
#define HANDLER_MAX_NS                                                                                                 \
	(120 * NS_PER_S) /* questions and streams have deadlines of their own: this is for what was forgotten */
#define SLOW_NS	      (2 * NS_PER_S)
#define LAST_WORDS_NS NS_PER_S /* after a half-close: to read what was sent before it, and to answer it */

struct listener {
	struct list link; /* server->listeners */
	struct source source;
	struct server *server;
	int fd;
};

/* What a connection is about. Each has its list, those that came first in front, and its time. */
enum conn_state {
	CONN_IDLE,    /* before the end of a head */
	CONN_BODY,    /* reading a body */
	CONN_WAITING, /* the handler has not answered yet: suspended */
	CONN_ANSWERING,
	CONN_N_,
};

struct server {
	struct gateway *gw;
	struct MHD_Daemon *mhd;
	struct source source; /* the library's epoll */
	struct timer pending; /* it has more to do */
	struct list listeners;
	struct list conns[CONN_N_];
	unsigned n[CONN_N_], n_conns;
	struct peers peers;
	bool draining;
};

struct conn {
	struct list link; /* server->conns[state] */
	struct server *server;
	struct MHD_Connection *mhd;
	int fd;
	enum conn_state state;
	uint64_t since_ns;
	struct timer deadline;
	struct source watch; /* for the client's end */
	struct peer_key peer;
	struct call *call;	/* the request under way */
	struct header *headers; /* of it */
	unsigned n_headers;
	size_t answer_len;
	uint64_t read_away;
	bool bad_target;
	bool headed, ran; /* call_head, call_end_of_body were called */
	bool suspended;
	bool half_closed; /* the client says no more */
	bool gone;	  /* and so its request was given up */
	bool ended;	  /* by us: shut down, and not counted any more */
};

static void on_pending(struct timer *t);

/* The library will find something to do, but nothing wakes it. */
static void server_wake(struct server *s)
{
	(void)!timer_in(&s->gw->loop, &s->pending, 0, on_pending);
}

/* ---------------------------------------------------------------- states and their time */

static void conn_uncount(struct conn *cn)
{
	struct server *s = cn->server;

	if (cn->ended)
		return;
	cn->ended = true;
	list_del(&cn->link);
	timer_del(&cn->deadline);
	s->n[cn->state]--;
	s->n_conns--;
	peers_del(&s->peers, cn->peer);
}

/* From outside of the library: it sees the shutdown as the client's end, in its next turn. */
static void conn_end(struct conn *cn)
{
	conn_uncount(cn);
	shutdown(cn->fd, SHUT_RDWR);
	server_wake(cn->server);
}

static void conn_resume(struct conn *cn)
{
	if (!cn->suspended)
		return;
	cn->suspended = false;
	MHD_resume_connection(cn->mhd);
	server_wake(cn->server);
}

/* Nobody is there to read the answer. */
static void conn_give_up(struct conn *cn)
{
	cn->gone = true;
	cn->server->gw->metrics.given_up++;
	call_free(take_ptr(cn->call));
	conn_resume(cn);
}

static void on_deadline(struct timer *t)
{
	struct conn *cn = container_of(t, struct conn, deadline);
	struct fault f = {0};

	if (cn->state == CONN_WAITING && cn->half_closed) {
		conn_give_up(cn);
		return;
	}
	if (cn->state == CONN_WAITING) {
		fault_set(&f, FAULT_TIMEOUT, NULL, "no answer was found in time");
		call_fail(cn->call, &f);
		return;
	}
	cn->server->gw->metrics.timed_out++;
	conn_end(cn);
}

static uint64_t state_time_ns(const struct conn *cn, enum conn_state state)
{
	const struct config *cfg = &cn->server->gw->cfg;

	if (state == CONN_ANSWERING)
		return cfg->answer_timeout_ns + cn->answer_len / ANSWER_PER_S * NS_PER_S;
	if (cn->half_closed)
		return LAST_WORDS_NS;
	return state == CONN_IDLE ? cfg->head_timeout_ns : state == CONN_BODY ? cfg->body_timeout_ns : HANDLER_MAX_NS;
}

static void conn_enter(struct conn *cn, enum conn_state state)
{
	struct server *s = cn->server;

	if (cn->ended)
		return;
	list_del(&cn->link);
	s->n[cn->state]--;
	cn->state = state;
	cn->since_ns = now_ns();
	s->n[state]++;
	list_push(&s->conns[state], &cn->link);
	if (timer_at(&s->gw->loop, &cn->deadline, cn->since_ns + state_time_ns(cn, state), on_deadline) < 0)
		conn_end(cn); /* no memory for its timer: then no connection */
}

/* Ends the connection that was idle longest, of this peer or of all (NULL). False: there is none. */
static bool evict_idle(struct server *s, const struct peer_key *peer)
{
	struct conn *cn;

	list_each (cn, &s->conns[CONN_IDLE], link) {
		if (peer && (peer->id != cn->peer.id || peer->family != cn->peer.family))
			continue;
		s->gw->metrics.evicted++;
		conn_end(cn);
		return true;
	}
	return false;
}

bool server_relieve(struct server *s, size_t need)
{
	uint64_t now = now_ns();
	struct conn *cn;
	size_t freed = 0;

	if (!s)
		return false;
	list_each (cn, &s->conns[CONN_ANSWERING], link) {
		if (freed >= need || now - cn->since_ns < SLOW_NS)
			break;
		freed += cn->answer_len;
		s->gw->metrics.evicted++;
		conn_end(cn);
	}
	return freed >= need;
}

/* ---------------------------------------------------------------- waiting for berthd */

/* Once, since it is edge-triggered. A client that only half-closes and waits for its answer is not to be told from one that went away: it
 * is given a moment. */
static void on_watch(struct source *src, uint32_t events)
{
	struct conn *cn = container_of(src, struct conn, watch);

	cn->half_closed = true;
	if (cn->suspended && events & (EPOLLHUP | EPOLLERR))
		conn_give_up(cn);
	else if (cn->state != CONN_ANSWERING)
		conn_enter(cn, cn->state);
}

static void conn_suspend(struct conn *cn)
{
	MHD_suspend_connection(cn->mhd);
	cn->suspended = true;
	conn_enter(cn, CONN_WAITING);
}

/* May come from within the handler, then the connection is not suspended and the handler goes on to answer. */
static void on_call_done(struct call *c)
{
	conn_resume(call_owner(c));
}

/* ---------------------------------------------------------------- one request */

static struct conn *conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* The request line is there. What is returned is *con_cls of the handler. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct server *s = cls;
	struct conn *cn = conn_of(mhd);

	if (!cn)
		return NULL;
	cn->call = call_new(s->gw, target, on_call_done, cn);
	cn->headed = cn->ran = cn->gone = false;
	cn->read_away = 0;
	cn->bad_target = false;
	for (const char *t = target; *t; t++)
		cn->bad_target |= (unsigned char)*t <= ' ' || *t == 0x7f;
	return cn;
}

static enum MHD_Result answer(struct conn *cn)
{
	struct call *c = cn->call;
	const struct call_answer *a = call_answer(c);
	size_t len = c->out.buf.len;
	/* Without memory it does not take the text. */
	char *text = len ? c->out.buf.data : (char *)(uintptr_t) "";
	struct MHD_Response *r =
		MHD_create_response_from_buffer(len, text, len ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	if (len)
		(void)!take_ptr(c->out.buf.data);
	for (unsigned i = 0; i < a->n_headers; i++)
		MHD_add_response_header(r, a->header[i].name, a->header[i].value);
	if (cn->server->draining)
		MHD_add_response_header(r, "Connection", "close");
	cn->answer_len = len;
	conn_enter(cn, CONN_ANSWERING);
	result = MHD_queue_response(cn->mhd, (unsigned)a->status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct conn *cn = cls;

	cn->headers[cn->n_headers++] = (struct header){name, value};
	return MHD_YES;
}

/* False: there are too many or they are too long. */
static bool headers_collect(struct conn *cn)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(cn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	int n = MHD_get_connection_values(cn->mhd, MHD_HEADER_KIND, NULL, NULL);

	cn->n_headers = 0;
	free(take_ptr(cn->headers));
	if (n > HEADERS_MAX || !info || info->header_size > HEAD_MAX)
		return false;
	cn->headers = calloc((size_t)n + 1, sizeof *cn->headers);
	if (!cn->headers)
		return false;
	MHD_get_connection_values(cn->mhd, MHD_HEADER_KIND, on_header, cn);
	return true;
}

/* True: the refusal cannot wait for the end of the body, since that is too long, or does not come before the client heard from us. */
static bool is_urgent(const struct call *c)
{
	const char *length = call_header(c, "Content-Length");
	uint64_t n;

	return call_header(c, "Expect") || (length && (str_to_u64(length, &n) < 0 || n > BODY_READ_AWAY));
}

static bool is_token(const char *s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; s[i]; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr(others, s[i]))
			return false;
	return *s;
}

/* What a proxy before us may have read in another way than the library does: then the rest of it might be taken for a request of someone
 * else's. Host is checked here, since the library (0.9.75) sends the head of that refusal twice. NULL: all is well. */
static const char *head_doubt(const struct conn *cn, const char *version)
{
	unsigned lengths = 0, hosts = 0;

	if (cn->bad_target)
		return "the request line has a blank or a control character in its target";
	for (unsigned i = 0; i < cn->n_headers; i++) {
		const char *name = cn->headers[i].name;

		if (!is_token(name))
			return "the name of a header has a character that none may have";
		hosts += !strcasecmp(name, "Host");
		if (!strcasecmp(name, "Transfer-Encoding") && strcasecmp(cn->headers[i].value, "chunked"))
			return "a body may be sent chunked, and in no other encoding"; /* the library would wait for it */
		lengths += !strcasecmp(name, "Content-Length") || !strcasecmp(name, "Transfer-Encoding");
	}
	if (hosts > 1 || (!hosts && strcmp(version, "HTTP/1.0")))
		return "there must be one Host header";
	return lengths > 1 ? "the length of the body is said more than once" : NULL;
}

static enum MHD_Result head(struct conn *cn, const char *method, const char *version)
{
	struct call *c = cn->call;
	struct fault f = {0};
	const char *doubt;

	cn->headed = true;
	conn_enter(cn, CONN_BODY);
	if (!headers_collect(cn))
		fault_set(&f, FAULT_HEAD_SIZE, NULL, "the head may have %u bytes and %d headers", HEAD_MAX,
			  HEADERS_MAX);
	else if ((doubt = head_doubt(cn, version)))
		fault_set(&f, FAULT_SYNTAX, NULL, "%s", doubt);
	call_head(c, method, cn->headers, cn->n_headers, f.kind ? &f : NULL);
	return call_answer(c)->done && (f.kind || is_urgent(c)) ? answer(cn) : MHD_YES;
}

static enum MHD_Result body(struct conn *cn, const char *data, size_t *len)
{
	if (!call_body(cn->call, data, *len))
		cn->read_away += *len;
	*len = 0;
	return cn->read_away > BODY_READ_AWAY ? answer(cn) : MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
				  const char *version, const char *data, size_t *len, void **con_cls)
{
	struct conn *cn = *con_cls;

	if (!cn || !cn->call || cn->gone)
		return MHD_NO;
	if (!cn->headed)
		return head(cn, method, version);
	if (*len)
		return body(cn, data, len);
	if (!cn->ran) {
		cn->ran = true;
		call_end_of_body(cn->call);
	}
	if (call_answer(cn->call)->done)
		return answer(cn);
	conn_suspend(cn);
	return MHD_YES;
}

static void conn_request_end(struct conn *cn)
{
	if (cn->call)
		call_free(take_ptr(cn->call));
	free(take_ptr(cn->headers));
	cn->n_headers = 0;
	cn->answer_len = 0;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls, enum MHD_RequestTerminationCode why)
{
	struct conn *cn = *con_cls;

	if (!cn)
		return;
	*con_cls = NULL;
	if (cn->call && !call_answer(cn->call)->done)
		cn->server->gw->metrics.given_up++;
	conn_request_end(cn);
	conn_enter(cn, CONN_IDLE);
}

/* ---------------------------------------------------------------- connections */

static void conn_open(struct server *s, struct MHD_Connection *mhd, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD),
				       *from = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct conn *cn = calloc(1, sizeof *cn);

	if (!cn || !info || !from) {
		free(cn);
		return; /* on_request refuses */
	}
	cn->server = s;
	cn->mhd = mhd;
	cn->fd = info->connect_fd;
	cn->peer = peer_key_of(cn->fd, from->client_addr);
	peers_add(&s->peers, cn->peer);
	list_init(&cn->link);
	s->n[CONN_IDLE]++;
	s->n_conns++;
	s->gw->metrics.connections++;
	*context = cn;
	conn_enter(cn, CONN_IDLE);
	if (source_add(&s->gw->loop, &cn->watch, cn->fd, EPOLLRDHUP | EPOLLET, on_watch) < 0)
		conn_end(cn);
}

static void server_drained(struct server *s)
{
	if (s->draining && !s->n_conns)
		loop_stop(&s->gw->loop, 0);
}

static void conn_close(struct conn *cn)
{
	struct server *s = cn->server;

	source_del(&cn->watch);
	conn_uncount(cn);
	conn_request_end(cn);
	free(cn);
	server_drained(s);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		conn_open(cls, mhd, context);
	else if (*context)
		conn_close(take_ptr(*context));
}

/* Room for one more, of this peer too? An idle connection makes it, if there is none. */
static bool room_make(struct server *s, struct peer_key peer)
{
	const struct config *cfg = &s->gw->cfg;

	if (peers_count(&s->peers, peer) >= cfg->max_per_peer && !evict_idle(s, &peer))
		return false;
	return s->n_conns < cfg->max_connections || evict_idle(s, NULL);
}

static void refuse(int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\n"
				   "Content-Type: application/json\r\nContent-Length: 81\r\n\r\n"
				   "{\"error\":{\"code\":503,\"title\":\"Service Unavailable\","
				   "\"message\":\"too many connections\"}}\n";

	/* If it does not go at once, it does not go. */
	(void)!send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void on_listener(struct source *src, uint32_t events)
{
	struct listener *l = container_of(src, struct listener, source);
	struct server *s = l->server;
	struct sockaddr_storage from;

	for (int i = 0; i < ACCEPT_PER_WAKEUP; i++) {
		socklen_t len = sizeof from;
		int fd;

		memset(&from, 0, sizeof from);
		fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (room_make(s, peer_key_of(fd, (struct sockaddr *)&from))) {
			MHD_add_connection(s->mhd, fd, (struct sockaddr *)&from, len);
			continue;
		}
		s->gw->metrics.refused++;
		refuse(fd);
	}
}

/* ---------------------------------------------------------------- the library and the loop */

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof text, fmt, ap);
	text[strcspn(text, "\n")] = 0;
	log_debug("http: %s", text);
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
	log_error("libmicrohttpd gave up: %s:%u: %s", file, line, reason ? reason : "");
	abort();
}

static void server_run(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(s->mhd);
	if (MHD_get_timeout(s->mhd, &ms) == MHD_YES && !timer_armed(&s->pending))
		(void)!timer_in(&s->gw->loop, &s->pending, ms * NS_PER_MS, on_pending);
}

static void on_pending(struct timer *t)
{
	server_run(container_of(t, struct server, pending));
}

static void on_epoll(struct source *src, uint32_t events)
{
	server_run(container_of(src, struct server, source));
}

int server_listen(struct server *s, int listen_fd, struct err *e)
{
	struct listener *l = calloc(1, sizeof *l);
	int r;

	if (!l) {
		close(listen_fd);
		return err_set(e, ENOMEM, "listen", "a listener");
	}
	l->server = s;
	l->fd = listen_fd;
	list_push(&s->listeners, &l->link);
	r = source_add(&s->gw->loop, &l->source, listen_fd, EPOLLIN, on_listener);
	return r < 0 ? err_set(e, -r, "listen", "a listener") : 0;
}

int server_open(struct gateway *gw, struct err *e)
{
	struct server *s = calloc(1, sizeof *s);
	const union MHD_DaemonInfo *info;
	/* Those that were ended live on for a moment. */
	unsigned limit = gw->cfg.max_connections * 2;
	int r;

	if (!s)
		return err_set(e, ENOMEM, "server", "the server");
	gw->server = s;
	s->gw = gw;
	list_init(&s->listeners);
	for (int i = 0; i < CONN_N_; i++)
		list_init(&s->conns[i]);
	if (peers_init(&s->peers, limit) < 0)
		return err_set(e, ENOMEM, "server", "the table of peers");
	MHD_set_panic_func(on_panic, NULL);
	s->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
					  MHD_USE_ERROR_LOG,
				  0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s,
				  MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
				  s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_CONNECTION_LIMIT, limit,
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
	if (!s->mhd)
		return err_set(e, 0, "server", "libmicrohttpd cannot start");
	info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	r = source_add(&gw->loop, &s->source, info->epoll_fd, EPOLLIN, on_epoll);
	return r < 0 ? err_set(e, -r, "server", "the server's epoll") : 0;
}

void server_count(const struct server *s, struct buf *b)
{
	static const char *const names[CONN_N_] = {"idle", "body", "waiting", "answering"};

	for (int i = 0; s && i < CONN_N_; i++)
		buf_printf(b, "berth_gateway_connections{state=\"%s\"} %u\n", names[i], s->n[i]);
}

static void listeners_close(struct server *s)
{
	struct listener *l;

	while ((l = list_pop(&s->listeners, struct listener, link))) {
		source_del(&l->source);
		close(l->fd);
		free(l);
	}
}

void server_drain(struct server *s)
{
	s->draining = true;
	listeners_close(s);
	while (evict_idle(s, NULL))
		;
	server_drained(s);
}

void server_close(struct server *s)
{
	struct conn *cn;

	if (!s)
		return;
	listeners_close(s);
	list_each (cn, &s->conns[CONN_WAITING], link) {
		cn->gone = true;
		conn_resume(cn);
	}
	timer_del(&s->pending);
	source_del(&s->source);
	if (s->mhd) {
		MHD_run(s->mhd);
		MHD_stop_daemon(s->mhd);
	}
	peers_fini(&s->peers);
	free(s);
}
