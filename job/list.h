/* job/list.h - what berthd hands to a job in a sealed memfd: images, mostly. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#define LIST_FD 4 /* a sealed memfd with an Envelope{ImageReply}, or another reply */

/* One with that body. NULL: e says why. */
Berth__Envelope *envelope_read(int fd, Berth__Envelope__BodyCase body, const char *verb, struct err *e);
Berth__Envelope *list_read(const char *verb, struct err *e); /* NULL: e says why */
Berth__Envelope *list_read_of(const char *verb, Berth__Envelope__BodyCase of, struct err *e);
