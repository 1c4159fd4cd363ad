/* supervisor/volume.h - named volumes: folders STATE/volumes/<uuid>, made on first use. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

struct volume {
	struct table_node node;	 /* supervisor.volumes */
	Berth__Volume *obj;	 /* owned */
	bool stored;		 /* row and folder are there */
	struct parked *creators; /* owned: who asked for it meanwhile, and is answered when they are */
	unsigned n_creators;
	bool filling;  /* a job puts an image's content into it (fill.c) */
	bool forget;   /* it goes when that is over */
	bool removing; /* their deletion is on the way: it is not found any more */
};

void volume_fini(struct supervisor *sv);
int volume_load(struct supervisor *sv, struct err *e);
/* Finds or makes the volume (row and folder are queued in the store's order). */
int volume_get(struct supervisor *sv, const char *project, const char *name, struct volume **ret, struct err *e);
void volume_filled(struct supervisor *sv, struct volume *v); /* whatever came of it; v may be gone then */
/* … and gives its host path. */
int volume_use(struct supervisor *sv, const char *project, const char *name, char *path, unsigned size, struct err *e);
/* Removes the anonymous volume of a container that is going, unless another one uses it. */
void volume_forget(struct supervisor *sv, const char *project, const char *name, const char *but_container);
