/* image/space.c - see image/space.h */
#include "image/space.h"

#include <errno.h>
#include <sys/statvfs.h>

#define RESERVE_BYTES (256ull << 20)
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
			       (unsigned long long)(bytes >> 20), (unsigned long long)(available >> 20));
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

int space_init(struct space *s, int fd, struct err *e)
{
	*s = (struct space){.fd = fd};
	return space_check(s, 1, e);
}
