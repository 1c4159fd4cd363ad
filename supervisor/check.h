/* supervisor/check.h - the one place where the meaning of a request's spec is checked; afterwards everybody may rely on it.
 *
 * A bad field is refused with e->step = the path of the field ("spec.mounts[2].target") and e->text = what is wrong and what
 * would be right. Defaults are filled in (stop_timeout_s, restart, log, shm_size_bytes …), names made canonical
 * ("net_admin" -> "CAP_NET_ADMIN"). What this host cannot honour is refused with -ENOTSUP and the remedy. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

int check_container_spec(struct supervisor *sv, Berth__ContainerSpec *spec, struct err *e);
int check_exec_spec(struct supervisor *sv, Berth__ExecSpec *spec, struct err *e);
int check_resources(struct supervisor *sv, Berth__Resources *r, struct err *e);
int check_restart(Berth__RestartPolicy *p, struct err *e);
/* at: the field that it is. */
int check_network_ask(const char *at, const Berth__NetworkAsk *ask, struct err *e);
int check_pod_spec(struct supervisor *sv, Berth__PodSpec *spec, struct err *e);
int check_name(const char *field, const char *name, struct err *e);
