/* ctl/args.c - see ctl/args.h */
#include "ctl/args.h"

#include "base/str.h"

#include <errno.h>
#include <string.h>

int flag_bool(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)e; /* args_parse lets only "true" and "false" reach a switch */
	*(bool *)((char *)opts + f->offset) = !strcmp(value, "true");
	return 0;
}

int flag_text(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)e;
	*(const char **)((char *)opts + f->offset) = value;
	return 0;
}

int flag_list(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)e;
	strings_add((struct strings *)((char *)opts + f->offset), value);
	return 0;
}

int flag_u32(void *opts, const struct flag *f, const char *value, struct err *e)
{
	if (str_to_u32(value, (uint32_t *)((char *)opts + f->offset)))
		return err_set(e, EINVAL, "flag", "\"%s\" is not a number", value);
	return 0;
}

int flag_i64(void *opts, const struct flag *f, const char *value, struct err *e)
{
	if (str_to_i64(value, (int64_t *)((char *)opts + f->offset)))
		return err_set(e, EINVAL, "flag", "\"%s\" is not a number", value);
	return 0;
}

int flag_refused(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)opts;
	(void)value;
	return err_set(e, EOPNOTSUPP, "flag", "%s", f->complete);
}

struct parse {
	const struct flag_table *tables;
	char *opts;
	int argc, at;
	char **argv;
	struct err *e;
};

static const struct flag *flag_find(const struct parse *p, const char *name, size_t len, char letter,
				    const struct flag_table **ret_table)
{
	const struct flag *f;

	args_each(f, p->tables)
	{
		if (letter ? f->letter == letter : strlen(f->name) == len && !strncmp(f->name, name, len)) {
			*ret_table = t_;
			return f;
		}
	}
	return NULL;
}

/* How the user wrote it, for messages: "-m" or "--memory". */
static const char *flag_words(const struct flag *f, bool is_long, char buf[80])
{
	if (is_long)
		snprintf(buf, 80, "--%s", f->name);
	else
		snprintf(buf, 80, "-%c", f->letter);
	return buf;
}

static int flag_apply(struct parse *p, const struct flag_table *t, const struct flag *f, bool is_long,
		      const char *value)
{
	struct flag written = *f; /* refusals name it so */
	char words[80];
	int r;

	if (is_long)
		written.letter = 0;
	flag_words(f, is_long, words);
	if (!f->arg && f->set != flag_refused) {
		if (!strcmp(value, "1") || !strcmp(value, "0"))
			value = value[0] == '1' ? "true" : "false";
		if (strcmp(value, "true") && strcmp(value, "false"))
			return err_set(p->e, EINVAL, "flag", "%s takes true or false, not \"%s\"", words, value);
	}
	r = f->set(p->opts + t->offset, &written, value, p->e);
	if (r < 0) {
		err_wrap(p->e, "%s", words);
		p->e->code = 0; /* the text says it all */
	}
	return r;
}

static int unknown(struct parse *p, const char *word, size_t len)
{
	err_set(p->e, 0, "flag", "unknown flag: %.*s", (int)len, word);
	return ARGS_USAGE;
}

static int value_missing(struct parse *p, const struct flag *f, const char *words)
{
	err_set(p->e, 0, "flag", "%s needs a value: %s", words, f->arg);
	return ARGS_USAGE;
}

/* --name, --name=value, --name value */
static int parse_long(struct parse *p, const char *word)
{
	const char *name = word + 2, *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct flag_table *t;
	const struct flag *f = flag_find(p, name, len, 0, &t);
	char words[80];

	if (!f && len == 4 && !strncmp(name, "help", 4))
		return ARGS_HELP;
	if (!f)
		return unknown(p, word, len + 2);
	if (eq)
		return flag_apply(p, t, f, true, eq + 1);
	if (!f->arg || f->set == flag_refused)
		return flag_apply(p, t, f, true, "true");
	if (p->at == p->argc)
		return value_missing(p, f, flag_words(f, true, words));
	return flag_apply(p, t, f, true, p->argv[p->at++]);
}

/* -abc: switches up to the first that takes a value, which is the rest of the word or the next one */
static int parse_letters(struct parse *p, const char *word)
{
	char words[80];

	for (const char *c = word + 1; *c; c++) {
		const struct flag_table *t;
		const struct flag *f = flag_find(p, NULL, 0, *c, &t);
		int r;

		if (!f && *c == 'h')
			return ARGS_HELP;
		if (!f) {
			char one[3] = {'-', *c, 0};

			return unknown(p, one, 2);
		}
		if (!f->arg || f->set == flag_refused) {
			const char *value = c[1] == '=' ? c + 2 : "true";

			r = flag_apply(p, t, f, false, value);
			if (r < 0 || c[1] == '=')
				return r;
			continue;
		}
		if (c[1])
			return flag_apply(p, t, f, false, c + 1 + (c[1] == '='));
		if (p->at == p->argc)
			return value_missing(p, f, flag_words(f, false, words));
		return flag_apply(p, t, f, false, p->argv[p->at++]);
	}
	return 0;
}

int args_parse(const struct flag_table *tables, bool command_follows, void *opts, int argc, char **argv,
	       struct strings *ret_operands, struct err *e)
{
	struct parse p = {.tables = tables, .opts = opts, .argc = argc, .argv = argv, .e = e};
	bool flags_over = false;

	while (p.at < argc) {
		const char *word = argv[p.at++];
		int r = 0;

		if (flags_over || word[0] != '-' || !word[1]) {
			strings_add(ret_operands, word);
			flags_over = flags_over || command_follows;
		} else if (!strcmp(word, "--")) {
			flags_over = true;
		} else if (word[1] == '-') {
			r = parse_long(&p, word);
		} else {
			r = parse_letters(&p, word);
		}
		if (r)
			return r;
	}
	return 0;
}

void args_help(FILE *out, const struct flag_table *tables)
{
	const struct flag *f;
	bool any = false;

	args_each(f, tables)
	{
		char left[80];

		if (!f->help)
			continue;
		if (!any)
			fputs("\nFlags:\n", out);
		any = true;
		snprintf(left, sizeof left, "%c%c%s--%s%s%s", f->letter ? '-' : ' ', f->letter ? f->letter : ' ',
			 f->letter ? ", " : "  ", f->name, f->arg ? " " : "", f->arg ? f->arg : "");
		fprintf(out, strlen(left) > 30 ? "  %s\n  %-30s  %s\n" : "  %-30s%s  %s\n", left, "", f->help);
	}
}

const struct flag *args_find_field(const struct flag_table *tables, const char *field)
{
	const struct flag *f;

	args_each(f, tables)
	{
		size_t len = f->field ? strlen(f->field) : 0;

		if (len && !strncmp(f->field, field, len) && (!field[len] || field[len] == '[' || field[len] == '.'))
			return f;
	}
	return NULL;
}
