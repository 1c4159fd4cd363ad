/* image/partial.c - see image/partial.h */
#include "image/partial.h"

#include "base/own.h"
#include "image/blob.h"
#include "image/damaged.h"
#include "image/digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define READ_SIZE (1u << 20)

static void partial_path(const char *digest, char buf[96])
{
	snprintf(buf, 96, "partial/%.64s", digest + 7);
}

static bool is_named(struct image_store *s, const char *path, int fd)
{
	struct stat mine, named;

	return fstat(fd, &mine) == 0 && fstatat(s->dir_fd, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_ino == named.st_ino;
}

int partial_open(struct image_store *s, const char *digest, uint64_t size, struct partial *ret, struct err *e)
{
	char path[96];
	struct stat st;
	AUTO_FD fd = -1;

	partial_path(digest, path);
	*ret = PARTIAL_NULL;
	do { /* until what we hold has the name: another may have made a blob of it meanwhile */
		close_fd(&fd);
		fd = openat(s->dir_fd, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_set(e, errno, "partial", "%s", path);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno != EWOULDBLOCK)
				return err_set(e, errno, "partial", "%s", path);
			if (flock(fd, LOCK_SH | LOCK_NB) < 0)
				return -EWOULDBLOCK;
			ret->whole = true; /* who shares it has verified it */
		}
	} while (!is_named(s, path, fd));
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "partial", "%s", path);
	if ((uint64_t)st.st_size > size) {
		if (ret->whole)
			return err_set(e, 0, "partial", "%s has %llu bytes elsewhere: a wrong size", digest,
				       (unsigned long long)st.st_size);
		if (ftruncate(fd, 0) < 0)
			return err_set(e, errno, "partial", "%s", path);
		st.st_size = 0;
	}
	if (ret->whole && (uint64_t)st.st_size != size)
		return err_set(e, 0, "partial", "%s has another size elsewhere", digest);
	snprintf(ret->digest, sizeof ret->digest, "%s", digest);
	ret->have = (uint64_t)st.st_size;
	ret->fd = take_fd(&fd);
	return 0;
}

int partial_verify(struct partial *p, uint64_t size, struct err *e)
{
	AUTO_FREE char *buf = malloc(READ_SIZE);
	struct digest *sum = digest_new();
	char found[DIGEST_SIZE];
	uint64_t at = 0;
	ssize_t n = 0;

	if (!buf || !sum) {
		digest_free(sum);
		return err_set(e, ENOMEM, "partial", "no memory");
	}
	while (at <= size && (n = pread(p->fd, buf, READ_SIZE, (off_t)at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		digest_add(sum, buf, (size_t)n);
		at += (uint64_t)n;
	}
	digest_end(sum, found);
	if (n < 0)
		return err_set(e, errno, "partial", "read %s", p->digest);
	if (at != size || strcmp(found, p->digest)) {
		p->have = 0;
		if (ftruncate(p->fd, 0) < 0)
			return err_set(e, errno, "partial", "%s", p->digest);
		err_set(e, 0, "partial", "%s: its content is %s: damaged or forged", p->digest, found);
		return -EBADMSG;
	}
	p->have = size;
	p->whole = true;
	/* On its way to the disk while it is unpacked, so that partial_keep finds it there. Whether it does is no matter of ours. */
	(void)sync_file_range(p->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return flock(p->fd, LOCK_SH) < 0 ? err_set(e, errno, "partial", "%s", p->digest) : 0;
}

int partial_keep(struct image_store *s, struct partial *p, struct err *e)
{
	char from[96], to[96];
	AUTO_FD dir = -1;

	partial_path(p->digest, from);
	snprintf(to, sizeof to, "blobs/sha256/%.64s", p->digest + 7);
	if (fsync(p->fd) < 0)
		return err_set(e, errno, "partial", "fsync of %s", p->digest);
	/* Another who shared it may have done so already. */
	if (renameat(s->dir_fd, from, s->dir_fd, to) < 0 && (errno != ENOENT || !blob_is_there(s, p->digest, p->have)))
		return err_set(e, errno, "partial", "%s", p->digest);
	dir = openat(s->dir_fd, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fsync(dir) < 0)
		return err_set(e, errno, "partial", "fsync of blobs/sha256");
	damaged_forget(s, DAMAGED_BLOB, p->digest);
	return 0;
}

void partial_close(struct partial *p)
{
	close_fd(&p->fd);
	*p = PARTIAL_NULL;
}

static int partial_remove(int dir_fd, const char *name, int64_t before_ns, uint64_t *freed, struct err *e)
{
	AUTO_FD fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
		return 0;
	if ((int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec >= before_ns && st.st_size)
		return 0;
	if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
		return err_set(e, errno, "sweep", "partial/%s", name);
	*freed += (uint64_t)st.st_blocks * 512;
	return 0;
}

int partial_sweep(struct image_store *s, int64_t before_ns, uint64_t *freed, struct err *e)
{
	int fd = openat(s->dir_fd, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		r = err_set(e, errno, "sweep", "partial");
		close_fd(&fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = partial_remove(fd, entry->d_name, before_ns, freed, e);
	closedir(dir);
	return r;
}
