/* shim/logger.h - what the program writes, cut into lines and put into the ring in the CRI format. Runs in the loop.
 *
 *   2026-11-22T02:09:33.000000001Z stdout F text\n
 *
 * A line of more than LOG_PART bytes goes in parts (P … F); an unterminated rest is held until its newline comes, and is a P
 * at the end of the incarnation. When the ring is full the caller stops reading for a moment (logger_write takes less than it
 * was given); when the log writer does not advance for LOG_PATIENCE_MS the caller asks to drop: whole lines are counted away
 * until half of the ring is free, then a gap record says how many. A dead disk so delays the program once, by that much. */
#pragma once

#include "shim/logwriter.h"

#include <stddef.h>

#define LOG_PART	(16u << 10)
#define LOG_PATIENCE_MS 100
#define LOG_CHUNK	(64u << 10) /* of one read: what a pipe holds */

struct log_hold {
	char *text; /* LOG_PART bytes */
	uint32_t len;
	bool cut; /* a part of this line was dropped: so are the others */
};

struct logger {
	struct ring ring;
	struct logwriter writer;
	char *chunk;		 /* LOG_CHUNK bytes to read into; the holds lie behind it */
	struct log_hold hold[2]; /* stdout, stderr */
	char header[LOG_HEADER];
	int64_t header_second;
	bool on; /* this incarnation has a log */
	bool dropping;
	uint64_t gap_lines, gap_bytes;	       /* owed to the ring */
	uint64_t dropped_lines, dropped_bytes; /* totals */
};

int logger_init(struct logger *l);
int logger_prepare(struct logger *l); /* the ring and the writer, unless they are there */
/* For the next incarnation; NULL: no log. */
int logger_open(struct logger *l, const struct log_target *t);

/* How many bytes were taken. Less than len: no room; come again when the writer's event says so. force: drop what has none. */
size_t logger_write(struct logger *l, int stream, const char *data, size_t len, bool force);
void logger_end(struct logger *l);  /* of the incarnation: unterminated lines */
void logger_tick(struct logger *l); /* now and then: a gap that is owed while nothing else comes */
void logger_trim(struct logger *l); /* idle: gives memory back */

void logger_want_room(struct logger *l);
bool logger_flushed(struct logger *l); /* all is written; else the writer's event will tell */
void logger_totals(const struct logger *l, uint64_t *lines, uint64_t *bytes);
