/* gateway/zun/top.c - GET top: the processes of a container as `ps -ef` shows them, in the host's numbers.
 *
 * ps_args is nothing (or "None", or "-ef"), or the numbers of those that are wanted; other arguments would ask for other columns. */
#include "gateway/zun/handlers.h"

#include "base/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct looking {
	struct target target;
};
STATE_FITS(struct looking);

#define PIDS_MAX 64

struct pids { /* those wanted; none: all */
	unsigned n;
	uint32_t pid[PIDS_MAX];
};

static bool pids_read(const char *args, struct pids *ret)
{
	const char *word;
	char text[12];
	size_t len;

	*ret = (struct pids){0};
	if (!args || !strcmp(args, "-ef"))
		return true;
	while ((word = str_word(&args, " ,", &len))) {
		snprintf(text, sizeof text, "%.*s", (int)(len < sizeof text ? len : sizeof text - 1), word);
		if (len >= sizeof text || ret->n == PIDS_MAX || str_to_u32(text, &ret->pid[ret->n]) < 0)
			return false;
		ret->n++;
	}
	return true;
}

static bool is_wanted(const struct pids *p, int32_t pid)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->pid[i] == (uint32_t)pid)
			return true;
	return p->n == 0;
}

/* When it was started: the hour today, the day before. */
static void stime_write(struct jw *j, int64_t started_at, int64_t now_ns)
{
	time_t then = (time_t)(started_at / 1000000000), now = (time_t)(now_ns / 1000000000);
	struct tm a, b;
	char text[32];

	localtime_r(&then, &a);
	localtime_r(&now, &b);
	strftime(text, sizeof text, a.tm_year == b.tm_year && a.tm_yday == b.tm_yday ? "%H:%M" : "%b%d", &a);
	jw_str(j, NULL, text);
}

static void process_write(struct jw *j, const Berth__Process *p, int64_t now_ns)
{
	uint64_t seconds = p->cpu_usec / 1000000;
	int64_t age_us = p->started_at ? (now_ns - p->started_at) / 1000 : 0;

	jw_array(j, NULL);
	/* Looking up others may block; this one has its name everywhere. */
	if (p->user && *p->user)
		jw_str(j, NULL, p->user);
	else if (p->uid == 0)
		jw_str(j, NULL, "root");
	else
		jw_fmt(j, NULL, "%u", p->uid);
	jw_fmt(j, NULL, "%d", p->pid);
	jw_fmt(j, NULL, "%d", p->ppid);
	jw_fmt(j, NULL, "%" PRIu64, age_us > 0 ? p->cpu_usec * 100 / (uint64_t)age_us : 0);
	stime_write(j, p->started_at, now_ns);
	jw_str(j, NULL, "?");
	jw_fmt(j, NULL, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600, seconds / 60 % 60, seconds % 60);
	jw_str(j, NULL, p->command ? p->command : "");
	jw_end(j);
}

static void on_processes(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	static const char *const titles[] = {"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"};
	int64_t now_ns = wall_ns();
	struct pids wanted;

	if (reply->body_case != BERTH__ENVELOPE__BODY_TOP_REPLY) {
		zun_refuse_upstream(c, "list of processes");
		return;
	}
	pids_read(arg_str(c->args, "ps_args"), &wanted);
	jw_object(&c->out, NULL);
	jw_array(&c->out, "Titles");
	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		jw_str(&c->out, NULL, titles[i]);
	jw_end(&c->out);
	jw_array(&c->out, "Processes");
	for (size_t i = 0; i < reply->top_reply->n_processes; i++)
		if (is_wanted(&wanted, reply->top_reply->processes[i]->pid))
			process_write(&c->out, reply->top_reply->processes[i], now_ns);
	jw_end(&c->out);
	jw_end(&c->out);
	call_reply(c, 200);
}

static void top_found(struct call *c, const Berth__Container *obj)
{
	Berth__ContainerTop m = BERTH__CONTAINER_TOP__INIT;

	m.ref = ((struct target *)c->state)->uuid;
	call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_TOP, &m, on_processes);
}

void on_top(struct call *c)
{
	struct pids wanted;

	if (pids_read(arg_str(c->args, "ps_args"), &wanted))
		target_find(c, ZUN_TOP, top_found);
	else
		zun_refuse(c, ZUN_E_VALUE,
			   "Invalid input for field 'ps_args'. There are -ef and the numbers of processes.");
}
