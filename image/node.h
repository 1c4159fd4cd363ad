/* image/node.h - attributes of files in a layer that archives and other layers give them: which xattrs may be taken over, how
 * overlayfs marks what is gone. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

int node_set_opaque(int dir_fd); /* negative errno: trusted.* needs CAP_SYS_ADMIN in the first user namespace */
int node_whiteout(int dir_fd, const char *name); /* negative errno */
bool node_is_whiteout(const struct stat *st);

enum xattr_rule { XATTR_TAKE, XATTR_SKIP, XATTR_REFUSE };
enum xattr_rule node_xattr_rule(const char *name);
/* All that may be taken, from one open file or folder to another. path is for messages. */
int node_copy_xattrs(int from, int to, const char *path, struct err *e);
