/* tests/unit/test_ctl_text.c - what people read: log lines, sizes, ages, states, templates; and the keys that detach. */
#include "unit.h"

#include "base/loop.h"
#include "ctl/format.h"
#include "ctl/json_path.h"
#include "ctl/log_text.h"
#include "ctl/print.h"
#include "ctl/stats_text.h"
#include "ctl/status_text.h"
#include "ctl/terminal.h"
#include "ctl/time_text.h"
#include "proto/berth.pb-c.h"
#include "proto/cri.h"

#include <time.h>

#define T0 "2026-11-22T02:09:33.000000001Z"

/* ---------------------------------------------------------------- log */

/* Feeds text in pieces of every size; out and err must be the same each time. */
static void log_check(const char *text, bool timestamps, const char *out, const char *err)
{
	size_t len = strlen(text);

	for (size_t piece = 1; piece <= len; piece++) {
		char *got[2] = {0};
		size_t got_len[2];
		FILE *f[2] = {open_memstream(&got[0], &got_len[0]), open_memstream(&got[1], &got_len[1])};
		struct log_text t;

		log_text_init(&t, f[0], f[1], timestamps);
		for (size_t at = 0; at < len; at += piece)
			log_text_feed(&t, text + at, len - at < piece ? len - at : piece);
		log_text_fini(&t);
		fclose(f[0]);
		fclose(f[1]);
		assert_string_equal(got[0], out);
		assert_string_equal(got[1], err);
		free(got[0]);
		free(got[1]);
	}
}

static void log_lines_go_to_the_stream_they_came_from(void **state)
{
	(void)state;
	log_check(T0 " stdout F hello  world\n" T0 " stderr F oops\n" T0 " stdout F \n", false, "hello  world\n\n",
		  "oops\n");
}

static void parts_are_joined_and_an_open_end_stays_open(void **state)
{
	(void)state;
	log_check(T0 " stdout P one \n" T0 " stderr F between\n" T0 " stdout P two \n" T0 " stdout F three\n" T0
		     " stdout P no newline\n",
		  false, "one two three\nno newline", "between\n");
}

static void timestamps_stand_before_lines_not_before_parts(void **state)
{
	(void)state;
	log_check(T0 " stdout P a\n" T0 " stdout F b\n" T0 " stdout F c\n", true, T0 " ab\n" T0 " c\n", "");
}

static void a_log_that_is_read_again_from_its_last_time_is_not_told_twice(void **state)
{
	static const char t1[] = "2026-11-22T02:09:34.000000001Z";
	char *out, text[256];
	size_t len;
	FILE *f = open_memstream(&out, &len);
	struct log_text t;

	(void)state;
	log_text_init(&t, f, f, false);
	snprintf(text, sizeof text, T0 " stdout F a\n%s stdout F b\n%s stdout F b\n%s stdout F cut of", t1, t1, t1);
	log_text_feed(&t, text, strlen(text));
	assert_string_equal(t.last, t1);
	log_text_resume(&t);
	snprintf(text, sizeof text, "%s stdout F b\n%s stdout F b\n%s stdout F cut off\n%s stdout F d\n", t1, t1, t1,
		 t1);
	log_text_feed(&t, text, strlen(text));
	log_text_fini(&t);
	fclose(f);
	assert_string_equal(out, "a\nb\nb\ncut off\nd\n");
	free(out);
}

static void gaps_and_damage_are_told_on_stderr(void **state)
{
	(void)state;
	log_check(T0 " stdout F a\n" T0 " stderr F:gap lines=12 bytes=345\n"
		     "garbage\n" T0 " stdout F b\n",
		  false, "a\nb\n",
		  "[berth: 12 lines, 345 bytes dropped]\n[berth: a damaged line of the log: garbage]\n");
}

static void only_lines_of_the_format_are_taken(void **state)
{
	static const char *const bad[] = {"",
					  "x",
					  T0,
					  T0 " stdin F x",
					  T0 " stdout",
					  T0 " stdout X x",
					  T0 " stdout FP x",
					  T0 "  stdout F x",
					  T0 " stderr F:gap lines=x"};
	struct cri_line l;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_row(!cri_parse(bad[i], strlen(bad[i]), &l), i);
	assert_true(cri_parse(T0 " stdout F", strlen(T0 " stdout F"), &l));
	assert_int_equal(l.text_len, 0);
}

/* ---------------------------------------------------------------- sizes, ages, states */

static void sizes_and_durations_are_short_words(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {{0, "0B"},		  {1023, "1023B"},	 {1024, "1.0KiB"},	 {1536, "1.5KiB"},
		     {1048575, "1.0MiB"}, {512 << 20, "512MiB"}, {UINT64_MAX, "16.0EiB"}};
	static const struct {
		int64_t ns;
		const char *text;
	} times[] = {{-5, "0 ms"},
		     {400000000, "400 ms"},
		     {1000000000, "1 second"},
		     {59ll * 1000000000, "59 seconds"},
		     {90ll * 1000000000, "90 seconds"},
		     {300ll * 1000000000, "5 minutes"},
		     {7200ll * 1000000000, "2 hours"},
		     {3 * 86400ll * 1000000000, "3 days"}};
	char buf[PRINT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_string_equal(print_size(sizes[i].bytes, buf), sizes[i].text);
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		assert_string_equal(print_duration(times[i].ns, buf), times[i].text);
	assert_string_equal(print_ago(0, 5, buf), "");
}

#define S(n) ((n) * (int64_t)NS_PER_S)

static void a_status_says_since_when_and_why(void **state)
{
	static const struct {
		Berth__ContainerState state;
		int64_t started, finished, retry;
		int code;
		bool known;
		const char *reason, *text;
	} rows[] = {
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_RUNNING, S(700), .text = "Up 5 minutes"},
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_PAUSED, S(700), .text = "Paused, up 5 minutes"},
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_EXITED, 1, S(997), .code = 137, .known = true,
		 .reason = "out of memory", .text = "Exited (137) 3 seconds ago: out of memory"},
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_EXITED, 1, S(997), .known = false,
		 .text = "Exited (?) 3 seconds ago"},
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_EXITED, 1, S(997), .code = 3, .known = true,
		 .reason = "exited with 3", .text = "Exited (3) 3 seconds ago"},
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_EXITED, 1, S(997), .code = 3, .known = true,
		 .reason = "exited with 3, processes of it were killed: out of memory",
		 .text = "Exited (3) 3 seconds ago: processes of it were killed: out of memory"},
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_STOPPED, 1, S(997), .code = 143, .known = true,
		 .text = "Stopped (143) 3 seconds ago"},
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF, .retry = S(1000) + 400000000,
		 .text = "Backoff: retry in 400 ms"},
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_CREATED, .text = "Created"},
		{BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR, .reason = "exec /x: No such file or directory",
		 .text = "Error: exec /x: No such file or directory"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__ContainerSummary c = BERTH__CONTAINER_SUMMARY__INIT;
		char buf[STATUS_TEXT_SIZE];

		c.state = rows[i].state;
		c.started_at = rows[i].started;
		c.finished_at = rows[i].finished;
		c.next_retry_at = rows[i].retry;
		c.exit_code = rows[i].code;
		c.exit_known = rows[i].known;
		c.status_reason = (char *)(uintptr_t)rows[i].reason;
		assert_string_equal(status_text(&c, S(1000), buf), rows[i].text);
	}
	assert_string_equal(state_text(BERTH__CONTAINER_STATE__CONTAINER_STATE_RUNNING), "running");
}

static void a_long_command_is_cut_between_characters(void **state)
{
	char buf[COMMAND_TEXT_SIZE];

	(void)state;
	assert_string_equal(command_text("sh -c true", buf), "sh -c true");
	assert_string_equal(command_text("123456789012345678901234567890123", buf),
			    "12345678901234567890123456789\xe2\x80\xa6");
	assert_string_equal(command_text("1234567890123456789012345678\xc3\xa4\xc3\xa4\xc3\xa4", buf),
			    "1234567890123456789012345678\xe2\x80\xa6");
}

static void cpu_is_what_was_used_between_two_samples(void **state)
{
	Berth__Stats a = BERTH__STATS__INIT, b = BERTH__STATS__INIT;
	char buf[PRINT_SIZE];

	(void)state;
	a.has_cpu_usec = b.has_cpu_usec = true;
	a.cpu_usec = 1000000;
	b.cpu_usec = 2500000;
	a.sampled_at = S(10);
	b.sampled_at = S(11);
	assert_string_equal(stats_cpu_text(&a, &b, buf), "150.00%");
	assert_string_equal(stats_cpu_text(NULL, &b, buf), "-");
	assert_string_equal(stats_cpu_text(&b, &a, buf), "-"); /* began again: another incarnation */
	b.has_cpu_usec = false;
	assert_string_equal(stats_cpu_text(&a, &b, buf), "-");
}

/* ---------------------------------------------------------------- templates */

static Berth__Container *container(void)
{
	static Berth__Container c;
	static Berth__Meta meta;
	static Berth__ContainerSpec spec;
	static Berth__ContainerStatus status;
	static Berth__KeyValue label[2], *labels[] = {&label[0], &label[1]};
	static char *env[] = {(char *)(uintptr_t) "A=1", (char *)(uintptr_t) "B=\"q\" \xc3\xa4\t\001"};

	berth__container__init(&c);
	berth__meta__init(&meta);
	berth__container_spec__init(&spec);
	berth__container_status__init(&status);
	for (size_t i = 0; i < 2; i++) {
		berth__key_value__init(&label[i]);
		label[i].key = (char *)(uintptr_t)(i ? "plain" : "a.b");
		label[i].value = (char *)(uintptr_t)(i ? "p" : "dotted");
	}
	meta.name = (char *)(uintptr_t) "web";
	spec.env = env;
	spec.n_env = 2;
	spec.labels = labels;
	spec.n_labels = 2;
	status.has_pid = true;
	status.pid = 42;
	status.has_state = true;
	status.state = BERTH__CONTAINER_STATE__CONTAINER_STATE_RUNNING;
	c.meta = &meta;
	c.spec = &spec;
	c.status = &status;
	return &c;
}

static void templates_fill_in_fields_by_name(void **state)
{
	static const char *const rows[][2] = {
		{".status.pid", "42"},
		{"{{.meta.name}} is {{ .status.state }}\\n", "web is running\n"},
		{"{{.spec.env[0]}}\\t{{.spec.env[1]}}", "A=1\tB=\"q\" \xc3\xa4\t\001"},
		{"{{json .spec.env[0]}}", "\"A=1\""},
		{"{{.spec.labels[\"a.b\"]}} {{.spec.labels.plain}} {{.spec.labels.none}}", "dotted p "},
		{"{{.status.started_at}}|{{json .status.started_at}}", "|null"},
		{"{{json .spec.labels}}", "{\"a.b\":\"dotted\",\"plain\":\"p\"}"},
		{"plain {{.spec.env[7]}}.", "plain ."},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct format_opts o = {.format = rows[i][0]};
		struct err e;
		struct buf b;

		assert_row(format_check(&o, &berth__container__descriptor, &e) == 0, i);
		buf_init(&b, 0);
		format_expand(&b, rows[i][0], &container()->base);
		assert_string_equal(b.data ? b.data : "", rows[i][1]);
		buf_fini(&b);
	}
}

static void templates_with_wrong_names_are_refused_with_the_right_ones(void **state)
{
	static const char *const rows[][2] = {
		{".stat.pid", "there is no \".stat.pid\" in Container; there are: meta spec status"},
		{"{{.status.pidd}}", "in ContainerStatus.status; there are: state"},
		{".status.pid.x", "nothing below .status.pid"},
		{".spec.env.x", "\".x\""},
		{".spec[0]", "\"[0]\""},
		{".spec.labels.a.b", "nothing below"},
		{"{{.meta.name", "not closed"},
		{"{{meta}}", "is not a field"},
		{"xml", "is not json, table or a template"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct format_opts o = {.format = rows[i][0]};
		struct err e = {0};

		assert_row(format_check(&o, &berth__container__descriptor, &e) < 0, i);
		if (!strstr(e.text, rows[i][1]))
			fail_msg("row %zu: %s", i, e.text);
	}
}

/* ---------------------------------------------------------------- detach keys */

static void detach_keys_are_found_over_reads_and_beginnings_passed_on(void **state)
{
	static const struct {
		const char *keys, *in, *out;
		bool detached;
	} rows[] = {
		{"ctrl-p,ctrl-q", "abc", "abc", false},	    {"ctrl-p,ctrl-q", "ab\020\021cd", "ab", true},
		{"ctrl-p,ctrl-q", "\020a", "\020a", false}, {"ctrl-p,ctrl-q", "\020\020\021", "\020", true},
		{"ctrl-p,ctrl-q", "x\020", "x", false},	    {"a,a,b", "aaab", "a", true},
		{"a,b,a,c", "ababac", "ab", true},	    {"ctrl-@,ctrl-[", "\033", "\033", false},
		{"", "ab\020\021", "ab\020\021", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].in);

		for (size_t piece = 1; piece <= len; piece++) {
			struct detach_keys k;
			struct err e;
			uint8_t out[64];
			size_t total = 0, n;
			bool detached = false;

			assert_int_equal(detach_keys_parse(&k, rows[i].keys, &e), 0);
			for (size_t at = 0; at < len && !detached; at += piece) {
				detached = detach_keys_feed(&k, (const uint8_t *)rows[i].in + at,
							    len - at < piece ? len - at : piece, out + total, &n);
				total += n;
			}
			assert_row(detached == rows[i].detached && total == strlen(rows[i].out) &&
					   !memcmp(out, rows[i].out, total),
				   i);
		}
	}
}

static void bad_detach_keys_are_refused(void **state)
{
	static const char *const rows[] = {"ctrl-", "ctrl-P", "ab", "ctrl-1", "a,b,c,d,e,f,g,h,i"};
	struct detach_keys k;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(detach_keys_parse(&k, rows[i], &e) < 0, i);
}

static void times_are_read_as_dockers_users_write_them(void **state)
{
	static const struct {
		const char *text;
		int64_t ns; /* 0: refused */
	} rows[] = {
		{"2023-11-14T22:13:20Z", 1700000000000000000},
		{"2023-11-14T22:13:20.5+01:00", 1699996400500000000},
		{"2023-11-14T22:13:20", 1700007200000000000}, /* two hours behind, below */
		{"2023-11-14T22:13:20.25", 1700007200250000000},
		{"2023-11-14 22:13:20", 1700007200000000000},
		{"2023-11-14T22:13", 1700007180000000000},
		{"2023-11-14", 1699927200000000000},
		{"1700000000", 1700000000000000000},
		{"1700000000.5", 1700000000500000000},
		{"@1700000000", 1700000000000000000},
		{"10m", 1799999400000000000},
		{"1h30m", 1799994600000000000},
		{"", 0},
		{"yesterday", 0},
		{"2023-02-30", 0},
		{"2023-13-01", 0},
		{"2023-11-14T22:13.5", 0},
		{"2023-11-14T22:13:20.", 0},
		{"2023-11-14x", 0},
		{"1.2.3", 0},
		{"99999999999999", 0},
	};

	setenv("TZ", "UTC+2", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t got = 0;
		int r = time_parse(rows[i].text, 1800000000000000000, &got);

		assert_row(!rows[i].ns == (r < 0), i);
		assert_row(r < 0 || got == rows[i].ns, i);
	}
	unsetenv("TZ");
	tzset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read_as_dockers_users_write_them),
		cmocka_unit_test(log_lines_go_to_the_stream_they_came_from),
		cmocka_unit_test(parts_are_joined_and_an_open_end_stays_open),
		cmocka_unit_test(timestamps_stand_before_lines_not_before_parts),
		cmocka_unit_test(a_log_that_is_read_again_from_its_last_time_is_not_told_twice),
		cmocka_unit_test(gaps_and_damage_are_told_on_stderr),
		cmocka_unit_test(only_lines_of_the_format_are_taken),
		cmocka_unit_test(sizes_and_durations_are_short_words),
		cmocka_unit_test(a_status_says_since_when_and_why),
		cmocka_unit_test(a_long_command_is_cut_between_characters),
		cmocka_unit_test(cpu_is_what_was_used_between_two_samples),
		cmocka_unit_test(templates_fill_in_fields_by_name),
		cmocka_unit_test(templates_with_wrong_names_are_refused_with_the_right_ones),
		cmocka_unit_test(detach_keys_are_found_over_reads_and_beginnings_passed_on),
		cmocka_unit_test(bad_detach_keys_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
