/* supervisor/listener.h - which program of the host has a port: for the words of a refusal. */
#pragma once

#include <stdint.h>

#define LISTENER_TEXT 80

/* "nginx (pid 7)", or "a program of the host": it cannot be found, or only by looking for longer than it is worth. */
const char *listener_name(const char *protocol, uint32_t port, char buf[LISTENER_TEXT]);
