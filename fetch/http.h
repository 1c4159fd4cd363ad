/* fetch/http.h - one request and its answer over libcurl, many at a time. The only file that knows curl's transfers.
 *
 * Redirects are not followed here: whoever asked looks at where they lead and asks there, with what that host may see. */
#pragma once

#include "fetch/challenge.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEADERS_MAX (64u << 10)
#define HTTP_BODY_MAX	 (256u << 10) /* of answers that are kept in memory: tokens, errors */
#define HTTP_URL_SIZE	 8192

struct http;
struct exchange;

struct http_trust { /* for one host, or (host "") all */
	char host[264];
	char *ca, *cert, *key; /* PEM; owned; NULL: none */
	size_t ca_len, cert_len, key_len;
};

struct http_options {
	const struct http_trust *trust;
	unsigned n_trust;
	uint32_t stall_s; /* that long without at least some bytes a second: given up */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH };

struct http_request {
	enum http_method method;
	const char *url;
	bool verify;
	const char *accept, *authorization, *post; /* NULL: none. authorization: the header's whole value */
	/* With a 200 or 206 the body goes to this file, from `at` on; -1: it is kept in memory. */
	int out_fd;
	uint64_t at, size; /* size: of the whole */
	bool size_known;   /* it must be that; else it is the limit */
	/* The body of a PUT or PATCH: in_len bytes of that file from in_at on. What `moved` tells is then in_at and what was sent. */
	int in_fd;
	uint64_t in_at, in_len;
	const char *content_type, *content_range; /* NULL: none */
};

struct http_answer {
	long status;	  /* 0: none came, text says why */
	bool transient;	  /* without a status: worth another try */
	bool unreachable; /* … and there was no connection at all, or no TLS */
	bool refused;	  /* the file would become wrong: this server cannot help */
	char text[300];
	char type[128];
	char location[HTTP_URL_SIZE]; /* absolute; "": none that could be used */
	char digest[80];	      /* Docker-Content-Digest; "": none */
	uint64_t held;		      /* Range: of an upload, how many bytes of it are there */
	struct challenge challenge;
	uint32_t retry_after_s;
	uint64_t at;	  /* bytes in the file; what was sent of it */
	const char *body; /* NUL added; valid during the call */
	size_t body_len;
};

typedef void http_done_fn(void *arg, const struct http_answer *a);
typedef void http_moved_fn(void *arg, uint64_t at);

struct http *http_new(const struct http_options *o);
void http_free(struct http *h);
/* done is called once, from http_run, unless -ENOMEM. moved may be NULL. The request's texts are copied. */
int http_start(struct http *h, const struct http_request *rq, http_moved_fn *moved, http_done_fn *done, void *arg);
/* Works for at most timeout_ms, or until extra_fd can be read. True: it can. */
bool http_run(struct http *h, int extra_fd, int timeout_ms);

/* The parts that credentials depend on: same scheme, host and port. */
bool url_same_origin(const char *a, const char *b);
/* "host:port" of an absolute http or https URL without user and password, the port left out when it is the scheme's own. False:
 * it is none. */
bool url_parse(const char *url, bool *ret_tls, char *host, size_t size);
/* The URL with NAME=VALUE (escaped) added to its query, into buf, which may not be url. Negative errno: it is none, or becomes too long. */
int url_add(const char *url, const char *argument, char buf[HTTP_URL_SIZE]);
/* Escaped for a query. The caller frees it. */
char *url_escape(const char *text);
