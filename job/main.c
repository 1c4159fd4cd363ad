/* job/main.c - berth-job: `berth-job VERB ARGUMENTS`, started by berthd for whatever may block. See job/job.h. */
#include "job/job.h"

#include "base/log.h"
#include "base/own.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

static const struct verb {
	const char *name, *usage;
	int min_args, max_args; /* after the verb */
	verb_fn *run;
} verbs[] = {
	{"import", "STATE/images [unpack_max=BYTES] [NAME], fd 4 = source", 1, 3, verb_import},
	{"pull", "STATE/images [KEY=VALUE]..., fd 4 = sealed memfd with the request", 1, 12, verb_pull},
	{"push", "STATE/images [KEY=VALUE]..., fd 4 = sealed memfd with the request", 1, 12, verb_push},
	{"export", "STATE/images FORM UID GID, fd 4 = sealed memfd with the images, fd 5 = where to", 4, 4,
	 verb_export},
	{"sweep", "STATE/images [partials], fd 4 = sealed memfd with what to keep", 1, 2, verb_sweep},
	{"verify", "STATE/images [quick] [all], fd 4 = sealed memfd with the images", 1, 3, verb_verify},
	{"usage", "STATE, fd 4 = sealed memfd with what to measure", 1, 1, verb_usage},
	{"diff", "STATE UUID, fd 4 = sealed memfd with the container", 2, 2, verb_diff},
	{"commit",
	 "STATE UUID MANIFEST [NAME], fd 4 and 5 = sealed memfds with the container and the request, fd 6 = go", 3, 4,
	 verb_commit},
	{"sweep", "STATE/images, fd 4 = sealed memfd with what to keep", 1, 1, verb_sweep},
	{"history", "STATE/images, fd 4 = sealed memfd with the image", 1, 1, verb_history},
	{"fill",
	 "FOLDER NAME [TARGET], fd 4 = sealed memfd with the layers of the image, then the mount namespace of FOLDER",
	 2, 3, verb_fill},
	{"volume-make", "STATE/volumes UUID SIZE", 3, 3, verb_volume_make},
	{"volume-mount", "STATE/volumes UUID DRIVER SIZE MODE UID GID, fd 4 = the volumes' namespace", 7, 7,
	 verb_volume_mount},
	{"volume-unmount", "UUID, fd 4 = the volumes' namespace", 1, 1, verb_volume_unmount},
	{"volume-grow", "STATE/volumes UUID SIZE", 3, 3, verb_volume_grow},
	{"volume-usage", "fd 4 = sealed memfd with volumes, fd 5 = the volumes' namespace", 0, 0, verb_volume_usage},
	{"copy",
	 "mknod=0|1 [pid=N group=PATH userns=0|1], fd 4 = sealed memfd with the request, 5 = archive, last = plan", 1,
	 4, verb_copy},
	{"files", "pid=N group=PATH userns=0|1, fd 4 = sealed memfd with a plan of small files", 3, 3, verb_files},
	{"pack", "NAME, fd 4 = what, fd 5 = archive", 1, 1, verb_pack},
	{"unpack", "NAME [owners=0|1], fd 4 = folder, fd 5 = archive", 1, 2, verb_unpack},
	{"logs", "FOLDER [KEY=VALUE]..., fd 4 = where to write, fd 5 = closed when no more will come", 1, 16,
	 verb_logs},
	{"top", "fd 4 = folder of the incarnation's cgroup", 0, 0, verb_top},
	{"rmtree", "FOLDER: what is in it", 1, 1, verb_rmtree},
	{"limits", "FILE VALUE [FILE VALUE]..., fd 4 = cgroup folder", 2, 64, verb_limits},
	{"probe", "STATE [GROUP [BERTH-NET]]: what this host can do", 1, 3, verb_probe},
};

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static int usage(void)
{
	fprintf(stderr, "usage: berth-job VERB ARGUMENTS, with a report socket as fd 3; started by berthd\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(stderr, "  %-8s %s\n", verbs[i].name, verbs[i].usage);
	return 2;
}

static bool report_is_socket(void)
{
	int type;
	socklen_t len = sizeof type;

	return getsockopt(REPORT_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

#define MEMORY_MAX (1ull << 30)

/* Where the host has no memory controller, this alone keeps what others wrote from eating its memory: then a malloc fails, and
 * the job with an error. Each parser has bounds of its own, far below. Not under ASan, whose shadow is larger. */
static void memory_bound(void)
{
#ifndef __SANITIZE_ADDRESS__
	setrlimit(RLIMIT_DATA, &(struct rlimit){MEMORY_MAX, MEMORY_MAX});
#endif
}

int main(int argc, char **argv)
{
	const struct verb *verb = argc >= 2 ? verb_find(argv[1]) : NULL;
	struct err e = {0};
	int r;

	memory_bound();
	log_init("berth-job", LOG_LEVEL_INFO);
	if (!verb || argc - 2 < verb->min_args || argc - 2 > verb->max_args || !report_is_socket())
		return usage();
	signal(SIGPIPE, SIG_IGN); /* a reader of logs that leaves is EPIPE, no death */
	r = verb->run(argc - 1, argv + 1, &e);
	if (r == 0)
		return 0;
	if (report_error(&e) < 0)
		log_err(&e, "%s (berthd is gone)", verb->name);
	return 1;
}
