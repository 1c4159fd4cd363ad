/* shim/init.c - pid 1 of a container that asked for one: runs the program, passes signals on, reaps what is orphaned, and ends
 * as the program ended. It cannot die of a signal as the program may have (a pid 1 is immune to its own), so the shim gets the
 * true wait status by the sync socket; whoever looks at the exit code alone sees 128 + signal, as of a shell. */
#include "shim/init.h"

#include "shim/program.h"
#include "shim/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYNC_FD 3

extern char **environ;

/* In the program's process, sharing init's memory until the exec. */
static void run(char **argv, struct err *e)
{
	sigset_t none;

	/* A group of its own, in the foreground: else ^C would reach it twice, from the terminal and from us. */
	setpgid(0, 0);
	if (isatty(0))
		tcsetpgrp(0, getpid()); /* SIGTTOU is blocked */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	program_exec(argv, environ, e);
}

static int end_as(int status)
{
	sync_send(SYNC_FD, SYNC_STATUS, status, NULL);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int init_main(char **argv)
{
	static struct err failure; /* written by the child of vfork */
	sigset_t all;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (!argv[1] || fcntl(SYNC_FD, F_SETFD, FD_CLOEXEC) < 0)
		return 126;
	pid = vfork();
	if (pid == 0) {
		run(argv + 1, &failure);
		_exit(126);
	}
	if (pid < 0)
		err_set(&failure, errno, "exec", "fork");
	if (failure.code) {
		sync_send(SYNC_FD, SYNC_FAILED, 0, &failure);
		return 126;
	}
	/* The program alone holds stdio: what it closes is closed. */
	close(0);
	close(1);
	close(2);
	sync_send(SYNC_FD, SYNC_STARTED, 0, NULL);
	for (;;) {
		int status, sig = sigwaitinfo(&all, NULL);
		pid_t gone;

		if (sig < 0)
			continue;
		if (sig != SIGCHLD) {
			kill(pid, sig);
			continue;
		}
		while ((gone = waitpid(-1, &status, WNOHANG)) > 0)
			if (gone == pid)
				return end_as(status);
	}
}
