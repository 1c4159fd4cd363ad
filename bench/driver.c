/* bench/driver.c - speaks the control protocol as fast as it can and says how long berthd took.
 *
 * Requests go out as records on one connection, answers are matched by their number: the driver costs some microseconds a
 * request and is never what limits. `commands` measures whole command lines of any tool the same way. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "bench/samples.h"
#include "proto/envelope.h"
#include "proto/session.h"

static const char *socket_path = "/run/berth/control.sock";
static const char *image = "busybox";
static const char *network; /* of the containers, or none */
static unsigned pause_ms;   /* between one sample and the next: what one start takes when nothing else is going on */

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "driver: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

/* ---------------------------------------------------------------- records */

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			die("poll: %s", strerror(errno));
}

static void send_envelope(int sock, const Berth__Envelope *env)
{
	int r;

	while ((r = envelope_send(sock, env, NULL, 0)) == WIRE_AGAIN)
		wait_for(sock, POLLOUT);
	if (r)
		die("send: %s", r == WIRE_GONE ? "berthd is gone" : strerror(-r));
}

/* NULL when berthd hung up. The descriptors of a reply go to *fds. */
static Berth__Envelope *receive(int sock, struct wire_fds *fds)
{
	static char record[WIRE_MAX];
	Berth__Envelope *env;
	size_t len;
	int r;

	while ((r = wire_recv(sock, record, sizeof(record), &len, fds)) == WIRE_AGAIN)
		wait_for(sock, POLLIN);
	if (r)
		return NULL;
	env = envelope_unpack(record, len, fds);
	if (!env)
		die("a bad record");
	return env;
}

static int try_connect(void)
{
	Berth__Hello hello = BERTH__HELLO__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT, *answer;
	struct wire_fds fds;
	int sock = wire_connect(socket_path);

	if (sock < 0)
		return sock;
	hello.has_version = hello.has_oldest = 1;
	hello.version = ENVELOPE_VERSION;
	hello.oldest = ENVELOPE_OLDEST;
	hello.software = (char *)"bench/driver";
	env.body_case = BERTH__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	if (envelope_send(sock, &env, NULL, 0) || !(answer = receive(sock, &fds))) {
		close(sock);
		return -ECONNRESET;
	}
	berth__envelope__free_unpacked(answer, NULL);
	return sock;
}

static int connect_or_die(void)
{
	int sock = try_connect();

	if (sock < 0)
		die("%s: %s", socket_path, strerror(-sock));
	return sock;
}

/* ---------------------------------------------------------------- requests */

struct creation {
	const char *name;
	char **argv;
	int restart; /* Berth__RestartPolicy__Kind or 0 */
	bool auto_remove, attach;
};

static void ask_create(int sock, uint64_t id, const struct creation *c)
{
	Berth__RestartPolicy restart = BERTH__RESTART_POLICY__INIT;
	Berth__ContainerSpec spec = BERTH__CONTAINER_SPEC__INIT;
	Berth__NetworkAsk ask = BERTH__NETWORK_ASK__INIT, *asks[] = {&ask};
	Berth__ContainerCreate create = BERTH__CONTAINER_CREATE__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	spec.image = (char *)image;
	spec.command = c->argv;
	while (c->argv[spec.n_command])
		spec.n_command++;
	if (network) {
		ask.network = (char *)network;
		spec.networks = asks;
		spec.n_networks = 1;
	}
	spec.has_auto_remove = spec.auto_remove = c->auto_remove;
	if (c->restart) {
		restart.has_kind = 1;
		restart.kind = (Berth__RestartPolicy__Kind)c->restart;
		spec.restart = &restart;
	}
	create.name = (char *)c->name;
	create.spec = &spec;
	create.has_start = create.start = 1;
	create.has_attach = create.attach = c->attach;
	env.has_id = 1;
	env.id = id;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_CREATE;
	env.container_create = &create;
	send_envelope(sock, &env);
}

static void ask_wait(int sock, uint64_t id, const char *ref, const char *condition)
{
	Berth__ContainerWait wait = BERTH__CONTAINER_WAIT__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	wait.ref = (char *)ref;
	wait.condition = (char *)condition;
	env.has_id = 1;
	env.id = id;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_WAIT;
	env.container_wait = &wait;
	send_envelope(sock, &env);
}

static void ask_remove(int sock, uint64_t id, const char *ref)
{
	Berth__ContainerRemove remove = BERTH__CONTAINER_REMOVE__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	remove.ref = (char *)ref;
	remove.has_force = remove.force = 1;
	env.has_id = 1;
	env.id = id;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_REMOVE;
	env.container_remove = &remove;
	send_envelope(sock, &env);
}

static void ask_exec(int sock, uint64_t id, const char *ref, char **argv)
{
	Berth__ExecSpec exec = BERTH__EXEC_SPEC__INIT;
	Berth__ContainerExec request = BERTH__CONTAINER_EXEC__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	exec.command = argv;
	while (argv[exec.n_command])
		exec.n_command++;
	request.ref = (char *)ref;
	request.exec = &exec;
	env.has_id = 1;
	env.id = id;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_EXEC;
	env.container_exec = &request;
	send_envelope(sock, &env);
}

static void ask_info(int sock, uint64_t id)
{
	Berth__InfoRequest info = BERTH__INFO_REQUEST__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	env.has_id = 1;
	env.id = id;
	env.body_case = BERTH__ENVELOPE__BODY_INFO;
	env.info = &info;
	send_envelope(sock, &env);
}

static void ask_list(int sock, uint64_t id, uint64_t after)
{
	Berth__ContainerList list = BERTH__CONTAINER_LIST__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	list.has_all = list.all = 1;
	list.has_after_id = 1;
	list.after_id = after;
	env.has_id = 1;
	env.id = id;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_LIST;
	env.container_list = &list;
	send_envelope(sock, &env);
}

static bool says_gone(const Berth__Envelope *env)
{
	return env->body_case == BERTH__ENVELOPE__BODY_ERROR && env->error->code == BERTH__ERROR__CODE__NOT_FOUND;
}

/* The terminal reply to `id`; others that come before it are dropped. An error ends the driver; gone_is_fine: but that it is not there. */
static Berth__Envelope *answer_or_gone(int sock, uint64_t id, struct wire_fds *fds, bool gone_is_fine)
{
	for (;;) {
		Berth__Envelope *env = receive(sock, fds);

		if (!env)
			die("berthd hung up");
		if (env->body_case == BERTH__ENVELOPE__BODY_ERROR && !(gone_is_fine && says_gone(env)))
			die("berthd: %s", env->error->text ? env->error->text : "an error");
		if (env->id == id && !env->more)
			return env;
		wire_fds_close(fds);
		berth__envelope__free_unpacked(env, NULL);
	}
}

static Berth__Envelope *answer(int sock, uint64_t id, struct wire_fds *fds)
{
	return answer_or_gone(sock, id, fds, false);
}

/* To a wait for the removal of one that may be quicker than that was asked. */
static void answer_removed(int sock, uint64_t id)
{
	struct wire_fds fds;

	berth__envelope__free_unpacked(answer_or_gone(sock, id, &fds, true), NULL);
	wire_fds_close(&fds);
}

static void answer_drop(int sock, uint64_t id)
{
	struct wire_fds fds;

	berth__envelope__free_unpacked(answer(sock, id, &fds), NULL);
	wire_fds_close(&fds);
}

/* Reads a session to its end; the first bytes of stdout go to buf. */
static int session_run(int fd, char *buf, size_t size)
{
	char record[SESSION_MAX];
	size_t used = 0;
	int code = -1, resets = 0;
	char hello[2] = {SESSION_HELLO, SESSION_VERSION};

	/* A short program has ended, and the shim hung up, before we say hello; all it said is there to be read. */
	if (send(fd, hello, sizeof(hello), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		die("session: %s", strerror(errno));
	for (;;) {
		ssize_t n = recv(fd, record, sizeof(record), 0);

		if (n < 0 && errno == EAGAIN) {
			wait_for(fd, POLLIN);
			continue;
		}
		if (n < 0 && errno == ECONNRESET && !resets++)
			continue; /* hung up with our hello unread: the kernel says so before it gives what was sent to us */
		if (n <= 0)
			break;
		if (record[0] == SESSION_STDOUT && used + (size_t)n < size) {
			memcpy(buf + used, record + 1, (size_t)n - 1);
			used += (size_t)n - 1;
		}
		if (record[0] == SESSION_ERROR)
			die("session: %.*s", (int)n - 1, record + 1);
		if (record[0] == SESSION_EXIT) {
			struct session_exit e;

			memcpy(&e, record + 1, sizeof(e));
			code = e.code;
			break;
		}
	}
	if (size)
		buf[used] = '\0';
	return code;
}

/* ---------------------------------------------------------------- what is measured */

static void rest(void)
{
	if (pause_ms)
		usleep(pause_ms * 1000);
}

static char *argv_true[] = {(char *)"/bin/guest", (char *)"exit", (char *)"0", NULL};
static char *argv_clock[] = {(char *)"/bin/guest", (char *)"clock", NULL};
static char *argv_sleep[] = {(char *)"/bin/guest", (char *)"sleep", NULL};
static char *argv_rebirth[] = {(char *)"/bin/guest", (char *)"rebirth", (char *)"/root/when", NULL};

/* run -> exit -> removed: the request and the wait for the removal go out together. */
static void bench_lives(long count)
{
	struct samples s = {0};
	AUTO_FD sock = connect_or_die();

	for (long i = 0; i < count; i++) {
		char name[32];
		uint64_t start = samples_now(), id = (uint64_t)i * 2 + 1;

		snprintf(name, sizeof(name), "life%ld", i);
		ask_create(sock, id, &(struct creation){.name = name, .argv = argv_true, .auto_remove = true});
		ask_wait(sock, id + 1, name, "removed");
		answer_removed(sock, id + 1);
		samples_add(&s, samples_now() - start);
		rest();
	}
	samples_print(&s, "lives");
}

/* request -> the first instruction of the program, which prints the clock; and -> its exit record on the session. */
static void bench_first(long count)
{
	struct samples first = {0}, exited = {0};
	AUTO_FD sock = connect_or_die();

	for (long i = 0; i < count; i++) {
		char name[32], text[64];
		uint64_t start = samples_now(), id = (uint64_t)i * 2 + 1, then;
		struct wire_fds fds;

		snprintf(name, sizeof(name), "first%ld", i);
		ask_create(sock, id,
			   &(struct creation){.name = name, .argv = argv_clock, .auto_remove = true, .attach = true});
		berth__envelope__free_unpacked(answer(sock, id, &fds), NULL);
		if (fds.n != 1)
			die("no session came");
		session_run(fds.fd[0], text, sizeof(text));
		samples_add(&exited, samples_now() - start);
		wire_fds_close(&fds);
		text[strcspn(text, "\n")] = '\0';
		if (str_to_u64(text, &then) < 0)
			die("no clock came: '%s'", text);
		samples_add(&first, then - start);
		ask_wait(sock, id + 1, name, "removed");
		answer_removed(sock, id + 1);
		rest();
	}
	samples_print(&first, "first");
	samples_print(&exited, "exited");
}

/* An interface more for one that runs, and gone again: each from the request to its answer. */
static void bench_connects(const char *name, long count)
{
	Berth__NetworkAsk spec = BERTH__NETWORK_ASK__INIT;
	Berth__NetworkConnect connect = BERTH__NETWORK_CONNECT__INIT;
	Berth__NetworkDisconnect disconnect = BERTH__NETWORK_DISCONNECT__INIT;
	struct samples attach = {0}, detach = {0};
	AUTO_FD sock = connect_or_die();
	uint64_t begun = samples_now(), id = 0;

	connect.ref = disconnect.ref = (char *)name;
	spec.network = disconnect.network = (char *)(network ? network : "default");
	connect.spec = &spec;
	for (long i = 0; i < count * 2; i++) {
		Berth__Envelope env = BERTH__ENVELOPE__INIT;
		uint64_t start = samples_now();

		env.has_id = 1;
		env.id = ++id;
		env.body_case =
			i % 2 ? BERTH__ENVELOPE__BODY_NETWORK_DISCONNECT : BERTH__ENVELOPE__BODY_NETWORK_CONNECT;
		if (i % 2)
			env.network_disconnect = &disconnect;
		else
			env.network_connect = &connect;
		send_envelope(sock, &env);
		answer_drop(sock, id);
		samples_add(i % 2 ? &detach : &attach, samples_now() - start);
	}
	samples_print(&attach, "attach");
	samples_print(&detach, "detach");
	printf("pairs n=%ld per_second=%.1f\n", count, (double)count * 1e9 / (double)(samples_now() - begun));
}

#define CONNECTIONS_MAX 16
#define IN_FLIGHT_MAX	32 /* on one connection: berthd bounds what one may have unanswered */

/* The next answer on any of them; *ret_sock says on which. */
static Berth__Envelope *receive_any(struct pollfd *socks, unsigned n, unsigned *ret_sock, struct wire_fds *fds)
{
	for (;;) {
		while (poll(socks, n, -1) < 0)
			if (errno != EINTR)
				die("poll: %s", strerror(errno));
		for (unsigned i = 0; i < n; i++) {
			Berth__Envelope *env = socks[i].revents ? receive(socks[i].fd, fds) : NULL;

			if (socks[i].revents && !env)
				die("berthd hung up");
			*ret_sock = i;
			if (env)
				return env;
		}
	}
}

/* `width` starts in flight until `count` are done; each container ends at once and removes itself. */
static void bench_starts(long count, long width)
{
	struct samples s = {0};
	struct pollfd socks[CONNECTIONS_MAX];
	long in_flight[CONNECTIONS_MAX] = {0}, sent = 0, done = 0;
	unsigned n = (unsigned)((width + IN_FLIGHT_MAX - 1) / IN_FLIGHT_MAX), at_sock = 0;
	uint64_t *at = calloc((size_t)count + 1, sizeof(*at)), begun, took;

	if (!at || n > CONNECTIONS_MAX)
		die("too many");
	for (unsigned i = 0; i < n; i++)
		socks[i] = (struct pollfd){.fd = connect_or_die(), .events = POLLIN};
	begun = samples_now();
	while (done < count) {
		struct wire_fds fds;
		Berth__Envelope *env;

		while (sent < count && sent - done < width) {
			while (in_flight[at_sock] >= IN_FLIGHT_MAX)
				at_sock = (at_sock + 1) % n;
			at[++sent] = samples_now();
			ask_create(socks[at_sock].fd, (uint64_t)sent,
				   &(struct creation){.argv = argv_true, .auto_remove = true});
			in_flight[at_sock]++;
		}
		env = receive_any(socks, n, &at_sock, &fds);
		if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
			die("start: %s", env->error->text ? env->error->text : "an error");
		if (env->body_case == BERTH__ENVELOPE__BODY_CONTAINER_REPLY && !env->more) {
			samples_add(&s, samples_now() - at[env->id]);
			in_flight[at_sock]--;
			done++;
		}
		wire_fds_close(&fds);
		berth__envelope__free_unpacked(env, NULL);
	}
	took = samples_now() - begun;
	samples_print(&s, "starts");
	printf("rate n=%ld per_second=%.1f\n", count, (double)count * 1e9 / (double)took);
	for (unsigned i = 0; i < n; i++)
		close(socks[i].fd);
	free(at);
}

static void wait_running(int sock, uint64_t id, long count)
{
	for (;;) {
		struct wire_fds fds;
		Berth__Envelope *env;
		long running;

		ask_info(sock, id);
		env = answer(sock, id++, &fds);
		running = (long)env->info_reply->containers_running;
		berth__envelope__free_unpacked(env, NULL);
		if (running == count)
			return;
		usleep(2000);
	}
}

static void bench_fill(long count, long width)
{
	AUTO_FD sock = connect_or_die();
	uint64_t begun = samples_now();
	long sent = 0, done = 0;

	while (done < count) {
		char name[32];

		while (sent < count && sent - done < width) {
			snprintf(name, sizeof(name), "fill%ld", sent++);
			ask_create(sock, (uint64_t)sent, &(struct creation){.name = name, .argv = argv_sleep});
		}
		struct wire_fds fds;
		Berth__Envelope *env = receive(sock, &fds);

		if (!env)
			die("berthd hung up");
		if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
			die("fill: %s", env->error->text ? env->error->text : "an error");
		done += !env->more;
		berth__envelope__free_unpacked(env, NULL);
	}
	printf("fill n=%ld per_second=%.1f\n", count, (double)count * 1e9 / (double)(samples_now() - begun));
}

/* Removals are answered in the order in which they end, not in which they were asked. */
static void bench_empty(long count)
{
	AUTO_FD sock = connect_or_die();
	uint64_t begun = samples_now();
	long sent = 0, done = 0;

	while (done < count) {
		struct wire_fds fds;
		Berth__Envelope *env;
		char name[32];

		while (sent < count && sent - done < 32) {
			snprintf(name, sizeof(name), "fill%ld", sent++);
			ask_remove(sock, (uint64_t)sent, name);
		}
		env = receive(sock, &fds);
		if (!env)
			die("berthd hung up");
		if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
			die("empty: %s", env->error->text ? env->error->text : "an error");
		done += env->has_id && !env->more;
		berth__envelope__free_unpacked(env, NULL);
	}
	printf("empty n=%ld per_second=%.1f\n", count, (double)count * 1e9 / (double)(samples_now() - begun));
}

/* Request -> first instruction, and -> exit record, of an exec in a running container. */
static void bench_exec(long count)
{
	struct samples first = {0}, exited = {0};
	AUTO_FD sock = connect_or_die();
	struct wire_fds fds;

	ask_create(sock, 1, &(struct creation){.name = "execbox", .argv = argv_sleep});
	answer_drop(sock, 1);
	for (long i = 0; i < count; i++) {
		uint64_t start = samples_now(), then;
		char text[64];

		ask_exec(sock, (uint64_t)i + 2, "execbox", argv_clock);
		berth__envelope__free_unpacked(answer(sock, (uint64_t)i + 2, &fds), NULL);
		if (fds.n != 1)
			die("no session came");
		session_run(fds.fd[0], text, sizeof(text));
		samples_add(&exited, samples_now() - start);
		wire_fds_close(&fds);
		text[strcspn(text, "\n")] = '\0';
		if (str_to_u64(text, &then) < 0)
			die("no clock came: '%s'", text);
		samples_add(&first, then - start);
		rest();
	}
	ask_remove(sock, (uint64_t)count + 2, "execbox");
	answer_drop(sock, (uint64_t)count + 2);
	samples_print(&first, "exec_first");
	samples_print(&exited, "exec_exited");
}

#define RESTARTED_MS 20

/* Last instruction of a program -> first instruction of its next life under `always`; the program measures it itself. */
static void bench_restart(long count)
{
	struct samples s = {0};
	AUTO_FD sock = connect_or_die();

	for (long i = 0; i < count; i++) {
		char name[32], text[128] = "";
		uint64_t id = (uint64_t)i * 2 + 1, dead;
		struct wire_fds fds;
		size_t used = 0;

		snprintf(name, sizeof(name), "rebirth%ld", i);
		ask_create(sock, id,
			   &(struct creation){.name = name,
					      .argv = argv_rebirth,
					      .attach = true,
					      .restart = BERTH__RESTART_POLICY__KIND__ALWAYS});
		berth__envelope__free_unpacked(answer(sock, id, &fds), NULL);
		wire_fds_close(&fds);
		/* The session ended with the first life; the second one's line is in the log. Each look is a job of berthd's, which
		 * would run beside what is measured. */
		usleep(RESTARTED_MS * 1000);
		for (int tries = 0; !strstr(text, "dead for") && tries < 2000; tries++) {
			Berth__ContainerLogs logs = BERTH__CONTAINER_LOGS__INIT;
			Berth__Envelope env = BERTH__ENVELOPE__INIT;
			ssize_t n;

			usleep(1000);
			logs.ref = name;
			logs.has_want_stdout = logs.want_stdout = 1;
			env.has_id = 1;
			env.id = id + 1;
			env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_LOGS;
			env.container_logs = &logs;
			send_envelope(sock, &env);
			berth__envelope__free_unpacked(answer(sock, id + 1, &fds), NULL);
			used = 0;
			while (fds.n && used < sizeof(text) - 1) {
				n = read(fds.fd[0], text + used, sizeof(text) - 1 - used);
				if (n < 0 && errno == EAGAIN) {
					wait_for(fds.fd[0], POLLIN);
					continue;
				}
				if (n <= 0)
					break;
				used += (size_t)n;
			}
			text[used] = '\0';
			wire_fds_close(&fds);
		}
		char *at = strstr(text, "dead for ");

		if (!at)
			die("no second life");
		at += strlen("dead for ");
		at[strcspn(at, " ")] = '\0';
		if (str_to_u64(at, &dead) < 0)
			die("no number: '%s'", at);
		samples_add(&s, dead);
		ask_remove(sock, id + 1, name);
		answer_drop(sock, id + 1);
	}
	samples_print(&s, "restart");
}

static void bench_list(long count)
{
	struct samples s = {0};
	AUTO_FD sock = connect_or_die();
	size_t seen = 0;

	for (long i = 0; i < count; i++) {
		uint64_t start = samples_now(), after = 0;

		seen = 0;
		do {
			struct wire_fds fds;
			Berth__Envelope *env;

			ask_list(sock, (uint64_t)i + 1, after);
			env = answer(sock, (uint64_t)i + 1, &fds);
			seen += env->container_list_reply->n_containers;
			after = env->container_list_reply->next_after_id;
			wire_fds_close(&fds);
			berth__envelope__free_unpacked(env, NULL);
		} while (after);
		samples_add(&s, samples_now() - start);
	}
	samples_print(&s, "list");
	printf("listed n=%zu\n", seen);
}

/* From now (berthd was just started by the caller, who gives the clock) until it answers that `count` run. */
static void bench_adopted(long count, uint64_t begun)
{
	int sock;
	uint64_t answered;

	while ((sock = try_connect()) < 0)
		usleep(200);
	answered = samples_now();
	if (count)
		wait_running(sock, 1, count);
	printf("adopted n=%ld answers_ms=%.2f all_ms=%.2f\n", count, (double)(answered - begun) / 1e6,
	       (double)(samples_now() - begun) / 1e6);
	close(sock);
}

/* ---------------------------------------------------------------- whole command lines */

extern char **environ;

/* Runs argv `count` times; with clock, stdout is the monotonic clock of the first instruction. "{}" in an argument becomes the number of the run. */
static void bench_commands(const char *name, long count, bool clock, char **argv)
{
	struct samples first = {0}, whole = {0};
	char label[128];

	for (long i = 0; i < count; i++) {
		posix_spawn_file_actions_t actions;
		char text[64] = "", *args[64], copy[64][256];
		int out[2], status, n = 0;
		uint64_t start, then;
		pid_t pid;

		for (; argv[n] && n < 63; n++) {
			char *mark = strstr(argv[n], "{}");

			args[n] = argv[n];
			if (mark) {
				snprintf(copy[n], sizeof(copy[n]), "%.*s%ld%s", (int)(mark - argv[n]), argv[n], i,
					 mark + 2);
				args[n] = copy[n];
			}
		}
		args[n] = NULL;
		if (pipe2(out, O_CLOEXEC) < 0)
			die("pipe: %s", strerror(errno));
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
		posix_spawn_file_actions_adddup2(&actions, out[1], 1);
		start = samples_now();
		if (posix_spawnp(&pid, args[0], &actions, NULL, args, environ))
			die("%s: %s", args[0], strerror(errno));
		close(out[1]);
		for (size_t used = 0;;) { /* the clock is in the first bytes; the rest is read away */
			char rest[4096];
			bool more = used + 1 < sizeof(text);
			ssize_t r = more ? read(out[0], text + used, sizeof(text) - 1 - used)
					 : read(out[0], rest, sizeof(rest));

			if (r <= 0)
				break;
			if (more) {
				used += (size_t)r;
				text[used] = '\0';
			}
		}
		close(out[0]);
		while (waitpid(pid, &status, 0) < 0)
			;
		samples_add(&whole, samples_now() - start);
		posix_spawn_file_actions_destroy(&actions);
		if (status)
			die("%s: status %d: %s", args[0], status, text);
		if (!clock)
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (str_to_u64(text, &then) < 0)
			die("%s: no clock came: '%s'", args[0], text);
		samples_add(&first, then - start);
	}
	samples_print(&whole, name);
	if (clock) {
		snprintf(label, sizeof(label), "%s_first", name);
		samples_print(&first, label);
	}
}

/* ---------------------------------------------------------------- main */

static long number(const char *text)
{
	uint64_t n;

	if (str_to_u64(text, &n) < 0)
		die("not a number: %s", text);
	return (long)n;
}

static void what_lives(char **arg)
{
	bench_lives(number(arg[0]));
}

static void what_first(char **arg)
{
	bench_first(number(arg[0]));
}

static void what_starts(char **arg)
{
	bench_starts(number(arg[0]), number(arg[1]));
}

static void what_fill(char **arg)
{
	bench_fill(number(arg[0]), number(arg[1]));
}

static void what_empty(char **arg)
{
	bench_empty(number(arg[0]));
}

static void what_exec(char **arg)
{
	bench_exec(number(arg[0]));
}

static void what_restart(char **arg)
{
	bench_restart(number(arg[0]));
}

static void what_list(char **arg)
{
	bench_list(number(arg[0]));
}

static void what_adopted(char **arg)
{
	bench_adopted(number(arg[0]), (uint64_t)number(arg[1]));
}

static void what_connects(char **arg)
{
	bench_connects(arg[0], number(arg[1]));
}

static void what_commands(char **arg)
{
	bench_commands(arg[0], number(arg[1]), false, arg + 2);
}

static void what_clocked(char **arg)
{
	bench_commands(arg[0], number(arg[1]), true, arg + 2);
}

static void what_now(char **arg)
{
	printf("%llu\n", (unsigned long long)samples_now());
}

static const struct row {
	const char *name;
	int n_args;
	const char *usage;
	void (*run)(char **arg);
} rows[] = {
	{"lives", 1, "COUNT", what_lives},
	{"first", 1, "COUNT", what_first},
	{"connects", 2, "CONTAINER COUNT", what_connects},
	{"starts", 2, "COUNT AT_ONCE", what_starts},
	{"fill", 2, "COUNT AT_ONCE", what_fill},
	{"empty", 1, "COUNT", what_empty},
	{"exec", 1, "COUNT", what_exec},
	{"restart", 1, "COUNT", what_restart},
	{"list", 1, "COUNT", what_list},
	{"adopted", 2, "COUNT CLOCK", what_adopted},
	{"commands", 3, "NAME COUNT COMMAND...", what_commands},
	{"clocked", 3, "NAME COUNT COMMAND...", what_clocked},
	{"now", 0, "", what_now},
};

static int usage(void)
{
	fprintf(stderr, "usage: driver [-s SOCKET] [-i IMAGE] [-p PAUSE_MS] [-n NETWORK] WHAT...\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		fprintf(stderr, "  %s %s\n", rows[i].name, rows[i].usage);
	return 64;
}

int main(int argc, char **argv)
{
	int opt;
	size_t row;

	while ((opt = getopt(argc, argv, "+s:i:p:n:")) != -1) {
		if (opt == 's')
			socket_path = optarg;
		else if (opt == 'i')
			image = optarg;
		else if (opt == 'n')
			network = optarg;
		else if (opt == 'p')
			pause_ms = (unsigned)number(optarg);
		else
			return usage();
	}
	argv += optind;
	argc -= optind;
	for (row = 0; argc && row < ARRAY_SIZE(rows) && strcmp(rows[row].name, argv[0]); row++)
		;
	if (!argc || row == ARRAY_SIZE(rows) || argc - 1 < rows[row].n_args)
		return usage();
	rows[row].run(argv + 1);
	return 0;
}
