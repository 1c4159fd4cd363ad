/* job/fetcher.h - berth-fetch as the child of a verb: it has the network and nothing else, the verb has the files and no network. */
#pragma once

#include "base/err.h"
#include "proto/fetch.h"

#define FETCHER_REQUEST_FD 4 /* of the verb: a sealed memfd with its request, which berth-fetch reads too */

struct fetcher {
	int sock;
	int pidfd;
};

#define FETCHER_NULL ((struct fetcher){.sock = -1, .pidfd = -1})

/* Before the verb gives up what it may. The words after argv[1] are berth-fetch's settings. */
int fetcher_start(struct fetcher *f, int argc, char **argv, struct err *e);
void fetcher_fini(struct fetcher *f);
/* fd is not taken. */
int fetcher_order(struct fetcher *f, const struct fetch_order *o, int fd, struct err *e);
/* 1: *ret is the next of what it says, its texts end. 0: nothing yet. */
int fetcher_news(struct fetcher *f, struct fetch_news *ret, struct err *e);
int fetcher_wait(struct fetcher *f, int timeout_ms, struct err *e); /* until it says something, or for so long */
