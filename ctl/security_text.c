/* ctl/security_text.c - see ctl/security_text.h */
#include "ctl/security_text.h"

#include "base/own.h"
#include "base/str.h"
#include "ctl/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "A" or "A<sep>B"; false: something else. */
static bool two_numbers(const char *text, char sep, uint32_t *ret_a, uint32_t *ret_b, bool *ret_two)
{
	const char *p = strchr(text, sep);
	AUTO_FREE char *first = p ? mem_textn(text, (size_t)(p - text)) : mem_text(text);

	*ret_two = p != NULL;
	return str_to_u32(first, ret_a) == 0 && (!p || str_to_u32(p + 1, ret_b) == 0);
}

int security_port_text(Berth__SecurityGroupRule *r, const char *text, struct err *e)
{
	bool two;

	if (!two_numbers(text, '-', &r->port_min, &r->port_max, &two) &&
	    !two_numbers(text, ':', &r->port_min, &r->port_max, &two))
		return err_set(e, EINVAL, "flag", "\"%s\" is not a port, nor a range such as 8000-8080", text);
	r->has_port_min = true;
	r->has_port_max = two;
	return 0;
}

int security_icmp_text(Berth__SecurityGroupRule *r, const char *text, struct err *e)
{
	bool two;

	if (!two_numbers(text, ':', &r->icmp_type, &r->icmp_code, &two))
		return err_set(e, EINVAL, "flag", "\"%s\" is not TYPE or TYPE:CODE, such as 8 or 3:4", text);
	r->has_icmp_type = true;
	r->has_icmp_code |= two;
	return 0;
}

void security_remote_text(Berth__SecurityGroupRule *r, const char *text)
{
	bool range = strpbrk(text, "/:") || (*text && strspn(text, "0123456789.") == strlen(text) && strchr(text, '.'));
	char **field = range ? &r->remote_cidr : &r->remote_group;

	free(*field);
	*field = mem_text(text);
}

const char *security_port_words(const Berth__SecurityGroupRule *r, char buf[PRINT_SIZE])
{
	buf[0] = 0;
	if (r->has_port_min && r->port_max == r->port_min)
		snprintf(buf, PRINT_SIZE, "%u", r->port_min);
	else if (r->has_port_min)
		snprintf(buf, PRINT_SIZE, "%u-%u", r->port_min, r->port_max);
	else if (r->has_icmp_code)
		snprintf(buf, PRINT_SIZE, "type %u:%u", r->icmp_type, r->icmp_code);
	else if (r->has_icmp_type)
		snprintf(buf, PRINT_SIZE, "type %u", r->icmp_type);
	return buf;
}

const char *security_remote_words(const Berth__SecurityGroupRule *r)
{
	if (r->remote_group)
		return r->remote_group_name ? r->remote_group_name : r->remote_group;
	return r->remote_cidr ? r->remote_cidr : "";
}
