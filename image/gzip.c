/* image/gzip.c - see image/gzip.h */
#include "image/gzip.h"

#include <errno.h>
#include <isa-l.h>
#include <stdlib.h>

#define LEVEL	 2 /* of 0 to 3: a fifth smaller than 1, and still several hundred MB/s */
#define OUT_SIZE (256u << 10)

struct gzip {
	int (*put)(void *arg, const void *data, size_t len, struct err *e);
	void *arg;
	struct isal_zstream stream;
	unsigned char level[ISAL_DEF_LVL2_DEFAULT];
	unsigned char out[OUT_SIZE];
};

struct gzip *gzip_new(int (*put)(void *arg, const void *data, size_t len, struct err *e), void *arg)
{
	struct gzip *g = malloc(sizeof *g);

	if (!g)
		return NULL;
	g->put = put;
	g->arg = arg;
	isal_deflate_init(&g->stream);
	g->stream.level = LEVEL;
	g->stream.level_buf = g->level;
	g->stream.level_buf_size = sizeof g->level;
	g->stream.gzip_flag = IGZIP_GZIP;
	return g;
}

void gzip_free(struct gzip *g)
{
	free(g);
}

/* Until it wants more. */
static int run(struct gzip *g, struct err *e)
{
	int r;

	do {
		g->stream.next_out = g->out;
		g->stream.avail_out = sizeof g->out;
		r = isal_deflate(&g->stream);
		if (r != COMP_OK)
			return err_set(e, EIO, "compress", "isa-l error %d", r);
		r = g->put(g->arg, g->out, sizeof g->out - g->stream.avail_out, e);
		if (r < 0)
			return r;
	} while (!g->stream.avail_out);
	return 0;
}

int gzip_add(struct gzip *g, const void *data, size_t len, struct err *e)
{
	int r = 0;

	for (size_t at = 0; !r && at < len;) {
		size_t n = len - at < 1u << 30 ? len - at : 1u << 30;

		g->stream.next_in = (uint8_t *)(uintptr_t)data + at;
		g->stream.avail_in = (uint32_t)n;
		r = run(g, e);
		at += n;
	}
	return r;
}

int gzip_end(struct gzip *g, struct err *e)
{
	g->stream.end_of_stream = 1;
	g->stream.avail_in = 0;
	return run(g, e);
}
