/* supervisor/rate_request.c - other limits for an interface, while it is in use. */
#include "supervisor/interface.h"
#include "supervisor/set.h"

#include <errno.h>
#include <stdio.h>

void on_interface_limit(struct request *rq)
{
	const Berth__InterfaceLimit *ask = rq->env->interface_limit;
	struct interface i;
	struct err e;

	if (!interface_asked(rq, ask->ref, ask->link, &i))
		return;
	if (network_rates_check(i.network, ask->ingress_bps, ask->egress_bps, &e) < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
	} else {
		if (ask->has_ingress_bps)
			SET(i.lease, ingress_bps, ask->ingress_bps);
		if (ask->has_egress_bps)
			SET(i.lease, egress_bps, ask->egress_bps);
		interface_changed(rq, &i, "the limits are");
	}
	interface_fini(&i);
}
