/* tests/unit/test_token.c - access tokens over real sockets: who gets in, who asks for what, and when it ends. */
#include "tests/unit/control_fixture.h"

#include "base/str.h"
#include "supervisor/token.h"

#define SECRET_SIZE 64

static Berth__Envelope *answer_to(struct fixture *f, int sock, Berth__Envelope *env)
{
	uint64_t id = ask(f, sock, env);
	Berth__Envelope *answer = receive(f, sock, NULL);

	assert_non_null(answer);
	assert_int_equal(answer->id, id);
	return answer;
}

static Berth__Envelope *ask_create(struct fixture *f, int sock, char *project, char *user, int role, int64_t expires_at)
{
	REQUEST(create, TOKEN_CREATE, Berth__TokenCreate, BERTH__TOKEN_CREATE__INIT);

	create_body.project = project;
	create_body.user = user;
	create_body.has_role = role != 0;
	create_body.role = role;
	create_body.has_expires_at = expires_at != 0;
	create_body.expires_at = expires_at;
	return answer_to(f, sock, &create);
}

static void make(struct fixture *f, char *project, char *user, int role, int64_t expires_at, char secret[SECRET_SIZE],
		 char id[UUID_SIZE])
{
	int sock = client(f);
	Berth__Envelope *env = ask_create(f, sock, project, user, role, expires_at);

	if (env->body_case != BERTH__ENVELOPE__BODY_TOKEN_REPLY)
		fail_msg("%s", env->error->text);
	snprintf(secret, SECRET_SIZE, "%s", env->token_reply->secret);
	if (id)
		snprintf(id, UUID_SIZE, "%s", env->token_reply->token->id);
	assert_int_equal(strlen(secret), 49);
	assert_true(str_starts(secret, "berth_"));
	drop(env);
	close(sock);
}

#define MEMBER BERTH__ACCESS_TOKEN__ROLE__MEMBER
#define ADMIN  BERTH__ACCESS_TOKEN__ROLE__ADMIN

static Berth__Envelope *check(struct fixture *f, int sock, char *token)
{
	REQUEST(check, TOKEN_CHECK, Berth__TokenCheck, BERTH__TOKEN_CHECK__INIT);

	check.token = token;
	return answer_to(f, sock, &check);
}

static void assert_code(Berth__Envelope *env, Berth__Error__Code code, const char *text)
{
	if (env->body_case != BERTH__ENVELOPE__BODY_ERROR || env->error->code != code ||
	    !strstr(env->error->text, text))
		fail_msg("%s: %s", envelope_body_name(env),
			 env->body_case == BERTH__ENVELOPE__BODY_ERROR ? env->error->text : "no error");
	drop(env);
}

static void assert_stranger(struct fixture *f, int sock, char *token)
{
	assert_code(check(f, sock, token), BERTH__ERROR__CODE__UNAUTHENTICATED,
		    token ? "the token is unknown, has expired or was revoked" : "a token is needed here");
}

static void token_revoke(struct fixture *f, char *id)
{
	int sock = client(f);
	REQUEST(revoke, TOKEN_REVOKE, Berth__TokenRevoke, BERTH__TOKEN_REVOKE__INIT);
	Berth__Envelope *env;

	revoke_body.id = id;
	env = answer_to(f, sock, &revoke);
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_DONE);
	drop(env);
	close(sock);
}

/* ---------------------------------------------------------------- who gets in */

static void a_token_says_who_asks_whatever_the_socket(void **state)
{
	struct fixture *f = *state;
	char secret[SECRET_SIZE];
	Berth__Envelope *env;

	make(f, "shop", "alice@example.org", MEMBER, 0, secret, NULL);
	for (int api = 0; api < 2; api++) {
		int sock = door_client(f, api ? "api" : "control");

		env = check(f, sock, secret);
		assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_TOKEN_REPLY);
		assert_null(env->token_reply->secret);
		assert_string_equal(env->token_reply->token->user, "alice@example.org");
		assert_string_equal(env->token_reply->token->project, "shop");
		assert_int_equal(env->token_reply->token->role, MEMBER);
		drop(env);
		close(sock);
	}
}

static void on_the_api_socket_credentials_count_for_nothing(void **state)
{
	struct fixture *f = *state;
	int api = door_client(f, "api"), sock = client(f);
	Berth__Envelope *env;

	assert_stranger(f, api, NULL);
	env = check(f, sock, NULL); /* on the control socket they are who it is */
	assert_string_equal(env->token_reply->token->user, getuid() ? env->token_reply->token->user : "root");
	assert_null(env->token_reply->token->id);
	drop(env);
	close(api);
	close(sock);
}

static void what_is_no_token_is_refused_and_not_told_apart(void **state)
{
	struct fixture *f = *state;
	char secret[SECRET_SIZE], id[UUID_SIZE], other[SECRET_SIZE];
	static char *const wrong[] = {"", "berth_", "x", "berth_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
				      "BERTH_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
	int sock = door_client(f, "api");

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_stranger(f, sock, wrong[i]);
	make(f, "shop", "alice", MEMBER, 0, secret, id);
	drop(check(f, sock, secret));
	snprintf(other, sizeof other, "%s", secret);
	other[48] = other[48] == 'A' ? 'E' : 'A';
	assert_stranger(f, sock, other);
	snprintf(other, sizeof other, "%sA", secret);
	assert_stranger(f, sock, other);
	assert_stranger(f, sock, id);
	token_revoke(f, id);
	assert_stranger(f, sock, secret);
	close(sock);
}

static void an_expired_token_is_refused_at_once(void **state)
{
	struct fixture *f = *state;
	char secret[SECRET_SIZE];
	int sock = door_client(f, "api");
	Berth__Envelope *env;

	make(f, "shop", "alice", MEMBER, wall_ns() + 200 * (int64_t)NS_PER_MS, secret, NULL);
	env = check(f, sock, secret);
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_TOKEN_REPLY);
	drop(env);
	run_ms(f, 250);
	assert_stranger(f, sock, secret);
	close(sock);
}

static bool file_has(struct fixture *f, const char *name, const char *text)
{
	char path[128], *data;
	ssize_t n;
	bool found;

	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	n = file_read_all(AT_FDCWD, path, 64 << 20, &data);
	if (n == -ENOENT)
		return false;
	assert_true(n >= 0);
	found = memmem(data, (size_t)n, text, strlen(text)) != NULL;
	free(data);
	return found;
}

static void a_token_outlives_berthd_and_its_secret_is_nowhere(void **state)
{
	struct fixture *f = *state;
	char secret[SECRET_SIZE], id[UUID_SIZE], gone[SECRET_SIZE], gone_id[UUID_SIZE];
	Berth__Envelope *env;
	int sock;

	make(f, "shop", "alice", MEMBER, 0, secret, id);
	make(f, "shop", "bob", MEMBER, 0, gone, gone_id);
	token_revoke(f, gone_id);
	services_close(f);
	assert_true(file_has(f, "berth.db", id) || file_has(f, "berth.db-wal", id));
	assert_false(file_has(f, "berth.db", secret + 6) || file_has(f, "berth.db-wal", secret + 6));
	services_open(f);
	sock = door_client(f, "api");
	env = check(f, sock, secret);
	assert_string_equal(env->token_reply->token->id, id);
	drop(env);
	assert_stranger(f, sock, gone);
	close(sock);
}

/* ---------------------------------------------------------------- who may what */

static void tokens_are_the_operators_business(void **state)
{
	static const int roles[] = {MEMBER, ADMIN};
	struct fixture *f = *state;
	char secret[SECRET_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		int sock = client(f); /* of root, or of the user that made the socket: the token takes that away */
		REQUEST(create, TOKEN_CREATE, Berth__TokenCreate, BERTH__TOKEN_CREATE__INIT);
		REQUEST(list, TOKEN_LIST, Berth__TokenList, BERTH__TOKEN_LIST__INIT);
		REQUEST(revoke, TOKEN_REVOKE, Berth__TokenRevoke, BERTH__TOKEN_REVOKE__INIT);
		REQUEST(upgrade, UPGRADE, Berth__UpgradeRequest, BERTH__UPGRADE_REQUEST__INIT);
		Berth__Envelope *const all[] = {&create, &list, &revoke, &upgrade};

		make(f, "shop", "alice", roles[i], 0, secret, NULL);
		for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
			all[k]->token = secret;
			assert_code(answer_to(f, sock, all[k]), BERTH__ERROR__CODE__DENIED, "under a token");
		}
		close(sock);
	}
}

static void a_member_names_no_other_project(void **state)
{
	struct fixture *f = *state;
	char member[SECRET_SIZE], admin[SECRET_SIZE];
	int sock = door_client(f, "api");
	REQUEST(list, VOLUME_LIST, Berth__VolumeList, BERTH__VOLUME_LIST__INIT);

	make(f, "shop", "alice", MEMBER, 0, member, NULL);
	make(f, "shop", "carol", ADMIN, 0, admin, NULL);
	list.token = member;
	list.project = "bank";
	assert_code(answer_to(f, sock, &list), BERTH__ERROR__CODE__DENIED, "the token is for project shop");
	list.project = "shop";
	drop(answer_to(f, sock, &list));
	list.token = admin;
	list.project = "bank";
	ask(f, sock, &list);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_VOLUME_REPLY);
	close(sock);
}

static void what_a_token_must_say_is_checked(void **state)
{
	static const struct {
		char *project, *user;
		int role;
		int64_t expires_at;
		const char *text;
	} rows[] = {
		{NULL, "alice", MEMBER, 0, "a project's name"},
		{"a/b", "alice", MEMBER, 0, "a project's name"},
		{"shop", "", MEMBER, 0, "a user's name"},
		{"shop", "root\n", MEMBER, 0, "a user's name"},
		{"shop", "@shop", MEMBER, 0, "a user's name"},
		{"shop", "a23456789012345678901234567890123456789012345678901234567890abcd", MEMBER, 0,
		 "a user's name"},
		{"shop", "alice", 0, 0, "member or admin"},
		{"shop", "alice", 3, 0, "member or admin"},
		{"shop", "alice", MEMBER, 1, "a time to come"},
	};
	struct fixture *f = *state;
	int sock = client(f);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_code(ask_create(f, sock, rows[i].project, rows[i].user, rows[i].role, rows[i].expires_at),
			    BERTH__ERROR__CODE__INVALID, rows[i].text);
	REQUEST(create, TOKEN_CREATE, Berth__TokenCreate, BERTH__TOKEN_CREATE__INIT);
	create_body.project = create_body.user = "x";
	create_body.has_role = true;
	create.client_token = "again"; /* the answer would be kept for an hour, the secret in it */
	assert_code(answer_to(f, sock, &create), BERTH__ERROR__CODE__INVALID, "a descriptor or a secret");
	close(sock);
}

static void a_token_is_revoked_by_any_beginning_that_fits_it_alone(void **state)
{
	struct fixture *f = *state;
	char secret[SECRET_SIZE], id[UUID_SIZE];
	int sock = client(f), api = door_client(f, "api");
	REQUEST(gone, TOKEN_REVOKE, Berth__TokenRevoke, BERTH__TOKEN_REVOKE__INIT);

	make(f, "shop", "alice", MEMBER, 0, secret, id);
	gone_body.id = "no such token";
	assert_code(answer_to(f, sock, &gone), BERTH__ERROR__CODE__NOT_FOUND, "there is no token");
	id[8] = 0;
	token_revoke(f, id);
	assert_stranger(f, api, secret);
	close(api);
	close(sock);
}

/* ---------------------------------------------------------------- what runs under it */

static Berth__Envelope *ask_events(struct fixture *f, int sock, char *token)
{
	REQUEST(events, EVENTS, Berth__EventsRequest, BERTH__EVENTS_REQUEST__INIT);

	events.token = token;
	return answer_to(f, sock, &events);
}

static void what_is_watched_ends_with_its_token(void **state)
{
	struct fixture *f = *state;
	char alice[SECRET_SIZE], id[UUID_SIZE], bob[SECRET_SIZE];
	int sock = door_client(f, "api");
	Berth__Envelope *env;

	make(f, "shop", "alice", MEMBER, 0, alice, id);
	make(f, "shop", "bob", MEMBER, wall_ns() + (int64_t)NS_PER_S, bob, NULL);
	for (int i = 0; i < 3; i++) {
		env = ask_events(f, sock, i ? alice : bob);
		assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_DONE);
		drop(env);
	}
	token_revoke(f, id);
	for (int i = 0; i < 2; i++)
		expect_error(f, sock, BERTH__ERROR__CODE__UNAUTHENTICATED, "expired or was revoked");
	run_ms(f, 6000); /* the other one is found by the sweep */
	expect_error(f, sock, BERTH__ERROR__CODE__UNAUTHENTICATED, "expired or was revoked");
	close(sock);
}

static void a_user_cannot_call_off_what_another_asked_on_the_same_connection(void **state)
{
	struct fixture *f = *state;
	char alice[SECRET_SIZE], bob[SECRET_SIZE];
	int sock = door_client(f, "api");
	REQUEST(cancel, CANCEL, Berth__CancelRequest, BERTH__CANCEL_REQUEST__INIT);
	Berth__Envelope *env;

	make(f, "shop", "alice", MEMBER, 0, alice, NULL);
	make(f, "bank", "bob", MEMBER, 0, bob, NULL);
	env = ask_events(f, sock, alice);
	cancel_body.has_id = true;
	cancel_body.id = env->id;
	drop(env);
	cancel.token = bob;
	assert_code(answer_to(f, sock, &cancel), BERTH__ERROR__CODE__NOT_FOUND, "is not open");
	cancel.token = alice;
	ask(f, sock, &cancel);
	expect_body(f, sock, BERTH__ENVELOPE__BODY_EVENT_BATCH); /* its end */
	expect_body(f, sock, BERTH__ENVELOPE__BODY_DONE);
	close(sock);
}

static void a_user_who_asks_for_too_much_leaves_room_for_the_others(void **state)
{
	struct fixture *f = *state;
	char alice[SECRET_SIZE], bob[SECRET_SIZE];
	int sock = door_client(f, "api");
	Berth__Envelope *env;

	make(f, "shop", "alice", MEMBER, 0, alice, NULL);
	make(f, "bank", "bob", MEMBER, 0, bob, NULL);
	for (unsigned i = 0; i < CLIENT_OPEN_MAX; i++) {
		env = ask_events(f, sock, alice);
		assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_DONE);
		drop(env);
	}
	assert_code(ask_events(f, sock, alice), BERTH__ERROR__CODE__EXHAUSTED, "64 requests of this token");
	env = ask_events(f, sock, bob);
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_DONE);
	drop(env);
	close(sock);
}

static void a_host_user_cannot_take_all_connections_of_the_api_socket(void **state)
{
	struct fixture *f = *state;
	int socks[API_PER_UID], sock;

	for (unsigned i = 0; i < API_PER_UID; i++)
		socks[i] = door_client(f, "api");
	sock = door_connect(f, "api");
	expect_error(f, sock, BERTH__ERROR__CODE__EXHAUSTED, "32 connections: that is the limit");
	expect_closed(f, sock);
	sock = client(f);
	close(sock);
	close(socks[0]);
	run_ms(f, 10);
	socks[0] = door_client(f, "api");
	for (unsigned i = 0; i < API_PER_UID; i++)
		close(socks[i]);
}

#define TOKEN_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOKEN_TEST(a_token_says_who_asks_whatever_the_socket),
		TOKEN_TEST(on_the_api_socket_credentials_count_for_nothing),
		TOKEN_TEST(what_is_no_token_is_refused_and_not_told_apart),
		TOKEN_TEST(an_expired_token_is_refused_at_once),
		TOKEN_TEST(a_token_outlives_berthd_and_its_secret_is_nowhere),
		TOKEN_TEST(tokens_are_the_operators_business),
		TOKEN_TEST(a_member_names_no_other_project),
		TOKEN_TEST(what_a_token_must_say_is_checked),
		TOKEN_TEST(a_token_is_revoked_by_any_beginning_that_fits_it_alone),
		TOKEN_TEST(what_is_watched_ends_with_its_token),
		TOKEN_TEST(a_user_cannot_call_off_what_another_asked_on_the_same_connection),
		TOKEN_TEST(a_user_who_asks_for_too_much_leaves_room_for_the_others),
		TOKEN_TEST(a_host_user_cannot_take_all_connections_of_the_api_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
