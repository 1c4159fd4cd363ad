/* image/change.c - see image/change.h */
#include "image/change.h"

#include "base/buf.h"
#include "base/own.h"
#include "base/str.h"
#include "image/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
	int r = words_json(rest, ret, e);

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

#define PORTS 65536u

static const char *const protocols[] = {"tcp", "udp", "sctp"};

struct ports {
	uint8_t seen[ARRAY_SIZE(protocols)]
		    [PORTS / 8]; /* a range has tens of thousands, which are not to be compared with each other */
	struct texts list;	 /* in the order in which they come */
};

/* False: it was before. */
static bool port_see(struct ports *ports, unsigned protocol, unsigned port)
{
	uint8_t *byte = &ports->seen[protocol][port / 8], bit = (uint8_t)(1u << port % 8);
	bool is_new = !(*byte & bit);

	*byte |= bit;
	return is_new;
}

static unsigned protocol_of(const char *name)
{
	unsigned i = 0;

	while (i < ARRAY_SIZE(protocols) && strcmp(protocols[i], name) != 0)
		i++;
	return i;
}

static void ports_see_all(struct ports *ports, char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned port, protocol;
		char name[8];

		if (sscanf(list[i], "%5u/%7s", &port, name) != 2 || port >= PORTS)
			continue;
		protocol = protocol_of(name);
		if (protocol < ARRAY_SIZE(protocols))
			(void)port_see(ports, protocol, port);
	}
}

/* "80", "80/udp", "8000-8010/tcp" */
static int ports_add(const char *text, struct ports *ret, struct err *e)
{
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : "tcp";
	unsigned first, last, n = 0, protocol = protocol_of(name);
	char range[32], port[32];

	snprintf(range, sizeof range, "%.*s", slash ? (int)(slash - text) : 31, text);
	if (sscanf(range, "%5u%n-%5u%n", &first, &n, &last, &n) < 2)
		last = first;
	if (!isdigit((unsigned char)*range) || range[n] || first < 1 || last < first || last >= PORTS ||
	    protocol == ARRAY_SIZE(protocols))
		return err_set(e, EINVAL, STEP, "\"%.40s\" is not a port: PORT[-PORT][/tcp|udp|sctp]", text);
	for (unsigned i = first; i <= last; i++) {
		int r;

		snprintf(port, sizeof port, "%u/%s", i, name);
		if (port_see(ret, protocol, i) && (r = texts_add(&ret->list, port, e)) < 0)
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
	struct texts words = {0}, exposed = {c->config->exposed_ports, c->config->n_exposed_ports};
	AUTO_FREE struct ports *ports = calloc(1, sizeof *ports);
	int r = ports ? words_read(c->config, rest, &words, e) : NO_MEMORY;

	if (!r)
		r = texts_check_any(&words, e);
	if (!r)
		ports_see_all(ports, exposed.item, exposed.n);
	for (size_t i = 0; !r && i < words.n; i++)
		r = ports_add(words.item[i], ports, e);
	if (!r && exposed.n + ports->list.n > LIST_MAX)
		r = err_set(e, EINVAL, STEP, "more than %u ports", LIST_MAX);
	for (size_t i = 0; !r && i < ports->list.n; i++)
		r = texts_add(&exposed, ports->list.item[i], e);
	c->config->exposed_ports = exposed.item;
	c->config->n_exposed_ports = exposed.n;
	texts_free(&words);
	if (ports)
		texts_free(&ports->list);
	return r;
}

static int change_volume(struct changes *c, const char *rest, struct err *e)
{
	struct texts words = {0};
	int r = words_json(rest, &words, e);

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
	int r = words_one(c->config, rest, &user, e);

	return r < 0 ? r : text_into(user, &c->config->user);
}

static int change_signal(struct changes *c, const char *rest, struct err *e)
{
	char *name;
	int signal, r = words_one(c->config, rest, &name, e);

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

/* Docker's rule: all that a Dockerfile may say, but for what would lead a build into another one. */
static int change_on_build(struct changes *c, const char *rest, struct err *e)
{
	static const char *const triggers[] = {"ADD",	"ARG",	      "CMD",	     "COPY",   "ENTRYPOINT",
					       "ENV",	"EXPOSE",     "HEALTHCHECK", "LABEL",  "RUN",
					       "SHELL", "STOPSIGNAL", "USER",	     "VOLUME", "WORKDIR"};
	struct texts all = {c->config->on_build, c->config->n_on_build};
	size_t len = strcspn(rest, BLANKS);
	bool known = false;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(triggers); i++)
		known |= strlen(triggers[i]) == len && !strncasecmp(triggers[i], rest, len);
	if (!known)
		return err_set(e, EINVAL, STEP, "\"%.60s\" is nothing that a build can be told to do", rest);
	if (!*blanks_skip(rest + len))
		return err_set(e, EINVAL, STEP, "\"%.60s\" has no argument", rest);
	r = texts_add(&all, rest, e);
	c->config->on_build = all.item;
	c->config->n_on_build = all.n;
	return r;
}

static int health_option(Berth__ImageHealthcheck *h, const char *word, struct err *e)
{
	const struct {
		const char *name;
		uint64_t *value;
		protobuf_c_boolean *has;
		uint64_t least;
	} options[] = {{"--interval=", &h->interval_ns, &h->has_interval_ns, 1000000},
		       {"--timeout=", &h->timeout_ns, &h->has_timeout_ns, 1000000},
		       {"--start-period=", &h->start_period_ns, &h->has_start_period_ns, 0}};
	uint32_t retries;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *text = word + strlen(options[i].name);

		if (!str_starts(word, options[i].name))
			continue;
		if (str_to_duration_ns(text, options[i].value) < 0 || *options[i].value < options[i].least ||
		    *options[i].value > INT64_MAX)
			return err_set(e, EINVAL, STEP, "%s\"%.40s\" is no duration as 30s or 1m, of 1ms at least",
				       options[i].name, text);
		*options[i].has = true;
		return 0;
	}
	if (!str_starts(word, "--retries="))
		return err_set(e, EINVAL, STEP,
			       "\"%.60s\" is not one of --interval=, --timeout=, --start-period= and --retries=", word);
	if (str_to_u32(word + 10, &retries) < 0 || retries < 1)
		return err_set(e, EINVAL, STEP, "--retries=\"%.40s\" is not a number from 1 on", word + 10);
	h->has_retries = true;
	h->retries = retries;
	return 0;
}

/* "NONE", or "CMD" and a command in either form. */
static int health_test(const char *rest, struct texts *ret, struct err *e)
{
	size_t len = strcspn(rest, BLANKS);
	const char *command = blanks_skip(rest + len);
	struct texts words = {0};
	int r;

	if (len == 4 && !strncasecmp(rest, "NONE", 4))
		return *command ? err_set(e, EINVAL, STEP, "NONE takes no argument") : texts_add(ret, "NONE", e);
	if (len != 3 || strncasecmp(rest, "CMD", 3) != 0 || !*command)
		return err_set(e, EINVAL, STEP, "it takes NONE, or CMD and a command");
	r = words_json(command, &words, e);
	if (!r && !words.n)
		r = err_set(e, EINVAL, STEP, "CMD of nothing");
	if (r >= 0)
		r = r ? texts_add(ret, "CMD-SHELL", e) < 0 || texts_add(ret, command, e) < 0 ? -ENOMEM : 0
		      : texts_add(ret, "CMD", e);
	for (size_t i = 0; !r && i < words.n; i++)
		r = texts_add(ret, words.item[i], e);
	texts_free(&words);
	return r;
}

static int change_healthcheck(struct changes *c, const char *rest, struct err *e)
{
	Berth__ImageHealthcheck *h = malloc(sizeof *h);
	struct texts test = {0};
	int r = 0;

	if (!h)
		return NO_MEMORY;
	berth__image_healthcheck__init(h);
	while (!r && str_starts(rest, "--")) {
		AUTO_FREE char *word = strndup(rest, strcspn(rest, BLANKS));

		r = word ? health_option(h, word, e) : NO_MEMORY;
		rest = blanks_skip(rest + strcspn(rest, BLANKS));
	}
	if (!r)
		r = health_test(rest, &test, e);
	h->test = test.item;
	h->n_test = test.n;
	if (r < 0) {
		berth__image_healthcheck__free_unpacked(h, NULL);
		return r;
	}
	if (c->config->healthcheck)
		berth__image_healthcheck__free_unpacked(c->config->healthcheck, NULL);
	c->config->healthcheck = h;
	return 0;
}

static const struct {
	const char *name;
	instruction_fn *fn;
} instructions[] = {
	{"CMD", change_command},      {"ENTRYPOINT", change_entrypoint},   {"ENV", change_env},
	{"EXPOSE", change_expose},    {"HEALTHCHECK", change_healthcheck}, {"LABEL", change_label},
	{"ONBUILD", change_on_build}, {"STOPSIGNAL", change_signal},	   {"USER", change_user},
	{"VOLUME", change_volume},    {"WORKDIR", change_workdir},
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
