/* supervisor/stats.c - ContainerStats. Reading a group's counters makes the kernel sum them up, which takes time with many
 * processors and groups: so a few containers are read in each turn of the loop, and others are served between. */
#include "base/log.h"
#include "cgroup/stat.h"
#include "cgroup/tree.h"
#include "supervisor/container.h"
#include "supervisor/link_stats.h"
#include "supervisor/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATS_PER_TURN 8u
#define STATS_REFS     4096u

struct sampling {
	struct supervisor *sv;
	struct parked parked;
	struct timer next;
	char (*uuid)[UUID_SIZE]; /* owned */
	size_t n, at;
	Berth__Stats **stats; /* owned, with their names */
	size_t n_stats;
};

static void stats_free(Berth__Stats *s)
{
	/* `unavailable` points to names of ours, and so is its array freed alone. */
	free(s->uuid);
	free(s->name);
	free(s->unavailable);
	link_stats_free(s);
	free(s);
}

static void sampling_free(struct sampling *sa)
{
	timer_del(&sa->next);
	for (size_t i = 0; i < sa->n_stats; i++)
		stats_free(sa->stats[i]);
	free(sa->stats);
	free(sa->uuid);
	free(sa);
}

/* Controllers that this host does not have: their fields are absent, which is not 0. */
static int stats_unavailable(Berth__Stats *s, uint32_t missing)
{
	s->unavailable = calloc(CG_CONTROLLER_N_, sizeof *s->unavailable);
	if (!s->unavailable)
		return -ENOMEM;
	for (int i = 0; i < CG_CONTROLLER_N_; i++)
		if (missing & CG_BIT(i))
			s->unavailable[s->n_unavailable++] =
				(char *)(uintptr_t)cg_controller_name((enum cg_controller)i);
	return 0;
}

/* -ENOENT: it does not run any more. */
static int stats_read(const struct container *c, Berth__Stats *s)
{
	AUTO_FD fd = -1;
	uint32_t missing = 0;
	int r = container_group_open(c, &fd);

	if (r == 0)
		r = cg_stat_read(fd, s, &missing);
	if (r == 0)
		r = stats_unavailable(s, missing);
	/* In the host's namespace it has no interfaces of its own. */
	if (r == 0 && !(c->obj->spec->network && !strcmp(c->obj->spec->network, "host")))
		r = link_stats_read(c->obj->status->pid, s);
	if (r < 0)
		return r;
	s->uuid = strdup(c->node.uuid);
	s->name = strdup(c->obj->meta->name ? c->obj->meta->name : "");
	s->has_sampled_at = true;
	s->sampled_at = wall_ns();
	return s->uuid && s->name ? 0 : -ENOMEM;
}

static void sampling_end(struct sampling *sa)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__StatsReply body = BERTH__STATS_REPLY__INIT;

	body.stats = sa->stats;
	body.n_stats = sa->n_stats;
	env.body_case = BERTH__ENVELOPE__BODY_STATS_REPLY;
	env.stats_reply = &body;
	reply(sa->sv, sa->parked, &env, NULL, 0);
	sampling_free(sa);
}

/* One container; one that has ended meanwhile is left out. */
static int sampling_one(struct sampling *sa, const char *uuid)
{
	struct table_node *n = table_find(&sa->sv->containers, uuid);
	Berth__Stats *s;
	int r;

	if (!n || !container_has_process(container_of(n, struct container, node)))
		return 0;
	s = malloc(sizeof *s);
	if (!s)
		return -ENOMEM;
	berth__stats__init(s);
	r = stats_read(container_of(n, struct container, node), s);
	if (r < 0) {
		stats_free(s);
		return r == -ENOENT || r == -ENODEV ? 0 : r; /* its group went away under us */
	}
	sa->stats[sa->n_stats++] = s;
	return 0;
}

static void on_sampling(struct timer *t)
{
	struct sampling *sa = container_of(t, struct sampling, next);
	int r = 0;

	for (unsigned i = 0; i < STATS_PER_TURN && sa->at < sa->n && r == 0; i++)
		r = sampling_one(sa, sa->uuid[sa->at++]);
	if (r == 0 && sa->at < sa->n && parked_alive(sa->sv, sa->parked))
		r = timer_in(&sa->sv->loop, &sa->next, 0, on_sampling);
	else if (r == 0) {
		sampling_end(sa);
		return;
	}
	if (r < 0) {
		reply_error(sa->sv, sa->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "read the counters: %s",
			    strerror(-r));
		sampling_free(sa);
	}
}

/* Those that were named. False: answered. */
static bool sampling_named(struct request *rq, struct sampling *sa)
{
	const Berth__ContainerStats *a = rq->env->container_stats;
	struct err e = {0};

	for (size_t i = 0; i < a->n_refs; i++) {
		struct container *c = container_find(rq->sv, &rq->who, a->refs[i], &e);

		if (!c) {
			reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
			return false;
		}
		if (!container_has_process(c)) {
			reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
				    "cannot show stats: container %s is %s", a->refs[i],
				    container_state_name(container_state(c)));
			return false;
		}
		snprintf(sa->uuid[sa->n++], UUID_SIZE, "%s", c->node.uuid);
	}
	return true;
}

static void sampling_all(struct request *rq, struct sampling *sa)
{
	struct table_node *n;

	list_each (n, &rq->sv->containers.all, link) {
		const struct container *c = container_of(n, struct container, node);

		if (container_has_process(c) && !strcmp(c->obj->meta->project, rq->who.project))
			snprintf(sa->uuid[sa->n++], UUID_SIZE, "%s", c->node.uuid);
	}
}

void on_container_stats(struct request *rq)
{
	const Berth__ContainerStats *a = rq->env->container_stats;
	struct supervisor *sv = rq->sv;
	size_t room = a->n_refs ? a->n_refs : sv->containers.n;
	struct sampling *sa;

	if (a->n_refs > STATS_REFS) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INVALID, "refs", "more than %u containers named",
			    STATS_REFS);
		return;
	}
	sa = calloc(1, sizeof *sa);
	if (sa) {
		sa->sv = sv;
		sa->parked = rq->parked;
		sa->uuid = calloc(room + 1, sizeof *sa->uuid);
		sa->stats = calloc(room + 1, sizeof *sa->stats);
	}
	if (!sa || !sa->uuid || !sa->stats) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		if (sa)
			sampling_free(sa);
		return;
	}
	if (a->n_refs && !sampling_named(rq, sa)) {
		sampling_free(sa);
		return;
	}
	if (!a->n_refs)
		sampling_all(rq, sa);
	on_sampling(&sa->next);
}
