/* cgroup/device.h - the device allow list as a BPF program on the group (BPF_CGROUP_DEVICE, raw bpf(2), no libbpf).
 * One program for each distinct rule set, cached, shared by all groups that use it. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct cg_device_rule {
	char type;	      /* 'c', 'b', 'a' (all) */
	int32_t major, minor; /* -1 = any */
	uint8_t access;	      /* CG_DEVICE_* bits */
};
#define CG_DEVICE_MKNOD 1
#define CG_DEVICE_READ	2
#define CG_DEVICE_WRITE 4

struct cg_devices; /* the cache */
struct cg_devices *cg_devices_new(void);
void cg_devices_free(struct cg_devices *d);
/* Attaches a program that allows what the rules allow and nothing else; CG_DEVICES_ALL and no program when that is everything.
 * -ENOTSUP where the kernel has no BPF_CGROUP_DEVICE. */
#define CG_DEVICES_ALL 1
int cg_devices_attach(struct cg_devices *d, int group_fd, const struct cg_device_rule *rules, unsigned n,
		      struct err *e);
/* Docker's default allow list (null, zero, full, tty, random, urandom, console, ptmx, pts, mknod of everything). */
extern const struct cg_device_rule cg_device_defaults[];
extern const unsigned cg_device_n_defaults;
