/* gateway/zun/words.c - see gateway/zun/words.h
 *
 * Clients send a command as one string and mean what Python's shlex makes of it: blanks separate, a backslash takes the next
 * character as it is, single quotes take everything, in double quotes a backslash means something before " and \ only. "" is a
 * word; # is nothing special; there are no variables, no globs and no shell. */
#include "gateway/zun/words.h"

#include "base/own.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

struct splitter {
	const char *at;
	char *to; /* where the word being made goes on */
};

static int quoted(struct splitter *s, char quote, struct err *e)
{
	for (s->at++; *s->at != quote; s->at++) {
		if (!*s->at)
			return err_set(e, EINVAL, "command", "No closing quotation");
		if (quote == '"' && *s->at == '\\' && (s->at[1] == '"' || s->at[1] == '\\'))
			s->at++;
		*s->to++ = *s->at;
	}
	s->at++;
	return 0;
}

static int one_word(struct splitter *s, struct err *e)
{
	int r;

	while (*s->at && !strchr(BLANKS, *s->at)) {
		if (*s->at == '\'' || *s->at == '"') {
			r = quoted(s, *s->at, e);
			if (r < 0)
				return r;
			continue;
		}
		if (*s->at == '\\' && !*++s->at)
			return err_set(e, EINVAL, "command", "No escaped character");
		*s->to++ = *s->at++;
	}
	*s->to++ = 0;
	return 0;
}

int words_split(const char *line, char ***ret_words, size_t *ret_n, struct err *e)
{
	size_t len = strlen(line), most = len / 2 + 2,
	       n = 0; /* words are separated: at most every second character begins one */
	AUTO_FREE char **words = malloc(most * sizeof *words + len + 1);
	struct splitter s = {.at = line, .to = (char *)(words + most)};
	int r;

	if (!words)
		return err_set(e, ENOMEM, "command", "no memory");
	for (;;) {
		s.at += strspn(s.at, BLANKS);
		if (!*s.at)
			break;
		words[n++] = s.to;
		r = one_word(&s, e);
		if (r < 0)
			return r;
	}
	words[n] = NULL;
	*ret_words = take_ptr(words);
	*ret_n = n;
	return 0;
}
