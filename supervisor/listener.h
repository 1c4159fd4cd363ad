/* supervisor/listener.h - which program of the host has a port, and at which addresses. */
#pragma once

#include "supervisor/address.h"

#include <stdbool.h>
#include <stdint.h>

#define LISTENER_TEXT 80

/* "nginx (pid 7)", or "a program of the host": it cannot be found, or only by looking for longer than it is worth. */
const char *listener_name(const char *protocol, uint32_t port, char buf[LISTENER_TEXT]);
/* Everybody who has the port has it at such an address alone. */
bool listener_only_at(const char *protocol, uint32_t port, bool (*such)(const struct address *a, void *arg), void *arg);
