/* shim/program.h - the execve at the end: the search in PATH, and an error that names what was looked for. */
#pragma once

#include "base/err.h"

/* Returns only on failure: step "exec", text "exec <argv[0]>". ENOENT after a whole search, EACCES if something was found that
 * may not be executed (as execvpe has it: 127 and 126 to a shell's user). */
int program_exec(char *const argv[], char *const env[], struct err *e);

/* The value of NAME in env, or NULL. */
const char *env_get(char *const env[], const char *name);
