/* job/files.c - `files pid=N group=PATH userns=0|1`, fd 4 = sealed memfd with a LaunchPlan of the small files of a container as they are to
 * be: writes those that are still as berth wrote them, where they are (they are mounts, and cannot be replaced).
 *
 * Whatever the container has put in such a place meanwhile is left alone: its first line says that it is ours (base/kept.h), else it is not. */
#include "job/job.h"

#include "base/file.h"
#include "base/kept.h"
#include "base/own.h"
#include "base/str.h"
#include "job/view.h"
#include "proto/envelope.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REQUEST_FD 4
#define PLAN_MAX   (1u << 20)
#define FILE_MAX   262144u /* as many names as may be asked for, at an address of each family, and the others: 200 KiB */

/* Readers of the moment see some of both: no more can be had of a file that is a mount. But no end of an old line: what is longer is empty
 * lines until it is cut off. */
static int content_write(int fd, const Shim__FileStep *f, size_t old_len, struct err *e)
{
	static char lines[FILE_MAX];
	size_t len = f->content.len, more = old_len > len ? old_len - len : 0;
	struct iovec whole[] = {{f->content.data, len}, {memset(lines, '\n', more), more}};
	ssize_t n = pwritev(fd, whole, 2, 0);

	if (n != (ssize_t)(len + more) || ftruncate(fd, (off_t)len) < 0)
		return err_set(e, n < 0 ? errno : EIO, "files", "write %s", f->path);
	return 0;
}

static int file_refresh(const struct view *v, const Shim__FileStep *f, struct err *e)
{
	AUTO_FD fd = path_open_in(v->root_fd, f->path + strspn(f->path, "/"), O_RDWR | O_NONBLOCK | O_NOCTTY,
				  RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	static char text[FILE_MAX];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)sizeof text)
		return 0;
	n = pread(fd, text, sizeof text, 0);
	if (n < 0 || !kept_is_ours(text, (size_t)n) ||
	    ((size_t)n == f->content.len && !memcmp(text, f->content.data, (size_t)n)))
		return 0;
	return content_write(fd, f, (size_t)n, e);
}

static Shim__LaunchPlan *request_read(struct err *e)
{
	Shim__LaunchPlan *plan = NULL;
	const void *data;
	size_t len;
	int r = memfd_map(REQUEST_FD, PLAN_MAX, &data, &len);

	if (r == 0) {
		plan = message_unpack(&shim__launch_plan__descriptor, data, len);
		munmap((void *)(uintptr_t)data, len);
	}
	if (!plan)
		err_set(e, EBADMSG, "files", "request");
	return plan;
}

int verb_files(int argc, char **argv, struct err *e)
{
	static const struct confine how = {.caps = JOB_CAPS_COPY, .all_files = true};
	struct view v = VIEW_NULL;
	Shim__LaunchPlan *plan = request_read(e);
	uint32_t pid = 0;
	int r = plan ? 0 : -EBADMSG;

	if (r == 0 &&
	    (!str_starts(argv[1], "pid=") || str_to_u32(argv[1] + 4, &pid) < 0 || !str_starts(argv[2], "group=")))
		r = err_set(e, EINVAL, "files", "arguments");
	if (r == 0)
		r = view_of_process(&v, (pid_t)pid, argv[2] + strlen("group="), !strcmp(argv[3], "userns=1"), e);
	if (r == 0)
		r = view_become_root(&v, e);
	if (r == 0 && v.user_fd < 0)
		r = confine_enter(&how, e);
	for (size_t i = 0; r == 0 && i < plan->n_steps; i++)
		if (plan->steps[i]->what_case == SHIM__STEP__WHAT_FILE && plan->steps[i]->file->path)
			r = file_refresh(&v, plan->steps[i]->file, e);
	view_close(&v);
	return r < 0 ? r : report_done(NULL, e);
}
