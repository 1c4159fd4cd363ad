/* supervisor/plan.h - pure: a checked spec and what was allocated for it -> the complete launch plan for the shim.
 *
 * Nothing is looked up here: no table, no disk, no clock. launch.c gathers the facts, the shim executes the steps in order. */
#pragma once

#include "base/err.h"
#include "cgroup/device.h"
#include "proto/berth.pb-c.h"
#include "proto/shim.pb-c.h"
#include "supervisor/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct plan_device { /* a device that the spec names, as found on the host */
	const char *source, *target;
	uint32_t mode; /* with S_IFCHR or S_IFBLK */
	uint32_t major, minor;
};

struct plan_volume {
	char path[256]; /* on the host, */
	bool sized;
	bool mounted; /* or in the volumes' mount namespace (FD_VOLUMES) */
};

struct plan_facts {
	const Berth__Container *obj; /* spec complete: image config merged */
	bool view;		     /* nothing of it runs: what is in memory is empty */
	const char *request_id;	     /* or NULL */
	const char *staging_dir, *log_dir, *upper, *work, *exit_record;
	const char *const *layers; /* host paths, topmost first */
	unsigned n_layers;
	const struct plan_volume *volumes; /* of spec.mounts[i] where it is a volume */
	const struct plan_device *devices;
	unsigned n_devices;
	const char *hostname;
	Berth__Lease *const *leases; /* its own interfaces, or those of its pod */
	size_t n_leases;
	const char *resolv_conf; /* of its networks; NULL: it has none */
	const char *others;	 /* … further lines of /etc/hosts; NULL: none */
	const char *apparmor;	 /* label or NULL */
	uint64_t caps;		 /* bounding set */
	const void *seccomp;
	size_t seccomp_len;	   /* 0 = none */
	uint64_t nofile_hard;	   /* ours: nobody can be given more without CAP_SYS_RESOURCE */
	const Berth__PodSpec *pod; /* of an explicit pod, joined by FD_POD; NULL for a pod of one */
	uint32_t userns_count;	   /* with obj->userns_first_id; 0 = none */
	bool hold;		   /* stop before exec */
};

#define PLAN_TIMEOUT_MS 30000
#define PLAN_DIGEST	32

/* In the arena. -ENOMEM, or e is filled (a sysctl or ulimit that cannot be put into a plan). */
int plan_make(const struct plan_facts *f, struct arena *a, Shim__LaunchPlan **ret, struct err *e);
/* What of its steps depends on nothing but the facts above them, and can be made before the container exists: overlay, trees, files.
 * Of f only obj (meta.uuid, spec), layers, upper, work, staging_dir and hostname need to be there. */
int plan_make_ahead(const struct plan_facts *f, struct arena *a, Shim__PreparePlan **ret);
/* Is the beginning of such a launch (plan_beginning) the same for every container with this spec, whenever it is done? */
bool plan_can_begin(const Berth__ContainerSpec *spec);
/* What of a launch comes before its user, his rights and his program, and nothing that is its alone. NULL: no memory. */
Shim__LaunchPlan *plan_beginning(const Shim__LaunchPlan *whole, struct arena *a);
/* SHA-256 of what such a beginning makes: with the same, a process that has begun one launch can go on with another. */
int plan_beginning_digest(const Shim__LaunchPlan *beginning, struct arena *a, uint8_t digest[PLAN_DIGEST]);
/* Of its small files those that change with its networks. Of f obj, pod, hostname, leases, resolv_conf and others need to be there. */
int plan_make_files(const struct plan_facts *f, struct arena *a, Shim__LaunchPlan **ret);
/* What of it is files: the rootfs and the person's mounts, with the ids that they are seen through. */
int plan_make_view(const struct plan_facts *f, struct arena *a, Shim__LaunchPlan **ret);
/* The plan of a pod's holder. */
int plan_make_holder(const Berth__Pod *pod, const char *staging_dir, const char *exit_record, const char *hostname,
		     uint64_t incarnation, struct arena *a, Shim__LaunchPlan **ret, struct err *e);
/* An exec: the container's own confinement and environment, and what the exec asks otherwise. */
int plan_make_exec(const struct plan_facts *f, const Berth__ExecSpec *x, const char *exec_id, struct arena *a,
		   Shim__ExecPlan **ret, struct err *e);

/* What the group may open: the default list and the spec's devices (privileged: everything). Returns the number of rules. */
unsigned plan_device_rules(const struct plan_facts *f, struct cg_device_rule *rules, unsigned size);

/* What Docker hides and what it makes read-only; NULL at the end. */
extern const char *const plan_masked_paths[], *const plan_readonly_paths[];

int plan_rlimit(const char *name); /* "nofile" -> RLIMIT_NOFILE; -EINVAL */
