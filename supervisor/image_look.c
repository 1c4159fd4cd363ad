/* supervisor/image_look.c - requests about images that a job answers, because a disk must be read for it: history, verify, disk
 * usage. */
#include "supervisor/image_own.h"

#include "base/own.h"
#include "supervisor/job.h"
#include "supervisor/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define HISTORY_DEADLINE_NS (50 * NS_PER_S)

struct look {
	struct supervisor *sv;
	struct parked parked;
	Berth__Envelope__BodyCase answer;
	struct job *job;
	bool answered;
	bool verifies; /* nothing may be swept beside it */
};

/* Its job looks at nothing any more. */
static void look_lets_sweep(struct look *k)
{
	struct imports *im = k->sv->imports;

	if (!k->verifies)
		return;
	k->verifies = false;
	im->n_verifying--;
	imports_go_on(im);
}

/* The record is the answer, as it is. */
static void on_look_record(void *arg, const Berth__Envelope *env)
{
	struct look *k = arg;
	Berth__Envelope view = BERTH__ENVELOPE__INIT;

	if (env->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH && !k->answered) {
		view.body_case = env->body_case;
		view.event_batch = env->event_batch;
		(void)reply_more(k->sv, k->parked, &view);
		return;
	}
	if (k->answered || (env->body_case != k->answer && env->body_case != BERTH__ENVELOPE__BODY_ERROR))
		return;
	view.body_case = env->body_case;
	view.hello = env->hello; /* one of the union's pointers */
	k->answered = true;
	look_lets_sweep(k);
	(void)parked_on_gone(k->sv, k->parked, NULL, NULL);
	reply(k->sv, k->parked, &view, NULL, 0);
}

static void on_look_done(void *arg, int status)
{
	struct look *k = arg;

	if (!k->answered) {
		(void)parked_on_gone(k->sv, k->parked, NULL, NULL);
		reply_error(k->sv, k->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "%s",
			    WIFSIGNALED(status) ? "the job was killed" : "the job ended without a result");
	}
	if (k->verifies) /* it was killed: what it unpacked is there */
		imports_sweep_wanted(k->sv->imports);
	look_lets_sweep(k);
	free(k);
}

static void on_look_gone(void *arg, bool cancelled)
{
	struct look *k = arg;

	k->answered = true;
	if (cancelled)
		reply_error(k->sv, k->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "cancelled");
	job_cancel(k->job);
}

/* argv: the verb and STATE/images; fd becomes 4 of the job. */
void image_look_start(struct request *rq, const char *const *argv, int fd, uint64_t deadline_ns,
		      Berth__Envelope__BodyCase answer)
{
	static const struct job_ops ops = {.record = on_look_record, .done = on_look_done};
	struct look *k = fd < 0 ? NULL : calloc(1, sizeof *k);
	struct err e = {0};

	if (!k) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
		return;
	}
	k->sv = rq->sv;
	k->parked = rq->parked;
	k->answer = answer;
	if (job_start(rq->sv, argv, &fd, 1, deadline_ns, &ops, k, &k->job, &e) < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		free(k);
		return;
	}
	k->verifies = answer == BERTH__ENVELOPE__BODY_VERIFY_REPLY;
	rq->sv->imports->n_verifying += k->verifies;
	(void)parked_on_gone(rq->sv, rq->parked, on_look_gone, k);
}

void on_image_history(struct request *rq)
{
	struct image *im = image_wanted(rq, rq->env->image_history->ref);
	char dir[sizeof rq->sv->cfg.state_dir + 16];
	const char *argv[] = {"history", dir, NULL};

	if (!im)
		return;
	snprintf(dir, sizeof dir, "%s/images", rq->sv->cfg.state_dir);
	AUTO_FD list = image_list_memfd(&im->obj, 1);
	image_look_start(rq, argv, list, HISTORY_DEADLINE_NS, BERTH__ENVELOPE__BODY_HISTORY_REPLY);
}

/* Those that it names; NULL: it was answered. The caller frees it. */
static Berth__Image **images_wanted(struct request *rq, char *const *refs, size_t n)
{
	Berth__Image **images = calloc(n, sizeof *images);

	if (!images)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
	for (size_t i = 0; images && i < n; i++) {
		struct image *im = image_wanted(rq, refs[i]);

		if (!im) {
			free(images);
			return NULL;
		}
		images[i] = im->obj;
	}
	return images;
}

void on_image_verify(struct request *rq)
{
	const Berth__ImageVerify *ask = rq->env->image_verify;
	char dir[sizeof rq->sv->cfg.state_dir + 16];
	const char *argv[] = {"verify", dir, NULL, NULL, NULL};
	AUTO_FREE Berth__Image **images = NULL;
	AUTO_FD list = -1;
	unsigned n = 2;

	if (ask->n_refs) {
		images = images_wanted(rq, ask->refs, ask->n_refs);
		if (!images)
			return;
		list = image_list_memfd(images, ask->n_refs);
	} else {
		list = image_keep_memfd(rq->sv);
		argv[n++] = "all";
	}
	if (ask->quick)
		argv[n] = "quick";
	snprintf(dir, sizeof dir, "%s/images", rq->sv->cfg.state_dir);
	image_look_start(rq, argv, list, 0, BERTH__ENVELOPE__BODY_VERIFY_REPLY);
}
