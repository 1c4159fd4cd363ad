/* tests/unit/test_ctl_client.c - the client against a scripted berthd: what it asks again, what it says when nobody is there. */
#include "unit.h"

#include "base/loop.h"
#include "ctl/client.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* What the server does with the requests of one connection, in order: one letter each.
 * a answer with the ref as uuid · u UNAVAILABLE · x close without an answer · m one answer with more, then the terminal one ·
 * - no Hello even · h hold: answered after the next one · e an error */
struct script {
	const char *connections[4];
	char path[64];
	int listen_fd;
	pthread_t thread;
	/* what was seen */
	char tokens[8][UUID_SIZE];
	char bodies[8][8]; /* of descriptors sent along */
	unsigned n_seen;
};

static void wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	poll(&p, 1, 5000);
}

static Berth__Envelope *server_recv(int fd, struct wire_fds *fds)
{
	static _Thread_local char data[WIRE_MAX];
	size_t len;
	int r;

	while ((r = wire_recv(fd, data, sizeof data, &len, fds)) == WIRE_AGAIN)
		wait_readable(fd);
	return r ? NULL : envelope_unpack(data, len, fds);
}

static void server_answer(int fd, const Berth__Envelope *request, const char *text, bool more, int code)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Done done = BERTH__DONE__INIT;
	Berth__Error error = BERTH__ERROR__INIT;

	env.has_id = true;
	env.id = request->id;
	env.has_more = env.more = more;
	done.uuid = error.text = (char *)(uintptr_t)text;
	if (code) {
		error.has_code = true;
		error.code = code;
		env.body_case = BERTH__ENVELOPE__BODY_ERROR;
		env.error = &error;
	} else {
		env.body_case = BERTH__ENVELOPE__BODY_DONE;
		env.done = &done;
	}
	assert_int_equal(envelope_send(fd, &env, NULL, 0), 0);
}

static void server_hello(int fd)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Hello hello = BERTH__HELLO__INIT;

	hello.has_version = hello.has_oldest = true;
	hello.version = hello.oldest = 1;
	hello.software = (char *)(uintptr_t) "berthd test";
	env.body_case = BERTH__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	assert_int_equal(envelope_send(fd, &env, NULL, 0), 0);
}

static const char *ref_of(const Berth__Envelope *env)
{
	return env->body_case == BERTH__ENVELOPE__BODY_CONTAINER_STOP ? env->container_stop->ref
	       : env->body_case == BERTH__ENVELOPE__BODY_IMAGE_IMPORT ? "import"
								      : "other";
}

static void script_note(struct script *s, const Berth__Envelope *env, const struct wire_fds *fds)
{
	snprintf(s->tokens[s->n_seen], UUID_SIZE, "%s", env->client_token ? env->client_token : "");
	if (fds->n)
		assert_true(read(fds->fd[0], s->bodies[s->n_seen], 4) >= 0);
	s->n_seen++;
}

static void serve(struct script *s, int fd, const char *steps)
{
	struct wire_fds fds = {0};
	Berth__Envelope *env, *held = NULL;

	if (*steps == '-')
		return;
	env = server_recv(fd, &fds);
	if (!env)
		return;
	berth__envelope__free_unpacked(env, NULL);
	server_hello(fd);
	for (; *steps && (env = server_recv(fd, &fds)); steps++) {
		script_note(s, env, &fds);
		wire_fds_close(&fds);
		if (*steps == 'm')
			server_answer(fd, env, "on the way", true, 0);
		if (*steps == 'u')
			server_answer(fd, env, "going down", false, BERTH__ERROR__CODE__UNAVAILABLE);
		if (*steps == 'e')
			server_answer(fd, env, "no such container", false, BERTH__ERROR__CODE__NOT_FOUND);
		if (*steps == 'a' || *steps == 'm')
			server_answer(fd, env, ref_of(env), false, 0);
		if (held)
			server_answer(fd, held, ref_of(held), false, 0);
		if (held)
			berth__envelope__free_unpacked(held, NULL);
		held = *steps == 'h' ? env : NULL;
		if (!held)
			berth__envelope__free_unpacked(env, NULL);
	}
}

static void *script_thread(void *arg)
{
	struct script *s = arg;

	for (unsigned i = 0; s->connections[i]; i++) {
		AUTO_FD fd = -1;

		wait_readable(s->listen_fd);
		fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		assert_true(fd >= 0);
		serve(s, fd, s->connections[i]);
	}
	return NULL;
}

static void script_start(struct script *s)
{
	snprintf(s->path, sizeof s->path, "/tmp/test-ctl-client-%d", getpid());
	s->listen_fd = wire_listen(s->path, 0600, 8);
	assert_true(s->listen_fd >= 0);
	assert_int_equal(pthread_create(&s->thread, NULL, script_thread, s), 0);
}

static void script_end(struct script *s)
{
	pthread_join(s->thread, NULL);
	close(s->listen_fd);
	unlink(s->path);
}

/* Asks to stop "one", and maybe "two" at the same time. */
static void ask_stop(struct script *s, unsigned n, struct ask *asks, int want)
{
	static Berth__ContainerStop stops[2];
	struct client c = CLIENT_NULL;
	struct err e = {0};
	int r;

	script_start(s);
	c.path = s->path;
	assert_int_equal(client_open(&c, &e), 0);
	for (unsigned i = 0; i < n; i++) {
		void (*more)(struct ask *, const Berth__Envelope *) = asks[i].more;
		void *arg = asks[i].arg;

		berth__container_stop__init(&stops[i]);
		stops[i].ref = (char *)(uintptr_t)(i ? "two" : "one");
		ask_init(&asks[i], BERTH__ENVELOPE__BODY_CONTAINER_STOP, &stops[i]);
		asks[i].more = more;
		asks[i].arg = arg;
	}
	r = client_ask_all(&c, asks, n, &e);
	if (r != want)
		fail_msg("%d: %s", r, e.text);
	client_close(&c);
	script_end(s);
}

static void an_answer_comes_back_to_its_request(void **state)
{
	struct script s = {.connections = {"ha"}};
	struct ask asks[2] = {0};

	(void)state;
	ask_stop(&s, 2, asks, 0);
	assert_string_equal(asks[0].reply->done->uuid, "one");
	assert_string_equal(asks[1].reply->done->uuid, "two");
	assert_string_not_equal(s.tokens[0], s.tokens[1]);
	ask_fini(&asks[0]);
	ask_fini(&asks[1]);
}

static void count(struct ask *a, const Berth__Envelope *reply)
{
	assert_string_equal(reply->done->uuid, "on the way");
	++*(int *)a->arg;
}

static void progress_comes_before_the_answer(void **state)
{
	struct script s = {.connections = {"m"}};
	int n = 0;
	struct ask a = {.more = count, .arg = &n};

	(void)state;
	ask_stop(&s, 1, &a, 0);
	assert_int_equal(n, 1);
	assert_string_equal(a.reply->done->uuid, "one");
	ask_fini(&a);
}

static void a_lost_request_is_asked_again_with_the_same_token(void **state)
{
	struct script s = {.connections = {"x", "x", "a"}};
	struct ask a = {0};

	(void)state;
	ask_stop(&s, 1, &a, 0);
	assert_string_equal(a.reply->done->uuid, "one");
	assert_int_equal(s.n_seen, 3);
	assert_int_equal(strlen(s.tokens[0]), 36);
	assert_string_equal(s.tokens[0], s.tokens[1]);
	assert_string_equal(s.tokens[0], s.tokens[2]);
	ask_fini(&a);
}

static void ask_once(struct script *s, struct ask *a, int want)
{
	Berth__ContainerExec exec = BERTH__CONTAINER_EXEC__INIT;
	struct client c = CLIENT_NULL;
	struct err e = {0};

	script_start(s);
	c.path = s->path;
	assert_int_equal(client_open(&c, &e), 0);
	ask_init(a, BERTH__ENVELOPE__BODY_CONTAINER_EXEC, &exec);
	a->once = true;
	assert_int_equal(client_ask(&c, a, &e), want);
	client_close(&c);
	script_end(s);
}

static void a_request_for_a_descriptor_is_not_asked_twice_unless_it_was_refused(void **state)
{
	struct script lost = {.connections = {"x"}}, refused = {.connections = {"u", "a"}};
	struct ask a;

	(void)state;
	ask_once(&lost, &a, -EINVAL);
	assert_true(a.lost);
	assert_string_equal(lost.tokens[0], ""); /* berthd could not repeat the answer */
	ask_fini(&a);
	ask_once(&refused, &a, 0);
	assert_false(a.lost);
	assert_non_null(a.reply);
	ask_fini(&a);
}

static void unavailable_is_not_an_answer_but_a_reason_to_ask_again(void **state)
{
	struct script s = {.connections = {"u", "a"}};
	struct ask a = {0};

	(void)state;
	ask_stop(&s, 1, &a, 0);
	assert_string_equal(a.reply->done->uuid, "one");
	assert_string_equal(s.tokens[0], s.tokens[1]);
	ask_fini(&a);
}

static void only_what_was_not_answered_is_asked_again(void **state)
{
	struct script s = {.connections = {"ax", "a"}};
	struct ask asks[2] = {0};

	(void)state;
	ask_stop(&s, 2, asks, 0);
	assert_string_equal(asks[0].reply->done->uuid, "one");
	assert_string_equal(asks[1].reply->done->uuid, "two");
	assert_int_equal(s.n_seen, 3);
	assert_string_equal(s.tokens[1], s.tokens[2]);
	ask_fini(&asks[0]);
	ask_fini(&asks[1]);
}

static void a_refusal_is_an_answer(void **state)
{
	struct script s = {.connections = {"e"}};
	struct ask a = {0};

	(void)state;
	ask_stop(&s, 1, &a, 0);
	assert_non_null(ask_error(&a));
	assert_int_equal(ask_error(&a)->code, BERTH__ERROR__CODE__NOT_FOUND);
	ask_fini(&a);
}

static void a_berthd_that_is_just_going_is_tried_again_at_once(void **state)
{
	struct script s = {.connections = {"-", "-", "a"}};
	struct ask a = {0};

	(void)state;
	ask_stop(&s, 1, &a, 0);
	assert_string_equal(a.reply->done->uuid, "one");
	ask_fini(&a);
}

static int import_ask(struct script *s, int fd, struct ask *a, struct err *e)
{
	static Berth__ImageImport import;
	struct client c = CLIENT_NULL;
	int r;

	script_start(s);
	c.path = s->path;
	assert_int_equal(client_open(&c, e), 0);
	berth__image_import__init(&import);
	ask_init(a, BERTH__ENVELOPE__BODY_IMAGE_IMPORT, &import);
	a->fds = &fd;
	a->n_fds = 1;
	r = client_ask(&c, a, e);
	client_close(&c);
	script_end(s);
	return r;
}

static void a_file_is_sent_again_from_its_beginning(void **state)
{
	struct script s = {.connections = {"x", "a"}};
	char path[] = "/tmp/test-ctl-client-XXXXXX";
	AUTO_FD fd = mkstemp(path);
	struct err e;
	struct ask a;

	(void)state;
	unlink(path);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(import_ask(&s, fd, &a, &e), 0);
	assert_string_equal(s.bodies[0], "0123");
	assert_string_equal(s.bodies[1], "0123");
	ask_fini(&a);
}

static void a_stream_is_not_sent_twice(void **state)
{
	struct script s = {.connections = {"x", ""}};
	struct err e;
	struct ask a;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(write(p[1], "0123456789", 10), 10);
	assert_true(import_ask(&s, p[0], &a, &e) < 0);
	assert_non_null(strstr(e.text, "a stream cannot be sent again"));
	assert_int_equal(s.n_seen, 1);
	ask_fini(&a);
	close(p[0]);
	close(p[1]);
}

static void nobody_there_is_said_at_once_and_in_words(void **state)
{
	struct client c = {.fd = -1, .path = "/tmp/test-ctl-no-such-socket"};
	uint64_t before = now_ns();
	struct err e;
	char path[64];
	int fd;

	(void)state;
	assert_true(client_open(&c, &e) < 0);
	assert_non_null(strstr(e.text, "there is no socket /tmp/test-ctl-no-such-socket"));
	assert_int_equal(e.code, 0);
	snprintf(path, sizeof path, "/tmp/test-ctl-dead-%d", getpid());
	fd = wire_listen(path, 0600, 1);
	close(fd);
	c.path = path;
	assert_true(client_open(&c, &e) < 0);
	assert_non_null(strstr(e.text, "nobody listens on"));
	unlink(path);
	assert_true(now_ns() - before < NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_comes_back_to_its_request),
		cmocka_unit_test(progress_comes_before_the_answer),
		cmocka_unit_test(a_lost_request_is_asked_again_with_the_same_token),
		cmocka_unit_test(a_request_for_a_descriptor_is_not_asked_twice_unless_it_was_refused),
		cmocka_unit_test(unavailable_is_not_an_answer_but_a_reason_to_ask_again),
		cmocka_unit_test(only_what_was_not_answered_is_asked_again),
		cmocka_unit_test(a_refusal_is_an_answer),
		cmocka_unit_test(a_berthd_that_is_just_going_is_tried_again_at_once),
		cmocka_unit_test(a_file_is_sent_again_from_its_beginning),
		cmocka_unit_test(a_stream_is_not_sent_twice),
		cmocka_unit_test(nobody_there_is_said_at_once_and_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
