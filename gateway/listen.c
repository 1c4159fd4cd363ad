/* gateway/listen.c - see gateway/listen.h */
#include "gateway/listen.h"

#include "base/own.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 1024

/* A socket that nobody listens on is left over; a living one is someone's. */
static int unix_clear(const struct sockaddr_un *a, socklen_t len, struct err *e)
{
	AUTO_FD probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "listen", "%s", a->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, EEXIST, "listen", "%s is no socket", a->sun_path);
	if (probe >= 0 && (connect(probe, (const struct sockaddr *)a, len) == 0 || errno == EAGAIN))
		return err_set(e, EADDRINUSE, "listen", "%s: somebody listens there", a->sun_path);
	if (unlink(a->sun_path) < 0 && errno != ENOENT)
		return err_set(e, errno, "listen", "%s", a->sun_path);
	return 0;
}

static int unix_open(const char *path, int *ret_fd, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	AUTO_FD fd = -1;
	int r;

	if (!n || n >= sizeof a.sun_path)
		return err_set(e, EINVAL, "listen", "unix:%s: the path must have 1 to %zu bytes", path,
			       sizeof a.sun_path - 1);
	memcpy(a.sun_path, path, n + 1);
	r = unix_clear(&a, len, e);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0)
		return err_set(e, errno, "listen", "%s", path);
	/* Each request brings its own token: who may connect is no question of rights. */
	if (chmod(path, 0666) < 0 || listen(fd, BACKLOG) < 0)
		return err_set(e, errno, "listen", "%s", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int tcp_bind(const struct addrinfo *ai, const char *where, int *ret_fd, struct err *e)
{
	AUTO_FD fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, off = 0;

	if (fd < 0)
		return err_set(e, errno, "listen", "%s", where);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return err_set(e, errno, "listen", "%s", where);
	*ret_fd = take_fd(&fd);
	return 0;
}

int listen_open(const char *where, int *ret_fd, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV},
			*found = NULL;
	const char *colon = strrchr(where, ':'), *from = where;
	char host[64];
	size_t len;
	int r;

	if (!strncmp(where, "unix:", 5))
		return unix_open(where + 5, ret_fd, e);
	len = colon ? (size_t)(colon - where) : 0;
	if (len >= 2 && where[0] == '[' && where[len - 1] == ']') {
		from++;
		len -= 2;
	}
	if (!colon || !colon[1] || !len || len >= sizeof host)
		return err_set(e, EINVAL, "listen", "'%s' is neither ADDR:PORT nor unix:PATH", where);
	snprintf(host, sizeof host, "%.*s", (int)len, from);
	r = getaddrinfo(strcmp(host, "*") ? host : "::", colon + 1, &hints, &found);
	if (r)
		return err_set(e, EINVAL, "listen", "'%s': %s", where, gai_strerror(r));
	r = tcp_bind(found, where, ret_fd, e);
	freeaddrinfo(found);
	return r;
}
