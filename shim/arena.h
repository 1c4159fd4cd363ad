/* shim/arena.h - memory for one unpacked message: taken in one piece, dropped in one piece, nothing freed in between.
 * protobuf-c allocates from it, so that no plan ever grows the shim's heap. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct arena {
	ProtobufCAllocator allocator;
	char *base;
	size_t used, size;
	size_t mapped; /* 0: base belongs to the caller */
};

int arena_init(struct arena *a, size_t size);		      /* mmap; pages appear as they are used */
void arena_init_on(struct arena *a, void *base, size_t size); /* in the caller's memory */
void arena_fini(struct arena *a);
