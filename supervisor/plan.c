/* supervisor/plan.c - see supervisor/plan.h
 *
 * The order of the steps matters and is the order of the code: rootfs, the kernel's file systems, /dev, what the person
 * mounts (over all that, outer folders first), berth's small files, then from inside sysctls, read-only paths and masks, which
 * must come last because they take away what the steps before them need. */
#include "supervisor/plan.h"

#include "base/kept.h"
#include "base/own.h"
#include "base/str.h"
#include "supervisor/shimlink.h"

#include <errno.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define NOFILE_SOFT  1024 /* select(2) breaks beyond; a program that wants more raises it to the hard limit */
#define NOFILE_HARD  524288
#define SHM_DEFAULT  (64ull << 20)
#define TTY_GROUP    5
#define ATTR_NONE    (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

const char *const plan_masked_paths[] = {
	"/proc/asound",
	"/proc/acpi",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/sys/firmware",
	"/sys/devices/virtual/powercap",
	NULL,
};
const char *const plan_readonly_paths[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

static const struct {
	const char *path;
	uint32_t major, minor;
} default_nodes[] = {
	{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
	{"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

static const struct {
	const char *path, *target;
} default_symlinks[] = {
	{"/dev/fd", "/proc/self/fd"},	    {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"}, {"/dev/core", "/proc/kcore"},      {"/dev/ptmx", "pts/ptmx"},
};

static const struct {
	const char *name;
	int resource;
} rlimit_names[] = {
	{"as", RLIMIT_AS},	     {"core", RLIMIT_CORE},	    {"cpu", RLIMIT_CPU},
	{"data", RLIMIT_DATA},	     {"fsize", RLIMIT_FSIZE},	    {"locks", RLIMIT_LOCKS},
	{"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
	{"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},	    {"rss", RLIMIT_RSS},
	{"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},	    {"sigpending", RLIMIT_SIGPENDING},
	{"stack", RLIMIT_STACK},
};

int plan_rlimit(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++)
		if (!strcmp(rlimit_names[i].name, name))
			return rlimit_names[i].resource;
	return -EINVAL;
}

/* ---------------------------------------------------------------- building: a failed allocation marks the arena, checked once */

struct builder {
	struct arena *a;
	Shim__LaunchPlan *plan;
	size_t max_steps;
	const struct plan_facts *f;
	Shim__TreeStep *tree; /* the steps are to go into this one, or NULL */
};

static Shim__Step *step_add(struct builder *b, Shim__Step__Stage stage, Shim__Step__WhatCase what, bool optional)
{
	Shim__Step *s = b->plan->n_steps < b->max_steps ? arena_alloc(b->a, sizeof *s) : NULL;

	if (!s) {
		b->a->failed = true;
		return NULL;
	}
	shim__step__init(s);
	s->has_stage = 1;
	s->stage = stage;
	s->has_optional = s->optional = optional;
	s->what_case = what;
	b->plan->steps[b->plan->n_steps++] = s;
	return s;
}

/* A step and its body, which is named as in shim.proto; NULL out of memory. */
#define STEP(b, stage, upper, lower, type, optional)                                                                   \
	({                                                                                                             \
		Shim__Step *step_ = step_add(b, SHIM__STEP__STAGE__##stage, SHIM__STEP__WHAT_##upper, optional);       \
		Shim__##type *body_ = step_ ? arena_alloc((b)->a, sizeof *body_) : NULL;                               \
		if (body_) {                                                                                           \
			protobuf_c_message_init(&shim__##lower##__descriptor, body_);                                  \
			step_->STEP_FIELD_##upper = body_;                                                             \
		} else if (step_) {                                                                                    \
			(b)->plan->n_steps--;                                                                          \
		}                                                                                                      \
		body_;                                                                                                 \
	})
#define STEP_FIELD_OVERLAY	 overlay
#define STEP_FIELD_MOUNT	 mount
#define STEP_FIELD_NODE		 node
#define STEP_FIELD_SYMLINK	 symlink
#define STEP_FIELD_FILE		 file
#define STEP_FIELD_MASK		 mask
#define STEP_FIELD_READONLY_PATH readonly_path
#define STEP_FIELD_SYSCTL	 sysctl
#define STEP_FIELD_TREE		 tree

static char **strings_new(struct arena *a, size_t max)
{
	return arena_alloc(a, (max ? max : 1) * sizeof(char *));
}

static Shim__MountStep *add_mount(struct builder *b, const char *fstype, const char *source, const char *target,
				  uint64_t attr, bool optional)
{
	Shim__MountStep *m = STEP(b, ROOTFS, MOUNT, mount_step, MountStep, optional);

	if (!m)
		return NULL;
	m->fstype = (char *)fstype;
	m->source = (char *)source;
	m->target = (char *)target;
	m->has_attr = 1;
	m->attr = attr;
	m->options = strings_new(b->a, 4);
	return m->options ? m : NULL;
}

static void add_option(struct builder *b, Shim__MountStep *m, char *option)
{
	if (m && option)
		m->options[m->n_options++] = option;
}

static void add_bind(struct builder *b, const char *source, const char *target, uint64_t attr, bool recursive,
		     bool optional)
{
	Shim__MountStep *m = add_mount(b, NULL, source, target, attr, optional);

	if (m)
		m->has_recursive = m->recursive = recursive;
}

static void add_node(struct builder *b, const char *path, uint32_t mode, uint32_t major, uint32_t minor,
		     const char *host)
{
	Shim__NodeStep *n = STEP(b, ROOTFS, NODE, node_step, NodeStep, false);

	if (!n)
		return;
	n->path = (char *)path;
	n->host_path = (char *)host;
	n->has_mode = n->has_major = n->has_minor = 1;
	n->mode = mode;
	n->major = major;
	n->minor = minor;
}

static void add_file(struct builder *b, const char *path, char *content)
{
	Shim__FileStep *s = content ? STEP(b, ROOTFS, FILE, file_step, FileStep, false) : NULL;

	if (!s)
		return;
	s->path = (char *)path;
	s->has_content = s->has_mode = 1;
	s->content.data = (uint8_t *)content;
	s->content.len = strlen(content);
	s->mode = 0644;
}

static void add_sysctl(struct builder *b, const char *key, const char *value, bool optional)
{
	Shim__SysctlStep *s = STEP(b, INSIDE, SYSCTL, sysctl_step, SysctlStep, optional);

	if (!s)
		return;
	s->key = (char *)key;
	s->value = (char *)value;
}

/* ---------------------------------------------------------------- what the facts mean */

static const Berth__ContainerSpec *spec_of(const struct plan_facts *f)
{
	return f->obj->spec;
}

static bool is(const char *mode, const char *word)
{
	return mode && !strcmp(mode, word);
}

static bool is_privileged(const struct plan_facts *f)
{
	return spec_of(f)->security && spec_of(f)->security->privileged;
}

static bool net_is_host(const struct plan_facts *f)
{
	return f->pod ? is(f->pod->network, "host") : is(spec_of(f)->network, "host");
}

static bool mounted_by_person(const struct plan_facts *f, const char *path)
{
	for (size_t i = 0; i < spec_of(f)->n_mounts; i++)
		if (is(spec_of(f)->mounts[i]->target, path))
			return true;
	return false;
}

/* ---------------------------------------------------------------- the steps */

static void add_rootfs(struct builder *b)
{
	const struct plan_facts *f = b->f;
	Shim__Overlay *o = STEP(b, PREPARE, OVERLAY, overlay, Overlay, false);

	if (!o)
		return;
	o->layers = (char **)f->layers;
	o->n_layers = f->n_layers;
	/* Also of a read-only rootfs: mount points that the image lacks are made in upper before it is closed. */
	o->upper = (char *)f->upper;
	o->work = (char *)f->work;
	o->has_read_only = o->has_no_sync = 1;
	o->read_only = spec_of(f)->read_only;
	/* A container that goes when it ends is not there any more after the host went down. */
	o->no_sync = spec_of(f)->auto_remove;
}

static void add_proc(struct builder *b)
{
	/* proc shows the pids of who mounts it, and we enter the pod's only when all is done. */
	if (b->f->pod && b->f->pod->share_pid && !is(spec_of(b->f)->pid_mode, "host")) {
		Shim__MountStep *m = add_mount(b, NULL, "/proc", "/proc", ATTR_NONE, false);

		if (m)
			m->has_from_pod = m->from_pod = 1;
		return;
	}
	/* A user namespace may not mount the proc of a pid namespace that is not its own. */
	if (is(spec_of(b->f)->pid_mode, "host") && b->f->userns_count)
		add_bind(b, "/proc", "/proc", ATTR_NONE, true, false);
	else
		add_mount(b, "proc", "proc", "/proc", ATTR_NONE, false);
}

static void add_shm(struct builder *b)
{
	const Berth__ContainerSpec *spec = spec_of(b->f);
	uint64_t size = spec->has_shm_size_bytes && spec->shm_size_bytes ? spec->shm_size_bytes : SHM_DEFAULT;
	Shim__MountStep *m;

	if (is(spec->ipc_mode, "host")) {
		add_bind(b, "/dev/shm", "/dev/shm", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, true, false);
		add_bind(b, "/dev/mqueue", "/dev/mqueue", ATTR_NONE, false, true);
		return;
	}
	if (b->f->pod) {
		m = add_mount(b, NULL, "/dev/shm", "/dev/shm", ATTR_NONE, false);
		if (m)
			m->has_from_pod = m->from_pod = 1;
	} else {
		m = add_mount(b, "tmpfs", "shm", "/dev/shm", ATTR_NONE, false);
		add_option(b, m, arena_strdup(b->a, "mode=1777"));
		add_option(b, m, arena_printf(b->a, "size=%llu", (unsigned long long)size));
	}
}

/* What one step holds of them is made ahead where it can be (spare.c). With ids of its own a container gets its nodes bound, and its
 * file systems from inside: step by step. */
static bool tree_begin(struct builder *b, const char *path, struct builder *sub)
{
	Shim__TreeStep *t = b->f->userns_count ? NULL : STEP(b, ROOTFS, TREE, tree_step, TreeStep, false);

	*sub = *b;
	if (!t)
		return false;
	t->path = (char *)path;
	sub->plan = arena_alloc(b->a, sizeof *sub->plan);
	if (!sub->plan)
		return false;
	shim__launch_plan__init(sub->plan);
	sub->max_steps = 32;
	sub->plan->steps = arena_alloc(b->a, sub->max_steps * sizeof *sub->plan->steps);
	sub->tree = t;
	return sub->plan->steps != NULL;
}

static void tree_end(struct builder *sub)
{
	if (!sub->tree || sub->a->failed)
		return;
	sub->tree->steps = sub->plan->steps;
	sub->tree->n_steps = sub->plan->n_steps;
}

static void add_own_dev(struct builder *b)
{
	Shim__MountStep *m = add_mount(b, "tmpfs", "tmpfs", "/dev", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME, false);

	add_option(b, m, arena_strdup(b->a, "mode=755"));
	add_option(b, m, arena_strdup(b->a, "size=65536k"));
	for (size_t i = 0; i < ARRAY_SIZE(default_nodes); i++)
		add_node(b, default_nodes[i].path, S_IFCHR | 0666, default_nodes[i].major, default_nodes[i].minor,
			 default_nodes[i].path);
	m = add_mount(b, "devpts", "devpts", "/dev/pts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false);
	add_option(b, m, arena_strdup(b->a, "newinstance"));
	add_option(b, m, arena_strdup(b->a, "ptmxmode=0666"));
	add_option(b, m, arena_strdup(b->a, "mode=0620"));
	add_option(b, m, arena_printf(b->a, "gid=%d", TTY_GROUP));
	for (size_t i = 0; i < ARRAY_SIZE(default_symlinks); i++) {
		Shim__SymlinkStep *s = STEP(b, ROOTFS, SYMLINK, symlink_step, SymlinkStep, false);

		if (!s)
			return;
		s->path = (char *)default_symlinks[i].path;
		s->target = (char *)default_symlinks[i].target;
	}
}

static void add_dev(struct builder *b)
{
	const Berth__ContainerSpec *spec = spec_of(b->f);
	bool own_shm = !is(spec->ipc_mode, "host") && !b->f->pod;
	struct builder sub;

	tree_begin(b, "/dev", &sub);
	add_own_dev(&sub);
	if (own_shm)
		add_shm(&sub);
	tree_end(&sub);
	if (!own_shm)
		add_shm(b);
	/* Without a terminal there is none: the real console is the host's, and no business of a container. */
	if (spec->tty)
		add_node(b, "/dev/console", S_IFCHR | 0620, 5, 1, "/dev/console");
	if (!is(spec->ipc_mode, "host"))
		add_mount(b, "mqueue", "mqueue", "/dev/mqueue", ATTR_NONE, true);
	for (unsigned i = 0; i < b->f->n_devices; i++) {
		const struct plan_device *d = &b->f->devices[i];

		add_node(b, d->target, d->mode, d->major, d->minor, d->source);
	}
}

static void add_sys(struct builder *b)
{
	uint64_t attr = ATTR_NONE | (is_privileged(b->f) ? 0 : MOUNT_ATTR_RDONLY);
	bool userns = b->f->userns_count;
	struct builder sub = *b;

	/* sysfs shows the network namespace, and may be mounted only by who owns it. */
	if (userns && net_is_host(b->f))
		add_bind(b, "/sys", "/sys", attr, true, false);
	else if (net_is_host(b->f) || b->f->pod) /* one that is not ours to make ahead */
		add_mount(b, "sysfs", "sysfs", "/sys", attr, userns);
	else {
		tree_begin(b, "/sys", &sub);
		add_mount(&sub, "sysfs", "sysfs", "/sys", attr, userns);
		tree_end(&sub);
	}
	add_mount(b, "cgroup2", "cgroup", "/sys/fs/cgroup", attr, userns);
}

static uint64_t propagation_of(const char *text)
{
	static const struct {
		const char *name;
		uint64_t flag;
	} names[] = {{"private", MS_PRIVATE}, {"slave", MS_SLAVE}, {"shared", MS_SHARED}};

	if (!text)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(text, names[i].name))
			return names[i].flag;
		if (text[0] == 'r' && !strcmp(text + 1, names[i].name))
			return names[i].flag | MS_REC;
	}
	return 0;
}

static bool is_in_memory(const struct plan_facts *f, size_t i)
{
	const Berth__Mount *in = spec_of(f)->mounts[i];

	return in->type == BERTH__MOUNT__TYPE__TMPFS ||
	       (f->view && in->type == BERTH__MOUNT__TYPE__VOLUME && f->volumes[i].mounted && !f->volumes[i].sized);
}

static void add_person_mount(struct builder *b, size_t i)
{
	const Berth__Mount *in = spec_of(b->f)->mounts[i];
	uint64_t attr = in->read_only ? MOUNT_ATTR_RDONLY : 0;
	Shim__MountStep *m;

	if (is_in_memory(b->f, i)) {
		attr |= MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (in->exec ? 0 : MOUNT_ATTR_NOEXEC);
		m = add_mount(b, "tmpfs", "tmpfs", in->target, attr, false);
		add_option(b, m, arena_printf(b->a, "mode=%o", in->has_mode ? in->mode : 01777));
		if (in->size_bytes)
			add_option(b, m, arena_printf(b->a, "size=%llu", (unsigned long long)in->size_bytes));
		return;
	}
	if (in->type == BERTH__MOUNT__TYPE__VOLUME)
		m = add_mount(b, NULL, b->f->volumes[i].path, in->target, attr | MOUNT_ATTR_NODEV, false);
	else
		m = add_mount(b, NULL, in->source, in->target, attr, false);
	if (!m)
		return;
	m->has_recursive = m->has_make_source = 1;
	m->recursive = !in->non_recursive;
	m->has_from_volumes = m->from_volumes = in->type == BERTH__MOUNT__TYPE__VOLUME && b->f->volumes[i].mounted;
	m->make_source = in->type == BERTH__MOUNT__TYPE__VOLUME && !m->from_volumes;
	/* A volume is the container's own, as its rootfs is; a path of the host stays the host's. */
	m->id_mapped = m->has_id_mapped = in->type == BERTH__MOUNT__TYPE__VOLUME && b->f->userns_count;
	m->has_attr_on_top = m->attr_on_top = in->writable_below;
	m->propagation = propagation_of(in->propagation);
	m->has_propagation = m->propagation != 0;
}

static unsigned depth_of(const char *path)
{
	unsigned depth = 0;

	for (; *path; path++)
		depth += *path == '/';
	return depth;
}

/* Outer folders first, else they would hide what is mounted below them; the person's order among equals. */
static void add_person_mounts(struct builder *b)
{
	const Berth__ContainerSpec *spec = spec_of(b->f);
	unsigned deepest = 0;

	for (size_t i = 0; i < spec->n_mounts; i++)
		if (depth_of(spec->mounts[i]->target) > deepest)
			deepest = depth_of(spec->mounts[i]->target);
	for (unsigned depth = 0; depth <= deepest; depth++)
		for (size_t i = 0; i < spec->n_mounts; i++)
			if (depth_of(spec->mounts[i]->target) == depth)
				add_person_mount(b, i);
}

static void add_host_file(struct builder *b, const char *path)
{
	if (!mounted_by_person(b->f, path))
		add_bind(b, path, path, MOUNT_ATTR_RDONLY, false, true);
}

/* Lines of /etc/hosts: its name at its own addresses, as Docker does, or at one of the loopback's where it has none. Of one with a domain
 * the first word is the name in full (hostname -f), the second the host. */
static const char *own_names(struct builder *b, const char *hostname)
{
	size_t host = strcspn(hostname, "."), n = 0;
	const char *text = "";

	if (hostname[host])
		hostname = arena_printf(b->a, "%s %.*s", hostname, (int)host, hostname);
	if (!hostname)
		return "";
	for (size_t i = 0; i < b->f->n_leases; i++)
		for (size_t k = 0; !b->f->leases[i]->leaving && k < b->f->leases[i]->n_addresses; k++, n++)
			text = arena_printf(b->a, "%s%s\t%s\n", text ? text : "", b->f->leases[i]->addresses[k],
					    hostname);
	return n && text ? text : arena_printf(b->a, "127.0.1.1\t%s\n", hostname);
}

/* One that is written again while the container runs, as long as nobody has edited it. */
static void add_kept(struct builder *b, const char *path, const char *body)
{
	char line[KEPT_LINE];

	if (!body || mounted_by_person(b->f, path))
		return;
	kept_line(body, strlen(body), line);
	add_file(b, path, arena_printf(b->a, "%s%s", line, body));
}

static void add_network_files(struct builder *b)
{
	add_kept(b, "/etc/hosts",
		 arena_printf(b->a,
			      "127.0.0.1\tlocalhost\n%s::1\tlocalhost ip6-localhost ip6-loopback\n"
			      "fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::"
			      "2\tip6-allrouters\n%s",
			      own_names(b, b->f->hostname), b->f->others ? b->f->others : ""));
	add_kept(b, "/etc/resolv.conf", b->f->resolv_conf ? b->f->resolv_conf : "# no network: no name server\n");
}

static void add_files(struct builder *b)
{
	if (!mounted_by_person(b->f, "/etc/hostname"))
		add_file(b, "/etc/hostname", arena_printf(b->a, "%s\n", b->f->hostname));
	if (net_is_host(b->f)) {
		add_host_file(b, "/etc/hosts");
		add_host_file(b, "/etc/resolv.conf");
	} else {
		add_network_files(b);
	}
}

/* A new network namespace has the host's defaults of long ago: ports below 1024 for root only, no ping for users. */
static void add_net_sysctls(struct builder *b)
{
	add_sysctl(b, "net.ipv4.ip_unprivileged_port_start", "0", true);
	add_sysctl(b, "net.ipv4.ping_group_range", "0 2147483647", true);
}

static void add_sysctls(struct builder *b)
{
	const Berth__ContainerSpec *spec = spec_of(b->f);

	if (!b->f->pod && !net_is_host(b->f))
		add_net_sysctls(b);
	for (size_t i = 0; i < spec->n_sysctls; i++)
		add_sysctl(b, spec->sysctls[i]->key, spec->sysctls[i]->value, false);
}

static void add_mask(struct builder *b, const char *path)
{
	Shim__MaskStep *s = STEP(b, INSIDE, MASK, mask_step, MaskStep, false);

	if (s)
		s->path = (char *)path;
}

static void add_readonly(struct builder *b, const char *path)
{
	Shim__ReadonlyPathStep *s = STEP(b, INSIDE, READONLY_PATH, readonly_path_step, ReadonlyPathStep, false);

	if (s)
		s->path = (char *)path;
}

static void add_hidden(struct builder *b)
{
	if (is_privileged(b->f))
		return;
	for (size_t i = 0; plan_readonly_paths[i]; i++)
		add_readonly(b, plan_readonly_paths[i]);
	for (size_t i = 0; plan_masked_paths[i]; i++)
		add_mask(b, plan_masked_paths[i]);
}

/* ---------------------------------------------------------------- the process */

static size_t env_name_len(const char *entry)
{
	return strcspn(entry, "=");
}

static void env_set(char **env, size_t *n, char *entry)
{
	size_t len = entry ? env_name_len(entry) : 0;

	if (!entry)
		return;
	for (size_t i = 0; i < *n; i++)
		if (env_name_len(env[i]) == len && !memcmp(env[i], entry, len)) {
			env[i] = entry;
			return;
		}
	env[(*n)++] = entry;
}

static void make_env(const struct plan_facts *f, const Berth__ExecSpec *x, bool tty, struct arena *a,
		     Shim__ProcessPlan *p)
{
	const Berth__ContainerSpec *spec = spec_of(f);

	p->env = strings_new(a, 3 + spec->n_env + (x ? x->n_env : 0));
	if (!p->env)
		return;
	env_set(p->env, &p->n_env, arena_strdup(a, DEFAULT_PATH));
	env_set(p->env, &p->n_env, arena_printf(a, "HOSTNAME=%s", f->hostname));
	if (tty)
		env_set(p->env, &p->n_env, arena_strdup(a, "TERM=xterm"));
	for (size_t i = 0; i < spec->n_env; i++)
		env_set(p->env, &p->n_env, spec->env[i]);
	for (size_t i = 0; x && i < x->n_env; i++)
		env_set(p->env, &p->n_env, x->env[i]);
}

static int make_rlimits(const struct plan_facts *f, struct arena *a, Shim__ProcessPlan *p, struct err *e)
{
	const Berth__ContainerSpec *spec = spec_of(f);
	bool nofile = false;

	p->rlimits = arena_alloc(a, (spec->n_ulimits + 1) * sizeof *p->rlimits);
	Shim__Rlimit *limits = arena_alloc(a, (spec->n_ulimits + 1) * sizeof *limits);
	if (!p->rlimits || !limits)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_ulimits + 1; i++) {
		const Berth__Ulimit *u = i < spec->n_ulimits ? spec->ulimits[i] : NULL;
		int resource = u ? plan_rlimit(u->name) : RLIMIT_NOFILE;
		Shim__Rlimit *l = &limits[p->n_rlimits];

		if (resource < 0)
			return err_set(e, EINVAL, "ulimit", "there is no ulimit \"%s\"", u->name);
		nofile |= u && resource == RLIMIT_NOFILE;
		if (!u && nofile)
			break;
		shim__rlimit__init(l);
		l->has_resource = l->has_soft = l->has_hard = l->has_optional = 1;
		l->resource = (uint32_t)resource;
		l->soft = u ? u->soft : NOFILE_SOFT;
		l->hard = u ? u->hard : f->nofile_hard < NOFILE_HARD ? f->nofile_hard : NOFILE_HARD;
		/* What a person asked for is done or it is an error; a default of ours may not be possible everywhere. */
		l->optional = !u;
		p->rlimits[p->n_rlimits++] = l;
	}
	return 0;
}

/* Known to be another user than root: by number. A name is looked up in the child, where the kernel takes the capabilities
 * away at the change of user. */
static bool user_is_other(const char *user)
{
	char uid[32];
	size_t len = user ? strcspn(user, ":") : 0;
	uint32_t n;

	if (!len || len >= sizeof uid)
		return false;
	memcpy(uid, user, len);
	uid[len] = 0;
	return !str_to_u32(uid, &n) && n != 0;
}

static void make_confinement(const struct plan_facts *f, const char *user, Shim__ProcessPlan *p)
{
	const Berth__ContainerSpec *spec = spec_of(f);
	bool other = user_is_other(user);

	p->has_cap_bounding = p->has_cap_permitted = p->has_cap_effective = p->has_cap_inheritable =
		p->has_cap_ambient = 1;
	p->cap_bounding = f->caps;
	p->cap_permitted = p->cap_effective = other ? 0 : f->caps;
	p->has_seccomp = f->seccomp_len != 0;
	p->seccomp.data = (uint8_t *)f->seccomp;
	p->seccomp.len = f->seccomp_len;
	p->has_no_new_privs = 1;
	p->no_new_privs = spec->security && spec->security->no_new_privs;
	p->apparmor = (char *)f->apparmor;
	p->has_oom_score_adj = p->has_oom_score_adj_optional = 1;
	p->oom_score_adj = spec->oom_score_adj;
	/* Unset it is 0 again, whatever ours is; that is no promise to anybody. */
	p->oom_score_adj_optional = !spec->has_oom_score_adj;
}

static int make_process(const struct plan_facts *f, struct arena *a, Shim__ProcessPlan **ret, struct err *e)
{
	const Berth__ContainerSpec *spec = spec_of(f);
	Shim__ProcessPlan *p = arena_alloc(a, sizeof *p);

	if (!p)
		return -ENOMEM;
	shim__process_plan__init(p);
	p->argv = strings_new(a, spec->n_entrypoint + spec->n_command);
	if (!p->argv)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_entrypoint; i++)
		p->argv[p->n_argv++] = spec->entrypoint[i];
	for (size_t i = 0; i < spec->n_command; i++)
		p->argv[p->n_argv++] = spec->command[i];
	if (!p->n_argv)
		return err_set(e, EINVAL, "plan", "there is no command: neither the image nor the request names one");
	make_env(f, NULL, spec->tty, a, p);
	p->cwd = spec->workdir && spec->workdir[0] ? spec->workdir : (char *)"/";
	p->user = spec->user && spec->user[0] ? spec->user : NULL;
	p->has_tty = p->has_stdin_open = p->has_stdin_once = 1;
	p->tty = spec->tty;
	p->stdin_open = spec->stdin_open;
	p->stdin_once = spec->stdin_once;
	p->has_rows = p->has_cols = spec->has_tty_rows && spec->has_tty_cols;
	p->rows = spec->tty_rows;
	p->cols = spec->tty_cols;
	make_confinement(f, p->user, p);
	*ret = p;
	return make_rlimits(f, a, p, e);
}

/* ---------------------------------------------------------------- the whole */

static void make_head(const struct plan_facts *f, Shim__LaunchPlan *p)
{
	const Berth__ContainerSpec *spec = spec_of(f);

	p->has_version = p->has_incarnation = p->has_program = p->has_net = p->has_timeout_ms = p->has_new_cgroup_ns =
		1;
	p->version = SHIM_VERSION;
	p->uuid = f->obj->meta->uuid;
	p->incarnation = f->obj->status->incarnation;
	p->request_id = (char *)f->request_id;
	p->program = SHIM__LAUNCH_PLAN__PROGRAM__EXEC;
	p->staging_dir = (char *)f->staging_dir;
	p->exit_record = (char *)f->exit_record;
	p->log_dir = (char *)f->log_dir;
	p->has_log_max_bytes = p->has_log_max_files = spec->log != NULL;
	if (spec->log) {
		p->log_max_bytes = spec->log->max_size_bytes;
		p->log_max_files = spec->log->max_files;
	}
	p->net = f->pod		  ? SHIM__LAUNCH_PLAN__NET__NET_POD
		 : net_is_host(f) ? SHIM__LAUNCH_PLAN__NET__NET_HOST
				  : SHIM__LAUNCH_PLAN__NET__NET_NEW;
	p->has_ipc_host = p->has_pid_host = 1;
	p->ipc_host = is(spec->ipc_mode, "host");
	p->pid_host = is(spec->pid_mode, "host");
	p->has_ipc_pod = p->has_uts_pod = p->has_pid_pod = f->pod != NULL;
	p->ipc_pod = f->pod && !p->ipc_host;
	p->uts_pod = f->pod != NULL;
	p->pid_pod = f->pod && f->pod->share_pid && !p->pid_host;
	p->hostname = f->pod ? NULL : (char *)f->hostname;
	p->has_userns_first_id = p->has_userns_count = f->userns_count != 0;
	p->userns_first_id = f->obj->userns_first_id;
	p->userns_count = f->userns_count;
	p->has_init = p->has_hold_before_exec = 1;
	p->init = spec->init;
	p->hold_before_exec = f->hold;
	p->timeout_ms = PLAN_TIMEOUT_MS;
	p->new_cgroup_ns = 1;
}

int plan_make(const struct plan_facts *f, struct arena *a, Shim__LaunchPlan **ret, struct err *e)
{
	struct builder b = {.a = a, .f = f, .plan = arena_alloc(a, sizeof *b.plan)};
	int r;

	b.max_steps = 64 + spec_of(f)->n_mounts + spec_of(f)->n_sysctls + f->n_devices;
	if (!b.plan)
		return -ENOMEM;
	shim__launch_plan__init(b.plan);
	b.plan->steps = arena_alloc(a, b.max_steps * sizeof *b.plan->steps);
	if (!b.plan->steps)
		return -ENOMEM;
	make_head(f, b.plan);
	add_rootfs(&b);
	add_proc(&b);
	add_dev(&b);
	add_sys(&b);
	add_person_mounts(&b);
	add_files(&b);
	add_sysctls(&b);
	add_hidden(&b);
	r = make_process(f, a, &b.plan->process, e);
	if (r < 0)
		return r;
	if (a->failed)
		return -ENOMEM;
	*ret = b.plan;
	return 0;
}

int plan_make_ahead(const struct plan_facts *f, struct arena *a, Shim__PreparePlan **ret)
{
	Shim__LaunchPlan all = SHIM__LAUNCH_PLAN__INIT;
	struct builder b = {.a = a, .f = f, .plan = &all, .max_steps = 16};
	Shim__PreparePlan *p = arena_alloc(a, sizeof *p);

	all.steps = arena_alloc(a, b.max_steps * sizeof *all.steps);
	if (!p || !all.steps)
		return -ENOMEM;
	shim__prepare_plan__init(p);
	add_rootfs(&b);
	add_dev(&b);
	add_sys(&b);
	add_files(&b);
	p->steps = all.steps;
	for (size_t i = 0; i < all.n_steps; i++)
		if (all.steps[i]->what_case == SHIM__STEP__WHAT_OVERLAY ||
		    all.steps[i]->what_case == SHIM__STEP__WHAT_TREE ||
		    all.steps[i]->what_case == SHIM__STEP__WHAT_FILE)
			p->steps[p->n_steps++] = all.steps[i];
	p->has_net = p->net = p->has_log = p->log = 1;
	p->staging_dir = (char *)f->staging_dir;
	*ret = p;
	return a->failed ? -ENOMEM : 0;
}

int plan_make_files(const struct plan_facts *f, struct arena *a, Shim__LaunchPlan **ret)
{
	struct builder b = {.a = a, .f = f, .plan = arena_alloc(a, sizeof *b.plan), .max_steps = 2};

	if (!b.plan)
		return -ENOMEM;
	shim__launch_plan__init(b.plan);
	b.plan->steps = arena_alloc(a, b.max_steps * sizeof *b.plan->steps);
	if (b.plan->steps && !net_is_host(f))
		add_network_files(&b);
	*ret = b.plan;
	return a->failed ? -ENOMEM : 0;
}

int plan_make_view(const struct plan_facts *f, struct arena *a, Shim__LaunchPlan **ret)
{
	struct builder b = {.a = a, .f = f, .plan = arena_alloc(a, sizeof *b.plan)};

	b.max_steps = 1 + spec_of(f)->n_mounts;
	if (!b.plan)
		return -ENOMEM;
	shim__launch_plan__init(b.plan);
	b.plan->steps = arena_alloc(a, b.max_steps * sizeof *b.plan->steps);
	if (!b.plan->steps)
		return -ENOMEM;
	b.plan->staging_dir = (char *)f->staging_dir;
	b.plan->has_userns_first_id = b.plan->has_userns_count = f->userns_count != 0;
	b.plan->userns_first_id = f->obj->userns_first_id;
	b.plan->userns_count = f->userns_count;
	add_rootfs(&b);
	add_person_mounts(&b);
	*ret = b.plan;
	return a->failed ? -ENOMEM : 0;
}

int plan_make_holder(const Berth__Pod *pod, const char *staging_dir, const char *exit_record, const char *hostname,
		     uint64_t incarnation, struct arena *a, Shim__LaunchPlan **ret, struct err *e)
{
	const Berth__PodSpec *spec = pod->spec;
	struct builder b = {.a = a, .max_steps = 8 + spec->n_sysctls, .plan = arena_alloc(a, sizeof *b.plan)};
	bool host = is(spec->network, "host");
	Shim__MountStep *m;

	if (!b.plan)
		return -ENOMEM;
	shim__launch_plan__init(b.plan);
	b.plan->steps = arena_alloc(a, b.max_steps * sizeof *b.plan->steps);
	if (!b.plan->steps)
		return -ENOMEM;
	b.plan->has_version = b.plan->has_incarnation = b.plan->has_program = b.plan->has_net = b.plan->has_timeout_ms =
		1;
	b.plan->version = SHIM_VERSION;
	b.plan->uuid = pod->meta->uuid;
	b.plan->incarnation = incarnation;
	b.plan->program = SHIM__LAUNCH_PLAN__PROGRAM__PAUSE;
	b.plan->staging_dir = (char *)staging_dir;
	b.plan->exit_record = (char *)exit_record;
	b.plan->net = host ? SHIM__LAUNCH_PLAN__NET__NET_HOST : SHIM__LAUNCH_PLAN__NET__NET_NEW;
	b.plan->hostname = (char *)hostname;
	b.plan->timeout_ms = PLAN_TIMEOUT_MS;
	b.plan->has_new_cgroup_ns = b.plan->new_cgroup_ns = 1;
	add_mount(&b, "proc", "proc", "/proc", ATTR_NONE, false);
	/* The members' /dev/shm: they bind it from here. */
	m = add_mount(&b, "tmpfs", "shm", "/dev/shm", ATTR_NONE, false);
	add_option(&b, m, arena_strdup(a, "mode=1777"));
	add_option(&b, m,
		   arena_printf(a, "size=%llu",
				(unsigned long long)(spec->shm_size_bytes ? spec->shm_size_bytes : SHM_DEFAULT)));
	if (!host)
		add_net_sysctls(&b);
	for (size_t i = 0; i < spec->n_sysctls; i++)
		add_sysctl(&b, spec->sysctls[i]->key, spec->sysctls[i]->value, false);
	/* All of it, now that the sysctls are set: members that share the pids may come here through /proc/1/root. */
	add_readonly(&b, "/proc");
	if (a->failed)
		return -ENOMEM;
	*ret = b.plan;
	return 0;
}

int plan_make_exec(const struct plan_facts *f, const Berth__ExecSpec *x, const char *exec_id, struct arena *a,
		   Shim__ExecPlan **ret, struct err *e)
{
	const Berth__ContainerSpec *spec = spec_of(f);
	Shim__ExecPlan *plan = arena_alloc(a, sizeof *plan);
	Shim__ProcessPlan *p = arena_alloc(a, sizeof *p);
	int r;

	if (!plan || !p)
		return -ENOMEM;
	shim__exec_plan__init(plan);
	shim__process_plan__init(p);
	p->argv = x->command;
	p->n_argv = x->n_command;
	make_env(f, x, x->tty, a, p);
	p->cwd = x->workdir && x->workdir[0]	     ? x->workdir
		 : spec->workdir && spec->workdir[0] ? spec->workdir
						     : (char *)"/";
	p->user = x->user && x->user[0] ? x->user : spec->user && spec->user[0] ? spec->user : NULL;
	p->has_tty = p->has_stdin_open = 1;
	p->tty = x->tty;
	p->stdin_open = x->want_stdin;
	p->has_rows = p->has_cols = x->has_rows && x->has_cols;
	p->rows = x->rows;
	p->cols = x->cols;
	make_confinement(f, p->user, p);
	r = make_rlimits(f, a, p, e);
	if (r < 0)
		return r;
	plan->exec_id = (char *)exec_id;
	plan->process = p;
	plan->has_timeout_ms = plan->has_detach = 1;
	plan->timeout_ms = x->timeout_ms;
	plan->detach = x->detach;
	if (a->failed)
		return -ENOMEM;
	*ret = plan;
	return 0;
}

/* ---------------------------------------------------------------- the device list */

static uint8_t access_bits(const char *text)
{
	uint8_t bits = 0;

	if (!text || !text[0])
		return CG_DEVICE_MKNOD | CG_DEVICE_READ | CG_DEVICE_WRITE;
	for (; *text; text++)
		bits |= *text == 'r'   ? CG_DEVICE_READ
			: *text == 'w' ? CG_DEVICE_WRITE
			: *text == 'm' ? CG_DEVICE_MKNOD
				       : 0;
	return bits;
}

unsigned plan_device_rules(const struct plan_facts *f, struct cg_device_rule *rules, unsigned size)
{
	const Berth__ContainerSpec *spec = spec_of(f);
	unsigned n = 0;

	if (is_privileged(f)) {
		if (size)
			rules[n++] = (struct cg_device_rule){'a', -1, -1,
							     CG_DEVICE_MKNOD | CG_DEVICE_READ | CG_DEVICE_WRITE};
		return n;
	}
	for (unsigned i = 0; i < cg_device_n_defaults && n < size; i++)
		rules[n++] = cg_device_defaults[i];
	for (unsigned i = 0; i < f->n_devices && i < spec->n_devices && n < size; i++)
		rules[n++] =
			(struct cg_device_rule){S_ISBLK(f->devices[i].mode) ? 'b' : 'c', (int32_t)f->devices[i].major,
						(int32_t)f->devices[i].minor, access_bits(spec->devices[i]->access)};
	return n;
}
