/* ctl/pull.h - getting an image from its registry, for pull, and for run and create with the container to be made of it; and
 * sending it there. */
#pragma once

#include "ctl/command.h"
#include "ctl/progress.h"
#include "image/authfile.h"

struct pull_opts {
	const char *policy; /* of run and create: always, missing, never; NULL: missing */
	const char *platform, *authfile;
	bool tls_verify, quiet;
};

extern const struct flag pull_flags[];	   /* --platform, --tls-verify, --authfile, --quiet */
extern const struct flag push_flags[];	   /* those without --platform */
extern const struct flag pull_run_flags[]; /* --pull and those, without letters */

void pull_opts_init(struct pull_opts *o);
/* -EINVAL: a bad --pull. */
int pull_policy(const struct pull_opts *o, Berth__PullPolicy *ret, struct err *e);

/* A request; without credentials. */
void pull_fill(Berth__ImagePull *pull, const struct pull_opts *o, const char *name, Berth__PullPolicy policy);

struct credentials {
	Berth__RegistryAuth message;
	struct auth found;
	char note[400]; /* what may be the reason if it does not go without them; "" */
};
/* What this user's files have for the registry of the name; *ret NULL: nothing. -EINVAL: the name is none of an image. Other negative
 * errno: they cannot be read. credentials_end also after that. */
int credentials_find(const struct pull_opts *o, const char *name, struct credentials *c, Berth__RegistryAuth **ret,
		     struct err *e);
void credentials_note(const struct credentials *c); /* said beside an error */
void credentials_end(struct credentials *c);
/* For ask.more, with a struct progress in ask.arg. */
void pull_more(struct ask *a, const Berth__Envelope *reply);

/* Asks berthd for it, with the credentials that this user's files have for its registry. 0: a->reply has the image; the caller
 * calls ask_fini. Else it was said, and this is the exit status. */
int pull_ask(struct app *app, const struct pull_opts *o, const char *name, bool json, struct ask *a);

/* The same for a push, whose answer is Done; destination NULL: ref says it. */
int push_ask(struct app *app, const struct pull_opts *o, const char *ref, const char *destination, bool json,
	     struct ask *a);

/* The file that login and logout change. */
char *auth_file_own(const char *option); /* the caller frees it */
