/* ctl/foreground.c - see ctl/foreground.h */
#include "ctl/foreground.h"

#include "base/own.h"

#include <stdio.h>
#include <string.h>

static int sig_proxy_set(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)f;
	(void)e;
	((struct foreground_opts *)opts)->no_sig_proxy = !strcmp(value, "false");
	return 0;
}

const struct flag foreground_flags[] = {
	{0, "detach-keys", "KEYS", "leave it running, with -t; default " DETACH_KEYS_DEFAULT, flag_text,
	 offsetof(struct foreground_opts, detach_keys)},
	{0, "sig-proxy", NULL, "pass signals on, without -t; default true", sig_proxy_set},
	{0},
};

int foreground_prepare(const struct app *app, const struct foreground_opts *o, bool tty, bool send_stdin,
		       struct session_opts *ret)
{
	struct err e;

	*ret = (struct session_opts){.send_stdin = send_stdin, .tty = tty, .proxy_signals = !tty && !o->no_sig_proxy};
	if (detach_keys_parse(&ret->keys, o->detach_keys ? o->detach_keys : DETACH_KEYS_DEFAULT, &e) < 0)
		return app_fail(app, &e);
	if (tty && send_stdin && !isatty(0)) {
		say("standard input is not a terminal: leave out -t");
		return app->failure;
	}
	return 0;
}

/* Until it is removed, or has ended. What berthd says of its end, or NULL: it is gone, or berthd is. */
static struct ask *end_ask(struct app *app, const struct foreground *f, const char *condition, struct ask *a)
{
	Berth__ContainerWait wait = BERTH__CONTAINER_WAIT__INIT;
	struct err e;

	wait.ref = (char *)(uintptr_t)f->ref;
	wait.condition = (char *)(uintptr_t)condition;
	ask_init(a, BERTH__ENVELOPE__BODY_CONTAINER_WAIT, &wait);
	if (app_connect(app) || client_ask(&app->client, a, &e) < 0)
		return NULL;
	return a->reply->body_case == BERTH__ENVELOPE__BODY_WAIT_REPLY ? a : NULL;
}

/* The session broke off: the shim died, or dropped us. berthd knows how the container is. */
static int lost_status(struct app *app, const struct foreground *f)
{
	struct ask a;
	const Berth__ExitInfo *exit;
	int status = app->failure;

	if (f->exec) {
		say("the connection to %s broke off: its shim or the container is gone", f->what);
		return 137;
	}
	if (!end_ask(app, f, "not-running", &a)) {
		say("the connection to %s broke off", f->what);
		ask_fini(&a);
		return status;
	}
	exit = a.reply->wait_reply->exit;
	if (exit && exit->known)
		status = exit->code;
	say("the connection to %s broke off: %s", f->what,
	    exit && exit->reason && *exit->reason ? exit->reason : "it has ended");
	ask_fini(&a);
	return status;
}

/* When berthd answered a second time (it was restarted in between) there is no descriptor with it: attach to what runs. */
static int attach_again(struct app *app, const struct foreground *f, int *ret_fd)
{
	Berth__ContainerAttach attach = BERTH__CONTAINER_ATTACH__INIT;
	struct ask a;
	int status;

	attach.ref = (char *)(uintptr_t)f->ref;
	attach.has_want_stdin = true;
	attach.want_stdin = f->session.send_stdin;
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_ATTACH, &attach);
	status = app_ask(app, &a, NULL);
	*ret_fd = status ? -1 : wire_fds_take(&a.reply_fds, 0);
	ask_fini(&a);
	return status;
}

int foreground_run(struct app *app, const struct foreground *f, int fd)
{
	struct session_end end;
	struct err e;
	struct ask a;
	int status = 0;

	if (fd < 0 && f->exec) {
		say("berthd was restarted while it started the program: whether it runs is not known");
		return app->failure;
	}
	if (fd < 0)
		status = attach_again(app, f, &fd);
	if (status)
		return status;
	AUTO_FD sock = fd;
	fflush(stdout);
	if (session_run(sock, &f->session, &end, &e) < 0)
		return app_fail(app, &e);
	switch (end.how) {
	case SESSION_LOST:
		return lost_status(app, f);
	case SESSION_NO_OUTPUT:
	case SESSION_SIGNALLED:
		say("%s: %s goes on", end.how == SESSION_SIGNALLED ? strsignal(end.signal) : "nobody reads the output",
		    f->what);
		break;
	case SESSION_ENDED:
		if (end.exit.timed_out)
			say("%s ran out of its time and was killed", f->what);
		else if (end.error[0])
			say("%s", end.error);
		if (f->auto_remove) {
			end_ask(app, f, "removed", &a); /* no answer: it is gone already, or berthd will see to it */
			ask_fini(&a);
		}
		break;
	case SESSION_DETACHED:
		break;
	}
	return session_exit_status(&end);
}
