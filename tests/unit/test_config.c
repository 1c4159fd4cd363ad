/* tests/unit/test_config.c - the settings file: what is taken, and what is refused with file and line. */
#include "tests/unit/unit.h"

#include "supervisor/config.h"

static int parse(const char *text, struct config *c, struct err *e)
{
	config_defaults(c);
	*e = (struct err){0};
	return config_parse(c, "berthd.conf", text, strlen(text), e);
}

static void every_setting_of_a_good_file_is_taken(void **state)
{
	static const char text[] = "# settings\n"
				   "\n"
				   "state_dir = /srv/berth   # here\n"
				   "run_dir=/run/b\r\n"
				   "  cgroup = \"\"\n"
				   "socket_group = \"ops\" # and a comment\n"
				   "job_path = /opt/berth-job\n"
				   "action_keep = 2d\n"
				   "max_containers = 100\n"
				   "max_clients = 7\n"
				   "userns_first = 300000\n"
				   "userns_per = 1000\n"
				   "debug = yes";
	struct config c;
	struct err e;

	assert_int_equal(parse(text, &c, &e), 0);
	assert_string_equal(c.state_dir, "/srv/berth");
	assert_string_equal(c.run_dir, "/run/b");
	assert_string_equal(c.cgroup, "");
	assert_string_equal(c.socket_group, "ops");
	assert_string_equal(c.job_path, "/opt/berth-job");
	assert_true(c.action_keep_ns == 2ull * 86400 * NS_PER_S);
	assert_int_equal(c.max_containers, 100);
	assert_int_equal(c.max_clients, 7);
	assert_int_equal(c.userns_first, 300000);
	assert_int_equal(c.userns_per, 1000);
	assert_true(c.debug);
	assert_int_equal(config_check(&c, &e), 0);
}

static void a_bad_line_is_refused_with_its_number_and_changes_nothing(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"max_clients = 5\nnonsense = 1\n", "berthd.conf:2: unknown setting 'nonsense'"},
		{"state_dir\n", "berthd.conf:1: 'state_dir' is not of the form key = value"},
		{"\n\nmax_clients = many\n", "berthd.conf:3: max_clients: 'many' is not a number"},
		{"max_clients = 0\n", "berthd.conf:1: max_clients: 0 is not within 1 and 60000"},
		{"max_clients = 99999999999\n", "berthd.conf:1: max_clients: 99999999999 is not within 1 and 60000"},
		{"max_clients = 5\nmax_clients = 6\n", "berthd.conf:2: max_clients: given twice"},
		{"state_dir = relative\n",
		 "berthd.conf:1: state_dir: 'relative' is not an absolute path without . and .."},
		{"state_dir = /a/../b\n",
		 "berthd.conf:1: state_dir: '/a/../b' is not an absolute path without . and .."},
		{"state_dir =\n", "berthd.conf:1: state_dir: must not be empty"},
		{"action_keep = soon\n", "berthd.conf:1: action_keep: 'soon' is not a duration like 12h or 7d"},
		{"debug = maybe\n", "berthd.conf:1: debug: 'maybe' is neither yes nor no"},
		{"socket_group = \"a\n",
		 "berthd.conf:1: socket_group: the quotes are not closed, or something follows them"},
		{"socket_group = \"a\" b\n",
		 "berthd.conf:1: socket_group: the quotes are not closed, or something follows them"},
		{"socket_group = a b\n", "berthd.conf:1: socket_group: 'a b' is not a name"},
		{"= x\n", "berthd.conf:1: unknown setting ''"},
	};
	struct config c, before;
	struct err e;
	char text[600];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		config_defaults(&before);
		assert_row(parse(rows[i].text, &c, &e) < 0, i);
		err_format(&e, text, sizeof text);
		if (strcmp(text, rows[i].error) != 0)
			fail_msg("row %zu: %s", i, text);
		assert_row(!memcmp(&c, &before, sizeof c), i);
	}
}

static void a_line_too_long_or_with_a_nul_is_refused(void **state)
{
	char text[2000];
	struct config c;
	struct err e;

	memset(text, 'x', sizeof text);
	config_defaults(&c);
	assert_true(config_parse(&c, "f", text, sizeof text, &e) < 0);
	assert_non_null(strstr(e.text, "f:1: line is longer"));
	assert_true(config_parse(&c, "f", "debug\0 = 1", 10, &e) < 0);
	assert_non_null(strstr(e.text, "NUL"));
}

static void a_run_folder_whose_sockets_could_not_be_named_is_refused(void **state)
{
	struct config c;
	struct err e;

	config_defaults(&c);
	memset(c.run_dir, 'r', 70);
	c.run_dir[0] = '/';
	c.run_dir[70] = 0;
	assert_true(config_check(&c, &e) < 0);
	c.run_dir[60] = 0;
	assert_int_equal(config_check(&c, &e), 0);
}

static void a_relative_path_of_the_command_line_is_made_absolute(void **state)
{
	static const struct {
		const char *here, *path, *want; /* NULL: refused */
	} rows[] = {
		{"/home/me", "state", "/home/me/state"},
		{"/home/me", "./state/", "/home/me/state"},
		{"/home/me", "../you//state", "/home/you/state"},
		{"/home/me", "../..", "/"},
		{"/home/me", "../../../../srv", "/srv"},
		{"/", "state", "/state"},
		{"/home/me", "/srv//berth/", "/srv/berth"},
		{"/home/me", "/srv/./berth", "/srv/berth"},
		{"/home/me", "link/../state", NULL},
		{"/home/me", "/srv/../etc", NULL},
		{"/home/me", "", NULL},
	};
	struct config c;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r;

		config_defaults(&c);
		r = config_set_path(&c, "state_dir", rows[i].here, rows[i].path, &e);
		assert_row(!rows[i].want == (r < 0), i);
		if (rows[i].want)
			assert_string_equal(c.state_dir, rows[i].want);
	}
}

static void a_missing_file_is_fine_unless_it_was_named(void **state)
{
	struct config c;
	struct err e;

	config_defaults(&c);
	assert_int_equal(config_load(&c, "/nonexistent/berthd.conf", false, &e), 0);
	assert_int_equal(config_load(&c, "/nonexistent/berthd.conf", true, &e), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_setting_of_a_good_file_is_taken),
		cmocka_unit_test(a_bad_line_is_refused_with_its_number_and_changes_nothing),
		cmocka_unit_test(a_line_too_long_or_with_a_nul_is_refused),
		cmocka_unit_test(a_run_folder_whose_sockets_could_not_be_named_is_refused),
		cmocka_unit_test(a_relative_path_of_the_command_line_is_made_absolute),
		cmocka_unit_test(a_missing_file_is_fine_unless_it_was_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
