/* supervisor/control.c - see supervisor/control.h. Accepting, Hello, and the two tables: clients by number, open requests by
 * (client, request). What a request means is request.c's; how it is answered client.c's. */
#include "supervisor/control.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/text.h"
#include "proto/envelope.h"
#include "supervisor/container.h"
#include "supervisor/replay.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENT_BUCKETS	  256u
#define OPEN_BUCKETS	  1024u
#define ACCEPT_PER_WAKEUP 16

/* A socket that is listened on. */
struct door {
	struct control *control;
	struct source source;
	int fd;
	bool api;
	uint32_t n_clients, max_clients;
};

struct control {
	struct supervisor *sv;
	struct door main, api;
	int spare_fd; /* given up for a moment when descriptors run out, so that a refusal can be said */
	struct list clients;
	uint64_t last_id;
	uint64_t refused;
	struct client *by_id[CLIENT_BUCKETS];
	struct open *bucket[OPEN_BUCKETS];
};

static const struct peer_ops client_ops;

/* ---------------------------------------------------------------- open requests */

static uint32_t open_hash(uint64_t client, uint64_t request)
{
	uint64_t h = (client * 0x9e3779b97f4a7c15ull) ^ (request * 0xc2b2ae3d27d4eb4full);

	return (uint32_t)(h >> 40) & (OPEN_BUCKETS - 1);
}

struct open *control_open_find(const struct supervisor *sv, struct parked p)
{
	struct open *o = sv->control && p.client ? sv->control->bucket[open_hash(p.client, p.request)] : NULL;

	while (o && (o->parked.client != p.client || o->parked.request != p.request))
		o = o->next;
	return o;
}

int control_open_add(struct client *c, const struct principal *who, uint64_t request, const struct request_row *row,
		     struct open **ret)
{
	struct control *ctl = c->sv->control;
	struct open **bucket = &ctl->bucket[open_hash(c->id, request)], *o = calloc(1, sizeof *o);

	if (!o)
		return -ENOMEM;
	o->client = c;
	o->parked = (struct parked){.client = c->id, .request = request};
	o->token = who->token;
	o->row = row;
	o->next = *bucket;
	*bucket = o;
	list_push(&c->open, &o->link);
	c->n_open++;
	*ret = o;
	return 0;
}

static void open_leave_client(struct open *o)
{
	timer_del(&o->deadline);
	if (!o->client)
		return;
	list_del(&o->link);
	o->client->n_open--;
	o->client = NULL;
}

void control_open_end(struct supervisor *sv, struct open *o)
{
	struct open **at = &sv->control->bucket[open_hash(o->parked.client, o->parked.request)];

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	open_leave_client(o);
	free(o);
}

void control_open_detach(struct supervisor *sv, struct open *o)
{
	if (o->replay)
		open_leave_client(o);
	else
		control_open_end(sv, o);
}

/* Calls the owner of a parked answer off, once. */
static void open_call_off(struct open *o, bool cancelled)
{
	void (*fn)(void *arg, bool cancelled) = o->on_gone;

	o->on_gone = NULL;
	if (fn)
		fn(o->on_gone_arg, cancelled);
}

int control_cancel(struct client *c, uint64_t request, uint64_t token)
{
	struct parked p = {.client = c->id, .request = request};
	struct open *o = control_open_find(c->sv, p);

	if (!o || !o->client || (token && o->token != token))
		return -ENOENT;
	if (o->row->verb && !o->on_gone)
		return -EBUSY;
	open_call_off(o, true);
	(void)container_cancel(c->sv, c->id, request); /* false: it was not waiting for a container */
	o = control_open_find(c->sv, p);
	if (o)
		reply_error(c->sv, o->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "cancelled");
	return 0;
}

static bool client_token_ended(struct client *c, uint64_t token)
{
	struct open *o;

	list_each (o, &c->open, link) {
		struct parked p = o->parked;

		if (o->token != token || o->row->verb)
			continue;
		open_call_off(o, false);
		(void)container_cancel(c->sv, p.client, p.request);
		reply_error(c->sv, p, BERTH__ERROR__CODE__UNAUTHENTICATED, "token",
			    "the token has expired or was revoked");
		return true; /* the list may be another one now */
	}
	return false;
}

void control_token_ended(struct supervisor *sv, uint64_t token)
{
	struct client *c;

	if (!sv->control)
		return;
	list_each (c, &sv->control->clients, link)
		while (client_token_ended(c, token))
			;
}

/* ---------------------------------------------------------------- clients */

struct client *control_client_find(const struct supervisor *sv, uint64_t id)
{
	struct client *c = sv->control ? sv->control->by_id[id % CLIENT_BUCKETS] : NULL;

	while (c && c->id != id)
		c = c->next;
	return c;
}

/* What only looks is forgotten with its client. What changes something goes on to its end: the action wants its result. */
static void client_leave_requests(struct client *c)
{
	struct supervisor *sv = c->sv;
	struct open *o;

	while ((o = list_first(&c->open, struct open, link))) {
		struct parked p = o->parked;
		void (*off)(void *arg, bool cancelled) = o->on_gone;
		void *arg = o->on_gone_arg;

		o->on_gone = NULL;
		if (!o->row->verb)
			(void)container_cancel(sv, p.client, p.request);
		control_open_detach(sv, o);
		if (off)
			off(arg, false);
	}
}

static void client_free(struct client *c)
{
	struct control *ctl = c->sv->control;
	struct client **at = &ctl->by_id[c->id % CLIENT_BUCKETS];

	client_leave_requests(c);
	while (*at && *at != c)
		at = &(*at)->next;
	if (*at)
		*at = c->next;
	list_del(&c->link);
	(c->api ? &ctl->api : &ctl->main)->n_clients--;
	peer_fini(&c->peer);
	free(c);
}

static void client_tell(struct client *c, uint64_t request, Berth__Error__Code code, const char *field,
			const char *text)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Error error = BERTH__ERROR__INIT;

	error.has_code = true;
	error.code = code;
	error.field = (char *)(uintptr_t)field; /* only packed */
	error.text = (char *)(uintptr_t)text;
	env.has_id = request != 0;
	env.id = request;
	env.body_case = BERTH__ENVELOPE__BODY_ERROR;
	env.error = &error;
	(void)client_send(c, &env, NULL, 0); /* it is being dropped, or is dropped by client_send itself */
}

void client_refuse(struct client *c, uint64_t request, Berth__Error__Code code, const char *field, const char *fmt, ...)
{
	char text[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	text_clean(text);
	client_tell(c, request, code, field, text);
}

int client_bad(struct client *c, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!c->told)
		log_warn("client %s, pid %d: %s: dropped", c->who.name, c->who.pid, text);
	if (!c->told)
		client_tell(c, 0, BERTH__ERROR__CODE__PROTOCOL, NULL, text);
	c->told = true;
	return -EPROTO;
}

int client_send(struct client *c, const Berth__Envelope *env, const int *fds, unsigned n_fds)
{
	int all[WIRE_FDS_MAX];
	AUTO_FREE void *data = NULL;
	AUTO_FD memfd = -1;
	size_t len;
	int r;

	if (n_fds >= WIRE_FDS_MAX)
		return -EINVAL;
	r = envelope_pack(env, &data, &len, &memfd);
	if (r != 0)
		return r;
	for (unsigned i = 0; i < n_fds; i++)
		all[i] = fds[i];
	if (memfd >= 0)
		all[n_fds++] = memfd;
	r = peer_send(&c->peer, data, len, all, n_fds);
	if (r == -ENOBUFS && !c->told) {
		log_warn("client %s, pid %d: does not read its answers (%u requests open): dropped", c->who.name,
			 c->who.pid, c->n_open);
		c->told = true;
		peer_drop(&c->peer, r);
	}
	return r;
}

/* ---------------------------------------------------------------- Hello and records */

static int client_hello_send(struct client *c)
{
	static char software[] = "berthd " BERTH_VERSION;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Hello hello = BERTH__HELLO__INIT;

	hello.has_version = hello.has_oldest = true;
	hello.version = ENVELOPE_VERSION;
	hello.oldest = ENVELOPE_OLDEST;
	hello.software = software;
	env.body_case = BERTH__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	return client_send(c, &env, NULL, 0);
}

static int client_hello(struct client *c, const Berth__Hello *h)
{
	uint32_t version = h->version < ENVELOPE_VERSION ? h->version : ENVELOPE_VERSION;

	if (c->version)
		return client_bad(c, "a second Hello");
	if (!h->has_version || version < ENVELOPE_OLDEST || version < h->oldest) {
		char text[200];

		snprintf(text, sizeof text, "this berthd speaks versions %d to %d of the protocol, the client %u to %u",
			 ENVELOPE_OLDEST, ENVELOPE_VERSION, h->oldest, h->version);
		client_tell(c, 0, BERTH__ERROR__CODE__UNSUPPORTED, NULL, text);
		log_info("client %s, pid %d: %s", c->who.name, c->who.pid, text);
		c->told = true;
		return -EPROTO;
	}
	c->version = version;
	return 0;
}

static int on_client_record(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	struct client *c = container_of(p, struct client, peer);
	Berth__Envelope *env = envelope_unpack(data, len, fds);
	int r = 0;

	if (!env)
		return client_bad(c, "a record that is no message of ours");
	if (env->body_case == BERTH__ENVELOPE__BODY_HELLO)
		r = client_hello(c, env->hello);
	else if (!c->version)
		r = client_bad(c, "the first record must be Hello");
	else
		r = request_handle(c, env, fds);
	berth__envelope__free_unpacked(env, NULL);
	return r;
}

static void on_client_gone(struct peer *p, int reason)
{
	struct client *c = container_of(p, struct client, peer);

	if (reason == -EPROTO && !c->told) {
		/* Found below us: the peer sends nothing any more, but its socket is still open. */
		static const char text[] = "a record that was cut, empty, too large, or carried too many descriptors";
		Berth__Envelope env = BERTH__ENVELOPE__INIT;
		Berth__Error error = BERTH__ERROR__INIT;

		log_warn("client %s, pid %d: %s: dropped", c->who.name, c->who.pid, text);
		error.has_code = true;
		error.code = BERTH__ERROR__CODE__PROTOCOL;
		error.text = (char *)(uintptr_t)text;
		env.body_case = BERTH__ENVELOPE__BODY_ERROR;
		env.error = &error;
		(void)envelope_send(p->fd, &env, NULL, 0); /* a courtesy */
	}
	client_free(c);
}

static void on_client_drained(struct peer *p)
{
	struct client *c = container_of(p, struct client, peer);

	watch_client_drained(c->sv, c->id);
}

static const struct peer_ops client_ops = {
	.record = on_client_record,
	.gone = on_client_gone,
	.drained = on_client_drained,
};

/* ---------------------------------------------------------------- accepting */

static int client_principal(struct principal *who, int fd, bool api)
{
	struct ucred cred;
	socklen_t len = sizeof cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*who = (struct principal){.uid = cred.uid, .gid = cred.gid, .pid = cred.pid};
	who->role = api ? ROLE_NONE : cred.uid == 0 ? ROLE_ROOT : ROLE_OPERATOR;
	if (cred.uid == 0)
		snprintf(who->name, sizeof who->name, "root");
	else
		snprintf(who->name, sizeof who->name, "uid:%u", cred.uid);
	return 0;
}

/* Says why and closes. Logged at the 1st, 2nd, 4th, 8th … time, so that a storm does not fill the log too. */
static void control_refuse(struct control *ctl, int fd, const char *why)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Error error = BERTH__ERROR__INIT;

	error.has_code = true;
	error.code = BERTH__ERROR__CODE__EXHAUSTED;
	error.text = (char *)(uintptr_t)why;
	env.body_case = BERTH__ENVELOPE__BODY_ERROR;
	env.error = &error;
	(void)envelope_send(fd, &env, NULL, 0); /* a new socket has room; if not, nobody reads */
	close(fd);
	ctl->refused++;
	if (!(ctl->refused & (ctl->refused - 1)))
		log_warn("connection refused (%llu so far): %s", (unsigned long long)ctl->refused, why);
}

/* A user who takes all places of api.sock for himself is told so; the others still get in. */
static bool door_is_full(const struct door *d, const struct principal *who, char *why, size_t size)
{
	const struct client *c;
	unsigned n = 0;

	if (d->n_clients >= d->max_clients) {
		snprintf(why, size, "all %u connections that berthd allows %s are in use (max_clients)", d->max_clients,
			 d->api ? "by api.sock" : "here");
		return true;
	}
	if (!d->api)
		return false;
	list_each (c, &d->control->clients, link)
		n += c->api && c->who.uid == who->uid;
	snprintf(why, size, "user %u has %u connections: that is the limit", who->uid, n);
	return n >= API_PER_UID;
}

static int client_new(struct door *d, int fd)
{
	struct control *ctl = d->control;
	struct client *c = calloc(1, sizeof *c);
	struct client **bucket;
	char why[100];
	int r = c ? client_principal(&c->who, fd, d->api) : -ENOMEM;

	if (r == 0 && door_is_full(d, &c->who, why, sizeof why)) {
		control_refuse(ctl, fd, why);
		free(c);
		return 0;
	}
	if (r < 0) {
		close(fd);
		free(c);
		return r;
	}
	r = peer_init(&c->peer, &ctl->sv->loop, fd, &client_ops, d->api ? API_OUT_BYTES : CLIENT_OUT_BYTES,
		      d->api ? API_OUT_RECORDS : CLIENT_OUT_RECORDS);
	if (r < 0) {
		free(c);
		return r;
	}
	c->sv = ctl->sv;
	c->api = d->api;
	c->id = ++ctl->last_id;
	list_init(&c->open);
	bucket = &ctl->by_id[c->id % CLIENT_BUCKETS];
	c->next = *bucket;
	*bucket = c;
	list_push(&ctl->clients, &c->link);
	d->n_clients++;
	return client_hello_send(c);
}

/* No descriptor is left for a new client: the spare one is given up for as long as it takes to say so. Without this a
 * level-triggered listening socket would keep the loop turning. */
static void control_no_fds(struct door *d)
{
	struct control *ctl = d->control;
	int fd;

	close_fd(&ctl->spare_fd);
	fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		control_refuse(ctl, fd, "berthd has no file descriptors left");
	ctl->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_door(struct source *s, uint32_t events)
{
	struct door *d = container_of(s, struct door, source);

	for (int i = 0; i < ACCEPT_PER_WAKEUP; i++) {
		int fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				control_no_fds(d);
			return; /* nothing there, or a client that left already */
		}
		r = client_new(d, fd);
		if (r < 0 && r != -ENOBUFS)
			log_warn("a new client could not be taken: %s", strerror(-r));
	}
}

/* control.sock has mode 0660 with the group; without the group only root gets in, and the log says so. */
static int door_listen(const struct supervisor *sv, bool api, struct err *e)
{
	char path[sizeof sv->cfg.run_dir + 32];
	struct group *g = !api && *sv->cfg.socket_group ? getgrnam(sv->cfg.socket_group) : NULL;
	AUTO_FD fd = -1;

	snprintf(path, sizeof path, "%s/%s.sock", sv->cfg.run_dir, api ? "api" : "control");
	fd = wire_listen(path, api ? 0666 : 0660, 256);
	if (fd == -EADDRINUSE)
		return err_set(e, EADDRINUSE, "control", "another berthd answers on %s", path);
	if (fd < 0)
		return err_set(e, -fd, "control", "listen on %s", path);
	if (g && chown(path, 0, g->gr_gid) < 0)
		return err_set(e, errno, "control", "give %s to group %s", path, sv->cfg.socket_group);
	if (!g && !api)
		log_warn("there is no group '%s' (groupadd --system %s): only root may use %s", sv->cfg.socket_group,
			 sv->cfg.socket_group, path);
	return take_fd(&fd);
}

static int door_open(struct control *ctl, struct door *d, int fd, struct err *e)
{
	int r;

	d->control = ctl;
	d->fd = fd < 0 ? door_listen(ctl->sv, d->api, e) : fd;
	if (d->fd < 0)
		return d->fd;
	r = source_add(&ctl->sv->loop, &d->source, d->fd, EPOLLIN, on_door);
	return r < 0 ? err_set(e, -r, "control", "watch the control socket") : 0;
}

static void door_close(struct door *d)
{
	source_del(&d->source);
	close_fd(&d->fd);
}

int control_open(struct supervisor *sv, int fd, struct err *e)
{
	struct control *ctl = calloc(1, sizeof *ctl);
	int r;

	if (!ctl) {
		close_fd(&fd);
		return err_set(e, ENOMEM, "control", "open the control socket");
	}
	ctl->sv = sv;
	ctl->api.api = true;
	ctl->api.fd = -1;
	ctl->main.max_clients = sv->cfg.max_clients;
	ctl->api.max_clients = sv->cfg.max_clients;
	ctl->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	list_init(&ctl->clients);
	r = door_open(ctl, &ctl->main, fd, e);
	if (r == 0)
		r = door_open(ctl, &ctl->api, -1, e);
	if (r < 0) {
		door_close(&ctl->main);
		door_close(&ctl->api);
		close_fd(&ctl->spare_fd);
		free(ctl);
		return r;
	}
	sv->control = ctl;
	return 0;
}

static void client_close(struct client *c)
{
	struct open *o;

	list_each (o, &c->open, link)
		client_tell(c, o->parked.request, BERTH__ERROR__CODE__UNAVAILABLE, NULL,
			    "berthd is going down or upgrading: connect again and ask again");
	client_free(c);
}

void control_close(struct supervisor *sv)
{
	struct control *ctl = sv->control;
	struct client *c;

	if (!ctl)
		return;
	source_del(&ctl->main.source);
	source_del(&ctl->api.source);
	while ((c = list_first(&ctl->clients, struct client, link)))
		client_close(c);
	for (unsigned i = 0; i < OPEN_BUCKETS; i++)
		while (ctl->bucket[i])
			control_open_end(sv, ctl->bucket[i]);
	door_close(&ctl->main);
	door_close(&ctl->api);
	close_fd(&ctl->spare_fd);
	sv->control = NULL;
	free(ctl);
}

int control_listen_fd(const struct supervisor *sv)
{
	return sv->control ? sv->control->main.fd : -1;
}

uint32_t control_clients(const struct supervisor *sv)
{
	return sv->control ? sv->control->main.n_clients + sv->control->api.n_clients : 0;
}
