/* The log's pure half: lines to records in the ring, records counted when lost, files by name. No thread: turns are taken by hand. */
#include "tests/unit/unit.h"

#include "shim/logger.h"

#include <sys/eventfd.h>
#include <sys/stat.h>

static struct logger l;
static char dir[64];

/* A logger whose writer is us. */
static int setup(void **state)
{
	strcpy(dir, "/tmp/berth-log-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(logger_init(&l), 0);
	assert_int_equal(ring_init(&l.ring, 1 << 16), 0);
	l.writer = (struct logwriter){.ring = &l.ring, .dir_fd = -1, .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
	l.writer.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct log_target t = {.max_bytes = 1 << 20, .max_files = 3};
	snprintf(t.dir, sizeof t.dir, "%s/a/b", dir);
	logwriter_retarget(&l.writer, &t);
	l.on = true;
	return 0;
}

static int teardown(void **state)
{
	char command[96];

	ring_fini(&l.ring);
	close(l.writer.event_fd);
	close_fd(&l.writer.fd);
	close_fd(&l.writer.dir_fd);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static const char *published(uint32_t *n)
{
	const char *text;

	*n = ring_peek(&l.ring, &text);
	return text;
}

static void put(int stream, const char *text)
{
	assert_int_equal(logger_write(&l, stream, text, strlen(text), false), strlen(text));
}

static void expect(const char *const *records, size_t count)
{
	uint32_t n;
	const char *at = published(&n), *end = at + n;

	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(records[i]);

		assert_row((size_t)(end - at) >= 30 + len + 1, i);
		assert_row(at[10] == 'T' && at[19] == '.' && at[29] == 'Z', i);
		if (memcmp(at + 30, records[i], len) || at[30 + len] != '\n')
			fail_msg("record %zu: \"%.60s\" is not \"%s\"", i, at + 30, records[i]);
		at += 30 + len + 1;
	}
	assert_ptr_equal(at, end);
	ring_consume(&l.ring, n);
}

#define EXPECT(...)                                                                                                    \
	expect((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void lines_become_records(void **state)
{
	put(0, "one\ntwo\n");
	EXPECT(" stdout F one", " stdout F two");
	put(0, "begin");
	put(1, "err\n");
	put(0, " middle");
	EXPECT(" stderr F err");
	put(0, " end\n\nnext");
	EXPECT(" stdout F begin middle end", " stdout F ");
	put(1, "half");
	logger_end(&l);
	EXPECT(" stdout P next", " stderr P half");
	logger_end(&l);
	EXPECT();
}

/* Around the length where a line is cut, however it comes in. */
static void long_lines_are_cut_where_they_must_be(void **state)
{
	static char line[LOG_PART * 2 + 10];
	static const size_t lengths[] = {LOG_PART - 1, LOG_PART, LOG_PART + 1, 2 * LOG_PART, 2 * LOG_PART + 1};
	static const size_t pieces[] = {sizeof line, 1, 1000, LOG_PART, LOG_PART - 1};

	memset(line, 'x', sizeof line);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		for (size_t k = 0; k < ARRAY_SIZE(pieces); k++) {
			size_t len = lengths[i], records = (len + LOG_PART - 1) / LOG_PART;
			uint32_t n;

			line[len] = '\n';
			for (size_t at = 0; at <= len; at += pieces[k]) {
				size_t piece = len + 1 - at < pieces[k] ? len + 1 - at : pieces[k];

				assert_int_equal(logger_write(&l, 0, line + at, piece, false), piece);
			}
			line[len] = 'x';
			const char *at = published(&n);
			assert_int_equal(n, len + records * (LOG_HEADER + 1));
			for (size_t r = 0; r < records; r++) {
				size_t part = r + 1 < records ? LOG_PART : len - r * LOG_PART;

				assert_int_equal(at[LOG_TAG_AT], r + 1 < records ? 'P' : 'F');
				assert_int_equal(at[LOG_HEADER + part], '\n');
				at += LOG_HEADER + part + 1;
			}
			ring_consume(&l.ring, n);
		}
}

static void a_full_ring_first_waits_and_then_drops_whole_lines(void **state)
{
	char line[1001];
	size_t written = 0, n;
	uint64_t lines, bytes;
	uint32_t len;

	memset(line, 'y', sizeof line);
	line[1000] = '\n';
	while ((n = logger_write(&l, 0, line, sizeof line, false)) == sizeof line)
		written++;
	assert_int_equal(n, 0); /* not half of a line */
	assert_int_equal(written, 62);
	assert_int_equal(logger_write(&l, 0, line, sizeof line, true), sizeof line);
	assert_int_equal(logger_write(&l, 0, line, sizeof line, false),
			 sizeof line); /* dropping now: no more waiting */
	logger_totals(&l, &lines, &bytes);
	assert_int_equal(lines, 2);
	assert_int_equal(bytes, 2 * sizeof line);
	/* A little room is not enough to end it. */
	published(&len);
	ring_consume(&l.ring, len / 4);
	assert_int_equal(logger_write(&l, 0, line, sizeof line, false), sizeof line);
	logger_tick(&l);
	published(&len);
	ring_consume(&l.ring, len);
	put(1, "after\n");
	EXPECT(" stderr F:gap lines=3 bytes=3003", " stderr F after");
	logger_totals(&l, &lines, &bytes);
	assert_int_equal(lines, 3);
}

static void a_gap_is_said_though_nothing_comes(void **state)
{
	char line[LOG_PART];
	uint32_t len;

	memset(line, 'z', sizeof line);
	while (logger_write(&l, 0, line, sizeof line, false) == sizeof line)
		;
	assert_int_equal(logger_write(&l, 0, "\n", 1, true), 1);
	published(&len);
	ring_consume(&l.ring, len);
	logger_tick(&l);
	published(&len);
	assert_true(len > 40);
	logger_tick(&l);
	ring_consume(&l.ring, len);
	EXPECT();
}

static void a_line_that_lost_a_part_loses_the_rest(void **state)
{
	static char part[LOG_PART + 1];
	uint64_t lines, bytes;
	uint32_t n;

	memset(part, 'p', sizeof part);
	/* Parts of one line until the ring is full, then one dropped, then room again. */
	while (logger_write(&l, 0, part, LOG_PART, false) == LOG_PART)
		;
	assert_int_equal(logger_write(&l, 0, part, LOG_PART + 1, true), LOG_PART + 1);
	published(&n);
	ring_consume(&l.ring, n);
	put(0, "rest of it\nnext\n");
	/* What was held, what came, and what followed: all but the parts that had gone before. */
	EXPECT(" stderr F:gap lines=1 bytes=32780", " stdout F next");
	logger_totals(&l, &lines, &bytes);
	assert_int_equal(lines, 1);
	assert_int_equal(bytes, LOG_PART + (LOG_PART + 1) + 11);
}

static void lost_records_are_counted_with_their_gaps(void **state)
{
	static const char text[] = "2026-11-22T02:09:33.000000001Z stdout F one\n"
				   "2026-11-22T02:09:33.000000001Z stderr F:gap lines=7 bytes=900\n"
				   "2026-11-22T02:09:33.000000001Z stdout P part\n"
				   "2026-11-22T02:09:33.000000001Z stdout F \n";
	uint64_t lines = 0, bytes = 0, gap_lines = 0, gap_bytes = 0;

	log_lines_count(text, sizeof text - 1, &lines, &bytes, &gap_lines, &gap_bytes);
	assert_int_equal(lines, 2);
	assert_int_equal(bytes, 4 + 4 + 1);
	assert_int_equal(gap_lines, 7);
	assert_int_equal(gap_bytes, 900);
}

static size_t size_of(const char *name)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof path, "%s/a/b/%s", dir, name);
	return stat(path, &st) < 0 ? 0 : (size_t)st.st_size;
}

static void files_take_turns_by_size(void **state)
{
	struct log_target t = {.max_bytes = 100, .max_files = 3};

	snprintf(t.dir, sizeof t.dir, "%s/a/b", dir);
	logwriter_retarget(&l.writer, &t);
	for (int i = 0; i < 5; i++) { /* 50 bytes each: two to a file */
		put(0, "123456789\n");
		logwriter_turn(&l.writer);
	}
	assert_int_equal(size_of("current.log"), 50);
	assert_int_equal(size_of("1.log"), 100);
	assert_int_equal(size_of("2.log"), 100);
	put(0, "1234567\n");
	logwriter_turn(&l.writer);
	assert_int_equal(size_of("current.log"), 98);
	/* One that is larger than the limit gets a file of its own, and goes whole. */
	char big[201];
	memset(big, 'b', sizeof big);
	big[200] = '\n';
	assert_int_equal(logger_write(&l, 0, big, sizeof big, false), sizeof big);
	put(0, "small\n");
	logwriter_turn(&l.writer);
	assert_int_equal(size_of("current.log"), 46);
	assert_int_equal(size_of("1.log"), 241);
	assert_int_equal(size_of("2.log"), 98);
	assert_int_equal(size_of("3.log"), 0);
}

static void what_cannot_be_opened_is_owed(void **state)
{
	struct log_target t = {.max_bytes = 1000, .max_files = 1};
	char path[96];

	snprintf(path, sizeof path, "%s/a", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* a file where the folder should be */
	assert_true(fd >= 0);
	close(fd);
	snprintf(t.dir, sizeof t.dir, "%s/a/b", dir);
	logwriter_retarget(&l.writer, &t);
	put(0, "lost\n");
	logwriter_turn(&l.writer);
	uint64_t lines, bytes;
	logger_totals(&l, &lines, &bytes);
	assert_int_equal(lines, 1);
	assert_int_equal(bytes, 5);
	assert_int_equal(unlink(path), 0);
	logwriter_turn(&l.writer); /* nothing comes: the gap alone */
	assert_int_equal(size_of("current.log"), 30 + strlen(" stderr F:gap lines=1 bytes=5\n"));
}

#define test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(lines_become_records),
		test(long_lines_are_cut_where_they_must_be),
		test(a_full_ring_first_waits_and_then_drops_whole_lines),
		test(a_gap_is_said_though_nothing_comes),
		test(a_line_that_lost_a_part_loses_the_rest),
		test(lost_records_are_counted_with_their_gaps),
		test(files_take_turns_by_size),
		test(what_cannot_be_opened_is_owed),
	};

	return cmocka_run_group_tests_name("shim_log", tests, NULL, NULL);
}
