/* job/logs.c - `logs FOLDER [KEY=VALUE]…`: the lines of a container's log, in the CRI format as the shim wrote them.
 *
 *   follow=1   go on with what is written later, over rotations and restarts, until descriptor 5 is at its end (then what
 *              is there is still written out) or the reader of descriptor 4 is gone
 *   tail=N     only the last N lines          since=NS, until=NS   wall clock
 *   stdout=0|1, stderr=0|1                    which streams; default both
 *
 * The shim writes current.log and rotates by renaming: current.log -> 1.log -> 2.log …, each file whole lines. So a file is known
 * by its inode, the one after it is the one with the next smaller number, and what was opened stays readable whatever it is called
 * by now. A record is "<time, 30 bytes> stdout|stderr F|P… <text>\n"; P = the line goes on in the next record of that stream. Times have
 * a fixed form in UTC: they are compared as text. */
#include "job/job.h"

#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define OUT_FD	  4
#define END_FD	  5
#define FILES_MAX 1000
#define BLOCK	  (256u << 10)
#define TIME_LEN  30
#define HEAD_LEN  40 /* time, stream, tag and their spaces, of the shortest record */

struct logs {
	bool follow, want[2]; /* want: stdout, stderr */
	bool tail_given;
	uint64_t tail;
	int64_t until_ns;
	char since[STR_TIME_SIZE], until[STR_TIME_SIZE]; /* "" = none */

	const char *dir;
	int dir_fd;
	int inotify_fd;
	bool dir_watched;

	int fd; /* the file being read, -1 = none yet */
	off_t at;
	size_t len; /* of buf: read and not yet written out, an unfinished record */
	bool done;  /* past `until`, or the reader is gone */
	char buf[2 * BLOCK];
};

struct file {
	int fd;
	struct stat st;
};

/* newest first; at most one per inode */
struct files {
	struct file *file;
	size_t n;
};

/* ---------------------------------------------------------------- records */

enum { STREAM_STDOUT, STREAM_STDERR };

struct record {
	const char *time;
	int stream;
	bool partial;
};

/* false: no record of this format, which a power cut in the middle of a write can leave. */
static bool record_parse(const char *line, size_t len, struct record *r)
{
	if (len < HEAD_LEN || line[TIME_LEN] != ' ' || line[4] != '-' || line[10] != 'T' || line[TIME_LEN - 1] != 'Z')
		return false;
	if (!memcmp(line + TIME_LEN + 1, "stdout ", 7))
		r->stream = STREAM_STDOUT;
	else if (!memcmp(line + TIME_LEN + 1, "stderr ", 7))
		r->stream = STREAM_STDERR;
	else
		return false;
	r->time = line;
	r->partial = line[TIME_LEN + 8] == 'P';
	return r->partial || line[TIME_LEN + 8] == 'F';
}

static bool record_is_wanted(const struct logs *l, const struct record *r)
{
	return l->want[r->stream] && (!l->since[0] || memcmp(r->time, l->since, TIME_LEN) >= 0) &&
	       (!l->until[0] || memcmp(r->time, l->until, TIME_LEN) <= 0);
}

/* ---------------------------------------------------------------- files */

static void files_close(struct files *f)
{
	for (size_t i = 0; i < f->n; i++)
		close(f->file[i].fd);
	free(f->file);
	*f = (struct files){0};
}

/* Opens all, from the newest on: a rotation meanwhile shows one again under the next number, but none is missed. */
static int files_open(const struct logs *l, struct files *ret, struct err *e)
{
	struct files f = {0};

	for (int i = 0; i < FILES_MAX; i++) {
		struct file one, *more;
		char name[32];
		bool again = false;

		if (i)
			snprintf(name, sizeof name, "%d.log", i);
		else
			snprintf(name, sizeof name, "current.log");
		one.fd = openat(l->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		/* Right after a rotation there may be no current.log yet. */
		if (one.fd < 0 && errno == ENOENT && i == 0)
			continue;
		if (one.fd < 0 && errno == ENOENT)
			break;
		if (one.fd < 0 || fstat(one.fd, &one.st) < 0 || !S_ISREG(one.st.st_mode)) {
			int r = err_set(e, one.fd < 0 ? errno : EINVAL, "logs", "%s/%s", l->dir, name);

			close_fd(&one.fd);
			files_close(&f);
			return r;
		}
		for (size_t k = 0; k < f.n; k++)
			again |= f.file[k].st.st_ino == one.st.st_ino;
		more = again ? NULL : realloc(f.file, (f.n + 1) * sizeof *more);
		if (!more) {
			close_fd(&one.fd);
			if (again)
				continue;
			files_close(&f);
			return err_set(e, ENOMEM, "logs", "files");
		}
		f.file = more;
		f.file[f.n++] = one;
	}
	*ret = f;
	return 0;
}

/* ---------------------------------------------------------------- the last N lines, read from the end */

struct tail {
	uint64_t left; /* lines still to be found */
	bool open[2];  /* a line of this stream was counted and its start is not yet seen */
	bool found;    /* the place to start from is known */
	off_t start;
};

/* One record, seen from the end. Counts a line where it ends: at its F, or at a P that nothing follows. */
static void tail_record(const struct logs *l, struct tail *t, const char *line, size_t len, off_t at)
{
	struct record r;

	if (!record_parse(line, len, &r))
		return;
	if (l->since[0] && memcmp(r.time, l->since, TIME_LEN) < 0) {
		t->found = true;
		t->start = at + (off_t)len;
		return;
	}
	if (!record_is_wanted(l, &r))
		return;
	if (r.partial && t->open[r.stream])
		return;
	if (!t->left) {
		t->found = true;
		t->start = at + (off_t)len;
		return;
	}
	t->left--;
	t->open[r.stream] = true;
}

/* The records of buf, which starts at file offset `at`, from the last to the first. */
static void tail_block(const struct logs *l, struct tail *t, const char *buf, size_t len, off_t at)
{
	while (len && !t->found) {
		const char *before = memrchr(buf, '\n', len - 1);
		size_t start = before ? (size_t)(before - buf) + 1 : 0;

		tail_record(l, t, buf + start, len - start, at + (off_t)start);
		len = start;
	}
}

static int pread_full(int fd, char *buf, size_t len, off_t at, struct err *e)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = pread(fd, buf + got, len - got, at + (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "logs", "read");
		got += (size_t)n;
	}
	return 0;
}

static int tail_file(const struct logs *l, struct tail *t, const struct file *f, struct err *e)
{
	AUTO_FREE char *buf = malloc(BLOCK);
	off_t end = f->st.st_size;

	if (!buf)
		return err_set(e, ENOMEM, "logs", "buffer");
	while (end > 0 && !t->found) {
		off_t start = end > (off_t)BLOCK ? end - (off_t)BLOCK : 0;
		size_t len = (size_t)(end - start), skip = 0;
		const char *newline;
		int r = pread_full(f->fd, buf, len, start, e);

		if (r < 0)
			return r;
		/* The first record of the block may begin before it: left for the next one. */
		if (start) {
			newline = memchr(buf, '\n', len);
			skip = newline ? (size_t)(newline - buf) + 1 : 0;
			if (skip == len)
				skip = 0; /* longer than a block: not one of ours, skipped as a whole */
		}
		tail_block(l, t, buf + skip, len - skip, start + (off_t)skip);
		end = start + (off_t)skip;
	}
	return 0;
}

/* ---------------------------------------------------------------- writing out */

static int out_write(struct logs *l, const char *data, size_t len, struct err *e)
{
	while (len && !l->done) {
		ssize_t n = write(OUT_FD, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = OUT_FD, .events = POLLOUT};

			(void)poll(&p, 1, -1);
		} else if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
			l->done = true;
		} else if (n < 0 && errno != EINTR) {
			return err_set(e, errno, "logs", "write");
		} else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* The whole records of buf; those that lie side by side and are wanted go out in one write. */
static int block_write(struct logs *l, struct err *e)
{
	size_t at = 0, from = 0;
	const char *newline;

	while ((newline = memchr(l->buf + at, '\n', l->len - at))) {
		size_t end = (size_t)(newline - l->buf) + 1;
		struct record r;

		if (!record_parse(l->buf + at, end - at, &r) || !record_is_wanted(l, &r)) {
			int status = out_write(l, l->buf + from, at - from, e);

			if (status < 0)
				return status;
			from = end;
		}
		at = end;
	}
	if (at > from) {
		int status = out_write(l, l->buf + from, at - from, e);

		if (status < 0)
			return status;
	}
	/* A record without end that fills the buffer is none of ours. */
	l->len = at == 0 && l->len == sizeof l->buf ? 0 : l->len - at;
	memmove(l->buf, l->buf + at, l->len);
	return 0;
}

/* What the file has from l->at on; up to `limit` when that is not negative. */
static int file_write_out(struct logs *l, off_t limit, struct err *e)
{
	while (!l->done && (limit < 0 || l->at < limit)) {
		size_t room = sizeof l->buf - l->len;
		ssize_t n;
		int r;

		if (limit >= 0 && (off_t)room > limit - l->at)
			room = (size_t)(limit - l->at);
		n = pread(l->fd, l->buf + l->len, room, l->at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "logs", "read");
		if (n == 0)
			return 0;
		l->at += n;
		l->len += (size_t)n;
		if ((r = block_write(l, e)) < 0)
			return r;
	}
	return 0;
}

/* Takes f's descriptor. */
static void file_enter(struct logs *l, struct file *f, off_t at)
{
	close_fd(&l->fd);
	l->fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 6);
	l->at = at;
	l->len = 0;
}

/* ---------------------------------------------------------------- what is there already */

/* Where to begin: the file's index in f and the place in it. */
static int start_find(const struct logs *l, const struct files *f, size_t *ret_i, off_t *ret_at, struct err *e)
{
	struct tail t = {.left = l->tail};
	size_t i = 0;

	*ret_at = 0;
	if (l->tail_given) {
		for (i = 0; i < f->n; i++) {
			int r = tail_file(l, &t, &f->file[i], e);

			if (r < 0)
				return r;
			if (t.found)
				break;
		}
		*ret_at = t.found ? t.start : 0;
	} else {
		/* A file last written before `since` has nothing of it. The format of times makes this exact to the file's own time. */
		for (i = 0; i < f->n; i++) {
			char written[STR_TIME_SIZE];
			struct timespec m = f->file[i].st.st_mtim;

			str_time((int64_t)(m.tv_sec + 2) * (int64_t)NS_PER_S, written);
			if (l->since[0] && memcmp(written, l->since, TIME_LEN) < 0)
				break;
		}
	}
	/* Not found: everything from the oldest file on. */
	*ret_i = i < f->n && (t.found || !l->tail_given) ? i : f->n - 1;
	if (l->tail_given ? !t.found : true)
		*ret_at = 0;
	return 0;
}

static int past_write(struct logs *l, struct err *e)
{
	struct files f = {0};
	size_t i;
	off_t at;
	int r = files_open(l, &f, e);

	if (r < 0 || !f.n)
		return r;
	r = start_find(l, &f, &i, &at, e);
	for (i = r < 0 ? 0 : i + 1; r == 0 && i-- > 0 && !l->done; at = 0) {
		file_enter(l, &f.file[i], at);
		/* Without follow what is written while we read does not count, or a fast writer would never let us end. */
		r = l->fd < 0 ? err_set(e, errno, "logs", "file")
			      : file_write_out(l, i == 0 && !l->follow ? f.file[i].st.st_size : -1, e);
	}
	files_close(&f);
	return r;
}

/* ---------------------------------------------------------------- what comes later */

/* From the file that was read to its end to the one after it. *ret_moved: there is one. */
static int file_advance(struct logs *l, bool *ret_moved, struct err *e)
{
	struct files f = {0};
	struct stat st, current;
	size_t i = 0;
	int r;

	*ret_moved = false;
	if (l->fd >= 0 && fstat(l->fd, &st) < 0)
		return err_set(e, errno, "logs", "file");
	/* Nearly always: it is still the newest. */
	if (l->fd >= 0 && fstatat(l->dir_fd, "current.log", &current, AT_SYMLINK_NOFOLLOW) == 0 &&
	    current.st_ino == st.st_ino)
		return 0;
	r = files_open(l, &f, e);
	if (r < 0 || !f.n)
		return r;
	while (l->fd >= 0 && i < f.n && f.file[i].st.st_ino != st.st_ino)
		i++;
	/* Not among them: rotated away before we came to its end, or nothing was read yet: the oldest is next. */
	if (l->fd < 0 || i > 0) {
		struct file *next = &f.file[l->fd < 0 || i == f.n ? f.n - 1 : i - 1];

		/* It was renamed after its last line: read what came between our last look and the renaming. */
		if (l->fd >= 0)
			r = file_write_out(l, -1, e);
		if (r == 0) {
			file_enter(l, next, 0);
			*ret_moved = l->fd >= 0;
		}
	}
	files_close(&f);
	return r;
}

/* Everything that there is by now. */
static int present_write(struct logs *l, struct err *e)
{
	bool moved = true;
	int r = 0;

	while (r == 0 && moved && !l->done) {
		r = l->fd >= 0 ? file_write_out(l, -1, e) : 0;
		if (r == 0)
			r = file_advance(l, &moved, e);
	}
	return r;
}

/* The folder, or the one above it until the folder is there: a container that never ran has none. */
static int folder_watch(struct logs *l, struct err *e)
{
	char path[4096], *slash;

	if (l->dir_fd < 0)
		l->dir_fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dir_fd < 0 && errno != ENOENT)
		return err_set(e, errno, "logs", "%s", l->dir);
	if (l->dir_fd >= 0) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", l->dir_fd);
		if (!l->dir_watched &&
		    inotify_add_watch(l->inotify_fd, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM) < 0)
			return err_set(e, errno, "logs", "watch of %s", l->dir);
		l->dir_watched = true;
		return 0;
	}
	snprintf(path, sizeof path, "%s", l->dir);
	slash = strrchr(path, '/');
	if (!slash || slash == path)
		return err_set(e, ENOENT, "logs", "%s", l->dir);
	*slash = 0;
	if (inotify_add_watch(l->inotify_fd, path, IN_CREATE | IN_MOVED_TO) < 0)
		return err_set(e, errno, "logs", "watch of %s", path);
	/* It may have come before the watch was there. */
	l->dir_fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return l->dir_fd >= 0 ? folder_watch(l, e) : 0;
}

/* Milliseconds until `until`, for poll. */
static int until_timeout(const struct logs *l)
{
	int64_t left;

	if (!l->until[0])
		return -1;
	left = l->until_ns - wall_ns();
	if (left <= 0)
		return 0;
	return left / (int64_t)NS_PER_MS > 3600000 ? 3600000 : (int)(left / (int64_t)NS_PER_MS) + 1;
}

static int follow(struct logs *l, struct err *e)
{
	struct pollfd p[3] = {
		{.fd = l->inotify_fd, .events = POLLIN}, {.fd = END_FD, .events = POLLIN}, {.fd = OUT_FD}};
	bool end = false;
	int r;

	while (!l->done) {
		char drop[4096];
		int timeout;

		/* Watch first, then look: what is written in between wakes us. */
		if ((r = folder_watch(l, e)) < 0 || (l->dir_fd >= 0 && (r = present_write(l, e)) < 0))
			return r;
		timeout = until_timeout(l);
		if (end || timeout == 0 || l->done)
			return 0;
		if (poll(p, 3, timeout) < 0 && errno != EINTR)
			return err_set(e, errno, "logs", "poll");
		if (p[2].revents & (POLLERR | POLLHUP | POLLNVAL))
			return 0;
		if (p[0].revents)
			while (read(l->inotify_fd, drop, sizeof drop) > 0)
				;
		/* Nothing is ever written to it: readable means closed. What came before is still there to be read. */
		end = p[1].revents != 0;
	}
	return 0;
}

/* ---------------------------------------------------------------- the verb */

static int option_parse(struct logs *l, const char *text, struct err *e)
{
	const char *value = strchr(text, '=');
	size_t len = value ? (size_t)(value - text) : 0;
	int64_t ns = 0;
	uint64_t n = 0;
	bool flag, time;

	if (!value)
		return err_set(e, EINVAL, "logs", "'%s' is not KEY=VALUE", text);
	value++;
	time = (len == 5 && (!strncmp(text, "since", 5) || !strncmp(text, "until", 5)));
	flag = (len == 6 &&
		(!strncmp(text, "follow", 6) || !strncmp(text, "stdout", 6) || !strncmp(text, "stderr", 6)));
	if (!time && !flag && !(len == 4 && !strncmp(text, "tail", 4)))
		return err_set(e, EINVAL, "logs", "'%s' is not known", text);
	if (time ? str_to_i64(value, &ns) < 0 : str_to_u64(value, &n) < 0 || (flag && n > 1))
		return err_set(e, EINVAL, "logs", "bad value in '%s'", text);
	if (time)
		str_time(ns, text[0] == 's' ? l->since : l->until);
	if (time && text[0] == 'u')
		l->until_ns = ns;
	if (flag && text[0] == 'f')
		l->follow = n;
	else if (flag)
		l->want[text[3] == 'o' ? STREAM_STDOUT : STREAM_STDERR] = n;
	if (!time && !flag) {
		l->tail_given = true;
		l->tail = n;
	}
	return 0;
}

static int logs_run(struct logs *l, struct err *e)
{
	int r;

	if (l->follow) {
		l->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (l->inotify_fd < 0)
			return err_set(e, errno, "logs", "inotify");
		if ((r = folder_watch(l, e)) < 0)
			return r;
	} else {
		l->dir_fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (l->dir_fd < 0 && errno != ENOENT)
			return err_set(e, errno, "logs", "%s", l->dir);
	}
	if (l->dir_fd >= 0 && (r = past_write(l, e)) < 0)
		return r;
	return l->follow ? follow(l, e) : 0;
}

int verb_logs(int argc, char **argv, struct err *e)
{
	struct logs *l = calloc(1, sizeof *l);
	int r = 0;

	if (!l)
		return err_set(e, ENOMEM, "logs", "start");
	*l = (struct logs){.dir = argv[1], .dir_fd = -1, .inotify_fd = -1, .fd = -1, .want = {true, true}};
	for (int i = 2; r == 0 && i < argc; i++)
		r = option_parse(l, argv[i], e);
	if (r == 0)
		r = confine_enter(&(struct confine){.caps = JOB_CAPS_READ, .all_files = 1}, e);
	if (r == 0)
		r = logs_run(l, e);
	close_fd(&l->fd);
	close_fd(&l->dir_fd);
	close_fd(&l->inotify_fd);
	free(l);
	return r < 0 ? r : report_done("", e);
}
