/* net/refused.h - flows of datagrams that the kernel goes on to know while the rules of security groups refuse their packets: each packet keeps
 * them alive, and what they were would say in which direction the other side's packets go. They end with the first packet that is refused, so the next
 * one in either direction is measured as what it is. (A TCP connection says by itself who has begun it, and goes on when it is let again.)
 *
 * The rules name such packets to us by nfnetlink_log. */
#pragma once

#include "base/err.h"

/* Of nfnetlink_log, in our network namespace: a number that others are not likely to have. */
#define REFUSED_GROUP	   48662
#define REFUSED_GROUP_TEXT "48662"

struct refused;

int refused_open(struct refused **ret, struct err *e);
void refused_close(struct refused *r);	 /* NULL is harmless */
int refused_fd(const struct refused *r); /* readable: refused_read; -1 of NULL */
void refused_read(struct refused *r);
