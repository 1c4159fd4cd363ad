/* ctl/terminal.c - see ctl/terminal.h */
#include "ctl/terminal.h"

#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

int terminal_raw(struct terminal *t, int fd)
{
	struct termios raw;

	if (tcgetattr(fd, &t->saved) < 0)
		return -errno;
	raw = t->saved;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
		return -errno;
	t->fd = fd;
	return 0;
}

void terminal_restore(struct terminal *t)
{
	if (t->fd >= 0)
		(void)tcsetattr(t->fd, TCSADRAIN, &t->saved); /* a terminal that is gone needs nothing */
	t->fd = -1;
}

bool terminal_size(int fd, uint32_t *ret_rows, uint32_t *ret_cols)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) < 0 || !ws.ws_row || !ws.ws_col)
		return false;
	*ret_rows = ws.ws_row;
	*ret_cols = ws.ws_col;
	return true;
}

static bool key_parse(const char *word, size_t len, uint8_t *ret)
{
	static const char other[] = "@[\\]^_";

	if (len == 1) {
		*ret = (uint8_t)word[0];
		return true;
	}
	if (len != 6 || strncmp(word, "ctrl-", 5))
		return false;
	if (word[5] >= 'a' && word[5] <= 'z')
		*ret = (uint8_t)(word[5] - 'a' + 1);
	else if (word[5] == '@')
		*ret = 0;
	else if (strchr(other, word[5]))
		*ret = (uint8_t)(word[5] - '@');
	else
		return false;
	return true;
}

int detach_keys_parse(struct detach_keys *k, const char *text, struct err *e)
{
	const char *p = text, *word;
	size_t len;

	*k = (struct detach_keys){0};
	while ((word = str_word(&p, ",", &len))) {
		if (k->n == DETACH_KEYS_MAX || !key_parse(word, len, &k->key[k->n]))
			return err_set(e, 0, "flag",
				       "\"%s\" is not a list of at most %d keys such as ctrl-p,ctrl-q or a", text,
				       DETACH_KEYS_MAX);
		k->n++;
	}
	return 0;
}

/* After a mismatch the longest end of what was held that is a beginning of the sequence stays held ("ppq" with "pq"). */
bool detach_keys_feed(struct detach_keys *k, const uint8_t *in, size_t len, uint8_t *out, size_t *ret_len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		while (k->matched && in[i] != k->key[k->matched]) {
			size_t keep = k->matched - 1;

			while (keep && memcmp(k->key, k->key + k->matched - keep, keep))
				keep--;
			memcpy(out + n, k->key, k->matched - keep);
			n += k->matched - keep;
			k->matched = keep;
		}
		if (!k->n || in[i] != k->key[k->matched]) {
			out[n++] = in[i];
			continue;
		}
		if (++k->matched == k->n) {
			k->matched = 0;
			*ret_len = n;
			return true;
		}
	}
	*ret_len = n;
	return false;
}
