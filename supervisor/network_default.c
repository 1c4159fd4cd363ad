/* supervisor/network_default.c - see supervisor/network_default.h */
#include "supervisor/network_default.h"

#include "supervisor/check_field.h"
#include "supervisor/network.h"

#include <errno.h>
#include <stdlib.h>

static bool is_given(const char *text)
{
	return text && text[0];
}

static int ask_add(Berth__NetworkAsk ***asks, size_t *n)
{
	Berth__NetworkAsk **list = malloc(sizeof *list), *ask = malloc(sizeof *ask);

	if (!list || !ask) {
		free(list);
		free(ask);
		return -ENOMEM;
	}
	berth__network_ask__init(ask);
	list[0] = ask;
	free(*asks);
	*asks = list;
	*n = 1;
	return 0;
}

static int asks_name(struct supervisor *sv, const struct principal *who, Berth__NetworkAsk *const *asks, size_t n,
		     struct err *e)
{
	const char *configured = sv->cfg.default_network, *name = configured[0] ? configured : DEFAULT_NETWORK;
	char at[FIELD_SIZE];
	struct err why;

	for (size_t i = 0; i < n; i++) {
		if (is_given(asks[i]->network))
			continue;
		field_at(at, "spec.networks[%zu]", i);
		if (!network_find(sv, who, name, &why))
			return err_set(e, why.code, at, "none is named, and %s%s", why.text,
				       configured[0] ? " (default_network in berthd.conf)" : "");
		if (field_set(&asks[i]->network, name) < 0)
			return err_set(e, ENOMEM, at, "no memory");
	}
	return 0;
}

int network_default_container(struct supervisor *sv, const struct principal *who, Berth__ContainerSpec *spec,
			      struct err *e)
{
	bool wants = sv->cfg.default_network[0] || spec->n_ports || spec->publish_all;

	if (wants && !is_given(spec->pod) && !is_given(spec->network) && !spec->n_networks &&
	    ask_add(&spec->networks, &spec->n_networks) < 0)
		return err_set(e, ENOMEM, "spec.networks", "no memory");
	return asks_name(sv, who, spec->networks, spec->n_networks, e);
}

int network_default_pod(struct supervisor *sv, const struct principal *who, Berth__PodSpec *spec, struct err *e)
{
	if ((sv->cfg.default_network[0] || spec->n_ports) && !is_given(spec->network) && !spec->n_networks &&
	    ask_add(&spec->networks, &spec->n_networks) < 0)
		return err_set(e, ENOMEM, "spec.networks", "no memory");
	return asks_name(sv, who, spec->networks, spec->n_networks, e);
}
