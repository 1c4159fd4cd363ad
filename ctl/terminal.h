/* ctl/terminal.h - the user's terminal: raw mode, size, and the keys that detach. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

struct terminal {
	int fd; /* -1: nothing to restore */
	struct termios saved;
};

#define TERMINAL_NULL ((struct terminal){.fd = -1})

int terminal_raw(struct terminal *t, int fd); /* negative errno */
void terminal_restore(struct terminal *t);    /* idempotent */
bool terminal_size(int fd, uint32_t *ret_rows, uint32_t *ret_cols);

/* The sequence that detaches, such as "ctrl-p,ctrl-q". A beginning of it is held back until it is clear that it is not one. */
#define DETACH_KEYS_MAX	    8
#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"

struct detach_keys {
	uint8_t key[DETACH_KEYS_MAX];
	size_t n; /* 0: none, nothing detaches */
	size_t matched;
};

int detach_keys_parse(struct detach_keys *k, const char *text, struct err *e);

/* Moves what may be passed on from in to out (room for len + DETACH_KEYS_MAX). True when the sequence is complete: what came
 * before it is in out, what came behind is dropped. */
bool detach_keys_feed(struct detach_keys *k, const uint8_t *in, size_t len, uint8_t *out, size_t *ret_len);
