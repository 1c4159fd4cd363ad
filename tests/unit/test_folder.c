/* tests/unit/test_folder.c - a folder copied with all that is in it. Needs root: owners, device nodes. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "image/folder.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct fixture {
	char base[64];
	int from, to;
};

static int each_init(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	*state = f;
	strcpy(f->base, "/var/tmp/berth-tree-XXXXXX"); /* tmpfs has no user.* xattrs before 6.6 */
	if (!f || !mkdtemp(f->base) || chdir(f->base) < 0 || mkdir("from", 0755) < 0 || mkdir("to", 0700) < 0)
		return -1;
	umask(0);
	f->from = open("from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->to = open("to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->from < 0 || f->to < 0 ? -1 : 0;
}

static int each_fini(void **state)
{
	struct fixture *f = *state;
	int r = chdir("/") < 0 ? -1 : dir_remove_all(AT_FDCWD, f->base);

	close(f->from);
	close(f->to);
	free(f);
	return r;
}

static void file_make(const char *path, const char *text)
{
	assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

static void file_has(const char *path, const char *text)
{
	char buf[256];

	assert_true(file_read(AT_FDCWD, path, buf, sizeof buf) >= 0);
	assert_string_equal(buf, text);
}

static struct stat look(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st;
}

static void same_attributes(const char *a, const char *b)
{
	struct stat x = look(a), y = look(b);

	assert_int_equal(x.st_mode, y.st_mode);
	assert_int_equal(x.st_uid, y.st_uid);
	assert_int_equal(x.st_gid, y.st_gid);
	assert_int_equal(x.st_rdev, y.st_rdev);
	assert_memory_equal(&x.st_mtim, &y.st_mtim, sizeof x.st_mtim);
}

static void every_kind_of_entry_comes_with_owner_mode_and_time(void **state)
{
	static const char *const names[] = {"", "/d", "/d/f", "/suid", "/link", "/pipe", "/null", "/d/empty"};
	static const struct timespec times[2] = {{1000000000, 5}, {1100000000, 7}};
	struct fixture *f = *state;
	char from[64], to[64];
	struct err e = {0};

	assert_int_equal(mkdir("from/d", 0750), 0);
	assert_int_equal(mkdir("from/d/empty", 01777), 0);
	file_make("from/d/f", "content");
	file_make("from/suid", "");
	assert_int_equal(symlink("../../etc/passwd", "from/link"), 0);
	assert_int_equal(mkfifo("from/pipe", 0620), 0);
	assert_int_equal(mknod("from/null", S_IFCHR | 0666, makedev(1, 3)), 0);
	for (size_t i = ARRAY_SIZE(names); i-- > 0;) {
		snprintf(from, sizeof from, "from%s", names[i]);
		assert_int_equal(lchown(from, 1000 + (uid_t)i, 2000 + (gid_t)i), 0);
		if (strstr(from, "suid"))
			assert_int_equal(chmod(from, 06755), 0);
		assert_int_equal(utimensat(AT_FDCWD, from, times, AT_SYMLINK_NOFOLLOW), 0);
	}
	assert_int_equal(folder_copy(f->from, f->to, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(from, sizeof from, "from%s", names[i]);
		snprintf(to, sizeof to, "to%s", names[i]);
		same_attributes(from, to);
	}
	file_has("to/d/f", "content");
	assert_int_equal(readlink("to/link", to, sizeof to), strlen("../../etc/passwd"));
}

static void xattrs_come_along(void **state)
{
	struct fixture *f = *state;
	char value[16];
	struct err e = {0};

	file_make("from/f", "x");
	if (setxattr("from/f", "user.note", "hello", 5, 0) < 0)
		skip(); /* a file system without them */
	assert_int_equal(setxattr("from", "user.top", "yes", 3, 0), 0);
	/* CAP_NET_RAW of a file: chown would take it away, so it must come after that. */
	static const unsigned char ping[20] = {1, 0, 0, 2, 0, 0x20};
	assert_int_equal(setxattr("from/f", "security.capability", ping, sizeof ping, 0), 0);
	assert_int_equal(folder_copy(f->from, f->to, &e), 0);
	assert_int_equal(getxattr("to/f", "user.note", value, sizeof value), 5);
	assert_int_equal(getxattr("to", "user.top", value, sizeof value), 3);
	assert_int_equal(getxattr("to/f", "security.capability", NULL, 0), sizeof ping);
}

static void names_of_one_file_stay_names_of_one_file(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	char a[64], b[64];

	assert_int_equal(mkdir("from/d", 0755), 0);
	for (int i = 0; i < 100; i++) { /* so many that the table grows */
		snprintf(a, sizeof a, "from/f%d", i);
		snprintf(b, sizeof b, "from/d/g%d", i);
		file_make(a, a);
		assert_int_equal(link(a, b), 0);
	}
	file_make("from/outside", "x");
	assert_int_equal(link("from/outside", "elsewhere"), 0);
	assert_int_equal(folder_copy(f->from, f->to, &e), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(a, sizeof a, "to/f%d", i);
		snprintf(b, sizeof b, "to/d/g%d", i);
		assert_int_equal(look(a).st_ino, look(b).st_ino);
		assert_int_equal(look(a).st_nlink, 2);
		snprintf(b, sizeof b, "from/f%d", i);
		file_has(a, b);
	}
	assert_int_equal(look("to/outside").st_nlink, 1);
}

static void holes_stay_holes(void **state)
{
	struct fixture *f = *state;
	AUTO_FD fd = open("from/sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct err e = {0};
	char byte;

	assert_int_equal(pwrite(fd, "a", 1, 32 << 20), 1);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	AUTO_FD hole = open("from/hole", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(hole, 8 << 20), 0);
	assert_int_equal(folder_copy(f->from, f->to, &e), 0);
	AUTO_FD copy = open("to/sparse", O_RDONLY | O_CLOEXEC);
	assert_int_equal(look("to/sparse").st_size, 64 << 20);
	assert_true(look("to/sparse").st_blocks < 4096);
	assert_int_equal(pread(copy, &byte, 1, 32 << 20), 1);
	assert_int_equal(byte, 'a');
	assert_int_equal(look("to/hole").st_size, 8 << 20);
	assert_int_equal(look("to/hole").st_blocks, 0);
}

static void a_link_in_the_way_is_not_followed(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	file_make("victim", "safe");
	file_make("from/f", "evil");
	assert_int_equal(symlink("../victim", "to/f"), 0);
	assert_true(folder_copy(f->from, f->to, &e) < 0);
	assert_non_null(strstr(e.text, "open f"));
	file_has("victim", "safe");
}

static void folders_deeper_than_a_layer_can_have_are_refused(void **state)
{
	struct fixture *f = *state;
	AUTO_FD at = dup(f->from);
	struct err e = {0};

	for (int i = 0; i < 300; i++) {
		int next;

		assert_int_equal(mkdirat(at, "d", 0755), 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	assert_int_equal(fd_limit_raise(), 0);
	assert_true(folder_copy(f->from, f->to, &e) < 0);
	assert_non_null(strstr(e.text, "within each other"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_kind_of_entry_comes_with_owner_mode_and_time, each_init,
						each_fini),
		cmocka_unit_test_setup_teardown(xattrs_come_along, each_init, each_fini),
		cmocka_unit_test_setup_teardown(names_of_one_file_stay_names_of_one_file, each_init, each_fini),
		cmocka_unit_test_setup_teardown(holes_stay_holes, each_init, each_fini),
		cmocka_unit_test_setup_teardown(a_link_in_the_way_is_not_followed, each_init, each_fini),
		cmocka_unit_test_setup_teardown(folders_deeper_than_a_layer_can_have_are_refused, each_init, each_fini),
	};

	if (geteuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
