/* job/volume_usage.c - `volume-usage`, fd 4 = sealed memfd with an Envelope{VolumeReply}, fd 5 = the volumes' mount namespace: what the
 * volumes take, as used_bytes in a VolumeReply of the same volumes. Those of which it cannot be said have none. */
#include "job/job.h"

#include "base/confine.h"
#include "base/own.h"
#include "job/list.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NAMESPACE_FD 5
#define DEPTH_MAX    512 /* a descriptor a level */

/* What has several names counts once, by parts: each name of it is probably in here. */
static uint64_t blocks_of(const struct stat *st)
{
	uint64_t bytes = (uint64_t)st->st_blocks * 512;

	return S_ISDIR(st->st_mode) || !st->st_nlink ? bytes : bytes / st->st_nlink;
}

/* Takes fd. What vanishes meanwhile is not counted. */
static uint64_t tree_bytes(int fd, unsigned depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	uint64_t sum = 0;
	struct stat st;

	if (!dir) {
		close(fd);
		return 0;
	}
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		sum += blocks_of(&st);
		if (!S_ISDIR(st.st_mode) || depth >= DEPTH_MAX)
			continue;
		int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			sum += tree_bytes(below, depth + 1);
	}
	closedir(dir);
	return sum;
}

/* Of a file system that is not mounted, by its superblock; the kernel has written it, no container can. */
static int image_bytes(const char *path, uint64_t *ret)
{
	unsigned char b[1024];
	uint32_t lo[2], hi[2], log, incompat, overhead, mounted_at;
	uint16_t magic;
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || pread(fd, b, sizeof b, 1024) != sizeof b)
		return -EIO;
	memcpy(&lo[0], b + 0x04, 4);
	memcpy(&lo[1], b + 0x0c, 4);
	memcpy(&log, b + 0x18, 4);
	memcpy(&mounted_at, b + 0x2c, 4);
	memcpy(&magic, b + 0x38, 2);
	memcpy(&incompat, b + 0x60, 4);
	memcpy(&hi[0], b + 0x150, 4);
	memcpy(&hi[1], b + 0x158, 4);
	memcpy(&overhead, b + 0x248, 4);
	if (le16toh(magic) != 0xef53 || le32toh(log) > 6)
		return -EINVAL;
	if (!mounted_at) { /* never: the kernel has not yet said what the file system itself takes */
		*ret = 0;
		return 0;
	}
	if (!(le32toh(incompat) & 0x80))
		hi[0] = hi[1] = 0;
	uint64_t all = (uint64_t)le32toh(hi[0]) << 32 | le32toh(lo[0]);
	uint64_t left = ((uint64_t)le32toh(hi[1]) << 32 | le32toh(lo[1])) + le32toh(overhead);
	*ret = left > all ? 0 : (all - left) << (10 + le32toh(log));
	return 0;
}

static int mounted_bytes(const char *path, uint64_t *ret)
{
	struct stat root, at;
	struct statvfs s;

	if (stat("/", &root) < 0 || stat(path, &at) < 0 || statvfs(path, &s) < 0)
		return -errno;
	if (at.st_dev == root.st_dev) /* unmounted meanwhile: these would be the figures of what it was mounted on */
		return -ENOENT;
	*ret = (uint64_t)(s.f_blocks - s.f_bfree) * s.f_frsize;
	return 0;
}

static int plain_bytes(const char *path, uint64_t *ret)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = tree_bytes(fd, 0);
	return 0;
}

static void measure(Berth__Volume *v, bool elsewhere)
{
	char path[512];
	uint64_t bytes = 0;
	int r = 0;

	snprintf(path, sizeof path, "/%s", v->meta && v->meta->uuid ? v->meta->uuid : "");
	if (elsewhere)
		r = mounted_bytes(path, &bytes);
	else if (v->driver == BERTH__VOLUME__DRIVER__PLAIN)
		r = v->path ? plain_bytes(v->path, &bytes) : -EINVAL;
	else if (v->driver == BERTH__VOLUME__DRIVER__SIZED &&
		 (unsigned)snprintf(path, sizeof path, "%s/image", v->path ? v->path : "") < sizeof path)
		r = image_bytes(path, &bytes);
	if (r < 0)
		return;
	v->has_used_bytes = 1;
	v->used_bytes = bytes;
}

int verb_volume_usage(int argc, char **argv, struct err *e)
{
	bool have_namespace = fcntl(NAMESPACE_FD, F_GETFD) >= 0;
	Berth__Envelope *list = list_read_of("usage", BERTH__ENVELOPE__BODY_VOLUME_REPLY, e);
	int r = 0;

	if (!list)
		return -EBADMSG;
	/* Also of those that are mounted: one that is just being unmounted will not be found there. */
	for (size_t i = 0; i < list->volume_reply->n_volumes; i++)
		measure(list->volume_reply->volumes[i], false);
	if (have_namespace)
		r = namespace_enter(NAMESPACE_FD, e);
	for (size_t i = 0; !r && have_namespace && i < list->volume_reply->n_volumes; i++)
		if (list->volume_reply->volumes[i]->mounted)
			measure(list->volume_reply->volumes[i], true);
	if (!r)
		r = report_send(list, e);
	berth__envelope__free_unpacked(list, NULL);
	return r;
}
