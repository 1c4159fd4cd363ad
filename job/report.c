/* job/report.c - the records that a job sends; see job/job.h */
#include "job/job.h"

#include "base/own.h"
#include "image/store.h"
#include "proto/envelope.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static int send_with(Berth__Envelope *env, const int *fds, unsigned n_fds, struct err *e)
{
	struct pollfd p = {.fd = REPORT_FD, .events = POLLOUT};
	int r;

	while ((r = envelope_send(REPORT_FD, env, fds, n_fds)) == WIRE_AGAIN)
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return err_set(e, errno, "report", "poll");
	if (r == WIRE_GONE)
		return err_set(e, EPIPE, "report", "berthd is gone");
	return r < 0 ? err_set(e, r, "report", "send") : 0;
}

int job_write_all(int fd, const void *data, size_t len, struct err *e)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, (const char *)data + at, len - at);

		if (n < 0 && errno != EINTR)
			return err_set(e, errno, "write", "write the archive");
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int report_send(Berth__Envelope *env, struct err *e)
{
	return send_with(env, NULL, 0, e);
}

static int done_with(const char *text, const int *fds, unsigned n_fds, struct err *e)
{
	Berth__Done done = BERTH__DONE__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	done.text = (char *)text;
	env.body_case = BERTH__ENVELOPE__BODY_DONE;
	env.done = &done;
	return send_with(&env, fds, n_fds, e);
}

int report_done(const char *text, struct err *e)
{
	return done_with(text, NULL, 0, e);
}

int report_done_fd(const char *text, int fd, struct err *e)
{
	return done_with(text, &fd, 1, e);
}

/* Text that came from an image may be anything; a record with a bad string would be refused as a whole. */
void report_text_clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
}

int report_error(const struct err *failure)
{
	Berth__Error error = BERTH__ERROR__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	struct err clean = *failure;
	char text[640];

	error.has_code = error.has_sys_errno = true;
	clean.code = !strcmp(failure->step, STEP_REGISTRY) ? 0 : failure->code; /* its words are complete */
	switch (failure->code) {
	case EACCES:
		error.code = clean.code ? BERTH__ERROR__CODE__INTERNAL : BERTH__ERROR__CODE__DENIED;
		break;
	case ETIMEDOUT:
		error.code = BERTH__ERROR__CODE__TIMEOUT;
		break;
	case ENOSPC:
	case EDQUOT:
		error.code = BERTH__ERROR__CODE__EXHAUSTED;
		break;
	case EWOULDBLOCK:
	case EBUSY:
		error.code = BERTH__ERROR__CODE__CONFLICT;
		break;
	case 0: /* no errno: the input is to blame, as it is for these */
	case EINVAL:
	case ERANGE:
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case EFBIG:
		error.code = BERTH__ERROR__CODE__INVALID;
		break;
	default:
		error.code = clean.code ? BERTH__ERROR__CODE__INTERNAL : BERTH__ERROR__CODE__INVALID;
	}
	if (!clean.code && failure->code == ENOENT)
		error.code = BERTH__ERROR__CODE__NOT_FOUND;
	if (!strcmp(failure->step, STEP_PATH))
		error.code = failure->code == ENOENT ? BERTH__ERROR__CODE__NOT_FOUND : BERTH__ERROR__CODE__INVALID;
	error.sys_errno = clean.code;
	err_format(&clean, text, sizeof text);
	report_text_clean(text);
	report_text_clean(clean.step);
	error.step = clean.step;
	error.text = text;
	env.body_case = BERTH__ENVELOPE__BODY_ERROR;
	env.error = &error;
	return report_send(&env, NULL);
}

int report_images(Berth__Image **image, size_t n, struct err *e)
{
	Berth__ImageReply reply = BERTH__IMAGE_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	reply.n_images = n;
	reply.images = image;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_REPLY;
	env.image_reply = &reply;
	return report_send(&env, e);
}

int report_step(const char *step, struct err *e)
{
	Berth__Event event = BERTH__EVENT__INIT, *list = &event;
	Berth__EventBatch batch = BERTH__EVENT_BATCH__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	event.kind = (char *)"job";
	event.type = (char *)(uintptr_t)step;
	batch.n_events = 1;
	batch.events = &list;
	env.has_more = env.more = true;
	env.body_case = BERTH__ENVELOPE__BODY_EVENT_BATCH;
	env.event_batch = &batch;
	return report_send(&env, e);
}

/* One event: `reason` for a person, the attributes for a program. */
void report_progress(const struct image_progress *p)
{
	Berth__Event event = BERTH__EVENT__INIT, *list = &event;
	Berth__EventBatch batch = BERTH__EVENT_BATCH__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__KeyValue attribute[4], *attributes[4];
	char text[512], part[96], at[24], size[24];
	const char *const keys[] = {"part", "state", "at_bytes", "size_bytes"};
	char *const values[] = {part, (char *)p->state, at, size};

	event.kind = (char *)"image";
	event.type = (char *)"progress";
	if (p->text) {
		snprintf(text, sizeof text, "%s", p->text);
		report_text_clean(text);
		event.reason = text;
	}
	if (p->part) {
		snprintf(part, sizeof part, "%s", p->part);
		snprintf(at, sizeof at, "%llu", (unsigned long long)p->at);
		snprintf(size, sizeof size, "%llu", (unsigned long long)p->size);
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			berth__key_value__init(&attribute[i]);
			attribute[i].key = (char *)keys[i];
			attribute[i].value = values[i];
			attributes[i] = &attribute[i];
		}
		event.attributes = attributes;
		event.n_attributes = ARRAY_SIZE(keys);
	}
	batch.n_events = 1;
	batch.events = &list;
	env.has_more = env.more = true;
	env.body_case = BERTH__ENVELOPE__BODY_EVENT_BATCH;
	env.event_batch = &batch;
	(void)envelope_send(REPORT_FD, &env, NULL, 0);
}
