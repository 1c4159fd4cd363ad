/* shim/logger.c - see shim/logger.h */
#include "shim/logger.h"

#include "base/loop.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MEMORY (LOG_CHUNK + 2 * LOG_PART)

int logger_init(struct logger *l)
{
	char *mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*l = (struct logger){.writer = {.event_fd = -1}, .header_second = -1};
	if (mem == MAP_FAILED)
		return -errno;
	/* A child inherits nothing of what was printed, and copies no page tables for it. */
	(void)madvise(mem, MEMORY, MADV_DONTFORK);
	l->chunk = mem;
	l->hold[0].text = mem + LOG_CHUNK;
	l->hold[1].text = mem + LOG_CHUNK + LOG_PART;
	return 0;
}

int logger_prepare(struct logger *l)
{
	int r = 0;

	if (l->writer.running)
		return 0;
	if (!l->ring.mem)
		r = ring_init(&l->ring, LOG_RING_SIZE);
	return r < 0 ? r : logwriter_start(&l->writer, &l->ring);
}

int logger_open(struct logger *l, const struct log_target *t)
{
	int r = t ? logger_prepare(l) : 0;

	l->on = t && r == 0;
	if (l->on)
		logwriter_retarget(&l->writer, t);
	return r;
}

/* ---------------------------------------------------------------- records */

/* One time for all lines of a chunk. Only the fraction changes within a second. */
static void header_make(struct logger *l, int stream)
{
	int64_t now = wall_ns(), second = now / (int64_t)NS_PER_S;
	uint32_t fraction = (uint32_t)(now % (int64_t)NS_PER_S);
	char stamp[STR_TIME_SIZE];

	if (second != l->header_second) {
		str_time(now, stamp);
		memcpy(l->header, stamp, 30);
		l->header_second = second;
	}
	for (int i = 28; i >= 20; i--, fraction /= 10)
		l->header[i] = (char)('0' + fraction % 10);
	memcpy(l->header + 30, stream ? " stderr F " : " stdout F ", 10);
}

static void drop(struct logger *l, struct log_hold *h, size_t len, bool whole)
{
	h->cut = !whole;
	l->gap_lines += whole;
	l->gap_bytes += len + whole;
	l->dropped_lines += whole;
	l->dropped_bytes += len + whole;
}

/* What was dropped is said before the next line that is not. */
static bool emit_gap(struct logger *l)
{
	if (!l->gap_lines && !l->gap_bytes)
		return true;
	if (ring_room(&l->ring) < LOG_GAP_MAX)
		return false;
	l->ring.open += log_gap_format(ring_at(&l->ring), l->header, l->gap_lines, l->gap_bytes);
	l->gap_lines = l->gap_bytes = 0;
	return true;
}

/* One record of what is held and what follows it. false: no room (and no leave to drop). */
static bool emit(struct logger *l, struct log_hold *h, const char *text, size_t len, bool whole, bool force)
{
	size_t all = h->len + len, need = LOG_HEADER + all + 1;
	char *at;

	if (l->dropping && ring_room(&l->ring) >= l->ring.size / 2)
		l->dropping = false;
	if (!l->dropping && !h->cut && ring_room(&l->ring) < need + LOG_GAP_MAX) {
		if (!force)
			return false;
		l->dropping = true;
	}
	if (l->dropping || h->cut) {
		drop(l, h, all, whole);
		h->len = 0;
		return true;
	}
	emit_gap(l);
	at = ring_at(&l->ring);
	memcpy(at, l->header, LOG_HEADER);
	at[LOG_TAG_AT] = whole ? 'F' : 'P';
	memcpy(at + LOG_HEADER, h->text, h->len);
	memcpy(at + LOG_HEADER + h->len, text, len);
	at[LOG_HEADER + all] = '\n';
	l->ring.open += (uint32_t)need;
	h->len = 0;
	return true;
}

size_t logger_write(struct logger *l, int stream, const char *data, size_t len, bool force)
{
	struct log_hold *h = &l->hold[stream];
	const char *at = data, *end = data + len;

	if (!l->on)
		return len;
	header_make(l, stream);
	while (at < end) {
		size_t left = (size_t)(end - at), limit = LOG_PART - h->len;
		const char *nl = memchr(at, '\n', left <= limit ? left : limit + 1);

		if (nl) {
			if (!emit(l, h, at, (size_t)(nl - at), true, force))
				break;
			at = nl + 1;
		} else if (left > limit) {
			if (!emit(l, h, at, limit, false, force))
				break;
			at += limit;
		} else {
			memcpy(h->text + h->len, at, left);
			h->len += (uint32_t)left;
			at = end;
		}
	}
	ring_publish(&l->ring);
	return (size_t)(at - data);
}

void logger_end(struct logger *l)
{
	for (int stream = 0; stream < 2 && l->on; stream++) {
		struct log_hold *h = &l->hold[stream];

		header_make(l, stream);
		if (h->len)
			emit(l, h, "", 0, false, true);
		if (h->cut) { /* the end of it was dropped: a line all the same */
			l->gap_lines++;
			l->dropped_lines++;
		}
		h->cut = false;
	}
	if (l->on)
		ring_publish(&l->ring);
}

void logger_tick(struct logger *l)
{
	if (!l->ring.mem || (!l->gap_lines && !l->gap_bytes) || ring_room(&l->ring) < l->ring.size / 2)
		return;
	header_make(l, 1);
	emit_gap(l);
	ring_publish(&l->ring);
}

void logger_trim(struct logger *l)
{
	if (!l->hold[0].len && !l->hold[1].len)
		(void)madvise(l->chunk, MEMORY, MADV_DONTNEED);
	ring_trim(&l->ring);
}

void logger_want_room(struct logger *l)
{
	l->writer.want_room = 1;
	ring_ring(&l->ring); /* it may have made room just before */
}

bool logger_flushed(struct logger *l)
{
	if (!l->writer.running || ring_empty(&l->ring))
		return true;
	l->writer.want_empty = 1;
	ring_ring(&l->ring);
	return false;
}

void logger_totals(const struct logger *l, uint64_t *lines, uint64_t *bytes)
{
	*lines = l->dropped_lines + l->writer.lost_lines;
	*bytes = l->dropped_bytes + l->writer.lost_bytes;
}
