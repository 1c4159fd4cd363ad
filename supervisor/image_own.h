/* supervisor/image_own.h - the inside of the images, for image*.c only: the index and what is under way with it. */
#pragma once

#include "supervisor/client.h"
#include "supervisor/image.h"

/* What is under way. Imports and sweeps exclude each other: a sweep is told what to keep when it starts, so nothing may be added
 * while it runs. */
struct imports {
	struct supervisor *sv;
	struct list all;		/* of struct import.link */
	unsigned n, n_running, n_pulls; /* n_pulls: of those that run */
	struct list edits;		/* of struct image_edit.link: waiting for their turn, and the one that has it */
	struct image_edit *editing;	/* this one, or NULL */
	bool sweeping;
	bool sweep_again;		/* when nothing else runs */
	bool sweep_partials;		/* then also what pulls have left */
	bool sweep_kept_out;		/* another job had the store's lock */
	uint64_t swept_bytes;		/* by the sweep that runs */
	bool swept;			/* it said so */
	struct list prunes;		/* of struct prune.link: wait for a sweep */
	unsigned n_verifying;		/* jobs that nothing may be swept beside */
	struct list sendings;		/* of struct sending.link: pushes and exports */
	unsigned n_sendings, n_sending; /* n_sending: of those that run */
	struct timer sweep_soon;
};

/* image.c: the index. */
static inline struct image *image_of(struct table_node *n)
{
	return container_of(n, struct image, node);
}

void image_obj_free(Berth__Image *obj); /* NULL is harmless */
bool image_has_name(const Berth__Image *obj, const char *name);
void image_drop_name(Berth__Image *obj, const char *name);
/* Its revision and name after a change of names: meta.name is the first, or nothing when it has lost all of them. */
int image_touch(struct supervisor *sv, Berth__Image *obj);
/* Puts obj in the place of the image of its uuid, or adds it. Takes obj. */
int image_set(struct supervisor *sv, Berth__Image *obj);
void image_free(struct supervisor *sv, struct image *im);
/* By the whole image id. */
struct image *image_by_config(struct supervisor *sv, const char *image_id);

/* image_edit.c: changes of names and images, one after the other. */
struct image_edit;
struct image_change;
struct image_edit_ops {
	/* Its turn has come: what is to change, by how things are now (image_edit_*). Negative errno, or no change: nothing is stored. */
	int (*make)(struct image_edit *ed);
	void (*done)(struct image_edit *ed, int result); /* stored and in the index, or not; ed is its owner's again */
	void (*drop)(struct image_edit *ed);		 /* berthd ends: to be freed, nobody waits any more */
};
struct image_edit {
	struct list link; /* imports.edits */
	struct supervisor *sv;
	const struct image_edit_ops *ops;
	struct list changes; /* of struct image_change */
};
/* May call make and done at once. */
void image_edit_begin(struct supervisor *sv, struct image_edit *ed, const struct image_edit_ops *ops);
/* For make. event: what watchers are told. NULL and -ENOMEM: no memory. */
struct image_change *image_edit_new(struct image_edit *ed, Berth__Image *obj, const char *event); /* takes obj */
/* The change of the image with this id, begun if it is the first; -ENOENT: there is none. */
int image_edit_of(struct image_edit *ed, const char *image_id, const char *event, struct image_change **ret);
int image_edit_name(struct image_edit *ed, struct image_change *to, const char *name); /* from whoever has it */
int image_edit_drop_name(struct image_edit *ed, const struct image *im, const char *name);
int image_edit_remove(struct image_edit *ed, struct image *im);
void image_edits_go_on(struct imports *im);
void image_edits_free(struct imports *im);
/* Why it could not be stored: said in text, or to the asker. */
Berth__Error__Code image_edit_failure(int r, char *text, size_t size);
void image_edit_refuse(struct supervisor *sv, struct parked parked, int r);

/* image_request.c */
struct request;
void image_reply(struct request *rq, struct image *im); /* an ImageReply with this one */
void image_reply_one(struct supervisor *sv, struct parked parked, Berth__Image *obj);
struct image *image_wanted(struct request *rq, const char *ref); /* NULL: it was answered */

/* image_pull.c: a job that speaks with a registry; verb: "pull", "push". */
struct job;
struct job_ops;
int image_fetch_start(struct supervisor *sv, const char *verb, bool as_member, int request_fd,
		      const struct job_ops *ops, void *arg, struct job **ret, struct err *e);

/* image_import.c */
struct commit;
struct import_order {
	const char *name; /* canonical, or "" */
	const char *project, *owner;
	int source_fd; /* the archive, or the sealed request of a pull */
	void *pull;    /* what makes two pulls the same; NULL: an import */
	bool as_member;
	size_t pull_len;
	struct commit *commit; /* NULL: none */
};

/* 0: source_fd, pull and commit are taken, and w is told of the end. Else -ENOMEM or -ENOBUFS (too many), and nothing was taken. */
int image_import_begin(struct supervisor *sv, const struct import_order *o, struct image_wait *w);
int image_import_refusal(int r, struct err *e); /* in words; returns -e->code */
/* True: the same pull is under way, and w will be told of its end. */
bool image_import_join(struct supervisor *sv, const void *pull, size_t len, struct image_wait *w);
/* A wait which answers this request, and frees itself then. NULL: it was answered. */
struct image_wait *image_asker_new(struct request *rq);
void image_asker_fail(struct image_wait *w, const struct err *e); /* it did not come to a wait */
int imports_new(struct supervisor *sv);
void imports_free(struct imports *im); /* NULL is harmless */
/* Starts what may start now: first the edits, then a sweep if nothing runs, then the imports that wait. */
void imports_go_on(struct imports *im);
static inline bool imports_must_wait(const struct imports *im) /* no sweep now */
{
	return im->n_running || im->n_verifying;
}

/* image_look.c: a job that answers the request. argv: the verb and what it takes; fd becomes 4 of the job, negative: out of memory. */
void image_look_start(struct request *rq, const char *const *argv, int fd, uint64_t deadline_ns,
		      Berth__Envelope__BodyCase answer);

/* image_prune.c: the sweep tells those who wait for it. freed NULL: it failed. */
void image_prunes_begin(struct imports *im);
void image_prunes_end(struct imports *im, const uint64_t *freed);
void image_prunes_free(struct imports *im);

/* image_send.c */
void sendings_go_on(struct imports *im);
void sendings_free(struct imports *im);

/* image_sweep.c. A sealed memfd with an Envelope{ImageReply}, as jobs take it (job/list.h): of these; of all that may not be swept. */
int image_list_memfd(Berth__Image **images, size_t n);
int image_keep_memfd(struct supervisor *sv);
void imports_sweep(struct imports *im);
int imports_sweep_soon(struct imports *im);
void imports_sweep_wanted(struct imports *im); /* when nothing else runs, and once more a little later */
