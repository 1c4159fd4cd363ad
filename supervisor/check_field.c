/* supervisor/check_field.c - see supervisor/check_field.h */
#include "supervisor/check_field.h"

#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARG_BYTES_MAX	131072u /* MAX_ARG_STRLEN: the kernel's limit for one argument or variable, its NUL included */
#define ARGS_BYTES_MAX	(2u << 20) /* with a stack of 8 MiB the kernel takes a quarter of it */
#define ARGS_MAX	4096u
#define LABELS_MAX	1024u
#define LABEL_KEY_MAX	256u
#define LABEL_VALUE_MAX 4096u
#define HOSTNAME_MAX	64u /* __NEW_UTS_LEN */

const char *field_at(char buf[FIELD_SIZE], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, FIELD_SIZE, fmt, ap);
	va_end(ap);
	return buf;
}

__attribute__((format(printf, 4, 0))) static int field_refuse(struct err *e, int code, const char *field,
							      const char *fmt, va_list ap)
{
	char text[sizeof e->text];

	vsnprintf(text, sizeof text, fmt, ap);
	return err_set(e, code, field, "%s", text);
}

int field_bad(struct err *e, const char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)field_refuse(e, EINVAL, field, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int field_unsupported(struct err *e, const char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)field_refuse(e, ENOTSUP, field, fmt, ap);
	va_end(ap);
	return -ENOTSUP;
}

int field_below(int r, const char *above, struct err *e)
{
	size_t len = strnlen(above, 20);
	char step[sizeof e->step];

	if (r == 0 || !e)
		return r;
	snprintf(step, sizeof step, "%s", e->step);
	snprintf(e->step, sizeof e->step, "%.20s%s%.*s", above, step[0] ? "." : "", (int)(sizeof step - 2 - len), step);
	return r;
}

void field_empty_is_absent(char **text)
{
	if (*text && !**text) {
		free(*text);
		*text = NULL;
	}
}

int field_set(char **text, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

/* ---------------------------------------------------------------- paths */

/* Walks the parts of the path and writes those that count over it. False: there is a "..". */
static bool path_clean(char *path)
{
	char *from = path, *to = path;

	while (*from) {
		size_t n;

		from += strspn(from, "/");
		n = strcspn(from, "/");
		if (n == 2 && !memcmp(from, "..", 2))
			return false;
		if (n && !(n == 1 && *from == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	if (to == path)
		*to++ = '/';
	*to = 0;
	return true;
}

int field_path(const char *field, char **path, struct err *e)
{
	if (!*path || !**path)
		return field_bad(e, field, "a path is missing");
	if (**path != '/')
		return field_bad(e, field, "'%.200s' is not absolute: it must begin with /", *path);
	if (strlen(*path) >= 4096)
		return field_bad(e, field, "the path is longer than 4095 bytes");
	if (!path_clean(*path))
		return field_bad(e, field, "'%.200s' has '..' in it: write the path that is meant", *path);
	return 0;
}

/* ---------------------------------------------------------------- arguments, environment */

static int field_strings(const char *field, char **list, size_t n, struct err *e)
{
	size_t bytes = 0;
	char at[FIELD_SIZE];

	if (n > ARGS_MAX)
		return field_bad(e, field, "%zu entries: at most %u", n, ARGS_MAX);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(list[i]) + 1;

		if (len > ARG_BYTES_MAX)
			return field_bad(e, field_at(at, "%s[%zu]", field, i), "%zu bytes: the kernel takes at most %u",
					 len - 1, ARG_BYTES_MAX - 1);
		bytes += len + sizeof(char *);
	}
	if (bytes > ARGS_BYTES_MAX)
		return field_bad(e, field, "%zu bytes in all: at most %u", bytes, ARGS_BYTES_MAX);
	return 0;
}

int field_args(const char *field, char **args, size_t n, struct err *e)
{
	char at[FIELD_SIZE];

	if (n && !*args[0])
		return field_bad(e, field_at(at, "%s[0]", field), "the program's name is empty");
	return field_strings(field, args, n, e);
}

int field_env(const char *field, char **env, size_t n, struct err *e)
{
	char at[FIELD_SIZE];

	for (size_t i = 0; i < n; i++) {
		const char *eq = strchr(env[i], '=');

		if (!eq || eq == env[i])
			return field_bad(e, field_at(at, "%s[%zu]", field, i), "'%.100s' is not of the form NAME=value",
					 env[i]);
	}
	return field_strings(field, env, n, e);
}

/* ---------------------------------------------------------------- user, hostname, window, labels */

/* A number below 2^32 - 1 (which means "no change" to the kernel), or a name as useradd takes it. */
static bool is_user_part(const char *s, size_t n)
{
	char number[12];
	uint32_t id;

	if (!n || n > 255)
		return false;
	if (strspn(s, "0123456789") >= n) {
		if (n >= sizeof number)
			return false;
		memcpy(number, s, n);
		number[n] = 0;
		return str_to_u32(number, &id) == 0 && id != UINT32_MAX;
	}
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
		bool other = (c >= '0' && c <= '9') || c == '.' || (i && c == '-') || (i == n - 1 && c == '$');

		if (!letter && !other)
			return false;
	}
	return true;
}

int field_user(const char *field, char **user, struct err *e)
{
	const char *colon;

	field_empty_is_absent(user);
	if (!*user)
		return 0;
	colon = strchr(*user, ':');
	if (!is_user_part(*user, colon ? (size_t)(colon - *user) : strlen(*user)) ||
	    (colon && !is_user_part(colon + 1, strlen(colon + 1))))
		return field_bad(e, field, "'%.100s' is not a user: name or uid, and if wanted :group or :gid", *user);
	return 0;
}

int field_hostname(const char *field, char **hostname, struct err *e)
{
	size_t n;

	field_empty_is_absent(hostname);
	if (!*hostname)
		return 0;
	n = strlen(*hostname);
	if (n > HOSTNAME_MAX)
		return field_bad(e, field, "%zu characters: the kernel takes at most %u", n, HOSTNAME_MAX);
	for (size_t i = 0; i < n; i++) {
		char c = (*hostname)[i];
		bool inside = i && i < n - 1;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    (inside && (c == '-' || c == '_' || (c == '.' && (*hostname)[i - 1] != '.'))))
			continue;
		return field_bad(e, field, "'%.100s' is not a host name: letters, digits, and between them - _ and .",
				 *hostname);
	}
	return 0;
}

int field_window(const char *field, bool tty, uint32_t rows, uint32_t cols, struct err *e)
{
	if (!tty && (rows || cols))
		return field_bad(e, field, "a window size without a tty");
	if (rows > UINT16_MAX || cols > UINT16_MAX)
		return field_bad(e, field, "a window has at most %u rows and columns", UINT16_MAX);
	return 0;
}

static void labels_keep_last(Berth__KeyValue **labels, size_t *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		bool again = false;

		for (size_t k = i + 1; k < *n && !again; k++)
			again = !strcmp(labels[k]->key, labels[i]->key);
		if (again)
			berth__key_value__free_unpacked(labels[i], NULL);
		else
			labels[kept++] = labels[i];
	}
	*n = kept;
}

int field_labels(const char *field, Berth__KeyValue **labels, size_t *n, struct err *e)
{
	char at[FIELD_SIZE];

	if (*n > LABELS_MAX)
		return field_bad(e, field, "%zu of them: at most %u", *n, LABELS_MAX);
	for (size_t i = 0; i < *n; i++) {
		Berth__KeyValue *kv = labels[i];

		field_at(at, "%s[%zu]", field, i);
		if (!kv->key || !*kv->key)
			return field_bad(e, at, "there is no key");
		if (strlen(kv->key) > LABEL_KEY_MAX || strpbrk(kv->key, "= \t\n"))
			return field_bad(e, at, "'%.100s' is no key: at most %u bytes, without = and blanks", kv->key,
					 LABEL_KEY_MAX);
		if (!kv->value && field_set(&kv->value, "") < 0)
			return err_set(e, ENOMEM, at, "keep it");
		if (strlen(kv->value) > LABEL_VALUE_MAX)
			return field_bad(e, at, "the value has more than %u bytes", LABEL_VALUE_MAX);
	}
	labels_keep_last(labels, n);
	return 0;
}
