/* tests/unit/control_fixture.h - the whole of berthd's services on a store in /tmp, and real clients of its sockets; no container, no
 * cgroup, no job. For tests of what is asked and answered. */
#pragma once

#include "tests/unit/unit.h"

#include "base/file.h"
#include "base/log.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/config.h"
#include "supervisor/control.h"
#include "supervisor/image.h"
#include "supervisor/job.h"
#include "supervisor/logs.h"
#include "supervisor/names.h"
#include "supervisor/replay.h"
#include "supervisor/store.h"
#include "supervisor/token.h"
#include "supervisor/volume.h"
#include "supervisor/watch.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#pragma GCC diagnostic ignored "-Wunused-function"

#define MAX_CLIENTS 40

/* The generated structs want their text writable, and only read it. */
#pragma GCC diagnostic ignored "-Wwrite-strings"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wdiscarded-qualifiers"
#endif

struct fixture {
	char dir[64];
	struct supervisor sv;
	struct timer stop;
	uint64_t next_request;
};

static void on_stop(struct timer *t)
{
	loop_stop(&container_of(t, struct fixture, stop)->sv.loop, 0);
}

static void run_ms(struct fixture *f, unsigned ms)
{
	timer_in(&f->sv.loop, &f->stop, ms * NS_PER_MS, on_stop);
	loop_run(&f->sv.loop);
}

static void services_open(struct fixture *f)
{
	struct supervisor *sv = &f->sv;
	struct err e = {0};
	int r = store_open(&sv->loop, sv->cfg.state_dir, &sv->store, &e);

	if (r == 0)
		r = store_load_counters(sv->store, &sv->next_id, &sv->revision, &e);
	if (r == 0)
		r = watch_new(sv, &sv->watch);
	if (r == 0)
		r = audit_open(sv);
	if (r == 0)
		r = replays_open(sv);
	if (r == 0)
		r = logs_open(sv);
	if (r == 0)
		r = tokens_open(sv, &e);
	if (r == 0)
		r = jobs_open(sv, &e);
	if (r == 0)
		r = image_load(sv, &e);
	if (r == 0)
		r = volume_load(sv, &e);
	if (r == 0)
		r = control_open(sv, -1, &e);
	if (r < 0)
		fail_msg("%s: %s", e.text, strerror(-r));
}

static void services_close(struct fixture *f)
{
	struct supervisor *sv = &f->sv;

	control_close(sv);
	jobs_close(sv);
	store_close(sv->store);
	sv->store = NULL;
	logs_close(sv);
	replays_close(sv);
	tokens_close(sv);
	audit_close(sv);
	watch_free(sv->watch);
	sv->watch = NULL;
	image_fini(sv);
	volume_fini(sv);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct supervisor *sv = &f->sv;
	char path[128];

	log_init("test", 0);
	snprintf(f->dir, sizeof f->dir, "/tmp/test-control.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	config_defaults(&sv->cfg);
	snprintf(sv->cfg.state_dir, sizeof sv->cfg.state_dir, "%s", f->dir);
	snprintf(sv->cfg.run_dir, sizeof sv->cfg.run_dir, "%s", f->dir);
	snprintf(sv->cfg.job_path, sizeof sv->cfg.job_path, "/nonexistent");
	sv->cfg.socket_group[0] = 0;
	sv->cfg.max_clients = MAX_CLIENTS;
	snprintf(path, sizeof path, "%s/jobs", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	sv->cg.root_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sv->cg.jobs_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(loop_init(&sv->loop), 0);
	cg_graveyard_init(&sv->graveyard, &sv->loop);
	list_init(&sv->steps);
	list_init(&sv->children);
	list_init(&sv->dirty);
	list_init(&sv->waiters);
	list_init(&sv->slots);
	assert_int_equal(names_new(64, &sv->names), 0);
	table_init(&sv->containers, 64);
	table_init(&sv->pods, 64);
	table_init(&sv->images, 64);
	table_init(&sv->volumes, 64);
	services_open(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct supervisor *sv = &f->sv;

	services_close(f);
	timer_del(&f->stop);
	cg_graveyard_fini(&sv->graveyard);
	names_free(sv->names);
	table_fini(&sv->containers);
	table_fini(&sv->pods);
	table_fini(&sv->images);
	table_fini(&sv->volumes);
	loop_fini(&sv->loop);
	close(sv->cg.root_fd);
	close(sv->cg.jobs_fd);
	dir_remove_all(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

/* ---------------------------------------------------------------- a client */

static int door_connect(struct fixture *f, const char *door)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s.sock", f->dir, door);
	fd = wire_connect(path);
	assert_true(fd >= 0);
	run_ms(f, 1);
	return fd;
}

static int client_connect(struct fixture *f)
{
	return door_connect(f, "control");
}

/* The next record, or NULL when the connection is closed (*closed) or nothing comes within a second. */
static Berth__Envelope *receive(struct fixture *f, int sock, bool *closed)
{
	static char data[WIRE_MAX];
	struct wire_fds fds;
	size_t len;

	if (closed)
		*closed = false;
	for (int i = 0; i < 200; i++) {
		int r = wire_recv(sock, data, sizeof data, &len, &fds);

		if (r == 0) {
			Berth__Envelope *env = envelope_unpack(data, len, &fds);

			assert_non_null(env);
			wire_fds_close(&fds);
			return env;
		}
		if (r != WIRE_AGAIN) {
			if (closed)
				*closed = true;
			return NULL;
		}
		run_ms(f, 5);
	}
	return NULL;
}

static void drop(Berth__Envelope *env)
{
	berth__envelope__free_unpacked(env, NULL);
}

static void send_hello(int sock, uint32_t version, uint32_t oldest)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Hello hello = BERTH__HELLO__INIT;

	hello.has_version = hello.has_oldest = true;
	hello.version = version;
	hello.oldest = oldest;
	env.body_case = BERTH__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	assert_int_equal(envelope_send(sock, &env, NULL, 0), 0);
}

static int door_client(struct fixture *f, const char *door)
{
	int sock = door_connect(f, door);
	Berth__Envelope *env = receive(f, sock, NULL);

	assert_non_null(env);
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_HELLO);
	assert_int_equal(env->hello->version, ENVELOPE_VERSION);
	drop(env);
	send_hello(sock, ENVELOPE_VERSION, ENVELOPE_OLDEST);
	return sock;
}

static int client(struct fixture *f)
{
	return door_client(f, "control");
}

static uint64_t ask(struct fixture *f, int sock, Berth__Envelope *env)
{
	env->has_id = true;
	env->id = ++f->next_request;
	assert_int_equal(envelope_send(sock, env, NULL, 0), 0);
	return env->id;
}

#define REQUEST(name, case_, type, init)                                                                               \
	type name##_body = init;                                                                                       \
	Berth__Envelope name = BERTH__ENVELOPE__INIT;                                                                  \
	name.body_case = BERTH__ENVELOPE__BODY_##case_;                                                                \
	name.info = (void *)&name##_body /* one pointer, whatever the body */

static uint64_t ask_info(struct fixture *f, int sock)
{
	REQUEST(info, INFO, Berth__InfoRequest, BERTH__INFO_REQUEST__INIT);

	return ask(f, sock, &info);
}

/* Asks for a volume, and gives the answer. */
static Berth__Envelope *volume(struct fixture *f, int sock, bool remove, char *name, char *token)
{
	Berth__VolumeCreate create = BERTH__VOLUME_CREATE__INIT;
	Berth__VolumeRemove gone = BERTH__VOLUME_REMOVE__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT, *answer;
	uint64_t id;

	create.name = gone.name = name;
	env.client_token = token;
	env.body_case = remove ? BERTH__ENVELOPE__BODY_VOLUME_REMOVE : BERTH__ENVELOPE__BODY_VOLUME_CREATE;
	if (remove)
		env.volume_remove = &gone;
	else
		env.volume_create = &create;
	id = ask(f, sock, &env);
	answer = receive(f, sock, NULL);
	assert_non_null(answer);
	assert_int_equal(answer->id, id);
	return answer;
}

static void expect_error(struct fixture *f, int sock, Berth__Error__Code code, const char *text)
{
	Berth__Envelope *env = receive(f, sock, NULL);

	assert_non_null(env);
	if (env->body_case != BERTH__ENVELOPE__BODY_ERROR)
		fail_msg("%s instead of an error", envelope_body_name(env));
	if (env->error->code != code || !strstr(env->error->text, text))
		fail_msg("error %d: %s", env->error->code, env->error->text);
	drop(env);
}

static void expect_body(struct fixture *f, int sock, Berth__Envelope__BodyCase body)
{
	Berth__Envelope *env = receive(f, sock, NULL);

	assert_non_null(env);
	if (env->body_case != body)
		fail_msg("%s: %s", envelope_body_name(env),
			 env->body_case == BERTH__ENVELOPE__BODY_ERROR ? env->error->text : "");
	drop(env);
}

static void expect_closed(struct fixture *f, int sock)
{
	bool closed;

	assert_null(receive(f, sock, &closed));
	assert_true(closed);
	close(sock);
}
