/* supervisor/recover.c - see supervisor/recover.h
 *
 * Level-triggered, as everything here: it does not matter how berthd ended. Three lists are compared: rows, sockets in RUN/shims,
 * groups below the root. A row with a living shim goes on untouched; a row that should have one and has none goes through the
 * same door as a container whose shim just died; a shim or a group without a row is killed. */
#include "supervisor/recover.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "supervisor/audit.h"
#include "supervisor/commit.h"
#include "supervisor/container.h"
#include "supervisor/pod.h"
#include "supervisor/rebuild.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define S(name)	    BERTH__CONTAINER_STATE__CONTAINER_STATE_##name
#define QUIET_NS    (500 * NS_PER_MS) /* nobody has answered for so long: the rest does not answer */
#define DEADLINE_NS (10 * NS_PER_S)

struct recover {
	unsigned waiting; /* shims that were asked and have not answered */
	struct timer quiet;
	uint64_t deadline_ns;
	struct supervisor *sv;
	struct list strangers; /* of struct stranger.link */
	bool rebooted;
	unsigned adopted, settled;
};

static void on_quiet(struct timer *t)
{
	loop_stop(&container_of(t, struct recover, quiet)->sv->loop, 0);
}

void recover_answered(struct supervisor *sv)
{
	struct recover *rc = sv->recover;

	if (!rc)
		return;
	if (--rc->waiting == 0 || now_ns() > rc->deadline_ns)
		loop_stop(&sv->loop, 0);
	else
		timer_in(&sv->loop, &rc->quiet, QUIET_NS, on_quiet);
}

/* ---------------------------------------------------------------- strangers */

static void stranger_hello(void *owner, const Shim__ShimHello *h, int *container_pidfd)
{
	struct stranger *s = owner;

	shimlink_kill(s->shim);
}

/* Whatever it still has to say is about a container that nobody knows. */
static void stranger_message(void *owner, const Shim__ShimMessage *m, int *container_pidfd)
{
}

static void stranger_gone(void *owner)
{
	struct stranger *s = owner;
	struct supervisor *sv = s->sv;
	char path[160];

	path_shim(sv, s->uuid, path, sizeof path);
	unlink(path);
	path_exit(sv, s->uuid, path, sizeof path);
	unlink(path);
	shimlink_free(s->shim);
	list_del(&s->link);
	free(s);
}

static const struct shimlink_ops stranger_ops = {
	.hello = stranger_hello, .message = stranger_message, .gone = stranger_gone};

static void stranger_meet(struct supervisor *sv, const char *uuid)
{
	struct stranger *s = calloc(1, sizeof *s);
	char path[160];

	if (!s)
		return;
	s->sv = sv;
	memcpy(s->uuid, uuid, sizeof s->uuid);
	list_push(&sv->strangers, &s->link);
	if (shimlink_adopt(sv, uuid, &stranger_ops, s, &s->shim) == 0) {
		log_warn("a shim that belongs to no container is ended: %s", uuid);
		return;
	}
	list_del(&s->link);
	free(s);
	path_shim(sv, uuid, path, sizeof path);
	unlink(path);
}

/* ---------------------------------------------------------------- connecting to those that live */

static void adopt_container(struct recover *rc, struct container *c)
{
	int r = shimlink_adopt(rc->sv, c->node.uuid, &container_shim_ops, c, &c->shim);
	char path[160];

	if (r == 0) {
		c->adopting = true;
		rc->waiting++;
		rc->adopted++;
		return;
	}
	if (r != -ENOENT && r != -ECONNREFUSED)
		log_error("container %s: connect to its shim: %s", c->node.uuid, strerror(-r));
	path_shim(rc->sv, c->node.uuid, path, sizeof path);
	unlink(path);
}

static void adopt_pod(struct recover *rc, struct pod *p)
{
	char path[160];

	if (shimlink_adopt(rc->sv, p->node.uuid, &pod_shim_ops, p, &p->holder) == 0) {
		p->adopting = true;
		p->state = POD_STARTING;
		pod_arm(p);
		rc->waiting++;
		return;
	}
	path_shim(rc->sv, p->node.uuid, path, sizeof path);
	unlink(path);
}

static int adopt_all(struct recover *rc, struct err *e)
{
	struct supervisor *sv = rc->sv;
	char path[160];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "%s/shims", sv->cfg.run_dir);
	dir = opendir(path);
	if (!dir)
		return err_set(e, errno, "recover", "read %s", path);
	while ((entry = readdir(dir))) {
		struct table_node *n;

		if (!uuid_is(entry->d_name))
			continue;
		n = table_find(&sv->containers, entry->d_name);
		if (n) {
			adopt_container(rc, container_of(n, struct container, node));
			continue;
		}
		n = table_find(&sv->pods, entry->d_name);
		if (n)
			adopt_pod(rc, container_of(n, struct pod, node));
		else
			stranger_meet(sv, entry->d_name);
	}
	closedir(dir);
	return 0;
}

/* ---------------------------------------------------------------- settling */

static void happen(struct container *c, enum container_event_type type)
{
	struct event ev = EVENT(type);

	container_event(c, &ev, NULL);
}

/* Before the shims are asked: states that do not mean what they say once they are read back. */
static void row_read_back(struct container *c)
{
	/* It is on disk, so it was created: but if its image is still missing. */
	if (container_state(c) == S(CREATING) && !c->obj->pull && !(c->obj->spec->hold_before_exec && c->shim))
		happen(c, EV_STORED);
	/* In the middle of a restart. */
	c->start_after = container_state(c) == S(STOPPING) && c->obj->status->desired_running;
	c->step_at_ns = now_ns();
}

/* The action of whoever began it ended with the berthd before. */
static void removal_goes_on(struct container *c)
{
	if (!c->removal_action)
		c->removal_action = audit_own(c->sv, "remove", "container", c->obj->meta, false, true,
					      "begun before berthd was restarted");
	happen(c, EV_TIMER);
}

static void settle_dead(struct recover *rc, struct container *c)
{
	Berth__ContainerStatus *st = c->obj->status;
	bool never_started = container_state(c) == S(CREATED) && c->obj->start_or_remove;

	switch (container_state(c)) {
	case S(DELETING):
		removal_goes_on(c);
		break;
	case S(STARTING):
		/* Its plan never reached a shim, or that shim is dead: what was begun is finished. */
		container_post(c, EV_LAUNCH);
		break;
	case S(RUNNING):
	case S(PAUSED):
	case S(STOPPING):
	case S(UNKNOWN):
		happen(c, EV_SHIM_GONE);
		break;
	case S(BACKOFF):
		container_rearm(c);
		break;
	case S(REBUILDING):
		happen(c, EV_TIMER);
		break;
	default:
		if (never_started || st->desired_running)
			container_post(c, EV_LAUNCH);
		else if (c->obj->spec->auto_remove && container_state(c) != S(CREATED))
			container_post(c, EV_REMOVE);
		break;
	}
	rc->settled++;
}

/* A shim answered, or did not; what is not moved by an event of its own is set going again. */
static void settle_living(struct container *c)
{
	if (c->adopting) {
		log_error("container %s: its shim does not answer", c->node.uuid);
		happen(c, EV_NO_ANSWER);
	} else if (container_state(c) == S(DELETING)) {
		removal_goes_on(c);
	} else {
		container_rearm(c);
	}
}

static void settle_all(struct recover *rc)
{
	struct supervisor *sv = rc->sv;
	struct table_node *n;

	list_each (n, &sv->containers.all, link) {
		struct container *c = container_of(n, struct container, node);

		rebuild_discard(c);
		/* Who does not answer may have what he had, all the time. */
		if (!c->shim || c->adopting)
			net_holder_recover(&c->net, c->shim != NULL);
		if (c->shim)
			settle_living(c);
		else if (container_state(c) == S(CREATING) && c->obj->pull)
			happen(c, c->obj->status->desired_running ? EV_LAUNCH : EV_PULL);
		else if (rc->rebooted && container_state(c) != S(DELETING))
			happen(c, EV_BOOT);
		else
			settle_dead(rc, c);
		rebuild_look(c);
	}
	list_each (n, &sv->pods.all, link) {
		struct pod *p = container_of(n, struct pod, node);

		if (!p->obj->implicit && (!p->holder || p->adopting))
			net_holder_recover(&p->net, p->holder != NULL);
	}
}

/* ---------------------------------------------------------------- the whole */

/* RUN is on a tmpfs where it should be; where it is not, the boot id says whose files these are. */
static int boot_check(struct recover *rc, struct err *e)
{
	struct supervisor *sv = rc->sv;
	char path[160], text[64] = "";
	int r;

	snprintf(path, sizeof path, "%s/boot_id", sv->cfg.run_dir);
	rc->rebooted = file_read(AT_FDCWD, path, text, sizeof text) <= 0 || strcmp(text, sv->boot_id);
	if (!rc->rebooted)
		return 0;
	r = file_write_atomic(AT_FDCWD, path, sv->boot_id, strlen(sv->boot_id), 0644, false);
	return r < 0 ? err_set(e, -r, "recover", "write %s", path) : 0;
}

int recover_run(struct supervisor *sv, struct err *e)
{
	struct recover rc = {.sv = sv, .waiting = 1, .deadline_ns = UINT64_MAX};
	struct table_node *n;
	uint64_t began = now_ns();
	int r = boot_check(&rc, e);

	if (r < 0)
		return r;
	sv->recover = &rc;
	commit_thaw_left(sv);
	r = adopt_all(&rc, e);
	list_each (n, &sv->containers.all, link)
		row_read_back(container_of(n, struct container, node));
	if (!r && --rc.waiting) {
		rc.deadline_ns = now_ns() + DEADLINE_NS;
		timer_in(&sv->loop, &rc.quiet, QUIET_NS, on_quiet);
		r = loop_run(&sv->loop);
		timer_del(&rc.quiet);
		if (r < 0)
			err_set(e, -r, "recover", "the event loop");
	}
	sv->recover = NULL;
	if (r < 0 || sv->stopping)
		return r;
	settle_all(&rc);
	sweep_all(sv);
	container_step_all(sv);
	if (rc.adopted || rc.settled)
		log_info("%u containers: %u shims taken back, %u settled, in %llu ms", sv->containers.n, rc.adopted,
			 rc.settled, (unsigned long long)((now_ns() - began) / NS_PER_MS));
	return 0;
}
