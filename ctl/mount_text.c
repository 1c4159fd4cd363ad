/* ctl/mount_text.c - see ctl/mount_text.h */
#include "ctl/mount_text.h"

#include "base/own.h"
#include "base/str.h"
#include "ctl/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *path_tidy(const char *path)
{
	char *out = mem_zero(strlen(path) + 2), *o = out;
	const char *p = path, *word;
	size_t len;

	if (*path != '/')
		return strcpy(out, path);
	while ((word = str_word(&p, "/", &len))) {
		if (len == 1 && word[0] == '.')
			continue;
		*o++ = '/';
		o = mempcpy(o, word, len);
	}
	if (o == out)
		*o++ = '/';
	return out;
}

static void text_set(char **at, char *taken)
{
	free(*at);
	*at = taken;
}

static int target_set(Berth__Mount *m, const char *target, struct err *e)
{
	if (target[0] != '/')
		return err_set(e, EINVAL, "flag", "the path in the container must be absolute, not \"%s\"", target);
	text_set(&m->target, path_tidy(target));
	return 0;
}

/* A source without a slash is the name of a volume, as Docker has it; a relative path would silently become one. */
static int source_set(Berth__Mount *m, const char *source, struct err *e)
{
	m->has_type = true;
	if (source[0] == '/') {
		m->type = BERTH__MOUNT__TYPE__BIND;
		text_set(&m->source, path_tidy(source));
		return 0;
	}
	if (!str_is_name(source))
		return err_set(e, EINVAL, "flag",
			       "\"%s\" is neither an absolute path nor the name of a volume (letters, digits, "
			       "\"_.-\"); write \"$PWD/...\" for a "
			       "path from here",
			       source);
	m->type = BERTH__MOUNT__TYPE__VOLUME;
	text_set(&m->source, mem_text(source));
	return 0;
}

static bool is_propagation(const char *s)
{
	static const char *const known[] = {"rprivate", "private", "rslave", "slave", "rshared", "shared"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(s, known[i]))
			return true;
	return false;
}

static int volume_option(Berth__Mount *m, const char *option, struct err *e)
{
	if (!strcmp(option, "ro") || !strcmp(option, "rw")) {
		m->has_read_only = true;
		m->read_only = option[1] == 'o';
		return 0;
	}
	if (is_propagation(option)) {
		text_set(&m->propagation, mem_text(option));
		return 0;
	}
	if (!strcmp(option, "nocopy")) {
		m->has_no_copy = m->no_copy = true;
		return 0;
	}
	if (!strcmp(option, "z") || !strcmp(option, "Z"))
		return err_set(e, EOPNOTSUPP, "flag", "berth does not relabel for SELinux (\"%s\")", option);
	return err_set(e, EINVAL, "flag",
		       "unknown option \"%s\"; there are ro, rw, nocopy, [r]private, [r]slave, [r]shared", option);
}

/* Calls fn for each of the words between commas. */
static int options_each(Berth__Mount *m, const char *text, int (*fn)(Berth__Mount *, const char *, struct err *),
			struct err *e)
{
	const char *p = text, *word;
	size_t len;

	while ((word = str_word(&p, ",", &len))) {
		AUTO_FREE char *option = mem_textn(word, len);
		int r = fn(m, option, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int mount_from_volume(Berth__Mount *m, const char *text, struct err *e)
{
	AUTO_FREE char *source = mem_text(text);
	char *target = strchr(source, ':'), *options = NULL;
	int r;

	if (!target) { /* a volume of its own, without a name */
		m->has_type = true;
		m->type = BERTH__MOUNT__TYPE__VOLUME;
		return target_set(m, text, e);
	}
	*target++ = 0;
	options = strchr(target, ':');
	if (options)
		*options++ = 0;
	if (!source[0] || !target[0])
		return err_set(e, EINVAL, "flag", "\"%s\" is not SOURCE:TARGET[:OPTIONS]", text);
	r = source_set(m, source, e);
	if (r < 0)
		return r;
	r = target_set(m, target, e);
	if (r < 0 || !options)
		return r;
	r = options_each(m, options, volume_option, e);
	if (!r && m->propagation && m->type != BERTH__MOUNT__TYPE__BIND)
		return err_set(e, EINVAL, "flag", "%s is for paths of the host, not for volumes", m->propagation);
	if (!r && m->no_copy && m->type != BERTH__MOUNT__TYPE__VOLUME)
		return err_set(e, EINVAL, "flag", "nocopy is for volumes, not for paths of the host");
	return r;
}

static int tmpfs_size(Berth__Mount *m, const char *value, struct err *e)
{
	if (str_to_bytes(value, &m->size_bytes))
		return err_set(e, EINVAL, "flag", "size: \"%s\" is not a size (such as 64m)", value);
	m->has_size_bytes = true;
	return 0;
}

static int tmpfs_mode(Berth__Mount *m, const char *value, struct err *e)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8); /* the one number here that is octal */

	if (*end || !*value || value[0] == '-' || mode > 07777)
		return err_set(e, EINVAL, "flag", "mode: \"%s\" is not an octal mode (such as 1777)", value);
	m->has_mode = true;
	m->mode = (uint32_t)mode;
	return 0;
}

static int tmpfs_option(Berth__Mount *m, const char *option, struct err *e)
{
	if (str_starts(option, "size="))
		return tmpfs_size(m, option + 5, e);
	if (str_starts(option, "mode="))
		return tmpfs_mode(m, option + 5, e);
	if (!strcmp(option, "exec") || !strcmp(option, "noexec")) {
		m->has_exec = true;
		m->exec = option[0] == 'e';
		return 0;
	}
	if (!strcmp(option, "ro") || !strcmp(option, "rw")) {
		m->has_read_only = true;
		m->read_only = option[1] == 'o';
		return 0;
	}
	if (!strcmp(option, "nosuid") || !strcmp(option, "nodev"))
		return 0; /* always in force */
	return err_set(
		e, EINVAL, "flag",
		"unknown option \"%s\"; there are size=, mode=, ro, rw, exec, noexec (nosuid and nodev always hold)",
		option);
}

int mount_from_tmpfs(Berth__Mount *m, const char *text, struct err *e)
{
	AUTO_FREE char *target = mem_text(text);
	char *options = strchr(target, ':');
	int r;

	if (options)
		*options++ = 0;
	m->has_type = true;
	m->type = BERTH__MOUNT__TYPE__TMPFS;
	r = target_set(m, target, e);
	if (r < 0 || !options)
		return r;
	return options_each(m, options, tmpfs_option, e);
}

static int mount_type(Berth__Mount *m, const char *value, struct err *e)
{
	m->has_type = true;
	if (!strcmp(value, "bind"))
		m->type = BERTH__MOUNT__TYPE__BIND;
	else if (!strcmp(value, "volume"))
		m->type = BERTH__MOUNT__TYPE__VOLUME;
	else if (!strcmp(value, "tmpfs"))
		m->type = BERTH__MOUNT__TYPE__TMPFS;
	else
		return err_set(e, EINVAL, "flag", "type=%s: there are bind, volume and tmpfs", value);
	return 0;
}

static int switch_value(const char *name, const char *value, protobuf_c_boolean *ret, struct err *e)
{
	if (!value || !strcmp(value, "true") || !strcmp(value, "1"))
		*ret = true;
	else if (!strcmp(value, "false") || !strcmp(value, "0"))
		*ret = false;
	else
		return err_set(e, EINVAL, "flag", "%s takes true or false, not \"%s\"", name, value);
	return 0;
}

static int mount_recursive(Berth__Mount *m, const char *value, struct err *e)
{
	m->has_non_recursive = true;
	m->non_recursive = !strcmp(value, "disabled");
	m->has_writable_below = m->writable_below = !strcmp(value, "writable");
	/* "readonly" asks for what "enabled" and ro do on every kernel that berth runs on. */
	if (!m->non_recursive && !m->writable_below && strcmp(value, "enabled") && strcmp(value, "readonly"))
		return err_set(e, EINVAL, "flag",
			       "bind-recursive=%s: there are enabled, disabled, writable and readonly", value);
	return 0;
}

static int mount_propagation(Berth__Mount *m, const char *value, struct err *e)
{
	if (!is_propagation(value))
		return err_set(e, EINVAL, "flag", "bind-propagation=%s: there are [r]private, [r]slave and [r]shared",
			       value);
	text_set(&m->propagation, mem_text(value));
	return 0;
}

static int mount_source(Berth__Mount *m, const char *value, struct err *e)
{
	(void)e; /* whether it must be a path or a name depends on the type, which may come later */
	text_set(&m->source, value[0] == '/' ? path_tidy(value) : mem_text(value));
	return 0;
}

static int mount_option(Berth__Mount *m, const char *option, struct err *e)
{
	static const struct {
		const char *name;
		int (*set)(Berth__Mount *, const char *, struct err *);
	} rows[] = {
		{"type", mount_type},
		{"source", mount_source},
		{"src", mount_source},
		{"target", target_set},
		{"dst", target_set},
		{"destination", target_set},
		{"tmpfs-size", tmpfs_size},
		{"tmpfs-mode", tmpfs_mode},
		{"bind-recursive", mount_recursive},
		{"bind-propagation", mount_propagation},
	};
	AUTO_FREE char *name = mem_text(option);
	char *value = strchr(name, '=');

	if (value)
		*value++ = 0;
	if (!strcmp(name, "readonly") || !strcmp(name, "ro")) {
		m->has_read_only = true;
		return switch_value(name, value, &m->read_only, e);
	}
	if (!strcmp(name, "volume-nocopy")) {
		m->has_no_copy = true;
		return switch_value(name, value, &m->no_copy, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(name, rows[i].name))
			continue;
		if (!value || !*value)
			return err_set(e, EINVAL, "flag", "%s needs a value", name);
		return rows[i].set(m, value, e);
	}
	return err_set(e, EINVAL, "flag",
		       "unknown option \"%s\"; there are type, src, dst, ro, bind-propagation, bind-recursive, "
		       "volume-nocopy, tmpfs-size, tmpfs-mode",
		       name);
}

static bool option_has(const char *text, const char *option)
{
	const char *p = text, *word;
	size_t len;

	while ((word = str_word(&p, ",", &len)))
		if (len == strlen(option) && !memcmp(word, option, len))
			return true;
	return false;
}

int mount_from_mount(Berth__Mount *m, const char *text, struct err *e)
{
	int r;

	m->type = BERTH__MOUNT__TYPE__VOLUME; /* when no type is given */
	r = options_each(m, text, mount_option, e);
	if (r < 0)
		return r;
	m->has_type = true;
	if (!m->target)
		return err_set(e, EINVAL, "flag", "\"%s\" has no dst=", text);
	if (m->type == BERTH__MOUNT__TYPE__TMPFS) {
		if (m->source)
			return err_set(e, EINVAL, "flag", "a tmpfs has no source");
	} else if (!m->source && m->type == BERTH__MOUNT__TYPE__BIND) {
		return err_set(e, EINVAL, "flag", "\"%s\" has no src=", text);
	} else if (m->source && (m->type == BERTH__MOUNT__TYPE__BIND) != (m->source[0] == '/')) {
		return err_set(e, EINVAL, "flag",
			       m->type == BERTH__MOUNT__TYPE__BIND ? "src must be an absolute path, not \"%s\""
								   : "src must be the name of a volume, not \"%s\"",
			       m->source);
	}
	if (m->type != BERTH__MOUNT__TYPE__BIND && (m->propagation || m->has_non_recursive))
		return err_set(e, EINVAL, "flag", "bind-propagation and bind-recursive are for type=bind");
	if ((m->writable_below || option_has(text, "bind-recursive=readonly")) && !m->read_only)
		return err_set(e, EINVAL, "flag", "bind-recursive=writable and readonly are for what is mounted ro");
	if (m->type != BERTH__MOUNT__TYPE__VOLUME && m->has_no_copy)
		return err_set(e, EINVAL, "flag", "volume-nocopy is for type=volume");
	if (m->type != BERTH__MOUNT__TYPE__TMPFS && (m->has_size_bytes || m->has_mode))
		return err_set(e, EINVAL, "flag", "tmpfs-size and tmpfs-mode are for type=tmpfs");
	return 0;
}
