/* supervisor/supervisor.h - the one struct of berthd: its loop, its tables, what it opened at start.
 *
 * One thread runs the loop and owns everything here; the store thread (store.h) sees only what it was handed. Objects refer
 * to each other by uuid or by a pointer whose lifetime is written beside it. */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "cgroup/device.h"
#include "cgroup/group.h"
#include "cgroup/tree.h"
#include "supervisor/table.h"

#include <stdbool.h>
#include <stdint.h>

#define SPARES_MAX 64

struct config {		     /* supervisor/config.c: defaults, file, command line */
	char state_dir[200]; /* /var/lib/berth */
	char run_dir[80];    /* /run/berth: short, RUN/shims/<uuid> must fit sun_path (108) */
	char cgroup[256];    /* empty = found by cg_tree_open */
	char config_file[200];
	char socket_group[64];	       /* "berth" */
	char job_path[200];	       /* berth-job; default: beside berthd's own file */
	char net_path[200];	       /* berth-net, likewise */
	char dns_path[200];	       /* berth-dns, likewise */
	char resolv_conf[200];	       /* whom the host asks for names */
	char default_subnet[64];       /* of the network that is always there, IPv4; empty = there is none */
	char default_network[256];     /* of who names none; empty = none */
	char plain_http[600];	       /* registries without TLS; fetch/place.h */
	char mirrors[600];	       /* REGISTRY=HOST[/PATH] … */
	char certs_dir[200];	       /* /etc/berth/certs.d: CAs and client certificates by registry */
	char auth_file[200];	       /* /etc/berth/auth.json: credentials of the host */
	char members_pull[600];	       /* "no"; "yes", or REGISTRY[/PATH] … from which members may pull */
	char members_auth_file[200];   /* credentials for their pulls; "": none */
	uint32_t members_images;       /* of a project: then its members pull no more; 100 */
	uint32_t members_floating_ips; /* … then they allocate no more; 50 */
	uint64_t pull_stall_ns;	       /* so long without bytes: 30 s */
	uint64_t image_max_size;       /* bytes that one import or pull may unpack to; 0: what the disk has room for */
	uint64_t action_keep_ns;       /* how long actions outlive their object: 7 days */
	uint32_t max_containers;       /* capacity of the tables: 16384 */
	uint32_t max_clients;	       /* 1024 */
	uint32_t userns_first, userns_per; /* 200000 and 65536 */
	uint32_t spare_shims;		   /* 4; SPARES_MAX at most */
	bool debug;

	uint64_t
		project_volumes; /* bytes that the volumes with a size may have together that members of a project make: 10 GiB */
};

struct supervisor {
	struct config cfg;
	struct loop loop;
	int64_t started_at;
	char boot_id[40];
	uint32_t generation; /* in-place upgrades */
	bool stopping;
	bool going_down; /* the host: nothing is started any more; supervisor/shutdown.h */
	struct list shutdown_askers;
	bool shutdown_commits; /* all has ended, and is being written */

	struct cg_tree cg;
	struct cg_graveyard graveyard;
	struct cg_devices *devices;
	struct seccomp_cache *seccomp; /* supervisor/seccomp.h */

	struct store *store;	     /* supervisor/store.h */
	struct watch *watch;	     /* supervisor/watch.h */
	struct audit *audit;	     /* supervisor/audit.h: actions that have not ended */
	struct tokens *tokens;	     /* supervisor/token.h: who may ask */
	struct replays *replays;     /* supervisor/replay.h */
	struct followers *followers; /* supervisor/logs.h: readers of logs that follow */
	uint64_t next_id, revision;

	struct table containers;      /* of struct container, by uuid */
	struct table pods;	      /* of struct pod, by uuid */
	struct table images;	      /* of struct image, by uuid */
	struct table volumes;	      /* of struct volume, by uuid */
	uint32_t pick_next;	      /* where the next subnet is looked for that nobody asked for (network_pick.h) */
	struct table networks;	      /* of struct network, by uuid */
	struct table floating_pools;  /* of struct floating_pool, by uuid */
	struct table floating_ips;    /* of struct floating_ip, by uuid */
	struct table security_groups; /* of struct security_group, by uuid */
	struct list policies;	      /* supervisor/security_state.c: what groups interfaces have */
	struct timer policies_tidy;
	int volume_ns_fd; /* the mount namespace of those that are file systems (volume_mount.c); -1: there is none */
	bool volume_ns_making; /* a job makes it */
	struct timer volume_tidy;

	struct control *control; /* supervisor/control.h: listening socket and clients */
	struct jobs *jobs;	 /* supervisor/job.h: workers */
	struct resolv *resolv;	 /* supervisor/resolv.h: whom the host asks for names */
	struct netd *netd;	 /* supervisor/netd.h: berth-net */
	struct list net_holders; /* of struct net_holder.link: who has interfaces, or could */
	struct list slots;	 /* of struct slot.link: interfaces made ahead, supervisor/slot.h */
	struct dnsd *dnsd;	 /* supervisor/dnsd.h: berth-dns */
	struct list files_stale; /* of struct container.files_stale: to be written again, files.c */
	unsigned files_running;
	struct timer files_again;  /* for one that is just starting */
	struct timer hosts_settle; /* supervisor/hosts.h */
	struct imports *imports;   /* supervisor/image.h: imports and sweeps under way */
	/* of struct container.step: containers with posted events, looked at when the turn ends */
	struct list steps;
	struct list children;	 /* of struct child.link (reaper.h): whose end is waited for */
	struct timer reap;	 /* … and those of others */
	struct list dirty;	 /* of struct container.dirty: to be stored at the end of this turn */
	struct list waiters;	 /* of struct waiter.all: answers owed by containers */
	struct spares *spares;	 /* supervisor/spare.h: shims made ahead */
	struct names *names;	 /* supervisor/names.h: containers by name */
	struct upgrade *upgrade; /* supervisor/upgrade.h: an upgrade that is under way, or NULL */
	struct recover *recover; /* supervisor/recover.h: while living shims are being taken back at start */
	struct source signals;
	/* of struct shimlink.leaves: shims that nobody needs any more, on their way out */
	struct list leaving;
	struct list strangers; /* shims that no row knows, on their way out; supervisor/recover.c */
	unsigned limiters;     /* changes of limits under way, supervisor/limiter.h */
	int shim_exe_fd;       /* O_PATH of our berth-shim */
	char exe[200];	       /* the file berthd was started from */
	int argc;	       /* as main got them: an upgrade hands them on */
	char **argv;
	bool no_device_filter; /* the kernel has none, and that was said */
	bool apparmor_kernel;  /* the kernel has AppArmor */
	bool apparmor;	       /* … and the label "berth-default" is loaded */
};

/* Opens everything in order and closes it in reverse; see the list in supervisor.c. listen_fd: from the berthd before an
 * upgrade, or -1. After an error supervisor_close ends what was opened. */
int supervisor_open(struct supervisor *sv, int listen_fd, struct err *e);
void supervisor_close(struct supervisor *sv);

/* Next values of the host-wide counters; both survive restarts and never repeat. */
uint64_t supervisor_next_id(struct supervisor *sv);
uint64_t supervisor_next_revision(struct supervisor *sv);
/* The newest one given: what a reader has seen, and watches on from. */
static inline uint64_t supervisor_revision(const struct supervisor *sv)
{
	return sv->revision - 1;
}

/* RUN/shims/<uuid>, RUN/exits/<uuid>, STATE/containers/<uuid>/<leaf> ("" for the folder itself). */
void path_shim(const struct supervisor *sv, const char *uuid, char *buf, unsigned size);
void path_exit(const struct supervisor *sv, const char *uuid, char *buf, unsigned size);
/* STATE/mountpoints<leaf>. */
void path_mount_points(const struct supervisor *sv, const char *leaf, char *buf, unsigned size);
void path_container(const struct supervisor *sv, const char *uuid, const char *leaf, char *buf, unsigned size);
