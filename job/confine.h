/* job/confine.h - what a job may still do once it has opened what it needs. Foreign bytes (archives, JSON) are parsed after this. */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* Unpacking makes files of any owner and kind; trusted.overlay.* needs SYS_ADMIN, of which seccomp and Landlock leave nothing else. */
#define CAP_BIT(n) (1ull << (n))
#define CONFINE_CAPS_UNPACK                                                                                            \
	(CAP_BIT(0) /* CHOWN */ | CAP_BIT(1) /* DAC_OVERRIDE */ | CAP_BIT(3) /* FOWNER */ | CAP_BIT(4) /* FSETID */ |  \
	 CAP_BIT(21) /* SYS_ADMIN */ | CAP_BIT(27) /* MKNOD */ | CAP_BIT(31) /* SETFCAP */)
#define CONFINE_CAPS_REMOVE (CAP_BIT(1) /* DAC_OVERRIDE */ | CAP_BIT(3) /* FOWNER */)
#define CONFINE_CAPS_READ   CAP_BIT(2) /* DAC_READ_SEARCH */
#define CONFINE_CAPS_PROC   (CAP_BIT(2) /* DAC_READ_SEARCH */ | CAP_BIT(19) /* SYS_PTRACE */)

struct confine {
	uint64_t caps; /* all others go, from the bounding set too */
	const char *
		write_dir; /* everything below may be changed; on a private mount without devices and programs. NULL: see below */
	int read_fd; /* an open folder that may be read; <= 0: none */
	int all_files; /* no limit on files but that nothing is executed or mounted: for verbs that parse nothing foreign */
};

/* no_new_privs, capabilities, mount namespace, Landlock (best effort: as much as the kernel knows), seccomp (a list of what no
 * job ever needs), no core dumps. Irrevocable. */
int confine_enter(const struct confine *c, struct err *e);
