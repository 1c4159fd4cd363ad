/* gateway/server.c - see gateway/server.h
 *
 * libmicrohttpd brings its own epoll; its descriptor is one source of our loop. We accept ourselves and hand each socket in. What one
 * must know of the library (0.9.75):
 *  - A handler that cannot answer yet suspends its connection. A suspended one is not watched by the library, so that nobody would see
 *    its client go: we watch its socket for EPOLLRDHUP ourselves.
 *  - Its timeouts count idle time: a byte a second defeats them. Ours (struct conn.deadline) are for a whole step: the head, the body, the
 *    answer. A connection is ended from outside by shutdown(2), which the library sees as the client's end.
 *  - An answer queued before the body was read ends the connection, even where there is no body. So answers wait for the last call
 *    of the handler, unless the body is too long to be read away.
 *  - It must not be stopped while connections are suspended: it panics. They are all resumed first, to be ended. */
#include "gateway/server.h"

#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "gateway/calls.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEADERS_MAX	  64
#define CONNECTION_MEMORY (32u << 10)
#define CONNECTIONS_MAX	  4096
#define ACCEPT_PER_WAKEUP 16
#define BODY_READ_AWAY                                                                                                 \
	(16u << 20) /* a body too long, or of a refused request, is read and forgotten up to here, then refused */
#define HEAD_TIMEOUT_MS	  60000 /* from the connection, or the last answer, to the end of the next head */
#define BODY_TIMEOUT_MS	  60000
#define ANSWER_TIMEOUT_MS 60000 /* and a second more for each … */
#define ANSWER_PER_S	  16384 /* … bytes */

struct listener {
	struct list link; /* server->listeners */
	struct source source;
	struct server *server;
	int fd;
};

struct server {
	struct gateway *gw;
	struct MHD_Daemon *mhd;
	struct source source; /* the library's epoll */
	struct timer pending; /* it has more to do */
	struct list listeners;
	struct list conns;
	unsigned n_conns;
};

struct conn {
	struct list link; /* server->conns */
	struct server *server;
	struct MHD_Connection *mhd;
	int fd;
	struct source watch; /* while suspended */
	struct timer deadline;
	struct call *call; /* the request under way */
	struct header headers[HEADERS_MAX];
	unsigned n_headers;
	bool headed, ran; /* call_head, call_end_of_body were called */
	bool suspended;
	bool gone; /* the client went away, or its time is up */
	uint64_t read_away;
};

/* ---------------------------------------------------------------- time */

static void on_deadline(struct timer *t)
{
	struct conn *cn = container_of(t, struct conn, deadline);

	shutdown(cn->fd, SHUT_RDWR);
}

static void deadline_set(struct conn *cn, uint64_t ms)
{
	if (timer_in(&cn->server->gw->loop, &cn->deadline, ms * NS_PER_MS, on_deadline) < 0)
		shutdown(cn->fd, SHUT_RDWR); /* no memory for its timer: then no connection */
}

/* ---------------------------------------------------------------- waiting for berthd */

static void on_pending(struct timer *t);

static void conn_resume(struct conn *cn)
{
	struct server *s = cn->server;

	if (!cn->suspended)
		return;
	cn->suspended = false;
	source_del(&cn->watch);
	MHD_resume_connection(cn->mhd);
	/* Without threads that wakes nobody. */
	(void)!timer_in(&s->gw->loop, &s->pending, 0, on_pending);
}

static void on_watch(struct source *src, uint32_t events)
{
	struct conn *cn = container_of(src, struct conn, watch);

	cn->gone = true;
	call_free(take_ptr(cn->call));
	conn_resume(cn);
}

static void conn_suspend(struct conn *cn)
{
	timer_del(&cn->deadline);
	MHD_suspend_connection(cn->mhd);
	cn->suspended = true;
	if (source_add(&cn->server->gw->loop, &cn->watch, cn->fd, EPOLLRDHUP, on_watch) < 0)
		log_warn("a waiting client is not watched: %s", strerror(errno));
}

/* May come from within the handler, then the connection is not suspended and the handler goes on to answer. */
static void on_call_done(struct call *c)
{
	conn_resume(call_owner(c));
}

/* ---------------------------------------------------------------- the library's callbacks */

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
	return cn;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct conn *cn = cls;

	if (cn->n_headers == HEADERS_MAX)
		return MHD_NO;
	cn->headers[cn->n_headers++] = (struct header){name, value};
	return MHD_YES;
}

static enum MHD_Result answer(struct conn *cn)
{
	struct call *c = cn->call;
	const struct call_answer *a = call_answer(c);
	size_t len = c->out.buf.len;
	struct MHD_Response *r =
		MHD_create_response_from_buffer(len, len ? take_ptr(c->out.buf.data) : (char *)(uintptr_t) "",
						len ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	for (unsigned i = 0; i < a->n_headers; i++)
		MHD_add_response_header(r, a->header[i].name, a->header[i].value);
	if (a->close)
		MHD_add_response_header(r, "Connection", "close");
	deadline_set(cn, ANSWER_TIMEOUT_MS + 1000 * len / ANSWER_PER_S);
	result = MHD_queue_response(cn->mhd, (unsigned)a->status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result head(struct conn *cn, const char *method)
{
	cn->headed = true;
	cn->n_headers = 0;
	MHD_get_connection_values(cn->mhd, MHD_HEADER_KIND, on_header, cn);
	deadline_set(cn, BODY_TIMEOUT_MS);
	call_head(cn->call, method, cn->headers, cn->n_headers);
	return MHD_YES;
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
		return head(cn, method);
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

static void on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls, enum MHD_RequestTerminationCode why)
{
	struct conn *cn = *con_cls;

	if (!cn)
		return;
	*con_cls = NULL;
	if (cn->call)
		call_free(take_ptr(cn->call));
	deadline_set(cn, HEAD_TIMEOUT_MS);
}

static void conn_open(struct server *s, struct MHD_Connection *mhd, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *cn = calloc(1, sizeof *cn);

	if (!cn || !info) {
		free(cn);
		return; /* on_request refuses */
	}
	cn->server = s;
	cn->mhd = mhd;
	cn->fd = info->connect_fd;
	list_push(&s->conns, &cn->link);
	s->n_conns++;
	*context = cn;
	deadline_set(cn, HEAD_TIMEOUT_MS);
}

static void conn_close(struct conn *cn)
{
	source_del(&cn->watch);
	timer_del(&cn->deadline);
	if (cn->call)
		call_free(cn->call);
	list_del(&cn->link);
	cn->server->n_conns--;
	free(cn);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		conn_open(cls, mhd, context);
	else if (*context)
		conn_close(take_ptr(*context));
}

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

/* ---------------------------------------------------------------- the loop's side */

static void server_run(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(s->mhd);
	if (MHD_get_timeout(s->mhd, &ms) == MHD_YES)
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

static void on_listener(struct source *src, uint32_t events)
{
	struct listener *l = container_of(src, struct listener, source);
	struct sockaddr_storage from;

	for (int i = 0; i < ACCEPT_PER_WAKEUP; i++) {
		socklen_t len = sizeof from;
		int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		MHD_add_connection(l->server->mhd, fd, (struct sockaddr *)&from, len);
	}
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
	int r;

	if (!s)
		return err_set(e, ENOMEM, "server", "the server");
	gw->server = s;
	s->gw = gw;
	list_init(&s->listeners);
	list_init(&s->conns);
	MHD_set_panic_func(on_panic, NULL);
	s->mhd = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!s->mhd)
		return err_set(e, 0, "server", "libmicrohttpd cannot start");
	info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	r = source_add(&gw->loop, &s->source, info->epoll_fd, EPOLLIN, on_epoll);
	return r < 0 ? err_set(e, -r, "server", "the server's epoll") : 0;
}

void server_close(struct server *s)
{
	struct listener *l;
	struct conn *cn;

	if (!s)
		return;
	while ((l = list_pop(&s->listeners, struct listener, link))) {
		source_del(&l->source);
		close(l->fd);
		free(l);
	}
	list_each (cn, &s->conns, link) {
		cn->gone = true;
		conn_resume(cn);
	}
	timer_del(&s->pending);
	source_del(&s->source);
	if (s->mhd) {
		MHD_run(s->mhd);
		MHD_stop_daemon(s->mhd);
	}
	free(s);
}
