/* ctl/pull.h - getting an image from its registry, for pull and for those who need it to go on (run, create); and sending it there. */
#pragma once

#include "ctl/command.h"
#include "ctl/progress.h"

struct pull_opts {
	const char *policy; /* always, missing, never */
	const char *platform, *authfile;
	bool tls_verify, quiet;
};

extern const struct flag pull_flags[];	   /* --platform, --tls-verify, --authfile, --quiet */
extern const struct flag push_flags[];	   /* those without --platform */
extern const struct flag pull_run_flags[]; /* --pull and those, without letters */

void pull_opts_init(struct pull_opts *o);
/* A bad --pull; the exit status. */
int pull_opts_check(const struct app *app, const struct pull_opts *o);
bool pull_policy_is(const struct pull_opts *o, const char *policy);

/* Asks berthd for it, with the credentials that this user's files have for its registry. 0: a->reply has the image; the caller
 * calls ask_fini. Else it was said, and this is the exit status. */
int pull_ask(struct app *app, const struct pull_opts *o, const char *name, Berth__PullPolicy policy, bool json,
	     struct ask *a);

/* The same for a push, whose answer is Done; destination NULL: ref says it. */
int push_ask(struct app *app, const struct pull_opts *o, const char *ref, const char *destination, bool json,
	     struct ask *a);

/* The file that login and logout change. */
char *auth_file_own(const char *option); /* the caller frees it */
