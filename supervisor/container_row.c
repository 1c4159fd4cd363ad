/* supervisor/container_row.c - a container as an object: made, loaded, found, stored, told about, freed.
 *
 * One write of a row is in flight at a time; what changes meanwhile is packed once more when it is done, so that a container
 * that flaps costs the disk no more than one that does not. */
#include "supervisor/container.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/copy.h"
#include "supervisor/exec.h"
#include "supervisor/files.h"
#include "supervisor/fill.h"
#include "supervisor/floating.h"
#include "supervisor/logs.h"
#include "supervisor/names.h"
#include "supervisor/netd.h"
#include "supervisor/pod.h"
#include "supervisor/rebuild.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/spare.h"
#include "supervisor/store.h"
#include "supervisor/volume.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- making and freeing */

static int pod_of(struct container *c, struct err *e)
{
	struct supervisor *sv = c->sv;
	struct table_node *n = table_find(&sv->pods, c->obj->pod_uuid);
	struct pod *p = n ? container_of(n, struct pod, node) : NULL;
	int r;

	/* The pod of a plain container has its uuid and no row. */
	if (!p && strcmp(c->obj->pod_uuid, c->node.uuid))
		return err_set(e, ENOENT, "pod", "pod %s of container %s is not there", c->obj->pod_uuid, c->node.uuid);
	r = p ? 0 : pod_new_implicit(sv, c->node.uuid, &p, e);
	if (!r)
		pod_add(p, c);
	return r;
}

int container_new(struct supervisor *sv, Berth__Container *obj, struct container **ret, struct err *e)
{
	struct container *c = calloc(1, sizeof *c);
	int r;

	if (!c) {
		berth__container__free_unpacked(obj, NULL);
		return err_set(e, ENOMEM, "container", "no memory for a container");
	}
	c->sv = sv;
	c->obj = obj;
	c->session_fd = c->said_pidfd = -1;
	c->exit = (Shim__ExitRecord)SHIM__EXIT_RECORD__INIT;
	list_init(&c->step);
	list_init(&c->dirty);
	list_init(&c->files_stale);
	list_init(&c->in_pod);
	list_init(&c->waiters);
	list_init(&c->image.link);
	list_init(&c->execs);
	list_init(&c->copies);
	list_init(&c->node.link);
	snprintf(c->node.uuid, sizeof c->node.uuid, "%s", obj->meta->uuid);
	c->node.id = obj->meta->id;
	r = table_add(&sv->containers, &c->node);
	if (r < 0) {
		berth__container__free_unpacked(obj, NULL);
		free(c);
		return r == -ENOSPC ? err_set(e, ENOSPC, "container",
					      "there are %u containers, and no more are allowed", sv->containers.n)
				    : err_set(e, -r, "container", "add the container");
	}
	net_holder_init(&c->net, sv, &container_net_kind);
	names_add(sv->names, c);
	r = pod_of(c, e);
	if (r < 0) {
		container_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* Changes of a row that are on their way to the disk. They outlive a container that goes by itself, whose deletion is behind them. */
struct storing {
	struct container *c; /* NULL: gone */
	unsigned n;
};

static void storing_free(struct storing *s)
{
	if (s->c)
		s->c->storing = NULL;
	free(s);
}

void container_free(struct container *c)
{
	static const struct err going = {.text = "berthd is going down"};

	timer_del(&c->timer);
	copies_forget(c, "the container is gone");
	files_forget(c);
	exec_forget(c);
	fill_forget(c);
	rebuild_forget(c);
	image_wait_forget(&c->image);
	net_holder_fini(&c->net);
	waiters_fail(c, ~0u, BERTH__ERROR__CODE__UNAVAILABLE, &going);
	shimlink_free(c->shim);
	prepared_free(c->prepared);
	close_fd(&c->session_fd);
	names_del(c->sv->names, c);
	table_del(&c->sv->containers, &c->node);
	if (c->storing)
		c->storing->c = NULL;
	list_del(&c->step);
	list_del(&c->dirty);
	if (c->pod)
		pod_del(c->pod, c);
	berth__container__free_unpacked(c->obj, NULL);
	free(c);
}

void container_vanish(struct container *c)
{
	struct supervisor *sv = c->sv;

	/* Here and not where a container is freed: berthd's own end frees them all, and they go on. */
	if (c->pod->obj->implicit)
		cg_bury(&sv->graveyard, sv->cg.shared_fd, c->node.uuid);
	container_publish(c, "destroy", NULL, NULL);
	audit_finish(sv, c->removal_action, true, NULL);
	waiters_fail(c, WAIT_BIT(WAIT_STARTED), BERTH__ERROR__CODE__START_FAILED, &c->failure);
	waiters_answer(c, WAIT_BIT(WAIT_DELETED) | WAIT_BIT(WAIT_REMOVED) | WAIT_BIT(WAIT_NOT_RUNNING) |
				  WAIT_BIT(WAIT_NEXT_EXIT) | WAIT_BIT(WAIT_ENDED));
	char uuid[UUID_SIZE];
	memcpy(uuid, c->node.uuid, sizeof uuid);
	container_free(c);
	floating_forget(sv, uuid, NULL);
	logs_container_changed(sv, uuid);
	volume_tidy_soon(sv);
}

/* ---------------------------------------------------------------- at start */

static bool row_is_whole(const Berth__Container *obj)
{
	return obj && obj->meta && obj->meta->uuid && uuid_is(obj->meta->uuid) && obj->meta->name &&
	       obj->meta->project && obj->spec && obj->status && obj->pod_uuid;
}

static int load_row(void *arg, const void *blob, size_t len)
{
	struct supervisor *sv = arg;
	Berth__Container *obj = message_unpack(&berth__container__descriptor, blob, len);
	struct container *c;
	struct err e;

	if (!row_is_whole(obj)) {
		log_error("a container in the store cannot be read and is left alone there");
		if (obj)
			berth__container__free_unpacked(obj, NULL);
		return 0;
	}
	if (container_new(sv, obj, &c, &e) < 0) {
		log_err(&e, "a container in the store cannot be taken up");
		return 0;
	}
	c->stored = true;
	rebuild_loaded(c);
	c->history.restarts = c->obj->status->restart_count;
	c->history.failures = c->obj->status->failures_in_row;
	return 0;
}

int container_load(struct supervisor *sv, struct err *e)
{
	return store_load(sv->store, STORE_CONTAINER, load_row, sv, e);
}

/* ---------------------------------------------------------------- finding */

/* project NULL: any. */
static bool is_of(const void *project, const struct table_node *n)
{
	return !project || !strcmp(container_of(n, const struct container, node)->obj->meta->project, project);
}

static struct container *find_within(struct supervisor *sv, const char *project, const char *ref, bool exact,
				     struct err *e)
{
	struct table_node *node = table_find(&sv->containers, ref);
	bool many = false;
	unsigned n = 0;
	struct container *c;

	if (node && is_of(project, node))
		return container_of(node, struct container, node);
	c = names_find(sv->names, project, ref, &n);
	if (n == 1)
		return c;
	if (n) {
		err_set(e, ENOTUNIQ, "ref", "%u containers are called \"%s\": name the one that is meant by its uuid",
			n, ref);
		return NULL;
	}
	node = exact ? NULL : table_find_prefix(&sv->containers, ref, is_of, project, &many);
	if (many)
		err_set(e, ENOTUNIQ, "ref", "several containers have a uuid that begins with \"%s\"", ref);
	else if (!node)
		err_set(e, ENOENT, "ref", "there is no container \"%s\"", ref);
	return node ? container_of(node, struct container, node) : NULL;
}

struct container *container_find(struct supervisor *sv, const struct principal *who, const char *ref, struct err *e)
{
	struct container *c;

	if (!ref || !ref[0]) {
		err_set(e, EINVAL, "ref", "no container is named");
		return NULL;
	}
	c = find_within(sv, who->project, ref, who->exact, e);
	return c || e->code != ENOENT || !principal_sees_all(who) ? c : find_within(sv, NULL, ref, who->exact, e);
}

/* ---------------------------------------------------------------- storing and telling */

void container_publish(struct container *c, const char *type, const char *reason, const char *const *attributes)
{
	watch_publish(c->sv, "container", type, c->obj->meta, reason, attributes);
}

void container_touch(struct container *c)
{
	if (list_empty(&c->dirty))
		list_push(&c->sv->dirty, &c->dirty);
}

static void stamp(struct container *c)
{
	SET(c->obj->meta, revision, supervisor_next_revision(c->sv));
	SET(c->obj->meta, updated_at, wall_ns());
}

static void on_stored(void *arg, int result)
{
	struct storing *s = arg;
	struct container *c = s->c;
	struct err e;

	if (!--s->n)
		storing_free(s);
	if (!c)
		return;
	rebuild_stored(c, result);
	if (result < 0) {
		err_set(&e, 0, "store", "the change is in force, but not on disk yet: %s", store_error(c->sv->store));
		waiters_fail(c, WAIT_BIT(WAIT_STORING), BERTH__ERROR__CODE__EXHAUSTED, &e);
	}
	waiters_answer(c, WAIT_BIT(WAIT_STORING));
	if (c->store_again)
		container_touch(c);
	c->store_again = false;
}

static void flush(struct container *c)
{
	/* Nothing follows the deletion of a row, and nothing overtakes its first write. */
	if (c->row_deleting || (!c->stored && !c->row_queued))
		return;
	/* Its deletion follows in a moment, and need not wait for a commit before its own. */
	if (c->goes_by_itself && c->stored && !waiter_any(c, WAIT_BIT(WAIT_STORED)))
		return;
	/* At berthd's end there is no later. */
	if ((c->storing && !c->sv->stopping) || c->row_queued) {
		c->store_again = true;
		return;
	}
	if (!c->storing)
		c->storing = calloc(1, sizeof *c->storing);
	if (c->storing)
		c->storing->c = c;
	stamp(c);
	if (!c->storing ||
	    store_put(c->sv->store, STORE_CONTAINER, c->obj->meta, &c->obj->base, true, on_stored, c->storing) < 0) {
		/* The queue's reserve is used up too: again when something has come back from the store. */
		if (c->storing && !c->storing->n)
			storing_free(c->storing);
		container_touch(c);
		return;
	}
	c->storing->n++;
	rebuild_storing(c);
	waiters_move(c, WAIT_STORED, WAIT_STORING);
}

void container_flush_all(struct supervisor *sv)
{
	struct list todo;
	struct container *c;

	/* What flush puts back is looked at in the next turn. */
	list_init(&todo);
	while ((c = list_pop(&sv->dirty, struct container, dirty)))
		list_push(&todo, &c->dirty);
	while ((c = list_pop(&todo, struct container, dirty)))
		flush(c);
}

static void on_row_stored(void *arg, int result)
{
	struct container *c = arg;
	struct event ev = EVENT(result < 0 ? EV_STORE_FAILED : EV_STORED);

	container_event(c, &ev, NULL);
	if (c->store_again)
		container_touch(c);
	c->store_again = false;
}

int container_put(struct container *c, store_done *done, void *arg)
{
	if (c->row_deleting || (!c->stored && !c->row_queued))
		return -EBUSY;
	stamp(c);
	return store_put(c->sv->store, STORE_CONTAINER, c->obj->meta, &c->obj->base, false, done, arg);
}

int container_create_row(struct container *c)
{
	int r;

	stamp(c);
	/* It says Creating; a row that is on disk exists, so whoever loads it takes that for Created (recover.c). */
	r = store_put(c->sv->store, STORE_CONTAINER, c->obj->meta, &c->obj->base, false, on_row_stored, c);
	c->row_queued = r >= 0;
	return r;
}
