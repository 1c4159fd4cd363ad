/* image/tar.c - see image/tar.h */
#include "image/tar.h"

#include <stddef.h>

struct archive *tar_reader_new(archive_read_callback *read, archive_skip_callback *skip, void *arg)
{
	struct archive *a = archive_read_new();

	if (!a)
		return NULL;
	/* "empty": a layer of no bytes at all is a layer with nothing in it. */
	if (archive_read_support_format_tar(a) != ARCHIVE_OK || archive_read_support_format_empty(a) != ARCHIVE_OK ||
	    archive_read_set_read_callback(a, read) != ARCHIVE_OK ||
	    archive_read_set_callback_data(a, arg) != ARCHIVE_OK ||
	    (skip && archive_read_set_skip_callback(a, skip) != ARCHIVE_OK)) {
		archive_read_free(a);
		return NULL;
	}
	return a;
}

locale_t tar_locale_enter(void)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

	return utf8 ? uselocale(utf8) : (locale_t)0;
}

void tar_locale_leave(locale_t before)
{
	locale_t utf8;

	if (!before)
		return;
	utf8 = uselocale(before);
	freelocale(utf8);
}
