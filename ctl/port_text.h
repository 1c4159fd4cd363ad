/* ctl/port_text.h - published ports as Docker writes them. Pure. */
#pragma once

#include "base/buf.h"
#include "proto/berth.pb-c.h"

/* Where the host answers for it: each address with its port ("0.0.0.0:8080", "[::]:8080"), by the families that the container has. */
typedef void port_fn(void *arg, const Berth__PortMap *p, const char *where);
void port_each(Berth__PortMap *const *ports, size_t n, char *const *addresses, size_t n_addresses, port_fn *fn,
	       void *arg);

/* "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"; what follows each other is a range: "0.0.0.0:7000-7010->7000-7010/tcp". */
void ports_text(struct buf *b, Berth__PortMap *const *ports, size_t n, char *const *addresses, size_t n_addresses);
