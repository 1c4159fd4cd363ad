/* net/table.h - the nftables table `inet berth`: rules that never change, the chains of security groups, and sets and maps of which a port
 * is an element. The whole of it is text for libnftables, a change is messages of our own (net/batch.h); each call is one transaction. Nobody else's table is touched. */
#pragma once

#include "base/err.h"
#include "proto/net.pb-c.h"

#define LINK_PREFIX "bt" /* of the host's ends: how the rules know them */
#define TABLE_NAME  "berth"

struct table;

int table_open(struct table **ret, struct err *e);
void table_close(struct table *t);

/* Readable when others have changed the ruleset; -1 before the table is made first. */
int table_fd(const struct table *t);
/* Readable when a packet was refused whose connection the kernel knows (net/refused.h); -1: it is not told. */
int table_refused_fd(const struct table *t);
void table_refused(struct table *t);
/* What they did to ours ("removed by nft (pid 7)"), or NULL; until it is made again. */
const char *table_touched(struct table *t);

/* The whole table, with all that is in it, instead of what was there. */
int table_make(struct table *t, const Net__State *s, struct err *e);
int table_network_add(struct table *t, const Net__Network *n, struct err *e);
int table_network_del(struct table *t, const Net__Network *n, struct err *e);
int table_port_add(struct table *t, const Net__Port *p, struct err *e);
int table_port_del(struct table *t, const Net__Port *p, struct err *e);
int table_port_change(struct table *t, const Net__Port *was, const Net__Port *p, struct err *e);

int table_group_put(struct table *t, const Net__Group *g, struct err *e);
int table_group_del(struct table *t, uint32_t key, struct err *e);
int table_policy_put(struct table *t, const Net__Policy *p, struct err *e);
int table_policy_del(struct table *t, uint32_t key, struct err *e);
