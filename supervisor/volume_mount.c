/* supervisor/volume_mount.c - volumes that are file systems of their own, while they are one: see supervisor/volume.h.
 *
 * What is to be done with one follows from what it is and who wants it (volume_step), so it does not matter in which order ends,
 * starts and requests come; each step is a job (job/volume.c), and the end of a job is the next look. berthd holds the namespace that all
 * of them are mounted in, and hands a copy to each shim that needs it: with that a berthd that comes back goes on. */
#include "supervisor/volume.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "supervisor/container.h"
#include "supervisor/copy.h"
#include "supervisor/fill.h"
#include "supervisor/job.h"
#include "supervisor/pod.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define AGAIN_NS   (1 * NS_PER_S)   /* after an unmount that failed */
#define MOUNT_NS   (60 * NS_PER_S)  /* a journal may have to be read first */
#define UNMOUNT_NS (600 * NS_PER_S) /* what is in memory goes to the disk */
#define TMPFS_MODE 01777

enum work_kind { WORK_MAKE, WORK_MOUNT, WORK_UNMOUNT, WORK_GROW };

struct work {
	struct supervisor *sv;
	char uuid[UUID_SIZE];
	enum work_kind kind;
	uint64_t size;
	bool done, unfinished, makes_namespace;
	struct err failure;
};

/* ---------------------------------------------------------------- who wants it */

/* A pod's members come and go one after the other; what one left for the next is there as long as the pod's namespaces are. */
static bool container_needs(const struct container *c)
{
	Berth__ContainerState s = container_state(c);

	return container_has_process(c) || c->held || !list_empty(&c->copies) ||
	       s == BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF ||
	       s == BERTH__CONTAINER_STATE__CONTAINER_STATE_UNKNOWN ||
	       (!c->pod->obj->implicit && !c->pod->removing &&
		(c->pod->state == POD_STARTING || c->pod->state == POD_READY));
}

static bool is_needed(const struct volume *v)
{
	struct table_node *n;

	list_each (n, &v->sv->containers.all, link) {
		const struct container *c = container_of(n, struct container, node);

		if (container_needs(c) && volume_is_used_by(v, c))
			return true;
	}
	return false;
}

void volume_wake(struct supervisor *sv, const struct volume *v, const struct err *failure)
{
	struct err why = failure ? *failure : (struct err){0};
	struct table_node *n;

	why.code = 0; /* the job's text has it already */
	list_each (n, &sv->containers.all, link) {
		struct container *c = container_of(n, struct container, node);
		bool fails = failure && volume_is_used_by(v, c);

		copies_go_on(c, fails ? &why : NULL);
		if (!c->fill_waits)
			continue;
		c->fill_waits = false;
		if (fails) {
			c->failure = why;
			container_post(c, EV_FAILED);
		} else {
			container_post(c, EV_FILLED);
		}
	}
}

/* ---------------------------------------------------------------- the namespace */

static bool is_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A second one can be there when a shim answered so late that a volume was mounted meanwhile: it goes with that shim. */
void volume_namespace_adopt(struct supervisor *sv, int fd)
{
	struct table_node *n;

	if (sv->volume_ns_fd >= 0) {
		if (!is_same(fd, sv->volume_ns_fd))
			log_warn("a shim has another mount namespace of volumes: what is only there is not shared");
		close(fd);
		return;
	}
	sv->volume_ns_fd = fd;
	list_each (n, &sv->volumes.all, link)
		if (volume_is_mountable(volume_of(n)))
			volume_of(n)->mounted = VOLUME_UNSURE;
	volume_tidy_soon(sv);
}

void volume_mount_fini(struct supervisor *sv)
{
	timer_del(&sv->volume_tidy);
	close_fd(&sv->volume_ns_fd);
}

/* ---------------------------------------------------------------- the jobs */

static void on_tidy(struct timer *t);
static void step_all(struct supervisor *sv);

static void on_work_record(void *arg, const Berth__Envelope *env)
{
	struct work *w = arg;

	w->done = env->body_case == BERTH__ENVELOPE__BODY_DONE;
	w->unfinished = w->done && env->done->text && !strcmp(env->done->text, "unfinished");
	if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
		err_set(&w->failure, env->error->sys_errno, "volume", "%s", env->error->text ? env->error->text : "");
}

static void on_work_fd(void *arg, int fd)
{
	struct work *w = arg;

	if (w->sv->volume_ns_fd >= 0)
		close(fd);
	else
		w->sv->volume_ns_fd = fd;
}

static void on_grown(struct volume *v, const struct work *w)
{
	struct parked p = v->growth;

	v->grow_to = 0;
	v->growth = (struct parked){0};
	if (!w->done) {
		reply_err(v->sv, p, error_code_of(&w->failure), &w->failure);
		return;
	}
	SET(v->obj, size_bytes, w->size);
	v->obj->meta->revision = supervisor_next_revision(v->sv);
	v->obj->meta->updated_at = wall_ns();
	/* Of a row that is not written the size is stale, and growing to it again mends that. */
	if (store_put(v->sv->store, STORE_VOLUME, v->obj->meta, &v->obj->base, true, NULL, NULL) < 0)
		log_warn("the size of volume %s could not be written down", v->obj->meta->name);
	watch_publish(v->sv, "volume", "update", v->obj->meta, NULL, NULL);
	volume_reply(v->sv, p, &v->obj, 1);
}

static void on_mounted(struct volume *v, const struct work *w)
{
	v->wanted = false;
	if (!w->done) {
		volume_wake(v->sv, v, &w->failure);
		return;
	}
	v->mounted = VOLUME_MOUNTED;
	if (w->unfinished)
		fill_finish(v->sv, v->node.uuid);
}

static void on_unmounted(struct volume *v, const struct work *w)
{
	if (w->done) {
		v->mounted = VOLUME_UNMOUNTED;
	} else if (v->leaving) {
		volume_unmounted_for_good(v, &w->failure);
	} else {
		log_err(&w->failure, "unmount volume %s", v->obj->meta->name);
		(void)timer_in(&v->sv->loop, &v->sv->volume_tidy, AGAIN_NS, on_tidy);
	}
}

static void on_work_done(void *arg, int status)
{
	struct work *w = arg;
	struct supervisor *sv = w->sv;
	struct table_node *n = table_find(&sv->volumes, w->uuid);
	struct volume *v = n ? volume_of(n) : NULL;

	if (w->makes_namespace)
		sv->volume_ns_making = false;
	if (!w->done && !w->failure.text[0])
		err_set(&w->failure, 0, "volume", "its job ended with status %d", status);
	if (!w->done)
		err_wrap(&w->failure, "volume %s", v ? v->obj->meta->name : w->uuid);
	if (v) {
		v->job = NULL;
		switch (w->kind) {
		case WORK_MAKE:
			volume_made(v, w->done ? NULL : &w->failure);
			v = w->done ? v : NULL;
			break;
		case WORK_MOUNT:
			on_mounted(v, w);
			break;
		case WORK_UNMOUNT:
			on_unmounted(v, w);
			break;
		case WORK_GROW:
			on_grown(v, w);
			break;
		}
	}
	if (v && !(w->kind == WORK_UNMOUNT && !w->done)) /* that is tried again later */
		volume_step(v);
	if (w->makes_namespace)
		step_all(sv);
	volume_wake(sv, NULL, NULL);
	free(w);
}

static int work_start(struct volume *v, enum work_kind kind, const char *const *argv, bool with_namespace,
		      uint64_t deadline_ns, struct err *e)
{
	static const struct job_ops ops = {.record = on_work_record, .done = on_work_done, .fd = on_work_fd};
	struct supervisor *sv = v->sv;
	struct work *w = calloc(1, sizeof *w);
	unsigned n_fds = with_namespace && sv->volume_ns_fd >= 0;
	int r;

	if (!w)
		return err_set(e, ENOMEM, "volume", "no memory");
	w->sv = sv;
	w->kind = kind;
	w->size = v->grow_to;
	snprintf(w->uuid, sizeof w->uuid, "%s", v->node.uuid);
	r = job_start(sv, argv, &sv->volume_ns_fd, n_fds, deadline_ns, &ops, w, &v->job, e);
	if (r < 0) {
		free(w);
		return r;
	}
	if (kind == WORK_MOUNT && !n_fds)
		sv->volume_ns_making = w->makes_namespace = true;
	return 0;
}

static void volumes_dir(const struct supervisor *sv, char *buf, size_t size)
{
	snprintf(buf, size, "%s/volumes", sv->cfg.state_dir);
}

static int make_or_grow(struct volume *v, enum work_kind kind, uint64_t bytes, struct err *e)
{
	char dir[256], size[24];
	const char *argv[] = {kind == WORK_MAKE ? "volume-make" : "volume-grow", dir, v->node.uuid, size, NULL};

	volumes_dir(v->sv, dir, sizeof dir);
	snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
	return work_start(v, kind, argv, false, 0, e);
}

int volume_make_begin(struct volume *v, struct err *e)
{
	return make_or_grow(v, WORK_MAKE, v->obj->size_bytes, e);
}

static int mount_begin(struct volume *v, struct err *e)
{
	const Berth__Volume *obj = v->obj;
	char dir[256], size[24], mode[16], uid[16], gid[16];
	const char *argv[] = {"volume-mount", dir, v->node.uuid, "sized", size, mode, uid, gid, NULL};

	if (obj->driver == BERTH__VOLUME__DRIVER__TMPFS)
		argv[3] = "tmpfs";
	volumes_dir(v->sv, dir, sizeof dir);
	snprintf(size, sizeof size, "%llu", (unsigned long long)obj->size_bytes);
	snprintf(mode, sizeof mode, "%o", obj->has_mode ? obj->mode : TMPFS_MODE);
	snprintf(uid, sizeof uid, "%u", obj->uid);
	snprintf(gid, sizeof gid, "%u", obj->gid);
	return work_start(v, WORK_MOUNT, argv, true, MOUNT_NS, e);
}

static int unmount_begin(struct volume *v, struct err *e)
{
	const char *argv[] = {"volume-unmount", v->node.uuid, NULL};

	return work_start(v, WORK_UNMOUNT, argv, true, UNMOUNT_NS, e);
}

/* ---------------------------------------------------------------- the next step */

static void mount_step(struct volume *v)
{
	struct err e = {0};

	if (v->sv->volume_ns_fd < 0 && v->sv->volume_ns_making)
		return; /* there is one namespace: when it is there all are looked at again */
	if (mount_begin(v, &e) == 0)
		return;
	v->wanted = false;
	volume_wake(v->sv, v, &e);
}

static void unmount_step(struct volume *v)
{
	struct err e = {0};

	if (unmount_begin(v, &e) == 0)
		return;
	if (v->leaving)
		volume_unmounted_for_good(v, &e);
	else
		log_err(&e, "unmount volume %s", v->obj->meta->name);
}

static void grow_step(struct volume *v)
{
	struct work failed = {.kind = WORK_GROW};

	if (make_or_grow(v, WORK_GROW, v->grow_to, &failed.failure) < 0)
		on_grown(v, &failed);
}

void volume_step(struct volume *v)
{
	bool mounted = v->mounted != VOLUME_UNMOUNTED;

	if (!volume_is_mountable(v) || v->job || v->filling)
		return;
	if (v->leaving && mounted)
		unmount_step(v);
	else if (v->leaving)
		volume_unmounted_for_good(v, NULL);
	else if (v->removing)
		return;
	else if (v->grow_to)
		grow_step(v);
	else if (v->wanted && v->mounted != VOLUME_MOUNTED)
		mount_step(v);
	else if (mounted && !is_needed(v))
		unmount_step(v);
	else if (v->mounted == VOLUME_UNSURE) /* it is, most likely: then this says so */
		mount_step(v);
}

static void step_all(struct supervisor *sv)
{
	struct table_node *n;

	list_each (n, &sv->volumes.all, link) /* none of them is freed by its step */
		volume_step(volume_of(n));
}

static void on_tidy(struct timer *t)
{
	struct supervisor *sv = container_of(t, struct supervisor, volume_tidy);

	/* Before all shims have answered nobody knows what runs. */
	if (sv->recover)
		(void)timer_in(&sv->loop, t, AGAIN_NS, on_tidy);
	else
		step_all(sv);
}

void volume_tidy_soon(struct supervisor *sv)
{
	if (sv->volume_ns_fd >= 0 && !timer_armed(&sv->volume_tidy))
		(void)timer_in(&sv->loop, &sv->volume_tidy, 0, on_tidy); /* without memory: with the next end */
}

int volume_want(struct volume *v)
{
	if (!volume_is_mountable(v) || (v->mounted == VOLUME_MOUNTED && !v->job))
		return 1;
	v->wanted = true;
	volume_step(v);
	return 0;
}
