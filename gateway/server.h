/* gateway/server.h - HTTP on the loop: connections in, calls out. The only file that knows libmicrohttpd. */
#pragma once

#include "base/err.h"
#include "gateway/gateway.h"

struct server;

int server_open(struct gateway *gw, struct err *e);
/* Takes listen_fd, non-blocking. */
int server_listen(struct server *s, int listen_fd, struct err *e);
/* No new connection, idle ones end, the others with their answer; then the loop is stopped. */
void server_drain(struct server *s);
void server_close(struct server *s);

/* Ends the slowest readers of answers until so many bytes will be free; false: they are not to be had. */
bool server_relieve(struct server *s, size_t need);
void server_count(const struct server *s, struct buf *b); /* for /metrics */
