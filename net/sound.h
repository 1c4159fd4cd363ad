/* net/sound.h - whether what berthd says can be worked with. It checks what people ask for; this is so that no mistake of ours becomes a rule, or
 * reaches beyond a message. */
#pragma once

#include "base/err.h"
#include "proto/net.pb-c.h"

#include <stdbool.h>

bool host_link_is_sound(const char *name);
bool slot_is_sound(const Net__Port *p, struct err *e); /* a SlotPut's */
bool port_is_sound(const Net__Port *p, struct err *e);
bool network_is_sound(const Net__Network *n, struct err *e);
