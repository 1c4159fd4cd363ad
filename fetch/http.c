/* fetch/http.c - see fetch/http.h. libcurl checks TLS and frames; what it does not bound (headers, bodies, a range that is not the
 * one asked for) is bounded in the callbacks. */
#include "fetch/http.h"

#include "base/buf.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "image/space.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_S    20L
#define SLOW_BYTES   512L /* a second */
#define SMALL_STALLS 10L  /* what is small may last that many times the longest silence, in all */
#define SMALL_BYTES  (8u << 20)
#define BUFFER_BYTES (512L << 10)
#define KEPT_ALIVE   16L

struct http {
	struct http_options o;
	CURLM *multi;
};

struct exchange {
	struct http *http;
	CURL *easy;
	struct curl_slist *headers;
	char *post;
	int out_fd, in_fd;
	enum http_method method;
	bool size_known, to_file, body_begun;
	uint64_t in_at, in_len, sent, sent_seen; /* of the body that goes up */
	uint64_t sent_ns;			 /* when sent_seen was true */
	char location[HTTP_URL_SIZE];		 /* as it came: may be relative */
	uint64_t asked_at, at, size;
	struct space space;
	http_moved_fn *moved;
	http_done_fn *done;
	void *arg;
	size_t header_bytes;
	bool range_seen;
	uint64_t range_first;
	struct http_answer answer;
	struct buf body;
	char curl_error[CURL_ERROR_SIZE];
};

/* ---------------------------------------------------------------- URLs */

bool url_parse(const char *url, bool *ret_tls, char *host, size_t size)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *name = NULL, *port = NULL, *user = NULL;
	bool ok = false;

	if (u && !curl_url_set(u, CURLUPART_URL, url, 0) && !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
	    !curl_url_get(u, CURLUPART_HOST, &name, 0) && curl_url_get(u, CURLUPART_USER, &user, 0)) {
		bool tls = !strcmp(scheme, "https");
		int n;

		(void)curl_url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
		n = snprintf(host, size, "%s%s%s", name, port ? ":" : "", port ? port : "");
		ok = (tls || !strcmp(scheme, "http")) && n > 0 && (size_t)n < size;
		if (ret_tls)
			*ret_tls = tls;
	}
	curl_free(scheme);
	curl_free(name);
	curl_free(port);
	curl_free(user);
	curl_url_cleanup(u);
	return ok;
}

bool url_same_origin(const char *a, const char *b)
{
	char host_a[300], host_b[300];
	bool tls_a, tls_b;

	return url_parse(a, &tls_a, host_a, sizeof host_a) && url_parse(b, &tls_b, host_b, sizeof host_b) &&
	       tls_a == tls_b && !strcasecmp(host_a, host_b);
}

/* By hand: what is there must stay as it was given, to the byte. */
int url_add(const char *url, const char *argument, char buf[HTTP_URL_SIZE])
{
	size_t len = strcspn(url, "#");
	const char *query = memchr(url, '?', len);
	char host[300];
	int n;

	if (!url_parse(url, NULL, host, sizeof host))
		return -EINVAL;
	n = snprintf(buf, HTTP_URL_SIZE, "%.*s%s%s", (int)len, url,
		     !query			   ? "?"
		     : query[1] && query[1] != '#' ? "&"
						   : "",
		     argument);
	return n < 0 || n >= HTTP_URL_SIZE ? -ENAMETOOLONG : 0;
}

char *url_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0), *copy = escaped ? strdup(escaped) : NULL;

	curl_free(escaped);
	return copy;
}

/* ---------------------------------------------------------------- the answer, as it comes */

/* Ends the transfer: what the server sends cannot be what is wanted. */
static size_t answer_refuse(struct exchange *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static size_t answer_refuse(struct exchange *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(x->answer.text, sizeof x->answer.text, fmt, ap);
	va_end(ap);
	x->answer.refused = true;
	return 0;
}

static uint32_t retry_after_read(const char *value)
{
	time_t at, now = time(NULL);
	uint32_t n;

	if (!str_to_u32(value, &n))
		return n;
	at = curl_getdate(value, NULL);
	return at > now ? (uint32_t)(at - now) : 0;
}

/* "bytes 100-199/200" */
static void range_read(struct exchange *x, const char *value)
{
	unsigned long long first, last;

	if (sscanf(value, "bytes %llu-%llu/", &first, &last) == 2) {
		x->range_seen = true;
		x->range_first = first;
	}
}

/* "0-99", of an upload */
static void held_read(struct exchange *x, const char *value)
{
	unsigned long long last;

	if (sscanf(value, "0-%llu", &last) == 1 || sscanf(value, "bytes=0-%llu", &last) == 1)
		x->answer.held = last + 1;
}

static bool header_is(const char *line, const char *name, const char **ret_value)
{
	size_t len = strlen(name);

	if (strncasecmp(line, name, len) || line[len] != ':')
		return false;
	*ret_value = line + len + 1 + strspn(line + len + 1, " \t");
	return true;
}

/* Too long a one is none: half a URL leads to somewhere else. */
static void value_keep(const char *value, bool whole, char *to, size_t size)
{
	size_t len = strcspn(value, " \t");

	if (whole && len < size)
		snprintf(to, size, "%.*s", (int)len, value);
}

static size_t on_header(char *data, size_t one, size_t len, void *arg)
{
	struct exchange *x = arg;
	char line[HTTP_URL_SIZE + 64];
	const char *value;
	size_t n = len < sizeof line ? len : sizeof line - 1;

	(void)one;
	x->header_bytes += len;
	if (x->header_bytes > HTTP_HEADERS_MAX)
		return answer_refuse(x, "headers of more than %u bytes", HTTP_HEADERS_MAX);
	memcpy(line, data, n);
	line[n] = 0;
	line[strcspn(line, "\r\n")] = 0;
	if (str_starts(line, "HTTP/")) { /* those before were of a 100, or of a proxy */
		x->range_seen = false;
		x->answer.challenge = (struct challenge){0};
		x->answer.type[0] = x->answer.digest[0] = x->location[0] = 0;
		x->answer.retry_after_s = 0;
		x->answer.held = 0;
	} else if (header_is(line, "WWW-Authenticate", &value)) {
		challenge_parse(value, &x->answer.challenge);
	} else if (header_is(line, "Retry-After", &value)) {
		x->answer.retry_after_s = retry_after_read(value);
	} else if (header_is(line, "Content-Range", &value)) {
		range_read(x, value);
	} else if (header_is(line, "Range", &value)) {
		held_read(x, value);
	} else if (header_is(line, "Location", &value)) {
		value_keep(value, n == len, x->location, sizeof x->location);
	} else if (header_is(line, "Docker-Content-Digest", &value)) {
		value_keep(value, n == len, x->answer.digest, sizeof x->answer.digest);
	} else if (header_is(line, "Content-Type", &value)) {
		size_t type = strcspn(value, "; \t");

		if (type < sizeof x->answer.type)
			snprintf(x->answer.type, sizeof x->answer.type, "%.*s", (int)type, value);
	}
	return len;
}

/* Where the body goes, when its first byte is there (or its end). */
static size_t body_begin(struct exchange *x)
{
	curl_off_t length = -1;
	long status = 0;

	x->body_begun = true;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	x->to_file = x->out_fd >= 0 && (status == 200 || status == 206);
	if (!x->to_file)
		return 1;
	if (status == 206 && (!x->range_seen || x->range_first != x->asked_at))
		return answer_refuse(x, "the server answers with another part than was asked for");
	if (status == 200 && x->asked_at) { /* it knows no ranges: all of it again */
		if (ftruncate(x->out_fd, 0) < 0)
			return answer_refuse(x, "truncate: %s", strerror(errno));
		x->at = 0;
	}
	if (length >= 0 && x->size_known && x->at + (uint64_t)length != x->size)
		return answer_refuse(x, "the server has %llu bytes of it, and it should be %llu",
				     (unsigned long long)(x->at + (uint64_t)length), (unsigned long long)x->size);
	if (length >= 0 && (uint64_t)length > x->size)
		return answer_refuse(x, "%lld bytes: more than is taken", (long long)length);
	return 1;
}

static size_t file_write_at(struct exchange *x, const char *data, size_t len)
{
	struct err e = {0};

	if (len > x->size - x->at)
		return answer_refuse(x, "the server sends more than the %llu bytes that %s",
				     (unsigned long long)x->size, x->size_known ? "it should be" : "are taken");
	if (space_take(&x->space, len, &e) < 0)
		return answer_refuse(x, "%s", e.text);
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(x->out_fd, data + done, len - done, (off_t)(x->at + done));

		if (n < 0 && errno != EINTR)
			return answer_refuse(x, "write: %s", strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	x->at += len;
	if (x->moved)
		x->moved(x->arg, x->at);
	return len;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	struct exchange *x = arg;
	long status = 0;

	(void)one;
	if (!x->body_begun && !body_begin(x))
		return 0;
	if (x->to_file)
		return file_write_at(x, data, len);
	buf_add(&x->body, data, len);
	if (!x->body.failed)
		return len;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 300 ? 0 : answer_refuse(x, "an answer of more than %u bytes", HTTP_BODY_MAX);
}

/* ---------------------------------------------------------------- what goes up */

static size_t on_send(char *data, size_t one, size_t room, void *arg)
{
	struct exchange *x = arg;
	uint64_t left = x->in_len - x->sent;
	size_t want = one * room < left ? one * room : (size_t)left;
	ssize_t n;

	do
		n = want ? pread(x->in_fd, data, want, (off_t)(x->in_at + x->sent)) : 0;
	while (n < 0 && errno == EINTR);
	if (n < 0 || (want && !n)) {
		(void)answer_refuse(x, "read: %s", n < 0 ? strerror(errno) : "the file is shorter than it was");
		return CURL_READFUNC_ABORT;
	}
	x->sent += (uint64_t)n;
	if (x->moved)
		x->moved(x->arg, x->in_at + x->sent);
	return (size_t)n;
}

/* curl begins again on another connection when a kept one turns out to be dead. */
static int on_rewind(void *arg, curl_off_t offset, int origin)
{
	struct exchange *x = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->in_len)
		return CURL_SEEKFUNC_FAIL;
	x->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* Of what goes up the silence is measured here: once all is sent the server may take its time to look at it and to put it away, which
 * curl would take for a stall. */
static int on_sending(void *arg, curl_off_t down, curl_off_t down_now, curl_off_t up, curl_off_t up_now)
{
	struct exchange *x = arg;
	uint64_t now = now_ns(), at = (uint64_t)up_now, patience_s = x->http->o.stall_s;

	(void)down, (void)down_now, (void)up;
	if (at != x->sent_seen || !x->sent_ns) {
		x->sent_seen = at;
		x->sent_ns = now;
	}
	if (at >= x->in_len)
		patience_s *= SMALL_STALLS;
	if (now - x->sent_ns < patience_s * NS_PER_S)
		return 0;
	snprintf(x->answer.text, sizeof x->answer.text, "it takes nothing for %llu s", (unsigned long long)patience_s);
	return 1;
}

/* ---------------------------------------------------------------- start */

static const struct http_trust *trust_of(const struct http *h, const char *host)
{
	const struct http_trust *all = NULL;

	for (unsigned i = 0; i < h->o.n_trust; i++) {
		if (!strcasecmp(h->o.trust[i].host, host))
			return &h->o.trust[i];
		if (!strcmp(h->o.trust[i].host, ""))
			all = &h->o.trust[i];
	}
	return all;
}

static CURLcode blob_set(CURL *easy, CURLoption option, char *data, size_t len)
{
	struct curl_blob blob = {.data = data, .len = len, .flags = CURL_BLOB_NOCOPY}; /* trust lives as long as we */

	return data ? curl_easy_setopt(easy, option, &blob) : CURLE_OK;
}

static void tls_set(struct exchange *x, const struct http_request *rq)
{
	const struct http_trust *t;
	char host[300] = "";
	bool tls;

	(void)url_parse(rq->url, &tls, host, sizeof host);
	t = trust_of(x->http, host);
	curl_easy_setopt(x->easy, CURLOPT_SSL_VERIFYPEER, rq->verify ? 1L : 0L);
	curl_easy_setopt(x->easy, CURLOPT_SSL_VERIFYHOST, rq->verify ? 2L : 0L);
	curl_easy_setopt(x->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(x->easy, CURLOPT_CAPATH, NULL);
	if (!t)
		return;
	blob_set(x->easy, CURLOPT_CAINFO_BLOB, t->ca, t->ca_len);
	blob_set(x->easy, CURLOPT_SSLCERT_BLOB, t->cert, t->cert_len);
	blob_set(x->easy, CURLOPT_SSLKEY_BLOB, t->key, t->key_len);
}

static bool header_add(struct exchange *x, const char *name, const char *value)
{
	size_t len = strlen(name) + strlen(value) + 3;
	AUTO_FREE char *line = malloc(len);
	struct curl_slist *more;

	if (!line)
		return false;
	snprintf(line, len, "%s: %s", name, value);
	more = curl_slist_append(x->headers, line);
	explicit_bzero(line, len);
	if (more)
		x->headers = more;
	return more;
}

static void exchange_free(struct exchange *x)
{
	if (x->easy) {
		curl_multi_remove_handle(x->http->multi, x->easy);
		curl_easy_cleanup(x->easy);
	}
	for (struct curl_slist *l = x->headers; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data)); /* Authorization */
	curl_slist_free_all(x->headers);
	if (x->post)
		explicit_bzero(x->post, strlen(x->post));
	free(x->post);
	buf_fini(&x->body);
	free(x);
}

static void sending_prepare(struct exchange *x)
{
	curl_easy_setopt(x->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(x->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->in_len);
	curl_easy_setopt(x->easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(x->easy, CURLOPT_READFUNCTION, on_send);
	curl_easy_setopt(x->easy, CURLOPT_READDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_SEEKFUNCTION, on_rewind);
	curl_easy_setopt(x->easy, CURLOPT_SEEKDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_XFERINFOFUNCTION, on_sending);
	curl_easy_setopt(x->easy, CURLOPT_XFERINFODATA, x);
	curl_easy_setopt(x->easy, CURLOPT_NOPROGRESS, 0L);
	/* It wakes curl once a second, which asks on_sending; it is the longer of the two. */
	curl_easy_setopt(x->easy, CURLOPT_LOW_SPEED_TIME, 2 * SMALL_STALLS * (long)x->http->o.stall_s);
}

static void method_set(struct exchange *x)
{
	switch (x->method) {
	case HTTP_HEAD:
		curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
		break;
	case HTTP_PATCH:
		curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, "PATCH");
		break;
	case HTTP_POST:
		curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, x->post ? x->post : "");
		break;
	default: /* PUT is an upload */
		break;
	}
}

static int exchange_prepare(struct exchange *x, const struct http_request *rq)
{
	char range[40];

	if ((rq->accept && !header_add(x, "Accept", rq->accept)) ||
	    (rq->content_type && !header_add(x, "Content-Type", rq->content_type)) ||
	    (rq->content_range && !header_add(x, "Content-Range", rq->content_range)) ||
	    (rq->authorization && !header_add(x, "Authorization", rq->authorization)) ||
	    (rq->post && !(x->post = strdup(rq->post))))
		return -ENOMEM;
	curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
	curl_easy_setopt(x->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(x->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->curl_error);
	curl_easy_setopt(x->easy, CURLOPT_USERAGENT, "berth/" BERTH_VERSION);
	curl_easy_setopt(x->easy, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	curl_easy_setopt(x->easy, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
	if (x->in_fd < 0)
		curl_easy_setopt(x->easy, CURLOPT_LOW_SPEED_TIME, (long)x->http->o.stall_s);
	else
		sending_prepare(x);
	if (x->in_fd < 0 && (x->out_fd < 0 || x->size <= SMALL_BYTES))
		curl_easy_setopt(x->easy, CURLOPT_TIMEOUT, SMALL_STALLS * (long)x->http->o.stall_s);
	curl_easy_setopt(x->easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(x->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
	method_set(x);
	if (x->out_fd >= 0 && x->at) {
		snprintf(range, sizeof range, "%llu-", (unsigned long long)x->at);
		curl_easy_setopt(x->easy, CURLOPT_RANGE, range);
	}
	tls_set(x, rq);
	return curl_easy_setopt(x->easy, CURLOPT_URL, rq->url) == CURLE_OK ? 0 : -ENOMEM;
}

int http_start(struct http *h, const struct http_request *rq, http_moved_fn *moved, http_done_fn *done, void *arg)
{
	struct exchange *x = calloc(1, sizeof *x);
	int r;

	if (!x)
		return -ENOMEM;
	x->http = h;
	x->method = rq->method;
	x->out_fd = rq->out_fd;
	x->in_fd = rq->method == HTTP_PUT || rq->method == HTTP_PATCH ? rq->in_fd : -1;
	x->in_at = rq->in_at;
	x->in_len = rq->in_len;
	x->asked_at = x->at = rq->at;
	x->size = rq->size;
	x->size_known = rq->size_known;
	x->space = (struct space){.fd = rq->out_fd};
	x->moved = moved;
	x->done = done;
	x->arg = arg;
	buf_init(&x->body, HTTP_BODY_MAX);
	x->easy = curl_easy_init();
	r = x->easy ? exchange_prepare(x, rq) : -ENOMEM;
	if (r == 0 && curl_multi_add_handle(h->multi, x->easy) != CURLM_OK)
		r = -ENOMEM;
	if (r < 0)
		exchange_free(x);
	return r;
}

/* ---------------------------------------------------------------- end */

/* What curl's result means to whoever might try again. */
static void failure_classify(struct http_answer *a, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
		a->transient = a->unreachable = true;
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		a->unreachable = true;
		break;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_OUT_OF_MEMORY:
		break;
	default: /* cut off, timed out, reset */
		a->transient = true;
	}
}

/* Against the URL that was asked. */
static void location_resolve(struct exchange *x)
{
	CURLU *u = x->location[0] ? curl_url() : NULL;
	char *asked = NULL, *whole = NULL;

	curl_easy_getinfo(x->easy, CURLINFO_EFFECTIVE_URL, &asked);
	if (u && asked && !curl_url_set(u, CURLUPART_URL, asked, 0) &&
	    !curl_url_set(u, CURLUPART_URL, x->location, 0) && !curl_url_get(u, CURLUPART_URL, &whole, 0) &&
	    strlen(whole) < sizeof x->answer.location)
		snprintf(x->answer.location, sizeof x->answer.location, "%s", whole);
	curl_free(whole);
	curl_url_cleanup(u);
}

static void answer_fill(struct exchange *x, CURLcode code)
{
	struct http_answer *a = &x->answer;

	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &a->status);
	if (code == CURLE_OK && !x->body_begun && a->status && !body_begin(x))
		code = CURLE_WRITE_ERROR;
	a->at = x->in_fd < 0 ? x->at : x->in_at + x->sent;
	a->body = x->body.data ? x->body.data : "";
	a->body_len = x->body.len;
	if (code != CURLE_OK && !x->to_file && !a->refused && a->status >= 300)
		code = CURLE_OK; /* the status says enough; its page is not needed */
	if (code != CURLE_OK) {
		a->status = 0;
		if (!a->refused)
			failure_classify(a, code);
		if (!a->text[0] && code == CURLE_OPERATION_TIMEDOUT && x->header_bytes + x->at > x->asked_at)
			snprintf(a->text, sizeof a->text, "less than %ld bytes a second for %u s", SLOW_BYTES,
				 x->http->o.stall_s);
		if (!a->text[0])
			snprintf(a->text, sizeof a->text, "%s",
				 x->curl_error[0] ? x->curl_error : curl_easy_strerror(code));
		return;
	}
	location_resolve(x);
}

/* True: some have ended, and who asked has other things to do than to wait. */
static bool exchanges_end(struct http *h)
{
	bool any = false;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left))) {
		struct exchange *x;
		char *private = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
		x = (struct exchange *)(void *)private;
		answer_fill(x, msg->data.result);
		x->done(x->arg, &x->answer);
		exchange_free(x);
		any = true;
	}
	return any;
}

bool http_run(struct http *h, int extra_fd, int timeout_ms)
{
	struct curl_waitfd extra = {.fd = extra_fd, .events = CURL_WAIT_POLLIN};
	int running;

	curl_multi_perform(h->multi, &running);
	curl_multi_poll(h->multi, &extra, 1, exchanges_end(h) ? 0 : timeout_ms, NULL);
	return extra.revents;
}

struct http *http_new(const struct http_options *o)
{
	struct http *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->o = *o;
	h->multi = curl_multi_init();
	if (!h->multi) {
		free(h);
		return NULL;
	}
	/* Layers are large and many: connections of their own, not streams of one (HTTP/2 would share one window). */
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, KEPT_ALIVE);
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	curl_multi_cleanup(h->multi);
	free(h);
}
