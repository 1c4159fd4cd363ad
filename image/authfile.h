/* image/authfile.h - credentials in the format of Docker's config.json (also podman's auth.json): read, and changed for login and
 * logout. Secrets are wiped from memory when they are freed. */
#pragma once

#include "base/err.h"

#include <stddef.h>

#define AUTHFILE_MAX (1u << 20)

struct auth { /* all owned; NULL: none */
	char *user, *password;
	char *identity_token; /* to be exchanged for tokens, in place of a password */
	char *helper; /* of who has none in the file: the program "docker-credential-…" that has some, which is not run */
};

void auth_free(struct auth *a);
/* For images of path at host ("docker.io", "h:5000"); an entry for "host/some" counts for all below it, the longest wins. 0: *ret
 * is set, all NULL when the file has nothing for them. */
int authfile_find(const char *json, size_t len, const char *host, const char *path, struct auth *ret, struct err *e);
/* The file with one entry changed (user NULL: taken away); json NULL: a new one. The caller frees *ret. -ENOENT: nothing to take away. */
int authfile_set(const char *json, size_t len, const char *host, const char *user, const char *password, char **ret,
		 struct err *e);
