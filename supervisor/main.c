/* supervisor/main.c - berthd: options, one struct, one loop. */
#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "supervisor/config.h"
#include "supervisor/notify.h"
#include "supervisor/store.h"
#include "supervisor/supervisor.h"
#include "supervisor/upgrade.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = "berthd " BERTH_VERSION;

enum { OPT_CHECK_STATE = 256, OPT_TAKEOVER };

static const struct argp_option options[] = {
	{"config", 'c', "FILE", 0, "Settings (/etc/berth/berthd.conf)", 0},
	{"state", 's', "DIR", 0, "What must survive a reboot (/var/lib/berth)", 0},
	{"run", 'r', "DIR", 0, "Sockets and what need not survive (/run/berth)", 0},
	{"cgroup", 'g', "PATH", 0, "Our group in the cgroup v2 tree (found when absent)", 0},
	{"debug", 'd', NULL, 0, "Say more in the log", 0},
	{"check-state", OPT_CHECK_STATE, NULL, 0, "Say whether this berthd can take the state over, and end", 0},
	{"takeover", OPT_TAKEOVER, "TEXT", OPTION_HIDDEN, NULL, 0},
	{0},
};

struct arguments {
	const char *config, *state, *run, *cgroup, *takeover;
	bool debug, check_state;
};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'c':
		a->config = arg;
		break;
	case 's':
		a->state = arg;
		break;
	case 'r':
		a->run = arg;
		break;
	case 'g':
		a->cgroup = arg;
		break;
	case 'd':
		a->debug = true;
		break;
	case OPT_CHECK_STATE:
		a->check_state = true;
		break;
	case OPT_TAKEOVER:
		a->takeover = arg;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static int exe_find(struct supervisor *sv, struct err *e)
{
	static const char deleted[] = " (deleted)";
	ssize_t len = readlink("/proc/self/exe", sv->exe, sizeof sv->exe - 1);
	size_t tail = sizeof deleted - 1;

	if (len < 0)
		return err_set(e, errno, "exe", "find the file that this program is");
	sv->exe[len] = 0;
	/* It was replaced while we ran: the new one has its name. */
	if ((size_t)len > tail && !strcmp(sv->exe + (size_t)len - tail, deleted))
		sv->exe[(size_t)len - tail] = 0;
	return 0;
}

static int path_set(struct config *c, const char *key, const char *path, struct err *e)
{
	char here[PATH_MAX];

	if (!path)
		return 0;
	if (!getcwd(here, sizeof here))
		return err_set(e, errno, key, "the folder that %s is relative to", path);
	return config_set_path(c, key, here, path, e);
}

static int configure(struct supervisor *sv, const struct arguments *a, struct err *e)
{
	struct config *c = &sv->cfg;
	int r;

	config_defaults(c);
	r = config_load(c, a->config ? a->config : c->config_file, a->config != NULL, e);
	if (!r)
		r = path_set(c, "state_dir", a->state, e);
	if (!r)
		r = path_set(c, "run_dir", a->run, e);
	if (!r && a->cgroup)
		r = config_set(c, "cgroup", a->cgroup, e);
	if (a->debug)
		c->debug = true;
	return r ? r : config_check(c, e);
}

static int check_state(struct supervisor *sv)
{
	struct err e;
	int r = store_check(sv->cfg.state_dir, &e);

	if (r < 0)
		log_err(&e, "this berthd cannot take %s over", sv->cfg.state_dir);
	else if (fputs(UPGRADE_STATE_OK, stdout) < 0 || fflush(stdout))
		return EXIT_FAILURE;
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* After an upgrade the berthd before us goes on in our place. */
static int fail(const struct err *e)
{
	log_err(e, "berthd cannot start");
	upgrade_fall_back();
	return EXIT_FAILURE;
}

static int run(struct supervisor *sv, int listen_fd)
{
	struct err e;
	int r = supervisor_open(sv, listen_fd, &e);

	if (r < 0) {
		supervisor_close(sv);
		return fail(&e);
	}
	notify_ready();
	upgrade_ready();
	log_info("ready: %u containers, state %s, cgroup %s%s", sv->containers.n, sv->cfg.state_dir, sv->cg.mount,
		 sv->cg.path);
	if (!sv->stopping)
		r = loop_run(&sv->loop);
	if (r < 0)
		log_error("the event loop: %s", strerror(-r));
	if (r == UPGRADE_NOW) {
		notify_reloading();
		if (upgrade_keep(sv, &e) < 0)
			log_err(&e, "upgrade");
	} else {
		notify_stopping();
	}
	supervisor_close(sv);
	if (r == UPGRADE_NOW)
		upgrade_exec();
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {options, option_parse, NULL, "Supervises containers on this host.",
					 NULL,	  NULL,		NULL};
	static struct supervisor sv;
	struct arguments a = {0};
	int listen_fd = -1;
	struct err e;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	log_init("berthd", a.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	sv.argc = argc;
	sv.argv = argv;
	if (a.takeover && upgrade_takeover(argv, a.takeover, &listen_fd, &sv.generation, &e) < 0)
		return fail(&e);
	if (exe_find(&sv, &e) < 0 || configure(&sv, &a, &e) < 0)
		return fail(&e);
	log_init("berthd", sv.cfg.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (a.check_state)
		return check_state(&sv);
	return run(&sv, listen_fd);
}
