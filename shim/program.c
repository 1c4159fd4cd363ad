/* shim/program.c - see shim/program.h */
#include "shim/program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const char *env_get(char *const env[], const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

int program_exec(char *const argv[], char *const env[], struct err *e)
{
	const char *path = env_get(env, "PATH"), *name = argv[0];
	char full[PATH_MAX];
	int code = ENOENT;

	if (strchr(name, '/')) {
		execve(name, argv, env);
		return err_set(e, errno, "exec", "exec %s", name);
	}
	for (const char *at = path && path[0] ? path : DEFAULT_PATH; at;) {
		const char *colon = strchr(at, ':');
		int len = (int)(colon ? colon - at : (long)strlen(at));

		/* An empty part is the working directory. */
		int n = snprintf(full, sizeof full, "%.*s%s%s", len, at, len ? "/" : "./", name);
		at = colon ? colon + 1 : NULL;
		if (n >= (int)sizeof full)
			continue;
		execve(full, argv, env);
		if (errno == EACCES)
			code = EACCES; /* there may be a better one further on */
		else if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG && errno != ELOOP)
			return err_set(e, errno, "exec", "exec %s", full);
	}
	return err_set(e, code, "exec", "exec %s", name);
}
