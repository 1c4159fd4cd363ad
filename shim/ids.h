/* shim/ids.h - who the program is: names resolved inside the rootfs, then setgroups, setresgid, setresuid.
 *
 * The rules for "name|uid[:group|gid]" are Docker's: a name must be in the passwd file, a number need not; without a group the
 * entry's primary group counts and the supplementary groups are those whose lists in the group file hold the user's name. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

#define IDS_GROUPS_MAX 64
#define IDS_FILE_MAX   (1u << 20) /* of /etc/passwd and /etc/group */

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t groups[IDS_GROUPS_MAX];
	unsigned n_groups;
	char home[256];
};

/* Pure. spec may be NULL or "" (0:0). Texts need no NUL at the end. e: step "user". */
int ids_resolve(const char *spec, const char *passwd, size_t passwd_len, const char *group, size_t group_len,
		struct identity *ret, struct err *e);
int ids_add_group(struct identity *id, gid_t gid, struct err *e);

/* The same from /etc/passwd and /etc/group below "/" (of the rootfs that was entered): bounded, regular files only. */
int ids_resolve_inside(int root_fd, const char *spec, struct identity *ret, struct err *e);
int ids_enter(const struct identity *id, struct err *e);
