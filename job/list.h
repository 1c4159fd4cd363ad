/* job/list.h - images, or other objects, that berthd hands to a job. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#define LIST_FD 4 /* a sealed memfd with an Envelope{ImageReply}, or another reply */

Berth__Envelope *list_read(const char *verb, struct err *e); /* NULL: e says why */
Berth__Envelope *list_read_of(const char *verb, Berth__Envelope__BodyCase of, struct err *e);
