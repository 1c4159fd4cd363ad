/* supervisor/job.h - short-lived workers (berth-job) for whatever may block. Born in jobs/<id>, killed with their group. */
#pragma once

#include "base/err.h"
#include "supervisor/supervisor.h"

struct job;

struct job_ops {
	void (*record)(void *arg, const void *data, size_t len);	/* one record of the job's report socket (its descriptor 3): a packed berth.Envelope */
	void (*done)(void *arg, int status);				/* wait status; called once, the job is freed after it */
};

/* argv[0] is the verb ("import"); fds become 3 = report socket, 4 … = fds[0] … of the child. deadline_ns 0 = none. */
int job_start(struct supervisor *sv, const char *const *argv, const int *fds, unsigned n_fds, uint64_t deadline_ns,
	      const struct job_ops *ops, void *arg, struct job **ret, struct err *e);
void job_cancel(struct job *j);	/* kills its group; done() is still called */
