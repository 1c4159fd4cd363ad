/* shim/session.c - see shim/session.h
 *
 * A unix socket is writable while at most a quarter of its send buffer is in use; with the kernel's default of 208 KiB there is
 * room then for three full records. So nothing has to be kept here: the owner asks after each piece and stops reading. */
#include "shim/session.h"

#include "base/own.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static void on_session(struct source *src, uint32_t events);

static void update(struct session *s)
{
	/* Deaf while stdin is held: then only the program's room matters, and a client that hung up would spin the loop. */
	uint32_t events = (s->held ? 0 : EPOLLIN) | (s->out_wait ? EPOLLOUT : 0);

	if (s->fd < 0 || !events)
		source_del(&s->source);
	else if (s->source.loop)
		source_set(&s->source, events);
	else
		(void)source_add(s->loop, &s->source, s->fd, events, on_session); /* the next change tries again */
}

static void drop_held(struct session *s)
{
	if (s->held)
		munmap(s->held, SESSION_MAX);
	s->held = NULL;
	s->held_len = s->held_at = 0;
}

/* A unix socket that is closed with something unread in it resets its peer, which then may not read what we said last. */
static void read_rest(int fd)
{
	char c;

	shutdown(fd, SHUT_RD);
	while (recv(fd, &c, 1, MSG_DONTWAIT) > 0)
		;
}

void session_close(struct session *s)
{
	source_del(&s->source);
	drop_held(s);
	if (s->fd >= 0)
		read_rest(s->fd);
	close_fd(&s->fd);
}

int session_open(struct session *s, struct loop *loop, int fd, const struct session_ops *ops, char *buf)
{
	unsigned char version = SESSION_VERSION;

	*s = (struct session){.loop = loop, .ops = ops, .buf = buf, .fd = fd};
	update(s);
	if (!s->source.loop || !session_send(s, SESSION_HELLO, &version, 1)) {
		session_close(s);
		return -EPIPE;
	}
	return 0;
}

/* ---------------------------------------------------------------- out */

bool session_send(struct session *s, enum session_type type, const void *data, size_t len)
{
	unsigned char head = (unsigned char)type;
	const char *at = data;

	do {
		size_t n = len < SESSION_MAX - 1 ? len : SESSION_MAX - 1;
		struct iovec iov[2] = {{&head, 1}, {(void *)(uintptr_t)at, n}};
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

		if (s->fd < 0)
			return false;
		if (sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EINTR)
				continue;
			return false;
		}
		at += n;
		len -= n;
	} while (len);
	return true;
}

bool session_has_room(struct session *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLOUT};

	if (s->fd < 0 || (poll(&p, 1, 0) == 1 && p.revents))
		return true; /* also an error: the next send will tell */
	s->out_wait = true;
	update(s);
	return false;
}

/* ---------------------------------------------------------------- in */

static bool hold(struct session *s, const char *data, size_t len)
{
	char *mem = mmap(NULL, SESSION_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return false;
	memcpy(mem, data, len);
	s->held = mem;
	s->held_len = len;
	s->held_at = 0;
	update(s);
	return true;
}

void session_resume(struct session *s)
{
	if (!s->held)
		return;
	s->held_at += s->ops->input(s, s->held + s->held_at, s->held_len - s->held_at);
	if (s->held_at < s->held_len)
		return;
	drop_held(s);
	update(s);
}

/* One record. false: it does not belong to the protocol. */
static bool handle(struct session *s, int type, const char *data, size_t len)
{
	unsigned short size[2];
	size_t taken;

	if (!s->hello) {
		s->hello = type == SESSION_HELLO && len == 1 && data[0] == SESSION_VERSION;
		return s->hello;
	}
	switch (type) {
	case SESSION_STDIN:
		taken = s->ops->input(s, data, len);
		return taken == len || s->fd < 0 || hold(s, data + taken, len - taken);
	case SESSION_CLOSE:
		if (len == 1 && data[0] == 0)
			s->ops->input_end(s);
		return len == 1 && data[0] == 0;
	case SESSION_RESIZE:
		if (len != sizeof size)
			return false;
		memcpy(size, data, sizeof size);
		s->ops->resize(s, size[0], size[1]);
		return true;
	case SESSION_SIGNAL:
		if (len == 1)
			s->ops->signal(s, (unsigned char)data[0]);
		return len == 1;
	case SESSION_DETACH:
		s->detached = true;
		return false;
	default:
		return false;
	}
}

static void on_session(struct source *src, uint32_t events)
{
	struct session *s = container_of(src, struct session, source);
	ssize_t n;

	if (events & EPOLLOUT) {
		s->out_wait = false;
		update(s);
		s->ops->writable(s);
		if (s->fd < 0)
			return;
	}
	if (s->held || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	/* Who hangs up with something of ours unread is told of as a reset, once, and before what he sent last: that he detached, perhaps. */
	do
		n = recv(s->fd, s->buf, SESSION_MAX, MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || n > SESSION_MAX || !handle(s, (unsigned char)s->buf[0], s->buf + 1, (size_t)n - 1))
		s->ops->gone(s);
}
