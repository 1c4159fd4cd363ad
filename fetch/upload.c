/* fetch/upload.c - what goes up (see fetch/task.h). A blob: is it there (HEAD)? Where may it be sent to (POST, which may find it in
 * another repository of the registry instead)? Then all of it in one request (PUT), or, to a registry that takes no body as large as
 * that, or over a line that breaks, in pieces (PATCH), which a last PUT ends; after a break it goes on where the registry says that it
 * stands (GET). A manifest is one PUT. */
#include "fetch/task.h"

#include "base/own.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHUNK_FIRST (16u << 20)
#define CHUNK_LEAST (1u << 20)

void upload_restart(struct task *t)
{
	if (t->session[0]) {
		memcpy(t->url, t->session, sizeof t->url);
		t->phase = UPLOAD_ASK;
		return;
	}
	t->phase = t->order.kind == FETCH_PUT_MANIFEST ? UPLOAD_SEND : UPLOAD_LOOK;
	t->at = 0;
}

void upload_leave(struct task *t)
{
	t->session[0] = 0;
	t->best = t->chunk = 0;
}

void upload_broken(struct task *t, const struct http_answer *a)
{
	if (t->phase == UPLOAD_SEND && !t->chunk && t->order.kind == FETCH_PUT_BLOB && a->at >= CHUNK_FIRST)
		t->chunk = CHUNK_FIRST;
}

static void upload_go(struct task *t, enum upload_phase phase)
{
	t->phase = phase;
	t->state = TASK_WAITING;
	t->not_before_ns = 0;
}

/* ---------------------------------------------------------------- asking */

static int begin_url(struct task *t, char url[URL_SIZE])
{
	const struct brief *s = t->desk->s;
	AUTO_FREE char *from = url_escape(t->order.from);
	char what[1024];

	t->mounted = t->order.from[0] != 0;
	if (!from)
		return -ENOMEM;
	if (t->mounted)
		snprintf(what, sizeof what, "uploads/?mount=%s&from=%s", t->order.digest, from);
	else
		snprintf(what, sizeof what, "uploads/");
	return place_url(place_of(t), &s->ref, "blobs", what, url);
}

static int blob_request(struct task *t, struct http_request *rq, char url[URL_SIZE])
{
	const struct reference *ref = &t->desk->s->ref;
	uint64_t left = t->order.size - t->at;

	switch (t->phase) {
	case UPLOAD_LOOK:
		rq->method = HTTP_HEAD;
		return place_url(place_of(t), ref, "blobs", t->order.digest, url);
	case UPLOAD_BEGIN:
		rq->method = HTTP_POST;
		return begin_url(t, url);
	case UPLOAD_ASK:
		rq->method = HTTP_GET;
		break;
	case UPLOAD_SEND:
		rq->method = t->chunk ? HTTP_PATCH : HTTP_PUT;
		rq->content_type = "application/octet-stream";
		rq->in_at = t->at;
		rq->in_len = t->chunk && t->chunk < left ? t->chunk : left;
		break;
	default:
		rq->method = HTTP_PUT;
		break;
	}
	if (rq->method == HTTP_PATCH) {
		snprintf(t->range, sizeof t->range, "%llu-%llu", (unsigned long long)t->at,
			 (unsigned long long)(t->at + rq->in_len - 1));
		rq->content_range = t->range;
	}
	return place_url(place_of(t), ref, "blobs", "uploads/", url); /* t->url is where; this is whose it should be */
}

static int manifest_request(struct task *t, struct http_request *rq, char url[URL_SIZE])
{
	const struct reference *ref = &t->desk->s->ref;

	rq->method = HTTP_PUT;
	rq->content_type = t->order.type;
	rq->in_len = t->order.size;
	return place_url(place_of(t), ref, "manifests", ref->tag, url);
}

bool upload_request(struct task *t, struct http_request *rq, char url[URL_SIZE])
{
	int r;

	rq->out_fd = -1;
	rq->in_fd = t->fd;
	r = t->order.kind == FETCH_PUT_MANIFEST ? manifest_request(t, rq, url) : blob_request(t, rq, url);
	if (r == 0)
		return true;
	place_failed(t, false, -r, r == -ENOMEM ? "no memory" : "the URL would be too long");
	return false;
}

/* ---------------------------------------------------------------- answers */

static void upload_done(struct task *t, const char *how)
{
	t->at = t->order.size;
	snprintf(t->end.type, sizeof t->end.type, "%s", how);
	task_end(t, FETCH_DONE, 0, "");
}

static void upload_failed(struct task *t, const struct http_answer *a)
{
	char why[300];

	status_text(a, why);
	if (!status_common(t, a, why))
		place_failed(t, false, a->status == 404 ? ENOENT : EPROTO, "%s", why);
}

/* What cannot be found out is sent. */
static void on_looked(struct task *t, const struct http_answer *a)
{
	char why[300];

	status_text(a, why);
	if (a->status == 200) {
		upload_done(t, FETCH_EXISTED);
		return;
	}
	if (a->status != 404 && (!t->elsewhere || (a->status >= 300 && a->status < 400)) && status_common(t, a, why))
		return;
	t->url[0] = 0;
	upload_go(t, UPLOAD_BEGIN);
}

/* The upload's URL, as it was given, becomes the one that ends it. */
static void digest_add_to_url(struct task *t)
{
	char argument[96], url[URL_SIZE];

	snprintf(argument, sizeof argument, "digest=sha256%%3A%.64s", t->order.digest + 7);
	if (url_add(t->url, argument, url) == 0)
		memcpy(t->url, url, sizeof t->url);
	else
		place_failed(t, false, EPROTO, "it has no usable place for uploads");
}

static void on_begun(struct task *t, const struct http_answer *a)
{
	if (a->status == 201 && t->mounted) {
		upload_done(t, FETCH_MOUNTED);
		return;
	}
	if (a->status == 404 || a->status == 405) {
		char text[300];

		status_text(a, text);
		place_failed(t, false, a->status == 404 ? ENOENT : EPROTO, "it takes no uploads to %s: %s",
			     t->desk->s->ref.path, text);
		return;
	}
	if (a->status != 202) {
		upload_failed(t, a);
		return;
	}
	upload_go(t, UPLOAD_SEND);
	if (location_take(t, a, "has uploads sent to") && !t->chunk)
		digest_add_to_url(t);
}

/* Its front end may take no more in one request: once more in pieces, smaller ones if need be. */
static void on_too_large(struct task *t, const struct http_answer *a)
{
	char text[300];

	if (t->order.kind == FETCH_PUT_BLOB && t->order.size > CHUNK_LEAST && t->chunk != CHUNK_LEAST) {
		t->chunk = t->chunk ? t->chunk / 4 : CHUNK_FIRST;
		t->session[0] = 0;
		task_restart(t);
		return;
	}
	status_text(a, text);
	place_failed(t, false, EFBIG, "it does not take %llu bytes: %s", (unsigned long long)t->order.size, text);
}

/* The registry has so much of it, and the URL is where it goes on. */
static void piece_next(struct task *t, uint64_t at)
{
	t->at = at;
	memcpy(t->session, t->url, sizeof t->session);
	if (at >= t->best + FURTHER_BYTES) { /* that is progress, whatever breaks from now on */
		t->best = at;
		t->tries = t->auths = 0;
	}
	upload_go(t, at == t->order.size ? UPLOAD_END : UPLOAD_SEND);
	if (t->phase == UPLOAD_END)
		digest_add_to_url(t);
}

static void on_piece(struct task *t, const struct http_answer *a)
{
	if (location_take(t, a, "has uploads sent to"))
		piece_next(t, a->held && a->held < a->at ? a->held : a->at);
}

static void on_asked(struct task *t, const struct http_answer *a)
{
	char why[300];

	status_text(a, why);
	if ((a->status == 204 || a->status == 202) && a->held <= t->order.size) {
		if (!a->location[0] || location_take(t, a, "has uploads sent to"))
			piece_next(t, a->held);
	} else if (a->status < 400 || a->status == 404 || !status_common(t, a, why)) {
		t->session[0] = 0; /* it has forgotten it */
		task_restart(t);
	}
}

static void upload_forget(struct task *t, const char *why)
{
	t->session[0] = 0;
	task_again(t, 0, false, why);
}

static void on_sent(struct task *t, const struct http_answer *a)
{
	bool blob = t->order.kind == FETCH_PUT_BLOB;
	char why[300];

	status_text(a, why);
	if (a->status == 413)
		on_too_large(t, a);
	else if (blob && (a->status == 404 ||
			  a->status == 416)) /* it has forgotten what it was about to get, or has more of it */
		upload_forget(t, why);
	else if (blob && a->status == 202 && t->chunk && t->phase == UPLOAD_SEND)
		on_piece(t, a);
	else if (a->status != 201)
		upload_failed(t, a);
	else if (a->digest[0] && strcmp(a->digest, t->order.digest) != 0)
		place_failed(t, false, EPROTO, "it took %s for %.79s: it is not to be trusted", t->order.digest,
			     a->digest);
	else
		upload_done(t, FETCH_SENT);
}

void upload_status(struct task *t, const struct http_answer *a)
{
	switch (t->phase) {
	case UPLOAD_LOOK:
		on_looked(t, a);
		break;
	case UPLOAD_BEGIN:
		on_begun(t, a);
		break;
	case UPLOAD_ASK:
		on_asked(t, a);
		break;
	default:
		on_sent(t, a);
	}
}
