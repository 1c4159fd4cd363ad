/* gateway/self.h - the gateway's own dialect: /healthcheck, /metrics. */
#pragma once

#include "gateway/dialect.h"

extern const struct dialect self_dialect;
