/* job/rmtree.c - `rmtree FOLDER` empties FOLDER and keeps it (STATE/trash); `limits FILE VALUE…` writes cgroup files, fd 4 = the
 * folder: lowering memory.max sleeps in reclaim. */
#include "job/job.h"

#include "base/file.h"
#include "base/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CGROUP_FD 4

int verb_rmtree(int argc, char **argv, struct err *e)
{
	int r = confine_enter(&(struct confine){.caps = JOB_CAPS_REMOVE, .write_dir = argv[1]}, e), fd;
	struct dirent *entry;
	DIR *dir;

	(void)argc;
	if (r < 0)
		return r;
	fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		r = err_set(e, errno, "rmtree", "%s", argv[1]);
		close_fd(&fd);
		return r;
	}
	/* One that cannot go must not keep the others: the first error is reported at the end. */
	while ((entry = readdir(dir))) {
		int status;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		status = dir_remove_all(fd, entry->d_name);
		if (status < 0 && r == 0)
			r = err_set(e, status, "rmtree", "%s/%s", argv[1], entry->d_name);
	}
	closedir(dir);
	return r < 0 ? r : report_done("", e);
}

int verb_limits(int argc, char **argv, struct err *e)
{
	int ready = confine_enter(&(struct confine){.caps = JOB_CAPS_REMOVE, .all_files = 1}, e);

	if (ready < 0)
		return ready;
	if (argc % 2 == 0)
		return err_set(e, EINVAL, "limits", "a file without a value");
	for (int i = 1; i + 1 < argc; i += 2) {
		int r;

		if (strchr(argv[i], '/'))
			return err_set(e, EINVAL, "limits", "%s", argv[i]);
		r = file_writes(CGROUP_FD, argv[i], argv[i + 1]);
		if (r < 0)
			return err_set(e, r, "limits", "%s = %s", argv[i], argv[i + 1]);
	}
	return report_done("", e);
}
