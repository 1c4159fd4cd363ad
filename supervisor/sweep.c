/* supervisor/sweep.c - see supervisor/sweep.h
 *
 * Whatever a berthd that died had begun and no row remembers: groups with or without processes, shims that never got a plan,
 * records and sockets in RUN, folders of containers whose row was never written or is gone. */
#include "supervisor/sweep.h"

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "supervisor/container.h"
#include "supervisor/fill.h"
#include "supervisor/job.h"
#include "supervisor/pod.h"
#include "supervisor/set.h"
#include "supervisor/spare.h"
#include "supervisor/store.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* ---------------------------------------------------------------- groups and shims */

struct sweep {
	struct supervisor *sv;
	const char *pod;
	unsigned kept;
};

static int sweep_group(const char *name, void *arg)
{
	struct sweep *sw = arg;
	struct supervisor *sv = sw->sv;
	char uuid[UUID_SIZE], path[160];
	const char *dot = strchr(name, '.');
	struct table_node *n = NULL;

	if (dot && dot - name == UUID_SIZE - 1) {
		memcpy(uuid, name, UUID_SIZE - 1);
		uuid[UUID_SIZE - 1] = 0;
		n = table_find(&sv->containers, uuid);
	}
	if (n) {
		struct container *c = container_of(n, struct container, node);
		uint64_t number, now = c->obj->status->incarnation;
		bool shim = c->shim && !c->bye_sent;

		/* … or that of its next life, which its shim makes at the end of this one: perhaps it has ended, and we do not know yet. */
		if (!str_to_u64(dot + 1, &number) &&
		    (number == now ? shim || container_has_process(c) : shim && number == now + 1)) {
			sw->kept++;
			return 0;
		}
		/* A number that was used is not used again, though its row was never written. */
		if (!str_to_u64(dot + 1, &number) && number > now && !shim) {
			container_group_path(c, path, sizeof path);
			cg_bury(&sv->graveyard, sv->cg.root_fd, path);
			SET(c->obj->status, incarnation, number);
		}
	} else if (str_starts(name, "holder.") && (n = table_find(&sv->pods, sw->pod))) {
		struct pod *p = container_of(n, struct pod, node);
		uint64_t number;

		/* Of one that has not answered yet it is not known which it is. */
		if (!str_to_u64(name + 7, &number) && p->holder && (p->adopting || number == p->incarnation)) {
			sw->kept++;
			return 0;
		}
		if (!str_to_u64(name + 7, &number) && number > p->incarnation)
			p->incarnation = number;
	}
	snprintf(path, sizeof path, "shared/%s/%s", sw->pod, name);
	cg_bury(&sv->graveyard, sv->cg.root_fd, path);
	return 0;
}

static int sweep_pod(const char *name, void *arg)
{
	struct supervisor *sv = arg;
	struct sweep sw = {.sv = sv, .pod = name};
	AUTO_FD fd = -1;

	if (cg_open(sv->cg.shared_fd, name, &fd) < 0)
		return 0;
	cg_each_child(fd, sweep_group, &sw);
	if (!sw.kept && !table_find(&sv->pods, name))
		cg_bury(&sv->graveyard, sv->cg.shared_fd, name);
	return 0;
}

static bool shim_is_ours(struct supervisor *sv, int pid)
{
	struct table_node *n;
	struct stranger *s;

	list_each (n, &sv->containers.all, link) {
		struct container *c = container_of(n, struct container, node);

		if (c->shim && shimlink_pid(c->shim) == pid)
			return true;
	}
	list_each (n, &sv->pods.all, link) {
		struct pod *p = container_of(n, struct pod, node);

		if (p->holder && shimlink_pid(p->holder) == pid)
			return true;
	}
	list_each (s, &sv->strangers, link)
		if (shimlink_pid(s->shim) == pid)
			return true;
	return false;
}

static int find_pid(int pid, const char *group, void *arg)
{
	return pid == *(int *)arg;
}

static int sweep_shim(int pid, const char *group, void *arg)
{
	struct supervisor *sv = arg;
	AUTO_FD pidfd = -1;

	if (shim_is_ours(sv, pid))
		return 0;
	/* The descriptor first, then that it is still the one in the group: never a signal to a number that was used again. */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0 && cg_each_pid(sv->cg.shims_fd, false, find_pid, &pid) == 1) {
		log_warn("a process among the shims belongs to no container and is ended: %d", pid);
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	}
	return 0;
}

/* ---------------------------------------------------------------- RUN/exits */

/* ".UUID.PID.tmp": half a record of a shim that was killed over it. */
static bool exit_is_half(const char *name)
{
	const char *pid = name[0] == '.' ? strrchr(name, '.') : NULL;
	uint32_t n;
	char text[16];

	if (!pid || strcmp(pid, ".tmp") != 0)
		return false;
	while (pid > name && pid[-1] >= '0' && pid[-1] <= '9')
		pid--;
	snprintf(text, sizeof text, "%.*s", (int)strcspn(pid, "."), pid);
	return pid[-1] == '.' && str_to_u32(text, &n) == 0 && kill((pid_t)n, 0) < 0 && errno == ESRCH;
}

static void sweep_exits(struct supervisor *sv)
{
	char path[400];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "%s/exits", sv->cfg.run_dir);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.'
			    ? !exit_is_half(entry->d_name)
			    : table_find(&sv->containers, entry->d_name) || table_find(&sv->pods, entry->d_name))
			continue;
		snprintf(path, sizeof path, "%s/exits/%s", sv->cfg.run_dir, entry->d_name);
		unlink(path);
	}
	if (dir)
		closedir(dir);
}

/* ---------------------------------------------------------------- STATE/containers, STATE/volumes: a disk, so the store's thread reads and renames */

struct folders { /* handed to the store thread and back, twice */
	struct supervisor *sv;
	struct table *known;
	char from[320], to[320]; /* of the parents */
	char **names;
	size_t n;
};

static void folders_free(struct folders *f)
{
	strings_free(&f->names, &f->n);
	free(f);
}

static int folders_read(void *arg)
{
	struct folders *f = arg;
	DIR *dir = opendir(f->from);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (!r && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = strings_add(&f->names, &f->n, entry->d_name);
	closedir(dir);
	return r;
}

static int folders_rename(void *arg)
{
	struct folders *f = arg;
	char from[600], to[600];
	int r = 0;

	for (size_t i = 0; i < f->n; i++) {
		snprintf(from, sizeof from, "%s/%s", f->from, f->names[i]);
		snprintf(to, sizeof to, "%s/%s", f->to, f->names[i]);
		if (rename(from, to) < 0 && errno != ENOENT)
			r = -errno;
	}
	return r;
}

static void on_folders_renamed(void *arg, int result)
{
	struct folders *f = arg;

	if (result < 0)
		log_error("move folders of nothing into the trash: %s", strerror(-result));
	job_sweep_trash(f->sv);
	folders_free(f);
}

/* A folder of a container, or a volume's, or UUID.new and UUID.filling beside it, left by a fill that was killed: a job sees to these. */
static bool is_known(const struct folders *f, const char *name)
{
	char uuid[UUID_SIZE];

	if (f->known == &f->sv->containers)
		return table_find(f->known, name) || spare_has(f->sv, name);
	snprintf(uuid, sizeof uuid, "%s", name);
	if (!table_find(f->known, uuid))
		return false;
	if (strlen(name) >= UUID_SIZE)
		fill_finish(f->sv, uuid);
	return true;
}

/* Judged here and now: what was created since has its row in the table before it has a folder. */
static void on_folders_read(void *arg, int result)
{
	struct folders *f = arg;
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		if (!is_known(f, f->names[i]))
			f->names[n++] = f->names[i];
		else
			free(f->names[i]);
	f->n = n;
	if (result < 0)
		log_error("read %s: %s", f->from, strerror(-result));
	if (n)
		log_warn("%zu folders in %s belong to nothing: removed", n, f->from);
	if (!n || store_call(f->sv->store, folders_rename, f, on_folders_renamed) < 0)
		folders_free(f);
}

static void sweep_folders(struct supervisor *sv, const char *name, struct table *known)
{
	struct folders *f = calloc(1, sizeof *f);

	if (!f)
		return;
	f->sv = sv;
	f->known = known;
	snprintf(f->from, sizeof f->from, "%s/%s", sv->cfg.state_dir, name);
	snprintf(f->to, sizeof f->to, "%s/trash", sv->cfg.state_dir);
	if (store_call(sv->store, folders_read, f, on_folders_read) < 0)
		folders_free(f);
}

void sweep_all(struct supervisor *sv)
{
	cg_each_child(sv->cg.shared_fd, sweep_pod, sv);
	cg_each_pid(sv->cg.shims_fd, false, sweep_shim, sv);
	sweep_exits(sv);
	sweep_folders(sv, "containers", &sv->containers);
	sweep_folders(sv, "volumes", &sv->volumes);
	job_sweep_trash(sv);
}
