/* shim/logwriter.h - the second task: takes finished lines from the ring and writes them to files. Nothing else of the shim
 * ever touches a disk after the launch: a write to a stalled disk sleeps in state D even on a non-blocking descriptor.
 *
 * Files in `dir`: current.log, and by age 1.log (newest) … <max_files-1>.log; a file is rotated between lines, before it would
 * exceed max_bytes. What cannot be written is counted, and a gap record is owed from then on: it is written before the next line
 * that can be, and retried every second when nothing comes. This task allocates nothing: it may die with a child's copy. */
#pragma once

#include "shim/ring.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_DIR_MAX   512
#define LOG_HEADER    40 /* "<30 of time> stdout F " */
#define LOG_TAG_AT    38
#define LOG_GAP_MAX   128
#define LOG_RING_SIZE (256u << 10)

struct log_target {
	char dir[LOG_DIR_MAX];
	uint64_t max_bytes; /* 0 = never rotated */
	uint32_t max_files; /* at least 1 */
};

struct logwriter {
	struct ring *ring;
	int event_fd; /* to the loop: there is room, or all is written, as asked for below */
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* held for a copy of target, never for I/O */
	struct log_target target;
	_Atomic uint32_t target_version;

	_Atomic uint32_t want_room;  /* ring event_fd when half of the ring is free */
	_Atomic uint32_t want_empty; /* … when all is written */
	_Atomic uint32_t stop;
	_Atomic uint64_t lost_lines, lost_bytes; /* by failed writes, totals */

	/* The thread's own. */
	struct log_target now;
	uint32_t now_version;
	int dir_fd, fd;
	uint64_t size;
	uint64_t gap_lines, gap_bytes; /* owed */
	bool failing;		       /* said so already */
};

int logwriter_start(struct logwriter *w,
		    struct ring *ring); /* negative errno; nothing may be put in before a target is set */
void logwriter_retarget(struct logwriter *w, const struct log_target *t); /* for lines from now on, about */

/* Text of a gap record, with its newline; the length. */
unsigned log_gap_format(char buf[LOG_GAP_MAX], const char stamp[30], uint64_t lines, uint64_t bytes);
/* What is lost with these finished lines: lines and bytes of the program's own, gap records taken apart. */
void log_lines_count(const char *text, uint32_t len, uint64_t *lines, uint64_t *bytes, uint64_t *gap_lines,
		     uint64_t *gap_bytes);
/* One turn of the thread, for tests: takes what there is. */
void logwriter_turn(struct logwriter *w);
