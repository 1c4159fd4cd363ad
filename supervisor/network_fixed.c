/* supervisor/network_fixed.c - see supervisor/network_fixed.h. No row has them, no container a lease in them: they are values of
 * ContainerSpec.network. */
#include "supervisor/network_fixed.h"

#include "base/own.h"

#include <assert.h>
#include <string.h>

/* The same on every host, and no uuid that anybody is given. */
#define META(number, text)                                                                                             \
	{                                                                                                              \
		.base = PROTOBUF_C_MESSAGE_INIT(&berth__meta__descriptor),                                             \
		.uuid = (char *)"00000000-0000-0000-0000-00000000000" number, .name = (char *)(text),                  \
		.project = (char *)"default", .owner = (char *)"berthd",                                               \
	}
#define NETWORK(i, word)                                                                                               \
	{                                                                                                              \
		.base = PROTOBUF_C_MESSAGE_INIT(&berth__network__descriptor), .meta = &meta[i],                        \
		.driver = (char *)(word), .has_shared = true, .shared = true,                                          \
	}

static Berth__Meta meta[] = {META("1", "host"), META("2", "none")};
static Berth__Network fixed[] = {NETWORK(0, "host"), NETWORK(1, "none")};
static_assert(ARRAY_SIZE(fixed) == NETWORKS_FIXED, "as many as their header says");

Berth__Network *network_fixed_at(unsigned i)
{
	return &fixed[i];
}

Berth__Network *network_fixed(const char *ref)
{
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (!strcmp(meta[i].name, ref) || !strcmp(meta[i].uuid, ref))
			return &fixed[i];
	return NULL;
}

bool network_fixed_sees(const struct principal *who, const Berth__Network *n)
{
	return n == &fixed[1] || principal_sees_all(who);
}
