/* fetch/brief.c - see fetch/brief.h. certs_dir/HOST[:PORT]/: *.crt are authorities to be trusted for that host besides the
 * system's, client.cert and client.key are shown to it. */
#include "fetch/brief.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SYSTEM_CA   "/etc/ssl/certs/ca-certificates.crt"
#define PEM_MAX	    (4u << 20)
#define TRUST_MAX   256u
#define STALL_S	    30u
#define MESSAGE_MAX 65536

struct words {
	const char *plain_http, *mirrors, *certs_dir, *auth_file;
	uint32_t stall_s;
};

static int words_read(struct words *w, char **words, int n, struct err *e)
{
	*w = (struct words){.plain_http = "", .mirrors = "", .stall_s = STALL_S};
	for (int i = 0; i < n; i++) {
		if (str_starts(words[i], "plain_http="))
			w->plain_http = words[i] + 11;
		else if (str_starts(words[i], "mirrors="))
			w->mirrors = words[i] + 8;
		else if (str_starts(words[i], "certs_dir="))
			w->certs_dir = words[i] + 10;
		else if (str_starts(words[i], "auth_file="))
			w->auth_file = words[i] + 10;
		else if (str_starts(words[i], "unpack_max="))
			continue; /* the job's */
		else if (!str_starts(words[i], "stall_s=") || str_to_u32(words[i] + 8, &w->stall_s))
			return err_set(e, EINVAL, "fetch", "'%.60s' is no setting", words[i]);
	}
	return 0;
}

/* ---------------------------------------------------------------- certificates */

static struct http_trust *trust_add(struct brief *s, const char *host)
{
	struct http_trust *more = realloc(s->trust, (s->n_trust + 1) * sizeof *more);

	if (!more)
		return NULL;
	s->trust = more;
	more[s->n_trust] = (struct http_trust){0};
	snprintf(more[s->n_trust].host, sizeof more->host, "%s", host);
	return &more[s->n_trust++];
}

static bool name_ends(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && !strcmp(name + n - m, end);
}

static int pem_read(int dir_fd, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	ssize_t n = file_read_regular(dir_fd, path, PEM_MAX, ret, "certificates", e);

	if (n < 0)
		return (int)n;
	*ret_len = (size_t)n;
	return 0;
}

/* The files of one host, and the system's authorities in front of its own. */
static int host_load(struct http_trust *t, int dir_fd, const struct http_trust *system, struct err *e)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;
	struct buf ca;
	int r = 0;

	if (!dir) {
		r = err_set(e, errno, "certificates", "%s", t->host);
		close(dir_fd);
		return r;
	}
	buf_init(&ca, 0);
	if (system->ca)
		buf_add(&ca, system->ca, system->ca_len);
	while (r == 0 && (entry = readdir(dir))) {
		AUTO_FREE char *text = NULL;
		size_t len = 0;

		if (name_ends(entry->d_name, ".crt")) {
			r = pem_read(dir_fd, entry->d_name, &text, &len, e);
			if (r == 0) {
				buf_add(&ca, text, len);
				buf_addc(&ca, '\n');
			}
		} else if (!strcmp(entry->d_name, "client.cert")) {
			r = pem_read(dir_fd, entry->d_name, &t->cert, &t->cert_len, e);
		} else if (!strcmp(entry->d_name, "client.key")) {
			r = pem_read(dir_fd, entry->d_name, &t->key, &t->key_len, e);
		}
	}
	closedir(dir);
	if (ca.failed)
		r = r < 0 ? r : err_set(e, ENOMEM, "certificates", "no memory");
	t->ca_len = ca.len;
	t->ca = ca.len ? buf_take(&ca) : NULL;
	buf_fini(&ca);
	return r < 0 ? err_wrap(e, "certificates of %s", t->host) : 0;
}

static int trust_load(struct brief *s, const char *certs_dir, struct err *e)
{
	struct http_trust *all = trust_add(s, "");
	int fd = certs_dir ? open(certs_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!all) {
		close_fd(&fd);
		return err_set(e, ENOMEM, "certificates", "no memory");
	}
	/* A host without them trusts what certs_dir says, or nobody: the failure names it. */
	if (pem_read(AT_FDCWD, SYSTEM_CA, &all->ca, &all->ca_len, NULL) < 0)
		all->ca = NULL;
	if (!dir) {
		if (certs_dir && errno != ENOENT)
			r = err_set(e, errno, "certificates", "%s", certs_dir);
		close_fd(&fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		struct http_trust *t;
		int host_fd;

		if (!reference_is_host(entry->d_name) || s->n_trust == TRUST_MAX)
			continue;
		host_fd = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (host_fd < 0)
			continue; /* not a folder */
		t = trust_add(s, entry->d_name);
		if (!t) {
			close_fd(&host_fd);
			r = err_set(e, ENOMEM, "certificates", "no memory");
			break;
		}
		r = host_load(t, host_fd, &s->trust[0], e);
	}
	closedir(dir);
	return r;
}

/* ---------------------------------------------------------------- credentials */

static char *text_dup(const char *text)
{
	return text && *text ? strdup(text) : NULL;
}

static bool auth_is_set(const Berth__RegistryAuth *a)
{
	return a && ((a->username && *a->username) || (a->identity_token && *a->identity_token));
}

/* The request's own are for the registry that it names; mirrors are the host's choice and have theirs in its file. */
static int auths_load(struct brief *s, const Berth__RegistryAuth *own, const char *path, struct err *e)
{
	char *json = NULL;
	ssize_t len = path ? file_read_regular(AT_FDCWD, path, AUTHFILE_MAX, &json, "credentials", e) : -ENOENT;
	int r = 0;

	if (len < 0 && len != -ENOENT)
		return (int)len;
	for (unsigned i = 0; r == 0 && i < s->n_places; i++) {
		const struct place *p = &s->place[i];
		struct auth *a = &s->auth[i];

		if (p->registry && auth_is_set(own)) {
			a->user = text_dup(own->username);
			a->password = text_dup(own->password);
			a->identity_token = text_dup(own->identity_token);
			if (a->user && strpbrk(a->user, ":\r\n"))
				r = err_set(e, EINVAL, "credentials", "a user's name has no colon in it");
		} else if (json) {
			r = authfile_find(json, (size_t)len, p->registry ? s->ref.registry : p->host, s->ref.path, a,
					  e);
			if (r < 0)
				err_wrap(e, "%s", path);
		}
	}
	if (json)
		explicit_bzero(json, (size_t)len);
	free(json);
	return r;
}

/* ---------------------------------------------------------------- the whole */

static Berth__Envelope *request_read(int fd, struct err *e)
{
	struct wire_fds none = {.n = 0};
	Berth__Envelope *env;
	const void *data;
	size_t len;
	int r = memfd_map(fd, MESSAGE_MAX, &data, &len);

	if (r < 0) {
		err_set(e, -r, "fetch", "the request");
		return NULL;
	}
	env = envelope_unpack(data, len, &none);
	munmap((void *)data, len);
	if (env && ((env->body_case == BERTH__ENVELOPE__BODY_IMAGE_PULL && env->image_pull->name) ||
		    (env->body_case == BERTH__ENVELOPE__BODY_IMAGE_PUSH && env->image_push->destination)))
		return env;
	err_set(e, EBADMSG, "fetch", "the request");
	if (env)
		berth__envelope__free_unpacked(env, NULL);
	return NULL;
}

/* What goes up goes to the registry itself: mirrors only follow it. */
static int request_take(struct brief *s, const struct words *w, const Berth__Envelope *env, struct err *e)
{
	const Berth__ImagePull *pull = env->body_case == BERTH__ENVELOPE__BODY_IMAGE_PULL ? env->image_pull : NULL;
	const Berth__ImagePush *push = pull ? NULL : env->image_push;
	bool verify = pull ? !pull->has_tls_verify || pull->tls_verify : !push->has_tls_verify || push->tls_verify;
	char name[REFERENCE_SIZE];
	int r;

	if ((r = reference_canonical(pull ? pull->name : push->destination, name, e)) < 0 ||
	    (r = reference_split(name, &s->ref, e)) < 0)
		return r;
	s->push = push;
	if (push && push->mount_from)
		snprintf(s->mount_from, sizeof s->mount_from, "%s", push->mount_from);
	r = places_make(s->place, &s->ref, w->plain_http, push ? "" : w->mirrors, verify, e);
	if (r < 0)
		return r;
	s->n_places = (unsigned)r;
	return auths_load(s, pull ? pull->auth : push->auth, w->auth_file, e);
}

static void auth_wipe(Berth__RegistryAuth *a)
{
	if (a && a->password)
		explicit_bzero(a->password, strlen(a->password));
	if (a && a->identity_token)
		explicit_bzero(a->identity_token, strlen(a->identity_token));
}

int brief_load(struct brief *s, char **words, int n_words, int request_fd, struct err *e)
{
	Berth__Envelope *env;
	struct words w;
	int r;

	*s = (struct brief){0};
	if ((r = words_read(&w, words, n_words, e)) < 0)
		return r;
	s->stall_s = w.stall_s;
	env = request_read(request_fd, e);
	if (!env)
		return -EBADMSG;
	r = request_take(s, &w, env, e);
	auth_wipe(env->body_case == BERTH__ENVELOPE__BODY_IMAGE_PUSH ? env->image_push->auth : env->image_pull->auth);
	berth__envelope__free_unpacked(env, NULL);
	return r < 0 ? r : trust_load(s, w.certs_dir, e);
}

void brief_fini(struct brief *s)
{
	for (unsigned i = 0; i < s->n_trust; i++) {
		free(s->trust[i].ca);
		free(s->trust[i].cert);
		if (s->trust[i].key)
			explicit_bzero(s->trust[i].key, s->trust[i].key_len);
		free(s->trust[i].key);
	}
	for (unsigned i = 0; i < s->n_places; i++)
		auth_free(&s->auth[i]);
	free(s->trust);
	*s = (struct brief){0};
}
