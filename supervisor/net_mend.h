/* supervisor/net_mend.h - an interface of somebody who runs, of which somebody else has removed the host's end, and with it the other one: it is made again in his
 * namespace, as it was. Where nothing runs it is made with the next start. */
#pragma once

#include "supervisor/net_holder.h"

void net_mend_lost(struct supervisor *sv, const char *host_link);
/* What was to be mended is left to the next start: nothing runs there any more. */
void net_mends_settle(struct net_holder *h);
/* … or there is no namespace any more. */
void net_mends_drop(struct net_holder *h);
