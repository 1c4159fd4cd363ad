/* shim/ns.c - see shim/ns.h */
#include "shim/ns.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

int ns_open(pid_t pid, const char *name)
{
	char path[48];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int write_map(pid_t pid, const char *file, uint32_t first, uint32_t count)
{
	char path[48], text[48];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	snprintf(text, sizeof text, "0 %u %u\n", first, count);
	return file_writes(AT_FDCWD, path, text);
}

int ns_user_new(uint32_t first, uint32_t count, struct err *e)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = 0};
	int gate[2], fd = -1, r, status;
	pid_t pid;
	char c;

	if (pipe2(gate, O_CLOEXEC) < 0)
		return err_set(e, errno, "user namespace", "make a pipe");
	pid = sys_clone3(&args);
	if (pid == 0) {
		/* Exists until the other end is closed, also by our death. */
		close(gate[1]);
		(void)!read(gate[0], &c, 1);
		_exit(0);
	}
	close(gate[0]);
	if (pid < 0) {
		r = err_set(e, errno, "user namespace", "make a user namespace");
	} else {
		r = write_map(pid, "uid_map", first, count);
		if (r == 0)
			r = write_map(pid, "gid_map", first, count);
		if (r == 0)
			r = fd = ns_open(pid, "user");
		if (r < 0)
			err_set(e, r, "user namespace", "map ids 0-%u to %u", count - 1, first);
	}
	close(gate[1]);
	/* No exit signal, so it needs __WALL and is nobody else's to reap; it ends at once. */
	if (pid > 0)
		waitpid(pid, &status, __WALL);
	return r < 0 ? r : fd;
}

pid_t ns_pidfd_pid(int pidfd)
{
	char path[48], text[512];
	const char *at, *word;
	int64_t pid;
	size_t len;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	n = file_read(AT_FDCWD, path, text, sizeof text);
	if (n < 0)
		return (pid_t)n;
	at = strstr(text, "\nPid:");
	if (!at)
		return -ESRCH;
	at += 5;
	word = str_word(&at, "\t \n", &len);
	char digits[16];
	if (!word || len >= sizeof digits)
		return -ESRCH;
	memcpy(digits, word, len);
	digits[len] = 0;
	/* -1: reaped; 0: in a pid namespace that we do not see. */
	if (str_to_i64(digits, &pid) < 0 || pid <= 0)
		return -ESRCH;
	return (pid_t)pid;
}

int ns_loopback_up(struct err *e)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	AUTO_FD fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 && (errno == EAFNOSUPPORT))
		fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return err_set(e, errno, "network", "bring lo up");
	return 0;
}

int ns_net_new(struct err *e)
{
	AUTO_FD home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	AUTO_FD fd = -1;
	int r;

	if (home < 0 || unshare(CLONE_NEWNET) < 0)
		return err_set(e, errno, "network", "make a network namespace");
	r = ns_loopback_up(e);
	if (r == 0) {
		fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			r = err_set(e, errno, "network", "keep the network namespace");
	}
	if (setns(home, CLONE_NEWNET) < 0)
		_exit(1); /* nowhere to go on from; berthd sees our end */
	return r < 0 ? r : take_fd(&fd);
}
