/* shim/ring.c - see shim/ring.h */
#include "shim/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

int ring_init(struct ring *r, uint32_t size)
{
	int fd, saved;
	char *mem;

	*r = (struct ring){0};
	fd = memfd_create("log", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	mem = mmap(NULL, size * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED || ftruncate(fd, size) < 0 ||
	    mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
	    mmap(mem + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		saved = errno;
		if (mem != MAP_FAILED)
			munmap(mem, size * 2);
		close(fd);
		return -saved;
	}
	close(fd);
	/* Children have no use for it, and copying its page tables costs. */
	(void)madvise(mem, size * 2, MADV_DONTFORK);
	r->mem = mem;
	r->size = size;
	return 0;
}

void ring_fini(struct ring *r)
{
	if (r->mem)
		munmap(r->mem, r->size * 2);
	*r = (struct ring){0};
}

void ring_ring(struct ring *r)
{
	r->bell++;
	if (r->asleep)
		futex(&r->bell, FUTEX_WAKE, 1, NULL);
}

void ring_publish(struct ring *r)
{
	if (r->open == r->head)
		return;
	r->head = r->open;
	/* The reader sets asleep before it looks at head for the last time, we set head before we look at asleep: one of us
	 * sees the other (both are sequentially consistent). */
	if (r->asleep)
		ring_ring(r);
}

void ring_trim(struct ring *r)
{
	/* The reader sleeps when the ring is empty, and we are the only one who could put something in. */
	if (r->mem && ring_empty(r))
		(void)madvise(r->mem, r->size, MADV_REMOVE);
}

uint32_t ring_peek(const struct ring *r, const char **ret)
{
	*ret = r->mem + (r->tail & (r->size - 1));
	return r->head - r->tail;
}

void ring_consume(struct ring *r, uint32_t n)
{
	r->tail += n;
}

void ring_wait(struct ring *r, uint32_t bell, uint32_t timeout_ms)
{
	struct timespec ts = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};

	r->asleep = 1;
	if (ring_empty(r))
		futex(&r->bell, FUTEX_WAIT, bell, timeout_ms ? &ts : NULL);
	r->asleep = 0;
}
