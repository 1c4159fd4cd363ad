/* shim/ids.c - see shim/ids.h
 *
 * The files belong to the image: they may be huge, malformed, a FIFO or a device. Hence opened without waiting, taken only if
 * regular, read up to a bound, and parsed without a line ever being copied. */
#include "shim/ids.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct field {
	const char *at;
	size_t len;
};

/* Cuts [at, end) at its next separator, which is skipped. */
static struct field cut(const char **at, const char *end, char sep)
{
	struct field f = {*at, 0};
	const char *hit = memchr(*at, sep, (size_t)(end - *at));

	f.len = (size_t)((hit ? hit : end) - *at);
	*at = hit ? hit + 1 : end;
	return f;
}

static bool field_is(struct field f, const char *word, size_t len)
{
	return f.len == len && memcmp(f.at, word, len) == 0;
}

static bool field_id(struct field f, uint32_t *ret)
{
	char digits[16];
	uint32_t id;

	if (!f.len || f.len >= sizeof digits)
		return false;
	memcpy(digits, f.at, f.len);
	digits[f.len] = 0;
	/* -1 means "leave as it is" to the kernel and is nobody's id. */
	if (str_to_u32(digits, &id) < 0 || id == UINT32_MAX)
		return false;
	*ret = id;
	return true;
}

/* A line of either file: name:x:id:fourth:fifth:home:shell. Lines without an id are passed over. */
struct entry {
	struct field name, fourth, home;
	uint32_t id;
};

static bool next_entry(const char **at, const char *end, struct entry *ret)
{
	while (*at < end) {
		struct field line = cut(at, end, '\n'), f[6];
		const char *p = line.at, *stop = line.at + line.len;

		for (unsigned i = 0; i < ARRAY_SIZE(f); i++)
			f[i] = cut(&p, stop, ':');
		if (!f[0].len || !field_id(f[2], &ret->id))
			continue;
		ret->name = f[0];
		ret->fourth = f[3];
		ret->home = f[5];
		return true;
	}
	return false;
}

static bool find_entry(const char *text, size_t len, struct field want, bool by_name, uint32_t id, struct entry *ret)
{
	const char *at = text, *end = text + len;

	while (next_entry(&at, end, ret))
		if (by_name ? field_is(ret->name, want.at, want.len) : ret->id == id)
			return true;
	return false;
}

/* A name first, as Docker does, then a number. found: *ret is from the file. */
static int look_up(struct field want, const char *text, size_t len, const char *what, struct entry *ret, bool *found,
		   struct err *e)
{
	uint32_t id = 0;

	*found = find_entry(text, len, want, true, 0, ret);
	if (*found)
		return 0;
	if (!field_id(want, &id))
		return err_set(e, ENOENT, "user", "no %s %.*s in the container's /etc/%s", what,
			       (int)(want.len < 100 ? want.len : 100), want.at,
			       strcmp(what, "user") == 0 ? "passwd" : "group");
	*found = find_entry(text, len, want, false, id, ret);
	ret->id = id;
	return 0;
}

int ids_add_group(struct identity *id, gid_t gid, struct err *e)
{
	for (unsigned i = 0; i < id->n_groups; i++)
		if (id->groups[i] == gid)
			return 0;
	if (id->n_groups == IDS_GROUPS_MAX)
		return err_set(e, E2BIG, "user", "more than %d supplementary groups", IDS_GROUPS_MAX);
	id->groups[id->n_groups++] = gid;
	return 0;
}

static int add_memberships(struct identity *id, struct field user, const char *group, size_t len, struct err *e)
{
	const char *at = group, *end = group + len;
	struct entry g;

	while (next_entry(&at, end, &g)) {
		const char *p = g.fourth.at, *stop = p + g.fourth.len;

		while (p < stop) {
			struct field member = cut(&p, stop, ',');
			int r = 0;

			if (field_is(member, user.at, user.len))
				r = ids_add_group(id, g.id, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int ids_resolve(const char *spec, const char *passwd, size_t passwd_len, const char *group, size_t group_len,
		struct identity *ret, struct err *e)
{
	const char *at = spec && spec[0] ? spec : "0", *end = at + strlen(at);
	struct field user = cut(&at, end, ':'), named_group = {at, (size_t)(end - at)};
	bool has_group = named_group.len > 0, found;
	struct entry u = {0}, g = {0};
	int r;

	*ret = (struct identity){.home = "/"};
	if (!user.len)
		user = (struct field){"0", 1};
	r = look_up(user, passwd, passwd_len, "user", &u, &found, e);
	if (r < 0)
		return r;
	ret->uid = u.id;
	if (found) {
		if (u.home.len && u.home.len < sizeof ret->home)
			snprintf(ret->home, sizeof ret->home, "%.*s", (int)u.home.len, u.home.at);
		if (!has_group && !field_id(u.fourth, &ret->gid))
			return err_set(e, EINVAL, "user", "user %.*s has no group in the container's /etc/passwd",
				       (int)(user.len < 100 ? user.len : 100), user.at);
		if (!has_group)
			return add_memberships(ret, u.name, group, group_len, e);
	}
	if (has_group) {
		r = look_up(named_group, group, group_len, "group", &g, &found, e);
		ret->gid = g.id;
	}
	return r;
}

/* ---------------------------------------------------------------- inside */

/* An absent file is an empty one. *ret is in fresh pages, or a constant. */
static int map_text(int root_fd, const char *path, const char **ret, size_t *ret_len, struct err *e)
{
	struct stat st;
	AUTO_FD fd =
		path_open_in(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	char *text;
	size_t len = 0;

	*ret = "";
	*ret_len = 0;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "user", "open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "user", "%s is not a regular file", path);
	if (st.st_size > IDS_FILE_MAX)
		return err_set(e, EFBIG, "user", "%s is larger than %u bytes", path, IDS_FILE_MAX);
	if (!st.st_size)
		return 0;
	/* Read and not mapped: a mapped file that is cut while we look at it kills us. */
	text = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (text == MAP_FAILED)
		return err_set(e, errno, "user", "memory for %s", path);
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, text + len, (size_t)st.st_size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "user", "read %s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

int ids_resolve_inside(int root_fd, const char *spec, struct identity *ret, struct err *e)
{
	const char *passwd = "", *group = "";
	size_t passwd_len = 0, group_len = 0;
	int r;

	/* Nothing is unmapped: the process is about to execute, or to end. */
	r = map_text(root_fd, "/etc/passwd", &passwd, &passwd_len, e);
	if (r == 0)
		r = map_text(root_fd, "/etc/group", &group, &group_len, e);
	if (r == 0)
		r = ids_resolve(spec, passwd, passwd_len, group, group_len, ret, e);
	return r;
}

int ids_enter(const struct identity *id, struct err *e)
{
	/* Groups while we may still set them, uid last. */
	if (sys_setgroups(id->n_groups, id->groups) < 0)
		return err_set(e, errno, "user", "set %u supplementary groups", id->n_groups);
	if (sys_setresgid(id->gid) < 0)
		return err_set(e, errno, "user", "become group %u", id->gid);
	if (sys_setresuid(id->uid) < 0)
		return err_set(e, errno, "user", "become user %u", id->uid);
	return 0;
}
