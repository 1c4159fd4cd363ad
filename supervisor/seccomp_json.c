/* supervisor/seccomp_json.c - a user's seccomp profile: JSON in Docker's format -> struct profile.
 *
 * Foreign bytes: the text is at most PROFILE_TEXT_MAX, jansson refuses duplicate keys and bad UTF-8, and what berth cannot
 * honour (notify actions, filter flags, a listener) is refused by name. A syscall name that this libseccomp does not know is
 * no error here, as in Docker: one profile serves hosts of several ages. */
#include "base/own.h"
#include "base/str.h"
#include "supervisor/caps.h"
#include "supervisor/seccomp_profile.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define PROFILE_TEXT_MAX  (1u << 20)
#define PROFILE_RULES_MAX 2048
#define PROFILE_NAMES_MAX 1024

struct profile_json {
	json_t *root;		    /* the names point into it */
	struct profile_rule *rules; /* owned; each rule's names array too */
	struct profile profile;
};

static const char *const action_names[][2] = {
	[ACT_ALLOW] = {"SCMP_ACT_ALLOW"},
	[ACT_ERRNO] = {"SCMP_ACT_ERRNO"},
	[ACT_KILL_PROCESS] = {"SCMP_ACT_KILL_PROCESS"},
	[ACT_KILL_THREAD] = {"SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL"},
	[ACT_TRAP] = {"SCMP_ACT_TRAP"},
	[ACT_TRACE] = {"SCMP_ACT_TRACE"},
	[ACT_LOG] = {"SCMP_ACT_LOG"},
};
_Static_assert(ARRAY_SIZE(action_names) == ACT_N_, "every action has its name");

static const char *const op_names[] = {
	[OP_NE] = "SCMP_CMP_NE",
	[OP_LT] = "SCMP_CMP_LT",
	[OP_LE] = "SCMP_CMP_LE",
	[OP_EQ] = "SCMP_CMP_EQ",
	[OP_GE] = "SCMP_CMP_GE",
	[OP_GT] = "SCMP_CMP_GT",
	[OP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
};
_Static_assert(ARRAY_SIZE(op_names) == OP_N_, "every comparison has its name");

#if defined(__x86_64__)
static const char *const our_arches[] = {"amd64", "SCMP_ARCH_X86_64", "x86", "SCMP_ARCH_X86",
					 "x32",	  "SCMP_ARCH_X32",    NULL};
#elif defined(__aarch64__)
static const char *const our_arches[] = {"arm64", "SCMP_ARCH_AARCH64", "arm", "SCMP_ARCH_ARM", NULL};
#else
#error "name this architecture as seccomp profiles do"
#endif

static int __attribute__((format(printf, 3, 4))) bad(struct err *e, const char *where, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(e, EINVAL, "seccomp", "seccomp profile: %s: %s", where, text);
}

/* Every key of the object is one of `known`. */
static int keys_check(json_t *object, const char *where, const char *const *known, struct err *e)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return bad(e, where, "must be an object");
	json_object_foreach(object, key, value)
	{
		size_t i = 0;

		while (known[i] && strcmp(known[i], key))
			i++;
		if (!known[i])
			return bad(e, where, "unknown key \"%s\"", key);
	}
	return 0;
}

static int action_parse(json_t *value, const char *where, uint8_t *ret, struct err *e)
{
	const char *name = json_string_value(value);

	if (!name)
		return bad(e, where, "the action must be a string such as SCMP_ACT_ALLOW");
	for (size_t i = 0; i < ACT_N_; i++)
		for (size_t alias = 0; alias < 2; alias++)
			if (action_names[i][alias] && !strcmp(action_names[i][alias], name)) {
				*ret = (uint8_t)i;
				return 0;
			}
	if (!strcmp(name, "SCMP_ACT_NOTIFY"))
		return bad(e, where, "%s cannot be honoured: berth has no listener for it", name);
	return bad(e, where, "unknown action \"%s\"", name);
}

static int errno_parse(json_t *value, const char *where, uint16_t *ret, struct err *e)
{
	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 4095)
		return bad(e, where, "errnoRet must be a number from 0 to 4095");
	*ret = (uint16_t)json_integer_value(value);
	return 0;
}

static int args_parse(json_t *args, const char *where, struct profile_rule *r, struct err *e)
{
	static const char *const known[] = {"index", "value", "valueTwo", "op", NULL};

	if (!args || json_is_null(args))
		return 0;
	if (!json_is_array(args) || json_array_size(args) > PROFILE_ARGS_MAX)
		return bad(e, where, "args must be a list of at most 6 comparisons");
	for (size_t i = 0; i < json_array_size(args); i++) {
		json_t *a = json_array_get(args, i), *index = json_object_get(a, "index"),
		       *value = json_object_get(a, "value"), *two = json_object_get(a, "valueTwo");
		const char *op = json_string_value(json_object_get(a, "op"));
		struct profile_arg *arg = &r->arg[i];
		int k = 0, err;

		if ((err = keys_check(a, where, known, e)))
			return err;
		if (!json_is_integer(index) || json_integer_value(index) < 0 || json_integer_value(index) > 5)
			return bad(e, where, "args: index must be a number from 0 to 5");
		if (!json_is_integer(value) || (two && !json_is_integer(two)))
			return bad(e, where, "args: value and valueTwo must be whole numbers");
		while (op && k < OP_N_ && strcmp(op_names[k], op))
			k++;
		if (!op || k == OP_N_)
			return bad(e, where, "args: unknown op \"%s\"", op ? op : "");
		*arg = (struct profile_arg){(uint8_t)json_integer_value(index), (uint8_t)k,
					    (uint64_t)json_integer_value(value),
					    two ? (uint64_t)json_integer_value(two) : 0};
		r->n_args++;
	}
	return 0;
}

/* "4.8" is met by this kernel. */
static bool kernel_is_at_least(const char *want)
{
	struct utsname u;
	int have_major = 0, have_minor = 0, major = 0, minor = 0;

	if (uname(&u) < 0 || sscanf(u.release, "%d.%d", &have_major, &have_minor) < 2 ||
	    sscanf(want, "%d.%d", &major, &minor) < 1)
		return false;
	return have_major > major || (have_major == major && have_minor >= minor);
}

static bool arches_fit(json_t *arches)
{
	for (size_t i = 0; i < json_array_size(arches); i++)
		for (const char *const *a = our_arches; *a; a++)
			if (json_is_string(json_array_get(arches, i)) &&
			    !strcmp(json_string_value(json_array_get(arches, i)), *a))
				return true;
	return false;
}

/* includes and excludes: {caps, arches, minKernel}. */
static int condition_parse(json_t *c, const char *where, bool excludes, struct profile_rule *r, struct err *e)
{
	static const char *const known[] = {"caps", "arches", "minKernel", NULL};
	json_t *caps = json_object_get(c, "caps"), *arches = json_object_get(c, "arches"),
	       *kernel = json_object_get(c, "minKernel");
	uint64_t mask = 0;
	int err;

	if (!c || json_is_null(c))
		return 0;
	if ((err = keys_check(c, where, known, e)))
		return err;
	for (size_t i = 0; i < json_array_size(caps); i++) {
		const char *name = json_string_value(json_array_get(caps, i));
		int cap;

		if (!name || caps_parse(name, &cap))
			return bad(e, where, "unknown capability \"%s\"", name ? name : "");
		mask |= 1ull << cap;
	}
	if (excludes)
		r->unless_cap = mask;
	else
		r->needs_caps = mask;
	if (json_array_size(arches) && arches_fit(arches) == excludes)
		r->skip = true;
	if (kernel && !json_is_string(kernel))
		return bad(e, where, "minKernel must be a string such as \"4.8\"");
	if (kernel && kernel_is_at_least(json_string_value(kernel)) == excludes)
		r->skip = true;
	return 0;
}

static int names_parse(json_t *rule, const char *where, struct profile_rule *r, struct err *e)
{
	json_t *names = json_object_get(rule, "names"), *one = json_object_get(rule, "name");
	size_t n = one ? 1 : json_array_size(names);
	const char **list;

	if ((one && names) || !n || n > PROFILE_NAMES_MAX)
		return bad(e, where, "wants a list of syscalls in \"names\"");
	list = calloc(n, sizeof *list);
	if (!list)
		return err_set(e, ENOMEM, "seccomp", "seccomp profile");
	r->names = list;
	for (size_t i = 0; i < n; i++) {
		list[i] = json_string_value(one ? one : json_array_get(names, i));
		if (!list[i])
			return bad(e, where, "a syscall's name must be a string");
		r->n_names++;
	}
	return 0;
}

static int rule_parse(json_t *rule, const char *where, struct profile_rule *r, struct err *e)
{
	static const char *const known[] = {"names", "name",	"action",   "errnoRet", "errno",
					    "args",  "comment", "includes", "excludes", NULL};
	int err;

	if ((err = keys_check(rule, where, known, e)))
		return err;
	r->errno_ret = EPERM;
	if ((err = names_parse(rule, where, r, e)) ||
	    (err = action_parse(json_object_get(rule, "action"), where, &r->action, e)) ||
	    (err = errno_parse(json_object_get(rule, "errnoRet"), where, &r->errno_ret, e)) ||
	    (err = args_parse(json_object_get(rule, "args"), where, r, e)) ||
	    (err = condition_parse(json_object_get(rule, "includes"), where, false, r, e)))
		return err;
	return condition_parse(json_object_get(rule, "excludes"), where, true, r, e);
}

static int profile_parse(struct profile_json *p, struct err *e)
{
	static const char *const known[] = {
		"defaultAction", "defaultErrnoRet", "defaultErrno", "archMap",		"architectures",
		"syscalls",	 "flags",	    "listenerPath", "listenerMetadata", NULL};
	json_t *syscalls = json_object_get(p->root, "syscalls");
	size_t n = json_array_size(syscalls);
	int err;

	if ((err = keys_check(p->root, "top level", known, e)))
		return err;
	if (json_array_size(json_object_get(p->root, "flags")))
		return bad(e, "flags", "filter flags cannot be honoured; leave them out");
	if (json_object_get(p->root, "listenerPath") || json_object_get(p->root, "listenerMetadata"))
		return bad(e, "listenerPath", "a listener cannot be honoured; leave it out");
	if ((syscalls && !json_is_array(syscalls)) || n > PROFILE_RULES_MAX)
		return bad(e, "syscalls", "must be a list of at most 2048 rules");
	p->profile.default_errno = EPERM;
	if ((err = action_parse(json_object_get(p->root, "defaultAction"), "defaultAction", &p->profile.default_action,
				e)) ||
	    (err = errno_parse(json_object_get(p->root, "defaultErrnoRet"), "defaultErrnoRet",
			       &p->profile.default_errno, e)))
		return err;
	p->rules = calloc(n + 1, sizeof *p->rules);
	if (!p->rules)
		return err_set(e, ENOMEM, "seccomp", "seccomp profile");
	p->profile.rules = p->rules;
	for (size_t i = 0; i < n; i++) {
		char where[32];

		snprintf(where, sizeof where, "syscalls[%zu]", i);
		p->profile.n_rules = i + 1;
		if ((err = rule_parse(json_array_get(syscalls, i), where, &p->rules[i], e)))
			return err;
	}
	return 0;
}

int profile_json_parse(const char *text, size_t len, struct profile_json **ret, struct err *e)
{
	struct profile_json *p;
	json_error_t je;
	int err;

	if (len > PROFILE_TEXT_MAX)
		return err_set(e, EFBIG, "seccomp", "seccomp profile of %zu bytes: at most %u are allowed", len,
			       PROFILE_TEXT_MAX);
	p = calloc(1, sizeof *p);
	if (!p)
		return err_set(e, ENOMEM, "seccomp", "seccomp profile");
	p->root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!p->root)
		err = err_set(e, EINVAL, "seccomp", "seccomp profile: line %d column %d: %s", je.line, je.column,
			      je.text);
	else
		err = profile_parse(p, e);
	if (err) {
		profile_json_free(p);
		return err;
	}
	*ret = p;
	return 0;
}

const struct profile *profile_json_get(const struct profile_json *p)
{
	return &p->profile;
}

void profile_json_free(struct profile_json *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->profile.n_rules; i++)
		free((void *)(uintptr_t)p->rules[i].names);
	free(p->rules);
	json_decref(p->root);
	free(p);
}
