/* ctl/spec_network.c - the flags of specs that are about networks: what a container or pod has of them, and what one is like. */
#include "ctl/spec_own.h"

#include "base/own.h"
#include "base/str.h"
#include "ctl/network_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The interfaces that a ContainerSpec or a PodSpec asks for. */
static Berth__NetworkAsk *ask_at(const struct spec_opts *o, size_t i)
{
	return o->message->descriptor == &berth__container_spec__descriptor
		       ? ((const Berth__ContainerSpec *)o->message)->networks[i]
		       : ((const Berth__PodSpec *)o->message)->networks[i];
}

/* --ip, --ip6, --mac-address and --network-alias: of the network before them, else of the one behind them, else of that which berthd gives to
 * who names none. */
static Berth__NetworkAsk *ask_last(struct spec_opts *o, size_t *ret_at)
{
	size_t n = field_count(o->message, "networks");

	*ret_at = n ? n - 1 : 0;
	return n ? ask_at(o, n - 1) : (Berth__NetworkAsk *)field_add(o->message, "networks");
}

/* none and host are no networks. */
static int spec_network(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct spec_opts *o = opts;

	if (!strcmp(value, "none") || !strcmp(value, "host")) {
		spec_origin_of(o, f, "network", value);
		return field_set(o->message, "network", value, e);
	}
	if (field_count(o->message, "networks") == 1 && !ask_at(o, 0)->network) {
		spec_origin_add(o, mem_text("networks[0]"), f, value);
		return network_from_text(ask_at(o, 0), value, e);
	}
	return network_from_text(spec_element(o, f, value), value, e);
}

static int spec_network_alias(void *opts, const struct flag *f, const char *value, struct err *e)
{
	size_t at;
	Berth__NetworkAsk *ask = ask_last(opts, &at);

	(void)e;
	spec_origin_add(opts, mem_printf("networks[%zu].aliases[%zu]", at, ask->n_aliases), f, value);
	network_alias_add(ask, value);
	return 0;
}

static int spec_network_ip(void *opts, const struct flag *f, const char *value, struct err *e)
{
	size_t at;
	Berth__NetworkAsk *ask = ask_last(opts, &at);

	if (!strchr(value, ':') != !strcmp(f->name, "ip"))
		return err_set(e, EINVAL, "flag", "\"%s\" is not an IPv%c address", value, f->name[2] ? '6' : '4');
	spec_origin_add(opts, mem_printf("networks[%zu].addresses[%zu]", at, ask->n_addresses), f, value);
	network_address_add(ask, value);
	return 0;
}

static int spec_network_mac(void *opts, const struct flag *f, const char *value, struct err *e)
{
	size_t at;
	Berth__NetworkAsk *ask = ask_last(opts, &at);

	(void)e;
	spec_origin_add(opts, mem_printf("networks[%zu].mac", at), f, value);
	free(ask->mac);
	ask->mac = mem_text(value);
	return 0;
}

/* NAME:ADDRESS, as newer Dockers NAME=ADDRESS; an IPv6 address with its brackets or without. */
static int spec_add_host(void *opts, const struct flag *f, const char *value, struct err *e)
{
	size_t len = strcspn(value, "=:"), n = value[len] ? strlen(value + len + 1) : 0;
	const char *address = value[len] ? value + len + 1 : "";
	Berth__HostName *host;

	if (!len || !n)
		return err_set(e, EINVAL, "flag",
			       "\"%s\" is not NAME:ADDRESS, such as db:192.0.2.7 or host:host-gateway", value);
	if (n > 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	}
	host = spec_element(opts, f, value);
	host->name = mem_textn(value, len);
	host->address = mem_textn(address, n);
	return 0;
}

struct port_flag {
	struct spec_opts *opts;
	const struct flag *flag;
	const char *value;
};

static Berth__PortMap *port_next(void *arg)
{
	struct port_flag *p = arg;

	return spec_element(p->opts, p->flag, p->value);
}

static int spec_publish(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return ports_from_text(port_next, &(struct port_flag){opts, f, value}, value, e);
}

static Berth__Network *network_of(struct spec_opts *o)
{
	return (Berth__Network *)o->message;
}

static int spec_subnet(void *opts, const struct flag *f, const char *value, struct err *e)
{
	Berth__Subnet *s = spec_element(opts, f, value);

	s->cidr = mem_text(value);
	return 0;
}

/* Of the value's family, if there is one; else the last. */
static Berth__Subnet *subnet_for(void *opts, const char *value, size_t *ret_at, struct err *e)
{
	Berth__Network *n = network_of(opts);

	if (!n->n_subnets) {
		err_set(e, EINVAL, "flag", "it belongs behind the --subnet that it is for");
		return NULL;
	}
	for (*ret_at = n->n_subnets; (*ret_at)--;)
		if (!strchr(n->subnets[*ret_at]->cidr, ':') == !strchr(value, ':'))
			return n->subnets[*ret_at];
	*ret_at = n->n_subnets - 1;
	return n->subnets[*ret_at];
}

static int spec_gateway(void *opts, const struct flag *f, const char *value, struct err *e)
{
	size_t at;
	Berth__Subnet *s = subnet_for(opts, value, &at, e);

	if (!s)
		return -EINVAL;
	if (s->gateway)
		return err_set(e, EINVAL, "flag", "%s has the gateway %s already", s->cidr, s->gateway);
	spec_origin_add(opts, mem_printf("subnets[%zu].gateway", at), f, value);
	s->gateway = mem_text(value);
	return 0;
}

static int spec_ip_range(void *opts, const struct flag *f, const char *value, struct err *e)
{
	size_t at;
	Berth__Subnet *s = subnet_for(opts, value, &at, e);

	if (!s)
		return -EINVAL;
	if (s->ip_range)
		return err_set(e, EINVAL, "flag", "%s has the range %s already", s->cidr, s->ip_range);
	spec_origin_add(opts, mem_printf("subnets[%zu].ip_range", at), f, value);
	s->ip_range = mem_text(value);
	return 0;
}

/* Docker's have a name, which nothing is done with there either. */
static int spec_aux_address(void *opts, const struct flag *f, const char *value, struct err *e)
{
	const char *equals = strchr(value, '='), *address = equals ? equals + 1 : value;
	size_t at;
	Berth__Subnet *s = subnet_for(opts, address, &at, e);

	if (!s)
		return -EINVAL;
	spec_origin_add(opts, mem_printf("subnets[%zu].reserved[%zu]", at, s->n_reserved), f, value);
	s->reserved = mem_grow(s->reserved, s->n_reserved, sizeof *s->reserved);
	s->reserved[s->n_reserved++] = mem_text(address);
	return 0;
}

/* What only some drivers have; and Docker's names of what all can say otherwise. */
static const struct driver_option {
	const char *key, *field;
	const char *why; /* it is not there */
} driver_options[] = {
	{"parent", "parent"},
	{"mode", "mode"},
	{"macvlan_mode", "mode"},
	{"ipvlan_mode", "mode"},
	{"mtu", "mtu"},
	{"com.docker.network.driver.mtu", "mtu"},
	{"com.docker.network.bridge.enable_ip_masquerade", "masquerade"},
	{"com.docker.network.bridge.enable_icc", NULL, "who may speak to whom is what security groups say"},
	{"com.docker.network.bridge.name", NULL,
	 "links of berth have names of their own (-d bridge -o parent=BRIDGE leads to yours)"},
	{"com.docker.network.bridge.host_binding_ipv4", NULL, "say it where a port is published (-p IP:PORT:PORT)"},
	{"com.docker.network.bridge.gateway_mode_ipv4", NULL,
	 "--masquerade=false leaves containers their own addresses outside"},
	{"com.docker.network.bridge.gateway_mode_ipv6", NULL,
	 "--masquerade=false leaves containers their own addresses outside"},
	{"com.docker.network.container_iface_prefix", NULL,
	 "interfaces are named one by one (--network NETWORK:link=NAME)"},
};

static int spec_driver_option(void *opts, const struct flag *f, const char *value, struct err *e)
{
	size_t len = strcspn(value, "=");

	for (size_t i = 0; i < ARRAY_SIZE(driver_options) && value[len]; i++) {
		const struct driver_option *o = &driver_options[i];

		if (strlen(o->key) != len || memcmp(o->key, value, len) != 0)
			continue;
		if (!o->field)
			return err_set(e, EOPNOTSUPP, "flag", "\"%s\": %s", value, o->why);
		spec_origin_of(opts, f, o->field, value);
		return field_set(((struct spec_opts *)opts)->message, o->field, value + len + 1, e);
	}
	return err_set(e, EINVAL, "flag", "\"%s\" is not parent=LINK, mode=MODE or mtu=BYTES", value);
}

/* What is so anyway may be said. */
static int spec_as_it_is(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)opts;
	if (!strcmp(value, "default") || !strcmp(value, "local"))
		return 0;
	return err_set(e, EOPNOTSUPP, "flag", "\"%s\": %s", value,
		       !strcmp(f->name, "scope")
			       ? "a network is of this host alone (local)"
			       : "berth gives addresses itself (default): --subnet, --ip-range, --aux-address");
}

/* ---------------------------------------------------------------- the tables */

const struct flag spec_joins_flags[] = {
	{0, "network", "NETWORK[:KEY=VALUE,...]",
	 "none, host, or a network, for an interface each; ip=ADDRESS, ip6=ADDRESS, link=NAME, mac=MAC, alias=NAME, sg=GROUP, spoof=yes, rate-in=RATE, rate-out=RATE; default: none, or what berthd.conf says",
	 spec_network, .field = "networks", .complete = "network"},
	{0, "net", "NETWORK", NULL, spec_network, .field = "networks", .complete = "network"},
	{0, "network-alias", "NAME", "a further name in the network", spec_network_alias, .field = "networks.aliases"},
	{0, "net-alias", "NAME", NULL, spec_network_alias, .field = "networks.aliases"},
	{0, "ip", "ADDRESS", "IPv4 address in the network", spec_network_ip, .field = "networks.addresses"},
	{0, "ip6", "ADDRESS", "IPv6 address in the network", spec_network_ip, .field = "networks.addresses"},
	{0, "mac-address", "MAC", "of the interface", spec_network_mac, .field = "networks.mac"},
	{'p', "publish", "[[IP:]PORT:]PORT[/PROTOCOL]", "a port of the host that leads to one of the container's",
	 spec_publish, .field = "ports"},
	{0, "add-host", "NAME:ADDRESS", "a line of /etc/hosts; host-gateway: where the host is reached", spec_add_host,
	 .field = "names.hosts"},
	{0, "dns", "ADDRESS", "name server that is asked in place of its networks'", spec_field, .field = "names.dns"},
	{0, "dns-search", "DOMAIN", "where names without a dot are looked for; \".\": nowhere else", spec_field,
	 .field = "names.dns_search"},
	{0, "dns-option", "OPTION", "of resolv.conf, such as ndots:2", spec_field, .field = "names.dns_options"},
	{0, "dns-opt", "OPTION", NULL, spec_field, .field = "names.dns_options"},
	{0},
};

const struct flag spec_network_flags[] = {
	{'d', "driver", "DRIVER", "routed (default), bridge, macvlan, ipvlan or phys: berth network drivers",
	 spec_field, .field = "driver", .complete = "routed bridge macvlan ipvlan phys"},
	{'o', "opt", "KEY=VALUE", "of the driver: parent=LINK of the host; mode= of macvlan and ipvlan",
	 spec_driver_option, .field = "parent", .complete = "parent= mode= mtu="},
	{0, "subnet", "CIDR", "its addresses: one IPv4 subnet, one IPv6 subnet, or both; default: free ones are found",
	 spec_subnet, .field = "subnets"},
	{0, "gateway", "ADDRESS", "of the subnet of its family; default: its first address", spec_gateway,
	 .field = "subnets.gateway"},
	{0, "ip-range", "CIDR", "of the subnet of its family: where addresses are taken from; default: all of it",
	 spec_ip_range, .field = "subnets.ip_range"},
	{0, "aux-address", "[NAME=]ADDRESS", "of the subnet of its family: somebody else's, so never given",
	 spec_aux_address, .field = "subnets.reserved"},
	{0, "dns", "ADDRESS", "name server of its containers; default: the host's", spec_field, .field = "dns"},
	{0, "dns-search", "DOMAIN", "where names without a dot are looked for", spec_field, .field = "dns_search"},
	{0, "mtu", "BYTES", "of its interfaces; default 1500", spec_field, .field = "mtu"},
	{0, "internal", NULL, "nothing of it leaves the host, but answers to what is published", spec_field,
	 .field = "internal"},
	{0, "masquerade", NULL, "what leaves the host has the host's address (default); =false: its own", spec_field,
	 .field = "masquerade"},
	{0, "shared", NULL, "all projects may use it", spec_field, .field = "shared"},
	{'l', "label", "KEY=VALUE", "add a label", spec_label, .field = "labels"},
	{0, "scope", "local", NULL, spec_as_it_is},
	{0, "ipam-driver", "default", NULL, spec_as_it_is},
	SPEC_REFUSED(0, "ipam-opt", "berth gives addresses itself: --subnet, --ip-range, --aux-address"),
	SPEC_REFUSED(0, "ingress", "berth has no swarm: publish ports with -p"),
	SPEC_REFUSED(0, "config-only", "berth has no networks that are only a form of others"),
	SPEC_REFUSED(0, "config-from", "berth has no networks that are only a form of others"),
	{0},
};

const struct flag spec_interface_flags[] = {
	{0, "ip", "ADDRESS", "of its IPv4 subnet; default: one is found", spec_field, .field = "addresses"},
	{0, "ip6", "ADDRESS", "of its IPv6 subnet", spec_field, .field = "addresses"},
	{0, "link", "NAME", "of the interface; default: the first of eth0, eth1 … that is free", spec_field,
	 .field = "link"},
	{0, "mac", "MAC", "of the interface; default: one is made", spec_field, .field = "mac"},
	{0, "alias", "NAME", "a further name in this network", spec_field, .field = "aliases"},
	{0, "mac-address", "MAC", NULL, spec_field, .field = "mac"},
	SPEC_REFUSED(0, "driver-opt", "say what the interface is to be like: NETWORK:KEY=VALUE,..."),
	SPEC_REFUSED(0, "gw-priority", "the default route is that of the first network there is"),
	SPEC_REFUSED(0, "link-local-ip", "the kernel makes those itself"),
	{0},
};
