/* job/job.h - what the verbs of berth-job share. A verb does one thing, reports on descriptor 3 and ends; berthd kills its
 * group at the deadline, so a verb may block wherever it likes and undoes nothing when it dies.
 *
 * Descriptors: 3 = report socket (SOCK_SEQPACKET, one packed berth.Envelope a record), 4 and up as the verb says. Progress is
 * EventBatch with `more` set; the last record is the result: Done, a named reply, or Error. */
#pragma once

#include "base/confine.h"
#include "base/err.h"
#include "proto/berth.pb-c.h"

#define REPORT_FD 3

/* What confine_enter leaves a verb. Unpacking makes files of any owner and kind; trusted.overlay.* needs SYS_ADMIN, of which seccomp
 * and Landlock leave nothing else. */
#define JOB_CAPS_UNPACK                                                                                                \
	(CAP_BIT(0) /* CHOWN */ | CAP_BIT(1) /* DAC_OVERRIDE */ | CAP_BIT(3) /* FOWNER */ | CAP_BIT(4) /* FSETID */ |  \
	 CAP_BIT(21) /* SYS_ADMIN */ | CAP_BIT(27) /* MKNOD */ | CAP_BIT(31) /* SETFCAP */)
#define JOB_CAPS_COPY /* the same, of what no image has */                                                             \
	(CAP_BIT(0) /* CHOWN */ | CAP_BIT(1) /* DAC_OVERRIDE */ | CAP_BIT(3) /* FOWNER */ | CAP_BIT(4) /* FSETID */ |  \
	 CAP_BIT(31) /* SETFCAP */)
#define JOB_CAPS_REMOVE (CAP_BIT(1) /* DAC_OVERRIDE */ | CAP_BIT(3) /* FOWNER */)
#define JOB_CAPS_READ	CAP_BIT(2) /* DAC_READ_SEARCH */
#define JOB_CAPS_PROC	(CAP_BIT(2) /* DAC_READ_SEARCH */ | CAP_BIT(19) /* SYS_PTRACE */)

/* All of it, to a pipe. */
int job_write_all(int fd, const void *data, size_t len, struct err *e);

/* 0 when the result has been sent. Else negative errno and e filled: main sends it as the result. */
typedef int verb_fn(int argc, char **argv, struct err *e);

verb_fn verb_import, verb_pull, verb_push, verb_export, verb_sweep, verb_fill, verb_logs, verb_top, verb_rmtree,
	verb_limits, verb_probe;
verb_fn verb_import, verb_pull, verb_push, verb_export, verb_commit, verb_sweep, verb_fill, verb_logs, verb_top,
	verb_rmtree, verb_limits, verb_probe;
verb_fn verb_import, verb_pull, verb_push, verb_export, verb_commit, verb_diff, verb_sweep, verb_fill, verb_logs,
	verb_top, verb_rmtree, verb_limits, verb_probe;
verb_fn verb_history;
verb_fn verb_copy, verb_files, verb_pack, verb_unpack;
verb_fn verb_volume_make, verb_volume_mount, verb_volume_unmount, verb_volume_grow, verb_volume_usage;
verb_fn verb_history, verb_verify, verb_usage;

/* Waits until the record is taken. Negative errno: berthd is gone, which ends the job. */
int report_send(Berth__Envelope *env, struct err *e);
int report_done(const char *text, struct err *e);
int report_done_fd(const char *text, int fd, struct err *e); /* berthd gets a copy of fd */
/* e->step of what a registry is to blame for: its code becomes that of the Error, its text is complete without it. */
#define STEP_REGISTRY "registry"
/* … of a path that somebody asked for: what is wrong with it is his to mend, not ours. */
#define STEP_PATH "path"
int report_error(const struct err *e);
int volume_try(const char *dir, struct err *e);
int namespace_enter(int fd, struct err *e); /* a mount namespace; root and working folder are then its root */
void report_text_clean(
	char *text); /* what is not printable ASCII becomes '?': text that came from an image may be anything */
int report_images(Berth__Image **image, size_t n, struct err *e);
/* An event without words: how far it is, for berthd. */
int report_step(const char *step, struct err *e);
struct image_progress;
void report_progress(const struct image_progress *p); /* best effort: the result tells whether berthd is there */
