/* proto/cri.c - see proto/cri.h */
#include "proto/cri.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Takes the text up to the next blank off *p. */
static bool word_take(const char **p, const char *end, const char **ret, size_t *ret_len)
{
	const char *blank = *p < end ? memchr(*p, ' ', (size_t)(end - *p)) : NULL;

	if (!blank || blank == *p)
		return false;
	*ret = *p;
	*ret_len = (size_t)(blank - *p);
	*p = blank + 1;
	return true;
}

static bool word_is(const char *word, size_t len, const char *is)
{
	return len == strlen(is) && !memcmp(word, is, len);
}

/* "lines=N bytes=M" */
static bool gap_parse(struct cri_line *l)
{
	char text[64], *rest = text, *word;

	snprintf(text, sizeof text, "%.*s", (int)(l->text_len < sizeof text ? l->text_len : sizeof text - 1), l->text);
	while ((word = strsep(&rest, " "))) {
		if (str_starts(word, "lines=") && str_to_u64(word + 6, &l->gap_lines))
			return false;
		if (str_starts(word, "bytes=") && str_to_u64(word + 6, &l->gap_bytes))
			return false;
	}
	return true;
}

bool cri_parse(const char *line, size_t len, struct cri_line *ret)
{
	const char *p = line, *end = line + len, *stream, *tags;
	size_t stream_len, tags_len;

	*ret = (struct cri_line){0};
	if (!word_take(&p, end, &ret->time, &ret->time_len) || !word_take(&p, end, &stream, &stream_len))
		return false;
	if (!word_take(&p, end, &tags, &tags_len)) { /* an empty message may have lost its blank */
		tags = p;
		tags_len = (size_t)(end - p);
		p = end;
	}
	if (word_is(stream, stream_len, "stdout"))
		ret->stream = 1;
	else if (word_is(stream, stream_len, "stderr"))
		ret->stream = 2;
	if (!ret->stream || !tags_len || (tags[0] != 'F' && tags[0] != 'P') || (tags_len > 1 && tags[1] != ':'))
		return false;
	ret->partial = tags[0] == 'P';
	ret->text = p;
	ret->text_len = (size_t)(end - p);
	ret->gap = tags_len == 5 && !memcmp(tags + 1, ":gap", 4);
	return !ret->gap || gap_parse(ret);
}
