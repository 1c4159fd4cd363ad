/* shim/main.c - berth-shim: one per container. `berth-shim <listen path> <uuid>`, descriptor 3 the connection to berthd.
 *
 * Born idle; a LaunchPlan makes a container of it, a further one the next incarnation; Bye ends it. Executed under another name
 * it is what runs inside a container: "berth-init" or "berth-pause" (init.h). */
#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "proto/session.h"
#include "shim/attach.h"
#include "shim/init.h"
#include "shim/reap.h"
#include "shim/report.h"
#include "shim/shim.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#define LINK_FD	  3
#define PAGE	  4096
#define STACK_MAX (256u << 10) /* deeper than we ever go */

/* ---------------------------------------------------------------- memory */

void *page_new(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

void page_free(void *page)
{
	munmap(page, PAGE);
}

static_assert(sizeof(struct exec) <= PAGE && sizeof(struct attach) <= PAGE, "one object to a page");

/* The stack pages below us, which a launch has used and nobody needs until the next one. What madvise itself puts on the
 * stack must stay: hence a little room. */
static void stack_trim(void)
{
	uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - 1024) & ~(uintptr_t)(PAGE - 1);

	(void)madvise((void *)(end - STACK_MAX), STACK_MAX, MADV_DONTNEED); /* parts of it may not be there */
}

static void on_tick(struct timer *t)
{
	struct shim *s = container_of(t, struct shim, tick);
	uint64_t lines, bytes;

	logger_tick(&s->logger);
	logger_totals(&s->logger, &lines, &bytes);
	if (lines != s->reported_lines || bytes != s->reported_bytes) {
		s->reported_lines = lines;
		s->reported_bytes = bytes;
		report_log_dropped(s);
	}
	if (s->active) {
		s->active = false;
		(void)timer_in(&s->loop, t, NS_PER_S, on_tick); /* its slot was there before */
		return;
	}
	logger_trim(&s->logger);
	(void)madvise(s->scratch, SESSION_MAX, MADV_DONTNEED);
	stack_trim();
}

void shim_active(struct shim *s)
{
	s->active = true;
	if (!timer_armed(&s->tick))
		(void)timer_in(&s->loop, &s->tick, NS_PER_S, on_tick); /* without it: memory is not given back */
}

/* ---------------------------------------------------------------- children */

int shim_clone(struct shim *s, unsigned long long flags, int group_fd, int ns_of, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)group_fd,
	};
	int pid;

	if (ns_of >= 0) {
		if (s->pid_ns_fd < 0)
			s->pid_ns_fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
		if (s->pid_ns_fd < 0 || setns(ns_of, CLONE_NEWPID) < 0)
			return -errno;
	}
	pid = sys_clone3(&args);
	if (pid == 0) {
		/* Ours to let go, not for the last copy of it to be closed in there. */
		close_fd(&s->mounts_fd);
		close_fd(&s->run.mounts_fd);
		return 0;
	}
	pid = pid < 0 ? -errno : pid;
	/* Not done, every later child would be born in the wrong place. */
	if (ns_of >= 0 && setns(s->pid_ns_fd, CLONE_NEWPID) < 0) {
		log_error("back to our own pid namespace: %s", strerror(errno));
		loop_stop(&s->loop, 1);
	}
	return pid;
}

void shim_close_aside(int fd)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	int gate[2], pid;
	char c;

	if (pipe2(gate, O_CLOEXEC) < 0) {
		close(fd);
		return;
	}
	pid = sys_clone3(&args);
	if (pid == 0) {
		/* Nothing of the shim's is held up: it keeps this one alone, until the shim has closed its own. */
		dup2(gate[0], 0);
		dup2(fd, 1);
		sys_close_range(2, ~0u, 0);
		(void)!read(0, &c, 1);
		_exit(0);
	}
	close(gate[0]);
	close(fd);
	close(gate[1]);
}

static void on_signal(struct source *src, uint32_t events)
{
	struct shim *s = container_of(src, struct shim, signals);
	struct signalfd_siginfo si;

	shim_active(s);
	while (read(src->fd, &si, sizeof si) == sizeof si) {
		if (si.ssi_signo == SIGCHLD)
			reap(s);
		else /* only Bye and SIGKILL end a shim: who sends this means the container, and berthd is the one to ask */
			log_info("signal %u from process %u is ignored", si.ssi_signo, si.ssi_pid);
	}
}

static void on_log_event(struct source *src, uint32_t events)
{
	struct shim *s = container_of(src, struct shim, log_event);
	uint64_t n;

	if (read(src->fd, &n, sizeof n) == sizeof n)
		run_log_event(s);
}

int shim_log_event_watch(struct shim *s)
{
	int fd = s->logger.writer.event_fd;

	return fd < 0 || s->log_event.loop ? 0 : source_add(&s->loop, &s->log_event, fd, EPOLLIN, on_log_event);
}

void shim_leave(struct shim *s)
{
	s->leaving = true;
	run_kill(s);
	next_leave(s);
	/* Otherwise the end of the container's process is the end. */
	if (s->run.state != SHIM__SHIM_STATE__SHIM_RUNNING && s->run.state != SHIM__SHIM_STATE__SHIM_LAUNCHING)
		loop_stop(&s->loop, 0);
}

static void turn_end(struct loop *l)
{
	struct shim *s = container_of(l, struct shim, loop);

	attach_sweep(s);
	exec_sweep(s);
}

/* ---------------------------------------------------------------- setup */

/* The container's memory goes first when memory is short, never ours: it would take the container along. */
static void protect_from_oom(void)
{
	int r = file_writes(AT_FDCWD, "/proc/self/oom_score_adj", "-900");

	if (r < 0)
		log_debug("oom_score_adj -900: %s", strerror(-r));
}

/* What whoever started us ignores must not reach the container that way: an ignored signal survives clone and exec. */
static void reset_signals(void)
{
	static const char as_default[32]; /* the kernel's struct sigaction; libc's call leaves out signals of its own */

	for (int sig = 1; sig <= 64; sig++)
		(void)syscall(SYS_rt_sigaction, sig, as_default, NULL, 8); /* refused for KILL and STOP */
}

static int watch_signals(struct shim *s)
{
	sigset_t all;
	int fd;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	reset_signals();
	/* A pipe whose reader left is noticed where it is written; faults of our own must not be caught. */
	sigdelset(&all, SIGPIPE);
	fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : source_add(&s->loop, &s->signals, fd, EPOLLIN, on_signal);
}

static int setup(struct shim *s, const char *path, const char *uuid)
{
	int r;

	s->uuid = uuid;
	s->user_fd = s->net_fd = s->mounts_fd = s->volumes_fd = s->root_fd = s->pid_ns_fd = s->link.fd =
		s->link.listen_fd = -1;
	s->standby = STANDBY_NULL;
	s->next = NEXT_NULL;
	list_init(&s->execs);
	list_init(&s->dead_execs);
	list_init(&s->attaches);
	list_init(&s->dead_attaches);
	setsid(); /* fails when we are a leader already */
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* orphans of a container that shares the host's pids */
	protect_from_oom();
	/* The container's keyrings are not berthd's, nor another's. A kernel without keyrings has none to share. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM)
		return -errno;
	if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", s->boot_id, sizeof s->boot_id) > 0)
		s->boot_id[strcspn(s->boot_id, "\n")] = 0;
	s->scratch =
		mmap(NULL, SESSION_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->scratch == MAP_FAILED)
		return -errno;
	r = loop_init(&s->loop);
	if (r < 0)
		return r;
	s->loop.turn_end = turn_end;
	run_init(s);
	r = logger_init(&s->logger);
	if (r == 0)
		r = watch_signals(s);
	if (r == 0)
		r = fcntl(LINK_FD, F_SETFD, FD_CLOEXEC) < 0 ? -errno : fd_set_nonblock(LINK_FD);
	if (r == 0)
		r = link_open(s, path, LINK_FD);
	return r;
}

int main(int argc, char **argv)
{
	static struct shim shim;
	static_assert(sizeof shim <= 5168, "with the rest of our data, two pages: see size(1)");
	const char *name = argc ? argv[0] : "";
	int r;

	if (strcmp(name, "berth-init") == 0)
		return init_main(argv);
	if (strcmp(name, "berth-pause") == 0)
		return pause_main();
	log_init("berth-shim", getenv("BERTH_SHIM_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (argc != 3) {
		log_error("usage: berth-shim <socket> <container uuid>, with berthd's connection as descriptor 3");
		return 2;
	}
	r = setup(&shim, argv[1], argv[2]);
	if (r < 0) {
		log_error("%s: %s", argv[2], strerror(-r));
		return 1;
	}
	r = loop_run(&shim.loop);
	if (r < 0)
		log_error("%s: event loop: %s", argv[2], strerror(-r));
	link_close(&shim);
	/* Whatever is left (a log writer on a dead disk) ends with the process. */
	_exit(r ? 1 : 0);
}
