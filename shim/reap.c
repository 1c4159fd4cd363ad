/* shim/reap.c - see shim/reap.h */
#include "shim/reap.h"

#include "shim/launch.h"
#include "shim/shim.h"

#include <sys/wait.h>

/* The kernel's record of one end. */
static void split(const siginfo_t *si, int *code, int *sig, bool *core)
{
	*code = si->si_code == CLD_EXITED ? si->si_status : 0;
	*sig = si->si_code == CLD_EXITED ? 0 : si->si_status;
	*core = si->si_code == CLD_DUMPED;
}

/* Who follows another is reaped after it: by then it has been named, and the sync socket has its end. */
static bool reap_first(struct shim *s, int pid, struct exec *x)
{
	int first = x && pid == x->pid ? x->first_pid : !x && pid == s->run.pid ? s->run.first_pid : 0;
	siginfo_t si = {0};

	if (!first)
		return true;
	if (waitid(P_PID, (id_t)first, &si, WEXITED | WNOHANG) < 0 || !si.si_pid)
		return false;
	if (x)
		exec_reaped(x, first, 0, 0);
	else
		launch_first_reaped(s);
	return true;
}

/* false: it must stay unreaped until somebody has said who it is. */
static bool reap_one(struct shim *s, int pid)
{
	struct run *run = &s->run;
	int code, sig;
	bool core;
	siginfo_t si = {0};
	struct exec *x;

	if (run->first_pid)
		launch_sync(s); /* who follows the first process is said there */
	x = exec_of_pid(s, pid);
	if (run->first_pid && !run->pid && pid != run->first_pid && !x)
		return false;
	if (!x && pid != run->pid && pid != run->first_pid && exec_hear(s))
		return false;
	if (!reap_first(s, pid, x))
		return false;
	if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG) < 0 || !si.si_pid)
		return true;
	split(&si, &code, &sig, &core);
	x = exec_of_pid(s, pid);
	if (x)
		exec_reaped(x, pid, code, sig);
	else if (pid == run->first_pid)
		launch_first_reaped(s);
	else if (pid == run->pid)
		run_reaped(s, code, sig, core);
	else
		standby_reaped(s, pid);
	return true;
}

bool reap_is_new(struct shim *s, int pid)
{
	siginfo_t si = {0};

	return pid > 0 && pid != s->run.pid && pid != s->run.first_pid && !exec_of_pid(s, pid) &&
	       waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void reap(struct shim *s)
{
	for (;;) {
		siginfo_t si = {0};

		/* Looked at first: whose end it is decides what is done, and waiting by pid consumes exactly that one. */
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || !si.si_pid)
			return;
		if (!reap_one(s, si.si_pid))
			return;
	}
}
