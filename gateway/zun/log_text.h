/* gateway/zun/log_text.h - a log in CRI lines as the one text that Zun's clients get. Pure. */
#pragma once

#include "base/buf.h"

/* Adds the text of stdout and stderr as they came, each line after its time if `timestamps`; what is no CRI line is left out. */
void log_text(struct buf *b, const char *cri, size_t len, bool timestamps);
