/* supervisor/names.h - containers by name. Names are not unique by themselves (an API may ask otherwise), so a name may fit
 * several; within a project the `berth` tool asks for uniqueness. */
#pragma once

#include "supervisor/supervisor.h"

struct container;
struct names;

int names_new(uint32_t capacity, struct names **ret);
void names_free(struct names *n);
void names_add(struct names *n, struct container *c);
void names_del(struct names *n, struct container *c);
/* The first of this name in the project (NULL: in any); *ret_n how many there are. */
struct container *names_find(const struct names *n, const char *project, const char *name, unsigned *ret_n);
