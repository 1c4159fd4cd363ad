/* supervisor/launch.h - from a container to a shim that has its plan: facts gathered, groups made, plan packed, sent. */
#pragma once

#include "base/err.h"
#include "cgroup/limits.h"
#include "supervisor/container.h"
#include "supervisor/plan.h"

/* The next incarnation. The report will come over the link; on an error nothing of it is left. hold: stop before exec.
 * *ret_net_fd: its network namespace, if nothing will be said to that any more (the caller's); else untouched. */
int launch_container(struct container *c, bool hold, int *ret_net_fd, struct err *e);
/* How a job sees the files of one that does not run: rootfs and the person's mounts, as a LaunchPlan in a sealed memfd. */
int launch_view(struct container *c, int *ret_fd, struct err *e);
/* The holder of an explicit pod. */
int launch_holder(struct pod *p, struct err *e);

/* What of the facts is the host's, for all containers with this spec. */
void launch_facts_of_host(struct supervisor *sv, const Berth__Container *obj, struct arena *a, struct plan_facts *f);
/* What plan.c wants to know of a container; strings and arrays live in the arena. */
int launch_facts(struct container *c, struct arena *a, struct plan_facts *f, struct err *e);
/* Of a container in no pod. */
/* The first twelve digits of a uuid. */
char *uuid_short(const char *uuid, struct arena *a);
/* Of its small files those that change with its networks, as they are to be, in a sealed memfd. */
int launch_files(struct container *c, int *ret_fd, struct err *e);
const char *launch_hostname(const Berth__ContainerSpec *spec, const char *uuid, struct arena *a);
/* The folders of an image's layers, topmost first, which is the order of an overlay, and one more: the mount points below all.
 * NULL and a->failed: no memory. */
char **launch_layers(struct supervisor *sv, char *const *ids, size_t n, struct arena *a);
/* An exec gets what the launch did: its label, whatever was loaded since, and no more capabilities than go without a device filter. */
void launch_exec_facts(const struct container *c, struct plan_facts *f);
/* A packed message in a sealed memfd. */
int launch_pack(const ProtobufCMessage *m, const char *name, int *ret_fd, struct err *e);
/* Limits that a program looks for in its own group, and putting them there: into `main` of the incarnation's group. */
bool launch_limits_any(const Berth__Resources *r);
int launch_limits_show(uint32_t controllers, int group_fd, const struct cg_limits *l, struct err *e);
