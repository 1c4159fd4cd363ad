/* net/bridge_table.c - see net/bridge_table.h */
#include "net/bridge_table.h"

#include "net/table.h"

#include <string.h>

/* Neighbours are what addresses are made of here: ARP and ND say whose MAC an address is, so both the sender and what it claims have to be its own. A
 * router none of the containers is. The kernel's nft has no word for the target of an advertisement: it is 8 bytes behind the header's begin. */
static const char rules[] =
	"add table bridge " TABLE_NAME "\n"
	"delete table bridge " TABLE_NAME "\n"
	"table bridge " TABLE_NAME " {\n"
	" set port { type ifname . ether_addr; }\n"
	" set port4 { type ifname . ether_addr . ipv4_addr; }\n"
	" set port6 { type ifname . ether_addr . ipv6_addr; }\n"
	" set port_target { typeof iifname . @th,64,128; }\n"
	" set port_spoofing { type ifname; }\n"
	" chain prerouting { type filter hook prerouting priority filter; policy accept;\n"
	"  iifname \"" LINK_PREFIX "*\" jump guard\n"
	" }\n"
	" chain guard {\n"
	"  iifname @port_spoofing return\n"
	"  iifname . ether saddr != @port drop\n"
	"  ether type ip iifname . ether saddr . ip saddr @port4 return\n"
	"  arp htype 1 arp ptype ip iifname . arp saddr ether . arp saddr ip @port4 return\n"
	/* Is it somebody's already? */
	"  arp htype 1 arp ptype ip arp saddr ip 0.0.0.0 iifname . arp saddr ether . arp daddr ip @port4 return\n"
	"  icmpv6 type { nd-router-advert, nd-redirect } drop\n"
	"  icmpv6 type nd-neighbor-advert iifname . @th,64,128 != @port_target drop\n"
	"  ether type ip6 iifname . ether saddr . ip6 saddr @port6 return\n"
	"  ip6 saddr :: icmpv6 type nd-neighbor-solicit iifname . @th,64,128 @port_target return\n"
	"  ip6 saddr :: icmpv6 type { nd-router-solicit, mld-listener-report, mld2-listener-report, mld-listener-done } return\n"
	"  drop\n"
	" }\n"
	"}\n";

bool bridge_has_ports(const Net__Uplink *u)
{
	return u && u->driver == NET__DRIVER__BRIDGE;
}

void bridge_table_text(struct buf *b)
{
	buf_adds(b, rules);
}

static void address_elements(struct elements *list, const Net__Port *p, const ProtobufCBinaryData *ip)
{
	struct element el;

	element_in_bridge(&el, ip->len == 16 ? "port6" : "port4");
	element_link(&el, p->host_link);
	element_mac(&el, p->mac.data);
	element_ip(&el, ip);
	elements_add(list, &el);
	if (ip->len != 16)
		return;
	element_in_bridge(&el, "port_target");
	element_link(&el, p->host_link);
	element_bits(&el, ip);
	elements_add(list, &el);
}

void bridge_port_elements(struct elements *list, const Net__Port *p)
{
	const uint8_t *m = p->mac.data;
	/* The kernel makes it of the MAC (RFC 4291). */
	uint8_t link_local[16] = {0xfe, 0x80, [8] = m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
	bool six = false;
	struct element el;

	element_in_bridge(&el, "port");
	element_link(&el, p->host_link);
	element_mac(&el, m);
	elements_add(list, &el);
	for (size_t i = 0; i < p->n_addresses; i++) {
		address_elements(list, p, &p->addresses[i]);
		six |= p->addresses[i].len == 16;
	}
	if (six)
		address_elements(list, p, &(ProtobufCBinaryData){sizeof link_local, link_local});
	if (p->allow_spoofing) {
		element_in_bridge(&el, "port_spoofing");
		element_link(&el, p->host_link);
		elements_add(list, &el);
	}
}
