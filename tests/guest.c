/* tests/guest.c - what runs inside the containers of the tests: one static program with a verb for each way to behave badly.
 *
 * Prints facts on stdout, one a line, and judges nothing: the tests do. Every verb ends by itself or by a signal. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

static long number(char **arg, int i, long fallback)
{
	for (int k = 0; k < i; k++)
		if (!arg[k])
			return fallback;
	return arg[i] ? strtol(arg[i], NULL, 0) : fallback;
}

static int verb_exit(char **arg)
{
	return (int)number(arg, 0, 0);
}

static int verb_die(char **arg)
{
	int sig = (int)number(arg, 0, SIGKILL);
	sigset_t set;

	/* Pid 1 of a namespace is immune to its own signals, so a child dies and we die the same way where we can. */
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	if (sig == SIGSEGV)
		*(volatile int *)(uintptr_t)number(arg, 1, 8) = 1;
	if (sig == SIGILL)
		__builtin_trap();
	kill(getpid(), sig);
	printf("still alive after signal %d\n", sig);
	return 99;
}

static bool memory_touch(size_t bytes)
{
	const size_t step = 1 << 20;

	for (size_t done = 0; done < bytes; done += step) {
		size_t n = bytes - done < step ? bytes - done : step;
		char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return false;
		for (size_t i = 0; i < n; i += 4096)
			p[i] = (char)(i >> 12 | 1);
	}
	return true;
}

static int verb_memhog(char **arg)
{
	if (!memory_touch((size_t)number(arg, 0, 64 << 20))) {
		printf("mmap: %s\n", strerror(errno));
		return 1;
	}
	printf("held\n");
	if (arg[0] && arg[1])
		wait_for_ever();
	return 0;
}

/* memhog-child BYTES: the child takes the memory, this process looks on and stays alive. */
static int verb_memhog_child(char **arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(memory_touch((size_t)number(arg, 0, 64 << 20)) ? 0 : 1);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("child killed by %d\n", WTERMSIG(status));
	else
		printf("child exited %d\n", WEXITSTATUS(status));
	wait_for_ever();
	return 0;
}

static int verb_forkbomb(char **arg)
{
	long want = number(arg, 0, 100), got = 0;
	int error = 0;

	for (; got < want; got++) {
		pid_t pid = fork();

		if (pid == 0)
			wait_for_ever();
		if (pid < 0) {
			error = errno;
			break;
		}
	}
	printf("forked %ld %s\n", got, error ? strerrorname_np(error) : "all");
	if (arg[0] && arg[1])
		wait_for_ever();
	return 0;
}

static int verb_ignore_term(char **arg)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	printf("ignoring\n");
	wait_for_ever();
	return 0;
}

/* Says each signal it gets; SIGTERM ends it with 0 unless an argument says otherwise. */
static int verb_signals(char **arg)
{
	sigset_t all;
	int sig;

	sigfillset(&all);
	sigdelset(&all, SIGCHLD);
	sigprocmask(SIG_BLOCK, &all, NULL);
	printf("ready\n");
	while (sigwait(&all, &sig) == 0) {
		printf("got %d\n", sig);
		if (sig == SIGTERM)
			return (int)number(arg, 0, 0);
	}
	return 1;
}

/* counter [MS [FILE]]: n and the time since the last line, for ever. */
static int verb_counter(char **arg)
{
	long ms = number(arg, 0, 10);
	const char *path = arg[0] ? arg[1] : NULL;
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644) : 1;
	uint64_t last = clock_ns(CLOCK_MONOTONIC);

	if (fd < 0) {
		perror(path);
		return 1;
	}
	for (uint64_t n = 1;; n++) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);

		if (dprintf(fd, "%llu %llu\n", (unsigned long long)n, (unsigned long long)(now - last) / 1000) < 0)
			return 2;
		last = now;
		sleep_ms(ms);
	}
}

/* logflood LINES [BYTES]: numbered lines as fast as they are taken; how long it took goes to stderr. */
static int verb_logflood(char **arg)
{
	long lines = number(arg, 0, 1000), size = number(arg, 1, 80), used = 0;
	static char chunk[1 << 16];
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	if (size < 16)
		size = 16;
	if (size > (long)sizeof(chunk) / 2)
		size = sizeof(chunk) / 2;
	for (long n = 0; n < lines; n++) {
		int len = snprintf(chunk + used, sizeof(chunk) - (size_t)used, "line %09ld ", n);

		memset(chunk + used + len, 'x', (size_t)(size - len - 1));
		chunk[used + size - 1] = '\n';
		used += size;
		if (used + size <= (long)sizeof(chunk) && n + 1 < lines)
			continue;
		for (long done = 0; done < used;) {
			ssize_t w = write(1, chunk + done, (size_t)(used - done));

			if (w < 0 && errno != EINTR)
				return 2;
			if (w > 0)
				done += w;
		}
		used = 0;
	}
	fprintf(stderr, "flooded %ld lines in %llu ms\n", lines,
		(unsigned long long)(clock_ns(CLOCK_MONOTONIC) - start) / 1000000);
	return 0;
}

/* logblast BYTES [LINE]: a prepared block of lines again and again, so that whoever takes them is what limits the speed. */
static int verb_logblast(char **arg)
{
	static char block[1 << 16];
	long bytes = number(arg, 0, 1 << 20), line = number(arg, 1, 100), done = 0, used = 0;
	uint64_t start;

	for (; line > 1 && used + line <= (long)sizeof(block); used += line) {
		memset(block + used, 'x', (size_t)(line - 1));
		block[used + line - 1] = '\n';
	}
	start = clock_ns(CLOCK_MONOTONIC);
	while (done < bytes) {
		ssize_t n = write(1, block + done % used, (size_t)(used - done % used));

		if (n < 0)
			return 2;
		done += n;
	}
	fprintf(stderr, "blasted %ld lines %ld bytes in %llu us\n", done / line, done,
		(unsigned long long)(clock_ns(CLOCK_MONOTONIC) - start) / 1000);
	return 0;
}

/* rebirth FILE: the first life notes the time of its end, the second says how long it was dead. */
static int verb_rebirth(char **arg)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), then = 0;
	int fd = arg[0] ? open(arg[0], O_RDWR | O_CREAT, 0644) : -1;

	if (fd < 0)
		return 64;
	if (read(fd, &then, sizeof(then)) != sizeof(then)) {
		now = clock_ns(CLOCK_MONOTONIC);
		return write(fd, &now, sizeof(now)) == sizeof(now) ? 1 : 2;
	}
	printf("dead for %llu ns\n", (unsigned long long)(now - then));
	wait_for_ever();
	return 0;
}

/* spin [MS [THREADS]]: burns; says how much processor it got in per mille of one processor. */
static int verb_spin(char **arg)
{
	long ms = number(arg, 0, 1000), n = number(arg, 1, 1);
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	struct rusage own, children;
	uint64_t usec = 0;

	for (long i = 1; i < n; i++)
		if (fork() == 0) {
			while (clock_ns(CLOCK_MONOTONIC) - start < (uint64_t)ms * 1000000)
				;
			_exit(0);
		}
	while (clock_ns(CLOCK_MONOTONIC) - start < (uint64_t)ms * 1000000)
		;
	while (wait(NULL) > 0)
		;
	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &children);
	usec += (uint64_t)(own.ru_utime.tv_sec + own.ru_stime.tv_sec + children.ru_utime.tv_sec +
			   children.ru_stime.tv_sec) *
		1000000;
	usec += (uint64_t)(own.ru_utime.tv_usec + own.ru_stime.tv_usec + children.ru_utime.tv_usec +
			   children.ru_stime.tv_usec);
	printf("cpu %llu per mille\n", (unsigned long long)(usec * 1000000 / (clock_ns(CLOCK_MONOTONIC) - start)));
	return 0;
}

static int verb_hold_fds(char **arg)
{
	long want = number(arg, 0, 100), got = 0;

	while (got < want && open("/dev/null", O_RDONLY) >= 0)
		got++;
	printf("opened %ld %s\n", got, got < want ? strerrorname_np(errno) : "all");
	return 0;
}

/* Every open descriptor, by asking for each number: nothing of ours is open meanwhile. */
static int verb_print_fds(char **arg)
{
	char path[64], target[256];

	for (int fd = 0; fd < 4096; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		printf("fd %d %s\n", fd, target);
	}
	return 0;
}

static int verb_status(char **arg)
{
	static const char *const wanted[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp:",
					     "Uid",    "Gid",	 "Groups", "Umask",  "SigBlk", "SigIgn"};
	char line[512];
	FILE *f = fopen("/proc/self/status", "re");

	if (!f) {
		perror("/proc/self/status");
		return 1;
	}
	while (fgets(line, sizeof(line), f))
		for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
			if (!strncmp(line, wanted[i], strlen(wanted[i])))
				fputs(line, stdout);
	fclose(f);
	return 0;
}

/* Calls that a default profile must refuse (or, the last ones, must allow). The arguments are such that the call does no harm
 * where it is let through: what comes back then is another errno than the filter's. */
static const struct probe {
	const char *name;
	long nr, a, b, c, d;
} probes[] = {
	{"acct", SYS_acct, -1},
	{"add_key", SYS_add_key, 0},
	{"bpf", SYS_bpf, 99, 0, 0},
	{"clock_settime", SYS_clock_settime, CLOCK_REALTIME, 0},
	{"delete_module", SYS_delete_module, 0},
	{"finit_module", SYS_finit_module, -1, 0},
	{"init_module", SYS_init_module, 0},
	{"io_uring_setup", SYS_io_uring_setup, 0, 0},
	{"kcmp", SYS_kcmp, 1, 1, 99},
	{"kexec_load", SYS_kexec_load, 0, 0, 0, -1},
	{"keyctl", SYS_keyctl, 9999},
	{"lookup_dcookie", 212, 0},
	{"mount", SYS_mount, 0, 0, 0, 0},
	{"move_mount", SYS_move_mount, -1, 0, -1, 0},
	{"move_pages", SYS_move_pages, 0, 0, 0, 0},
	{"name_to_handle_at", SYS_name_to_handle_at, -1, 0, 0, 0},
	{"open_by_handle_at", SYS_open_by_handle_at, -1, 0, 0},
	{"open_tree", SYS_open_tree, -1, 0, 0},
	{"perf_event_open", SYS_perf_event_open, 0, 0, -1, -1},
	{"pivot_root", SYS_pivot_root, 0, 0},
	{"process_vm_readv", SYS_process_vm_readv, 0, 0, 0, 0},
	{"ptrace", SYS_ptrace, 9999, 0, 0, 0},
	{"quotactl", SYS_quotactl, 0, 0, 0, 0},
	{"reboot", SYS_reboot, 0, 0, 0},
	{"request_key", SYS_request_key, 0, 0, 0, 0},
	{"set_mempolicy", SYS_set_mempolicy, 99, 0, 0},
	{"setns", SYS_setns, -1, 0},
	{"settimeofday", SYS_settimeofday, 0, 0},
	{"swapoff", SYS_swapoff, 0},
	{"swapon", SYS_swapon, 0, 0},
	{"syslog", SYS_syslog, 10, 0, 0},
	{"umount2", SYS_umount2, 0, 0},
	{"unshare_user", SYS_unshare, CLONE_NEWUSER},
	{"unshare_mnt", SYS_unshare, CLONE_NEWNS},
	{"userfaultfd", SYS_userfaultfd, -1},
	{"vhangup", SYS_vhangup},
	{"socket_vsock", SYS_socket, AF_VSOCK, SOCK_STREAM, 0},
	{"socket_packet", SYS_socket, AF_PACKET, SOCK_RAW, 0},
	{"personality_odd", SYS_personality, 0x0040000},
	{"clone3", SYS_clone3, 0, 0},
	{"unknown", 9999},
	/* allowed */
	{"getpid", SYS_getpid},
	{"openat2", SYS_openat2, -1, 0, 0, 0},
	{"fchmodat", SYS_fchmodat, -1, 0, 0},
	{"statx", SYS_statx, -1, 0, 0, 0},
	{"socket_unix", SYS_socket, AF_UNIX, SOCK_STREAM, 0},
	{"personality_linux", SYS_personality, 0xffffffff},
	{"chroot", SYS_chroot, 0},
	{"close_range", SYS_close_range, 900, 901, 0},
};

static int verb_syscalls(char **arg)
{
	for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
		const struct probe *p = &probes[i];

		errno = 0;
		long r = syscall(p->nr, p->a, p->b, p->c, p->d, 0L, 0L);

		printf("%s %s\n", p->name, r < 0 ? strerrorname_np(errno) ?: "?" : "ok");
		fflush(stdout);
	}
	return 0;
}

static int verb_ptys(char **arg)
{
	long want = number(arg, 0, 1);

	for (long i = 0; i < want; i++) {
		int fd = posix_openpt(O_RDWR | O_NOCTTY), other;

		if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 ||
		    (other = open(ptsname(fd), O_RDWR | O_NOCTTY)) < 0) {
			printf("pty: %s\n", strerror(errno));
			return 1;
		}
		printf("pty %s\n", ptsname(fd));
	}
	return 0;
}

static volatile sig_atomic_t resized;

static void on_resize(int sig)
{
	resized = 1;
}

/* The window's size now and after each change. */
static int verb_winsize(char **arg)
{
	struct sigaction sa = {.sa_handler = on_resize};
	sigset_t winch, none;
	struct winsize w;

	sigaction(SIGWINCH, &sa, NULL);
	sigemptyset(&none);
	sigemptyset(&winch);
	sigaddset(&winch, SIGWINCH);
	sigprocmask(SIG_BLOCK, &winch, NULL);
	for (;;) {
		if (ioctl(0, TIOCGWINSZ, &w) < 0) {
			printf("no terminal: %s\n", strerror(errno));
			return 1;
		}
		printf("window %d %d\n", w.ws_row, w.ws_col);
		resized = 0;
		while (!resized)
			sigsuspend(&none);
	}
}

/* orphans N: grandchildren that end after their parents; says how many of them stay zombies. */
static int verb_orphans(char **arg)
{
	long n = number(arg, 0, 5), zombies = 0;
	struct dirent *e;

	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (fork() == 0) {
				sleep_ms(50);
				_exit(0);
			}
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	sleep_ms(400);
	DIR *d = opendir("/proc");

	while (d && (e = readdir(d))) {
		char path[300], text[256] = "", *state;
		int fd;

		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		if (*e->d_name < '0' || *e->d_name > '9' || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
			continue;
		if (read(fd, text, sizeof(text) - 1) > 0 && (state = strrchr(text, ')')) && state[2] == 'Z')
			zombies++;
		close(fd);
	}
	if (d)
		closedir(d);
	printf("pid %d zombies %ld\n", getpid(), zombies);
	return 0;
}

/* stall FILE: writes to it for ever, a line on stdout for each write: stops when the disk does. */
static int verb_stall(char **arg)
{
	int fd = arg[0] ? open(arg[0], O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;

	if (fd < 0) {
		perror("stall");
		return 1;
	}
	for (long n = 0;; n++) {
		printf("writing %ld\n", n);
		if (pwrite(fd, "x", 1, n) != 1 || fsync(fd) < 0)
			return 2;
		sleep_ms(20);
	}
}

/* tree N: N processes in a chain, all asleep: something to be killed whole. */
static int verb_tree(char **arg)
{
	long n = number(arg, 0, 3);

	while (n-- > 1) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			setsid();
			continue;
		}
		break;
	}
	if (n <= 0)
		printf("tree up\n");
	wait_for_ever();
	return 0;
}

/* Prints the monotonic clock: the first instruction of ours, for the bench. */
static int verb_clock(char **arg)
{
	printf("%llu\n", (unsigned long long)clock_ns(CLOCK_MONOTONIC));
	return 0;
}

static int verb_sleep(char **arg)
{
	if (arg[0])
		sleep_ms(number(arg, 0, 0));
	else
		wait_for_ever();
	return 0;
}

/* ---------------------------------------------------------------- against the confinement */

/* trace PID: may we? Then its descriptors and its root are ours too. */
static int verb_trace(char **arg)
{
	pid_t pid = (pid_t)number(arg, 0, 1);
	int status;

	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0) {
		printf("trace %s\n", strerror(errno));
		return 1;
	}
	waitpid(pid, &status, __WALL);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	printf("trace ok\n");
	return 0;
}

#ifdef __x86_64__
/* Stops pid where it sleeps in a system call: on a busy machine it may have something to do just then, and whoever is stopped elsewhere makes no
 * call of ours. */
static int stop_in_call(pid_t pid, struct user_regs_struct *regs)
{
	for (int i = 0, status; i < 5000; i++) {
		if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) < 0 ||
		    ptrace(PTRACE_GETREGS, pid, NULL, regs) < 0)
			return -1;
		if ((long long)regs->orig_rax >= 0 &&
		    (ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)(regs->rip - 2), NULL) & 0xffff) == 0x050f)
			return 0;
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		usleep(1000);
	}
	errno = ETIMEDOUT;
	return -1;
}
#endif

/* speak KIND VALUE [SIZE]: makes pid 1, berth's init, send a record as of shim/sync.h (SIZE bytes) on its descriptor 3. */
static int verb_speak(char **arg)
{
#ifdef __x86_64__
	int record[132] = {(int)number(arg, 0, 0), (int)number(arg, 1, 0)}, status;
	pid_t pid = 1;
	struct user_regs_struct before, call;

	if (stop_in_call(pid, &before) < 0) {
		printf("speak %s\n", strerror(errno));
		return 1;
	}
	call = before;
	call.rip -= 2; /* back to its instruction */
	call.orig_rax = (unsigned long long)-1;
	call.rax = SYS_sendto;
	call.rdi = 3;
	call.rsi = before.rsp - 4096;
	call.rdx = (unsigned long long)number(arg, 2, 524);
	call.r10 = MSG_DONTWAIT;
	call.r8 = call.r9 = 0;
	for (size_t i = 0; i < sizeof record; i += sizeof(long))
		ptrace(PTRACE_POKEDATA, pid, (void *)(uintptr_t)(call.rsi + i), *(void **)(void *)((char *)record + i));
	ptrace(PTRACE_SETREGS, pid, NULL, &call);
	/* A stop that was pending comes before the call is made. */
	for (int i = 0; i < 4 && (long long)call.rax == SYS_sendto; i++) {
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		waitpid(pid, &status, __WALL);
		ptrace(PTRACE_GETREGS, pid, NULL, &call);
	}
	printf("speak %lld\n", (long long)call.rax);
	before.rip -= 2;
	before.rax = before.orig_rax;
	ptrace(PTRACE_SETREGS, pid, NULL, &before);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return 0;
#else
	printf("speak unsupported\n");
	return 1;
#endif
}

static bool is_our_root(const char *path)
{
	struct stat ours, other;

	return stat("/", &ours) < 0 || stat(path, &other) < 0 ||
	       (ours.st_dev == other.st_dev && ours.st_ino == other.st_ino);
}

/* ambush MS [PATH]: waits for processes that come into the container and looks through them before they have become one of it:
 * at their root, whether the host's PATH is there, and at a descriptor that only berth's own programs have open (that of the container's root leads
 * nowhere, and may be any). */
static int verb_ambush(char **arg)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)number(arg, 0, 1000) * 1000000;
	unsigned tries = 0, seen = 0, root = 0, fds = 0, host = 0;
	int last = getpid();
	struct stat st;

	printf("ambush ready\n");
	while (clock_ns(CLOCK_MONOTONIC) < end) {
		char path[512], target[64];

		/* On a busy machine the next one may have come and gone unseen: now and then it is one behind it. */
		int next = last + 1 + (++tries % 64 ? 0 : (int)(tries / 64 % 16));

		snprintf(path, sizeof(path), "/proc/%d", next);
		if (stat(path, &st) < 0)
			continue;
		last = next;
		seen++;
		for (int i = 0; i < 200; i++) {
			snprintf(path, sizeof(path), "/proc/%d/fd/%d", last, 8 + i % 8);
			fds += readlink(path, target, sizeof(target)) > 0 && !is_our_root(path);
			snprintf(path, sizeof(path), "/proc/%d/root", last);
			root += !is_our_root(path);
			snprintf(path, sizeof(path), "/proc/%d/root%s", last, arg[0] && arg[1] ? arg[1] : "/no/such");
			host += stat(path, &st) == 0;
		}
	}
	printf("ambush saw %u, foreign roots %u, foreign descriptors %u, of the host %u\n", seen, root, fds, host);
	return 0;
}

/* keys: the id of our session's keyring. */
static int verb_keys(char **arg)
{
	long ring = syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3 /* KEY_SPEC_SESSION_KEYRING */, 0);

	printf("ring %s%ld\n", ring < 0 ? "no " : "", ring < 0 ? (long)errno : ring);
	return 0;
}

/* without NUMBER... -- PROGRAM [ARGUMENT...]: executes it as on a kernel that lacks these system calls. */
static int verb_without(char **arg)
{
	struct sock_filter code[64] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)}; /* seccomp_data.nr */
	struct sock_fprog program = {.len = 1, .filter = code};

	for (; *arg && strcmp(*arg, "--") && program.len < 60; arg++) {
		code[program.len++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number(arg, 0, 0), 0, 1);
		code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (!*arg || !arg[1] || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return 1;
	execv(arg[1], arg + 1);
	return 127;
}

/* swap A B: the two change places, again and again. */
static int verb_swap(char **arg)
{
	while (arg[0] && arg[1] &&
	       syscall(SYS_renameat2, AT_FDCWD, arg[0], AT_FDCWD, arg[1], 2 /* RENAME_EXCHANGE */) == 0)
		;
	perror("swap");
	return 1;
}

/* A moment by both clocks, as close to each other as they were read in a hundred times: whoever was preempted in between tries again. */
static uint64_t tsc_at(uint64_t *ns)
{
	uint64_t best = UINT64_MAX, ret = 0;

	for (int i = 0; i < 100; i++) {
		uint64_t from = clock_ns(CLOCK_MONOTONIC_RAW), tsc = __builtin_ia32_rdtsc(),
			 to = clock_ns(CLOCK_MONOTONIC_RAW);

		if (to - from < best) {
			best = to - from;
			*ns = from + best / 2;
			ret = tsc;
		}
	}
	return ret;
}

/* The rate of the processor's time stamp counter, in kHz. */
static int verb_tsc_khz(char **arg)
{
	uint64_t from_ns, to_ns, from = tsc_at(&from_ns), to;

	sleep_ms(200);
	to = tsc_at(&to_ns);
	printf("%llu\n", (unsigned long long)((double)(to - from) * 1e6 / (double)(to_ns - from_ns)));
	return 0;
}

static const struct verb {
	const char *name;
	int (*run)(char **arg);
} verbs[] = {
	{"exit", verb_exit},	     {"die", verb_die},
	{"memhog", verb_memhog},     {"memhog-child", verb_memhog_child},
	{"forkbomb", verb_forkbomb}, {"ignore-term", verb_ignore_term},
	{"signals", verb_signals},   {"counter", verb_counter},
	{"logflood", verb_logflood}, {"logblast", verb_logblast},
	{"rebirth", verb_rebirth},   {"spin", verb_spin},
	{"hold-fds", verb_hold_fds}, {"print-fds", verb_print_fds},
	{"status", verb_status},     {"syscalls", verb_syscalls},
	{"ptys", verb_ptys},	     {"winsize", verb_winsize},
	{"orphans", verb_orphans},   {"stall", verb_stall},
	{"tree", verb_tree},	     {"clock", verb_clock},
	{"sleep", verb_sleep},	     {"trace", verb_trace},
	{"speak", verb_speak},	     {"keys", verb_keys},
	{"ambush", verb_ambush},     {"without", verb_without},
	{"swap", verb_swap},	     {"tsc-khz", verb_tsc_khz},
};

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argv + 2);
	fprintf(stderr, "usage: guest VERB [ARGUMENT...]; verbs:");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		fprintf(stderr, " %s", verbs[i].name);
	fprintf(stderr, "\n");
	return 64;
}
