/* supervisor/sweep.h - at start, when every living shim has spoken: what belongs to nobody is removed. */
#pragma once

#include "supervisor/shimlink.h"
#include "supervisor/supervisor.h"

struct stranger {	  /* a shim that no row knows, on its way out */
	struct list link; /* supervisor.strangers */
	struct shimlink *shim;
	struct supervisor *sv;
	char uuid[UUID_SIZE];
};

/* Groups, shims, exit records and sockets at once; folders by the store's thread. */
void sweep_all(struct supervisor *sv);
