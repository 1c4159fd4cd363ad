/* supervisor/image_pull.c - the request to pull: is it needed, is it under way already, and how its job is started. */
#include "supervisor/image_own.h"

#include "base/file.h"
#include "base/own.h"
#include "image/reference.h"
#include "proto/berth.pb-c.h"
#include "supervisor/job.h"
#include "supervisor/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_SIZE 700

/* Settings go with the job's command line, what is secret with its sealed request. */
int image_fetch_start(struct supervisor *sv, const char *verb, int request_fd, const struct job_ops *ops, void *arg,
		      struct job **ret, struct err *e)
{
	const struct config *c = &sv->cfg;
	char dir[sizeof c->state_dir + 16];
	char plain_http[WORD_SIZE], mirrors[WORD_SIZE], certs_dir[WORD_SIZE], auth_file[WORD_SIZE], stall[64];
	const char *argv[] = {verb, dir, plain_http, mirrors, certs_dir, auth_file, stall, NULL};

	snprintf(dir, sizeof dir, "%s/images", c->state_dir);
	snprintf(plain_http, sizeof plain_http, "plain_http=%s", c->plain_http);
	snprintf(mirrors, sizeof mirrors, "mirrors=%s", c->mirrors);
	snprintf(certs_dir, sizeof certs_dir, "certs_dir=%s", c->certs_dir);
	snprintf(auth_file, sizeof auth_file, "auth_file=%s", c->auth_file);
	snprintf(stall, sizeof stall, "stall_s=%llu", (unsigned long long)(c->pull_stall_ns / NS_PER_S));
	return job_start(sv, argv, &request_fd, 1, 0, ops, arg, ret, e);
}

/* The request in the form in which two that want the same are the same; an Envelope, as the job gets it. */
static void *pull_pack(const Berth__ImagePull *ask, char *name, size_t *ret_len)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ImagePull same = *ask;
	void *data;

	same.name = name;
	same.has_policy = false;
	same.has_tls_verify = ask->has_tls_verify && !ask->tls_verify;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_PULL;
	env.image_pull = &same;
	*ret_len = berth__envelope__get_packed_size(&env);
	data = malloc(*ret_len);
	if (data)
		berth__envelope__pack(&env, data);
	return data;
}

/* Is it here, and for the platform that was asked for? */
static struct image *pull_have(struct supervisor *sv, const Berth__ImagePull *ask, const char *architecture)
{
	struct err e = {0};
	struct image *im = image_find(sv, ask->name, &e);
	const Berth__ImageConfig *config = im ? im->obj->config : NULL;

	if (im && *architecture && config && config->architecture && strcmp(config->architecture, architecture))
		return NULL;
	return im;
}

static bool pull_check(struct request *rq, const Berth__ImagePull *ask, char name[REFERENCE_SIZE],
		       char architecture[32])
{
	struct err e = {0};
	const char *field = "name";
	char variant[32];
	int r = reference_canonical(ask->name ? ask->name : "", name, &e);

	*architecture = 0;
	if (r == 0 && ask->platform && *ask->platform) {
		field = "platform";
		r = platform_parse(ask->platform, architecture, variant, &e);
	}
	if (r < 0)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, field, "%s", e.text);
	return r == 0;
}

void on_image_pull(struct request *rq)
{
	const Berth__ImagePull *ask = rq->env->image_pull;
	struct supervisor *sv = rq->sv;
	char name[REFERENCE_SIZE], architecture[32];
	struct image *have;
	void *pull;
	size_t len;
	int fd;

	if (!pull_check(rq, ask, name, architecture))
		return;
	have = ask->has_policy && ask->policy != BERTH__PULL_POLICY__PULL_POLICY_ALWAYS
		       ? pull_have(sv, ask, architecture)
		       : NULL;
	if (have) {
		image_reply(rq, have);
		return;
	}
	if (ask->has_policy && ask->policy == BERTH__PULL_POLICY__PULL_POLICY_NEVER) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__NOT_FOUND, NULL,
			    "%s is not on this host, and may not be pulled (policy never)", name);
		return;
	}
	request_audit(rq, "image", NULL);
	pull = pull_pack(ask, name, &len);
	if (pull && image_import_join(rq, pull, len)) {
		explicit_bzero(pull, len);
		free(pull);
		return;
	}
	fd = pull ? memfd_sealed("berth-pull", pull, len) : -ENOMEM;
	if (fd >= 0) {
		image_import_begin(rq, name, fd, pull, len);
		return;
	}
	free(pull);
	reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
}
