/* gateway/main.c - berth-gateway: options, sockets, one loop. The dialects that it speaks are listed here. */
#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "gateway/describe.h"
#include "gateway/gateway.h"
#include "gateway/listen.h"
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

static const struct dialect *const dialects[] = {&self_dialect, &zun_dialect, NULL};

const char *argp_program_version = "berth-gateway " BERTH_VERSION;

#define OPTION_ROUTES 256

static const struct argp_option options[] = {
	{"control", 'c', "SOCKET", 0, "berthd's socket (/run/berth/api.sock)", 0},
	{"listen", 'l', "WHERE", 0, "ADDR:PORT or unix:PATH, more than once (127.0.0.1:9517)", 0},
	{"debug", 'd', NULL, 0, "Say more in the log", 0},
	{"routes", OPTION_ROUTES, NULL, 0, "Print what can be asked, as JSON, and exit", 0},
	{0},
};

#define LISTEN_MAX 16

struct arguments {
	const char *control, *listen[LISTEN_MAX];
	unsigned n_listen;
	bool debug, routes;
};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'c':
		a->control = arg;
		break;
	case 'l':
		if (a->n_listen == LISTEN_MAX)
			argp_error(state, "at most %d sockets to listen on", LISTEN_MAX);
		a->listen[a->n_listen++] = arg;
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

static void on_signal(struct source *s, uint32_t events)
{
	struct signalfd_siginfo info;

	if (read(s->fd, &info, sizeof info) == sizeof info)
		loop_stop(s->loop, 0);
}

static int signals_open(struct loop *l, struct source *s, struct err *e)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || source_add(l, s, fd, EPOLLIN, on_signal) < 0)
		return err_set(e, errno, "signals", "signalfd");
	return 0;
}

static int gateway_open(struct gateway *gw, const struct arguments *a, struct source *signals, struct err *e)
{
	int r = loop_init(&gw->loop), fd;

	if (r < 0)
		return err_set(e, -r, "loop", "the event loop");
	if ((r = signals_open(&gw->loop, signals, e)) < 0 || (r = server_open(gw, e)) < 0)
		return r;
	for (unsigned i = 0; i < a->n_listen; i++)
		if ((r = listen_open(a->listen[i], &fd, e)) < 0 || (r = server_listen(gw->server, fd, e)) < 0)
			return r;
	upstream_init(&gw->upstream, &gw->loop, a->control);
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

int main(int argc, char **argv)
{
	static const struct argp argp = {options, option_parse, NULL, "Speaks HTTP for berthd.", NULL, NULL, NULL};
	static struct gateway gw = {.dialects = dialects};
	struct arguments a = {.control = "/run/berth/api.sock"};
	struct source signals;
	struct err e;
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.routes)
		return routes_print();
	log_init("berth-gateway", a.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (!a.n_listen)
		a.listen[a.n_listen++] = "127.0.0.1:9517";
	fd_limit_raise();
	if (gateway_open(&gw, &a, &signals, &e) < 0) {
		log_err(&e, "berth-gateway cannot start");
		return EXIT_FAILURE;
	}
	r = loop_run(&gw.loop);
	if (r < 0)
		log_error("the event loop: %s", strerror(-r));
	upstream_fini(&gw.upstream);
	server_close(gw.server);
	loop_fini(&gw.loop);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
