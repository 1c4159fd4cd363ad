/* shim/ahead.c - see shim/ahead.h */
#include "shim/ahead.h"

#include "base/own.h"

#define STEP_MAX 4096 /* packed: a larger one is made when it is needed */

uint64_t ahead_key(const Shim__Step *s)
{
	uint8_t packed[STEP_MAX];
	size_t len;

	if (s->what_case != SHIM__STEP__WHAT_TREE && s->what_case != SHIM__STEP__WHAT_FILE)
		return 0;
	len = shim__step__get_packed_size(s);
	if (len > sizeof packed)
		return 0;
	shim__step__pack(s, packed);
	return fnv(FNV_BASIS, packed, len);
}

int ahead_find(const struct ahead *a, const Shim__Step *s)
{
	uint64_t key = a && a->n ? ahead_key(s) : 0;

	for (unsigned i = 0; key && i < a->n; i++)
		if (a->made[i].key == key)
			return a->made[i].fd;
	return -1;
}

void ahead_close(struct ahead *a)
{
	for (unsigned i = 0; i < a->n; i++)
		close_fd(&a->made[i].fd);
	a->n = 0;
}
