/* image/words.c - see image/words.h */
#include "image/words.h"

#include "base/buf.h"
#include "base/own.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int texts_add(struct texts *l, const char *text, struct err *e)
{
	char **more;

	if (l->n >= LIST_MAX)
		return err_set(e, EINVAL, STEP, "more than %u entries", LIST_MAX);
	more = realloc(l->item, (l->n + 1) * sizeof *more);
	if (!more)
		return NO_MEMORY;
	l->item = more;
	l->item[l->n] = strdup(text);
	if (!l->item[l->n])
		return NO_MEMORY;
	l->n++;
	return 0;
}

void texts_free(struct texts *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->item[i]);
	free(l->item);
	*l = (struct texts){0};
}

static const char *env_find(const Berth__ImageConfig *config, const char *name, size_t len)
{
	for (size_t i = 0; i < config->n_env; i++)
		if (!strncmp(config->env[i], name, len) && config->env[i][len] == '=')
			return config->env[i] + len + 1;
	return NULL;
}

static size_t name_length(const char *p)
{
	size_t n = 0;

	if (isdigit((unsigned char)*p))
		return 1;
	while (isalnum((unsigned char)p[n]) || p[n] == '_')
		n++;
	return n;
}

static const char *expand(const Berth__ImageConfig *config, const char *p, struct buf *out, unsigned depth,
			  struct err *e);

/* "NAME}", "NAME:-word}" or "NAME:+word}": what stands behind "${". */
static const char *braces_expand(const Berth__ImageConfig *config, const char *p, struct buf *out, unsigned depth,
				 struct err *e)
{
	size_t len = name_length(p);
	const char *value = env_find(config, p, len);
	bool then = !strncmp(p + len, ":+", 2), otherwise = !strncmp(p + len, ":-", 2);
	struct buf word;

	if (!len || (p[len] != '}' && !then && !otherwise)) {
		err_set(e, EINVAL, STEP, "\"${%.60s\": not ${NAME}, ${NAME:-word} or ${NAME:+word}", p);
		return NULL;
	}
	if (p[len] == '}') {
		buf_adds(out, value ? value : "");
		return p + len + 1;
	}
	buf_init(&word, WORD_MAX);
	for (p += len + 2; p && *p && *p != '}';) {
		if (*p == '$') {
			p = expand(config, p, &word, depth + 1, e);
			continue;
		}
		if (*p == '\\' && p[1])
			p++;
		buf_addc(&word, *p++);
	}
	if (p && *p == '}') {
		bool set = value && *value;

		buf_adds(out, then == set && word.len ? word.data : otherwise && set ? value : "");
		p++;
	} else if (p) {
		err_set(e, EINVAL, STEP, "a \"${\" without its \"}\"");
		p = NULL;
	}
	buf_fini(&word);
	return p;
}

/* p is at a '$'; behind what it stands for, or NULL. */
static const char *expand(const Berth__ImageConfig *config, const char *p, struct buf *out, unsigned depth,
			  struct err *e)
{
	size_t len = name_length(p + 1);
	const char *value;

	if (depth > 8) {
		err_set(e, EINVAL, STEP, "variables within variables");
		return NULL;
	}
	if (p[1] == '{')
		return braces_expand(config, p + 2, out, depth, e);
	if (!len) {
		buf_addc(out, '$');
		return p + 1;
	}
	value = env_find(config, p + 1, len);
	buf_adds(out, value ? value : "");
	return p + 1 + len;
}

/* In quotes, from behind the first one. */
static const char *quotes_read(const Berth__ImageConfig *config, const char *p, char quote, struct buf *out,
			       struct err *e)
{
	while (p && *p && *p != quote) {
		if (quote == '"' && *p == '$') {
			p = expand(config, p, out, 0, e);
			continue;
		}
		if (quote == '"' && *p == '\\' && (p[1] == '"' || p[1] == '$' || p[1] == '\\'))
			p++;
		buf_addc(out, *p++);
	}
	if (p && !*p) {
		err_set(e, EINVAL, STEP, "a quote that does not end");
		return NULL;
	}
	return p ? p + 1 : NULL;
}

const char *word_read(const Berth__ImageConfig *config, const char *p, bool whole, struct buf *out, struct err *e)
{
	while (p && *p && (whole || !strchr(BLANKS, *p))) {
		if (*p == '\'' || *p == '"') {
			p = quotes_read(config, p + 1, *p, out, e);
		} else if (*p == '$') {
			p = expand(config, p, out, 0, e);
		} else {
			if (*p == '\\' && p[1])
				p++;
			buf_addc(out, *p++);
		}
	}
	if (p && out->failed) {
		err_set(e, EINVAL, STEP, "longer than %u bytes", WORD_MAX);
		return NULL;
	}
	return p;
}

const char *blanks_skip(const char *p)
{
	return p + strspn(p, BLANKS);
}

int words_read(const Berth__ImageConfig *config, const char *p, struct texts *ret, struct err *e)
{
	int r = 0;

	for (p = blanks_skip(p); !r && *p; p = blanks_skip(p)) {
		struct buf word;

		buf_init(&word, WORD_MAX);
		p = word_read(config, p, false, &word, e);
		r = p ? texts_add(ret, word.len ? word.data : "", e) : -EINVAL;
		buf_fini(&word);
		if (!p)
			break;
	}
	return r;
}

int words_one(const Berth__ImageConfig *config, const char *rest, char **ret, struct err *e)
{
	struct texts words = {0};
	int r = words_read(config, rest, &words, e);

	if (!r && words.n != 1)
		r = err_set(e, EINVAL, STEP, "it takes one argument, not %zu", words.n);
	if (!r)
		*ret = take_ptr(words.item[0]);
	texts_free(&words);
	return r;
}

int words_json(const char *text, struct texts *ret, struct err *e)
{
	json_t *list = *text == '[' ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int r = 0;

	if (!json_is_array(list)) {
		json_decref(list);
		return 1;
	}
	for (size_t i = 0; !r && i < json_array_size(list); i++) {
		const char *item = json_string_value(json_array_get(list, i));

		r = item ? texts_add(ret, item, e) : err_set(e, EINVAL, STEP, "entry %zu of the list is no string", i);
	}
	json_decref(list);
	return r;
}
