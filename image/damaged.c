/* image/damaged.c - see image/damaged.h */
#include "image/damaged.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD_MAX 1000u /* of one layer */

static const char *const words[] = {[DAMAGED_BLOB] = "blob-", [DAMAGED_LAYER] = "layer-"};

static void mark_path(enum damaged_kind kind, const char *digest, char buf[96])
{
	snprintf(buf, 96, "damaged/%s%.64s", words[kind], digest + 7);
}

int damaged_note(struct image_store *s, enum damaged_kind kind, const char *digest, struct err *e)
{
	char path[96];

	mark_path(kind, digest, path);
	AUTO_FD fd = openat(s->dir_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? err_set(e, errno, "damaged", "%s", path) : 0;
}

void damaged_forget(struct image_store *s, enum damaged_kind kind, const char *digest)
{
	char path[96];

	mark_path(kind, digest, path);
	(void)unlinkat(s->dir_fd, path, 0); /* if it stays, it is brought once more */
}

bool damaged_is(struct image_store *s, enum damaged_kind kind, const char *digest)
{
	char path[96];

	mark_path(kind, digest, path);
	return faccessat(s->dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* In one step, so that the layer is there at any moment; ours has its place in damaged/ before, where nobody sweeps what a container uses. */
int damaged_replace(struct image_store *s, const char *path, const char *chain_id, struct err *e)
{
	char old[112], layer[96];
	unsigned n = 0;

	snprintf(layer, sizeof layer, "layers/%.64s", chain_id + 7);
	do {
		if (n == OLD_MAX)
			return err_set(e, ENOSPC, "damaged", "%s was replaced %u times", layer, n);
		snprintf(old, sizeof old, "damaged/old-%.64s.%u", chain_id + 7, n++);
	} while (faccessat(s->dir_fd, old, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
	if (renameat(s->dir_fd, path, s->dir_fd, old) < 0)
		return err_set(e, errno, "damaged", "%s", old);
	if (renameat2(s->dir_fd, old, s->dir_fd, layer, RENAME_EXCHANGE) < 0 &&
	    (errno != ENOENT || renameat(s->dir_fd, old, s->dir_fd, layer) < 0))
		return err_set(e, errno, "damaged", "%s", layer);
	return 0;
}

static bool is_of_nothing(struct image_store *s, const char *folder, const char *hex)
{
	char path[96];

	snprintf(path, sizeof path, "%s/%.64s", folder, hex);
	return faccessat(s->dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static bool is_to_go(struct image_store *s, const char *name, bool (*used)(void *arg, const char *chain_hex), void *arg)
{
	char hex[65];

	if (str_starts(name, words[DAMAGED_BLOB]))
		return is_of_nothing(s, "blobs/sha256", name + strlen(words[DAMAGED_BLOB]));
	if (str_starts(name, words[DAMAGED_LAYER]))
		return is_of_nothing(s, "layers", name + strlen(words[DAMAGED_LAYER]));
	snprintf(hex, sizeof hex, "%.64s", str_starts(name, "old-") ? name + 4 : "");
	return !used(arg, hex);
}

int damaged_sweep(struct image_store *s, bool (*used)(void *arg, const char *chain_hex), void *arg, struct err *e)
{
	int fd = openat(s->dir_fd, "damaged", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		r = err_set(e, errno, "sweep", "damaged");
		close_fd(&fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !is_to_go(s, entry->d_name, used, arg))
			continue;
		r = dir_remove_all(fd, entry->d_name);
		if (r < 0)
			r = err_set(e, r, "sweep", "damaged/%s", entry->d_name);
	}
	closedir(dir);
	return r;
}
