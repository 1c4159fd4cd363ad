/* tests/unit/test_pack.c - a tree as a tar and back: what image/pack.c writes, image/unpack.c (and whoever else reads pax) must make the
 * same tree of. Needs root: owners, device nodes, trusted xattrs. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "base/own.h"
#include "image/digest.h"
#include "image/pack.h"
#include "image/unpack.h"

#include <endian.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

struct world { /* two folders beside each other, and a tar */
	char dir[64];
	int from, to, tar;
	struct err e;
	unsigned writes;
	void (*on_write)(struct world *w); /* at the first block: what somebody does meanwhile */
	const char *skip;
	char noted[96];
};

static int folder_open(const struct world *w, const char *name)
{
	AUTO_FD dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd;

	assert_int_equal(mkdirat(dir, name, 0755), 0);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	strcpy(w->dir, "/tmp/berth-pack-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->from = folder_open(w, "from");
	w->to = folder_open(w, "to");
	w->tar = memfd_create("tar", MFD_CLOEXEC);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->from);
	close(w->to);
	close(w->tar);
	assert_int_equal(dir_remove_all(AT_FDCWD, w->dir), 0);
	free(w);
	return 0;
}

static struct world *world_of(void **state)
{
	if (geteuid() != 0)
		SKIP("needs root");
	return *state;
}

static int put(void *arg, const void *data, size_t len, struct err *e)
{
	struct world *w = arg;

	if (!w->writes++ && w->on_write)
		w->on_write(w);
	return write(w->tar, data, len) == (ssize_t)len ? 0 : err_set(e, EIO, "test", "write");
}

static bool is_skipped(void *arg, const char *path)
{
	struct world *w = arg;

	return w->skip && !strcmp(path, w->skip);
}

static void note(void *arg, const char *path, const char *what)
{
	struct world *w = arg;

	snprintf(w->noted, sizeof w->noted, "%.20s: %.60s", path, what);
}

static struct pack_how how_of(struct world *w)
{
	return (struct pack_how){.write = put, .skip = is_skipped, .note = note, .arg = w};
}

static int pack(struct world *w, struct pack_how how)
{
	assert_int_equal(ftruncate(w->tar, 0), 0);
	assert_int_equal(lseek(w->tar, 0, SEEK_SET), 0);
	w->writes = 0;
	w->e = (struct err){0};
	return tree_pack(&how, w->from, ".", "", NULL, &w->e);
}

static void tar_digest(struct world *w, char ret[DIGEST_SIZE])
{
	size_t len = (size_t)lseek(w->tar, 0, SEEK_END);
	void *data = mmap(NULL, len, PROT_READ, MAP_SHARED, w->tar, 0);

	assert_true(data != MAP_FAILED);
	digest_of(data, len, ret);
	munmap(data, len);
}

/* As a layer on top of lower. */
static int unpack(struct world *w, const int *lower, unsigned n_lower)
{
	struct source_part part = {.fd = w->tar, .length = (uint64_t)lseek(w->tar, 0, SEEK_END)};
	struct unpack_result result;
	char digest[DIGEST_SIZE];

	tar_digest(w, digest);
	return layer_unpack(&part, digest, w->to, lower, n_lower, &result, &w->e);
}

static void round_trip(struct world *w, struct pack_how how)
{
	if (pack(w, how) < 0 || unpack(w, NULL, 0) < 0)
		fail_msg("%s", w->e.text);
}

static void file_make(int dir, const char *name, const char *text)
{
	assert_int_equal(file_write_atomic(dir, name, text, strlen(text), 0644, false), 0);
}

static struct stat stat_of(int dir, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void text_is(int dir, const char *name, const char *want)
{
	char text[256];

	assert_true(file_read(dir, name, text, sizeof text) >= 0);
	assert_string_equal(text, want);
}

static void xattr_put(int dir, const char *name, const char *attr, const void *value, size_t len)
{
	AUTO_FD fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fsetxattr(fd, attr, value, len, 0) < 0)
		fail_msg("%s of %s: %s", attr, name, strerror(errno));
}

static ssize_t xattr_of(int dir, const char *name, const char *attr, void *value, size_t size)
{
	AUTO_FD fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	return fgetxattr(fd, attr, value, size);
}

/* /tmp may be a tmpfs, which knows no user.* before Linux 6.6. */
static bool takes_user_xattrs(int dir)
{
	return fsetxattr(dir, "user.probe", "1", 1, 0) == 0;
}

/* ---------------------------------------------------------------- a plain tree */

static void owners_modes_and_times_to_the_nanosecond_come_back(void **state)
{
	struct world *w = world_of(state);
	struct timespec times[2] = {{1, 2}, {1234567890, 987654321}};
	struct stat st;

	file_make(w->from, "f", "content");
	assert_int_equal(mkdirat(w->from, "d", 0700), 0);
	assert_int_equal(fchownat(w->from, "f", 4000000000u, 3000000, 0), 0);
	assert_int_equal(fchmodat(w->from, "f", 06755, 0), 0);
	assert_int_equal(utimensat(w->from, "f", times, 0), 0);
	assert_int_equal(utimensat(w->from, "d", times, 0), 0);
	assert_int_equal(fchmod(w->from, 0711), 0);
	round_trip(w, how_of(w));
	text_is(w->to, "f", "content");
	st = stat_of(w->to, "f");
	assert_int_equal(st.st_uid, 4000000000u);
	assert_int_equal(st.st_gid, 3000000);
	assert_int_equal(st.st_mode, S_IFREG | 06755);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 987654321);
	st = stat_of(w->to, "d");
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(st.st_mtim.tv_nsec, 987654321);
	assert_int_equal(stat_of(w->to, ".").st_mode, S_IFDIR | 0711);
}

static void hard_links_stay_one_file(void **state)
{
	struct world *w = world_of(state);

	file_make(w->from, "a", "one");
	assert_int_equal(mkdirat(w->from, "d", 0755), 0);
	assert_int_equal(linkat(w->from, "a", w->from, "d/b", 0), 0);
	assert_int_equal(symlinkat("a", w->from, "s"), 0);
	assert_int_equal(linkat(w->from, "s", w->from, "s2", 0), 0);
	round_trip(w, how_of(w));
	assert_int_equal(stat_of(w->to, "a").st_ino, stat_of(w->to, "d/b").st_ino);
	assert_int_equal(stat_of(w->to, "s").st_ino, stat_of(w->to, "s2").st_ino);
}

static void links_devices_and_pipes_are_packed_as_what_they_are(void **state)
{
	struct world *w = world_of(state);
	char target[64];

	assert_int_equal(symlinkat("/etc/passwd", w->from, "s"), 0);
	assert_int_equal(symlinkat("/etc", w->from, "sd"), 0);
	assert_int_equal(mknodat(w->from, "c", S_IFCHR | 0620, makedev(1, 3)), 0);
	assert_int_equal(mknodat(w->from, "b", S_IFBLK | 0660, makedev(259, 70000)), 0);
	assert_int_equal(mknodat(w->from, "p", S_IFIFO | 0600, 0), 0);
	round_trip(w, how_of(w));
	assert_int_equal(readlinkat(w->to, "s", target, sizeof target), 11);
	assert_true(S_ISLNK(stat_of(w->to, "sd").st_mode));
	assert_int_equal(stat_of(w->to, "c").st_rdev, makedev(1, 3));
	assert_int_equal(stat_of(w->to, "c").st_mode & 07777, 0620);
	assert_int_equal(stat_of(w->to, "b").st_rdev, makedev(259, 70000));
	assert_true(S_ISFIFO(stat_of(w->to, "p").st_mode));
}

static void capabilities_and_xattrs_come_back_and_overlays_own_do_not(void **state)
{
	struct world *w = world_of(state);
	struct vfs_cap_data cap = {.magic_etc = htole32(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE),
				   .data[0].permitted = htole32(1u << 13)};
	struct vfs_cap_data found;
	char value[64];

	file_make(w->from, "f", "x");
	xattr_put(w->from, "f", "security.capability", &cap, sizeof cap);
	xattr_put(w->from, "f", "trusted.overlay.origin", "z", 1);
	if (takes_user_xattrs(w->from))
		xattr_put(w->from, "f", "user.note", "a\0b=c\n", 6);
	round_trip(w, how_of(w));
	assert_int_equal(xattr_of(w->to, "f", "security.capability", &found, sizeof found), sizeof found);
	assert_memory_equal(&found, &cap, sizeof cap);
	assert_int_equal(xattr_of(w->to, "f", "trusted.overlay.origin", value, sizeof value), -1);
	if (takes_user_xattrs(w->from)) {
		assert_int_equal(xattr_of(w->to, "f", "user.note", value, sizeof value), 6);
		assert_memory_equal(value, "a\0b=c\n", 6);
	}
}

static void acls_come_back(void **state)
{
	/* version 2; user::rw-, user:7:rw-, group::r--, mask::rw-, other::--- */
	static const uint8_t acl[] = {2, 0, 0,	  0,	1,    0,    6,	  0, 0xff, 0xff, 0xff, 0xff, 2,	   0,	 6,
				      0, 7, 0,	  0,	0,    4,    0,	  4, 0,	   0xff, 0xff, 0xff, 0xff, 0x10, 0,
				      6, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0, 0,	   0,	 0xff, 0xff, 0xff, 0xff};
	struct world *w = world_of(state);
	char value[64];

	file_make(w->from, "f", "x");
	AUTO_FD fd = openat(w->from, "f", O_RDONLY | O_CLOEXEC);
	if (fsetxattr(fd, "system.posix_acl_access", acl, sizeof acl, 0) < 0 && errno == ENOTSUP)
		SKIP("no ACLs in /tmp");
	round_trip(w, how_of(w));
	assert_int_equal(xattr_of(w->to, "f", "system.posix_acl_access", value, sizeof value), sizeof acl);
	assert_memory_equal(value, acl, sizeof acl);
}

static void holes_stay_holes_and_take_no_room_in_the_tar(void **state)
{
	struct world *w = world_of(state);
	const off_t size = 64ll << 30;
	char text[8] = "";

	AUTO_FD all = openat(w->from, "all", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	AUTO_FD some = openat(w->from, "some", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(all, 1 << 30), 0);
	assert_int_equal(ftruncate(some, size), 0);
	assert_int_equal(pwrite(some, "middle", 6, size / 2), 6);
	assert_int_equal(pwrite(some, "end", 3, size - 3), 3);
	file_make(w->from, "z", "behind them");
	round_trip(w, how_of(w));
	assert_true(lseek(w->tar, 0, SEEK_END) < 64 << 10);
	assert_int_equal(stat_of(w->to, "all").st_size, 1 << 30);
	assert_int_equal(stat_of(w->to, "some").st_size, size);
	assert_true(stat_of(w->to, "some").st_blocks < 1000);
	assert_true(stat_of(w->to, "all").st_blocks < 1000);
	AUTO_FD back = openat(w->to, "some", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(back, text, 6, size / 2), 6);
	assert_string_equal(text, "middle");
	memset(text, 0, sizeof text);
	assert_int_equal(pread(back, text, 6, size - 3), 3);
	assert_string_equal(text, "end");
	text_is(w->to, "z", "behind them");
}

static void more_pieces_than_a_header_may_list_are_all_there(void **state)
{
	struct world *w = world_of(state);
	const unsigned n = PACK_SEGMENTS_MAX + 100;

	AUTO_FD fd = openat(w->from, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(pwrite(fd, &i, sizeof i, (off_t)i * 8192), sizeof i);
	round_trip(w, how_of(w));
	AUTO_FD back = openat(w->to, "f", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0, found = ~0u; i < n; i++, found = ~0u) {
		assert_int_equal(pread(back, &found, sizeof found, (off_t)i * 8192), sizeof i);
		assert_int_equal(found, i);
	}
	assert_int_equal(stat_of(w->to, "f").st_size, stat_of(w->from, "f").st_size);
}

static void names_are_the_bytes_they_are(void **state)
{
	static const char *const names[] = {"\xff\xfe", "\xc3\xa9t\xc3\xa9", "a b\nc", "-rf", "back\\slash"};
	struct world *w = world_of(state);
	char name[256], path[1024] = ".";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		file_make(w->from, names[i], names[i]);
	memset(name, 'n', 200);
	name[200] = 0;
	for (int i = 0; i < 3; i++) {
		snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", name);
		assert_int_equal(mkdirat(w->from, path, 0755), 0);
	}
	strcat(path, "/leaf");
	file_make(w->from, path, "deep");
	round_trip(w, how_of(w));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		text_is(w->to, names[i], names[i]);
	text_is(w->to, path, "deep");
}

static void the_same_tree_is_the_same_bytes(void **state)
{
	static const char *const names[] = {"b", "a", "c/1", "c/0"};
	struct world *w = world_of(state);
	struct timespec times[2] = {{5, 6}, {5, 6}};
	char first[DIGEST_SIZE], second[DIGEST_SIZE];

	for (int run = 0; run < 2; run++) {
		assert_int_equal(mkdirat(w->from, "c", 0755), 0);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			file_make(w->from, names[run ? i : ARRAY_SIZE(names) - 1 - i], "x");
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			utimensat(w->from, names[i], times, 0);
		utimensat(w->from, "c", times, 0);
		futimens(w->from, times);
		assert_int_equal(pack(w, how_of(w)), 0);
		tar_digest(w, run ? second : first);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			unlinkat(w->from, names[i], 0);
		unlinkat(w->from, "c", AT_REMOVEDIR);
	}
	assert_string_equal(first, second);
}

static void sockets_are_left_out_and_told(void **state)
{
	struct world *w = world_of(state);
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	AUTO_FD s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof at.sun_path, "%s/from/sock", w->dir);
	assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof at), 0);
	file_make(w->from, "z", "behind it");
	round_trip(w, how_of(w));
	assert_string_equal(w->noted, "sock: a socket");
	assert_int_equal(faccessat(w->to, "sock", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	text_is(w->to, "z", "behind it");
}

static void what_is_skipped_is_not_there_nor_what_lies_below(void **state)
{
	struct world *w = world_of(state);

	assert_int_equal(mkdirat(w->from, "d", 0755), 0);
	assert_int_equal(mkdirat(w->from, "d/e", 0755), 0);
	file_make(w->from, "d/e/f", "x");
	w->skip = "d/e";
	round_trip(w, how_of(w));
	assert_true(S_ISDIR(stat_of(w->to, "d").st_mode));
	assert_int_equal(faccessat(w->to, "d/e", F_OK, 0), -1);
}

static void one_file_is_packed_under_the_name_that_is_wanted(void **state)
{
	struct world *w = world_of(state);
	struct pack_how how = how_of(w);
	struct pack_result result;

	file_make(w->from, "f", "x");
	assert_int_equal(tree_pack(&how, w->from, "f", "other", &result, &w->e), 0);
	assert_int_equal(result.entries, 1);
	assert_int_equal(result.bytes, 1);
	assert_int_equal(unpack(w, NULL, 0), 0);
	text_is(w->to, "other", "x");
	assert_true(tree_pack(&how, w->from, "none", "none", NULL, &w->e) < 0);
	assert_int_equal(w->e.code, ENOENT);
}

/* ---------------------------------------------------------------- a tree that somebody changes, or that is meant to harm */

#define LARGE (4u << 20)

static void truncate_it(struct world *w)
{
	AUTO_FD fd = openat(w->from, "f", O_RDWR | O_CLOEXEC);

	assert_int_equal(ftruncate(fd, 1 << 20), 0);
}

static void extend_it(struct world *w)
{
	AUTO_FD fd = openat(w->from, "f", O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "more", 4, 2 * LARGE), 4);
}

static void a_file_that_changes_its_size_is_cut_or_padded(void **state)
{
	struct world *w = world_of(state);
	char *data = malloc(LARGE);

	memset(data, 'x', LARGE);
	for (int run = 0; run < 2; run++) {
		assert_int_equal(file_write_atomic(w->from, "f", data, LARGE, 0644, false), 0);
		file_make(w->from, "g", "behind it");
		w->on_write = run ? extend_it : truncate_it;
		round_trip(w, how_of(w));
		assert_int_equal(stat_of(w->to, "f").st_size, LARGE);
		text_is(w->to, "g", "behind it");
		unlinkat(w->to, "f", 0);
		unlinkat(w->to, "g", 0);
	}
	free(data);
}

static void swap_it(struct world *w)
{
	assert_int_equal(unlinkat(w->from, "g/secret", 0), 0);
	assert_int_equal(unlinkat(w->from, "g", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/etc", w->from, "g"), 0);
	assert_int_equal(unlinkat(w->from, "h", 0), 0);
}

static void a_folder_that_becomes_a_link_leads_nowhere(void **state)
{
	struct world *w = world_of(state);
	char *data = malloc(LARGE);

	memset(data, 'x', LARGE);
	assert_int_equal(file_write_atomic(w->from, "f", data, LARGE, 0644, false), 0);
	free(data);
	assert_int_equal(mkdirat(w->from, "g", 0755), 0);
	file_make(w->from, "g/secret", "x");
	file_make(w->from, "h", "goes away");
	w->on_write = swap_it;
	round_trip(w, how_of(w));
	assert_true(S_ISLNK(stat_of(w->to, "g").st_mode));
}

static void too_deep_a_tree_is_refused(void **state)
{
	struct world *w = world_of(state);
	int fd = dup(w->from);

	for (int i = 0; i < PACK_DEPTH_MAX + 10; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_true(pack(w, how_of(w)) < 0);
	assert_non_null(strstr(w->e.text, "folders within each other"));
}

static int refuse(void *arg, const void *data, size_t len, struct err *e)
{
	return err_set(e, ENOSPC, "disk", "it is full");
}

static void why_it_could_not_be_written_is_told_as_it_was(void **state)
{
	struct world *w = world_of(state);
	struct pack_how how = how_of(w);

	file_make(w->from, "f", "x");
	how.write = refuse;
	assert_int_equal(tree_pack(&how, w->from, ".", "", NULL, &w->e), -ENOSPC);
	assert_string_equal(w->e.text, "it is full");
}

/* ---------------------------------------------------------------- ids */

static void ids_of_a_user_namespace_become_those_inside(void **state)
{
	struct world *w = world_of(state);
	struct pack_how how = how_of(w);
	struct vfs_ns_cap_data cap = {.magic_etc = htole32(VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE),
				      .data[0].permitted = htole32(1u << 13),
				      .rootid = htole32(100000)};
	char value[64];

	how.first_id = 100000;
	how.n_ids = 65536;
	file_make(w->from, "in", "x");
	file_make(w->from, "out", "x");
	assert_int_equal(fchownat(w->from, "in", 100005, 165535, 0), 0);
	assert_int_equal(fchownat(w->from, "out", 99999, 165536, 0), 0);
	xattr_put(w->from, "in", "security.capability", &cap, sizeof cap);
	round_trip(w, how);
	assert_int_equal(stat_of(w->to, "in").st_uid, 5);
	assert_int_equal(stat_of(w->to, "in").st_gid, 65535);
	assert_int_equal(stat_of(w->to, "out").st_uid, 65534);
	assert_int_equal(stat_of(w->to, "out").st_gid, 65534);
	assert_int_equal(xattr_of(w->to, "in", "security.capability", value, sizeof value), XATTR_CAPS_SZ_2);
	assert_int_equal(value[3], 2); /* the revision */
	assert_int_equal(value[0], VFS_CAP_FLAGS_EFFECTIVE);
}

/* ---------------------------------------------------------------- upper layers */

static void whiteouts_and_opaque_folders_of_an_overlay_become_those_of_an_image(void **state)
{
	struct world *w = world_of(state);
	struct pack_how how = how_of(w);
	int lower = folder_open(w, "lower");
	char value;

	file_make(lower, "gone", "x");
	file_make(lower, "stays", "x");
	assert_int_equal(mkdirat(lower, "d", 0755), 0);
	assert_int_equal(mkdirat(lower, "d/sub", 0755), 0);
	file_make(lower, "d/old", "x");
	file_make(lower, "d/sub/gone", "x");
	assert_int_equal(mknodat(w->from, "gone", S_IFCHR, makedev(0, 0)), 0);
	assert_int_equal(mkdirat(w->from, "d", 0755), 0);
	file_make(w->from, "d/new", "x");
	xattr_put(w->from, "d", "trusted.overlay.opaque", "y", 1);
	assert_int_equal(mkdirat(w->from, "e", 0755), 0);
	xattr_put(w->from, "e", "trusted.overlay.opaque", "x", 1); /* says something else, from Linux 6.7 on */
	how.upper = true;
	if (pack(w, how) < 0 || unpack(w, &lower, 1) < 0)
		fail_msg("%s", w->e.text);
	assert_true(S_ISCHR(stat_of(w->to, "gone").st_mode));
	assert_int_equal(stat_of(w->to, "gone").st_rdev, 0);
	assert_int_equal(xattr_of(w->to, "d", "trusted.overlay.opaque", &value, 1), 1);
	assert_int_equal(xattr_of(w->to, "e", "trusted.overlay.opaque", &value, 1), -1);
	text_is(w->to, "d/new", "x");
	assert_int_equal(faccessat(w->to, "stays", F_OK, 0), -1);
	close(lower);
}

static void a_file_called_as_a_whiteout_hides_nothing_elsewhere(void **state)
{
	struct world *w = world_of(state);
	struct pack_how how = how_of(w);
	int lower = folder_open(w, "lower");

	file_make(lower, "victim", "x");
	file_make(w->from, ".wh.victim", "x");
	how.upper = true;
	if (pack(w, how) < 0 || unpack(w, &lower, 1) < 0)
		fail_msg("%s", w->e.text);
	assert_int_equal(faccessat(w->to, "victim", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_string_equal(w->noted, ".wh.victim: a name that would be a whiteout in an image");
	close(lower);
}

static void what_an_overlay_renamed_or_half_copied_is_refused(void **state)
{
	static const char *const marks[] = {"trusted.overlay.redirect", "trusted.overlay.metacopy"};
	struct world *w = world_of(state);
	struct pack_how how = how_of(w);

	how.upper = true;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		assert_int_equal(mkdirat(w->from, "d", 0755), 0);
		xattr_put(w->from, "d", marks[i], "/old", 4);
		assert_int_equal(pack(w, how), -EOPNOTSUPP);
		assert_int_equal(unlinkat(w->from, "d", AT_REMOVEDIR), 0);
	}
	assert_int_equal(pack(w, how), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(owners_modes_and_times_to_the_nanosecond_come_back),
		TEST(hard_links_stay_one_file),
		TEST(links_devices_and_pipes_are_packed_as_what_they_are),
		TEST(capabilities_and_xattrs_come_back_and_overlays_own_do_not),
		TEST(acls_come_back),
		TEST(holes_stay_holes_and_take_no_room_in_the_tar),
		TEST(more_pieces_than_a_header_may_list_are_all_there),
		TEST(names_are_the_bytes_they_are),
		TEST(the_same_tree_is_the_same_bytes),
		TEST(sockets_are_left_out_and_told),
		TEST(what_is_skipped_is_not_there_nor_what_lies_below),
		TEST(one_file_is_packed_under_the_name_that_is_wanted),
		TEST(a_file_that_changes_its_size_is_cut_or_padded),
		TEST(a_folder_that_becomes_a_link_leads_nowhere),
		TEST(too_deep_a_tree_is_refused),
		TEST(why_it_could_not_be_written_is_told_as_it_was),
		TEST(ids_of_a_user_namespace_become_those_inside),
		TEST(whiteouts_and_opaque_folders_of_an_overlay_become_those_of_an_image),
		TEST(a_file_called_as_a_whiteout_hides_nothing_elsewhere),
		TEST(what_an_overlay_renamed_or_half_copied_is_refused),
	};

	umask(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
