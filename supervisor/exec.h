/* supervisor/exec.h - what a person does inside a running container: exec, attach. berthd makes the session's two ends, gives one
 * to the shim and one to the client, and is out of the way. */
#pragma once

#include "supervisor/container.h"

/* Both consume nothing; negative errno when the shim cannot be told. */
int exec_attach(struct container *c, int session_fd, bool want_stdin, uint32_t rows, uint32_t cols);
int exec_release(struct container *c); /* of hold_before_exec */

/* The shim's reports on an exec. */
void exec_started(struct container *c, const Shim__ExecStarted *s);
void exec_failed(struct container *c, const Shim__Failed *f);
void exec_exited(struct container *c, const Shim__ExecExited *x);
/* The container has ended or lost its shim: whoever still waits for an exec to start is answered. */
void exec_forget(struct container *c);
