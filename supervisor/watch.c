/* supervisor/watch.c - see supervisor/watch.h.
 *
 * There is one copy of each event, in the ring. A subscriber is a cursor into it and a filter; what it has not been sent yet
 * waits in the ring, not in a queue of its own. Its client's queue is filled up to a mark and again when it has drained. One
 * whose cursor falls off the ring gets one batch that says `lagged` and goes on with what is still there: nobody waits. */
#include "supervisor/watch.h"

#include "base/log.h"
#include "base/str.h"
#include "supervisor/container.h"
#include "supervisor/control.h"
#include "supervisor/filter.h"
#include "supervisor/logs.h"
#include "supervisor/pod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING	     4096u
#define BATCH_BYTES  49152u
#define BATCH_EVENTS 256u
#define QUEUE_MARK   8u /* records waiting for a client before its subscriptions pause */
#define WATCH_MAX    4096u

/* What filters look at and the event itself does not say. */
struct entry {
	Berth__Event *event;	  /* owned */
	Berth__KeyValue **labels; /* owned, NULL-terminated; NULL = none */
	char *image;		  /* owned */
	char pod_uuid[UUID_SIZE];
	char *pod_name; /* owned */
};

struct subscriber {
	struct list link; /* watch.subscribers */
	struct watch *watch;
	struct parked parked;
	char project[64]; /* whose objects; "": all */
	uint64_t next;	  /* number of the next entry to look at */
	int64_t since_at, until_at;
	uint64_t since_revision;
	struct timer until;
	bool lagged;
	bool ended; /* until_at has come: what is left is sent, then the end */
	size_t n_filters;
	Berth__Filter **filters; /* owned */
};

struct watch {
	struct supervisor *sv;
	struct entry ring[RING];
	uint64_t next;		 /* number of the next event; the ring has the RING before it */
	uint64_t floor_revision; /* events up to this revision are gone */
	struct list subscribers;
	unsigned n_subscribers;
	struct timer flush;
};

/* ---------------------------------------------------------------- entries */

static void key_value_free(Berth__KeyValue *kv)
{
	if (!kv)
		return;
	free(kv->key);
	free(kv->value);
	free(kv);
}

static Berth__KeyValue *key_value_new(const char *key, const char *value)
{
	Berth__KeyValue *kv = malloc(sizeof *kv);

	if (!kv)
		return NULL;
	berth__key_value__init(kv);
	kv->key = strdup(key ? key : "");
	kv->value = strdup(value ? value : "");
	if (kv->key && kv->value)
		return kv;
	key_value_free(kv);
	return NULL;
}

static void entry_clear(struct entry *en)
{
	if (en->event)
		berth__event__free_unpacked(en->event, NULL);
	for (size_t i = 0; en->labels && en->labels[i]; i++)
		key_value_free(en->labels[i]);
	free(en->labels);
	free(en->image);
	free(en->pod_name);
	*en = (struct entry){0};
}

static int event_attributes(Berth__Event *ev, const char *const *attributes)
{
	size_t n = 0;

	while (attributes && attributes[2 * n])
		n++;
	if (!n)
		return 0;
	ev->attributes = calloc(n, sizeof *ev->attributes);
	if (!ev->attributes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		ev->attributes[i] = key_value_new(attributes[2 * i], attributes[2 * i + 1]);
		if (!ev->attributes[i])
			return -ENOMEM;
		ev->n_attributes = i + 1;
	}
	return 0;
}

static int text_copy(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return text && !*to ? -ENOMEM : 0;
}

static Berth__Event *event_new(struct supervisor *sv, const char *kind, const char *type, const Berth__Meta *meta,
			       const char *reason, const char *const *attributes)
{
	Berth__Event *ev = malloc(sizeof *ev);

	if (!ev)
		return NULL;
	berth__event__init(ev);
	ev->has_revision = ev->has_at = true;
	ev->revision = supervisor_next_revision(sv);
	ev->at = wall_ns();
	if (text_copy(&ev->kind, kind) < 0 || text_copy(&ev->type, type) < 0 ||
	    text_copy(&ev->reason, reason && *reason ? reason : NULL) < 0 ||
	    (meta && (text_copy(&ev->uuid, meta->uuid) < 0 || text_copy(&ev->name, meta->name) < 0 ||
		      text_copy(&ev->project, meta->project) < 0)) ||
	    event_attributes(ev, attributes) < 0) {
		berth__event__free_unpacked(ev, NULL);
		return NULL;
	}
	return ev;
}

static int entry_labels(struct entry *en, Berth__KeyValue *const *labels, size_t n)
{
	en->labels = n ? calloc(n + 1, sizeof *en->labels) : NULL;
	if (n && !en->labels)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		en->labels[i] = key_value_new(labels[i]->key, labels[i]->value);
		if (!en->labels[i])
			return -ENOMEM;
	}
	return 0;
}

/* What of the object the filters want. It is still in its table. */
static int entry_describe(struct supervisor *sv, struct entry *en, const char *kind, const char *uuid)
{
	struct table_node *n;

	if (!strcmp(kind, "container") && (n = table_find(&sv->containers, uuid))) {
		const struct container *c = container_of(n, struct container, node);
		const Berth__ContainerSpec *spec = c->obj->spec;

		if (c->pod && c->pod->obj && c->pod->obj->meta) {
			snprintf(en->pod_uuid, sizeof en->pod_uuid, "%s", c->pod->obj->meta->uuid);
			if (text_copy(&en->pod_name, c->pod->obj->meta->name) < 0)
				return -ENOMEM;
		}
		if (text_copy(&en->image, spec->image) < 0)
			return -ENOMEM;
		return entry_labels(en, spec->labels, spec->n_labels);
	}
	if (!strcmp(kind, "pod") && (n = table_find(&sv->pods, uuid))) {
		const struct pod *p = container_of(n, struct pod, node);

		snprintf(en->pod_uuid, sizeof en->pod_uuid, "%s", uuid);
		if (text_copy(&en->pod_name, p->obj->meta->name) < 0)
			return -ENOMEM;
		return p->obj->spec ? entry_labels(en, p->obj->spec->labels, p->obj->spec->n_labels) : 0;
	}
	return 0;
}

/* ---------------------------------------------------------------- filters */

static bool text_is(const char *text, const char *want)
{
	return text && !strcmp(text, want);
}

static bool uuid_begins(const char *uuid, const char *want)
{
	return uuid && *want && str_starts(uuid, want);
}

static const Berth__Event *event_of(const void *entry)
{
	return ((const struct entry *)entry)->event;
}

static bool filter_container(const void *watch, const void *en, const char *value)
{
	const Berth__Event *ev = event_of(en);

	return text_is(ev->kind, "container") && (text_is(ev->name, value) || uuid_begins(ev->uuid, value));
}

static bool filter_event(const void *watch, const void *en, const char *value)
{
	return text_is(event_of(en)->type, value);
}

static bool filter_kind(const void *watch, const void *en, const char *value)
{
	return text_is(event_of(en)->kind, value);
}

/* Docker calls the kind of object its type, and what happened its event: no word is both, so that either can be meant. */
static bool filter_type(const void *watch, const void *en, const char *value)
{
	return filter_event(watch, en, value) || filter_kind(watch, en, value);
}

static bool filter_label(const void *watch, const void *en, const char *value)
{
	Berth__KeyValue **labels = ((const struct entry *)en)->labels;
	size_t n = 0;

	while (labels && labels[n])
		n++;
	return filter_label_fits(labels, n, value);
}

static bool filter_pod(const void *watch, const void *en, const char *value)
{
	const struct entry *one = en;

	return text_is(one->pod_name, value) || uuid_begins(one->pod_uuid, value);
}

static bool filter_image(const void *watch, const void *en, const char *value)
{
	const Berth__Event *ev = event_of(en);

	return text_is(((const struct entry *)en)->image, value) ||
	       (text_is(ev->kind, "image") && text_is(ev->name, value));
}

#define KINDS "container pod image volume network security_group host floating-ip floating-ip-pool"
#define TYPES                                                                                                                                                                                      \
	"create start start_failed pull_failed die oom stop kill stuck pause unpause restart rename update network_connect network_disconnect network_mend duplicate_address exec_start exec_die " \
	"rebuild destroy import commit pull push remove tag untag allocate release associate disassociate"

static const struct filter_row filters[] = {
	{"container", filter_container}, {"type", filter_type, TYPES " " KINDS}, {"event", filter_event, TYPES},
	{"kind", filter_kind, KINDS},	 {"label", filter_label, .all = true},	 {"pod", filter_pod},
	{"image", filter_image},
};

static bool subscriber_wants(const struct subscriber *s, const struct entry *en)
{
	if (*s->project && !text_is(en->event->project, s->project))
		return false;
	if (!filters_fit(filters, ARRAY_SIZE(filters), s->filters, s->n_filters, s->watch, en))
		return false;
	if (s->since_revision && en->event->revision <= s->since_revision)
		return false;
	return en->event->at >= s->since_at && (!s->until_at || en->event->at <= s->until_at);
}

static int subscriber_filters(struct subscriber *s, Berth__Filter *const *asked, size_t n)
{
	s->filters = n ? calloc(n, sizeof *s->filters) : NULL;
	if (n && !s->filters)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		s->filters[i] = calloc(1, sizeof **s->filters);
		if (!s->filters[i])
			return -ENOMEM;
		s->n_filters = i + 1;
		berth__filter__init(s->filters[i]);
		if (text_copy(&s->filters[i]->key, asked[i]->key) < 0 ||
		    text_copy(&s->filters[i]->value, asked[i]->value) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---------------------------------------------------------------- subscribers */

static void subscriber_free(struct subscriber *s)
{
	list_del(&s->link);
	s->watch->n_subscribers--;
	timer_del(&s->until);
	for (size_t i = 0; i < s->n_filters; i++)
		berth__filter__free_unpacked(s->filters[i], NULL);
	free(s->filters);
	free(s);
}

static void on_subscriber_gone(void *arg, bool cancelled)
{
	struct subscriber *s = arg;
	struct supervisor *sv = s->watch->sv;
	struct parked p = s->parked;

	subscriber_free(s);
	if (cancelled) {
		Berth__Envelope env = BERTH__ENVELOPE__INIT;
		Berth__EventBatch batch = BERTH__EVENT_BATCH__INIT;

		batch.has_end = batch.end = true;
		env.body_case = BERTH__ENVELOPE__BODY_EVENT_BATCH;
		env.event_batch = &batch;
		reply(sv, p, &env, NULL, 0);
	}
}

/* One batch from where the cursor stands. False: nothing was sent, there was nothing. */
static bool subscriber_send(struct subscriber *s)
{
	struct watch *w = s->watch;
	struct supervisor *sv = w->sv;
	Berth__Event *events[BATCH_EVENTS];
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__EventBatch batch = BERTH__EVENT_BATCH__INIT;
	struct parked p = s->parked;
	uint64_t oldest = w->next > RING ? w->next - RING : 0;
	size_t bytes = 0;

	if (s->next < oldest) {
		s->next = oldest;
		s->lagged = true;
	}
	for (; s->next < w->next && batch.n_events < BATCH_EVENTS && bytes < BATCH_BYTES; s->next++) {
		const struct entry *en = &w->ring[s->next % RING];

		if (!en->event || !subscriber_wants(s, en))
			continue;
		events[batch.n_events++] = en->event;
		bytes += berth__event__get_packed_size(en->event) + 4;
	}
	bool end = s->ended && s->next == w->next;
	if (!batch.n_events && !s->lagged && !end)
		return false;
	batch.events = events;
	batch.has_lagged = batch.lagged = s->lagged;
	batch.has_end = batch.end = end;
	s->lagged = false;
	env.body_case = BERTH__ENVELOPE__BODY_EVENT_BATCH;
	env.event_batch = &batch;
	if (end) {
		subscriber_free(s);
		reply(sv, p, &env, NULL, 0);
		return false;
	}
	return reply_more(sv, p, &env) == 0; /* else its client is on its way out and takes the subscription along */
}

/* All that its client takes now. s may be freed here. */
static void subscriber_pump(struct subscriber *s)
{
	struct watch *w = s->watch;
	struct client *c;

	for (;;) {
		c = control_client_find(w->sv, s->parked.client);
		if (!c || c->peer.out_records >= QUEUE_MARK)
			return;
		if (s->next == w->next && !s->ended && !s->lagged)
			return;
		if (!subscriber_send(s))
			return;
	}
}

static void on_flush(struct timer *t)
{
	struct watch *w = container_of(t, struct watch, flush);
	struct subscriber *s;

	list_each (s, &w->subscribers, link)
		subscriber_pump(s);
}

static void on_until(struct timer *t)
{
	struct subscriber *s = container_of(t, struct subscriber, until);

	s->ended = true;
	subscriber_pump(s);
}

void watch_client_drained(struct supervisor *sv, uint64_t client)
{
	struct subscriber *s;

	if (!sv->watch)
		return;
	list_each (s, &sv->watch->subscribers, link)
		if (s->parked.client == client)
			subscriber_pump(s);
}

/* ---------------------------------------------------------------- publishing */

void watch_publish(struct supervisor *sv, const char *kind, const char *type, const Berth__Meta *meta,
		   const char *reason, const char *const *attributes)
{
	struct watch *w = sv->watch;
	struct entry en = {0};

	if (!w)
		return;
	if (!filter_word(TYPES, type) || !filter_word(KINDS, kind))
		log_error("no filter knows the event %s of a %s: a fault of berthd", type, kind);
	en.event = event_new(sv, kind, type, meta, reason, attributes);
	if (!en.event || (meta && meta->uuid && entry_describe(sv, &en, kind, meta->uuid) < 0)) {
		/* Who watches must know that there is a hole. */
		struct subscriber *s;

		entry_clear(&en);
		log_error("out of memory: an event (%s %s) is lost", kind, type);
		list_each (s, &w->subscribers, link)
			s->lagged = true;
		return;
	}
	struct entry *slot = &w->ring[w->next % RING];
	if (slot->event)
		w->floor_revision = slot->event->revision;
	entry_clear(slot);
	*slot = en;
	w->next++;
	/* Sent when this turn's other events are there too: one record for all of them. */
	if (!list_empty(&w->subscribers) && !timer_armed(&w->flush) && timer_in(&sv->loop, &w->flush, 0, on_flush) < 0)
		on_flush(&w->flush);
	if (!strcmp(kind, "container") && meta && meta->uuid)
		logs_container_changed(sv, meta->uuid);
}

int watch_new(struct supervisor *sv, struct watch **ret)
{
	struct watch *w = calloc(1, sizeof *w);

	if (!w)
		return -ENOMEM;
	w->sv = sv;
	w->floor_revision = supervisor_revision(sv); /* what was before this berthd is not in the ring */
	list_init(&w->subscribers);
	*ret = w;
	return 0;
}

void watch_free(struct watch *w)
{
	struct subscriber *s;

	if (!w)
		return;
	timer_del(&w->flush);
	while ((s = list_first(&w->subscribers, struct subscriber, link)))
		subscriber_free(s);
	for (unsigned i = 0; i < RING; i++)
		entry_clear(&w->ring[i]);
	free(w);
}

/* ---------------------------------------------------------------- on_events */

static bool events_check(struct request *rq, const Berth__EventsRequest *a)
{
	struct watch *w = rq->sv->watch;

	if (!filters_check(rq, filters, ARRAY_SIZE(filters), a->filters, a->n_filters))
		return false;
	if (a->since_revision && a->since_revision < w->floor_revision) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__COMPACTED, "since_revision",
			    "events up to revision %llu are not kept any more: list again and watch from the list's "
			    "revision",
			    (unsigned long long)w->floor_revision);
		return false;
	}
	if (w->n_subscribers >= WATCH_MAX) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "%u watchers: that is the limit",
			    WATCH_MAX);
		return false;
	}
	return true;
}

/* The Done that comes first: from here on nothing is missed. */
static int events_begin(struct request *rq)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Done done = BERTH__DONE__INIT;

	done.has_revision = true;
	done.revision = supervisor_revision(rq->sv);
	env.body_case = BERTH__ENVELOPE__BODY_DONE;
	env.done = &done;
	return reply_more(rq->sv, rq->parked, &env);
}

static int subscriber_arm(struct subscriber *s)
{
	struct watch *w = s->watch;
	int64_t left = s->until_at - wall_ns();

	if (!s->until_at)
		return 0;
	s->ended = left <= 0;
	return s->ended ? 0 : timer_in(&w->sv->loop, &s->until, (uint64_t)left, on_until);
}

void on_events(struct request *rq)
{
	const Berth__EventsRequest *a = rq->env->events;
	struct watch *w = rq->sv->watch;
	struct subscriber *s;
	bool replay = a->since_at || a->since_revision;

	if (!events_check(rq, a))
		return;
	s = calloc(1, sizeof *s);
	if (!s) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	s->watch = w;
	s->parked = rq->parked;
	s->since_at = a->since_at;
	s->since_revision = a->since_revision;
	s->until_at = a->until_at;
	if (!principal_sees_all(&rq->who))
		snprintf(s->project, sizeof s->project, "%s", rq->who.project);
	s->next = !replay ? w->next : w->next > RING ? w->next - RING : 0;
	list_push(&w->subscribers, &s->link);
	w->n_subscribers++;
	if (subscriber_filters(s, a->filters, a->n_filters) < 0 || subscriber_arm(s) < 0 ||
	    parked_on_gone(rq->sv, rq->parked, on_subscriber_gone, s) < 0) {
		subscriber_free(s);
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	if (events_begin(rq) == 0)
		subscriber_pump(s);
}
