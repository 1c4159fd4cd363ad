/* net/ports.h - ranges of ports, in order and apart from each other. */
#pragma once

#include "net/batch.h"

#define PORTS_MAX 1025u /* ranges: one for each rule of a group, and one more while a range is put between others */

struct ports {
	struct {
		uint32_t first, last;
	} v[PORTS_MAX];
	size_t n;
};

/* At most PORTS_MAX - 1 times. */
void ports_add(struct ports *p, uint32_t first, uint32_t last);
/* As nft(8) has it: 80, 80-90 or { 80, 90-99 }. */
void ports_text(struct buf *b, const struct ports *p);
/* As a set without a name, for rules of the same batch: they look it up as PORTS_SET with the number that this returns. */
#define PORTS_SET "__set%d"
uint32_t ports_put(struct batch *b, const struct ports *p);
