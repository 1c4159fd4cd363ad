/* shim/init.h - the two programs that berth-shim can be inside a container: a reaping pid 1, and a pod's pause process. Both
 * are executed anew from the shim's memfd, so that nothing of the shim's memory is inside. */
#pragma once

int init_main(char **argv); /* argv[1]…: the program; descriptor 3: sync.h */
int pause_main(void);
