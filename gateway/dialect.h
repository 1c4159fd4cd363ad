/* gateway/dialect.h - what makes an API of the gateway. An author needs this page, call.h, and json.h for writing.
 *
 * A dialect is a struct dialect in a folder of its own, named in the list in main.c. Its routes are rows (route.h): method, path,
 * arguments (params.h), handler. The core has done the following before it calls a handler: it read the request within limits, found
 * the row (404, 405 with Allow, 406 by since and until), saw a token (401; ROUTE_PUBLIC needs none), parsed query and body into c->args
 * whose values have exactly the types of the table (400 names the field), made c->id, the request id. The handler answers now, or asks
 * berthd and answers in the callback:
 *
 *	static void show_reply(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
 *	{
 *		jw_object(&c->out, NULL);
 *		jw_str(&c->out, "name", reply->container_reply->container->meta->name);
 *		jw_end(&c->out);
 *		call_reply(c, 200);
 *	}
 *
 *	static void show(struct call *c)
 *	{
 *		Berth__ContainerInspect m = BERTH__CONTAINER_INSPECT__INIT;
 *
 *		m.ref = call_param(c, "id");
 *		call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &m, show_reply);
 *	}
 *
 * Every call is answered exactly once: call_reply or call_fail, as the last thing done with it. A handler never blocks and never
 * waits; it is called on the one thread of the loop. The caller's token goes along with each question, and berthd decides who may:
 * a dialect checks no rights, it has none of its own. Refusals of berthd (an Error in its reply), its absence and lateness do not come
 * to the callback: they go to the dialect's fail(), as all refusals of the core do. A callback is not called after the client went
 * away. A descriptor in a reply is read by call_stream(). Containers are never kept: what must be remembered of them is put into
 * ContainerSpec.annotations. */
#pragma once

#include "gateway/call.h"
#include "gateway/route.h"

struct dialect {
	const char *name; /* in metrics and the log: "zun" */
	/* Paths below these are its own: {"/v1", "/", NULL}. The longest root of all dialects wins. */
	const char *const *roots;
	const struct route *routes; /* the last one has no path */
	/* Before the row is looked for, so that its headers are on every answer of the dialect: reads the version wanted into c->version
	 * and sets headers by call_set. False with f set (FAULT_VERSION …): refused. May be NULL. */
	bool (*begin)(struct call *c, struct fault *f);
	/* Writes the body that a refusal has in this dialect to c->out (empty so far), may set headers; returns the status to answer with,
	 * as a rule f->status. NULL: the core's own {"error": {"code": 404, "title": …, "message": …}}. */
	int (*fail)(struct call *c, const struct fault *f);
	/* Last before an answer leaves, also one of the core's: its headers, as one with the request id. NULL: X-Openstack-Request-Id. */
	void (*finish)(struct call *c, int status);
	/* Further tables of its own, as members of the object that --routes prints for it. May be NULL. */
	void (*describe)(struct jw *j);
};
