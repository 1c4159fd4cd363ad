/* supervisor/security_attach.c - other groups for an interface, while it is in use. */
#include "supervisor/driver.h"
#include "supervisor/interface.h"
#include "supervisor/security_group.h"
#include "supervisor/set.h"

#include <errno.h>

/* Everything that can be refused is, before anything is changed. */
static int attach_check(struct request *rq, const struct network *n, const Berth__SecurityGroupAttach *ask,
			struct err *e)
{
	if (!ask->has_allow_spoofing || !ask->allow_spoofing)
		return 0;
	if (!principal_sees_all(&rq->who))
		return err_set(e, EACCES, "allow_spoofing",
			       "a member of a project may not ask for this: sending from addresses that are others'");
	return driver_needs(n, FEATURE_ANTI_SPOOFING, e);
}

void on_security_group_attach(struct request *rq)
{
	const Berth__SecurityGroupAttach *ask = rq->env->security_group_attach;
	struct interface i;
	struct err e;

	if (!interface_asked(rq, ask->ref, ask->link, &i))
		return;
	if (attach_check(rq, i.network, ask, &e) < 0 ||
	    security_groups_lease(i.network, net_stored_of(i.holder).meta->project, ask->groups, ask->n_groups, i.lease,
				  &e) < 0) {
		reply_error(rq->sv, rq->parked, error_code_of(&e), e.step, "%s", e.text);
	} else {
		if (ask->has_allow_spoofing)
			SET(i.lease, allow_spoofing, ask->allow_spoofing);
		if (i.holder->asked)
			security_policy_tell(rq->sv, i.lease);
		interface_changed(rq, &i, "the groups are");
		security_policies_tidy(rq->sv, false);
	}
	interface_fini(&i);
}
