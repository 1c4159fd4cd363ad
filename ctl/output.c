/* ctl/output.c - see ctl/output.h. A file is written without a name and gets it at the end, so that neither an interrupted tool nor a
 * dead host leaves half of one; where the file system has no such files it has another name until then. */
#include "ctl/output.h"

#include "base/file.h"
#include "base/own.h"
#include "ctl/command.h"
#include "ctl/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int failed(const struct output *o, struct err *e)
{
	return err_set(e, errno, "output", "%s", o->path);
}

static int standard_open(struct output *o, struct err *e)
{
	o->kind = OUTPUT_STREAM;
	if (isatty(1))
		return err_set(e, 0, "output", "standard output is a terminal: -o FILE, or pipe it into something");
	o->fd = fcntl(1, F_DUPFD_CLOEXEC, 3);
	return o->fd < 0 ? err_set(e, errno, "output", "standard output") : 0;
}

static int folder_open(struct output *o, struct err *e)
{
	o->kind = OUTPUT_FOLDER;
	o->made = mkdir(o->path, 0777) == 0;
	if (!o->made && errno != EEXIST)
		return failed(o, e);
	o->fd = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->fd < 0)
		return failed(o, e);
	o->others = dir_is_empty(o->fd) != 1;
	return 0;
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? mem_textn(path, slash == path ? 1 : (size_t)(slash - path)) : mem_text(".");
}

static int file_open(struct output *o, struct err *e)
{
	AUTO_FREE char *folder = NULL;
	struct stat st;
	bool there = stat(o->path, &st) == 0;

	if (there && S_ISDIR(st.st_mode))
		return err_set(e, EISDIR, "output", "%s", o->path);
	o->kind = OUTPUT_STREAM;
	if (there && !S_ISREG(st.st_mode)) {
		o->fd = open(o->path, O_WRONLY | O_CLOEXEC);
		return o->fd < 0 ? failed(o, e) : 0;
	}
	if (there) { /* through links: the file that they lead to is exchanged */
		char *real = realpath(o->path, NULL);

		if (!real)
			return failed(o, e);
		free(o->path);
		o->path = real;
	}
	folder = folder_of(o->path);
	o->other = mem_printf("%s.%d", o->path, (int)getpid());
	o->kind = OUTPUT_UNNAMED;
	o->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
	if (o->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return failed(o, e);
	o->kind = OUTPUT_NAMED;
	o->fd = open(o->other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	return o->fd < 0 ? failed(o, e) : 0;
}

int output_open(struct output *o, const char *path, bool folder, struct err *e)
{
	*o = (struct output){.fd = -1};
	if (!path || !strcmp(path, "-"))
		return folder ? err_set(e, EINVAL, "output", "a folder cannot go to standard output: -o FOLDER")
			      : standard_open(o, e);
	o->path = mem_text(path);
	return folder ? folder_open(o, e) : file_open(o, e);
}

int output_keep(struct output *o, struct err *e)
{
	char proc[32];

	if (o->kind != OUTPUT_UNNAMED && o->kind != OUTPUT_NAMED)
		return 0;
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", o->fd);
	if (o->kind == OUTPUT_UNNAMED && linkat(AT_FDCWD, proc, AT_FDCWD, o->other, AT_SYMLINK_FOLLOW) < 0)
		return failed(o, e);
	o->kind = OUTPUT_NAMED;
	return rename(o->other, o->path) < 0 ? failed(o, e) : 0;
}

void output_drop(struct output *o)
{
	if (o->kind == OUTPUT_FOLDER && o->made) {
		if (dir_remove_all(AT_FDCWD, o->path) < 0)
			say("%s is not whole, and cannot be taken away", o->path);
	} else if (o->kind == OUTPUT_NAMED) {
		(void)unlink(o->other);
	} else if (o->kind == OUTPUT_FOLDER && o->fd >= 0 && !o->others && dir_is_empty(o->fd) != 1) {
		say("what is in %s is not whole", o->path);
	}
}

void output_close(struct output *o)
{
	close_fd(&o->fd);
	free(o->path);
	free(o->other);
	*o = (struct output){.fd = -1};
}
