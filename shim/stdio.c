/* shim/stdio.c - see shim/stdio.h
 *
 * A pipe or terminal that hung up is reported by epoll whatever events were asked for, so a paused one leaves the loop. */
#include "shim/stdio.h"

#include "base/file.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

void stdio_init(struct stdio *io, struct loop *loop, const struct stdio_ops *ops, char *buf, size_t size)
{
	*io = (struct stdio){
		.loop = loop, .ops = ops, .buf = buf, .size = size, .in_fd = -1, .out_fd = {-1, -1}, .slave_fd = -1};
}

static void close_stream(struct stdio *io, int stream)
{
	source_del(&io->out[stream]);
	if (io->tty) {
		source_del(&io->in);
		io->in_fd = -1; /* the same number */
	}
	close_fd(&io->out_fd[stream]);
}

void stdio_fini(struct stdio *io)
{
	close_stream(io, 0);
	close_stream(io, 1);
	source_del(&io->in);
	close_fd(&io->in_fd);
	close_fd(&io->slave_fd);
}

/* ---------------------------------------------------------------- in the loop */

static void read_some(struct stdio *io, int stream)
{
	ssize_t n = read(io->out_fd[stream], io->buf, io->size);

	if (n > 0) {
		io->ops->data(io, stream, io->buf, (size_t)n);
		return;
	}
	/* EIO: nobody has the terminal open any more. */
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close_stream(io, stream);
	io->ops->closed(io, stream);
}

static void in_room(struct stdio *io);

static void on_out(struct source *s, uint32_t events)
{
	struct stdio *io = container_of(s, struct stdio, out[0]);

	if (io->tty && (events & EPOLLOUT))
		in_room(io);
	if (io->out_fd[0] >= 0 && s->loop && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		read_some(io, 0);
}

static void on_err(struct source *s, uint32_t events)
{
	read_some(container_of(s, struct stdio, out[1]), 1);
}

static void on_in(struct source *s, uint32_t events)
{
	in_room(container_of(s, struct stdio, in));
}

/* Descriptors and wishes -> what the loop watches. */
static void watch(struct stdio *io, struct source *s, int fd, uint32_t events, source_fn *fn)
{
	if (fd < 0 || !events)
		source_del(s);
	else if (s->loop)
		source_set(s, events);
	else
		(void)source_add(io->loop, s, fd, events, fn); /* no memory for a watch: the next change tries again */
}

static void update(struct stdio *io)
{
	uint32_t in = io->in_wait ? EPOLLOUT : 0, out = io->paused ? 0 : EPOLLIN;

	watch(io, &io->out[0], io->out_fd[0], out | (io->tty ? in : 0), on_out);
	if (io->tty)
		return;
	watch(io, &io->out[1], io->out_fd[1], out, on_err);
	watch(io, &io->in, io->in_fd, in, on_in);
}

static void in_room(struct stdio *io)
{
	io->in_wait = false;
	update(io);
	io->ops->room(io);
}

ssize_t stdio_write(struct stdio *io, const char *data, size_t len)
{
	size_t done = 0;

	if (io->in_fd < 0)
		return -EPIPE;
	while (done < len) {
		ssize_t n = write(io->in_fd, data + done, len - done);

		if (n >= 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN) {
			io->in_wait = true;
			update(io);
			break;
		} else if (errno != EINTR) {
			int saved = errno;

			stdio_close_in(io);
			return -saved;
		}
	}
	return (ssize_t)done;
}

void stdio_close_in(struct stdio *io)
{
	io->in_wait = false;
	if (io->tty)
		return; /* a terminal ends as a whole */
	source_del(&io->in);
	close_fd(&io->in_fd);
}

void stdio_pause(struct stdio *io, bool paused)
{
	io->paused = paused;
	update(io);
}

bool stdio_is_open(const struct stdio *io)
{
	return io->out_fd[0] >= 0 || io->out_fd[1] >= 0;
}

void stdio_hangup(struct stdio *io)
{
	close_fd(&io->slave_fd);
}

void stdio_drain(struct stdio *io)
{
	for (int stream = 0; stream < 2; stream++)
		for (ssize_t n = 1; n > 0 && io->out_fd[stream] >= 0;) {
			n = read(io->out_fd[stream], io->buf, io->size);
			if (n > 0)
				io->ops->data(io, stream, io->buf, (size_t)n);
		}
}

/* ---------------------------------------------------------------- making them */

int stdio_open_null(int child[3], struct err *e)
{
	for (int i = 0; i < 3; i++) {
		child[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (child[i] < 0)
			return err_set(e, errno, "stdio", "open /dev/null");
	}
	return 0;
}

/* ours does not block; the program's does, as it expects. */
static int make_pipe(int *ours, int *theirs, bool we_read, uid_t owner)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*ours = fds[!we_read];
	*theirs = fds[we_read];
	r = fd_set_nonblock(*ours);
	if (r == 0 && owner && fchown(*theirs, owner, owner) < 0)
		r = -errno;
	return r;
}

int stdio_open(struct stdio *io, bool with_stdin, uid_t owner, int child[3], struct err *e)
{
	int r = 0;

	if (with_stdin) {
		r = make_pipe(&io->in_fd, &child[0], false, owner);
	} else {
		child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		r = child[0] < 0 ? -errno : 0;
	}
	for (int stream = 0; stream < 2 && r == 0; stream++)
		r = make_pipe(&io->out_fd[stream], &child[1 + stream], true, owner);
	if (r < 0)
		return err_set(e, r, "stdio", "make the pipes");
	update(io);
	return 0;
}

int stdio_set_tty(struct stdio *io, int master, int slave)
{
	int r = fd_set_nonblock(master);

	io->tty = true;
	io->out_fd[0] = io->in_fd = master;
	io->slave_fd = slave;
	if (r == 0)
		update(io);
	return r;
}
