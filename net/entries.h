/* net/entries.h - what the sets and maps of our tables have of a network, and of a port. */
#pragma once

#include "net/element.h"
#include "proto/net.pb-c.h"

void network_elements(struct elements *list, const Net__Network *n);
void port_elements(struct elements *list, const Net__Port *p);
