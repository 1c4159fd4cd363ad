/* fetch/fetch.c - see fetch/fetch.h.
 *
 * A task is one order. It asks the first place (mirrors come before the registry), follows redirects, shows credentials only to
 * the place that they are for (or to the token server that this place names, over TLS), tries again after a pause what may pass,
 * goes on where a broken download ended, and takes the next place when one cannot help. What goes up does so in the steps of upload.c. */
#include "fetch/fetch.h"

#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "fetch/task.h"
#include "fetch/token.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PARALLEL	4u /* transfers at once */
#define TRIES_UNHEARD	3u /* … of a place that never answered */
#define PAUSE_FIRST_MS	500u
#define PAUSE_LAST_MS	8000u
#define RETRY_AFTER_MAX 60u
#define HOPS_MAX	10u
#define AUTHS_MAX	3u
#define MOVED_NS	(100 * NS_PER_MS)
#define ORDERS_MAX	512u
#define ACCEPT_MANIFESTS                                                                                               \
	"application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "                        \
	"application/vnd.docker.distribution.manifest.list.v2+json, "                                                  \
	"application/vnd.docker.distribution.manifest.v2+json"

/* ---------------------------------------------------------------- news */

static int news_send(struct desk *d, const struct fetch_news *n)
{
	int r = wire_send(d->sock, n, sizeof *n, NULL, 0);

	if (r == WIRE_GONE)
		d->closed = true;
	return r;
}

/* Best effort: only the end of a task must arrive. */
static void said(struct task *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void said(struct task *t, const char *fmt, ...)
{
	struct fetch_news n = {.state = FETCH_SAID, .id = t->order.id, .at = t->at};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(n.text, sizeof n.text, fmt, ap);
	va_end(ap);
	(void)news_send(t->desk, &n);
}

static void on_moved(void *arg, uint64_t at)
{
	struct task *t = arg;
	struct fetch_news n = {.state = FETCH_MOVED, .id = t->order.id, .at = at};
	uint64_t now = now_ns();

	if (!task_is_upload(t)) /* what goes up is there when the registry says so */
		t->at = at;
	if (now - t->told_ns < MOVED_NS)
		return;
	t->told_ns = now;
	(void)news_send(t->desk, &n);
}

void task_end(struct task *t, uint32_t state, int code, const char *text)
{
	t->state = TASK_ENDED;
	t->end.state = state;
	t->end.id = t->order.id;
	t->end.at = t->at;
	t->end.code = code;
	snprintf(t->end.text, sizeof t->end.text, "%s", text);
}

static void task_free(struct task *t)
{
	list_del(&t->link);
	t->desk->n_tasks--;
	close_fd(&t->fd);
	free(t);
}

/* ---------------------------------------------------------------- another place, another try */

static struct counter *counter_of(const struct task *t)
{
	return &t->desk->counter[t->place];
}

void task_restart(struct task *t)
{
	t->state = TASK_WAITING;
	t->url[0] = 0;
	t->hops = 0;
	t->not_before_ns = 0;
	if (task_is_upload(t))
		upload_restart(t);
}

void place_failed(struct task *t, bool unreachable, int code, const char *fmt, ...)
{
	const struct brief *s = t->desk->s;
	const struct place *p = place_of(t);
	struct counter *c = counter_of(t);
	unsigned next = t->place + 1;
	char text[300], line[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c->unreachable = unreachable;
	while (next < s->n_places && s->place[next].last_resort && !unreachable)
		next++;
	snprintf(line, sizeof line, "%.100s: %.280s", p->host, text);
	if (next >= s->n_places) {
		task_end(t, FETCH_FAILED, code, line);
		return;
	}
	if (strcmp(c->left_for, line) != 0) /* once, and not for each layer */
		said(t, "%s; trying %s%s", line, s->place[next].last_resort ? "without TLS: " : "",
		     s->place[next].host);
	memcpy(c->left_for, line, sizeof c->left_for);
	upload_leave(t);
	t->place = next;
	t->tries = t->auths = 0;
	task_restart(t);
}

void task_again(struct task *t, uint32_t after_s, bool unreachable, const char *why)
{
	const struct counter *c = counter_of(t);
	uint64_t pause_ms = PAUSE_FIRST_MS;
	uint16_t random = 0;

	if (t->at >= t->at_try + FURTHER_BYTES)
		t->tries = 0;
	t->tries++;
	if (after_s > RETRY_AFTER_MAX) {
		place_failed(t, false, EAGAIN, "%s; it wants to be asked again in %u s", why, after_s);
		return;
	}
	if (t->tries >= (c->heard ? TRIES_MAX : TRIES_UNHEARD)) {
		place_failed(t, unreachable, ETIMEDOUT, "%s (tried %u times)", why, t->tries);
		return;
	}
	for (unsigned i = 1; i < t->tries && pause_ms < PAUSE_LAST_MS; i++)
		pause_ms *= 2;
	(void)getrandom(&random, sizeof random, GRND_NONBLOCK); /* many hosts must not come back at once */
	pause_ms += pause_ms * (random % 256) / 1024;
	if (pause_ms < after_s * 1000ull)
		pause_ms = after_s * 1000ull;
	said(t, "%s: %s; again in %.1f s", place_of(t)->host, why, (double)pause_ms / 1000);
	task_restart(t);
	t->not_before_ns = now_ns() + pause_ms * NS_PER_MS;
}

/* ---------------------------------------------------------------- credentials */

static bool auth_is_there(const struct auth *a)
{
	return (a->user && a->password) || a->identity_token;
}

/* "Basic …"; NULL without credentials or memory. */
static char *basic_make(const struct auth *a)
{
	size_t len = a->user && a->password ? strlen(a->user) + 1 + strlen(a->password) : 0;
	AUTO_FREE char *plain = len ? malloc(len + 1) : NULL;
	char *header = len ? malloc(6 + STR_BASE64_SIZE(len)) : NULL;

	if (!plain || !header) {
		free(header);
		return NULL;
	}
	snprintf(plain, len + 1, "%s:%s", a->user, a->password);
	memcpy(header, "Basic ", 6);
	str_base64(plain, len, header + 6);
	explicit_bzero(plain, len);
	return header;
}

static void authorization_set(struct counter *c, char *header)
{
	if (c->authorization)
		explicit_bzero(c->authorization, strlen(c->authorization));
	free(c->authorization);
	c->authorization = header;
	c->generation++;
}

static void tokens_wake(struct desk *d, unsigned place)
{
	struct task *t;

	d->counter[place].asking = false;
	list_each (t, &d->tasks, link)
		if (t->state == TASK_NEEDS_TOKEN && t->place == place)
			t->state = TASK_WAITING;
}

static void on_token(void *arg, const struct http_answer *a)
{
	struct counter *c = arg;
	struct err e = {0};
	char said_by[256], *token;

	c->token_error[0] = 0;
	c->token_may_come = a->status ? a->status == 429 || a->status >= 500 : a->transient;
	c->token_after_s = a->retry_after_s;
	if (a->status == 200) {
		token = token_parse(a->body, a->body_len, &e);
		if (token)
			authorization_set(c, token);
		else
			snprintf(c->token_error, sizeof c->token_error, "%.299s", e.text);
	} else if (a->status) {
		registry_error(a->body, a->body_len, said_by, sizeof said_by);
		snprintf(c->token_error, sizeof c->token_error, "the token server answers %ld%s%s", a->status,
			 *said_by ? ": " : "", said_by);
	} else {
		snprintf(c->token_error, sizeof c->token_error, "the token server: %.270s", a->text);
	}
	tokens_wake(c->desk, (unsigned)(c - c->desk->counter));
}

/* Where tokens come from is said by the place, to which alone our credentials are known: over TLS it may name another host (that is
 * how Docker's hub works), without TLS only itself. */
static bool realm_check(const struct place *p, const char *realm, bool *ret_same, char *why, size_t size)
{
	char host[300];
	bool tls;

	if (!url_parse(realm, &tls, host, sizeof host)) {
		snprintf(why, size, "it names no usable token server");
		return false;
	}
	*ret_same = tls == p->tls && !strcasecmp(host, p->host);
	if (tls || *ret_same)
		return true;
	if (!p->tls && !strncasecmp(host, p->host, strcspn(p->host, ":")) && strchr(":", host[strcspn(p->host, ":")]))
		return true; /* another port of a host that is spoken to without TLS anyway */
	snprintf(why, size, "its token server %.200s has no TLS", host);
	return false;
}

static char *token_url(const struct task *t, const struct challenge *ch)
{
	const struct place *p = place_of(t);
	AUTO_FREE char *service = url_escape(ch->service);
	char scope[900], *url = malloc(URL_SIZE);
	AUTO_FREE char *escaped = NULL;
	int n;

	/* What this task needs, whatever the server would like to have asked for. */
	n = snprintf(scope, sizeof scope, "repository:%s%s:pull%s", p->prefix, t->desk->s->ref.path,
		     t->desk->s->push ? ",push" : "");
	if (t->desk->s->mount_from[0]) /* what a token server does not give is not in the token; that is no error */
		snprintf(scope + n, sizeof scope - (size_t)n, " repository:%s:pull", t->desk->s->mount_from);
	escaped = url_escape(scope);
	if (!url || !service || !escaped) {
		free(url);
		return NULL;
	}
	snprintf(url, URL_SIZE, "%s%s%s%s%sscope=%s", ch->realm, strchr(ch->realm, '?') ? "&" : "?",
		 *service ? "service=" : "", service, *service ? "&" : "", escaped);
	return url;
}

static char *identity_form(const struct auth *a, const struct challenge *ch)
{
	AUTO_FREE char *token = url_escape(a->identity_token);
	AUTO_FREE char *service = url_escape(ch->service);
	char *form = token && service ? malloc(strlen(token) + strlen(service) + 128) : NULL;

	if (form)
		sprintf(form, "grant_type=refresh_token&client_id=berth&service=%s&refresh_token=%s", service, token);
	return form;
}

static int token_ask(struct task *t, const struct challenge *ch)
{
	struct counter *c = counter_of(t);
	const struct auth *a = &t->desk->s->auth[t->place];
	AUTO_FREE char *url = token_url(t, ch);
	AUTO_FREE char *basic = a->identity_token ? NULL : basic_make(a);
	AUTO_FREE char *form = a->identity_token ? identity_form(a, ch) : NULL;
	struct http_request rq = {.url = url, .out_fd = -1, .authorization = basic, .post = form, .verify = true};
	char why[300] = "";
	bool same;
	int r;

	if (!realm_check(place_of(t), ch->realm, &same, why, sizeof why)) {
		place_failed(t, false, EACCES, "%s", why);
		return -EACCES;
	}
	if (same)
		rq.verify = place_of(t)->verify;
	r = url && (form || !a->identity_token) ? http_start(t->desk->http, &rq, NULL, on_token, c) : -ENOMEM;
	if (basic)
		explicit_bzero(basic, strlen(basic));
	if (r < 0) {
		place_failed(t, false, ENOMEM, "no memory to ask for a token");
		return r;
	}
	c->asking = true;
	t->state = TASK_NEEDS_TOKEN;
	return 0;
}

static void denied(struct task *t, const struct http_answer *a)
{
	const struct auth *au = &t->desk->s->auth[t->place];
	char text[256];

	registry_error(a->body, a->body_len, text, sizeof text);
	place_failed(t, false, EACCES, "access to %s denied%s%s%s", t->desk->s->ref.path, *text ? ": " : "", text,
		     auth_is_there(au) ? "" : " (no credentials are known for it: berth login, or auth_file)");
}

/* 401. */
static void on_challenge(struct task *t, const struct http_answer *a)
{
	struct counter *c = counter_of(t);
	char *basic;

	if (t->elsewhere) {
		place_failed(t, false, EACCES, "it sends to a server that wants credentials");
		return;
	}
	if (*c->token_error) { /* the last attempt to get a token failed */
		char why[300];

		snprintf(why, sizeof why, "%s", c->token_error);
		c->token_error[0] = 0;
		if (c->token_may_come)
			task_again(t, c->token_after_s, false, why);
		else
			place_failed(t, false, EACCES, "access to %s denied: %s", t->desk->s->ref.path, why);
		return;
	}
	if (++t->auths > AUTHS_MAX) {
		denied(t, a);
		return;
	}
	if (t->generation != c->generation) { /* what was shown is not the newest */
		task_restart(t);
		return;
	}
	if (a->challenge.scheme == CHALLENGE_BEARER) {
		if (c->asking)
			t->state = TASK_NEEDS_TOKEN;
		else
			(void)token_ask(t, &a->challenge);
		return;
	}
	basic = a->challenge.scheme == CHALLENGE_BASIC && t->auths == 1 ? basic_make(&t->desk->s->auth[t->place])
									: NULL;
	if (!basic) {
		denied(t, a);
		return;
	}
	authorization_set(c, basic);
	task_restart(t);
}

/* ---------------------------------------------------------------- answers */

bool location_take(struct task *t, const struct http_answer *a, const char *what)
{
	char host[300];
	bool tls;

	if (!a->location[0] || strlen(a->location) >= sizeof t->url ||
	    !url_parse(a->location, &tls, host, sizeof host)) {
		place_failed(t, false, EPROTO, "it %s nowhere (status %ld)", what, a->status);
		return false;
	}
	if (!tls && place_of(t)->tls) {
		place_failed(t, false, EPROTO, "it %s %s, which has no TLS", what, host);
		return false;
	}
	snprintf(t->url, sizeof t->url, "%s", a->location);
	t->state = TASK_WAITING;
	t->not_before_ns = 0;
	return true;
}

static void on_redirect(struct task *t, const struct http_answer *a)
{
	if (++t->hops > HOPS_MAX)
		place_failed(t, false, ELOOP, "more than %u redirects", HOPS_MAX);
	else
		(void)location_take(t, a, "redirects to");
}

static void on_content(struct task *t, const struct http_answer *a)
{
	if (t->order.kind == FETCH_MANIFEST && !strncmp(a->type, "text/html", 9)) {
		place_failed(t, false, EPROTO, "it answers with a web page: no registry is there");
		return;
	}
	if (t->order.size_known && t->at != t->order.size) {
		task_again(t, 0, false, "the download was cut short");
		return;
	}
	snprintf(t->end.type, sizeof t->end.type, "%s", a->type);
	task_end(t, FETCH_DONE, 0, "");
}

void status_text(const struct http_answer *a, char buf[300])
{
	char text[256];

	registry_error(a->body, a->body_len, text, sizeof text);
	snprintf(buf, 300, "status %ld%s%s", a->status, *text ? ": " : "", text);
}

bool status_common(struct task *t, const struct http_answer *a, const char *why)
{
	switch (a->status) {
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		on_redirect(t, a);
		return true;
	case 401:
		on_challenge(t, a);
		return true;
	case 403:
		denied(t, a);
		return true;
	case 408:
	case 425:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		task_again(t, a->retry_after_s, false, why);
		return true;
	default:
		return false;
	}
}

static void download_status(struct task *t, const struct http_answer *a)
{
	char why[300];

	status_text(a, why);
	switch (a->status) {
	case 200:
	case 206:
		on_content(t, a);
		break;
	case 404:
		if (t->order.kind == FETCH_MANIFEST)
			place_failed(t, false, ENOENT, "no %s%s%s there", t->desk->s->ref.path,
				     t->desk->s->ref.digest[0] ? "@" : ":",
				     t->desk->s->ref.digest[0] ? t->desk->s->ref.digest : t->desk->s->ref.tag);
		else
			place_failed(t, false, ENOENT, "it has not got %s", t->order.digest);
		break;
	case 416: /* what we have is more than there is */
		if (t->at && ftruncate(t->fd, 0) == 0) {
			t->at = 0;
			task_again(t, 0, false, why);
			break;
		}
		place_failed(t, false, EPROTO, "%s", why);
		break;
	default:
		if (!status_common(t, a, why))
			place_failed(t, false, EPROTO, "%s", why);
	}
}

/* What to do about an error of TLS, in words that OpenSSL does not have. */
static const char *tls_hint(const char *text)
{
	if (strstr(text, "wrong version number"))
		return " (it speaks plain HTTP? plain_http in berthd.conf, or --tls-verify=false)";
	if (strstr(text, "SSL certificate problem"))
		return " (an authority of your own? certs_dir in berthd.conf, or --tls-verify=false)";
	return "";
}

static void on_answer(void *arg, const struct http_answer *a)
{
	struct task *t = arg;

	t->desk->n_running--;
	if (!task_is_upload(t))
		t->at = a->at;
	if (a->status || a->refused)
		counter_of(t)->heard = true;
	if (!a->status && task_is_upload(t))
		upload_broken(t, a);
	if (a->status && task_is_upload(t))
		upload_status(t, a);
	else if (a->status)
		download_status(t, a);
	else if (a->transient)
		task_again(t, 0, a->unreachable, a->text);
	else
		place_failed(t, a->unreachable, EPROTO, "%s%s", a->text, tls_hint(a->text));
}

/* ---------------------------------------------------------------- start */

/* Places that could not be reached are not asked for every layer again, unless there is no other. */
static void place_choose(struct task *t)
{
	const struct desk *d = t->desk;

	for (unsigned i = t->place; i < d->s->n_places; i++) {
		if (d->counter[i].unreachable || (d->s->place[i].last_resort && !d->counter[i - 1].unreachable))
			continue;
		t->place = i;
		return;
	}
}

static bool download_request(struct task *t, struct http_request *rq, char url[URL_SIZE])
{
	const struct reference *ref = &t->desk->s->ref;
	const char *what = t->order.digest[0] ? t->order.digest : ref->digest[0] ? ref->digest : ref->tag;

	rq->out_fd = t->fd;
	rq->at = t->at;
	rq->size = t->order.size;
	rq->size_known = t->order.size_known;
	if (t->order.kind == FETCH_MANIFEST)
		rq->accept = ACCEPT_MANIFESTS;
	if (place_url(place_of(t), ref, t->order.kind == FETCH_MANIFEST ? "manifests" : "blobs", what, url) == 0)
		return true;
	place_failed(t, false, ENAMETOOLONG, "the URL would be too long");
	return false;
}

static void task_go(struct task *t)
{
	struct counter *c;
	struct http_request rq = {.verify = true};
	char own[URL_SIZE];

	if (!t->url[0] && !t->tries)
		place_choose(t);
	c = counter_of(t);
	if (!(task_is_upload(t) ? upload_request(t, &rq, own) : download_request(t, &rq, own)))
		return;
	if (c->asking) {
		t->state = TASK_NEEDS_TOKEN;
		return;
	}
	rq.url = t->url[0] ? t->url : own;
	t->elsewhere = !url_same_origin(rq.url, own);
	if (!t->elsewhere) {
		rq.authorization = c->authorization;
		rq.verify = place_of(t)->verify;
	}
	t->generation = c->generation;
	t->at_try = t->at;
	if (http_start(t->desk->http, &rq, on_moved, on_answer, t) < 0) {
		place_failed(t, false, ENOMEM, "no memory");
		return;
	}
	t->state = TASK_RUNNING;
	t->desk->n_running++;
}

/* Starts what may start, tells what has ended. How long nothing else is to be done. */
static int tasks_go_on(struct desk *d)
{
	uint64_t now = now_ns(), wait_ns = 3600 * NS_PER_S;
	struct task *t;

	list_each (t, &d->tasks, link) {
		if (t->state == TASK_WAITING && t->not_before_ns <= now && d->n_running < PARALLEL)
			task_go(t);
		if (t->state == TASK_WAITING && d->n_running < PARALLEL) {
			uint64_t left = t->not_before_ns > now ? t->not_before_ns - now : 0;

			wait_ns = left < wait_ns ? left : wait_ns;
		}
		if (t->state == TASK_ENDED) {
			if (news_send(d, &t->end) == WIRE_AGAIN)
				wait_ns = wait_ns < MOVED_NS ? wait_ns : MOVED_NS;
			else
				task_free(t);
		}
	}
	return (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static int order_take(struct desk *d, const struct fetch_order *o, int fd, struct err *e)
{
	struct task *t;

	if (fd < 0 || o->kind < FETCH_MANIFEST || o->kind > FETCH_PUT_BLOB || d->n_tasks >= ORDERS_MAX)
		return err_set(e, EBADMSG, "fetch", "a bad order");
	t = calloc(1, sizeof *t);
	if (!t)
		return err_set(e, ENOMEM, "fetch", "no memory");
	t->desk = d;
	t->order = *o;
	t->order.digest[sizeof t->order.digest - 1] = 0;
	t->order.type[sizeof t->order.type - 1] = 0;
	t->order.from[sizeof t->order.from - 1] = 0;
	t->fd = fd;
	t->at = o->at;
	if (task_is_upload(t))
		upload_restart(t);
	list_push(&d->tasks, &t->link);
	d->n_tasks++;
	return 0;
}

static int orders_take(struct desk *d, struct err *e)
{
	for (;;) {
		struct fetch_order o;
		struct wire_fds fds = {0};
		size_t len;
		int fd, r = wire_recv(d->sock, &o, sizeof o, &len, &fds);

		if (r == WIRE_AGAIN)
			return 0;
		if (r == WIRE_GONE) {
			d->closed = true;
			return 0;
		}
		fd = r == 0 && len == sizeof o ? wire_fds_take(&fds, 0) : -1;
		wire_fds_close(&fds);
		if (r || (r = order_take(d, &o, fd, e)) < 0) {
			close_fd(&fd);
			return r < 0 ? r : err_set(e, EBADMSG, "fetch", "a bad order");
		}
	}
}

int fetch_serve(const struct brief *s, int sock, struct err *e)
{
	struct http_options o = {.trust = s->trust, .n_trust = s->n_trust, .stall_s = s->stall_s};
	struct desk d = {.s = s, .sock = sock};
	struct task *t;
	int r = 0;

	list_init(&d.tasks);
	for (unsigned i = 0; i < PLACES_MAX; i++)
		d.counter[i].desk = &d;
	d.http = http_new(&o);
	if (!d.http)
		return err_set(e, ENOMEM, "fetch", "no memory");
	while (r == 0 && !d.closed) {
		int timeout_ms = tasks_go_on(&d);

		if (http_run(d.http, sock, timeout_ms))
			r = orders_take(&d, e);
	}
	while ((t = list_first(&d.tasks, struct task, link)))
		task_free(t);
	/* Transfers that run are the process's, which ends now. */
	for (unsigned i = 0; i < PLACES_MAX; i++)
		authorization_set(&d.counter[i], NULL);
	return r;
}
