/* tests/unit/test_partial.c - half blobs: who fills them, who may have them, when they go. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "image/blob.h"
#include "image/digest.h"
#include "image/partial.h"

#include <fcntl.h>
#include <sys/stat.h>

static char base[64];
static struct image_store store;
static const char content[] = "the content of a blob";
static char name[DIGEST_SIZE];

static int each_init(void **state)
{
	(void)state;
	strcpy(base, "/tmp/berth-partial-XXXXXX");
	digest_of(content, sizeof content, name);
	return mkdtemp(base) && image_store_open(&store, base, NULL) == 0 ? 0 : -1;
}

static int each_fini(void **state)
{
	(void)state;
	image_store_close(&store);
	return dir_remove_all(AT_FDCWD, base);
}

static bool is_there(void)
{
	char path[160];

	snprintf(path, sizeof path, "%s/partial/%s", base, name + 7);
	return access(path, F_OK) == 0;
}

static void what_was_written_is_found_again(void **state)
{
	struct partial p;

	(void)state;
	assert_int_equal(partial_open(&store, name, sizeof content, &p, NULL), 0);
	assert_int_equal(p.have, 0);
	assert_int_equal(pwrite(p.fd, content, 10, 0), 10);
	partial_close(&p);
	assert_int_equal(partial_open(&store, name, sizeof content, &p, NULL), 0);
	assert_int_equal(p.have, 10);
	assert_int_equal(pwrite(p.fd, content + 10, sizeof content - 10, 10), sizeof content - 10);
	assert_false(blob_is_there(&store, name, sizeof content));
	assert_int_equal(partial_verify(&p, sizeof content, NULL), 0);
	assert_int_equal(partial_keep(&store, &p, NULL), 0);
	assert_true(blob_is_there(&store, name, sizeof content));
	assert_false(is_there());
	partial_close(&p);
}

static void one_fills_the_others_wait(void **state)
{
	struct partial one, two, three;

	(void)state;
	assert_int_equal(partial_open(&store, name, sizeof content, &one, NULL), 0);
	assert_int_equal(partial_open(&store, name, sizeof content, &two, NULL), -EWOULDBLOCK);
	assert_int_equal(pwrite(one.fd, content, sizeof content, 0), sizeof content);
	assert_int_equal(partial_verify(&one, sizeof content, NULL), 0);
	assert_int_equal(partial_open(&store, name, sizeof content, &two, NULL), 0);
	assert_true(two.whole);
	assert_int_equal(partial_open(&store, name, sizeof content + 1, &three, NULL), -EINVAL);
	assert_int_equal(partial_keep(&store, &two, NULL), 0);
	assert_int_equal(partial_keep(&store, &one, NULL), 0); /* was kept already */
	partial_close(&one);
	partial_close(&two);
	partial_close(&three);
}

static void wrong_content_is_emptied(void **state)
{
	static const char forged[sizeof content] = "forged";
	struct partial p;
	struct err e = {0};

	(void)state;
	assert_int_equal(partial_open(&store, name, sizeof content, &p, NULL), 0);
	assert_int_equal(pwrite(p.fd, forged, sizeof content, 0), sizeof content);
	assert_int_equal(partial_verify(&p, sizeof content, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "damaged or forged"));
	assert_int_equal(p.have, 0);
	assert_false(p.whole);
	/* Longer than it may be, though it begins well. */
	assert_int_equal(pwrite(p.fd, content, sizeof content, 0), sizeof content);
	assert_int_equal(pwrite(p.fd, "x", 1, sizeof content), 1);
	assert_int_equal(partial_verify(&p, sizeof content, &e), -EBADMSG);
	partial_close(&p);
}

static void too_long_begins_anew(void **state)
{
	struct partial p;

	(void)state;
	assert_int_equal(partial_open(&store, name, 100, &p, NULL), 0);
	assert_int_equal(pwrite(p.fd, content, sizeof content, 60), sizeof content);
	partial_close(&p);
	assert_int_equal(partial_open(&store, name, sizeof content, &p, NULL), 0);
	assert_int_equal(p.have, 0);
	partial_close(&p);
}

static void the_old_go_but_not_what_is_held(void **state)
{
	struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	int64_t then = 2000ll * 1000000000;
	uint64_t freed = 0;
	struct partial p;

	(void)state;
	assert_int_equal(partial_open(&store, name, sizeof content, &p, NULL), 0);
	assert_int_equal(pwrite(p.fd, content, 10, 0), 10);
	assert_int_equal(futimens(p.fd, long_ago), 0);
	assert_int_equal(partial_sweep(&store, then, &freed, NULL), 0);
	assert_true(is_there());
	partial_close(&p);
	assert_int_equal(partial_sweep(&store, 500ll * 1000000000, &freed, NULL), 0);
	assert_true(is_there());
	assert_int_equal(partial_sweep(&store, then, &freed, NULL), 0);
	assert_false(is_there());
	assert_true(freed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_found_again, each_init, each_fini),
		cmocka_unit_test_setup_teardown(one_fills_the_others_wait, each_init, each_fini),
		cmocka_unit_test_setup_teardown(wrong_content_is_emptied, each_init, each_fini),
		cmocka_unit_test_setup_teardown(too_long_begins_anew, each_init, each_fini),
		cmocka_unit_test_setup_teardown(the_old_go_but_not_what_is_held, each_init, each_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
