/* ctl/log_text.h - a stream of CRI log lines into the text that the program wrote. Parts are joined as they come, nothing is
 * held back: a line of any length needs no memory. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdio.h>

struct log_text {
	FILE *out, *err;
	bool timestamps;
	bool within[3];	 /* by stream: its last record was a part */
	struct buf line; /* the beginning of a line whose end has not come yet */
};

void log_text_init(struct log_text *t, FILE *out, FILE *err, bool timestamps);
void log_text_feed(struct log_text *t, const char *data, size_t len);
void log_text_fini(struct log_text *t);
