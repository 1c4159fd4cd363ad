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
	struct container *c;
	char from[320], to[320];
	bool committed;
	int renamed;
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
static void forget_exit(struct container *c)
{
	char path[160];

	path_exit(c->sv, c->node.uuid, path, sizeof path);
	unlink(path);
	container_post(c, EV_DELETED);
}

static void on_retry(struct timer *t)
{
	remove_continue(container_of(t, struct container, timer));
}

static void on_row_deleted(void *arg, int result)
{
	struct removal *m = arg;
	struct container *c = m->c;
	struct err e;

	c->row_deleting = false;
	if (m->committed) {
		if (m->renamed < 0)
			log_error("move %s into the trash: %s", m->from, strerror(-m->renamed));
		c->stored = false;
		forget_exit(c);
		job_sweep_trash(c->sv);
	} else {
		err_set(&e, -result, "store", "the container cannot be removed from the store now; it is tried again");
		waiters_fail(c, WAIT_BIT(WAIT_DELETED), BERTH__ERROR__CODE__EXHAUSTED, &e);
		timer_in(&c->sv->loop, &c->timer, AGAIN_NS, on_retry);
	}
	free(m);
}

static void row_delete(struct container *c)
{
	struct removal *m = calloc(1, sizeof *m);

	if (m) {
		m->c = c;
		path_container(c->sv, c->node.uuid, "", m->from, sizeof m->from);
		snprintf(m->to, sizeof m->to, "%s/trash/%s", c->sv->cfg.state_dir, c->node.uuid);
		c->row_deleting = store_delete_then(c->sv->store, STORE_CONTAINER, c->node.uuid, folder_rename,
						    on_row_deleted, m) >= 0;
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
	if (c->stored)
		row_delete(c);
	else
		forget_exit(c);
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
