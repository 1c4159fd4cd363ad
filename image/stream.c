/* image/stream.c - see image/stream.h. gzip by isa-l (2.7 times as fast as zlib), with its checksums verified; several members
 * or frames one after the other are one stream, as gzip(1) and zstd(1) have it. */
#include "image/stream.h"

#include "base/own.h"

#include <errno.h>
#include <isa-l.h>
#include <stdbool.h>
#include <string.h>
#include <zstd.h>

#define IN_SIZE (256u << 10)

/* A frame may ask for as large a window as it likes; what common tools write without special options needs 8 MiB at most. */
#define ZSTD_WINDOW_LOG_MAX_HERE 27

enum format { FORMAT_PLAIN, FORMAT_GZIP, FORMAT_ZSTD };

struct stream {
	int fd;
	uint64_t begin, offset, left;
	enum format format;
	bool in_member; /* gzip, zstd: between its first and its last byte */
	bool in_end;	/* nothing more to read from fd */
	size_t at, len; /* unread part of in */
	struct inflate_state inflate;
	ZSTD_DCtx *zstd;
	unsigned char in[IN_SIZE];
};

static int in_fill(struct stream *s, struct err *e)
{
	size_t want = sizeof s->in - s->len;
	ssize_t n;

	if (s->at) {
		memmove(s->in, s->in + s->at, s->len);
		s->at = 0;
	}
	if (s->left != STREAM_TO_END && want > s->left)
		want = (size_t)s->left;
	while (want && !s->in_end) {
		n = s->left == STREAM_TO_END ? read(s->fd, s->in + s->len, want)
					     : pread(s->fd, s->in + s->len, want, (off_t)s->offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "read", "read");
		if (n == 0) {
			s->in_end = true;
			if (s->left != STREAM_TO_END)
				return err_set(e, 0, "read", "the file ends %llu bytes early",
					       (unsigned long long)s->left);
			break;
		}
		s->len += (size_t)n;
		s->offset += (uint64_t)n;
		if (s->left != STREAM_TO_END)
			s->left -= (uint64_t)n;
		/* The format is told from six bytes: a pipe may give fewer at once. */
		if (s->len >= 6)
			break;
		want -= (size_t)n;
	}
	if (s->left == 0)
		s->in_end = true;
	return 0;
}

static int format_detect(struct stream *s, struct err *e)
{
	static const struct {
		const char *magic, *name;
		unsigned len;
	} refused[] = {{"\xfd"
			"7zXZ",
			"xz", 5},
		       {"BZh", "bzip2", 3},
		       {"\x04\x22\x4d\x18", "lz4", 4}};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (s->len >= refused[i].len && !memcmp(s->in, refused[i].magic, refused[i].len))
			return err_set(e, 0, "decompress", "compressed with %s: gzip, zstd or no compression is taken",
				       refused[i].name);
	if (s->len >= 2 && s->in[0] == 0x1f && s->in[1] == 0x8b) {
		s->format = FORMAT_GZIP;
		isal_inflate_init(&s->inflate);
	} else if (s->len >= 4 && !memcmp(s->in, "\x28\xb5\x2f\xfd", 4)) {
		s->format = FORMAT_ZSTD;
		s->zstd = ZSTD_createDCtx();
		if (!s->zstd ||
		    ZSTD_isError(ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX_HERE)))
			return err_set(e, ENOMEM, "decompress", "zstd");
	}
	return 0;
}

struct stream *stream_open(int fd, uint64_t offset, uint64_t length, struct err *e)
{
	struct stream *s = malloc(sizeof *s);

	if (!s) {
		err_set(e, ENOMEM, "read", "stream");
		return NULL;
	}
	s->fd = fd;
	s->begin = s->offset = offset;
	s->left = length;
	s->format = FORMAT_PLAIN;
	s->in_member = false;
	s->in_end = length == 0;
	s->at = s->len = 0;
	s->zstd = NULL;
	if (in_fill(s, e) < 0 || format_detect(s, e) < 0) {
		stream_close(s);
		return NULL;
	}
	return s;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	ZSTD_freeDCtx(s->zstd);
	free(s);
}

static ssize_t plain_read(struct stream *s, void *buf, size_t size, struct err *e)
{
	size_t n;

	if (!s->len && !s->in_end && in_fill(s, e) < 0)
		return -EIO;
	n = s->len < size ? s->len : size;
	memcpy(buf, s->in + s->at, n);
	s->at += n;
	s->len -= n;
	return (ssize_t)n;
}

/* Between two members: another one, zeros that pad to a block, or the end. */
static int member_begin(struct stream *s, struct err *e)
{
	while (s->len || !s->in_end) {
		if (s->len < 2 && !s->in_end && in_fill(s, e) < 0)
			return -EIO;
		if (s->len >= 2 && s->in[s->at] == 0x1f && s->in[s->at + 1] == 0x8b) {
			isal_inflate_reset(&s->inflate);
			s->inflate.crc_flag = ISAL_GZIP;
			s->in_member = true;
			return 0;
		}
		if (!s->len)
			break;
		if (s->in[s->at])
			return err_set(e, 0, "decompress", "something that is not gzip follows the gzip data");
		s->at++;
		s->len--;
	}
	return 0;
}

static ssize_t gzip_read(struct stream *s, void *buf, size_t size, struct err *e)
{
	size_t got;
	int r;

	do {
		if (!s->in_member) {
			if (member_begin(s, e) < 0)
				return -EIO;
			if (!s->in_member)
				return 0;
		}
		if (!s->len && !s->in_end && in_fill(s, e) < 0)
			return -EIO;
		s->inflate.next_in = s->in + s->at;
		s->inflate.avail_in = (uint32_t)s->len;
		s->inflate.next_out = buf;
		s->inflate.avail_out = (uint32_t)size;
		r = isal_inflate(&s->inflate);
		got = size - s->inflate.avail_out;
		s->at = (size_t)(s->inflate.next_in - s->in);
		s->len = s->inflate.avail_in;
		if (r != ISAL_DECOMP_OK && r != ISAL_END_INPUT)
			return err_set(e, 0, "decompress", "damaged gzip data (isa-l error %d)", r);
		if (s->inflate.block_state == ISAL_BLOCK_FINISH)
			s->in_member = false;
		else if (!got && !s->len && s->in_end)
			return err_set(e, 0, "decompress", "the gzip data is cut short");
	} while (!got);
	return (ssize_t)got;
}

static ssize_t zstd_read(struct stream *s, void *buf, size_t size, struct err *e)
{
	ZSTD_outBuffer out = {buf, size, 0};

	do {
		ZSTD_inBuffer in;
		size_t r;

		if (!s->len && !s->in_end && in_fill(s, e) < 0)
			return -EIO;
		if (!s->len && !s->in_member)
			return 0;
		in = (ZSTD_inBuffer){s->in + s->at, s->len, 0};
		r = ZSTD_decompressStream(s->zstd, &out, &in);
		if (ZSTD_isError(r))
			return err_set(e, 0, "decompress", "damaged zstd data: %s", ZSTD_getErrorName(r));
		s->at += in.pos;
		s->len -= in.pos;
		s->in_member = r != 0;
		if (!out.pos && !s->len && s->in_end && s->in_member)
			return err_set(e, 0, "decompress", "the zstd data is cut short");
	} while (!out.pos);
	return (ssize_t)out.pos;
}

ssize_t stream_read(struct stream *s, void *buf, size_t size, struct err *e)
{
	if (size > (1u << 30))
		size = 1u << 30;
	switch (s->format) {
	case FORMAT_GZIP:
		return gzip_read(s, buf, size, e);
	case FORMAT_ZSTD:
		return zstd_read(s, buf, size, e);
	default:
		return plain_read(s, buf, size, e);
	}
}

uint64_t stream_taken(const struct stream *s)
{
	return s->offset - s->begin - s->len;
}

const char *stream_format(const struct stream *s)
{
	return s->format == FORMAT_GZIP ? "gzip" : s->format == FORMAT_ZSTD ? "zstd" : "plain";
}
