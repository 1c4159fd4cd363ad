/* supervisor/container_request.h - what the handlers of requests about containers share. */
#pragma once

#include "supervisor/container.h"
#include "supervisor/request.h"

/* The container that a request names. NULL: the request has been answered. */
struct container *request_container(struct request *rq, const char *ref);
/* Lets the event happen, with the request's verb and answer. False: refused and answered. */
bool request_event(struct request *rq, struct container *c, struct event *ev);
/* Both ends of a session into a start's event. Negative errno. */
int event_session(struct event *ev);
