/* ctl/format.c - see ctl/format.h */
#include "ctl/format.h"

#include "base/own.h"
#include "base/str.h"
#include "ctl/json_path.h"
#include "proto/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_ROW(letter)                                                                                             \
	{                                                                                                              \
		letter, "format", "FORMAT", "json, table, or a template: {{.meta.name}}", flag_text,                   \
			offsetof(struct format_opts, format), .complete = "json table"                                 \
	}

static int format_without_table(void *opts, const struct flag *f, const char *value, struct err *e)
{
	if (!strcmp(value, "table"))
		return err_set(e, EINVAL, "flag",
			       "there is no table of this: json, or a template such as '{{.meta.name}}'");
	return flag_text(opts, f, value, e);
}

const struct flag format_flags[] = {FORMAT_ROW(0), {0}};
const struct flag format_inspect_flags[] = {
	{'f', "format", "FORMAT", "json, or a template: {{.meta.name}}", format_without_table,
	 offsetof(struct format_opts, format), .complete = "json"},
	{0},
};
const struct flag format_f_flags[] = {FORMAT_ROW('f'), {0}};
const struct flag format_list_flags[] = {
	FORMAT_ROW(0),
	{'q', "quiet", NULL, "ids only", flag_bool, offsetof(struct format_opts, quiet)},
	{0, "no-trunc", NULL, "nothing cut", flag_bool, offsetof(struct format_opts, no_trunc)},
	{0},
};

bool format_is_table(const struct format_opts *o)
{
	return !o->quiet && (!o->format || !strcmp(o->format, "table"));
}

bool format_is_json(const struct format_opts *o)
{
	return o->format && !strcmp(o->format, "json");
}

/* ---------------------------------------------------------------- templates */

struct template
{
	const char *at;
	bool whole;    /* it is one expression without braces: ".status.pid" */
	bool unclosed; /* a "{{" without "}}": found at the end */
};

struct piece {
	const char *text;
	size_t len;
	bool is_expression;
};

static struct template template_begin(const char *text)
{
	return (struct template){.at = text, .whole = text[0] == '.' && !strstr(text, "{{")};
}

/* The next piece: plain text, or an expression without its braces. */
static bool piece_next(struct template *t, struct piece *ret)
{
	const char *open = strstr(t->at, "{{"), *close;

	if (!*t->at)
		return false;
	if (t->whole || open != t->at) {
		*ret = (struct piece){t->at, open ? (size_t)(open - t->at) : strlen(t->at), t->whole};
		t->at += ret->len;
		return true;
	}
	close = strstr(open, "}}");
	t->unclosed = !close;
	if (!close)
		return false;
	t->at = close + 2;
	for (open += 2; *open == ' '; open++)
		;
	while (close > open && close[-1] == ' ')
		close--;
	*ret = (struct piece){open, (size_t)(close - open), true};
	return true;
}

/* "json .spec" -> ".spec", raw. */
static char *expression_path(const struct piece *p, bool *ret_raw)
{
	*ret_raw = p->len > 5 && !strncmp(p->text, "json ", 5);
	return mem_textn(p->text + (*ret_raw ? 5 : 0), p->len - (*ret_raw ? 5 : 0));
}

static int expression_check(const struct piece *p, const ProtobufCMessageDescriptor *type, struct err *e)
{
	const ProtobufCMessageDescriptor *in;
	bool raw;
	AUTO_FREE char *path = expression_path(p, &raw);
	size_t good;
	char names[300] = "";

	if (path[0] != '.')
		return err_set(e, 0, "format", "--format: \"%s\" is not a field: write {{.name}} or {{json .name}}",
			       path);
	if (json_path_check(type, path, &good, &in))
		return 0;
	if (!in)
		return err_set(e, 0, "format", "--format: there is nothing below %.*s", (int)good, path);
	for (unsigned i = 0; i < in->n_fields; i++) {
		size_t len = strlen(names);

		snprintf(names + len, sizeof names - len, "%s%s", i ? " " : "", in->fields[i].name);
	}
	return err_set(e, 0, "format", "--format: there is no \"%s\" in %s%.*s; there are: %s", path + good,
		       in->short_name, (int)good, path, names);
}

int format_check(const struct format_opts *o, const ProtobufCMessageDescriptor *type, struct err *e)
{
	const char *p = o->format;
	struct template t;
	struct piece piece;

	if (!p || format_is_json(o) || format_is_table(o))
		return 0;
	if (str_starts(p, "table "))
		return err_set(e, 0, "format",
			       "--format: the table has its own columns: table alone, or a template alone");
	if (p[0] != '.' && !strstr(p, "{{"))
		return err_set(e, 0, "format",
			       "--format: \"%s\" is not json, table or a template such as '{{.meta.name}}'", p);
	t = template_begin(p);
	while (piece_next(&t, &piece)) {
		int r = piece.is_expression ? expression_check(&piece, type, e) : 0;

		if (r < 0)
			return r;
	}
	return t.unclosed ? err_set(e, 0, "format", "--format: a \"{{\" is not closed") : 0;
}

static void plain_add(struct buf *b, const struct piece *p)
{
	for (size_t i = 0; i < p->len; i++) {
		bool escape = p->text[i] == '\\' && i + 1 < p->len && (p->text[i + 1] == 'n' || p->text[i + 1] == 't');

		buf_addc(b, !escape ? p->text[i] : p->text[i + 1] == 'n' ? '\n' : '\t');
		i += escape;
	}
}

void format_expand(struct buf *b, const char *template, const ProtobufCMessage *m)
{
	struct template t = template_begin(template);
	struct buf json;
	struct piece piece;
	bool raw;

	buf_init(&json, 0);
	json_message(&json, m, false);
	while (!json.failed && piece_next(&t, &piece)) {
		if (!piece.is_expression) {
			plain_add(b, &piece);
			continue;
		}
		AUTO_FREE char *path = expression_path(&piece, &raw);
		if (!json_path(json.data, path, raw, b) && raw)
			buf_adds(b, "null");
	}
	b->failed = b->failed || json.failed;
	buf_fini(&json);
}

/* ---------------------------------------------------------------- printing */

static void buf_print(struct buf *b)
{
	if (b->failed) {
		fputs("berth: out of memory\n", stderr);
		abort();
	}
	fwrite(b->data ? b->data : "", 1, b->len, stdout);
	fputc('\n', stdout);
	buf_fini(b);
}

static void template_print(const struct format_opts *o, const ProtobufCMessage *m)
{
	struct buf b;

	buf_init(&b, 0);
	format_expand(&b, o->format, m);
	buf_print(&b);
}

void format_print(const struct format_opts *o, void *const *messages, size_t n)
{
	struct buf b;

	if (!format_is_json(o)) {
		for (size_t i = 0; i < n; i++)
			template_print(o, messages[i]);
		return;
	}
	buf_init(&b, 0);
	json_messages(&b, (const ProtobufCMessage *const *)messages, n, true);
	buf_print(&b);
}

void format_print_one(const struct format_opts *o, const void *message)
{
	struct buf b;

	if (!format_is_json(o)) {
		template_print(o, message);
		return;
	}
	buf_init(&b, 0);
	json_message(&b, message, true);
	buf_print(&b);
}
