/* net/others.h - what others do to our nftables table. Notifications of the kernel, of everybody's changes but our own: while we make one we do not
 * listen, and the number of the ruleset's generation says afterwards whether somebody else was in between. */
#pragma once

#include "base/err.h"

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

struct others {
	struct mnl_socket *sock, *ask; /* in the group of nftables; for questions */
	uint32_t generation;	       /* of the ruleset, as far as we have heard */
	bool touched, removed;	       /* our table, since the last others_forget */
	bool missed;		       /* something that we could not hear */
	char reason[120];
};

int others_open(struct others *o, struct err *e);
int others_fd(const struct others *o);
/* Hears what there is to hear: touched, and a reason for people. */
void others_listen(struct others *o);
void others_forget(struct others *o); /* the table is as it should be */

/* Around each transaction of ours. */
void others_mute(struct others *o);
void others_unmute(struct others *o);
