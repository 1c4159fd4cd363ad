/* supervisor/upgrade.c - see supervisor/upgrade.h.
 *
 * What a signal handler needs to go back (descriptor, argv) lives at file scope: a handler gets no argument, and everything
 * it does must be async-signal-safe. execveat is. */
#include "supervisor/upgrade.h"

#include "base/log.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "supervisor/control.h"
#include "supervisor/reaper.h"
#include "supervisor/request.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct upgrade {
	struct supervisor *sv;
	struct parked parked;
	struct child child; /* the check */
	struct timer deadline;
	int pidfd;
	int words_fd; /* what the check prints */
	bool timed_out;
	char binary[200];
};

/* The exec that is ahead (upgrade_keep) and the one that leads back (upgrade_takeover). */
static struct {
	char binary[200];
	char takeover[64];
	char **argv; /* owned; the strings are main's but for takeover */
	int listen_fd, exe_fd;
} ahead = {.listen_fd = -1, .exe_fd = -1};

static struct {
	char takeover[64];
	char **argv;
	int exe_fd;
} back = {.exe_fd = -1};

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGALRM};

/* argv of main with this word more, and without an earlier --takeover. */
static char **argv_with(char *const *argv, char *word)
{
	size_t n = 0, k = 0;
	char **list;

	while (argv[n])
		n++;
	list = calloc(n + 2, sizeof *list);
	if (!list)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!i || !str_starts(argv[i], "--takeover="))
			list[k++] = argv[i];
	list[k] = word;
	return list;
}

static int keep_open(int fd)
{
	int kept = fcntl(fd, F_DUPFD, 3); /* not close-on-exec: it is meant for the next program */

	return kept < 0 ? -errno : kept;
}

/* ---------------------------------------------------------------- before: check, then stop the loop */

static void upgrade_end(struct supervisor *sv)
{
	struct upgrade *u = sv->upgrade;

	sv->upgrade = NULL;
	reaper_forget(&u->child);
	timer_del(&u->deadline);
	close_fd(&u->pidfd);
	close_fd(&u->words_fd);
	free(u);
}

void upgrade_free(struct supervisor *sv)
{
	if (!sv->upgrade)
		return;
	syscall(SYS_pidfd_send_signal, sv->upgrade->pidfd, SIGKILL, NULL, 0);
	reaper_wait(sv->upgrade->pidfd);
	upgrade_end(sv);
}

static void refuse(struct supervisor *sv, struct parked p, Berth__Error__Code code, const char *why)
{
	log_error("upgrade refused: %s", why);
	reply_error(sv, p, code, NULL, "upgrade refused, nothing has changed: %s", why);
}

/* Any program may end with 0; only a berthd knows these words. */
static bool check_said_yes(const struct upgrade *u)
{
	char words[sizeof UPGRADE_STATE_OK] = "";
	ssize_t n = read(u->words_fd, words, sizeof words - 1);

	return n == (ssize_t)strlen(UPGRADE_STATE_OK) && !strcmp(words, UPGRADE_STATE_OK);
}

static void check_ended(struct child *c, const siginfo_t *how)
{
	struct upgrade *u = container_of(c, struct upgrade, child);
	bool exited = how->si_code == CLD_EXITED;
	struct supervisor *sv = u->sv;
	char why[320];

	if (exited && how->si_status == 0 && check_said_yes(u)) {
		log_info("upgrade: %s accepts the state", u->binary);
		snprintf(ahead.binary, sizeof ahead.binary, "%s", u->binary);
		reply_done(sv, u->parked, NULL);
		upgrade_end(sv);
		sv->stopping = true;
		loop_stop(&sv->loop, UPGRADE_NOW);
		return;
	}
	if (u->timed_out)
		snprintf(why, sizeof why, "%s --check-state did not end within %d s", u->binary, UPGRADE_CHECK_S);
	else if (exited && how->si_status == 0)
		snprintf(why, sizeof why, "%s is no berthd: it does not know --check-state", u->binary);
	else if (exited)
		snprintf(why, sizeof why, "%s --check-state ended with %d (its words are in berthd's log)", u->binary,
			 how->si_status);
	else
		snprintf(why, sizeof why, "%s --check-state was killed by signal %d", u->binary, how->si_status);
	refuse(sv, u->parked, BERTH__ERROR__CODE__CONFLICT, why);
	upgrade_end(sv);
}

static void check_too_long(struct timer *t)
{
	struct upgrade *u = container_of(t, struct upgrade, deadline);

	u->timed_out = true;
	syscall(SYS_pidfd_send_signal, u->pidfd, SIGKILL, NULL, 0);
}

static int check_spawn(struct supervisor *sv, struct upgrade *u, struct err *e)
{
	/* The flags that we have: it will be executed with them, and must know them and like the settings, too. */
	AUTO_FREE char **argv = argv_with(sv->argv, (char *)(uintptr_t) "--check-state");
	int words[2], err;
	pid_t pid;

	if (!argv)
		return err_set(e, ENOMEM, "upgrade", "argv");
	if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, errno, "upgrade", "pipe");
	u->words_fd = words[0];
	int fds[] = {-1, words[1], STDERR_FILENO};
	struct spawn s = {.path = u->binary, .argv = argv, .fds = fds, .n_fds = 3, .cgroup_fd = -1};

	err = spawn(&s, &u->pidfd, &pid, e);
	close(words[1]);
	if (err)
		return err;
	reaper_watch(sv, &u->child, pid, u->pidfd, check_ended);
	err = timer_in(&sv->loop, &u->deadline, UPGRADE_CHECK_S * NS_PER_S, check_too_long);
	if (err) {
		syscall(SYS_pidfd_send_signal, u->pidfd, SIGKILL, NULL, 0);
		return err_set(e, -err, "upgrade", "%s", u->binary);
	}
	return 0;
}

void upgrade_start(struct supervisor *sv, const char *binary, struct parked p)
{
	struct upgrade *u;
	struct err e = {0};
	char why[600];

	if (sv->going_down) {
		refuse(sv, p, BERTH__ERROR__CODE__CONFLICT, "the host is going down");
		return;
	}
	if (sv->upgrade) {
		refuse(sv, p, BERTH__ERROR__CODE__CONFLICT, "one is under way");
		return;
	}
	if (!binary || !binary[0])
		binary = sv->exe;
	if (binary[0] != '/' || strlen(binary) >= sizeof u->binary) {
		refuse(sv, p, BERTH__ERROR__CODE__INVALID,
		       "binary must be an absolute path of fewer than 200 characters");
		return;
	}
	u = calloc(1, sizeof *u);
	if (!u) {
		refuse(sv, p, BERTH__ERROR__CODE__INTERNAL, "out of memory");
		return;
	}
	u->sv = sv;
	u->parked = p;
	u->pidfd = u->words_fd = -1;
	snprintf(u->binary, sizeof u->binary, "%s", binary);
	sv->upgrade = u;
	if (check_spawn(sv, u, &e)) {
		upgrade_end(sv);
		refuse(sv, p, BERTH__ERROR__CODE__INVALID, err_format(&e, why, sizeof why));
	}
}

void on_upgrade(struct request *rq)
{
	request_audit(rq, "host", NULL);
	upgrade_start(rq->sv, rq->env->upgrade->binary, rq->parked);
}

/* ---------------------------------------------------------------- over: keep what the next one needs, and execute it */

int upgrade_keep(struct supervisor *sv, struct err *e)
{
	AUTO_FD exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (exe < 0)
		return err_set(e, errno, "upgrade", "open /proc/self/exe");
	ahead.exe_fd = keep_open(exe);
	ahead.listen_fd = keep_open(control_listen_fd(sv));
	if (ahead.exe_fd < 0 || ahead.listen_fd < 0)
		return err_set(e, EMFILE, "upgrade", "keep descriptors");
	snprintf(ahead.takeover, sizeof ahead.takeover, "--takeover=%d:%d:%u", ahead.listen_fd, ahead.exe_fd,
		 sv->generation + 1);
	ahead.argv = argv_with(sv->argv, ahead.takeover);
	return ahead.argv ? 0 : err_set(e, ENOMEM, "upgrade", "argv");
}

void upgrade_exec(void)
{
	execve(ahead.binary, ahead.argv, environ);
	log_error("upgrade: cannot execute %s: %s; going on with the old one", ahead.binary, strerror(errno));
	syscall(SYS_execveat, ahead.exe_fd, "", ahead.argv, environ, AT_EMPTY_PATH);
	log_error("upgrade: cannot execute the old berthd: %s", strerror(errno));
}

/* ---------------------------------------------------------------- after: take over, or go back */

static void on_crash(int sig)
{
	sigset_t none;

	/* The signal is blocked while its handler runs, and that would survive the exec. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_execveat, back.exe_fd, "", back.argv, environ, AT_EMPTY_PATH);
	_exit(128 + sig);
}

int upgrade_takeover(char **argv, const char *text, int *ret_listen_fd, uint32_t *ret_generation, struct err *e)
{
	struct sigaction sa = {.sa_handler = on_crash};
	int listen_fd, exe_fd, end = 0;
	uint32_t generation;

	if (sscanf(text, "%d:%d:%u%n", &listen_fd, &exe_fd, &generation, &end) != 3 || text[end] || listen_fd < 0 ||
	    fcntl(listen_fd, F_SETFD, FD_CLOEXEC) < 0 || (exe_fd >= 0 && fcntl(exe_fd, F_SETFD, FD_CLOEXEC) < 0))
		return err_set(e, EINVAL, "upgrade", "--takeover=%s: only berthd itself passes this", text);
	*ret_listen_fd = listen_fd;
	*ret_generation = generation;
	if (exe_fd < 0) {
		log_warn("the upgrade did not come up: this is the old berthd again");
		alarm(0); /* its deadline, which is none of ours, goes over an exec; so do its children: reaper_reap */
		return 0;
	}
	/* The way back is prepared now: the socket must survive the exec once more, and the handler may not allocate. */
	int again = keep_open(listen_fd);

	if (again < 0)
		return err_set(e, -again, "upgrade", "keep the listening socket");
	snprintf(back.takeover, sizeof back.takeover, "--takeover=%d:-1:%u", again, generation);
	back.argv = argv_with(argv, back.takeover);
	if (!back.argv)
		return err_set(e, ENOMEM, "upgrade", "argv");
	back.exe_fd = exe_fd;
	for (size_t i = 0; i < ARRAY_SIZE(crash_signals); i++)
		sigaction(crash_signals[i], &sa, NULL);
	alarm(UPGRADE_READY_S);
	return 0;
}

void upgrade_ready(void)
{
	int again;

	if (back.exe_fd < 0)
		return;
	alarm(0);
	for (size_t i = 0; i < ARRAY_SIZE(crash_signals); i++)
		signal(crash_signals[i], SIG_DFL);
	if (sscanf(back.takeover, "--takeover=%d:", &again) == 1)
		close(again);
	close_fd(&back.exe_fd);
	free(back.argv);
	back.argv = NULL;
}

void upgrade_fall_back(void)
{
	if (back.exe_fd < 0)
		return;
	log_error("this berthd cannot start: going back to the one before");
	syscall(SYS_execveat, back.exe_fd, "", back.argv, environ, AT_EMPTY_PATH);
	log_error("cannot execute the old berthd: %s", strerror(errno));
}
