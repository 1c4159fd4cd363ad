/* proto/dns.h - what berthd and berth-dns have to agree on beside their messages. */
#pragma once

/* Names of containers end in it where they have an end; .internal is nobody's, so nothing below it is ever asked of others. */
#define DNS_DOMAIN "berth.internal"
