/* image/blob.c - see image/blob.h */
#include "image/blob.h"

#include "base/file.h"
#include "base/own.h"
#include "image/damaged.h"
#include "image/digest.h"
#include "image/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_SIZE (1u << 20)
#define SMALL	  (1u << 20) /* of manifests and configs each is less */

static void blob_path(const char *digest, char buf[96])
{
	snprintf(buf, 96, "blobs/sha256/%.64s", digest + 7);
}

int blob_open(struct image_store *s, const char *digest, struct err *e)
{
	char path[96];
	int fd;

	blob_path(digest, path);
	fd = openat(s->dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_set(e, errno, "blob", "%s", digest) : fd;
}

int blob_part(struct image_store *s, const char *digest, struct source_part *ret, struct err *e)
{
	AUTO_FD fd = blob_open(s, digest, e);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (fd < 0)
		return fd;
	if (end < 0)
		return err_set(e, errno, "blob", "%s", digest);
	*ret = (struct source_part){.fd = take_fd(&fd), .fd_owned = true, .length = (uint64_t)end};
	return 0;
}

int blob_read(struct image_store *s, const char *digest, char **ret, size_t *ret_len, struct err *e)
{
	char path[96];
	ssize_t n;

	blob_path(digest, path);
	n = file_read_all(s->dir_fd, path, OCI_JSON_MAX, ret);
	if (n < 0)
		return err_set(e, (int)-n, "blob", "%s", digest);
	*ret_len = (size_t)n;
	return 0;
}

/* An unnamed file: a crash leaves nothing behind, and linking it in place is atomic. */
static int file_begin(struct image_store *s, struct err *e)
{
	int fd = openat(s->dir_fd, "blobs/sha256", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? err_set(e, errno, "blob", "new blob") : fd;
}

/* There is one, and it was not taken for the blob: another has just put it there, or it is damaged. Ours was verified a moment ago. */
static int file_replace(struct image_store *s, const char *proc, const char *digest, const char *path)
{
	char tmp[120];

	snprintf(tmp, sizeof tmp, "tmp/%.64s.blob.%d", digest + 7, (int)getpid());
	if ((unlinkat(s->dir_fd, tmp, 0) < 0 && errno != ENOENT) ||
	    linkat(AT_FDCWD, proc, s->dir_fd, tmp, AT_SYMLINK_FOLLOW) < 0 ||
	    renameat(s->dir_fd, tmp, s->dir_fd, path) < 0)
		return -errno;
	return 0;
}

static int file_end(struct image_store *s, int fd, const char *digest, struct err *e)
{
	char path[96], proc[32];
	AUTO_FD dir = -1;
	int r = 0;

	blob_path(digest, path);
	if (fsync(fd) < 0)
		return err_set(e, errno, "blob", "fsync of %s", digest);
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, proc, s->dir_fd, path, AT_SYMLINK_FOLLOW) < 0 &&
	    (errno != EEXIST || (r = file_replace(s, proc, digest, path)) < 0))
		return err_set(e, r ? r : errno, "blob", "%s", digest);
	dir = openat(s->dir_fd, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fsync(dir) < 0)
		return err_set(e, errno, "blob", "fsync of blobs/sha256");
	damaged_forget(s, DAMAGED_BLOB, digest);
	return 0;
}

/* To hash it costs less than to be wrong. */
static bool is_sound(struct image_store *s, const char *digest)
{
	AUTO_FREE char *data = NULL;
	char found[DIGEST_SIZE];
	size_t len;

	if (blob_read(s, digest, &data, &len, NULL) < 0)
		return false;
	digest_of(data, len, found);
	return !strcmp(found, digest);
}

bool blob_is_there(struct image_store *s, const char *digest, uint64_t length)
{
	char path[96];
	struct stat st;

	blob_path(digest, path);
	return fstatat(s->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)st.st_size == length &&
	       !damaged_is(s, DAMAGED_BLOB, digest) && (length > SMALL || is_sound(s, digest)) &&
	       utimensat(s->dir_fd, path, NULL, 0) == 0;
}

bool blob_look_damaged(struct image_store *s, const char *digest)
{
	AUTO_FREE char *buf = malloc(COPY_SIZE);
	AUTO_FD fd = blob_open(s, digest, NULL);
	struct digest *sum = buf && fd >= 0 ? digest_new() : NULL;
	char found[DIGEST_SIZE];
	ssize_t n;

	if (!sum)
		return false; /* it cannot be said */
	while ((n = read(fd, buf, COPY_SIZE)) > 0 || (n < 0 && errno == EINTR))
		digest_add(sum, buf, n > 0 ? (size_t)n : 0);
	digest_end(sum, found);
	return (n < 0 || strcmp(found, digest) != 0) && damaged_note(s, DAMAGED_BLOB, digest, NULL) == 0;
}

static int bytes_write(int fd, const char *data, size_t len, struct err *e)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, data + at, len - at);

		if (n < 0 && errno != EINTR)
			return err_set(e, errno, "blob", "write");
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* ---------------------------------------------------------------- piece by piece */

int blob_out_begin(struct blob_out *b, struct image_store *s, struct err *e)
{
	int r;

	*b = (struct blob_out){.store = s, .fd = file_begin(s, e), .sum = digest_new()};
	if (b->fd < 0 || !b->sum) {
		r = b->fd < 0 ? b->fd : err_set(e, ENOMEM, "blob", "digest");
		blob_out_close(b);
		return r;
	}
	r = space_init(&b->space, b->fd, e);
	if (r < 0)
		blob_out_close(b);
	return r;
}

int blob_out_add(struct blob_out *b, const void *data, size_t len, struct err *e)
{
	int r = space_take(&b->space, len, e);

	if (!r)
		r = bytes_write(b->fd, data, len, e);
	if (r < 0)
		return r;
	digest_add(b->sum, data, len);
	b->bytes += len;
	return 0;
}

int blob_out_end(struct blob_out *b, char ret_digest[DIGEST_SIZE], struct err *e)
{
	int r;

	digest_end(take_ptr(b->sum), ret_digest);
	r = file_end(b->store, b->fd, ret_digest, e);
	close_fd(&b->fd);
	return r;
}

void blob_out_close(struct blob_out *b)
{
	digest_free(take_ptr(b->sum));
	close_fd(&b->fd);
}

static int part_copy(struct blob_out *b, const struct source_part *from, struct err *e)
{
	AUTO_FREE char *buf = malloc(COPY_SIZE);
	int r;

	if (!buf)
		return err_set(e, ENOMEM, "blob", "copy");
	for (uint64_t at = 0; at < from->length;) {
		size_t want = from->length - at < COPY_SIZE ? (size_t)(from->length - at) : COPY_SIZE;
		ssize_t n = pread(from->fd, buf, want, (off_t)(from->offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : 0, "blob", n < 0 ? "read" : "the source ends early");
		if ((r = blob_out_add(b, buf, (size_t)n, e)) < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

int blob_put(struct image_store *s, const struct source_part *from, const char *want, char ret_digest[DIGEST_SIZE],
	     struct err *e)
{
	char found[DIGEST_SIZE];
	struct blob_out b;
	int r;

	if (want && blob_is_there(s, want, from->length)) {
		if (ret_digest)
			memmove(ret_digest, want, DIGEST_SIZE);
		return 0;
	}
	if ((r = blob_out_begin(&b, s, e)) < 0)
		return r;
	if ((r = part_copy(&b, from, e)) < 0) {
		blob_out_close(&b);
		return err_wrap(e, "%s", want ? want : "blob");
	}
	digest_end(take_ptr(b.sum), found);
	if (want && strcmp(found, want))
		r = err_set(e, 0, "blob", "%s: its content is %s: damaged or forged", want, found);
	else
		r = file_end(s, b.fd, found, e);
	if (!r && ret_digest)
		memcpy(ret_digest, found, DIGEST_SIZE);
	blob_out_close(&b);
	return r;
}

int blob_put_bytes(struct image_store *s, const void *data, size_t len, char ret_digest[DIGEST_SIZE], struct err *e)
{
	AUTO_FD fd = -1;
	int r;

	digest_of(data, len, ret_digest);
	if (blob_is_there(s, ret_digest, len))
		return 0;
	fd = file_begin(s, e);
	if (fd < 0)
		return fd;
	r = bytes_write(fd, data, len, e);
	return r < 0 ? r : file_end(s, fd, ret_digest, e);
}
