/* ctl/spec_flags.h - the flags that describe a container, for run and create (and in parts for update and pod create), and
 * the way back: from the field that berthd refused to the flag that the user wrote. */
#pragma once

#include "ctl/args.h"
#include "ctl/field.h"
#include "proto/berth.pb-c.h"

struct spec_origin {
	char *field; /* "mounts[2]" */
	char *words; /* "-v /a:b" */
};

/* What the tables below fill. The message is a ContainerSpec, a ContainerUpdate, a PodSpec or an ExecSpec: their fields
 * have the same names where they mean the same. */
struct spec_opts {
	ProtobufCMessage *message;
	struct spec_origin *origins;
	size_t n_origins;
};

extern const struct flag spec_flags[];		 /* everything of a ContainerSpec but networks, resources and restart */
extern const struct flag spec_joins_flags[];	 /* its networks, ports and names; also a PodSpec's */
extern const struct flag spec_resource_flags[];	 /* its `resources` */
extern const struct flag spec_restart_flags[];	 /* its `restart` */
extern const struct flag spec_refused_flags[];	 /* what Docker's users may try and berth does not have */
extern const struct flag spec_exec_flags[];	 /* an ExecSpec */
extern const struct flag spec_interface_flags[]; /* a NetworkAsk */
extern const struct flag spec_pod_flags[], spec_network_flags[]; /* a PodSpec without its resources */

void spec_opts_init(struct spec_opts *o, const ProtobufCMessageDescriptor *type);
void spec_opts_fini(struct spec_opts *o);

/* What no single flag can check: --rm with --restart. */
int spec_opts_check(const struct spec_opts *o, struct err *e);

/* "spec.resources.memory_bytes" -> "--memory 3m"; NULL when no flag has to do with the field. The caller frees it. o may be NULL. */
char *spec_flag_of_field(const struct spec_opts *o, const struct flag_table *tables, const char *field);
