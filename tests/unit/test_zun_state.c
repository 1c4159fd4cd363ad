/* tests/unit/test_zun_state.c - berth's states in Zun's words, and Zun's table of what is allowed when. */
#include "unit.h"

#include "gateway/zun/state.h"

#define S(name) BERTH__CONTAINER_STATE__CONTAINER_STATE_##name
#define NOW	1795307517000000000
#define SECOND	1000000000

static Berth__ContainerStatus status_make(Berth__ContainerState state, const char *task)
{
	Berth__ContainerStatus st = BERTH__CONTAINER_STATUS__INIT;

	st.has_state = true;
	st.state = state;
	st.task = (char *)task;
	return st;
}

/* The table as people know it from Zun's documents: x allowed, . not, + allowed here and not there. */
static void the_table_is_zuns_and_a_little_more(void **state)
{
	static const char *const columns[ZUN_STATUS_N_] = {"Creating", "Created",    "Running",	   "Stopped",
							   "Paused",   "Restarting", "Rebuilding", "Error",
							   "Unknown",  "Deleting"};
	static const char *const table[ZUN_ACTION_N_][2] = {
		{"start", ".x.x...x.."},
		{"stop", "..x.++..+."},
		{"reboot", ".xxx...x.."},
		{"pause", "..x......."},
		{"unpause", "....x....."},
		{"kill", "..x.++...."},
		{"execute", "..x......."},
		{"top", "..x......."},
		{"stats", "..x......."},
		{"logs", ".xxxx+.xx."},
		{"update", ".xxxx....."},
		{"delete", "+x.x++.x++"},
		{"delete_after_stop", "+xxx++.x++"},
		{"delete_force", "xxxx+xxxxx"},
	};

	for (size_t s = 0; s < ZUN_STATUS_N_; s++)
		assert_string_equal(zun_status_name((enum zun_status)s), columns[s]);
	for (size_t a = 0; a < ZUN_ACTION_N_; a++) {
		assert_string_equal(zun_action_name((enum zun_action)a), table[a][0]);
		assert_int_equal(strlen(table[a][1]), ZUN_STATUS_N_);
		for (size_t s = 0; s < ZUN_STATUS_N_; s++)
			if (zun_action_allowed((enum zun_action)a, (enum zun_status)s) != (table[a][1][s] != '.'))
				fail_msg("%s in %s", table[a][0], columns[s]);
	}
}

static void a_task_leaves_the_status_as_it_was(void **state)
{
	static const struct {
		Berth__ContainerState state;
		const char *task;
		unsigned restarts;
		bool ended_before;
		const char *status, *task_state;
	} rows[] = {
		{S(CREATING), "create", 0, false, "Creating", "container_creating"},
		{S(CREATING), "pull", 0, false, "Creating", "image_pulling"},
		{S(CREATED), NULL, 0, false, "Created", NULL},
		{S(CREATED), "", 0, false, "Created", NULL},
		{S(STARTING), "create", 0, false, "Created", "container_starting"}, /* run */
		{S(STARTING), "start", 0, false, "Created", "container_starting"},
		{S(STARTING), "start", 0, true, "Stopped", "container_starting"},
		{S(STARTING), "start", 5, true, "Stopped", "container_starting"},
		{S(STARTING), "restart", 0, true, "Restarting", "container_rebooting"},
		{S(STARTING), "restart", 0, false, "Restarting", "container_rebooting"},
		{S(STARTING), NULL, 3, true, "Restarting", "container_starting"}, /* the policy */
		{S(STARTING), NULL, 0, true, "Stopped", "container_starting"},	  /* boot */
		{S(RUNNING), NULL, 0, false, "Running", NULL},
		{S(RUNNING), "pause", 0, false, "Running", "container_pausing"},
		{S(RUNNING), "kill", 0, false, "Running", "container_killing"},
		{S(RUNNING), "exec", 0, false, "Running", NULL},
		{S(PAUSED), NULL, 0, false, "Paused", NULL},
		{S(PAUSED), "unpause", 0, false, "Paused", "container_unpausing"},
		{S(STOPPING), "stop", 0, false, "Running", "container_stopping"},
		{S(STOPPING), "restart", 0, false, "Restarting", "container_rebooting"},
		{S(STOPPING), NULL, 0, false, "Running", "container_stopping"},
		{S(EXITED), NULL, 0, true, "Stopped", NULL},
		{S(STOPPED), NULL, 0, true, "Stopped", NULL},
		{S(BACKOFF), NULL, 3, true, "Restarting", NULL},
		{S(ERROR), NULL, 0, false, "Error", NULL},
		{S(DELETING), "remove", 0, true, "Deleting", "container_deleting"},
		{S(DELETING), "stop", 0, true, "Deleting", "container_deleting"},
		{S(DELETING), NULL, 0, true, "Deleting", "container_deleting"},
		{S(REBUILDING), NULL, 0, true, "Rebuilding", "container_rebuilding"},
		{S(UNKNOWN), NULL, 0, true, "Unknown", NULL},
		{(Berth__ContainerState)99, NULL, 0, true, "Unknown", NULL}, /* of a later berthd */
	};
	Berth__ExitInfo exit = BERTH__EXIT_INFO__INIT;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__ContainerStatus st = status_make(rows[i].state, rows[i].task);
		const char *task;

		st.restart_count = rows[i].restarts;
		st.last_exit = rows[i].ended_before ? &exit : NULL;
		assert_row(!strcmp(zun_status_name(zun_status_of(&st)), rows[i].status), i);
		task = zun_task_state_of(&st);
		assert_row(task ? rows[i].task_state && !strcmp(task, rows[i].task_state) : !rows[i].task_state, i);
	}
}

static void details_have_the_shapes_that_clients_show(void **state)
{
	static const struct {
		Berth__ContainerState state;
		int64_t ago_s;
		int code; /* -1: nobody saw it; -2: it never ended */
		const char *text;
	} rows[] = {
		{S(CREATED), 0, -2, "Created"},
		{S(RUNNING), 0, -2, "Up 0 seconds"},
		{S(RUNNING), 59, -2, "Up 59 seconds"},
		{S(RUNNING), 60, -2, "Up 1 mins"},
		{S(RUNNING), 3599, -2, "Up 59 mins"},
		{S(RUNNING), 3600, -2, "Up 1 hours"},
		{S(RUNNING), 86399, -2, "Up 23 hours"},
		{S(RUNNING), 86400 * 3 + 5, -2, "Up 3 days"},
		{S(RUNNING), -5, -2, "Up 0 seconds"}, /* the clock was set back */
		{S(STOPPING), 61, 0, "Up 1 mins"},
		{S(PAUSED), 7200, -2, "Up 2 hours (paused)"},
		{S(EXITED), 0, 0, "Exited(0) 0 seconds ago "},
		{S(EXITED), 125, 3, "Exited(3) 2 mins ago "},
		{S(STOPPED), 125, 137, "Exited(137) 2 mins ago "},
		{S(STOPPED), 125, -1, "Exited(?) 2 mins ago "},
		{S(ERROR), 10, 127, "Exited(127) 10 seconds ago (error)"},
		{S(ERROR), 10, -2, ""},
		{S(BACKOFF), 10, 1, "Restarting"},
		{S(UNKNOWN), 10, -2, ""},
		{S(CREATING), 0, -2, ""},
		{S(DELETING), 0, 0, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__ContainerStatus st = status_make(rows[i].state, NULL);
		Berth__ExitInfo exit = BERTH__EXIT_INFO__INIT;
		struct buf b;

		exit.known = rows[i].code >= 0;
		exit.code = rows[i].code;
		exit.finished_at = st.started_at = NOW - rows[i].ago_s * SECOND;
		st.last_exit = rows[i].code == -2 ? NULL : &exit;
		buf_init(&b, 0);
		buf_adds(&b, "");
		zun_status_detail(&b, &st, NOW);
		assert_row(!strcmp(b.data, rows[i].text), i);
		buf_fini(&b);
	}
}

static void a_reason_is_the_policys_word_while_it_waits(void **state)
{
	Berth__ContainerStatus st = status_make(S(BACKOFF), NULL);

	assert_null(zun_status_reason(&st));
	st.status_reason = (char *)"";
	assert_null(zun_status_reason(&st));
	st.status_reason = (char *)"exited with 3";
	assert_string_equal(zun_status_reason(&st), "exited with 3");
	st.restart_decision = (char *)"policy always: exit code 3, retry 6 in 1615 ms";
	assert_string_equal(zun_status_reason(&st), st.restart_decision);
	st.state = S(EXITED);
	assert_string_equal(zun_status_reason(&st), "exited with 3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_zuns_and_a_little_more),
		cmocka_unit_test(a_task_leaves_the_status_as_it_was),
		cmocka_unit_test(details_have_the_shapes_that_clients_show),
		cmocka_unit_test(a_reason_is_the_policys_word_while_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
