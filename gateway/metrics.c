/* gateway/metrics.c - see gateway/metrics.h. The names of routes are our own, so their number has an end, and they need no escapes. */
#include "gateway/metrics.h"

#include "base/loop.h"
#include "gateway/gateway.h"
#include "gateway/memory.h"
#include "gateway/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t bounds_us[METRICS_BUCKETS - 1] = {250,	1000,	2500,	 5000,	  10000,   25000,
							100000, 250000, 1000000, 5000000, 30000000};

static size_t routes_count(const struct dialect *d)
{
	size_t n = 0;

	while (d->routes[n].path)
		n++;
	return n;
}

int metrics_init(struct metrics *m, const struct dialect *const *dialects)
{
	size_t n = 0;

	*m = (struct metrics){.dialects = dialects, .started_at = wall_ns()};
	while (dialects[n])
		n++;
	m->series = calloc(n + 1, sizeof *m->series);
	for (size_t i = 0; m->series && i < n; i++) {
		m->series[i] = calloc(routes_count(dialects[i]) + 1, sizeof **m->series);
		if (!m->series[i])
			return -ENOMEM;
	}
	return m->series ? 0 : -ENOMEM;
}

void metrics_fini(struct metrics *m)
{
	for (size_t i = 0; m->series && m->dialects[i]; i++)
		free(m->series[i]);
	free(m->series);
	*m = (struct metrics){0};
}

static struct series *series_find(struct metrics *m, const struct dialect *d, const struct route *r)
{
	for (size_t i = 0; m->series && d && m->dialects[i]; i++)
		if (m->dialects[i] == d)
			return &m->series[i][r ? (size_t)(r - d->routes) : routes_count(d)];
	return &m->none;
}

void metrics_answer(struct metrics *m, const struct dialect *d, const struct route *r, int status, uint64_t ns)
{
	struct series *s = series_find(m, d, r);
	size_t i, k;

	/* More kinds of status than a route can have go into the last one's place: the sum stays right. */
	for (i = 0; i < METRICS_STATUSES - 1 && s->answers[i].status && s->answers[i].status != status; i++)
		;
	s->answers[i].status = (uint16_t)status;
	s->answers[i].n++;
	for (k = 0; k < METRICS_BUCKETS - 1 && ns > bounds_us[k] * 1000; k++)
		;
	s->bucket[k]++;
	s->n++;
	s->sum_ns += ns;
}

/* ---------------------------------------------------------------- text */

/* `dialect="zun",route="POST /v1/x"` */
static void labels(struct buf *b, const struct dialect *d, const struct route *r)
{
	buf_printf(b, "dialect=\"%s\",route=\"", d ? d->name : "");
	if (r && r->name)
		buf_adds(b, r->name);
	else if (r)
		buf_printf(b, "%s %s", r->method ? r->method : "any", r->path);
	else
		buf_adds(b, "none");
	buf_addc(b, '"');
}

static void answers_write(const struct series *s, const struct dialect *d, const struct route *r, struct buf *b)
{
	for (size_t i = 0; i < METRICS_STATUSES && s->answers[i].status; i++) {
		buf_adds(b, "berth_gateway_requests_total{");
		labels(b, d, r);
		buf_printf(b, ",status=\"%u\"} %" PRIu64 "\n", s->answers[i].status, s->answers[i].n);
	}
}

static void latency_write(const struct series *s, const struct dialect *d, const struct route *r, struct buf *b)
{
	uint64_t n = 0;

	for (size_t k = 0; s->n && k < METRICS_BUCKETS; k++) {
		n += s->bucket[k];
		buf_adds(b, "berth_gateway_request_seconds_bucket{");
		labels(b, d, r);
		if (k < METRICS_BUCKETS - 1)
			buf_printf(b, ",le=\"%g\"} %" PRIu64 "\n", (double)bounds_us[k] / 1e6, n);
		else
			buf_printf(b, ",le=\"+Inf\"} %" PRIu64 "\n", n);
	}
	if (!s->n)
		return;
	buf_adds(b, "berth_gateway_request_seconds_sum{");
	labels(b, d, r);
	buf_printf(b, "} %.6f\nberth_gateway_request_seconds_count{", (double)s->sum_ns / 1e9);
	labels(b, d, r);
	buf_printf(b, "} %" PRIu64 "\n", s->n);
}

typedef void series_fn(const struct series *s, const struct dialect *d, const struct route *r, struct buf *b);

static void series_each(const struct metrics *m, series_fn *fn, struct buf *b)
{
	for (size_t i = 0; m->series && m->dialects[i]; i++)
		for (size_t n = routes_count(m->dialects[i]), k = 0; k <= n; k++)
			fn(&m->series[i][k], m->dialects[i], k < n ? &m->dialects[i]->routes[k] : NULL, b);
	fn(&m->none, NULL, NULL, b);
}

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP berth_gateway_%s %s\n# TYPE berth_gateway_%s %s\n", name, help, name, type);
}

static void number(struct buf *b, const char *name, const char *type, const char *help, double value)
{
	head(b, name, type, help);
	buf_printf(b, "berth_gateway_%s %.15g\n", name, value);
}

void metrics_write(const struct gateway *gw, struct buf *b)
{
	const struct metrics *m = &gw->metrics;
	const struct upstream *u = &gw->upstream;

	head(b, "requests_total", "counter", "Answers, by dialect, route and status.");
	series_each(m, answers_write, b);
	head(b, "request_seconds", "histogram", "From the end of the request to its answer, by dialect and route.");
	series_each(m, latency_write, b);
	number(b, "requests_given_up_total", "counter", "Requests whose client went away before the answer.",
	       (double)m->given_up);
	number(b, "connections_total", "counter", "Connections taken.", (double)m->connections);
	number(b, "connections_refused_total", "counter", "Connections refused, since there were too many.",
	       (double)m->refused);
	number(b, "connections_evicted_total", "counter", "Idle connections ended to make room.", (double)m->evicted);
	number(b, "connections_timed_out_total", "counter", "Connections ended because a step took too long.",
	       (double)m->timed_out);
	head(b, "connections", "gauge", "Connections, by what they are about.");
	server_count(gw->server, b);
	number(b, "memory_bytes", "gauge", "Held by bodies, arguments and answers.", (double)memory_used());
	number(b, "memory_max_bytes", "gauge", "What they may hold.", (double)memory_max());
	number(b, "upstream_up", "gauge", "1: berthd is there.", upstream_up(u));
	number(b, "upstream_connections_total", "counter", "Connections made to berthd.", (double)u->connections);
	head(b, "upstream_questions", "gauge", "Questions to berthd under way.");
	buf_printf(b, "berth_gateway_upstream_questions{state=\"waiting\"} %u\n", u->n_waiting);
	buf_printf(b, "berth_gateway_upstream_questions{state=\"sent\"} %u\n", u->n_sent);
	number(b, "start_time_seconds", "gauge", "When this process started.", (double)m->started_at / 1e9);
	head(b, "info", "gauge", "The version.");
	buf_adds(b, "berth_gateway_info{version=\"" BERTH_VERSION "\"} 1\n");
}
