/* tests/unit/test_export.c - the tar that an export writes, seen by another reader. The rest is in tests/system/test_export.py. */
#include "tests/unit/unit.h"

#include "image/export.c"

#include <archive.h>
#include <archive_entry.h>

static void a_size_of_any_length_is_read_again(void **state)
{
	static const uint64_t sizes[] = {0, 1, OCTAL_MAX, OCTAL_MAX + 1, 9ull << 30, 1ull << 50};
	struct image_export x = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char name[96], data[TAR_BLOCK];
		struct archive *a = archive_read_new();
		struct archive_entry *entry;
		struct err e;
		int pipe_fd[2];
		struct sink k = {.x = &x, .e = &e};

		memset(name, 'n', 77);
		name[77] = 0;
		assert_int_equal(pipe(pipe_fd), 0);
		k.fd = pipe_fd[1];
		assert_int_equal(file_begin(&k, name, sizes[i]), 0);
		assert_int_equal(read(pipe_fd[0], data, sizeof data), sizeof data);
		close(pipe_fd[0]);
		close(pipe_fd[1]);
		assert_int_equal(archive_read_support_format_tar(a), ARCHIVE_OK);
		assert_int_equal(archive_read_open_memory(a, data, sizeof data), ARCHIVE_OK);
		assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_OK);
		assert_string_equal(archive_entry_pathname(entry), name);
		assert_int_equal(archive_entry_size(entry), sizes[i]);
		assert_int_equal(archive_entry_mode(entry), S_IFREG | 0644);
		archive_read_free(a);
	}
}

static void a_file_that_is_not_as_long_as_was_said_is_an_error(void **state)
{
	struct image_export x = {0};
	struct err e;
	struct sink k = {.x = &x, .fd = open("/dev/null", O_WRONLY | O_CLOEXEC), .e = &e};

	(void)state;
	assert_int_equal(file_begin(&k, "a", 2), 0);
	assert_int_equal(file_add(&k, "1", 1), 0);
	assert_true(file_end(&k) < 0);
	assert_int_equal(file_begin(&k, "a", 2), 0);
	assert_true(file_add(&k, "123", 3) < 0);
	close(k.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_of_any_length_is_read_again),
		cmocka_unit_test(a_file_that_is_not_as_long_as_was_said_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
