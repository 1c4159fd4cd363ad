/* supervisor/list.c - ContainerList and ContainerInspect: what the tables know, at once. Newest first unless asked otherwise; a
 * list that does not fit a record (whole objects: a page) is cut, and says from where to go on. */
#include "supervisor/container.h"
#include "supervisor/filter.h"
#include "supervisor/pod.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_BYTES 49152u     /* of lines: one record */
#define FULL_BYTES (1u << 20) /* of whole objects: they come in a memfd anyway */

struct listing {
	const char *project; /* NULL: all */
	const Berth__ContainerList *ask;
	uint64_t before_id, since_id; /* of the containers that `before` and `since` name; 0 = not asked */
	bool any_state;		      /* a state was asked for, or all */
};

static struct container *container_of_node(struct table_node *n)
{
	return container_of(n, struct container, node);
}

static bool text_is(const char *text, const char *want)
{
	return text && !strcmp(text, want);
}

/* ---------------------------------------------------------------- filters */

static const Berth__Container *object_of(const void *c)
{
	return ((const struct container *)c)->obj;
}

/* A name as it is, a part of it, or a pattern: Docker's users know the part. */
static bool filter_name(const void *listing, const void *c, const char *value)
{
	const char *name = object_of(c)->meta->name;

	return name && (strstr(name, value) || fnmatch(value, name, 0) == 0);
}

static bool filter_id(const void *listing, const void *c, const char *value)
{
	return table_uuid_begins(((const struct container *)c)->node.uuid, value);
}

static bool filter_label(const void *listing, const void *c, const char *value)
{
	return filter_label_fits(object_of(c)->spec->labels, object_of(c)->spec->n_labels, value);
}

static bool filter_state(const void *listing, const void *c, const char *value)
{
	return !strcasecmp(container_state_name(container_state(c)), value);
}

/* Docker's words mean what they mean there: what we call stopped has exited too. */
static bool filter_status(const void *listing, const void *c, const char *value)
{
	static const struct {
		const char *word;
		Berth__ContainerState state;
	} docker[] = {
		{"exited", BERTH__CONTAINER_STATE__CONTAINER_STATE_STOPPED},
		{"restarting", BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF},
		{"removing", BERTH__CONTAINER_STATE__CONTAINER_STATE_DELETING},
		{"dead", BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR},
	};

	for (size_t i = 0; i < ARRAY_SIZE(docker); i++)
		if (!strcasecmp(docker[i].word, value) && docker[i].state == container_state(c))
			return true;
	return filter_state(listing, c, value);
}

static bool filter_pod(const void *listing, const void *c, const char *value)
{
	const struct pod *p = ((const struct container *)c)->pod;
	const Berth__Pod *pod = p ? p->obj : NULL;

	return pod && !pod->implicit && (text_is(pod->meta->name, value) || str_starts(pod->meta->uuid, value));
}

static bool filter_image(const void *listing, const void *c, const char *value)
{
	const char *id = object_of(c)->image_id;

	return text_is(object_of(c)->spec->image, value) || text_is(id, value) ||
	       (id && strlen(value) >= 12 && str_starts(id, "sha256:") && str_starts(id + 7, value));
}

static bool exit_code_can_be(const char *value)
{
	uint64_t code;

	return !str_to_u64(value, &code) && code <= 255;
}

static bool filter_exited(const void *listing, const void *c, const char *value)
{
	const Berth__ExitInfo *x = object_of(c)->status->last_exit;
	uint64_t code;

	return x && x->known && !container_has_process(c) && !str_to_u64(value, &code) && (uint64_t)x->code == code;
}

static bool filter_volume(const void *listing, const void *c, const char *value)
{
	const Berth__ContainerSpec *spec = object_of(c)->spec;

	for (size_t i = 0; i < spec->n_mounts; i++)
		if (text_is(spec->mounts[i]->source, value) || text_is(spec->mounts[i]->target, value))
			return true;
	return false;
}

/* Of one in a pod, the pod's. */
static bool filter_network(const void *listing, const void *of, const char *value)
{
	struct container *c = (struct container *)(uintptr_t)of;
	const struct net_stored s = net_stored_of(container_net(c));
	bool is_id = strlen(value) >= 12;

	for (size_t i = 0; i < s.n_leases; i++)
		if (!s.leases[i]->leaving && (text_is(s.leases[i]->network, value) ||
					      (is_id && table_uuid_begins(s.leases[i]->network_uuid, value))))
			return true;
	return text_is(c->pod->obj->implicit ? c->obj->spec->network : c->pod->obj->spec->network, value);
}

/* Asked once for the whole list, before it is walked. */
static bool filter_before(const void *listing, const void *c, const char *value)
{
	return ((const struct container *)c)->node.id < ((const struct listing *)listing)->before_id;
}

static bool filter_since(const void *listing, const void *c, const char *value)
{
	return ((const struct container *)c)->node.id > ((const struct listing *)listing)->since_id;
}

#define STATES "creating created starting running paused stopping exited backoff stopped error deleting unknown"

static const struct filter_row filters[] = {
	{"name", filter_name},
	{"id", filter_id, "digits of a uuid", filter_can_be_id},
	{"label", filter_label, .all = true},
	{"state", filter_state, STATES},
	{"status", filter_status, STATES " restarting removing dead"},
	{"pod", filter_pod},
	{"image", filter_image},
	{"ancestor", filter_image},
	{"exited", filter_exited, "an exit code, 0 to 255", exit_code_can_be},
	{"volume", filter_volume},
	{"network", filter_network},
	{"before", filter_before, .all = true},
	{"since", filter_since, .all = true},
};

static bool container_listed(const struct listing *l, const struct container *c)
{
	const Berth__ContainerList *a = l->ask;

	if (l->project && strcmp(c->obj->meta->project, l->project) != 0)
		return false;
	if (!filters_fit(filters, ARRAY_SIZE(filters), a->filters, a->n_filters, l, c))
		return false;
	if (l->any_state)
		return true;
	switch (container_state(c)) {
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_STARTING:
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_RUNNING:
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_PAUSED:
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_STOPPING:
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF:
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_REBUILDING:
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_UNKNOWN:
		return true;
	default:
		return false;
	}
}

/* ---------------------------------------------------------------- one line */

/* What it runs, as it would be typed; cut to `size`. */
static void command_text(const Berth__Container *obj, char *buf, size_t size)
{
	const Berth__ContainerSpec *s = obj->spec;
	const Berth__ImageConfig *cfg = obj->image_config;
	bool own_entry = s->entrypoint_set, own_command = s->n_command || own_entry;
	char **entry = own_entry || !cfg ? s->entrypoint : cfg->entrypoint;
	size_t n_entry = own_entry || !cfg ? s->n_entrypoint : cfg->n_entrypoint, len = 0;
	char **command = own_command || !cfg ? s->command : cfg->command;
	size_t n_command = own_command || !cfg ? s->n_command : cfg->n_command;

	buf[0] = 0;
	for (size_t i = 0; i < n_entry + n_command && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? " " : "",
					i < n_entry ? entry[i] : command[i - n_entry]);
	len = strlen(buf);
	while (len && !str_is_utf8(buf, len)) /* it may have been cut within a character */
		buf[--len] = 0;
}

/* Its own, or those of its pod. */
static void summary_ports(Berth__ContainerSummary *s, const struct net_holder *h)
{
	const struct net_stored stored = net_stored_of(h);
	size_t first = net_first(&stored);

	s->ports = stored.ports;
	s->n_ports = stored.n_ports;
	if (s->n_ports && first < stored.n_leases) {
		s->addresses = stored.leases[first]->addresses;
		s->n_addresses = stored.leases[first]->n_addresses;
	}
}

/* Text of the line stays the container's, but for command, which is the caller's. */
static void summary_fill(Berth__ContainerSummary *s, const struct container *c, char *command)
{
	const Berth__Container *obj = c->obj;
	const Berth__ContainerStatus *st = obj->status;

	berth__container_summary__init(s);
	s->meta = obj->meta;
	s->image = obj->spec->image;
	s->command = command;
	s->has_state = true;
	s->state = st->state;
	s->status_reason = st->status_reason;
	s->has_pid = st->pid != 0;
	s->pid = st->pid;
	s->has_started_at = st->started_at != 0;
	s->started_at = st->started_at;
	s->has_finished_at = st->finished_at != 0;
	s->finished_at = st->finished_at;
	if (st->last_exit && !container_has_process(c)) {
		s->has_exit_known = true;
		s->exit_known = st->last_exit->known;
		s->has_exit_code = st->last_exit->known;
		s->exit_code = st->last_exit->code;
	}
	s->has_restart_count = true;
	s->restart_count = st->restart_count;
	s->has_next_retry_at = st->next_retry_at != 0;
	s->next_retry_at = st->next_retry_at;
	if (c->pod && c->pod->obj && !c->pod->obj->implicit)
		s->pod = c->pod->obj->meta->name;
	s->labels = obj->spec->labels;
	s->n_labels = obj->spec->n_labels;
	if (c->pod && c->pod->obj)
		summary_ports(s, c->pod->obj->implicit ? &c->net : &c->pod->net);
}

/* ---------------------------------------------------------------- the requests */

static bool listing_references(struct request *rq, struct listing *l)
{
	const Berth__ContainerList *a = l->ask;

	for (size_t i = 0; i < a->n_filters; i++) {
		bool before = text_is(a->filters[i]->key, "before"), since = text_is(a->filters[i]->key, "since");
		struct err e = {0};
		struct container *c;

		if (!before && !since)
			continue;
		c = container_find(rq->sv, &rq->who, a->filters[i]->value, &e);
		if (!c) {
			reply_err(rq->sv, rq->parked, BERTH__ERROR__CODE__NOT_FOUND, &e);
			return false;
		}
		if (before && (!l->before_id || c->node.id < l->before_id))
			l->before_id = c->node.id;
		if (since && c->node.id > l->since_id)
			l->since_id = c->node.id;
	}
	return true;
}

static bool listing_check(struct request *rq, struct listing *l)
{
	const Berth__ContainerList *a = l->ask;

	if (!filters_check(rq, filters, ARRAY_SIZE(filters), a->filters, a->n_filters))
		return false;
	for (size_t i = 0; i < a->n_filters; i++) {
		const char *key = a->filters[i]->key;

		if (!strcmp(key, "state") || !strcmp(key, "status") || !strcmp(key, "exited"))
			l->any_state = true;
	}
	return listing_references(rq, l);
}

/* A page of the list while it is made. */
struct page {
	struct line {
		Berth__ContainerSummary s;
		char command[128];
	} * lines;			 /* owned; NULL for whole objects */
	Berth__ContainerSummary **shown; /* owned; of lines */
	Berth__Container **full;	 /* owned; theirs are the containers' */
	size_t n, size, bytes, max_bytes;
	uint64_t last_id;
};

static bool page_init(struct page *p, size_t n_containers, bool full)
{
	/* An entry has at least its uuid: no more than this many can fit. */
	*p = (struct page){.max_bytes = full ? FULL_BYTES : LIST_BYTES};
	p->size = p->max_bytes / 64 < n_containers ? p->max_bytes / 64 : n_containers;
	if (full)
		p->full = calloc(p->size + 1, sizeof(*p->full));
	else
		p->lines = calloc(p->size + 1, sizeof(*p->lines));
	p->shown = p->lines ? calloc(p->size + 1, sizeof(*p->shown)) : NULL;
	return full ? p->full != NULL : p->shown != NULL;
}

static void page_fini(struct page *p)
{
	free(p->lines);
	free(p->shown);
	free(p->full);
}

/* False: it does not fit any more. The first always does. */
static bool page_add(struct page *p, const struct container *c)
{
	struct line *line = p->lines ? &p->lines[p->n] : NULL;

	if (p->n == p->size)
		return false;
	if (line) {
		command_text(c->obj, line->command, sizeof line->command);
		summary_fill(&line->s, c, line->command);
		p->bytes += berth__container_summary__get_packed_size(&line->s) + 4;
		p->shown[p->n] = &line->s;
	} else {
		p->bytes += berth__container__get_packed_size(c->obj) + 4;
		p->full[p->n] = c->obj;
	}
	if (p->bytes > p->max_bytes && p->n)
		return false;
	p->n++;
	p->last_id = c->node.id;
	return true;
}

void on_container_list(struct request *rq)
{
	const Berth__ContainerList *a = rq->env->container_list;
	struct supervisor *sv = rq->sv;
	struct listing l = {.project = rq->who.project, .ask = a, .any_state = a->all};
	struct list *all = &sv->containers.all;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ContainerListReply body = BERTH__CONTAINER_LIST_REPLY__INIT;
	struct page p;

	if (a->all_projects) {
		if (!request_sees_all(rq))
			return;
		l.project = NULL;
	}
	if (!listing_check(rq, &l))
		return;
	if (!page_init(&p, sv->containers.n, a->full)) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		page_fini(&p);
		return;
	}
	for (struct list *at = a->oldest_first ? all->next : all->prev; at != all;
	     at = a->oldest_first ? at->next : at->prev) {
		const struct container *c = container_of_node(list_entry(at, struct table_node, link));

		if (a->after_id && (a->oldest_first ? c->node.id <= a->after_id : c->node.id >= a->after_id))
			continue;
		if (!container_listed(&l, c))
			continue;
		if ((a->limit && p.n >= a->limit) || !page_add(&p, c)) {
			body.has_next_after_id = true;
			body.next_after_id = p.last_id;
			break;
		}
	}
	body.containers = p.shown;
	body.full = p.full;
	*(a->full ? &body.n_full : &body.n_containers) = p.n;
	body.has_revision = true;
	body.revision = supervisor_revision(sv);
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_LIST_REPLY;
	env.container_list_reply = &body;
	reply(sv, rq->parked, &env, NULL, 0);
	page_fini(&p);
}

void on_container_inspect(struct request *rq)
{
	struct err e = {0};
	const char *ref = rq->env->container_inspect->ref;
	struct container *c = container_find(rq->sv, &rq->who, ref ? ref : "", &e);

	if (c)
		answer_container(c, rq->parked, -1);
	else
		reply_err(rq->sv, rq->parked,
			  e.code == ENOTUNIQ ? BERTH__ERROR__CODE__AMBIGUOUS : BERTH__ERROR__CODE__NOT_FOUND, &e);
}
