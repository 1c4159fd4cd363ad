/* job/top.c - `top`, fd 4 = folder of an incarnation's group: the processes in `main` and each `exec-*`. Result TopReply.
 *
 * Reading /proc/PID/cmdline takes the process's mmap lock and may hang with it: that is why this is a job, which berthd kills at
 * its deadline. A process that ends meanwhile is left out. */
#include "job/job.h"

#include "base/file.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CGROUP_FD     4
#define PROCESSES_MAX 100000
#define COMMAND_MAX   4096

struct top {
	Berth__Process **process; /* owned */
	size_t n, size;
	int64_t boot_ns; /* wall clock at boot: start times count from there */
	uint64_t ticks, page;
};

/* ---------------------------------------------------------------- one process */

/* "pid (name) S ppid …": the name may hold anything, so what follows is counted from the last parenthesis. */
static int stat_read(const struct top *t, const char *pid, Berth__Process *p, char name[64])
{
	char path[64], text[1024], *open, *close;
	unsigned long long utime, stime, start;
	long long rss;
	int ppid;

	snprintf(path, sizeof path, "/proc/%s/stat", pid);
	if (file_read(AT_FDCWD, path, text, sizeof text) <= 0 || !(open = strchr(text, '(')) ||
	    !(close = strrchr(text, ')')) || close[1] != ' ')
		return -ESRCH;
	/* man 5 proc: 3 state, 4 ppid, 14 utime, 15 stime, 22 starttime, 24 rss */
	if (sscanf(close + 4, "%d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu %*u %lld",
		   &ppid, &utime, &stime, &start, &rss) != 5)
		return -ESRCH;
	snprintf(name, 64, "%.*s", (int)(close - open - 1), open + 1);
	p->state = strndup(close + 2, 1);
	p->has_ppid = p->has_cpu_usec = p->has_rss_bytes = p->has_started_at = true;
	p->ppid = ppid;
	p->cpu_usec = (utime + stime) * 1000000 / t->ticks;
	p->rss_bytes = (uint64_t)(rss > 0 ? rss : 0) * t->page;
	p->started_at = t->boot_ns + (int64_t)(start * NS_PER_S / t->ticks);
	return p->state ? 0 : -ENOMEM;
}

/* "Uid:" the first number (real), "NSpid:" the last one: its number in its innermost pid namespace. */
static void status_read(const char *pid, Berth__Process *p)
{
	char path[64], text[8192], *line, *end;

	snprintf(path, sizeof path, "/proc/%s/status", pid);
	if (file_read(AT_FDCWD, path, text, sizeof text) <= 0)
		return;
	line = strstr(text, "\nUid:");
	if (line && sscanf(line + 5, "%u", &p->uid) == 1)
		p->has_uid = true;
	line = strstr(text, "\nNSpid:");
	if (!line)
		return;
	line += 7;
	end = line + strcspn(line, "\n");
	while (end > line && !isdigit((unsigned char)end[-1]))
		end--;
	while (end > line && isdigit((unsigned char)end[-1]))
		end--;
	if (sscanf(end, "%d", &p->container_pid) == 1)
		p->has_container_pid = true;
}

/* The arguments with spaces between; a kernel thread or a zombie has none: its name in brackets, as ps has it. */
static char *command_read(const char *pid, const char *name)
{
	char path[64], text[COMMAND_MAX];
	size_t n = 0, len;
	int fd;

	snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t got = read(fd, text, sizeof text - 1);

		n = got > 0 ? (size_t)got : 0;
		close(fd);
	}
	while (n && !text[n - 1])
		n--;
	if (!n)
		n = (size_t)snprintf(text, sizeof text, "[%s]", name);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = ' ';
	/* Not every program's arguments are UTF-8, and a record must be; a cut may also split a character. */
	len = n;
	while (len && n - len < 4 && !str_is_utf8(text, len))
		len--;
	if (!str_is_utf8(text, len)) {
		len = n;
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)text[i] >= 0x80)
				text[i] = '?';
	}
	return strndup(text, len);
}

static int process_add(struct top *t, const char *pid, const char *group)
{
	Berth__Process *p = malloc(sizeof *p);
	char name[64];
	int r = -ENOMEM;

	if (!p)
		return r;
	berth__process__init(p);
	p->has_pid = true;
	p->pid = atoi(pid); /* digits from the kernel */
	r = stat_read(t, pid, p, name);
	if (r == 0) {
		status_read(pid, p);
		p->command = command_read(pid, name);
		p->group = strdup(group);
		r = p->command && p->group ? 0 : -ENOMEM;
	}
	if (r == 0 && t->n == t->size) {
		size_t size = t->size ? 2 * t->size : 64;
		Berth__Process **more = realloc(t->process, size * sizeof(Berth__Process *));

		if (more) {
			t->process = more;
			t->size = size;
		} else {
			r = -ENOMEM;
		}
	}
	if (r < 0) {
		berth__process__free_unpacked(p, NULL);
		return r == -ESRCH ? 0 : r;
	}
	t->process[t->n++] = p;
	return 0;
}

/* ---------------------------------------------------------------- groups */

static int group_read(struct top *t, const char *group, struct err *e)
{
	AUTO_FREE char *pids = NULL;
	char path[300];
	const char *at, *pid;
	size_t len;
	ssize_t n;

	snprintf(path, sizeof path, "%.255s/cgroup.procs", group);
	n = file_read_all(CGROUP_FD, path, 4u << 20, &pids);
	if (n == -ENOENT || n == -ENODEV)
		return 0; /* an exec that has just ended */
	if (n < 0)
		return err_set(e, (int)-n, "top", "%s", path);
	at = pids;
	while ((pid = str_word(&at, "\n", &len)) && t->n < PROCESSES_MAX) {
		char text[16];

		if (len >= sizeof text)
			continue;
		memcpy(text, pid, len);
		text[len] = 0;
		if (process_add(t, text, group) < 0)
			return err_set(e, ENOMEM, "top", "processes");
	}
	return 0;
}

static int groups_read(struct top *t, struct err *e)
{
	int fd = openat(CGROUP_FD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		r = err_set(e, errno, "top", "cgroup");
		close_fd(&fd);
		return r;
	}
	r = group_read(t, "main", e);
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && str_starts(entry->d_name, "exec-"))
			r = group_read(t, entry->d_name, e);
	closedir(dir);
	return r;
}

static int process_compare(const void *a, const void *b)
{
	const Berth__Process *p = *(Berth__Process *const *)a, *q = *(Berth__Process *const *)b;

	return p->started_at != q->started_at ? (p->started_at > q->started_at) - (p->started_at < q->started_at)
					      : p->pid - q->pid;
}

int verb_top(int argc, char **argv, struct err *e)
{
	struct top t = {.ticks = (uint64_t)sysconf(_SC_CLK_TCK), .page = (uint64_t)sysconf(_SC_PAGESIZE)};
	Berth__TopReply reply = BERTH__TOP_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	struct timespec boot;
	int r = confine_enter(&(struct confine){.caps = JOB_CAPS_PROC, .all_files = 1}, e);

	(void)argc, (void)argv;
	if (r < 0)
		return r;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	t.boot_ns = wall_ns() - ((int64_t)boot.tv_sec * (int64_t)NS_PER_S + boot.tv_nsec);
	r = groups_read(&t, e);
	if (r == 0) {
		if (t.n)
			qsort(t.process, t.n, sizeof(Berth__Process *), process_compare);
		reply.n_processes = t.n;
		reply.processes = t.process;
		env.body_case = BERTH__ENVELOPE__BODY_TOP_REPLY;
		env.top_reply = &reply;
		r = report_send(&env, e);
	}
	for (size_t i = 0; i < t.n; i++)
		berth__process__free_unpacked(t.process[i], NULL);
	free(t.process);
	return r;
}
