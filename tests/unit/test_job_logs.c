/* tests/unit/test_job_logs.c - the verb `logs` against a writer that rotates as the shim does. Each run is a child with
 * descriptors 3, 4 and 5 as berthd gives them. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "base/loop.h"
#include "base/str.h"
#include "job/job.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char base[64], dir[96];

/* ---------------------------------------------------------------- a writer */

struct writer {
	int fd;
	size_t size, max_size;
	unsigned max_files;
};

static void writer_rotate(struct writer *w)
{
	char from[160], to[160];

	for (unsigned i = w->max_files - 1; i > 0; i--) {
		snprintf(to, sizeof to, "%s/%u.log", dir, i);
		if (i > 1)
			snprintf(from, sizeof from, "%s/%u.log", dir, i - 1);
		else
			snprintf(from, sizeof from, "%s/current.log", dir);
		(void)rename(from, to);
	}
	close_fd(&w->fd);
	w->size = 0;
}

static void writer_put(struct writer *w, int64_t at_ns, const char *stream, const char *tag, const char *text)
{
	char line[256], when[STR_TIME_SIZE], path[160];
	int n = snprintf(line, sizeof line, "%s %s %s %s\n", str_time(at_ns, when), stream, tag, text);

	if (w->fd < 0) {
		snprintf(path, sizeof path, "%s/current.log", dir);
		w->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	}
	assert_int_equal(write(w->fd, line, (size_t)n), n);
	w->size += (size_t)n;
	if (w->size > w->max_size)
		writer_rotate(w);
}

static void writer_line(struct writer *w, unsigned i)
{
	char text[32];

	snprintf(text, sizeof text, "line%u", i);
	writer_put(w, wall_ns(), i % 2 ? "stderr" : "stdout", "F", text);
}

static int each_init(void **state)
{
	(void)state;
	strcpy(base, "/tmp/berth-logs-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(dir, sizeof dir, "%s/logs", base);
	return mkdir(dir, 0700);
}

static int each_fini(void **state)
{
	(void)state;
	return dir_remove_all(AT_FDCWD, base);
}

/* ---------------------------------------------------------------- a run of the verb */

struct run {
	pid_t pid;
	int out, end, report;
};

static struct run run_start(const char *const *options)
{
	int out[2], end[2], report[2];
	struct run run;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report), 0);
	run.pid = fork();
	if (run.pid == 0) {
		const int from[3] = {report[1], out[1], end[0]};
		char *argv[12] = {(char *)(uintptr_t) "logs", dir};
		struct err e = {0};
		int argc = 2, high[3];

		for (; options && options[argc - 2]; argc++)
			argv[argc] = (char *)(uintptr_t)options[argc - 2];
		for (int i = 0; i < 3; i++)
			high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 100);
		for (int i = 0; i < 3; i++)
			dup2(high[i], 3 + i);
		close_range(6, ~0u, 0);
		signal(SIGPIPE, SIG_IGN);
		_exit(verb_logs(argc, argv, &e) < 0);
	}
	close(out[1]);
	close(end[0]);
	close(report[1]);
	run.out = out[0];
	run.end = end[1];
	run.report = report[0];
	return run;
}

/* All lines until the end, without what stands before the text, each followed by a space. */
static char *run_collect(struct run *run)
{
	char *raw = malloc(8 << 20), *texts = calloc(1, 8 << 20), *at = texts;
	size_t len = 0;
	int status;
	ssize_t n;

	while ((n = read(run->out, raw + len, (8 << 20) - 1 - len)) > 0)
		len += (size_t)n;
	raw[len] = 0;
	for (char *line = raw, *newline; (newline = strchr(line, '\n')); line = newline + 1) {
		*newline = 0;
		assert_true(newline - line >= 40);
		at = stpcpy(stpcpy(at, line + 40), " ");
	}
	close_fd(&run->out);
	close_fd(&run->end);
	close_fd(&run->report);
	assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
	assert_int_equal(status, 0);
	free(raw);
	return texts;
}

static void expect(const char *const *options, const char *texts)
{
	struct run run = run_start(options);
	char *found = run_collect(&run);

	assert_string_equal(found, texts);
	free(found);
}

static const char *lines(unsigned from, unsigned to, unsigned step)
{
	static char text[1 << 20];
	char *at = text;

	text[0] = 0;
	for (; from < to; from += step)
		at += sprintf(at, "line%u ", from);
	return text;
}

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---------------------------------------------------------------- tests */

static void test_tail_counts_over_rotated_files(void **state)
{
	static const unsigned counts[] = {0, 1, 2, 19, 20, 21, 57, 99, 100, 1000};
	struct writer w = {.fd = -1, .max_size = 900, .max_files = 100};
	char tail[32];

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		writer_line(&w, i);
	close_fd(&w.fd);
	expect(NULL, lines(0, 100, 1));
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		snprintf(tail, sizeof tail, "tail=%u", counts[i]);
		expect(OPTIONS(tail), lines(counts[i] < 100 ? 100 - counts[i] : 0, 100, 1));
	}
	expect(OPTIONS("stdout=0"), lines(1, 100, 2));
	expect(OPTIONS("stderr=0", "tail=3"), lines(94, 100, 2));
	expect(OPTIONS("stderr=0", "stdout=0"), "");
}

static void test_a_line_in_parts_counts_once(void **state)
{
	struct writer w = {.fd = -1, .max_size = 1 << 20, .max_files = 4};
	int64_t t = 1700000000 * (int64_t)NS_PER_S;

	(void)state;
	writer_put(&w, t++, "stdout", "F", "before");
	writer_put(&w, t++, "stdout", "P", "a");
	writer_put(&w, t++, "stdout", "P", "b");
	writer_put(&w, t++, "stdout", "F", "c");
	writer_put(&w, t++, "stderr", "F:gap", "lines=2");
	writer_put(&w, t++, "stderr", "P", "unfinished");
	close_fd(&w.fd);
	expect(OPTIONS("tail=1"), "unfinished ");
	/* The text of a gap record begins within its tag, "F:gap". */
	expect(OPTIONS("tail=2"), "gap lines=2 unfinished ");
	expect(OPTIONS("tail=1", "stderr=0"), "a b c ");
	expect(OPTIONS("tail=2", "stderr=0"), "before a b c ");
}

static void test_times_cut_at_both_ends(void **state)
{
	struct writer w = {.fd = -1, .max_size = 900, .max_files = 100};
	int64_t t = 1700000000 * (int64_t)NS_PER_S;
	char since[64], until[64], text[32];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "line%u", i);
		writer_put(&w, t + i * (int64_t)NS_PER_S, "stdout", "F", text);
	}
	close_fd(&w.fd);
	snprintf(since, sizeof since, "since=%lld", (long long)(t + 90 * (int64_t)NS_PER_S));
	expect(OPTIONS(since), lines(90, 100, 1));
	expect(OPTIONS(since, "tail=50"), lines(90, 100, 1));
	expect(OPTIONS(since, "tail=5"), lines(95, 100, 1));
	snprintf(until, sizeof until, "until=%lld", (long long)(t + 95 * (int64_t)NS_PER_S));
	expect(OPTIONS(until, since), lines(90, 96, 1));
	expect(OPTIONS(until, "tail=2"), lines(94, 96, 1));
	snprintf(since, sizeof since, "since=%lld", (long long)(t + 1000 * (int64_t)NS_PER_S));
	expect(OPTIONS(since), "");
}

static void test_what_is_no_record_is_left_out(void **state)
{
	static const char raw[] = "torn by a power cut\n"
				  "2026-11-22T02:09:33.000000001Z stdout F good\n"
				  "\n"
				  "2026-11-22T02:09:33.000000001Z stdxxx F bad\n"
				  "2026-11-22T02:09:33.000000001Z stderr F fine\n"
				  "2026-11-22T02:09:33.000000001Z stdout F not yet fini";
	char path[160];

	(void)state;
	snprintf(path, sizeof path, "%s/current.log", dir);
	assert_int_equal(file_write_atomic(AT_FDCWD, path, raw, sizeof raw - 1, 0600, false), 0);
	expect(NULL, "good fine ");
}

static void test_no_folder_is_an_empty_log(void **state)
{
	(void)state;
	assert_int_equal(rmdir(dir), 0);
	expect(NULL, "");
	expect(OPTIONS("tail=5"), "");
}

#define FOLLOWED 20000

static void *writing(void *arg)
{
	struct run *run = arg;
	struct writer w = {.fd = -1, .max_size = 60000, .max_files = 8};

	for (unsigned i = 500; i < FOLLOWED; i++) {
		writer_line(&w, i);
		/* A reader that is slower than seven files loses what was rotated away: that is not what is tested. */
		if (i % 500 == 0)
			usleep(20000);
	}
	close_fd(&w.fd);
	close_fd(&run->end);
	return NULL;
}

static void test_follow_loses_nothing_over_rotations(void **state)
{
	struct writer w = {.fd = -1, .max_size = 60000, .max_files = 8};
	struct run run;
	pthread_t thread;
	char *found;

	(void)state;
	for (unsigned i = 0; i < 500; i++)
		writer_line(&w, i);
	close_fd(&w.fd);
	run = run_start(OPTIONS("follow=1"));
	assert_int_equal(pthread_create(&thread, NULL, writing, &run), 0);
	found = run_collect(&run);
	pthread_join(thread, NULL);
	assert_string_equal(found, lines(0, FOLLOWED, 1));
	free(found);
}

static void test_follow_waits_for_the_first_line(void **state)
{
	struct writer w = {.fd = -1, .max_size = 1 << 20, .max_files = 4};
	struct run run;
	char *found;

	(void)state;
	assert_int_equal(rmdir(dir), 0);
	run = run_start(OPTIONS("follow=1", "tail=1"));
	usleep(50000);
	assert_int_equal(mkdir(dir, 0700), 0);
	usleep(20000);
	for (unsigned i = 0; i < 10; i++)
		writer_line(&w, i);
	close_fd(&w.fd);
	close_fd(&run.end);
	found = run_collect(&run);
	assert_string_equal(found, lines(0, 10, 1));
	free(found);
}

static void test_follow_ends_when_its_reader_leaves(void **state)
{
	struct writer w = {.fd = -1, .max_size = 1 << 20, .max_files = 4};
	struct run run;
	char some[8];
	int status;

	(void)state;
	writer_line(&w, 0);
	close_fd(&w.fd);
	run = run_start(OPTIONS("follow=1"));
	assert_true(read(run.out, some, sizeof some) > 0);
	close_fd(&run.out);
	/* Nothing is written any more: it must notice by itself. */
	assert_int_equal(waitpid(run.pid, &status, 0), run.pid);
	assert_int_equal(status, 0);
	close_fd(&run.end);
	close_fd(&run.report);
}

static void test_follow_ends_at_until(void **state)
{
	char until[64];
	struct run run;
	char *found;
	int end;

	(void)state;
	snprintf(until, sizeof until, "until=%lld", (long long)(wall_ns() + 200 * (int64_t)NS_PER_MS));
	run = run_start(OPTIONS("follow=1", until));
	end = take_fd(&run.end); /* stays open: nobody tells it to end */
	found = run_collect(&run);
	assert_string_equal(found, "");
	free(found);
	close(end);
}

static void test_bad_options_are_refused(void **state)
{
	static const char *const rows[] = {"x=1",    "tail",	 "tail=-1", "tail=x",	"follow=2",
					   "since=", "until=1s", "=1",	    "stdoutx=1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct run run = run_start(OPTIONS(rows[i]));
		int status;

		assert_int_equal(waitpid(run.pid, &status, 0), run.pid);
		assert_row(WIFEXITED(status) && WEXITSTATUS(status) == 1, i);
		close_fd(&run.out);
		close_fd(&run.end);
		close_fd(&run.report);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tail_counts_over_rotated_files, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_a_line_in_parts_counts_once, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_times_cut_at_both_ends, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_what_is_no_record_is_left_out, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_no_folder_is_an_empty_log, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_follow_loses_nothing_over_rotations, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_follow_waits_for_the_first_line, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_follow_ends_when_its_reader_leaves, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_follow_ends_at_until, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_bad_options_are_refused, each_init, each_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
