/* net/group.h - security groups: chains that accept. net/table.c has where they are asked.
 *
 * A group has four chains: what may come in and what may go out, and for each the answers to it, where source and destination have changed
 * places. So a packet of a connection is measured by today's rules in both directions, and a rule that is gone ends what it had let. A policy is
 * the groups that an interface has; interfaces with the same ones share it. */
#pragma once

#include "net/element.h"
#include "proto/net.pb-c.h"

#define GROUPS_OF_A_PORT 16u
#define GROUP_RULES_MAX	 1024u

bool group_is_sound(const Net__Group *g, struct err *e);
/* Instead of what is there of it. */
void group_put(struct batch *b, const Net__Group *g);
void group_del(struct batch *b, uint32_t key); /* of no policy and no rule any more */
/* The same for a table that is new: sets first, those of all groups; a group that nobody is in is only named. */
void group_sets_text(struct buf *b, const Net__Group *g);
void group_rules_text(struct buf *b, const Net__Group *g);

void policy_put(struct batch *b, const Net__Policy *p);
void policy_del(struct batch *b, uint32_t key); /* which is there, else the batch fails with ENOENT */
void policy_text(struct buf *b, const Net__Policy *p);
void policy_elements(struct elements *list, const Net__Policy *p); /* behind its text */

#define GROUP_NAME 24 /* of a chain or set */
/* The set of the addresses of a group's members. */
#define GROUP_SET(buf, key, six) snprintf(buf, sizeof(buf), "g%u_%c", key, (six) ? '6' : '4')
