/* net/bridge_table.h - the nftables table `bridge berth`: what a port of a bridge may send. Nothing that passes between two ports of a bridge goes
 * through the tables of IP, so who sends under whose address is looked at where it enters; that holds on bridges of the host too. */
#pragma once

#include "base/buf.h"
#include "net/element.h"
#include "proto/net.pb-c.h"

#include <stdbool.h>

/* u NULL: routed. */
bool bridge_has_ports(const Net__Uplink *u);
void bridge_table_text(struct buf *b); /* the table, empty, instead of what was there */
void bridge_port_elements(struct elements *list, const Net__Port *p);
