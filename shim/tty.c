/* shim/tty.c - see shim/tty.h
 *
 * In an exec the container's root may have put anything in the place of /dev/ptmx: it is opened without waiting, and used
 * only if it is the pty multiplexer. The slave comes from the master by TIOCGPTPEER, never by a path. */
#include "shim/tty.h"

#include "base/own.h"
#include "shim/mounts.h"
#include "shim/rootfs.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

void tty_resize(int fd, unsigned rows, unsigned cols)
{
	struct winsize ws = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};

	if (rows && cols)
		(void)ioctl(fd, TIOCSWINSZ, &ws); /* a size is a wish */
}

static int open_master(const struct child *c, struct err *e)
{
	struct stat st;
	AUTO_FD fd = root_open(c, "/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);

	if (fd == -ENOENT)
		fd = root_open(c, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, fd, "tty", "open /dev/ptmx in the container");
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return err_set(e, ENODEV, "tty", "/dev/ptmx in the container is not the terminal multiplexer");
	return take_fd(&fd);
}

static int bind_console(struct child *c, int slave, struct err *e)
{
	AUTO_FD fd = sys_open_tree(slave, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "tty", "bind the terminal on /dev/console");
	return mount_place(c, fd, "/dev/console", e);
}

int tty_open(struct child *c, bool console, struct err *e)
{
	int unlock = 0;
	AUTO_FD master = open_master(c, e), slave = -1;

	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_set(e, errno, "tty", "unlock the terminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_set(e, errno, "tty", "open the terminal");
	tty_resize(master, c->process->rows, c->process->cols);
	if (!c->late && ioctl(slave, TIOCSCTTY, 0) < 0) /* late, it is not us who will have it */
		return err_set(e, errno, "tty", "make it the controlling terminal");
	if (console)
		TRY(bind_console(c, slave, e));
	sync_send_fds(c->sync_fd, SYNC_TTY, (int[]){master, slave}, 2);
	c->tty_fd = take_fd(&slave);
	return 0;
}
