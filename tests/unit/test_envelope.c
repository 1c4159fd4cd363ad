/* tests/unit/test_envelope.c - an Envelope comes back as it was sent, small or spilled, and bad bytes never do. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "proto/envelope.h"

#include <sys/mman.h>

static int pair[2];
static char buf[WIRE_MAX];
static int fds_before;

static int setup(void **state)
{
	fds_before = open_fds();
	return wire_pair(pair);
}

static int teardown(void **state)
{
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	return open_fds() == fds_before ? 0 : -1;
}

static Berth__Envelope *receive(struct wire_fds *fds)
{
	size_t len;

	assert_int_equal(wire_recv(pair[1], buf, sizeof buf, &len, fds), 0);
	return envelope_unpack(buf, len, fds);
}

static Berth__Envelope *unpack(const void *data, size_t len)
{
	/* Exactly as long: a step too far is seen by the sanitizer. */
	AUTO_FREE void *copy = malloc(len ? len : 1);
	struct wire_fds fds = {0};

	memcpy(copy, data, len);
	return envelope_unpack(copy, len, &fds);
}

#define FREE(env) berth__envelope__free_unpacked(env, NULL)

static void make_kill(Berth__Envelope *env, Berth__ContainerKill *body, const char *ref)
{
	berth__envelope__init(env);
	berth__container_kill__init(body);
	env->has_id = true;
	env->id = 42;
	body->ref = (char *)ref;
	env->container_kill = body;
	env->body_case = BERTH__ENVELOPE__BODY_CONTAINER_KILL;
}

static void a_small_one_is_one_record(void **state)
{
	Berth__ContainerKill body;
	Berth__Envelope env, *got;
	struct wire_fds fds;
	int fd = pair[0];

	make_kill(&env, &body, "caf\xc3\xa9");
	assert_int_equal(envelope_send(pair[0], &env, &fd, 1), 0);
	got = receive(&fds);
	assert_non_null(got);
	assert_int_equal(got->id, 42);
	assert_string_equal(got->container_kill->ref, "caf\xc3\xa9");
	assert_string_equal(envelope_body_name(got), "container_kill");
	assert_int_equal(fds.n, 1);
	wire_fds_close(&fds);
	FREE(got);
}

static char *long_text(size_t len)
{
	char *s = malloc(len + 1);

	memset(s, 'a', len);
	s[len] = 0;
	return s;
}

static void a_large_one_spills_and_comes_back_whole(void **state)
{
	static const size_t sizes[] = {WIRE_MAX - 100, WIRE_MAX - 9, WIRE_MAX,
				       WIRE_MAX + 1,   1 << 20,	     ENVELOPE_MAX - 100};
	Berth__ContainerKill body;
	Berth__Envelope env, *got;
	struct wire_fds fds;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		AUTO_FREE char *text = long_text(sizes[i]);
		int two[2] = {pair[0], pair[1]};

		make_kill(&env, &body, text);
		assert_row(envelope_send(pair[0], &env, two, 2) == 0, i);
		got = receive(&fds);
		assert_row(got, i);
		assert_row(!strcmp(got->container_kill->ref, text), i);
		/* The sender's own descriptors stay, the memory's is gone. */
		assert_row(fds.n == 2, i);
		wire_fds_close(&fds);
		FREE(got);
	}
}

static void the_border_of_spilling_is_the_record(void **state)
{
	AUTO_FREE char *text = long_text(WIRE_MAX);
	Berth__ContainerKill body;
	Berth__Envelope env;
	void *data;
	size_t len;
	int memfd;

	make_kill(&env, &body, text);
	for (size_t cut = 0; cut < 30; cut++) {
		text[WIRE_MAX - cut] = 0;
		assert_int_equal(envelope_pack(&env, &data, &len, &memfd), 0);
		assert_row((memfd >= 0) == (berth__envelope__get_packed_size(&env) > WIRE_MAX), cut);
		assert_row(len <= WIRE_MAX && len > 0, cut);
		free(data);
		close_fd(&memfd);
	}
}

static void what_is_too_large_is_refused_before_sending(void **state)
{
	AUTO_FREE char *text = long_text(ENVELOPE_MAX);
	int list[WIRE_FDS_MAX] = {0};
	Berth__ContainerKill body;
	Berth__Envelope env;

	make_kill(&env, &body, text);
	assert_int_equal(envelope_send(pair[0], &env, NULL, 0), -E2BIG);
	text[WIRE_MAX] = 0;
	/* No place left for the memory's descriptor. */
	assert_int_equal(envelope_send(pair[0], &env, list, WIRE_FDS_MAX), -EINVAL);
	berth__envelope__init(&env);
	assert_int_equal(envelope_send(pair[0], &env, NULL, 0), -EINVAL);
}

static Berth__Envelope *unpack_spilled(int memfd)
{
	static const char note[] = {0x48, 1}; /* field 9, true */
	struct wire_fds fds = {{memfd}, memfd >= 0};
	Berth__Envelope *env = envelope_unpack(note, sizeof note, &fds);

	wire_fds_close(&fds);
	return env;
}

static void a_spill_must_be_sealed_present_and_the_end_of_it(void **state)
{
	static const char hello[] = {0x52, 0}, note[] = {0x48, 1};
	Berth__Envelope *env;
	int fd;

	env = unpack_spilled(memfd_sealed("test", hello, sizeof hello));
	assert_non_null(env);
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_HELLO);
	FREE(env);
	assert_null(unpack_spilled(-1));
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, hello, sizeof hello), sizeof hello);
	assert_null(unpack_spilled(fd));
	assert_null(unpack_spilled(open("/etc/passwd", O_RDONLY | O_CLOEXEC)));
	assert_null(unpack_spilled(memfd_sealed("test", note, sizeof note)));
	assert_null(unpack_spilled(memfd_sealed("test", "", 0)));
	assert_null(unpack_spilled(memfd_sealed("test", "\xff", 1)));
	AUTO_FREE char *big = long_text(ENVELOPE_MAX + 1);
	assert_null(unpack_spilled(memfd_sealed("test", big, ENVELOPE_MAX + 1)));
}

static void a_note_of_a_spill_says_nothing_else(void **state)
{
	static const char note[] = {0x48, 1, 0x52, 0}; /* spill and a hello */
	static const char hello[] = {0x52, 0};
	struct wire_fds fds = {{memfd_sealed("test", hello, sizeof hello)}, 1};

	assert_null(envelope_unpack(note, sizeof note, &fds));
	wire_fds_close(&fds);
}

static void bad_bytes_are_refused(void **state)
{
	static const struct {
		const char *why, *data;
		size_t len;
	} rows[] = {
		{"cut key", "\xff", 1},
		{"cut varint", "\x08\xff", 2},
		{"a varint without end", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
		{"field 0", "\x00\x00", 2},
		{"string longer than the record",
		 "\x12\x05"
		 "ab",
		 4},
		{"string of 2^64-1",
		 "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
		 "a",
		 12},
		{"cut message",
		 "\xba\x01\x05\x0a\x01"
		 "a",
		 6},
		{"a group", "\x0b\x0c", 2},
		{"an unknown wire type", "\x0f", 1},
		{"a string as a number", "\x10\x01", 2},
		{"not UTF-8", "\x12\x02\xc3(", 4},
		{"a NUL in a string",
		 "\x12\x03"
		 "a\0b",
		 5},
		{"a NUL at its end",
		 "\x12\x02"
		 "a\0",
		 4},
		{"a NUL further in", "\xba\x01\x03\x0a\x01\0", 6},
		{"not UTF-8 further in", "\xba\x01\x03\x0a\x01\xff", 6},
		{"not UTF-8 in a value that is replaced",
		 "\x12\x01\xff\x12\x01"
		 "a",
		 6},
		{"cut 64 bits", "\xf9\x07\0\0\0\0", 6},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__Envelope *env = unpack(rows[i].data, rows[i].len);

		if (env)
			fail_msg("%s: taken", rows[i].why);
	}
}

static void every_cut_of_a_good_record_is_handled(void **state)
{
	Berth__ContainerKill body;
	Berth__Envelope env, *got;
	uint8_t data[64];
	size_t len;

	make_kill(&env, &body, "name");
	env.token = (char *)"secret";
	len = berth__envelope__pack(&env, data);
	assert_true(len < sizeof data);
	for (size_t cut = 0; cut < len; cut++) {
		got = unpack(data, cut);
		/* A cut between two fields is a shorter record and a good one; nothing of it may be half. */
		if (got) {
			assert_true(!got->token || !strcmp(got->token, "secret"));
			assert_true(got->body_case == BERTH__ENVELOPE__BODY__NOT_SET);
			FREE(got);
		}
	}
}

static void what_a_newer_version_says_is_passed_over(void **state)
{
	/* id 7, then field 999 of each kind, in the future's body */
	static const char data[] = "\x08\x07\xb8\x3e\x01\xb9\x3e"
				   "12345678"
				   "\xba\x3e\x03\0\xff\0\xbd\x3e"
				   "1234";
	Berth__Envelope *env = unpack(data, sizeof data - 1);

	assert_non_null(env);
	assert_int_equal(env->id, 7);
	assert_string_equal(envelope_body_name(env), "none");
	FREE(env);
}

/* Two bytes each become a structure of hundreds: without a bound 8 MiB would ask for more than a GiB. */
static void a_small_record_cannot_claim_much_memory(void **state)
{
	size_t n = 1 << 20, len = 0;
	AUTO_FREE uint8_t *data = malloc(2 * n + 16);
	struct wire_fds fds;
	Berth__Envelope *env;
	int fd;

	/* 109: PodListReply, its field 1 a Pod, empty, a million times */
	data[len++] = 0xea;
	data[len++] = 0x06;
	data[len++] = 0x80;
	data[len++] = 0x80;
	data[len++] = 0x80;
	data[len++] = 0x01;
	for (size_t i = 0; i < n; i++) {
		data[len++] = 0x0a;
		data[len++] = 0x00;
	}
	assert_true(message_check_packed(&berth__envelope__descriptor, data, len));
	env = unpack(data, len);
	assert_null(env);
	fd = memfd_sealed("test", data, len);
	fds = (struct wire_fds){{fd}, 1};
	env = envelope_unpack("\x48\x01", 2, &fds);
	assert_null(env);
	wire_fds_close(&fds);
}

static void an_honest_list_of_small_things_fits_its_allowance(void **state)
{
	static Berth__KeyValue values[5000];
	static Berth__KeyValue *list[5000];
	Berth__ContainerSpec spec = BERTH__CONTAINER_SPEC__INIT;
	Berth__ContainerCreate body = BERTH__CONTAINER_CREATE__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT, *got;
	struct wire_fds fds;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		berth__key_value__init(&values[i]);
		values[i].key = values[i].value = (char *)"k";
		list[i] = &values[i];
	}
	spec.labels = list;
	spec.n_labels = ARRAY_SIZE(list);
	body.spec = &spec;
	env.container_create = &body;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_CREATE;
	assert_int_equal(envelope_send(pair[0], &env, NULL, 0), 0);
	got = receive(&fds);
	assert_non_null(got);
	assert_int_equal(got->container_create->spec->n_labels, ARRAY_SIZE(list));
	FREE(got);
	spec.n_labels = 1;
	values[0].value = (char *)"\xff";
	assert_int_equal(message_check_strings(&env.base), -EILSEQ);
	values[0].value = (char *)"\xc3\xa9";
	assert_int_equal(message_check_strings(&env.base), 0);
}

static void only_the_body_that_is_set_is_looked_at(void **state)
{
	Berth__ContainerKill body;
	Berth__Envelope env;

	make_kill(&env, &body, "x");
	assert_int_equal(message_check_strings(&env.base), 0);
	body.ref = (char *)"\xff";
	assert_int_equal(message_check_strings(&env.base), -EILSEQ);
	env.body_case = BERTH__ENVELOPE__BODY__NOT_SET;
	assert_int_equal(message_check_strings(&env.base), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_small_one_is_one_record),
		T(a_large_one_spills_and_comes_back_whole),
		T(the_border_of_spilling_is_the_record),
		T(what_is_too_large_is_refused_before_sending),
		T(a_spill_must_be_sealed_present_and_the_end_of_it),
		T(a_note_of_a_spill_says_nothing_else),
		T(bad_bytes_are_refused),
		T(every_cut_of_a_good_record_is_handled),
		T(what_a_newer_version_says_is_passed_over),
		T(a_small_record_cannot_claim_much_memory),
		T(an_honest_list_of_small_things_fits_its_allowance),
		T(only_the_body_that_is_set_is_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
