/* supervisor/shimlink.c - see supervisor/shimlink.h
 *
 * A link ends when the process has: its pidfd is readable. What it had said by then still lies in the socket, so the end is
 * told only after the end of the socket was read too, or a moment later if a copy of the socket lives on somewhere (a task of
 * the shim in state D). A shim that was sent away closes its socket when there is nothing more that it will do, and for its owner
 * that is the end: the process, which has memory and namespaces to give back, is waited for here. The other way round, without a Bye, a shim that closes the connection and lives on has listened to somebody else (the
 * newest connection counts): it is called again over its path, and killed only if nobody listens there any more. */
#include "supervisor/shimlink.h"
#include "supervisor/reaper.h"
#include "supervisor/volume.h"

#include "base/own.h"
#include "base/spawn.h"
#include "proto/envelope.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define LEAVE_NS       (5 * NS_PER_S)	/* from the farewell to SIGKILL */
#define LAST_WORDS_NS  (50 * NS_PER_MS) /* between the end of the process and giving its socket up */
#define CALL_AGAIN_NS  (10 * NS_PER_MS) /* first pause between the end of the socket and calling again; doubles */
#define CALL_AGAIN_MAX 9		/* … so often: some 5 s */
#define QUEUE_BYTES    (256u << 10)
#define QUEUE_RECORDS  64

struct shimlink {
	struct list leaves; /* supervisor.leaving, when its owner is done with it and its process is not */
	struct supervisor *sv;
	const struct shimlink_ops *ops;
	void *owner;
	struct peer peer;
	struct source process; /* pidfd */
	int pidfd;	       /* owned */
	int pid;
	uint32_t version; /* as its hello says; 0 = not yet: it is ours */
	struct timer timer;
	bool socket_ended, process_ended;
	bool leaving;	/* sent away */
	unsigned calls; /* since it last spoke */
	char uuid[UUID_SIZE];
};

static void link_check_end(struct shimlink *s);

/* ---------------------------------------------------------------- what it says */

static int role_fd(const Shim__ShimMessage *m, struct wire_fds *fds, Shim__FdRole role)
{
	for (size_t i = 0; i < m->n_fds && i < fds->n; i++)
		if (m->fds[i] == role)
			return wire_fds_take(fds, (unsigned)i);
	return -1;
}

static void on_process(struct source *src, uint32_t events)
{
	struct shimlink *s = container_of(src, struct shimlink, process);

	source_del(&s->process);
	reaper_take(s->pidfd);
	s->process_ended = true;
	link_check_end(s);
}

static int link_hello(struct shimlink *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	AUTO_FD container = role_fd(m, fds, SHIM__FD_ROLE__FD_CONTAINER);
	AUTO_FD volumes = role_fd(m, fds, SHIM__FD_ROLE__FD_VOLUMES);
	AUTO_FD network = role_fd(m, fds, SHIM__FD_ROLE__FD_NETWORK);
	const Shim__ShimHello *h = m->hello;

	if (h->oldest > SHIM_VERSION || h->version < SHIM_VERSION_OLDEST)
		return -EPROTONOSUPPORT;
	if (h->shim_pid != s->pid || (h->uuid && h->uuid[0] && strcmp(h->uuid, s->uuid)))
		return -EPROTO;
	s->calls = 0;
	s->version = h->version;
	if (network >= 0 && s->ops->network)
		s->ops->network(s->owner, &network);
	s->ops->hello(s->owner, h, &container);
	if (volumes >= 0)
		volume_namespace_adopt(s->sv, take_fd(&volumes));
	return 0;
}

static void link_message(struct shimlink *s, const Shim__ShimMessage *m, struct wire_fds *fds)
{
	AUTO_FD container = role_fd(m, fds, SHIM__FD_ROLE__FD_CONTAINER);

	s->ops->message(s->owner, m, &container);
}

static int link_record(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	struct shimlink *s = container_of(p, struct shimlink, peer);
	Shim__ShimMessage *m = message_unpack(&shim__shim_message__descriptor, data, len);
	int r;

	if (!m)
		return -EBADMSG;
	r = m->n_fds == fds->n ? 0 : -EBADMSG;
	if (!r && m->body_case == SHIM__SHIM_MESSAGE__BODY_HELLO)
		r = link_hello(s, m, fds);
	else if (!r)
		link_message(s, m, fds);
	shim__shim_message__free_unpacked(m, NULL);
	return r;
}

static void link_socket_gone(struct peer *p, int reason)
{
	struct shimlink *s = container_of(p, struct shimlink, peer);

	peer_fini(&s->peer);
	s->socket_ended = true;
	link_check_end(s);
}

static const struct peer_ops link_peer_ops = {.record = link_record, .gone = link_socket_gone};

/* ---------------------------------------------------------------- its end */

static void link_call_again(struct shimlink *s)
{
	char path[128];
	int fd;

	path_shim(s->sv, s->uuid, path, sizeof path);
	fd = wire_connect(path);
	if (fd >= 0 && peer_init(&s->peer, &s->sv->loop, fd, &link_peer_ops, QUEUE_BYTES, QUEUE_RECORDS) == 0)
		s->socket_ended = false;
	else if (++s->calls > CALL_AGAIN_MAX)
		shimlink_kill(s);
	else
		link_check_end(s);
}

static void on_link_timer(struct timer *t)
{
	struct shimlink *s = container_of(t, struct shimlink, timer);

	if (s->process_ended)
		s->ops->gone(s->owner);
	else
		link_call_again(s);
}

static void link_check_end(struct shimlink *s)
{
	if (s->socket_ended && (s->process_ended || s->leaving)) {
		timer_del(&s->timer);
		s->ops->gone(s->owner);
		return;
	}
	timer_in(&s->sv->loop, &s->timer, s->process_ended ? LAST_WORDS_NS : CALL_AGAIN_NS << s->calls, on_link_timer);
}

/* ---------------------------------------------------------------- making and ending a link */

static struct shimlink *link_alloc(struct supervisor *sv, const char *uuid, const struct shimlink_ops *ops, void *owner)
{
	struct shimlink *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	list_init(&s->leaves);
	s->sv = sv;
	s->ops = ops;
	s->owner = owner;
	s->pidfd = -1;
	s->peer = PEER_NULL;
	snprintf(s->uuid, sizeof s->uuid, "%s", uuid);
	return s;
}

static void link_free(struct shimlink *s)
{
	list_del(&s->leaves);
	timer_del(&s->timer);
	peer_fini(&s->peer);
	source_del(&s->process);
	close_fd(&s->pidfd);
	free(s);
}

static void on_left(struct source *src, uint32_t events)
{
	struct shimlink *s = container_of(src, struct shimlink, process);

	reaper_take(s->pidfd);
	link_free(s);
}

static void on_leaves_late(struct timer *t)
{
	shimlink_kill(container_of(t, struct shimlink, timer));
}

void shimlink_free(struct shimlink *s)
{
	if (!s)
		return;
	if (!s->leaving || s->process_ended) {
		link_free(s);
		return;
	}
	peer_fini(&s->peer);
	s->process.fn = on_left;
	timer_in(&s->sv->loop, &s->timer, LEAVE_NS, on_leaves_late);
	list_push(&s->sv->leaving, &s->leaves);
}

void shimlinks_close(struct supervisor *sv)
{
	struct shimlink *s;

	list_each (s, &sv->leaving, leaves) {
		reaper_wait(s->pidfd); /* one in state D the next berthd finds among the shims */
		link_free(s);
	}
}

void shimlink_give(struct shimlink *s, const struct shimlink_ops *ops, void *owner)
{
	s->ops = ops;
	s->owner = owner;
}

int shimlink_spawn(struct supervisor *sv, const char *uuid, const struct shimlink_ops *ops, void *owner,
		   struct shimlink **ret, struct err *e)
{
	struct shimlink *s = link_alloc(sv, uuid, ops, owner);
	char path[128];
	char *argv[] = {(char *)"berth-shim", path, (char *)uuid, NULL};
	static char debug[] = "BERTH_SHIM_DEBUG=1";
	char *env[] = {sv->cfg.debug ? debug : NULL, NULL};
	int pair[2], r;
	pid_t pid;

	if (!s)
		return err_set(e, ENOMEM, "shim", "no memory for a shim");
	path_shim(sv, uuid, path, sizeof path);
	r = wire_pair(pair);
	if (r < 0) {
		shimlink_free(s);
		return err_set(e, -r, "shim", "make a socket for the shim");
	}
	/* Its stderr is ours: what it has to say when it cannot even start goes to the same journal. */
	int fds[] = {-1, -1, STDERR_FILENO, pair[1]};
	const struct spawn how = {.exec_fd = sv->shim_exe_fd,
				  .argv = argv,
				  .env = env,
				  .fds = fds,
				  .n_fds = ARRAY_SIZE(fds),
				  .cgroup_fd = sv->cg.shims_fd};
	r = spawn(&how, &s->pidfd, &pid, e);
	if (r == -ENODEV && (r = cg_tree_mend(&sv->cg, e)) == 0) /* that group is gone */
		r = spawn(&how, &s->pidfd, &pid, e);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		shimlink_free(s);
		return err_wrap(e, "start the shim");
	}
	s->pid = pid;
	r = peer_init(&s->peer, &sv->loop, pair[0], &link_peer_ops, QUEUE_BYTES, QUEUE_RECORDS);
	if (!r)
		r = source_add(&sv->loop, &s->process, s->pidfd, EPOLLIN, on_process);
	if (r < 0) {
		/* It has no plan yet and nobody would ever hear of it: not left behind. */
		shimlink_kill(s);
		shimlink_free(s);
		return err_set(e, -r, "shim", "watch the shim");
	}
	*ret = s;
	return 0;
}

/* Who listens there. The descriptor first, then that the connection still stands: a process that has died closes its sockets
 * before its number is free, so the number was still its own when the descriptor was opened. */
static int adopt_process(struct shimlink *s, int fd)
{
	struct ucred who;
	socklen_t len = sizeof who;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return -errno;
	s->pid = who.pid;
	s->pidfd = (int)syscall(SYS_pidfd_open, who.pid, 0);
	if (s->pidfd < 0)
		return errno == ESRCH ? -ECONNREFUSED : -errno;
	return poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLERR) ? -ECONNREFUSED : 0;
}

int shimlink_adopt(struct supervisor *sv, const char *uuid, const struct shimlink_ops *ops, void *owner,
		   struct shimlink **ret)
{
	AUTO_FD fd = -1;
	struct shimlink *s;
	char path[128];
	int r;

	path_shim(sv, uuid, path, sizeof path);
	fd = wire_connect(path);
	if (fd < 0)
		return fd;
	s = link_alloc(sv, uuid, ops, owner);
	if (!s)
		return -ENOMEM;
	r = adopt_process(s, fd);
	if (!r)
		r = peer_init(&s->peer, &sv->loop, take_fd(&fd), &link_peer_ops, QUEUE_BYTES, QUEUE_RECORDS);
	if (!r)
		r = source_add(&sv->loop, &s->process, s->pidfd, EPOLLIN, on_process);
	if (r < 0) {
		shimlink_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* ---------------------------------------------------------------- what it is told */

int shimlink_send(struct shimlink *s, const Shim__ShimMessage *m, const int *fds, unsigned n_fds)
{
	uint8_t data[4096];
	size_t len = shim__shim_message__get_packed_size(m);

	/* Messages are small by design: whatever grows with a spec is in the plan's memfd. */
	if (len > sizeof data)
		return -EMSGSIZE;
	if (s->socket_ended)
		return -ENOTCONN;
	shim__shim_message__pack(m, data);
	return peer_send(&s->peer, data, len, fds, n_fds);
}

int shimlink_signal(struct shimlink *s, uint64_t incarnation, int signal)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Signal body = SHIM__SIGNAL__INIT;

	body.has_signal = body.has_incarnation = 1;
	body.signal = signal;
	body.incarnation = incarnation;
	m.body_case = SHIM__SHIM_MESSAGE__BODY_SIGNAL;
	m.signal = &body;
	return shimlink_send(s, &m, NULL, 0);
}

int shimlink_bye(struct shimlink *s)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Bye body = SHIM__BYE__INIT;

	m.body_case = SHIM__SHIM_MESSAGE__BODY_BYE;
	m.bye = &body;
	s->leaving = true;
	return shimlink_send(s, &m, NULL, 0);
}

int shimlink_query(struct shimlink *s)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Query body = SHIM__QUERY__INIT;

	m.body_case = SHIM__SHIM_MESSAGE__BODY_QUERY;
	m.query = &body;
	return shimlink_send(s, &m, NULL, 0);
}

bool shimlink_is_old(const struct shimlink *s)
{
	return s->version && s->version < SHIM_VERSION;
}

int shimlink_pid(const struct shimlink *s)
{
	return s->pid;
}

bool shimlink_lives(const struct shimlink *s)
{
	struct pollfd p[] = {{.fd = s->pidfd, .events = POLLIN}, {.fd = s->peer.source.fd, .events = POLLRDHUP}};

	return !s->socket_ended && !s->process_ended && poll(p, 2, 0) == 0;
}

void shimlink_kill(struct shimlink *s)
{
	if (s->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
}

void shimlink_end(struct shimlink *s)
{
	shimlink_kill(s);
	reaper_wait(s->pidfd);
}
