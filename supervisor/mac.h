/* supervisor/mac.h - MAC addresses, and names of interfaces. Pure, but for chance. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MAC_TEXT 18u

/* "02:00:00:00:00:0a", strictly; -EINVAL. */
int mac_parse(const char *text, uint8_t mac[6]);
const char *mac_text(const uint8_t mac[6], char buf[MAC_TEXT]);
int mac_make(uint8_t mac[6]); /* any, of one machine's, that is given by nobody but us; negative errno */
/* One that a machine can have: not of a group, not nobody's. */
bool mac_is_unicast(const uint8_t mac[6]);
/* As the kernel has it: 1 to 15 printable characters without blank, slash and colon, and none that mean something else. */
bool link_name_is_good(const char *text);
