/* tests/unit/test_ahead.c - a thread that reads ahead: nothing is lost between the two, and neither waits for one who has gone. */
#include "tests/unit/unit.h"

#include "image/ahead.h"
#include "image/gzip.h"
#include "image/pieces.h"

#define BYTES ((size_t)PIECE_SIZE * PIECES * 3 + 12345)

static char *content;
static char name[DIGEST_SIZE];

static int all_init(void **state)
{
	(void)state;
	content = malloc(BYTES);
	for (size_t i = 0; content && i < BYTES; i++)
		content[i] = (char)(i * 2654435761u >> 13);
	if (content)
		digest_of(content, BYTES, name);
	return content ? 0 : -1;
}

static int all_fini(void **state)
{
	(void)state;
	free(content);
	return 0;
}

static int on_gzip(void *arg, const void *data, size_t len, struct err *e)
{
	(void)e;
	return write(*(int *)arg, data, len) == (ssize_t)len ? 0 : -1;
}

/* An unnamed file with the content as gzip. */
static struct source_part packed(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct gzip *g = gzip_new(on_gzip, &fd);

	assert_true(fd >= 0 && g);
	assert_int_equal(gzip_add(g, content, BYTES, NULL), 0);
	assert_int_equal(gzip_end(g, NULL), 0);
	gzip_free(g);
	return (struct source_part){.fd = fd, .fd_owned = true, .length = (uint64_t)lseek(fd, 0, SEEK_END)};
}

/* Until the end, or what went wrong. */
static ssize_t read_all(struct ahead *a, size_t *ret_bytes, uint64_t *ret_taken, struct err *e)
{
	const void *data;
	ssize_t n;

	*ret_bytes = 0;
	while ((n = ahead_read(a, &data, ret_taken, e)) > 0) {
		assert_true(*ret_bytes + (size_t)n <= BYTES);
		assert_memory_equal(data, content + *ret_bytes, (size_t)n);
		*ret_bytes += (size_t)n;
	}
	return n;
}

static void all_of_it_comes_in_order_and_is_hashed(void **state)
{
	struct source_part from = packed();
	struct ahead *a = ahead_open(&from, BYTES, NULL);
	char found[DIGEST_SIZE];
	uint64_t taken = 0;
	size_t bytes;

	(void)state;
	assert_non_null(a);
	assert_int_equal(read_all(a, &bytes, &taken, NULL), 0);
	assert_int_equal(bytes, BYTES);
	/* All but the trailer, which is read when no bytes come of it any more. */
	assert_in_range(taken, from.length - 8, from.length);
	ahead_digest(a, found);
	assert_string_equal(found, name);
	ahead_close(a);
	source_part_close(&from);
}

static void who_gives_up_is_not_waited_for(void **state)
{
	struct source_part from = packed();
	const void *data;
	uint64_t taken;

	(void)state;
	for (int reads = 0; reads < 3; reads++) {
		struct ahead *a = ahead_open(&from, BYTES, NULL);

		assert_non_null(a);
		for (int i = 0; i < reads; i++)
			assert_true(ahead_read(a, &data, &taken, NULL) > 0);
		ahead_close(a);
	}
	source_part_close(&from);
}

static void what_was_good_comes_before_the_error(void **state)
{
	struct source_part from = packed();
	uint64_t taken;
	struct err e = {0};
	struct ahead *a;
	size_t bytes;

	(void)state;
	a = ahead_open(&from, BYTES - 1, &e);
	assert_int_equal(read_all(a, &bytes, &taken, &e), -ENOSPC);
	assert_in_range(bytes, BYTES - PIECE_SIZE, BYTES - 1);
	ahead_close(a);

	from.length -= from.length / 4;
	a = ahead_open(&from, BYTES, &e);
	assert_int_equal(read_all(a, &bytes, &taken, &e), -EINVAL);
	assert_string_equal(e.text, "the gzip data is cut short");
	assert_in_range(bytes, BYTES / 2, BYTES - 1);
	ahead_close(a);
	source_part_close(&from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_comes_in_order_and_is_hashed),
		cmocka_unit_test(who_gives_up_is_not_waited_for),
		cmocka_unit_test(what_was_good_comes_before_the_error),
	};

	return cmocka_run_group_tests(tests, all_init, all_fini);
}
