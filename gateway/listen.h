/* gateway/listen.h - the sockets that HTTP comes in by. */
#pragma once

#include "base/err.h"

/* "127.0.0.1:9517", "[::1]:9517", "*:9517", "unix:/run/x.sock" -> a listening, non-blocking socket. Negative errno with e filled. */
int listen_open(const char *where, int *ret_fd, struct err *e);
