/* ctl/cmd_pull.c - pull, push; login and logout, which keep credentials for them. */
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/format.h"
#include "ctl/pull.h"
#include "image/authfile.h"
#include "image/reference.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

/* ---------------------------------------------------------------- pull */

struct pull_cmd_opts {
	struct pull_opts pull;
	struct format_opts format;
};

static void pull_init(void *opts)
{
	pull_opts_init(&((struct pull_cmd_opts *)opts)->pull);
}

static void image_print(const struct pull_cmd_opts *o, const Berth__Image *image, const char *name)
{
	char canonical[REFERENCE_SIZE];

	if (format_is_json(&o->format))
		progress_json(&image->base);
	else if (o->format.format)
		format_print_one(&o->format, image);
	else if (o->pull.quiet)
		puts(image->image_id);
	else
		puts(reference_canonical(name, canonical, NULL) == 0 ? canonical : name);
}

static int pull_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct pull_cmd_opts *o = opts;
	struct err e;
	int status = 0;

	if (format_check(&o->format, &berth__image__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	for (unsigned i = 0; i < n && !status; i++) {
		struct ask a;

		status = pull_ask(app, &o->pull, operands[i], format_is_json(&o->format), &a);
		if (!status && a.reply->image_reply->n_images)
			image_print(o, a.reply->image_reply->images[0], operands[i]);
		ask_fini(&a);
	}
	return status;
}

/* ---------------------------------------------------------------- push */

static int push_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct pull_cmd_opts *o = opts;
	struct ask a;
	struct err e;
	int status;

	if (format_check(&o->format, &berth__done__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	status = push_ask(app, &o->pull, operands[0], n > 1 ? operands[1] : NULL, format_is_json(&o->format), &a);
	if (!status) {
		const Berth__Done *done = a.reply->done;

		if (format_is_json(&o->format))
			progress_json(&done->base);
		else if (o->format.format)
			format_print_one(&o->format, done);
		else
			puts(done->text ? done->text : "");
	}
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- login, logout */

struct login_opts {
	const char *user, *authfile;
	bool password_stdin;
};

static const struct flag login_flags[] = {
	{'u', "username", "NAME", "default: it is asked for", flag_text, offsetof(struct login_opts, user)},
	{0, "password-stdin", NULL, "the password is the first line of standard input", flag_bool,
	 offsetof(struct login_opts, password_stdin)},
	{0, "authfile", "FILE", "where to keep it", flag_text, offsetof(struct login_opts, authfile),
	 .complete = "file"},
	{0},
};
static const struct flag logout_flags[] = {
	{0, "authfile", "FILE", "where it is kept", flag_text, offsetof(struct login_opts, authfile),
	 .complete = "file"},
	{0},
};

/* A line of stdin; from a terminal after a question, unseen if secret. NULL: nothing came. The caller frees it. */
static char *line_ask(const char *question, bool secret)
{
	struct termios before, silent;
	bool terminal = isatty(0) && tcgetattr(0, &before) == 0;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (terminal) {
		fprintf(stderr, "%s: ", question);
		silent = before;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		if (secret)
			(void)tcsetattr(0, TCSAFLUSH, &silent);
	}
	n = getline(&line, &size, stdin);
	if (terminal && secret) {
		(void)tcsetattr(0, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	if (n > 0)
		line[strcspn(line, "\r\n")] = 0;
	if (n <= 0 || !*line) {
		free(line);
		return NULL;
	}
	return line;
}

/* Into the file's place, whole or not at all; nobody else may read it. */
static int auth_file_change(const char *path, const char *host, const char *user, const char *password, struct err *e)
{
	AUTO_FREE char *folder = mem_text(path);
	char *json = NULL, *changed = NULL, *slash = strrchr(folder, '/');
	ssize_t len = file_read_regular(AT_FDCWD, path, AUTHFILE_MAX, &json, "credentials", e);
	int r;

	if (len < 0 && len != -ENOENT)
		return (int)len;
	r = authfile_set(len < 0 ? NULL : json, len < 0 ? 0 : (size_t)len, host, user, password, &changed, e);
	if (json)
		explicit_bzero(json, (size_t)len);
	free(json);
	if (r < 0)
		return r == -ENOENT ? r : err_wrap(e, "%s", path);
	if (slash && slash != folder) {
		*slash = 0;
		r = dir_make(AT_FDCWD, folder, 0700);
	}
	if (r == 0)
		r = file_write_atomic(AT_FDCWD, path, changed, strlen(changed), 0600, true);
	explicit_bzero(changed, strlen(changed));
	free(changed);
	return r < 0 ? err_set(e, -r, "credentials", "%s", path) : 0;
}

static const char *registry_of(const struct app *app, char **operands, unsigned n)
{
	const char *host = n ? operands[0] : "docker.io";

	if (!strcmp(host, "index.docker.io") || !strcmp(host, "registry-1.docker.io"))
		host = "docker.io";
	if (reference_is_host(host))
		return host;
	app_usage(app, "\"%s\" is not a registry's HOST or HOST:PORT", host);
	return NULL;
}

static int login_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct login_opts *o = opts;
	const char *host = registry_of(app, operands, n);
	AUTO_FREE char *path = auth_file_own(o->authfile);
	AUTO_FREE char *user = o->user ? mem_text(o->user) : NULL;
	char *password;
	struct err e = {0};
	int r;

	if (!host)
		return app->usage;
	if (o->password_stdin && !user)
		return app_usage(app, "--password-stdin goes with --username");
	if (!user)
		user = line_ask("Username", false);
	password = user ? line_ask("Password", true) : NULL;
	if (!password) {
		say("no user name or no password was given");
		return app->failure;
	}
	r = auth_file_change(path, host, user, password, &e);
	explicit_bzero(password, strlen(password));
	free(password);
	if (r < 0)
		return app_fail(app, &e);
	printf("kept in %s; the next pull from %s shows whether they are right\n", path, host);
	return 0;
}

static int logout_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct login_opts *o = opts;
	const char *host = registry_of(app, operands, n);
	AUTO_FREE char *path = auth_file_own(o->authfile);
	struct err e = {0};
	int r;

	if (!host)
		return app->usage;
	r = auth_file_change(path, host, NULL, NULL, &e);
	if (r == -ENOENT)
		err_set(&e, 0, "credentials", "%s has none for %s", path, host);
	if (r < 0)
		return app_fail(app, &e);
	printf("taken out of %s\n", path);
	return 0;
}

const struct command cmd_pull = {
	.flags = {{pull_flags, offsetof(struct pull_cmd_opts, pull)},
		  {format_flags, offsetof(struct pull_cmd_opts, format)}},
	.opts_size = sizeof(struct pull_cmd_opts),
	.init = pull_init,
	.min = 1,
	.max = MANY,
	.complete = "image",
	.run = pull_run,
};
const struct command cmd_push = {
	.flags = {{push_flags, offsetof(struct pull_cmd_opts, pull)},
		  {format_flags, offsetof(struct pull_cmd_opts, format)}},
	.opts_size = sizeof(struct pull_cmd_opts),
	.init = pull_init,
	.min = 1,
	.max = 2,
	.complete = "image",
	.run = push_run,
};
const struct command cmd_login = {
	.flags = {{login_flags, 0}},
	.opts_size = sizeof(struct login_opts),
	.max = 1,
	.run = login_run,
};
const struct command cmd_logout = {
	.flags = {{logout_flags, 0}},
	.opts_size = sizeof(struct login_opts),
	.max = 1,
	.run = logout_run,
};
