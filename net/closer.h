/* net/closer.h - closes descriptors in threads of its own, which wait side by side: of a packet socket the kernel first waits until no processor looks at it any more, 8 to 24 ms
 * in which somebody else's interface could be made. */
#pragma once

#include "base/err.h"

/* After confine_enter: a thread has the rights of who makes it. */
int closer_open(int *ret, struct err *e);
void closer_close(int closer, int *fd); /* soon; *fd is -1 afterwards */
