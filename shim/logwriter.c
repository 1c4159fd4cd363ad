/* shim/logwriter.c - see shim/logwriter.h */
#include "shim/logwriter.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK	     (128u << 10) /* of one write: the ring gets room while a large rest is still to go */
#define GAP_RETRY_MS 1000
#define STACK_SIZE   (24u << 10)

/* ---------------------------------------------------------------- records */

unsigned log_gap_format(char buf[LOG_GAP_MAX], const char stamp[30], uint64_t lines, uint64_t bytes)
{
	return (unsigned)snprintf(buf, LOG_GAP_MAX, "%.30s stderr F:gap lines=%llu bytes=%llu\n", stamp,
				  (unsigned long long)lines, (unsigned long long)bytes);
}

/* The number behind `key` in a record of our own making. */
static uint64_t gap_number(const char *text, uint32_t len, const char *key)
{
	const char *at = memmem(text, len, key, strlen(key));
	uint64_t n = 0;

	for (at = at ? at + strlen(key) : text + len; at < text + len && *at >= '0' && *at <= '9'; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n;
}

void log_lines_count(const char *text, uint32_t len, uint64_t *lines, uint64_t *bytes, uint64_t *gap_lines,
		     uint64_t *gap_bytes)
{
	const char *end = text + len;

	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		uint32_t n = (uint32_t)((nl ? nl + 1 : end) - text);

		if (n > LOG_HEADER && text[LOG_TAG_AT + 1] == ':') {
			*gap_lines += gap_number(text, n, "lines=");
			*gap_bytes += gap_number(text, n, "bytes=");
		} else if (n > LOG_HEADER) {
			bool whole = text[LOG_TAG_AT] == 'F';

			*lines += whole;
			*bytes += n - LOG_HEADER - (whole ? 0 : 1); /* the newline of a part is ours */
		}
		text += n;
	}
}

/* ---------------------------------------------------------------- files */

static void report_failure(struct logwriter *w, int code, const char *what)
{
	if (!w->failing)
		log_warn("log %s: %s: %s: lines are dropped until it works again", w->now.dir, what, strerror(code));
	w->failing = true;
}

static void close_files(struct logwriter *w)
{
	close_fd(&w->fd);
	close_fd(&w->dir_fd);
}

/* A shim that was killed in the middle of a write left half a line: the next one must not be glued to it. */
static int mend_tail(struct logwriter *w)
{
	char last = '\n';

	if (w->size && pread(w->fd, &last, 1, (off_t)w->size - 1) == 1 && last != '\n') {
		if (write(w->fd, "\n", 1) != 1)
			return -errno;
		w->size++;
	}
	return 0;
}

static int open_current(struct logwriter *w)
{
	struct stat st;

	w->fd = openat(w->dir_fd, "current.log", O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (w->fd < 0 || fstat(w->fd, &st) < 0)
		return -errno;
	w->size = (uint64_t)st.st_size;
	return mend_tail(w);
}

/* mkdir -p. base/file.h has one, but it allocates: see logwriter.h. */
static int make_folder(char *path)
{
	for (char *slash = path; slash; *slash = '/') {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = 0;
		int r = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
		if (!slash || r < 0) {
			if (slash)
				*slash = '/';
			return r;
		}
	}
	return 0;
}

static int open_files(struct logwriter *w)
{
	int r;

	if (w->fd >= 0)
		return 0;
	r = make_folder(w->now.dir);
	if (r < 0)
		return r;
	w->dir_fd = open(w->now.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = w->dir_fd < 0 ? -errno : open_current(w);
	if (r < 0)
		close_files(w);
	return r;
}

static void log_name(char buf[24], uint32_t n)
{
	if (n)
		snprintf(buf, 24, "%u.log", n);
	else
		snprintf(buf, 24, "current.log");
}

/* current -> 1 -> 2 …; the oldest falls off by being renamed over. A rename that fails leaves the current file to grow: lines
 * are worth more than the limit. */
static int rotate(struct logwriter *w)
{
	char from[24], to[24];

	if (w->now.max_files <= 1) {
		if (ftruncate(w->fd, 0) < 0)
			return -errno;
		w->size = 0;
		return 0;
	}
	for (uint32_t n = w->now.max_files - 1; n-- > 0;) {
		log_name(from, n);
		log_name(to, n + 1);
		if (renameat(w->dir_fd, from, w->dir_fd, to) < 0 && errno != ENOENT)
			return -errno;
	}
	close_fd(&w->fd);
	return open_current(w);
}

/* All of it or, after an error, nothing but whole lines: what was written of them, in *ret_done. */
static int write_lines(struct logwriter *w, const char *text, uint32_t len, uint32_t *ret_done)
{
	uint32_t done = 0;
	int r = 0;

	while (done < len && r == 0) {
		ssize_t n = write(w->fd, text + done, len - done);

		if (n >= 0)
			done += (uint32_t)n;
		else if (errno != EINTR)
			r = -errno;
	}
	if (r < 0) {
		const char *nl = done ? memrchr(text, '\n', done) : NULL;
		uint32_t whole = nl ? (uint32_t)(nl + 1 - text) : 0;

		if (whole < done && ftruncate(w->fd, (off_t)(w->size + whole)) < 0)
			whole = done; /* stays cut; the next file operation will mend it */
		done = whole;
	}
	w->size += done;
	*ret_done = done;
	return r;
}

static void lose(struct logwriter *w, const char *text, uint32_t len)
{
	uint64_t lines = 0, bytes = 0;

	log_lines_count(text, len, &lines, &bytes, &w->gap_lines, &w->gap_bytes);
	w->gap_lines += lines;
	w->gap_bytes += bytes;
	w->lost_lines += lines;
	w->lost_bytes += bytes;
}

static int write_gap(struct logwriter *w)
{
	char stamp[STR_TIME_SIZE], text[LOG_GAP_MAX];
	uint32_t done;
	int r;

	if (!w->gap_lines && !w->gap_bytes)
		return 0;
	str_time(wall_ns(), stamp);
	r = write_lines(w, text, log_gap_format(text, stamp, w->gap_lines, w->gap_bytes), &done);
	if (r == 0)
		w->gap_lines = w->gap_bytes = 0;
	return r;
}

/* How much of the text still fits into the current file, in whole lines; 0: rotate first. */
static uint32_t fits(const struct logwriter *w, const char *text, uint32_t len)
{
	uint64_t left = w->size < w->now.max_bytes ? w->now.max_bytes - w->size : 0;
	const char *nl;

	if (!w->now.max_bytes || len <= left)
		return len;
	nl = left ? memrchr(text, '\n', left) : NULL;
	if (nl)
		return (uint32_t)(nl + 1 - text);
	if (w->size)
		return 0;
	nl = memchr(text, '\n', len); /* one line larger than the limit: a file of its own */
	return nl ? (uint32_t)(nl + 1 - text) : len;
}

static void write_chunk(struct logwriter *w, const char *text, uint32_t len)
{
	int r = open_files(w);

	if (r == 0)
		r = write_gap(w);
	while (len && r == 0) {
		uint32_t n = fits(w, text, len), done;

		if (n == 0) {
			r = rotate(w);
			if (r == 0)
				continue;
			report_failure(w, -r, "rotate");
			r = w->fd < 0 ? r : 0;
			n = len;
		}
		if (r == 0) {
			r = write_lines(w, text, n, &done);
			text += done;
			len -= done;
		}
	}
	if (r == 0) {
		w->failing = false;
		return;
	}
	report_failure(w, -r, "write");
	lose(w, text, len);
}

/* ---------------------------------------------------------------- the task */

static void take_target(struct logwriter *w)
{
	if (w->target_version == w->now_version)
		return;
	close_files(w);
	pthread_mutex_lock(&w->lock);
	w->now = w->target;
	w->now_version = w->target_version;
	pthread_mutex_unlock(&w->lock);
}

static void ring_loop(struct logwriter *w)
{
	uint64_t one = 1;

	(void)!write(w->event_fd, &one, sizeof one); /* full means that it is signalled anyway */
}

static void tell_loop(struct logwriter *w)
{
	const struct ring *r = w->ring;

	if (w->want_room && r->head - r->tail <= r->size / 2) {
		w->want_room = 0;
		ring_loop(w);
	}
	if (w->want_empty && ring_empty(r)) {
		w->want_empty = 0;
		ring_loop(w);
	}
}

void logwriter_turn(struct logwriter *w)
{
	const char *text;
	uint32_t n = ring_peek(w->ring, &text);

	take_target(w);
	if (n > CHUNK) {
		const char *nl = memrchr(text, '\n', CHUNK);

		n = nl ? (uint32_t)(nl + 1 - text) : n;
	}
	if (n) {
		write_chunk(w, text, n);
		ring_consume(w->ring, n);
	} else if ((w->gap_lines || w->gap_bytes) && open_files(w) == 0 && write_gap(w) == 0) {
		w->failing = false;
	}
	tell_loop(w);
}

static void *logwriter_run(void *arg)
{
	struct logwriter *w = arg;

	while (!w->stop) {
		uint32_t bell = w->ring->bell;

		logwriter_turn(w);
		if (ring_empty(w->ring) && !w->stop)
			ring_wait(w->ring, bell, w->gap_lines || w->gap_bytes ? GAP_RETRY_MS : 0);
	}
	return NULL;
}

void logwriter_retarget(struct logwriter *w, const struct log_target *t)
{
	pthread_mutex_lock(&w->lock);
	w->target = *t;
	w->target_version++;
	pthread_mutex_unlock(&w->lock);
}

int logwriter_start(struct logwriter *w, struct ring *ring)
{
	pthread_attr_t attr;
	int r;

	*w = (struct logwriter){.ring = ring, .dir_fd = -1, .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event_fd < 0)
		return -errno;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	r = pthread_create(&w->thread, &attr, logwriter_run, w);
	pthread_attr_destroy(&attr);
	if (r) {
		close_fd(&w->event_fd);
		return -r;
	}
	w->running = true;
	return 0;
}
