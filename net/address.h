/* net/address.h - addresses of links, and those for which the host answers though they are not its own, one request each. What is there already, or is gone,
 * is no error. Negative errno with e filled. */
#pragma once

#include "net/ip.h"

/* Whether it has one of more than the link itself; or negative errno. */
int address_any(struct nl *nl, int index);
/* Whether the link has this one; or negative errno. */
int address_is_on(struct nl *nl, int index, const struct ip *ip);
/* Each address of the host with the length of its wire's prefix, and its link. */
int address_each(struct nl *nl, void (*fn)(void *arg, const struct ip *ip, unsigned prefix, int index), void *arg,
		 struct err *e);
/* A socket that hears that the host has got addresses or lost some; of more than a link. */
int address_news_open(struct mnl_socket **ret, struct err *e);
bool address_news_heard(struct mnl_socket *news); /* and no more now */
int address_put(struct nl *nl, int index, const struct ip *ip, unsigned prefix, struct err *e);
int address_del(struct nl *nl, int index, const struct ip *ip, unsigned prefix, struct err *e);

/* Whose address is at which MAC: known for good, or (asked) until he is found elsewhere. */
int neighbour_put(struct nl *nl, int index, const struct ip *ip, const uint8_t mac[6], bool asked, struct err *e);

/* Addresses for which the host answers on a link though they are not its own; those that we have put. */
int proxy_put(struct nl *nl, int index, const struct ip *ip, struct err *e);
int proxy_del(struct nl *nl, int index, const struct ip *ip, struct err *e);
int proxy_each(struct nl *nl, void (*fn)(void *arg, const struct ip *ip, int index), void *arg, struct err *e);
