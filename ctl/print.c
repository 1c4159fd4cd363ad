/* ctl/print.c - see ctl/print.h */
#include "ctl/print.h"

#include "base/loop.h"
#include "base/own.h"
#include "ctl/mem.h"

#include <libsmartcols/libsmartcols.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct table {
	struct libscols_table *scols;
	struct libscols_line *line;
	size_t cell;
};

struct table *table_new(const struct column *columns, size_t n, bool no_trunc)
{
	struct table *t = mem_zero(sizeof *t);

	/* Widths of characters. Four files are read for it: who prints no table has no use for them. */
	setlocale(LC_CTYPE, "");
	t->scols = scols_new_table();
	if (!t->scols)
		abort(); /* out of memory */
	for (size_t i = 0; i < n; i++) {
		int flags =
			(columns[i].right ? SCOLS_FL_RIGHT : 0) | (columns[i].shrink && !no_trunc ? SCOLS_FL_TRUNC : 0);

		if (!scols_table_new_column(t->scols, columns[i].title, 0, flags))
			abort();
	}
	scols_table_set_column_separator(t->scols, "  ");
	return t;
}

void table_free(struct table *t)
{
	if (t)
		scols_unref_table(t->scols);
	free(t);
}

void table_line(struct table *t)
{
	t->line = scols_table_new_line(t->scols, NULL);
	if (!t->line)
		abort();
	t->cell = 0;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0 || scols_line_refer_data(t->line, t->cell++, text))
		abort();
	va_end(ap);
}

/* libsmartcols prints nothing of a table without lines, and nothing looks like a failure. */
static void titles_print(struct table *t, FILE *out)
{
	struct libscols_iter *at = scols_new_iter(SCOLS_ITER_FORWARD);
	struct libscols_column *c;
	const char *blank = "";

	if (!at)
		abort();
	while (scols_table_next_column(t->scols, at, &c) == 0) {
		fprintf(out, "%s%s", blank, scols_cell_get_data(scols_column_get_header(c)));
		blank = "  ";
	}
	fputc('\n', out);
	scols_free_iter(at);
}

void table_print(struct table *t)
{
	if (scols_table_get_nlines(t->scols))
		scols_print_table(t->scols);
	else
		titles_print(t, stdout);
}

char *table_text(struct table *t)
{
	char *text = NULL;
	size_t len;
	FILE *out;

	if (scols_table_get_nlines(t->scols)) {
		if (scols_print_table_to_string(t->scols, &text))
			abort();
		return text;
	}
	out = open_memstream(&text, &len);
	if (!out)
		abort();
	titles_print(t, out);
	fclose(out);
	return text;
}

const char *print_size(uint64_t bytes, char buf[PRINT_SIZE])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1023.95 && u + 1 < ARRAY_SIZE(units)) { /* what would print as 1024.0 */
		v /= 1024;
		u++;
	}
	if (!u || v >= 99.95)
		snprintf(buf, PRINT_SIZE, "%.0f%s", v, units[u]);
	else
		snprintf(buf, PRINT_SIZE, "%.1f%s", v, units[u]);
	return buf;
}

const char *print_duration(int64_t ns, char buf[PRINT_SIZE])
{
	static const struct {
		int64_t seconds;
		const char *word;
	} units[] = {
		{365 * 86400, "year"}, {30 * 86400, "month"}, {7 * 86400, "week"}, {86400, "day"},
		{3600, "hour"},	       {60, "minute"},	      {1, "second"},
	};
	int64_t s = ns / (int64_t)NS_PER_S;

	if (s < 1) {
		snprintf(buf, PRINT_SIZE, "%lld ms", ns < 0 ? 0LL : (long long)(ns / (int64_t)NS_PER_MS));
		return buf;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		int64_t n = s / units[i].seconds;

		/* Two of the next smaller unit say more than one of a larger: 90 minutes, but 2 hours. */
		if (n >= 2 || (n == 1 && units[i].seconds == 1)) {
			snprintf(buf, PRINT_SIZE, "%lld %s%s", (long long)n, units[i].word, n == 1 ? "" : "s");
			return buf;
		}
	}
	return buf;
}

const char *print_ago(int64_t at_ns, int64_t now_ns, char buf[PRINT_SIZE])
{
	buf[0] = 0;
	if (!at_ns)
		return buf;
	print_duration(now_ns - at_ns, buf);
	strncat(buf, " ago", PRINT_SIZE - strlen(buf) - 1);
	return buf;
}

const char *print_when(int64_t at_ns, char buf[PRINT_SIZE])
{
	time_t s = (time_t)(at_ns / (int64_t)NS_PER_S);
	struct tm tm;

	buf[0] = 0;
	if (at_ns && localtime_r(&s, &tm))
		strftime(buf, PRINT_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
	return buf;
}

const char *print_short_id(const char *uuid, char buf[PRINT_SIZE])
{
	size_t n = 0;

	for (; uuid && *uuid && n < 12; uuid++)
		if (*uuid != '-')
			buf[n++] = *uuid;
	buf[n] = 0;
	return buf;
}
