/* ctl/cmd_verbs.c - one request per container and its name printed when it is done: stop, restart, kill, pause, unpause, rm, update,
 * and rename and wait, which are nearly that. */
#include "base/str.h"
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/spec_flags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- stop, restart */

struct stop_opts {
	bool given;
	uint32_t timeout_s;
};

static int timeout_set(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct stop_opts *o = opts;

	(void)f;
	o->given = true;
	if (str_to_u32(value, &o->timeout_s))
		return err_set(e, EINVAL, "flag", "\"%s\" is not a number of seconds", value);
	return 0;
}

static const struct flag stop_flags[] = {
	{'t', "time", "SECONDS", "until it is killed; default: the container's", timeout_set},
	{0, "timeout", "SECONDS", NULL, timeout_set},
	{0},
};

static void stop_fill(void *body, const void *opts)
{
	const struct stop_opts *o = opts;
	Berth__ContainerStop *m = body;

	m->has_timeout_s = o->given;
	m->timeout_s = o->timeout_s;
}

static int stop_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_CONTAINER_STOP, stop_fill, opts, operands, n);
}

static void restart_fill(void *body, const void *opts)
{
	const struct stop_opts *o = opts;
	Berth__ContainerRestart *m = body;

	m->has_timeout_s = o->given;
	m->timeout_s = o->timeout_s;
}

static int restart_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_CONTAINER_RESTART, restart_fill, opts, operands, n);
}

/* ---------------------------------------------------------------- kill, pause, unpause */

struct kill_opts {
	const char *signal;
};

static const struct flag kill_flags[] = {
	{'s', "signal", "SIGNAL", "name or number; default SIGKILL", flag_text, offsetof(struct kill_opts, signal),
	 .complete = "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP"},
	{0},
};

static void kill_fill(void *body, const void *opts)
{
	const struct kill_opts *o = opts;

	((Berth__ContainerKill *)body)->signal = o->signal ? mem_text(o->signal) : NULL;
}

static int kill_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct kill_opts *o = opts;

	if (o->signal && !*o->signal) /* to berthd that would mean the default, SIGKILL */
		return app_usage(app, "--signal: \"\" is not a signal");
	return app_each(app, BERTH__ENVELOPE__BODY_CONTAINER_KILL, kill_fill, opts, operands, n);
}

static int pause_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_CONTAINER_PAUSE, NULL, opts, operands, n);
}

static int unpause_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_CONTAINER_UNPAUSE, NULL, opts, operands, n);
}

/* ---------------------------------------------------------------- rm */

struct rm_opts {
	bool force, stop, volumes;
};

static const struct flag rm_flags[] = {
	{'f', "force", NULL, "kill it first if it runs", flag_bool, offsetof(struct rm_opts, force)},
	{'s', "stop", NULL, "stop it first if it runs: its stop signal, and its time for that", flag_bool,
	 offsetof(struct rm_opts, stop)},
	{'v', "volumes", NULL, "and its volumes without a name", flag_bool, offsetof(struct rm_opts, volumes)},
	{0},
};

static void rm_fill(void *body, const void *opts)
{
	const struct rm_opts *o = opts;
	Berth__ContainerRemove *m = body;

	m->has_force = m->has_stop = m->has_volumes = true;
	m->force = o->force;
	m->stop = o->stop;
	m->volumes = o->volumes;
}

static int rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_CONTAINER_REMOVE, rm_fill, opts, operands, n);
}

/* ---------------------------------------------------------------- update */

static void update_init(void *opts)
{
	spec_opts_init(opts, &berth__container_update__descriptor);
}

static void update_fini(void *opts)
{
	spec_opts_fini(opts);
}

static int update_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct spec_opts *o = opts;
	Berth__ContainerUpdate *update = (Berth__ContainerUpdate *)o->message;
	int status = 0;

	if (!update->resources && !update->restart)
		return app_usage(app, "nothing to change was given");
	for (unsigned i = 0; i < n; i++) {
		struct ask a;
		int one;

		free(update->ref);
		update->ref = mem_text(operands[i]);
		ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_UPDATE, update);
		one = app_ask(app, &a, o);
		if (!one)
			puts(operands[i]);
		status = one ? one : status;
		ask_fini(&a);
	}
	return status;
}

/* ---------------------------------------------------------------- rename, wait */

static int rename_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__ContainerRename rename = BERTH__CONTAINER_RENAME__INIT;
	struct ask a;
	int status;

	(void)opts;
	(void)n;
	rename.ref = operands[0];
	rename.name = operands[1];
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_RENAME, &rename);
	status = app_ask(app, &a, NULL);
	ask_fini(&a);
	return status;
}

struct wait_opts {
	struct format_opts format;
	const char *condition;
};

static const struct flag wait_flags[] = {
	{0, "condition", "CONDITION", "not-running (the default), next-exit, removed", flag_text,
	 offsetof(struct wait_opts, condition), .complete = "not-running next-exit removed"},
	{0},
};

static void wait_print(const struct wait_opts *o, const Berth__WaitReply *w)
{
	if (!format_is_table(&o->format))
		format_print_one(&o->format, w);
	else if (w->exit && w->exit->known)
		printf("%d\n", w->exit->code);
	else
		puts("unknown");
}

/* All at once, but told in the order that was asked for. */
static int wait_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct wait_opts *o = opts;
	Berth__ContainerWait *waits = mem_zero(n * sizeof *waits);
	struct ask *asks = mem_zero(n * sizeof *asks);
	struct err e;
	int status = 0;

	if (format_check(&o->format, &berth__wait_reply__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	status = app_connect(app);
	for (unsigned i = 0; i < n; i++) {
		berth__container_wait__init(&waits[i]);
		waits[i].ref = operands[i];
		waits[i].condition = (char *)(uintptr_t)o->condition;
		ask_init(&asks[i], BERTH__ENVELOPE__BODY_CONTAINER_WAIT, &waits[i]);
	}
	if (!status && client_ask_all(&app->client, asks, n, &e) < 0)
		status = app_fail(app, &e);
	for (unsigned i = 0; i < n; i++) {
		if (ask_error(&asks[i]))
			status = app_refused(app, ask_error(&asks[i]), NULL);
		else if (asks[i].reply)
			wait_print(o, asks[i].reply->wait_reply);
		ask_fini(&asks[i]);
	}
	free(asks);
	free(waits);
	return status;
}

/* ---------------------------------------------------------------- the commands */

const struct command cmd_stop = {.flags = {{stop_flags, 0}},
				 .opts_size = sizeof(struct stop_opts),
				 .min = 1,
				 .max = MANY,
				 .complete = "container",
				 .run = stop_run};
const struct command cmd_restart = {.flags = {{stop_flags, 0}},
				    .opts_size = sizeof(struct stop_opts),
				    .min = 1,
				    .max = MANY,
				    .complete = "container",
				    .run = restart_run};
const struct command cmd_kill = {.flags = {{kill_flags, 0}},
				 .opts_size = sizeof(struct kill_opts),
				 .min = 1,
				 .max = MANY,
				 .complete = "container",
				 .run = kill_run};
const struct command cmd_pause = {.min = 1, .max = MANY, .complete = "container", .run = pause_run};
const struct command cmd_unpause = {.min = 1, .max = MANY, .complete = "container", .run = unpause_run};
const struct command cmd_rm = {.flags = {{rm_flags, 0}},
			       .opts_size = sizeof(struct rm_opts),
			       .min = 1,
			       .max = MANY,
			       .complete = "container",
			       .run = rm_run};
const struct command cmd_update = {.flags = {{spec_resource_flags, 0}, {spec_restart_flags, 0}},
				   .opts_size = sizeof(struct spec_opts),
				   .init = update_init,
				   .fini = update_fini,
				   .min = 1,
				   .max = MANY,
				   .complete = "container",
				   .run = update_run};
const struct command cmd_rename = {.min = 2, .max = 2, .complete = "container", .run = rename_run};
const struct command cmd_wait = {.flags = {{wait_flags, 0}, {format_flags, 0}},
				 .opts_size = sizeof(struct wait_opts),
				 .min = 1,
				 .max = MANY,
				 .complete = "container",
				 .run = wait_run};
