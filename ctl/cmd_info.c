/* ctl/cmd_info.c - info, check, version, upgrade, shutdown: berthd and its host. */
#include "base/loop.h"
#include "base/own.h"
#include "ctl/listing.h"
#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---------------------------------------------------------------- info */

static void line(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void line(const char *name, const char *fmt, ...)
{
	va_list ap;

	printf("%-22s ", name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void words_line(const char *name, char *const *words, size_t n)
{
	printf("%-22s", name);
	for (size_t i = 0; i < n; i++)
		printf(" %s", words[i]);
	fputs(n ? "\n" : " none\n", stdout);
}

static const char *or_none(const char *s)
{
	return s && *s ? s : "none";
}

static void info_print(const Berth__InfoReply *i)
{
	char size[PRINT_SIZE], up[PRINT_SIZE];

	line("berthd", "%s, pid %d, up %s", i->version, i->pid, print_duration(wall_ns() - i->started_at, up));
	line("upgrades in place", "%u", i->generation);
	line("host", "%s", or_none(i->host));
	line("kernel", "%s %s", or_none(i->kernel), i->architecture ? i->architecture : "");
	line("processors", "%u", i->cpus);
	line("memory", "%s", print_size(i->memory_bytes, size));
	line("state folder", "%s", or_none(i->state_dir));
	line("run folder", "%s", or_none(i->run_dir));
	line("cgroup", "%s", or_none(i->cgroup_root));
	words_line("controllers", i->controllers, i->n_controllers);
	words_line("controllers missing", i->controllers_missing, i->n_controllers_missing);
	line("containers", "%u: %u running, %u paused, %u stopped", i->containers, i->containers_running,
	     i->containers_paused, i->containers_stopped);
	line("pods", "%u", i->pods);
	line("images", "%u", i->images);
	line("shims", "%u", i->shims);
	line("spare shims", "%u", i->spare_shims);
	line("network slots", "%zu", i->n_network_slots);
	line("clients", "%u", i->clients);
	line("open files of berthd", "%u", i->fds);
	line("revision", "%" PRIu64, i->revision);
	line("writes waiting", "%" PRIu64, i->store_queue);
	line("groups to be removed", "%u", i->cgroups_undead);
	if (i->store_error && *i->store_error)
		line("STORE", "%s: changes are refused", i->store_error);
}

static int info_ask(struct app *app, struct ask *a)
{
	Berth__InfoRequest request = BERTH__INFO_REQUEST__INIT;

	ask_init(a, BERTH__ENVELOPE__BODY_INFO, &request);
	return app_ask(app, a, NULL);
}

static int info_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct format_opts *o = opts;
	struct err e;
	struct ask a;
	int status;

	(void)operands;
	(void)n;
	if (format_check(o, &berth__info_reply__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	status = info_ask(app, &a);
	if (!status && format_is_table(o))
		info_print(a.reply->info_reply);
	else if (!status)
		format_print_one(o, a.reply->info_reply);
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- check */

static void check_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__CheckItem *c = object;

	(void)o;
	(void)now;
	table_line(t);
	table_cell(t, "%s", c->name ? c->name : "");
	table_cell(t, "%s", c->result ? c->result : "");
	table_cell(t, "%s", c->detail ? c->detail : "");
	table_cell(t, "%s", c->remedy ? c->remedy : "");
}

static int check_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {{"WHAT"}, {"RESULT"}, {"DETAIL"}, {"REMEDY"}};
	static const struct listing items = {&berth__check_item__descriptor, columns, ARRAY_SIZE(columns), check_line,
					     NULL};
	const struct format_opts *o = opts;
	Berth__CheckRequest request = BERTH__CHECK_REQUEST__INIT;
	int status = listing_check(app, &items, o);
	struct ask a;

	(void)operands;
	(void)n;
	if (status)
		return status;
	ask_init(&a, BERTH__ENVELOPE__BODY_CHECK, &request);
	status = app_ask(app, &a, NULL);
	if (!status) {
		const Berth__CheckReply *r = a.reply->check_reply;

		listing_print(&items, o, (void *const *)r->items, r->n_items);
		for (size_t i = 0; i < r->n_items; i++)
			if (r->items[i]->result && !strcmp(r->items[i]->result, "missing"))
				status = 1;
	}
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- version */

static void version_json(const char *server, uint32_t protocol)
{
	struct buf b;

	buf_init(&b, 0);
	buf_adds(&b, "{\n  \"berth\": {\"version\": ");
	json_quote(&b, BERTH_VERSION);
	buf_printf(&b, ", \"protocol\": %d},\n  \"berthd\": ", ENVELOPE_VERSION);
	if (server) {
		buf_adds(&b, "{\"version\": ");
		json_quote(&b, server);
		buf_printf(&b, ", \"protocol\": %" PRIu32 "}\n}", protocol);
	} else {
		buf_adds(&b, "null\n}");
	}
	puts(b.failed ? "null" : b.data);
	buf_fini(&b);
}

/* This tool has one also when berthd is not there: it is told in any case. */
static int version_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct format_opts *o = opts;
	const char *server = NULL;
	struct ask a;
	int status;

	(void)operands;
	(void)n;
	if (!format_is_table(o) && !format_is_json(o))
		return app_usage(app, "--format: there are json and table");
	status = info_ask(app, &a);
	if (!status)
		server = a.reply->info_reply->version;
	if (format_is_json(o)) {
		version_json(server, app->client.server_version);
	} else {
		printf("berth   %s (control protocol %d)\n", BERTH_VERSION, ENVELOPE_VERSION);
		if (server)
			printf("berthd  %s (control protocol %" PRIu32 ")\n", server, app->client.server_version);
	}
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- upgrade */

struct berthd_facts {
	char version[64];
	uint32_t generation;
	int pid;
};

static int facts_ask(struct app *app, struct berthd_facts *ret)
{
	struct ask a;
	int status = info_ask(app, &a);

	if (!status) {
		const Berth__InfoReply *i = a.reply->info_reply;

		snprintf(ret->version, sizeof ret->version, "%s", i->version ? i->version : "");
		ret->generation = i->generation;
		ret->pid = i->pid;
	}
	ask_fini(&a);
	return status;
}

/* berthd answers Done before it executes the new binary; whether that went well shows in what answers afterwards. */
static int upgrade_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__UpgradeRequest request = BERTH__UPGRADE_REQUEST__INIT;
	struct berthd_facts before = {0}, after = {0};
	AUTO_FREE char *binary = n ? realpath(operands[0], NULL) : NULL;
	struct ask a;
	int status;

	(void)opts;
	if (n && !binary) {
		say("%s: %m", operands[0]);
		return app->failure;
	}
	status = facts_ask(app, &before);
	if (status)
		return status;
	request.binary = binary;
	ask_init(&a, BERTH__ENVELOPE__BODY_UPGRADE, &request);
	status = app_ask(app, &a, NULL);
	ask_fini(&a);
	if (!status) {
		for (int tries = 0; tries < 100 && !status && after.generation <= before.generation; tries++) {
			nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
			status = facts_ask(app, &after);
		}
	}
	if (status)
		return status;
	if (after.generation <= before.generation) {
		say("berthd still runs the binary that it ran before (%s); its log tells why", after.version);
		return app->failure;
	}
	printf("berthd %s -> %s, pid %d -> %d, %u upgrades in place since its start\n", before.version, after.version,
	       before.pid, after.pid, after.generation);
	return 0;
}

/* ---------------------------------------------------------------- shutdown */

static int shutdown_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__ShutdownRequest request = BERTH__SHUTDOWN_REQUEST__INIT;
	struct ask a;
	int status;

	(void)opts;
	(void)operands;
	(void)n;
	ask_init(&a, BERTH__ENVELOPE__BODY_SHUTDOWN, &request);
	status = app_ask(app, &a, NULL);
	ask_fini(&a);
	return status;
}

const struct command cmd_info = {
	.flags = {{format_f_flags, 0}}, .opts_size = sizeof(struct format_opts), .run = info_run};
const struct command cmd_check = {
	.flags = {{format_f_flags, 0}}, .opts_size = sizeof(struct format_opts), .run = check_run};
const struct command cmd_version = {
	.flags = {{format_f_flags, 0}}, .opts_size = sizeof(struct format_opts), .run = version_run};
const struct command cmd_upgrade = {.max = 1, .complete = "file", .run = upgrade_run};
const struct command cmd_shutdown = {.run = shutdown_run};
