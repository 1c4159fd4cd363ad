/* gateway/zun/stats.c - GET stats: what a container uses now.
 *
 * Two samples a quarter of a second apart, so that "CPU %" is what it uses (100 is one processor), not what it used since the host
 * was started. What this host's cgroup v2 does not count is null. */
#include "gateway/gateway.h"
#include "gateway/zun/handlers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BETWEEN_NS (250 * NS_PER_MS)

struct sampling {
	struct target target;
	struct call *call;
	struct timer timer;
	bool host_network; /* its counters would be the host's */
	bool again;
	int64_t sampled_at;
	uint64_t cpu_usec;
};
STATE_FITS(struct sampling);

static void stats_ask(struct call *c);

static void sampling_cleanup(struct call *c)
{
	timer_del(&((struct sampling *)c->state)->timer);
}

static void on_timer(struct timer *t)
{
	stats_ask(container_of(t, struct sampling, timer)->call);
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void cpu_write(struct jw *j, const struct sampling *s, const Berth__Stats *now)
{
	double elapsed_usec = (double)(now->sampled_at - s->sampled_at) / 1000;

	if (now->has_cpu_usec && now->cpu_usec >= s->cpu_usec && elapsed_usec > 0)
		jw_real(j, "CPU %", (double)(now->cpu_usec - s->cpu_usec) / elapsed_usec * 100);
	else
		jw_null(j, "CPU %");
}

static void memory_write(struct jw *j, const Berth__Stats *now)
{
	if (now->has_memory_bytes)
		jw_real(j, "MEM USAGE(MiB)", mib(now->memory_bytes));
	else
		jw_null(j, "MEM USAGE(MiB)");
	if (now->has_memory_limit_bytes && now->memory_limit_bytes)
		jw_real(j, "MEM LIMIT(MiB)", mib(now->memory_limit_bytes));
	else
		jw_null(j, "MEM LIMIT(MiB)");
	if (now->has_memory_bytes && now->memory_limit_bytes)
		jw_real(j, "MEM %", (double)now->memory_bytes / (double)now->memory_limit_bytes * 100);
	else
		jw_null(j, "MEM %");
}

static void stats_write(struct call *c, const Berth__Stats *now)
{
	const struct sampling *s = c->state;

	jw_object(&c->out, NULL);
	jw_str(&c->out, "CONTAINER", now->name);
	cpu_write(&c->out, s, now);
	memory_write(&c->out, now);
	if (now->has_io_read_bytes && now->has_io_write_bytes)
		jw_fmt(&c->out, "BLOCK I/O(B)", "%" PRIu64 "/%" PRIu64, now->io_read_bytes, now->io_write_bytes);
	else
		jw_null(&c->out, "BLOCK I/O(B)");
	/* It has a loopback and nothing else. */
	jw_str(&c->out, "NET I/O(B)", s->host_network ? NULL : "0/0");
	jw_end(&c->out);
	call_reply(c, 200);
}

static void on_sample(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	struct sampling *s = c->state;
	const Berth__Stats *now;

	if (reply->body_case != BERTH__ENVELOPE__BODY_STATS_REPLY || reply->stats_reply->n_stats != 1) {
		/* It ended between the look and the question, or between the samples. */
		zun_refuse(c, ZUN_E_STATE, "Cannot stats container %s: it does not run any more", s->target.uuid);
		return;
	}
	now = reply->stats_reply->stats[0];
	if (s->again) {
		stats_write(c, now);
		return;
	}
	s->again = true;
	s->sampled_at = now->sampled_at;
	s->cpu_usec = now->cpu_usec;
	if (timer_in(&c->gw->loop, &s->timer, BETWEEN_NS, on_timer) < 0)
		zun_refuse(c, ZUN_E_UNAVAILABLE, "out of memory");
}

static void stats_ask(struct call *c)
{
	Berth__ContainerStats m = BERTH__CONTAINER_STATS__INIT;
	struct sampling *s = c->state;
	char *ref = s->target.uuid;

	m.n_refs = 1;
	m.refs = &ref;
	call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_STATS, &m, on_sample);
}

static void stats_found(struct call *c, const Berth__Container *obj)
{
	struct sampling *s = c->state;

	s->host_network = obj->spec->network && !strcmp(obj->spec->network, "host");
	stats_ask(c);
}

void on_stats(struct call *c)
{
	struct sampling *s = c->state;

	s->call = c;
	c->cleanup = sampling_cleanup;
	target_find(c, ZUN_STATS, stats_found);
}
