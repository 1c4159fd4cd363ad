/* proto/cri.h - lines of the CRI log format: "<RFC 3339> stdout|stderr F|P[:tag…] <message>". P: the line goes on in the next
 * record of the same stream. F:gap: berth dropped lines here ("lines=N bytes=M"). Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cri_line {
	const char *time; /* not terminated */
	size_t time_len;
	int stream; /* 1 stdout, 2 stderr */
	bool partial;
	bool gap;
	uint64_t gap_lines, gap_bytes;
	const char *text; /* not terminated */
	size_t text_len;
};

/* line without its newline. False: it is not such a line. */
bool cri_parse(const char *line, size_t len, struct cri_line *ret);
