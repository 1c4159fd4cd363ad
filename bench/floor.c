/* bench/floor.c - what the kernel alone takes for a container: clone3 into a group with new namespaces (mount, pid, uts, ipc,
 * cgroup, net), the rootfs bound and pivoted to, /proc and /dev mounted, exec, wait. No confinement, no overlay, no records,
 * nobody to tell: nothing that runs a container can be faster than this.
 *
 *   floor [-n COUNT] [-c CGROUP_DIR] [-p PAUSE_MS] [-b] ROOTFS PROGRAM [ARGUMENT...]
 *
 * -b is barer still: no namespaces, no rootfs; a clone3, an exec, a wait. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/samples.h"

static _Noreturn void child_die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	_exit(127);
}

static _Noreturn void child(const char *rootfs, char **argv, bool bare)
{
	char *env[] = {(char *)"PATH=/bin", NULL};

	if (!bare) {
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			child_die("private");
		if (mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(rootfs) < 0)
			child_die(rootfs);
		if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
			child_die("/proc");
		if (mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64k") < 0)
			child_die("/dev");
		if (mknod("dev/null", S_IFCHR | 0666, 0x103) < 0)
			child_die("/dev/null");
		if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
			child_die("pivot_root");
	}
	execve(argv[0], argv, env);
	child_die(argv[0]);
}

static int usage(void)
{
	fprintf(stderr, "usage: floor [-n COUNT] [-c CGROUP_DIR] [-p PAUSE_MS] [-b] ROOTFS PROGRAM [ARGUMENT...]\n");
	return 64;
}

int main(int argc, char **argv)
{
	struct samples samples = {0};
	int cgroup = -1, opt;
	long count = 1000, pause_ms = 0;
	bool bare = false;

	while ((opt = getopt(argc, argv, "+n:c:p:b")) != -1) {
		if (opt == 'n')
			count = atol(optarg);
		else if (opt == 'c')
			cgroup = open(optarg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		else if (opt == 'p')
			pause_ms = atol(optarg);
		else if (opt == 'b')
			bare = true;
		else
			return usage();
	}
	if (argc - optind < 2)
		return usage();
	for (long i = 0; i < count; i++) {
		int pidfd = -1;
		struct clone_args ca = {
			.flags = CLONE_PIDFD |
				 (bare ? 0
				       : CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET |
						  CLONE_NEWCGROUP) |
				 (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
			.pidfd = (uintptr_t)&pidfd,
			.exit_signal = SIGCHLD,
			.cgroup = cgroup >= 0 ? (unsigned)cgroup : 0,
		};
		uint64_t start = samples_now();
		long pid = syscall(SYS_clone3, &ca, sizeof(ca));
		siginfo_t info;

		if (pid == 0)
			child(argv[optind], argv + optind + 1, bare);
		if (pid < 0 || waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 || info.si_code != CLD_EXITED ||
		    info.si_status == 127) {
			fprintf(stderr, "floor: clone3 or child failed: %s\n", strerror(errno));
			return 1;
		}
		samples_add(&samples, samples_now() - start);
		close(pidfd);
		if (pause_ms)
			usleep((useconds_t)pause_ms * 1000);
	}
	samples_print(&samples, bare ? "bare" : "floor");
	return 0;
}
