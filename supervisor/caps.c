/* supervisor/caps.c - see supervisor/caps.h */
#include "supervisor/caps.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#define BIT(cap) (1ull << (cap))

int caps_parse(const char *name, int *ret)
{
	char full[64];
	cap_value_t cap;

	snprintf(full, sizeof full, "%s%s", strncasecmp(name, "cap_", 4) ? "cap_" : "", name);
	for (char *p = full; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	/* libcap also takes bare numbers; a name is what people mean. */
	if (isdigit((unsigned char)full[4]) || cap_from_name(full, &cap) < 0 || !(caps_all() & BIT(cap)))
		return -EINVAL;
	*ret = cap;
	return 0;
}

int caps_name(int cap, char *buf, unsigned size)
{
	char *name = cap >= 0 ? cap_to_name(cap) : NULL;

	if (!name)
		return -EINVAL;
	snprintf(buf, size, "%s", name);
	for (char *p = buf; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	cap_free(name);
	return 0;
}

uint64_t caps_all(void)
{
	int n = cap_max_bits();

	return n >= 64 ? UINT64_MAX : BIT(n) - 1;
}

static uint64_t bounding_set_read(void)
{
	uint64_t set = 0;

	for (int cap = 0; cap < cap_max_bits(); cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			set |= BIT(cap);
	return set;
}

uint64_t caps_ours(void)
{
	static uint64_t ours; /* berthd never lowers it: 41 system calls once, not for each start */

	if (!ours)
		ours = bounding_set_read();
	return ours;
}

uint64_t caps_default(void)
{
	return BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) |
	       BIT(CAP_NET_RAW) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) |
	       BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);
}

static uint64_t mask_of(char *const *names, size_t n, bool *ret_all)
{
	uint64_t mask = 0;
	int cap;

	*ret_all = false;
	for (size_t i = 0; i < n; i++) {
		if (!strcasecmp(names[i], "ALL") || !strcasecmp(names[i], "CAP_ALL"))
			*ret_all = true;
		else if (!caps_parse(names[i], &cap))
			mask |= BIT(cap);
	}
	return mask;
}

uint64_t caps_of(const Berth__Security *s)
{
	bool add_all, drop_all;
	uint64_t add, drop, mask;

	if (!s)
		return caps_default() & caps_ours();
	add = mask_of(s->cap_add, s->n_cap_add, &add_all);
	drop = mask_of(s->cap_drop, s->n_cap_drop, &drop_all);
	/* As Docker: everything but what is dropped; or nothing but what is added; or the default, less, plus. Of a privileged one
	 * Docker drops nothing, whatever it is told. */
	if (s->privileged && !drop_all)
		add_all = true;
	if (add_all)
		mask = caps_all() & ~drop;
	else if (drop_all)
		mask = add;
	else
		mask = (caps_default() & ~drop) | add;
	return mask & caps_ours();
}
