/* net/gone.h - host ends of interfaces whose holder has ended. The end of its namespace takes them along, at less cost than a removal; but
 * a connection that still has something to send keeps a namespace for minutes, and what has gone then is removed. */
#pragma once

#include "net/nl.h"

#include <stdint.h>

struct gone;

int gone_open(struct gone **ret, struct nl *host, struct err *e);
/* Without memory it is removed at once. */
void gone_add(struct gone *g, const char *host_link);
/* Somebody has it again; NULL: all. */
void gone_forget(struct gone *g, const char *host_link);
/* When there is something to be done: now_ns(), or 0. */
uint64_t gone_due(const struct gone *g);
void gone_go_on(struct gone *g);
