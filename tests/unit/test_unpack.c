/* tests/unit/test_unpack.c - one layer's archive into a folder: what it must make, and what it must never touch. Archives are
 * made here by libarchive's writer. Needs root: owners, device nodes, trusted xattrs. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "image/digest.h"
#include "image/merge.h"
#include "image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <isa-l.h>
#include <locale.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <zstd.h>

/* ---------------------------------------------------------------- an archive */

struct entry {
	char type; /* f file, d folder, l symlink, h hard link, c char device, b block device, p fifo; 0 = the end of a list */
	const char *path, *text; /* content or target */
	unsigned mode, uid, gid, major, minor;
	int64_t mtime;
	long nsec;
	const char *xattr, *value;
};

#define ENTRIES_MAX 16

static void entry_write(struct archive *a, const struct entry *in)
{
	struct archive_entry *entry = archive_entry_new();
	size_t len = in->type == 'f' && in->text ? strlen(in->text) : 0;

	archive_entry_set_pathname(entry, in->path);
	archive_entry_set_perm(entry, in->mode ? in->mode : in->type == 'd' ? 0755 : 0644);
	archive_entry_set_uid(entry, in->uid);
	archive_entry_set_gid(entry, in->gid);
	archive_entry_set_mtime(entry, in->mtime, in->nsec);
	archive_entry_set_size(entry, (la_int64_t)len);
	if (in->xattr)
		archive_entry_xattr_add_entry(entry, in->xattr, in->value, strlen(in->value));
	switch (in->type) {
	case 'f':
		archive_entry_set_filetype(entry, AE_IFREG);
		break;
	case 'd':
		archive_entry_set_filetype(entry, AE_IFDIR);
		break;
	case 'l':
		archive_entry_set_filetype(entry, AE_IFLNK);
		archive_entry_set_symlink(entry, in->text);
		break;
	case 'h':
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_hardlink(entry, in->text);
		break;
	case 'p':
		archive_entry_set_filetype(entry, AE_IFIFO);
		break;
	default:
		archive_entry_set_filetype(entry, in->type == 'c' ? AE_IFCHR : AE_IFBLK);
		archive_entry_set_rdevmajor(entry, in->major);
		archive_entry_set_rdevminor(entry, in->minor);
	}
	/* A warning: a name that is no UTF-8, which it then writes as it is. */
	assert_true(archive_write_header(a, entry) >= ARCHIVE_WARN);
	if (len)
		assert_int_equal(archive_write_data(a, in->text, len), len);
	archive_entry_free(entry);
}

/* A memfd with the tar. */
static int tar_make(const struct entry *list)
{
	struct archive *a = archive_write_new();
	int fd = memfd_create("layer", MFD_CLOEXEC);

	assert_true(fd >= 0);
	archive_write_set_format_pax(a);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (; list->type; list++)
		entry_write(a, list);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	return fd;
}

static char *fd_content(int fd, size_t *ret_len)
{
	size_t len = (size_t)lseek(fd, 0, SEEK_END);
	char *data = malloc(len + 1);

	assert_non_null(data);
	assert_int_equal(pread(fd, data, len, 0), len);
	*ret_len = len;
	return data;
}

static void fd_digest(int fd, char ret[DIGEST_SIZE])
{
	size_t len;
	char *data = fd_content(fd, &len);

	digest_of(data, len, ret);
	free(data);
}

static int unpack_fd(int fd, const char *diff_id, int dir_fd, const int *lower, unsigned n_lower, struct err *e)
{
	struct source_part part = {.fd = fd, .length = (uint64_t)lseek(fd, 0, SEEK_END)};
	struct unpack_result result;

	*e = (struct err){0};
	return layer_unpack(&part, diff_id, dir_fd, lower, n_lower, &result, e);
}

/* ---------------------------------------------------------------- a stack of layers in a folder of its own */

struct stack {
	char dir[64];
	int layer[4]; /* topmost first */
	unsigned n;
};

static void stack_init(struct stack *s)
{
	*s = (struct stack){.n = 0};
	strcpy(s->dir, "/tmp/berth-unpack-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	assert_true(chmod(s->dir, 0755) == 0);
}

static void stack_fini(struct stack *s)
{
	for (unsigned i = 0; i < s->n; i++)
		close(s->layer[i]);
	assert_int_equal(dir_remove_all(AT_FDCWD, s->dir), 0);
}

/* One more on top; what unpacking returned. */
static int stack_push(struct stack *s, const struct entry *list, struct err *e)
{
	char path[96], digest[DIGEST_SIZE];
	int fd = tar_make(list), dir, r;

	snprintf(path, sizeof path, "%s/%u", s->dir, s->n);
	assert_int_equal(mkdir(path, 0755), 0);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	fd_digest(fd, digest);
	r = unpack_fd(fd, digest, dir, s->layer, s->n, e);
	close(fd);
	memmove(s->layer + 1, s->layer, s->n++ * sizeof s->layer[0]);
	s->layer[0] = dir;
	return r;
}

/* A check is "KIND path[=text]": f file with content, d folder, l symlink with target, c/b/p special, w whiteout, o opaque folder,
 * - nothing there. */
static bool check(int dir_fd, const char *row)
{
	char path[256], text[256], kind = row[0];
	const char *want = strchr(row, '=');
	struct stat st;
	ssize_t n = 0;

	snprintf(path, sizeof path, "%.*s", want ? (int)(want - row - 2) : 200, row + 2);
	if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return kind == '-' && errno == ENOENT;
	switch (kind) {
	case 'f':
		if (!S_ISREG(st.st_mode))
			return false;
		n = file_read(dir_fd, path, text, sizeof text);
		return n >= 0 && (!want || !strcmp(text, want + 1));
	case 'l':
		n = readlinkat(dir_fd, path, text, sizeof text - 1);
		text[n > 0 ? n : 0] = 0;
		return n > 0 && (!want || !strcmp(text, want + 1));
	case 'd':
		return S_ISDIR(st.st_mode);
	case 'o': {
		AUTO_FD fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		char value;

		return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
	}
	case 'w':
		return S_ISCHR(st.st_mode) && st.st_rdev == 0;
	case 'c':
		return S_ISCHR(st.st_mode) && st.st_rdev;
	case 'b':
		return S_ISBLK(st.st_mode);
	case 'p':
		return S_ISFIFO(st.st_mode);
	default:
		return false;
	}
}

/* The stack as a container would see it, in a child with mounts of its own. 0 = all rows hold, else the number of the first that does not. */
static int merged_check(const struct stack *s, const char *const *rows)
{
	char options[512] = "lowerdir=";
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		AUTO_FD fd = -1;

		for (unsigned i = s->n; i-- > 0;)
			snprintf(options + strlen(options), sizeof options - strlen(options), "%s/%u%s", s->dir, i,
				 i ? ":" : "");
		if (s->n == 1) /* overlayfs wants two */
			snprintf(options + strlen(options), sizeof options - strlen(options), ":%s/empty", s->dir);
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    chdir(s->dir) < 0 || (mkdir("empty", 0755) < 0 && errno != EEXIST) ||
		    (mkdir("merged", 0755) < 0 && errno != EEXIST) ||
		    mount("overlay", "merged", "overlay", 0, options) < 0)
			_exit(100);
		/* Absolute links lead to this root. */
		if (chroot("merged") < 0 || chdir("/") < 0)
			_exit(100);
		fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		for (int i = 0; rows[i]; i++)
			if (!check(fd, rows[i]))
				_exit(i + 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

/* ---------------------------------------------------------------- the table */

static const struct layered {
	const char *name;
	struct entry lower[ENTRIES_MAX], upper[ENTRIES_MAX];
	const char *error;	/* of the upper layer; NULL: it must unpack */
	const char *layer[12];	/* of the upper layer's folder */
	const char *merged[12]; /* of both, as overlayfs shows them */
} layered[] = {
	{"what an entry says is what is made",
	 {},
	 {{'d', "a"},
	  {'f', "a/f", "hello", 04755, 5, 6},
	  {'l', "a/l", "f"},
	  {'h', "a/h", "a/f"},
	  {'c', "null", NULL, 0666, .major = 1, .minor = 3},
	  {'b', "disk", NULL, 0660, .major = 7, .minor = 0},
	  {'p', "fifo"}},
	 NULL,
	 {"d a", "f a/f=hello", "l a/l=f", "f a/h=hello", "c null", "b disk", "p fifo"}},
	{"names that are absolute or start with ./ lie in the layer",
	 {},
	 {{'f', "/etc/x", "1"},
	  {'f', "./etc/y", "2"},
	  {'f', "//etc//z", "3"},
	  {'f', "etc/./q", "4"},
	  {'d', "./"},
	  {'d', "dir/"}},
	 NULL,
	 {"f etc/x=1", "f etc/y=2", "f etc/z=3", "f etc/q=4", "d dir"}},
	{".. at the front is refused", {}, {{'f', "../x", "1"}}, "'..'", {}},
	{".. in the middle is refused", {}, {{'d', "a"}, {'f', "a/../../x", "1"}}, "'..'", {}},
	{".. at the end is refused", {}, {{'d', "a"}, {'d', "a/.."}}, "'..'", {}},
	{".. alone is refused", {}, {{'f', "..", "1"}}, "'..'", {}},
	{".. after a cached parent is refused", {}, {{'d', "a"}, {'f', "a/b", "1"}, {'f', "a/..", "1"}}, "'..'", {}},
	{"a symlink to .. leads no further than the root",
	 {},
	 {{'l', "up", ".."}, {'f', "up/x", "1"}},
	 NULL,
	 {"l up=..", "f x=1"}},
	{"a chain of symlinks out leads no further than the root",
	 {},
	 {{'d', "a"}, {'l', "a/b", "../.."}, {'l', "c", "a/b/.."}, {'f', "c/x", "1"}},
	 NULL,
	 {"f x=1"}},
	{"an absolute symlink leads to the layer's own root",
	 {},
	 {{'l', "e", "/tmp"}, {'f', "e/berth-unpack-escape", "1"}},
	 NULL,
	 {"l e=/tmp", "f tmp/berth-unpack-escape=1"}},
	{"a symlink to /proc/self/root stays text",
	 {},
	 {{'l', "r", "/proc/self/root"}, {'f', "r/x", "1"}},
	 NULL,
	 {"f proc/self/root/x=1"}},
	{"symlinks that go round are refused",
	 {},
	 {{'l', "a", "b"}, {'l', "b", "a"}, {'f', "a/x", "1"}},
	 "entry 'a/x'",
	 {}},
	{"a symlink to itself is refused", {}, {{'l', "a", "a"}, {'f', "a/x", "1"}}, "entry 'a/x'", {}},
	{"a file replaces a symlink instead of writing through it",
	 {},
	 {{'f', "target", "old"}, {'l', "l", "target"}, {'f', "l", "new"}},
	 NULL,
	 {"f target=old", "f l=new"}},
	{"a folder replaces a symlink instead of using it",
	 {},
	 {{'d', "t"}, {'l', "l", "t"}, {'d', "l"}, {'f', "l/x", "1"}},
	 NULL,
	 {"d l", "f l/x=1", "- t/x"}},
	{"a symlink replaces a folder with all in it",
	 {},
	 {{'d', "a/b"}, {'f', "a/b/c", "1"}, {'d', "z"}, {'l', "a", "z"}, {'f', "a/n", "2"}},
	 NULL,
	 {"l a=z", "f z/n=2", "- z/b"}},
	{"a hard link to an absolute name stays in the layer",
	 {},
	 {{'h', "passwd", "/etc/passwd"}},
	 "hard link to",
	 {"- passwd"}},
	{"a hard link to .. is refused", {}, {{'h', "x", "../../../etc/passwd"}}, "'..'", {}},
	{"a hard link through a symlink stays in the layer",
	 {},
	 {{'l', "e", "/etc"}, {'h', "x", "e/passwd"}},
	 "hard link to",
	 {}},
	{"a hard link to a symlink is the symlink",
	 {},
	 {{'l', "s", "/etc/passwd"}, {'h', "x", "s"}, {'f', "x", "mine"}},
	 NULL,
	 {"l s=/etc/passwd", "f x=mine"}},
	{"a hard link to a folder is refused", {}, {{'d', "d"}, {'h', "x", "d"}}, "no file", {}},
	{"a hard link to itself is nothing new",
	 {},
	 {{'f', "a", "1"}, {'h', "a", "a"}, {'h', "b", "a"}, {'h', "b", "a"}},
	 NULL,
	 {"f a=1", "f b=1"}},
	{"a hard link to the place it replaces with a folder in between",
	 {},
	 {{'f', "a", "1"}, {'d', "b"}, {'f', "b/x", "2"}, {'h', "b", "a"}},
	 NULL,
	 {"f b=1"}},
	{"a hard link to a whiteout is refused", {{'f', "a", "1"}}, {{'f', ".wh.a"}, {'h', "b", "a"}}, "no file", {}},
	{"a hard link to a lower layer's file brings it along",
	 {{'d', "d", NULL, 0700}, {'f', "d/a", "low", 0640, 3, 4}},
	 {{'h', "b", "d/a"}},
	 NULL,
	 {"f b=low", "f d/a=low"},
	 {"f b=low", "f d/a=low"}},
	{"a file where a folder must be is refused", {}, {{'f', "a", "1"}, {'f', "a/b", "2"}}, "entry 'a/b'", {}},
	{"a device where a folder must be is refused",
	 {},
	 {{'c', "a", NULL, 0666, .major = 1, .minor = 3}, {'f', "a/b", "2"}},
	 "entry 'a/b'",
	 {}},
	{"a lower file where a folder must be is refused", {{'f', "a", "1"}}, {{'f', "a/b", "2"}}, "entry 'a/b'", {}},
	{"of entries with one name the last counts",
	 {},
	 {{'f', "a", "1"},
	  {'f', "a", "2"},
	  {'d', "a"},
	  {'f', "a/x", "3"},
	  {'f', "a", "4"},
	  {'p', "a"},
	  {'f', "a", "5"}},
	 NULL,
	 {"f a=5"}},
	{"two folders of one name are one",
	 {},
	 {{'d', "a", NULL, 0700}, {'f', "a/x", "1"}, {'d', "a", NULL, 0711}, {'f', "a/y", "2"}},
	 NULL,
	 {"f a/x=1", "f a/y=2"}},
	{"the root is no file", {}, {{'f', ".", "1"}}, "root", {}},
	{"a whiteout hides what is below",
	 {{'d', "a"}, {'f', "a/x", "1"}, {'f', "a/y", "2"}, {'d', "a/z"}, {'f', "a/z/q", "3"}},
	 {{'f', "a/.wh.x"}, {'f', "a/.wh.z"}},
	 NULL,
	 {"w a/x", "w a/z", "d a"},
	 {"- a/x", "f a/y=2", "- a/z"}},
	{"a whiteout of nothing leaves nothing",
	 {{'d', "a"}},
	 {{'f', "a/.wh.x"}, {'f', ".wh.q"}},
	 NULL,
	 {"- a/x", "- q"},
	 {"d a"}},
	{"a whiteout spares the file of its own layer, before",
	 {{'f', "x", "old"}},
	 {{'f', "x", "new"}, {'f', ".wh.x"}},
	 NULL,
	 {"f x=new"},
	 {"f x=new"}},
	{"a whiteout spares the file of its own layer, after",
	 {{'f', "x", "old"}},
	 {{'f', ".wh.x"}, {'f', "x", "new"}},
	 NULL,
	 {"f x=new"},
	 {"f x=new"}},
	{"a whiteout and a folder of its own layer: only the old content goes, folder first",
	 {{'d', "d"}, {'f', "d/old", "1"}, {'d', "d/sub"}, {'f', "d/sub/old", "1"}},
	 {{'d', "d"}, {'f', "d/new", "2"}, {'f', "d/sub/new", "3"}, {'f', ".wh.d"}},
	 NULL,
	 {"o d", "f d/new=2"},
	 {"- d/old", "f d/new=2", "f d/sub/new=3", "- d/sub/old"}},
	{"a whiteout and a folder of its own layer: only the old content goes, whiteout first",
	 {{'d', "d"}, {'f', "d/old", "1"}},
	 {{'f', ".wh.d"}, {'d', "d"}, {'f', "d/new", "2"}},
	 NULL,
	 {"o d", "f d/new=2"},
	 {"- d/old", "f d/new=2"}},
	{"something below a whiteout without an entry for the folder",
	 {{'d', "d"}, {'f', "d/old", "1"}},
	 {{'f', ".wh.d"}, {'f', "d/e/new", "2"}},
	 NULL,
	 {"o d", "f d/e/new=2"},
	 {"- d/old", "f d/e/new=2"}},
	{"an opaque folder hides all that is below it",
	 {{'d', "d/s"}, {'f', "d/old", "1"}, {'f', "d/s/old", "2"}},
	 {{'d', "d"}, {'f', "d/.wh..wh..opq"}, {'f', "d/s/new", "3"}},
	 NULL,
	 {"o d", "f d/s/new=3"},
	 {"- d/old", "- d/s/old", "f d/s/new=3"}},
	{"an opaque mark after the folder's files, with whiteouts among them",
	 {{'d', "d/s"}, {'f', "d/a", "1"}, {'f', "d/s/b", "2"}},
	 {{'f', "d/new", "3"}, {'f', "d/.wh.a"}, {'f', "d/s/.wh.b"}, {'f', "d/.wh..wh..opq"}},
	 NULL,
	 {"o d", "- d/a", "- d/s/b", "f d/new=3", "d d/s"},
	 {"f d/new=3", "- d/a", "d d/s", "- d/s/b"}},
	{"an opaque root: overlayfs knows none, so each name is hidden",
	 {{'f', "a", "1"}, {'d', "b"}, {'f', "b/x", "1"}, {'d', "d"}, {'f', "d/x", "1"}},
	 {{'f', "d/new", "4"}, {'f', ".wh..wh..opq"}, {'f', "c", "2"}, {'f', "b/n", "3"}},
	 NULL,
	 {"w a", "o b", "o d"},
	 {"- a", "- b/x", "f b/n=3", "f c=2", "- d/x", "f d/new=4"}},
	{"an opaque mark where nothing is below needs none",
	 {},
	 {{'d', "d"}, {'f', "d/.wh..wh..opq"}},
	 NULL,
	 {"d d", "- d/.wh..wh..opq"}},
	{"overlayfs' own whiteout is one",
	 {{'f', "x", "1"}},
	 {{'c', "x", NULL, 0}, {'c', "y", NULL, 0}},
	 NULL,
	 {"w x", "- y"},
	 {"- x"}},
	{"a whiteout of . is refused", {}, {{'f', ".wh.."}}, "whiteout of nothing", {}},
	{"a whiteout of .. is refused", {}, {{'f', ".wh..."}}, "whiteout of nothing", {}},
	{"a whiteout without a name is refused", {}, {{'f', ".wh."}}, "whiteout of nothing", {}},
	{"a whiteout through .. is refused", {}, {{'f', "a/../.wh.x"}}, "'..'", {}},
	{"a folder that is called as a whiteout is refused", {}, {{'f', ".wh.x/y", "1"}}, "whiteout", {}},
	{"what aufs keeps for itself is left out",
	 {},
	 {{'d', ".wh..wh.plnk"}, {'f', ".wh..wh.aufs"}, {'f', "a", "1"}},
	 NULL,
	 {"- .wh..wh.plnk", "- .wh..wh.aufs", "f a=1"}},
	{"merged /usr: an entry goes through the lower layer's symlink",
	 {{'d', "usr/bin"}, {'f', "usr/bin/ls", "ls"}, {'l', "bin", "usr/bin"}},
	 {{'f', "bin/sh", "sh"}},
	 NULL,
	 {"f usr/bin/sh=sh", "- bin"},
	 {"l bin=usr/bin", "f bin/sh=sh", "f bin/ls=ls"}},
	{"merged /usr: through an absolute symlink and one in the middle",
	 {{'d', "usr/lib"}, {'l', "lib", "/usr/lib"}, {'l', "usr/lib64", "lib"}},
	 {{'f', "lib/a", "1"}, {'f', "usr/lib64/b", "2"}, {'h', "usr/lib64/c", "lib/a"}, {'f', "lib/.wh.q"}},
	 NULL,
	 {"f usr/lib/a=1", "f usr/lib/b=2", "f usr/lib/c=1", "- lib", "- usr/lib64"},
	 {"f lib/a=1", "f usr/lib64/c=1"}},
	{"a whiteout goes through the lower layer's symlink",
	 {{'d', "usr/bin"}, {'f', "usr/bin/ls", "ls"}, {'l', "bin", "usr/bin"}},
	 {{'f', "bin/.wh.ls"}},
	 NULL,
	 {"w usr/bin/ls", "- bin"},
	 {"- bin/ls", "l bin=usr/bin"}},
	{"a folder entry replaces the lower layer's symlink",
	 {{'d', "usr/bin"}, {'f', "usr/bin/ls", "ls"}, {'l', "bin", "usr/bin"}},
	 {{'d', "bin"}, {'f', "bin/sh", "sh"}},
	 NULL,
	 {"f bin/sh=sh", "- usr"},
	 {"d bin", "- bin/ls", "f usr/bin/ls=ls"}},
	{"a folder that only the lower layer has keeps its attributes",
	 {{'d', "d", NULL, 01777, 7, 8, .mtime = 1000, .nsec = 5}, {'f', "d/x", "1"}},
	 {{'f', "d/y", "2"}},
	 NULL,
	 {"f d/y=2", "- d/x"},
	 {"f d/x=1", "f d/y=2"}},
	{"a file where the lower layer has a folder hides it",
	 {{'d', "d"}, {'f', "d/x", "1"}},
	 {{'f', "d", "file"}},
	 NULL,
	 {"f d=file"},
	 {"f d=file"}},
	{"a file, then a folder, where the lower layer has a folder: the old one is gone",
	 {{'d', "d"}, {'f', "d/x", "1"}},
	 {{'f', "d", "file"}, {'d', "d"}, {'f', "d/y", "2"}},
	 NULL,
	 {"o d", "f d/y=2"},
	 {"- d/x", "f d/y=2"}},
	{"a path through a folder that a file hides is refused",
	 {{'d', "d/e"}, {'f', "d/e/x", "1"}},
	 {{'d', "d/e"}, {'f', "d", "file"}, {'f', "d/e/y", "2"}},
	 "entry 'd/e/y'",
	 {}},
	{"overlayfs' own xattrs are refused",
	 {},
	 {{'d', "d", .xattr = "trusted.overlay.redirect", .value = "/etc"}},
	 "may not be in an image",
	 {}},
};

static void test_layers_are_unpacked_as_overlayfs_will_show_them(void **state)
{
	(void)state;
	if (geteuid())
		SKIP("needs root");
	for (size_t i = 0; i < ARRAY_SIZE(layered); i++) {
		const struct layered *row = &layered[i];
		struct stack s;
		struct err e;
		int r;

		stack_init(&s);
		if (row->lower[0].type)
			assert_int_equal(stack_push(&s, row->lower, &e), 0);
		r = stack_push(&s, row->upper, &e);
		if (row->error ? r >= 0 || !strstr(e.text, row->error) : r < 0)
			fail_msg("%s: %d %s", row->name, r, e.text);
		for (size_t k = 0; k < ARRAY_SIZE(row->layer) && row->layer[k]; k++)
			if (!check(s.layer[0], row->layer[k]))
				fail_msg("%s: not in the layer: %s", row->name, row->layer[k]);
		if (!row->error && row->merged[0]) {
			r = merged_check(&s, row->merged);
			if (r)
				fail_msg("%s: not as overlayfs shows it: %s", row->name,
					 r < 100 ? row->merged[r - 1] : "no mount");
		}
		stack_fini(&s);
		assert_int_equal(access("/tmp/berth-unpack-escape", F_OK), -1);
	}
}

/* ---------------------------------------------------------------- attributes */

static void test_attributes_are_kept(void **state)
{
	static const struct entry list[] = {
		{'d', "d", NULL, 02750, 11, 12, .mtime = 1234567890, .nsec = 123456789, .xattr = "user.k",
		 .value = "dir"},
		{'f', "d/f", "x", 06755, 1000, 70000, .mtime = -5, .nsec = 1, .xattr = "user.k", .value = "file"},
		{'l', "d/l", "f", 0777, 5, 6, .mtime = 77, .nsec = 7},
		{'p', "d/p", NULL, 0622, 5, 6, .mtime = 88},
		{'d', ".", NULL, 0711, 1, 2, .mtime = 99},
		{0},
	};
	struct stack s;
	struct stat st;
	struct err e;
	char value[8];

	(void)state;
	if (geteuid())
		SKIP("needs root");
	stack_init(&s);
	if (stack_push(&s, list, &e) < 0) {
		stack_fini(&s);
		if (e.code == ENOTSUP)
			SKIP("no user xattrs on /tmp");
		fail_msg("%s", e.text);
	}
	assert_int_equal(fstatat(s.layer[0], "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 02750);
	assert_int_equal(st.st_uid, 11);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	assert_int_equal(fstatat(s.layer[0], "d/f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 06755);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_gid, 70000);
	assert_true(st.st_mtim.tv_sec == -5 || st.st_mtim.tv_sec == -4);
	assert_int_equal(fstatat(s.layer[0], "d/l", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_uid, 5);
	assert_int_equal(st.st_mtim.tv_nsec, 7);
	assert_int_equal(fstatat(s.layer[0], "d/p", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0622);
	assert_int_equal(st.st_mtim.tv_sec, 88);
	assert_int_equal(fstat(s.layer[0], &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(st.st_mtim.tv_sec, 99);
	assert_int_equal(getxattr("/proc/self/fd/0", "user.none", value, 1), -1);
	{
		AUTO_FD fd = openat(s.layer[0], "d/f", O_RDONLY | O_CLOEXEC);
		AUTO_FD dir = openat(s.layer[0], "d", O_RDONLY | O_CLOEXEC);

		assert_int_equal(fgetxattr(fd, "user.k", value, sizeof value), 4);
		assert_memory_equal(value, "file", 4);
		assert_int_equal(fgetxattr(dir, "user.k", value, sizeof value), 3);
	}
	stack_fini(&s);
}

static void test_file_capabilities_survive_the_owner(void **state)
{
	/* VFS_CAP_REVISION_2, CAP_NET_RAW, effective. */
	static const unsigned char caps[20] = {1, 0, 0, 2, 0, 0x20};
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	int fd = memfd_create("layer", MFD_CLOEXEC), r;
	unsigned char found[32];
	char digest[DIGEST_SIZE], path[96];
	struct stack s;
	struct err e;

	(void)state;
	archive_write_set_format_pax_restricted(a);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	archive_entry_set_pathname(entry, "ping");
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0755);
	archive_entry_set_uid(entry, 9);
	archive_entry_set_size(entry, 0);
	archive_entry_xattr_add_entry(entry, "security.capability", caps, sizeof caps);
	archive_entry_xattr_add_entry(entry, "security.selinux", "label", 5);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	archive_write_close(a);
	archive_write_free(a);
	archive_entry_free(entry);
	if (geteuid()) {
		close(fd);
		SKIP("needs root");
	}
	stack_init(&s);
	snprintf(path, sizeof path, "%s/0", s.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	s.layer[s.n++] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd_digest(fd, digest);
	r = unpack_fd(fd, digest, s.layer[0], NULL, 0, &e);
	close(fd);
	assert_int_equal(r, 0);
	snprintf(path, sizeof path, "%s/0/ping", s.dir);
	assert_int_equal(getxattr(path, "security.capability", found, sizeof found), sizeof caps);
	assert_memory_equal(found, caps, sizeof caps);
	assert_int_equal(getxattr(path, "security.selinux", found, sizeof found), -1);
	stack_fini(&s);
}

static void test_a_copied_up_folder_has_the_lower_ones_attributes(void **state)
{
	static const struct entry lower[] = {{'d', "d", NULL, 01777, 7, 8, .mtime = 1000, .nsec = 5}, {0}};
	static const struct entry upper[] = {{'f', "d/y", "2"}, {0}};
	struct stack s;
	struct stat st;
	struct err e;

	(void)state;
	if (geteuid())
		SKIP("needs root");
	stack_init(&s);
	assert_int_equal(stack_push(&s, lower, &e), 0);
	assert_int_equal(stack_push(&s, upper, &e), 0);
	assert_int_equal(fstatat(s.layer[0], "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(st.st_uid, 7);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(st.st_mtim.tv_nsec, 5);
	stack_fini(&s);
}

static void test_holes_stay_holes(void **state)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	int fd = memfd_create("layer", MFD_CLOEXEC);
	char digest[DIGEST_SIZE], block[4096], path[96];
	struct stack s;
	struct stat st;
	struct err e;

	(void)state;
	memset(block, 'x', sizeof block);
	archive_write_set_format_pax(a);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	archive_entry_set_pathname(entry, "sparse");
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, 1ll << 40);
	archive_entry_sparse_add_entry(entry, 1 << 30, sizeof block);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	/* The writer takes the whole file's bytes in order; with only one extent it skips to it by itself. */
	archive_write_free(a);
	archive_entry_free(entry);
	close(fd);

	/* GNU tar writes what libarchive's writer would need a terabyte of zeros for. */
	stack_init(&s);
	snprintf(path, sizeof path, "%s/sparse", s.dir);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	assert_int_equal(pwrite(fd, block, sizeof block, 1 << 30), sizeof block);
	assert_int_equal(ftruncate(fd, 1ll << 36), 0);
	close(fd);
	snprintf(path, sizeof path, "tar -C %s --sparse -cf %s/t.tar sparse 2>/dev/null && rm %s/sparse", s.dir, s.dir,
		 s.dir);
	if (geteuid() || system(path) != 0) {
		stack_fini(&s);
		SKIP("needs root, and a tar that knows holes");
	}
	snprintf(path, sizeof path, "%s/t.tar", s.dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	fd_digest(fd, digest);
	snprintf(path, sizeof path, "%s/0", s.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	s.layer[s.n++] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (unpack_fd(fd, digest, s.layer[0], NULL, 0, &e) < 0)
		fail_msg("%s", e.text);
	close(fd);
	assert_int_equal(fstatat(s.layer[0], "sparse", &st, 0), 0);
	assert_true(st.st_size == 1ll << 36);
	assert_true(st.st_blocks * 512 < 1 << 20);
	stack_fini(&s);
}

/* ---------------------------------------------------------------- streams and limits */

static void test_names_of_any_bytes_are_kept(void **state)
{
	static const struct entry list[] = {{'d', "caf\xc3\xa9"},    {'f', "caf\xc3\xa9/\xe6\x97\xa5\xe6\x9c\xac", "1"},
					    {'f', "latin\xe9", "2"}, {'l', "link", "caf\xc3\xa9"},
					    {'f', "new\nline", "3"}, {0}};
	struct stack s;
	struct err e;

	(void)state;
	if (geteuid())
		SKIP("needs root");
	stack_init(&s);
	if (stack_push(&s, list, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(check(s.layer[0], "f caf\xc3\xa9/\xe6\x97\xa5\xe6\x9c\xac=1"));
	assert_true(check(s.layer[0], "f latin\xe9=2"));
	assert_true(check(s.layer[0], "l link=caf\xc3\xa9"));
	assert_true(check(s.layer[0], "f new\nline=3"));
	stack_fini(&s);
}

static int fd_of(const void *data, size_t len)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	assert_int_equal(write(fd, data, len), len);
	return fd;
}

static size_t gzip_make(const char *data, size_t len, unsigned char *out, size_t size)
{
	struct isal_zstream z;

	isal_deflate_init(&z);
	z.gzip_flag = IGZIP_GZIP;
	z.end_of_stream = 1;
	z.next_in = (unsigned char *)(uintptr_t)data;
	z.avail_in = (uint32_t)len;
	z.next_out = out;
	z.avail_out = (uint32_t)size;
	assert_int_equal(isal_deflate(&z), COMP_OK);
	return size - z.avail_out;
}

/* r of unpacking these bytes with the diff id of the plain ones. */
static int bytes_unpack(const void *data, size_t len, const char *diff_id, struct err *e)
{
	struct stack s;
	char path[96];
	int fd = fd_of(data, len), r;

	stack_init(&s);
	snprintf(path, sizeof path, "%s/0", s.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	s.layer[s.n++] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = unpack_fd(fd, diff_id, s.layer[0], NULL, 0, e);
	close(fd);
	stack_fini(&s);
	return r;
}

static void test_compressed_layers_and_their_damage(void **state)
{
	static const struct entry list[] = {{'f', "a", "some text that is in the layer"}, {'d', "b"}, {0}};
	int fd = tar_make(list);
	unsigned char *gz, *zst, *two;
	size_t len, n_gz, n_zst, half;
	char *plain = fd_content(fd, &len), digest[DIGEST_SIZE];
	struct err e;

	(void)state;
	close(fd);
	if (geteuid()) {
		free(plain);
		SKIP("needs root");
	}
	digest_of(plain, len, digest);
	gz = calloc(1, 2 * len + 4096);
	zst = calloc(1, 2 * len + 4096);
	two = calloc(1, 4 * len + 8192);
	assert_true(gz && zst && two);
	n_gz = gzip_make(plain, len, gz, 2 * len);
	n_zst = ZSTD_compress(zst, 2 * len, plain, len, 3);

	assert_int_equal(bytes_unpack(plain, len, digest, &e), 0);
	assert_int_equal(bytes_unpack(gz, n_gz, digest, &e), 0);
	assert_int_equal(bytes_unpack(zst, n_zst, digest, &e), 0);
	/* Two members, as pigz and estargz write them; zeros after the end. */
	half = gzip_make(plain, len / 2, two, 2 * len);
	half += gzip_make(plain + len / 2, len - len / 2, two + half, 2 * len);
	assert_int_equal(bytes_unpack(two, half, digest, &e), 0);
	assert_int_equal(bytes_unpack(two, half + 512, digest, &e), 0);
	two[half] = 'x';
	assert_true(bytes_unpack(two, half + 1, digest, &e) < 0);

	/* Cut at any place, a layer is never taken for whole. */
	for (size_t cut = 1; cut < n_gz; cut += 7)
		assert_row(bytes_unpack(gz, cut, digest, &e) < 0, cut);
	for (size_t cut = 1; cut < n_zst; cut += 7)
		assert_row(bytes_unpack(zst, cut, digest, &e) < 0, cut);
	for (size_t cut = 1; cut < len; cut += 257)
		assert_row(bytes_unpack(plain, cut, digest, &e) < 0, cut);
	/* Nor is one with a bit turned. */
	for (size_t at = 0; at < n_gz; at += 11) {
		gz[at] ^= 1;
		/* Byte 9 of the header names the system that wrote it, 4 to 7 the time: they change nothing. */
		if (at < 4 || at > 9)
			assert_row(bytes_unpack(gz, n_gz, digest, &e) < 0, at);
		gz[at] ^= 1;
	}
	assert_true(bytes_unpack(plain, len, "sha256:0000000000000000000000000000000000000000000000000000000000000000",
				 &e) < 0);
	assert_non_null(strstr(e.text, "its content is"));
	assert_true(bytes_unpack("\xfd"
				 "7zXZ\0 rest",
				 11, digest, &e) < 0);
	assert_non_null(strstr(e.text, "xz"));
	assert_true(bytes_unpack("BZh91AY&SY", 10, digest, &e) < 0);
	assert_true(bytes_unpack("no archive at all, but long enough to be looked at", 50, digest, &e) < 0);
	free(plain);
	free(gz);
	free(zst);
	free(two);
}

static void test_a_layer_of_no_bytes_is_empty(void **state)
{
	char digest[DIGEST_SIZE], zeros[1024] = {0};
	struct err e;

	(void)state;
	if (geteuid())
		SKIP("needs root");
	digest_of("", 0, digest);
	if (bytes_unpack("", 0, digest, &e) < 0)
		fail_msg("%s", e.text);
	digest_of(zeros, sizeof zeros, digest);
	if (bytes_unpack(zeros, sizeof zeros, digest, &e) < 0)
		fail_msg("%s", e.text);
}

static void test_deep_paths_are_refused(void **state)
{
	char deep[2 * (MERGE_DEPTH_MAX + 2) + 1] = "", long_name[400], long_path[6000];
	struct entry list[] = {{'f', deep, "1"}, {0}};
	struct stack s;
	struct err e;

	(void)state;
	if (geteuid())
		SKIP("needs root");
	stack_init(&s);
	for (int i = 0; i < MERGE_DEPTH_MAX; i++)
		strcat(deep, i ? "/d" : "d");
	if (stack_push(&s, list, &e) < 0)
		fail_msg("%s", e.text);
	strcat(deep, "/d");
	assert_true(stack_push(&s, list, &e) < 0);
	assert_non_null(strstr(e.text, "nested deeper"));
	stack_fini(&s);

	stack_init(&s);
	memset(long_name, 'n', sizeof long_name);
	long_name[256] = 0;
	list[0].path = long_name;
	assert_true(stack_push(&s, list, &e) < 0);
	assert_int_equal(e.code, ENAMETOOLONG);
	memset(long_path, 'p', sizeof long_path);
	for (size_t i = 100; i < sizeof long_path; i += 100)
		long_path[i] = '/';
	long_path[5950] = 0;
	list[0].path = long_path;
	assert_true(stack_push(&s, list, &e) < 0);
	assert_int_equal(e.code, ENAMETOOLONG);
	stack_fini(&s);
}

/* A file system that is smaller than the layer: a clear refusal, before the disk is full. */
/* A layer of n files of that many bytes each, all of them `byte`. */
static int bulk_make(unsigned n, size_t size, int byte)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	int fd = memfd_create("layer", MFD_CLOEXEC);
	char *data = malloc(size + 1), name[16];

	memset(data, byte, size + 1);
	archive_write_set_format_pax_restricted(a);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof name, "f%u", i);
		archive_entry_clear(entry);
		archive_entry_set_pathname(entry, name);
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_size(entry, (la_int64_t)size);
		assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
		assert_int_equal(archive_write_data(a, data, size), size);
	}
	archive_write_close(a);
	archive_write_free(a);
	archive_entry_free(entry);
	free(data);
	return fd;
}

/* The layer in fd, which is closed, onto a file system of its own; what unpacking said, "" if it succeeded. */
static void small_disk_unpack(int fd, const char *options, char text[512])
{
	char digest[DIGEST_SIZE], dir[] = "/tmp/berth-bomb-XXXXXX";
	int status, pipe_fd[2];
	ssize_t n;
	pid_t pid;

	fd_digest(fd, digest);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		struct err e;
		int folder;

		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("tmpfs", dir, "tmpfs", 0, options) < 0)
			_exit(77);
		folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (unpack_fd(fd, digest, folder, NULL, 0, &e) < 0 && write(pipe_fd[1], e.text, strlen(e.text)) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipe_fd[1]);
	n = read(pipe_fd[0], text, 511);
	text[n > 0 ? n : 0] = 0;
	close(pipe_fd[0]);
	close(fd);
	rmdir(dir);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		SKIP("no mount namespace here");
	assert_int_equal(status, 0);
}

static void test_a_bomb_stops_before_the_disk_is_full(void **state)
{
	char text[512];

	(void)state;
	if (geteuid())
		SKIP("needs root");
	small_disk_unpack(bulk_make(12, 2 << 20, 'x'), "size=16m", text);
	assert_non_null(strstr(text, "needed"));
	/* Zeros take no room. */
	small_disk_unpack(bulk_make(12, 2 << 20, 0), "size=16m", text);
	assert_string_equal(text, "");
}

static void test_the_last_inodes_are_not_for_images(void **state)
{
	char text[512];

	(void)state;
	if (geteuid())
		SKIP("needs root");
	small_disk_unpack(bulk_make(1900, 0, 0), "nr_inodes=2000", text);
	assert_non_null(strstr(text, "no more inodes"));
	small_disk_unpack(bulk_make(1800, 0, 0), "nr_inodes=2000", text);
	assert_string_equal(text, "");
}

/* A layer that names folders by long paths must not have the memory that it asks for. */
static void test_the_table_of_folders_is_bounded(void **state)
{
	char name[256];
	struct merge m;
	struct merge_dir *dir, *at;
	struct err e = {0};
	int r = 0;

	(void)state;
	assert_int_equal(merge_init(&m, -1, NULL, 0, &e), 0);
	at = m.slot[0];
	for (unsigned i = 0; !at; i++)
		at = m.slot[i];
	memset(name, 'a', sizeof name);
	name[250] = 0;
	for (int i = 0; i < 15; i++, at = dir)
		assert_int_equal(merge_made(&m, at, name, false, &dir, &e), 0);
	for (unsigned i = 0; r == 0; i++) {
		assert_true(i < 100000);
		snprintf(name, sizeof name, "%0250u", i);
		r = merge_made(&m, at, name, false, &dir, &e);
	}
	assert_int_equal(r, -E2BIG);
	merge_fini(&m);
}

static void test_nothing_stays_open(void **state)
{
	static const struct entry lower[] = {{'d', "usr/bin"}, {'l', "bin", "usr/bin"}, {'f', "usr/bin/x", "1"}, {0}};
	static const struct entry upper[] = {
		{'f', "bin/sh", "1"}, {'h', "y", "bin/x"}, {'f', "usr/.wh..wh..opq"}, {'f', "../x", "1"}, {0}};
	int before = open_fds();
	struct stack s;
	struct err e;

	(void)state;
	if (geteuid())
		SKIP("needs root");
	stack_init(&s);
	assert_int_equal(stack_push(&s, lower, &e), 0);
	assert_true(stack_push(&s, upper, &e) < 0);
	stack_fini(&s);
	assert_int_equal(open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layers_are_unpacked_as_overlayfs_will_show_them),
		cmocka_unit_test(test_attributes_are_kept),
		cmocka_unit_test(test_file_capabilities_survive_the_owner),
		cmocka_unit_test(test_a_copied_up_folder_has_the_lower_ones_attributes),
		cmocka_unit_test(test_holes_stay_holes),
		cmocka_unit_test(test_names_of_any_bytes_are_kept),
		cmocka_unit_test(test_compressed_layers_and_their_damage),
		cmocka_unit_test(test_a_layer_of_no_bytes_is_empty),
		cmocka_unit_test(test_deep_paths_are_refused),
		cmocka_unit_test(test_a_bomb_stops_before_the_disk_is_full),
		cmocka_unit_test(test_the_last_inodes_are_not_for_images),
		cmocka_unit_test(test_the_table_of_folders_is_bounded),
		cmocka_unit_test(test_nothing_stays_open),
	};

	umask(022);
	setlocale(LC_CTYPE, "C.UTF-8"); /* for the writer; the reader must not need it */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
