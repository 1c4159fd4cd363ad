/* supervisor/supervisor.c - see supervisor/supervisor.h */
#include "supervisor/supervisor.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "base/spawn.h"
#include "supervisor/apparmor.h"
#include "supervisor/audit.h"
#include "supervisor/commit.h"
#include "supervisor/config.h"
#include "supervisor/container.h"
#include "supervisor/control.h"
#include "supervisor/dnsd.h"
#include "supervisor/floating.h"
#include "supervisor/image.h"
#include "supervisor/job.h"
#include "supervisor/logs.h"
#include "supervisor/names.h"
#include "supervisor/netd.h"
#include "supervisor/network.h"
#include "supervisor/pod.h"
#include "supervisor/reaper.h"
#include "supervisor/recover.h"
#include "supervisor/replay.h"
#include "supervisor/resolv.h"
#include "supervisor/seccomp.h"
#include "supervisor/security_group.h"
#include "supervisor/shimlink.h"
#include "supervisor/shutdown.h"
#include "supervisor/spare.h"
#include "supervisor/store.h"
#include "supervisor/token.h"
#include "supervisor/upgrade.h"
#include "supervisor/volume.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

extern const char berth_shim_start[], berth_shim_end[];

/* ---------------------------------------------------------------- counters and paths */

uint64_t supervisor_next_id(struct supervisor *sv)
{
	uint64_t id = sv->next_id++;

	store_used(sv->store, sv->next_id, sv->revision);
	return id;
}

uint64_t supervisor_next_revision(struct supervisor *sv)
{
	uint64_t revision = sv->revision++;

	store_used(sv->store, sv->next_id, sv->revision);
	return revision;
}

void path_shim(const struct supervisor *sv, const char *uuid, char *buf, unsigned size)
{
	snprintf(buf, size, "%s/shims/%s", sv->cfg.run_dir, uuid);
}

void path_exit(const struct supervisor *sv, const char *uuid, char *buf, unsigned size)
{
	snprintf(buf, size, "%s/exits/%s", sv->cfg.run_dir, uuid);
}

void path_container(const struct supervisor *sv, const char *uuid, const char *leaf, char *buf, unsigned size)
{
	snprintf(buf, size, "%s/containers/%s%s%s", sv->cfg.state_dir, uuid, *leaf ? "/" : "", leaf);
}

void path_mount_points(const struct supervisor *sv, const char *leaf, char *buf, unsigned size)
{
	snprintf(buf, size, "%s/mountpoints%s", sv->cfg.state_dir, leaf);
}

/* ---------------------------------------------------------------- opening */

static int open_folders(struct supervisor *sv, struct err *e)
{
	static const struct {
		bool run;
		const char *name;
		mode_t mode;
	} folders[] = {
		{true, "", 0755},
		{true, "/shims", 0700},
		{true, "/exits", 0700},
		{true, "/staging", 0700},
		{true, "/frozen", 0700},
		{false, "", 0700},
		{false, "/containers", 0700},
		{false, "/trash", 0700},
		{false, "/volumes", 0700},
	};
	char path[320];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		int r;

		snprintf(path, sizeof path, "%s%s", folders[i].run ? sv->cfg.run_dir : sv->cfg.state_dir,
			 folders[i].name);
		r = dir_make(AT_FDCWD, path, folders[i].mode);
		if (r < 0)
			return err_set(e, -r, "folders", "make %s", path);
	}
	return 0;
}

/* The lowest layer of every rootfs: what is mounted on and images may lack. Made in the upper layer, each would be a copy of its
 * folder and an inode more for every container. */
static int open_mount_points(struct supervisor *sv, struct err *e)
{
	static const struct {
		const char *name;
		bool file;
	} points[] = {
		{"", false},	 {"/dev", false},	  {"/proc", false},	{"/sys", false},
		{"/etc", false}, {"/etc/hostname", true}, {"/etc/hosts", true}, {"/etc/resolv.conf", true},
	};
	char path[320];

	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		AUTO_FD fd = -1;
		int r = 0;

		path_mount_points(sv, points[i].name, path, sizeof path);
		if (!points[i].file)
			r = dir_make(AT_FDCWD, path, 0755);
		if (!r) {
			fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (points[i].file ? O_CREAT : 0), 0644);
			/* Whatever our umask is. */
			r = fd < 0 || fchmod(fd, points[i].file ? 0644 : 0755) < 0 ? -errno : 0;
		}
		if (r < 0)
			return err_set(e, -r, "folders", "make %s", path);
	}
	return 0;
}

static int open_boot_id(struct supervisor *sv, struct err *e)
{
	ssize_t len = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", sv->boot_id, sizeof sv->boot_id);

	if (len < 0)
		return err_set(e, (int)-len, "boot", "read the boot id");
	sv->boot_id[strcspn(sv->boot_id, "\n")] = 0;
	return 0;
}

static int write_whole(int fd, const char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, data + at, len - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Alone in a file system that is read-only as a whole and mounted nowhere. From inside a container it can be reached as
 * /proc/<pid>/exe of an init, and root there could change what a memfd's seals leave open: its mode and owner, and then no
 * shim of any container could be executed any more. */
static int open_shim_image(struct supervisor *sv, struct err *e)
{
	AUTO_FD fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	AUTO_FD mount = -1;
	AUTO_FD fd = -1;
	int r;

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_set(e, errno, "shim", "a file system for the shim");
	mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mount < 0)
		return err_set(e, errno, "shim", "a file system for the shim");
	fd = openat(mount, "berth-shim", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555);
	if (fd < 0 || fchmod(fd, 0555) < 0) /* whatever our umask is */
		return err_set(e, errno, "shim", "a file for the shim");
	r = write_whole(fd, berth_shim_start, (size_t)(berth_shim_end - berth_shim_start));
	if (r < 0)
		return err_set(e, -r, "shim", "write the shim's file");
	close_fd(&fd);
	if (fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return err_set(e, errno, "shim", "make the shim's file system read-only");
	sv->shim_exe_fd = openat(mount, "berth-shim", O_PATH | O_CLOEXEC);
	return sv->shim_exe_fd < 0 ? err_set(e, errno, "shim", "open the shim's file") : 0;
}

static int open_tables(struct supervisor *sv, struct err *e)
{
	uint32_t max = sv->cfg.max_containers;
	int r = table_init(&sv->containers, max);

	/* A plain container has a pod of its own, and there are pods that were asked for. */
	if (!r)
		r = table_init(&sv->pods, max * 2);
	if (!r)
		r = table_init(&sv->images, max);
	if (!r)
		r = table_init(&sv->volumes, max);
	if (r == 0)
		r = table_init(&sv->networks, max);
	if (r == 0)
		r = table_init(&sv->security_groups, max);
	if (!r)
		r = names_new(max, &sv->names);
	if (!r)
		r = seccomp_cache_new(&sv->seccomp);
	if (!r && !seccomp_is_usable(sv->seccomp))
		log_warn("the kernel has no seccomp filters: containers run without");
	if (!r && !(sv->devices = cg_devices_new()))
		r = -ENOMEM;
	return r < 0 ? err_set(e, -r, "tables", "make the tables") : 0;
}

static int open_cgroups(struct supervisor *sv, struct err *e)
{
	return cg_tree_open(&sv->cg, sv->cfg.cgroup[0] ? sv->cfg.cgroup : NULL, e);
}

static int open_apparmor(struct supervisor *sv, struct err *e)
{
	apparmor_look(sv);
	if (sv->apparmor_kernel && !sv->apparmor)
		log_warn("AppArmor is active, but no profile " APPARMOR_DEFAULT " is loaded: containers get no label");
	return 0;
}

static int open_state(struct supervisor *sv, struct err *e)
{
	int r = store_open(&sv->loop, sv->cfg.state_dir, &sv->store, e);

	return r < 0 ? r : store_load_counters(sv->store, &sv->next_id, &sv->revision, e);
}

static int open_logs(struct supervisor *sv, struct err *e)
{
	int r = watch_new(sv, &sv->watch);

	if (!r)
		r = audit_open(sv);
	if (!r)
		r = replays_open(sv);
	if (!r)
		r = logs_open(sv);
	return r < 0 ? err_set(e, -r, "logs", "open the logs of events and actions") : 0;
}

static void on_signal(struct source *s, uint32_t events)
{
	struct supervisor *sv = container_of(s, struct supervisor, signals);
	struct signalfd_siginfo info;

	while (read(s->fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGHUP) {
			upgrade_start(sv, NULL, (struct parked){0});
			continue;
		}
		if (info.ssi_signo == SIGCHLD) {
			reaper_soon(sv);
			continue;
		}
		/* The containers go on: what ends is only who looks after them. */
		log_info("ends on signal %u; containers go on", info.ssi_signo);
		sv->stopping = true;
		loop_stop(&sv->loop, 0);
	}
}

static int open_signals(struct supervisor *sv, struct err *e)
{
	sigset_t set;
	int fd, r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	signal(SIGCHLD, SIG_DFL); /* ignored, as somebody may have handed it on, nobody could be waited for */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r = fd < 0 ? -errno : source_add(&sv->loop, &sv->signals, fd, EPOLLIN, on_signal);
	reaper_reap(sv); /* of an earlier life: its signals were taken by that */
	return r < 0 ? err_set(e, -r, "signals", "watch for signals") : 0;
}

static void turn_end(struct loop *l)
{
	struct supervisor *sv = container_of(l, struct supervisor, loop);

	container_step_all(sv);
	shutdown_step(sv);
	store_turn(sv->store);
}

static int open_loop(struct supervisor *sv, struct err *e)
{
	int r = loop_init(&sv->loop);

	sv->loop.turn_end = turn_end;
	return r < 0 ? err_set(e, -r, "loop", "make the event loop") : 0;
}

/* First, as long as the numbers are low: those of thousands of containers come behind them. */
static int open_reserve(struct supervisor *sv, struct err *e)
{
	int r = spawn_reserve();

	return r < 0 ? err_set(e, -r, "start", "reserve descriptors for children") : 0;
}

/* Null values before anything can fail: supervisor_close works from here on. */
static void supervisor_init(struct supervisor *sv)
{
	list_init(&sv->steps);
	list_init(&sv->children);
	list_init(&sv->dirty);
	list_init(&sv->files_stale);
	list_init(&sv->waiters);
	list_init(&sv->strangers);
	list_init(&sv->shutdown_askers);
	list_init(&sv->leaving);
	list_init(&sv->containers.all);
	list_init(&sv->pods.all);
	list_init(&sv->images.all);
	list_init(&sv->volumes.all);
	list_init(&sv->networks.all);
	list_init(&sv->net_holders);
	list_init(&sv->slots);
	list_init(&sv->security_groups.all);
	list_init(&sv->policies);
	list_init(&sv->floating_pools.all);
	list_init(&sv->floating_ips.all);
	sv->cg.root_fd = sv->cg.shims_fd = sv->cg.jobs_fd = sv->cg.shared_fd = sv->cg.supervisor_fd = -1;
	sv->volume_ns_fd = -1;
	sv->shim_exe_fd = sv->signals.fd = sv->loop.epoll_fd = -1;
	cg_graveyard_init(&sv->graveyard, &sv->loop);
}

int supervisor_open(struct supervisor *sv, int listen_fd, struct err *e)
{
	/* In this order: what stands below uses what stands above. */
	static int (*const steps[])(struct supervisor *, struct err *) = {
		open_reserve,	   open_loop,	 open_signals,	  open_boot_id,		open_folders,
		open_mount_points, open_cgroups, open_shim_image, open_apparmor,	open_tables,
		open_state,	   open_logs,	 jobs_open,	  tokens_open,		image_load,
		volume_load,	   resolv_open,	 networks_open,	  security_groups_open, netd_open,
		dnsd_open,	   pod_load,	 container_load,  floating_open,	recover_run,
		spares_open,
	};

	supervisor_init(sv);
	sv->started_at = wall_ns();
	fd_limit_raise();
	for (size_t i = 0; i < ARRAY_SIZE(steps) && !sv->stopping; i++) {
		int r = steps[i](sv, e);

		if (r < 0)
			return r;
	}
	/* The turns of recovery are over, and the next one ends with the first event. */
	if (sv->store)
		store_turn(sv->store);
	/* Last: whoever can connect finds everything settled. */
	return control_open(sv, listen_fd, e);
}

/* ---------------------------------------------------------------- closing: containers and shims stay as they are */

static void close_objects(struct supervisor *sv)
{
	struct table_node *n;

	if (!sv->names)
		return;
	list_each (n, &sv->containers.all, link)
		container_free(container_of(n, struct container, node));
	list_each (n, &sv->pods.all, link)
		pod_free(container_of(n, struct pod, node));
	image_fini(sv);
	volume_fini(sv);
	networks_close(sv);
	security_groups_close(sv);
	floating_fini(sv);
	volume_mount_fini(sv);
	table_fini(&sv->containers);
	table_fini(&sv->pods);
	table_fini(&sv->images);
	table_fini(&sv->volumes);
	table_fini(&sv->networks);
	table_fini(&sv->security_groups);
	names_free(sv->names);
}

/* Nobody is asked any more, everybody was answered; then what that left to be written is committed. */
static void close_store(struct supervisor *sv)
{
	sv->stopping = true;
	if (sv->control)
		control_close(sv);
	commits_close(sv);
	if (sv->jobs)
		jobs_close(sv);
	if (sv->followers)
		logs_close(sv);
	if (!sv->store)
		return;
	container_step_all(sv);
	store_close(sv->store);
	sv->store = NULL;
	tokens_close(sv);
	if (sv->replays)
		replays_close(sv);
	if (sv->audit)
		audit_close(sv);
	if (sv->watch)
		watch_free(sv->watch);
	sv->watch = NULL;
}

void supervisor_close(struct supervisor *sv)
{
	upgrade_free(sv);
	shutdown_fini(sv);
	spares_close(sv);
	close_store(sv);
	netd_close(sv);
	dnsd_close(sv);
	resolv_close(sv);
	close_objects(sv);
	shimlinks_close(sv);
	seccomp_cache_free(sv->seccomp);
	cg_devices_free(sv->devices);
	cg_graveyard_fini(&sv->graveyard);
	cg_tree_close(&sv->cg);
	close_fd(&sv->shim_exe_fd);
	timer_del(&sv->reap);
	source_del(&sv->signals);
	close_fd(&sv->signals.fd);
	loop_fini(&sv->loop);
}
