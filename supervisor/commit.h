/* supervisor/commit.h - `berth commit`: a job (job/commit.c) makes an image of a container's upper layer, which is then stored as an
 * import's is. While the job reads, what runs is frozen, unless that is not wanted. */
#pragma once

#include "supervisor/job.h"

struct commit;
struct container;

/* Of an import whose job is a commit's; for image_import.c. */
/* -ECANCELED: its container is gone. */
int commit_start(struct commit *k, const struct job_ops *ops, void *arg, struct job **ret, struct err *e);
/* True: it was about the commit itself, and is for nobody else. */
bool commit_heard(struct commit *k, const Berth__Envelope *env);
/* Its job has ended. Not NULL (static text): it is to fail for that reason, whatever the job said. */
const char *commit_ended(struct commit *k);
void commit_stored(struct commit *k, const char *image_id);
void commit_free(struct commit *k); /* NULL is harmless */

/* Of a container. It goes, or is made anew: nothing is read of it any more. */
void commit_forget(struct container *c, const char *why);
/* A freeze that was under way has come about, or not. */
void commit_froze(struct container *c, bool ok);
/* Somebody else thawed it. */
void commit_thawed(struct container *c);

/* At berthd's end: what is frozen runs again. */
void commits_close(struct supervisor *sv);
/* At start: what an earlier berthd had frozen for a commit runs again, before anybody looks at it. */
void commit_thaw_left(struct supervisor *sv);
