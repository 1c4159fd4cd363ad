/* shim/pause.c - the first process of a pod: holds its namespaces, reaps what is orphaned where the pod shares its pids. */
#include "shim/init.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int pause_main(void)
{
	sigset_t wait_for;

	/* Where the pod shares its pids, its members must not get at us: no filter is on us, and our root is another. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return 1;
	/* Ignored children are reaped by the kernel. */
	signal(SIGCHLD, SIG_IGN);
	sigemptyset(&wait_for);
	sigaddset(&wait_for, SIGTERM);
	sigaddset(&wait_for, SIGINT);
	sigprocmask(SIG_BLOCK, &wait_for, NULL);
	close(0);
	close(1);
	close(2);
	while (sigwaitinfo(&wait_for, NULL) < 0)
		;
	return 0;
}
