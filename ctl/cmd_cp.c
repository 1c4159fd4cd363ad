/* ctl/cmd_cp.c - cp: files into and out of containers. The rules of docker cp are in copy_rule.c; berthd's job has the container's end of
 * the archive, and this host's end is a job of our own: the same program, confined, with our rights (job/local.c). */
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "ctl/command.h"
#include "ctl/copy_rule.h"
#include "ctl/print.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINKS_MAX 40

struct cp_opts {
	bool archive, follow, quiet;
};

static const struct flag cp_flags[] = {
	{'a', "archive", NULL, "keep owners, by number, and what setuid bits allow", flag_bool,
	 offsetof(struct cp_opts, archive)},
	{'L', "follow-link", NULL, "if SRC is a symlink, copy what it leads to", flag_bool,
	 offsetof(struct cp_opts, follow)},
	{'q', "quiet", NULL, "say nothing of how much it was", flag_bool, offsetof(struct cp_opts, quiet)},
	{0},
};

struct cp {
	struct app *app;
	const struct cp_opts *o;
	char *ref, *path;  /* owned: of the container */
	const char *local; /* the other one; "-" is an archive */
	struct copy_way way;
	bool alone; /* what is copied is no folder */
	uint64_t entries, bytes, passed_over;
};

/* ---------------------------------------------------------------- our end: a child at a pipe */

struct helper {
	int pidfd, report_fd; /* report_fd -1: one that only carries bytes */
};

static int die_with_us(void *arg)
{
	(void)arg;
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}

/* Beside us, or where it is installed. */
static void job_path(char buf[PATH_MAX])
{
	static const char *const places[] = {"berth-job", "../libexec/berth/berth-job", NULL};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	self[n > 0 ? n : 0] = 0;
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && places[i]; i++)
		if (snprintf(buf, PATH_MAX, "%.*s/%s", (int)(slash - self), self, places[i]) < PATH_MAX &&
		    access(buf, X_OK) == 0)
			return;
	snprintf(buf, PATH_MAX, "/usr/libexec/berth/berth-job");
}

static int helper_job(struct helper *h, char *const *argv, int place_fd, int stream_fd, struct err *e)
{
	char path[PATH_MAX];
	int pair[2], r = wire_pair(pair);
	pid_t pid;

	if (r < 0)
		return err_set(e, -r, "copy", "a socket");
	AUTO_FD ours = pair[0];
	AUTO_FD theirs = pair[1];
	struct spawn sp = {.exec_fd = -1,
			   .path = path,
			   .argv = argv,
			   .fds = (int[]){-1, -1, STDERR_FILENO, theirs, place_fd, stream_fd},
			   .n_fds = 6,
			   .cgroup_fd = -1,
			   .before_exec = die_with_us};

	job_path(path);
	r = spawn(&sp, &h->pidfd, &pid, e);
	if (r < 0)
		return r;
	h->report_fd = take_fd(&ours);
	return 0;
}

static void pump_run(int from, int to)
{
	static char buf[256 << 10];
	ssize_t n;

	while ((n = read(from, buf, sizeof buf)) != 0) {
		if (n < 0 && errno != EINTR)
			_exit(errno);
		for (ssize_t at = 0, put; at < n; at += put) {
			put = write(to, buf + at, (size_t)(n - at));
			if (put < 0 && errno != EINTR)
				_exit(errno);
			put = put < 0 ? 0 : put;
		}
	}
	_exit(0);
}

/* Bytes from here to there, until either ends; its exit status is an errno. `close_fd` is the pipe's other end, which must not stay open in it. */
static int helper_pump(struct helper *h, int from, int to, int other_end, struct err *e)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return err_set(e, errno, "copy", "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		close(other_end);
		if (getppid() != parent)
			_exit(EPIPE);
		pump_run(from, to);
	}
	h->report_fd = -1;
	h->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return h->pidfd < 0 ? err_set(e, errno, "copy", "pidfd") : 0;
}

static int helper_status(struct helper *h)
{
	siginfo_t si = {0};

	while (waitid(P_PIDFD, (id_t)h->pidfd, &si, WEXITED) < 0 && errno == EINTR)
		;
	close_fd(&h->pidfd);
	return si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
}

/* The last record that it sent, or NULL. */
static Berth__Envelope *helper_report(struct helper *h)
{
	static uint8_t buf[WIRE_MAX];
	Berth__Envelope *last = NULL;
	struct wire_fds fds;
	size_t len;

	while (h->report_fd >= 0 && wire_recv(h->report_fd, buf, sizeof buf, &len, &fds) == 0) {
		if (last)
			berth__envelope__free_unpacked(last, NULL);
		last = envelope_unpack(buf, len, &fds);
		wire_fds_close(&fds);
	}
	close_fd(&h->report_fd);
	return last;
}

/* 0, or what went wrong at our end; -EPIPE: the other end is the reason. */
static int helper_end(struct helper *h, struct cp *c, struct err *e)
{
	int status = helper_status(h), r = 0;
	bool pump = h->report_fd < 0;
	Berth__Envelope *env = helper_report(h);

	if (pump && status)
		return status == EPIPE ? -EPIPE : err_set(e, status, "copy", "the archive");
	if (env && env->body_case == BERTH__ENVELOPE__BODY_ERROR)
		r = err_set(e, 0, "copy", "%s", env->error->text ? env->error->text : "");
	else if (!pump && (status || !env))
		r = err_set(e, 0, "copy", "the job at this end ended with status %d", status);
	if (r < 0 && env && env->error && env->body_case == BERTH__ENVELOPE__BODY_ERROR &&
	    env->error->sys_errno == EPIPE)
		r = -EPIPE;
	if (r == 0 && env && env->body_case == BERTH__ENVELOPE__BODY_COPY_REPLY)
		c->passed_over += env->copy_reply->passed_over;
	if (env)
		berth__envelope__free_unpacked(env, NULL);
	return r;
}

/* ---------------------------------------------------------------- berthd's end */

static void request_init(struct cp *c, Berth__ContainerCopy *m, Berth__ContainerCopy__Direction direction)
{
	berth__container_copy__init(m);
	m->ref = c->ref;
	m->path = c->path;
	m->has_direction = true;
	m->direction = direction;
}

/* What the container has at path. The exit status. */
static int look(struct cp *c, const char *path, bool follow, bool *ret_there, uint32_t *ret_mode, char **ret_link)
{
	Berth__ContainerCopy m;
	Berth__PathStat *st;
	struct ask a;
	int status;

	request_init(c, &m, BERTH__CONTAINER_COPY__DIRECTION__STAT);
	m.path = (char *)(uintptr_t)path;
	m.has_follow = true;
	m.follow = follow;
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_COPY, &m);
	status = app_ask(c->app, &a, NULL);
	st = status ? NULL : a.reply->copy_reply->stat;
	*ret_there = st != NULL;
	*ret_mode = st ? st->mode : 0;
	*ret_link = st && st->link_target ? mem_text(st->link_target) : NULL;
	ask_fini(&a);
	return status;
}

/* Both ends run; the exit status. The container's end is closed when its job has ended, so that ours sees the end. One that is not waited
 * for is ended: it may read where nothing comes. */
static int transfer(struct cp *c, Berth__ContainerCopy *m, int *container_end, struct helper *h, bool wait)
{
	const Berth__Error *error;
	struct err e = {0};
	struct ask a;
	int status, r;

	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_COPY, m);
	a.fds = container_end;
	a.n_fds = 1;
	a.once = true;
	status = app_ask_raw(c->app, &a);
	close_fd(container_end);
	if (!wait)
		(void)syscall(SYS_pidfd_send_signal, h->pidfd, SIGKILL, NULL, 0);
	r = helper_end(h, c, &e);
	error = ask_error(&a);
	if (!wait)
		r = 0;
	if (a.lost)
		say("berthd went away meanwhile: how much was copied is not known");
	else if (error && !(error->sys_errno == EPIPE && r < 0)) /* else it is our end that failed first */
		status = app_refused(c->app, error, NULL);
	else if (!status && r < 0)
		status = r == -EPIPE ? c->app->failure : app_fail(c->app, &e); /* … | head */
	if (!status) {
		c->entries = a.reply->copy_reply->entries;
		c->bytes = a.reply->copy_reply->bytes;
		c->passed_over += a.reply->copy_reply->passed_over;
	}
	ask_fini(&a);
	return status;
}

static int begin(struct cp *c, int pair[2])
{
	struct err e;
	int status = app_connect(c->app);

	if (!status && pipe2(pair, O_CLOEXEC) < 0) {
		err_set(&e, errno, "copy", "a pipe");
		status = app_fail(c->app, &e);
	}
	return status;
}

/* A device, pipe or socket would not be written to, but replaced by a file: on a host, and be it /dev/null, for everybody. */
static int destination_check(struct cp *c, const struct copy_end *to, mode_t mode, const char *ref, const char *path)
{
	if (!to->exists || to->folder || S_ISREG(mode))
		return 0;
	say("%s%s%s is neither a folder nor a regular file", ref, *ref ? ":" : "", path);
	return c->app->failure;
}

/* ---------------------------------------------------------------- out of a container */

/* Where the path of this host leads: what is there, or what would be made. */
static int local_destination(struct cp *c, char path[PATH_MAX], struct copy_end *to)
{
	char link[PATH_MAX];
	struct stat st;
	struct err e;

	snprintf(path, PATH_MAX, "%s", c->local);
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		ssize_t n = copy_says_folder(path) ? -1 : readlink(path, link, sizeof link - 1);
		char *slash = strrchr(path, '/');
		AUTO_FREE char *whole = NULL;

		if (n <= 0)
			break;
		link[n] = 0;
		whole = link[0] == '/' || !slash ? mem_text(link)
						 : mem_printf("%.*s/%s", (int)(slash - path), path, link);
		snprintf(path, PATH_MAX, "%s", whole);
	}
	to->path = path;
	to->exists = stat(path, &st) == 0;
	if (!to->exists && errno != ENOENT) {
		err_set(&e, errno, "copy", "%s", c->local);
		return app_fail(c->app, &e);
	}
	to->folder = to->exists && S_ISDIR(st.st_mode);
	return destination_check(c, to, to->exists ? st.st_mode : 0, "", c->local);
}

static int out_of(struct cp *c)
{
	bool archive = !strcmp(c->local, "-"), there;
	char path[PATH_MAX], owners[16], *argv[] = {(char *)"berth-job", (char *)"unpack", c->way.name, owners, NULL};
	struct copy_end from = {.path = c->path, .exists = true}, to = {0};
	AUTO_FREE char *link = NULL;
	struct helper h = {-1, -1};
	Berth__ContainerCopy m;
	struct err e = {0};
	AUTO_FD folder = -1;
	uint32_t mode;
	int pair[2] = {-1, -1}, status, r;

	if (archive && isatty(STDOUT_FILENO)) {
		say("standard output is a terminal: an archive is not written to it");
		return c->app->failure;
	}
	request_init(c, &m, BERTH__CONTAINER_COPY__DIRECTION__FROM);
	m.has_follow = true;
	m.follow = c->o->follow;
	if (!archive) {
		status = look(c, c->path, c->o->follow, &there, &mode, &link);
		if (status)
			return status;
		if (!there) {
			say("there is no %s in container %s", c->path, c->ref);
			return c->app->failure;
		}
		from.folder = S_ISDIR(mode);
		c->alone = !from.folder;
		status = local_destination(c, path, &to);
		if (status)
			return status;
		if (copy_rule(&from, &to, &c->way, &e) < 0)
			return app_fail(c->app, &e);
		m.name = c->way.name;
		folder = open(c->way.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (folder < 0) {
			err_set(&e, errno, "copy", "%s", c->way.folder);
			return app_fail(c->app, &e);
		}
	}
	status = begin(c, pair);
	AUTO_FD in = pair[0];
	AUTO_FD out = pair[1];
	if (status)
		return status;
	snprintf(owners, sizeof owners, "owners=%d", c->o->archive);
	r = archive ? helper_pump(&h, in, STDOUT_FILENO, out, &e) : helper_job(&h, argv, folder, in, &e);
	if (r < 0)
		return app_fail(c->app, &e);
	close_fd(&in);
	return transfer(c, &m, &out, &h, true);
}

/* ---------------------------------------------------------------- into a container */

/* The path to follow from a symlink that the container has at path. On the heap. */
static char *link_follow(const char *path, const char *target)
{
	const char *slash = strrchr(path, '/');

	return *target == '/' ? mem_text(target) : mem_printf("%.*s/%s", (int)(slash - path), path, target);
}

/* What the container has where it is to go, or where a symlink there leads. The exit status; to->path on the heap. */
static int container_destination(struct cp *c, struct copy_end *to, char **ret_path)
{
	char *path = mem_text(c->path), *link = NULL;
	uint32_t mode = 0;
	int status = 0;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		char *next;

		free(link);
		status = look(c, path, false, &to->exists, &mode, &link);
		if (status || !link)
			break;
		next = link_follow(path, link);
		free(path);
		path = next;
	}
	free(link);
	*ret_path = path;
	to->path = path;
	to->folder = to->exists && S_ISDIR(mode);
	return status ? status : destination_check(c, to, mode, c->ref, c->path);
}

/* What is to be copied, opened: a symlink itself unless it is to be followed, or said to be a folder. */
static int source_open(struct cp *c, struct copy_end *from, char resolved[PATH_MAX], int *ret_fd)
{
	struct stat st;
	struct err e;
	int follow = c->o->follow || copy_says_folder(c->local) ? 0 : O_NOFOLLOW;
	AUTO_FD fd = open(c->local, O_PATH | follow | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set(&e, errno, "copy", "%s", c->local);
		return app_fail(c->app, &e);
	}
	from->folder = S_ISDIR(st.st_mode);
	c->alone = !from->folder;
	if (copy_says_parent(c->local) && realpath(c->local, resolved)) /* that has a name too */
		from->path = resolved;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int into(struct cp *c)
{
	char resolved[PATH_MAX];
	bool archive = !strcmp(c->local, "-");
	char *argv[] = {(char *)"berth-job", (char *)"pack", c->way.name, NULL};
	struct copy_end from = {.path = c->local, .exists = true}, to = {0};
	AUTO_FREE char *path = NULL;
	struct helper h = {-1, -1};
	Berth__ContainerCopy m;
	struct err e = {0};
	AUTO_FD source = -1;
	int pair[2] = {-1, -1}, status, r;

	if (archive && isatty(STDIN_FILENO)) {
		say("standard input is a terminal: pipe an archive into it");
		return c->app->failure;
	}
	request_init(c, &m, BERTH__CONTAINER_COPY__DIRECTION__TO);
	m.has_owners = true;
	m.owners = c->o->archive;
	if (!archive) {
		if ((status = source_open(c, &from, resolved, &source)) ||
		    (status = container_destination(c, &to, &path)))
			return status;
		if (copy_rule(&from, &to, &c->way, &e) < 0)
			return app_fail(c->app, &e);
		m.path = c->way.folder;
	}
	status = begin(c, pair);
	AUTO_FD in = pair[0];
	AUTO_FD out = pair[1];
	if (status)
		return status;
	r = archive ? helper_pump(&h, STDIN_FILENO, out, in, &e) : helper_job(&h, argv, source, out, &e);
	if (r < 0)
		return app_fail(c->app, &e);
	close_fd(&out);
	return transfer(c, &m, &in, &h, !archive);
}

/* ---------------------------------------------------------------- cp */

/* The exit status: a file that was asked for by its name and left out is a failure, one of many is not. */
static int tell(const struct cp *c, const char *to)
{
	char size[PRINT_SIZE];

	if (c->passed_over)
		say("%llu left out: sockets, device nodes, and what the kernel makes up are not copied",
		    (unsigned long long)c->passed_over);
	if (c->passed_over && c->alone)
		return c->app->failure;
	if (!c->o->quiet && isatty(STDERR_FILENO))
		fprintf(stderr, "%s, %llu entries, copied to %s\n", print_size(c->bytes, size),
			(unsigned long long)c->entries, to);
	return 0;
}

static int cp_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const char *from, *to;
	AUTO_FREE char *from_ref = copy_split(operands[0], &from);
	AUTO_FREE char *to_ref = copy_split(operands[1], &to);
	struct cp c = {.app = app, .o = opts, .ref = from_ref ? from_ref : to_ref, .local = from_ref ? to : from};
	int status;

	(void)n;
	if (!from_ref == !to_ref)
		return app_usage(app, from_ref ? "between two containers: use `berth cp A:PATH - | berth cp - B:PATH`"
					       : "neither is in a container: CONTAINER:PATH");
	if (!*from || !*to)
		return app_usage(app, "a path is missing");
	c.path = copy_container_path(from_ref ? from : to);
	status = from_ref ? out_of(&c) : into(&c);
	if (!status)
		status = tell(&c, operands[1]);
	free(c.path);
	return status;
}

const struct command cmd_cp = {
	.flags = {{cp_flags, 0}},
	.opts_size = sizeof(struct cp_opts),
	.min = 2,
	.max = 2,
	.complete = "copy",
	.run = cp_run,
};
