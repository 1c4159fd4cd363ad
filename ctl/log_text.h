/* ctl/log_text.h - a stream of CRI log lines into the text that the program wrote. Parts are joined as they come, nothing is
 * held back: a line of any length needs no memory. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdio.h>

struct log_text {
	FILE *out, *err;
	bool timestamps;
	bool within[3];		  /* by stream: its last record was a part */
	char last[STR_TIME_SIZE]; /* time of the last record, "" before the first */
	unsigned n_last;	  /* how many had that time */
	unsigned skip;		  /* of those, to be left out because they come a second time */
	struct buf line;	  /* the beginning of a line whose end has not come yet */
};

void log_text_init(struct log_text *t, FILE *out, FILE *err, bool timestamps);
void log_text_feed(struct log_text *t, const char *data, size_t len);
/* What is fed next begins at the time `last`, or anew when there was none: what was written already is not written again. */
void log_text_resume(struct log_text *t);
void log_text_fini(struct log_text *t);
