/* tests/unit/test_ctl_copy_rule.c - what `berth cp` makes of its two paths. */
#include "unit.h"

#include "ctl/copy_rule.h"

static void a_colon_tells_a_container_from_a_path(void **state)
{
	static const struct {
		const char *arg, *ref, *path;
	} rows[] = {
		{"web:/etc", "web", "/etc"},
		{"web:etc/x", "web", "etc/x"},
		{"web:", "web", ""},
		{"web:a:b", "web", "a:b"},
		{"/a:b", NULL, "/a:b"},
		{"./a:b", NULL, "./a:b"},
		{"../a:b", NULL, "../a:b"},
		{":/x", NULL, ":/x"},
		{"file", NULL, "file"},
		{"-", NULL, "-"},
		{"", NULL, ""},
		{".", NULL, "."},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *path;
		char *ref = copy_split(rows[i].arg, &path);

		assert_row(ref ? rows[i].ref && !strcmp(ref, rows[i].ref) : !rows[i].ref, i);
		assert_row(!strcmp(path, rows[i].path), i);
		free(ref);
	}
}

static void a_container_s_path_is_absolute_and_keeps_what_says_folder(void **state)
{
	static const char *const rows[][2] = {
		{"/", "/"},
		{"etc", "/etc"},
		{"/etc/", "/etc/"},
		{"/etc/.", "/etc/."},
		{".", "/."},
		{"./", "/"},
		{"..", "/"},
		{"../../etc", "/etc"},
		{"/a/../b", "/b"},
		{"/a/b/..", "/a"},
		{"a//b/./c", "/a/b/c"},
		{"/a/b/../../..", "/"},
		{"//", "/"},
		{"/..a", "/..a"},
		{"/a/...", "/a/..."},
		{"/a/../", "/"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *path = copy_container_path(rows[i][0]);

		if (strcmp(path, rows[i][1]) != 0)
			fail_msg("%s: %s and not %s", rows[i][0], path, rows[i][1]);
		free(path);
	}
}

/* d: a folder, f: something else, -: not there. folder NULL: refused. */
static void the_table_of_docker_cp(void **state)
{
	static const struct {
		const char *from, from_is, *to, to_is, *folder, *name;
	} rows[] = {
		{"/s/file", 'f', "/t/new", '-', "/t", "new"},
		{"/s/file", 'f', "new", '-', ".", "new"},
		{"/s/file", 'f', "/new", '-', "/", "new"},
		{"/s/file", 'f', "/t/new/", '-', NULL, NULL},
		{"/s/file", 'f', "/t/new/.", '-', NULL, NULL},
		{"/s/file", 'f', "/t/there", 'f', "/t", "there"},
		{"/s/file", 'f', "/t/there/", 'f', NULL, NULL},
		{"/s/file", 'f', "/t/dir", 'd', "/t/dir", "file"},
		{"/s/file", 'f', "/t/dir/", 'd', "/t/dir/", "file"},
		{"file", 'f', ".", 'd', ".", "file"},
		{"/s/dir", 'd', "/t/new", '-', "/t", "new"},
		{"/s/dir", 'd', "/t/new/", '-', "/t", "new"},
		{"/s/dir", 'd', "/t/new//", '-', "/t", "new"},
		{"/s/dir", 'd', "/t/new/.", '-', NULL, NULL},
		{"/s/dir", 'd', "/t/there", 'f', NULL, NULL},
		{"/s/dir", 'd', "/t/dir", 'd', "/t/dir", "dir"},
		{"/s/dir/", 'd', "/t/dir/.", 'd', "/t/dir/.", "dir"},
		{"/s/dir/.", 'd', "/t/new", '-', "/t", "new"},
		{"/s/dir/.", 'd', "/t/there", 'f', NULL, NULL},
		{"/s/dir/.", 'd', "/t/dir", 'd', "/t/dir", "."},
		{".", 'd', "/t/dir", 'd', "/t/dir", "."},
		{"/", 'd', "/t/dir", 'd', "/t/dir", "."},
		{"/", 'd', "/t/new", '-', "/t", "new"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct copy_end from = {rows[i].from, true, rows[i].from_is == 'd'};
		struct copy_end to = {rows[i].to, rows[i].to_is != '-', rows[i].to_is == 'd'};
		struct copy_way way;
		struct err e = {0};
		int r = copy_rule(&from, &to, &way, &e);

		assert_row(rows[i].folder ? r == 0 : r < 0 && e.text[0], i);
		if (rows[i].folder) {
			assert_row(!strcmp(way.folder, rows[i].folder), i);
			assert_row(!strcmp(way.name, rows[i].name), i);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_colon_tells_a_container_from_a_path),
		cmocka_unit_test(a_container_s_path_is_absolute_and_keeps_what_says_folder),
		cmocka_unit_test(the_table_of_docker_cp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
