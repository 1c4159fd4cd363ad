/* base/confine.h - what a process of ours may still do once it has opened what it needs: a job before it parses archives, the gateway
 * before it reads the first request, what speaks to registries before it hears the first of them. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define CAP_BIT(n) (1ull << (n))

struct confine {
	uint64_t caps; /* all others go, from the bounding set too */
	const char *
		write_dir; /* everything below may be changed; on a private mount without devices and programs. NULL: see below */
	int read_fd;	   /* an open folder or file that may be read; <= 0: none */
	int write_fd;	   /* one in which files and folders may be made; <= 0: none */
	int change_fd;	   /* one below which everything may be changed; its mounts stay what they are */
	bool unix_sockets; /* may make those; else no socket of any kind */
	int all_files; /* no limit on files but that nothing is executed or mounted: for verbs that parse nothing foreign */
	const char *const
		*read_paths; /* files that may be read besides, those that are there; NULL ends it, or: none */
	bool programs;	     /* may execute what the host has below /usr and /lib */
	int file_fd;	     /* an open file that may be opened again and written; <= 0: none */
	bool network;	     /* may connect over IP, and make sockets for that; nobody may then listen */
	bool serves;	     /* … unless this says so */
	bool networks;	     /* changes those of the host and of containers: netlink, packet sockets, setns */
	uint32_t uid, gid;   /* 0: stays what it is */
};

/* User, no_new_privs, capabilities, mount namespace, Landlock (best effort: as much as the kernel knows), seccomp (a list of what none
 * of them ever needs), no core dumps. Irrevocable. */
int confine_enter(const struct confine *c, struct err *e);
/* What is left after that: this user (with CAP_SETUID and CAP_SETGID), and these capabilities of those that there were. */
int confine_become(uint32_t uid, uint32_t gid, uint64_t caps, struct err *e);
