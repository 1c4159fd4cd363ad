/* tests/unit/test_reference.c - names of images as people write them. */
#include "tests/unit/unit.h"

#include "base/err.h"
#include "image/reference.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_names_become_canonical(void **state)
{
	static const struct {
		const char *text, *canonical; /* NULL: refused */
	} rows[] = {
		{"busybox", "docker.io/library/busybox:latest"},
		{"busybox:1.35", "docker.io/library/busybox:1.35"},
		{"library/busybox", "docker.io/library/busybox:latest"},
		{"docker.io/busybox", "docker.io/library/busybox:latest"},
		{"index.docker.io/busybox", "docker.io/library/busybox:latest"},
		{"docker.io/a/b", "docker.io/a/b:latest"},
		{"user/app:v1", "docker.io/user/app:v1"},
		{"localhost/app", "localhost/app:latest"},
		{"localhost:5000/app", "localhost:5000/app:latest"},
		{"localhost:5000", "docker.io/library/localhost:5000"},
		{"reg.example.com/a/b/c:x", "reg.example.com/a/b/c:x"},
		{"Reg/app", "Reg/app:latest"},
		{"[::1]:5000/app", "[::1]:5000/app:latest"},
		{"[fe80::1]/app", "[fe80::1]/app:latest"},
		{"a.b_c/d", NULL}, /* a host, for it has a dot; hosts have no underscores */
		{"ab@sha256:" HEX64, "docker.io/library/ab@sha256:" HEX64},
		{"ab:t@sha256:" HEX64, "docker.io/library/ab:t@sha256:" HEX64},
		{"a_b/c", "docker.io/a_b/c:latest"},
		{"a__b", "docker.io/library/a__b:latest"},
		{"a---b", "docker.io/library/a---b:latest"},
		{"app:A.b-c_d", "docker.io/library/app:A.b-c_d"},
		{"", NULL},
		{" ", NULL},
		{"App", NULL},
		{"a//b", NULL},
		{"/a", NULL},
		{"a/", NULL},
		{"a:", NULL},
		{":a", NULL},
		{"a:-b", NULL},
		{"a:.b", NULL},
		{"a:b c", NULL},
		{"a___b", NULL},
		{"a..b", NULL},
		{"a.", NULL},
		{"-a", NULL},
		{"a-", NULL},
		{"a@sha256:12", NULL},
		{"a@sha512:" HEX64, NULL},
		{"a@sha256:" HEX64 "0", NULL},
		{"a@", NULL},
		{"@sha256:" HEX64, NULL},
		{HEX64, NULL},
		{"-x.y/a", NULL},
		{"x-.y/a", NULL},
		{"x..y/a", NULL},
		{"x.y-/a", NULL},
		{"x.y:/a", NULL},
		{"x.y:1234567/a", NULL},
		{"x.y:z/a", NULL},
		{"[::1/a", NULL},
		{"[::1]x/a", NULL},
		{"[]/a", NULL},
		{"../etc/passwd", NULL},
		{"a/../b", NULL},
		{"caf\xc3\xa9", NULL},
		{"a\nb", NULL},
	};
	char buf[REFERENCE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = {0};
		int r = reference_canonical(rows[i].text, buf, &e);

		if (rows[i].canonical) {
			assert_row(r == 0, i);
			assert_string_equal(buf, rows[i].canonical);
		} else {
			assert_row(r < 0 && e.text[0], i);
		}
	}
}

static void test_a_digest_in_upper_case_is_told_what_it_should_be(void **state)
{
	char buf[REFERENCE_SIZE];
	struct err e = {0};

	(void)state;
	assert_true(reference_canonical("a@sha256:ABCDEF6789012345678901234567890123456789012345678901234567890123",
					buf, &e) < 0);
	assert_non_null(strstr(e.text, "64 of 0-9a-f"));
}

static void test_a_canonical_name_stays_as_it_is(void **state)
{
	static const char *const rows[] = {"docker.io/library/a:latest", "localhost:1/x/y:z", "q.r/s@sha256:" HEX64};
	char buf[REFERENCE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_row(reference_canonical(rows[i], buf, NULL) == 0, i);
		assert_string_equal(buf, rows[i]);
	}
}

static void test_long_names_are_refused(void **state)
{
	char text[1024], buf[REFERENCE_SIZE];
	struct err e;

	(void)state;
	memset(text, 'a', sizeof text);
	text[255 - strlen("docker.io/library/")] = 0;
	assert_int_equal(reference_canonical(text, buf, &e), 0);
	assert_int_equal(strlen(buf), 255 + strlen(":latest"));
	text[255 - strlen("docker.io/library/")] = 'a';
	text[256 - strlen("docker.io/library/")] = 0;
	assert_true(reference_canonical(text, buf, &e) < 0);
	memset(text, 'a', sizeof text);
	text[1] = ':';
	text[2 + 128] = 0;
	assert_int_equal(reference_canonical(text, buf, &e), 0);
	text[2 + 128] = 'a';
	text[2 + 129] = 0;
	assert_true(reference_canonical(text, buf, &e) < 0);
}

static void test_a_name_has_parts(void **state)
{
	static const struct {
		const char *name, *registry, *path, *tag, *digest;
	} rows[] = {
		{"busybox", "docker.io", "library/busybox", "latest", ""},
		{"h:5000/a/b:1.2", "h:5000", "a/b", "1.2", ""},
		{"h:5000/a@sha256:0123456789012345678901234567890123456789012345678901234567890123", "h:5000", "a", "",
		 "sha256:0123456789012345678901234567890123456789012345678901234567890123"},
		{"[::1]:5000/a:x@sha256:0123456789012345678901234567890123456789012345678901234567890123", "[::1]:5000",
		 "a", "x", "sha256:0123456789012345678901234567890123456789012345678901234567890123"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char canonical[REFERENCE_SIZE];
		struct reference r;

		assert_int_equal(reference_canonical(rows[i].name, canonical, NULL), 0);
		assert_int_equal(reference_split(canonical, &r, NULL), 0);
		assert_string_equal(r.registry, rows[i].registry);
		assert_string_equal(r.path, rows[i].path);
		assert_string_equal(r.tag, rows[i].tag);
		assert_string_equal(r.digest, rows[i].digest);
	}
}

static void test_platforms(void **state)
{
	static const struct {
		const char *text, *architecture, *variant;
	} rows[] = {
		{"linux/amd64", "amd64", ""},
		{"arm64", "arm64", "v8"},
		{"linux/arm64/v8", "arm64", "v8"},
		{"linux/arm/v7", "arm", "v7"},
		{"linux/x86_64", "amd64", ""},
		{"aarch64", "arm64", "v8"},
		{"windows/amd64", NULL, NULL},
		{"", NULL, NULL},
		{"linux/", NULL, NULL},
		{"linux/arm/", NULL, NULL},
		{"linux/arm/v7/x", NULL, NULL},
		{"linux /amd64", NULL, NULL},
		{"/amd64", NULL, NULL},
		{"linux/AMD64", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char architecture[32], variant[32];
		int r = platform_parse(rows[i].text, architecture, variant, NULL);

		if ((r == 0) != (rows[i].architecture != NULL) ||
		    (r == 0 && (strcmp(architecture, rows[i].architecture) || strcmp(variant, rows[i].variant))))
			fail_msg("'%s': %d %s %s", rows[i].text, r, architecture, variant);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_digest_in_upper_case_is_told_what_it_should_be),
		cmocka_unit_test(test_names_become_canonical),
		cmocka_unit_test(test_a_canonical_name_stays_as_it_is),
		cmocka_unit_test(test_long_names_are_refused),
		cmocka_unit_test(test_a_name_has_parts),
		cmocka_unit_test(test_platforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
