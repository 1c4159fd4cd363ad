/* supervisor/launch.c - see supervisor/launch.h
 *
 * Everything here touches tmpfs, cgroupfs and devtmpfs only; the disk (layers, upper, logs) is the shim's to open. */
#include "supervisor/launch.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "cgroup/limits.h"
#include "supervisor/apparmor.h"
#include "supervisor/caps.h"
#include "supervisor/hosts.h"
#include "supervisor/image.h"
#include "supervisor/pod.h"
#include "supervisor/rebuild.h"
#include "supervisor/resolv.h"
#include "supervisor/seccomp.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/spare.h"
#include "supervisor/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DEVICES_MAX	  1024 /* of a privileged container: every node of the host's /dev */
#define DEVICE_RULES_MAX  256
#define NEXT_FAILURES_MAX 3 /* in a row: the retry after more of them is far away */

/* ---------------------------------------------------------------- facts */

char **launch_layers(struct supervisor *sv, char *const *ids, size_t n, struct arena *a)
{
	char **layers = arena_alloc(a, (n + 1) * sizeof *layers);
	char path[512];

	for (size_t i = 0; layers && i < n; i++) {
		image_layer_path(sv, ids[n - 1 - i], path, sizeof path);
		layers[i] = arena_strdup(a, path);
	}
	path_mount_points(sv, "", path, sizeof path);
	if (layers)
		layers[n] = arena_strdup(a, path);
	return layers;
}

static int facts_layers(struct container *c, struct arena *a, struct plan_facts *f)
{
	f->layers = (const char *const *)launch_layers(c->sv, c->obj->layers, c->obj->n_layers, a);
	f->n_layers = (unsigned)c->obj->n_layers + 1;
	return a->failed ? -ENOMEM : 0;
}

static int facts_volumes(struct container *c, struct arena *a, struct plan_facts *f, struct err *e)
{
	const Berth__ContainerSpec *spec = c->obj->spec;
	struct plan_volume *volumes = arena_alloc(a, (spec->n_mounts ? spec->n_mounts : 1) * sizeof *volumes);

	if (!volumes)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_mounts; i++) {
		if (spec->mounts[i]->type != BERTH__MOUNT__TYPE__VOLUME)
			continue;
		int r = volume_use(c->sv, c->obj->meta->project, spec->mounts[i]->source, &volumes[i], e);
		if (r < 0)
			return r;
	}
	f->volumes = volumes;
	return a->failed ? -ENOMEM : 0;
}

static int device_look(const char *source, const char *target, struct plan_device *d, struct err *e)
{
	struct stat st;

	if (stat(source, &st) < 0)
		return err_set(e, errno, "device", "device %s", source);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, 0, "device", "%s is not a device", source);
	*d = (struct plan_device){.source = source,
				  .target = target,
				  .mode = st.st_mode,
				  .major = major(st.st_rdev),
				  .minor = minor(st.st_rdev)};
	return 0;
}

/* What a container has of its own, whatever the host has there. */
static bool is_own_device(const char *name)
{
	static const char *const own[] = {"pts",  "shm",    "mqueue",  "fd",  "console",   "ptmx", "null",  "zero",
					  "full", "random", "urandom", "tty", "hugepages", "log",  ".udev", "initctl"};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (!strcmp(name, own[i]))
			return true;
	return name[0] == '.';
}

static bool device_is_listed(const struct plan_device *devices, unsigned n, const char *target)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(devices[i].target, target))
			return true;
	return false;
}

static void devices_of_host(struct arena *a, const char *dir, struct plan_device *devices, unsigned *n, unsigned depth)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	/* What cannot be read is not there for the container; /dev of a minimal host may have holes. */
	while (d && (entry = readdir(d))) {
		char *path;

		if (is_own_device(entry->d_name) || *n >= DEVICES_MAX)
			continue;
		path = arena_printf(a, "%s/%s", dir, entry->d_name);
		if (!path)
			break;
		if (entry->d_type == DT_DIR && depth < 4)
			devices_of_host(a, path, devices, n, depth + 1);
		else if ((entry->d_type == DT_CHR || entry->d_type == DT_BLK) && !device_is_listed(devices, *n, path) &&
			 device_look(path, path, &devices[*n], NULL) == 0)
			(*n)++;
	}
	if (d)
		closedir(d);
}

static int facts_devices(struct container *c, struct arena *a, struct plan_facts *f, struct err *e)
{
	const Berth__ContainerSpec *spec = c->obj->spec;
	bool all = spec->security && spec->security->privileged;
	struct plan_device *devices = arena_alloc(a, (spec->n_devices + (all ? DEVICES_MAX : 0) + 1) * sizeof *devices);
	unsigned n = 0;

	if (!devices)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_devices; i++) {
		const Berth__Device *in = spec->devices[i];
		int r = device_look(in->source, in->target && in->target[0] ? in->target : in->source, &devices[n], e);

		if (r < 0)
			return r;
		n++;
	}
	if (all)
		devices_of_host(a, "/dev", devices, &n, 0);
	f->devices = devices;
	f->n_devices = n;
	return 0;
}

char *uuid_short(const char *uuid, struct arena *a)
{
	return arena_printf(a, "%.8s%.4s", uuid, uuid + 9);
}

const char *launch_hostname(const Berth__ContainerSpec *spec, const char *uuid, struct arena *a)
{
	char host[65] = "";

	if (spec->hostname && spec->hostname[0])
		return spec->hostname;
	if (spec->network && !strcmp(spec->network, "host") && gethostname(host, sizeof host - 1) == 0)
		return arena_strdup(a, host);
	return uuid_short(uuid, a);
}

static const char *facts_hostname(struct container *c, struct arena *a)
{
	const Berth__PodSpec *pod = c->pod->obj->spec;

	if (c->pod->obj->implicit)
		return launch_hostname(c->obj->spec, c->node.uuid, a);
	return pod->hostname && pod->hostname[0] ? pod->hostname : c->pod->obj->meta->name;
}

static const char *facts_apparmor(const struct supervisor *sv, const Berth__Security *s)
{
	if (s && s->apparmor && s->apparmor[0])
		return strcmp(s->apparmor, "unconfined") ? s->apparmor : NULL;
	if (s && s->privileged)
		return NULL;
	return sv->apparmor ? APPARMOR_DEFAULT : NULL;
}

static char *arena_path(struct container *c, struct arena *a, const char *leaf)
{
	char path[512];

	path_container(c->sv, c->node.uuid, leaf, path, sizeof path);
	return arena_strdup(a, path);
}

void launch_facts_of_host(struct supervisor *sv, const Berth__Container *obj, struct arena *a, struct plan_facts *f)
{
	struct rlimit nofile;

	*f = (struct plan_facts){.obj = obj};
	getrlimit(RLIMIT_NOFILE, &nofile);
	f->nofile_hard = nofile.rlim_max;
	f->staging_dir = arena_printf(a, "%s/staging", sv->cfg.run_dir);
	f->apparmor = facts_apparmor(sv, obj->spec->security);
}

static void facts_network(struct container *c, struct arena *a, struct plan_facts *f)
{
	const struct net_holder *net = container_net(c);

	f->pod = c->pod->obj->implicit ? NULL : c->pod->obj->spec;
	f->hostname = facts_hostname(c, a);
	f->leases = net_stored_of(net).leases;
	f->n_leases = net_stored_of(net).n_leases;
	f->resolv_conf = resolv_conf(net, a);
	f->others = hosts_further(net, a);
}

int launch_facts(struct container *c, struct arena *a, struct plan_facts *f, struct err *e)
{
	struct supervisor *sv = c->sv;
	char path[160], leaf[32];
	int r;

	launch_facts_of_host(sv, c->obj, a, f);
	f->request_id = c->by_person && *c->request_id ? c->request_id : NULL;
	f->upper = arena_path(c, a, rebuild_leaf(c, "upper", leaf));
	f->work = arena_path(c, a, rebuild_leaf(c, "work", leaf));
	f->log_dir = arena_path(c, a, "logs");
	path_exit(sv, c->node.uuid, path, sizeof path);
	f->exit_record = arena_strdup(a, path);
	facts_network(c, a, f);
	f->caps = caps_of(c->obj->spec->security);
	f->userns_count = c->obj->userns_first_id ? sv->cfg.userns_per : 0;
	r = facts_layers(c, a, f);
	if (!r)
		r = facts_volumes(c, a, f, e);
	if (!r)
		r = facts_devices(c, a, f, e);
	if (!r)
		r = seccomp_get(sv->seccomp, c->obj->spec->security, f->caps, &f->seccomp, &f->seccomp_len, e);
	return r;
}

/* ---------------------------------------------------------------- what will be in force */

static const char *seccomp_words(const struct container *c, size_t len)
{
	const Berth__Security *s = c->obj->spec->security;

	if (!len)
		return seccomp_is_usable(c->sv->seccomp) ? "unconfined" : "unsupported";
	return s && s->seccomp && !strcmp(s->seccomp, "profile") ? "profile" : "default";
}

static void in_force_make(struct container *c, const struct plan_facts *f, bool device_filter)
{
	Berth__InForce *in = calloc(1, sizeof *in);
	const Berth__Security *s = c->obj->spec->security;
	char name[64];

	if (!in)
		return;
	berth__in_force__init(in);
	for (int cap = 0; cap < 64; cap++)
		if (f->caps >> cap & 1 && !caps_name(cap, name, sizeof name))
			strings_add(&in->capabilities, &in->n_capabilities, name);
	set_text(&in->seccomp, "%s", seccomp_words(c, f->seccomp_len));
	set_text(&in->apparmor, "%s",
		 f->apparmor		  ? f->apparmor
		 : c->sv->apparmor_kernel ? "unconfined"
					  : "unsupported");
	SET(in, seccomp_instructions, (uint32_t)(f->seccomp_len / 8));
	SET(in, no_new_privs, s && s->no_new_privs);
	SET(in, userns, f->userns_count != 0);
	SET(in, userns_first_id, c->obj->userns_first_id);
	SET(in, userns_count, f->userns_count);
	SET(in, device_filter, device_filter);
	if (c->obj->status->in_force)
		berth__in_force__free_unpacked(c->obj->status->in_force, NULL);
	c->obj->status->in_force = in;
}

/* ---------------------------------------------------------------- groups */

bool launch_limits_any(const Berth__Resources *r)
{
	return r &&
	       (r->memory_bytes || r->memory_high_bytes || r->cpus_milli || r->pids_limit || r->has_memory_swap_bytes);
}

/* A program sizes itself by what its own group says (a Java heap by memory.max), and what it sees is `main`, not its parent:
 * the same limits stand there once more. Not memory.oom.group: an exec is part of the incarnation that dies with it. */
int launch_limits_show(uint32_t controllers, int group_fd, const struct cg_limits *l, struct err *e)
{
	const uint32_t shown = CG_BIT(CG_MEMORY) | CG_BIT(CG_CPU) | CG_BIT(CG_PIDS);
	struct cg_limits seen = {.reset_io = false};
	AUTO_FD main_fd = -1;
	int r = cg_enable(group_fd, controllers & shown, e);

	if (!r && cg_open(group_fd, "main", &main_fd) < 0)
		return 0;
	for (unsigned i = 0; i < l->n; i++)
		if ((!strncmp(l->item[i].file, "memory.", 7) && strcmp(l->item[i].file, "memory.oom.group")) ||
		    !strcmp(l->item[i].file, "cpu.max") || !strcmp(l->item[i].file, "pids.max"))
			seen.item[seen.n++] = l->item[i];
	return r ? r : cg_limits_apply(main_fd, &seen, e);
}

static int group_limits(struct supervisor *sv, const Berth__Resources *res, int group_fd, struct err *e)
{
	struct cg_limits l;
	int r;

	if (!res)
		return 0;
	r = cg_limits_make(res, sv->cg.controllers, false, &l, e);
	if (!r)
		r = cg_limits_apply(group_fd, &l, e);
	if (!r && launch_limits_any(res))
		r = launch_limits_show(sv->cg.controllers, group_fd, &l, e);
	return r;
}

static int group_devices(struct container *c, const struct plan_facts *f, int group_fd, bool *ret_on, struct err *e)
{
	struct cg_device_rule rules[DEVICE_RULES_MAX];
	unsigned n = plan_device_rules(f, rules, ARRAY_SIZE(rules));
	int r = cg_devices_attach(c->sv->devices, group_fd, rules, n, e);

	*ret_on = r == 0;
	if (r != -ENOTSUP)
		return r == CG_DEVICES_ALL ? 0 : r;
	/* Said in in_force too, and nobody gets CAP_MKNOD (mknod_forget). */
	if (!c->sv->no_device_filter)
		log_err(e, "containers run without a device filter, and without CAP_MKNOD");
	c->sv->no_device_filter = true;
	return 0;
}

static int group_make(struct container *c, const struct plan_facts *f, int *ret_fd, bool *ret_filter, struct err *e)
{
	AUTO_FD pod_fd = -1;
	AUTO_FD group_fd = -1;
	AUTO_FD main_fd = -1;
	char name[UUID_SIZE + 24];
	int r = pod_group_open(c->pod, &pod_fd, e);

	if (r < 0)
		return r;
	snprintf(name, sizeof name, "%s.%llu", c->node.uuid, (unsigned long long)c->obj->status->incarnation);
	/* The shim may have made it, with a spare's or at the end of the life before; nothing else is in it. */
	r = cg_make(pod_fd, name, &group_fd, e);
	if (r == -EEXIST)
		r = cg_open(pod_fd, name, &group_fd);
	if (!r)
		r = cg_make(group_fd, "main", &main_fd, e);
	if (r == -EEXIST)
		r = 0;
	if (!r)
		r = group_limits(c->sv, c->obj->spec->resources, group_fd, e);
	if (!r)
		r = group_devices(c, f, group_fd, ret_filter, e);
	if (!r)
		*ret_fd = take_fd(&group_fd);
	return r;
}

/* ---------------------------------------------------------------- sending */

int launch_pack(const ProtobufCMessage *m, const char *name, int *ret_fd, struct err *e)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	AUTO_FREE uint8_t *data = malloc(len ? len : 1);
	int fd;

	if (!data)
		return err_set(e, ENOMEM, "plan", "no memory for the plan");
	protobuf_c_message_pack(m, data);
	fd = memfd_sealed(name, data, len);
	if (fd < 0)
		return err_set(e, -fd, "plan", "a memfd for the plan");
	*ret_fd = fd;
	return 0;
}

int launch_view(struct container *c, int *ret_fd, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct plan_facts f = {.obj = c->obj, .view = true};
	Shim__LaunchPlan *plan;
	char leaf[32];
	int r;

	f.staging_dir = arena_printf(&a, "%s/staging", c->sv->cfg.run_dir);
	f.upper = arena_path(c, &a, rebuild_leaf(c, "upper", leaf));
	f.work = arena_path(c, &a, rebuild_leaf(c, "work", leaf));
	f.userns_count = c->obj->userns_first_id ? c->sv->cfg.userns_per : 0;
	r = facts_layers(c, &a, &f);
	if (!r)
		r = facts_volumes(c, &a, &f, e);
	if (!r)
		r = plan_make_view(&f, &a, &plan);
	if (r == -ENOMEM)
		err_set(e, ENOMEM, "plan", "no memory for the plan");
	if (!r)
		r = launch_pack(&plan->base, "berth-view", ret_fd, e);
	arena_fini(&a);
	return r;
}

int launch_files(struct container *c, int *ret_fd, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct plan_facts f = {.obj = c->obj};
	Shim__LaunchPlan *plan;
	int r;

	facts_network(c, &a, &f);
	r = plan_make_files(&f, &a, &plan);
	if (r == 0)
		r = launch_pack(&plan->base, "berth-files", ret_fd, e);
	else
		err_set(e, ENOMEM, "plan", "no memory for the plan");
	arena_fini(&a);
	return r;
}

static int launch_send(struct shimlink *shim, int plan_fd, int group_fd, int pod_pidfd, int volumes_fd, int session_fd,
		       struct err *e)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Launch body = SHIM__LAUNCH__INIT;
	Shim__FdRole roles[5];
	int fds[5], r;
	unsigned n = 0;

	roles[n] = SHIM__FD_ROLE__FD_PLAN;
	fds[n++] = plan_fd;
	roles[n] = SHIM__FD_ROLE__FD_CGROUP;
	fds[n++] = group_fd;
	if (pod_pidfd >= 0) {
		roles[n] = SHIM__FD_ROLE__FD_POD;
		fds[n++] = pod_pidfd;
	}
	if (volumes_fd >= 0) {
		roles[n] = SHIM__FD_ROLE__FD_VOLUMES;
		fds[n++] = volumes_fd;
	}
	if (session_fd >= 0) {
		roles[n] = SHIM__FD_ROLE__FD_SESSION;
		fds[n++] = session_fd;
	}
	m.fds = roles;
	m.n_fds = n;
	m.body_case = SHIM__SHIM_MESSAGE__BODY_LAUNCH;
	m.launch = &body;
	r = shimlink_send(shim, &m, fds, n);
	return r < 0 ? err_set(e, -r, "shim", "send the plan to the shim") : 0;
}

/* Without a device filter CAP_MKNOD would make a node of the host's disk, and open it. */
static void mknod_forget(struct plan_facts *f, bool filter)
{
	const Berth__Security *s = f->obj->spec->security;

	if (!filter && !f->userns_count && !(s && s->privileged))
		f->caps &= ~(1ull << CAP_MKNOD);
}

void launch_exec_facts(const struct container *c, struct plan_facts *f)
{
	const Berth__InForce *in = c->obj->status->in_force;
	const char *label = in ? in->apparmor : NULL;

	mknod_forget(f, in && in->device_filter);
	f->apparmor = label && strcmp(label, "unconfined") && strcmp(label, "unsupported") ? label : NULL;
}

static bool plan_wants_volumes(const struct plan_facts *f)
{
	for (size_t i = 0; i < f->obj->spec->n_mounts; i++)
		if (f->volumes[i].mounted)
			return true;
	return false;
}

/* Is it what the process that stands by has begun? */
static bool is_prepared(const struct prepared *prepared, const Shim__LaunchPlan *plan, struct arena *a)
{
	const Shim__LaunchPlan *p = plan_beginning(plan, a);

	return p && prepared_is(prepared, p, a);
}

/* Will it be started again without delay, with the same beginning? A limit would be set on a group that is not empty. */
static bool stands_by_next(const struct container *c)
{
	const Berth__ContainerSpec *spec = c->obj->spec;

	return spec->restart && spec->restart->kind != BERTH__RESTART_POLICY__KIND__NO &&
	       c->history.failures <= NEXT_FAILURES_MAX && plan_can_begin(spec) && !launch_limits_any(spec->resources);
}

/* What the next launch will find. Without memory it finds nothing, and says so to nobody. */
static struct prepared *prepare_next(struct container *c, Shim__LaunchPlan *plan, struct arena *a)
{
	struct prepared *next = stands_by_next(c) ? prepared_new() : NULL;
	const Shim__LaunchPlan *p = next ? plan_beginning(plan, a) : NULL;

	if (p && prepared_note(next, p, a) == 0)
		SET(plan, stand_by_next, true);
	else
		prepared_free(take_ptr(next));
	return next;
}

struct launch { /* all owned; -1 */
	int plan_fd, group_fd;
	int net_fd; /* as launch_container's */
	bool wants_volumes;
};

static int container_plan(struct container *c, bool hold, struct launch *ret, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct plan_facts f;
	Shim__LaunchPlan *plan;
	AUTO_FD group_fd = -1;
	bool filter = false;
	int r = launch_facts(c, &a, &f, e);

	f.hold = hold;
	if (!r)
		r = group_make(c, &f, &group_fd, &filter, e);
	mknod_forget(&f, filter);
	if (!r)
		r = plan_make(&f, &a, &plan, e);
	if (!r && c->prepared && is_prepared(c->prepared, plan, &a)) {
		SET(plan, as_prepared, true);
		ret->net_fd = take_fd(&c->prepared->net_fd);
	}
	prepared_free(take_ptr(c->prepared));
	if (!r)
		c->prepared = prepare_next(c, plan, &a);
	if (!r)
		r = launch_pack(&plan->base, "berth-plan", &ret->plan_fd, e);
	if (!r) {
		in_force_make(c, &f, filter);
		ret->wants_volumes = plan_wants_volumes(&f);
		ret->group_fd = take_fd(&group_fd);
	}
	if (r == -ENOMEM)
		err_set(e, ENOMEM, "plan", "no memory for the plan");
	arena_fini(&a);
	return r;
}

int launch_container(struct container *c, bool hold, int *ret_net_fd, struct err *e)
{
	struct launch l = {.plan_fd = -1, .group_fd = -1, .net_fd = -1};
	char path[160];
	int r;

	spares_wait(c->sv);
	SET(c->obj->status, incarnation, c->obj->status->incarnation + 1);
	r = container_plan(c, hold, &l, e);
	if (!r && !c->shim)
		r = shimlink_spawn(c->sv, c->node.uuid, &container_shim_ops, c, &c->shim, e);
	if (!r)
		r = launch_send(c->shim, l.plan_fd, l.group_fd, c->pod->pause_pidfd,
				l.wants_volumes ? c->sv->volume_ns_fd : -1, c->session_fd, e);
	close_fd(&c->session_fd);
	if (r < 0) {
		prepared_free(take_ptr(c->prepared)); /* of a plan that the shim has not got */
		container_group_path(c, path, sizeof path);
		cg_bury(&c->sv->graveyard, c->sv->cg.root_fd, path);
	} else {
		*ret_net_fd = take_fd(&l.net_fd);
	}
	close_fd(&l.plan_fd);
	close_fd(&l.group_fd);
	close_fd(&l.net_fd);
	return r;
}

/* A member that shares the pids and may trace would find in the pause process one without a filter. */
static int holder_filter(struct supervisor *sv, struct arena *a, Shim__LaunchPlan *plan, struct err *e)
{
	const void *bpf;
	size_t len;
	int r = seccomp_get(sv->seccomp, NULL, 0, &bpf, &len, e);

	if (r < 0 || !len) /* or there are none on this kernel */
		return r;
	plan->process = arena_alloc(a, sizeof *plan->process);
	if (!plan->process)
		return -ENOMEM;
	shim__process_plan__init(plan->process);
	SET(plan->process, seccomp, ((ProtobufCBinaryData){len, (uint8_t *)bpf}));
	return 0;
}

int launch_holder(struct pod *p, struct err *e)
{
	struct supervisor *sv = p->sv;
	struct arena a = ARENA_INIT;
	Shim__LaunchPlan *plan;
	AUTO_FD pod_fd = -1;
	AUTO_FD group_fd = -1;
	AUTO_FD main_fd = -1;
	AUTO_FD plan_fd = -1;
	const Berth__PodSpec *spec = p->obj->spec;
	const char *hostname = spec->hostname && spec->hostname[0] ? spec->hostname : p->obj->meta->name;
	char path[160], staging[160], name[40];
	int r = pod_group_open(p, &pod_fd, e);

	if (r < 0)
		return r;
	p->incarnation++;
	snprintf(name, sizeof name, "holder.%llu", (unsigned long long)p->incarnation);
	snprintf(staging, sizeof staging, "%s/staging", sv->cfg.run_dir);
	path_exit(sv, p->node.uuid, path, sizeof path);
	r = plan_make_holder(p->obj, staging, path, hostname, p->incarnation, &a, &plan, e);
	if (!r)
		r = holder_filter(sv, &a, plan, e);
	if (r == -ENOMEM)
		err_set(e, ENOMEM, "plan", "no memory for the plan");
	if (!r)
		r = launch_pack(&plan->base, "berth-plan", &plan_fd, e);
	if (!r)
		r = cg_make(pod_fd, name, &group_fd, e);
	if (!r)
		r = cg_make(group_fd, "main", &main_fd, e);
	if (!r && !p->holder)
		r = shimlink_spawn(sv, p->node.uuid, &pod_shim_ops, p, &p->holder, e);
	if (!r)
		r = launch_send(p->holder, plan_fd, group_fd, -1, -1, -1, e);
	arena_fini(&a);
	return r;
}
