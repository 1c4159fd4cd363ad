/* bench/http.c - an HTTP/1.1 client that asks one thing again and again, and says how long each answer took.
 *
 *   http NAME COUNT CONNECTIONS unix:PATH|ADDR:PORT METHOD PATH STATUS [BODY [HEADER...]]
 *
 * Each connection is kept alive and asks again when it was answered; "{}" in PATH and BODY is the number of the request. Any
 * other status than STATUS ends it with the answer shown: a fast refusal must not look like a fast server. It does nothing
 * between reading an answer and sending the next request, so that it is never what limits. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/samples.h"

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "http: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

struct answer {
	char *data; /* what has come; always followed by a NUL */
	size_t len, size;
};

struct conn {
	int fd;
	uint64_t asked_at;
	struct answer in;
};

struct question {
	const char *method, *path, *body;
	char **headers;
	int status;
};

static int dial(const char *where)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET};
	const char *colon = strrchr(where, ':');
	char host[64];
	int fd, one = 1;

	if (!strncmp(where, "unix:", 5)) {
		if (strlen(where + 5) >= sizeof(un.sun_path))
			die("%s: too long", where);
		strcpy(un.sun_path, where + 5);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
			die("%s: %s", where, strerror(errno));
		return fd;
	}
	if (!colon || (size_t)(colon - where) >= sizeof(host))
		die("%s: unix:PATH or ADDR:PORT", where);
	memcpy(host, where, (size_t)(colon - where));
	host[colon - where] = 0;
	in.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
		die("%s: not an IPv4 address", host);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		die("%s: %s", where, strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* text with its first "{}" replaced. */
static int fill(char *to, size_t size, const char *text, size_t number)
{
	const char *hole = strstr(text, "{}");
	int n = hole ? snprintf(to, size, "%.*s%zu%s", (int)(hole - text), text, number, hole + 2)
		     : snprintf(to, size, "%s", text);

	if (n < 0 || (size_t)n >= size)
		die("request too long");
	return n;
}

static void ask(struct conn *c, const struct question *q, size_t number)
{
	char path[2048], body[8192], head[8192];
	int body_len = fill(body, sizeof(body), q->body, number), n;
	size_t sent = 0, len;

	fill(path, sizeof(path), q->path, number);
	n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n", q->method,
		     path);
	for (char **h = q->headers; *h; h++)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "%s\r\n", *h);
	if (*q->body)
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			      "Content-Type: application/json\r\nContent-Length: %d\r\n", body_len);
	else if (strcmp(q->method, "GET") != 0)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: 0\r\n");
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n%s", body);
	if ((size_t)n >= sizeof(head))
		die("request too long");
	len = (size_t)n;
	c->in.len = 0;
	c->asked_at = samples_now();
	while (sent < len) {
		ssize_t r = send(c->fd, head + sent, len - sent, MSG_NOSIGNAL);

		if (r < 0)
			die("send: %s", strerror(errno));
		sent += (size_t)r;
	}
}

static const char *header(const struct answer *a, const char *end, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = strstr(a->data, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n"))
		if (!strncasecmp(line + 2, name, n) && line[2 + n] == ':')
			return line + 3 + n + strspn(line + 3 + n, " ");
	return NULL;
}

/* Is the whole answer there? */
static bool answered(const struct answer *a, int *ret_status)
{
	const char *end = a->len ? strstr(a->data, "\r\n\r\n") : NULL, *text;

	if (!end)
		return false;
	if (sscanf(a->data, "HTTP/1.%*d %d", ret_status) != 1)
		die("no HTTP answer: %.80s", a->data);
	if (*ret_status == 204)
		return true;
	text = header(a, end, "Content-Length");
	if (text)
		return a->len >= (size_t)(end + 4 - a->data) + strtoul(text, NULL, 10);
	if (header(a, end, "Transfer-Encoding"))
		return a->len >= 5 && !memcmp(a->data + a->len - 5, "0\r\n\r\n", 5);
	die("an answer without a length:\n%s", a->data);
}

static void take(struct conn *c)
{
	struct answer *a = &c->in;
	ssize_t n;

	if (a->size - a->len < 65536) {
		a->size = a->size ? a->size * 2 : 131072;
		a->data = realloc(a->data, a->size);
		if (!a->data)
			die("out of memory");
	}
	n = recv(c->fd, a->data + a->len, a->size - a->len - 1, 0);
	if (n <= 0)
		die("the server hung up: %s", n ? strerror(errno) : "end of file");
	a->len += (size_t)n;
	a->data[a->len] = 0;
}

int main(int argc, char **argv)
{
	struct samples s = {0};
	struct question q;
	struct conn *conns;
	size_t count, n_conns, asked = 0, done = 0, bytes = 0;
	uint64_t start;
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (argc < 8 || ep < 0)
		die("usage: http NAME COUNT CONNECTIONS unix:PATH|ADDR:PORT METHOD PATH STATUS [BODY [HEADER...]]");
	count = strtoul(argv[2], NULL, 10);
	n_conns = strtoul(argv[3], NULL, 10);
	if (!count || !n_conns)
		die("COUNT and CONNECTIONS are at least 1");
	if (n_conns > count)
		n_conns = count;
	q = (struct question){.method = argv[5],
			      .path = argv[6],
			      .status = atoi(argv[7]),
			      .body = argc > 8 ? argv[8] : "",
			      .headers = argv + (argc > 9 ? 9 : argc)};
	conns = calloc(n_conns, sizeof(*conns));
	if (!conns)
		die("out of memory");
	for (size_t i = 0; i < n_conns; i++) {
		conns[i].fd = dial(argv[4]);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd,
			      &(struct epoll_event){.events = EPOLLIN, .data.ptr = &conns[i]}) < 0)
			die("epoll: %s", strerror(errno));
	}
	start = samples_now();
	for (size_t i = 0; i < n_conns; i++)
		ask(&conns[i], &q, asked++);
	while (done < count) {
		struct epoll_event ready[64];
		int n = epoll_wait(ep, ready, 64, 60000), status;

		if (n <= 0)
			die("no answer within a minute");
		for (int i = 0; i < n; i++) {
			struct conn *c = ready[i].data.ptr;

			take(c);
			if (!answered(&c->in, &status))
				continue;
			samples_add(&s, samples_now() - c->asked_at);
			if (status != q.status)
				die("%s %s: answered\n%.2000s", q.method, q.path, c->in.data);
			bytes += c->in.len;
			done++;
			if (asked < count)
				ask(c, &q, asked++);
		}
	}
	printf("rate per_second=%.1f bytes=%zu\n", (double)count / ((double)(samples_now() - start) / 1e9),
	       bytes / count);
	samples_print(&s, argv[1]);
	return 0;
}
