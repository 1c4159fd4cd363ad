/* base/settings.c - see base/settings.h */
#include "base/settings.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define SETTINGS_MAX_BYTES 65536

static int text_set(char *to, const struct setting *k, const char *value, struct err *e)
{
	bool is_path = k->type == SETTING_PATH || k->type == SETTING_PATH_OR_NONE;

	if (strlen(value) >= k->size)
		return err_set(e, EINVAL, k->name, "%s: longer than %zu bytes", k->name, k->size - 1);
	if (!*value && k->type == SETTING_PATH)
		return err_set(e, EINVAL, k->name, "%s: must not be empty", k->name);
	if (is_path && *value && !str_is_clean_path(value))
		return err_set(e, EINVAL, k->name, "%s: '%s' is not an absolute path without . and ..", k->name, value);
	if (k->type == SETTING_NAME_OR_NONE && *value && !str_is_name(value))
		return err_set(e, EINVAL, k->name, "%s: '%s' is not a name", k->name, value);
	memcpy(to, value, strlen(value) + 1);
	return 0;
}

static int number_set(void *to, const struct setting *k, const char *value, struct err *e)
{
	uint64_t n;
	int r = k->type == SETTING_DURATION ? str_to_duration_ns(value, &n)
		: k->type == SETTING_BYTES  ? str_to_bytes(value, &n)
					    : str_to_u64(value, &n);

	if (r < 0 && k->type == SETTING_DURATION)
		return err_set(e, EINVAL, k->name, "%s: '%s' is not a duration like 12h or 7d", k->name, value);
	if (r == -EINVAL)
		return err_set(e, EINVAL, k->name, "%s: '%s' is not a number", k->name, value);
	if (r < 0 || n < k->min || n > k->max)
		return err_set(e, EINVAL, k->name, "%s: %s is not within %llu and %llu", k->name, value,
			       (unsigned long long)k->min, (unsigned long long)k->max);
	if (k->size == sizeof(uint64_t))
		*(uint64_t *)to = n;
	else
		*(uint32_t *)to = (uint32_t)n;
	return 0;
}

static int bool_set(bool *to, const struct setting *k, const char *value, struct err *e)
{
	if (!strcmp(value, "yes") || !strcmp(value, "true") || !strcmp(value, "1"))
		*to = true;
	else if (!strcmp(value, "no") || !strcmp(value, "false") || !strcmp(value, "0"))
		*to = false;
	else
		return err_set(e, EINVAL, k->name, "%s: '%s' is neither yes nor no", k->name, value);
	return 0;
}

static const struct setting *setting_find(const struct settings *s, const char *key)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!strcmp(s->table[i].name, key))
			return &s->table[i];
	return NULL;
}

int settings_set(const struct settings *s, void *object, const char *key, const char *value, struct err *e)
{
	const struct setting *k = setting_find(s, key);
	void *to = k ? (char *)object + k->offset : NULL;

	if (!k)
		return err_set(e, EINVAL, key, "unknown setting '%.64s'", key);
	switch (k->type) {
	case SETTING_PATH:
	case SETTING_PATH_OR_NONE:
	case SETTING_NAME_OR_NONE:
	case SETTING_TEXT:
		return text_set(to, k, value, e);
	case SETTING_DURATION:
	case SETTING_NUMBER:
	case SETTING_BYTES:
		return number_set(to, k, value, e);
	case SETTING_BOOL:
		return bool_set(to, k, value, e);
	}
	return err_set(e, EINVAL, key, "setting '%.64s' has no type", key);
}

/* Cuts blanks from both ends, in place. */
static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t\r");
	end = s + strlen(s);
	while (end > s && strchr(" \t\r", end[-1]))
		end--;
	*end = 0;
	return s;
}

/* The value behind "=": a comment or quotes taken off. -EINVAL: quotes without an end, or something behind them. */
static int value_cut(char **value)
{
	char *v = trim(*value), *end;

	if (*v != '"') {
		v[strcspn(v, "#")] = 0;
		*value = trim(v);
		return 0;
	}
	end = strchr(++v, '"');
	if (!end)
		return -EINVAL;
	*end++ = 0;
	end = trim(end);
	*value = v;
	return !*end || *end == '#' ? 0 : -EINVAL;
}

static int line_set(const struct settings *s, void *object, char *line, uint64_t *seen, struct err *e)
{
	char *key = trim(line), *value = strchr(key, '=');
	const struct setting *k;

	if (!*key || *key == '#')
		return 0;
	if (!value)
		return err_set(e, EINVAL, "config", "'%.64s' is not of the form key = value", key);
	*value++ = 0;
	key = trim(key);
	if (value_cut(&value) < 0)
		return err_set(e, EINVAL, key, "%.64s: the quotes are not closed, or something follows them", key);
	k = setting_find(s, key);
	if (k && *seen & 1ull << (k - s->table))
		return err_set(e, EINVAL, key, "%s: given twice", key);
	if (k)
		*seen |= 1ull << (k - s->table);
	return settings_set(s, object, key, value, e);
}

int settings_parse(const struct settings *s, void *object, const char *file, const char *text, size_t len,
		   struct err *e)
{
	AUTO_FREE void *result = malloc(s->object_size);
	uint64_t seen = 0;
	unsigned line_no = 0;
	char line[1024];

	if (!result || s->n > 64) /* seen is a mask */
		return err_set(e, ENOMEM, "config", "%s", file);
	memcpy(result, object, s->object_size);
	while (len) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len;
		int r;

		line_no++;
		if (n >= sizeof line)
			return err_set(e, EINVAL, "config", "%s:%u: line is longer than %zu bytes", file, line_no,
				       sizeof line - 1);
		if (memchr(text, 0, n))
			return err_set(e, EINVAL, "config", "%s:%u: the line has a NUL in it", file, line_no);
		memcpy(line, text, n);
		line[n] = 0;
		r = line_set(s, result, line, &seen, e);
		if (r < 0) {
			if (e)
				e->code = 0; /* the text says it all: no "Invalid argument" behind it */
			return err_wrap(e, "%s:%u", file, line_no);
		}
		n += nl ? 1 : 0;
		text += n;
		len -= n;
	}
	memcpy(object, result, s->object_size);
	return 0;
}

int settings_load(const struct settings *s, void *object, const char *path, bool must_exist, struct err *e)
{
	AUTO_FREE char *text = NULL;
	ssize_t n = file_read_all(AT_FDCWD, path, SETTINGS_MAX_BYTES, &text);

	if (n == -ENOENT && !must_exist)
		return 0;
	if (n < 0)
		return err_set(e, (int)-n, "config", "read %s", path);
	return settings_parse(s, object, path, text, (size_t)n, e);
}
