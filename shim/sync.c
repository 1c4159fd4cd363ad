/* shim/sync.c - see shim/sync.h */
#include "shim/sync.h"

#include "base/loop.h"
#include "proto/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct progress *progress_new(void)
{
	void *page = mmap(NULL, sizeof(struct progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

void progress_free(struct progress *p)
{
	if (p)
		munmap(p, sizeof *p);
}

void progress_step(struct progress *p, const char *step, uint32_t timeout_ms)
{
	snprintf(p->step, sizeof p->step, "%s", step);
	p->deadline_ns = timeout_ms ? now_ns() + timeout_ms * NS_PER_MS : 0;
}

int sync_open(int fds[2])
{
	int flags;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	flags = fcntl(fds[0], F_GETFL);
	if (flags >= 0 && fcntl(fds[0], F_SETFL, flags | O_NONBLOCK) == 0)
		return 0;
	int saved = errno;
	close(fds[0]);
	close(fds[1]);
	return -saved;
}

void sync_send(int fd, enum sync_kind kind, int value, const struct err *e)
{
	struct sync_record rec = {.kind = (int)kind, .value = value};

	if (e)
		rec.err = *e;
	(void)wire_send(fd, &rec, sizeof rec, NULL, 0); /* see sync.h */
}

void sync_send_fds(int fd, enum sync_kind kind, const int *fds, unsigned n_fds)
{
	struct sync_record rec = {.kind = (int)kind};

	(void)wire_send(fd, &rec, sizeof rec, fds, n_fds);
}

void sync_send_ahead(int fd, int step, int mount_fd)
{
	struct sync_record rec = {.kind = SYNC_AHEAD, .value = step};

	(void)wire_send(fd, &rec, sizeof rec, &mount_fd, 1);
}

void sync_send_root(int fd, int mount_fd, bool kept, const struct err *key)
{
	struct sync_record rec = {.kind = SYNC_ROOT, .value = kept, .err = *key};

	(void)wire_send(fd, &rec, sizeof rec, &mount_fd, 1);
}

int sync_wait_release(int fd)
{
	struct sync_record rec;
	ssize_t n;

	do
		n = recv(fd, &rec, sizeof rec, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n != sizeof rec || rec.kind != SYNC_RELEASE)
		return -ECANCELED;
	return 0;
}

int sync_wait_plan(int fd, int *ret_plan, int ret_io[3])
{
	struct sync_record rec;
	struct wire_fds fds = {.n = 0};
	size_t len = 0;
	int r;

	do
		r = poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1) < 0
			    ? WIRE_AGAIN
			    : wire_recv(fd, &rec, sizeof rec, &len, &fds);
	while (r == WIRE_AGAIN);
	if (r == 0 && (len != sizeof rec || rec.kind != SYNC_PLAN)) {
		wire_fds_close(&fds);
		r = -EBADMSG;
	}
	if (r != 0)
		return r < 0 ? r : -ECANCELED;
	*ret_plan = wire_fds_take(&fds, 0);
	for (unsigned i = 0; i < 3; i++)
		ret_io[i] = wire_fds_take(&fds, 1 + i);
	wire_fds_close(&fds);
	return *ret_plan < 0 ? -EBADMSG : 0;
}

int sync_receive(int fd, struct sync_record *ret, int ret_fds[2])
{
	struct wire_fds fds = {.n = 0};
	size_t len = 0;
	int r;

	ret_fds[0] = ret_fds[1] = -1;
	r = wire_recv(fd, ret, sizeof *ret, &len, &fds);
	if (r != 0)
		return r;
	if (len != sizeof *ret) {
		wire_fds_close(&fds);
		return -EBADMSG;
	}
	ret->err.step[sizeof ret->err.step - 1] = ret->err.text[sizeof ret->err.text - 1] = 0;
	ret_fds[0] = wire_fds_take(&fds, 0);
	ret_fds[1] = wire_fds_take(&fds, 1);
	wire_fds_close(&fds);
	return 0;
}

void sync_release(int fd)
{
	sync_send(fd, SYNC_RELEASE, 0, NULL);
}

int sync_send_plan(int fd, int plan_fd, const int io[3])
{
	struct sync_record rec = {.kind = SYNC_PLAN};
	int fds[4] = {plan_fd, io[0], io[1], io[2]}, r = wire_send(fd, &rec, sizeof rec, fds, io[0] >= 0 ? 4 : 1);

	return r <= 0 ? r : -EPIPE;
}
