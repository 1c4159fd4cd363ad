/* supervisor/check_parts.h - the larger parts of a container's spec, each with what it may be combined with. Used by check.c. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

/* Whose namespaces the container will be in: says which sysctls and mounts are its own to set. */
struct sharing {
	bool net_host, pid_host, ipc_host;
	bool pod; /* of a pod that was asked for */
	bool userns;
};

int check_mounts(Berth__ContainerSpec *spec, struct err *e);
int check_devices(Berth__ContainerSpec *spec, struct err *e);
int check_ulimits(Berth__ContainerSpec *spec, struct err *e);
int check_sysctls(const char *field, Berth__KeyValue **sysctls, size_t n, const struct sharing *share, struct err *e);
int check_security(struct supervisor *sv, Berth__ContainerSpec *spec, const struct sharing *share, struct err *e);
