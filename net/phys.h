/* net/phys.h - the driver `phys`: a NIC of the host that is moved into a pod, and back. When a namespace ends the kernel gives its hardware to the
 * first namespace by itself, down, under the name that it had there, and destroys what is no hardware; who it was is told by what a
 * container cannot change: the hardware's own MAC and its place on the bus. */
#pragma once

#include "net/link.h"
#include "proto/net.pb-c.h"

/* What it is now. The message points into `of`. */
void nic_of(Net__Nic *nic, struct link *of, bool away);
/* It can be told from another of its name. */
bool nic_is_hardware(const Net__Nic *nic);

int phys_network_put(struct nl *host, const Net__Network *n, struct err *e);
int phys_network_del(struct nl *host, const Net__Network *n, struct err *e);
int phys_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e);
/* At the host, under whatever name: by its name, or by what cannot be changed. -ENODEV. */
int phys_find(struct nl *host, const Net__Uplink *u, struct link *ret, struct err *e);
/* In a pod's namespace, under whatever name it has there now: its index. -ENODEV. */
int phys_inside(struct nl *inside, const Net__Port *p);
/* From a namespace in which it has this index. */
int phys_return(struct nl *inside, int index, int home_fd, const Net__Uplink *u, struct err *e);
/* At the host: name, MAC, MTU and state as they were. -ENODEV: it is not here. */
int phys_restore(struct nl *host, const Net__Uplink *u, struct link *ret, struct err *e);
