/* image/node.c - see image/node.h */
#include "image/node.h"

#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

int node_set_opaque(int dir_fd)
{
	return fsetxattr(dir_fd, "trusted.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
}

int node_whiteout(int dir_fd, const char *name)
{
	return mknodat(dir_fd, name, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
}

bool node_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

enum xattr_rule node_xattr_rule(const char *name)
{
	/* overlayfs obeys these: an archive could stitch together what its layers do not say. */
	if (str_starts(name, "trusted.overlay."))
		return XATTR_REFUSE;
	if (!strcmp(name, "security.capability") || str_starts(name, "user.") || str_starts(name, "trusted.") ||
	    str_starts(name, "system.posix_acl_"))
		return XATTR_TAKE;
	/* Labels of the machine that built the image (SELinux, IMA, Smack) mean nothing on this one. */
	return XATTR_SKIP;
}

int node_copy_xattrs(int from, int to, const char *path, struct err *e)
{
	AUTO_FREE char *names = NULL;
	AUTO_FREE char *value = NULL;
	ssize_t len = flistxattr(from, NULL, 0);

	if (len == 0 || (len < 0 && errno == ENOTSUP))
		return 0;
	names = malloc(len > 0 ? (size_t)len : 1);
	value = malloc(65536);
	if (!names || !value)
		return err_set(e, ENOMEM, "unpack", "xattrs of %.200s", path);
	len = flistxattr(from, names, (size_t)len);
	if (len < 0)
		return err_set(e, errno, "unpack", "xattrs of %.200s", path);
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t n;

		if (node_xattr_rule(name) != XATTR_TAKE)
			continue;
		n = fgetxattr(from, name, value, 65536);
		if (n < 0 || fsetxattr(to, name, value, (size_t)n, 0) < 0)
			return err_set(e, errno, "unpack", "%s of %.200s", name, path);
	}
	return 0;
}
