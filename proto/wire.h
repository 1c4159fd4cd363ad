/* proto/wire.h - one record and its descriptors on a SOCK_SEQPACKET socket. No memory of its own, no malloc: the shim uses it.
 *
 * A record is never empty (an empty one reads as end of file) and never larger than WIRE_MAX. Received descriptors are
 * close-on-exec; a record that was cut (MSG_TRUNC, MSG_CTRUNC: also when our descriptor table is full) is refused whole and
 * what came with it is closed. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define WIRE_MAX     65536
#define WIRE_FDS_MAX 16

struct wire_fds {
	int fd[WIRE_FDS_MAX];
	unsigned n;
};

enum wire_result {		  /* positive: expected, for the direct caller */
		   WIRE_GONE = 1, /* the peer closed or died (end of file, EPIPE, ECONNRESET) */
		   WIRE_AGAIN,	  /* nothing there, or no room */
		   WIRE_BAD,	  /* cut or empty record, too many descriptors: drop this peer */
};

/* 0, WIRE_GONE, WIRE_AGAIN; -EMSGSIZE for a record over WIRE_MAX or over what the socket buffer takes; other negative errno. */
int wire_send(int sock, const void *data, size_t len, const int *fds, unsigned n_fds);
/* Length in *ret_len, descriptors in *fds (the caller closes them). 0, WIRE_GONE, WIRE_AGAIN, WIRE_BAD or negative errno. */
int wire_recv(int sock, void *buf, size_t size, size_t *ret_len, struct wire_fds *fds);
void wire_fds_close(struct wire_fds *fds);	     /* those that are not -1; n becomes 0 */
int wire_fds_take(struct wire_fds *fds, unsigned i); /* -1 if there is none */

int wire_listen(const char *path, unsigned mode,
		int backlog);	    /* SEQPACKET, non-blocking; replaces a dead socket, -EADDRINUSE for a living one */
int wire_connect(const char *path); /* SEQPACKET, non-blocking; the fd or negative errno */
int wire_pair(int fds[2]);	    /* SEQPACKET, non-blocking both */
