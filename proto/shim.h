/* proto/shim.h - which shim protocol is spoken here; shim.proto has the history. */
#pragma once

#include "proto/shim.pb-c.h"

#define SHIM_VERSION	    5
#define SHIM_VERSION_OLDEST 1
