/* shim/files.c - see shim/files.h
 *
 * They are found on the tmpfs, by names of our own: whatever the image has at their paths, nothing is written by way of it. */
#include "shim/files.h"

#include "base/file.h"
#include "base/own.h"
#include "shim/rootfs.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define NAME_MAX_ 24

static void file_name(size_t i, char name[NAME_MAX_])
{
	snprintf(name, NAME_MAX_, "f%zu", i);
}

int file_open(const struct child *c, const Shim__FileStep *f, size_t i, struct err *e)
{
	struct mount_attr attr = {.attr_set = f->read_only ? MOUNT_ATTR_RDONLY : 0, .propagation = MS_PRIVATE};
	char name[NAME_MAX_];
	AUTO_FD fd = -1;
	int r;

	file_name(i, name);
	fd = openat(c->stage_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, errno, "file", "make a file for %s", f->path);
	r = fd_write_all(fd, f->content.data, f->content.len);
	if (r == 0 && c->user_fd >= 0 && fchown(fd, c->first_id, c->first_id) < 0)
		r = -errno;
	if (r == 0 && fchmod(fd, f->has_mode ? f->mode : 0644) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, r, "file", "write a file for %s", f->path);
	AUTO_FD bound = sys_open_tree(c->stage_fd, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (bound < 0 || sys_mount_setattr(bound, "", AT_EMPTY_PATH, &attr) < 0)
		return err_set(e, errno, "file", "bind a file for %s", f->path);
	return take_fd(&bound);
}

static bool says_the_same(const Shim__FileStep *a, const Shim__FileStep *b)
{
	size_t len = a->content.len;

	return len == b->content.len && (!len || memcmp(a->content.data, b->content.data, len) == 0);
}

static int file_renew(const struct child *c, const Shim__FileStep *f, size_t i, struct err *e)
{
	char name[NAME_MAX_];
	AUTO_FD fd = -1;
	int r;

	file_name(i, name);
	fd = openat(c->stage_fd, name, O_WRONLY | O_TRUNC | O_CLOEXEC);
	r = fd < 0 ? -errno : fd_write_all(fd, f->content.data, f->content.len);
	return r < 0 ? err_set(e, r, "file", "write the file for %s anew", f->path) : 0;
}

static bool is_file(const Shim__LaunchPlan *l, size_t i)
{
	return i < l->n_steps && l->steps[i]->what_case == SHIM__STEP__WHAT_FILE;
}

int files_renew(const struct child *c, const Shim__LaunchPlan *l, struct err *e)
{
	TRY(rootfs_stage_fit(c, l, e));
	for (size_t i = 0; i < l->n_steps; i++) {
		if (!is_file(l, i))
			continue;
		if (!is_file(c->plan, i) || strcmp(c->plan->steps[i]->file->path, l->steps[i]->file->path) != 0)
			return err_set(e, EINVAL, "plan", "%s is not in what was begun", l->steps[i]->file->path);
		if (!says_the_same(c->plan->steps[i]->file, l->steps[i]->file))
			TRY(file_renew(c, l->steps[i]->file, i, e));
	}
	return 0;
}
