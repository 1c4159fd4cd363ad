/* ctl/cmd_logs.c - logs: berthd's reader sends whole lines of the CRI log format through a descriptor; here they become what the
 * program wrote, its stdout on ours and its stderr on ours. */
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/command.h"
#include "ctl/log_text.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct logs_opts {
	bool follow, timestamps, only_stdout, only_stderr;
	const char *since, *until, *tail;
};

static const struct flag logs_flags[] = {
	{'f', "follow", NULL, "go on with what comes, over restarts", flag_bool, offsetof(struct logs_opts, follow)},
	{'n', "tail", "N|all", "only the last N lines", flag_text, offsetof(struct logs_opts, tail)},
	{0, "since", "TIME", "a date, a unix time, or how long ago: 10m", flag_text, offsetof(struct logs_opts, since)},
	{0, "until", "TIME", "the same", flag_text, offsetof(struct logs_opts, until)},
	{'t', "timestamps", NULL, "with the time of each line", flag_bool, offsetof(struct logs_opts, timestamps)},
	{0, "stdout", NULL, "only what went to standard output", flag_bool, offsetof(struct logs_opts, only_stdout)},
	{0, "stderr", NULL, "only what went to standard error", flag_bool, offsetof(struct logs_opts, only_stderr)},
	{0},
};

static int request_fill(const struct app *app, const struct logs_opts *o, Berth__ContainerLogs *logs)
{
	int status = app_time(app, "--since", o->since, &logs->has_since_at, &logs->since_at);

	if (!status)
		status = app_time(app, "--until", o->until, &logs->has_until_at, &logs->until_at);
	if (status)
		return status;
	if (o->tail && strcmp(o->tail, "all") != 0) {
		logs->has_tail_lines = true;
		if (str_to_i64(o->tail, &logs->tail_lines) || logs->tail_lines < -1)
			return app_usage(app, "--tail: \"%s\" is not a number of lines", o->tail);
	}
	logs->has_follow = true;
	logs->follow = o->follow;
	logs->has_want_stdout = logs->has_want_stderr = true;
	logs->want_stdout = o->only_stdout || !o->only_stderr;
	logs->want_stderr = o->only_stderr || !o->only_stdout;
	return 0;
}

/* Until its end. What is complete is written before we wait for more. */
static int logs_copy(const struct app *app, int fd, struct log_text *t)
{
	static char chunk[65536];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct err e;

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);

		if (n > 0)
			log_text_feed(t, chunk, (size_t)n);
		if (n == 0)
			return 0;
		if (poll(&p, 1, 0) == 0)
			fflush(stdout);
		if (n < 0 && errno == EAGAIN)
			poll(&p, 1, -1);
		else if (n < 0 && errno != EINTR) {
			err_set(&e, errno, "logs", "reading the log");
			return app_fail(app, &e);
		}
	}
}

/* The reader of a follower ends with berthd (a restart, an upgrade) as it does when nothing more can come. */
static bool more_may_come(struct app *app, const char *uuid, unsigned connection)
{
	Berth__ContainerInspect inspect = BERTH__CONTAINER_INSPECT__INIT;
	Berth__ContainerState state;
	bool more = false;
	struct err e;
	struct ask a;

	inspect.ref = (char *)(uintptr_t)uuid;
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &inspect);
	if (client_ask(&app->client, &a, &e) < 0) {
		app_fail(app, &e);
	} else if (!ask_error(&a)) { /* else it was removed */
		state = a.reply->container_reply->container->status->state;
		more = app->client.connections != connection ||
		       (state != BERTH__CONTAINER_STATE__CONTAINER_STATE_EXITED &&
			state != BERTH__CONTAINER_STATE__CONTAINER_STATE_STOPPED &&
			state != BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR);
	}
	ask_fini(&a);
	return more;
}

/* From where the text ended. */
static void request_resume(Berth__ContainerLogs *logs, struct log_text *t)
{
	log_text_resume(t);
	if (!t->last[0])
		return;
	logs->has_tail_lines = false;
	logs->has_since_at = str_to_time(t->last, 0, &logs->since_at) == 0;
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); /* a reader that cannot begin must not make us spin */
}

static int logs_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct logs_opts *o = opts;
	Berth__ContainerLogs logs = BERTH__CONTAINER_LOGS__INIT;
	struct log_text text;
	unsigned connection;
	struct ask a;
	bool again = o->follow;
	int status;

	(void)n;
	logs.ref = operands[0];
	status = request_fill(app, o, &logs);
	if (status)
		return status;
	log_text_init(&text, stdout, stderr, o->timestamps);
	do {
		ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_LOGS, &logs);
		status = app_ask(app, &a, NULL);
		connection = app->client.connections;
		if (!status) {
			AUTO_FD fd = wire_fds_take(&a.reply_fds, 0);

			status = logs_copy(app, fd, &text);
			/* What comes after --until is not wanted. */
			again = again && !status && (!logs.has_until_at || logs.until_at > wall_ns()) &&
				more_may_come(app, a.reply->done->uuid, connection);
			request_resume(&logs, &text);
		}
		ask_fini(&a);
	} while (!status && again);
	log_text_fini(&text);
	return status;
}

const struct command cmd_logs = {
	.flags = {{logs_flags, 0}},
	.opts_size = sizeof(struct logs_opts),
	.min = 1,
	.max = 1,
	.complete = "container",
	.run = logs_run,
};
