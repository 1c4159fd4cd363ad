/* tests/unit/test_zun_create.c - what a create asks of berth, and what is refused because berth cannot honour it. */
#include "unit.h"

#include "gateway/params.h"
#include "gateway/zun/create.h"
#include "gateway/zun/view.h"

static const struct create_options member = {
	.version = 40, .host = "here", .name = "zeta-22-container", .default_memory = true, .default_cpu = true};

static json_t *args_of(const char *text)
{
	json_t *args = json_loads(text, 0, NULL);

	if (!args)
		fail_msg("not JSON: %s", text);
	return args;
}

/* ---------------------------------------------------------------- what is honoured */

static void everything_that_is_given_arrives(void **state)
{
	json_t *args = args_of(
		"{\"image\": \"cirros\", \"name\": \"web\", \"command\": [\"sleep\", \"1\"], \"entrypoint\": "
		"[\"/bin/x\"],"
		"\"cpu\": 0.5, \"memory\": 128, \"environment\": {\"A\": \"1\", \"B\": \"\"}, \"labels\": {\"k\": "
		"\"v\"},"
		"\"workdir\": \"/tmp\", \"hostname\": \"h\", \"interactive\": true, \"tty\": false, \"run\": true,"
		"\"restart_policy\": {\"Name\": \"on-failure\", \"MaximumRetryCount\": 3}}");
	struct create_refusal why;
	struct create c;

	assert_true(create_build(&c, args, &member, &why));
	assert_string_equal(c.m.name, "web");
	assert_true(c.m.start);
	assert_string_equal(c.spec.image, "cirros");
	assert_int_equal(c.spec.n_command, 2);
	assert_string_equal(c.spec.command[1], "1");
	assert_true(c.spec.entrypoint_set);
	assert_string_equal(c.spec.entrypoint[0], "/bin/x");
	assert_int_equal(c.resources.cpus_milli, 500);
	assert_int_equal(c.resources.cpu_weight, 50);
	assert_int_equal(c.resources.memory_bytes, 128 << 20);
	assert_int_equal(c.spec.n_env, 2);
	assert_string_equal(c.spec.env[0], "A=1");
	assert_string_equal(c.spec.env[1], "B=");
	assert_int_equal(c.spec.n_labels, 1);
	assert_string_equal(c.spec.labels[0]->key, "k");
	assert_string_equal(c.spec.labels[0]->value, "v");
	assert_string_equal(c.spec.workdir, "/tmp");
	assert_string_equal(c.spec.hostname, "h");
	assert_true(c.spec.stdin_open && !c.spec.tty && !c.spec.auto_remove);
	assert_int_equal(c.restart.kind, BERTH__RESTART_POLICY__KIND__ON_FAILURE);
	assert_int_equal(c.restart.max_retries, 3);
	assert_string_equal(zun_note(&c.spec, ZUN_NOTE_RESTART), "on-failure");
	create_fini(&c);
	json_decref(args);
}

static void what_is_not_given_has_zuns_defaults(void **state)
{
	static const char *const rows[] = {
		"{\"image\": \"x1\"}",
		"{\"image\": \"x1\", \"command\": [], \"entrypoint\": [], \"environment\": {}, \"labels\": {}, "
		"\"workdir\": \"\","
		"\"nets\": [], \"mounts\": [], \"hints\": {}, \"security_groups\": [], \"auto_heal\": false, "
		"\"interactive\": false}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *args = args_of(rows[i]);
		struct create_refusal why;
		struct create c;

		assert_true(create_build(&c, args, &member, &why));
		assert_string_equal(c.m.name, "zeta-22-container");
		assert_true(!c.m.start && !c.spec.n_command && !c.spec.entrypoint_set && !c.spec.n_env &&
			    !c.spec.n_labels);
		assert_null(c.spec.workdir);
		assert_null(c.spec.restart);
		assert_int_equal(c.spec.n_annotations, 0);
		assert_int_equal(c.resources.memory_bytes, 512 << 20);
		assert_int_equal(c.resources.cpus_milli, 1000);
		assert_int_equal(c.resources.cpu_weight, 100);
		create_fini(&c);
		json_decref(args);
	}
}

static void a_default_that_the_host_cannot_keep_is_left_out(void **state)
{
	struct create_options o = member;
	json_t *args = args_of("{\"image\": \"x1\", \"cpu\": 2.5}");
	struct create_refusal why;
	struct create c;

	o.default_memory = o.default_cpu = false;
	assert_true(create_build(&c, args, &o, &why));
	assert_false(c.resources.has_memory_bytes);
	assert_int_equal(c.spec.resources->cpus_milli, 2500); /* given: not a default */
	create_fini(&c);
	json_object_del(args, "cpu");
	assert_true(create_build(&c, args, &o, &why));
	assert_null(c.spec.resources);
	create_fini(&c);
	json_decref(args);
}

/* Any case that the schema lets through; what is not given is not noted, and pulls what is missing. */
static void a_pull_policy_is_asked_for(void **state)
{
	static const struct {
		const char *args;
		Berth__PullPolicy policy;
		unsigned notes;
	} rows[] = {
		{"{\"image\": \"x1\"}", BERTH__PULL_POLICY__PULL_POLICY_MISSING, 0},
		{"{\"image\": \"x1\", \"image_pull_policy\": \"ifnotpresent\"}",
		 BERTH__PULL_POLICY__PULL_POLICY_MISSING, 1},
		{"{\"image\": \"x1\", \"image_pull_policy\": \"Always\"}", BERTH__PULL_POLICY__PULL_POLICY_ALWAYS, 1},
		{"{\"image\": \"x1\", \"image_pull_policy\": \"never\"}", BERTH__PULL_POLICY__PULL_POLICY_NEVER, 1},
	};
	struct create_options o = member;

	o.admin = true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *args = args_of(rows[i].args);
		struct create_refusal why;
		struct create c;

		assert_row(create_build(&c, args, &o, &why), i);
		assert_row(c.m.pull && c.m.pull->has_policy && c.m.pull->policy == rows[i].policy, i);
		assert_row(c.spec.n_annotations == rows[i].notes, i);
		create_fini(&c);
		json_decref(args);
	}
}

static void a_command_in_one_string_is_split(void **state)
{
	json_t *args = args_of("{\"image\": \"x1\", \"command\": \"\\\"nginx\\\" '-g' daemon\\\\ off\"}");
	struct create_refusal why;
	struct create c;

	assert_true(create_build(&c, args, &member, &why));
	assert_int_equal(c.spec.n_command, 3);
	assert_string_equal(c.spec.command[2], "daemon off");
	create_fini(&c);
	json_object_set_new(args, "command", json_string("a 'b"));
	assert_false(create_build(&c, args, &member, &why));
	assert_string_equal(why.text, "Invalid input for field 'command'. No closing quotation");
	create_fini(&c);
	json_decref(args);
}

static void a_terminal_came_with_stdin_from_1_20_to_1_35(void **state)
{
	static const struct {
		unsigned version;
		const char *args;
		bool tty;
	} rows[] = {
		{19, "{\"image\": \"x1\", \"interactive\": true}", false},
		{20, "{\"image\": \"x1\", \"interactive\": true}", true},
		{35, "{\"image\": \"x1\", \"interactive\": true, \"tty\": false}", true},
		{35, "{\"image\": \"x1\", \"interactive\": false, \"tty\": true}", false},
		{35, "{\"image\": \"x1\", \"tty\": true}", true},
		{36, "{\"image\": \"x1\", \"interactive\": true}", false},
		{36, "{\"image\": \"x1\", \"tty\": true}", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct create_options o = member;
		json_t *args = args_of(rows[i].args);
		struct create_refusal why;
		struct create c;

		o.version = rows[i].version;
		assert_true(create_build(&c, args, &o, &why));
		assert_row(c.spec.tty == rows[i].tty, i);
		create_fini(&c);
		json_decref(args);
	}
}

static void a_policy_is_kept_as_it_was_given(void **state)
{
	static const struct {
		const char *policy;
		Berth__RestartPolicy__Kind kind;
		uint32_t retries;
	} rows[] = {
		{"{\"Name\": \"no\"}", BERTH__RESTART_POLICY__KIND__NO, 0},
		{"{\"Name\": \"no\", \"MaximumRetryCount\": 5}", BERTH__RESTART_POLICY__KIND__NO, 0},
		{"{\"Name\": \"on-failure\"}", BERTH__RESTART_POLICY__KIND__ON_FAILURE, 0},
		{"{\"Name\": \"always\", \"MaximumRetryCount\": 0}", BERTH__RESTART_POLICY__KIND__ALWAYS, 0},
		{"{\"Name\": \"unless-stopped\"}", BERTH__RESTART_POLICY__KIND__UNLESS_STOPPED, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *args = args_of("{\"image\": \"x1\"}");
		struct create_refusal why;
		struct create c;

		json_object_set_new(args, "restart_policy", args_of(rows[i].policy));
		assert_true(create_build(&c, args, &member, &why));
		assert_row(c.spec.restart->kind == rows[i].kind && c.spec.restart->max_retries == rows[i].retries, i);
		assert_row(zun_note(&c.spec, ZUN_NOTE_RESTART), i);
		create_fini(&c);
		json_decref(args);
	}
}

/* ---------------------------------------------------------------- what is refused */

static void what_cannot_be_honoured_is_refused_by_name(void **state)
{
	static const struct {
		const char *key, *value;
		bool admin;
		enum zun_error_kind kind;
		const char *text; /* NULL: "Invalid input for field '<key>'. " */
	} rows[] = {
		{"nets", "[{\"network\": \"n\"}]", false, ZUN_E_VALUE},
		{"mounts", "[{\"source\": \"x\", \"destination\": \"/x\"}]", false, ZUN_E_VALUE},
		{"security_groups", "[\"default\"]", false, ZUN_E_VALUE},
		{"exposed_ports", "{\"80\": {}}", false, ZUN_E_VALUE},
		{"healthcheck", "{\"cmd\": \"true\"}", false, ZUN_E_VALUE},
		{"auto_heal", "true", false, ZUN_E_VALUE},
		{"hints", "{\"label:a\": \"b\"}", false, ZUN_E_VALUE},
		{"disk", "5", false, ZUN_E_VALUE},
		{"registry", "\"r1\"", false, ZUN_E_VALUE},
		{"cpu_policy", "\"dedicated\"", false, ZUN_E_VALUE},
		{"image_driver", "\"glance\"", false, ZUN_E_VALUE},
		{"availability_zone", "\"mars\"", false, ZUN_E_VALUE},
		{"restart_policy", "{\"Name\": \"always\", \"MaximumRetryCount\": 2}", false, ZUN_E_VALUE},
		{"restart_policy", "{\"Name\": \"unless-stopped\", \"MaximumRetryCount\": 2}", false, ZUN_E_VALUE},
		{"runtime", "\"runc\"", true, ZUN_E_VALUE},
		{"host", "\"there\"", true, ZUN_E_HOST, "Host there could not be found."},
		{"runtime", "\"runc\"", false, ZUN_E_POLICY,
		 "Policy doesn't allow container:create:runtime to be performed."},
		{"host", "\"here\"", false, ZUN_E_POLICY,
		 "Policy doesn't allow container:create:requested_destination to be performed."},
		{"image_pull_policy", "\"never\"", false, ZUN_E_POLICY,
		 "Policy doesn't allow container:create:image_pull_policy to be performed."},
		/* nobody may, not even say no */
		{"privileged", "true", true, ZUN_E_POLICY,
		 "Policy doesn't allow container:create:privileged to be performed."},
		{"privileged", "false", true, ZUN_E_POLICY,
		 "Policy doesn't allow container:create:privileged to be performed."},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct create_options o = member;
		json_t *args = args_of("{\"image\": \"x1\"}");
		struct create_refusal why = {0};
		struct create c;
		char text[64];

		o.admin = rows[i].admin;
		json_object_set_new(args, rows[i].key, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		assert_row(!create_build(&c, args, &o, &why), i);
		assert_row(why.kind == rows[i].kind, i);
		snprintf(text, sizeof text, "Invalid input for field '%s'. ", rows[i].key);
		assert_row(rows[i].text ? !strcmp(why.text, rows[i].text) : !strncmp(why.text, text, strlen(text)), i);
		create_fini(&c);
		json_decref(args);
	}
}

static void what_asks_for_no_more_than_there_is_passes(void **state)
{
	static const struct {
		const char *key, *value;
		bool admin;
	} rows[] = {
		{"cpu_policy", "\"shared\""},
		{"image_driver", "\"docker\""},
		{"image_driver", "\"None\""},
		{"availability_zone", "\"nova\""},
		{"image_pull_policy", "\"never\"", true},
		{"image_pull_policy", "\"IfNotPresent\"", true},
		{"host", "\"here\"", true},
		{"exposed_ports", "{}"},
		{"healthcheck", "{}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct create_options o = member;
		json_t *args = args_of("{\"image\": \"x1\"}");
		struct create_refusal why;
		struct create c;

		o.admin = rows[i].admin;
		json_object_set_new(args, rows[i].key, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		assert_row(create_build(&c, args, &o, &why), i);
		create_fini(&c);
		json_decref(args);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_that_is_given_arrives),
		cmocka_unit_test(what_is_not_given_has_zuns_defaults),
		cmocka_unit_test(a_default_that_the_host_cannot_keep_is_left_out),
		cmocka_unit_test(a_pull_policy_is_asked_for),
		cmocka_unit_test(a_command_in_one_string_is_split),
		cmocka_unit_test(a_terminal_came_with_stdin_from_1_20_to_1_35),
		cmocka_unit_test(a_policy_is_kept_as_it_was_given),
		cmocka_unit_test(what_cannot_be_honoured_is_refused_by_name),
		cmocka_unit_test(what_asks_for_no_more_than_there_is_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
