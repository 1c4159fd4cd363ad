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

struct logs_opts {
	bool follow, timestamps, only_stdout, only_stderr;
	const char *since, *until, *tail;
};

static const struct flag logs_flags[] = {
	{'f', "follow", NULL, "go on with what comes, over restarts", flag_bool, offsetof(struct logs_opts, follow)},
	{'n', "tail", "N|all", "only the last N lines", flag_text, offsetof(struct logs_opts, tail)},
	{0, "since", "TIME", "RFC 3339, @seconds, or how long ago: 10m", flag_text, offsetof(struct logs_opts, since)},
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
		if (str_to_i64(o->tail, &logs->tail_lines) || logs->tail_lines < -1) {
			say("--tail: \"%s\" is not a number of lines", o->tail);
			return app->failure;
		}
	}
	logs->has_follow = true;
	logs->follow = o->follow;
	logs->has_want_stdout = logs->has_want_stderr = true;
	logs->want_stdout = o->only_stdout || !o->only_stderr;
	logs->want_stderr = o->only_stderr || !o->only_stdout;
	return 0;
}

/* Until its end. What is complete is written before we wait for more. */
static int logs_copy(const struct app *app, int fd, bool timestamps)
{
	static char chunk[65536];
	struct log_text t;
	struct err e;
	int status = 0;

	log_text_init(&t, stdout, stderr, timestamps);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n = read(fd, chunk, sizeof chunk);

		if (n > 0) {
			log_text_feed(&t, chunk, (size_t)n);
			continue;
		}
		if (n == 0)
			break;
		if (errno == EAGAIN) {
			fflush(stdout);
			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			err_set(&e, errno, "logs", "reading the log");
			status = app_fail(app, &e);
			break;
		}
	}
	log_text_fini(&t);
	return status;
}

static int logs_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct logs_opts *o = opts;
	Berth__ContainerLogs logs = BERTH__CONTAINER_LOGS__INIT;
	struct ask a;
	int status;

	(void)n;
	logs.ref = operands[0];
	status = request_fill(app, o, &logs);
	if (status)
		return status;
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_LOGS, &logs);
	status = app_ask(app, &a, NULL);
	if (!status) {
		AUTO_FD fd = wire_fds_take(&a.reply_fds, 0);

		status = logs_copy(app, fd, o->timestamps);
	}
	ask_fini(&a);
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
