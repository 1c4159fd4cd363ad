/* tests/fuzz/fuzz_gateway_call.c - any request against all dialects: line, headers, body as HTTP has them. It is answered once, or asks
 * berthd (whose absence it then hears of); an answer that says it is JSON is, and no header of it carries a second line. */
#include "gateway/calls.h"
#include "gateway/keystone/keystone.h"
#include "gateway/memory.h"
#include "gateway/self.h"
#include "gateway/zun/zun.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct dialect *const dialects[] = {&self_dialect, &keystone_dialect, &zun_dialect, NULL};
static struct gateway gw = {.dialects = dialects};
static unsigned answers;

static void on_done(struct call *c)
{
	answers++;
}

static void check(const struct call *c)
{
	const struct call_answer *a = call_answer(c);
	bool json = false;

	if (answers != 1 || !a->done || a->status < 200 || a->status > 599)
		abort();
	for (unsigned i = 0; i < a->n_headers; i++) {
		if (strpbrk(a->header[i].value, "\r\n") || !*a->header[i].name)
			abort();
		json |= !strcasecmp(a->header[i].name, "Content-Type") &&
			!strcmp(a->header[i].value, "application/json");
	}
	if (c->out.buf.len && json) {
		json_t *value = json_loadb(c->out.buf.data, c->out.buf.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

		if (!value)
			abort();
		json_decref(value);
	}
}

/* The next line of *text, cut at its end; NULL at an empty one or at the end of all. */
static char *line_next(char **text)
{
	char *line = *text, *end;

	if (!line || !*line)
		return NULL;
	end = strchr(line, '\n');
	*text = end ? end + 1 : line + strlen(line);
	if (end)
		*end = 0;
	return *line ? line : NULL;
}

static void ask(char *text, size_t len)
{
	struct header headers[20];
	unsigned n = 0;
	char *at = text, *method = line_next(&at), *target = method ? strchr(method, ' ') : NULL, *line;
	struct call *c;

	if (!target)
		return;
	*target++ = 0;
	target[strcspn(target, " ")] = 0;
	c = call_new(&gw, target, on_done, NULL);
	if (!c)
		return;
	while (n < sizeof headers / sizeof headers[0] && (line = line_next(&at))) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = 0;
		headers[n++] = (struct header){line, colon + 1 + strspn(colon + 1, " ")};
	}
	answers = 0;
	call_head(c, method, headers, n, NULL);
	call_body(c, at, len - (size_t)(at - text));
	call_end_of_body(c);
	if (!answers)
		upstream_fini(&gw.upstream);
	check(c);
	call_free(c);
	if (memory_used())
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);

	memcpy(text, data, len);
	text[len] = 0;
	memory_init(64u << 20);
	if (loop_init(&gw.loop) < 0)
		abort();
	upstream_init(&gw.upstream, &gw.loop, "/nowhere");
	ask(text, len);
	upstream_fini(&gw.upstream);
	loop_fini(&gw.loop);
	free(text);
	return 0;
}
