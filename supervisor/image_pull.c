/* supervisor/image_pull.c - the request to pull: is it needed, is it under way already, and how its job is started. */
#include "supervisor/image_own.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
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
int image_fetch_start(struct supervisor *sv, const char *verb, bool as_member, int request_fd,
		      const struct job_ops *ops, void *arg, struct job **ret, struct err *e)
{
	const struct config *c = &sv->cfg;
	char dir[sizeof c->state_dir + 16];
	char plain_http[WORD_SIZE], mirrors[WORD_SIZE], certs_dir[WORD_SIZE], auth_file[WORD_SIZE], stall[64], max[64];
	const char *argv[] = {verb, dir, plain_http, mirrors, certs_dir, auth_file, stall, max, NULL};

	snprintf(dir, sizeof dir, "%s/images", c->state_dir);
	snprintf(plain_http, sizeof plain_http, "plain_http=%s", c->plain_http);
	snprintf(mirrors, sizeof mirrors, "mirrors=%s", c->mirrors);
	snprintf(certs_dir, sizeof certs_dir, "certs_dir=%s", c->certs_dir);
	snprintf(auth_file, sizeof auth_file, "auth_file=%s", as_member ? c->members_auth_file : c->auth_file);
	snprintf(stall, sizeof stall, "stall_s=%llu", (unsigned long long)(c->pull_stall_ns / NS_PER_S));
	snprintf(max, sizeof max, "unpack_max=%llu", (unsigned long long)c->image_max_size);
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
static struct image *pull_have(struct supervisor *sv, const Berth__ImagePull *ask, const char *architecture,
			       struct err *e)
{
	struct image *im = image_find(sv, ask->name, e);
	const Berth__ImageConfig *config = im ? im->obj->config : NULL;

	if (!im || !*architecture || !config || !config->architecture || !strcmp(config->architecture, architecture))
		return im;
	err_set(e, ENOENT, "image", "image '%.200s' is here for %.32s, and not for %s", ask->name, config->architecture,
		architecture);
	return NULL;
}

/* "docker.io/library/busybox:latest" is of "docker.io" and of "docker.io/library". */
static bool is_of_registry(const char *name, const char *words)
{
	const char *p = words, *word;
	size_t len;

	while ((word = str_word(&p, ", \t", &len)))
		if (!strncmp(name, word, len) && (name[len] == '/' || name[len] == ':' || name[len] == '@'))
			return true;
	return false;
}

static unsigned images_of(struct supervisor *sv, const char *project)
{
	struct table_node *n;
	unsigned count = 0;

	list_each (n, &sv->images.all, link)
		count += image_of(n)->obj->meta->project && !strcmp(image_of(n)->obj->meta->project, project);
	return count;
}

/* Names of images are the host's, and so are its disk and its network: a member may have what its registry gives everybody under that
 * name, and nothing that would put something else in the place of what others run. */
static int pull_may(struct supervisor *sv, const struct principal *who, const Berth__ImagePull *ask, const char *name,
		    struct err *e)
{
	const char *from = sv->cfg.members_pull;
	bool may = !strcmp(from, "yes") || is_of_registry(name, from);

	if (!who || principal_sees_all(who))
		return 0;
	if (!may && ask->policy == BERTH__PULL_POLICY__PULL_POLICY_ALWAYS)
		return err_set(e, EACCES, "policy", "members of projects may not pull %.200s (members_pull)", name);
	if (!may)
		return err_set(
			e, ENOENT, "image",
			"no image '%.200s' on this host, and members of projects may not pull it (members_pull): an "
			"admin brings it in",
			ask->name);
	if (ask->has_tls_verify && !ask->tls_verify)
		return err_set(e, EACCES, "tls_verify",
			       "members of projects pull from registries that show who they are");
	if (ask->platform && *ask->platform)
		return err_set(e, EACCES, "platform", "members of projects pull for the host's own platform");
	if (images_of(sv, who->project) >= sv->cfg.members_images)
		return err_set(e, ENOSPC, "image",
			       "project %s has %u images: its members may pull no more (members_images)", who->project,
			       sv->cfg.members_images);
	return 0;
}

int image_want(struct supervisor *sv, const struct principal *who, const Berth__ImagePull *ask, struct image **ret,
	       struct err *e)
{
	char name[REFERENCE_SIZE], architecture[32] = "", variant[32];
	struct err why = {0};

	*ret = NULL;
	if (ask->platform && *ask->platform && platform_parse(ask->platform, architecture, variant, e) < 0)
		return -e->code;
	if (ask->policy != BERTH__PULL_POLICY__PULL_POLICY_ALWAYS) {
		*ret = pull_have(sv, ask, architecture, e);
		if (*ret)
			return 1;
		if (e->code != ENOENT || ask->policy == BERTH__PULL_POLICY__PULL_POLICY_NEVER)
			return -e->code;
	}
	if (str_starts(ask->name, "sha256:")) /* known here alone */
		return err_set(e, ENOENT, "image", "no image '%.100s' on this host, and by its id none can be pulled",
			       ask->name);
	if (reference_canonical(ask->name, name, &why) < 0)
		return err_set(e, EINVAL, "name", "%s", why.text);
	return pull_may(sv, who, ask, name, e);
}

int image_pull(struct supervisor *sv, const char *project, const char *owner, const Berth__ImagePull *ask,
	       struct image_wait *w, struct err *e)
{
	char name[REFERENCE_SIZE];
	struct import_order o = {
		.name = name, .project = project, .owner = owner, .source_fd = -1, .as_member = ask->as_member};
	int r = reference_canonical(ask->name, name, e);

	if (r < 0)
		return r;
	o.pull = pull_pack(ask, name, &o.pull_len);
	if (!o.pull)
		return image_import_refusal(-ENOMEM, e);
	r = 1;
	if (!image_import_join(sv, o.pull, o.pull_len, w)) {
		o.source_fd = memfd_sealed("berth-pull", o.pull, o.pull_len);
		r = o.source_fd < 0 ? o.source_fd : image_import_begin(sv, &o, w);
		if (r == 0)
			return 0;
	}
	close_fd(&o.source_fd);
	explicit_bzero(o.pull, o.pull_len);
	free(o.pull);
	return r > 0 ? 0 : image_import_refusal(r, e);
}

void on_image_pull(struct request *rq)
{
	Berth__ImagePull ask = *rq->env->image_pull;
	struct image_wait *w;
	struct image *have;
	struct err e = {0};
	int r;

	if (!principal_sees_all(&rq->who))
		ask.has_as_member = ask.as_member = true;
	if (!ask.name)
		ask.name = (char *)(uintptr_t) "";
	if (!ask.has_policy)
		ask.policy = BERTH__PULL_POLICY__PULL_POLICY_ALWAYS;
	r = image_want(rq->sv, &rq->who, &ask, &have, &e);
	if (r > 0) {
		image_reply(rq, have);
		return;
	}
	if (r < 0) {
		if (e.code == EINVAL && !strcmp(e.step, "image"))
			snprintf(e.step, sizeof e.step, "name");
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	request_audit(rq, "image", NULL);
	w = image_asker_new(rq);
	if (w && image_pull(rq->sv, rq->who.project, rq->who.name, &ask, w, &e) < 0)
		image_asker_fail(w, &e);
}
