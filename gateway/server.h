/* gateway/server.h - HTTP on the loop: connections in, calls out. The only file that knows libmicrohttpd. */
#pragma once

#include "base/err.h"
#include "gateway/gateway.h"

int server_open(struct gateway *gw, struct err *e);
/* Takes listen_fd, non-blocking. */
int server_listen(struct server *s, int listen_fd, struct err *e);
void server_close(struct server *s);
