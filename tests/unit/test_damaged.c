/* tests/unit/test_damaged.c - a mark of damage stays until what takes the damaged one's place is on the disk. A layer needs root. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "image/blob.h"
#include "image/damaged.h"
#include "image/digest.h"
#include "image/layer.h"
#include "image/partial.h"

#include <sys/stat.h>
#include <sys/syscall.h>

static char base[64];
static struct image_store store;
static const char content[] = "the content of a blob";
static char name[DIGEST_SIZE], empty[DIGEST_SIZE];
static const char nothing[1024]; /* a tar of nothing */

static enum damaged_kind kind;
static const char *marked;
static unsigned folders, unmarked; /* folders that were synced; syncs of anything when the mark had gone already */
static int fault;		   /* of the sync of a folder */

/* In place of libc's. */
int fsync(int fd)
{
	struct stat st;
	bool folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);

	unmarked += marked && !damaged_is(&store, kind, marked);
	folders += folder;
	if (folder && fault) {
		errno = fault;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

static int each_init(void **state)
{
	(void)state;
	strcpy(base, "/tmp/berth-damaged-XXXXXX");
	digest_of(content, sizeof content, name);
	digest_of(nothing, sizeof nothing, empty);
	marked = NULL;
	fault = 0;
	return mkdtemp(base) && image_store_open(&store, base, NULL) == 0 ? 0 : -1;
}

static int each_fini(void **state)
{
	(void)state;
	image_store_close(&store);
	return dir_remove_all(AT_FDCWD, base);
}

static void mark(enum damaged_kind k, const char *digest)
{
	assert_int_equal(damaged_note(&store, k, digest, NULL), 0);
	kind = k;
	marked = digest;
	folders = unmarked = 0;
}

/* Twice: once the folder cannot be synced, and once it can. */
static void replace_twice(int (*bring)(void))
{
	fault = EIO;
	assert_true(bring() < 0);
	assert_true(damaged_is(&store, kind, marked));
	fault = 0;
	assert_true(bring() >= 0);
	assert_false(damaged_is(&store, kind, marked));
	assert_int_equal(unmarked, 0);
	assert_int_equal(folders, 2);
}

static int blob_bring(void)
{
	return blob_put_bytes(&store, content, sizeof content, name, NULL);
}

static void the_mark_of_a_blob_goes_after_the_blob_that_replaces_it_is_on_the_disk(void **state)
{
	(void)state;
	assert_int_equal(blob_bring(), 0);
	mark(DAMAGED_BLOB, name);
	replace_twice(blob_bring);
}

static int partial_bring(void)
{
	struct partial p;
	int r;

	assert_int_equal(partial_open(&store, name, sizeof content, &p, NULL), 0);
	assert_int_equal(pwrite(p.fd, content, sizeof content, 0), sizeof content);
	assert_int_equal(partial_verify(&p, sizeof content, NULL), 0);
	r = partial_keep(&store, &p, NULL);
	partial_close(&p);
	return r;
}

static void the_mark_of_a_blob_that_was_pulled_anew_too(void **state)
{
	(void)state;
	assert_int_equal(partial_bring(), 0);
	mark(DAMAGED_BLOB, name);
	replace_twice(partial_bring);
}

static int layer_bring(void)
{
	AUTO_FD blob = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct source_part from = {.fd = blob, .length = sizeof nothing};
	int fd;

	assert_int_equal(write(blob, nothing, sizeof nothing), sizeof nothing);
	/* The lowest layer's chain id is its diff id. */
	fd = layer_make(&store, empty, empty, &from, NULL, 0, NULL);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static void the_mark_of_a_layer_goes_after_the_layer_that_replaces_it_is_on_the_disk(void **state)
{
	(void)state;
	if (geteuid())
		SKIP("needs root");
	assert_int_equal(layer_bring(), 0);
	mark(DAMAGED_LAYER, empty);
	replace_twice(layer_bring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_mark_of_a_blob_goes_after_the_blob_that_replaces_it_is_on_the_disk,
						each_init, each_fini),
		cmocka_unit_test_setup_teardown(the_mark_of_a_blob_that_was_pulled_anew_too, each_init, each_fini),
		cmocka_unit_test_setup_teardown(
			the_mark_of_a_layer_goes_after_the_layer_that_replaces_it_is_on_the_disk, each_init, each_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
