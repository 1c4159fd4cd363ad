/* job/stack.c - see job/stack.h */
#include "job/stack.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "image/names.h"
#include "image/node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40

int stack_open(char *const *folder, size_t n, struct err *e)
{
	char data[4096] = "lowerdir=";
	size_t len = strlen(data);
	int fd;

	if (!n)
		return err_set(e, EINVAL, "layers", "an image without layers");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_set(e, errno, "layers", "mounts of our own");
	for (size_t i = n; i-- > 0;) {
		fd = open(folder[i], O_PATH | O_DIRECTORY | O_CLOEXEC); /* open until the job ends */
		if (fd < 0)
			return err_set(e, errno, "layers", "%s", folder[i]);
		len += (size_t)snprintf(data + len, sizeof data - len, "%s/proc/self/fd/%d", i == n - 1 ? "" : ":", fd);
		if (len >= sizeof data)
			return err_set(e, E2BIG, "layers", "%zu layers", n);
	}
	/* One layer is no overlay: it is what it is. */
	if (n > 1 && mount("overlay", folder[0], "overlay", MS_RDONLY | MS_NODEV | MS_NOEXEC, data) < 0)
		return err_set(e, errno, "layers", "mount the layers");
	fd = open(folder[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "layers", "%s", folder[0]) : fd;
}

int stack_open_below(const char *state, const Berth__Container *c, struct err *e)
{
	char *folder[130] = {NULL};
	size_t n = 0;
	int r = 0;

	if (c->n_layers >= ARRAY_SIZE(folder) - 1)
		return err_set(e, E2BIG, "layers", "%zu layers", c->n_layers);
	if (asprintf(&folder[n++], "%s/mountpoints", state) < 0)
		r = -ENOMEM;
	for (size_t i = 0; !r && i < c->n_layers; i++)
		if (asprintf(&folder[n++], "%s/images/layers/%s", state,
			     str_starts(c->layers[i], "sha256:") ? c->layers[i] + 7 : c->layers[i]) < 0)
			r = -ENOMEM;
	r = r ? err_set(e, ENOMEM, "layers", "no memory") : stack_open(folder, n, e);
	for (size_t i = 0; i < n; i++)
		free(folder[i]);
	return r;
}

/* ---------------------------------------------------------------- mount points */

struct view { /* an overlay, looked at without mounting it */
	int upper, lower;
};

/* One without links on the way, as it is seen; false: nothing is there. ret_upper: the upper layer has it. */
static bool view_look(const struct view *v, const char *path, struct stat *ret, bool *ret_upper, char link[PATH_MAX])
{
	const int layer[] = {v->upper, v->lower};

	for (unsigned i = 0; i < 2; i++) {
		AUTO_FD fd = layer[i] < 0 ? -1
					  : path_open(layer[i], *path ? path : ".", O_PATH | O_NOFOLLOW,
						      RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
		ssize_t n;

		if (fd < 0 || fstat(fd, ret) < 0)
			continue;
		if (node_is_whiteout(ret))
			return false;
		n = S_ISLNK(ret->st_mode) ? readlinkat(fd, "", link, PATH_MAX - 1) : 0;
		if (n < 0)
			return false;
		link[n] = 0;
		*ret_upper = !i;
		return true;
	}
	return false;
}

/* Where a path of the container leads, by its links, as far as it is there. false: nowhere that can be told. */
static bool view_resolve(const struct view *v, const char *path, char ret[PATH_MAX])
{
	char rest[2 * PATH_MAX], link[PATH_MAX], more[2 * PATH_MAX];
	unsigned links = 0;
	struct stat st;
	bool upper;

	*ret = 0;
	if (snprintf(rest, sizeof rest, "%s", path) >= PATH_MAX)
		return false;
	for (char *p = rest + strspn(rest, "/"); *p; p += strspn(p, "/")) {
		size_t len = strcspn(p, "/"), at = strlen(ret);

		if (len == 2 && !memcmp(p, "..", 2)) {
			char *slash = strrchr(ret, '/');

			*(slash ? slash : ret) = 0;
			p += len;
			continue;
		}
		if (len == 1 && *p == '.') {
			p += len;
			continue;
		}
		if (snprintf(ret + at, PATH_MAX - at, "%s%.*s", at ? "/" : "", (int)len, p) >= (int)(PATH_MAX - at))
			return false;
		p += len;
		if (!view_look(v, ret, &st, &upper, link) || !S_ISLNK(st.st_mode))
			continue;
		if (++links > LINKS_MAX || snprintf(more, sizeof more, "%s%s", link, p) >= PATH_MAX)
			return false;
		ret[*link == '/' ? 0 : at] = 0;
		memcpy(rest, more, strlen(more) + 1);
		p = rest;
	}
	return true;
}

static int made_add(struct made *m, const char *path)
{
	char **more = realloc(m->path, (m->n + 1) * sizeof *more);

	if (!more)
		return -ENOMEM;
	m->path = more;
	m->path[m->n] = strdup(path);
	if (!m->path[m->n])
		return -ENOMEM;
	m->n++;
	return 0;
}

bool made_has(const struct made *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->path[i], path))
			return true;
	return false;
}

bool made_in(const struct made *m, const char *folder)
{
	size_t len = strlen(folder);

	for (size_t i = 0; i < m->n; i++)
		if (!strncmp(m->path[i], folder, len) && m->path[i][len] == '/' && !strchr(m->path[i] + len + 1, '/'))
			return true;
	return false;
}

void made_fini(struct made *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->path[i]);
	free(m->path);
	*m = (struct made){0};
}

/* Nothing but what was made is in that folder of the upper layer. */
static bool holds_made_alone(const struct made *m, int upper_fd, const char *path)
{
	AUTO_FD fd = path_open(upper_fd, path, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	struct names names;
	bool alone = true;

	if (fd < 0 || names_read(fd, &names) < 0)
		return false;
	for (size_t i = 0; alone && i < names.n; i++) {
		char child[PATH_MAX];

		snprintf(child, sizeof child, "%s/%s", path, names.item[i]);
		alone = made_has(m, child);
	}
	names_fini(&names);
	return alone;
}

/* The mount point, and the folders above it that are there for it alone. */
static int target_find(struct made *m, const struct view *v, const char *target)
{
	const struct view below = {.upper = -1, .lower = v->lower};
	char path[PATH_MAX], link[PATH_MAX];
	struct stat st;
	bool upper;
	int r = 0;

	if (!view_resolve(v, target, path) || !*path)
		return 0;
	for (bool first = true; !r && *path; first = false) {
		char *slash = strrchr(path, '/');

		if (view_look(&below, path, &st, &upper, link) || !view_look(v, path, &st, &upper, link) || !upper ||
		    (!first && !holds_made_alone(m, v->upper, path)))
			break;
		if (!made_has(m, path))
			r = made_add(m, path);
		*(slash ? slash : path) = 0;
	}
	return r;
}

int made_find(struct made *m, const Berth__Container *c, int upper_fd, int lower_fd, struct err *e)
{
	static const char *const own[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev", "/proc", "/sys"};
	const struct view v = {upper_fd, lower_fd};
	int r = 0;

	*m = (struct made){0};
	for (size_t i = 0; !r && i < ARRAY_SIZE(own); i++)
		r = target_find(m, &v, own[i]);
	for (size_t i = 0; !r && c->spec && i < c->spec->n_mounts; i++)
		if (c->spec->mounts[i]->target)
			r = target_find(m, &v, c->spec->mounts[i]->target);
	for (size_t i = 0; !r && c->spec && i < c->spec->n_devices; i++)
		if (c->spec->devices[i]->target)
			r = target_find(m, &v, c->spec->devices[i]->target);
	if (r < 0)
		made_fini(m);
	return r < 0 ? err_set(e, ENOMEM, "layers", "no memory") : 0;
}
