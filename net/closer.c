/* net/closer.c - see net/closer.h */
#include "net/closer.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

/* Each close waits for the kernel's readers, which takes 8 to 24 ms; those that wait together wait once. */
#define THREADS 8

/* Reads and writes of a number are whole (pipe(7): up to PIPE_BUF), whoever else reads. */
static void *closer_run(void *arg)
{
	int from = (int)(intptr_t)arg, fd;

	while (read(from, &fd, sizeof fd) == sizeof fd)
		close(fd);
	return NULL;
}

int closer_open(int *ret, struct err *e)
{
	sigset_t all, before;
	pthread_t thread;
	int ends[2], r = 0;
	unsigned n = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(e, errno, "network", "a pipe to what closes");
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	while (n < THREADS && (r = pthread_create(&thread, NULL, closer_run, (void *)(intptr_t)ends[0])) == 0) {
		pthread_detach(thread);
		n++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!n) {
		close(ends[0]);
		close(ends[1]);
		return err_set(e, r, "network", "a thread that closes");
	}
	*ret = ends[1];
	return 0;
}

void closer_close(int closer, int *fd)
{
	int n = *fd;

	*fd = -1;
	if (n >= 0 && write(closer, &n, sizeof n) != sizeof n)
		close(n);
}
