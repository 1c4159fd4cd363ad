/* supervisor/store_db.c - the store's database: SQLite opened, brought to our schema, and its errors in our words.
 *
 * One connection, in exclusive locking mode: no shared memory file, and the WAL-reset fault of SQLite before 3.51.3
 * (two connections that write and checkpoint at once) cannot happen. That is also why store_check reads the header of the file
 * and does not open it: the berthd that runs has it. */
#include "supervisor/store_own.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STORE_SCHEMA 1 /* PRAGMA user_version; add a migration below when it grows */

/* The WAL's content goes into the database, and the next write begins at the WAL's start, in blocks that it has already. */
#define STORE_WAL_ANEW "PRAGMA wal_checkpoint(RESTART)"

static const char *const schema_1[] = {
	"CREATE TABLE objects (kind INTEGER NOT NULL, uuid TEXT NOT NULL, id INTEGER NOT NULL, project TEXT NOT NULL,"
	" name TEXT NOT NULL, revision INTEGER NOT NULL, deleted_at INTEGER NOT NULL, blob BLOB NOT NULL,"
	" PRIMARY KEY (kind, uuid))",
	"CREATE TABLE actions (id INTEGER PRIMARY KEY, object_uuid TEXT NOT NULL, object_name TEXT NOT NULL,"
	" started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL, blob BLOB NOT NULL)",
	"CREATE INDEX actions_by_uuid ON actions (object_uuid, id)",
	"CREATE INDEX actions_by_name ON actions (object_name, id)",
	"CREATE INDEX actions_open ON actions (id) WHERE finished_at = 0",
	"CREATE TABLE tokens (principal TEXT NOT NULL, token TEXT NOT NULL, body_hash INTEGER NOT NULL,"
	" expires_at INTEGER NOT NULL, reply BLOB NOT NULL, PRIMARY KEY (principal, token))",
	"CREATE TABLE counters (one INTEGER PRIMARY KEY CHECK (one = 1), next_id INTEGER NOT NULL,"
	" revision INTEGER NOT NULL)",
	"INSERT INTO counters VALUES (1, 1, 1)",
	"CREATE TABLE reserve (filler BLOB)", /* empty, see store_make_reserve */
};

/* [n] brings version n to n + 1. Columns and tables are only ever added: the previous release must be able to read on. */
static const struct {
	const char *const *sql;
	size_t n;
} migrations[STORE_SCHEMA] = {
	[0] = {schema_1, ARRAY_SIZE(schema_1)},
};

static int sqlite_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

/* Says in t_error what the database's last call failed of. */
int store_failed(struct store *st, int code)
{
	int r = sqlite_errno(code), os = sqlite3_system_errno(st->db);

	if (r == -EIO && os == ENOSPC)
		r = -ENOSPC; /* the WAL's shared or temporary files report it as an I/O error */
	snprintf(st->t_error, sizeof st->t_error, "the store's database says: %s%s%s", sqlite3_errmsg(st->db),
		 os ? ": " : "", os ? strerror(os) : "");
	return r;
}

int store_exec(struct store *st, const char *sql)
{
	int code = sqlite3_exec(st->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : store_failed(st, code);
}

int store_step(struct store *st, sqlite3_stmt *s)
{
	int code = sqlite3_step(s), r = 0;

	if (code != SQLITE_DONE)
		r = store_failed(st, code);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return r;
}

int store_begin(struct store *st)
{
	return store_step(st, st->t_begin);
}

int store_commit(struct store *st)
{
	return store_step(st, st->t_commit);
}

/* A failed statement may have ended the transaction by itself (disk full, I/O error): then there is nothing to roll back. */
void store_rollback(struct store *st)
{
	if (!sqlite3_get_autocommit(st->db))
		(void)sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
}

int store_wal_anew(struct store *st)
{
	return store_exec(st, STORE_WAL_ANEW);
}

static int store_user_version(struct store *st, int *ret)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(st->db, "PRAGMA user_version", -1, &s, NULL);

	if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
		*ret = sqlite3_column_int(s, 0);
		code = SQLITE_OK;
	}
	sqlite3_finalize(s);
	return code == SQLITE_OK ? 0 : store_failed(st, code);
}

static int version_refused(int version, const char *dir, struct err *e)
{
	if (version <= STORE_SCHEMA)
		return 0;
	return err_set(
		e, EPROTONOSUPPORT, "store",
		"the store in %s has schema %d, made by a newer berth; this one knows %d: install the newer one again",
		dir, version, STORE_SCHEMA);
}

static int store_migrate(struct store *st, int version)
{
	char sql[64];
	int r = version < STORE_SCHEMA ? store_exec(st, "BEGIN IMMEDIATE") : 0;

	if (version >= STORE_SCHEMA)
		return 0;
	for (; version < STORE_SCHEMA && r == 0; version++)
		for (size_t i = 0; i < migrations[version].n && r == 0; i++)
			r = store_exec(st, migrations[version].sql[i]);
	snprintf(sql, sizeof sql, "PRAGMA user_version = %d", STORE_SCHEMA);
	if (r == 0)
		r = store_exec(st, sql);
	if (r == 0)
		r = store_exec(st, "COMMIT");
	if (r < 0) {
		store_rollback(st);
		return r;
	}
	return 0;
}

/* Room for what a full disk must not stop: status, and the removals that make room. The filler leaves free pages in the database
 * and a WAL of its size; both are written over from now on, and blocks that a file has need no space. When a write fails for
 * want of it, the WAL is begun anew (batch_run). The checkpoint also brings the version into the file's header, for store_check. */
static void store_make_reserve(struct store *st)
{
	static const char *const sql[] = {
		"INSERT INTO reserve VALUES (zeroblob(524288))",
		"DELETE FROM reserve",
		STORE_WAL_ANEW,
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sql) && r == 0; i++)
		r = store_exec(st, sql[i]);
	if (r < 0) /* the disk is full already: no reserve, but no reason not to start */
		store_rollback(st);
	st->t_error[0] = 0;
}

int store_db_open(struct store *st, const char *dir, struct err *e)
{
	/* 4 MB of WAL before a checkpoint, and no more than 16 left behind after a burst. */
	static const char *const pragmas[] = {
		"PRAGMA locking_mode = EXCLUSIVE",  "PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL",	    "PRAGMA cache_size = -2048",
		"PRAGMA wal_autocheckpoint = 1000", "PRAGMA journal_size_limit = 16777216",
		"PRAGMA temp_store = MEMORY",	    "PRAGMA trusted_schema = OFF",
	};
	char path[4096];
	int version = 0, r = 0, code;

	if (snprintf(path, sizeof path, "%s/berth.db", dir) >= (int)sizeof path)
		return err_set(e, ENAMETOOLONG, "store", "open %.200s", dir);
	/* Made here, for root alone: SQLite would ask the umask. The WAL gets the mode of its database. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, errno, "store", "open %s", path);
	close(fd);
	code = sqlite3_open_v2(path, &st->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code != SQLITE_OK)
		r = st->db ? store_failed(st, code) : -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(pragmas) && r == 0; i++)
		r = store_exec(st, pragmas[i]);
	if (r == 0)
		r = store_user_version(st, &version);
	if (r == 0) {
		r = version_refused(version, dir, e);
		if (r < 0)
			return r;
		r = store_migrate(st, version);
	}
	if (r == 0)
		store_make_reserve(st);
	if (r == 0)
		r = store_prepare(st);
	return r < 0 ? err_set(e, -r, "store", "%s: %s", path, st->t_error) : 0;
}

/* The version is at byte 60 of the database's header, big endian. */
int store_check(const char *dir, struct err *e)
{
	unsigned char head[100];
	char path[4096];
	int version;
	ssize_t n;

	if (snprintf(path, sizeof path, "%s/berth.db", dir) >= (int)sizeof path)
		return err_set(e, ENAMETOOLONG, "store", "open %.200s", dir);
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "store", "open %s", path);
	n = pread(fd, head, sizeof head, 0);
	if (n < 0)
		return err_set(e, errno, "store", "read %s", path);
	if (n == 0)
		return 0; /* made and not yet written: as good as absent */
	if (n < (ssize_t)sizeof head || memcmp(head, "SQLite format 3", 16))
		return err_set(e, EUCLEAN, "store", "%s is not a store of berth", path);
	version = (int)((unsigned)head[60] << 24 | (unsigned)head[61] << 16 | (unsigned)head[62] << 8 | head[63]);
	return version_refused(version, dir, e);
}
