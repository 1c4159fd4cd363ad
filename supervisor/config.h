/* supervisor/config.h - berthd's settings: defaults, then the file (base/settings.h), then the command line (main.c), then
 * config_check. Keys are the fields of struct config. */
#pragma once

#include "base/err.h"
#include "supervisor/supervisor.h"

void config_defaults(struct config *c);
/* One setting by name, as in the file: also for the command line. e->step = the key. */
int config_set(struct config *c, const char *key, const char *value, struct err *e);
/* A path of the command line, which may be relative to `here`, the folder we were started in. */
int config_set_path(struct config *c, const char *key, const char *here, const char *path, struct err *e);
int config_parse(struct config *c, const char *file, const char *text, size_t len, struct err *e);
/* A missing file is fine unless must_exist. */
int config_load(struct config *c, const char *path, bool must_exist, struct err *e);
/* After the last change: paths absolute and short enough, ranges possible. */
int config_check(const struct config *c, struct err *e);
