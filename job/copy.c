/* job/copy.c - `copy mknod=0|1 [pid=N group=PATH userns=0|1]`, fd 4 = sealed memfd with an Envelope{ContainerCopy}, fd 5 = the archive
 * (not with STAT), and without pid the next one a sealed memfd with a LaunchPlan (launch_view), and the one after that, if there is one, the
 * mount namespace of volumes (job/volume.c): looks at a path of a container, packs it,
 * or unpacks an archive there. Result CopyReply; FROM says what it will pack in one with `more` first.
 *
 * The container is hostile, whether it runs or has only left its files, and so is the archive. What touches either is a child that
 * is confined: it has the container's root as a descriptor and resolves everything below it (openat2, RESOLVE_IN_ROOT), and Landlock knows
 * nothing else; of a container with a user namespace it is that namespace's root and nobody on the host. It does not chroot: a C
 * library that looks for its own files would find the container's. The parent mounts, unmounts, and tells how it ended. */
#include "job/job.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "image/extract.h"
#include "image/pack.h"
#include "job/view.h"
#include "proto/envelope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define REQUEST_FD 4
#define STREAM_FD  5
#define IN_ROOT	   (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

#define CAP_MKNOD_BIT CAP_BIT(27)

struct copy {
	const Berth__ContainerCopy *ask;
	struct view view;
	bool mknod;
	struct outcome *outcome; /* shared by child and parent */
};

/* What the child found and did. */
struct outcome {
	bool found, done;
	struct err e; /* if not done */
	struct stat st;
	char name[NAME_MAX + 1], link[PATH_MAX];
	uint64_t entries, bytes, passed_over;
};

/* ---------------------------------------------------------------- what is said */

static int copy_report(const struct outcome *o, bool more, struct err *e)
{
	Berth__PathStat st = BERTH__PATH_STAT__INIT;
	Berth__CopyReply reply = BERTH__COPY_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	if (o->found) {
		reply.stat = &st;
		st.name = (char *)(uintptr_t)o->name;
		st.has_size = st.has_mode = st.has_mtime = st.has_uid = st.has_gid = true;
		st.size = (uint64_t)o->st.st_size;
		st.mode = o->st.st_mode;
		st.mtime = (int64_t)o->st.st_mtim.tv_sec * 1000000000 + o->st.st_mtim.tv_nsec;
		st.uid = o->st.st_uid;
		st.gid = o->st.st_gid;
		if (S_ISLNK(o->st.st_mode))
			st.link_target = (char *)(uintptr_t)o->link;
	}
	reply.has_entries = reply.has_bytes = reply.has_passed_over = !more;
	reply.passed_over = o->passed_over;
	reply.entries = o->entries;
	reply.bytes = o->bytes;
	env.has_more = env.more = more;
	env.body_case = BERTH__ENVELOPE__BODY_COPY_REPLY;
	env.copy_reply = &reply;
	return report_send(&env, e);
}

/* ---------------------------------------------------------------- the path */

static bool must_be_folder(const char *path)
{
	size_t len = strlen(path);

	return path[len - 1] == '/' || (len > 1 && !strcmp(path + len - 2, "/.")) || !strcmp(path, ".") ||
	       !strcmp(path, "..") || (len > 2 && !strcmp(path + len - 3, "/.."));
}

/* The folder's content, and not the folder. */
static bool is_contents(const char *path)
{
	size_t len = strlen(path);

	return !strcmp(path, ".") || (len > 1 && !strcmp(path + len - 2, "/."));
}

/* The last part that is a name; "/" if there is none. */
static void name_of(const char *path, char name[NAME_MAX + 1])
{
	size_t end = strlen(path), start;

	for (;;) {
		while (end && path[end - 1] == '/')
			end--;
		for (start = end; start && path[start - 1] != '/';)
			start--;
		if (end - start != 1 || path[start] != '.')
			break;
		end = start;
	}
	if (end == start || (end - start == 2 && !memcmp(path + start, "..", 2)))
		snprintf(name, NAME_MAX + 1, "/");
	else
		snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - start), path + start);
}

/* What is there, opened with O_PATH, and described. -ENOENT: nothing. */
static int item_open(struct copy *k, bool follow, struct err *e)
{
	const char *path = k->ask->path;
	struct outcome *o = k->outcome;
	bool folder = must_be_folder(path);
	AUTO_FD fd = path_open_in(k->view.root_fd, path, O_PATH | (folder || follow ? 0 : O_NOFOLLOW), IN_ROOT);
	ssize_t n;

	if (fd < 0 || fstat(fd, &o->st) < 0)
		return err_set(e, errno, STEP_PATH, "%.300s", path);
	if (folder && !S_ISDIR(o->st.st_mode))
		return err_set(e, ENOTDIR, STEP_PATH, "%.300s", path);
	name_of(path, o->name);
	if (S_ISLNK(o->st.st_mode)) {
		n = readlinkat(fd, "", o->link, sizeof o->link - 1);
		if (n < 0)
			return err_set(e, errno, STEP_PATH, "%.300s", path);
		o->link[n] = 0;
	}
	if (!str_is_utf8(o->link, strlen(o->link)) || !str_is_utf8(o->name, strlen(o->name)))
		return err_set(e, 0, "copy", "%.300s: a link to a name that is not UTF-8", path);
	o->found = true;
	return take_fd(&fd);
}

/* ---------------------------------------------------------------- the three directions, in the child */

static int look(struct copy *k, struct err *e)
{
	AUTO_FD fd = item_open(k, k->ask->follow, e);

	return fd >= 0 || fd == -ENOENT ? 0 : fd;
}

static int copy_in(struct copy *k, struct err *e)
{
	AUTO_FD fd = item_open(k, true, e);
	struct extract x = {
		.root_fd = k->view.root_fd,
		.base = k->ask->path,
		.follow = true,
		.owner = k->ask->owners ? EXTRACT_OWNER_ARCHIVE : EXTRACT_OWNER_ROOT,
		.special_bits = true,
		.devices = true,
		.reserve = true,
	};
	struct extract_result result = {0};
	int r;

	if (fd < 0)
		return fd;
	if (!S_ISDIR(k->outcome->st.st_mode))
		return err_set(e, ENOTDIR, STEP_PATH, "%.300s", k->ask->path);
	if (pack_is_kernel_file(fd))
		return err_set(e, 0, "copy", "%.300s is the kernel's: nothing can be copied there", k->ask->path);
	r = extract_tar(STREAM_FD, &x, &result, e);
	k->outcome->entries = result.entries;
	k->outcome->bytes = result.bytes;
	return r < 0 && (e->code == EROFS) ? err_wrap(e, "the container cannot write there") : r;
}

static int stream_write(void *arg, const void *data, size_t len, struct err *e)
{
	(void)arg;
	return job_write_all(STREAM_FD, data, len, e);
}

static int copy_out(struct copy *k, struct err *e)
{
	AUTO_FD fd = item_open(k, k->ask->follow, e);
	struct pack_how how = {.write = stream_write, .no_kernel_files = true};
	struct pack_result result = {0};
	struct outcome *o = k->outcome;
	const char *as = k->ask->name ? k->ask->name : is_contents(k->ask->path) ? "." : o->name;
	int r;

	if (fd < 0)
		return fd;
	if (pack_is_kernel_file(fd))
		return err_set(e, 0, "copy", "%.300s is made up by the kernel when it is read: it cannot be copied",
			       k->ask->path);
	if (S_ISSOCK(o->st.st_mode))
		return err_set(e, 0, "copy", "%.300s is a socket: an archive cannot hold it", k->ask->path);
	r = copy_report(o, true, e);
	if (r == 0)
		r = tree_pack(&how, fd, "", !strcmp(as, ".") || !strcmp(as, "/") ? "" : as, &result, e);
	o->entries = result.entries;
	o->bytes = result.bytes;
	o->passed_over = result.left_out;
	return r;
}

/* ---------------------------------------------------------------- child and parent */

static int child_work(struct copy *k, struct err *e)
{
	bool writes = k->ask->direction == BERTH__CONTAINER_COPY__DIRECTION__TO;
	struct confine c = {.caps = writes ? JOB_CAPS_COPY | (k->mknod ? CAP_MKNOD_BIT : 0) : JOB_CAPS_READ,
			    .read_fd = writes ? -1 : k->view.root_fd,
			    .change_fd = writes ? k->view.root_fd : -1};
	int r;

	if ((r = view_become_root(&k->view, e)) < 0 || (r = confine_enter(&c, e)) < 0)
		return r;
	switch (k->ask->direction) {
	case BERTH__CONTAINER_COPY__DIRECTION__STAT:
		return look(k, e);
	case BERTH__CONTAINER_COPY__DIRECTION__TO:
		return copy_in(k, e);
	case BERTH__CONTAINER_COPY__DIRECTION__FROM:
	default:
		return copy_out(k, e);
	}
}

static int child_run(struct copy *k, struct err *e)
{
	struct outcome *o = k->outcome;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return err_set(e, errno, "copy", "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* best effort: whoever kills us kills our group */
		o->done = child_work(k, &o->e) == 0;
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(e, errno, "copy", "wait");
	if (o->done)
		return 0;
	if (status != 0)
		return err_set(e, EIO, "copy", "what copies ended with status %d", status);
	*e = o->e;
	e->step[sizeof e->step - 1] = e->text[sizeof e->text - 1] = 0;
	return e->code > 0 ? -e->code : -EINVAL;
}

/* ---------------------------------------------------------------- arguments */

static const char *value_of(int argc, char **argv, const char *key)
{
	size_t len = strlen(key);

	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], key, len) && argv[i][len] == '=')
			return argv[i] + len + 1;
	return NULL;
}

static int view_open(struct copy *k, int argc, char **argv, struct err *e)
{
	const char *pid = value_of(argc, argv, "pid"), *group = value_of(argc, argv, "group"),
		   *userns = value_of(argc, argv, "userns");
	bool looks = k->ask->direction == BERTH__CONTAINER_COPY__DIRECTION__STAT;
	int plan_fd = looks ? STREAM_FD : STREAM_FD + 1;
	Shim__LaunchPlan *plan;
	const void *data;
	uint32_t number;
	size_t len;
	int r;

	if (pid && group && str_to_u32(pid, &number) == 0)
		return view_of_process(&k->view, (pid_t)number, group, userns && *userns == '1', e);
	r = memfd_map(plan_fd, ENVELOPE_MAX, &data, &len);
	if (r < 0)
		return err_set(e, -r, "copy", "plan");
	plan = shim__launch_plan__unpack(NULL, len, data);
	munmap((void *)(uintptr_t)data, len);
	if (!plan)
		return err_set(e, EBADMSG, "copy", "plan");
	r = view_of_plan(&k->view, plan, fcntl(plan_fd + 1, F_GETFD) < 0 ? -1 : plan_fd + 1,
			 k->ask->direction == BERTH__CONTAINER_COPY__DIRECTION__TO, e);
	shim__launch_plan__free_unpacked(plan, NULL);
	return r;
}

static Berth__Envelope *request_read(struct err *e)
{
	struct wire_fds fds = {.n = 0};
	Berth__Envelope *env;
	const void *data;
	size_t len;
	int r = memfd_map(REQUEST_FD, ENVELOPE_MAX, &data, &len);

	if (r < 0) {
		err_set(e, -r, "copy", "request");
		return NULL;
	}
	env = envelope_unpack(data, len, &fds);
	munmap((void *)(uintptr_t)data, len);
	if (env && env->body_case == BERTH__ENVELOPE__BODY_CONTAINER_COPY && env->container_copy->path)
		return env;
	if (env)
		berth__envelope__free_unpacked(env, NULL);
	err_set(e, EBADMSG, "copy", "request");
	return NULL;
}

/* A client may have made its end non-blocking, which is ours too. If it does so again, it is its copy that fails. */
static int stream_block(struct err *e)
{
	int flags = fcntl(STREAM_FD, F_GETFL);

	if (flags < 0 || fcntl(STREAM_FD, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return err_set(e, errno, "copy", "the archive's descriptor");
	return 0;
}

int verb_copy(int argc, char **argv, struct err *e)
{
	struct copy k = {.view = VIEW_NULL};
	const char *mknod = value_of(argc, argv, "mknod");
	Berth__Envelope *request = request_read(e);
	int r;

	if (!request)
		return -EBADMSG;
	k.ask = request->container_copy;
	k.mknod = mknod && *mknod == '1';
	k.outcome = mmap(NULL, sizeof *k.outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k.outcome == MAP_FAILED)
		return err_set(e, errno, "copy", "memory");
	r = k.ask->direction == BERTH__CONTAINER_COPY__DIRECTION__STAT ? 0 : stream_block(e);
	if (r == 0)
		r = view_open(&k, argc, argv, e);
	if (r == 0)
		r = child_run(&k, e);
	view_close(&k.view);
	if (r == 0)
		r = copy_report(k.outcome, false, e);
	berth__envelope__free_unpacked(request, NULL);
	return r;
}
