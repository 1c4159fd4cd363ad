/* tests/unit/test_file.c - files are whole or not there, trees go without a step outside, sealed memory stays sealed. */
#include "tests/unit/unit.h"

#include "base/file.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[] = "/tmp/berth-test-file-XXXXXX";
static int dir = -1;

static int setup(void **state)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	close_fd(&dir);
	return dir_remove_all(AT_FDCWD, folder);
}

static bool exists(const char *path)
{
	return faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make_file(const char *path, const char *text)
{
	assert_int_equal(file_write_atomic(dir, path, text, strlen(text), 0644, false), 0);
}

/* ---------------------------------------------------------------- reading and writing */

static void a_file_is_read_whole_or_refused(void **state)
{
	char buf[8];
	char *all = NULL;

	make_file("f", "1234567");
	assert_int_equal(file_read(dir, "f", buf, sizeof buf), 7);
	assert_string_equal(buf, "1234567");
	assert_int_equal(file_read_all(dir, "f", 7, &all), 7);
	assert_string_equal(all, "1234567");
	free(all);
	make_file("f", "12345678");
	assert_int_equal(file_read(dir, "f", buf, sizeof buf), -EFBIG);
	assert_int_equal(file_read_all(dir, "f", 7, &all), -EFBIG);
	assert_int_equal(file_read(dir, "none", buf, sizeof buf), -ENOENT);
	assert_int_equal(file_read_all(dir, "none", 7, &all), -ENOENT);
	make_file("f", "");
	assert_int_equal(file_read(dir, "f", buf, sizeof buf), 0);
	assert_string_equal(buf, "");
	assert_int_equal(file_read(dir, ".", buf, sizeof buf), -EISDIR);
}

static void a_file_of_no_known_size_is_read_to_its_end(void **state)
{
	char *all = NULL;
	ssize_t len = file_read_all(AT_FDCWD, "/proc/kallsyms", 64 << 20, &all);

	if (len < 0)
		len = file_read_all(AT_FDCWD, "/proc/self/smaps", 64 << 20, &all);
	assert_true(len > 4096);
	assert_int_equal(strlen(all), len);
	free(all);
}

static void writing_never_makes_a_file(void **state)
{
	char buf[16];

	assert_int_equal(file_writes(dir, "none", "x"), -ENOENT);
	assert_false(exists("none"));
	make_file("f", "12345");
	assert_int_equal(file_writes(dir, "f", "ab"), 0);
	assert_int_equal(file_read(dir, "f", buf, sizeof buf), 5);
	assert_string_equal(buf, "ab345");
	assert_int_equal(file_writes(AT_FDCWD, "/dev/full", "x"), -ENOSPC);
}

static void an_atomic_write_sets_the_mode_against_the_umask(void **state)
{
	mode_t old = umask(077);
	struct stat st;

	assert_int_equal(file_write_atomic(dir, "f", "x", 1, 0664, true), 0);
	umask(old);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0664);
}

static int entries(void)
{
	DIR *d = opendir(folder);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void a_failed_atomic_write_leaves_the_old_content_and_nothing_else(void **state)
{
	struct rlimit limit, small = {10, 10};
	char buf[16], big[100] = {0};
	pid_t pid;
	int status;

	make_file("f", "old");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &small);
		_exit(file_write_atomic(dir, "f", big, sizeof big, 0644, true) == -EFBIG ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(file_read(dir, "f", buf, sizeof buf), 3);
	assert_string_equal(buf, "old");
	assert_int_equal(entries(), 1);
	assert_int_equal(file_write_atomic(dir, "none/f", "x", 1, 0644, false), -ENOENT);
	/* A folder cannot be replaced by a file. */
	assert_int_equal(dir_make(dir, "d", 0755), 0);
	assert_int_equal(file_write_atomic(dir, "d", "x", 1, 0644, false), -EISDIR);
	assert_int_equal(entries(), 2);
}

static void what_a_killed_writer_left_is_replaced(void **state)
{
	char tmp[64];
	int fd;

	snprintf(tmp, sizeof tmp, ".f.%d.tmp", (int)gettid());
	fd = openat(dir, tmp, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	make_file("f", "new");
	assert_int_equal(entries(), 1);
}

#define BIG 65536

static void *rewrite(void *arg)
{
	char data[BIG];

	for (int i = 0; i < 200; i++) {
		memset(data, *(char *)arg, sizeof data);
		if (file_write_atomic(dir, "f", data, sizeof data, 0644, false) < 0)
			return arg;
	}
	return NULL;
}

static void readers_of_an_atomic_write_see_one_content_or_the_other(void **state)
{
	char names[2] = {'a', 'b'}, data[BIG + 1];
	pthread_t threads[2];
	void *failed;

	memset(data, 'a', BIG);
	assert_int_equal(file_write_atomic(dir, "f", data, BIG, 0644, false), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, rewrite, &names[i]), 0);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(file_read(dir, "f", data, sizeof data), BIG);
		assert_true(data[0] == 'a' || data[0] == 'b');
		for (int k = 1; k < BIG; k++)
			if (data[k] != data[0])
				fail_msg("torn at %d", k);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(entries(), 1);
}

/* ---------------------------------------------------------------- folders */

static void folders_are_made_with_their_parents(void **state)
{
	assert_int_equal(dir_make(dir, "a/b/c", 0755), 0);
	assert_int_equal(dir_make(dir, "a/b/c", 0755), 0);
	assert_int_equal(dir_make(dir, "a/b/d/", 0755), 0);
	assert_true(exists("a/b/c"));
	assert_true(exists("a/b/d"));
	make_file("f", "x");
	assert_int_equal(dir_make(dir, "f", 0755), -ENOTDIR);
	assert_int_equal(dir_make(dir, "f/g", 0755), -ENOTDIR);
	assert_int_equal(dir_make(dir, "", 0755), -ENOENT);
}

static void removing_what_is_absent_is_success(void **state)
{
	assert_int_equal(dir_remove_all(dir, "none"), 0);
	assert_int_equal(dir_remove_all(dir, "none/none"), 0);
	assert_int_equal(dir_remove_all(dir, "/"), -EINVAL);
	assert_int_equal(dir_remove_all(dir, ""), -EINVAL);
	assert_int_equal(dir_remove_all(dir, "."), -EINVAL);
	assert_int_equal(dir_remove_all(dir, "a/.."), -EINVAL);
}

static void a_tree_is_removed_with_all_that_is_in_it(void **state)
{
	char path[64];

	assert_int_equal(dir_make(dir, "t/a/b/c", 0755), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof path, "t/a/%d-a-name-that-fills-the-buffer", i);
		make_file(path, "");
	}
	assert_int_equal(mkfifoat(dir, "t/a/fifo", 0600), 0);
	assert_int_equal(dir_make(dir, "t/closed/in", 0), 0);
	make_file("keep", "");
	assert_int_equal(dir_remove_all(dir, "t/"), 0);
	assert_false(exists("t"));
	assert_true(exists("keep"));
	assert_int_equal(dir_remove_all(dir, "keep"), 0);
	assert_false(exists("keep"));
}

static void removing_does_not_follow_links(void **state)
{
	assert_int_equal(dir_make(dir, "outside/d", 0755), 0);
	make_file("outside/f", "x");
	assert_int_equal(dir_make(dir, "t", 0755), 0);
	assert_int_equal(symlinkat("../outside", dir, "t/relative"), 0);
	assert_int_equal(symlinkat("/etc", dir, "t/absolute"), 0);
	assert_int_equal(symlinkat("outside", dir, "link"), 0);
	assert_int_equal(dir_remove_all(dir, "t"), 0);
	assert_int_equal(dir_remove_all(dir, "link"), 0);
	assert_false(exists("link"));
	assert_true(exists("outside/f"));
	assert_true(exists("outside/d"));
	assert_int_equal(access("/etc/passwd", F_OK), 0);
}

/* Deeper than PATH_MAX and than descriptors would do, as any program in a container can make it. */
static void a_very_deep_tree_is_removed_with_few_descriptors(void **state)
{
	struct rlimit limit, few;
	int at = dup(dir), deep = 3000;

	for (int i = 0; i < deep; i++) {
		int next;

		assert_int_equal(mkdirat(at, "deep", 0755), 0);
		assert_int_equal(mkdirat(at, "beside", 0755), 0);
		next = openat(at, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(dir_remove_all(dir, "deep"), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_false(exists("deep"));
}

static int remove_with_mount(void)
{
	char path[128];
	int r;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	/* The descriptor from before is in the old namespace, where the mount will not be. */
	close(dir);
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_make(dir, "t/a/mounted", 0755) < 0 || dir_make(dir, "t/z/gone", 0755) < 0 ||
	    dir_make(dir, "bind/d", 0755) < 0)
		return 2;
	snprintf(path, sizeof path, "%s/t/a/mounted", folder);
	/* A bind mount of the same filesystem: its device number would not give it away. */
	snprintf(path + 64, 64, "%s/bind", folder);
	if (mount(path + 64, path, NULL, MS_BIND, NULL) < 0)
		return 3;
	r = dir_remove_all(dir, "t");
	if (r != -EBUSY || !exists("bind/d") || !exists("t/a/mounted") || exists("t/z"))
		return 4;
	r = dir_remove_all(dir, "t/a/mounted");
	if (r != -EBUSY || !exists("bind/d"))
		return 5;
	if (umount(path) < 0)
		return 6;
	return dir_remove_all(dir, "t") == 0 ? 0 : 7;
}

static void removing_does_not_enter_a_mount(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(remove_with_mount());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		SKIP("no mount namespace without root");
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---------------------------------------------------------------- sealed memory */

static void sealed_memory_cannot_be_changed(void **state)
{
	int fd = memfd_sealed("test", "content", 7);
	const void *data;
	size_t len;

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 3), -1);
	assert_int_equal(ftruncate(fd, 30), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(memfd_map(fd, 7, &data, &len), 0);
	assert_int_equal(len, 7);
	assert_memory_equal(data, "content", 7);
	munmap((void *)data, len);
	assert_int_equal(memfd_map(fd, 6, &data, &len), -EFBIG);
	close(fd);
}

static void unsealed_memory_is_refused(void **state)
{
	static const int some[] = {0, F_SEAL_WRITE, F_SEAL_WRITE | F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_GROW,
				   F_SEAL_WRITE | F_SEAL_SHRINK};
	const void *data;
	size_t len;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		assert_int_equal(write(fd, "x", 1), 1);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, some[i]), 0);
		assert_row(memfd_map(fd, 100, &data, &len) == -EPERM, i);
		close(fd);
	}
	make_file("f", "x");
	fd = openat(dir, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(memfd_map(fd, 100, &data, &len), -EPERM);
	close(fd);
	assert_int_equal(memfd_map(-1, 100, &data, &len), -EPERM);
	fd = memfd_sealed("test", "", 0);
	assert_int_equal(memfd_map(fd, 100, &data, &len), -ENODATA);
	close(fd);
}

static void a_pipe_becomes_non_blocking(void **state)
{
	int p[2];
	char c;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(fd_set_nonblock(p[0]), 0);
	assert_int_equal(read(p[0], &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fd_set_nonblock(-1), -EBADF);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_read_whole_or_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_of_no_known_size_is_read_to_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(writing_never_makes_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(an_atomic_write_sets_the_mode_against_the_umask, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_atomic_write_leaves_the_old_content_and_nothing_else, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_a_killed_writer_left_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_of_an_atomic_write_see_one_content_or_the_other, setup,
						teardown),
		cmocka_unit_test_setup_teardown(folders_are_made_with_their_parents, setup, teardown),
		cmocka_unit_test_setup_teardown(removing_what_is_absent_is_success, setup, teardown),
		cmocka_unit_test_setup_teardown(a_tree_is_removed_with_all_that_is_in_it, setup, teardown),
		cmocka_unit_test_setup_teardown(removing_does_not_follow_links, setup, teardown),
		cmocka_unit_test_setup_teardown(a_very_deep_tree_is_removed_with_few_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(removing_does_not_enter_a_mount, setup, teardown),
		cmocka_unit_test_setup_teardown(sealed_memory_cannot_be_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(unsealed_memory_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pipe_becomes_non_blocking, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
