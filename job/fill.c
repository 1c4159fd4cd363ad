/* job/fill.c - `fill FOLDER NAME [TARGET]`: FOLDER/NAME is the volume (STATE/volumes/UUID, or one that is a file system of its own in the
 * mount namespace that the last descriptor is), fd 4 = sealed memfd with an Envelope{ImageReply} of one image whose layers are the
 * folders of its layers, lowest first: what it has at TARGET becomes the content of the volume, if that is empty. Without TARGET, and
 * then without the memfd, what a fill before had begun is finished or removed. Result Done.
 *
 * NAME.new is a copy that is not whole yet: after a crash it is worth nothing. When it is on the disk it becomes NAME.filling, whose
 * entries move into the volume, and which then goes: after a crash the rest is moved by whoever comes next. So a volume is never taken
 * for filled that is not, and who has it mounted meanwhile sees whole files only. */
#include "job/job.h"

#include "base/file.h"
#include "base/own.h"
#include "image/folder.h"
#include "job/list.h"
#include "job/stack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 1, 0, or negative errno; what is not there has nothing in it. */
static int folder_is_empty(const char *path, struct err *e)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int empty = 1;

	if (!dir)
		return errno == ENOENT ? 1 : err_set(e, errno, "fill", "%s", path);
	while (empty && (entry = readdir(dir)))
		empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	closedir(dir);
	return empty;
}

struct fill {
	int dir_fd; /* STATE/volumes */
	const char *uuid;
	char copy[64], whole[64]; /* UUID.new, NAME.filling */
};

static int copy_drop(const struct fill *f, struct err *e)
{
	int r = dir_remove_all(f->dir_fd, f->copy);

	return r < 0 ? err_set(e, r, "fill", "remove %s", f->copy) : 0;
}

static int copy_make(const struct fill *f, int from, struct err *e)
{
	AUTO_FD to = -1;
	int r = copy_drop(f, e);

	if (r < 0)
		return r;
	if (mkdirat(f->dir_fd, f->copy, 0700) < 0 ||
	    (to = openat(f->dir_fd, f->copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "fill", "make %s", f->copy);
	r = folder_copy(from, to, e);
	if (!r && (syncfs(to) < 0 || renameat(f->dir_fd, f->copy, f->dir_fd, f->whole) < 0 || fsync(f->dir_fd) < 0))
		r = err_set(e, errno, "fill", "write %s", f->copy);
	if (r < 0)
		(void)dir_remove_all(f->dir_fd, f->copy);
	return r;
}

/* What somebody made under the same name meanwhile is theirs, and stays. */
static int entries_move(int from, int to, struct err *e)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = err_set(e, errno, "fill", "read the copy");
		close_fd(&fd);
		return r;
	}
	while (!r && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (renameat2(from, entry->d_name, to, entry->d_name, RENAME_NOREPLACE) < 0 && errno != EEXIST)
			r = err_set(e, errno, "fill", "move %.200s into the volume", entry->d_name);
	}
	closedir(dir);
	return r;
}

static int copy_move_in(const struct fill *f, struct err *e)
{
	AUTO_FD from = openat(f->dir_fd, f->whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD to = -1;
	int r;

	if (from < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "fill", "%s", f->whole);
	if ((mkdirat(f->dir_fd, f->uuid, 0755) < 0 && errno != EEXIST) ||
	    (to = openat(f->dir_fd, f->uuid, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "fill", "volume %s", f->uuid);
	r = entries_move(from, to, e);
	if (!r)
		r = folder_copy_attributes(from, to, e);
	if (!r && fsync(to) < 0)
		r = err_set(e, errno, "fill", "write volume %s", f->uuid);
	if (!r)
		r = dir_remove_all(f->dir_fd, f->whole);
	return r < 0 && !e->text[0] ? err_set(e, r, "fill", "remove %s", f->whole) : r;
}

/* What the image has there, opened to be read; -ENOENT if it has no such folder. */
static int source_open(const char *target, struct err *e)
{
	Berth__Envelope *list = list_read("fill", e);
	int r;

	if (!list)
		return -EBADMSG;
	r = list->image_reply->n_images == 1
		    ? stack_open(list->image_reply->images[0]->layers, list->image_reply->images[0]->n_layers, e)
		    : err_set(e, EBADMSG, "fill", "not one image");
	berth__envelope__free_unpacked(list, NULL);
	if (r < 0)
		return r;
	AUTO_FD root = r;
	r = path_open_in(root, target, O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (r < 0 && (errno == ENOENT || errno == ENOTDIR))
		return -ENOENT;
	return r < 0 ? err_set(e, errno, "fill", "%s in the image", target) : r;
}

/* Where things are: the image on the host, the volume there too or in a mount namespace of its own. */
struct places {
	int host, volume; /* mount namespaces; -1: the volume is on the host */
};

static int place_enter(const struct places *p, int fd, struct err *e)
{
	return p->volume < 0 ? 0 : namespace_enter(fd, e);
}

/* What is to be copied, or -1 in *ret_fd: nothing, for the reason in *ret_why. In the volume's place, before and after. */
static int source_find(const struct places *p, const char *path, const char *target, int *ret_fd, const char **ret_why,
		       struct err *e)
{
	int r = folder_is_empty(path, e);

	*ret_fd = -1;
	*ret_why = "it has something in it";
	if (r <= 0)
		return r;
	*ret_why = "the image has no such folder";
	r = place_enter(p, p->host, e);
	if (r < 0)
		return r;
	r = source_open(target, e);
	if (r >= 0)
		*ret_fd = r;
	else if (r != -ENOENT)
		return r;
	return place_enter(p, p->volume, e);
}

int verb_fill(int argc, char **argv, struct err *e)
{
	struct fill f = {.uuid = argv[2]};
	const char *volumes = argv[1], *target = argc > 3 ? argv[3] : NULL, *why;
	const int namespace_fd = target ? LIST_FD + 1 : LIST_FD;
	struct places places = {.volume = fcntl(namespace_fd, F_GETFD) < 0 ? -1 : namespace_fd};
	char path[512];
	int source = -1, r;
	bool begun;

	AUTO_FD host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	places.host = host;
	snprintf(f.copy, sizeof f.copy, "%.40s.new", f.uuid);
	snprintf(f.whole, sizeof f.whole, "%.40s.filling", f.uuid);
	if (strchr(f.uuid, '/') || snprintf(path, sizeof path, "%s/%s", volumes, f.whole) >= (int)sizeof path)
		return err_set(e, EINVAL, "fill", "%s", f.uuid);
	r = place_enter(&places, places.volume, e);
	if (r < 0)
		return r;
	begun = access(path, F_OK) == 0;
	snprintf(path, sizeof path, "%s/%s", volumes, f.uuid);
	if (!begun && target && (r = source_find(&places, path, target, &source, &why, e)) < 0)
		return r;
	AUTO_FD from = source;
	if (from < 0 && !begun && target)
		return report_done(why, e);
	r = confine_enter(&(struct confine){.caps = JOB_CAPS_UNPACK, .write_dir = volumes, .read_fd = from}, e);
	if (r < 0)
		return r;
	AUTO_FD dir = open(volumes, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set(e, errno, "fill", "%s", volumes);
	f.dir_fd = dir;
	r = from < 0 ? copy_drop(&f, e) : copy_make(&f, from, e);
	if (!r)
		r = copy_move_in(&f, e);
	return r ? r : report_done("filled", e);
}
