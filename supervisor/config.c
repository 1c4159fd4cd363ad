/* supervisor/config.c - see supervisor/config.h. One table of keys: where the value goes, what it may be. */
#include "supervisor/config.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX_BYTES 65536

enum config_type { CONFIG_PATH, CONFIG_CGROUP, CONFIG_GROUP, CONFIG_DURATION, CONFIG_NUMBER, CONFIG_BOOL };

struct config_key {
	const char *name;
	enum config_type type;
	size_t offset, size;
	uint64_t min, max;
};

#define KEY_AS(key, field, t, lo, hi)                                                                                  \
	{                                                                                                              \
		.name = key, .type = t, .offset = offsetof(struct config, field),                                      \
		.size = sizeof((struct config *)0)->field, .min = lo, .max = hi                                        \
	}
#define KEY(n, t, lo, hi) KEY_AS(#n, n, t, lo, hi)

static const struct config_key config_keys[] = {
	KEY(state_dir, CONFIG_PATH, 0, 0),
	KEY(run_dir, CONFIG_PATH, 0, 0),
	KEY(cgroup, CONFIG_CGROUP, 0, 0),
	KEY(socket_group, CONFIG_GROUP, 0, 0),
	KEY(job_path, CONFIG_PATH, 0, 0),
	KEY_AS("action_keep", action_keep_ns, CONFIG_DURATION, 0, 10ull * 365 * 86400 * NS_PER_S),
	KEY(max_containers, CONFIG_NUMBER, 1, 1u << 20),
	KEY(max_clients, CONFIG_NUMBER, 1, 60000),
	KEY(userns_first, CONFIG_NUMBER, 1, 4294000000u),
	KEY(userns_per, CONFIG_NUMBER, 1, 1u << 20),
	KEY(spare_shims, CONFIG_NUMBER, 0, 64),
	KEY(debug, CONFIG_BOOL, 0, 0),
};

/* berth-job lies beside berthd, wherever that was installed. */
static void config_job_path(struct config *c)
{
	char self[sizeof c->job_path];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (n <= 0)
		return;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (slash && (size_t)(slash - self) + sizeof "/berth-job" <= sizeof c->job_path) {
		memcpy(slash, "/berth-job", sizeof "/berth-job");
		memcpy(c->job_path, self, strlen(self) + 1);
	}
}

void config_defaults(struct config *c)
{
	*c = (struct config){
		.state_dir = "/var/lib/berth",
		.run_dir = "/run/berth",
		.config_file = "/etc/berth/berthd.conf",
		.socket_group = "berth",
		.job_path = "/usr/libexec/berth/berth-job",
		.action_keep_ns = 7ull * 86400 * NS_PER_S,
		.max_containers = 16384,
		.max_clients = 1024,
		.userns_first = 200000,
		.userns_per = 65536,
		.spare_shims = 4,
	};
	config_job_path(c);
}

static int config_set_text(char *to, const struct config_key *k, const char *value, struct err *e)
{
	bool may_be_empty = k->type != CONFIG_PATH;

	if (strlen(value) >= k->size)
		return err_set(e, EINVAL, k->name, "%s: longer than %zu bytes", k->name, k->size - 1);
	if (!*value && !may_be_empty)
		return err_set(e, EINVAL, k->name, "%s: must not be empty", k->name);
	if (k->type != CONFIG_GROUP && *value && !str_is_clean_path(value))
		return err_set(e, EINVAL, k->name, "%s: '%s' is not an absolute path without . and ..", k->name, value);
	if (k->type == CONFIG_GROUP && *value && !str_is_name(value))
		return err_set(e, EINVAL, k->name, "%s: '%s' is not a group's name", k->name, value);
	memcpy(to, value, strlen(value) + 1);
	return 0;
}

static int config_set_number(void *to, const struct config_key *k, const char *value, struct err *e)
{
	uint64_t n;
	int r = k->type == CONFIG_DURATION ? str_to_duration_ns(value, &n) : str_to_u64(value, &n);

	if (r < 0 && k->type == CONFIG_DURATION)
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

static int config_set_bool(bool *to, const struct config_key *k, const char *value, struct err *e)
{
	if (!strcmp(value, "yes") || !strcmp(value, "true") || !strcmp(value, "1"))
		*to = true;
	else if (!strcmp(value, "no") || !strcmp(value, "false") || !strcmp(value, "0"))
		*to = false;
	else
		return err_set(e, EINVAL, k->name, "%s: '%s' is neither yes nor no", k->name, value);
	return 0;
}

static const struct config_key *config_key_find(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(config_keys); i++)
		if (!strcmp(config_keys[i].name, key))
			return &config_keys[i];
	return NULL;
}

int config_set(struct config *c, const char *key, const char *value, struct err *e)
{
	const struct config_key *k = config_key_find(key);
	void *to = k ? (char *)c + k->offset : NULL;

	if (!k)
		return err_set(e, EINVAL, key, "unknown setting '%.64s'", key);
	switch (k->type) {
	case CONFIG_PATH:
	case CONFIG_CGROUP:
	case CONFIG_GROUP:
		return config_set_text(to, k, value, e);
	case CONFIG_DURATION:
	case CONFIG_NUMBER:
		return config_set_number(to, k, value, e);
	case CONFIG_BOOL:
		return config_set_bool(to, k, value, e);
	}
	return err_set(e, EINVAL, key, "setting '%.64s' has no type", key);
}

/* `here` has no symbolic links in it, so that .. at the beginning goes up. One behind a name may mean anything: it stays, and is refused. */
int config_set_path(struct config *c, const char *key, const char *here, const char *path, struct err *e)
{
	char full[2 * PATH_MAX] = "/";
	bool going_up = path[0] != '/';
	size_t len, n = going_up && strcmp(here, "/") ? strlen(here) : 0;
	const char *p = path, *word;

	if (!path[0])
		return config_set(c, key, path, e);
	if (n + strlen(path) + 2 > sizeof full)
		return err_set(e, ENAMETOOLONG, key, "%s: %.64s...", key, path);
	memcpy(full, here, n);
	while ((word = str_word(&p, "/", &len))) {
		if (len == 1 && word[0] == '.')
			continue;
		going_up = going_up && len == 2 && !memcmp(word, "..", 2);
		if (going_up) {
			while (n && full[--n] != '/')
				;
			continue;
		}
		full[n++] = '/';
		memcpy(full + n, word, len);
		n += len;
	}
	full[n ? n : 1] = 0;
	return config_set(c, key, full, e);
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

static int config_line(struct config *c, char *line, uint32_t *seen, struct err *e)
{
	char *key = trim(line), *value = strchr(key, '=');
	const struct config_key *k;

	if (!*key || *key == '#')
		return 0;
	if (!value)
		return err_set(e, EINVAL, "config", "'%.64s' is not of the form key = value", key);
	*value++ = 0;
	key = trim(key);
	if (value_cut(&value) < 0)
		return err_set(e, EINVAL, key, "%.64s: the quotes are not closed, or something follows them", key);
	k = config_key_find(key);
	if (k && *seen & 1u << (k - config_keys))
		return err_set(e, EINVAL, key, "%s: given twice", key);
	if (k)
		*seen |= 1u << (k - config_keys);
	return config_set(c, key, value, e);
}

int config_parse(struct config *c, const char *file, const char *text, size_t len, struct err *e)
{
	struct config result = *c;
	uint32_t seen = 0;
	unsigned line_no = 0;
	char line[1024];

	_Static_assert(ARRAY_SIZE(config_keys) <= 32, "seen is a mask");
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
		r = config_line(&result, line, &seen, e);
		if (r < 0) {
			if (e)
				e->code = 0; /* the text says it all: no "Invalid argument" behind it */
			return err_wrap(e, "%s:%u", file, line_no);
		}
		n += nl ? 1 : 0;
		text += n;
		len -= n;
	}
	*c = result;
	return 0;
}

int config_load(struct config *c, const char *path, bool must_exist, struct err *e)
{
	AUTO_FREE char *text = NULL;
	ssize_t n = file_read_all(AT_FDCWD, path, CONFIG_MAX_BYTES, &text);

	if (n == -ENOENT && !must_exist)
		return 0;
	if (n < 0)
		return err_set(e, (int)-n, "config", "read %s", path);
	return config_parse(c, path, text, (size_t)n, e);
}

int config_check(const struct config *c, struct err *e)
{
	/* sun_path has 108 bytes: RUN "/shims/" uuid NUL. */
	size_t longest = 108 - 1 - strlen("/shims/") - (UUID_SIZE - 1);

	if (!str_is_clean_path(c->state_dir) || !str_is_clean_path(c->run_dir))
		return err_set(e, 0, "config", "state_dir and run_dir must be absolute paths without . and ..");
	if (strlen(c->run_dir) > longest)
		return err_set(e, 0, "run_dir", "run_dir: longer than %zu bytes, sockets in it could not be named",
			       longest);
	if (!strcmp(c->state_dir, c->run_dir))
		return err_set(e, 0, "config", "state_dir and run_dir must not be the same folder");
	if ((uint64_t)c->userns_first + c->userns_per > 4294967295u)
		return err_set(e, 0, "userns_first", "userns_first + userns_per is beyond the last user id");
	return 0;
}
