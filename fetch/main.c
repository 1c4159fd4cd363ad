/* fetch/main.c - berth-fetch: speaks HTTP with registries for `berth-job pull`, and can do nothing else.
 *
 * A program of its own because whoever parses what a network sends should hold nothing: no capability, a user that owns nothing, no
 * file but the descriptors that it is given. And because libcurl and what it draws in cost every start of a program that is linked
 * with them 10 ms and 10 MB, which the other jobs need not pay. */
#include "fetch/fetch.h"

#include "base/confine.h"
#include "base/log.h"
#include "proto/fetch.h"
#include "proto/wire.h"

#include <curl/curl.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#define SOCKET_FD  3
#define REQUEST_FD 4
#define USER	   "berth-fetch"
#define NOBODY	   65534

/* What the resolver reads. */
static const char *const resolver_files[] = {"/etc/resolv.conf", "/etc/hosts",	  "/etc/nsswitch.conf", "/etc/gai.conf",
					     "/etc/host.conf",	 "/etc/services", "/dev/urandom",	NULL};

/* Before anything of the network is read: as good as dead, were it to be taken over. */
static int confine(struct err *e)
{
	struct confine c = {.network = true, .read_paths = resolver_files, .uid = NOBODY, .gid = NOBODY};
	const struct passwd *user = getpwnam(USER);

	if (user && user->pw_uid) {
		c.uid = user->pw_uid;
		c.gid = user->pw_gid;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, ENOMEM, "fetch", "libcurl cannot be used");
	return confine_enter(&c, e);
}

static int failed(const struct err *e)
{
	struct fetch_news n = {.state = FETCH_FAILED, .code = e->code};

	snprintf(n.text, sizeof n.text, "%.399s", e->text);
	(void)wire_send(SOCKET_FD, &n, sizeof n, NULL, 0);
	return 1;
}

int main(int argc, char **argv)
{
	struct brief s;
	struct err e = {0};
	int r;

	log_init("berth-fetch", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = brief_load(&s, argv + 1, argc - 1, REQUEST_FD, &e);
	if (r == 0)
		r = confine(&e);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user takes it away */
	if (r == 0)
		r = fetch_serve(&s, SOCKET_FD, &e);
	brief_fini(&s);
	return r < 0 ? failed(&e) : 0;
}
