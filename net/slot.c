/* net/slot.c - see net/slot.h */
#include "net/slot.h"

#include "base/own.h"
#include "net/routed.h"
#include "net/sound.h"

#include <errno.h>

int slot_put(struct worker *w, const Net__Port *p, int ns, struct err *e)
{
	static struct nl inside;
	AUTO_FD ns_fd = -1;
	int r = slot_is_sound(p, e) ? 0 : -EINVAL;

	if (r == 0 && ns < 0)
		r = err_set(e, EINVAL, "network", "no namespace came with the slot");
	if (r < 0)
		return r;
	r = work_visit(w, ns, &inside, &ns_fd, NULL, e);
	if (r == 0)
		r = routed_slot(&w->host, &inside, ns_fd, p, e);
	nl_close(&inside);
	return r;
}

int slot_del(struct worker *w, const char *host_link, struct err *e)
{
	if (!host_link || !host_link_is_sound(host_link))
		return err_set(e, EINVAL, "network", "not a slot");
	gone_add(w->gone, host_link);
	return 0;
}
