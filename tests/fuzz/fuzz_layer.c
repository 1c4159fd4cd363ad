/* tests/fuzz/fuzz_layer.c - any bytes as a layer, unpacked on top of a lower one with symlinks: nothing may appear outside of its
 * folder, and the folder can always be removed. As root in mounts of its own; on a tmpfs, so that no disk is worn. */
#include "base/file.h"
#include "image/unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int base_fd = -1, lower_fd;

static void require(int condition)
{
	if (!condition)
		abort();
}

static int lower_mark(const char *path)
{
	int fd = openat(lower_fd, path, O_RDONLY | O_CLOEXEC), r;

	require(fd >= 0);
	r = fsetxattr(fd, "trusted.mark", "m", 1, 0);
	close(fd);
	return r;
}

/* base/{lower,layer} and nothing else, ever. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char dir[] = "/tmp/berth-fuzz-XXXXXX";

	(void)argc, (void)argv;
	require(mkdtemp(dir) != NULL);
	if (geteuid() == 0) {
		require(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		require(mount("tmpfs", dir, "tmpfs", MS_NODEV, "size=64m") == 0);
	}
	base_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(base_fd >= 0 && mkdirat(base_fd, "lower", 0755) == 0);
	if (geteuid() == 0) {
		require(umount2(dir, MNT_DETACH) == 0);
		rmdir(dir);
	}
	lower_fd = openat(base_fd, "lower", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(lower_fd >= 0 && mkdirat(lower_fd, "usr", 0755) == 0 && mkdirat(lower_fd, "usr/bin", 0755) == 0);
	require(symlinkat("usr/bin", lower_fd, "bin") == 0 && symlinkat("..", lower_fd, "up") == 0 &&
		symlinkat("/", lower_fd, "usr/root") == 0);
	require(file_write_atomic(lower_fd, "usr/bin/x", "x", 1, 0755, false) == 0);
	if (geteuid() == 0) { /* to be copied up */
		require(lower_mark("usr/bin") == 0 && lower_mark("usr/bin/x") == 0);
		require(mknodat(lower_fd, "usr/gone", S_IFCHR, 0) == 0 && mkdirat(lower_fd, "usr/opaque", 0755) == 0);
		require(lower_mark("usr/opaque") == 0);
	}
	return 0;
}

static unsigned names_count(int fd)
{
	char names[4096];
	unsigned n = 0;
	ssize_t len = 0;

	lseek(fd, 0, SEEK_SET);
	for (struct {
		     uint64_t ino, off;
		     unsigned short reclen;
	     } * d;
	     (len = getdents64(fd, names, sizeof names)) > 0;)
		for (ssize_t at = 0; at < len; at += d->reclen, n++)
			d = (void *)(names + at);
	return n;
}

/* The same again, to the end. */
static void good_unpack(const struct source_part *part, const char *id)
{
	struct unpack_result result;
	struct err e = {0};
	int dir;

	require(mkdirat(base_fd, "layer", 0755) == 0);
	dir = openat(base_fd, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(layer_unpack(part, id, dir, &lower_fd, 1, &result, &e) == 0);
	close(dir);
	require(dir_remove_all(base_fd, "layer") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int blob = memfd_create("blob", MFD_CLOEXEC), dir;
	struct source_part part = {.fd = blob, .length = len};
	struct unpack_result result;
	struct err e = {0};
	char id[80];

	require(blob >= 0 && write(blob, data, len) == (ssize_t)len);
	require(mkdirat(base_fd, "layer", 0755) == 0);
	dir = openat(base_fd, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* No input has this diff id: all of it is read, and the result is always a refusal. It names the right one. */
	require(layer_unpack(&part, "sha256:0", dir, &lower_fd, 1, &result, &e) < 0 && e.text[0]);
	close(dir);
	require(dir_remove_all(base_fd, "layer") == 0);
	if (sscanf(e.text, "its content is %71[a-f0-9:sh]", id) == 1)
		good_unpack(&part, id);
	close(blob);
	require(names_count(base_fd) == 3 && names_count(lower_fd) == 5);
	return 0;
}
