/* job/diff.c - `diff STATE UUID`, fd 4 = sealed memfd with an Envelope{ContainerReply}: what container UUID has changed of its files.
 * Result DiffReply, with `more` as many before the last as it takes. */
#include "job/job.h"

#include "base/buf.h"
#include "base/own.h"
#include "base/str.h"
#include "image/diff.h"
#include "job/list.h"
#include "job/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTAINER_FD   4
#define RECORD_CHANGES 512u
#define RECORD_BYTES   (48u << 10)

struct report {
	struct made made;
	Berth__FileChange change[RECORD_CHANGES], *list[RECORD_CHANGES];
	size_t n, bytes;
};

static int report_flush(struct report *rp, bool last, struct err *e)
{
	Berth__DiffReply reply = BERTH__DIFF_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	int r;

	reply.changes = rp->list;
	reply.n_changes = rp->n;
	env.body_case = BERTH__ENVELOPE__BODY_DIFF_REPLY;
	env.diff_reply = &reply;
	env.has_more = env.more = !last;
	r = report_send(&env, e);
	for (size_t i = 0; i < rp->n; i++)
		free(rp->change[i].path);
	rp->n = rp->bytes = 0;
	return r;
}

/* len bytes of UTF-8: of those that move a cursor or end a line (C0, DEL, and C1, U+0080 to U+009F)? */
static bool is_control(const char *c, size_t len)
{
	unsigned char first = (unsigned char)c[0];

	return first < 0x20 || first == 0x7f || (len == 2 && first == 0xc2 && (unsigned char)c[1] < 0xa0);
}

/* A name may be any bytes: a string of a record may not, and on a terminal or in a line of a list some would say what is not so. printf %b of bash
 * makes the name of it again, whatever it was. */
static char *path_text(const char *path)
{
	struct buf b;

	buf_init(&b, 0);
	buf_addc(&b, '/');
	for (size_t left = strlen(path), len; left; path += len, left -= len) {
		len = str_utf8_length(path, left);
		if (*path == '\\')
			buf_adds(&b, "\\\\");
		else if (len && !is_control(path, len))
			buf_add(&b, path, len);
		else
			for (size_t i = 0; i < (len ? len : 1); i++)
				buf_printf(&b, "\\x%02x", (unsigned char)path[i]);
		len = len ? len : 1;
	}
	return buf_take(&b);
}

static int on_change(void *arg, enum diff_kind kind, const char *path, struct err *e)
{
	static const Berth__FileChange__Kind kinds[] = {[DIFF_ADDED] = BERTH__FILE_CHANGE__KIND__ADDED,
							[DIFF_CHANGED] = BERTH__FILE_CHANGE__KIND__CHANGED,
							[DIFF_DELETED] = BERTH__FILE_CHANGE__KIND__DELETED};
	struct report *rp = arg;
	Berth__FileChange *c = &rp->change[rp->n];

	berth__file_change__init(c);
	c->has_kind = true;
	c->kind = kinds[kind];
	c->path = path_text(path);
	if (!c->path)
		return err_set(e, ENOMEM, "diff", "no memory");
	rp->list[rp->n++] = c;
	rp->bytes += strlen(c->path) + 8;
	return rp->n == RECORD_CHANGES || rp->bytes > RECORD_BYTES ? report_flush(rp, false, e) : 0;
}

static bool is_made(void *arg, const char *path)
{
	return made_has(&((struct report *)arg)->made, path);
}

static bool is_touched(void *arg, const char *path)
{
	return made_in(&((struct report *)arg)->made, path);
}

static int diff(const char *state, const char *uuid, const Berth__Container *c, struct report *rp, struct err *e)
{
	const struct diff_how how = {.put = on_change, .skip = is_made, .touched = is_touched, .arg = rp};
	AUTO_FREE char *path = NULL;
	int r;

	if (asprintf(&path, c->rootfs ? "%s/containers/%s/upper.%u" : "%s/containers/%s/upper", state, uuid,
		     c->rootfs) < 0)
		return err_set(e, ENOMEM, "diff", "no memory");
	AUTO_FD upper = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "diff", "%s", path); /* it never ran */
	r = stack_open_below(state, c, e);
	if (r < 0)
		return r;
	AUTO_FD lower = r;
	/* Only names and marks are looked at, no content: there is nothing foreign to parse. */
	r = confine_enter(
		&(struct confine){.caps = JOB_CAPS_READ | CAP_BIT(21) /* SYS_ADMIN: trusted.* */, .all_files = true},
		e);
	if (!r)
		r = made_find(&rp->made, c, upper, lower, e);
	return r ? r : tree_diff(&how, upper, lower, e);
}

int verb_diff(int argc, char **argv, struct err *e)
{
	Berth__Envelope *env = envelope_read(CONTAINER_FD, BERTH__ENVELOPE__BODY_CONTAINER_REPLY, "diff", e);
	struct report *rp = env ? calloc(1, sizeof *rp) : NULL;
	int r;

	(void)argc;
	if (!env)
		return -EBADMSG;
	r = !rp				      ? err_set(e, ENOMEM, "diff", "no memory")
	    : env->container_reply->container ? diff(argv[1], argv[2], env->container_reply->container, rp, e)
					      : err_set(e, EBADMSG, "diff", "no container");
	if (!r)
		r = report_flush(rp, true, e);
	if (rp)
		made_fini(&rp->made);
	free(rp);
	berth__envelope__free_unpacked(env, NULL);
	return r;
}
