/* ctl/pull.c - see ctl/pull.h. Credentials are looked for in --authfile, REGISTRY_AUTH_FILE, what `berth login` wrote and what
 * Docker's wrote, in this order; the first file that has some for the registry counts. They travel in the request, over the control
 * socket: no command line and no log has them. */
#include "ctl/pull.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "image/authfile.h"
#include "image/reference.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLATFORM_ROW                                                                                                   \
	{                                                                                                              \
		0, "platform", "OS/ARCH[/VARIANT]", "for another processor than the host's, such as linux/arm64",      \
			flag_text, offsetof(struct pull_opts, platform),                                               \
	}
#define REGISTRY_ROWS(letter)                                                                                          \
	{0,	    "tls-verify",                                                                                      \
	 NULL,	    "false: any certificate of its registry will do, or plain HTTP",                                   \
	 flag_bool, offsetof(struct pull_opts, tls_verify)},                                                           \
		{0,                                                                                                    \
		 "authfile",                                                                                           \
		 "FILE",                                                                                               \
		 "credentials, as Docker's config.json",                                                               \
		 flag_text,                                                                                            \
		 offsetof(struct pull_opts, authfile),                                                                 \
		 .complete = "file"},                                                                                  \
	{                                                                                                              \
		letter, "quiet", NULL, "no progress", flag_bool, offsetof(struct pull_opts, quiet)                     \
	}

const struct flag pull_flags[] = {PLATFORM_ROW, REGISTRY_ROWS('q'), {0}};
const struct flag push_flags[] = {REGISTRY_ROWS('q'), {0}};
const struct flag pull_run_flags[] = {
	{0, "pull", "POLICY", "get the image: missing (default), always or never", flag_text,
	 offsetof(struct pull_opts, policy), .complete = "always missing never"},
	PLATFORM_ROW,
	REGISTRY_ROWS(0),
	{0},
};

void pull_opts_init(struct pull_opts *o)
{
	o->tls_verify = true;
}

int pull_policy(const struct pull_opts *o, Berth__PullPolicy *ret, struct err *e)
{
	static const struct {
		const char *word;
		Berth__PullPolicy policy;
	} words[] = {
		{"missing", BERTH__PULL_POLICY__PULL_POLICY_MISSING},
		{"always", BERTH__PULL_POLICY__PULL_POLICY_ALWAYS},
		{"never", BERTH__PULL_POLICY__PULL_POLICY_NEVER},
		{"ifnotpresent", BERTH__PULL_POLICY__PULL_POLICY_MISSING},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(o->policy ? o->policy : "missing", words[i].word) != 0)
			continue;
		*ret = words[i].policy;
		return 0;
	}
	return err_set(e, EINVAL, "flag", "--pull: \"%s\" is none of missing, always and never", o->policy);
}

/* ---------------------------------------------------------------- credentials */

char *auth_file_own(const char *option)
{
	const char *env = getenv("REGISTRY_AUTH_FILE"), *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (option || (env && *env))
		return mem_text(option ? option : env);
	if (config && *config)
		return mem_printf("%s/berth/auth.json", config);
	return mem_printf("%s/.config/berth/auth.json", home && *home ? home : "/root");
}

static char *auth_file_dockers(void)
{
	const char *config = getenv("DOCKER_CONFIG"), *home = getenv("HOME");

	return config && *config ? mem_printf("%s/config.json", config)
				 : mem_printf("%s/.docker/config.json", home && *home ? home : "/root");
}

/* must: the user named it. 1: it has some. */
static int file_look(const char *path, bool must, const struct reference *ref, struct credentials *c, struct err *e)
{
	struct auth *a = &c->found;
	char *json = NULL;
	ssize_t len = file_read_regular(AT_FDCWD, path, AUTHFILE_MAX, &json, "credentials", e);
	int r;

	if (len < 0)
		return len == -ENOENT && !must ? 0 : (int)len;
	auth_free(a);
	r = authfile_find(json, (size_t)len, ref->registry, ref->path, a, e);
	explicit_bzero(json, (size_t)len);
	free(json);
	if (r < 0)
		return err_wrap(e, "%s", path);
	if (a->helper && !*c->note)
		snprintf(
			c->note, sizeof c->note,
			"%.100s: the credentials for %.60s are with docker-credential-%.30s, which berth does not run: "
			"berth login %.60s",
			path, ref->registry, a->helper, ref->registry);
	return (a->user && a->password) || a->identity_token;
}

static int auth_look(const struct pull_opts *o, const struct reference *ref, struct credentials *c, struct err *e)
{
	AUTO_FREE char *own = auth_file_own(o->authfile);
	AUTO_FREE char *dockers = auth_file_dockers();
	int r = file_look(own, o->authfile, ref, c, e);

	return r || o->authfile ? r : file_look(dockers, false, ref, c, e);
}

/* ---------------------------------------------------------------- asking */

int credentials_find(const struct pull_opts *o, const char *name, struct credentials *c, Berth__RegistryAuth **ret,
		     struct err *e)
{
	char canonical[REFERENCE_SIZE];
	struct reference ref;
	int r;

	*c = (struct credentials){.message = BERTH__REGISTRY_AUTH__INIT};
	if (reference_canonical(name, canonical, e) < 0 || reference_split(canonical, &ref, e) < 0)
		return -EINVAL;
	r = auth_look(o, &ref, c, e);
	if (r < 0)
		return r == -EINVAL ? -EIO : r;
	c->message.username = c->found.user;
	c->message.password = c->found.password;
	c->message.identity_token = c->found.identity_token;
	*ret = c->found.user || c->found.identity_token ? &c->message : NULL;
	return 0;
}

void credentials_note(const struct credentials *c)
{
	if (*c->note)
		say("%s", c->note);
}

void credentials_end(struct credentials *c)
{
	auth_free(&c->found);
}

void pull_fill(Berth__ImagePull *pull, const struct pull_opts *o, const char *name, Berth__PullPolicy policy)
{
	berth__image_pull__init(pull);
	pull->name = (char *)(uintptr_t)name;
	pull->platform = (char *)(uintptr_t)o->platform;
	pull->has_policy = pull->has_tls_verify = true;
	pull->policy = policy;
	pull->tls_verify = o->tls_verify;
}

void pull_more(struct ask *a, const Berth__Envelope *reply)
{
	if (reply->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH)
		progress_events(a->arg, reply->event_batch);
}

/* With the credentials for the registry of name, which are the request's to bear in *ret_auth. */
static int registry_ask(struct app *app, const struct pull_opts *o, const char *name, bool json, struct ask *a,
			Berth__RegistryAuth **ret_auth)
{
	struct progress progress;
	struct credentials found;
	struct err e = {0};
	int status, r = credentials_find(o, name, &found, ret_auth, &e);

	if (r < 0)
		return r == -EINVAL ? app_usage(app, "%s", e.text) : app_fail(app, &e);
	progress_init(&progress, o->quiet, json);
	a->more = pull_more;
	a->arg = &progress;
	status = app_ask_raw(app, a);
	progress_end(&progress);
	if (!status && ask_error(a)) {
		credentials_note(&found);
		status = app_refused(app, ask_error(a), NULL);
	}
	credentials_end(&found);
	return status;
}

int pull_ask(struct app *app, const struct pull_opts *o, const char *name, bool json, struct ask *a)
{
	Berth__ImagePull pull;

	pull_fill(&pull, o, name, BERTH__PULL_POLICY__PULL_POLICY_ALWAYS);
	ask_init(a, BERTH__ENVELOPE__BODY_IMAGE_PULL, &pull);
	return registry_ask(app, o, name, json, a, &pull.auth);
}

int push_ask(struct app *app, const struct pull_opts *o, const char *ref, const char *destination, bool json,
	     struct ask *a)
{
	Berth__ImagePush push = BERTH__IMAGE_PUSH__INIT;

	ask_init(a, BERTH__ENVELOPE__BODY_IMAGE_PUSH, &push);
	push.ref = (char *)(uintptr_t)ref;
	push.destination = (char *)(uintptr_t)destination;
	push.has_tls_verify = true;
	push.tls_verify = o->tls_verify;
	return registry_ask(app, o, destination ? destination : ref, json, a, &push.auth);
}
