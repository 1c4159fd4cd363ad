/* gateway/zun/create.c - see gateway/zun/create.h
 *
 * Everything is looked at before anything is asked, in Zun's order: who may, then what can be. A key with which nothing is asked
 * for (an empty list of networks, auto_heal false) is no reason to refuse: clients send those always. */
#include "gateway/zun/create.h"

#include "base/err.h"
#include "base/own.h"
#include "gateway/params.h"
#include "gateway/zun/view.h"
#include "gateway/zun/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_MEMORY_MIB 512
#define DEFAULT_CPU	   1.0

static bool refuse(struct create_refusal *r, enum zun_error_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static bool refuse(struct create_refusal *r, enum zun_error_kind kind, const char *fmt, ...)
{
	va_list ap;

	r->kind = kind;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof r->text, fmt, ap);
	va_end(ap);
	return false;
}

static bool no_memory(struct create_refusal *r)
{
	return refuse(r, ZUN_E_UNAVAILABLE, "out of memory");
}

/* ---------------------------------------------------------------- who may */

static bool policy(const json_t *args, const struct create_options *o, struct create_refusal *r)
{
	static const struct {
		const char *key, *rule;
		bool nobody;
	} rules[] = {
		{"runtime", "container:create:runtime"},
		{"privileged", "container:create:privileged", .nobody = true},
		{"image_pull_policy", "container:create:image_pull_policy"},
		{"host", "container:create:requested_destination"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (arg_given(args, rules[i].key) && (rules[i].nobody || !o->admin))
			return refuse(r, ZUN_E_POLICY, "Policy doesn't allow %s to be performed.", rules[i].rule);
	return true;
}

/* ---------------------------------------------------------------- what berth cannot honour yet */

static bool asks_for_nothing(const json_t *value)
{
	return (json_is_array(value) && !json_array_size(value)) ||
	       (json_is_object(value) && !json_object_size(value)) || json_is_false(value);
}

static bool one_of(const char *words, const json_t *value)
{
	const char *text = json_string_value(value);

	for (; text && words && *words; words += strlen(words) + 1)
		if (!strcmp(words, text))
			return true;
	return false;
}

static bool honoured(const json_t *args, const struct create_options *o, struct create_refusal *r)
{
	static const struct {
		const char *key;
		const char *may_be; /* texts with which it is honoured, each with its NUL */
		const char *why;
	} limits[] = {
		{"nets", NULL, "Networks are not available yet: containers have a loopback of their own."},
		{"mounts", NULL, "Mounts are not available yet."},
		{"security_groups", NULL, "Security groups are not available yet."},
		{"exposed_ports", NULL, "Ports cannot be exposed yet."},
		{"healthcheck", NULL, "Health checks are not available yet."},
		{"auto_heal", NULL, "Containers are not healed yet; restart_policy is what restarts them."},
		{"hints", NULL, "There is one host, nothing is scheduled."},
		{"disk", NULL, "A limit on disk space is not available yet."},
		{"registry", NULL,
		 "Registries of a project are not available yet: an operator's credentials, or none, are used."},
		{"runtime", NULL, "There is no other runtime than berth's own."},
		{"cpu_policy", "shared\0", "Processors cannot be dedicated yet."},
		{"image_driver", "docker\0None\0", "Images come from nowhere else yet: docker is the only driver."},
		{"availability_zone", "nova\0", "The only zone is nova."},
	};
	const char *host = arg_str(args, "host");

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const json_t *value = json_object_get(args, limits[i].key);

		if (value && !asks_for_nothing(value) && !one_of(limits[i].may_be, value))
			return refuse(r, ZUN_E_VALUE, "Invalid input for field '%s'. %s", limits[i].key, limits[i].why);
	}
	if (host && strcmp(host, o->host))
		return refuse(r, ZUN_E_HOST, "Host %.255s could not be found.", host);
	return true;
}

/* ---------------------------------------------------------------- lists */

/* The strings of an array, as a vector that points into it. */
static bool texts(const json_t *array, char ***ret, size_t *ret_n)
{
	size_t n = json_array_size(array), i;
	json_t *item;

	*ret = calloc(n + 1, sizeof **ret);
	if (!*ret)
		return false;
	json_array_foreach(array, i, item)(*ret)[i] = (char *)(uintptr_t)json_string_value(item);
	*ret_n = n;
	return true;
}

/* Until 1.19 a string, split as a shell would, then a list. No words: the image's. */
static bool command(struct create *c, const json_t *args, struct create_refusal *r)
{
	const json_t *given = json_object_get(args, "command");
	struct err e = {0};

	if (json_is_string(given)) {
		if (words_split(json_string_value(given), &c->words, &c->spec.n_command, &e) < 0)
			return refuse(r, ZUN_E_VALUE, "Invalid input for field 'command'. %s", e.text);
		c->spec.command = c->words;
		return true;
	}
	if (!texts(given, &c->command, &c->spec.n_command))
		return no_memory(r);
	c->spec.command = c->command;
	return true;
}

static bool entrypoint(struct create *c, const json_t *args, struct create_refusal *r)
{
	if (!texts(json_object_get(args, "entrypoint"), &c->entrypoint, &c->spec.n_entrypoint))
		return no_memory(r);
	c->spec.entrypoint = c->entrypoint;
	c->spec.has_entrypoint_set = c->spec.entrypoint_set = c->spec.n_entrypoint > 0;
	return true;
}

static bool environment(struct create *c, const json_t *args, struct create_refusal *r)
{
	json_t *env = json_object_get(args, "environment"), *value;
	const char *key;

	c->env = calloc(json_object_size(env) + 1, sizeof *c->env);
	if (!c->env)
		return no_memory(r);
	c->spec.env = c->env;
	json_object_foreach(env, key, value)
	{
		if (!*key || strchr(key, '='))
			return refuse(r, ZUN_E_VALUE,
				      "Invalid input for field 'environment'. '%.100s' is no name of a variable.", key);
		if (asprintf(&c->env[c->spec.n_env], "%s=%s", key, json_string_value(value)) < 0) {
			c->env[c->spec.n_env] = NULL;
			return no_memory(r);
		}
		c->spec.n_env++;
	}
	return true;
}

static bool labels(struct create *c, const json_t *args, struct create_refusal *r)
{
	json_t *given = json_object_get(args, "labels"), *value;
	size_t n = json_object_size(given);
	const char *key;

	c->label = calloc(n + 1, sizeof *c->label);
	c->labels = calloc(n + 1, sizeof *c->labels);
	if (!c->label || !c->labels)
		return no_memory(r);
	c->spec.labels = c->labels;
	json_object_foreach(given, key, value)
	{
		Berth__KeyValue *kv = &c->label[c->spec.n_labels];

		berth__key_value__init(kv);
		kv->key = (char *)(uintptr_t)key;
		kv->value = (char *)(uintptr_t)json_string_value(value);
		c->labels[c->spec.n_labels++] = kv;
	}
	return true;
}

/* ---------------------------------------------------------------- the rest */

static void note(struct create *c, const char *key, const char *value)
{
	Berth__KeyValue *kv = &c->note[c->spec.n_annotations];

	berth__key_value__init(kv);
	kv->key = (char *)(uintptr_t)key;
	kv->value = (char *)(uintptr_t)value;
	c->notes[c->spec.n_annotations++] = kv;
	c->spec.annotations = c->notes;
}

static bool restart(struct create *c, const json_t *args, struct create_refusal *r)
{
	static const struct {
		const char *name;
		Berth__RestartPolicy__Kind kind;
	} kinds[] = {
		{"no", BERTH__RESTART_POLICY__KIND__NO},
		{"on-failure", BERTH__RESTART_POLICY__KIND__ON_FAILURE},
		{"always", BERTH__RESTART_POLICY__KIND__ALWAYS},
		{"unless-stopped", BERTH__RESTART_POLICY__KIND__UNLESS_STOPPED},
	};
	const json_t *given = json_object_get(args, "restart_policy");
	const char *name = arg_str(given, "Name");
	int64_t retries = arg_int(given, "MaximumRetryCount", 0);

	if (!given)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (name && !strcmp(name, kinds[i].name))
			c->restart.kind = kinds[i].kind;
	if (c->restart.kind > BERTH__RESTART_POLICY__KIND__ON_FAILURE && retries)
		return refuse(r, ZUN_E_VALUE,
			      "Invalid input for field 'restart_policy'. A maximum number of retries goes with "
			      "on-failure only.");
	c->restart.has_kind = true;
	if (c->restart.kind == BERTH__RESTART_POLICY__KIND__ON_FAILURE) {
		c->restart.has_max_retries = true;
		c->restart.max_retries = (uint32_t)retries;
	}
	c->spec.restart = &c->restart;
	note(c, ZUN_NOTE_RESTART, name);
	return true;
}

/* A number of processors is a limit (cpu.max), and a weight for when there are too few. */
void zun_resources(Berth__Resources *r, const json_t *args, bool default_memory, bool default_cpu)
{
	int64_t mib = arg_int(args, "memory", default_memory ? DEFAULT_MEMORY_MIB : 0);
	double cpus = arg_real(args, "cpu", default_cpu ? DEFAULT_CPU : 0);

	if (mib) {
		r->has_memory_bytes = true;
		r->memory_bytes = (uint64_t)mib << 20;
	}
	if (cpus > 0) {
		r->has_cpus_milli = r->has_cpu_weight = true;
		r->cpus_milli = (uint64_t)(cpus * 1000 + 0.5);
		r->cpu_weight = (uint32_t)(cpus * 100 + 0.5); /* 100 is the kernel's default: one processor's worth */
	}
}

/* Zun's default is always: no start without its registry. Ours is ifnotpresent. The schema has seen to it that it is one of them. */
static void pull_policy(struct create *c, const json_t *args)
{
	static const struct {
		const char *name;
		Berth__PullPolicy policy;
	} policies[] = {
		{"ifnotpresent", BERTH__PULL_POLICY__PULL_POLICY_MISSING},
		{"always", BERTH__PULL_POLICY__PULL_POLICY_ALWAYS},
		{"never", BERTH__PULL_POLICY__PULL_POLICY_NEVER},
	};
	const char *given = arg_str(args, "image_pull_policy");

	c->m.pull = &c->pull;
	c->pull.has_policy = true;
	c->pull.policy = policies[0].policy;
	for (size_t i = 0; i < ARRAY_SIZE(policies) && given; i++) {
		if (strcasecmp(given, policies[i].name) != 0)
			continue;
		c->pull.policy = policies[i].policy;
		note(c, ZUN_NOTE_PULL_POLICY, policies[i].name);
	}
}

static void flag(protobuf_c_boolean *has, protobuf_c_boolean *to, bool value)
{
	*has = true;
	*to = value;
}

static void scalars(struct create *c, const json_t *args, const struct create_options *o)
{
	const char *name = arg_str(args, "name"), *workdir = arg_str(args, "workdir");
	bool interactive = arg_bool(args, "interactive", false);
	bool same_tty = o->version >= 20 && o->version <= 35 && arg_given(args, "interactive");

	c->m.name = (char *)(uintptr_t)(name ? name : o->name);
	c->spec.image = arg_str(args, "image");
	c->spec.workdir = (char *)(uintptr_t)(workdir && *workdir ? workdir : NULL);
	c->spec.hostname = arg_str(args, "hostname");
	flag(&c->m.has_start, &c->m.start, arg_bool(args, "run", false));
	flag(&c->spec.has_stdin_open, &c->spec.stdin_open, interactive);
	flag(&c->spec.has_tty, &c->spec.tty, same_tty ? interactive : arg_bool(args, "tty", false));
	flag(&c->spec.has_auto_remove, &c->spec.auto_remove, arg_bool(args, "auto_remove", false));
}

bool create_build(struct create *c, const json_t *args, const struct create_options *o, struct create_refusal *r)
{
	*c = (struct create){
		.m = BERTH__CONTAINER_CREATE__INIT,
		.spec = BERTH__CONTAINER_SPEC__INIT,
		.resources = BERTH__RESOURCES__INIT,
		.restart = BERTH__RESTART_POLICY__INIT,
		.pull = BERTH__IMAGE_PULL__INIT,
	};
	c->m.spec = &c->spec;
	if (!policy(args, o, r) || !honoured(args, o, r) || !command(c, args, r) || !entrypoint(c, args, r) ||
	    !environment(c, args, r) || !labels(c, args, r) || !restart(c, args, r))
		return false;
	scalars(c, args, o);
	pull_policy(c, args);
	zun_resources(&c->resources, args, o->default_memory, o->default_cpu);
	if (c->resources.has_memory_bytes || c->resources.has_cpus_milli)
		c->spec.resources = &c->resources;
	return true;
}

void create_fini(struct create *c)
{
	for (size_t i = 0; i < c->spec.n_env; i++)
		free(c->env[i]);
	free(c->env);
	free(c->command);
	free(c->words);
	free(c->entrypoint);
	free(c->label);
	free(c->labels);
}
