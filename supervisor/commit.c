/* supervisor/commit.c - see supervisor/commit.h
 *
 * The freeze. The job says when it is ready to read and when it has read everything, and only in between the container is frozen: it does
 * not wait for a turn, for checks or for the disk. RUN/frozen/<uuid> names the group and is there before the freeze and until after the
 * thaw: a berthd that comes back finds what it owes. */
#include "supervisor/commit.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "image/change.h"
#include "image/reference.h"
#include "proto/envelope.h"
#include "supervisor/container_request.h"
#include "supervisor/image_own.h"
#include "supervisor/launch.h"
#include "supervisor/set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX 1024u

struct commit {
	struct supervisor *sv;
	struct container *c; /* NULL: gone */
	struct job *job;     /* image_import.c's */
	int fds[3];	     /* owned until the job has them: the container, the request, where it awaits the byte */
	int go_fd;	     /* owned: where that is written */
	bool pause;
	bool asked;	 /* it is to be told when the freeze has come about */
	bool ours;	 /* we asked for that */
	bool froze;	 /* by us, and nobody has thawed it since */
	const char *why; /* static: it fails for that */
	char uuid[UUID_SIZE], manifest[80], name[REFERENCE_SIZE];
};

/* ---------------------------------------------------------------- frozen and thawed */

static void frozen_path(const struct supervisor *sv, const char *uuid, char buf[320])
{
	snprintf(buf, 320, "%s/frozen/%.40s", sv->cfg.run_dir, uuid);
}

static int frozen_note(struct container *c)
{
	char path[320], group[160];

	frozen_path(c->sv, c->node.uuid, path);
	container_group_path(c, group, sizeof group);
	return file_write_atomic(AT_FDCWD, path, group, strlen(group), 0600, false);
}

static void frozen_forget(const struct supervisor *sv, const char *uuid)
{
	char path[320];

	frozen_path(sv, uuid, path);
	unlink(path);
}

void commit_thaw_left(struct supervisor *sv)
{
	char path[320], group[160];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "%s/frozen", sv->cfg.run_dir);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct table_node *n = uuid_is(entry->d_name) ? table_find(&sv->containers, entry->d_name) : NULL;
		AUTO_FD fd = -1;

		if (entry->d_name[0] == '.')
			continue;
		frozen_path(sv, entry->d_name, path);
		if (file_read(AT_FDCWD, path, group, sizeof group) > 0 && !strstr(group, "..") &&
		    cg_open(sv->cg.root_fd, group, &fd) == 0 && cg_freeze(fd, false) == 0)
			log_info("container %s was frozen for a commit that is not going on: thawed", entry->d_name);
		if (n)
			container_of(n, struct container, node)->thawed = true;
		unlink(path);
	}
	if (dir)
		closedir(dir);
}

static void go(struct commit *k)
{
	/* Nobody reads it any more: the job has ended, and says so itself. */
	if (write(k->go_fd, "", 1) < 0)
		log_debug("commit of %s: %s", k->uuid, strerror(errno));
	close_fd(&k->go_fd);
}

static void fail(struct commit *k, const char *why)
{
	k->why = why;
	if (k->job)
		job_cancel(k->job);
}

static void thaw(struct commit *k)
{
	struct event ev = EVENT(EV_UNPAUSE);
	bool freezing = k->asked && k->ours, froze = k->froze;

	k->asked = k->froze = false;
	if (k->c && freezing)
		container_freeze_forget(k->c, "it was paused for a commit, which was given up");
	else if (k->c && froze && container_state(k->c) == BERTH__CONTAINER_STATE__CONTAINER_STATE_PAUSED)
		container_event(k->c, &ev, NULL);
	if (freezing || froze)
		frozen_forget(k->sv, k->uuid);
}

static bool group_lives(const struct container *c)
{
	AUTO_FD fd = -1;

	return container_group_open(c, &fd) == 0 && cg_is_populated(fd) == 1;
}

void commit_froze(struct container *c, bool ok)
{
	struct commit *k = c->commit;

	if (!k || !k->asked)
		return;
	k->asked = false;
	k->froze = ok && k->ours;
	if (ok) {
		go(k);
		return;
	}
	frozen_forget(k->sv, k->uuid);
	/* It ended instead: then there is nothing to freeze. */
	if (group_lives(c))
		fail(k, "it could not be frozen (it can be committed as it runs: --pause=false)");
	else
		go(k);
}

void commit_thawed(struct container *c)
{
	if (!c->commit || !c->commit->froze)
		return;
	c->commit->froze = false;
	frozen_forget(c->sv, c->node.uuid);
}

/* The job is ready to read. */
static void freeze(struct commit *k)
{
	struct event ev = EVENT(EV_PAUSE);
	struct container *c = k->c;

	if (!c)
		return;
	if (!k->pause || container_state(c) != BERTH__CONTAINER_STATE__CONTAINER_STATE_RUNNING) {
		go(k);
		return;
	}
	k->asked = true;
	if (c->freezing)
		return; /* somebody else's pause, and theirs it stays */
	k->ours = true;
	if (frozen_note(c) < 0) {
		fail(k, "that it is frozen could not be written down: no room in berthd's run folder");
		return;
	}
	(void)container_event(c, &ev, NULL);
	/* On the way to its end it is not frozen any more. */
	if (k->asked && !c->freezing)
		commit_froze(c, false);
}

/* ---------------------------------------------------------------- the job */

int commit_start(struct commit *k, const struct job_ops *ops, void *arg, struct job **ret, struct err *e)
{
	const char *argv[] = {"commit", k->sv->cfg.state_dir, k->uuid, k->manifest, *k->name ? k->name : NULL, NULL};
	int r;

	if (!k->c)
		return err_set(e, ECANCELED, "commit", "%s", k->why);
	r = job_start(k->sv, argv, k->fds, ARRAY_SIZE(k->fds), 0, ops, arg, ret, e);
	if (r < 0)
		return r;
	k->job = *ret;
	for (size_t i = 0; i < ARRAY_SIZE(k->fds); i++)
		close_fd(&k->fds[i]);
	return 0;
}

bool commit_heard(struct commit *k, const Berth__Envelope *env)
{
	const Berth__EventBatch *batch = env->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH ? env->event_batch : NULL;
	const Berth__Event *event = batch && batch->n_events == 1 ? batch->events[0] : NULL;

	if (!event || !event->kind || strcmp(event->kind, "job") || !event->type)
		return false;
	if (!strcmp(event->type, "ready") && k->go_fd >= 0 && !k->asked)
		freeze(k);
	else if (!strcmp(event->type, "packed"))
		thaw(k);
	return true;
}

const char *commit_ended(struct commit *k)
{
	k->job = NULL;
	thaw(k);
	return k->why;
}

void commit_stored(struct commit *k, const char *image_id)
{
	if (k->c)
		container_publish(k->c, "commit", NULL, (const char *const[]){"image", image_id, NULL});
}

void commit_free(struct commit *k)
{
	if (!k)
		return;
	thaw(k);
	if (k->c && k->c->commit == k)
		k->c->commit = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(k->fds); i++)
		close_fd(&k->fds[i]);
	close_fd(&k->go_fd);
	free(k);
}

void commit_forget(struct container *c, const char *why)
{
	struct commit *k = c->commit;

	if (!k)
		return;
	thaw(k);
	k->c = NULL;
	c->commit = NULL;
	fail(k, why);
}

void commits_close(struct supervisor *sv)
{
	struct table_node *n;

	list_each (n, &sv->containers.all, link)
		commit_forget(container_of(n, struct container, node), "berthd is going down");
}

/* ---------------------------------------------------------------- the request */

/* What no container changes: of it there is in the config what changes say, and all else stays as the image below has it. */
static void config_untouched(Berth__ImageConfig *config)
{
	strings_free(&config->on_build, &config->n_on_build);
	if (config->healthcheck)
		berth__image_healthcheck__free_unpacked(config->healthcheck, NULL);
	config->healthcheck = NULL;
}

/* As Docker has it: what the container was made to be is what the image says, and then the changes. */
static Berth__ImageConfig *config_of(const struct container *c)
{
	static const Berth__ImageConfig nothing = BERTH__IMAGE_CONFIG__INIT;
	const Berth__ContainerSpec *spec = c->obj->spec;
	Berth__ContainerSpec labels = BERTH__CONTAINER_SPEC__INIT, *copy;
	Berth__ImageConfig *config = message_copy(c->obj->image_config ? &c->obj->image_config->base : &nothing.base);

	labels.labels = spec->labels;
	labels.n_labels = spec->n_labels;
	copy = config ? message_copy(&labels.base) : NULL;
	if (!copy ||
	    strings_copy(&config->entrypoint, &config->n_entrypoint, spec->entrypoint, spec->n_entrypoint) < 0 ||
	    strings_copy(&config->command, &config->n_command, spec->command, spec->n_command) < 0 ||
	    strings_copy(&config->env, &config->n_env, spec->env, spec->n_env) < 0) {
		if (copy)
			berth__container_spec__free_unpacked(copy, NULL);
		if (config)
			berth__image_config__free_unpacked(config, NULL);
		return NULL;
	}
	set_text(&config->workdir, "%s", spec->workdir ? spec->workdir : "");
	set_text(&config->user, "%s", spec->user ? spec->user : "");
	set_text(&config->stop_signal, "%s", spec->stop_signal ? spec->stop_signal : "");
	config_untouched(config);
	/* The two lists change places. */
	Berth__KeyValue **old = config->labels;
	size_t n_old = config->n_labels;
	config->labels = copy->labels;
	config->n_labels = copy->n_labels;
	copy->labels = old;
	copy->n_labels = n_old;
	berth__container_spec__free_unpacked(copy, NULL);
	return config;
}

static int changes_apply(Berth__ImageConfig *config, const Berth__ContainerCommit *ask, struct err *e)
{
	struct changes changes = {.config = config};
	int r = ask->n_changes > CHANGES_MAX ? err_set(e, EINVAL, "changes", "more than %u", CHANGES_MAX) : 0;

	for (size_t i = 0; !r && i < ask->n_changes; i++)
		r = change_apply(&changes, ask->changes[i], e);
	return r;
}

static int name_check(struct commit *k, const char *name, struct err *e)
{
	struct reference parts;
	struct err why = {0};

	if (!name || !*name)
		return 0;
	if (reference_canonical(name, k->name, &why) < 0 || reference_split(k->name, &parts, &why) < 0)
		return err_set(e, EINVAL, "name", "%s", why.text);
	if (*parts.digest)
		return err_set(e, EINVAL, "name", "what is made now cannot be named by a digest");
	return 0;
}

static int pack(struct commit *k, Berth__ImageConfig *config, Berth__ContainerCommit *ask, struct err *e)
{
	Berth__Container container = *k->c->obj;
	Berth__ContainerReply body = BERTH__CONTAINER_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	int pipe_fds[2], r;

	container.image_config = config;
	body.container = &container;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_REPLY;
	env.container_reply = &body;
	if ((r = launch_pack(&env.base, "berth-commit", &k->fds[0], e)) < 0)
		return r;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_COMMIT;
	env.container_commit = ask;
	if ((r = launch_pack(&env.base, "berth-commit", &k->fds[1], e)) < 0)
		return r;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_set(e, errno, "commit", "a pipe");
	k->fds[2] = pipe_fds[0];
	k->go_fd = pipe_fds[1];
	return 0;
}

static int commit_new(struct container *c, Berth__ContainerCommit *ask, struct commit *k, struct err *e)
{
	/* Of a row that has none yet the image says it, if it is still here. */
	const struct image *image = image_by_config(c->sv, c->obj->image_id ? c->obj->image_id : "");
	const char *manifest = c->obj->image_manifest && *c->obj->image_manifest ? c->obj->image_manifest
			       : image						 ? image->obj->manifest_digest
										 : NULL;
	Berth__ImageConfig *config;
	int r;

	if (c->commit || c->rebuild.step != REBUILD_NONE)
		return err_set(e, EBUSY, "", "it is being %s", c->commit ? "committed already" : "rebuilt");
	if (!manifest)
		return err_set(
			e, ENOENT, "",
			"the image that it was made from (%s) is not on this host any more: its layers are needed",
			c->obj->spec->image);
	snprintf(k->manifest, sizeof k->manifest, "%s", manifest);
	if ((r = name_check(k, ask->name, e)) < 0)
		return r;
	config = config_of(c);
	if (!config)
		return err_set(e, ENOMEM, "", "no memory");
	r = changes_apply(config, ask, e);
	if (!r)
		r = pack(k, config, ask, e);
	berth__image_config__free_unpacked(config, NULL);
	return r;
}

void on_container_commit(struct request *rq)
{
	Berth__ContainerCommit *ask = rq->env->container_commit;
	struct container *c = request_container(rq, ask->ref);
	struct commit *k = c ? calloc(1, sizeof *k) : NULL;
	struct import_order o = {.project = rq->who.project, .owner = rq->who.name, .source_fd = -1, .commit = k};
	struct event ev = EVENT(EV_COMMIT);
	struct image_wait *w;
	struct err e = {0};
	int r;

	if (!c)
		return;
	if (!k) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	*k = (struct commit){
		.sv = rq->sv, .c = c, .fds = {-1, -1, -1}, .go_fd = -1, .pause = !ask->has_pause || ask->pause};
	memcpy(k->uuid, c->node.uuid, sizeof k->uuid);
	r = commit_new(c, ask, k, &e);
	if (r < 0)
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
	if (r < 0 || !request_event(rq, c, &ev) || !(w = image_asker_new(rq))) {
		commit_free(k);
		return;
	}
	c->commit = k;
	o.name = k->name;
	r = image_import_begin(rq->sv, &o, w);
	if (r == 0)
		return;
	commit_free(k);
	image_import_refusal(r, &e);
	image_asker_fail(w, &e);
}
