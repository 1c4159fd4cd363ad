/* image/words.h - the words of a Dockerfile's instruction as Docker reads them: JSON or shell form, quotes, backslashes, $NAME, ${NAME},
 * ${NAME:-else} and ${NAME:+then} of the config's own environment. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

#define LIST_MAX  8192u /* as oci.c takes them */
#define WORD_MAX  (128u << 10)
#define BLANKS	  " \t\r\n"
#define STEP	  "changes"
#define NO_MEMORY err_set(e, ENOMEM, STEP, "no memory")

struct texts { /* owned strings */
	char **item;
	size_t n;
};

int texts_add(struct texts *l, const char *text, struct err *e);
void texts_free(struct texts *l);

const char *blanks_skip(const char *p);
/* The word at p, up to a blank that is neither quoted nor escaped (whole: to the end of the text). NULL: e. */
const char *word_read(const Berth__ImageConfig *config, const char *p, bool whole, struct buf *out, struct err *e);
int words_read(const Berth__ImageConfig *config, const char *p, struct texts *ret, struct err *e);
/* The one word that there is to be. */
int words_one(const Berth__ImageConfig *config, const char *rest, char **ret, struct err *e);
/* ["a", "b"]; 1: it is none, but may be a command for a shell that begins with a bracket. */
int words_json(const char *text, struct texts *ret, struct err *e);
