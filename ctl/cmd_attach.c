/* ctl/cmd_attach.c - attach, and start -a: the foreground of a container that exists. */
#include "ctl/foreground.h"

struct attach_opts {
	struct foreground_opts foreground;
	bool no_stdin;
};

static const struct flag attach_flags[] = {
	{0, "no-stdin", NULL, "look only", flag_bool, offsetof(struct attach_opts, no_stdin)},
	{0},
};

/* Whether it has a terminal decides how ours is used, so it is asked first. */
static int attach_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct attach_opts *o = opts;
	Berth__ContainerInspect inspect = BERTH__CONTAINER_INSPECT__INIT;
	Berth__ContainerAttach attach = BERTH__CONTAINER_ATTACH__INIT;
	struct foreground f = {0};
	const Berth__Container *c;
	struct ask look, a;
	int status;

	(void)n;
	inspect.ref = operands[0];
	ask_init(&look, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &inspect);
	status = app_ask(app, &look, NULL);
	if (status)
		return status;
	c = look.reply->container_reply->container;
	f.ref = c->meta->uuid;
	f.what = c->meta->name;
	f.auto_remove = c->spec->auto_remove;
	status = foreground_prepare(app, &o->foreground, c->spec->tty, c->spec->stdin_open && !o->no_stdin, &f.session);
	f.session.redraw = true;
	attach.ref = c->meta->uuid;
	attach.has_want_stdin = true;
	attach.want_stdin = f.session.send_stdin;
	attach.has_rows = attach.has_cols = terminal_size(0, &attach.rows, &attach.cols);
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_ATTACH, &attach);
	if (!status)
		status = app_ask(app, &a, NULL);
	if (!status)
		status = foreground_run(app, &f, wire_fds_take(&a.reply_fds, 0));
	ask_fini(&a);
	ask_fini(&look);
	return status;
}

const struct command cmd_attach = {
	.flags = {{attach_flags, 0}, {foreground_flags, offsetof(struct attach_opts, foreground)}},
	.opts_size = sizeof(struct attach_opts),
	.min = 1,
	.max = 1,
	.complete = "container",
	.run = attach_run,
};

/* ---------------------------------------------------------------- start */

struct start_opts {
	struct foreground_opts foreground;
	bool attach, interactive;
};

static const struct flag start_flags[] = {
	{'a', "attach", NULL, "in the foreground, from its first output on", flag_bool,
	 offsetof(struct start_opts, attach)},
	{'i', "interactive", NULL, "in the foreground with standard input", flag_bool,
	 offsetof(struct start_opts, interactive)},
	{0},
};

static int start_attached(struct app *app, const struct start_opts *o, char *ref)
{
	Berth__ContainerInspect inspect = BERTH__CONTAINER_INSPECT__INIT;
	Berth__ContainerStart start = BERTH__CONTAINER_START__INIT;
	struct foreground f = {0};
	const Berth__Container *c;
	struct ask look, a;
	int status;

	inspect.ref = ref;
	ask_init(&look, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &inspect);
	status = app_ask(app, &look, NULL);
	if (status)
		return status;
	c = look.reply->container_reply->container;
	f.ref = c->meta->uuid;
	f.what = c->meta->name;
	f.auto_remove = c->spec->auto_remove;
	status = foreground_prepare(app, &o->foreground, c->spec->tty, c->spec->stdin_open && o->interactive,
				    &f.session);
	start.ref = c->meta->uuid;
	start.has_attach = start.attach = true;
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_START, &start);
	a.once = true;
	if (!status)
		status = app_ask(app, &a, NULL);
	/* Lost: berthd carries on with what it began, when it is back. */
	if (!status || a.lost)
		status = foreground_run(app, &f, wire_fds_take(&a.reply_fds, 0));
	ask_fini(&a);
	ask_fini(&look);
	return status;
}

static int start_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct start_opts *o = opts;

	if (!o->attach && !o->interactive)
		return app_each(app, BERTH__ENVELOPE__BODY_CONTAINER_START, NULL, o, operands, n);
	if (n == 1)
		return start_attached(app, o, operands[0]);
	return app_usage(app, "only one container can be started in the foreground");
}

const struct command cmd_start = {
	.flags = {{start_flags, 0}, {foreground_flags, offsetof(struct start_opts, foreground)}},
	.opts_size = sizeof(struct start_opts),
	.min = 1,
	.max = MANY,
	.complete = "container",
	.run = start_run,
};
