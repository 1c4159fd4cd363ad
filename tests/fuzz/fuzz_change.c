/* tests/fuzz/fuzz_change.c - any lines as instructions of `commit --change`: refused with a reason and nothing changed, or done to a config that can be stored and is
 * read again. */
#include "base/own.h"
#include "base/str.h"
#include "image/change.h"
#include "proto/envelope.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINES 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct packed {
	uint8_t *bytes;
	size_t len;
};

static struct packed pack(const Berth__ImageConfig *c)
{
	struct packed p = {.len = berth__image_config__get_packed_size(c)};

	p.bytes = malloc(p.len + 1);
	berth__image_config__pack(c, p.bytes);
	return p;
}

static void line_do(struct changes *c, const char *line)
{
	struct packed before = pack(c->config), after;
	struct err e = {0};
	int r = change_apply(c, line, &e);
	void *again;

	after = pack(c->config);
	again = message_unpack(&berth__image_config__descriptor, after.bytes, after.len);
	if (r < 0 && (!e.text[0] || before.len != after.len || memcmp(before.bytes, after.bytes, after.len) != 0))
		abort();
	if (!again)
		abort();
	protobuf_c_message_free_unpacked(again, NULL);
	free(before.bytes);
	free(after.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* As each text of a request is. */
	if (!str_is_utf8((const char *)data, len))
		return 0;
	Berth__ImageConfig *config = berth__image_config__unpack(NULL, 0, NULL);
	struct changes c = {.config = config};
	char *text = malloc(len + 1), *line = text, *end;

	memcpy(text, data, len);
	text[len] = 0;
	for (unsigned i = 0; i < LINES && line; i++, line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = 0;
		line_do(&c, line);
	}
	berth__image_config__free_unpacked(config, NULL);
	free(text);
	return 0;
}
