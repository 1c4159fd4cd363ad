/* job/volume.c - volumes that are file systems of their own. What is mounted here the host does not see: it is mounted in the
 * volumes' mount namespace, which has nothing else in it (a small tmpfs with a folder for each) and which lives as long as a
 * descriptor of it does: berthd's, and those of the shims whose containers have such volumes. The last one that is closed takes the
 * mounts along, and with them the loop devices (autoclear): whatever dies, nothing is left.
 *
 * volume-make VOLUMES UUID SIZE: VOLUMES/UUID/image, SIZE bytes of it reserved, with an empty ext4. For a volume that no row knows yet.
 * volume-mount VOLUMES UUID DRIVER SIZE MODE UID GID [fd 4 = the namespace]: without the descriptor the namespace is made, and sent.
 *   It is no error if the volume is mounted there already. Done, with the text "unfinished" if a fill (fill.c) died in it.
 * volume-unmount UUID, fd 4 = the namespace.
 * volume-grow VOLUMES UUID SIZE: also while it is mounted.
 *
 * Two file systems on one image would ruin it. So whoever wants the image's loop device takes the one that has it, if there is one, and
 * else makes one from a description of the file that is locked (flock): the device keeps that description, and so the lock, until it is
 * cleared. Mounted twice, one device is one superblock: the kernel sees to that. */
#include "job/job.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "job/mkfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMESPACE_FD  4
#define SECTOR	      4096 /* of the loop device: what every disk below can do with direct I/O */
#define LOOP_TRIES    64   /* others take devices too */
#define LOCK_TRIES    100
#define LOCK_PAUSE_US 100000
#define TRY_BYTES     (16u << 20)

static int fail(struct err *e, int code, const char *what)
{
	return err_set(e, code, "volume", "%s", what);
}

static int number(const char *text, uint64_t *ret, struct err *e)
{
	return str_to_u64(text, ret) < 0 ? err_set(e, EINVAL, "volume", "%s", text) : 0;
}

static int image_open(const char *volumes, const char *uuid, struct err *e)
{
	char path[512];
	int fd;

	if (strchr(uuid, '/') || (unsigned)snprintf(path, sizeof path, "%s/%s/image", volumes, uuid) >= sizeof path)
		return err_set(e, EINVAL, "volume", "%s", uuid);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_set(e, errno, "volume", "%s", path) : fd;
}

/* ---------------------------------------------------------------- loop devices */

/* The device's number in *ret_n; the descriptor keeps it from being cleared. */
struct loop {
	int fd;
	int n;
};

static int loop_open_number(int n)
{
	char path[32];

	snprintf(path, sizeof path, "/dev/loop%d", n);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* Is it this file's, from its beginning to its end? */
static bool loop_has(int fd, const struct stat *image)
{
	struct loop_info64 info;

	return ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_inode == image->st_ino &&
	       info.lo_device == image->st_dev && !info.lo_offset && !info.lo_sizelimit;
}

/* 1: found; 0: no device has it. */
static int loop_find(const struct stat *image, struct loop *ret)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	int found = 0, n;
	char end, path[300];

	while (dir && !found && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "loop%d%c", &n, &end) != 1)
			continue;
		/* Opened is only what has a file at all: a foreign device may hang. */
		snprintf(path, sizeof path, "/sys/block/%s/loop/backing_file", entry->d_name);
		if (access(path, F_OK) < 0)
			continue;
		AUTO_FD fd = loop_open_number(n);
		if (fd < 0 || !loop_has(fd, image))
			continue;
		ret->n = n;
		ret->fd = take_fd(&fd);
		found = 1;
	}
	if (dir)
		closedir(dir);
	return found;
}

static int loop_make(int image_fd, const char *uuid, struct loop *ret, struct err *e)
{
	struct loop_config config = {.fd = (uint32_t)image_fd, .block_size = SECTOR};
	AUTO_FD control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return fail(e, errno, "/dev/loop-control (is the module loop there? berth check)");
	/* Direct: otherwise each block is in memory twice. Where the disk cannot do it the kernel goes on without. */
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
	snprintf((char *)config.info.lo_file_name, sizeof config.info.lo_file_name, "berth volume %s", uuid);
	for (int i = 0; i < LOOP_TRIES; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);
		AUTO_FD fd = n < 0 ? -1 : loop_open_number(n);

		if (n < 0)
			return fail(e, errno, "find a free loop device");
		if (fd < 0)
			return err_set(e, errno, "volume", "/dev/loop%d", n);
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
			ret->n = n;
			ret->fd = take_fd(&fd);
			return 0;
		}
		if (errno != EBUSY)
			return err_set(e, errno, "volume", "set up /dev/loop%d", n);
	}
	return fail(e, EBUSY, "every loop device that is free was taken by somebody else");
}

static int loop_get(int image_fd, const char *uuid, struct loop *ret, struct err *e)
{
	struct stat st;

	if (fstat(image_fd, &st) < 0)
		return fail(e, errno, "look at the image");
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (loop_find(&st, ret))
			return 0;
		if (flock(image_fd, LOCK_EX | LOCK_NB) == 0)
			return loop_make(image_fd, uuid, ret, e);
		usleep(LOCK_PAUSE_US); /* its device is just being cleared */
	}
	return fail(e, EBUSY, "its image is in use by something that is no loop device");
}

/* ---------------------------------------------------------------- mounting */

static int mount_option(int fs, const char *key, const char *value, struct err *e)
{
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0) < 0)
		return err_set(e, errno, "volume", "mount option %s=%s", key, value);
	return 0;
}

/* A detached mount. Without devices, as every volume in every container. */
static int mount_make(const char *type, const char *const (*options)[2], struct err *e)
{
	AUTO_FD fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int fd, r = fs < 0 ? err_set(e, errno, "volume", "this kernel has no %s", type) : 0;

	for (; !r && (*options)[0]; options++)
		r = mount_option(fs, (*options)[0], (*options)[1], e);
	if (r < 0)
		return r;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_set(e, errno, "volume", "mount %s", type);
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
	return fd < 0 ? err_set(e, errno, "volume", "mount %s", type) : fd;
}

/* Of the image's file system; an error in it stops writing, not the host. */
static int mount_sized(const char *volumes, const char *uuid, struct err *e)
{
	AUTO_FD image = image_open(volumes, uuid, e);
	struct loop loop;
	char device[32];
	int r = image < 0 ? image : loop_get(image, uuid, &loop, e);

	if (r < 0)
		return r;
	AUTO_FD keep = loop.fd;
	(void)keep; /* until it is mounted */
	snprintf(device, sizeof device, "/dev/loop%d", loop.n);
	const char *const options[][2] = {{"source", device}, {"errors", "remount-ro"}, {NULL, NULL}};
	AUTO_FD fd = mount_make("ext4", options, e);
	if (fd < 0)
		return fd;
	if (mkdirat(fd, "data", 0755) < 0 && errno != EEXIST)
		return fail(e, errno, "make its topmost folder");
	return take_fd(&fd);
}

static int mount_tmpfs(char **argv, struct err *e)
{
	const char *const options[][2] = {{"source", "volume"}, {"size", argv[0]}, {"mode", argv[1]},
					  {"uid", argv[2]},	{"gid", argv[3]},  {NULL, NULL}};

	return mount_make("tmpfs", options, e);
}

/* ---------------------------------------------------------------- the namespace */

/* This process is in it afterwards. A tmpfs becomes the root, and what the host has goes: else each of its mounts would be held. */
static int namespace_make(const char *somewhere, int *ret_ns, struct err *e)
{
	static const char *const options[][2] = {{"mode", "0700"}, {"size", "1m"}, {NULL, NULL}};
	AUTO_FD root = mount_make("tmpfs", options, e);
	AUTO_FD ns = -1;

	if (root < 0)
		return root;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail(e, errno, "make a mount namespace");
	ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		return fail(e, errno, "/proc/self/ns/mnt");
	if (syscall(SYS_move_mount, root, "", AT_FDCWD, somewhere, MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(root) < 0 ||
	    syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return fail(e, errno, "empty the volumes' mount namespace");
	*ret_ns = take_fd(&ns);
	return 0;
}

int namespace_enter(int fd, struct err *e)
{
	return setns(fd, CLONE_NEWNS) < 0 ? fail(e, errno, "enter a mount namespace") : 0;
}

/* Is something mounted there? */
static bool is_mounted(const char *path)
{
	struct stat st, root;

	return stat(path, &st) == 0 && stat("/", &root) == 0 && st.st_dev != root.st_dev;
}

/* In the namespace. */
static int mount_attach(int fd, const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "volume", "%s", path);
	if (syscall(SYS_move_mount, fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, errno, "volume", "mount on %s", path);
	return 0;
}

static bool is_unfinished(int fd)
{
	return faccessat(fd, "data.new", F_OK, 0) == 0 || faccessat(fd, "data.filling", F_OK, 0) == 0;
}

int verb_volume_mount(int argc, char **argv, struct err *e)
{
	const char *volumes = argv[1], *uuid = argv[2];
	bool sized = !strcmp(argv[3], "sized"), made = fcntl(NAMESPACE_FD, F_GETFD) < 0, unfinished;
	char path[64];
	int ns = NAMESPACE_FD, r;

	if (strchr(uuid, '/') || (unsigned)snprintf(path, sizeof path, "/%s", uuid) >= sizeof path)
		return err_set(e, EINVAL, "volume", "%s", uuid);
	AUTO_FD fd = sized ? mount_sized(volumes, uuid, e) : mount_tmpfs(argv + 4, e);
	if (fd < 0)
		return fd;
	unfinished = sized && is_unfinished(fd);
	r = made ? namespace_make(volumes, &ns, e) : namespace_enter(ns, e);
	if (!r && !is_mounted(path))
		r = mount_attach(fd, path, e);
	if (r < 0)
		return r;
	return made ? report_done_fd(unfinished ? "unfinished" : NULL, ns, e)
		    : report_done(unfinished ? "unfinished" : NULL, e);
}

int verb_volume_unmount(int argc, char **argv, struct err *e)
{
	char path[64];
	int r;

	if (strchr(argv[1], '/') || (unsigned)snprintf(path, sizeof path, "/%s", argv[1]) >= sizeof path)
		return err_set(e, EINVAL, "volume", "%s", argv[1]);
	r = namespace_enter(NAMESPACE_FD, e);
	if (r < 0)
		return r;
	/* The last reference writes what the file system has in memory: that is what may take its time here. */
	if (is_mounted(path) && umount2(path, 0) < 0)
		return err_set(e, errno, "volume", "unmount %s", path);
	(void)rmdir(path); /* an empty folder in nobody's way */
	return report_done(NULL, e);
}

/* ---------------------------------------------------------------- making and growing */

/* The disk of the state folder is also the store's: a twentieth of it stays. */
static int room_check(int fd, uint64_t more, struct err *e)
{
	struct statvfs s;
	uint64_t left, keep;

	if (fstatvfs(fd, &s) < 0)
		return fail(e, errno, "look at the disk");
	left = (uint64_t)s.f_bavail * s.f_frsize;
	keep = (uint64_t)s.f_blocks * s.f_frsize / 20;
	if (left < keep || more > left - keep)
		return err_set(e, ENOSPC, "volume",
			       "%llu MiB are wanted; of the disk's %llu MiB that are left, %llu stay free",
			       (unsigned long long)(more >> 20), (unsigned long long)(left >> 20),
			       (unsigned long long)(keep >> 20));
	return 0;
}

/* What is promised is there: a write in the container can fail because the volume is full, never because the disk is. */
static int image_reserve(int fd, uint64_t from, uint64_t to, struct err *e)
{
	int r = room_check(fd, to - from, e);

	if (r < 0)
		return r;
	if (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) < 0)
		return fail(e, errno,
			    errno == EOPNOTSUPP ? "the file system of the state folder cannot reserve room (ext4, xfs "
						  "and btrfs can)"
						: "reserve its room");
	return 0;
}

static int image_make(const char *dir, uint64_t size, int *ret_fd, struct err *e)
{
	char path[512];

	snprintf(path, sizeof path, "%s/image", dir);
	if (mkdir(dir, 0700) < 0)
		return err_set(e, errno, "volume", "%s", dir);
	AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, errno, "volume", "%s", path);
	int r = image_reserve(fd, 0, size, e);
	if (!r)
		*ret_fd = take_fd(&fd);
	return r;
}

/* The names in it. */
static int folder_sync(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

int verb_volume_make(int argc, char **argv, struct err *e)
{
	char dir[400];
	uint64_t size;
	AUTO_FD image = -1;
	int r = number(argv[3], &size, e);

	if (strchr(argv[2], '/') || (unsigned)snprintf(dir, sizeof dir, "%s/%s", argv[1], argv[2]) >= sizeof dir)
		return err_set(e, EINVAL, "volume", "%s", argv[2]);
	if (!r)
		r = image_make(dir, size, &image, e);
	if (!r)
		r = mkfs_run(image, e);
	if (!r && (fsync(image) < 0 || folder_sync(dir) < 0 || folder_sync(argv[1]) < 0))
		r = fail(e, errno, "write its file system");
	if (!r)
		return report_done(NULL, e);
	(void)dir_remove_all(AT_FDCWD, dir); /* what cannot be removed now goes with the next start */
	return r;
}

int verb_volume_grow(int argc, char **argv, struct err *e)
{
	AUTO_FD image = image_open(argv[1], argv[2], e);
	struct loop loop = {.fd = -1};
	struct stat st;
	uint64_t size, blocks;
	int r = image < 0 ? image : number(argv[3], &size, e);

	if (r < 0)
		return r;
	if (prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) != 1)
		return fail(e, ENOTSUP, "berthd lacks CAP_SYS_RESOURCE, without which the kernel grows no file system");
	if (fstat(image, &st) < 0)
		return fail(e, errno, "look at the image");
	/* A larger image is what an interrupted growth leaves: then the file system alone grows. */
	if (size > (uint64_t)st.st_size && (r = image_reserve(image, (uint64_t)st.st_size, size, e)) < 0)
		return r;
	AUTO_FD fd = mount_sized(argv[1], argv[2], e);
	if (fd < 0)
		return fd;
	r = loop_get(image, argv[2], &loop, e);
	AUTO_FD keep = loop.fd;
	(void)keep;
	if (r < 0)
		return r;
	blocks = size / SECTOR;
	AUTO_FD dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || ioctl(keep, LOOP_SET_CAPACITY) < 0 || ioctl(dir, _IOW('f', 16, uint64_t), &blocks) < 0)
		return fail(e, errno, "grow its file system");
	if (syncfs(dir) < 0)
		return fail(e, errno, "write its file system");
	return report_done(NULL, e);
}

/* What `berth check` asks: one that is made, mounted and gone again. dir: of the probe's own, below STATE. */
int volume_try(const char *dir, struct err *e)
{
	char path[512];
	AUTO_FD image = -1;
	AUTO_FD fd = -1;
	int r;

	snprintf(path, sizeof path, "%s/probe", dir);
	r = image_make(path, TRY_BYTES, &image, e);
	if (!r)
		r = mkfs_run(image, e);
	if (!r) {
		fd = mount_sized(dir, "probe", e);
		r = fd < 0 ? fd : 0;
	}
	return r;
}
