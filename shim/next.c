/* shim/next.c - see shim/next.h */
#include "shim/next.h"

#include "base/log.h"
#include "base/own.h"
#include "shim/child.h"
#include "shim/plan.h"
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define GROUP_MAX   72
#define PATIENCE_MS 1000 /* a process costs memory, and a retry may be far */

void next_keep(struct shim *s, const Shim__LaunchPlan *l, int *plan_fd)
{
	close_fd(&s->next.plan_fd);
	if (l->stand_by_next)
		s->next.plan_fd = take_fd(plan_fd);
}

static void group_names(const struct shim *s, char group[GROUP_MAX], char main_name[GROUP_MAX])
{
	snprintf(group, GROUP_MAX, "%.40s.%llu", s->uuid, (unsigned long long)s->next.number);
	snprintf(main_name, GROUP_MAX, "%.40s.%llu/main", s->uuid, (unsigned long long)s->next.number);
}

/* Who was sent a signal has been asked to end, most likely. */
static bool is_likely(const struct shim *s)
{
	return s->next.plan_fd >= 0 && !s->leaving && !s->run.signalled && !s->standby.pid && s->net_fd >= 0;
}

static void make_group(struct shim *s)
{
	struct next *n = &s->next;
	char group[GROUP_MAX], main_name[GROUP_MAX];

	n->number = s->run.incarnation + 1;
	group_names(s, group, main_name);
	close_fd(&n->groups_fd);
	n->groups_fd = openat(s->run.cgroup_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Not told of the end yet, berthd knows of no group of that name. */
	if (n->groups_fd >= 0 && (mkdirat(n->groups_fd, group, 0755) < 0 || mkdirat(n->groups_fd, main_name, 0755) < 0))
		close_fd(&n->groups_fd);
}

static void on_nobody_asks(struct timer *t)
{
	standby_drop(container_of(t, struct shim, next.patience));
}

static int begin(struct shim *s, struct plan *plan, struct err *e)
{
	const Shim__LaunchPlan *l;
	struct child c = CHILD_NULL;
	char name[GROUP_MAX], main_name[GROUP_MAX];

	group_names(s, name, main_name);
	AUTO_FD group = openat(s->next.groups_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	TRY(plan_open_launch(plan, s->next.plan_fd, s->uuid, e));
	l = plan->launch;
	c.plan = l;
	c.net_fd = s->net_fd;
	c.kept_fd = s->root_fd;
	c.kept_key = s->root_key;
	TRY(standby_clone(s, l, group, &c, e));
	return standby_watch(s, e);
}

void next_begin(struct shim *s)
{
	struct plan plan = PLAN_NULL;
	struct err e = {0};
	char text[sizeof e.text + 64];

	if (!is_likely(s))
		return;
	make_group(s);
	if (s->next.groups_fd < 0)
		return;
	if (begin(s, &plan, &e) == 0) {
		if (timer_in(&s->loop, &s->next.patience, PATIENCE_MS * NS_PER_MS, on_nobody_asks) < 0)
			standby_drop(s);
	} else {
		log_debug("nobody stands by for the next life: %s", err_format(&e, text, sizeof text));
		standby_drop(s);
	}
	plan_close(&plan);
}

void next_launched(struct shim *s)
{
	timer_del(&s->next.patience);
	close_fd(&s->next.groups_fd);
}

void next_leave(struct shim *s)
{
	struct next *n = &s->next;
	char group[GROUP_MAX], main_name[GROUP_MAX];

	timer_del(&n->patience);
	standby_end(s);
	if (n->groups_fd < 0)
		return;
	/* What is not empty yet berthd removes with the container's. */
	group_names(s, group, main_name);
	(void)unlinkat(n->groups_fd, main_name, AT_REMOVEDIR);
	(void)unlinkat(n->groups_fd, group, AT_REMOVEDIR);
	close_fd(&n->groups_fd);
}
