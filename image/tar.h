/* image/tar.h - libarchive as a reader of tar, and of nothing else, set up the one way that keeps names as the bytes they are. */
#pragma once

#include <archive.h>
#include <locale.h>

/* NULL: no memory. skip may be NULL. Headers are read by archive_read_next_header after archive_read_open1. */
struct archive *tar_reader_new(archive_read_callback *read, archive_skip_callback *skip, void *arg);

/* libarchive converts the UTF-8 names of pax headers into the locale's charset: in the C locale it would put '?' for every
 * letter that is not ASCII. Around all use of a reader; of this thread only. */
locale_t tar_locale_enter(void);
void tar_locale_leave(locale_t before);
