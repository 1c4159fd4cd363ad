/* tests/unit/test_seccomp_reduce.c - every filter that is made smaller answers as before: for each architecture, number and argument
 * at which an answer may change, and for many that are drawn by lot. Every reduction of a profile passes through here (--wrap). */
#include "supervisor/seccomp_reduce.h"

#include "supervisor/caps.h"
#include "supervisor/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DOCKER_CAPS 0xa80425fbull

int __real_seccomp_reduce(const struct sock_filter *in, size_t n, struct sock_filter **ret, size_t *ret_n);
int __wrap_seccomp_reduce(const struct sock_filter *in, size_t n, struct sock_filter **ret, size_t *ret_n);

static unsigned compared, reduced;
static size_t longest;

/* What the kernel would do. */
static uint32_t run(const struct sock_filter *f, size_t n, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t k = f[i].k;
		bool yes = false;

		switch (f[i].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(k % 4 == 0 && k + 4 <= sizeof *d);
			memcpy(&a, (const char *)d + k, 4);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= k;
			continue;
		case BPF_RET | BPF_K:
			return k;
		case BPF_JMP | BPF_JA:
			i += k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = a & k;
			break;
		default:
			fail_msg("instruction %zu: code %x", i, f[i].code);
		}
		i += yes ? f[i].jt : f[i].jf;
	}
	fail_msg("it runs off its end");
	return 0;
}

static void compare(const struct sock_filter *in, size_t n, const struct sock_filter *out, size_t n_out,
		    const struct seccomp_data *d)
{
	uint32_t want = run(in, n, d), got = run(out, n_out, d);

	compared++;
	if (want != got)
		fail_msg("arch %x nr %d arg %llx %llx %llx: %x, was %x", d->arch, d->nr, (unsigned long long)d->args[0],
			 (unsigned long long)d->args[1], (unsigned long long)d->args[2], got, want);
}

static void compare_all(const struct sock_filter *in, size_t n, const struct sock_filter *out, size_t n_out)
{
	const uint32_t archs[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0, 1,
				  UINT32_MAX};
	uint32_t *at = calloc(3 * n, sizeof *at);
	size_t n_at = 0;

	assert_non_null(at);
	for (size_t i = 0; i < n; i++)
		for (int off = -1; off <= 1; off++)
			if (BPF_CLASS(in[i].code) != BPF_RET)
				at[n_at++] = in[i].k + (uint32_t)off;
	for (size_t a = 0; a < sizeof archs / sizeof *archs; a++) {
		for (size_t i = 0; i < n_at + 600; i++) {
			struct seccomp_data d = {.arch = archs[a], .nr = (int)(i < n_at ? at[i] : i - n_at)};

			for (int k = 0; k < 8; k++) {
				for (int arg = 0; k && arg < 6; arg++)
					d.args[arg] =
						at[(size_t)rand() % n_at] | (rand() % 4 ? 0 : (uint64_t)rand() << 32);
				compare(in, n, out, n_out, &d);
			}
		}
	}
	free(at);
}

int __wrap_seccomp_reduce(const struct sock_filter *in, size_t n, struct sock_filter **ret, size_t *ret_n)
{
	int r = __real_seccomp_reduce(in, n, ret, ret_n);

	if (r == 0) {
		reduced++;
		longest = *ret_n > longest ? *ret_n : longest;
		assert_true(*ret_n < n);
		compare_all(in, n, *ret, *ret_n);
	}
	return r;
}

static void filter_of(const Berth__Security *s, uint64_t caps)
{
	struct seccomp_cache *cache;
	struct err e = {0};
	const void *bpf;
	size_t len;

	assert_int_equal(seccomp_cache_new(&cache), 0);
	if (seccomp_get(cache, s, caps, &bpf, &len, &e))
		fail_msg("%s", e.text);
	seccomp_cache_free(cache);
}

static void the_default_profile_of_any_capabilities_answers_as_before(void **state)
{
	const uint64_t caps[] = {0, DOCKER_CAPS, ~0ull, 1ull << 21 /* SYS_ADMIN */, 0x5555555555ull};

	reduced = 0;
	for (size_t i = 0; i < sizeof caps / sizeof *caps; i++)
		filter_of(NULL, caps[i]);
	assert_int_equal(reduced, sizeof caps / sizeof *caps);
	assert_true(compared > 100000);
	assert_true(longest < 200); /* a comparison for each change of the answer, and what arguments decide */
}

/* Numbers one by one, each with an answer of its own kind, some of which an argument decides: more than a jump reaches over. */
static void ranges_farther_apart_than_a_jump_reaches_answer_as_before(void **state)
{
	struct sock_filter f[4096];
	size_t n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	for (uint32_t nr = 0; nr < 500; nr++) {
		f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, nr % 50 ? 1 : 4);
		if (nr % 50 == 0) {
			f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
							      offsetof(struct seccomp_data, args[0]));
			f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1);
			f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
		}
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						      SECCOMP_RET_ERRNO | (nr % 3 ? nr % 2 : (nr / 8) % 9));
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_filter *out;
	size_t n_out;

	reduced = 0;
	assert_int_equal(__wrap_seccomp_reduce(f, n, &out, &n_out), 0);
	assert_int_equal(reduced, 1);
	assert_true(n_out > 300);
	free(out);
}

static void profiles_of_persons_answer_as_before(void **state)
{
	static const char *const profiles[] = {
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"chmod\"],\"action\":"
		"\"SCMP_ACT_ERRNO\"}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\",\"write\",\"exit_group\","
		"\"execve\"],"
		"\"action\":\"SCMP_ACT_ALLOW\"},{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{"
		"\"index\":0,\"value\":1,"
		"\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":4294967297,\"op\":\"SCMP_CMP_GT\"}]},{\"names\":["
		"\"personality\"],"
		"\"action\":\"SCMP_ACT_KILL_PROCESS\",\"args\":[{\"index\":0,\"value\":8,\"valueTwo\":8,\"op\":\"SCMP_"
		"CMP_MASKED_EQ\"}]}]}",
	};

	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
		Berth__Security s = BERTH__SECURITY__INIT;

		s.seccomp = (char *)(uintptr_t) "profile";
		s.has_seccomp_profile = 1;
		s.seccomp_profile.data = (uint8_t *)(uintptr_t)profiles[i];
		s.seccomp_profile.len = strlen(profiles[i]);
		filter_of(&s, DOCKER_CAPS);
	}
}

static void what_is_not_understood_is_left_alone(void **state)
{
	const struct sock_filter bits_of_the_number[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_filter memory[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_STMT(BPF_ST, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_filter beyond[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 9, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_filter *out;
	size_t n;

	assert_int_equal(__real_seccomp_reduce(bits_of_the_number, 4, &out, &n), -ENOTSUP);
	assert_int_equal(__real_seccomp_reduce(memory, 3, &out, &n), -ENOTSUP);
	assert_int_equal(__real_seccomp_reduce(beyond, 3, &out, &n), -ENOTSUP);
	assert_int_equal(__real_seccomp_reduce(beyond, 0, &out, &n), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_profile_of_any_capabilities_answers_as_before),
		cmocka_unit_test(ranges_farther_apart_than_a_jump_reaches_answer_as_before),
		cmocka_unit_test(profiles_of_persons_answer_as_before),
		cmocka_unit_test(what_is_not_understood_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
