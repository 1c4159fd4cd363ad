/* net/remover.c - see net/remover.h */
#include "net/remover.h"

#include "net/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 8
#define LOOK_NS 100000 /* whether it is gone */

struct told {
	int index, result;
};

/* Reads and writes of records are whole (pipe(7): up to PIPE_BUF), whoever else reads. */
struct remover {
	int asked, answers; /* our ends */
	struct thread {
		int asked, answers; /* theirs */
		struct nl nl;
	} threads[THREADS];
};

static void *thread_run(void *arg)
{
	struct thread *t = arg;
	struct told told;

	while (read(t->asked, &told.index, sizeof told.index) == sizeof told.index) {
		told.result = link_del_at(&t->nl, told.index);
		if (write(t->answers, &told, sizeof told) != sizeof told)
			break;
	}
	return NULL;
}

int remover_open(struct remover **ret, struct err *e)
{
	struct remover *x = calloc(1, sizeof *x);
	int asked[2] = {-1, -1}, answers[2] = {-1, -1}, r = 0;
	sigset_t all, before;
	pthread_t thread;
	unsigned n = 0;

	if (!x)
		return err_set(e, ENOMEM, "network", "no memory");
	if (pipe2(asked, O_CLOEXEC) < 0 || pipe2(answers, O_CLOEXEC) < 0 || fcntl(answers[0], F_SETFL, O_NONBLOCK) < 0)
		r = err_set(e, errno, "network", "pipes to what removes links");
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	for (; n < THREADS && r == 0; n++) {
		struct thread *t = &x->threads[n];

		t->asked = asked[0];
		t->answers = answers[1];
		r = nl_open(&t->nl, e);
		if (r == 0 && (r = pthread_create(&thread, NULL, thread_run, t)))
			r = err_set(e, r, "network", "a thread that removes links");
		if (r == 0)
			pthread_detach(thread);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		return r; /* berth-net does not start */
	x->asked = asked[1];
	x->answers = answers[0];
	*ret = x;
	return 0;
}

/* Reads whatever has been answered. Negative errno if this one cannot be removed; 0: not known yet, or done. */
static int refusal(const struct remover *x, int index)
{
	struct told told;

	while (read(x->answers, &told, sizeof told) == sizeof told)
		if (told.index == index && told.result < 0)
			return told.result;
	return 0;
}

int remover_remove(struct remover *x, struct nl *nl, int index)
{
	struct pollfd p = {.fd = x->answers, .events = POLLIN};
	const struct timespec look = {.tv_nsec = LOOK_NS};
	int r;

	(void)refusal(x, 0); /* of those before, for which nobody has waited: else there is no room one day */
	if (write(x->asked, &index, sizeof index) != sizeof index)
		return -errno;
	while (link_is_there(nl, index)) {
		r = refusal(x, index);
		if (r < 0)
			return r;
		(void)ppoll(&p, 1, &look, NULL);
	}
	/* Closed, and not found any more; its addresses go before the lock is let go of. */
	link_lock_wait(nl);
	return 0;
}
