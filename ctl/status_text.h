/* ctl/status_text.h - a container's state in a few words, for tables. Pure. */
#pragma once

#include "proto/berth.pb-c.h"

#define STATUS_TEXT_SIZE  200
#define COMMAND_TEXT_SIZE 48

const char *state_text(Berth__ContainerState state); /* "running" */
/* "Up 5 minutes", "Exited (137) 3 seconds ago: out of memory", "Backoff: retry in 400 ms" */
const char *status_text(const Berth__ContainerSummary *c, int64_t now_ns, char buf[STATUS_TEXT_SIZE]);
/* At most 30 characters of it; a cut one ends in "…". */
const char *command_text(const char *command, char buf[COMMAND_TEXT_SIZE]);
