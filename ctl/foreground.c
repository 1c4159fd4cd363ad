/* ctl/foreground.c - see ctl/foreground.h */
#include "ctl/foreground.h"

#include "base/own.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int sig_proxy_set(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)f;
	(void)e;
	((struct foreground_opts *)opts)->no_sig_proxy = !strcmp(value, "false");
	return 0;
}

static int detach_keys_set(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct foreground_opts *o = opts;

	(void)f;
	o->keys_given = true;
	return detach_keys_parse(&o->keys, value, e);
}

const struct flag foreground_flags[] = {
	{0, "detach-keys", "KEYS", "leave it running, with -t; default " DETACH_KEYS_DEFAULT ", \"\" for none",
	 detach_keys_set},
	{0, "sig-proxy", NULL, "pass signals on, without -t; default true", sig_proxy_set},
	{0},
};

int foreground_prepare(const struct app *app, const struct foreground_opts *o, bool tty, bool send_stdin,
		       struct session_opts *ret)
{
	*ret = (struct session_opts){
		.send_stdin = send_stdin, .tty = tty, .proxy_signals = !tty && !o->no_sig_proxy, .keys = o->keys};
	if (!o->keys_given)
		detach_keys_parse(&ret->keys, DETACH_KEYS_DEFAULT, NULL);
	if (tty && send_stdin && !isatty(0))
		return app_usage(app, "standard input is not a terminal: leave out -t");
	return 0;
}

/* Waits until the container has ended, or is removed. False: it is gone, or berthd is. */
static bool end_wait(struct app *app, const struct foreground *f, const char *condition, struct ask *a)
{
	Berth__ContainerWait wait = BERTH__CONTAINER_WAIT__INIT;
	struct err e;

	wait.ref = (char *)(uintptr_t)f->ref;
	wait.condition = (char *)(uintptr_t)condition;
	ask_init(a, BERTH__ENVELOPE__BODY_CONTAINER_WAIT, &wait);
	if (app_connect(app) || client_ask(&app->client, a, &e) < 0)
		return false;
	return a->reply->body_case == BERTH__ENVELOPE__BODY_WAIT_REPLY;
}

static int attach_ask(struct app *app, const struct foreground *f, struct ask *a)
{
	Berth__ContainerAttach attach = BERTH__CONTAINER_ATTACH__INIT;
	struct err e;

	attach.ref = (char *)(uintptr_t)f->ref;
	attach.has_want_stdin = true;
	attach.want_stdin = f->session.send_stdin;
	ask_init(a, BERTH__ENVELOPE__BODY_CONTAINER_ATTACH, &attach);
	if (app_connect(app))
		return app->failure;
	return client_ask(&app->client, a, &e) < 0 ? app_fail(app, &e) : 0;
}

/* What berthd knows of the end of a container whose session said nothing of it. */
static int end_status(struct app *app, const struct foreground *f)
{
	const Berth__ExitInfo *exit;
	int status = app->failure;
	struct ask a;

	if (!end_wait(app, f, "not-running", &a)) {
		say("the connection to %s broke off", f->what);
	} else {
		exit = a.reply->wait_reply->exit;
		if (exit && exit->known)
			status = exit->code;
		else
			say("%s: %s", f->what,
			    exit && exit->reason && *exit->reason ? exit->reason : "how it ended is not known");
	}
	ask_fini(&a);
	return status;
}

/* Attaches (again). 0 and a session, or -1 in *ret_fd: it does not run any more. Else the exit status. */
static int session_open(struct app *app, const struct foreground *f, int *ret_fd)
{
	struct ask a;
	int status = attach_ask(app, f, &a);

	*ret_fd = -1;
	if (!status && ask_error(&a) && ask_error(&a)->code != BERTH__ERROR__CODE__CONFLICT &&
	    ask_error(&a)->code != BERTH__ERROR__CODE__NOT_FOUND)
		status = app_refused(app, ask_error(&a), NULL);
	else if (!status && !ask_error(&a))
		*ret_fd = wire_fds_take(&a.reply_fds, 0);
	ask_fini(&a);
	return status;
}

/* The session ended properly, or we leave. */
static int end_tell(struct app *app, const struct foreground *f, const struct session_end *end)
{
	struct ask a;

	switch (end->how) {
	case SESSION_NO_OUTPUT:
	case SESSION_SIGNALLED:
		say("%s: %s%s goes on",
		    end->how == SESSION_SIGNALLED ? strsignal(end->signal) : "nobody reads the output",
		    f->exec ? "the program in " : "", f->what);
		break;
	case SESSION_ENDED:
		if (end->exit.timed_out)
			say("%s ran out of its time and was killed", f->what);
		else if (end->error[0])
			say("%s", end->error);
		if (f->auto_remove) {
			end_wait(app, f, "removed", &a); /* no answer: it is gone already, or berthd will see to it */
			ask_fini(&a);
		}
		break;
	case SESSION_LOST: /* of an exec; of a container foreground_run attached again */
		say("the connection to %s broke off: the container or its shim is gone", f->what);
		return 128 + SIGKILL;
	case SESSION_DETACHED:
		break;
	}
	return session_exit_status(end);
}

/* A session that breaks off while its container goes on was dropped by the shim, because our output was not read in time: what
 * came meanwhile is in the log. */
int foreground_run(struct app *app, const struct foreground *f, int fd)
{
	fflush(stdout);
	for (bool again = fd < 0;; again = true, fd = -1) {
		AUTO_FD sock = fd;
		struct session_opts session = f->session;
		struct session_end end;
		struct err e;
		int status = 0;

		session.redraw = session.redraw || again;
		if (sock < 0)
			status = session_open(app, f, &sock);
		if (status)
			return status;
		if (sock < 0 && !f->auto_remove)
			say("%s has ended meanwhile; what it wrote is in its log", f->what);
		if (sock < 0)
			return end_status(app, f);
		if (again)
			say("attached to %s again; what it wrote meanwhile is in its log", f->what);
		if (session_run(sock, &session, &end, &e) < 0)
			return app_fail(app, &e);
		if (end.how != SESSION_LOST || f->exec)
			return end_tell(app, f, &end);
	}
}
