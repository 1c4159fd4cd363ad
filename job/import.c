/* job/import.c - `import STATE/images [NAME]`, fd 4 = a folder, a file or a pipe; result ImageReply. */
#include "job/job.h"

#include "base/file.h"
#include "image/store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SOURCE_FD 4

static void on_progress(void *arg, const struct image_progress *p)
{
	(void)arg;
	report_progress(p);
}

int verb_import(int argc, char **argv, struct err *e)
{
	struct image_store store;
	Berth__Image **image;
	size_t n;
	struct confine confine = {.caps = JOB_CAPS_UNPACK, .write_dir = argv[1]};
	struct stat st;
	const char *name = NULL;
	int r = dir_make(AT_FDCWD, argv[1], 0700);

	if (r < 0)
		return err_set(e, r, "import", "%s", argv[1]);
	/* A source that is a file or a pipe is open already: only a folder needs a right. */
	if (fstat(SOURCE_FD, &st) == 0 && S_ISDIR(st.st_mode))
		confine.read_fd = SOURCE_FD;
	if ((r = confine_enter(&confine, e)) < 0 || (r = image_store_open(&store, argv[1], e)) < 0)
		return r;
	for (int i = 2; i < argc; i++)
		if (image_store_limit(&store, argv[i]) < 0)
			name = argv[i];
	r = image_import(&store, SOURCE_FD, name, on_progress, NULL, &image, &n, e);
	if (r == 0) {
		r = report_images(image, n, e);
		for (size_t i = 0; i < n; i++)
			berth__image__free_unpacked(image[i], NULL);
		free(image);
	}
	image_store_close(&store);
	return r;
}
