/* tests/unit/test_container.c - the table of the state machine: what a person may ask in which state, and that whatever the
 * world can do to a container finds a row. */
#include "tests/unit/unit.h"

#include "supervisor/container.h"

#define S(name) BERTH__CONTAINER_STATE__CONTAINER_STATE_##name

static const Berth__ContainerState states[] = {S(CREATING), S(CREATED),	 S(STARTING), S(RUNNING),
					       S(PAUSED),   S(STOPPING), S(EXITED),   S(BACKOFF),
					       S(STOPPED),  S(ERROR),	 S(DELETING), S(UNKNOWN)};

/* One letter for each verb that is allowed. */
static const struct {
	enum container_event_type type;
	char letter;
} verbs[] = {
	{EV_START, 's'},  {EV_STOP, 'h'},    {EV_RESTART, 'r'}, {EV_KILL, 'k'},
	{EV_PAUSE, 'p'},  {EV_UNPAUSE, 'u'}, {EV_REMOVE, 'd'},	{EV_REMOVE_FORCE, 'f'},
	{EV_RENAME, 'n'}, {EV_UPDATE, 'c'},  {EV_EXEC, 'x'},	{EV_ATTACH, 'a'},
};

static const struct {
	Berth__ContainerState state;
	const char *allowed;
} persons[] = {
	{S(CREATING), "shdf"},	 {S(CREATED), "shrdfnc"}, {S(STARTING), "shrfn"}, {S(RUNNING), "shrkpfncxa"},
	{S(PAUSED), "hrkufnca"}, {S(STOPPING), "hrkfna"}, {S(EXITED), "shrdfnc"}, {S(BACKOFF), "shrkfnc"},
	{S(STOPPED), "shrdfnc"}, {S(ERROR), "shrdfnc"},	  {S(DELETING), "df"},	  {S(UNKNOWN), "hrfn"},
};

static void what_a_person_may_ask(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(persons); i++) {
		char got[ARRAY_SIZE(verbs) + 1] = "";
		size_t n = 0;

		for (size_t v = 0; v < ARRAY_SIZE(verbs); v++)
			if (container_row_exists(persons[i].state, verbs[v].type))
				got[n++] = verbs[v].letter;
		if (strcmp(got, persons[i].allowed))
			fail_msg("%s: \"%s\" instead of \"%s\"", container_state_name(persons[i].state), got,
				 persons[i].allowed);
	}
}

static void every_state_has_a_name_and_none_has_the_others(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(container_state_name(states[i]), container_state_name(states[k]));
	assert_string_equal(container_state_name(S(RUNNING)), "Running");
	assert_string_equal(container_state_name(0), "Unknown");
	assert_string_equal(container_state_name(99), "Unknown");
}

/* Whatever happens to it, a container that has a process hears of it. */
static void no_end_of_a_process_is_lost(void **state)
{
	static const Berth__ContainerState living[] = {S(STARTING), S(RUNNING), S(PAUSED), S(STOPPING), S(DELETING)};

	for (size_t i = 0; i < ARRAY_SIZE(living); i++) {
		assert_row(container_row_exists(living[i], EV_EXITED), i);
		assert_row(container_row_exists(living[i], EV_FAILED), i);
		assert_row(container_row_exists(living[i], EV_SHIM_GONE), i);
		assert_row(container_row_exists(living[i], EV_RUNNING), i);
	}
}

/* The shim of one that has ended goes too, and a berthd that comes back may find that it ran on. */
static void no_state_that_has_ended_is_deaf_to_its_shim(void **state)
{
	static const Berth__ContainerState ended[] = {S(CREATED), S(EXITED), S(BACKOFF), S(STOPPED), S(ERROR)};

	for (size_t i = 0; i < ARRAY_SIZE(ended); i++) {
		assert_row(container_row_exists(ended[i], EV_SHIM_GONE), i);
		assert_row(container_row_exists(ended[i], EV_RUNNING), i);
		assert_row(container_row_exists(ended[i], EV_EXITED), i);
		assert_row(container_row_exists(ended[i], EV_BOOT), i);
		assert_row(container_row_exists(ended[i], EV_LAUNCH), i);
		assert_row(container_row_exists(ended[i], EV_POD_FAILED), i);
	}
}

/* The first write of a row may come back in any state: a create that also starts does not wait for it. */
static void the_rows_first_write_is_heard_in_every_state(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (states[i] == S(UNKNOWN)) /* of an earlier berthd: on disk long ago */
			continue;
		assert_row(container_row_exists(states[i], EV_STORED), i);
		assert_row(container_row_exists(states[i], EV_STORE_FAILED), i);
	}
}

static void states_with_a_deadline_hear_the_timer(void **state)
{
	static const Berth__ContainerState timed[] = {S(STARTING), S(RUNNING), S(STOPPING), S(BACKOFF), S(DELETING)};

	for (size_t i = 0; i < ARRAY_SIZE(timed); i++)
		assert_row(container_row_exists(timed[i], EV_TIMER), i);
}

static void nobody_comes_back_from_deleting(void **state)
{
	assert_false(container_row_exists(S(DELETING), EV_START));
	assert_false(container_row_exists(S(DELETING), EV_LAUNCH));
	assert_false(container_row_exists(S(DELETING), EV_BOOT));
	assert_false(container_row_exists(S(DELETING), EV_RESTART));
}

static void what_is_no_state_and_no_event_has_no_row(void **state)
{
	for (int type = 0; type < EV_N_; type++) {
		assert_false(container_row_exists(0, (enum container_event_type)type));
		assert_false(container_row_exists(S(UNKNOWN) + 1, (enum container_event_type)type));
	}
	assert_false(container_row_exists(S(RUNNING), EV_N_));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_person_may_ask),
		cmocka_unit_test(every_state_has_a_name_and_none_has_the_others),
		cmocka_unit_test(no_end_of_a_process_is_lost),
		cmocka_unit_test(no_state_that_has_ended_is_deaf_to_its_shim),
		cmocka_unit_test(the_rows_first_write_is_heard_in_every_state),
		cmocka_unit_test(states_with_a_deadline_hear_the_timer),
		cmocka_unit_test(nobody_comes_back_from_deleting),
		cmocka_unit_test(what_is_no_state_and_no_event_has_no_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
