/* net/published.c - see net/published.h */
#include "net/published.h"

#include "base/buf.h"
#include "net/address.h"
#include "net/flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static void note_address(void *arg, const struct ip *ip, unsigned prefix, int index)
{
	buf_add(arg, ip, sizeof *ip);
}

static void note_door(struct buf *doors, const Net__Published *m)
{
	static const uint8_t any[16];
	struct door d = {.port = htons((uint16_t)m->host_port)};

	if (m->host_ip.len && memcmp(m->host_ip.data, any, m->host_ip.len) != 0) {
		d.at.len = (unsigned)m->host_ip.len;
		memcpy(d.at.byte, m->host_ip.data, m->host_ip.len);
	}
	buf_add(doors, &d, sizeof d);
}

int published_begin(struct nl *host, const Net__Port *was, const Net__Port *p, struct err *e)
{
	struct buf doors, of_host;
	int r = 0;

	if (was && was->n_published) /* they come and go together (first interface) */
		return 0;
	buf_init(&doors, 0);
	buf_init(&of_host, 0);
	for (size_t i = 0; i < p->n_published; i++)
		if (p->published[i]->protocol == IPPROTO_UDP)
			note_door(&doors, p->published[i]);
	if (doors.len)
		r = address_each(host, note_address, &of_host, e);
	if (r == 0 && (doors.failed || of_host.failed))
		r = err_set(e, ENOMEM, "network", "no memory");
	if (r == 0 && doors.len)
		r = flows_end_at((const void *)doors.data, doors.len / sizeof(struct door), (const void *)of_host.data,
				 of_host.len / sizeof(struct ip), e);
	buf_fini(&doors);
	buf_fini(&of_host);
	return r;
}
