/* supervisor/volume.h - volumes: folders STATE/volumes/<uuid>, made on first use; or what was made as a file system of its own.
 *
 * A plain volume is its folder. The others are mounted while a container that has them runs, in a mount namespace that the host does
 * not see (job/volume.c), by jobs, one at a time for each volume: volume_mount.c. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"
#include "supervisor/client.h"
#include "supervisor/supervisor.h"

struct container;
struct plan_volume;

enum volume_mounted {
	VOLUME_UNMOUNTED,
	VOLUME_MOUNTED,
	VOLUME_UNSURE, /* a berthd before may have mounted it in the namespace that a shim has handed over */
};

struct volume {
	struct table_node node; /* supervisor.volumes */
	struct supervisor *sv;
	Berth__Volume *obj;	 /* owned */
	bool stored;		 /* row and folder are there */
	struct parked *creators; /* owned: who asked for it meanwhile, and is answered when they are */
	unsigned n_creators;
	bool filling;  /* a job puts an image's content into it (fill.c) */
	bool forget;   /* it goes when that is over */
	bool removing; /* it is on its way out: it is not found any more */
	/* Of those that are file systems: */
	struct job *job; /* makes, mounts, unmounts or grows it */
	enum volume_mounted mounted;
	bool wanted;	       /* a container waits for it to be mounted */
	bool leaving;	       /* removing, as soon as it is unmounted */
	struct parked removal; /* who asked for that */
	uint64_t grow_to;      /* bytes; 0: nothing was asked for */
	struct parked growth;
};

static inline struct volume *volume_of(struct table_node *n)
{
	return container_of(n, struct volume, node);
}

static inline bool volume_is_mountable(const struct volume *v)
{
	return v->obj->driver != BERTH__VOLUME__DRIVER__PLAIN;
}

/* volume.c: the objects, their rows and folders */
void volume_fini(struct supervisor *sv);
int volume_load(struct supervisor *sv, struct err *e);
/* project NULL: in any; *ret_n how many there are. */
struct volume *volume_find(struct supervisor *sv, const char *project, const char *name, unsigned *ret_n);
/* like (may be NULL) says of which kind. Its row and folder are queued, or the job is started that makes what comes before them. */
int volume_make(struct supervisor *sv, const char *project, const char *owner, const char *name,
		const Berth__VolumeCreate *like, struct volume **ret, struct err *e);
/* Finds it, or makes a plain one. */
int volume_get(struct supervisor *sv, const char *project, const char *name, struct volume **ret, struct err *e);
int volume_creator_add(struct volume *v, struct parked p);
void volume_reply(struct supervisor *sv, struct parked p, Berth__Volume **volumes, size_t n);
void volume_filled(struct supervisor *sv, struct volume *v); /* whatever came of it; v may be gone then */
/* Where a launch finds it. */
int volume_use(struct supervisor *sv, const char *project, const char *name, struct plan_volume *ret, struct err *e);
bool volume_is_used_by(const struct volume *v, const struct container *c);
/* Removes it; p is answered when it is done. */
int volume_remove(struct volume *v, struct parked p);
/* Removes the anonymous volume of a container that is going, unless another one uses it. */
void volume_forget(struct supervisor *sv, const char *project, const char *name, const char *but_container);

/* Of volume_mount.c, for volume.c: what comes before the row is made, or could not be (e), and what comes before its removal is done. */
void volume_made(struct volume *v, const struct err *e);
void volume_unmounted_for_good(struct volume *v, const struct err *e);

/* volume_mount.c */
int volume_make_begin(struct volume *v, struct err *e); /* volume_made follows */
/* Is it mounted, if it is one to be mounted? 1 yes; 0 not yet: volume_wake follows. */
int volume_want(struct volume *v);
void volume_step(struct volume *v); /* what is to be done with it next, is */
/* A container has ended, or is gone: what was mounted for it may not be needed any more. */
void volume_tidy_soon(struct supervisor *sv);
/* Launches and copies that wait for volumes look again; failure: those that need v hear of it. */
void volume_wake(struct supervisor *sv, const struct volume *v, const struct err *failure);
/* What a shim has kept. Takes fd. */
void volume_namespace_adopt(struct supervisor *sv, int fd);
void volume_mount_fini(struct supervisor *sv);
