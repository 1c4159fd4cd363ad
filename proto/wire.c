/* proto/wire.c - see proto/wire.h
 *
 * Which errno means what is decided here and nowhere else. One trap: when a peer closes with records of ours unread, the
 * kernel reports ECONNRESET to our next call, before the records that the peer sent us, and only once. So a reset while
 * receiving is asked again: what the peer said last is still delivered. */
#include "proto/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

static void control_fill(struct msghdr *msg, union control *control, const int *fds, unsigned n_fds)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof *control);
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(n_fds * sizeof *fds);
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n_fds * sizeof *fds);
	memcpy(CMSG_DATA(c), fds, n_fds * sizeof *fds);
}

int wire_send(int sock, const void *data, size_t len, const int *fds, unsigned n_fds)
{
	struct iovec iov = {(void *)data, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t n;

	if (!len || n_fds > WIRE_FDS_MAX)
		return -EINVAL;
	if (len > WIRE_MAX)
		return -EMSGSIZE;
	if (n_fds)
		control_fill(&msg, &control, fds, n_fds);
	do
		n = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	switch (errno) {
	case EAGAIN:
		return WIRE_AGAIN;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
	case ECONNREFUSED:
		return WIRE_GONE;
	default:
		return -errno;
	}
}

/* All descriptors that came, also those of a record that will be refused: they are ours to close now. */
static void control_read(struct msghdr *msg, struct wire_fds *fds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n && fds->n < WIRE_FDS_MAX; i++)
			memcpy(&fds->fd[fds->n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
}

int wire_recv(int sock, void *buf, size_t size, size_t *ret_len, struct wire_fds *fds)
{
	struct iovec iov = {buf, size};
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	bool reset = false;
	ssize_t n;

	fds->n = 0;
	for (;;) {
		n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n >= 0 || (errno != EINTR && errno != ECONNRESET) || (errno == ECONNRESET && reset))
			break;
		reset = reset || errno == ECONNRESET;
	}
	if (n < 0) {
		if (errno == EAGAIN && !reset)
			return WIRE_AGAIN;
		return errno == EAGAIN || errno == ECONNRESET || errno == ENOTCONN ? WIRE_GONE : -errno;
	}
	control_read(&msg, fds);
	/* Zero bytes are the end, or a peer that sends an empty record; only descriptors tell them apart, and both are left. */
	if (n > 0 && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		*ret_len = (size_t)n;
		return 0;
	}
	int r = n == 0 && !fds->n && !(msg.msg_flags & MSG_CTRUNC) ? WIRE_GONE : WIRE_BAD;

	wire_fds_close(fds);
	return r;
}

void wire_fds_close(struct wire_fds *fds)
{
	for (unsigned i = 0; i < fds->n; i++)
		close_fd(&fds->fd[i]);
	fds->n = 0;
}

int wire_fds_take(struct wire_fds *fds, unsigned i)
{
	return i < fds->n ? take_fd(&fds->fd[i]) : -1;
}

/* ---------------------------------------------------------------- sockets */

static int address(struct sockaddr_un *sa, const char *path)
{
	size_t len = strlen(path);

	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!len)
		return -EINVAL;
	if (len >= sizeof sa->sun_path)
		return -ENAMETOOLONG;
	memcpy(sa->sun_path, path, len);
	return 0;
}

int wire_connect(const char *path)
{
	struct sockaddr_un sa;
	int r = address(&sa, path);
	AUTO_FD fd = -1;

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Removes the socket that a dead process left. EAGAIN is a living one with a full backlog. */
static int dead_socket_remove(const char *path)
{
	AUTO_FD fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = wire_connect(path);
	if (fd >= 0 || fd == -EAGAIN)
		return -EADDRINUSE;
	if (fd != -ECONNREFUSED)
		return fd == -ENOENT ? 0 : fd;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int wire_listen(const char *path, unsigned mode, int backlog)
{
	struct sockaddr_un sa;
	int r = address(&sa, path);
	AUTO_FD fd = -1;

	if (r == 0)
		r = dead_socket_remove(path);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode of the descriptor, less the umask, is that of the file: it is never wider than asked. chmod gives it what the
	 * umask took, and only then it listens. */
	if (fd < 0 || fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
		return -errno;
	if (chmod(path, mode) < 0 || listen(fd, backlog) < 0) {
		r = -errno;
		unlink(path);
		return r;
	}
	return take_fd(&fd);
}

int wire_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ? -errno : 0;
}
