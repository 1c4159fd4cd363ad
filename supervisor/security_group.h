/* supervisor/security_group.h - security groups: lists of what may pass, of a project, for interfaces to be in.
 *
 * An interface is in none, and then its network's isolation is all that holds, or in some: then nothing passes that none of them lets through. Which, is
 * stored with its lease. Every project has one called `default`, made when it is first looked for. What the kernel has of a group is berth-net's
 * (proto/net.proto): the groups of an interface together are a policy, known by a number that all leases with the same groups have. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/net.pb-c.h"
#include "supervisor/arena.h"
#include "supervisor/client.h"
#include "supervisor/netd.h"
#include "supervisor/supervisor.h"

#define SECURITY_GROUP_DEFAULT "default"
#define SECURITY_RULES_MAX     256u /* of a group: each is looked at for packets that nothing before it lets through */
#define SECURITY_GROUPS_EACH   16u  /* of an interface */
#define SECURITY_GROUPS_MAX    256u /* of a project */

struct net_holder;
struct network;
struct request;

struct security_group {
	struct table_node node; /* supervisor.security_groups */
	struct supervisor *sv;
	Berth__SecurityGroup *obj; /* owned */
	bool stored, removing;
	bool told;	      /* the berth-net that runs has it: somebody is in it, or was */
	struct parked parked; /* who made it, and who removes it */
};

int security_groups_open(struct supervisor *sv, struct err *e);
void security_groups_close(struct supervisor *sv);

/* Of the project, by name or uuid; NULL: there is none, or it is on its way out. */
struct security_group *security_group_find(struct supervisor *sv, const char *project, const char *ref);
struct security_group *security_group_by_uuid(struct supervisor *sv, const char *uuid);
/* A new one with its first rules: those that let everything out, unless it is empty. NULL without memory. */
struct security_group *security_group_new(struct supervisor *sv, const char *project, const char *owner,
					  const char *name, bool empty);
void security_group_free(struct security_group *g);
int security_group_rule_append(struct security_group *g, Berth__SecurityGroupRule *r); /* takes it; -ENOMEM: freed */
void security_group_rule_drop(struct security_group *g, size_t i);		       /* frees it */

/* The groups of an interface instead of those that the lease has. e->step: "security_groups[i]". */
int security_groups_lease(const struct network *n, const char *project, char *const *names, size_t n_names,
			  Berth__Lease *l, struct err *e);
/* Of a new one, what was asked for. e->step: the field of the ask. */
int security_groups_asked(const struct network *n, const char *project, const Berth__NetworkAsk *ask, Berth__Lease *l,
			  struct err *e);
bool security_group_has(const struct security_group *g, const struct net_holder *h);

/* ---------------------------------------------------------------- for berth-net (security_state.c) */

/* Its rules as they are now, to a berth-net that has it; the others hear of it when they need it. done may be NULL. */
int security_group_tell(struct security_group *g, netd_done *done, void *arg, struct err *e);
void security_group_gone(struct security_group *g);
/* The policies of all leases, and the groups in them. */
void security_groups_state(struct supervisor *sv, Net__State *s, struct arena *a);
void security_groups_port(struct supervisor *sv, const Berth__Lease *l, Net__Port *p, struct arena *a);
/* The number that others with these groups have, or a new one; 0: it has none, or there is no memory. */
uint32_t security_policy_number(struct supervisor *sv, const Berth__Lease *l);
/* Before the first interface with it is made. */
void security_policy_tell(struct supervisor *sv, const Berth__Lease *l);
/* Leases have gone: policies that no other has go too, soon (or, now, at once). */
void security_policies_tidy(struct supervisor *sv, bool now);
void security_policies_close(struct supervisor *sv);

/* ---------------------------------------------------------------- for the requests (security_*request.c) */

/* The one that a request names: of the project; for those who see all, any by its uuid. NULL: refused. */
struct security_group *security_group_asked(struct request *rq, const char *ref);
void security_refuse(struct request *rq, const struct err *e);
