/* ctl/main.c - berth, the tool of the control socket: its table of contents, and the way from a command line to a command.
 *
 * A row names a command, what it is for, and the struct command that has its flags and its function (cmd_*.c). Help, man page
 * synopsis and completions come from these tables. */
#include "base/file.h"
#include "ctl/command.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/berth/control.sock"

#define USAGE_STATUS 2

#define RUN	"Run and control"
#define LOOK	"Look"
#define POD	"Pods"
#define IMAGE	"Images"
#define VOLUME	"Volumes"
#define NETWORK "Networks"
#define TOKEN	"Access tokens"
#define HOST	"berth and its host"

const struct entry entries[] = {
	{"run", RUN, "[FLAGS] IMAGE [COMMAND [ARG...]]", "create a container and start it", &cmd_run},
	{"create", RUN, "[FLAGS] IMAGE [COMMAND [ARG...]]", "create a container without starting it", &cmd_create},
	{"start", RUN, "[FLAGS] CONTAINER...", "start what is not running", &cmd_start},
	{"stop", RUN, "[FLAGS] CONTAINER...", "ask to end, kill after the timeout", &cmd_stop},
	{"restart", RUN, "[FLAGS] CONTAINER...", "stop and start", &cmd_restart},
	{"kill", RUN, "[FLAGS] CONTAINER...", "send a signal, SIGKILL by default", &cmd_kill},
	{"pause", RUN, "CONTAINER...", "freeze all processes", &cmd_pause},
	{"unpause", RUN, "CONTAINER...", "let them go on", &cmd_unpause},
	{"exec", RUN, "[FLAGS] CONTAINER COMMAND [ARG...]", "run another program in a container", &cmd_exec},
	{"cp", RUN, "[FLAGS] CONTAINER:SRC DEST|- or SRC|- CONTAINER:DEST", "copy files into or out of a container",
	 &cmd_cp},
	{"attach", RUN, "[FLAGS] CONTAINER", "connect to its standard streams", &cmd_attach},
	{"wait", RUN, "[FLAGS] CONTAINER...", "until it has ended; prints the exit code", &cmd_wait},
	{"rename", RUN, "CONTAINER NAME", "give it another name", &cmd_rename},
	{"update", RUN, "[FLAGS] CONTAINER...", "change limits and restart policy", &cmd_update},
	{"rebuild", RUN, "[FLAGS] CONTAINER [IMAGE]", "a new root file system for it, of the same or another image",
	 &cmd_rebuild},
	{"rm", RUN, "[FLAGS] CONTAINER...", "remove containers", &cmd_rm, "container rm, container remove"},

	{"ps", LOOK, "[FLAGS]", "list containers", &cmd_ps, "container ls, container list, ls"},
	{"inspect", LOOK, "[FLAGS] CONTAINER...", "all about containers, as JSON", &cmd_inspect},
	{"logs", LOOK, "[FLAGS] CONTAINER", "what it wrote", &cmd_logs},
	{"diff", LOOK, "[FLAGS] CONTAINER", "the files that it has added, changed and deleted", &cmd_diff,
	 "container diff"},
	{"top", LOOK, "[FLAGS] CONTAINER", "its processes", &cmd_top},
	{"port", LOOK, "[FLAGS] CONTAINER [PORT[/PROTOCOL]]", "where its ports are published", &cmd_port,
	 "container port"},
	{"stats", LOOK, "[FLAGS] [CONTAINER...]", "use of processors, memory and disks, live", &cmd_stats},
	{"events", LOOK, "[FLAGS]", "what happens, as it happens", &cmd_events},
	{"actions", LOOK, "[FLAGS] [CONTAINER]", "who did what, and how it went (audit log)", &cmd_actions},

	{"pod create", POD, "[FLAGS] [NAME]", "create a pod: containers that share a network and IPC", &cmd_pod_create},
	{"pod ls", POD, "[FLAGS]", "list pods", &cmd_pod_ls, "pod list, pod ps"},
	{"pod inspect", POD, "[FLAGS] POD...", "all about pods, as JSON", &cmd_pod_inspect},
	{"pod rm", POD, "[FLAGS] POD...", "remove pods", &cmd_pod_rm, "pod remove"},

	{"pull", IMAGE, "[FLAGS] NAME[:TAG|@DIGEST]...", "get images from their registry", &cmd_pull, "image pull"},
	{"push", IMAGE, "[FLAGS] IMAGE [NAME[:TAG]]", "send an image to a registry; prints the digest", &cmd_push,
	 "image push"},
	{"login", IMAGE, "[FLAGS] [REGISTRY]", "keep credentials for a registry", &cmd_login},
	{"logout", IMAGE, "[FLAGS] [REGISTRY]", "forget them", &cmd_logout},
	{"commit", IMAGE, "[FLAGS] CONTAINER [NAME[:TAG]]",
	 "make an image of what a container has become; prints its id", &cmd_commit, "container commit"},
	{"image import", IMAGE, "[FLAGS] PATH|-", "take in an OCI layout (folder or tar) or a docker-archive",
	 &cmd_image_import},
	{"load", IMAGE, "[FLAGS]", "image import, from standard input by default", &cmd_load, "image load"},
	{"image export", IMAGE, "[FLAGS] IMAGE...", "write images as an OCI layout or a docker-archive",
	 &cmd_image_export},
	{"save", IMAGE, "[FLAGS] IMAGE...", "image export, as a docker-archive by default", &cmd_save, "image save"},
	{"image ls", IMAGE, "[FLAGS] [NAME[:TAG]]", "list images", &cmd_image_ls, "images, image list"},
	{"image inspect", IMAGE, "[FLAGS] IMAGE...", "all about images, as JSON", &cmd_image_inspect},
	{"image tag", IMAGE, "IMAGE NAME[:TAG]", "give an image another name; who has the name loses it",
	 &cmd_image_tag, "tag"},
	{"image history", IMAGE, "[FLAGS] IMAGE", "how it was made, and what each layer weighs", &cmd_image_history,
	 "history"},
	{"image prune", IMAGE, "[FLAGS]", "remove images without a name, or all, that no container was made from",
	 &cmd_image_prune},
	{"image verify", IMAGE, "[FLAGS] [IMAGE...]",
	 "is all there, and is it what its digest says? Default: the whole store", &cmd_image_verify},
	{"image rm", IMAGE, "[FLAGS] IMAGE...", "remove images", &cmd_image_rm, "rmi, image remove"},

	{"network create", NETWORK, "[FLAGS] NAME", "create a network", &cmd_network_create},
	{"network ls", NETWORK, "[FLAGS]", "list networks", &cmd_network_ls, "network list"},
	{"network inspect", NETWORK, "[FLAGS] NETWORK...", "all about networks, as JSON", &cmd_network_inspect},
	{"network drivers", NETWORK, "[FLAGS]", "what each driver can enforce", &cmd_network_drivers},
	{"network update", NETWORK, "[FLAGS] NETWORK...", "change whom their containers ask for names",
	 &cmd_network_update},
	{"network limit", NETWORK, "[FLAGS] CONTAINER|POD [INTERFACE]",
	 "how much an interface may receive and send, at once", &cmd_network_limit},
	{"network connect", NETWORK, "[FLAGS] NETWORK[:KEY=VALUE,...] CONTAINER|POD",
	 "an interface more, running or not", &cmd_network_connect},
	{"network disconnect", NETWORK, "NETWORK[:LINK]|LINK CONTAINER|POD", "an interface less, running or not",
	 &cmd_network_disconnect},
	{"network rm", NETWORK, "[FLAGS] NETWORK...", "remove networks that nobody uses", &cmd_network_rm,
	 "network remove"},
	{"network prune", NETWORK, "[FLAGS]", "remove all networks that nobody uses", &cmd_network_prune},

	{"security-group create", NETWORK, "[FLAGS] NAME", "create a security group: a list of what may pass",
	 &cmd_security_group_create, "sg create"},
	{"security-group ls", NETWORK, "[FLAGS]", "list security groups", &cmd_security_group_ls,
	 "security-group list, sg ls, sg list"},
	{"security-group inspect", NETWORK, "[FLAGS] GROUP...", "all about security groups, as JSON",
	 &cmd_security_group_inspect, "sg inspect"},
	{"security-group rm", NETWORK, "GROUP...", "remove security groups that nobody is in", &cmd_security_group_rm,
	 "security-group remove, sg rm, sg remove"},
	{"security-group rule-add", NETWORK, "[FLAGS] GROUP",
	 "let something more through, at once; prints the rule's id", &cmd_security_group_rule_add,
	 "security-group rule add, sg rule-add, sg rule add"},
	{"security-group rule-ls", NETWORK, "[FLAGS] GROUP", "list the rules of a security group",
	 &cmd_security_group_rule_ls, "security-group rule ls, sg rule-ls, sg rule ls"},
	{"security-group rule-rm", NETWORK, "GROUP RULE...", "remove rules; what they alone let through is cut off",
	 &cmd_security_group_rule_rm, "security-group rule rm, sg rule-rm, sg rule rm"},
	{"security-group set", NETWORK, "[FLAGS] CONTAINER|POD LINK [GROUP...]",
	 "the security groups of an interface, at once: instead of those that it has", &cmd_security_group_set,
	 "sg set"},
	{"floating-ip pool-create", NETWORK, "[FLAGS] NAME", "addresses that berth may lead to containers",
	 &cmd_pool_create, "floating-ip pool create"},
	{"floating-ip pool-ls", NETWORK, "[FLAGS]", "list pools of floating IPs", &cmd_pool_ls,
	 "floating-ip pool ls, floating-ip pool list"},
	{"floating-ip pool-rm", NETWORK, "POOL...", "remove pools of which nobody has an address", &cmd_pool_rm,
	 "floating-ip pool rm, floating-ip pool remove"},
	{"floating-ip allocate", NETWORK, "[FLAGS]", "get an address of a pool; prints it", &cmd_floating_allocate,
	 "floating-ip create"},
	{"floating-ip ls", NETWORK, "[FLAGS]", "list floating IPs, and where they lead", &cmd_floating_ls,
	 "floating-ip list"},
	{"floating-ip associate", NETWORK, "ADDRESS CONTAINER|POD[:INTERFACE]", "let it lead to an interface, at once",
	 &cmd_floating_associate},
	{"floating-ip disassociate", NETWORK, "ADDRESS...", "let it lead nowhere", &cmd_floating_disassociate},
	{"floating-ip release", NETWORK, "ADDRESS...", "give it back to its pool", &cmd_floating_release,
	 "floating-ip rm"},

	{"volume create", VOLUME, "[FLAGS] [NAME...]", "create volumes; without a name one is made",
	 &cmd_volume_create},
	{"volume ls", VOLUME, "[FLAGS]", "list volumes", &cmd_volume_ls, "volume list"},
	{"volume inspect", VOLUME, "[FLAGS] VOLUME...", "all about volumes, as JSON", &cmd_volume_inspect},
	{"volume update", VOLUME, "--size BYTES VOLUME...", "let sized volumes grow", &cmd_volume_update},
	{"volume rm", VOLUME, "[FLAGS] VOLUME...", "remove volumes and what is in them", &cmd_volume_rm,
	 "volume remove"},
	{"volume prune", VOLUME, "[FLAGS]", "remove the volumes that no container has", &cmd_volume_prune},

	{"token create", TOKEN, "[FLAGS]", "let a user in, by api.sock or a gateway; prints the secret, once",
	 &cmd_token_create},
	{"token ls", TOKEN, "[FLAGS]", "list tokens", &cmd_token_ls, "token list"},
	{"token revoke", TOKEN, "TOKEN...", "end tokens, at once", &cmd_token_revoke, "token rm, token remove"},
	{"token check", TOKEN, "[FLAGS]", "who berthd takes you for", &cmd_token_check, "whoami"},

	{"info", HOST, "[FLAGS]", "berthd, its folders and counts", &cmd_info},
	{"check", HOST, "[FLAGS]", "what this host can and cannot do, and the remedy", &cmd_check},
	{"system df", HOST, "[FLAGS]", "what images, containers, volumes and broken pulls take on the disk",
	 &cmd_system_df},
	{"upgrade", HOST, "[BINARY]", "berthd executes its new binary; containers do not notice", &cmd_upgrade},
	{"shutdown", HOST, "", "the host goes down: stop all containers, start none until berthd starts again",
	 &cmd_shutdown},
	{"version", HOST, "[FLAGS]", "of this tool and of berthd", &cmd_version},
	{"completion", HOST, "bash|zsh", "a completion script for the shell", &cmd_completion},
	{"help", HOST, "[COMMAND]", "this, or about one command", &cmd_help},
	{0},
};

struct global_opts {
	const char *socket, *project, *token_file;
	bool version;
};

const struct flag global_flags[] = {
	{0, "socket", "PATH", "berthd's control socket; default: BERTH_SOCKET, else " DEFAULT_SOCKET, flag_text,
	 offsetof(struct global_opts, socket), .complete = "file"},
	{0, "project", "NAME", "whose objects; default: BERTH_PROJECT, else berthd's default project", flag_text,
	 offsetof(struct global_opts, project)},
	{0, "token-file", "PATH", "a file with an access token; default: BERTH_TOKEN, else who you are on this host",
	 flag_text, offsetof(struct global_opts, token_file), .complete = "file"},
	{'v', "version", NULL, "version of this tool", flag_bool, offsetof(struct global_opts, version)},
	{0},
};

static bool name_in(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; p; p = strchr(p, ',')) {
		p += strspn(p, ", ");
		if (!strncmp(p, name, len) && (!p[len] || p[len] == ','))
			return true;
	}
	return false;
}

static const struct entry *entry_named(const char *name)
{
	for (const struct entry *en = entries; en->name; en++)
		if (!strcmp(en->name, name) || (en->aliases && name_in(en->aliases, name)))
			return en;
	return NULL;
}

/* "image" "ls" is two words, "ps" is one, "sg" "rule" "add" three; "container stop" is "stop". */
const struct entry *entry_find(char *const *words, unsigned n, unsigned *ret_words)
{
	char name[96];
	const struct entry *en = NULL;

	for (*ret_words = n < 3 ? n : 3; *ret_words; --*ret_words) {
		snprintf(name, sizeof name, "%s%s%s%s%s", words[0], *ret_words > 1 ? " " : "",
			 *ret_words > 1 ? words[1] : "", *ret_words > 2 ? " " : "", *ret_words > 2 ? words[2] : "");
		en = entry_named(name);
		if (!en && *ret_words == 2 && !strcmp(words[0], "container"))
			en = entry_named(words[1]);
		if (en)
			break;
	}
	return en;
}

static void help_all(FILE *out)
{
	static const struct flag_table globals[] = {{global_flags, 0}, {0}};
	const char *group = "";

	fputs("Usage: berth [--socket PATH] COMMAND [FLAGS] ...\n", out);
	for (const struct entry *en = entries; en->name; en++) {
		if (strcmp(group, en->group) != 0)
			fprintf(out, "\n%s:\n", en->group);
		group = en->group;
		fprintf(out, "  %-16s  %s\n", en->name, en->help);
	}
	args_help(out, globals);
	fputs("\n`berth COMMAND --help` tells about one command.\n", out);
}

static void help_one(FILE *out, const struct entry *en)
{
	fprintf(out, "Usage: berth %s %s\n\n%c%s.\n", en->name, en->usage, toupper((unsigned char)en->help[0]),
		en->help + 1);
	if (en->aliases)
		fprintf(out, "Also: %s\n", en->aliases);
	args_help(out, en->command->flags);
}

/* The commands that begin with a word, such as "image"; false: there is none. */
static bool help_group(FILE *out, const char *word)
{
	size_t len = strlen(word), n = 0;

	for (const struct entry *en = entries; en->name; en++) {
		if (strncmp(en->name, word, len) != 0 || en->name[len] != ' ')
			continue;
		if (!n++)
			fprintf(out, "Usage: berth %s COMMAND ...\n\n", word);
		fprintf(out, "  %-16s  %s\n", en->name, en->help);
	}
	return n > 0;
}

static int help_run(struct app *app, void *opts, char **operands, unsigned n)
{
	unsigned words = 0;
	const struct entry *en = n ? entry_find(operands, n, &words) : NULL;

	(void)opts;
	if (!n) {
		help_all(stdout);
		return 0;
	}
	if (n == 1 && !en && help_group(stdout, operands[0]))
		return 0;
	if (!en || words < n)
		return app_usage(app, "there is no command \"%s%s%s\"; `berth help` lists them", operands[0],
				 n > 1 ? " " : "", n > 1 ? operands[1] : "");
	help_one(stdout, en);
	return 0;
}

const struct command cmd_help = {.max = 3, .complete = "command", .run = help_run};

static int usage_error(const struct app *app, const struct entry *en, const char *text)
{
	say("%s: %s", en->name, text);
	fprintf(stderr, "Usage: berth %s %s\n`berth %s --help` tells more.\n", en->name, en->usage, en->name);
	return app->usage;
}

static int command_run(struct app *app, const struct entry *en, int argc, char **argv)
{
	const struct command *c = en->command;
	struct strings operands = {0};
	struct err e = {0};
	int status;
	void *opts = mem_zero(c->opts_size ? c->opts_size : 1);

	app->name = en->name;
	app->flags = c->flags;
	app->failure = c->failure ? c->failure : 1;
	/* Where the status of a program in a container is passed on, ours must not look like one. */
	app->usage = c->failure ? c->failure : USAGE_STATUS;
	if (c->init)
		c->init(opts);
	status = args_parse(c->flags, c->command_follows, opts, argc, argv, &operands, &e);
	if (status == ARGS_HELP) {
		help_one(stdout, en);
		status = 0;
	} else if (status == ARGS_USAGE) {
		status = usage_error(app, en, e.text);
	} else if (status < 0) {
		status = app_usage(app, "%s", e.text);
	} else if (operands.n < c->min) {
		status = usage_error(app, en, "something is missing");
	} else if (operands.n > c->max) {
		status = usage_error(app, en, "more than it takes");
	} else {
		status = c->run(app, opts, operands.v, (unsigned)operands.n);
	}
	if (c->fini)
		c->fini(opts);
	strings_fini(&operands);
	free(opts);
	return status;
}

static int unknown_command(char *const *words, unsigned n)
{
	const char *next = n > 1 ? words[1] : "";

	if (!strcmp(next, "--help") || !strcmp(next, "-h")) {
		if (help_group(stdout, words[0]))
			return 0;
	} else if (help_group(stderr, words[0])) {
		return USAGE_STATUS;
	}
	say("there is no command \"%s\"; `berth help` lists them", words[0]);
	return USAGE_STATUS;
}

/* A secret is no word of a command line: everybody could read it there. */
static int token_read(const struct global_opts *g, char *buf, size_t size, struct client *c)
{
	const char *given = getenv("BERTH_TOKEN");
	ssize_t n;

	c->token = given && *given ? given : NULL;
	if (!g->token_file)
		return 0;
	n = file_read(AT_FDCWD, g->token_file, buf, size);
	if (n < 0) {
		say("--token-file: %s: %s", g->token_file, strerror(n == -EFBIG ? EINVAL : (int)-n));
		return USAGE_STATUS;
	}
	buf[strcspn(buf, " \t\r\n")] = 0;
	c->token = buf;
	return 0;
}

static int tool_run(struct app *app, int argc, char **argv)
{
	static const struct flag_table globals[] = {{global_flags, 0}, {0}};
	struct global_opts g = {.socket = getenv("BERTH_SOCKET"), .project = getenv("BERTH_PROJECT")};
	struct strings words = {0};
	struct err e = {0};
	const struct entry *en;
	static char token[256];
	unsigned used;
	int r = args_parse(globals, true, &g, argc - 1, argv + 1, &words, &e), status;

	app->client.path = g.socket && *g.socket ? g.socket : DEFAULT_SOCKET;
	app->client.project = g.project && *g.project ? g.project : NULL;
	if (r == ARGS_HELP || (!r && !words.n && !g.version)) {
		help_all(r ? stdout : stderr);
		return r ? 0 : USAGE_STATUS;
	}
	if (r) {
		say("%s", e.text);
		return USAGE_STATUS;
	}
	if (g.version) {
		puts("berth " BERTH_VERSION);
		return 0;
	}
	status = token_read(&g, token, sizeof token, &app->client);
	if (status)
		return status;
	/* The words after the global flags are the tail of argv; the copies only say how many there are. */
	argv += argc - (int)words.n;
	en = entry_find(argv, (unsigned)words.n, &used);
	status = en ? command_run(app, en, (int)(words.n - used), argv + used) : unknown_command(argv, words.n);
	strings_fini(&words);
	return status;
}

int main(int argc, char **argv)
{
	struct app app = {.client = CLIENT_NULL};
	int status;

	status = tool_run(&app, argc, argv);
	client_close(&app.client);
	if (fflush(stdout) || ferror(stdout)) {
		say("writing the output: %s", strerror(errno));
		return status ? status : app.failure ? app.failure : 1;
	}
	return status;
}
