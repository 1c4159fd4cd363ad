/* image/pieces.h - bytes that one thread makes and another uses up, a few pieces apart. Neither holds a lock while it works on one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIECE_SIZE (256u << 10)
#define PIECES	   4u

struct piece {
	size_t len;
	uint64_t mark; /* whatever whoever makes it has to say of it */
	unsigned char data[PIECE_SIZE];
};

struct pieces;

struct pieces *pieces_new(void); /* NULL: no memory */
void pieces_free(struct pieces *p);

/* Who makes them. Waits for a place. NULL: nobody wants any more. */
struct piece *pieces_room(struct pieces *p);
void pieces_put(struct pieces *p); /* the one that pieces_room gave */
void pieces_end(struct pieces *p); /* no more will come */

/* Who uses them. The next one, which is his until he asks again; waits for it. NULL: that was the last one. */
const struct piece *pieces_next(struct pieces *p);
void pieces_stop(struct pieces *p); /* no more are wanted */
