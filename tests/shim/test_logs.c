/* tests/shim/test_logs.c - the container's log: nothing lost on a disk that works, nothing delayed by one that does not. */
#include "tests/shim/driver.h"

#include "base/file.h"
#include "base/str.h"

#include <sys/mount.h>

struct lines { /* what a log folder holds, all files */
	uint64_t lines, bytes, gap_lines, gap_bytes, gaps;
	uint64_t first, last; /* numbers at the start of the lines */
	bool torn, unordered;
};

static void count_file(const char *path, struct lines *l)
{
	size_t len;
	char *text = slurp(path, &len), *end = text + len;

	for (char *at = text; at < end;) {
		char *nl = memchr(at, '\n', (size_t)(end - at));

		if (!nl || nl - at < 40) {
			l->torn = true;
			break;
		}
		if (at[39] == ':') {
			unsigned long long lines = 0, bytes = 0;

			assert_int_equal(sscanf(at + 30, " stderr F:gap lines=%llu bytes=%llu", &lines, &bytes), 2);
			l->gaps++;
			l->gap_lines += lines;
			l->gap_bytes += bytes;
		} else {
			uint64_t n = strtoull(at + 40, NULL, 10);

			assert_memory_equal(at + 30, " stdout F ", 10);
			l->unordered |= l->lines && n <= l->last;
			if (!l->lines)
				l->first = n;
			l->last = n;
			l->lines++;
			l->bytes += (uint64_t)(nl - at) - 39;
		}
		at = nl + 1;
	}
	free(text);
}

static struct lines count_log(struct shim *s, unsigned max_files)
{
	struct lines l = {0};
	char path[128];

	for (unsigned n = max_files; n-- > 1;) {
		snprintf(path, sizeof path, "%s/%u.log", s->logs, n);
		count_file(path, &l);
	}
	snprintf(path, sizeof path, "%s/current.log", s->logs);
	count_file(path, &l);
	return l;
}

static void no_line_is_lost_on_a_disk_that_works(void **state)
{
	static const char *const programs[] = {"seq 1 300000", "seq 1 20000 | while read x; do echo $x; done"};
	static const uint64_t numbers[] = {300000, 20000};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct shim s;
		struct plan p;

		shim_spawn(&s);
		PLAN(&p, &s, "sh", "-c", programs[i]);
		p.p.log_max_bytes = 1 << 30;
		assert_int_equal(shim_run(&s, &p)->code, 0);
		struct lines l = count_log(&s, 3);
		assert_int_equal(l.lines, numbers[i]);
		assert_int_equal(l.first, 1);
		assert_int_equal(l.last, numbers[i]);
		assert_false(l.torn || l.unordered);
		assert_int_equal(l.gaps, 0);
		shim_stop(&s);
	}
}

static void long_lines_come_in_parts_and_a_rest_at_the_end(void **state)
{
	struct shim s;
	struct plan p;
	char path[128];
	size_t len;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c", "head -c 40000 /dev/zero; echo; echo -n no newline; echo err1 >&2");
	assert_int_equal(shim_run(&s, &p)->code, 0);
	snprintf(path, sizeof path, "%s/current.log", s.logs);
	char *text = slurp(path, &len);
	static const struct {
		const char *tag;
		size_t len;
	} rows[] = {{" stdout P ", 16384}, {" stdout P ", 16384}, {" stdout F ", 40000 - 2 * 16384}};
	char *at = text;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_row(memcmp(at + 30, rows[i].tag, 10) == 0, i);
		assert_row(memchr(at, '\n', rows[i].len + 41) == at + 40 + rows[i].len, i);
		at += rows[i].len + 41;
	}
	assert_non_null(memmem(text, len, " stdout P no newline\n", 21));
	assert_non_null(memmem(text, len, " stderr F err1\n", 15));
	free(text);
	shim_stop(&s);
}

static void files_rotate_between_lines(void **state)
{
	struct shim s;
	struct plan p;
	char path[128];

	shim_spawn(&s);
	PLAN(&p, &s, "seq", "100001", "110000");
	p.p.log_max_bytes = 100000;
	p.p.log_max_files = 3;
	assert_int_equal(shim_run(&s, &p)->code, 0);
	for (int n = 0; n < 3; n++) {
		struct stat st;

		if (n)
			snprintf(path, sizeof path, "%s/%d.log", s.logs, n);
		else
			snprintf(path, sizeof path, "%s/current.log", s.logs);
		assert_int_equal(stat(path, &st), 0);
		assert_row(st.st_size <= 100000 && st.st_size > 0, n);
		assert_row(n == 0 || st.st_size > 99900, n);
	}
	snprintf(path, sizeof path, "%s/3.log", s.logs);
	assert_int_equal(access(path, F_OK), -1);
	struct lines l = count_log(&s, 3);
	assert_false(l.torn || l.unordered);
	assert_int_equal(l.last, 110000);
	assert_int_equal(l.lines, l.last - l.first + 1);
	/* The next incarnation goes on where this one ended. */
	PLAN(&p, &s, "seq", "110001", "110010");
	p.p.log_max_bytes = 100000;
	assert_int_equal(shim_run(&s, &p)->code, 0);
	l = count_log(&s, 3);
	assert_int_equal(l.last, 110010);
	assert_int_equal(l.lines, l.last - l.first + 1);
	/* One file only: it starts over. */
	PLAN(&p, &s, "seq", "200001", "220000");
	p.p.log_max_bytes = 50000;
	p.p.log_max_files = 1;
	assert_int_equal(shim_run(&s, &p)->code, 0);
	l = count_log(&s, 1);
	assert_int_equal(l.last, 220000);
	assert_int_equal(l.lines, l.last - l.first + 1);
	shim_stop(&s);
}

static void a_full_disk_costs_lines_and_says_how_many(void **state)
{
	struct shim s;
	struct plan p;
	char filler[160], *block = calloc(1, 1 << 20);
	int fd;

	shim_spawn(&s);
	assert_int_equal(mkdir(s.logs, 0755), 0);
	assert_int_equal(mount("tmpfs", s.logs, "tmpfs", 0, "size=2m"), 0);
	snprintf(filler, sizeof filler, "%s/filler", s.logs);
	fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, block, 1 << 20), 1 << 20);
	close(fd);
	free(block);
	PLAN(&p, &s, "sh", "-c", "seq 100001 160000; sleep 0.5; echo 160001; sleep 2.5; echo 160002");
	p.p.log_max_bytes = 1 << 30;
	shim_launch(&s, &p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
	usleep(800000);
	Shim__ShimMessage *m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_LOG_DROPPED);
	uint64_t told = m->log_dropped->lines;
	assert_true(told > 10000);
	shim__shim_message__free_unpacked(m, NULL);
	assert_int_equal(unlink(filler), 0); /* there is room again: the gap is said though nothing comes */
	usleep(1500000);
	struct lines l = count_log(&s, 3);
	assert_int_equal(l.gaps, 1);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED);
	shim__shim_message__free_unpacked(m, NULL);
	l = count_log(&s, 3);
	assert_false(l.torn || l.unordered);
	assert_int_equal(l.gaps, 1);
	assert_int_equal(l.last, 160002);
	assert_int_equal(l.lines + l.gap_lines, 60002);
	assert_int_equal(l.bytes + l.gap_bytes, 60002 * 7);
	assert_int_equal(l.gap_lines, told);
	shim_stop(&s);
	umount2(s.logs, MNT_DETACH);
}

/* A reader of a FIFO that does not read stands for a disk that does not answer: the writer sleeps in write(2). */
static void a_stalled_disk_delays_nobody(void **state)
{
	struct shim s;
	struct plan p;
	char path[160];

	shim_spawn(&s);
	assert_int_equal(mkdir(s.logs, 0755), 0);
	snprintf(path, sizeof path, "%s/current.log", s.logs);
	assert_int_equal(mkfifo(path, 0600), 0);
	int fifo = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fifo >= 0);
	PLAN(&p, &s, "seq", "1", "1000000");
	long start = now_us();
	assert_int_equal(shim_run(&s, &p)->code, 0);
	assert_true(now_us() - start < 3000000);
	/* The shim answers all the same, starts the next one, and leaves. */
	PLAN(&p, &s, "echo", "again");
	start = now_us();
	assert_int_equal(shim_run(&s, &p)->code, 0);
	assert_true(now_us() - start < 1000000);
	shim_stop(&s);
	close(fifo);
}

static void a_torn_tail_is_mended(void **state)
{
	struct shim s;
	struct plan p;
	char path[160];
	size_t len;

	shim_spawn(&s);
	assert_int_equal(mkdir(s.logs, 0755), 0);
	snprintf(path, sizeof path, "%s/current.log", s.logs);
	assert_int_equal(file_write_atomic(AT_FDCWD, path, "torn", 4, 0600, false), 0);
	PLAN(&p, &s, "echo", "whole");
	assert_int_equal(shim_run(&s, &p)->code, 0);
	char *text = slurp(path, &len);
	assert_memory_equal(text, "torn\n", 5);
	assert_int_equal(len, 5 + 40 + 6);
	free(text);
	shim_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_line_is_lost_on_a_disk_that_works),
		cmocka_unit_test(long_lines_come_in_parts_and_a_rest_at_the_end),
		cmocka_unit_test(files_rotate_between_lines),
		cmocka_unit_test(a_full_disk_costs_lines_and_says_how_many),
		cmocka_unit_test(a_stalled_disk_delays_nobody),
		cmocka_unit_test(a_torn_tail_is_mended),
	};

	if (getenv("BERTH_SHIM_TESTS"))
		cmocka_set_test_filter(getenv("BERTH_SHIM_TESTS"));
	return cmocka_run_group_tests_name("shim_logs", tests, driver_setup, driver_teardown);
}
