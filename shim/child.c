/* shim/child.c - between clone and exec: one flat list for a launch, one for an exec, and the confinement that both end in.
 *
 * Runs in a copy of the shim, single-threaded (the log writer was not copied), with all signals blocked. What fails is said
 * to the shim by step, errno and words, and the process ends; end of file at the shim after `at_exec` means that the program
 * runs. A launch with a user namespace takes two processes: the first keeps the host's rights and builds what needs them, the
 * second is its sibling (CLONE_PARENT: the shim must be able to wait for it), born inside the user namespace. */
#include "shim/child.h"

#include "base/own.h"
#include "shim/confine.h"
#include "shim/files.h"
#include "shim/mounts.h"
#include "shim/ns.h"
#include "shim/plan.h"
#include "shim/program.h"
#include "shim/rootfs.h"
#include "shim/sys.h"
#include "shim/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

int child_skip(struct child *c, const char *step, const struct err *e)
{
	struct err said = *e;

	snprintf(said.step, sizeof said.step, "%s", step);
	sync_send(c->sync_fd, SYNC_SKIPPED, 0, &said);
	return 0;
}

static void step(struct child *c, const char *name)
{
	if (c->progress)
		progress_step(c->progress, name, 0);
}

static bool is_pause(const struct child *c)
{
	return c->plan && c->plan->program == SHIM__LAUNCH_PLAN__PROGRAM__PAUSE;
}

/* ---------------------------------------------------------------- namespaces */

/* Root of the user namespace that we are in. Until now we were the host's root, whom it does not know. */
static int become_root(struct err *e)
{
	static const struct identity root = {0};

	return ids_enter(&root, e);
}

static int enter_user_namespace(struct child *c, struct err *e)
{
	const Shim__LaunchPlan *l = c->plan;
	struct clone_args args = {.flags = CLONE_PARENT | CLONE_NEWNS};
	pid_t pid;

	if (l->pid_pod && setns(c->pod_fd, CLONE_NEWPID) < 0)
		return err_set(e, errno, "namespaces", "join the pod's pid namespace");
	if (setns(c->user_fd, CLONE_NEWUSER) < 0)
		return err_set(e, errno, "user namespace", "enter the user namespace");
	args.flags |= l->pid_host || l->pid_pod ? 0 : CLONE_NEWPID;
	args.flags |= l->ipc_host || l->ipc_pod ? 0 : CLONE_NEWIPC;
	args.flags |= l->uts_pod ? 0 : CLONE_NEWUTS;
	args.flags |= l->net == SHIM__LAUNCH_PLAN__NET__NET_NEW && c->net_fd < 0 ? CLONE_NEWNET : 0;
	pid = sys_clone3(&args);
	if (pid < 0)
		return err_set(e, errno, "namespaces", "make the namespaces");
	if (pid > 0) {
		sync_send(c->sync_fd, SYNC_PID, pid, NULL);
		_exit(0);
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(e, errno, "setup", "tie the container to the shim");
	TRY(rootfs_reopen(c, e));
	return become_root(e);
}

/* For later incarnations. From here and not by our pid: a process that has ended, however shortly it lived, has none. */
static int hand_over_network(struct child *c, struct err *e)
{
	AUTO_FD fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "network", "keep the network namespace");
	sync_send_fds(c->sync_fd, SYNC_NET, &fd, 1);
	return ns_loopback_up(e);
}

static int set_hostname(const Shim__LaunchPlan *l, struct err *e)
{
	if (l->hostname && !l->uts_pod && sethostname(l->hostname, strlen(l->hostname)) < 0)
		return err_set(e, errno, "hostname", "set the host name %s", l->hostname);
	return 0;
}

static int enter_namespaces(struct child *c, struct err *e)
{
	const Shim__LaunchPlan *l = c->plan;
	int joined = (l->net == SHIM__LAUNCH_PLAN__NET__NET_POD ? CLONE_NEWNET : 0) | (l->ipc_pod ? CLONE_NEWIPC : 0) |
		     (l->uts_pod ? CLONE_NEWUTS : 0) | (c->late ? CLONE_NEWPID : 0); /* for our own child */

	if (joined && setns(c->pod_fd, joined) < 0)
		return err_set(e, errno, "namespaces", "join the pod's namespaces");
	if (l->net == SHIM__LAUNCH_PLAN__NET__NET_NEW) {
		if (c->net_fd < 0)
			TRY(hand_over_network(c, e));
		else if (setns(c->net_fd, CLONE_NEWNET) < 0)
			return err_set(e, errno, "namespaces", "join the container's network namespace");
	}
	/* Rooted at `main`: with CLONE_INTO_CGROUP, CLONE_NEWCGROUP would root it at the shim's group. */
	if (l->new_cgroup_ns && unshare(CLONE_NEWCGROUP) < 0)
		return err_set(e, errno, "namespaces", "make a cgroup namespace");
	return set_hostname(l, e);
}

/* ---------------------------------------------------------------- working directory, stdio */

static int make_cwd(struct child *c, struct err *e)
{
	const char *cwd = c->process ? c->process->cwd : NULL;
	int fd;

	if (!c->plan || !cwd)
		return 0;
	fd = root_open(c, cwd, O_PATH);
	if (fd == -ENOENT) {
		fd = root_make_dir(c, cwd, 0755);
		if (fd >= 0 && fchownat(fd, "", c->id.uid, c->id.gid, AT_EMPTY_PATH) < 0) {
			close(fd);
			fd = -errno;
		}
		if (fd < 0)
			return err_set(e, fd, "cwd", "make the working directory %s", cwd);
	}
	close_fd(&fd);
	return 0;
}

/* Below the root and by no magic link: "/proc/self/fd/9" would be whatever we happen to have open. */
static int enter_cwd(struct child *c, struct err *e)
{
	const char *cwd = c->process && c->process->cwd ? c->process->cwd : "/";
	AUTO_FD fd = root_open(c, cwd, O_PATH | O_DIRECTORY);

	if (fd < 0 || fchdir(fd) < 0)
		return err_set(e, fd < 0 ? fd : errno, "cwd", "change to the working directory %s", cwd);
	return 0;
}

/* The pipes become the user's, so that /dev/stdout and the like can be opened again. */
static int own_stdio(struct child *c, struct err *e)
{
	struct stat st;

	for (int i = 0; i < 3; i++) {
		int fd = c->tty_fd >= 0 ? c->tty_fd : c->io[i];

		if (fd < 0 || fstat(fd, &st) < 0 || (c->tty_fd < 0 && !S_ISFIFO(st.st_mode)) || st.st_uid == c->id.uid)
			continue;
		if (fchown(fd, c->id.uid, (gid_t)-1) < 0)
			return err_set(e, errno, "stdio", "give stdio to user %u", c->id.uid);
	}
	return 0;
}

static int place_stdio(struct child *c, struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int fd = c->tty_fd >= 0 ? c->tty_fd : c->io[i];

		if (dup2(fd, i) < 0)
			return err_set(e, errno, "stdio", "set descriptor %d", i);
	}
	return 0;
}

static void swap_up(int *a, int *b)
{
	int t = *a;

	if (t <= *b)
		return;
	*a = *b;
	*b = t;
}

/* Really closed, not only at the exec: until then "/proc/self/fd/9/.." in the name of the program, in PATH or in the first
 * line of a script would lead out of the container. What stays leads nowhere: our sockets, our program, the container's root, the
 * folder of berth's files for who stands by. */
static int close_others(struct child *c, struct err *e)
{
	int keep[] = {c->sync_fd, c->root_fd, c->stage_fd, c->lsm_fd, c->self_fd};
	unsigned from = 3;

	for (size_t i = 0; i + 1 < ARRAY_SIZE(keep); i++)
		for (size_t k = i + 1; k < ARRAY_SIZE(keep); k++)
			swap_up(&keep[i], &keep[k]);
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		if (keep[i] < (int)from) /* not open */
			continue;
		if (keep[i] > (int)from && sys_close_range(from, (unsigned)keep[i] - 1, 0) < 0)
			return err_set(e, errno, "setup", "close descriptors");
		from = (unsigned)keep[i] + 1;
	}
	return sys_close_range(from, ~0u, 0) < 0 ? err_set(e, errno, "setup", "close descriptors") : 0;
}

/* ---------------------------------------------------------------- the end of both lists */

static char **copy_strings(char *const *from, size_t n, const char *more)
{
	char **to = calloc(n + 2, sizeof *to); /* never freed: exec or end is next */

	for (size_t i = 0; to && i < n; i++)
		to[i] = from[i];
	if (to && more)
		to[n] = (char *)(uintptr_t)more;
	return to;
}

/* Our own program, which becomes pid 1 of the container with the container's rights. fd 3 is its end of the sync socket. */
static int exec_self(struct child *c, const char *name, char *const *argv, char *const *env, struct err *e)
{
	size_t n = 0;
	char **own;

	while (argv[n])
		n++;
	own = calloc(n + 2, sizeof *own);
	if (!own)
		return err_set(e, ENOMEM, "exec", "memory for the arguments");
	own[0] = (char *)(uintptr_t)name;
	memcpy(own + 1, argv, n * sizeof *argv);
	if (!is_pause(c) && (c->sync_fd == 3 ? fcntl(3, F_SETFD, 0) : dup2(c->sync_fd, 3)) < 0)
		return err_set(e, errno, "exec", "set descriptor 3");
	if (!is_pause(c) && !c->late) /* what comes now may come from the container's root, who can trace an init */
		sync_send(3, SYNC_INIT, 0, NULL);
	sys_execveat(c->self_fd, "", own, env, AT_EMPTY_PATH);
	return err_set(e, errno, "exec", "exec %s", name);
}

static int execute(struct child *c, struct err *e)
{
	static char *const nothing[] = {NULL};
	static char home_var[sizeof c->id.home + 8];
	const Shim__ProcessPlan *p = c->process;
	const char *home = NULL;
	char **argv, **env;
	sigset_t none;

	sigemptyset(&none);
	if (c->progress)
		c->progress->at_exec = 1;
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (is_pause(c))
		return exec_self(c, "berth-pause", nothing, nothing, e);
	snprintf(home_var, sizeof home_var, "HOME=%s", c->id.home);
	argv = copy_strings(p->argv, p->n_argv, NULL);
	env = copy_strings(p->env, p->n_env, NULL);
	if (!argv || !env)
		return err_set(e, ENOMEM, "exec", "memory for the arguments");
	home = env_get(env, "HOME");
	if (!home || !home[0])
		env[p->n_env] = home_var;
	if (c->plan && c->plan->init)
		return exec_self(c, "berth-init", argv, env, e);
	return program_exec(argv, env, e);
}

/* Who has CAP_SYS_PTRACE in there could trace us, or enter the host by our root, from the moment that it sees us. It sees a
 * copy of us, which is already as confined as its program will be, and shares nothing with the shim but the socket, on which
 * it is not believed any more. */
static void prepare_to_move(struct child *c)
{
	c->progress->at_exec = 1;
	progress_free(take_ptr(c->progress));
	sync_send(c->sync_fd, SYNC_INIT, 0, NULL);
}

static int move_in(struct child *c, struct err *e)
{
	/* The old call: a filter cannot look at clone3's flags, and refuses it. */
	long pid = syscall(SYS_clone, (unsigned long)(CLONE_PARENT | SIGCHLD), 0ul, 0ul, 0ul, 0ul);

	if (pid < 0)
		return err_set(e, errno, "exec", "make the process (does its seccomp profile deny clone?)");
	if (pid > 0) {
		sync_send(c->sync_fd, SYNC_PID, (int)pid, NULL);
		_exit(0);
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(e, errno, "setup", "tie the process to the shim");
	if (setsid() < 0 || (c->tty_fd >= 0 && ioctl(0, TIOCSCTTY, 0) < 0))
		return err_set(e, errno, "setup", "make a session");
	return 0;
}

/* The order is the point. Each line says what must have come before it, or what would fail after it. */
static int confine_and_execute(struct child *c, struct err *e)
{
	Shim__ProcessPlan pause = SHIM__PROCESS_PLAN__INIT; /* no capability, no rights to gain */
	const Shim__ProcessPlan *p = is_pause(c) ? &pause : c->process;
	bool no_new_privs = is_pause(c) || p->no_new_privs;

	if (is_pause(c) && c->plan->process) {
		pause.has_seccomp = c->plan->process->has_seccomp;
		pause.seccomp = c->plan->process->seccomp;
	}
	step(c, "confine");
	TRY(confine_rlimits(c, e)); /* after all work that opens or writes much */
	TRY(own_stdio(c, e));	    /* needs CAP_CHOWN */
	TRY(place_stdio(c, e));
	TRY(close_others(c, e));		   /* before the first path that the container has a say in */
	TRY(confine_bounding(p->cap_bounding, e)); /* needs CAP_SETPCAP, which changing the ids may take */
	if (prctl(PR_SET_KEEPCAPS, 1) < 0)	   /* what the plan grants must survive the change of ids */
		return err_set(e, errno, "capabilities", "keep capabilities");
	TRY(ids_enter(&c->id, e));
	umask(p->has_umask ? p->umask : 022);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) /* again: a change of ids clears it */
		return err_set(e, errno, "setup", "tie the container to the shim");
	/* Likewise. Until the exec nobody in the container may trace us, or look at what we have open. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set(e, errno, "setup", "become undumpable");
	TRY(enter_cwd(c, e)); /* after the ids: the user must be able to */
	if (sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return err_set(e, errno, "setup", "close descriptors");
	if (c->plan && c->plan->hold_before_exec) { /* all that can be said no to was tried, but for the filter */
		step(c, "hold");
		sync_send(c->sync_fd, SYNC_HELD, 0, NULL);
		int r = sync_wait_release(c->sync_fd);
		if (r < 0)
			return err_set(e, r, "hold", "wait for the release");
		step(c, "confine");
	}
	TRY(confine_label(c, e)); /* for the next exec; before no_new_privs would narrow it */
	close_fd(&c->lsm_fd);
	if (c->late)
		prepare_to_move(c);
	if (no_new_privs) {
		TRY(confine_caps(p, e));
		TRY(confine_no_new_privs(e));
		TRY(confine_seccomp(p, e)); /* last: nobody needs a right for it any more */
	} else {
		TRY(confine_caps_raise(e)); /* without no_new_privs the filter needs CAP_SYS_ADMIN … */
		TRY(confine_seccomp(p, e)); /* … so it must let capset and prctl pass */
		TRY(confine_caps(p, e));
	}
	if (c->late)
		TRY(move_in(c, e));
	step(c, "exec");
	return execute(c, e);
}

/* ---------------------------------------------------------------- launch */

static int open_self(struct child *c, struct err *e)
{
	AUTO_FD fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);

	/* Out of the way of descriptor 3. */
	c->self_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
	return c->self_fd < 0 ? err_set(e, errno, "setup", "open our own program") : 0;
}

/* All that is the same whoever the user will be and whatever he may: it can be done before anybody has asked for it. */
static int begin(struct child *c, struct err *e)
{
	step(c, "setup");
	umask(0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(e, errno, "setup", "tie the container to the shim");
	TRY(confine_oom(c, e)); /* through the host's /proc, with the host's rights */
	TRY(confine_rlimits_raise(c, e));
	step(c, "rootfs");
	TRY(rootfs_prepare(c, e)); /* the disk is touched here: may hang, the shim's clock runs */
	if (c->user_fd >= 0)
		TRY(enter_user_namespace(c, e)); /* returns in another process, without the host's rights */
	step(c, "namespaces");
	TRY(enter_namespaces(c, e)); /* before the mounts: sysfs, mqueue and proc show what we are in */
	if (setsid() < 0)
		return err_set(e, errno, "setup", "make a session");
	TRY(confine_label_open(c, e)); /* the host's /proc, for the last time */
	if (is_pause(c) || c->plan->init)
		TRY(open_self(c, e));
	TRY(mounts_apply(c, SHIM__STEP__STAGE__ROOTFS, e));
	step(c, "rootfs");
	TRY(rootfs_enter(c, e)); /* the host's paths are gone */
	return mounts_apply(c, SHIM__STEP__STAGE__INSIDE, e);
}

static int finish(struct child *c, struct err *e)
{
	close_fd(&c->stage_fd); /* nothing of ours is written any more */
	step(c, "user");
	if (c->process)
		TRY(ids_resolve_inside(c->root_fd, c->process->user, &c->id, e)); /* the image's files */
	for (size_t i = 0; c->process && i < c->process->n_groups; i++)
		TRY(ids_add_group(&c->id, c->process->groups[i], e));
	step(c, "cwd");
	TRY(make_cwd(c, e)); /* before the root becomes read-only */
	if (c->process && c->process->tty) {
		step(c, "tty");
		TRY(tty_open(c, true, e)); /* from the container's own devpts */
	}
	TRY(rootfs_seal(c, e));
	return confine_and_execute(c, e);
}

static _Noreturn void leave(struct child *c, const struct err *e)
{
	sync_send(c->sync_fd, SYNC_FAILED, 0, e);
	_exit(1);
}

void child_launch(struct child *c)
{
	struct err e = {0};

	if (begin(c, &e) == 0)
		finish(c, &e);
	leave(c, &e);
}

/* ---------------------------------------------------------------- ahead of a launch */

static int prepare(struct child *c, struct err *e)
{
	step(c, "setup");
	umask(0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(e, errno, "setup", "tie the process to the shim");
	step(c, "rootfs");
	TRY(rootfs_prepare(c, e));
	/* sysfs shows the network namespace that it was mounted in. */
	if (c->net_fd >= 0 && setns(c->net_fd, CLONE_NEWNET) < 0)
		return err_set(e, errno, "namespaces", "join the container's network namespace");
	c->hands_over = true;
	return mounts_apply(c, SHIM__STEP__STAGE__ROOTFS, e);
}

void child_prepare(struct child *c)
{
	struct err e = {0};

	if (prepare(c, &e) < 0)
		leave(c, &e);
	_exit(0);
}

/* Nothing of the shim's is held up while it waits, least of all its end of a session. */
static int wait_for_plan(struct child *c, struct plan *plan, struct err *e)
{
	AUTO_FD fd = -1;
	int r;

	TRY(close_others(c, e));
	c->net_fd = c->null_fd = c->empty_fd = -1;
	step(c, "stand by");
	sync_send(c->sync_fd, SYNC_READY, 0, NULL);
	r = sync_wait_plan(c->sync_fd, &fd, c->io);
	if (r < 0)
		return err_set(e, r, "plan", "wait for the plan");
	TRY(plan_open_launch(plan, fd, c->uuid, e));
	step(c, "files");
	TRY(files_renew(c, plan->launch, e));
	TRY(set_hostname(plan->launch, e));
	c->plan = plan->launch;
	c->process = plan->launch->process;
	return 0;
}

void child_stand_by(struct child *c)
{
	struct plan plan = PLAN_NULL; /* never closed: the process executes, or ends */
	struct err e = {0};

	if (begin(c, &e) == 0 && wait_for_plan(c, &plan, &e) == 0)
		finish(c, &e);
	leave(c, &e);
}

/* ---------------------------------------------------------------- exec */

static int enter_container(struct child *c, struct err *e)
{
	step(c, "setup");
	umask(0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(e, errno, "setup", "tie the process to the shim");
	TRY(confine_oom(c, e)); /* these three through the host's /proc */
	TRY(confine_rlimits_raise(c, e));
	TRY(confine_label_open(c, e));
	step(c, "namespaces");
	/* The pid namespace came with the clone; late, it is for our own one. */
	if (setns(c->target_fd, (int)(c->target_ns | (c->late ? CLONE_NEWPID : 0))) < 0)
		return err_set(e, errno, "namespaces", "join the container's namespaces");
	if (c->target_ns & CLONE_NEWUSER)
		TRY(become_root(e));
	if (setsid() < 0)
		return err_set(e, errno, "setup", "make a session");
	c->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->root_fd < 0)
		return err_set(e, errno, "rootfs", "open the root");
	step(c, "user");
	TRY(ids_resolve_inside(c->root_fd, c->process->user, &c->id, e));
	for (size_t i = 0; i < c->process->n_groups; i++)
		TRY(ids_add_group(&c->id, c->process->groups[i], e));
	if (c->process->tty) {
		step(c, "tty");
		TRY(tty_open(c, false, e));
	}
	return confine_and_execute(c, e);
}

void child_exec(struct child *c)
{
	struct err e = {0};

	enter_container(c, &e);
	leave(c, &e);
}
