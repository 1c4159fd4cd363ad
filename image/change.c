/* image/change.c - see image/change.h */
#include "image/change.h"

#include "base/buf.h"
#include "base/own.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LIST_MAX  8192u /* as oci.c takes them */
#define WORD_MAX  (128u << 10)
#define BLANKS	  " \t\r\n"
#define STEP	  "changes"
#define NO_MEMORY err_set(e, ENOMEM, STEP, "no memory")

struct texts { /* owned strings */
	char **item;
	size_t n;
};

static int texts_add(struct texts *l, const char *text, struct err *e)
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

static void texts_free(struct texts *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->item[i]);
	free(l->item);
	*l = (struct texts){0};
}

/* ---------------------------------------------------------------- words */

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

/* The word at p, up to a blank that is neither quoted nor escaped (whole: to the end of the text). NULL: e. */
static const char *word_read(const Berth__ImageConfig *config, const char *p, bool whole, struct buf *out,
			     struct err *e)
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

static const char *blanks_skip(const char *p)
{
	return p + strspn(p, BLANKS);
}

static int words_read(const Berth__ImageConfig *config, const char *p, struct texts *ret, struct err *e)
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

/* The one word that there is to be. */
static int one_word(const Berth__ImageConfig *config, const char *rest, char **ret, struct err *e)
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

/* ["a", "b"]; 1: it is none, but may be a command for a shell that begins with a bracket. */
static int json_read(const char *text, struct texts *ret, struct err *e)
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

/* ---------------------------------------------------------------- into the config */

static void texts_into(struct texts *from, char ***list, size_t *n)
{
	struct texts old = {*list, *n};

	texts_free(&old);
	*list = from->item;
	*n = from->n;
	*from = (struct texts){0};
}

static int list_add(char ***list, size_t *n, const char *text, struct err *e)
{
	struct texts l = {*list, *n};
	int r;

	for (size_t i = 0; i < l.n; i++)
		if (!strcmp(l.item[i], text))
			return 0;
	r = texts_add(&l, text, e);
	*list = l.item;
	*n = l.n;
	return r;
}

static int text_into(char *text, char **field)
{
	if (*field != protobuf_c_empty_string)
		free(*field);
	*field = text;
	return 0;
}

static int env_set(Berth__ImageConfig *config, const char *name, const char *value, struct err *e)
{
	size_t len = strlen(name);
	char *entry;
	int r;

	if (!len)
		return err_set(e, EINVAL, STEP, "a variable without a name");
	if (asprintf(&entry, "%s=%s", name, value) < 0)
		return NO_MEMORY;
	for (size_t i = 0; i < config->n_env; i++) {
		if (strncmp(config->env[i], name, len) || config->env[i][len] != '=')
			continue;
		free(config->env[i]);
		config->env[i] = entry;
		return 0;
	}
	r = list_add(&config->env, &config->n_env, entry, e);
	free(entry);
	return r;
}

static int label_set(Berth__ImageConfig *config, const char *name, const char *value, struct err *e)
{
	Berth__KeyValue **more, *kv;

	if (!*name)
		return err_set(e, EINVAL, STEP, "a label without a name");
	for (size_t i = 0; i < config->n_labels; i++) {
		if (strcmp(config->labels[i]->key, name) != 0)
			continue;
		char *copy = strdup(value);

		return copy ? text_into(copy, &config->labels[i]->value) : NO_MEMORY;
	}
	if (config->n_labels >= LIST_MAX)
		return err_set(e, EINVAL, STEP, "more than %u labels", LIST_MAX);
	more = realloc(config->labels, (config->n_labels + 1) * sizeof *more);
	kv = more ? malloc(sizeof *kv) : NULL;
	if (more)
		config->labels = more;
	if (!kv)
		return NO_MEMORY;
	berth__key_value__init(kv);
	config->labels[config->n_labels++] = kv;
	kv->key = strdup(name);
	kv->value = strdup(value);
	return kv->key && kv->value ? 0 : NO_MEMORY;
}

/* ---------------------------------------------------------------- instructions */

typedef int instruction_fn(struct changes *c, const char *rest, struct err *e);

/* The list of the JSON form, or a shell that is given the text. */
static int command_read(const char *rest, struct texts *ret, struct err *e)
{
	static const char *const shell[] = {"/bin/sh", "-c"};
	int r = json_read(rest, ret, e);

	if (r != 1)
		return r;
	if (!*rest)
		return err_set(e, EINVAL, STEP, "it takes a command, or [] for none");
	for (size_t i = 0; i < ARRAY_SIZE(shell); i++)
		if ((r = texts_add(ret, shell[i], e)) < 0)
			return r;
	return texts_add(ret, rest, e);
}

static int change_command(struct changes *c, const char *rest, struct err *e)
{
	struct texts words = {0};
	int r = command_read(rest, &words, e);

	if (!r) {
		texts_into(&words, &c->config->command, &c->config->n_command);
		c->command_set = true;
	}
	texts_free(&words);
	return r;
}

/* As Docker: a command that was the old entrypoint's arguments goes with it. */
static int change_entrypoint(struct changes *c, const char *rest, struct err *e)
{
	struct texts words = {0}, none = {0};
	int r = command_read(rest, &words, e);

	if (!r) {
		texts_into(&words, &c->config->entrypoint, &c->config->n_entrypoint);
		if (!c->command_set)
			texts_into(&none, &c->config->command, &c->config->n_command);
	}
	texts_free(&words);
	return r;
}

/* "NAME=value NAME=value", or (the old way) "NAME all that follows". */
static int pairs_read(const Berth__ImageConfig *config, const char *rest, struct texts *ret, struct err *e)
{
	size_t first = strcspn(rest, BLANKS "=\"'");
	struct buf text;
	int r;

	if (rest[first] == '=' || rest[first] == '"' || rest[first] == '\'') {
		if ((r = words_read(config, rest, ret, e)) < 0)
			return r;
		for (size_t i = 0; i < ret->n; i++)
			if (!strchr(ret->item[i], '='))
				return err_set(e, EINVAL, STEP, "\"%.60s\" is not NAME=VALUE", ret->item[i]);
		return 0;
	}
	if (!rest[first])
		return err_set(e, EINVAL, STEP, "\"%.60s\" has no value", rest);
	buf_init(&text, WORD_MAX);
	buf_add(&text, rest, first);
	buf_addc(&text, '=');
	r = word_read(config, blanks_skip(rest + first), true, &text, e) ? texts_add(ret, text.data, e) : -EINVAL;
	buf_fini(&text);
	return r;
}

static int pairs_set(struct changes *c, const char *rest,
		     int (*set)(Berth__ImageConfig *, const char *, const char *, struct err *), struct err *e)
{
	struct texts pairs = {0};
	int r = pairs_read(c->config, rest, &pairs, e);

	for (size_t i = 0; !r && i < pairs.n; i++)
		if (pairs.item[i][0] == '=')
			r = err_set(e, EINVAL, STEP, "\"%.60s\" has no name", pairs.item[i]);
	for (size_t i = 0; !r && i < pairs.n; i++) {
		char *value = strchr(pairs.item[i], '=');

		*value++ = 0;
		r = set(c->config, pairs.item[i], value, e);
	}
	texts_free(&pairs);
	return r;
}

static int change_env(struct changes *c, const char *rest, struct err *e)
{
	return pairs_set(c, rest, env_set, e);
}

static int change_label(struct changes *c, const char *rest, struct err *e)
{
	return pairs_set(c, rest, label_set, e);
}

/* "80", "80/udp", "8000-8010/tcp" */
static int ports_add(const char *text, struct texts *ret, struct err *e)
{
	const char *slash = strchr(text, '/'), *protocol = slash ? slash + 1 : "tcp";
	unsigned first, last, n = 0;
	char range[32], port[32];

	snprintf(range, sizeof range, "%.*s", slash ? (int)(slash - text) : 31, text);
	if (sscanf(range, "%5u%n-%5u%n", &first, &n, &last, &n) < 2)
		last = first;
	if (!isdigit((unsigned char)*range) || range[n] || first < 1 || last < first || last > 65535 ||
	    (strcmp(protocol, "tcp") && strcmp(protocol, "udp") && strcmp(protocol, "sctp")))
		return err_set(e, EINVAL, STEP, "\"%.40s\" is not a port: PORT[-PORT][/tcp|udp|sctp]", text);
	for (unsigned i = first; i <= last; i++) {
		int r;

		snprintf(port, sizeof port, "%u/%s", i, protocol);
		if ((r = texts_add(ret, port, e)) < 0)
			return r;
	}
	return 0;
}

static int texts_check_any(const struct texts *words, struct err *e)
{
	return words->n ? 0 : err_set(e, EINVAL, STEP, "it takes an argument");
}

static int change_expose(struct changes *c, const char *rest, struct err *e)
{
	struct texts words = {0}, ports = {0};
	int r = words_read(c->config, rest, &words, e);

	if (!r)
		r = texts_check_any(&words, e);
	for (size_t i = 0; !r && i < words.n; i++)
		r = ports_add(words.item[i], &ports, e);
	for (size_t i = 0; !r && i < ports.n; i++)
		r = list_add(&c->config->exposed_ports, &c->config->n_exposed_ports, ports.item[i], e);
	texts_free(&words);
	texts_free(&ports);
	return r;
}

static int change_volume(struct changes *c, const char *rest, struct err *e)
{
	struct texts words = {0};
	int r = json_read(rest, &words, e);

	if (r == 1)
		r = words_read(c->config, rest, &words, e);
	if (!r)
		r = texts_check_any(&words, e);
	for (size_t i = 0; !r && i < words.n; i++)
		if (!str_is_clean_path(words.item[i]) || !words.item[i][1])
			r = err_set(e, EINVAL, STEP, "\"%.60s\" is not the absolute path of a folder", words.item[i]);
	for (size_t i = 0; !r && i < words.n; i++)
		r = list_add(&c->config->volumes, &c->config->n_volumes, words.item[i], e);
	texts_free(&words);
	return r;
}

static int change_user(struct changes *c, const char *rest, struct err *e)
{
	char *user;
	int r = one_word(c->config, rest, &user, e);

	return r < 0 ? r : text_into(user, &c->config->user);
}

static int change_signal(struct changes *c, const char *rest, struct err *e)
{
	char *name;
	int signal, r = one_word(c->config, rest, &name, e);

	if (r < 0)
		return r;
	if (str_to_signal(name, &signal) < 0) {
		r = err_set(e, EINVAL, STEP, "\"%.40s\" is not a signal", name);
		free(name);
		return r;
	}
	return text_into(name, &c->config->stop_signal);
}

/* path, or what it is from base on, without ".", ".." and empty parts. */
static char *path_clean(const char *base, const char *path)
{
	struct buf b;

	buf_init(&b, WORD_MAX);
	for (int part = *path == '/'; part < 2; part++) {
		const char *p = part ? path : base, *word;
		size_t len;

		while ((word = str_word(&p, "/", &len)) && len) {
			if (len == 1 && *word == '.')
				continue;
			if (len == 2 && !memcmp(word, "..", 2)) {
				while (b.len && b.data[--b.len] != '/')
					;
				continue;
			}
			buf_addc(&b, '/');
			buf_add(&b, word, len);
		}
	}
	if (!b.len)
		buf_addc(&b, '/');
	else
		b.data[b.len] = 0;
	return buf_take(&b);
}

static int change_workdir(struct changes *c, const char *rest, struct err *e)
{
	const char *base = c->config->workdir;
	char *path, *clean;
	struct buf word;

	buf_init(&word, WORD_MAX);
	if (!word_read(c->config, rest, true, &word, e)) {
		buf_fini(&word);
		return -EINVAL;
	}
	path = buf_take(&word);
	if (!path || !*path) {
		free(path);
		return err_set(e, EINVAL, STEP, "it takes a path");
	}
	clean = path_clean(base ? base : "", path);
	free(path);
	return clean ? text_into(clean, &c->config->workdir) : NO_MEMORY;
}

static const struct {
	const char *name;
	instruction_fn *fn;
} instructions[] = {
	{"CMD", change_command},   {"ENTRYPOINT", change_entrypoint}, {"ENV", change_env},
	{"EXPOSE", change_expose}, {"LABEL", change_label},	      {"STOPSIGNAL", change_signal},
	{"USER", change_user},	   {"VOLUME", change_volume},	      {"WORKDIR", change_workdir},
};

static int unknown(const char *text, struct err *e)
{
	struct buf known;
	int r;

	buf_init(&known, 0);
	for (size_t i = 0; i < ARRAY_SIZE(instructions); i++)
		buf_printf(&known, "%s%s", i ? ", " : "", instructions[i].name);
	r = err_set(e, EINVAL, STEP, "\"%.60s\": not one of %s", text, known.len ? known.data : "these");
	buf_fini(&known);
	return r;
}

int change_apply(struct changes *c, const char *text, struct err *e)
{
	const char *begin = blanks_skip(text);
	size_t len = strcspn(begin, BLANKS);
	AUTO_FREE char *rest = strdup(blanks_skip(begin + len));
	int r;

	if (!rest)
		return NO_MEMORY;
	for (size_t end = strlen(rest); end && strchr(BLANKS, rest[end - 1]);)
		rest[--end] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
		if (strlen(instructions[i].name) != len || strncasecmp(instructions[i].name, begin, len))
			continue;
		r = instructions[i].fn(c, rest, e);
		return r < 0 ? err_wrap(e, "%s", instructions[i].name) : 0;
	}
	return unknown(begin, e);
}
