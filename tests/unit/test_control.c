/* tests/unit/test_control.c - the control socket with real clients: Hello, bad records, limits, tokens, events, cancelling. */
#include "tests/unit/control_fixture.h"

/* ---------------------------------------------------------------- records */

static void the_first_record_must_be_hello(void **state)
{
	struct fixture *f = *state;
	int sock = client_connect(f);

	expect_body(f, sock, BERTH__ENVELOPE__BODY_HELLO);
	ask_info(f, sock);
	expect_error(f, sock, BERTH__ERROR__CODE__PROTOCOL, "the first record must be Hello");
	expect_closed(f, sock);
}

static void versions_without_a_common_one_are_refused_by_name(void **state)
{
	struct fixture *f = *state;
	int sock = client_connect(f);

	expect_body(f, sock, BERTH__ENVELOPE__BODY_HELLO);
	send_hello(sock, 99, 98);
	expect_error(f, sock, BERTH__ERROR__CODE__UNSUPPORTED, "versions 1 to 2 of the protocol, the client 98 to 99");
	expect_closed(f, sock);
	sock = client_connect(f);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_HELLO);
	send_hello(sock, 99, 1); /* newer, but it knows ours too */
	ask_info(f, sock);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_INFO_REPLY);
	close(sock);
}

static void a_bad_record_is_answered_and_ends_its_sender_alone(void **state)
{
	struct fixture *f = *state;
	int other = client(f), sock, nulls[17];
	static char big[200000];

	sock = client(f);
	assert_int_equal(send(sock, "\xff\xff\xff", 3, 0), 3);
	expect_error(f, sock, BERTH__ERROR__CODE__PROTOCOL, "no message of ours");
	expect_closed(f, sock);

	sock = client(f);
	assert_int_equal(send(sock, big, 100000, 0), 100000);
	expect_error(f, sock, BERTH__ERROR__CODE__PROTOCOL, "too large");
	expect_closed(f, sock);

	sock = client(f);
	REQUEST(info, INFO, Berth__InfoRequest, BERTH__INFO_REQUEST__INIT);
	assert_int_equal(envelope_send(sock, &info, NULL, 0), 0);
	expect_error(f, sock, BERTH__ERROR__CODE__PROTOCOL, "a request without an id");
	expect_closed(f, sock);

	sock = client(f);
	info.project = "\xff";
	ask(f, sock, &info);
	expect_error(f, sock, BERTH__ERROR__CODE__PROTOCOL, "no message of ours");
	expect_closed(f, sock);

	sock = client(f);
	info.project = NULL;
	for (int i = 0; i < 17; i++)
		nulls[i] = 0;
	struct iovec iov = {.iov_base = "x", .iov_len = 1};
	union {
		char room[CMSG_SPACE(sizeof nulls)];
		struct cmsghdr align;
	} control = {.room = {0}};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof nulls)};
	memcpy(CMSG_DATA(c), nulls, sizeof nulls);
	int fds_before = open_fds();
	assert_int_equal(sendmsg(sock, &msg, 0), 1);
	expect_error(f, sock, BERTH__ERROR__CODE__PROTOCOL, "too many descriptors");
	expect_closed(f, sock);
	assert_true(open_fds() < fds_before);

	ask_info(f, other);
	expect_body(f, other, BERTH__ENVELOPE__BODY_INFO_REPLY);
	close(other);
}

static void a_request_that_nobody_knows_is_refused_and_the_connection_goes_on(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	ask(f, sock, &env);
	expect_error(f, sock, BERTH__ERROR__CODE__UNSUPPORTED, "does not know this request");
	REQUEST(answer, DONE, Berth__Done, BERTH__DONE__INIT);
	ask(f, sock, &answer);
	expect_error(f, sock, BERTH__ERROR__CODE__UNSUPPORTED, "does not know this request");
	ask_info(f, sock);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_INFO_REPLY);
	close(sock);
}

static void fields_that_cannot_be_honoured_are_refused(void **state)
{
	struct fixture *f = *state;
	int sock = client(f), fd = 0;

	REQUEST(info, INFO, Berth__InfoRequest, BERTH__INFO_REQUEST__INIT);
	info.project = "a/b";
	ask(f, sock, &info);
	expect_error(f, sock, BERTH__ERROR__CODE__INVALID, "not a project's name");
	info.project = NULL;
	info.request_id = "a b";
	ask(f, sock, &info);
	expect_error(f, sock, BERTH__ERROR__CODE__INVALID, "without blanks");
	info.request_id = NULL;
	info.has_if_revision = true;
	ask(f, sock, &info);
	expect_error(f, sock, BERTH__ERROR__CODE__INVALID, "no object whose revision");
	info.has_if_revision = false;
	info.id = ++f->next_request;
	assert_int_equal(envelope_send(sock, &info, &fd, 1), 0);
	expect_error(f, sock, BERTH__ERROR__CODE__INVALID, "info takes 0 file descriptors, 1 came");
	REQUEST(import, IMAGE_IMPORT, Berth__ImageImport, BERTH__IMAGE_IMPORT__INIT);
	ask(f, sock, &import);
	expect_error(f, sock, BERTH__ERROR__CODE__INVALID, "image_import takes 1 file descriptors, 0 came");
	close(sock);
}

/* ---------------------------------------------------------------- limits */

static void one_connection_too_many_is_told_so(void **state)
{
	struct fixture *f = *state;
	int socks[MAX_CLIENTS], sock;

	for (int i = 0; i < MAX_CLIENTS; i++)
		socks[i] = client(f);
	sock = client_connect(f);
	expect_error(f, sock, BERTH__ERROR__CODE__EXHAUSTED, "all 40 connections");
	expect_closed(f, sock);
	close(socks[0]);
	run_ms(f, 10);
	socks[0] = client(f);
	for (int i = 0; i < MAX_CLIENTS; i++)
		close(socks[i]);
}

static uint64_t ask_events(struct fixture *f, int sock, uint64_t since, char *filter_key, char *filter_value)
{
	Berth__Filter filter = BERTH__FILTER__INIT, *filters[] = {&filter};
	REQUEST(events, EVENTS, Berth__EventsRequest, BERTH__EVENTS_REQUEST__INIT);

	filter.key = filter_key;
	filter.value = filter_value;
	events_body.has_since_revision = since != 0;
	events_body.since_revision = since;
	events_body.n_filters = filter_key ? 1 : 0;
	events_body.filters = filters;
	return ask(f, sock, &events);
}

static void open_requests_are_limited_for_each_connection(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);

	for (unsigned i = 0; i < CLIENT_OPEN_MAX; i++) {
		ask_events(f, sock, 0, NULL, NULL);
		expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
	}
	ask_info(f, sock);
	expect_error(f, sock, BERTH__ERROR__CODE__EXHAUSTED, "64 requests of this connection");
	close(sock);
	run_ms(f, 10);
	sock = client(f);
	ask_info(f, sock);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_INFO_REPLY);
	close(sock);
}

static void the_same_number_twice_while_it_is_open_ends_the_connection(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);

	ask_events(f, sock, 0, NULL, NULL);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
	f->next_request--;
	ask_info(f, sock);
	expect_error(f, sock, BERTH__ERROR__CODE__PROTOCOL, "before the first is answered");
	expect_closed(f, sock);
}

static void a_client_that_does_not_read_is_dropped_and_delays_nobody(void **state)
{
	struct fixture *f = *state;
	int lazy = client(f), other = client(f), dropped = 0;
	REQUEST(info, INFO, Berth__InfoRequest, BERTH__INFO_REQUEST__INIT);

	for (int i = 0; i < 20000 && !dropped; i++) {
		info.has_id = true;
		info.id = (uint64_t)i + 1;
		int r = envelope_send(lazy, &info, NULL, 0);

		if (r == WIRE_AGAIN)
			run_ms(f, 1);
		else if (r != 0)
			dropped = 1;
		if (i % 100 == 0)
			run_ms(f, 1);
	}
	assert_true(dropped);
	ask_info(f, other);
	expect_body(f, other, BERTH__ENVELOPE__BODY_INFO_REPLY);
	assert_int_equal(control_clients(&f->sv), 1);
	close(lazy);
	close(other);
}

static void a_deadline_ends_the_waiting(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	REQUEST(events, EVENTS, Berth__EventsRequest, BERTH__EVENTS_REQUEST__INIT);

	events.has_deadline_ms = true;
	events.deadline_ms = 20;
	ask(f, sock, &events);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
	expect_error(f, sock, BERTH__ERROR__CODE__TIMEOUT, "no result within the deadline");
	close(sock);
}

static void while_berthd_ends_everything_is_unavailable(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);

	ask_events(f, sock, 0, NULL, NULL);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
	f->sv.stopping = true;
	ask_info(f, sock);
	expect_error(f, sock, BERTH__ERROR__CODE__UNAVAILABLE, "connect again");
	control_close(&f->sv);
	expect_error(f, sock, BERTH__ERROR__CODE__UNAVAILABLE, "connect again"); /* the events */
	expect_closed(f, sock);
}

/* ---------------------------------------------------------------- volumes, revision, actions */

static void a_volume_comes_with_its_folder_and_goes(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	Berth__Envelope *env = volume(f, sock, false, "data", NULL), *again;
	struct stat st;

	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_VOLUME_REPLY);
	assert_int_equal(stat(env->volume_reply->volumes[0]->path, &st), 0);
	again = volume(f, sock, false, "data", NULL);
	assert_string_equal(again->volume_reply->volumes[0]->meta->uuid, env->volume_reply->volumes[0]->meta->uuid);
	drop(again);
	services_close(f);
	services_open(f);
	close(sock);
	sock = client(f);
	again = volume(f, sock, false, "data", NULL);
	assert_string_equal(again->volume_reply->volumes[0]->meta->uuid, env->volume_reply->volumes[0]->meta->uuid);
	drop(again);
	drop(volume(f, sock, false, "../x", NULL));
	char trash[128];
	snprintf(trash, sizeof trash, "%s/trash", f->dir);
	mkdir(trash, 0700);
	again = volume(f, sock, true, "data", NULL);
	assert_int_equal(again->body_case, BERTH__ENVELOPE__BODY_DONE);
	drop(again);
	assert_int_equal(stat(env->volume_reply->volumes[0]->path, &st), -1);
	drop(env);
	env = volume(f, sock, true, "data", NULL);
	assert_int_equal(env->error->code, BERTH__ERROR__CODE__NOT_FOUND);
	drop(env);
	close(sock);
}

static void another_revision_is_stale(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	Berth__Envelope *env = volume(f, sock, false, "data", NULL);
	REQUEST(gone, VOLUME_REMOVE, Berth__VolumeRemove, BERTH__VOLUME_REMOVE__INIT);

	gone_body.name = "data";
	gone.has_if_revision = true;
	gone.if_revision = env->volume_reply->volumes[0]->meta->revision + 1;
	ask(f, sock, &gone);
	expect_error(f, sock, BERTH__ERROR__CODE__STALE, "the volume has revision");
	drop(env);
	close(sock);
}

static Berth__Envelope *ask_actions(struct fixture *f, int sock, char *ref, uint32_t limit)
{
	REQUEST(actions, ACTIONS, Berth__ActionsRequest, BERTH__ACTIONS_REQUEST__INIT);
	Berth__Envelope *env;

	actions_body.ref = ref;
	actions_body.has_limit = limit != 0;
	actions_body.limit = limit;
	ask(f, sock, &actions);
	env = receive(f, sock, NULL);
	assert_non_null(env);
	return env;
}

static void an_action_says_who_when_and_how_it_ended(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	Berth__Envelope *env;

	drop(volume(f, sock, false, "data", NULL));
	drop(volume(f, sock, true, "data", NULL));
	env = ask_actions(f, sock, "data", 0);
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_ACTIONS_REPLY);
	assert_int_equal(env->actions_reply->n_actions, 2);
	const Berth__Action *a = env->actions_reply->actions[0];
	assert_string_equal(a->verb, "create");
	assert_string_equal(a->object_kind, "volume");
	assert_string_equal(a->principal, getuid() ? a->principal : "root");
	assert_string_equal(a->result, "ok");
	assert_non_null(a->request_id);
	assert_true(a->started_at && a->finished_at >= a->started_at);
	drop(env);
	env = ask_actions(f, sock, "data", 1);
	assert_int_equal(env->actions_reply->n_actions, 1);
	assert_true(env->actions_reply->next_after_id != 0);
	drop(env);
	env = ask_actions(f, sock, "nobody", 0);
	assert_int_equal(env->error->code, BERTH__ERROR__CODE__NOT_FOUND);
	drop(env);
	close(sock);
}

static void an_action_that_berthd_did_not_live_to_finish_is_ended_with_that_reason(void **state)
{
	struct fixture *f = *state;
	Berth__Meta m = BERTH__META__INIT;
	Berth__Envelope *env;
	int sock;

	m.uuid = "11111111-0000-4000-8000-000000000000";
	m.name = m.project = "x";
	assert_true(audit_own(&f->sv, "restart", "container", &m, false, false, "why") != 0);
	services_close(f);
	services_open(f);
	sock = client(f);
	env = ask_actions(f, sock, "11111111", 0);
	assert_int_equal(env->actions_reply->n_actions, 1);
	assert_string_equal(env->actions_reply->actions[0]->principal, "berthd");
	assert_string_equal(env->actions_reply->actions[0]->result, "error");
	assert_non_null(strstr(env->actions_reply->actions[0]->reason, "interrupted"));
	drop(env);
	close(sock);
}

/* ---------------------------------------------------------------- client_token */

static void a_token_repeats_the_answer_and_not_the_deed(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	Berth__Envelope *env;

	drop(volume(f, sock, false, "data", "t1"));
	env = volume(f, sock, true, "data", "t2");
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_DONE);
	drop(env);
	env = volume(f, sock, true, "data", "t2"); /* without the token: NOT_FOUND */
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_DONE);
	drop(env);
	env = volume(f, sock, true, "other", "t2");
	assert_int_equal(env->error->code, BERTH__ERROR__CODE__CONFLICT);
	drop(env);
	services_close(f);
	services_open(f);
	close(sock);
	sock = client(f);
	env = volume(f, sock, true, "data", "t2");
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_DONE);
	drop(env);
	env = volume(f, sock, true, "data", "t3");
	assert_int_equal(env->error->code, BERTH__ERROR__CODE__NOT_FOUND);
	drop(env);
	env = volume(f, sock, false, "data", "a b");
	assert_int_equal(env->error->code, BERTH__ERROR__CODE__INVALID);
	drop(env);
	close(sock);
}

static void a_removal_whose_answer_was_lost_in_a_crash_is_answered_again(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	Berth__Envelope asked = BERTH__ENVELOPE__INIT, lost = BERTH__ENVELOPE__INIT, *env;
	Berth__VolumeRemove gone = BERTH__VOLUME_REMOVE__INIT;
	Berth__Done done = BERTH__DONE__INIT;
	uint8_t data[200];

	env = volume(f, sock, false, "data", NULL);
	/* What the store has of a token while its request runs; the deletion is committed, the answer is not. */
	gone.name = "data";
	asked.body_case = BERTH__ENVELOPE__BODY_VOLUME_REMOVE;
	asked.volume_remove = &gone;
	lost.has_more = lost.more = true;
	lost.body_case = BERTH__ENVELOPE__BODY_DONE;
	lost.done = &done;
	done.uuid = env->volume_reply->volumes[0]->meta->uuid;
	drop(volume(f, sock, true, "data", NULL));
	store_put_token(f->sv.store, "root", "crashed", replay_hash(&asked), data, berth__envelope__pack(&lost, data),
			wall_ns() + (int64_t)NS_PER_S * 60);
	drop(env);
	services_close(f);
	services_open(f);
	close(sock);
	sock = client(f);
	env = volume(f, sock, true, "data", "crashed");
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_DONE);
	drop(env);
	close(sock);
}

static void the_same_token_joins_the_request_that_runs(void **state)
{
	struct fixture *f = *state;
	int a = client(f), b = client(f);
	REQUEST(create, VOLUME_CREATE, Berth__VolumeCreate, BERTH__VOLUME_CREATE__INIT);
	Berth__Envelope *first, *second;

	create_body.name = "joined";
	create.client_token = "same";
	ask(f, a, &create); /* both are there before the loop turns */
	ask(f, b, &create);
	first = receive(f, a, NULL);
	second = receive(f, b, NULL);
	assert_non_null(first);
	assert_non_null(second);
	assert_int_equal(first->body_case, BERTH__ENVELOPE__BODY_VOLUME_REPLY);
	assert_int_equal(second->body_case, BERTH__ENVELOPE__BODY_VOLUME_REPLY);
	assert_true(first->id != second->id);
	assert_string_equal(first->volume_reply->volumes[0]->meta->uuid, second->volume_reply->volumes[0]->meta->uuid);
	drop(first);
	drop(second);
	close(a);
	close(b);
}

static void a_token_finds_its_answer_when_the_first_asker_has_gone(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	REQUEST(create, VOLUME_CREATE, Berth__VolumeCreate, BERTH__VOLUME_CREATE__INIT);
	Berth__Envelope *env;

	create_body.name = "orphan";
	create.client_token = "gone";
	ask(f, sock, &create);
	run_ms(f, 0);
	close(sock);
	run_ms(f, 20);
	sock = client(f);
	env = volume(f, sock, false, "orphan", "gone");
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_VOLUME_REPLY);
	drop(env);
	close(sock);
}

static void an_old_answer_gives_way_when_a_principal_has_too_many(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	Berth__Envelope *env;
	char token[32];

	for (unsigned i = 0; i < REPLAY_PER_PRINCIPAL + 10; i++) {
		snprintf(token, sizeof token, "t%u", i);
		env = volume(f, sock, true, "nothing", token);
		assert_int_equal(env->error->code, BERTH__ERROR__CODE__NOT_FOUND);
		drop(env);
	}
	env = volume(f, sock, true, "else", "t0"); /* forgotten: another body is no conflict */
	assert_int_equal(env->error->code, BERTH__ERROR__CODE__NOT_FOUND);
	drop(env);
	env = volume(f, sock, true, "else", "t500");
	assert_int_equal(env->error->code, BERTH__ERROR__CODE__CONFLICT);
	drop(env);
	close(sock);
}

/* ---------------------------------------------------------------- events */

static void publish(struct fixture *f, const char *type, char *name)
{
	Berth__Meta m = BERTH__META__INIT;
	const char *attributes[] = {"exit_code", "3", NULL};

	m.uuid = "11111111-0000-4000-8000-000000000000";
	m.name = name;
	m.project = "default";
	watch_publish(&f->sv, "container", type, &m, "because", attributes);
}

static void events_come_with_what_they_say_and_only_those_asked_for(void **state)
{
	struct fixture *f = *state;
	int all = client(f), some = client(f);
	Berth__Envelope *env;

	ask_events(f, all, 0, NULL, NULL);
	expect_body(f, all, BERTH__ENVELOPE__BODY_DONE);
	ask_events(f, some, 0, "type", "die");
	expect_body(f, some, BERTH__ENVELOPE__BODY_DONE);
	publish(f, "start", "web");
	publish(f, "die", "web");
	env = receive(f, all, NULL);
	assert_int_equal(env->event_batch->n_events, 2); /* of one turn: one record */
	assert_true(env->more);
	assert_true(env->event_batch->events[1]->revision == env->event_batch->events[0]->revision + 1);
	drop(env);
	env = receive(f, some, NULL);
	assert_int_equal(env->event_batch->n_events, 1);
	const Berth__Event *ev = env->event_batch->events[0];
	assert_string_equal(ev->type, "die");
	assert_string_equal(ev->name, "web");
	assert_string_equal(ev->reason, "because");
	assert_string_equal(ev->attributes[0]->key, "exit_code");
	assert_string_equal(ev->attributes[0]->value, "3");
	drop(env);
	ask_events(f, some, 0, "colour", "red");
	expect_error(f, some, BERTH__ERROR__CODE__INVALID, "unknown filter 'colour'");
	close(all);
	close(some);
}

static void a_watch_goes_on_from_a_revision_and_says_when_it_cannot(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	Berth__Envelope *env;
	uint64_t revision;

	ask_info(f, sock);
	env = receive(f, sock, NULL);
	revision = env->info_reply->revision;
	drop(env);
	publish(f, "a", "x"); /* the very next one must not be missed */
	publish(f, "b", "x");
	ask_events(f, sock, revision ? revision : 1, NULL, NULL);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
	env = receive(f, sock, NULL);
	assert_int_equal(env->event_batch->n_events, revision ? 2 : 1);
	drop(env);
	for (int i = 0; i < 5000; i++)
		publish(f, "c", "x");
	ask_events(f, sock, revision ? revision : 1, NULL, NULL);
	do { /* the first watch gets the newer ones meanwhile */
		env = receive(f, sock, NULL);
		assert_non_null(env);
		if (env->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH)
			drop(env);
	} while (env->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH);
	assert_int_equal(env->error->code, BERTH__ERROR__CODE__COMPACTED);
	drop(env);
	close(sock);
}

static void a_slow_watcher_is_told_that_it_lagged_and_gets_the_newest(void **state)
{
	struct fixture *f = *state;
	int slow = client(f), other = client(f);
	Berth__Envelope *env;
	bool lagged = false, last = false;

	ask_events(f, slow, 0, NULL, NULL);
	expect_body(f, slow, BERTH__ENVELOPE__BODY_DONE);
	for (int i = 0; i < 60000; i++) {
		publish(f, i == 59999 ? "last" : "event", "a name that makes the record somewhat longer");
		if (i % 100 == 0)
			run_ms(f, 0);
	}
	ask_info(f, other);
	expect_body(f, other, BERTH__ENVELOPE__BODY_INFO_REPLY);
	while (!last && (env = receive(f, slow, NULL))) {
		lagged |= env->event_batch->lagged;
		last = env->event_batch->n_events &&
		       !strcmp(env->event_batch->events[env->event_batch->n_events - 1]->type, "last");
		drop(env);
	}
	assert_true(lagged);
	assert_true(last);
	close(slow);
	close(other);
}

static void a_watch_ends_when_it_is_cancelled_and_at_its_time(void **state)
{
	struct fixture *f = *state;
	int sock = client(f);
	uint64_t id = ask_events(f, sock, 0, NULL, NULL);
	Berth__Envelope *env;

	expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
	REQUEST(cancel, CANCEL, Berth__CancelRequest, BERTH__CANCEL_REQUEST__INIT);
	cancel_body.has_id = true;
	cancel_body.id = id;
	ask(f, sock, &cancel);
	env = receive(f, sock, NULL);
	assert_int_equal(env->id, id);
	assert_true(env->event_batch->end);
	assert_false(env->more);
	drop(env);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
	ask(f, sock, &cancel);
	expect_error(f, sock, BERTH__ERROR__CODE__NOT_FOUND, "is not open");

	REQUEST(events, EVENTS, Berth__EventsRequest, BERTH__EVENTS_REQUEST__INIT);
	events_body.has_until_at = true;
	events_body.until_at = wall_ns() + 30 * (int64_t)NS_PER_MS;
	ask(f, sock, &events);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
	publish(f, "x", "y");
	env = receive(f, sock, NULL);
	assert_int_equal(env->event_batch->n_events, 1);
	assert_true(env->more);
	drop(env);
	env = receive(f, sock, NULL);
	assert_true(env->event_batch->end);
	drop(env);
	close(sock);
}

static void a_client_that_leaves_takes_its_watches_along(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		int sock = client(f);

		ask_events(f, sock, 0, NULL, NULL);
		expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
		close(sock);
		publish(f, "x", "y");
		run_ms(f, 5);
	}
	assert_int_equal(control_clients(&f->sv), 0);
}

#define CONTROL_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTROL_TEST(the_first_record_must_be_hello),
		CONTROL_TEST(versions_without_a_common_one_are_refused_by_name),
		CONTROL_TEST(a_bad_record_is_answered_and_ends_its_sender_alone),
		CONTROL_TEST(a_request_that_nobody_knows_is_refused_and_the_connection_goes_on),
		CONTROL_TEST(fields_that_cannot_be_honoured_are_refused),
		CONTROL_TEST(one_connection_too_many_is_told_so),
		CONTROL_TEST(open_requests_are_limited_for_each_connection),
		CONTROL_TEST(the_same_number_twice_while_it_is_open_ends_the_connection),
		CONTROL_TEST(a_client_that_does_not_read_is_dropped_and_delays_nobody),
		CONTROL_TEST(a_deadline_ends_the_waiting),
		CONTROL_TEST(while_berthd_ends_everything_is_unavailable),
		CONTROL_TEST(a_volume_comes_with_its_folder_and_goes),
		CONTROL_TEST(another_revision_is_stale),
		CONTROL_TEST(an_action_says_who_when_and_how_it_ended),
		CONTROL_TEST(an_action_that_berthd_did_not_live_to_finish_is_ended_with_that_reason),
		CONTROL_TEST(a_token_repeats_the_answer_and_not_the_deed),
		CONTROL_TEST(a_removal_whose_answer_was_lost_in_a_crash_is_answered_again),
		CONTROL_TEST(the_same_token_joins_the_request_that_runs),
		CONTROL_TEST(a_token_finds_its_answer_when_the_first_asker_has_gone),
		CONTROL_TEST(an_old_answer_gives_way_when_a_principal_has_too_many),
		CONTROL_TEST(events_come_with_what_they_say_and_only_those_asked_for),
		CONTROL_TEST(a_watch_goes_on_from_a_revision_and_says_when_it_cannot),
		CONTROL_TEST(a_slow_watcher_is_told_that_it_lagged_and_gets_the_newest),
		CONTROL_TEST(a_watch_ends_when_it_is_cancelled_and_at_its_time),
		CONTROL_TEST(a_client_that_leaves_takes_its_watches_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
