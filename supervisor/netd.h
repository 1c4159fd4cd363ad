/* supervisor/netd.h - berth-net as berthd sees it: started when it is first needed, told everything that should be, then single changes in
 * order. When it dies it is started again, and hears everything again; what it had not answered is asked once more. */
#pragma once

#include "proto/net.pb-c.h"
#include "supervisor/supervisor.h"

struct netd;

/* e NULL: it is done. */
typedef void netd_done(void *arg, const struct err *e);

/* Starts it if an earlier berthd of this boot has: what that one left in the kernel is ours, or nobody's. */
int netd_open(struct supervisor *sv, struct err *e);
void netd_close(struct supervisor *sv); /* nobody is called any more; what is in the kernel stays */

/* fd (not consumed) goes with it, -1: none. done may be NULL: then a failure is logged. */
int netd_ask(struct supervisor *sv, const Net__NetMessage *m, int fd, netd_done *done, void *arg, struct err *e);
/* Its calls go on, but for those that wait, and nobody is told. */
void netd_forget(struct supervisor *sv, const void *arg);
bool netd_runs(const struct supervisor *sv); /* or is about to */
