/* net/batch.h - a transaction of nftables as messages of our own: all of it is done, or nothing. Unlike text, which libnftables first asks the kernel
 * for the names of all chains and sets for, it costs what it changes. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <libmnl/libmnl.h>

#define BATCH_MESSAGE_MAX 4096u

struct batch_socket;

int batch_socket_open(struct batch_socket **ret, struct err *e);
void batch_socket_close(struct batch_socket *s); /* NULL is harmless */
struct batch_ops {
	void (*before)(void *arg), (*after)(void *arg); /* each transaction, whatever becomes of it; or NULL */
	void *arg;
};
void batch_socket_tell(struct batch_socket *s, const struct batch_ops *ops);

struct batch {
	struct buf out;
	uint32_t seq, sets; /* of messages; of sets without a name */
};

void batch_begin(struct batch *b);
/* NFT_MSG_… of a family of NFPROTO_…: at most BATCH_MESSAGE_MAX of attributes, then batch_message_end. NULL: no memory, which batch_send says. */
struct nlmsghdr *batch_message(struct batch *b, uint16_t type, uint16_t flags, uint8_t family);
void batch_message_end(struct batch *b, const struct nlmsghdr *h);
/* Attributes as nftables has them: numbers in network order, values in a nest. */
void batch_number(struct nlmsghdr *h, uint16_t type, uint32_t number);
void batch_value(struct nlmsghdr *h, uint16_t type, const void *bytes, size_t len);
void batch_verdict(struct nlmsghdr *h, uint16_t type, const char *jump); /* "": accept */
bool batch_is_empty(const struct batch *b);
void batch_fini(struct batch *b);
/* Takes b. what: that could not be done. -errno is the kernel's. */
int batch_send(struct batch *b, struct batch_socket *s, const char *what, struct err *e);
