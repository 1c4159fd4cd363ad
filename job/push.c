/* job/push.c - `push STATE/images [KEY=VALUE]...`, fd 4 = sealed memfd with an Envelope{ImagePush}, whose ref is the manifest's digest;
 * result Done with that digest.
 *
 * As for a pull two processes: berth-fetch has the network, and of the disk the blobs that it is handed, open for reading. This one
 * may read the store's blobs, and has no network. The manifest goes last: a registry that has it has all that it names. */
#include "job/fetcher.h"
#include "job/job.h"

#include "base/file.h"
#include "base/own.h"
#include "image/blob.h"
#include "image/content.h"
#include "image/intake.h"
#include "proto/envelope.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define REQUEST_MAX 65536
#define MANIFEST_ID 0xffffu

struct push {
	struct image_store store;
	struct content content;
	struct fetcher fetcher;
	char name[REFERENCE_SIZE], manifest_digest[DIGEST_SIZE], from[256];
	struct source_part manifest;
	unsigned n_left; /* orders that have not ended */
};

/* ---------------------------------------------------------------- telling */

static void tell(const struct oci_descriptor *d, const char *state, uint64_t at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void tell(const struct oci_descriptor *d, const char *state, uint64_t at, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	report_progress(
		&(struct image_progress){d ? d->digest : NULL, state, at, d ? d->size : 0, *text ? text : NULL});
}

/* "layer 2 of 5", "config", "manifest" */
static const char *what_it_is(const struct push *p, unsigned id, char buf[48])
{
	if (id == MANIFEST_ID)
		snprintf(buf, 48, "manifest");
	else if (id == 1)
		snprintf(buf, 48, "config");
	else
		snprintf(buf, 48, "layer %u of %u", id - 1, p->content.n_blobs - 1);
	return buf;
}

static const struct oci_descriptor *descriptor_of(const struct push *p, unsigned id)
{
	return id == MANIFEST_ID ? &p->content.root : &p->content.blob[id - 1].d;
}

/* ---------------------------------------------------------------- orders and their ends */

static int order(struct push *p, unsigned id, enum fetch_kind kind, int fd, struct err *e)
{
	const struct oci_descriptor *d = descriptor_of(p, id);
	struct fetch_order o = {.kind = kind, .id = id, .size = d->size, .size_known = true};

	snprintf(o.digest, sizeof o.digest, "%s", d->digest);
	snprintf(o.type, sizeof o.type, "%s", d->media_type);
	snprintf(o.from, sizeof o.from, "%s", p->from);
	p->n_left++;
	return fetcher_order(&p->fetcher, &o, fd, e);
}

/* A registry that says that a blob is not what its digest says may be right. */
static int blame(struct push *p, const struct fetch_news *n, struct err *e)
{
	char what[48];

	if (n->code == EPROTO && n->id != MANIFEST_ID && content_verify(&p->content.blob[n->id - 1], e) == -EBADMSG)
		return -EBADMSG;
	err_set(e, n->code > 0 ? n->code : 0, STEP_REGISTRY, "%s", n->text);
	return n->id > 1 && n->id != MANIFEST_ID ? err_wrap(e, "%s", what_it_is(p, n->id, what)) : -EINVAL;
}

static int news_take(struct push *p, const struct fetch_news *n, struct err *e)
{
	const struct oci_descriptor *d;
	char what[48], size[32];

	if (n->state == FETCH_SAID) {
		tell(NULL, NULL, 0, "%s", n->text);
		return 0;
	}
	if (n->state == FETCH_FAILED && !n->id) /* it could not even begin */
		return err_set(e, n->code > 0 ? n->code : 0, "push", "%s", n->text);
	if (!n->id || (n->id > p->content.n_blobs && n->id != MANIFEST_ID))
		return err_set(e, EPROTO, "push", "berth-fetch speaks nonsense");
	d = descriptor_of(p, n->id);
	switch (n->state) {
	case FETCH_MOVED:
		tell(d, "uploading", n->at > d->size ? d->size : n->at, "%s", "");
		return 0;
	case FETCH_DONE:
		if (!p->n_left)
			return err_set(e, EPROTO, "push", "berth-fetch speaks nonsense");
		p->n_left--;
		what_it_is(p, n->id, what);
		if (!strcmp(n->type, FETCH_EXISTED))
			tell(d, "exists", d->size, "%s: is there already", what);
		else if (!strcmp(n->type, FETCH_MOUNTED))
			tell(d, "mounted", d->size, "%s: taken over from %s", what, p->from);
		else
			tell(d, "complete", d->size, "%s: pushed %s", what, size_text(d->size, size));
		return 0;
	case FETCH_FAILED:
		return blame(p, n, e);
	default:
		return err_set(e, EPROTO, "push", "berth-fetch speaks nonsense");
	}
}

static int orders_wait(struct push *p, struct err *e)
{
	int r = 0;

	while (r >= 0 && p->n_left) {
		struct fetch_news n;

		r = fetcher_news(&p->fetcher, &n, e);
		if (r > 0)
			r = news_take(p, &n, e);
		else if (r == 0)
			r = fetcher_wait(&p->fetcher, -1, e);
	}
	return r;
}

static int image_send(struct push *p, struct err *e)
{
	int r = content_open(&p->store, p->manifest_digest, &p->content, e);

	if (r == 0)
		r = blob_part(&p->store, p->manifest_digest, &p->manifest, e);
	if (r < 0)
		return r;
	tell(NULL, NULL, 0, "pushing %s", p->name);
	for (unsigned i = 0; r == 0 && i < p->content.n_blobs; i++) {
		tell(&p->content.blob[i].d, "waiting", 0, "%s", "");
		r = order(p, i + 1, FETCH_PUT_BLOB, p->content.blob[i].part.fd, e);
	}
	if (r == 0)
		r = orders_wait(p, e);
	if (r == 0)
		r = order(p, MANIFEST_ID, FETCH_PUT_MANIFEST, p->manifest.fd, e);
	return r == 0 ? orders_wait(p, e) : r;
}

/* ---------------------------------------------------------------- the verb */

static int request_read(struct push *p, struct err *e)
{
	struct wire_fds none = {.n = 0};
	Berth__Envelope *env;
	const Berth__ImagePush *rq;
	const void *data;
	size_t len;
	int r = memfd_map(FETCHER_REQUEST_FD, REQUEST_MAX, &data, &len);

	if (r < 0)
		return err_set(e, -r, "push", "the request");
	env = envelope_unpack(data, len, &none);
	munmap((void *)data, len);
	rq = env && env->body_case == BERTH__ENVELOPE__BODY_IMAGE_PUSH ? env->image_push : NULL;
	r = rq && rq->ref && rq->destination ? reference_canonical(rq->destination, p->name, e)
					     : err_set(e, EBADMSG, "push", "the request");
	if (r == 0) {
		snprintf(p->manifest_digest, sizeof p->manifest_digest, "%s", rq->ref);
		snprintf(p->from, sizeof p->from, "%s", rq->mount_from ? rq->mount_from : "");
	}
	if (rq && rq->auth && rq->auth->password)
		explicit_bzero(rq->auth->password, strlen(rq->auth->password)); /* berth-fetch has its own copy */
	if (env)
		berth__envelope__free_unpacked(env, NULL);
	return r;
}

static int push_run(struct push *p, int argc, char **argv, struct err *e)
{
	AUTO_FD blobs = -1;
	int r;

	if ((r = request_read(p, e)) < 0 || (r = fetcher_start(&p->fetcher, argc, argv, e)) < 0 ||
	    (r = content_store_open(&p->store, argv[1], &blobs, e)) < 0 ||
	    (r = confine_enter(&(struct confine){.read_fd = blobs}, e)) < 0)
		return r;
	r = image_send(p, e);
	return r < 0 ? r : report_done(p->content.root.digest, e);
}

int verb_push(int argc, char **argv, struct err *e)
{
	struct push p = {.fetcher = FETCHER_NULL, .store = {.dir_fd = -1, .lock_fd = -1}, .manifest = {.fd = -1}};
	int r = push_run(&p, argc, argv, e);

	if (r < 0)
		err_wrap(e, "%s", p.name[0] ? p.name : "push");
	content_close(&p.content);
	source_part_close(&p.manifest);
	fetcher_fini(&p.fetcher);
	image_store_close(&p.store);
	return r;
}
