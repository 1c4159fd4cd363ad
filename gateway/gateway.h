/* gateway/gateway.h - what there is once in the process. */
#pragma once

#include "base/loop.h"
#include "gateway/config.h"
#include "gateway/dialect.h"
#include "gateway/metrics.h"
#include "gateway/upstream.h"

struct gateway {
	struct config cfg;
	struct loop loop;
	struct upstream upstream;
	const struct dialect *const *dialects; /* the last is NULL */
	struct metrics metrics;
	struct server *server; /* NULL in tests */
};
