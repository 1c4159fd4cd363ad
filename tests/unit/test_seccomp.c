/* tests/unit/test_seccomp.c - filters are judged by running them: each case loads one in a child and makes the call. */
#include "supervisor/seccomp.h"

#include "base/own.h"
#include "supervisor/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define DOCKER_CAPS 0xa80425fbull
#define CAP(c)	    (1ull << (c))

struct call {
	const char *what;
	long nr, a, b, c;
	int want_errno; /* 0 = not refused by the filter */
};

/* errno of the call under the filter; 0 when it worked; 1000 + signal when the child was killed. */
static int run_under(const void *bpf, size_t len, const struct call *call)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct sock_fprog prog = {(unsigned short)(len / sizeof(struct sock_filter)),
					  (struct sock_filter *)(uintptr_t)bpf};

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
			_exit(255);
		_exit(syscall(call->nr, call->a, call->b, call->c, 0, 0, 0) < 0 ? errno : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void check_calls(const Berth__Security *s, uint64_t caps, const struct call *calls, size_t n)
{
	struct seccomp_cache *cache;
	struct err e = {0};
	const void *bpf;
	size_t len;

	assert_int_equal(seccomp_cache_new(&cache), 0);
	if (seccomp_get(cache, s, caps, &bpf, &len, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < n; i++) {
		int got = run_under(bpf, len, &calls[i]);

		if (got != calls[i].want_errno)
			fail_msg("%s: errno %d, want %d", calls[i].what, got, calls[i].want_errno);
	}
	seccomp_cache_free(cache);
}

static void default_profile_refuses_what_docker_refuses(void **state)
{
	const struct call calls[] = {
		{"getpid", SYS_getpid, 0, 0, 0, 0},
		{"mount", SYS_mount, 0, 0, 0, EPERM},
		{"unshare", SYS_unshare, CLONE_NEWNS, 0, 0, EPERM},
		{"clone with a new namespace", SYS_clone, CLONE_NEWUSER, 0, 0, EPERM},
		{"clone3 asks for a fallback", SYS_clone3, 0, 0, 0, ENOSYS},
		{"setns", SYS_setns, -1, 0, 0, EPERM},
		{"bpf", SYS_bpf, 0, 0, 0, EPERM},
		{"keyctl", SYS_keyctl, 0, 0, 0, EPERM},
		{"add_key", SYS_add_key, 0, 0, 0, EPERM},
		{"io_uring_setup", SYS_io_uring_setup, 0, 0, 0, EPERM},
		{"userfaultfd", SYS_userfaultfd, 0, 0, 0, EPERM},
		{"kexec_load", SYS_kexec_load, 0, 0, 0, EPERM},
		{"init_module", SYS_init_module, 0, 0, 0, EPERM},
		{"reboot", SYS_reboot, 0, 0, 0, EPERM},
		{"swapon", SYS_swapon, 0, 0, 0, EPERM},
		{"settimeofday", SYS_settimeofday, 0, 0, 0, EPERM},
		{"perf_event_open", SYS_perf_event_open, 0, 0, 0, EPERM},
		{"open_by_handle_at", SYS_open_by_handle_at, -1, 0, 0, EPERM},
		{"socket AF_VSOCK", SYS_socket, 40, SOCK_STREAM, 0, EPERM},
		{"socket AF_UNIX", SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0},
		{"personality query", SYS_personality, 0xffffffff, 0, 0, 0},
		{"personality ADDR_NO_RANDOMIZE", SYS_personality, 0x40000, 0, 0, EPERM},
		{"a syscall of the future", 2000, 0, 0, 0, ENOSYS},
	};

	check_calls(NULL, DOCKER_CAPS, calls, ARRAY_SIZE(calls));
}

static void a_kept_capability_opens_its_calls(void **state)
{
	const struct call with_admin[] = {
		{"mount", SYS_mount, 0, 0, 0, EFAULT},
		{"setns", SYS_setns, -1, 0, 0, EBADF},
		{"kexec_load stays closed", SYS_kexec_load, 0, 0, 0, EPERM},
	};
	const struct call without_chroot[] = {{"chroot", SYS_chroot, 0, 0, 0, EPERM}};
	const struct call with_chroot[] = {{"chroot", SYS_chroot, 0, 0, 0, EFAULT}};

	check_calls(NULL, DOCKER_CAPS | CAP(CAP_SYS_ADMIN), with_admin, ARRAY_SIZE(with_admin));
	check_calls(NULL, DOCKER_CAPS & ~CAP(CAP_SYS_CHROOT), without_chroot, 1);
	check_calls(NULL, DOCKER_CAPS, with_chroot, 1);
}

static Berth__Security with_profile(const char *json)
{
	Berth__Security s = BERTH__SECURITY__INIT;

	s.seccomp = (char *)(uintptr_t) "profile";
	s.has_seccomp_profile = true;
	s.seccomp_profile.data = (uint8_t *)(uintptr_t)json;
	s.seccomp_profile.len = strlen(json);
	return s;
}

static void a_profile_in_dockers_format_is_in_force(void **state)
{
	Berth__Security s = with_profile(
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
		"{\"names\":[\"getcwd\",\"no_such_call\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":61},"
		"{\"name\":\"getppid\",\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"caps\":[\"CAP_SYS_BOOT\"]}},"
		"{\"names\":[\"umask\"],\"action\":\"SCMP_ACT_ERRNO\",\"excludes\":{\"caps\":[\"CAP_SYS_BOOT\"]}},"
		"{\"names\":[\"dup\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"minKernel\":\"99.0\"}},"
		"{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_KILL_PROCESS\",\"args\":[{\"index\":1,\"value\":63,\"op\":"
		"\"SCMP_CMP_EQ\"}]}]}");
	const struct call calls[] = {
		{"getcwd", SYS_getcwd, 0, 0, 0, 61},
		{"getppid, the capability is not there", SYS_getppid, 0, 0, 0, 0},
		{"umask", SYS_umask, 022, 0, 0, EPERM},
		{"dup, rule for a newer kernel", SYS_dup, 0, 0, 0, 0},
		{"kill with 63", SYS_kill, -1, 63, 0, 1000 + 31},
		{"a syscall of the future is the kernel's business", 2000, 0, 0, 0, ENOSYS},
	};

	check_calls(&s, DOCKER_CAPS, calls, ARRAY_SIZE(calls));
}

static void bad_profiles_are_refused_with_the_place(void **state)
{
	static const struct {
		const char *json, *says;
	} cases[] = {
		{"", "is empty"},
		{"{", "line 1"},
		{"[]", "must be an object"},
		{"{\"defaultAction\":\"SCMP_ACT_FOO\"}", "unknown action \"SCMP_ACT_FOO\""},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "duplicate"},
		{"{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "cannot be honoured"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"]}", "filter flags"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"sysclals\":[]}", "unknown key \"sysclals\""},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\"}]}",
		 "syscalls[0]"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"dup\",\"action\":\"SCMP_ACT_ERRNO\","
		 "\"errnoRet\":70000}]}",
		 "errnoRet"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"dup\",\"action\":\"SCMP_ACT_ERRNO\","
		 "\"includes\":{\"caps\":[\"CAP_X\"]}}]}",
		 "unknown capability \"CAP_X\""},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
		 "{\"name\":\"mmap\",\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":1,\"value\":8589934592,\"op\":"
		 "\"SCMP_CMP_GT\"}]},"
		 "{\"name\":\"mmap\",\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":1,\"value\":4294967296,\"op\":"
		 "\"SCMP_CMP_EQ\"}]}]}",
		 "use one rule"},
	};
	struct seccomp_cache *cache;

	assert_int_equal(seccomp_cache_new(&cache), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Berth__Security s = with_profile(cases[i].json);
		struct err e = {0};
		const void *bpf;
		size_t len;

		if (!seccomp_get(cache, &s, DOCKER_CAPS, &bpf, &len, &e))
			fail_msg("accepted: %s", cases[i].json);
		if (!strstr(e.text, cases[i].says))
			fail_msg("%s: says \"%s\", want \"%s\"", cases[i].json, e.text, cases[i].says);
	}
	seccomp_cache_free(cache);
}

static void unconfined_and_privileged_have_no_filter(void **state)
{
	Berth__Security unconfined = BERTH__SECURITY__INIT, privileged = BERTH__SECURITY__INIT;
	struct seccomp_cache *cache;
	const void *bpf;
	size_t len;

	unconfined.seccomp = (char *)(uintptr_t) "unconfined";
	privileged.has_privileged = privileged.privileged = true;
	assert_int_equal(seccomp_cache_new(&cache), 0);
	assert_int_equal(seccomp_get(cache, &unconfined, DOCKER_CAPS, &bpf, &len, NULL), 0);
	assert_null(bpf);
	assert_int_equal(seccomp_get(cache, &privileged, ~0ull, &bpf, &len, NULL), 0);
	assert_null(bpf);
	seccomp_cache_free(cache);
}

static void a_profile_is_compiled_once_and_the_cache_is_bounded(void **state)
{
	struct seccomp_cache *cache;
	const void *first, *again, *other;
	size_t len;

	assert_int_equal(seccomp_cache_new(&cache), 0);
	assert_int_equal(seccomp_get(cache, NULL, DOCKER_CAPS, &first, &len, NULL), 0);
	assert_int_equal(seccomp_get(cache, NULL, DOCKER_CAPS, &again, &len, NULL), 0);
	assert_ptr_equal(first, again);
	assert_int_equal(seccomp_get(cache, NULL, 0, &other, &len, NULL), 0);
	assert_ptr_not_equal(first, other);
	for (uint64_t caps = 1; caps < 100; caps++)
		assert_int_equal(seccomp_get(cache, NULL, caps, &other, &len, NULL), 0);
	seccomp_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_profile_refuses_what_docker_refuses),
		cmocka_unit_test(a_kept_capability_opens_its_calls),
		cmocka_unit_test(a_profile_in_dockers_format_is_in_force),
		cmocka_unit_test(bad_profiles_are_refused_with_the_place),
		cmocka_unit_test(unconfined_and_privileged_have_no_filter),
		cmocka_unit_test(a_profile_is_compiled_once_and_the_cache_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
