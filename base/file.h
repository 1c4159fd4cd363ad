/* base/file.h - small files, whole or not at all. Paths may be relative to dir_fd (AT_FDCWD for none). */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* At most size-1 bytes into buf, NUL added. Returns the length; -EFBIG if the file is larger. */
ssize_t file_read(int dir_fd, const char *path, char *buf, size_t size);
/* The same into memory that the caller frees; max bytes. */
ssize_t file_read_all(int dir_fd, const char *path, size_t max, char **ret);
/* The same of a regular file and of nothing else, which might have to be waited for; whatever fails is said in e. */
ssize_t file_read_regular(int dir_fd, const char *path, size_t max, char **ret, const char *step, struct err *e);
int fd_write_all(int fd, const void *all, size_t len); /* negative errno */
/* One write(2) to an existing file (cgroup, proc, sysfs). */
int file_write(int dir_fd, const char *path, const char *data, size_t len);
int file_writes(int dir_fd, const char *path, const char *text);
/* tmp in the same folder, optional fsync, rename: readers see the old or the new content. */
int file_write_atomic(int dir_fd, const char *path, const void *data, size_t len, mode_t mode, bool sync);

/* openat2(2) with O_CLOEXEC; resolve is RESOLVE_… of <linux/openat2.h>. As open(2): -1 and errno. */
int path_open(int dir_fd, const char *path, uint64_t flags, uint64_t resolve);
/* A new file, to be written. */
int path_create(int dir_fd, const char *path, mode_t mode, uint64_t resolve);
/* The same for any path that may have or lead through "..": asked again when the kernel says EAGAIN, as it does to ".." while somebody
 * renames or mounts something, whoever and wherever on the host. "" is root_fd itself. */
int path_open_in(int root_fd, const char *path, uint64_t flags, uint64_t resolve);
/* mkdir -p below root_fd, one part after the other, each prefix resolved anew (RESOLVE_…). The folder (O_PATH) or negative errno. */
int dir_make_in(int root_fd, const char *path, mode_t mode, uint64_t resolve);
int dir_make(int dir_fd, const char *path, mode_t mode); /* mkdir -p; 0 when it exists */
int dir_is_empty(int dir_fd);				 /* 1, 0 or negative errno */
int dir_remove_all(int dir_fd,
		   const char *path); /* rm -rf, never crosses a mount, never follows a link; 0 when absent */

/* Sealed memfd (no write, grow, shrink, seal) with this content; the fd or negative errno. Tries MFD_NOEXEC_SEAL, 6.3. */
int memfd_sealed(const char *name, const void *data, size_t len);
/* Maps such a memfd read-only after checking its seals and that it is at most max bytes. -EPERM if it is not sealed. */
int memfd_map(int fd, size_t max, const void **ret_data, size_t *ret_len);

int fd_set_nonblock(int fd);
/* Raises the soft limit of open files to the hard one. */
int fd_limit_raise(void);
