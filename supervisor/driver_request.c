/* supervisor/driver_request.c - what drivers there are and what they can enforce, as it is asked for. */
#include "base/own.h"
#include "supervisor/arena.h"
#include "supervisor/driver.h"
#include "supervisor/request.h"
#include "supervisor/set.h"

#include <string.h>

static char **words_of(const char *words, size_t *n, struct arena *a)
{
	char **list = arena_alloc(a, (strlen(words) / 2 + 1) * sizeof *list);

	for (const char *p = words; list && *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		list[(*n)++] = arena_printf(a, "%.*s", (int)len, p);
		p += len;
	}
	return list;
}

static Berth__NetworkDriver *driver_message(const struct driver *d, struct arena *a)
{
	Berth__NetworkDriver *m = arena_alloc(a, sizeof *m);
	char **has = arena_alloc(a, FEATURE_N_ * sizeof *has), **lacks = arena_alloc(a, FEATURE_N_ * sizeof *lacks);

	if (!m || !has || !lacks)
		return NULL;
	berth__network_driver__init(m);
	m->name = (char *)(uintptr_t)d->name;
	m->about = (char *)(uintptr_t)d->about;
	SET(m, parent, d->parent);
	m->features = has;
	m->lacks = lacks;
	if (d->modes)
		m->modes = words_of(d->modes, &m->n_modes, a);
	for (int f = 0; f < FEATURE_N_; f++) {
		char *name = (char *)(uintptr_t)driver_feature_name((enum driver_feature)f);

		if (driver_has(d, (enum driver_feature)f))
			m->features[m->n_features++] = name;
		else
			m->lacks[m->n_lacks++] = name;
	}
	return m;
}

void on_network_drivers(struct request *rq)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__NetworkDriversReply body = BERTH__NETWORK_DRIVERS_REPLY__INIT;
	struct arena a = ARENA_INIT;

	body.drivers = arena_alloc(&a, n_drivers * sizeof *body.drivers);
	for (unsigned i = 0; body.drivers && i < n_drivers; i++)
		body.drivers[body.n_drivers++] = driver_message(&drivers[i], &a);
	env.body_case = BERTH__ENVELOPE__BODY_NETWORK_DRIVERS_REPLY;
	env.network_drivers_reply = &body;
	if (a.failed)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	else
		reply(rq->sv, rq->parked, &env, NULL, 0);
	arena_fini(&a);
}
