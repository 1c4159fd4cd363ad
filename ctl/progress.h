/* ctl/progress.h - how far an import or a pull is, from berthd's progress events: bars on a terminal, lines elsewhere, or JSON. */
#pragma once

#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct progress_part { /* a layer */
	char id[80];
	char state[24];
	uint64_t at, size;
};

struct progress {
	enum { PROGRESS_LINES, PROGRESS_BARS, PROGRESS_JSON, PROGRESS_NONE } kind;
	struct progress_part *part; /* owned */
	unsigned n_parts, n_drawn;  /* n_drawn: lines on the terminal below which the next is written */
	uint64_t drawn_ns;
};

/* Bars when stderr is a terminal. */
void progress_init(struct progress *p, bool quiet, bool json);
void progress_events(struct progress *p, const Berth__EventBatch *batch);
/* Takes bars off the terminal: what follows stands in their place. */
void progress_end(struct progress *p);

void progress_json(const ProtobufCMessage *m); /* a line of JSON on stdout */
/* One bar, as wide as the terminal; for tests. */
const char *progress_line(const struct progress_part *part, unsigned cols, char *buf, size_t size);
