/* supervisor/meta.h - Meta of an object that begins to be: its uuid, its number, its first generation, whose it is. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

/* uuid NULL: a new one. name NULL: it has none, its uuid stands for it. NULL without memory; the caller's. */
Berth__Meta *meta_new(struct supervisor *sv, const char *uuid, const char *project, const char *owner,
		      const char *name);
