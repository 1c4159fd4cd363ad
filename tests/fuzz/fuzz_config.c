/* tests/fuzz/fuzz_config.c - any bytes as the settings file: taken whole or refused with file and line, nothing changed. */
#include "supervisor/config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config c, before;
	struct err e = {0};

	config_defaults(&before);
	c = before;
	if (config_parse(&c, "f", (const char *)data, len, &e) == 0) {
		(void)config_check(&c, &e);
		return 0;
	}
	if (strncmp(e.text, "f:", 2) != 0 || memcmp(&c, &before, sizeof c) != 0)
		abort();
	return 0;
}
