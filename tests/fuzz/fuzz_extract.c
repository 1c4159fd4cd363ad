/* tests/fuzz/fuzz_extract.c - any bytes as an archive that is copied into a container, and out of one onto the host: nothing may appear
 * outside of what is its root, and on the host nothing but what was asked for. As root in mounts of its own, on a tmpfs. */
#include "base/file.h"
#include "image/extract.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int base_fd = -1;

static void require(int condition)
{
	if (!condition)
		abort();
}

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
	require(base_fd >= 0);
	if (geteuid() == 0) {
		require(umount2(dir, MNT_DETACH) == 0);
		rmdir(dir);
	}
	return 0;
}

/* Of a folder, "." and ".." among them. */
static unsigned names_count(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(fd);
	unsigned n = 0;

	require(dir != NULL);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void extract_once(const uint8_t *data, size_t len, struct extract x)
{
	int blob = memfd_create("blob", MFD_CLOEXEC);
	struct extract_result result = {0};
	struct err e = {0};

	require(blob >= 0 && write(blob, data, len) == (ssize_t)len && lseek(blob, 0, SEEK_SET) == 0);
	if (extract_tar(blob, &x, &result, &e) < 0)
		require(e.text[0] != 0);
	close(blob);
}

/* base/root/{up -> .., abs -> /, dir/}: what is below root is the container's, what is beside it is not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int root, dir;

	require(mkdirat(base_fd, "root", 0755) == 0);
	root = openat(base_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	require(mkdirat(root, "dir", 0755) == 0 && symlinkat("../..", root, "up") == 0 &&
		symlinkat("/", root, "dir/abs") == 0 && symlinkat("../../..", root, "dir/up") == 0);
	extract_once(data, len,
		     (struct extract){.root_fd = root,
				      .base = "/dir",
				      .follow = true,
				      .owner = geteuid() ? EXTRACT_OWNER_LEAVE : EXTRACT_OWNER_ARCHIVE,
				      .special_bits = true,
				      .devices = true,
				      .reserve = true});
	require(names_count(base_fd, ".") == 3);
	dir = openat(root, "dir", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir >= 0) {
		unsigned outside = names_count(root, ".");

		extract_once(data, len, (struct extract){.root_fd = dir, .base = "", .only = "asked"});
		require(names_count(root, ".") == outside);
		close(dir);
	}
	close(root);
	require(names_count(base_fd, ".") == 3 && dir_remove_all(base_fd, "root") == 0);
	return 0;
}
