/* shim/stdio.h - the shim's ends of a program's standard streams: three pipes, or one terminal.
 *
 * The owner gets what was read, at most `size` bytes in `buf` at a time, and may pause the reading. Writing takes what the
 * program has room for and says when there is more. */
#pragma once

#include "base/err.h"
#include "base/loop.h"

#include <stddef.h>
#include <sys/types.h>

struct stdio;

struct stdio_ops {
	void (*data)(struct stdio *io, int stream, char *data, size_t len); /* 0 stdout, 1 stderr */
	void (*closed)(struct stdio *io, int stream);
	void (*room)(struct stdio *io); /* stdin takes more after a short stdio_write, or is gone */
};

struct stdio {
	struct loop *loop;
	const struct stdio_ops *ops;
	char *buf;
	size_t size;
	struct source in, out[2];
	int in_fd, out_fd[2]; /* terminal: out_fd[0] is the master, in_fd the same number */
	int slave_fd;	      /* terminal: held so that the program may close and open it again */
	bool tty, paused, in_wait;
};

void stdio_init(struct stdio *io, struct loop *loop, const struct stdio_ops *ops, char *buf, size_t size);
void stdio_fini(struct stdio *io); /* idempotent */

/* Makes the pipes. child[3]: what the program gets, the caller closes them; stdin is /dev/null unless with_stdin. owner: uid
 * that the pipes belong to. A terminal comes later, by stdio_set_tty. */
int stdio_open(struct stdio *io, bool with_stdin, uid_t owner, int child[3], struct err *e);
/* /dev/null three times: a program that nobody listens to. */
int stdio_open_null(int child[3], struct err *e);
int stdio_set_tty(struct stdio *io, int master, int slave); /* takes both */

ssize_t stdio_write(struct stdio *io, const char *data, size_t len); /* taken; negative errno: stdin is gone */
void stdio_close_in(struct stdio *io);
void stdio_pause(struct stdio *io, bool paused);
bool stdio_is_open(const struct stdio *io); /* any output */
void stdio_hangup(struct stdio *io);	    /* the program is gone: the terminal ends when it was read */
void stdio_drain(struct stdio *io);	    /* reads, paused or not, what is there now */
