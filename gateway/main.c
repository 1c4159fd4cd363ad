/* gateway/main.c - berth-gateway: options, sockets, one loop. The dialects that it speaks are listed here. */
#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/own.h"
#include "base/str.h"
#include "gateway/describe.h"
#include "gateway/drop.h"
#include "gateway/gateway.h"
#include "gateway/keystone/keystone.h"
#include "gateway/listen.h"
#include "gateway/memory.h"
#include "gateway/self.h"
#include "gateway/server.h"
#include "gateway/zun/zun.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

static const struct dialect *const dialects[] = {&self_dialect, &keystone_dialect, &zun_dialect, NULL};

const char *argp_program_version = "berth-gateway " BERTH_VERSION;

#define OPTION_ROUTES 256
#define CONFIG_FILE   "/etc/berth/gateway.conf"

static const struct argp_option options[] = {
	{"control", 'c', "SOCKET", 0, "berthd's socket (/run/berth/api.sock)", 0},
	{"listen", 'l', "WHERE", 0, "ADDR:PORT or unix:PATH, more than once (127.0.0.1:9517)", 0},
	{"config", 'f', "FILE", 0, "Settings (" CONFIG_FILE ")", 0},
	{"debug", 'd', NULL, 0, "Say more in the log", 0},
	{"routes", OPTION_ROUTES, NULL, 0, "Print what can be asked, as JSON, and exit", 0},
	{0},
};

struct arguments {
	const char *control, *config;
	char listen[sizeof((struct config *)0)->listen];
	bool debug, routes;
};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	size_t len = strlen(a->listen);

	switch (key) {
	case 'c':
		a->control = arg;
		break;
	case 'l':
		if (len + strlen(arg) + 2 > sizeof a->listen)
			argp_error(state, "too much to listen on");
		snprintf(a->listen + len, sizeof a->listen - len, "%s%s", len ? " " : "", arg);
		break;
	case 'f':
		a->config = arg;
		break;
	case 'd':
		a->debug = true;
		break;
	case OPTION_ROUTES:
		a->routes = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static int configure(struct config *cfg, const struct arguments *a, struct err *e)
{
	int r;

	config_defaults(cfg);
	r = config_load(cfg, a->config ? a->config : CONFIG_FILE, a->config != NULL, e);
	/* On the command line paths may be relative: they are looked up before we give up our folder. */
	if (!r && a->control && strlen(a->control) >= sizeof cfg->control)
		return err_set(e, 0, "control", "%s: longer than %zu bytes", a->control, sizeof cfg->control - 1);
	if (!r && a->control)
		snprintf(cfg->control, sizeof cfg->control, "%s", a->control);
	if (!r && *a->listen)
		r = config_set(cfg, "listen", a->listen, e);
	cfg->debug |= a->debug;
	return r;
}

/* ---------------------------------------------------------------- the end */

struct ending {
	struct gateway *gw;
	struct source signals;
	struct timer patience;
	bool begun;
};

static void on_patience(struct timer *t)
{
	log_warn("requests under way are given up");
	loop_stop(&container_of(t, struct ending, patience)->gw->loop, 0);
}

/* The first signal lets what is under way be answered, a second one does not. */
static void on_signal(struct source *s, uint32_t events)
{
	struct ending *end = container_of(s, struct ending, signals);
	struct signalfd_siginfo info;

	if (read(s->fd, &info, sizeof info) != sizeof info)
		return;
	if (end->begun) {
		loop_stop(s->loop, 0);
		return;
	}
	end->begun = true;
	log_info("ends on signal %u", info.ssi_signo);
	notify("STOPPING=1\n");
	if (timer_in(s->loop, &end->patience, end->gw->cfg.stop_timeout_ns, on_patience) < 0)
		loop_stop(s->loop, 0);
	else
		server_drain(end->gw->server);
}

static int signals_open(struct ending *end, struct err *e)
{
	sigset_t set;
	int fd, r;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r = fd < 0 ? -errno : source_add(&end->gw->loop, &end->signals, fd, EPOLLIN, on_signal);
	return r < 0 ? err_set(e, -r, "signals", "signalfd") : 0;
}

/* ---------------------------------------------------------------- the whole */

static int listeners_open(struct gateway *gw, struct err *e)
{
	const char *all = gw->cfg.listen, *word;
	size_t len;
	int r, fd;

	while ((word = str_word(&all, " ", &len))) {
		char where[sizeof gw->cfg.listen];

		snprintf(where, sizeof where, "%.*s", (int)len, word);
		if ((r = listen_open(where, &fd, e)) < 0 || (r = server_listen(gw->server, fd, e)) < 0)
			return r;
		log_info("listens on %s", where);
	}
	return 0;
}

static int gateway_open(struct gateway *gw, struct ending *end, struct err *e)
{
	int r = loop_init(&gw->loop);

	if (r < 0)
		return err_set(e, -r, "loop", "the event loop");
	if (metrics_init(&gw->metrics, gw->dialects) < 0)
		return err_set(e, ENOMEM, "metrics", "the table of metrics");
	memory_init(gw->cfg.max_memory);
	upstream_init(&gw->upstream, &gw->loop, gw->cfg.control);
	fd_limit_raise();
	if ((r = signals_open(end, e)) < 0 || (r = server_open(gw, e)) < 0 || (r = listeners_open(gw, e)) < 0 ||
	    (r = drop(gw->cfg.user, e)) < 0)
		return r;
	upstream_open(&gw->upstream);
	return 0;
}

static int routes_print(void)
{
	struct jw j;
	bool done;

	jw_init(&j, 0);
	describe(&j, dialects);
	done = !j.buf.failed && puts(j.buf.data) >= 0 && fflush(stdout) == 0;
	jw_fini(&j);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void gateway_close(struct gateway *gw)
{
	upstream_fini(&gw->upstream);
	server_close(gw->server);
	metrics_fini(&gw->metrics);
	loop_fini(&gw->loop);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {options, option_parse, NULL, "Speaks HTTP for berthd.", NULL, NULL, NULL};
	static struct gateway gw = {.dialects = dialects};
	struct ending end = {.gw = &gw};
	struct arguments a = {0};
	struct err e;
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.routes)
		return routes_print();
	log_init("berth-gateway", a.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (configure(&gw.cfg, &a, &e) < 0 || gateway_open(&gw, &end, &e) < 0) {
		log_err(&e, "berth-gateway cannot start");
		return EXIT_FAILURE;
	}
	log_init("berth-gateway", gw.cfg.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	notify("READY=1\n");
	r = loop_run(&gw.loop);
	if (r < 0)
		log_error("the event loop: %s", strerror(-r));
	gateway_close(&gw);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
