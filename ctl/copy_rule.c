/* ctl/copy_rule.c - see ctl/copy_rule.h */
#include "ctl/copy_rule.h"

#include "ctl/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

char *copy_split(const char *arg, const char **ret_path)
{
	const char *colon = strchr(arg, ':');

	*ret_path = arg;
	if (*arg == '/' || *arg == '.' || !colon || colon == arg)
		return NULL;
	*ret_path = colon + 1;
	return mem_textn(arg, (size_t)(colon - arg));
}

static bool ends_in(const char *path, const char *tail)
{
	size_t len = strlen(path), n = strlen(tail);

	return len >= n && !strcmp(path + len - n, tail);
}

bool copy_says_contents(const char *path)
{
	return !strcmp(path, ".") || ends_in(path, "/.");
}

bool copy_says_parent(const char *path)
{
	return !strcmp(path, "..") || ends_in(path, "/..");
}

bool copy_says_folder(const char *path)
{
	return copy_says_contents(path) || ends_in(path, "/") || copy_says_parent(path);
}

char *copy_container_path(const char *path)
{
	const char *tail = copy_says_contents(path) ? "/." : ends_in(path, "/") ? "/" : "";
	char *out = mem_zero(strlen(path) + 8);
	size_t n = 0;

	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && !memcmp(p, "..", 2)) {
			while (n && out[--n] != '/')
				;
		} else if (len && !(len == 1 && *p == '.')) {
			out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len + (p[len] == '/');
	}
	out[n] = 0;
	strcpy(out + n, n || *tail ? tail : "/");
	return out;
}

/* path without what only says that it is a folder: its length. "/" stays. */
static size_t trimmed(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && (path[len - 1] == '/' || (path[len - 1] == '.' && path[len - 2] == '/')))
		len--;
	return len;
}

static void last_part(const char *path, char name[NAME_MAX + 1])
{
	size_t end = trimmed(path), start = end;

	while (start && path[start - 1] != '/')
		start--;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - start), path + start);
	/* The root, the present folder and the one above have no name to give. */
	if (!*name || !strcmp(name, "..") || copy_says_contents(path))
		snprintf(name, NAME_MAX + 1, ".");
}

static void parent_of(const char *path, char folder[PATH_MAX])
{
	size_t end = trimmed(path);

	while (end && path[end - 1] != '/')
		end--;
	while (end > 1 && path[end - 1] == '/')
		end--;
	snprintf(folder, PATH_MAX, "%.*s", end ? (int)end : 1, end ? path : ".");
}

int copy_rule(const struct copy_end *from, const struct copy_end *to, struct copy_way *ret, struct err *e)
{
	if (strlen(to->path) >= PATH_MAX)
		return err_set(e, ENAMETOOLONG, "copy", "%.100s…", to->path);
	if (to->exists && to->folder) {
		snprintf(ret->folder, sizeof ret->folder, "%s", to->path);
		last_part(from->path, ret->name);
		return 0;
	}
	if (to->exists && from->folder)
		return err_set(e, 0, "copy", "%s is a folder and cannot be copied over %s, which is none", from->path,
			       to->path);
	if (to->exists && copy_says_folder(to->path))
		return err_set(e, ENOTDIR, "copy", "%s", to->path);
	if (!to->exists && (copy_says_contents(to->path) || (copy_says_folder(to->path) && !from->folder)))
		return err_set(e, ENOENT, "copy", "the folder %s", to->path);
	parent_of(to->path, ret->folder);
	last_part(to->path, ret->name);
	return 0;
}
