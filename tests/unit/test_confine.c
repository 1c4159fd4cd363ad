/* tests/unit/test_confine.c - what a job that was taken over by a forged image could still do, and a gateway by a request. Each attempt is
 * a child that confines itself as `import` does, or as the gateway. Needs root. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "job/job.h"

#include <arpa/inet.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static char base[64], images[96], source[96], outside[96];

static int each_init(void **state)
{
	(void)state;
	strcpy(base, "/tmp/berth-confine-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(images, sizeof images, "%s/images", base);
	snprintf(source, sizeof source, "%s/source", base);
	snprintf(outside, sizeof outside, "%s/outside", base);
	if (mkdir(images, 0700) < 0 || mkdir(source, 0700) < 0 ||
	    file_write_atomic(AT_FDCWD, outside, "secret", 6, 0600, false) < 0)
		return -1;
	return 0;
}

static int each_fini(void **state)
{
	(void)state;
	return dir_remove_all(AT_FDCWD, base);
}

static bool refused(long r)
{
	return r < 0 && (errno == EPERM || errno == EACCES);
}

/* Status of a child that does what fn says, confined: 0 = as it should be. */
static int confined(int (*fn)(int source_fd))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct err e = {0};

		if (confine_enter(&(struct confine){.caps = JOB_CAPS_UNPACK, .write_dir = images, .read_fd = fd}, &e) <
		    0) {
			fprintf(stderr, "%s: %s\n", e.text, strerror(e.code));
			_exit(100);
		}
		_exit(fn(fd));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

static int can_work(int source_fd)
{
	AUTO_FD dir = open(images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD fd = openat(dir, "f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	AUTO_FD from = openat(source_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || fd < 0 || from < 0)
		return 1;
	if (mkdirat(dir, "d", 0755) < 0 || fchownat(dir, "d", 5, 6, 0) < 0 ||
	    mknodat(dir, "null", S_IFCHR | 0666, makedev(1, 3)) < 0)
		return 2;
	if (linkat(dir, "f", dir, "d/g", 0) < 0 || renameat(dir, "d/g", dir, "h") < 0)
		return 3;
	if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0 && errno != ENOTSUP)
		return 4;
	return 0;
}

static int cannot_open_devices(int source_fd)
{
	AUTO_FD dir = open(images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)source_fd;
	if (mknodat(dir, "disk", S_IFBLK | 0600, makedev(7, 0)) < 0 ||
	    mknodat(dir, "mem", S_IFCHR | 0600, makedev(1, 1)) < 0)
		return 1;
	if (!refused(openat(dir, "disk", O_RDONLY | O_CLOEXEC)) || !refused(openat(dir, "mem", O_RDWR | O_CLOEXEC)))
		return 2;
	return 0;
}

static int cannot_run_or_mount(int source_fd)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};

	(void)source_fd;
	if (!refused(execve("/bin/true", argv, NULL)) ||
	    !refused(syscall(SYS_execveat, 3, "", argv, NULL, AT_EMPTY_PATH)))
		return 1;
	if (!refused(mount("tmpfs", "/mnt", "tmpfs", 0, NULL)) || !refused(umount2(images, MNT_DETACH)) ||
	    !refused(mount(NULL, images, NULL, MS_BIND | MS_REMOUNT, NULL)) ||
	    !refused(syscall(SYS_open_tree, AT_FDCWD, "/", 1)))
		return 2;
	if (!refused(unshare(CLONE_NEWUSER)) || !refused(setns(3, 0)) || !refused(chroot("/")))
		return 3;
	if (!refused(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)) || !refused(socket(AF_INET, SOCK_STREAM, 0)) ||
	    !refused(syscall(SYS_bpf, 0, NULL, 0)) || !refused(syscall(SYS_io_uring_setup, 1, NULL)))
		return 4;
	return 0;
}

static int cannot_leave_its_folder(int source_fd)
{
	(void)source_fd;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 0)
		return 77;
	if (!refused(open(outside, O_RDONLY | O_CLOEXEC)) || !refused(open("/etc/shadow", O_RDONLY | O_CLOEXEC)) ||
	    !refused(open("/etc/new-file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)))
		return 1;
	if (!refused(openat(source_fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) || !refused(unlink(outside)) ||
	    !refused(rename(outside, images)))
		return 2;
	return 0;
}

/* The gateway: no files at all, no sockets but unix ones. */
static int a_gateway_has_unix_sockets_alone(void)
{
	struct err e = {0};
	AUTO_FD made = -1;

	if (confine_enter(&(struct confine){.unix_sockets = true}, &e) < 0)
		return 1;
	made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (made < 0 || !refused(socket(AF_INET, SOCK_STREAM, 0)) || !refused(socket(AF_NETLINK, SOCK_RAW, 0)) ||
	    !refused(socket(AF_PACKET, SOCK_RAW, 0)))
		return 2;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0 &&
	    (!refused(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) || !refused(open("/dev/null", O_RDWR | O_CLOEXEC))))
		return 3;
	if (!refused(execl("/bin/true", "true", NULL)) || !refused(unshare(CLONE_NEWUSER)) || !refused(setuid(1)))
		return 4;
	return 0;
}

static void test_a_gateway_has_unix_sockets_and_nothing_else(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid())
		SKIP("needs root");
	pid = fork();
	if (pid == 0)
		_exit(a_gateway_has_unix_sockets_alone());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* berth-fetch: another user without capabilities, IP sockets to connect, and the files that it named. */
static int a_fetcher_connects_and_nothing_else(void)
{
	const char *const files[] = {"/etc/hosts", NULL};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct err e = {0};
	AUTO_FD tcp = -1;

	if (confine_enter(&(struct confine){.network = true, .uid = 65534, .gid = 65534, .read_paths = files}, &e) < 0)
		return 1;
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_port = htons(1);
	if (tcp < 0 || (connect(tcp, (struct sockaddr *)&address, sizeof address) < 0 && refused(-1)))
		return 2;
	if (!refused(socket(AF_UNIX, SOCK_STREAM, 0)) || !refused(socket(AF_PACKET, SOCK_RAW, 0)) ||
	    !refused(listen(tcp, 1)) || !refused(accept4(tcp, NULL, NULL, 0)))
		return 3;
	if (getuid() != 65534 || getgid() != 65534 || getgroups(0, NULL) || !refused(setuid(0)))
		return 4;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0 &&
	    (open("/etc/hosts", O_RDONLY | O_CLOEXEC) < 0 || !refused(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) ||
	     !refused(open("/tmp/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600))))
		return 5;
	return refused(execl("/bin/true", "true", NULL)) ? 0 : 6;
}

static void test_a_fetcher_has_ip_sockets_and_nothing_else(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid())
		SKIP("needs root");
	pid = fork();
	if (pid == 0)
		_exit(a_fetcher_connects_and_nothing_else());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* An export, before and after it becomes the user who asked: reads the one folder, makes files in the other, and in no third. base is
 * root's, what is in it is open to all. */
static int a_sender_reads_here_and_writes_there(void)
{
	struct err e = {0};
	AUTO_FD top = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD from = -1;
	AUTO_FD to = -1;
	AUTO_FD made = -1;
	bool landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;

	if (fchmod(top, 0755) < 0 || mkdirat(top, "from", 0755) < 0 || mkdirat(top, "to", 0777) < 0 ||
	    fchmodat(top, "to", 0777, 0) < 0 ||
	    close(openat(top, "from/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) < 0)
		return 1;
	from = openat(top, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to = openat(top, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (confine_enter(&(struct confine){.caps = CAP_BIT(6) | CAP_BIT(7), .read_fd = from, .write_fd = to}, &e) < 0)
		return 2;
	made = openat(from, "file", O_RDONLY | O_CLOEXEC);
	if (made < 0 || !refused(socket(AF_INET, SOCK_STREAM, 0)) || !refused(socket(AF_UNIX, SOCK_STREAM, 0)))
		return 3;
	if (landlock && (!refused(openat(from, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) ||
			 !refused(openat(top, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) ||
			 !refused(open("/etc/passwd", O_RDONLY | O_CLOEXEC))))
		return 4;
	if (confine_become(12345, 12346, 0, &e) < 0 || getuid() != 12345 || getgid() != 12346 || getgroups(0, NULL))
		return 5;
	if (!refused(setuid(0)) || !refused(openat(from, "file", O_RDONLY | O_CLOEXEC)))
		return 6;
	close_fd(&made);
	made = path_create(to, "made", 0644, 0);
	return made < 0 || mkdirat(to, "folder", 0755) < 0 ? 7 : 0;
}

static void test_a_sender_reads_one_folder_and_writes_another_as_who_asked(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid())
		SKIP("needs root");
	pid = fork();
	if (pid == 0)
		_exit(a_sender_reads_here_and_writes_there());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_an_import_can_do_its_work(void **state)
{
	(void)state;
	if (geteuid())
		SKIP("needs root");
	assert_int_equal(confined(can_work), 0);
}

static void test_device_nodes_of_an_image_cannot_be_opened(void **state)
{
	(void)state;
	if (geteuid())
		SKIP("needs root");
	assert_int_equal(confined(cannot_open_devices), 0);
}

static void test_nothing_can_be_executed_or_mounted(void **state)
{
	(void)state;
	if (geteuid())
		SKIP("needs root");
	assert_int_equal(confined(cannot_run_or_mount), 0);
}

static void test_files_elsewhere_are_out_of_reach(void **state)
{
	int r;

	(void)state;
	if (geteuid())
		SKIP("needs root");
	r = confined(cannot_leave_its_folder);
	if (r == 77)
		SKIP("no Landlock in this kernel");
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_gateway_has_unix_sockets_and_nothing_else, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_a_fetcher_has_ip_sockets_and_nothing_else, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_a_sender_reads_one_folder_and_writes_another_as_who_asked,
						each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_an_import_can_do_its_work, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_device_nodes_of_an_image_cannot_be_opened, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_nothing_can_be_executed_or_mounted, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_files_elsewhere_are_out_of_reach, each_init, each_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
