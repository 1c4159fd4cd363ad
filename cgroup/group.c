/* cgroup/group.c - see cgroup/group.h */
#include "cgroup/group.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "cgroup/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX      16 /* of groups below one of ours; a container with its own subtree stays far below */
#define BURY_NS	       (1 * NS_PER_MS) /* who waits for an end, or for the next beginning, comes first */
#define RETRY_FIRST_NS (10 * NS_PER_MS)
#define RETRY_MAX_NS   (5 * NS_PER_S)
#define GROUP_PATH_MAX 1024

struct cg_undead {
	struct list link; /* cg_graveyard.undead */
	int root_fd;	  /* not owned */
	uint64_t pause_ns, at_ns;
	char path[];
};

int cg_make(int parent_fd, const char *name, int *ret_fd, struct err *e)
{
	*ret_fd = -1;
	if (mkdirat(parent_fd, name, 0755) < 0)
		return err_set(e, errno, "cgroup", "make group %s", name);
	int r = cg_open(parent_fd, name, ret_fd);
	if (r < 0) {
		unlinkat(parent_fd, name, AT_REMOVEDIR);
		return err_set(e, r, "cgroup", "open group %s", name);
	}
	return 0;
}

int cg_open(int parent_fd, const char *name, int *ret_fd)
{
	*ret_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *ret_fd < 0 ? -errno : 0;
}

/* The words of cgroup.controllers or cgroup.subtree_control as bits. */
static int read_controllers(int fd, const char *file, uint32_t *ret)
{
	char text[512];
	const char *p = text, *word;
	size_t len;

	*ret = 0;
	ssize_t n = file_read(fd, file, text, sizeof text);
	if (n < 0)
		return (int)n;
	while ((word = str_word(&p, " \n", &len)))
		for (int c = 0; c < CG_CONTROLLER_N_; c++)
			if (strlen(cg_controller_name(c)) == len && !memcmp(cg_controller_name(c), word, len))
				*ret |= CG_BIT(c);
	return 0;
}

int cg_enable(int fd, uint32_t controllers, struct err *e)
{
	char text[128] = "";
	size_t len = 0;
	uint32_t on;
	int r = read_controllers(fd, "cgroup.subtree_control", &on);

	if (r < 0)
		return err_set(e, r, "cgroup", "read cgroup.subtree_control");
	for (int c = 0; c < CG_CONTROLLER_N_; c++)
		if (controllers & ~on & CG_BIT(c))
			len += (size_t)snprintf(text + len, sizeof text - len, "+%s ", cg_controller_name(c));
	if (!len)
		return 0;
	r = file_write(fd, "cgroup.subtree_control", text, len);
	if (r < 0)
		return err_set(e, r, "cgroup", "enable controllers: %s", text);
	return 0;
}

int cg_controllers_here(int fd, uint32_t *ret)
{
	return read_controllers(fd, "cgroup.controllers", ret);
}

int cg_controllers_below(int fd, uint32_t *ret)
{
	return read_controllers(fd, "cgroup.subtree_control", ret);
}

int cg_kill(int fd)
{
	return file_writes(fd, "cgroup.kill", "1");
}

int cg_freeze(int fd, bool on)
{
	return file_writes(fd, "cgroup.freeze", on ? "1" : "0");
}

/* The number after "name " at the start of a line. */
static int read_event(int fd, const char *name)
{
	char text[256];
	ssize_t n = file_read(fd, "cgroup.events", text, sizeof text);
	size_t len = strlen(name);

	if (n < 0)
		return (int)n;
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (!strncmp(line, name, len) && line[len] == ' ')
			return line[len + 1] == '1';
	return -ENODATA;
}

int cg_is_frozen(int fd)
{
	return read_event(fd, "frozen");
}

int cg_is_populated(int fd)
{
	return read_event(fd, "populated");
}

/* What the kernel answers for a group that was removed after we opened it. */
static bool is_gone(int r)
{
	return r == -ENOENT || r == -ENODEV;
}

/* Calls fn for every folder in fd, whose position in fd itself is left alone. */
int cg_each_child(int fd, int (*fn)(const char *name, void *arg), void *arg)
{
	AUTO_FD own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *d;
	int r = 0;

	if (own < 0)
		return -errno;
	DIR *dir = fdopendir(own);
	if (!dir)
		return -errno;
	take_fd(&own);
	while (!r && (errno = 0, d = readdir(dir)))
		if (d->d_type == DT_DIR && strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			r = fn(d->d_name, arg);
	if (!r && errno)
		r = -errno;
	closedir(dir);
	return r;
}

struct removal {
	int fd;
	unsigned depth;
};

static int remove_below(int parent_fd, const char *name, unsigned depth);

static int remove_child(const char *name, void *arg)
{
	struct removal *rm = arg;

	return remove_below(rm->fd, name, rm->depth + 1);
}

static int remove_below(int parent_fd, const char *name, unsigned depth)
{
	AUTO_FD fd = -1;
	int r;

	/* Most groups have no children: the plain rmdir is all. */
	if (!unlinkat(parent_fd, name, AT_REMOVEDIR) || errno == ENOENT)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	if (depth == DEPTH_MAX)
		return -ELOOP;
	r = cg_open(parent_fd, name, &fd);
	if (r < 0)
		return is_gone(r) ? 0 : r;
	r = cg_each_child(fd, remove_child, &(struct removal){fd, depth});
	if (r < 0)
		return is_gone(r) ? 0 : r;
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int cg_remove(int parent_fd, const char *name)
{
	return remove_below(parent_fd, name, 0);
}

struct pid_walk {
	int fd;
	unsigned depth;
	int (*fn)(int pid, const char *group, void *arg);
	void *arg;
	char *path; /* GROUP_PATH_MAX, shared by all levels */
	size_t len;
};

static int each_pid_here(const struct pid_walk *w)
{
	AUTO_FD fd = openat(w->fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char text[4096];
	int pid = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, text, sizeof text)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			/* 0: a process of another pid namespace */
			int r = pid ? w->fn(pid, w->path, w->arg) : 0;
			if (r)
				return r;
			pid = 0;
		}
	return n < 0 ? -errno : 0;
}

static int each_pid_walk(struct pid_walk *w);

static int each_pid_child(const char *name, void *arg)
{
	struct pid_walk *above = arg;
	struct pid_walk w = *above;
	AUTO_FD fd = -1;
	int r = cg_open(above->fd, name, &fd);

	if (r < 0)
		return is_gone(r) ? 0 : r;
	size_t need = strlen(name) + (w.len ? 1 : 0);
	if (++w.depth > DEPTH_MAX || w.len + need >= GROUP_PATH_MAX)
		return -ELOOP;
	snprintf(w.path + w.len, GROUP_PATH_MAX - w.len, "%s%s", w.len ? "/" : "", name);
	w.len += need;
	w.fd = fd;
	r = each_pid_walk(&w);
	above->path[above->len] = '\0';
	return is_gone(r) ? 0 : r;
}

static int each_pid_walk(struct pid_walk *w)
{
	int r = each_pid_here(w);

	return r ? r : cg_each_child(w->fd, each_pid_child, w);
}

int cg_each_pid(int fd, bool deep, int (*fn)(int pid, const char *group, void *arg), void *arg)
{
	char path[GROUP_PATH_MAX] = "";
	struct pid_walk w = {.fd = fd, .fn = fn, .arg = arg, .path = path};

	return deep ? each_pid_walk(&w) : each_pid_here(&w);
}

/* ---------------------------------------------------------------- graveyard */

static void graveyard_tick(struct timer *t);

void cg_graveyard_init(struct cg_graveyard *g, struct loop *l)
{
	*g = (struct cg_graveyard){.loop = l};
	list_init(&g->undead);
}

void cg_graveyard_fini(struct cg_graveyard *g)
{
	struct cg_undead *u;

	timer_del(&g->timer);
	while ((u = list_pop(&g->undead, struct cg_undead, link)))
		free(u);
	g->n = 0;
}

/* Kill again on each try: a process may have been put in since. */
static int bury_now(int root_fd, const char *path)
{
	AUTO_FD fd = -1;
	int r = cg_open(root_fd, path, &fd);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	cg_kill(fd); /* what it could not do, rmdir refuses */
	return cg_remove(root_fd, path);
}

static void graveyard_arm(struct cg_graveyard *g)
{
	struct cg_undead *u;
	uint64_t at_ns = UINT64_MAX;

	list_each (u, &g->undead, link)
		if (u->at_ns < at_ns)
			at_ns = u->at_ns;
	if (at_ns == UINT64_MAX)
		timer_del(&g->timer);
	else
		timer_at(g->loop, &g->timer, at_ns, graveyard_tick);
}

static void graveyard_tick(struct timer *t)
{
	struct cg_graveyard *g = container_of(t, struct cg_graveyard, timer);
	uint64_t now = now_ns();
	struct cg_undead *u;

	list_each (u, &g->undead, link) {
		if (u->at_ns > now)
			continue;
		if (!bury_now(u->root_fd, u->path)) {
			list_del(&u->link);
			free(u);
			g->n--;
			continue;
		}
		u->pause_ns = u->pause_ns * 2 < RETRY_MAX_NS ? u->pause_ns * 2 : RETRY_MAX_NS;
		u->at_ns = now + u->pause_ns;
	}
	graveyard_arm(g);
}

void cg_bury(struct cg_graveyard *g, int root_fd, const char *path)
{
	struct cg_undead *u;

	list_each (u, &g->undead, link)
		if (u->root_fd == root_fd && !strcmp(u->path, path))
			return;
	u = malloc(sizeof *u + strlen(path) + 1);
	if (!u)
		return; /* left for the sweep at the next start */
	*u = (struct cg_undead){.root_fd = root_fd, .pause_ns = RETRY_FIRST_NS / 2, .at_ns = now_ns() + BURY_NS};
	strcpy(u->path, path);
	list_push(&g->undead, &u->link);
	g->n++;
	graveyard_arm(g);
}
