/* gateway/upstream.h - the one connection to berthd: questions go out, each gets one answer or one failure.
 *
 * berthd may die or be upgraded at any moment. The connection is made again; questions that it did not answer are asked again (those
 * that change something carry a client_token, so that nothing is done twice), for UPSTREAM_PATIENCE_MS after the loss. */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "proto/envelope.h"
#include "proto/peer.h"

#define UPSTREAM_PATIENCE_MS 10000
#define UPSTREAM_DEADLINE_MS 30000

enum upstream_failure {
	UPSTREAM_AWAY =
		1, /* berthd is not there; it did nothing, or what it did is undone or will be found by asking again */
	UPSTREAM_LOST, /* it went away with a question that must not be asked twice: nobody knows whether it was done */
	UPSTREAM_LATE, /* no answer by the deadline */
};

struct question;
struct question_ops {
	/* Once, one of the two, from the loop. The question may be freed or asked anew in it. */
	void (*answered)(struct question *q, const Berth__Envelope *reply, struct wire_fds *fds);
	void (*failed)(struct question *q, enum upstream_failure why);
};

struct question {
	const struct question_ops *ops; /* set by the owner, as is: */
	bool once;			/* must not be asked twice */
	struct upstream *up;		/* NULL while it is not under way */
	struct list link;		/* upstream->waiting or ->sent */
	struct timer timer;
	uint64_t id; /* on this connection */
	uint64_t deadline_ns;
	bool sent;
	void *data; /* packed, without the id; owned */
	size_t len;
};

struct upstream {
	struct loop *loop;
	const char *path;
	struct peer peer;
	struct timer retry; /* connect again; or no Hello came; or berthd was busy */
	bool greeted;	    /* both said Hello */
	unsigned backoff_ms;
	uint64_t lost_ns; /* since when there is no berthd; 0: there is one */
	uint64_t last_id;
	uint64_t connections; /* made so far */
	struct list waiting, sent;
	unsigned n_waiting, n_sent;
	size_t bytes; /* of all questions */
};

void upstream_init(struct upstream *u, struct loop *l, const char *path);
void upstream_open(struct upstream *u); /* connects now, and again whenever it must */
void upstream_fini(struct upstream *u); /* questions still under way fail */
bool upstream_up(const struct upstream *u);

/* env has all but the id. 0, or negative errno (nothing is under way then); -EBUSY when too many wait already. */
int upstream_ask(struct upstream *u, struct question *q, const Berth__Envelope *env, uint64_t deadline_ns);
void question_drop(struct question *q); /* nobody wants the answer any more; harmless when not under way */
