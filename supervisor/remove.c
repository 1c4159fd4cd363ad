/* supervisor/remove.c - see supervisor/remove.h
 *
 * The state Deleting is stored first; from then on every berthd that finds it goes on here. The shim must be gone before the
 * folder moves (it writes logs there), and the row goes before the folder: a folder without a row is swept, a row without its
 * folder would be a lie. */
#include "supervisor/remove.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/commit.h"
#include "supervisor/copy.h"
#include "supervisor/fill.h"
#include "supervisor/job.h"
#include "supervisor/rebuild.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/store.h"
#include "supervisor/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS	 (200 * NS_PER_MS)
#define AGAIN_NS (2 * NS_PER_S)

struct removal { /* handed to the store thread and back */
	struct supervisor *sv;
	struct container *c; /* NULL: berthd has forgotten it already */
	char uuid[UUID_SIZE];
	char from[320], to[320];
	bool committed;
	int renamed;
	struct timer again;
};

/* Only when the row's deletion is committed. */
static int folder_rename(void *arg)
{
	struct removal *m = arg;

	m->committed = true;
	/* Nothing there: it never ran. */
	m->renamed = rename(m->from, m->to) < 0 && errno != ENOENT ? -errno : 0;
	return m->renamed;
}

/* Last of all: should berthd die before the row is gone, the next one finds how it ended. */
static void exit_forget(struct supervisor *sv, const char *uuid)
{
	char path[160];

	path_exit(sv, uuid, path, sizeof path);
	unlink(path);
}

static void on_retry(struct timer *t)
{
	remove_continue(container_of(t, struct container, timer));
}

static bool removal_queue(struct removal *m);

static void on_again(struct timer *t)
{
	struct removal *m = container_of(t, struct removal, again);

	if (!removal_queue(m))
		(void)timer_in(&m->sv->loop, t, AGAIN_NS, on_again); /* its slot was there before */
}

static void on_not_committed(struct removal *m, int result)
{
	struct container *c = m->c;
	struct err e;

	if (!c) {
		/* Without a timer it is the next berthd that finds a container that goes with its end, and has ended. */
		if (timer_in(&m->sv->loop, &m->again, AGAIN_NS, on_again) < 0)
			free(m);
		return;
	}
	err_set(&e, -result, "store", "the container cannot be removed from the store now; it is tried again");
	waiters_fail(c, WAIT_BIT(WAIT_DELETED), BERTH__ERROR__CODE__EXHAUSTED, &e);
	timer_in(&c->sv->loop, &c->timer, AGAIN_NS, on_retry);
	free(m);
}

static void on_row_deleted(void *arg, int result)
{
	struct removal *m = arg;
	struct container *c = m->c;

	if (c)
		c->row_deleting = false;
	if (!m->committed) {
		on_not_committed(m, result);
		return;
	}
	if (m->renamed < 0)
		log_error("move %s into the trash: %s", m->from, strerror(-m->renamed));
	exit_forget(m->sv, m->uuid);
	job_sweep_trash(m->sv);
	if (c) {
		c->stored = false;
		container_post(c, EV_DELETED);
	}
	free(m);
}

static bool removal_queue(struct removal *m)
{
	return store_delete_then(m->sv->store, STORE_CONTAINER, m->uuid, folder_rename, on_row_deleted, m) >= 0;
}

static void row_delete(struct container *c)
{
	struct removal *m = calloc(1, sizeof *m);

	if (m) {
		/* Who asked for the removal hears of it when it is on disk. One that goes with its end does so again from a row that
		 * a crash leaves, and nothing that comes after it is on disk before its deletion is. */
		bool wait = !c->goes_by_itself || waiter_any(c, WAIT_BIT(WAIT_DELETED));

		m->sv = c->sv;
		m->c = wait ? c : NULL;
		memcpy(m->uuid, c->node.uuid, sizeof m->uuid);
		path_container(c->sv, c->node.uuid, "", m->from, sizeof m->from);
		snprintf(m->to, sizeof m->to, "%s/trash/%s", c->sv->cfg.state_dir, c->node.uuid);
		c->row_deleting = removal_queue(m);
		if (c->row_deleting && !wait)
			container_post(c, EV_DELETED);
	}
	if (!c->row_deleting) {
		free(m);
		timer_in(&c->sv->loop, &c->timer, AGAIN_NS, on_retry);
	}
}

static bool processes_are_gone(struct container *c)
{
	AUTO_FD fd = -1;

	if (container_group_open(c, &fd) < 0 || cg_is_populated(fd) != 1)
		return true;
	cg_kill(fd);
	return false;
}

/* Only those that nobody named go with the container, when that was asked for or it was made to vanish by itself. */
static void forget_volumes(struct container *c)
{
	const Berth__ContainerSpec *spec = c->obj->spec;

	if (!c->removing_volumes && !spec->auto_remove)
		return;
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (spec->mounts[i]->type == BERTH__MOUNT__TYPE__VOLUME && spec->mounts[i]->source &&
		    uuid_is(spec->mounts[i]->source))
			volume_forget(c->sv, c->obj->meta->project, spec->mounts[i]->source, c->node.uuid);
}

static void bury(struct container *c)
{
	char path[160];

	container_group_path(c, path, sizeof path);
	cg_bury(&c->sv->graveyard, c->sv->cg.root_fd, path);
	path_shim(c->sv, c->node.uuid, path, sizeof path);
	unlink(path);
}

static void on_look(struct timer *t)
{
	struct container *c = container_of(t, struct container, timer);
	struct event ev = EVENT(EV_TIMER);

	/* It takes its time after all: then what is going on is written down. */
	c->goes_by_itself = false;
	container_touch(c);
	container_event(c, &ev, NULL);
}

void remove_continue(struct container *c)
{
	if (c->row_queued || c->row_deleting)
		return;
	if (c->shim || !processes_are_gone(c)) {
		if (c->shim && !c->bye_sent) {
			c->bye_sent = true;
			shimlink_bye(c->shim);
		}
		timer_in(&c->sv->loop, &c->timer, c->shim ? LOOK_NS : NS_PER_MS, on_look);
		return;
	}
	timer_del(&c->timer);
	bury(c);
	forget_volumes(c);
	if (c->stored) {
		row_delete(c);
	} else {
		exit_forget(c->sv, c->node.uuid);
		container_post(c, EV_DELETED);
	}
}

Berth__ContainerState remove_begin(struct container *c)
{
	timer_del(&c->timer);
	fill_forget(c);
	image_wait_forget(&c->image);
	commit_forget(c, "the container is being removed");
	rebuild_forget(c);
	copies_forget(c, "the container is being removed");
	c->step_at_ns = now_ns();
	c->phase = 0;
	c->waiting = c->start_after = false;
	SET(c->obj->status, desired_running, 0);
	container_touch(c);
	remove_continue(c);
	return BERTH__CONTAINER_STATE__CONTAINER_STATE_DELETING;
}
