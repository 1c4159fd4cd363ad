/* net/lost.h - links of ours that somebody else removes. Who needs one says that there should be one of that name, and before he removes it himself that there need
 * not be. The kernel tells of each link that goes, and what is still wanted then, and not there, is lost. */
#pragma once

#include "net/nl.h"

#include <stdbool.h>

struct lost;

int lost_open(struct lost **ret, struct nl *host, struct err *e);
/* Without memory nobody hears of its end. shared: of more than one port; then it is the one that is there now, or none. */
void lost_want(struct lost *l, const char *name, bool shared);
void lost_forget(struct lost *l, const char *name);
void lost_forget_all(struct lost *l);
void lost_doubt(struct lost *l); /* any of them may not be there */
/* Of one that is wanted, and shared: it is not there, or another one by now, on which nothing hangs. */
bool lost_is(struct lost *l, const char *name);
int lost_fd(const struct lost *l); /* readable: lost_each */
/* Each that is lost: a port's once, nobody wants it any more then. Negative, the first of fn that is, ends it. */
typedef int lost_tell(void *arg, const char *name, bool shared);
int lost_each(struct lost *l, lost_tell *fn, void *arg);
