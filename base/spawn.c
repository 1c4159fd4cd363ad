/* base/spawn.c - see base/spawn.h
 *
 * The child borrows our memory and we stand still until it has executed (CLONE_VM|CLONE_VFORK), so it reports what went wrong
 * by writing into a struct of ours: no pipe. It runs on a piece of our own stack below us, because on ours it would overwrite
 * the frame that we return through. Only raw system calls are made there: libc's own locks and caches are ours, not the
 * child's. glibc has no wrapper for clone3, so the call and the jump onto the new stack are written out.
 *
 * A clone copies all descriptors, and the exec closes them again: 0.1 us each, of a process that has thousands. Who has reserved numbers for his
 * children (spawn_reserve) shares his table with them instead (CLONE_FILES): what a child gets is put at those numbers first, and it then takes
 * for itself what is not above them (CLOSE_RANGE_UNSHARE copies no more than that). Nothing of a shared table may be changed before. */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"

#if defined(__SANITIZE_ADDRESS__)
#define SPAWN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SPAWN_ASAN 1
#endif
#endif
#ifdef SPAWN_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#define CHILD_STACK 32768
#define FDS_MAX	    64

static struct {
	int null_fd;
	int at[SPAWN_RESERVED]; /* null, while nothing is handed over */
	int end;		/* behind the last of them; 0: none are reserved */
} reserve;

struct child {
	const struct spawn *s;
	int fds[FDS_MAX]; /* sources; null is already open where one is -1 */
	unsigned n_fds;
	int exec_fd;
	bool shares; /* our table of descriptors; the sources are the reserved ones */
	char *const *env;
	volatile int error; /* negative errno of the step that failed */
	const char *volatile step;
};

/* In the child 0 never returns: fn is called on the new stack. */
#if defined(__x86_64__)
static long clone3_call(struct clone_args *args, void (*fn)(void *), void *arg)
{
	register void *r8 __asm__("r8") = arg;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "movq %%r8, %%rdi\n\t"
			 "callq *%%rdx\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(ret)
			 : "a"((long)SYS_clone3), "D"(args), "S"(sizeof *args), "d"(fn), "r"(r8)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}
#elif defined(__aarch64__)
static long clone3_call(struct clone_args *args, void (*fn)(void *), void *arg)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = (long)sizeof *args;
	register void (*x2)(void *) __asm__("x2") = fn;
	register void *x3 __asm__("x3") = arg;

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, #0\n\t"
			 "mov x30, #0\n\t"
			 "mov x0, x3\n\t"
			 "blr x2\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
			 : "memory", "cc");
	return x0;
}
#else
#error "spawn: clone3 is written out for x86_64 and aarch64 only"
#endif

/* ---------------------------------------------------------------- in the child */

/* Sources that stand where another has to go are moved out of the way first; then each takes its place. */
static int fds_place(struct child *c)
{
	int n = (int)c->n_fds;

	for (int i = 0; i < n; i++) {
		if (c->fds[i] >= n || c->fds[i] == i)
			continue;
		c->fds[i] = (int)syscall(SYS_fcntl, c->fds[i], F_DUPFD_CLOEXEC, n);
		if (c->fds[i] < 0)
			return -errno;
	}
	if (!c->s->path && c->exec_fd < n) {
		c->exec_fd = (int)syscall(SYS_fcntl, c->exec_fd, F_DUPFD_CLOEXEC, n);
		if (c->exec_fd < 0)
			return -errno;
	}
	for (int i = 0; i < n; i++) {
		long r = c->fds[i] == i ? syscall(SYS_fcntl, i, F_SETFD, 0) : syscall(SYS_dup3, c->fds[i], i, 0);

		if (r < 0)
			return -errno;
	}
	return 0;
}

/* CLONE_CLEAR_SIGHAND took the handlers; what we ignore the child would go on ignoring, through exec. */
static void signals_default(void)
{
	static const char dfl[32]; /* struct kernel_sigaction of both architectures: SIG_DFL, no flags */

	for (int sig = 1; sig <= 64; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, 8);
}

static void child_fail(struct child *c, const char *step, int error)
{
	c->step = step;
	c->error = error;
	for (;;)
		syscall(SYS_exit_group, 127);
}

__attribute__((no_sanitize("address"))) static void child_main(void *arg)
{
	struct child *c = arg;
	const struct spawn *s = c->s;
	const uint64_t none = 0;
	int r = c->shares && syscall(SYS_close_range, reserve.end, ~0u, CLOSE_RANGE_UNSHARE) < 0 ? -errno : 0;

	if (r < 0)
		child_fail(c, "descriptors", r);
	r = s->before_exec ? s->before_exec(s->arg) : 0;
	if (r < 0)
		child_fail(c, "prepare", r);
	/* After before_exec, which may know descriptors by the numbers they have with us. */
	r = fds_place(c);
	if (r < 0)
		child_fail(c, "descriptors", r);
	signals_default();
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
	if (s->path)
		syscall(SYS_execve, s->path, s->argv, c->env);
	else
		syscall(SYS_execveat, c->exec_fd, "", s->argv, c->env, AT_EMPTY_PATH);
	child_fail(c, "exec", -errno);
}

/* ---------------------------------------------------------------- in the parent */

static int clone_failed(const struct spawn *s, int error, struct err *e)
{
	/* What clone3 says of the group: gone (two ways), no cgroup, has controllers enabled for its children, is threaded. */
	if (s->cgroup_fd >= 0 &&
	    (error == ENODEV || error == ENOENT || error == EBADF || error == EBUSY || error == EOPNOTSUPP))
		return err_set(e, error, "cgroup", "start a process in its cgroup");
	return err_set(e, error, "clone", "start a process");
}

int spawn_reserve(void)
{
	int fd, end = 0;

	if (reserve.end)
		return 0;
	reserve.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (reserve.null_fd < 0)
		return -errno;
	for (unsigned i = 0; i < SPAWN_RESERVED; i++) {
		fd = fcntl(reserve.null_fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0) {
			int error = errno;

			for (close(reserve.null_fd); i; i--)
				close(reserve.at[i - 1]);
			return -error;
		}
		reserve.at[i] = fd;
		end = fd >= end ? fd + 1 : end;
	}
	reserve.end = end;
	return 0;
}

static bool can_share(const struct spawn *s)
{
	return reserve.end && !s->before_exec && s->n_fds + !s->path <= SPAWN_RESERVED;
}

/* What the child gets is put where it finds it … */
static int reserve_fill(struct child *c)
{
	unsigned n = c->n_fds + !c->s->path;

	for (unsigned i = 0; i < n; i++) {
		int *from = i < c->n_fds ? &c->fds[i] : &c->exec_fd;

		if (dup3(*from, reserve.at[i], O_CLOEXEC) < 0)
			return -errno;
		*from = reserve.at[i];
	}
	return 0;
}

/* … and nothing of it is held once it has it. */
static void reserve_empty(const struct child *c)
{
	for (unsigned i = 0; i < c->n_fds + !c->s->path; i++)
		dup3(reserve.null_fd, reserve.at[i], O_CLOEXEC);
}

static int child_prepare(struct child *c, const struct spawn *s, int *null_fd)
{
	*c = (struct child){.s = s, .n_fds = s->n_fds, .exec_fd = s->exec_fd, .env = s->env ? s->env : environ};
	if (s->n_fds > FDS_MAX || (!s->path && s->exec_fd < 0))
		return -EINVAL;
	for (unsigned i = 0; i < s->n_fds; i++) {
		if (s->fds[i] < 0 && *null_fd < 0) {
			*null_fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
			if (*null_fd < 0)
				return -errno;
		}
		c->fds[i] = s->fds[i] < 0 ? *null_fd : s->fds[i];
	}
	c->shares = can_share(s);
	return c->shares ? reserve_fill(c) : 0;
}

int spawn(const struct spawn *s, int *ret_pidfd, pid_t *ret_pid, struct err *e)
{
	_Alignas(16) char stack[CHILD_STACK];
	AUTO_FD null_fd = -1, pidfd = -1;
	int r, new_pidfd = -1;
	struct child c;
	uint64_t all = ~0ull, mask;
	long pid;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | s->clone_flags |
			 (s->cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)&new_pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof stack,
		.cgroup = s->cgroup_fd >= 0 ? (uint64_t)s->cgroup_fd : 0,
	};

	r = child_prepare(&c, s, &null_fd);
	if (r < 0) {
		if (c.shares)
			reserve_empty(&c);
		return err_set(e, r, "descriptors", "start %s", s->path ? s->path : s->argv[0]);
	}
	if (c.shares)
		args.flags |= CLONE_FILES;
	/* A handler of ours must not run in the child, on our memory, with its own idea of who it is. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, sizeof mask);
	pid = clone3_call(&args, child_main, &c);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
	if (c.shares)
		reserve_empty(&c);
	/* The child's frames never returned, so what the sanitizer marked for them is still marked. */
	ASAN_UNPOISON_MEMORY_REGION(stack, sizeof stack);
	if (pid < 0)
		return clone_failed(s, (int)-pid, e);
	pidfd = new_pidfd;
	if (c.error) {
		siginfo_t info;

		while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
		return err_set(e, c.error, c.step, "%s %s", c.step, s->path ? s->path : s->argv[0]);
	}
	*ret_pid = (pid_t)pid;
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}
