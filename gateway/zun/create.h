/* gateway/zun/create.h - the arguments of a create as a ContainerCreate of berth's, or what of them berth cannot honour. Pure. */
#pragma once

#include "gateway/zun/error.h"
#include "proto/berth.pb-c.h"

#include <jansson.h>
#include <stdbool.h>

struct create_options {
	unsigned version; /* 1.x */
	bool admin;
	const char *host; /* ours: the only one that can be asked for */
	const char *name; /* generated, if none is given */
	/* Zun's defaults, where they can be kept: 512 MiB, one processor. */
	bool default_memory, default_cpu;
};

struct create {
	Berth__ContainerCreate m; /* what is to be asked; its texts are those of the arguments */
	Berth__ContainerSpec spec;
	Berth__Resources resources;
	Berth__RestartPolicy restart;
	Berth__ImagePull pull;
	Berth__KeyValue note[4], *notes[4];
	Berth__KeyValue *label; /* owned, as are: */
	Berth__KeyValue **labels;
	char **env, **command, **entrypoint, **words;
};

struct create_refusal {
	enum zun_error_kind kind;
	char text[512];
};

/* args as the routes' schemas leave them. False: refused, r says why; create_fini also then. */
bool create_build(struct create *out, const json_t *args, const struct create_options *o, struct create_refusal *r);
void create_fini(struct create *c);

/* memory and cpu of the arguments, or Zun's defaults. */
void zun_resources(Berth__Resources *r, const json_t *args, bool default_memory, bool default_cpu);
