/* net/announce.h - tells the neighbours of a link that an address is to be had here from now on: a gratuitous ARP, an unsolicited neighbour
 * advertisement. Who does not hear it finds out when what he knows grows old. */
#pragma once

#include "net/link.h"

/* Before capabilities go; -1: this process may not, and nothing is announced. */
int announce_open(void);
void announce(int fd, int index, const uint8_t mac[6], const struct ip *ip);
