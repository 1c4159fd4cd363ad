/* shim/report.h - what berthd hears. The exit record is on /run before Exited is sent. */
#pragma once

#include "base/err.h"

struct shim;
struct exec;

void report_hello(struct shim *s);
void report_running(struct shim *s);
void report_failed(struct shim *s); /* of the launch, from run.failure */
void report_refused(struct shim *s, unsigned long long incarnation, const struct err *e); /* a launch while one runs */
void report_exited(struct shim *s);
void report_exit_record(struct shim *s); /* the file */
void report_exec_started(struct exec *x);
void report_exec_exited(struct exec *x);
void report_exec_failed(struct shim *s, const char *id, const struct err *e);
void report_oom(struct shim *s);
void report_log_dropped(struct shim *s);
