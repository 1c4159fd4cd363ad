/* ctl/command.h - what a command of the tool is. main.c has the table of all; each cmd_*.c defines some. */
#pragma once

#include "ctl/args.h"
#include "ctl/client.h"

struct spec_opts;

struct app {
	const char *name;		/* of the command, "image import" */
	const struct flag_table *flags; /* of the command */
	int failure;			/* exit status of errors that are ours or berthd's, not the container's */
	int usage;			/* exit status of a command line that is wrong, whoever found it out */
	struct client client;
	bool connected; /* there was a connection once */
};

struct command {
	struct flag_table flags[FLAG_TABLES];
	size_t opts_size; /* zeroed, then init */
	void (*init)(void *opts);
	void (*fini)(void *opts);
	unsigned min, max;    /* operands; max 0 with min 0: none */
	bool command_follows; /* flags end at the first operand */
	int failure;	      /* as in struct app; 0 = 1. Given, it is the status of wrong usage too, which else is 2 */
	const char *complete; /* what its operands are: "container", "image" … */
	int (*run)(struct app *app, void *opts, char **operands, unsigned n); /* the exit status */
};

#define MANY 0xffffffffu

struct entry { /* a row of the table of contents */
	const char *name;
	const char *group;
	const char *usage; /* operands */
	const char *help;
	const struct command *command;
	const char *aliases; /* other names, separated by ", " */
};

extern const struct entry entries[]; /* name NULL ends it */
extern const struct flag global_flags[];

/* The one that the first words name, and how many of them. */
const struct entry *entry_find(char *const *words, unsigned n, unsigned *ret_words);

extern const struct command cmd_run, cmd_create, cmd_start, cmd_stop, cmd_restart, cmd_kill, cmd_pause, cmd_unpause,
	cmd_rename, cmd_update, cmd_rm, cmd_wait;
extern const struct command cmd_cp, cmd_ps, cmd_inspect, cmd_logs, cmd_attach, cmd_exec, cmd_top, cmd_port, cmd_stats,
	cmd_events, cmd_actions;
extern const struct command cmd_commit, cmd_diff, cmd_rebuild;
extern const struct command cmd_pod_create, cmd_pod_ls, cmd_pod_inspect, cmd_pod_rm;
extern const struct command cmd_pull, cmd_push, cmd_login, cmd_logout;
extern const struct command cmd_image_export, cmd_save, cmd_load;
extern const struct command cmd_image_import, cmd_image_ls, cmd_image_inspect, cmd_image_rm;
extern const struct command cmd_image_tag, cmd_image_history, cmd_image_prune, cmd_image_verify, cmd_system_df;
extern const struct command cmd_network_create, cmd_network_ls, cmd_network_inspect, cmd_network_rm, cmd_network_prune,
	cmd_network_limit, cmd_network_update, cmd_network_connect, cmd_network_disconnect, cmd_network_drivers;
extern const struct command cmd_security_group_create, cmd_security_group_ls, cmd_security_group_inspect,
	cmd_security_group_rm, cmd_security_group_rule_add, cmd_security_group_rule_ls, cmd_security_group_rule_rm,
	cmd_security_group_set;
extern const struct command cmd_volume_create, cmd_volume_ls, cmd_volume_inspect, cmd_volume_update, cmd_volume_rm,
	cmd_volume_prune;
extern const struct command cmd_pool_create, cmd_pool_ls, cmd_pool_rm, cmd_floating_allocate, cmd_floating_ls,
	cmd_floating_release, cmd_floating_associate, cmd_floating_disassociate;
extern const struct command cmd_token_create, cmd_token_ls, cmd_token_revoke, cmd_token_check;
extern const struct command cmd_info, cmd_check, cmd_upgrade, cmd_shutdown, cmd_version, cmd_completion, cmd_help;

/* ---------------------------------------------------------------- for the commands */

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "berth: …" on stderr */
int app_fail(const struct app *app, const struct err *e);	      /* says it; the exit status */
/* The command line is wrong: says it; the exit status. */
int app_usage(const struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* berthd's refusal, a field of the request told as the flag that set it (spec may be NULL); the exit status. */
int app_refused(const struct app *app, const Berth__Error *error, const struct spec_opts *spec);

/* Connects if need be and asks. 0: a->reply is the answer that was asked for; else it was said and this is the exit status. A
 * request that is lost (client.h) is left for the caller to say. */
int app_ask(struct app *app, struct ask *a, const struct spec_opts *spec);
int app_ask_raw(struct app *app, struct ask *a); /* the same, but an answer that is a refusal is left to the caller */
int app_connect(struct app *app);

/* Asks on the terminal. 0: yes; else the exit status. */
int app_confirm(const struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The body of a request about one object: its first field is the ref. On the heap, protobuf_c_message_free_unpacked(m, NULL). */
void *request_new(Berth__Envelope__BodyCase body_case, const char *ref);

/* The same request for each operand, many at a time: fill (may be NULL) puts what opts say into its body. Prints each ref whose
 * request was done, says what failed. The exit status. */
int app_each(struct app *app, Berth__Envelope__BodyCase body_case, void (*fill)(void *body, const void *opts),
	     const void *opts, char **refs, unsigned n);

/* rm of what only its name is needed for. */
struct remove_opts {
	bool force;
};
extern const struct flag remove_flags[];
int app_remove(struct app *app, Berth__Envelope__BodyCase body_case, const struct remove_opts *opts, char **refs,
	       unsigned n);

/* --filter KEY=VALUE into the filters of a request; the exit status. */
int app_filters(const struct app *app, const struct strings *texts, ProtobufCMessage *request);

/* The value of a flag as a time (--since, --until) into a field of a request; NULL leaves it. The exit status. */
int app_time(const struct app *app, const char *flag, const char *text, protobuf_c_boolean *ret_has, int64_t *ret);
