/* supervisor/net_change.h - an interface more, or one less, for who is there already, and perhaps runs. */
#pragma once

#include "supervisor/client.h"
#include "supervisor/net_holder.h"

/* Checked. 0: the answer follows. Else e is filled, and nothing has changed. */
int net_change_connect(struct net_holder *h, const struct principal *who, const Berth__NetworkAsk *ask,
		       struct parked parked, struct err *e);
/* what: NETWORK, NETWORK:LINK or LINK. */
int net_change_disconnect(struct net_holder *h, const char *what, struct parked parked, struct err *e);
/* Asked once more, after a crash of berthd, for what its client_token knows as id. False: nothing of it is left. */
bool net_change_repeated(struct net_holder *h, const char *id, bool leaves, struct parked parked);

/* berthd was away: what it had begun is finished, or left to the next start. */
void net_changes_resume(struct net_holder *h);
/* Everything was made anew: what was to come has. */
void net_changes_came(struct net_holder *h);
/* Nothing runs in the namespace any more: what is under way is left to the next start. */
void net_changes_settle(struct net_holder *h);
/* The namespace is gone, and with it what could not be taken out. */
void net_changes_down(struct net_holder *h);
/* He is no more. */
void net_changes_drop(struct net_holder *h);
