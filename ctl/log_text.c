/* ctl/log_text.c - see ctl/log_text.h */
#include "ctl/log_text.h"

#include "proto/cri.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void log_text_init(struct log_text *t, FILE *out, FILE *err, bool timestamps)
{
	*t = (struct log_text){.out = out, .err = err, .timestamps = timestamps};
	buf_init(&t->line, 0);
}

static bool is_repeated(struct log_text *t, const struct cri_line *l)
{
	bool same = strlen(t->last) == l->time_len && !memcmp(t->last, l->time, l->time_len);

	if (same && t->skip) {
		t->skip--;
		return true;
	}
	t->skip = 0;
	t->n_last = same ? t->n_last + 1 : 1;
	if (!same)
		snprintf(t->last, sizeof t->last, "%.*s", (int)l->time_len, l->time);
	return false;
}

static void line_write(struct log_text *t, const char *line, size_t len)
{
	struct cri_line l;
	FILE *f;

	if (!cri_parse(line, len, &l)) {
		fprintf(t->err, "[berth: a damaged line of the log: %.*s]\n", len > 80 ? 80 : (int)len, line);
		return;
	}
	if (is_repeated(t, &l))
		return;
	if (l.gap) {
		fflush(t->out);
		fprintf(t->err, "[berth: %" PRIu64 " lines, %" PRIu64 " bytes dropped]\n", l.gap_lines, l.gap_bytes);
		return;
	}
	f = l.stream == 1 ? t->out : t->err;
	/* stderr has no buffer of its own: what came before it on stdout comes first on a terminal too. */
	if (l.stream == 2)
		fflush(t->out);
	if (t->timestamps && !t->within[l.stream])
		fprintf(f, "%.*s ", (int)l.time_len, l.time);
	fwrite(l.text, 1, l.text_len, f);
	if (!l.partial)
		fputc('\n', f);
	t->within[l.stream] = l.partial;
}

void log_text_feed(struct log_text *t, const char *data, size_t len)
{
	const char *end = data + len, *nl;

	while ((nl = memchr(data, '\n', (size_t)(end - data)))) {
		if (t->line.len) {
			buf_add(&t->line, data, (size_t)(nl - data));
			if (!t->line.failed)
				line_write(t, t->line.data, t->line.len);
			buf_reset(&t->line);
		} else {
			line_write(t, data, (size_t)(nl - data));
		}
		data = nl + 1;
	}
	buf_add(&t->line, data, (size_t)(end - data));
}

void log_text_resume(struct log_text *t)
{
	buf_reset(&t->line);
	t->skip = t->n_last;
}

void log_text_fini(struct log_text *t)
{
	fflush(t->out);
	buf_fini(&t->line);
}
