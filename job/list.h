/* job/list.h - images that berthd hands to a job. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#define LIST_FD 4 /* a sealed memfd with an Envelope{ImageReply} */

Berth__Envelope *list_read(const char *verb, struct err *e); /* NULL: e says why */
