/* shim/link.c - see shim/link.h */
#include "shim/link.h"

#include "base/log.h"
#include "proto/wire.h"
#include "shim/arena.h"
#include "shim/attach.h"
#include "shim/launch.h"
#include "shim/prepare.h"
#include "shim/report.h"
#include "shim/shim.h"
#include "shim/sys.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* ---------------------------------------------------------------- what berthd asks */

/* The descriptor that plays this role, out of the record; -1. */
static int take_role(const Shim__ShimMessage *m, struct wire_fds *fds, Shim__FdRole role)
{
	for (size_t i = 0; i < m->n_fds; i++)
		if (m->fds[i] == role)
			return wire_fds_take(fds, (unsigned)i);
	return -1;
}

static void on_prepare(struct shim *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	AUTO_FD plan = take_role(m, fds, SHIM__FD_ROLE__FD_PLAN);
	AUTO_FD cgroup = take_role(m, fds, SHIM__FD_ROLE__FD_CGROUP);

	/* All of it or nothing: half of it would be in the way of a launch (a work folder in which something was begun). */
	if (prepare_start(s, plan, cgroup) < 0)
		loop_stop(&s->loop, 1);
	else
		report_hello(s);
}

/* The same as before, or another: then the old one may be its last reference, and there is a disk behind that. */
static void keep_volumes(struct shim *s, int fd)
{
	int old = s->volumes_fd;

	if (fd < 0)
		return;
	s->volumes_fd = fd;
	if (old >= 0)
		shim_close_aside(old);
}

static void on_launch(struct shim *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	keep_volumes(s, take_role(m, fds, SHIM__FD_ROLE__FD_VOLUMES));
	launch_start(s, take_role(m, fds, SHIM__FD_ROLE__FD_PLAN), take_role(m, fds, SHIM__FD_ROLE__FD_CGROUP),
		     take_role(m, fds, SHIM__FD_ROLE__FD_POD), take_role(m, fds, SHIM__FD_ROLE__FD_SESSION));
}

static void on_exec(struct shim *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	AUTO_FD plan = take_role(m, fds, SHIM__FD_ROLE__FD_PLAN);

	exec_start(s, m->exec, plan, take_role(m, fds, SHIM__FD_ROLE__FD_SESSION));
}

static void on_attach(struct shim *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	int fd = take_role(m, fds, SHIM__FD_ROLE__FD_SESSION), r;

	if (fd < 0)
		return;
	r = attach_new(s, fd, m->attach->want_stdin, m->attach->rows, m->attach->cols);
	if (r < 0)
		log_debug("attach: %s", strerror(-r));
}

static void on_signal(struct shim *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	const Shim__Signal *sig = m->signal;

	if (sig->exec_id && sig->exec_id[0]) {
		exec_signal(s, sig->exec_id, sig->signal);
		return;
	}
	/* One for an earlier incarnation must not hit this one. */
	if (sig->incarnation != s->run.incarnation || s->run.pidfd < 0)
		return;
	s->run.signalled = true;
	if (sys_pidfd_send_signal(s->run.pidfd, sig->signal) < 0 && errno != ESRCH)
		log_warn("signal %d: %s", sig->signal, strerror(errno));
}

static void on_release(struct shim *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	launch_release(s);
}

static void on_query(struct shim *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	report_hello(s);
}

static void on_bye(struct shim *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	shim_leave(s);
}

static const struct {
	Shim__ShimMessage__BodyCase what;
	void (*fn)(struct shim *s, const Shim__ShimMessage *m, struct wire_fds *fds);
} requests[] = {
	{SHIM__SHIM_MESSAGE__BODY_PREPARE, on_prepare}, {SHIM__SHIM_MESSAGE__BODY_LAUNCH, on_launch},
	{SHIM__SHIM_MESSAGE__BODY_EXEC, on_exec},	{SHIM__SHIM_MESSAGE__BODY_ATTACH, on_attach},
	{SHIM__SHIM_MESSAGE__BODY_SIGNAL, on_signal},	{SHIM__SHIM_MESSAGE__BODY_RELEASE, on_release},
	{SHIM__SHIM_MESSAGE__BODY_QUERY, on_query},	{SHIM__SHIM_MESSAGE__BODY_BYE, on_bye},
};

/* ---------------------------------------------------------------- records */

static void drop(struct shim *s)
{
	source_del(&s->link.peer);
	close_fd(&s->link.fd);
	s->link.stale = false;
	/* Born for nothing: whoever made us died, or thought better of it, before there was a plan. */
	if (s->run.state == SHIM__SHIM_STATE__SHIM_IDLE)
		loop_stop(&s->loop, 0);
}

static void handle(struct shim *s, const uint8_t *data, size_t len, struct wire_fds *fds)
{
	char memory[LINK_RECORD_MAX];
	struct arena arena;
	Shim__ShimMessage *m;

	arena_init_on(&arena, memory, sizeof memory);
	m = shim__shim_message__unpack(&arena.allocator, len, data);
	if (!m || m->n_fds != fds->n) {
		log_warn("a record from berthd cannot be understood");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].what == m->body_case) {
			if (m->request_id && *m->request_id)
				log_about(m->request_id);
			log_debug("container %s: asked for number %d", s->uuid, (int)m->body_case);
			requests[i].fn(s, m, fds);
			log_about(s->run.request_id);
			return;
		}
	log_warn("a request from berthd is not known (number %d)", (int)m->body_case);
}

static void on_peer(struct source *src, uint32_t events)
{
	struct shim *s = container_of(src, struct shim, link.peer);
	uint8_t data[LINK_RECORD_MAX];
	struct wire_fds fds;
	size_t len;
	int r;

	if ((events & EPOLLOUT) && s->link.stale) {
		s->link.stale = false;
		source_set(src, EPOLLIN);
		report_hello(s);
		return;
	}
	r = wire_recv(s->link.fd, data, sizeof data, &len, &fds);
	if (r == WIRE_AGAIN)
		return;
	if (r != 0) {
		if (r != WIRE_GONE)
			log_warn("the connection to berthd: %s", r == WIRE_BAD ? "bad record" : strerror(-r));
		drop(s);
		return;
	}
	handle(s, data, len, &fds);
	wire_fds_close(&fds);
	shim_active(s); /* our buffers go back with the rest */
}

void link_send(struct shim *s, Shim__ShimMessage *m, const int *fds, unsigned n_fds)
{
	uint8_t packed[LINK_RECORD_MAX];
	size_t len = shim__shim_message__get_packed_size(m);
	int r;

	if (s->link.fd < 0 || s->link.stale)
		return;
	if (len > sizeof packed) {
		log_error("a report of %zu bytes is too large", len);
		return;
	}
	shim__shim_message__pack(m, packed);
	r = wire_send(s->link.fd, packed, len, fds, n_fds);
	if (r == WIRE_AGAIN) {
		s->link.stale = true;
		source_set(&s->link.peer, EPOLLIN | EPOLLOUT);
	} else if (r != 0 && r != WIRE_GONE) { /* gone is heard by the loop */
		log_warn("a report to berthd: %s", strerror(-r));
	}
}

/* ---------------------------------------------------------------- connections */

static int adopt(struct shim *s, int fd)
{
	int r;

	source_del(&s->link.peer);
	close_fd(&s->link.fd);
	s->link.stale = false;
	r = source_add(&s->loop, &s->link.peer, fd, EPOLLIN, on_peer);
	if (r < 0) {
		close(fd);
		return r;
	}
	s->link.fd = fd;
	report_hello(s);
	return 0;
}

static void on_listen(struct source *src, uint32_t events)
{
	struct shim *s = container_of(src, struct shim, link.listen);
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;

	/* The socket's folder is berthd's alone: who gets here is root. */
	if (fd < 0)
		return;
	r = adopt(s, fd);
	if (r < 0)
		log_warn("a connection from berthd: %s", strerror(-r));
}

int link_open(struct shim *s, const char *path, int first_fd)
{
	int r;

	s->link.fd = -1;
	s->link.listen_fd = wire_listen(path, 0600, 4);
	if (s->link.listen_fd < 0)
		return s->link.listen_fd;
	r = source_add(&s->loop, &s->link.listen, s->link.listen_fd, EPOLLIN, on_listen);
	return r == 0 && first_fd >= 0 ? adopt(s, first_fd) : r;
}

void link_close(struct shim *s)
{
	source_del(&s->link.listen);
	close_fd(&s->link.listen_fd);
	source_del(&s->link.peer);
	/* Said aloud: if the log writer hangs on a dead disk, the process stays, and its descriptors with it. */
	if (s->link.fd >= 0)
		shutdown(s->link.fd, SHUT_RDWR);
	close_fd(&s->link.fd);
}
