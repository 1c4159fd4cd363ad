/* tests/unit/test_store_db.c - the store on real SQLite: what is committed survives a kill -9, a full disk loses nothing that was
 * acknowledged and nothing that must fit, numbers never repeat, a second berthd is refused. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "base/log.h"
#include "supervisor/store.h"

#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

struct fixture {
	char dir[64];
	struct loop loop;
	struct store *st;
	struct timer stop;
	int done, failed, last; /* writes that came back */
};

static void on_stop(struct timer *t)
{
	loop_stop(&container_of(t, struct fixture, stop)->loop, 0);
}

/* Lets the loop run for this long. */
static void run_ms(struct fixture *f, unsigned ms)
{
	timer_in(&f->loop, &f->stop, ms * NS_PER_MS, on_stop);
	loop_run(&f->loop);
}

/* Lets it run until this many writes have come back. */
static void run_until(struct fixture *f, int n)
{
	for (int i = 0; i < 1000 && f->done + f->failed < n; i++)
		run_ms(f, 5);
	assert_int_equal(f->done + f->failed, n);
}

static void open_store(struct fixture *f)
{
	struct err e = {0};

	if (store_open(&f->loop, f->dir, &f->st, &e) < 0)
		fail_msg("%s: %s", e.text, strerror(e.code));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	snprintf(f->dir, sizeof f->dir, "/tmp/test-store.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(loop_init(&f->loop), 0);
	open_store(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->st);
	loop_fini(&f->loop);
	dir_remove_all(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	store_close(f->st);
	f->st = NULL;
	open_store(f);
}

static void on_done(void *arg, int result)
{
	struct fixture *f = arg;

	f->last = result;
	if (result == 0)
		f->done++;
	else
		f->failed++;
}

static int put_volume(struct fixture *f, const char *uuid, const char *path, uint64_t id, uint64_t revision,
		      bool must_fit)
{
	Berth__Volume v = BERTH__VOLUME__INIT;
	Berth__Meta m = BERTH__META__INIT;

	m.uuid = (char *)(uintptr_t)uuid;
	m.name = m.project = (char *)(uintptr_t) "x";
	m.has_id = m.has_revision = true;
	m.id = id;
	m.revision = revision;
	v.meta = &m;
	v.path = (char *)(uintptr_t)path;
	return store_put(f->st, STORE_VOLUME, &m, &v.base, must_fit, on_done, f);
}

struct found {
	int n;
	char path[4096];  /* of the last one */
	char first[4096]; /* of the one with the smallest id */
};

static int on_found(void *arg, const void *blob, size_t len)
{
	struct found *found = arg;
	Berth__Volume *v = berth__volume__unpack(NULL, len, blob);

	assert_non_null(v);
	if (!found->n++)
		snprintf(found->first, sizeof found->first, "%s", v->path);
	snprintf(found->path, sizeof found->path, "%s", v->path);
	berth__volume__free_unpacked(v, NULL);
	return 0;
}

static struct found load(struct fixture *f)
{
	struct found found = {0};
	struct err e;

	assert_int_equal(store_load(f->st, STORE_VOLUME, on_found, &found, &e), 0);
	return found;
}

/* ---------------------------------------------------------------- objects */

static void what_was_put_is_there_after_reopening_and_what_was_deleted_is_not(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put_volume(f, "a", "one", 1, 1, false), 0);
	assert_int_equal(put_volume(f, "b", "two", 2, 2, false), 0);
	assert_int_equal(put_volume(f, "a", "three", 1, 3, false), 0);
	assert_int_equal(store_delete(f->st, STORE_VOLUME, "b", on_done, f), 0);
	run_until(f, 4);
	assert_int_equal(f->done, 4);
	reopen(f);
	struct found found = load(f);
	assert_int_equal(found.n, 1);
	assert_string_equal(found.path, "three");
}

static void closing_commits_what_is_queued(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 1000; i++) {
		char uuid[16];

		snprintf(uuid, sizeof uuid, "u%d", i);
		assert_int_equal(put_volume(f, uuid, "p", (uint64_t)i + 1, 1, false), 0);
	}
	reopen(f);
	assert_int_equal(f->done, 1000);
	assert_int_equal(load(f).n, 1000);
}

static void the_file_is_for_root_alone(void **state)
{
	struct fixture *f = *state;
	char path[128];
	struct stat st;

	snprintf(path, sizeof path, "%s/berth.db", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(put_volume(f, "a", "one", 1, 1, false), 0);
	run_until(f, 1);
	snprintf(path, sizeof path, "%s/berth.db-wal", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* ---------------------------------------------------------------- work on folders */

static int n_order; /* calls made; by the store's thread, read when they are through */

static int work_ok(void *arg)
{
	n_order++;
	return 0;
}

static int work_fails(void *arg)
{
	n_order++;
	return -EACCES;
}

static void a_row_is_not_written_when_its_folder_could_not_be_made(void **state)
{
	struct fixture *f = *state;
	Berth__Volume v = BERTH__VOLUME__INIT;
	Berth__Meta m = BERTH__META__INIT;

	n_order = 0;
	m.uuid = m.name = m.project = v.path = (char *)(uintptr_t) "w";
	v.meta = &m;
	assert_int_equal(store_put_after(f->st, STORE_VOLUME, &m, &v.base, work_fails, on_done, f), 0);
	run_until(f, 1);
	assert_int_equal(f->last, -EACCES);
	assert_int_equal(load(f).n, 0);
	assert_int_equal(store_put_after(f->st, STORE_VOLUME, &m, &v.base, work_ok, on_done, f), 0);
	run_until(f, 2);
	assert_int_equal(f->last, 0);
	assert_int_equal(load(f).n, 1);
	assert_int_equal(store_delete_then(f->st, STORE_VOLUME, "w", work_ok, on_done, f), 0);
	assert_int_equal(store_call(f->st, work_fails, f, on_done), 0);
	run_until(f, 4);
	assert_int_equal(f->last, -EACCES);
	assert_int_equal(n_order, 4);
	assert_int_equal(load(f).n, 0);
}

/* ---------------------------------------------------------------- numbers */

static void numbers_go_on_after_a_clean_end_and_never_repeat_after_a_kill(void **state)
{
	struct fixture *f = *state;
	uint64_t id, revision, id2, revision2;
	struct err e;
	int status;

	assert_int_equal(store_load_counters(f->st, &id, &revision, &e), 0);
	assert_int_equal(id, 1);
	store_used(f->st, id + 10, revision + 20);
	reopen(f);
	assert_int_equal(store_load_counters(f->st, &id2, &revision2, &e), 0);
	assert_int_equal(id2, id + 10);
	assert_int_equal(revision2, revision + 20);
	store_close(f->st);
	f->st = NULL;

	pid_t pid = fork();
	if (!pid) { /* uses numbers far beyond its first block, then dies without a word */
		struct loop loop;

		loop_init(&loop);
		if (store_open(&loop, f->dir, &f->st, &e) < 0 || store_load_counters(f->st, &id, &revision, &e) < 0)
			_exit(1);
		for (int i = 0; i < 100000; i++)
			store_used(f->st, ++id, ++revision);
		f->loop = loop;
		for (int i = 0; i < 100 && store_queued(f->st); i++)
			run_ms(f, 10);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	open_store(f);
	assert_int_equal(store_load_counters(f->st, &id, &revision, &e), 0);
	assert_true(id >= id2 + 100000);
	assert_true(revision >= revision2 + 100000);
}

static void a_row_with_a_number_beyond_the_reserved_ones_keeps_it_from_being_given_again(void **state)
{
	struct fixture *f = *state;
	uint64_t id, revision;
	struct err e;

	assert_int_equal(put_volume(f, "a", "p", 77777777, 88888888888, false), 0);
	reopen(f);
	assert_int_equal(store_load_counters(f->st, &id, &revision, &e), 0);
	assert_int_equal(id, 77777778);
	assert_int_equal(revision, 88888888889);
}

/* ---------------------------------------------------------------- crash, second opener, version */

static void what_was_acknowledged_survives_kill_9(void **state)
{
	struct fixture *f = *state;
	int pair[2], acknowledged = 0, status;

	store_close(f->st);
	f->st = NULL;
	assert_int_equal(pipe(pair), 0);
	pid_t pid = fork();
	if (!pid) { /* writes as fast as it can, tells each commit, and is killed somewhere in between */
		loop_init(&f->loop);
		open_store(f);
		for (int i = 0;; i++) {
			char uuid[16];

			snprintf(uuid, sizeof uuid, "u%d", i);
			if (put_volume(f, uuid, "p", (uint64_t)i + 1, 1, false) < 0)
				_exit(1);
			while (f->done <= i)
				run_ms(f, 0);
			if (write(pair[1], &i, sizeof i) != sizeof i)
				_exit(1);
		}
	}
	close(pair[1]);
	for (int i; acknowledged < 200 && read(pair[0], &i, sizeof i) == sizeof i;)
		acknowledged = i + 1;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	for (int i; read(pair[0], &i, sizeof i) == sizeof i;)
		acknowledged = i + 1;
	close(pair[0]);
	open_store(f);
	assert_in_range(load(f).n, acknowledged, acknowledged + 1);
}

static void a_second_opener_is_refused_and_told_whose_it_is(void **state)
{
	struct fixture *f = *state;
	struct store *second;
	struct err e;
	char want[64];

	assert_int_equal(store_open(&f->loop, f->dir, &second, &e), -EBUSY);
	snprintf(want, sizeof want, "another berthd (pid %d) uses", (int)getpid());
	assert_non_null(strstr(e.text, want));
}

static void set_version(const char *dir, int version)
{
	char path[128], sql[64];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/berth.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	snprintf(sql, sizeof sql, "PRAGMA user_version = %d", version);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_store_of_a_newer_berth_is_refused_untouched(void **state)
{
	struct fixture *f = *state;
	struct store *st;
	struct err e;

	assert_int_equal(store_check(f->dir, &e), 0); /* also while it is open */
	store_close(f->st);
	f->st = NULL;
	assert_int_equal(store_check(f->dir, &e), 0);
	set_version(f->dir, 99);
	assert_int_equal(store_check(f->dir, &e), -EPROTONOSUPPORT);
	assert_int_equal(store_open(&f->loop, f->dir, &st, &e), -EPROTONOSUPPORT);
	assert_non_null(strstr(e.text, "schema 99"));
	set_version(f->dir, 1);
	open_store(f);
}

static void a_file_that_is_no_store_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[128], junk[4096];
	struct err e;

	store_close(f->st);
	f->st = NULL;
	memset(junk, 'j', sizeof junk);
	snprintf(path, sizeof path, "%s/berth.db", f->dir);
	assert_int_equal(file_write_atomic(AT_FDCWD, path, junk, sizeof junk, 0600, false), 0);
	assert_int_equal(store_check(f->dir, &e), -EUCLEAN);
	assert_int_equal(store_open(&f->loop, f->dir, &f->st, &e), -EUCLEAN);
	f->st = NULL;
}

/* ---------------------------------------------------------------- a full disk */

static void fill(const char *dir)
{
	char path[128], page[4096] = {1};

	snprintf(path, sizeof path, "%s/filler", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	while (write(fd, page, sizeof page) > 0)
		;
	while (write(fd, page, 16) > 0)
		;
	close(fd);
}

static void make_room(const char *dir)
{
	char path[128];

	snprintf(path, sizeof path, "%s/filler", dir);
	unlink(path);
}

/* A small tmpfs in the place of the folder, in a mount namespace of this process's own. */
static bool small_disk(struct fixture *f)
{
	store_close(f->st);
	f->st = NULL;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", f->dir, "tmpfs", 0, "size=4m") < 0) {
		open_store(f);
		return false;
	}
	open_store(f);
	return true;
}

static void a_full_disk_refuses_changes_keeps_status_and_recovers_by_itself(void **state)
{
	struct fixture *f = *state;
	static char big[3000];
	int n = 0;

	if (!small_disk(f))
		SKIP("a mount of one's own needs root");
	memset(big, 'b', sizeof big - 1);
	assert_int_equal(put_volume(f, "early", "p", 1, 1, false), 0);
	run_until(f, 1);
	fill(f->dir);
	/* What the WAL has room for already may still fit: write until it does not. */
	while (!f->failed && n < 2000) {
		char uuid[16];

		snprintf(uuid, sizeof uuid, "u%d", n++);
		assert_int_equal(put_volume(f, uuid, big, (uint64_t)n + 1, 1, false), 0);
		run_until(f, n + 1);
	}
	assert_int_equal(f->failed, 1);
	assert_int_equal(f->last, -ENOSPC);
	assert_true(*store_error(f->st));

	/* A change that fails is not there later. A status is never lost, and of two the newer one counts. */
	int rows = f->done;
	assert_int_equal(put_volume(f, "change", big, 9000, 1, false), 0);
	run_until(f, f->done + f->failed + 1);
	rows += f->last == 0;
	assert_int_equal(put_volume(f, "early", "old status", 1, 2, true), 0);
	assert_int_equal(put_volume(f, "early", big, 1, 3, true), 0);
	run_until(f, f->done + f->failed + 2);

	make_room(f->dir);
	for (int i = 0; i < 100 && *store_error(f->st); i++)
		run_ms(f, 50);
	assert_string_equal(store_error(f->st), "");
	reopen(f);
	struct found found = load(f);
	assert_int_equal(found.n, rows);
	assert_string_equal(found.first, big); /* the newer status */
	store_close(f->st);
	f->st = NULL;
	umount2(f->dir, MNT_DETACH);
}

/* The first row is as good as none in size, the last fits nowhere. */
static void rows_that_belong_together_are_written_all_or_none(void **state)
{
	struct fixture *f = *state;
	static char big[3000000], small[] = "small", changed[] = "changed", last[] = "last",
				  names[3][2] = {"a", "b", "c"};
	Berth__Volume v[3];
	Berth__Meta m[3];
	struct store_row rows[3];

	if (!small_disk(f))
		SKIP("a mount of one's own needs root");
	for (int i = 0; i < 3; i++) {
		berth__volume__init(&v[i]);
		berth__meta__init(&m[i]);
		m[i].uuid = m[i].name = m[i].project = names[i];
		m[i].has_id = true;
		m[i].id = (uint64_t)i + 1;
		v[i].meta = &m[i];
		v[i].path = small;
		rows[i] = (struct store_row){&m[i], &v[i].base};
	}
	assert_int_equal(store_write(f->st, STORE_VOLUME, rows, 3, on_done, f), 0);
	run_until(f, 1);
	assert_int_equal(f->done, 1);
	assert_int_equal(load(f).n, 3);

	memset(big, 'b', sizeof big - 1);
	v[0].path = changed;
	rows[1].object = NULL; /* b is to go */
	v[2].path = big;
	fill(f->dir);
	assert_int_equal(store_write(f->st, STORE_VOLUME, rows, 3, on_done, f), 0);
	run_until(f, 2);
	assert_int_equal(f->failed, 1);
	make_room(f->dir);
	for (int i = 0; i < 100 && *store_error(f->st); i++)
		run_ms(f, 50);
	reopen(f);
	struct found found = load(f);
	assert_int_equal(found.n, 3);
	assert_string_equal(found.first, small);

	v[2].path = last;
	assert_int_equal(store_write(f->st, STORE_VOLUME, rows, 3, on_done, f), 0);
	run_until(f, 3);
	reopen(f);
	found = load(f);
	assert_int_equal(found.n, 2);
	assert_string_equal(found.first, changed);
	store_close(f->st);
	f->st = NULL;
	umount2(f->dir, MNT_DETACH);
}

static void on_a_full_disk_status_and_removals_are_still_written(void **state)
{
	struct fixture *f = *state;
	char uuid[16], text[32];

	if (!small_disk(f))
		SKIP("a mount of one's own needs root");
	for (int i = 0; i < 100; i++) {
		snprintf(uuid, sizeof uuid, "u%d", i);
		assert_int_equal(put_volume(f, uuid, "some state", (uint64_t)i + 1, 1, false), 0);
	}
	run_until(f, 100);
	fill(f->dir);
	for (int i = 0; i < 3000; i++) { /* far more than the WAL has room for */
		snprintf(uuid, sizeof uuid, "u%d", i % 100);
		snprintf(text, sizeof text, "other %04d", i); /* SQLite does not write a row that stays as it is */
		assert_int_equal(put_volume(f, uuid, text, (uint64_t)(i % 100) + 1, 2, true), 0);
		run_until(f, 101 + i);
	}
	for (int i = 0; i < 50; i++) {
		snprintf(uuid, sizeof uuid, "u%d", i);
		assert_int_equal(store_delete(f->st, STORE_VOLUME, uuid, on_done, f), 0);
	}
	run_until(f, 3150);
	assert_int_equal(f->failed, 0);
	reopen(f);
	assert_int_equal(load(f).n, 50);
	assert_string_equal(load(f).path, "other 2999");
	store_close(f->st);
	f->st = NULL;
	umount2(f->dir, MNT_DETACH);
}

static void without_kept_writes_the_error_is_probed_away(void **state)
{
	struct fixture *f = *state;
	static char big[3000];
	int n = 0;

	if (!small_disk(f))
		SKIP("a mount of one's own needs root");
	memset(big, 'b', sizeof big - 1);
	fill(f->dir);
	while (!f->failed && n < 2000) {
		char uuid[16];

		snprintf(uuid, sizeof uuid, "u%d", n++);
		assert_int_equal(put_volume(f, uuid, big, (uint64_t)n, 1, false), 0);
		run_until(f, n);
	}
	assert_true(*store_error(f->st));
	make_room(f->dir);
	for (int i = 0; i < 100 && *store_error(f->st); i++)
		run_ms(f, 50);
	assert_string_equal(store_error(f->st), "");
	store_close(f->st);
	f->st = NULL;
	umount2(f->dir, MNT_DETACH);
}

static void a_full_queue_refuses_changes_and_takes_status(void **state)
{
	struct fixture *f = *state;
	static char big[60000];
	int r = 0, n = 0;

	memset(big, 'b', sizeof big - 1);
	/* The thread drains while we fill: 64 MiB at a time are more than it can take. */
	while (r == 0 && n < 100000) {
		r = put_volume(f, "a", big, 1, 1, false);
		n++;
	}
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(put_volume(f, "a", "last", 1, 2, true), 0);
	run_until(f, n);
	assert_int_equal(f->failed, 0);
	assert_string_equal(load(f).path, "last");
}

/* ---------------------------------------------------------------- actions, tokens */

static int put_action(struct fixture *f, uint64_t id, const char *uuid, const char *name, int64_t finished_at)
{
	Berth__Action a = BERTH__ACTION__INIT;

	a.has_id = a.has_started_at = a.has_finished_at = true;
	a.id = id;
	a.object_uuid = (char *)(uintptr_t)uuid;
	a.object_name = (char *)(uintptr_t)name;
	a.started_at = 1;
	a.finished_at = finished_at;
	return store_put_action(f->st, &a, on_done, f);
}

struct actions {
	struct fixture *f;
	int result;
	size_t n;
	uint64_t first, last;
	char reason[100];
	uint64_t next_id;
};

static void on_actions(void *arg, int result, Berth__Action **actions, size_t n, uint64_t next_id)
{
	struct actions *got = arg;

	got->result = result;
	got->n = n;
	got->next_id = next_id;
	if (n) {
		got->first = actions[0]->id;
		got->last = actions[n - 1]->id;
		snprintf(got->reason, sizeof got->reason, "%s", actions[n - 1]->reason ? actions[n - 1]->reason : "");
	}
	got->f->done++;
}

static struct actions ask_actions(struct fixture *f, const char *uuid, const char *name, uint64_t after, bool newest,
				  uint32_t limit)
{
	struct actions got = {.f = f};
	int before = f->done + f->failed;

	const struct actions_query q = {
		.object_uuid = uuid, .object_name = name, .after_id = after, .newest_first = newest, .limit = limit};

	assert_int_equal(store_get_actions(f->st, &q, on_actions, &got), 0);
	run_until(f, before + 1);
	assert_int_equal(got.result, 0);
	return got;
}

static struct actions get_actions(struct fixture *f, const char *uuid, const char *name, uint64_t after, uint32_t limit)
{
	return ask_actions(f, uuid, name, after, false, limit);
}

static void actions_are_found_by_uuid_its_beginning_name_and_page(void **state)
{
	struct fixture *f = *state;

	put_action(f, 1, "aa-1", "web", 5);
	put_action(f, 2, "aa-2", "web", 5);
	put_action(f, 3, "ab-3", "db", 5);
	put_action(f, 4, "", "", 5);
	run_until(f, 4);
	assert_int_equal(get_actions(f, "aa-1", NULL, 0, 0).n, 1);
	assert_int_equal(get_actions(f, "a", NULL, 0, 0).n, 3);
	assert_int_equal(get_actions(f, NULL, "web", 0, 0).n, 2);
	assert_int_equal(get_actions(f, "ab", "web", 0, 0).n, 3);
	assert_int_equal(get_actions(f, NULL, NULL, 0, 0).n, 4);
	assert_int_equal(get_actions(f, NULL, NULL, 1, 2).n, 2);
	assert_int_equal(get_actions(f, NULL, NULL, 1, 2).first, 2);
	assert_int_equal(get_actions(f, "x", "y", 0, 0).n, 0);
	assert_int_equal(ask_actions(f, NULL, NULL, 0, true, 2).first, 4);
	assert_int_equal(ask_actions(f, NULL, NULL, 0, true, 2).last, 3);
	assert_int_equal(ask_actions(f, "a", NULL, 3, true, 0).first, 2);
}

static void actions_of_one_project_or_request_are_found_among_those_of_others(void **state)
{
	struct fixture *f = *state;
	struct actions got = {.f = f};
	struct actions_query q = {.project = "shop", .limit = 2};
	Berth__Action a = BERTH__ACTION__INIT;
	static const char *const projects[] = {"shop", "bank", "bank", "shop", "shop", NULL};

	a.has_id = true;
	for (size_t i = 0; i < ARRAY_SIZE(projects); i++) {
		a.id = i + 1;
		a.object_uuid = a.object_name = (char *)(uintptr_t) "x";
		a.project = (char *)(uintptr_t)projects[i];
		a.request_id = (char *)(uintptr_t)(i % 2 ? "odd" : "even");
		store_put_action(f->st, &a, on_done, f);
	}
	run_until(f, 6);
	assert_int_equal(store_get_actions(f->st, &q, on_actions, &got), 0);
	run_until(f, 7);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.last, 4);
	assert_true(got.next_id != 0);
	q.after_id = got.next_id;
	assert_int_equal(store_get_actions(f->st, &q, on_actions, &got), 0);
	run_until(f, 8);
	assert_int_equal(got.first, 5);
	assert_int_equal(got.next_id, 0);
	q = (struct actions_query){.project = "bank", .request_id = "odd", .object_name = "x"};
	assert_int_equal(store_get_actions(f->st, &q, on_actions, &got), 0);
	run_until(f, 9);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.first, 2);
}

/* Nobody keeps the thread busy by asking for what there is none of: he is told where to go on. */
static void a_query_looks_at_no_more_than_so_many_actions(void **state)
{
	struct fixture *f = *state;
	struct actions got = {.f = f};
	struct actions_query q = {.project = "nobody's", .limit = 10};

	for (uint64_t i = 1; i <= STORE_LOOK_MAX + 10; i++) {
		put_action(f, i, "u", "n", 1);
		if (i % 1000 == 0)
			run_until(f, (int)i);
	}
	run_until(f, (int)STORE_LOOK_MAX + 10);
	assert_int_equal(store_get_actions(f->st, &q, on_actions, &got), 0);
	run_until(f, (int)STORE_LOOK_MAX + 11);
	assert_int_equal(got.n, 0);
	assert_int_equal(got.next_id, STORE_LOOK_MAX);
	q.after_id = got.next_id;
	assert_int_equal(store_get_actions(f->st, &q, on_actions, &got), 0);
	run_until(f, (int)STORE_LOOK_MAX + 12);
	assert_int_equal(got.next_id, 0);
}

static void actions_of_a_dead_berthd_are_ended_with_a_reason(void **state)
{
	struct fixture *f = *state;
	struct actions got;

	put_action(f, 1, "a", "web", 0);
	put_action(f, 2, "a", "web", 7);
	put_action(f, 3, "a", "web", 0);
	assert_int_equal(store_end_actions(f->st, 2, 9, "interrupted"), 0);
	run_until(f, 3);
	got = get_actions(f, "a", NULL, 0, 1);
	assert_string_equal(got.reason, "interrupted");
	assert_string_equal(get_actions(f, "a", NULL, 1, 1).reason, "");
	assert_string_equal(get_actions(f, "a", NULL, 2, 1).reason, ""); /* it runs: it is of this berthd */
}

static void old_actions_go_with_their_object_and_of_a_living_one_the_newest_stay(void **state)
{
	struct fixture *f = *state;

	put_volume(f, "living", "p", 1, 1, false);
	for (uint64_t i = 1; i <= 1500; i++)
		put_action(f, i, "living", "l", 10);
	put_action(f, 2001, "gone", "g", 10);
	put_action(f, 2002, "gone", "g", 90);
	put_action(f, 2003, "long gone", "lg", 10);
	put_action(f, 2004, "long gone", "lg", 20);
	put_action(f, 2005, "", "", 10);
	put_action(f, 2006, "", "", 90);
	assert_int_equal(store_drop_actions(f->st, 50), 0);
	run_until(f, 1507);
	assert_int_equal(get_actions(f, "living", NULL, 0, 0).n, 1000);
	assert_int_equal(get_actions(f, "living", NULL, 0, 0).last, 1500);
	assert_int_equal(get_actions(f, "gone", NULL, 0, 0).n, 2);
	assert_int_equal(get_actions(f, "long gone", NULL, 0, 0).n, 0);
	assert_int_equal(get_actions(f, NULL, NULL, 2004, 0).n, 1);
}

static int on_token(void *arg, const char *principal, const char *token, uint64_t hash, const void *reply, size_t len,
		    int64_t expires_at)
{
	int *n = arg;

	assert_string_equal(principal, "root");
	assert_true(hash == UINT64_MAX);
	assert_int_equal(len, 3);
	assert_memory_equal(reply, "a\0b", 3);
	(*n)++;
	return 0;
}

static void tokens_survive_and_expire(void **state)
{
	struct fixture *f = *state;
	int n = 0;

	store_put_token(f->st, "root", "t1", 5, "old", 3, 100);
	store_put_token(f->st, "root", "t1", UINT64_MAX, "a\0b", 3, 100);
	store_put_token(f->st, "root", "t2", UINT64_MAX, "a\0b", 3, 10);
	store_put_token(f->st, "root", "t3", UINT64_MAX, "a\0b", 3, 100);
	store_drop_tokens(f->st, NULL, NULL, 50);
	store_drop_tokens(f->st, "root", "t3", 0);
	reopen(f);
	assert_int_equal(store_load_tokens(f->st, on_token, &n), 0);
	assert_int_equal(n, 1);
}

#define STORE_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	log_init("test", 0);

	const struct CMUnitTest tests[] = {
		STORE_TEST(what_was_put_is_there_after_reopening_and_what_was_deleted_is_not),
		STORE_TEST(closing_commits_what_is_queued),
		STORE_TEST(the_file_is_for_root_alone),
		STORE_TEST(a_row_is_not_written_when_its_folder_could_not_be_made),
		STORE_TEST(numbers_go_on_after_a_clean_end_and_never_repeat_after_a_kill),
		STORE_TEST(a_row_with_a_number_beyond_the_reserved_ones_keeps_it_from_being_given_again),
		STORE_TEST(what_was_acknowledged_survives_kill_9),
		STORE_TEST(a_second_opener_is_refused_and_told_whose_it_is),
		STORE_TEST(a_store_of_a_newer_berth_is_refused_untouched),
		STORE_TEST(a_file_that_is_no_store_is_refused),
		STORE_TEST(a_full_disk_refuses_changes_keeps_status_and_recovers_by_itself),
		STORE_TEST(rows_that_belong_together_are_written_all_or_none),
		STORE_TEST(on_a_full_disk_status_and_removals_are_still_written),
		STORE_TEST(without_kept_writes_the_error_is_probed_away),
		STORE_TEST(a_full_queue_refuses_changes_and_takes_status),
		STORE_TEST(actions_are_found_by_uuid_its_beginning_name_and_page),
		STORE_TEST(actions_of_one_project_or_request_are_found_among_those_of_others),
		STORE_TEST(a_query_looks_at_no_more_than_so_many_actions),
		STORE_TEST(actions_of_a_dead_berthd_are_ended_with_a_reason),
		STORE_TEST(old_actions_go_with_their_object_and_of_a_living_one_the_newest_stay),
		STORE_TEST(tokens_survive_and_expire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
