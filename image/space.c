/* image/space.c - see image/space.h */
#include "image/space.h"

#include "base/own.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_BYTES (256ull << 20)
#define RESERVE_NODES 65536u
#define LOOK_NODES    1024u
#define HOLE_SIZE     (32u << 10)
#define LOOK_BYTES    (64ull << 20) /* others write too: look again after that many */

/* A small disk (or a test's tmpfs) keeps a sixteenth. */
int space_free(int fd, uint64_t *ret, struct err *e)
{
	struct statvfs st;
	uint64_t reserve, total, available;

	if (fstatvfs(fd, &st) < 0)
		return err_set(e, errno, "disk", "free space");
	total = (uint64_t)st.f_blocks * st.f_frsize;
	available = (uint64_t)st.f_bavail * st.f_frsize;
	reserve = total / 16 < RESERVE_BYTES ? total / 16 : RESERVE_BYTES;
	*ret = available > reserve ? available - reserve : 0;
	return 0;
}

int space_check(struct space *s, uint64_t bytes, struct err *e)
{
	uint64_t available = 0;
	int r;

	if (bytes <= s->left)
		return 0;
	if ((r = space_free(s->fd, &available, e)) < 0)
		return r;
	s->left = available < LOOK_BYTES ? available : LOOK_BYTES;
	if (bytes > available)
		return err_set(e, ENOSPC, "disk", "%llu MiB more are needed, %llu MiB may be used",
			       (unsigned long long)((bytes >> 20) + ((bytes & 0xfffff) != 0)),
			       (unsigned long long)(available >> 20));
	if (s->left < bytes)
		s->left = bytes;
	return 0;
}

int space_take(struct space *s, uint64_t bytes, struct err *e)
{
	int r = space_check(s, bytes, e);

	if (r == 0)
		s->left -= bytes;
	return r;
}

/* File systems that make them as they go say that they have none at all. */
int space_take_node(struct space *s, struct err *e)
{
	struct statvfs st;
	uint64_t reserve;

	if (s->nodes_left && s->nodes_left--)
		return 0;
	if (fstatvfs(s->fd, &st) < 0)
		return err_set(e, errno, "disk", "free inodes");
	reserve = st.f_files / 16 < RESERVE_NODES ? st.f_files / 16 : RESERVE_NODES;
	if (st.f_files && st.f_favail <= reserve)
		return err_set(e, ENOSPC, "disk", "no more inodes may be used (%llu are left)",
			       (unsigned long long)st.f_favail);
	s->nodes_left = LOOK_NODES;
	if (st.f_files && st.f_favail - reserve < LOOK_NODES)
		s->nodes_left = st.f_favail - reserve;
	s->nodes_left--;
	return 0;
}

static bool is_zero(const char *data, size_t len)
{
	return !data[0] && !memcmp(data, data + 1, len - 1);
}

static int data_write(int fd, const char *data, size_t len, off_t at, struct err *e)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, at);

		if (n < 0 && errno != EINTR)
			return err_set(e, errno, "disk", "write");
		if (n > 0) {
			data += n;
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* In pieces of HOLE_SIZE from where the data begins, not from a round place in the file: nothing is there yet, so what is left
 * out reads as zeros wherever its ends are. */
int space_write(struct space *s, int fd, const void *data, size_t len, off_t at, struct err *e)
{
	const char *p = data;
	size_t begin = 0, piece;
	int r;

	for (size_t i = 0; i < len; i += piece) {
		bool zero;

		piece = len - i < HOLE_SIZE ? len - i : HOLE_SIZE;
		zero = is_zero(p + i, piece);
		if (!zero && i + piece < len)
			continue;
		piece = zero ? piece : len - i;
		if ((zero ? i : len) > begin) {
			size_t n = (zero ? i : len) - begin;

			if ((r = space_take(s, n, e)) < 0 ||
			    (r = data_write(fd, p + begin, n, at + (off_t)begin, e)) < 0)
				return r;
			s->end = (uint64_t)at + begin + n;
		}
		begin = i + piece;
	}
	return 0;
}

int space_init(struct space *s, int fd, struct err *e)
{
	*s = (struct space){.fd = fd};
	return space_check(s, 1, e);
}
