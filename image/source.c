/* image/source.c - see image/source.h. The tar is walked once, with seeks over the data, and every regular file remembered with
 * the place of its bytes; links in it are followed by name (docker-archives point one layer's file at another's). */
#include "image/source.h"

#include "base/file.h"
#include "base/own.h"
#include "image/space.h"
#include "image/stream.h"
#include "image/tar.h"

#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX  100000
#define NAMES_MAX  (32u << 20) /* bytes of all of them */
#define NAME_BYTES 4096
#define LINKS_MAX  8

struct source_file {
	char *name; /* owned; without "./" or "/" in front */
	char *link; /* owned; the name that it stands for, or NULL */
	uint64_t offset, length;
};

/* ---------------------------------------------------------------- the walk over the tar */

struct walk {
	int fd;
	off_t at;
	char buf[128 << 10];
};

static ssize_t walk_read(struct archive *a, void *arg, const void **ret)
{
	struct walk *w = arg;
	ssize_t n = pread(w->fd, w->buf, sizeof w->buf, w->at);

	if (n < 0) {
		archive_set_error(a, errno, "read");
		return ARCHIVE_FATAL;
	}
	w->at += n;
	*ret = w->buf;
	return n;
}

static la_int64_t walk_skip(struct archive *a, void *arg, la_int64_t n)
{
	struct walk *w = arg;
	struct stat st;

	if (fstat(w->fd, &st) < 0) {
		archive_set_error(a, errno, "stat");
		return ARCHIVE_FATAL;
	}
	if (n > st.st_size - w->at)
		n = st.st_size - w->at;
	w->at += n;
	return n;
}

static const char *name_clean(const char *name)
{
	for (;;) {
		if (name[0] == '/')
			name++;
		else if (name[0] == '.' && name[1] == '/')
			name += 2;
		else
			return name;
	}
}

static struct source_file *file_find(const struct image_source *s, const char *name)
{
	/* From the end: of two entries of one name the later one counts. */
	for (size_t i = s->n_files; i-- > 0;)
		if (!strcmp(s->file[i].name, name))
			return &s->file[i];
	return NULL;
}

/* The target of a symlink, as a name in the archive: "../x/layer.tar" seen from "y/layer.tar" is "x/layer.tar". */
static char *link_resolve(const char *name, const char *target)
{
	char path[2 * NAME_BYTES];
	size_t len = 0, part_len;
	const char *slash = strrchr(name, '/');

	if (target[0] == '/' || !slash)
		snprintf(path, sizeof path, "%s", target);
	else
		snprintf(path, sizeof path, "%.*s/%s", (int)(slash - name), name, target);
	for (char *part = path, *next; part; part = next) {
		next = strchr(part, '/');
		if (next)
			*next++ = 0;
		part_len = strlen(part);
		if (!strcmp(part, "..")) {
			while (len && path[len - 1] != '/')
				len--;
			len -= len ? 1 : 0;
		} else if (*part && strcmp(part, ".")) {
			if (len)
				path[len++] = '/';
			memmove(path + len, part, part_len + 1);
			len += part_len;
		}
	}
	path[len] = 0;
	return strdup(path);
}

static int file_add(struct image_source *s, struct archive *a, struct archive_entry *entry, struct err *e)
{
	const char *name = archive_entry_pathname(entry), *hardlink = archive_entry_hardlink(entry);
	struct source_file f = {0};

	if (archive_entry_filetype(entry) == AE_IFDIR)
		return 0;
	if (!name || strlen(name) >= NAME_BYTES)
		return err_set(e, 0, "tar", "an entry has no usable name");
	if (s->n_files == FILES_MAX)
		return err_set(e, 0, "tar", "more than %d files: not an image", FILES_MAX);
	if (hardlink) {
		f.link = strdup(name_clean(hardlink));
	} else if (archive_entry_filetype(entry) == AE_IFLNK) {
		const char *target = archive_entry_symlink(entry);

		if (!target || strlen(target) >= NAME_BYTES)
			return err_set(e, 0, "tar", "'%.100s': bad link", name);
		f.link = link_resolve(name_clean(name), target);
	} else if (archive_entry_filetype(entry) != AE_IFREG) {
		return 0;
	} else if (archive_entry_sparse_count(entry)) {
		return err_set(e, 0, "tar", "'%.100s' is stored with holes, which nothing in an image's archive may be",
			       name);
	} else {
		f.offset = (uint64_t)archive_filter_bytes(a, 0);
		f.length = (uint64_t)archive_entry_size(entry);
	}
	if (s->n_files == s->size) {
		size_t size = s->size ? 2 * s->size : 64;
		struct source_file *more = realloc(s->file, size * sizeof *more);

		if (more) {
			s->file = more;
			s->size = size;
		}
	}
	f.name = strdup(name_clean(name));
	s->name_bytes += strlen(name) + (f.link ? strlen(f.link) : 0);
	if (s->n_files == s->size || !f.name || ((hardlink || archive_entry_filetype(entry) == AE_IFLNK) && !f.link)) {
		free(f.name);
		free(f.link);
		return err_set(e, ENOMEM, "tar", "list of files");
	}
	s->file[s->n_files++] = f;
	if (s->name_bytes > NAMES_MAX)
		return err_set(e, 0, "tar", "more than %u bytes of names: not an image", NAMES_MAX);
	return 0;
}

static int tar_walk(struct image_source *s, struct err *e)
{
	AUTO_FREE struct walk *w = calloc(1, sizeof *w);
	struct archive *a = w ? tar_reader_new(walk_read, walk_skip, w) : NULL;
	locale_t locale = tar_locale_enter();
	struct archive_entry *entry;
	int r = 0, status;

	if (!a) {
		tar_locale_leave(locale);
		return err_set(e, ENOMEM, "tar", "reader");
	}
	w->fd = s->fd;
	status = archive_read_open1(a);
	while (status == ARCHIVE_OK && (status = archive_read_next_header(a, &entry)) == ARCHIVE_OK && r == 0)
		r = file_add(s, a, entry, e);
	if (r == 0 && status != ARCHIVE_EOF)
		r = err_set(e, 0, "tar", "neither a folder nor a readable tar: %s", archive_error_string(a));
	archive_read_free(a);
	tar_locale_leave(locale);
	return r;
}

/* ---------------------------------------------------------------- spooling */

/* A pipe, or a compressed file: all of it, decompressed, into an unnamed file. */
static int spool(struct stream *in, int dir_fd, uint64_t max, int *ret, struct err *e)
{
	AUTO_FD fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	AUTO_FREE char *buf = malloc(1 << 20);
	struct space space;
	uint64_t len = 0;
	ssize_t n;
	int r;

	if (fd < 0 || !buf)
		return err_set(e, fd < 0 ? errno : ENOMEM, "spool", "a file to spool into");
	if ((r = space_init(&space, fd, e)) < 0)
		return r;
	while ((n = stream_read(in, buf, 1 << 20, e)) > 0) {
		if ((uint64_t)n > max - len)
			return err_set(e, ENOSPC, "spool",
				       "it unpacks to more than there is room for, or than image_max_size allows");
		if ((r = space_write(&space, fd, buf, (size_t)n, (off_t)len, e)) < 0)
			return r;
		len += (uint64_t)n;
	}
	if (n < 0)
		return (int)n;
	if (ftruncate(fd, (off_t)len) < 0)
		return err_set(e, errno, "spool", "size");
	*ret = take_fd(&fd);
	return 0;
}

static int tar_open(struct image_source *s, int fd, bool regular, uint64_t size, int spool_dir_fd, uint64_t spool_max,
		    struct err *e)
{
	struct stream *in;
	int r;

	if (regular && size == 0)
		return err_set(e, 0, "import", "the source is empty");
	in = stream_open(fd, 0, regular ? size : STREAM_TO_END, e);
	if (!in)
		return err_wrap(e, "source");
	if (regular && !strcmp(stream_format(in), "plain")) {
		s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		r = s->fd < 0 ? err_set(e, errno, "import", "source") : 0;
	} else {
		r = spool(in, spool_dir_fd, spool_max, &s->fd, e);
	}
	stream_close(in);
	return r < 0 ? err_wrap(e, "source") : tar_walk(s, e);
}

int image_source_open(struct image_source *s, int fd, int spool_dir_fd, uint64_t spool_max, struct err *e)
{
	struct stat st;
	int r = 0;

	*s = (struct image_source){.fd = -1};
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "import", "source");
	if (S_ISDIR(st.st_mode)) {
		s->folder = true;
		s->fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (s->fd < 0)
			r = err_set(e, errno, "import", "source folder");
	} else if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) {
		r = tar_open(s, fd, S_ISREG(st.st_mode), (uint64_t)st.st_size, spool_dir_fd, spool_max, e);
	} else {
		r = err_set(e, 0, "import", "the source is neither a folder, a file nor a pipe");
	}
	if (r < 0)
		image_source_close(s);
	return r;
}

void image_source_close(struct image_source *s)
{
	for (size_t i = 0; i < s->n_files; i++) {
		free(s->file[i].name);
		free(s->file[i].link);
	}
	free(s->file);
	close_fd(&s->fd);
	*s = (struct image_source){.fd = -1};
}

/* ---------------------------------------------------------------- files by name */

/* No link of the folder is followed: a layout has none, and the source may be anyone's. */
static int folder_find(struct image_source *s, const char *path, struct source_part *ret, struct err *e)
{
	AUTO_FD fd = path_open(s->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY,
			       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "source", "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, 0, "source", "%s is not a regular file", path);
	*ret = (struct source_part){.fd = take_fd(&fd), .fd_owned = true, .length = (uint64_t)st.st_size};
	return 0;
}

int image_source_find(struct image_source *s, const char *path, struct source_part *ret, struct err *e)
{
	struct source_file *f;

	path = name_clean(path);
	if (s->folder)
		return folder_find(s, path, ret, e);
	f = file_find(s, path);
	for (int links = 0; f && f->link && links < LINKS_MAX; links++)
		f = file_find(s, f->link);
	if (!f || f->link)
		return err_set(e, ENOENT, "source", "%s", path);
	*ret = (struct source_part){.fd = s->fd, .offset = f->offset, .length = f->length};
	return 0;
}

bool image_source_has(struct image_source *s, const char *path)
{
	struct source_part part;

	if (image_source_find(s, path, &part, NULL) < 0)
		return false;
	source_part_close(&part);
	return true;
}

void source_part_close(struct source_part *p)
{
	if (p->fd_owned)
		close_fd(&p->fd);
	p->fd_owned = false;
}

int source_part_read(const struct source_part *p, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	AUTO_FREE char *data = NULL;
	size_t at = 0;

	if (p->length > max)
		return err_set(e, EFBIG, "source", "%llu bytes", (unsigned long long)p->length);
	data = malloc(p->length + 1);
	if (!data)
		return err_set(e, ENOMEM, "source", "%llu bytes", (unsigned long long)p->length);
	while (at < p->length) {
		ssize_t n = pread(p->fd, data + at, p->length - at, (off_t)(p->offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "source", "read");
		at += (size_t)n;
	}
	data[at] = 0;
	*ret = take_ptr(data);
	*ret_len = at;
	return 0;
}

int image_source_read(struct image_source *s, const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	struct source_part part;
	int r = image_source_find(s, path, &part, e);

	if (r < 0)
		return r;
	r = source_part_read(&part, max, ret, ret_len, e);
	source_part_close(&part);
	return r < 0 ? err_wrap(e, "%s", path) : 0;
}
