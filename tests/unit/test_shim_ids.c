/* Who a container's program is: Docker's rules, and files that an image may have filled with anything. */
#include "tests/unit/unit.h"

#include "shim/ids.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "app:x:1000:1001:an app:/home/app:/bin/sh\n"
			     "nogroup:x:1002::x:/home:/bin/sh\n"
			     "short:x:1003\n"
			     "\n"
			     ":x:1:1::/:\n"
			     "garbage\n"
			     "neg:x:-1:5:::\n"
			     "huge:x:4294967296:5:::\n"
			     "minus1:x:4294967295:5:::\n"
			     "12:x:77:78::/twelve:\n"
			     "nohome:x:1004:1004::\n"
			     "last:x:1005:1006::/last:/bin/sh"; /* no newline */
static const char group[] = "root:x:0:\n"
			    "app:x:1001:other\n"
			    "extra:x:2000:other,app\n"
			    "more:x:2001:app,other\n"
			    "not:x:2002:application,xapp\n"
			    "again:x:2000:app\n"
			    "bad:x:y:app\n"
			    "lastgroup:x:2003:last";

static const struct {
	const char *spec;
	int code; /* expected errno; 0: fine */
	uid_t uid;
	gid_t gid;
	const char *groups, *home;
} rows[] = {
	{NULL, 0, 0, 0, "", "/root"},
	{"", 0, 0, 0, "", "/root"},
	{"root", 0, 0, 0, "", "/root"},
	{"app", 0, 1000, 1001, "2000,2001,", "/home/app"},
	{"1000", 0, 1000, 1001, "2000,2001,", "/home/app"},
	{"app:", 0, 1000, 1001, "2000,2001,", "/home/app"},
	{"app:root", 0, 1000, 0, "", "/home/app"},
	{"app:extra", 0, 1000, 2000, "", "/home/app"},
	{"app:55", 0, 1000, 55, "", "/home/app"},
	{":55", 0, 0, 55, "", "/root"},
	{"4242", 0, 4242, 0, "", "/"},
	{"4242:4243", 0, 4242, 4243, "", "/"},
	{"12", 0, 77, 78, "", "/twelve"}, /* a name first, as Docker has it */
	{"last", 0, 1005, 1006, "2003,", "/last"},
	{"nohome", 0, 1004, 1004, "", "/"},
	{"nosuch", ENOENT, 0, 0, NULL, NULL},
	{"app:nosuch", ENOENT, 0, 0, NULL, NULL},
	{"nogroup", EINVAL, 0, 0, NULL, NULL},
	{"short", EINVAL, 0, 0, NULL, NULL},
	{"neg", ENOENT, 0, 0, NULL, NULL},
	{"huge", ENOENT, 0, 0, NULL, NULL},
	{"minus1", ENOENT, 0, 0, NULL, NULL},
	{"4294967295", ENOENT, 0, 0, NULL, NULL},
	{"-1", ENOENT, 0, 0, NULL, NULL},
	{"1000:-1", ENOENT, 0, 0, NULL, NULL},
	{"99999999999999999999", ENOENT, 0, 0, NULL, NULL},
};

static void names_and_numbers_resolve_as_docker_does(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct identity id;
		struct err e = {0};
		char groups[64] = "";
		int r = ids_resolve(rows[i].spec, passwd, sizeof passwd - 1, group, sizeof group - 1, &id, &e);

		if (r != -rows[i].code || e.code != rows[i].code)
			fail_msg("%s: %d, %s", rows[i].spec ? rows[i].spec : "-", r, e.text);
		if (rows[i].code) {
			assert_row(!strcmp(e.step, "user") && e.text[0], i);
			continue;
		}
		for (unsigned g = 0; g < id.n_groups; g++)
			snprintf(groups + strlen(groups), sizeof groups - strlen(groups), "%u,", id.groups[g]);
		assert_row(id.uid == rows[i].uid, i);
		assert_row(id.gid == rows[i].gid, i);
		assert_row(!strcmp(groups, rows[i].groups), i);
		assert_row(!strcmp(id.home, rows[i].home), i);
	}
}

static void absent_files_leave_numbers(void **state)
{
	struct identity id;
	struct err e = {0};

	assert_int_equal(ids_resolve("7:8", "", 0, "", 0, &id, &e), 0);
	assert_int_equal(id.uid, 7);
	assert_int_equal(id.gid, 8);
	assert_int_equal(ids_resolve(NULL, "", 0, "", 0, &id, &e), 0);
	assert_int_equal(id.uid, 0);
	assert_string_equal(id.home, "/");
	assert_int_equal(ids_resolve("root", "", 0, "", 0, &id, &e), -ENOENT);
}

static void groups_have_a_limit(void **state)
{
	struct identity id;
	struct err e = {0};
	char many[8192] = "";

	for (int i = 0; i <= IDS_GROUPS_MAX; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), "g%d:x:%d:app\n", i, 5000 + i);
	assert_int_equal(ids_resolve("app", passwd, sizeof passwd - 1, many, strlen(many), &id, &e), -E2BIG);
	id.n_groups = 0;
	assert_int_equal(ids_add_group(&id, 5, &e), 0);
	assert_int_equal(ids_add_group(&id, 5, &e), 0);
	assert_int_equal(id.n_groups, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers_resolve_as_docker_does),
		cmocka_unit_test(absent_files_leave_numbers),
		cmocka_unit_test(groups_have_a_limit),
	};

	return cmocka_run_group_tests_name("shim_ids", tests, NULL, NULL);
}
