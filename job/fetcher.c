/* job/fetcher.c - see job/fetcher.h */
#include "job/fetcher.h"

#include "base/own.h"
#include "base/spawn.h"
#include "proto/wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define ARGS_MAX 16

/* berth-fetch lies beside us. */
static int fetch_path(char *buf, size_t size, struct err *e)
{
	ssize_t n = readlink("/proc/self/exe", buf, size - 1);
	char *slash;

	if (n <= 0)
		return err_set(e, errno, "fetch", "/proc/self/exe");
	buf[n] = 0;
	slash = strrchr(buf, '/');
	if (!slash || (size_t)(slash - buf) + sizeof "/berth-fetch" > size)
		return err_set(e, ENAMETOOLONG, "fetch", "%s", buf);
	memcpy(slash, "/berth-fetch", sizeof "/berth-fetch");
	return 0;
}

int fetcher_start(struct fetcher *f, int argc, char **argv, struct err *e)
{
	char path[4096], *args[ARGS_MAX + 2] = {(char *)"berth-fetch"};
	int pair[2], r = fetch_path(path, sizeof path, e);
	struct spawn sp = {.exec_fd = -1, .path = path, .argv = args, .cgroup_fd = -1};
	pid_t pid;

	if (r < 0)
		return r;
	for (int i = 2; i < argc && i < ARGS_MAX; i++)
		args[i - 1] = argv[i];
	if ((r = wire_pair(pair)) < 0)
		return err_set(e, -r, "fetch", "a socket to berth-fetch");
	AUTO_FD theirs = pair[1];
	f->sock = pair[0];
	int fds[] = {-1, -1, STDERR_FILENO, theirs, FETCHER_REQUEST_FD};
	sp.fds = fds;
	sp.n_fds = ARRAY_SIZE(fds);
	r = spawn(&sp, &f->pidfd, &pid, e);
	return r < 0 ? err_wrap(e, "%s", path) : 0;
}

void fetcher_fini(struct fetcher *f)
{
	close_fd(&f->sock);
	close_fd(&f->pidfd);
}

int fetcher_order(struct fetcher *f, const struct fetch_order *o, int fd, struct err *e)
{
	struct pollfd wait = {.fd = f->sock, .events = POLLOUT};
	int r;

	while ((r = wire_send(f->sock, o, sizeof *o, &fd, 1)) == WIRE_AGAIN)
		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			return err_set(e, errno, "fetch", "poll");
	return r ? err_set(e, r < 0 ? -r : 0, "fetch", "berth-fetch has ended") : 0;
}

int fetcher_news(struct fetcher *f, struct fetch_news *ret, struct err *e)
{
	struct wire_fds fds = {0};
	size_t len;
	int r = wire_recv(f->sock, ret, sizeof *ret, &len, &fds);

	wire_fds_close(&fds);
	if (r == WIRE_AGAIN)
		return 0;
	if (r || len != sizeof *ret)
		return err_set(e, 0, "fetch", "berth-fetch has ended without a word");
	ret->text[sizeof ret->text - 1] = 0;
	ret->type[sizeof ret->type - 1] = 0;
	return 1;
}

int fetcher_wait(struct fetcher *f, int timeout_ms, struct err *e)
{
	struct pollfd wait = {.fd = f->sock, .events = POLLIN};

	if (poll(&wait, 1, timeout_ms) < 0 && errno != EINTR)
		return err_set(e, errno, "fetch", "poll");
	return 0;
}
