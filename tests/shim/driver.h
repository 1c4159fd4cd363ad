/* tests/shim/driver.h - plays berthd for one shim: starts it, sends plans, hears reports, holds the client's end of sessions.
 *
 * driver_setup makes private mount, network and cgroup namespaces with cgroup2 mounted, and a rootfs from the busybox of the
 * host. Everything lies below driver.dir, and is gone after driver_teardown. Expectations are cmocka's: a failed one ends the test. */
#pragma once

#include "proto/session.h"
#include "proto/shim.h"
#include "proto/wire.h"
#include "tests/unit/unit.h"

#include <linux/mount.h>
#include <signal.h>
#include <sys/stat.h>

#define WAIT_MS 10000

struct driver {
	char dir[64];	 /* layer, upper, logs … */
	char cgroup[64]; /* a cgroup of ours, by path */
	int cgroup_fd;
};
extern struct driver driver;

struct shim { /* one shim and what was heard from it */
	int link;
	int pid;
	char uuid[40], path[108], logs[96], exit_record[96];
	uint64_t incarnation;
	int group_fd;	  /* of the incarnation */
	int container_fd; /* pidfd from the last record that had one; -1 */
	uint8_t record[8192];
};

struct plan { /* storage for a LaunchPlan that is filled in place */
	Shim__LaunchPlan p;
	Shim__ProcessPlan process;
	Shim__Step steps[64], *step_list[64];
	Shim__Overlay overlay;
	Shim__MountStep mounts[24];
	Shim__NodeStep nodes[8];
	Shim__SymlinkStep links[8];
	Shim__FileStep files[4];
	Shim__MaskStep masks[8];
	Shim__ReadonlyPathStep read_only[8];
	Shim__SysctlStep sysctls[4];
	unsigned n_mounts, n_nodes, n_links, n_files, n_masks, n_read_only, n_sysctls;
	char *layers[1], *argv[8], *env[4];
	char upper[96], work[96];
};

int driver_setup(void **state);
int driver_teardown(void **state);

void shim_spawn(struct shim *s);
void shim_stop(struct shim *s); /* Bye, and it must end by itself */
void shim_kill(struct shim *s); /* SIGKILL */
void shim_reconnect(struct shim *s);

/* A complete plan of a container that runs argv (ends with NULL) with Docker's usual surroundings. */
void plan_init(struct plan *p, struct shim *s, const char *const argv[]);
Shim__Step *plan_step(struct plan *p, Shim__Step__Stage stage, Shim__Step__WhatCase what);
Shim__MountStep *plan_mount(struct plan *p, const char *type, const char *source, const char *target);
#define PLAN(p, s, ...) plan_init(p, s, (const char *const[]){__VA_ARGS__, NULL})

void shim_launch(struct shim *s, struct plan *p, int session,
		 int pod_fd); /* makes the group of the next incarnation; session is closed */
void shim_send(struct shim *s, Shim__ShimMessage *m, const int *fds, unsigned n_fds);
/* The next record of this kind (others before it are skipped), valid until the next call. */
Shim__ShimMessage *shim_expect(struct shim *s, Shim__ShimMessage__BodyCase what);
/* The next record whatever it is, NULL after ms without one. */
Shim__ShimMessage *shim_next(struct shim *s, int ms);
/* launch, Running, Exited: the record of the end. */
Shim__ExitRecord *shim_run(struct shim *s, struct plan *p);
const Shim__Failed *shim_launch_fails(struct shim *s, struct plan *p);

/* Starts an exec; the client's end of its session, or -1 with detach. */
int shim_exec(struct shim *s, const char *id, Shim__ProcessPlan *p, uint32_t timeout_ms, bool detach);
#define EXEC(s, id, ...) driver_exec_argv(s, id, (const char *const[]){__VA_ARGS__, NULL})
int driver_exec_argv(struct shim *s, const char *id, const char *const argv[]);
int shim_attach(struct shim *s, bool want_stdin);
void shim_signal(struct shim *s, int sig, uint64_t incarnation);

/* Session, client's side. */
struct output {
	char text[2][65536]; /* stdout, stderr; cut */
	size_t len[2], total[2];
	bool closed[2];
	struct session_exit how;
	char error[512];
};
int session_pair(int *ret_theirs);
void session_put(int fd, int type, const void *data, size_t len);
/* Until EXIT or until text has come on stdout; false after WAIT_MS or when the shim closed. */
bool session_read(int fd, struct output *o, const char *until);

/* Files. */
char *slurp(const char *path, size_t *ret_len); /* to be freed; "" when absent */
char *shim_log(struct shim *s); /* text of current.log without the 40 bytes in front, lines joined; to be freed */
/* The same when it has this, or after WAIT_MS: an end does not wait for the log for long. */
char *shim_log_until(struct shim *s, const char *has);
int process_in(struct shim *s, const char *name); /* processes of group main or exec-x */
long now_us(void);
