/* gateway/zun/log_text.c - see gateway/zun/log_text.h */
#include "gateway/zun/log_text.h"

#include "proto/cri.h"

#include <inttypes.h>
#include <string.h>

void log_text(struct buf *b, const char *cri, size_t len, bool timestamps)
{
	const char *end = cri + len, *nl;
	bool within[3] = {false}; /* the last line of this stream goes on */
	struct cri_line l;

	for (; cri < end; cri = nl + 1) {
		nl = memchr(cri, '\n', (size_t)(end - cri));
		if (!nl)
			nl = end;
		/* Torn by a crash of the host, or by us at the beginning: the others are whole. */
		if (!cri_parse(cri, (size_t)(nl - cri), &l))
			continue;
		if (l.gap) {
			buf_printf(b, "[berth: %" PRIu64 " lines, %" PRIu64 " bytes dropped]\n", l.gap_lines,
				   l.gap_bytes);
			continue;
		}
		if (timestamps && !within[l.stream]) {
			buf_add(b, l.time, l.time_len);
			buf_addc(b, ' ');
		}
		buf_add(b, l.text, l.text_len);
		if (!l.partial)
			buf_addc(b, '\n');
		within[l.stream] = l.partial;
	}
}
