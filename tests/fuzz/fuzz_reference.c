/* tests/fuzz/fuzz_reference.c - any text as the name of an image: refused with a reason, or canonical, which then stays as it is. */
#include "image/reference.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1), one[REFERENCE_SIZE], two[REFERENCE_SIZE];
	struct err e = {0};

	memcpy(text, data, len);
	text[len] = 0;
	if (reference_canonical(text, one, &e) == 0) {
		if (!strchr(one, '/') || reference_canonical(one, two, &e) < 0 || strcmp(one, two))
			abort();
	} else if (!e.text[0]) {
		abort();
	}
	free(text);
	return 0;
}
