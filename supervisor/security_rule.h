/* supervisor/security_rule.h - one rule of a security group: what it may say, and what it means to the kernel. Pure. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"
#include "proto/net.pb-c.h"
#include "supervisor/arena.h"

/* Completed and written in one way ("6" is tcp, a bare address a /32), or refused with e->step = the field. remote_group is left as it is. */
int security_rule_check(Berth__SecurityGroupRule *r, struct err *e);
/* Do they let the same through? Both checked, remote_group as uuids. */
bool security_rule_is(const Berth__SecurityGroupRule *a, const Berth__SecurityGroupRule *b);
/* For berth-net; remote_group: the key of its remote group, 0 if it has none. NULL without memory. */
Net__Rule *security_rule_message(const Berth__SecurityGroupRule *r, uint32_t remote_group, struct arena *a);
