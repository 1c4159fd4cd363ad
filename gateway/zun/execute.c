/* gateway/zun/execute.c - POST execute with run=true: a command in a running container, waited for, its output in the answer.
 *
 * A command that takes too long is killed with all that it started (berthd's timeout on its group; Zun would leave it running) and
 * the answer is Zun's 409. Output beyond OUTPUT_MAX is read and left out, so that the program neither stops nor fills our memory.
 * Zun merges stdout and stderr. */
#include "gateway/gateway.h"
#include "gateway/zun/handlers.h"
#include "gateway/zun/words.h"

#include "base/own.h"

#include <errno.h>
#include <string.h>

#define GRACE_MS   5000 /* from its timeout to the news of its end */
#define OUTPUT_MAX (1u << 20)

static uint32_t timeout_ms(const struct call *c)
{
	return (uint32_t)(c->gw->cfg.exec_timeout_ns / NS_PER_MS);
}

static void answer(struct call *c, const char *output, size_t len, int exit_code)
{
	jw_object(&c->out, NULL);
	jw_text(&c->out, "output", output, len);
	jw_int(&c->out, "exit_code", exit_code);
	jw_null(&c->out, "exec_id");
	jw_null(&c->out, "proxy_url");
	jw_end(&c->out);
	call_reply(c, 200);
}

static void on_ended(struct call *c, struct stream *s)
{
	if (s->end == STREAM_LATE || s->exit.timed_out) {
		zun_refuse(c, ZUN_E_CONFLICT, "Timeout on executing command: %.400s", arg_str(c->args, "command"));
		return;
	}
	if (s->end == STREAM_LOST) {
		zun_refuse(c, ZUN_E_CONFLICT,
			   "The container went away while it executed the command; how that ended is not known.");
		return;
	}
	if (s->cut) {
		s->out.max = 0;
		buf_printf(&s->out, "\n[berth: the output is cut at %u bytes]\n", OUTPUT_MAX);
	}
	c->out.buf.failed |= s->out.failed;
	answer(c, s->out.len ? s->out.data : "", s->out.len, s->exit.signal ? 128 + s->exit.signal : s->exit.code);
}

/* Why it could not be executed at all is its output, and the status what a shell has for that. */
static void on_refused(struct call *c, const Berth__Error *error)
{
	const char *text = error->text ? error->text : "";

	if (error->code == BERTH__ERROR__CODE__START_FAILED)
		answer(c, text, strlen(text), error->sys_errno == ENOENT ? 127 : 126);
	else
		zun_refuse_error(c, error);
}

static void on_session(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	int fd = wire_fds_take(fds, 0);

	if (fd < 0)
		zun_refuse_upstream(c, "session");
	else
		call_stream(c, fd, STREAM_SESSION, OUTPUT_MAX, timeout_ms(c) + GRACE_MS, on_ended);
}

static void execute_found(struct call *c, const Berth__Container *obj)
{
	static const struct ask_options once = {.once = true, .refused = on_refused};
	Berth__ContainerExec m = BERTH__CONTAINER_EXEC__INIT;
	Berth__ExecSpec spec = BERTH__EXEC_SPEC__INIT;
	AUTO_FREE char **words = NULL;
	struct err e = {0};

	if (words_split(arg_str(c->args, "command"), &words, &spec.n_command, &e) < 0 || !spec.n_command) {
		zun_refuse(c, ZUN_E_VALUE, "Invalid input for field 'command'. %s",
			   *e.text ? e.text : "It has no words");
		return;
	}
	spec.command = words;
	spec.has_timeout_ms = true;
	spec.timeout_ms = timeout_ms(c);
	m.ref = ((struct target *)c->state)->uuid;
	m.exec = &spec;
	call_ask_with(c, BERTH__ENVELOPE__BODY_CONTAINER_EXEC, &m, on_session, &once);
}

void on_execute(struct call *c)
{
	if (!arg_bool(c->args, "run", true) || arg_bool(c->args, "interactive", false))
		zun_refuse(c, ZUN_E_NOT_IMPLEMENTED,
			   "Only run=true is available yet, without interactive: sessions need a WebSocket.");
	else
		target_find(c, ZUN_EXECUTE, execute_found);
}
