/* ctl/cmd_security_group.c - security-group create, ls, inspect, rm, set, and its rules: rule-add, rule-ls, rule-rm. */
#include "base/own.h"
#include "ctl/field.h"
#include "ctl/inspect.h"
#include "ctl/listing.h"
#include "ctl/security_text.h"
#include "ctl/spec_flags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flags fill the message that spec_opts hold, so that a refusal names the flag. */
static int flag_field(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return field_set(((struct spec_opts *)opts)->message, f->field, value, e);
}

static void opts_fini(void *opts)
{
	spec_opts_fini(opts);
}

/* ---------------------------------------------------------------- create */

static int flag_label(void *opts, const struct flag *f, const char *value, struct err *e)
{
	Berth__KeyValue *label = (Berth__KeyValue *)field_add(((struct spec_opts *)opts)->message, "labels");
	size_t len = strcspn(value, "=");

	label->key = mem_textn(value, len);
	label->value = mem_text(value[len] ? value + len + 1 : "");
	return 0;
}

static const struct flag create_flags[] = {
	{'d', "description", "TEXT", "what it is for", flag_field, .field = "description"},
	{'l', "label", "KEY=VALUE", "add a label", flag_label, .field = "labels"},
	{0, "empty", NULL, "without the rule that lets everything out", flag_field, .field = "empty"},
	{0},
};

static void create_init(void *opts)
{
	spec_opts_init(opts, &berth__security_group_create__descriptor);
}

static int create_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct spec_opts *o = opts;
	struct ask a;
	int status;

	(void)n;
	((Berth__SecurityGroupCreate *)o->message)->name = mem_text(operands[0]);
	ask_init(&a, BERTH__ENVELOPE__BODY_SECURITY_GROUP_CREATE, o->message);
	status = app_ask(app, &a, o);
	if (!status)
		puts(a.reply->security_group_reply->groups[0]->meta->uuid);
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- ls, inspect, rm */

static const struct flag ls_flags[] = {
	{'f', "filter", "KEY=VALUE", "name, label", flag_list, offsetof(struct listing_opts, filters),
	 .complete = "name= label="},
	FLAG_ALL_PROJECTS(offsetof(struct listing_opts, format)),
	{0},
};

static void ls_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__SecurityGroup *g = object;
	char id[PRINT_SIZE], ago[PRINT_SIZE];

	table_line(t);
	table_cell(t, "%s", o->no_trunc ? g->meta->uuid : print_short_id(g->meta->uuid, id));
	table_cell(t, "%s", g->meta->name);
	table_cell(t, "%zu", g->n_rules);
	table_cell(t, "%s", print_ago(g->meta->created_at, now, ago));
	table_cell(t, "%s", g->description ? g->description : "");
	if (o->all_projects)
		table_cell(t, "%s", g->meta->project);
}

static const char *ls_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__SecurityGroup *)object)->meta->uuid;
}

static int ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {
		{"ID"}, {"NAME"}, {"RULES", .right = true}, {"CREATED"}, {"DESCRIPTION", .shrink = true}, {"PROJECT"}};
	static const struct listing groups = {
		&berth__security_group__descriptor, columns, ARRAY_SIZE(columns), ls_line, ls_id, .project_last = true};

	(void)operands;
	(void)n;
	return listing_run(app, &groups, opts, BERTH__ENVELOPE__BODY_SECURITY_GROUP_LIST);
}

static int inspect_group(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct inspect_kind kind = {"security group", BERTH__ENVELOPE__BODY_SECURITY_GROUP_INSPECT,
						 &berth__security_group__descriptor};

	return inspect_run(app, opts, &kind, operands, n);
}

static int rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_SECURITY_GROUP_REMOVE, NULL, opts, operands, n);
}

/* ---------------------------------------------------------------- rules */

static Berth__SecurityGroupRule *rule_of(void *opts)
{
	return (Berth__SecurityGroupRule *)((struct spec_opts *)opts)->message;
}

static int flag_direction(void *opts, const struct flag *f, const char *value, struct err *e)
{
	bool egress = !strcmp(f->name, "egress");

	if (strcmp(value, "true") != 0)
		return err_set(e, EINVAL, "flag", "it is the one or the other: --ingress or --egress");
	rule_of(opts)->direction =
		egress ? BERTH__SECURITY_GROUP_RULE__DIRECTION__EGRESS : BERTH__SECURITY_GROUP_RULE__DIRECTION__INGRESS;
	return 0;
}

static int flag_port(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return security_port_text(rule_of(opts), value, e);
}

static int flag_icmp(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return security_icmp_text(rule_of(opts), value, e);
}

static int flag_remote(void *opts, const struct flag *f, const char *value, struct err *e)
{
	security_remote_text(rule_of(opts), value);
	return 0;
}

static const struct flag rule_flags[] = {
	{0, "ingress", NULL, "about what comes in (the default)", flag_direction, .field = "direction"},
	{0, "egress", NULL, "about what goes out", flag_direction, .field = "direction"},
	{'p', "protocol", "PROTOCOL", "tcp, udp, sctp, icmp, icmpv6, a number, or any (the default)", flag_field,
	 .field = "protocol", .complete = "tcp udp sctp icmp icmpv6 any"},
	{0, "port", "PORT[-PORT]", "of the receiver; default: all", flag_port, .field = "port_min"},
	{0, "dst-port", "PORT[:PORT]", NULL, flag_port, .field = "port_max"},
	{0, "icmp-type", "TYPE[:CODE]", "of ICMP; default: all", flag_icmp, .field = "icmp_type"},
	{0, "icmp-code", "CODE", NULL, flag_field, .field = "icmp_code"},
	{0, "remote", "CIDR|GROUP", "from or to whom: addresses, or members of a group; default: anybody", flag_remote,
	 .field = "remote_cidr", .complete = "security-group"},
	{0, "remote-ip", "CIDR", NULL, flag_field, .field = "remote_cidr"},
	{0, "remote-group", "GROUP", NULL, flag_field, .field = "remote_group"},
	{0, "ethertype", "ipv4|ipv6", "of one family; default: as the rest says, else both", flag_field,
	 .field = "ethertype", .complete = "ipv4 ipv6"},
	{0, "description", "TEXT", "what it is for", flag_field, .field = "description"},
	{0},
};

static void rule_init(void *opts)
{
	spec_opts_init(opts, &berth__security_group_rule__descriptor);
	rule_of(opts)->has_direction = true;
	rule_of(opts)->direction = BERTH__SECURITY_GROUP_RULE__DIRECTION__INGRESS;
}

static int rule_add_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__SecurityGroupRuleAdd add = BERTH__SECURITY_GROUP_RULE_ADD__INIT;
	struct ask a;
	int status;

	(void)n;
	add.name = operands[0];
	add.rule = rule_of(opts);
	ask_init(&a, BERTH__ENVELOPE__BODY_SECURITY_GROUP_RULE_ADD, &add);
	status = app_ask(app, &a, opts);
	if (!status)
		puts(a.reply->done->uuid);
	ask_fini(&a);
	return status;
}

static int rule_rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	int status = 0;

	(void)opts;
	for (unsigned i = 1; i < n; i++) {
		Berth__SecurityGroupRuleRemove rm = BERTH__SECURITY_GROUP_RULE_REMOVE__INIT;
		struct ask a;
		int r;

		rm.name = operands[0];
		rm.rule = operands[i];
		ask_init(&a, BERTH__ENVELOPE__BODY_SECURITY_GROUP_RULE_REMOVE, &rm);
		r = app_ask(app, &a, NULL);
		if (!r)
			puts(operands[i]);
		status = r ? r : status;
		ask_fini(&a);
	}
	return status;
}

static void rule_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__SecurityGroupRule *r = object;
	char id[PRINT_SIZE], port[PRINT_SIZE];

	(void)now;
	table_line(t);
	table_cell(t, "%s", o->no_trunc ? r->uuid : print_short_id(r->uuid, id));
	table_cell(t, "%s", r->direction == BERTH__SECURITY_GROUP_RULE__DIRECTION__EGRESS ? "egress" : "ingress");
	table_cell(t, "%s", r->ethertype ? r->ethertype : "any");
	table_cell(t, "%s", r->protocol ? r->protocol : "any");
	table_cell(t, "%s", security_port_words(r, port));
	table_cell(t, "%s", security_remote_words(r));
	table_cell(t, "%s", r->description ? r->description : "");
}

static const char *rule_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__SecurityGroupRule *)object)->uuid;
}

static int rule_ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {{"ID"},
						{"DIRECTION"},
						{"FAMILY"},
						{"PROTOCOL"},
						{"PORTS"},
						{"REMOTE"},
						{"DESCRIPTION", .shrink = true}};
	static const struct listing rules = {&berth__security_group_rule__descriptor, columns, ARRAY_SIZE(columns),
					     rule_line, rule_id};
	Berth__SecurityGroupInspect ask = BERTH__SECURITY_GROUP_INSPECT__INIT;
	const struct listing_opts *o = opts;
	int status = listing_check(app, &rules, &o->format);
	struct ask a;

	(void)n;
	ask.name = operands[0];
	ask_init(&a, BERTH__ENVELOPE__BODY_SECURITY_GROUP_INSPECT, &ask);
	if (!status)
		status = app_ask(app, &a, NULL);
	if (!status) {
		const Berth__SecurityGroup *g = a.reply->security_group_reply->groups[0];

		listing_print(&rules, &o->format, (void *const *)g->rules, g->n_rules);
	}
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- set */

struct set_opts {
	bool none;
	const char *spoof;
};

static const struct flag set_flags[] = {
	{0, "none", NULL, "in no group: the rules of its network are all", flag_bool, offsetof(struct set_opts, none)},
	{0, "spoof", "yes|no", "whether it may send from addresses that are not its own", flag_text,
	 offsetof(struct set_opts, spoof), .field = "allow_spoofing", .complete = "yes no"},
	{0},
};

static int set_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__SecurityGroupAttach set = BERTH__SECURITY_GROUP_ATTACH__INIT;
	const struct set_opts *o = opts;
	struct ask a;
	int status;

	if (o->none != (n == 2))
		return app_usage(app, o->none ? "--none, or groups?" : "which groups? (--none for no group at all)");
	if (o->spoof && strcmp(o->spoof, "yes") != 0 && strcmp(o->spoof, "no") != 0)
		return app_usage(app, "--spoof: \"%s\" is neither yes nor no", o->spoof);
	set.ref = operands[0];
	set.link = operands[1];
	set.groups = operands + 2;
	set.n_groups = n - 2;
	set.has_allow_spoofing = o->spoof != NULL;
	set.allow_spoofing = o->spoof && !strcmp(o->spoof, "yes");
	ask_init(&a, BERTH__ENVELOPE__BODY_SECURITY_GROUP_ATTACH, &set);
	status = app_ask(app, &a, NULL);
	if (!status)
		puts(operands[0]);
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- commands */

const struct command cmd_security_group_create = {
	.flags = {{create_flags, 0}},
	.opts_size = sizeof(struct spec_opts),
	.init = create_init,
	.fini = opts_fini,
	.min = 1,
	.max = 1,
	.run = create_run,
};
const struct command cmd_security_group_ls = {
	.flags = {{ls_flags, 0}, {format_list_flags, offsetof(struct listing_opts, format)}},
	.opts_size = sizeof(struct listing_opts),
	.run = ls_run,
};
const struct command cmd_security_group_inspect = {
	.flags = {{format_inspect_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = MANY,
	.complete = "security-group",
	.run = inspect_group,
};
const struct command cmd_security_group_rm = {
	.min = 1,
	.max = MANY,
	.complete = "security-group",
	.run = rm_run,
};
const struct command cmd_security_group_rule_add = {
	.flags = {{rule_flags, 0}},
	.opts_size = sizeof(struct spec_opts),
	.init = rule_init,
	.fini = opts_fini,
	.min = 1,
	.max = 1,
	.complete = "security-group",
	.run = rule_add_run,
};
const struct command cmd_security_group_rule_ls = {
	.flags = {{format_list_flags, offsetof(struct listing_opts, format)}},
	.opts_size = sizeof(struct listing_opts),
	.min = 1,
	.max = 1,
	.complete = "security-group",
	.run = rule_ls_run,
};
const struct command cmd_security_group_rule_rm = {
	.min = 2,
	.max = MANY,
	.complete = "security-group",
	.run = rule_rm_run,
};
const struct command cmd_security_group_set = {
	.flags = {{set_flags, 0}},
	.opts_size = sizeof(struct set_opts),
	.min = 2,
	.max = MANY,
	.complete = "container",
	.run = set_run,
};
