/* gateway/zun/logs.c - GET logs: stdout and stderr as they came, in one text.
 *
 * The answer is one JSON string, so it has to be held, and is bounded: of a longer log the end is given, after a line that says so.
 * Bytes that are no UTF-8 are shown as U+FFFD. */
#include "gateway/zun/handlers.h"
#include "gateway/zun/log_text.h"
#include "gateway/zun/value.h"

#include "base/str.h"

#include <string.h>

#define LOG_MAX (4u << 20)

static void on_ended(struct call *c, struct stream *s)
{
	struct buf text;

	buf_init(&text, 0);
	if (s->end == STREAM_LATE)
		buf_adds(&text, "[berth: the log could not be read to its end in time]\n");
	else if (s->cut)
		buf_printf(
			&text,
			"[berth: earlier lines are left out, the log is longer than %u MiB: ask with tail or since]\n",
			LOG_MAX >> 20);
	if (s->out.len)
		log_text(&text, s->out.data, s->out.len, arg_bool(c->args, "timestamps", false));
	jw_text(&c->out, NULL, text.len ? text.data : "", text.len);
	c->out.buf.failed |= text.failed || s->out.failed;
	buf_fini(&text);
	call_reply(c, 200);
}

static void on_stream(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	int fd = wire_fds_take(fds, 0);

	if (fd < 0)
		zun_refuse_upstream(c, "stream");
	else
		call_stream(c, fd, STREAM_TAIL, LOG_MAX, 0, on_ended);
}

/* A number of lines, or all, whatever else it says. */
static int64_t tail_lines(const struct call *c)
{
	const char *tail = arg_str(c->args, "tail");
	int64_t n;

	return tail && str_to_i64(tail, &n) == 0 && n >= 0 ? n : -1;
}

static void logs_found(struct call *c, const Berth__Container *obj)
{
	Berth__ContainerLogs m = BERTH__CONTAINER_LOGS__INIT;
	const char *since = arg_str(c->args, "since");

	m.ref = ((struct target *)c->state)->uuid;
	m.has_want_stdout = m.has_want_stderr = true;
	m.want_stdout = arg_bool(c->args, "stdout", true);
	m.want_stderr = arg_bool(c->args, "stderr", true);
	m.has_tail_lines = true;
	m.tail_lines = tail_lines(c);
	m.has_since_at = since && *since && zun_since(since, &m.since_at) == 0;
	if (m.want_stdout || m.want_stderr) {
		call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_LOGS, &m, on_stream);
		return;
	}
	jw_str(&c->out, NULL, ""); /* neither was wanted; to berthd that would mean both */
	call_reply(c, 200);
}

void on_logs(struct call *c)
{
	target_find(c, ZUN_LOGS, logs_found);
}
