/* gateway/self.c - see gateway/self.h */
#include "gateway/self.h"

#include "gateway/gateway.h"

static void healthcheck(struct call *c)
{
	struct fault f = {0};

	if (!upstream_up(&c->gw->upstream)) {
		fault_set(&f, FAULT_UPSTREAM, NULL, "berthd is not there now");
		call_fail(c, &f);
		return;
	}
	call_set(c, "Content-Type", "text/plain");
	buf_adds(&c->out.buf, "OK\n");
	call_reply(c, 200);
}

static void metrics(struct call *c)
{
	call_set(c, "Content-Type", "text/plain; version=0.0.4");
	metrics_write(c->gw, &c->out.buf);
	call_reply(c, 200);
}

static const char *const roots[] = {"/healthcheck", "/metrics", NULL};

static const struct route routes[] = {
	{.method = "GET", .path = "/healthcheck", .handle = healthcheck, .flags = ROUTE_PUBLIC},
	{.method = "HEAD", .path = "/healthcheck", .handle = healthcheck, .flags = ROUTE_PUBLIC},
	{.method = "GET", .path = "/metrics", .handle = metrics, .flags = ROUTE_ADMIN},
	{0},
};

const struct dialect self_dialect = {.name = "self", .roots = roots, .routes = routes};
