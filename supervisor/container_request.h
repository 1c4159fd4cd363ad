/* supervisor/container_request.h - what the handlers of requests about containers share. */
#pragma once

#include "supervisor/container.h"
#include "supervisor/request.h"

/* Whether the asker may have a hand in a process of this container. An admin may have made one with more than a member may ask for, in the
 * member's own project: its streams and programs are not for him. False: refused. */
bool request_may_enter(struct request *rq, const struct container *c);
/* The container that a request names. NULL: the request has been answered. */
struct container *request_container(struct request *rq, const char *ref);
/* Lets the event happen, with the request's verb and answer. False: refused and answered. */
bool request_event(struct request *rq, struct container *c, struct event *ev);
/* Both ends of a session into a start's event. Negative errno. */
int event_session(struct event *ev);
