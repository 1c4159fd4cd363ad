/* supervisor/spare.c - see supervisor/spare.h
 *
 * One is made at a time, and not while a start is under way, which has better use for the processors: a report of one that has come
 * up lets the next spare be made. All are of the kind (image, and whether its layer must survive the host) that was started last;
 * when there is none of that kind and no room, or a start found none, the oldest of another has to go. Within a kind they are after the spec of the last start (its /dev, its small files): what the
 * next one wants otherwise is made with its launch. One with an interface (slot.h) is for those alone who want such a one; one without is for all. */
#include "supervisor/spare.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/image.h"
#include "supervisor/launch.h"
#include "supervisor/plan.h"
#include "supervisor/set.h"
#include "supervisor/slot.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_NS (20 * NS_PER_MS) /* a start may take, before spares are made beside it */
#define AFTER_NS (3 * NS_PER_MS)  /* from the report of a start, unless the next one has begun */
#define HURRY_NS (NS_PER_MS / 10) /* … when few are left: starts without rest find one each time */
#define NEXT_NS	 (1 * NS_PER_MS)  /* from one spare to the next */

#define END_WAIT_MS 100 /* for the groups of one */

struct kind {
	char **layers; /* owned */
	size_t n_layers;
	bool no_sync;
	uint32_t slot_mtu; /* of the interface that waits for it; 0: none */
};

struct spares {
	struct supervisor *sv;
	struct kind wanted;
	uint8_t *spec; /* owned; packed: of the last start, after which the next ones are made */
	size_t spec_len;
	bool missed;	 /* a start found none of the wanted kind */
	struct list all; /* of struct spare.link, oldest first */
	unsigned n;
	struct timer timer;
};

struct spare {
	struct list link; /* spares.all */
	struct supervisor *sv;
	struct shimlink *shim; /* owned */
	struct kind kind;
	struct prepared *prepared; /* owned */
	bool asked, ready, retired;
	struct slot *slot; /* owned */
	char uuid[UUID_SIZE];
};

static const char *const folders[] = {"upper", "work/work/incompat/volatile", "work/work/incompat", "work/work",
				      "work"};

static void on_refill(struct timer *t);

static void refill_in(struct spares *s, uint64_t ns)
{
	/* Nothing was started yet: what would they be for? Without memory for a timer there are none until the next start. */
	if (s->sv->cfg.spare_shims && s->wanted.n_layers && !s->sv->stopping)
		(void)timer_in(&s->sv->loop, &s->timer, ns, on_refill);
}

/* ---------------------------------------------------------------- kinds */

/* On loan: not to be ended. */
static struct kind kind_of(struct supervisor *sv, const struct principal *who, const Berth__Container *obj)
{
	return (struct kind){.layers = obj->layers,
			     .n_layers = obj->n_layers,
			     .no_sync = obj->spec->auto_remove,
			     .slot_mtu = slot_wanted(sv, who, obj->spec)};
}

static void kind_fini(struct kind *k)
{
	strings_free(&k->layers, &k->n_layers);
}

static int kind_copy(struct kind *to, const struct kind *from)
{
	to->no_sync = from->no_sync;
	to->slot_mtu = from->slot_mtu;
	return strings_copy(&to->layers, &to->n_layers, from->layers, from->n_layers);
}

static bool kind_same_root(const struct kind *a, const struct kind *b)
{
	if (a->n_layers != b->n_layers || a->no_sync != b->no_sync)
		return false;
	for (size_t i = 0; i < a->n_layers; i++)
		if (strcmp(a->layers[i], b->layers[i]))
			return false;
	return true;
}

static bool kind_same(const struct kind *a, const struct kind *b)
{
	return a->slot_mtu == b->slot_mtu && kind_same_root(a, b);
}

/* ---------------------------------------------------------------- what it leaves */

static void groups_bury(struct spare *p)
{
	cg_bury(&p->sv->graveyard, p->sv->cg.shared_fd, p->uuid);
}

/* As we leave: nobody waits for the moment that a killed process takes to be gone from its group. */
static void groups_end(struct spare *p)
{
	/* Else it is the next start's sweep that finds them. */
	for (unsigned ms = 0; cg_remove(p->sv->cg.shared_fd, p->uuid) == -EBUSY && ms < END_WAIT_MS; ms++)
		usleep(1000);
}

static void socket_unlink(struct spare *p)
{
	char path[160];

	path_shim(p->sv, p->uuid, path, sizeof path);
	unlink(path);
}

struct folder { /* handed to the store thread and back */
	char path[320];
};

static int folder_remove(void *arg)
{
	const struct folder *f = arg;
	char path[400];

	snprintf(path, sizeof path, "%s/work/work/incompat/volatile/dirty", f->path);
	unlink(path);
	/* Empty, or never made. What is neither the sweep of the next start takes. */
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof path, "%s/%s", f->path, folders[i]);
		rmdir(path);
	}
	rmdir(f->path);
	return 0;
}

static void on_folder_removed(void *arg, int result)
{
	free(arg);
}

static void spare_free(struct spare *p)
{
	struct spares *s = p->sv->spares;

	shimlink_free(p->shim);
	slot_free(p->slot);
	kind_fini(&p->kind);
	prepared_free(p->prepared);
	list_del(&p->link);
	s->n--;
	free(p);
}

static void spare_bury(struct spare *p)
{
	struct folder *f = calloc(1, sizeof *f);

	socket_unlink(p);
	groups_bury(p);
	if (f) {
		path_container(p->sv, p->uuid, "", f->path, sizeof f->path);
		if (store_call(p->sv->store, folder_remove, f, on_folder_removed) < 0)
			free(f);
	}
	spare_free(p);
}

/* ---------------------------------------------------------------- what it says */

static int prepare_facts(struct spare *p, const Berth__ContainerSpec *spec, struct arena *a, struct plan_facts *f)
{
	struct supervisor *sv = p->sv;
	Berth__Container *obj = arena_alloc(a, sizeof *obj);
	Berth__Meta *meta = arena_alloc(a, sizeof *meta);
	Berth__ContainerStatus *status = arena_alloc(a, sizeof *status);
	char path[320];

	if (!obj || !meta || !status)
		return -ENOMEM;
	berth__container__init(obj);
	berth__meta__init(meta);
	berth__container_status__init(status);
	obj->meta = meta;
	obj->status = status;
	obj->spec = (Berth__ContainerSpec *)(uintptr_t)spec; /* only read */
	meta->uuid = p->uuid;
	launch_facts_of_host(sv, obj, a, f);
	f->layers = (const char *const *)launch_layers(sv, p->kind.layers, p->kind.n_layers, a);
	f->n_layers = (unsigned)p->kind.n_layers + 1;
	path_container(sv, p->uuid, "upper", path, sizeof path);
	f->upper = arena_strdup(a, path);
	path_container(sv, p->uuid, "work", path, sizeof path);
	f->work = arena_strdup(a, path);
	f->hostname = launch_hostname(spec, p->uuid, a);
	return a->failed ? -ENOMEM : 0;
}

/* ---------------------------------------------------------------- what is begun */

struct prepared *prepared_new(void)
{
	struct prepared *p = calloc(1, sizeof *p);

	if (p)
		p->net_fd = -1;
	return p;
}

void prepared_free(struct prepared *p)
{
	if (p)
		close_fd(&p->net_fd);
	free(p);
}

int prepared_note(struct prepared *p, const Shim__LaunchPlan *beginning, struct arena *a)
{
	int r = plan_beginning_digest(beginning, a, p->begun);

	p->stands_by = r == 0;
	return r;
}

bool prepared_is(const struct prepared *p, const Shim__LaunchPlan *beginning, struct arena *a)
{
	uint8_t digest[sizeof p->begun];

	return p->stands_by && plan_beginning_digest(beginning, a, digest) == 0 &&
	       !memcmp(digest, p->begun, sizeof digest);
}

/* A launch that is begun, and what of it is remembered. */
static int prepare_beginning(struct spare *p, const struct plan_facts *f, struct arena *a, Shim__PreparePlan *plan,
			     struct err *e)
{
	Shim__LaunchPlan *whole;
	int r = plan_make(f, a, &whole, e);

	if (r < 0)
		return r;
	plan->stand_by = plan_beginning(whole, a);
	if (!plan->stand_by)
		return -ENOMEM;
	plan->staging_dir = NULL;
	plan->n_steps = 0;
	return prepared_note(p->prepared, plan->stand_by, a);
}

static int prepare_plan(struct spare *p, const Berth__ContainerSpec *spec, struct arena *a, Shim__PreparePlan **ret,
			struct err *e)
{
	struct plan_facts f;
	int r = prepare_facts(p, spec, a, &f);

	if (!r)
		r = plan_make_ahead(&f, a, ret);
	if (!r && plan_can_begin(spec))
		r = prepare_beginning(p, &f, a, *ret, e);
	return r == -ENOMEM ? err_set(e, ENOMEM, "spare", "no memory") : r;
}

static int prepare_pack(struct spare *p, int *ret_fd, struct err *e)
{
	const struct spares *s = p->sv->spares;
	Berth__ContainerSpec *spec = message_unpack(&berth__container_spec__descriptor, s->spec, s->spec_len);
	struct arena a = ARENA_INIT;
	Shim__PreparePlan *plan;
	int r = spec ? prepare_plan(p, spec, &a, &plan, e) : err_set(e, ENOMEM, "spare", "no memory");

	if (!r)
		r = launch_pack(&plan->base, "berth-prepare", ret_fd, e);
	arena_fini(&a);
	if (spec)
		berth__container_spec__free_unpacked(spec, NULL);
	return r;
}

static int spare_prepare(struct spare *p, struct err *e)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Prepare body = SHIM__PREPARE__INIT;
	Shim__FdRole roles[] = {SHIM__FD_ROLE__FD_PLAN, SHIM__FD_ROLE__FD_CGROUP};
	char group[2 * UUID_SIZE + 8];
	AUTO_FD plan_fd = -1;
	AUTO_FD group_fd = -1;
	int r = prepare_pack(p, &plan_fd, e);

	if (r < 0)
		return r;
	snprintf(group, sizeof group, "%s/%s.1", p->uuid, p->uuid);
	r = cg_open(p->sv->cg.shared_fd, group, &group_fd);
	if (r < 0)
		return err_set(e, -r, "spare", "open the group %s", group);
	m.fds = roles;
	m.n_fds = ARRAY_SIZE(roles);
	m.body_case = SHIM__SHIM_MESSAGE__BODY_PREPARE;
	m.prepare = &body;
	r = shimlink_send(p->shim, &m, (int[]){plan_fd, group_fd}, ARRAY_SIZE(roles));
	return r < 0 ? err_set(e, -r, "spare", "tell the shim") : 0;
}

static void spare_network(void *owner, int *ns_fd)
{
	struct spare *p = owner;

	close_fd(&p->prepared->net_fd);
	p->prepared->net_fd = take_fd(ns_fd);
}

static void on_slot(void *arg, const struct err *e)
{
	struct spare *p = arg;

	if (e) {
		log_err(e, "an interface could not be made ahead");
		slot_free(take_ptr(p->slot));
	}
	p->ready = !p->retired;
}

/* What its shim makes is there. It is ready, now or when it has its interface too. */
static void spare_made(struct spare *p)
{
	int net_fd = p->prepared->net_fd;
	struct err e;

	if (p->kind.slot_mtu && net_fd >= 0 && !p->retired && !p->slot) {
		p->slot = slot_new(p->sv, p->kind.slot_mtu, net_fd, on_slot, p, &e);
		if (p->slot)
			return;
		log_err(&e, "an interface could not be made ahead");
	}
	p->ready = !p->retired;
}

/* The first one says that it lives, the second that all is made. */
static void spare_hello(void *owner, const Shim__ShimHello *h, int *container_pidfd)
{
	struct spare *p = owner;
	struct err e;

	if (p->asked) {
		spare_made(p);
	} else if (spare_prepare(p, &e) < 0) {
		log_err(&e, "a spare shim could not be prepared");
		shimlink_kill(p->shim);
	}
	p->asked = true;
}

static void spare_message(void *owner, const Shim__ShimMessage *m, int *container_pidfd)
{
	log_debug("spare shim %s: report %d", ((struct spare *)owner)->uuid, (int)m->body_case);
}

static void spare_gone(void *owner)
{
	struct spare *p = owner;
	struct spares *s = p->sv->spares;

	bool retired = p->retired;

	if (!retired)
		log_warn("a spare shim ended before it had a container: %s", p->uuid);
	spare_bury(p);
	/* The next start tries again: its image may be gone, or memory short. */
	if (retired)
		refill_in(s, NEXT_NS);
	else
		timer_del(&s->timer);
}

static const struct shimlink_ops spare_ops = {
	.hello = spare_hello, .network = spare_network, .message = spare_message, .gone = spare_gone};

/* ---------------------------------------------------------------- making them */

/* As pod.c and launch.c would make them for the first incarnation of a container without a pod. */
static int groups_make(struct spare *p, struct err *e)
{
	AUTO_FD pod_fd = -1;
	AUTO_FD group_fd = -1;
	AUTO_FD main_fd = -1;
	char name[UUID_SIZE + 2];
	int r = cg_tree_make(&p->sv->cg, p->sv->cg.shared_fd, p->uuid, &pod_fd, e);

	snprintf(name, sizeof name, "%s.1", p->uuid);
	if (!r)
		r = cg_enable(pod_fd, p->sv->cg.controllers, e);
	if (!r)
		r = cg_make(pod_fd, name, &group_fd, e);
	if (!r)
		r = cg_make(group_fd, "main", &main_fd, e);
	if (r < 0)
		groups_bury(p);
	return r;
}

static int spare_make(struct spares *s, struct err *e)
{
	struct spare *p = calloc(1, sizeof *p);
	int r;

	if (!p)
		return err_set(e, ENOMEM, "spare", "no memory");
	p->sv = s->sv;
	list_init(&p->link);
	uuid_make(p->uuid);
	p->prepared = prepared_new();
	r = p->prepared ? kind_copy(&p->kind, &s->wanted) : -ENOMEM;
	r = r < 0 ? err_set(e, -r, "spare", "no memory") : groups_make(p, e);
	if (!r) {
		r = shimlink_spawn(s->sv, p->uuid, &spare_ops, p, &p->shim, e);
		if (r < 0)
			groups_bury(p);
	}
	if (r < 0) {
		kind_fini(&p->kind);
		prepared_free(p->prepared);
		free(p);
		return r;
	}
	list_push(&s->all, &p->link);
	s->n++;
	return 0;
}

static void retire(struct spare *p)
{
	p->retired = true;
	p->ready = false;
	shimlink_bye(p->shim);
}

/* Room for one of the wanted kind, unless there is one and that was enough, or one is on its way out. */
static void retire_one(struct spares *s)
{
	bool more = s->missed;
	struct spare *p, *oldest = NULL;

	s->missed = false;
	list_each (p, &s->all, link) {
		bool is_wanted = kind_same(&p->kind, &s->wanted);

		if (p->retired || (is_wanted && !more))
			return;
		if (!is_wanted && !oldest)
			oldest = p;
	}
	if (oldest)
		retire(oldest);
}

static bool kind_is_there(struct supervisor *sv, const struct kind *k)
{
	for (size_t i = 0; i < k->n_layers; i++)
		if (!image_layer_is_needed(sv, k->layers[i]))
			return false;
	return true;
}

void spares_let_layers_go(struct supervisor *sv)
{
	struct spares *s = sv->spares;
	struct spare *p;

	if (!s)
		return;
	if (!kind_is_there(sv, &s->wanted))
		kind_fini(&s->wanted);
	list_each (p, &s->all, link)
		if (!p->retired && !kind_is_there(sv, &p->kind))
			retire(p);
}

void spares_retire(struct supervisor *sv)
{
	struct spare *p;

	list_each (p, &sv->spares->all, link)
		if (!p->retired)
			retire(p);
}

static void on_refill(struct timer *t)
{
	struct spares *s = container_of(t, struct spares, timer);
	struct err e;

	if (s->sv->stopping || s->sv->going_down || !s->wanted.n_layers)
		return;
	if (s->n >= s->sv->cfg.spare_shims) {
		retire_one(s);
		return;
	}
	if (spare_make(s, &e) < 0)
		log_err(&e, "a spare shim could not be made");
	else if (s->n < s->sv->cfg.spare_shims)
		refill_in(s, NEXT_NS);
}

int spares_open(struct supervisor *sv, struct err *e)
{
	struct spares *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "spares", "no memory");
	s->sv = sv;
	list_init(&s->all);
	sv->spares = s;
	return 0;
}

void spares_close(struct supervisor *sv)
{
	struct spares *s = sv->spares;
	struct spare *p;
	struct folder f;

	if (!s)
		return;
	timer_del(&s->timer);
	list_each (p, &s->all, link)
		shimlink_kill(p->shim);
	list_each (p, &s->all, link) {
		shimlink_end(p->shim);
		socket_unlink(p);
		groups_end(p);
		path_container(sv, p->uuid, "", f.path, sizeof f.path);
		folder_remove(&f);
		spare_free(p);
	}
	kind_fini(&s->wanted);
	free(s->spec);
	free(s);
	sv->spares = NULL;
}

/* ---------------------------------------------------------------- using them */

static struct spare *spare_find(const struct supervisor *sv, const char *uuid)
{
	struct spare *p;

	if (sv->spares)
		list_each (p, &sv->spares->all, link)
			if (!strcmp(p->uuid, uuid))
				return p;
	return NULL;
}

static int spec_note(struct spares *s, const Berth__ContainerSpec *spec)
{
	size_t len = berth__container_spec__get_packed_size(spec);
	uint8_t *data = malloc(len ? len : 1);

	if (!data)
		return -ENOMEM;
	berth__container_spec__pack(spec, data);
	free(s->spec);
	s->spec = data;
	s->spec_len = len;
	return 0;
}

/* An interface that is there cannot be had by who wants none, or another one. */
static bool spare_fits(const struct spare *p, const struct kind *kind)
{
	return kind_same_root(&p->kind, kind) && (!p->slot || p->kind.slot_mtu == kind->slot_mtu);
}

/* One with an interface for those that can have it, and in which a process stands by for those that may go on with it; the others leave them
 * those. */
static struct spare *spare_best(struct spares *s, const struct kind *kind, bool begins)
{
	struct spare *p, *best = NULL;
	int most = -1;

	list_each (p, &s->all, link) {
		int worth = 2 * (p->slot != NULL) + (p->prepared->stands_by == begins);

		if (worth <= most || !p->ready || !spare_fits(p, kind) || !shimlink_lives(p->shim))
			continue;
		best = p;
		most = worth;
	}
	return best;
}

bool spare_offer(struct supervisor *sv, const struct principal *who, const Berth__Container *obj, char uuid[UUID_SIZE])
{
	struct spares *s = sv->spares;
	struct kind kind = kind_of(sv, who, obj);
	struct spare *p;

	/* One with ids of its own has a network namespace and layers of its own too; one in a pod has the pod's. */
	if (!s || (obj->spec->security && obj->spec->security->userns) || (obj->spec->pod && obj->spec->pod[0]))
		return false;
	if (spec_note(s, obj->spec) < 0 || (!kind_same(&s->wanted, &kind) && kind_copy(&s->wanted, &kind) < 0))
		return false;
	refill_in(s, START_NS);
	p = spare_best(s, &kind, plan_can_begin(obj->spec));
	s->missed |= !p || !kind_same(&p->kind, &kind);
	if (p)
		memcpy(uuid, p->uuid, UUID_SIZE);
	return p != NULL;
}

bool spare_lend_slot(const struct supervisor *sv, const char *uuid, Berth__Lease *first)
{
	const struct spare *p = spare_find(sv, uuid);

	if (!p || !p->slot)
		return false;
	slot_lend(p->slot, first);
	return true;
}

struct shimlink *spare_take(struct supervisor *sv, const char *uuid, const struct shimlink_ops *ops, void *owner,
			    struct prepared **ret)
{
	struct spare *p = spare_find(sv, uuid);
	struct shimlink *shim = p ? take_ptr(p->shim) : NULL;

	if (!p)
		return NULL;
	shimlink_give(shim, ops, owner);
	if (p->slot)
		slot_give(take_ptr(p->slot));
	*ret = take_ptr(p->prepared);
	spare_free(p);
	return shim;
}

void spares_wait(struct supervisor *sv)
{
	struct spares *s = sv->spares;

	if (s && timer_armed(&s->timer))
		refill_in(s, START_NS);
}

void spares_refill(struct supervisor *sv)
{
	struct spares *s = sv->spares;

	if (s && timer_armed(&s->timer))
		refill_in(s, s->n > sv->cfg.spare_shims / 2 ? AFTER_NS : HURRY_NS);
}

bool spare_has(const struct supervisor *sv, const char *uuid)
{
	return spare_find(sv, uuid) != NULL;
}

unsigned spare_count(const struct supervisor *sv)
{
	const struct spare *p;
	unsigned n = 0;

	if (sv->spares)
		list_each (p, &sv->spares->all, link)
			n += p->ready;
	return n;
}
