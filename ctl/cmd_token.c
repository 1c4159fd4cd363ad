/* ctl/cmd_token.c - token create, ls, revoke, check. */
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/listing.h"

#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- create */

struct create_opts {
	struct format_opts format;
	const char *project, *user, *role, *expires;
};

static const struct flag create_flags[] = {
	{'u', "user", "NAME", "who it is for", flag_text, offsetof(struct create_opts, user)},
	{'p', "project", "NAME", "whose objects it is about", flag_text, offsetof(struct create_opts, project)},
	{'r', "role", "ROLE", "member (of the project) or admin (of all)", flag_text,
	 offsetof(struct create_opts, role), .complete = "member admin"},
	{'e', "expires", "WHEN", "a duration (12h, 30d) or a time; default: never", flag_text,
	 offsetof(struct create_opts, expires)},
	{0},
};

static int expires_at(struct app *app, const char *text, Berth__TokenCreate *create)
{
	int64_t now = wall_ns();
	uint64_t ns;

	if (!text)
		return 0;
	create->has_expires_at = true;
	if (str_to_duration_ns(text, &ns) == 0 && ns < (uint64_t)(INT64_MAX - now)) {
		create->expires_at = now + (int64_t)ns;
		return 0;
	}
	/* A duration would mean the past here, and was taken above. */
	if (str_to_time(text, now, &create->expires_at) == 0)
		return 0;
	return app_usage(app, "--expires: \"%s\" is neither a duration (12h, 30d) nor a time (RFC 3339)", text);
}

static int role_of(struct app *app, const char *text, Berth__TokenCreate *create)
{
	create->has_role = true;
	create->role = BERTH__ACCESS_TOKEN__ROLE__MEMBER;
	if (text && !strcmp(text, "admin"))
		create->role = BERTH__ACCESS_TOKEN__ROLE__ADMIN;
	else if (!text || strcmp(text, "member") != 0)
		return app_usage(app, "--role: %s%s%s: member or admin", text ? "\"" : "", text ? text : "is missing",
				 text ? "\" is no role" : "");
	return 0;
}

static int create_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct create_opts *o = opts;
	Berth__TokenCreate create = BERTH__TOKEN_CREATE__INIT;
	struct ask a;
	struct err e = {0};
	int status = 0;

	(void)operands;
	(void)n;
	if (!o->user || !o->project)
		return app_usage(app, "--%s is missing", o->user ? "project" : "user");
	create.user = (char *)(uintptr_t)o->user;
	create.project = (char *)(uintptr_t)o->project;
	status = role_of(app, o->role, &create);
	if (!status)
		status = expires_at(app, o->expires, &create);
	if (!status && format_check(&o->format, &berth__token_reply__descriptor, &e) < 0)
		status = app_usage(app, "%s", e.text);
	if (status)
		return status;
	ask_init(&a, BERTH__ENVELOPE__BODY_TOKEN_CREATE, &create);
	a.once = true; /* berthd does not keep the answer: it has the secret */
	status = app_ask(app, &a, NULL);
	if (a.lost)
		say("berthd went away; if there is a token now (berth token ls), nobody knows its secret: revoke it");
	else if (!status && format_is_table(&o->format))
		puts(a.reply->token_reply->secret);
	else if (!status)
		format_print_one(&o->format, a.reply->token_reply);
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- ls */

static const char *role_word(const Berth__AccessToken *t)
{
	return t->role == BERTH__ACCESS_TOKEN__ROLE__ADMIN ? "admin" : "member";
}

static void ls_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__AccessToken *x = object;
	char id[PRINT_SIZE], ago[PRINT_SIZE], when[PRINT_SIZE];

	table_line(t);
	table_cell(t, "%s", o->no_trunc ? x->id : print_short_id(x->id, id));
	table_cell(t, "%s", x->user);
	table_cell(t, "%s", x->project);
	table_cell(t, "%s", role_word(x));
	table_cell(t, "%s", print_ago(x->created_at, now, ago));
	table_cell(t, "%s", x->created_by ? x->created_by : "");
	table_cell(t, "%s%s", x->expires_at ? print_when(x->expires_at, when) : "never",
		   x->expires_at && x->expires_at <= now ? " (expired)" : "");
}

static const char *ls_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__AccessToken *)object)->id;
}

static int ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {{"ID"},	     {"USER"}, {"PROJECT"}, {"ROLE"},
						{"CREATED"}, {"BY"},   {"EXPIRES"}};
	static const struct listing tokens = {&berth__access_token__descriptor, columns, ARRAY_SIZE(columns), ls_line,
					      ls_id};

	(void)operands;
	(void)n;
	return listing_run(app, &tokens, opts, BERTH__ENVELOPE__BODY_TOKEN_LIST);
}

/* ---------------------------------------------------------------- revoke, check */

static int revoke_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_TOKEN_REVOKE, NULL, opts, operands, n);
}

static int check_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct format_opts *o = opts;
	Berth__TokenCheck check = BERTH__TOKEN_CHECK__INIT;
	struct err e = {0};
	struct ask a;
	int status;

	(void)operands;
	(void)n;
	if (format_check(o, &berth__access_token__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	ask_init(&a, BERTH__ENVELOPE__BODY_TOKEN_CHECK, &check);
	status = app_ask(app, &a, NULL);
	if (!status && format_is_table(o)) {
		const Berth__AccessToken *t = a.reply->token_reply->token;
		char when[PRINT_SIZE];

		printf("%s, %s of project %s", t->user, role_word(t), t->project);
		if (t->expires_at)
			printf(", until %s", print_when(t->expires_at, when));
		putchar('\n');
	} else if (!status) {
		format_print_one(o, a.reply->token_reply->token);
	}
	ask_fini(&a);
	return status;
}

const struct command cmd_token_create = {
	.flags = {{create_flags, 0}, {format_flags, offsetof(struct create_opts, format)}},
	.opts_size = sizeof(struct create_opts),
	.run = create_run,
};
const struct command cmd_token_ls = {
	.flags = {{format_list_flags, offsetof(struct listing_opts, format)}},
	.opts_size = sizeof(struct listing_opts),
	.run = ls_run,
};
const struct command cmd_token_revoke = {.min = 1, .max = MANY, .complete = "token", .run = revoke_run};
const struct command cmd_token_check = {
	.flags = {{format_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.run = check_run,
};
