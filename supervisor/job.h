/* supervisor/job.h - short-lived workers (berth-job) for whatever may block. Born in jobs/<id>, killed with their group. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

struct job;

struct job_ops {
	/* One Envelope of the job's report socket (its descriptor 3), spilled ones included; valid during the call. May be NULL. */
	void (*record)(void *arg, const Berth__Envelope *env);
	/* A descriptor that came with a record, before that record; taken. NULL: none is expected, and it is closed. */
	void (*fd)(void *arg, int fd);
	void (*done)(void *arg, int status); /* wait status; called once, the job is freed before it */
};

int jobs_open(struct supervisor *sv, struct err *e); /* kills what an earlier berthd left in jobs/ */
void jobs_close(struct supervisor *sv);		     /* kills all; no done() is called any more */
uint32_t jobs_running(const struct supervisor *sv);

/* argv[0] is the verb ("import"); fds (not consumed) become 4, 5 … of the child, 3 is its report socket. deadline_ns (from its
 * start; 0 = none). At most JOBS_RUNNING run, more wait in order, up to JOBS_WAITING: then -ENOBUFS. A `logs` or `copy` job never
 * waits: it lasts as long as the client at the other end of its pipe likes, and they have a limit of their own. */
#define JOBS_RUNNING	 16u
#define JOBS_WAITING	 256u
#define JOBS_FOR_CLIENTS 256u
int job_start(struct supervisor *sv, const char *const *argv, const int *fds, unsigned n_fds, uint64_t deadline_ns,
	      const struct job_ops *ops, void *arg, struct job **ret, struct err *e);
void job_cancel(struct job *j); /* kills its group; done() is still called */

/* Empties STATE/trash: one job at a time, once more if something was added meanwhile. */
void job_sweep_trash(struct supervisor *sv);
