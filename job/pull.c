/* job/pull.c - `pull STATE/images [KEY=VALUE]...`, fd 4 = sealed memfd with an Envelope{ImagePull}; result ImageReply.
 *
 * Two processes: berth-fetch has the network and nothing else, this one has the store and no network. What berth-fetch brings goes
 * into files that we gave it (image/partial.h) and is believed when its digest is right. Layers come side by side, and while one is
 * unpacked here the others go on coming there. KEY=VALUE is for berth-fetch. */
#include "job/fetcher.h"
#include "job/job.h"

#include "base/confine.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/own.h"
#include "image/blob.h"
#include "image/digest.h"
#include "image/intake.h"
#include "image/partial.h"
#include "image/space.h"
#include "proto/envelope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define REQUEST_MAX 65536
#define BUSY_MS	    200 /* how often a blob that another pull fetches is looked for */

enum part_state {
	PART_BUSY,    /* another pull has it in work */
	PART_ORDERED, /* berth-fetch has it in work */
	PART_CAME,    /* all bytes are there */
	PART_WHOLE,   /* verified */
	PART_BLOB,    /* the store had it */
	PART_FAILED,
};

struct part {			  /* a blob or a manifest of the image */
	char digest[DIGEST_SIZE]; /* "": what the reference names, until it is known */
	bool manifest;
	uint64_t size;
	enum part_state state;
	struct partial partial; /* of a manifest: an unnamed file */
	char type[128];
	bool again;	     /* its content was wrong once */
	unsigned number, of; /* layer 2 of 5 */
	struct err e;
};

struct pull {
	struct origin origin;
	struct intake in;
	struct image_store store;
	struct reference ref;
	struct fetcher fetcher;
	struct part **part; /* owned; its place is its number on the wire */
	unsigned n_parts;
};

/* ---------------------------------------------------------------- parts */

static void progress_of(struct pull *p, const struct part *part, const char *state, uint64_t at)
{
	struct image_progress report = {part->digest, state, at, part->size, NULL};

	if (part->digest[0])
		p->in.progress(p->in.arg, &report);
}

static struct part *part_new(struct pull *p, const char *digest, uint64_t size, bool manifest, struct err *e)
{
	struct part **more = realloc(p->part, (p->n_parts + 1) * sizeof(struct part *));
	struct part *part = more ? calloc(1, sizeof *part) : NULL;

	if (more)
		p->part = more;
	if (!part) {
		err_set(e, ENOMEM, "pull", "no memory");
		return NULL;
	}
	snprintf(part->digest, sizeof part->digest, "%s", digest);
	part->size = size;
	part->manifest = manifest;
	part->partial = PARTIAL_NULL;
	p->part[p->n_parts++] = part;
	return part;
}

static struct part *part_find(struct pull *p, const char *digest)
{
	for (unsigned i = 0; i < p->n_parts; i++)
		if (!strcmp(p->part[i]->digest, digest))
			return p->part[i];
	return NULL;
}

static int part_number(const struct pull *p, const struct part *part)
{
	for (unsigned i = 0; i < p->n_parts; i++)
		if (p->part[i] == part)
			return (int)i;
	return -1;
}

/* Gives it to berth-fetch, from where it stands. */
static int part_order(struct pull *p, struct part *part, struct err *e)
{
	struct fetch_order o = {.kind = part->manifest ? FETCH_MANIFEST : FETCH_BLOB,
				.at = part->partial.have,
				.size = part->size,
				.size_known = part->digest[0] != 0};
	int r;

	o.id = (uint32_t)part_number(p, part) + 1;
	snprintf(o.digest, sizeof o.digest, "%s", part->digest);
	r = fetcher_order(&p->fetcher, &o, part->partial.fd, e);
	if (r == 0)
		part->state = PART_ORDERED;
	return r;
}

static int manifest_begin(struct pull *p, struct part *part, struct err *e)
{
	part->partial.fd = openat(p->store.dir_fd, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (part->partial.fd < 0)
		return err_set(e, errno, "pull", "a file for the manifest");
	snprintf(part->partial.digest, sizeof part->partial.digest, "%s", part->digest);
	return part_order(p, part, e);
}

/* Where a blob may be: in the store, nearly here, in another pull's hands, or nowhere. */
static int blob_begin(struct pull *p, struct part *part, struct err *e)
{
	struct image_progress begun = {part->digest, "downloading", 0, part->size, NULL};
	struct space space = {.fd = p->store.dir_fd};
	char text[2][32];
	int r;

	if (blob_is_there(&p->store, part->digest, part->size)) {
		partial_close(&part->partial);
		part->state = PART_BLOB;
		progress_of(p, part, "exists", part->size);
		return 0;
	}
	r = partial_open(&p->store, part->digest, part->size, &part->partial, e);
	if (r == -EWOULDBLOCK) {
		if (part->state != PART_BUSY || !part->of)
			progress_of(p, part, "waiting", 0);
		part->state = PART_BUSY;
		return 0;
	}
	if (r < 0)
		return r;
	if (part->partial.whole) {
		part->state = PART_WHOLE;
		return 0;
	}
	if (part->partial.have == part->size) {
		part->state = PART_CAME;
		return 0;
	}
	if ((r = space_check(&space, part->size - part->partial.have, e)) < 0)
		return r;
	begun.at = part->partial.have;
	if (part->partial.have)
		intake_say_of(&p->in, &begun, "layer %u of %u: pulling %s, going on at %s", part->number, part->of,
			      size_text(part->size, text[0]), size_text(part->partial.have, text[1]));
	else if (part->of)
		intake_say_of(&p->in, &begun, "layer %u of %u: pulling %s", part->number, part->of,
			      size_text(part->size, text[0]));
	return part_order(p, part, e);
}

/* ---------------------------------------------------------------- news of berth-fetch */

static int news_take(struct pull *p, struct fetch_news *n, struct err *e)
{
	struct part *part = n->id >= 1 && n->id <= p->n_parts ? p->part[n->id - 1] : NULL;

	if (n->state == FETCH_SAID) {
		intake_say(&p->in, "%s", n->text);
		return 0;
	}
	if (n->state == FETCH_FAILED && !part) /* it could not even begin */
		return err_set(e, n->code > 0 ? n->code : 0, "pull", "%s", n->text);
	if (!part || part->state != PART_ORDERED || n->at > part->size)
		return err_set(e, EPROTO, "pull", "berth-fetch speaks nonsense");
	switch (n->state) {
	case FETCH_MOVED:
		part->partial.have = n->at;
		progress_of(p, part, "downloading", n->at);
		return 0;
	case FETCH_DONE:
		part->state = PART_CAME;
		part->partial.have = n->at;
		snprintf(part->type, sizeof part->type, "%s", n->type);
		progress_of(p, part, "downloaded", n->at);
		return 0;
	case FETCH_FAILED:
		part->state = PART_FAILED;
		err_set(&part->e, n->code > 0 ? n->code : 0, STEP_REGISTRY, "%s", n->text);
		return 0;
	default:
		return err_set(e, EPROTO, "pull", "berth-fetch speaks nonsense");
	}
}

/* What has come, without waiting. */
static int news_read(struct pull *p, struct err *e)
{
	for (;;) {
		struct fetch_news n;
		int r = fetcher_news(&p->fetcher, &n, e);

		if (r <= 0 || (r = news_take(p, &n, e)) < 0)
			return r;
	}
}

static int news_wait(struct pull *p, int timeout_ms, struct err *e)
{
	int r = fetcher_wait(&p->fetcher, timeout_ms, e);

	return r < 0 ? r : news_read(p, e);
}

/* ---------------------------------------------------------------- until a part is there */

/* Wrong bytes: once more from the beginning, because what an earlier pull left may be to blame. */
static int part_verify(struct pull *p, struct part *part, struct err *e)
{
	int r = partial_verify(&part->partial, part->size, e);

	if (r == 0) {
		part->state = PART_WHOLE;
		return 0;
	}
	if (r != -EBADMSG || part->again)
		return r;
	part->again = true;
	intake_say(&p->in, "%s; once more", e->text);
	return part_order(p, part, e);
}

static int part_step(struct pull *p, struct part *part, struct err *e)
{
	switch (part->state) {
	case PART_BUSY:
		return blob_begin(p, part, e);
	case PART_CAME:
		return part_verify(p, part, e);
	case PART_FAILED:
		if (e)
			*e = part->e;
		return part->e.code ? -part->e.code : -EINVAL;
	default:
		return 0;
	}
}

static int part_wait(struct pull *p, struct part *part, struct err *e)
{
	int r = news_read(p, e);

	while (r == 0 && (r = part_step(p, part, e)) == 0) {
		if (part->state == PART_WHOLE || part->state == PART_BLOB)
			return 0;
		if (part->state == PART_ORDERED || part->state == PART_BUSY)
			r = news_wait(p, part->state == PART_BUSY ? BUSY_MS : -1, e);
	}
	return r;
}

/* ---------------------------------------------------------------- the origin of an intake */

static int registry_open(struct origin *o, const struct oci_descriptor *d, struct source_part *ret, struct err *e)
{
	struct pull *p = container_of(o, struct pull, origin);
	bool manifest = oci_is_index(d->media_type) || oci_is_manifest(d->media_type);
	struct part *part = part_find(p, d->digest);
	int r = 0;

	if (!part) {
		part = part_new(p, d->digest, d->size, manifest, e);
		r = part ? manifest ? manifest_begin(p, part, e) : blob_begin(p, part, e) : -ENOMEM;
	}
	if (r < 0 || (r = part_wait(p, part, e)) < 0)
		return r;
	if (part->size != d->size)
		return err_set(e, 0, "pull", "%s has two sizes in one image", d->digest);
	if (part->state == PART_BLOB)
		return blob_part(&p->store, part->digest, ret, e);
	*ret = (struct source_part){.fd = part->partial.fd, .length = part->size};
	return 0;
}

static int layer_refuse(const struct oci_descriptor *d, struct err *e)
{
	if (!oci_is_foreign(d->media_type) && !d->elsewhere)
		return 0;
	return err_set(e, 0, "pull", "%s is not in the registry but elsewhere (a foreign layer): refused", d->digest);
}

static int registry_expect(struct origin *o, const struct oci_descriptor *d, unsigned n, struct err *e)
{
	struct pull *p = container_of(o, struct pull, origin);
	struct space space = {.fd = p->store.dir_fd};
	uint64_t total = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = layer_refuse(&d[i], e);
		if (r == 0 && d[i].size > UINT64_MAX - total)
			r = err_set(e, ENOSPC, "pull", "layers larger than any disk");
		total += d[i].size;
	}
	if (r == 0)
		r = space_check(&space, total, e);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		struct part *part = part_find(p, d[i].digest);

		if (part)
			continue;
		part = part_new(p, d[i].digest, d[i].size, false, e);
		if (!part)
			return -ENOMEM;
		part->number = i + 1;
		part->of = n;
		r = blob_begin(p, part, e);
	}
	return r;
}

static void on_progress(void *arg, const struct image_progress *progress)
{
	struct pull *p = arg;

	report_progress(progress);
	/* While a layer is unpacked: what else is on its way is told too. What is wrong with it is said when it is waited for. */
	if (progress->state && !strcmp(progress->state, "unpacking"))
		(void)news_read(p, NULL);
}

/* ---------------------------------------------------------------- the image */

/* The registry's word for it and the document's own must agree: else two readers could take it for two things. */
static int type_check(const struct part *part, const char *type, struct err *e)
{
	if ((oci_is_index(part->type) || oci_is_manifest(part->type)) && strcmp(part->type, type))
		return err_set(e, 0, "pull", "the registry calls it %s, it calls itself %s: refused", part->type, type);
	return 0;
}

/* What the reference names, as a descriptor. */
static int root_get(struct pull *p, struct oci_descriptor *ret, struct err *e)
{
	struct part *part = part_new(p, "", OCI_JSON_MAX, true, e);
	AUTO_FREE char *json = NULL;
	char digest[DIGEST_SIZE];
	struct source_part from;
	size_t len;
	int r;

	if (!part)
		return -ENOMEM;
	if ((r = manifest_begin(p, part, e)) < 0)
		return r;
	while (r == 0 && part->state == PART_ORDERED)
		r = news_wait(p, -1, e);
	if (r == 0 && part->state == PART_FAILED)
		r = part_step(p, part, e);
	if (r < 0)
		return r;
	from = (struct source_part){.fd = part->partial.fd, .length = part->partial.have};
	if ((r = source_part_read(&from, OCI_JSON_MAX, &json, &len, e)) < 0)
		return r;
	digest_of(json, len, digest);
	if (p->ref.digest[0] && strcmp(p->ref.digest, digest))
		return err_set(e, 0, "pull", "asked for %s, the registry gave %s: damaged or forged", p->ref.digest,
			       digest);
	*ret = (struct oci_descriptor){.size = len};
	if ((r = oci_document_type(json, len, ret->media_type, e)) < 0 ||
	    (r = type_check(part, ret->media_type, e)) < 0)
		return r;
	memcpy(ret->digest, digest, sizeof digest);
	memcpy(part->digest, digest, sizeof digest);
	memcpy(part->partial.digest, digest, sizeof digest);
	part->size = len;
	part->state = PART_WHOLE;
	return 0;
}

/* All of it is there: now it becomes an image's. */
static int parts_keep(struct pull *p, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->n_parts; i++) {
		struct part *part = p->part[i];
		struct source_part from = {.fd = part->partial.fd, .length = part->size};

		if (part->state == PART_BLOB || part->partial.fd < 0)
			continue;
		if (part->manifest)
			r = blob_put(&p->store, &from, part->digest, NULL, e);
		else
			r = partial_keep(&p->store, &part->partial, e);
	}
	return r;
}

/* What the store had may be to blame. */
static void blobs_suspect(struct pull *p, struct err *e)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_parts; i++)
		n += p->part[i]->state == PART_BLOB && blob_look_damaged(&p->store, p->part[i]->digest);
	if (n)
		err_wrap(e, "%u blob%s in the store %s damaged, and the next pull brings %s anew", n, n > 1 ? "s" : "",
			 n > 1 ? "are" : "is", n > 1 ? "them" : "it");
}

static int image_get(struct pull *p, struct err *e)
{
	struct oci_descriptor root;
	int r;

	intake_say(&p->in, "pulling %s", p->in.name);
	if ((r = root_get(p, &root, e)) < 0)
		return r;
	if ((r = intake_descriptor(&p->in, &root, p->in.name, e)) < 0) {
		blobs_suspect(p, e);
		return r;
	}
	if (!p->in.n_images)
		return err_set(e, 0, "pull", "%s has no layers: there is nothing to run", p->in.name);
	return parts_keep(p, e);
}

/* ---------------------------------------------------------------- the verb */

static int request_read(struct pull *p, struct err *e)
{
	struct wire_fds none = {.n = 0};
	Berth__Envelope *env;
	const Berth__ImagePull *rq;
	const void *data;
	size_t len;
	int r = memfd_map(FETCHER_REQUEST_FD, REQUEST_MAX, &data, &len);

	if (r < 0)
		return err_set(e, -r, "pull", "the request");
	env = envelope_unpack(data, len, &none);
	munmap((void *)data, len);
	rq = env && env->body_case == BERTH__ENVELOPE__BODY_IMAGE_PULL ? env->image_pull : NULL;
	r = rq && rq->name ? reference_canonical(rq->name, p->in.name, e) : err_set(e, EBADMSG, "pull", "the request");
	if (r == 0)
		r = reference_split(p->in.name, &p->ref, e);
	if (r == 0 && rq->platform && *rq->platform)
		r = platform_parse(rq->platform, p->in.architecture, p->in.variant, e);
	if (rq && rq->auth && rq->auth->password)
		explicit_bzero(rq->auth->password, strlen(rq->auth->password)); /* berth-fetch has its own copy */
	if (env)
		berth__envelope__free_unpacked(env, NULL);
	return r;
}

static void pull_fini(struct pull *p)
{
	for (unsigned i = 0; i < p->n_parts; i++) {
		partial_close(&p->part[i]->partial);
		free(p->part[i]);
	}
	free(p->part);
	fetcher_fini(&p->fetcher);
	image_store_close(&p->store);
}

static int pull_run(struct pull *p, int argc, char **argv, struct err *e)
{
	Berth__Image **image;
	size_t n;
	int r;

	if ((r = request_read(p, e)) < 0 || (r = fetcher_start(&p->fetcher, argc, argv, e)) < 0)
		return r;
	r = confine_enter(&(struct confine){.caps = JOB_CAPS_UNPACK, .write_dir = argv[1]}, e);
	if (r < 0 || (r = image_store_open(&p->store, argv[1], e)) < 0 || (r = image_store_share(&p->store, e)) < 0)
		return r;
	for (int i = 2; i < argc; i++)
		(void)image_store_limit(&p->store, argv[i]); /* the other words are berth-fetch's */
	r = image_get(p, e);
	if (r < 0)
		return r;
	intake_end(&p->in, &image, &n);
	r = report_images(image, n, e);
	for (size_t i = 0; i < n; i++)
		berth__image__free_unpacked(image[i], NULL);
	free(image);
	return r;
}

int verb_pull(int argc, char **argv, struct err *e)
{
	struct pull p = {.origin = {.open = registry_open, .expect = registry_expect}, .fetcher = FETCHER_NULL};
	int r = dir_make(AT_FDCWD, argv[1], 0700);

	if (r < 0)
		return err_set(e, r, "pull", "%s", argv[1]);
	p.store = (struct image_store){.dir_fd = -1, .lock_fd = -1};
	intake_init(&p.in, &p.store, &p.origin, on_progress, &p);
	r = pull_run(&p, argc, argv, e);
	if (r < 0)
		err_wrap(e, "%s", p.in.name[0] ? p.in.name : "pull");
	intake_end(&p.in, NULL, NULL);
	pull_fini(&p);
	return r;
}
