/* dns/relay.h - questions that are not ours to answer, asked of others: each from a socket and a port of its own with a number of its own,
 * so that a forged answer has 32 bits to guess. Bounded in number, for each asker too, and in time. */
#pragma once

#include "dns/packet.h"

#include "base/list.h"
#include "base/loop.h"
#include "proto/dns.pb-c.h"

#define RELAY_MAX	 4096u
#define RELAY_HOLDER_MAX 256u
#define RELAY_SERVERS	 3u /* that are asked of a list, as by glibc */

struct relay {
	struct loop *loop;
	struct list asks;
	unsigned n;
};

/* Called once: the answer as it came, but for the number, which is the question's; NULL: there is none. Valid during the call. */
typedef void relay_done(void *arg, uint8_t *data, size_t len);

void relay_init(struct relay *r, struct loop *l);
void relay_fini(struct relay *r); /* nobody is called any more */
/* packet: as question_parse has taken it. By TCP when the asker came so, so that a long answer finds its way. -EBUSY: too many. */
int relay_ask(struct relay *r, const ProtobufCBinaryData *servers, size_t n_servers, const uint8_t *packet, size_t len,
	      const struct question *q, bool tcp, uint64_t holder, relay_done *done, void *arg);
/* Those with this arg end; they are not called. */
void relay_forget(struct relay *r, const void *arg);
