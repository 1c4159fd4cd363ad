/* gateway/gateway.h - what there is once in the process. */
#pragma once

#include "base/loop.h"
#include "gateway/dialect.h"
#include "gateway/upstream.h"

struct gateway {
	struct loop loop;
	struct upstream upstream;
	const struct dialect *const *dialects; /* the last is NULL */
	struct server *server;
};
