/* job/mkfs.c - see job/mkfs.h. The program is the host's and its input is ours; all the same it can reach nothing but the image: it
 * runs as a user that owns that alone, without capabilities, and Landlock shows it programs and nothing else. */
#include "job/mkfs.h"

#include "base/confine.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY	 65534
#define IMAGE_FD 3

static const char *const readable[] = {"/etc/mke2fs.conf", "/etc/ld.so.cache", NULL};

/* Blocks and sectors of 4096 fit every disk. No blocks are kept for root: in a container everybody may be that. The reserved room reads
 * as zeros, and discarding would give it back. */
static const char *const arguments[] = {"mkfs.ext4",
					"-q",
					"-F",
					"-b",
					"4096",
					"-m",
					"0",
					"-E",
					"nodiscard,assume_storage_prezeroed=1,root_owner=0:0",
					"/proc/self/fd/3",
					NULL};

static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};

_Noreturn static void child(int image_fd, int said_fd)
{
	struct confine c = {.uid = NOBODY, .gid = NOBODY, .programs = true, .read_paths = readable};
	char *const *argv = (char *const *)(uintptr_t)arguments, *const *env = (char *const *)(uintptr_t)environment;
	struct err e = {0};
	char text[640];

	if (dup2(said_fd, STDERR_FILENO) < 0 || dup2(image_fd, IMAGE_FD) < 0)
		_exit(126);
	c.file_fd = IMAGE_FD;
	if (confine_enter(&c, &e) < 0) {
		dprintf(STDERR_FILENO, "%s", err_format(&e, text, sizeof text));
		_exit(126);
	}
	execve("/usr/sbin/mkfs.ext4", argv, env);
	execve("/sbin/mkfs.ext4", argv, env);
	dprintf(STDERR_FILENO, "mkfs.ext4: %s (it is in the package e2fsprogs)", strerror(errno));
	_exit(127);
}

/* What it has said, as one line. */
static void hear(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	while (len && text[len - 1] == '\n')
		len--;
	text[len] = 0;
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = ' ';
}

int mkfs_run(int image_fd, struct err *e)
{
	int said[2], status;
	char text[300];
	pid_t pid;

	if (fchown(image_fd, NOBODY, NOBODY) < 0 || pipe2(said, O_CLOEXEC) < 0)
		return err_set(e, errno, "volume", "prepare mkfs.ext4");
	pid = fork();
	if (!pid)
		child(image_fd, said[1]);
	close(said[1]);
	AUTO_FD from = said[0];
	if (pid < 0)
		return err_set(e, errno, "volume", "fork");
	hear(from, text, sizeof text);
	if (waitpid(pid, &status, 0) < 0)
		return err_set(e, errno, "volume", "wait for mkfs.ext4");
	if (status)
		return err_set(e, WEXITSTATUS(status) == 127 ? ENOTSUP : 0, "volume", "%s",
			       *text ? text : "mkfs.ext4 failed");
	return fchown(image_fd, 0, 0) < 0 ? err_set(e, errno, "volume", "take the image back") : 0;
}
