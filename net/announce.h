/* net/announce.h - what is said to the neighbours of a link about an address, and heard of them, by ARP and neighbour discovery: that it is to be had here
 * from now on, and the question whose it is. Whole frames: the sender is whose MAC is given. Who does not hear it finds out when what he
 * knows grows old. */
#pragma once

#include "net/ip.h"

/* A packet socket of the namespace that we are in, which hears nothing. -1: this process may not. */
int announce_open(void);
/* router: it forwards, and is told as that (IPv6). */
void announce(int fd, int index, const uint8_t mac[6], const struct ip *ip, bool router);
/* Whose is it? Nobody remembers anything of who asks (RFC 5227, RFC 4862). */
void announce_ask(int fd, int index, const uint8_t mac[6], const struct ip *ip);

/* From now on it hears, of one link, who says that an address is his. */
int announce_hear(int fd, int index);
/* The next of these, or of who asks with it as his own; the socket is non-blocking; false: no more for now. *left: of frames that are looked at, whatever they are. */
bool announce_next(int fd, struct ip *ip, uint8_t mac[6], unsigned *left);
