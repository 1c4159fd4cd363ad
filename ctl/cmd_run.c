/* ctl/cmd_run.c - run and create: from flags to one ContainerCreate, and the program in the foreground. */
#include "base/own.h"
#include "base/str.h"
#include "ctl/foreground.h"
#include "ctl/pull.h"
#include "ctl/spec_flags.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct run_opts {
	struct spec_opts spec;
	struct foreground_opts foreground;
	struct pull_opts pull;
	const char *name, *cidfile;
	bool detach;
};

static void run_init(void *opts)
{
	spec_opts_init(&((struct run_opts *)opts)->spec, &berth__container_spec__descriptor);
	pull_opts_init(&((struct run_opts *)opts)->pull);
}

static void run_fini(void *opts)
{
	spec_opts_fini(&((struct run_opts *)opts)->spec);
}

#define NAME_ROWS                                                                                                      \
	{0, "name", "NAME", "default: one is made", flag_text, offsetof(struct run_opts, name)},                       \
	{                                                                                                              \
		0, "cidfile", "FILE", "write the uuid to this new file", flag_text,                                    \
			offsetof(struct run_opts, cidfile), .complete = "file"                                         \
	}

static const struct flag create_flags[] = {NAME_ROWS, {0}};
static const struct flag run_flags[] = {
	{'d', "detach", NULL, "in the background; prints the uuid", flag_bool, offsetof(struct run_opts, detach)},
	NAME_ROWS,
	{0},
};

static Berth__ContainerSpec *spec_of(struct run_opts *o)
{
	return (Berth__ContainerSpec *)o->spec.message;
}

static void command_set(Berth__ContainerSpec *spec, char **operands, unsigned n)
{
	spec->image = mem_text(operands[0]);
	for (unsigned i = 1; i < n; i++) {
		spec->command = mem_grow(spec->command, spec->n_command, sizeof *spec->command);
		spec->command[spec->n_command++] = mem_text(operands[i]);
	}
}

static void window_set(Berth__ContainerSpec *spec)
{
	if (spec->tty &&
	    (terminal_size(0, &spec->tty_rows, &spec->tty_cols) || terminal_size(1, &spec->tty_rows, &spec->tty_cols)))
		spec->has_tty_rows = spec->has_tty_cols = true;
}

/* The file is made before the container, so that one that exists already stops us in time. */
static int cidfile_open(const struct app *app, const char *path, int *ret)
{
	struct err e;

	*ret = -1;
	if (!path)
		return 0;
	*ret = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (*ret >= 0)
		return 0;
	err_set(&e, errno, "flag", "--cidfile %s", path);
	return app_fail(app, &e);
}

static int cidfile_write(const struct app *app, const char *path, int fd, const char *uuid)
{
	struct err e;

	if (fd < 0 || write(fd, uuid, strlen(uuid)) == (ssize_t)strlen(uuid))
		return 0;
	err_set(&e, errno, "flag", "--cidfile %s", path);
	return app_fail(app, &e);
}

static bool container_is_gone(struct app *app, const char *uuid)
{
	Berth__ContainerInspect inspect = BERTH__CONTAINER_INSPECT__INIT;
	struct err e;
	struct ask a;
	bool gone;

	inspect.ref = (char *)(uintptr_t)uuid;
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &inspect);
	gone = client_ask(&app->client, &a, &e) == 0 && ask_error(&a) &&
	       ask_error(&a)->code == BERTH__ERROR__CODE__NOT_FOUND;
	ask_fini(&a);
	return gone;
}

/* berthd went away after it was asked for a container in the foreground, a request that cannot be repeated blindly. Its action says
 * whether there is a container: the uuid, to be freed. NULL: nothing was done, or it was undone when berthd came back (*ret_status
 * is 0: ask again), or nobody can say. */
static char *lost_find(struct app *app, const struct ask *lost, int *ret_status)
{
	Berth__ActionsRequest request = BERTH__ACTIONS_REQUEST__INIT;
	char *uuid = NULL;
	struct ask a;

	request.has_newest_first = request.newest_first = true;
	ask_init(&a, BERTH__ENVELOPE__BODY_ACTIONS, &request);
	*ret_status = app_ask(app, &a, NULL);
	for (size_t i = 0; !*ret_status && i < a.reply->actions_reply->n_actions; i++) {
		const Berth__Action *x = a.reply->actions_reply->actions[i];

		if (!x->request_id || strcmp(x->request_id, lost->id) != 0 || !x->object_uuid || !*x->object_uuid)
			continue;
		if (!x->result || strcmp(x->result, "error") != 0 || !container_is_gone(app, x->object_uuid))
			uuid = mem_text(x->object_uuid);
		break;
	}
	ask_fini(&a);
	return uuid;
}

struct creation {
	struct run_opts *opts;
	Berth__ContainerCreate create;
	struct session_opts session;
	Berth__ImagePull pull;
	struct credentials credentials;
	struct err no_credentials; /* … could be read; text "": nothing went wrong */
	int cid_fd;
};

/* uuid and name are those of the container. */
static int created(struct app *app, struct creation *n, const char *uuid, const char *name, int fd)
{
	struct foreground f = {
		.ref = uuid, .what = name, .auto_remove = n->create.spec->auto_remove, .session = n->session};
	int status = cidfile_write(app, n->opts->cidfile, n->cid_fd, uuid);

	if (n->create.attach)
		return foreground_run(app, &f, fd);
	puts(uuid);
	return status;
}

/* Credentials that cannot be read are a reason only if it has not gone without them. */
static int create_refused(struct app *app, const struct creation *n, const Berth__Error *error)
{
	credentials_note(&n->credentials);
	if (n->no_credentials.text[0])
		(void)app_fail(app, &n->no_credentials);
	return app_refused(app, error, &n->opts->spec);
}

static int given_up(const struct creation *n, int status)
{
	if (n->opts->cidfile)
		unlink(n->opts->cidfile);
	return status;
}

/* One question, in which the image is pulled if need be. */
static int create_ask(struct app *app, struct creation *n)
{
	struct progress progress;
	struct ask a;
	int status = 0;

	progress_init(&progress, n->opts->pull.quiet, false);
	for (;;) {
		AUTO_FREE char *uuid = NULL;

		ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_CREATE, &n->create);
		a.once = n->create.attach;
		a.more = pull_more;
		a.arg = &progress;
		status = app_ask_raw(app, &a);
		progress_end(&progress);
		if (!status && ask_error(&a))
			status = create_refused(app, n, ask_error(&a));
		if (!a.lost)
			break;
		uuid = lost_find(app, &a, &status);
		if (uuid)
			return created(app, n, uuid, n->opts->name ? n->opts->name : uuid, -1);
		if (status)
			return status;
	}
	if (!status) {
		const Berth__Meta *meta = a.reply->container_reply->container->meta;

		status = created(app, n, meta->uuid, meta->name, wire_fds_take(&a.reply_fds, 0));
	} else {
		status = given_up(n, status);
	}
	ask_fini(&a);
	return status;
}

static int create(struct app *app, struct run_opts *o, bool start, bool attach, const struct session_opts *session)
{
	struct creation n = {.opts = o, .create = BERTH__CONTAINER_CREATE__INIT, .session = *session};
	Berth__PullPolicy policy;
	struct err e = {0};
	int status, r;

	if (pull_policy(&o->pull, &policy, &e) < 0)
		return app_usage(app, "%s", e.text);
	pull_fill(&n.pull, &o->pull, spec_of(o)->image, policy);
	r = credentials_find(&o->pull, spec_of(o)->image, &n.credentials, &n.pull.auth, &e);
	if (r < 0 && r != -EINVAL && o->pull.authfile)
		return app_fail(app, &e);
	if (r < 0 && r != -EINVAL)
		n.no_credentials = e;
	status = cidfile_open(app, o->cidfile, &n.cid_fd);
	if (status) {
		credentials_end(&n.credentials);
		return status;
	}
	n.create.pull = &n.pull;
	n.create.name = (char *)(uintptr_t)o->name;
	n.create.spec = spec_of(o);
	n.create.has_unique_name = n.create.unique_name = true;
	n.create.has_start = n.create.start = start;
	n.create.has_attach = n.create.attach = attach;
	status = create_ask(app, &n);
	credentials_end(&n.credentials);
	close_fd(&n.cid_fd);
	return status;
}

static int run_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct run_opts *o = opts;
	Berth__ContainerSpec *spec = spec_of(o);
	struct session_opts session = {0};
	struct err e;
	int status = 0;

	command_set(spec, operands, n);
	if (spec_opts_check(&o->spec, &e) < 0)
		return app_usage(app, "%s", e.text);
	if (!o->detach) {
		status = foreground_prepare(app, &o->foreground, spec->tty, spec->stdin_open, &session);
		window_set(spec);
		spec->has_stdin_once = spec->stdin_once = spec->stdin_open;
	}
	return status ? status : create(app, o, true, !o->detach, &session);
}

static int create_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct run_opts *o = opts;
	Berth__ContainerSpec *spec = spec_of(o);
	struct err e;

	command_set(spec, operands, n);
	spec->has_stdin_once = spec->stdin_once = spec->stdin_open;
	if (spec_opts_check(&o->spec, &e) < 0)
		return app_usage(app, "%s", e.text);
	return create(app, o, false, false, &(struct session_opts){0});
}

#define SPEC_TABLES                                                                                                    \
	{spec_flags, offsetof(struct run_opts, spec)}, {spec_joins_flags, offsetof(struct run_opts, spec)},            \
		{spec_resource_flags, offsetof(struct run_opts, spec)},                                                \
		{spec_restart_flags, offsetof(struct run_opts, spec)},                                                 \
	{                                                                                                              \
		spec_refused_flags, offsetof(struct run_opts, spec)                                                    \
	}

const struct command cmd_run = {
	.flags = {{run_flags, 0},
		  {foreground_flags, offsetof(struct run_opts, foreground)},
		  {pull_run_flags, offsetof(struct run_opts, pull)},
		  SPEC_TABLES},
	.opts_size = sizeof(struct run_opts),
	.init = run_init,
	.fini = run_fini,
	.min = 1,
	.max = MANY,
	.command_follows = true,
	.failure = 125,
	.complete = "image",
	.run = run_run,
};

const struct command cmd_create = {
	.flags = {{create_flags, 0}, {pull_run_flags, offsetof(struct run_opts, pull)}, SPEC_TABLES},
	.opts_size = sizeof(struct run_opts),
	.init = run_init,
	.fini = run_fini,
	.min = 1,
	.max = MANY,
	.command_follows = true,
	.failure = 125,
	.complete = "image",
	.run = create_run,
};
