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

static void container_reply(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	const Berth__Container *k = reply->container_reply->container;

	jw_object(&c->out, NULL);
	jw_str(&c->out, "uuid", k->meta->uuid);
	jw_str(&c->out, "name", k->meta->name);
	jw_end(&c->out);
	call_reply(c, 200);
}

static void container(struct call *c)
{
	Berth__ContainerInspect m = BERTH__CONTAINER_INSPECT__INIT;

	m.ref = call_param(c, "id");
	call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &m, container_reply);
}

static const char *const roots[] = {"/healthcheck", "/metrics", "/berth", NULL};

static const struct route routes[] = {
	{.method = "GET", .path = "/healthcheck", .handle = healthcheck, .flags = ROUTE_PUBLIC},
	{.method = "GET", .path = "/berth/containers/{id}", .handle = container},
	{0},
};

const struct dialect self_dialect = {.name = "self", .roots = roots, .routes = routes};
