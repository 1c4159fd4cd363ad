/* gateway/memory.h - what all requests together may hold: bodies, JSON trees, answers that their readers have not taken yet. One ceiling
 * for the process, since jansson's allocator is the process's too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

void memory_init(size_t max); /* before the first JSON; without it there is no ceiling */
/* False: over the ceiling, nothing was taken. The last eighth below it is for JSON, so that small requests are still understood. */
bool memory_take(size_t n);
void memory_force(size_t n); /* taken whatever the ceiling: it is little, or as much comes back in a moment */
void memory_give(size_t n);
size_t memory_used(void);
size_t memory_max(void);

/* Until memory_tree_end one JSON tree grows by at most max bytes; a refusal of jansson's for lack of them is told by the result. */
void memory_tree_begin(size_t max);
bool memory_tree_end(void); /* something was refused */
