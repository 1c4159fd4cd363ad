/* ctl/cmd_exec.c - exec: another program in a running container. */
#include "ctl/foreground.h"
#include "ctl/spec_flags.h"

struct exec_opts {
	struct spec_opts spec;
	struct foreground_opts foreground;
};

static void exec_init(void *opts)
{
	spec_opts_init(&((struct exec_opts *)opts)->spec, &berth__exec_spec__descriptor);
}

static void exec_fini(void *opts)
{
	spec_opts_fini(&((struct exec_opts *)opts)->spec);
}

static int exec_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct exec_opts *o = opts;
	Berth__ExecSpec *spec = (Berth__ExecSpec *)o->spec.message;
	Berth__ContainerExec exec = BERTH__CONTAINER_EXEC__INIT;
	struct foreground f = {.ref = operands[0], .what = operands[0], .exec = true};
	struct ask a;
	int status = 0;

	for (unsigned i = 1; i < n; i++) {
		spec->command = mem_grow(spec->command, spec->n_command, sizeof *spec->command);
		spec->command[spec->n_command++] = mem_text(operands[i]);
	}
	if (!spec->detach)
		status = foreground_prepare(app, &o->foreground, spec->tty, spec->want_stdin, &f.session);
	if (status)
		return status;
	if (spec->tty && (terminal_size(0, &spec->rows, &spec->cols) || terminal_size(1, &spec->rows, &spec->cols)))
		spec->has_rows = spec->has_cols = true;
	exec.ref = operands[0];
	exec.exec = spec;
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_EXEC, &exec);
	a.once = true; /* even with -d: the answer to an exec is never kept */
	status = app_ask(app, &a, &o->spec);
	if (a.lost)
		say("berthd went away while it started the program: whether it runs is not known");
	if (!status && !spec->detach)
		status = foreground_run(app, &f, wire_fds_take(&a.reply_fds, 0));
	ask_fini(&a);
	return status;
}

const struct command cmd_exec = {
	.flags = {{spec_exec_flags, offsetof(struct exec_opts, spec)},
		  {foreground_flags, offsetof(struct exec_opts, foreground)}},
	.opts_size = sizeof(struct exec_opts),
	.init = exec_init,
	.fini = exec_fini,
	.min = 2,
	.max = MANY,
	.command_follows = true,
	.failure = 125,
	.complete = "container",
	.run = exec_run,
};
