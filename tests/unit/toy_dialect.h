/* tests/unit/toy_dialect.h - a second dialect in twenty lines: that it is one shows that the core knows none. It speaks of "boxes". */
#pragma once

#include "gateway/dialect.h"

static void box_shown(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	jw_object(&c->out, NULL);
	jw_str(&c->out, "box", reply->done->text);
	jw_end(&c->out);
	call_reply(c, 200);
}

static void box_show(struct call *c)
{
	Berth__ContainerInspect m = BERTH__CONTAINER_INSPECT__INIT;

	m.ref = call_param(c, "name");
	call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &m, box_shown);
}

static const struct route toy_routes[] = {{.method = "GET", .path = "/toy/boxes/{name}", .handle = box_show}, {0}};
static const struct dialect toy_dialect = {
	.name = "toy", .roots = (const char *const[]){"/toy", NULL}, .routes = toy_routes};
