/* tests/unit/test_plan.c - a spec and its facts become exactly these steps, this environment, these limits and capabilities. */
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "supervisor/plan.h"

#include <linux/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define UUID "0b6b1f6e-0000-4000-8000-000000000001"

/* ---------------------------------------------------------------- what a plan says, one line a step */

static const char *step_text(const Shim__Step *s, char *buf, size_t size)
{
	static const char *const stages[] = {"?", "prepare", "rootfs", "inside"};
	const char *stage = stages[s->stage], *opt = s->optional ? "?" : "";
	struct buf b;

	buf_init(&b, 0);
	buf_printf(&b, "%s%s ", stage, opt);
	switch (s->what_case) {
	case SHIM__STEP__WHAT_OVERLAY:
		buf_printf(&b, "overlay %s%s%s", s->overlay->n_layers ? s->overlay->layers[0] : "-",
			   s->overlay->read_only ? " ro" : "", s->overlay->upper ? "" : " without upper");
		break;
	case SHIM__STEP__WHAT_MOUNT:
		buf_printf(&b, "%s %s %s %llx%s",
			   s->mount->fstype	? s->mount->fstype
			   : s->mount->from_pod ? "pod"
						: "bind",
			   s->mount->source, s->mount->target, (unsigned long long)s->mount->attr,
			   s->mount->recursive ? " r" : "");
		for (size_t i = 0; i < s->mount->n_options; i++)
			buf_printf(&b, " %s", s->mount->options[i]);
		if (s->mount->propagation)
			buf_printf(&b, " propagation %llx", (unsigned long long)s->mount->propagation);
		if (s->mount->make_source)
			buf_adds(&b, " made");
		break;
	case SHIM__STEP__WHAT_NODE:
		buf_printf(&b, "node %s %o %u:%u %s", s->node->path, s->node->mode, s->node->major, s->node->minor,
			   s->node->host_path);
		break;
	case SHIM__STEP__WHAT_SYMLINK:
		buf_printf(&b, "link %s %s", s->symlink->path, s->symlink->target);
		break;
	case SHIM__STEP__WHAT_FILE:
		buf_printf(&b, "file %s", s->file->path);
		break;
	case SHIM__STEP__WHAT_MASK:
		buf_printf(&b, "mask %s", s->mask->path);
		break;
	case SHIM__STEP__WHAT_READONLY_PATH:
		buf_printf(&b, "readonly %s", s->readonly_path->path);
		break;
	case SHIM__STEP__WHAT_SYSCTL:
		buf_printf(&b, "sysctl %s=%s", s->sysctl->key, s->sysctl->value);
		break;
	case SHIM__STEP__WHAT_TREE:
		buf_printf(&b, "tree %s of %zu", s->tree->path, s->tree->n_steps);
		break;
	default:
		buf_adds(&b, "nothing");
		break;
	}
	snprintf(buf, size, "%s", b.data);
	buf_fini(&b);
	return buf;
}

/* A tree, then what it consists of. */
static size_t flatten(const Shim__LaunchPlan *p, const Shim__Step *flat[256])
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_steps; i++) {
		const Shim__TreeStep *t = p->steps[i]->what_case == SHIM__STEP__WHAT_TREE ? p->steps[i]->tree : NULL;

		flat[n++] = p->steps[i];
		for (size_t k = 0; t && k < t->n_steps; k++)
			flat[n++] = t->steps[k];
	}
	return n;
}

static void assert_steps(const Shim__LaunchPlan *p, const char *const *golden)
{
	const Shim__Step *flat[256];
	char text[512];
	size_t i = 0, n = flatten(p, flat);

	for (; i < n && golden[i]; i++)
		if (strcmp(step_text(flat[i], text, sizeof text), golden[i]))
			fail_msg("step %zu: \"%s\" instead of \"%s\"", i, text, golden[i]);
	if (i < n)
		fail_msg("one step too many: \"%s\"", step_text(flat[i], text, sizeof text));
	if (golden[i])
		fail_msg("missing: \"%s\"", golden[i]);
}

static size_t step_find(const Shim__LaunchPlan *p, const char *line)
{
	const Shim__Step *flat[256];
	char text[512];
	size_t n = flatten(p, flat);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(step_text(flat[i], text, sizeof text), line))
			return i;
	return SIZE_MAX;
}

static bool has_step(const Shim__LaunchPlan *p, const char *line)
{
	return step_find(p, line) != SIZE_MAX;
}

static size_t step_at(const Shim__LaunchPlan *p, const char *line)
{
	size_t at = step_find(p, line);

	if (at == SIZE_MAX)
		fail_msg("missing: \"%s\"", line);
	return at;
}

/* ---------------------------------------------------------------- a container to plan for */

struct box {
	Berth__Container obj;
	Berth__Meta meta;
	Berth__ContainerStatus status;
	Berth__ContainerSpec spec;
	Berth__Security security;
	struct plan_facts f;
	struct arena a;
	struct err e;
	const char *layers[2];
	struct plan_volume volumes[8];
	char *command[2];
};

static void box_init(struct box *x)
{
	*x = (struct box){.layers = {"/layers/top", "/layers/base"}, .command = {(char *)"/bin/true", (char *)"x"}};
	berth__container__init(&x->obj);
	berth__meta__init(&x->meta);
	berth__container_status__init(&x->status);
	berth__container_spec__init(&x->spec);
	berth__security__init(&x->security);
	x->meta.uuid = (char *)UUID;
	x->status.incarnation = 7;
	x->spec.command = x->command;
	x->spec.n_command = 2;
	x->spec.security = &x->security;
	x->obj.meta = &x->meta;
	x->obj.status = &x->status;
	x->obj.spec = &x->spec;
	x->f = (struct plan_facts){
		.obj = &x->obj,
		.staging_dir = "/run/staging",
		.log_dir = "/state/logs",
		.upper = "/state/upper",
		.work = "/state/work",
		.exit_record = "/run/exits/" UUID,
		.layers = x->layers,
		.n_layers = 2,
		.volumes = x->volumes,
		.hostname = "box",
		.caps = 0xff,
		.seccomp = "12345678",
		.seccomp_len = 8,
		.nofile_hard = 4096,
	};
}

static Shim__LaunchPlan *box_plan(struct box *x)
{
	Shim__LaunchPlan *p = NULL;
	int r = plan_make(&x->f, &x->a, &p, &x->e);

	if (r < 0)
		fail_msg("%d: %s", r, x->e.text);
	return p;
}

#define FILES "rootfs file /etc/hostname", "rootfs file /etc/hosts", "rootfs file /etc/resolv.conf"

static void the_default_plan_is_dockers(void **state)
{
	static const char *const golden[] = {
		"prepare overlay /layers/top",
		"rootfs proc proc /proc e",
		"rootfs tree /dev of 15",
		"rootfs tmpfs tmpfs /dev 22 mode=755 size=65536k",
		"rootfs node /dev/null 20666 1:3 /dev/null",
		"rootfs node /dev/zero 20666 1:5 /dev/zero",
		"rootfs node /dev/full 20666 1:7 /dev/full",
		"rootfs node /dev/random 20666 1:8 /dev/random",
		"rootfs node /dev/urandom 20666 1:9 /dev/urandom",
		"rootfs node /dev/tty 20666 5:0 /dev/tty",
		"rootfs devpts devpts /dev/pts a newinstance ptmxmode=0666 mode=0620 gid=5",
		"rootfs link /dev/fd /proc/self/fd",
		"rootfs link /dev/stdin /proc/self/fd/0",
		"rootfs link /dev/stdout /proc/self/fd/1",
		"rootfs link /dev/stderr /proc/self/fd/2",
		"rootfs link /dev/core /proc/kcore",
		"rootfs link /dev/ptmx pts/ptmx",
		"rootfs tmpfs shm /dev/shm e mode=1777 size=67108864",
		"rootfs? mqueue mqueue /dev/mqueue e",
		"rootfs tree /sys of 1",
		"rootfs sysfs sysfs /sys f",
		"rootfs cgroup2 cgroup /sys/fs/cgroup f",
		FILES,
		"inside? sysctl net.ipv4.ip_unprivileged_port_start=0",
		"inside? sysctl net.ipv4.ping_group_range=0 2147483647",
		"inside readonly /proc/bus",
		"inside readonly /proc/fs",
		"inside readonly /proc/irq",
		"inside readonly /proc/sys",
		"inside readonly /proc/sysrq-trigger",
		"inside mask /proc/asound",
		"inside mask /proc/acpi",
		"inside mask /proc/interrupts",
		"inside mask /proc/kcore",
		"inside mask /proc/keys",
		"inside mask /proc/latency_stats",
		"inside mask /proc/timer_list",
		"inside mask /proc/timer_stats",
		"inside mask /proc/sched_debug",
		"inside mask /proc/scsi",
		"inside mask /sys/firmware",
		"inside mask /sys/devices/virtual/powercap",
		NULL,
	};
	struct box x;
	Shim__LaunchPlan *p;

	box_init(&x);
	p = box_plan(&x);
	assert_steps(p, golden);
	assert_string_equal(p->uuid, UUID);
	assert_int_equal(p->incarnation, 7);
	assert_int_equal(p->program, SHIM__LAUNCH_PLAN__PROGRAM__EXEC);
	assert_int_equal(p->net, SHIM__LAUNCH_PLAN__NET__NET_NEW);
	assert_true(p->new_cgroup_ns && !p->ipc_host && !p->pid_host && !p->ipc_pod && !p->userns_count && !p->init);
	assert_string_equal(p->hostname, "box");
	assert_string_equal(p->exit_record, "/run/exits/" UUID);
	arena_fini(&x.a);
}

static void privileged_hides_nothing(void **state)
{
	struct cg_device_rule rules[8];
	Shim__LaunchPlan *p;
	struct box x;

	box_init(&x);
	x.security.privileged = 1;
	p = box_plan(&x);
	assert_true(has_step(p, "rootfs sysfs sysfs /sys e"));
	for (size_t i = 0; i < p->n_steps; i++)
		assert_true(p->steps[i]->what_case != SHIM__STEP__WHAT_MASK &&
			    p->steps[i]->what_case != SHIM__STEP__WHAT_READONLY_PATH);
	assert_int_equal(plan_device_rules(&x.f, rules, 8), 1);
	assert_int_equal(rules[0].type, 'a');
	arena_fini(&x.a);
}

static void mounts_of_a_person_come_outer_folders_first_and_replace_our_files(void **state)
{
	Berth__Mount m[5], *list[5];
	Shim__LaunchPlan *p;
	struct box x;

	box_init(&x);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		berth__mount__init(&m[i]);
		list[i] = &m[i];
	}
	m[0].type = BERTH__MOUNT__TYPE__BIND;
	m[0].source = (char *)"/host/deep";
	m[0].target = (char *)"/a/b/c";
	m[0].read_only = 1;
	m[0].propagation = (char *)"rslave";
	m[1].type = BERTH__MOUNT__TYPE__TMPFS;
	m[1].target = (char *)"/a";
	m[1].size_bytes = 4096;
	m[2].type = BERTH__MOUNT__TYPE__VOLUME;
	m[2].source = (char *)"data";
	m[2].target = (char *)"/a/b";
	m[3].type = BERTH__MOUNT__TYPE__BIND;
	m[3].source = (char *)"/host/hosts";
	m[3].target = (char *)"/etc/hosts";
	m[3].non_recursive = 1;
	m[4].type = BERTH__MOUNT__TYPE__TMPFS;
	m[4].target = (char *)"/run";
	m[4].exec = 1;
	m[4].has_mode = 1;
	m[4].mode = 0700;
	x.spec.mounts = list;
	x.spec.n_mounts = 5;
	snprintf(x.volumes[2].path, sizeof x.volumes[2].path, "/state/volumes/v");
	p = box_plan(&x);
	assert_true(step_at(p, "rootfs tmpfs tmpfs /a e mode=1777 size=4096") <
		    step_at(p, "rootfs bind /state/volumes/v /a/b 4 r made"));
	assert_true(step_at(p, "rootfs bind /state/volumes/v /a/b 4 r made") <
		    step_at(p, "rootfs bind /host/deep /a/b/c 1 r propagation 84000"));
	assert_true(has_step(p, "rootfs bind /host/hosts /etc/hosts 0"));
	assert_false(has_step(p, "rootfs file /etc/hosts"));
	assert_true(has_step(p, "rootfs file /etc/hostname"));
	assert_true(has_step(p, "rootfs tmpfs tmpfs /run 6 mode=700"));
	arena_fini(&x.a);
}

static void network_of_the_host_brings_its_names_and_no_sysctls(void **state)
{
	Shim__LaunchPlan *p;
	struct box x;

	box_init(&x);
	x.spec.network = (char *)"host";
	p = box_plan(&x);
	assert_int_equal(p->net, SHIM__LAUNCH_PLAN__NET__NET_HOST);
	assert_true(has_step(p, "rootfs? bind /etc/resolv.conf /etc/resolv.conf 1"));
	assert_true(has_step(p, "rootfs? bind /etc/hosts /etc/hosts 1"));
	for (size_t i = 0; i < p->n_steps; i++)
		assert_int_not_equal(p->steps[i]->what_case, SHIM__STEP__WHAT_SYSCTL);
	arena_fini(&x.a);
}

static void a_pods_member_joins_and_brings_nothing_of_its_own(void **state)
{
	Berth__PodSpec pod = BERTH__POD_SPEC__INIT;
	Shim__LaunchPlan *p;
	struct box x;

	box_init(&x);
	pod.share_pid = 1;
	x.f.pod = &pod;
	p = box_plan(&x);
	assert_int_equal(p->net, SHIM__LAUNCH_PLAN__NET__NET_POD);
	assert_true(p->ipc_pod && p->uts_pod && p->pid_pod);
	assert_null(p->hostname);
	assert_true(has_step(p, "rootfs pod /dev/shm /dev/shm e"));
	assert_false(has_step(p, "inside? sysctl net.ipv4.ip_unprivileged_port_start=0"));
	arena_fini(&x.a);
}

static void a_user_namespace_gets_its_range_and_what_it_may_not_mount_is_optional(void **state)
{
	Shim__LaunchPlan *p;
	struct box x;

	box_init(&x);
	x.obj.userns_first_id = 200000;
	x.f.userns_count = 65536;
	p = box_plan(&x);
	assert_int_equal(p->userns_first_id, 200000);
	assert_int_equal(p->userns_count, 65536);
	assert_true(has_step(p, "rootfs? sysfs sysfs /sys f"));
	assert_true(has_step(p, "rootfs? cgroup2 cgroup /sys/fs/cgroup f"));
	x.spec.network = (char *)"host";
	arena_fini(&x.a);
	p = box_plan(&x);
	assert_true(has_step(p, "rootfs bind /sys /sys f r"));
	arena_fini(&x.a);
}

/* ---------------------------------------------------------------- process */

static void environment_has_defaults_that_are_replaced_not_repeated(void **state)
{
	char *env[] = {(char *)"PATH=/mine", (char *)"A=1", (char *)"A=2", (char *)"EMPTY="};
	static const char *const golden[] = {"PATH=/mine", "HOSTNAME=box", "TERM=xterm", "A=2", "EMPTY="};
	Shim__LaunchPlan *p;
	struct box x;

	box_init(&x);
	x.spec.env = env;
	x.spec.n_env = ARRAY_SIZE(env);
	x.spec.tty = 1;
	p = box_plan(&x);
	assert_int_equal(p->process->n_env, ARRAY_SIZE(golden));
	for (size_t i = 0; i < ARRAY_SIZE(golden); i++)
		assert_string_equal(p->process->env[i], golden[i]);
	assert_true(has_step(p, "rootfs node /dev/console 20620 5:1 /dev/console"));
	arena_fini(&x.a);
}

static void capabilities_follow_the_user(void **state)
{
	static const struct {
		const char *user;
		uint64_t permitted;
	} rows[] = {{NULL, 0xff},   {"", 0xff},	 {"0", 0xff},	{"0:5", 0xff},
		    {"root", 0xff}, {"1000", 0}, {"1000:0", 0}, {"nobody", 0xff}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct box x;
		Shim__ProcessPlan *pp;

		box_init(&x);
		x.spec.user = (char *)rows[i].user;
		pp = box_plan(&x)->process;
		assert_row(pp->cap_bounding == 0xff && pp->cap_inheritable == 0 && pp->cap_ambient == 0, i);
		assert_row(pp->cap_permitted == rows[i].permitted && pp->cap_effective == rows[i].permitted, i);
		arena_fini(&x.a);
	}
}

static void limits_of_a_person_are_an_order_and_ours_a_wish(void **state)
{
	Berth__Ulimit u[2], *list[2] = {&u[0], &u[1]};
	Shim__ProcessPlan *pp;
	struct box x;

	box_init(&x);
	pp = box_plan(&x)->process;
	assert_int_equal(pp->n_rlimits, 1);
	assert_int_equal(pp->rlimits[0]->resource, RLIMIT_NOFILE);
	assert_int_equal(pp->rlimits[0]->soft, 1024);
	assert_int_equal(pp->rlimits[0]->hard, 4096);
	assert_true(pp->rlimits[0]->optional);
	arena_fini(&x.a);

	berth__ulimit__init(&u[0]);
	berth__ulimit__init(&u[1]);
	u[0].name = (char *)"nofile";
	u[0].soft = 10;
	u[0].hard = 20;
	u[1].name = (char *)"core";
	x.spec.ulimits = list;
	x.spec.n_ulimits = 2;
	pp = box_plan(&x)->process;
	assert_int_equal(pp->n_rlimits, 2);
	assert_int_equal(pp->rlimits[0]->soft, 10);
	assert_false(pp->rlimits[0]->optional);
	assert_int_equal(pp->rlimits[1]->resource, RLIMIT_CORE);
	arena_fini(&x.a);
}

static void without_a_command_there_is_no_plan(void **state)
{
	Shim__LaunchPlan *p = NULL;
	struct box x;

	box_init(&x);
	x.spec.n_command = 0;
	assert_int_equal(plan_make(&x.f, &x.a, &p, &x.e), -EINVAL);
	assert_non_null(strstr(x.e.text, "no command"));
	assert_null(p);
	arena_fini(&x.a);
}

static void an_exec_is_as_its_container_unless_it_says_otherwise(void **state)
{
	Berth__ExecSpec ask = BERTH__EXEC_SPEC__INIT;
	char *command[] = {(char *)"ls"}, *env[] = {(char *)"B=2", (char *)"A=x"}, *own[] = {(char *)"A=1"};
	Shim__ExecPlan *p;
	struct box x;

	box_init(&x);
	x.spec.user = (char *)"1000";
	x.spec.workdir = (char *)"/srv";
	x.spec.env = own;
	x.spec.n_env = 1;
	ask.command = command;
	ask.n_command = 1;
	ask.env = env;
	ask.n_env = 2;
	ask.timeout_ms = 250;
	assert_int_equal(plan_make_exec(&x.f, &ask, "e1", &x.a, &p, &x.e), 0);
	assert_string_equal(p->exec_id, "e1");
	assert_int_equal(p->timeout_ms, 250);
	assert_string_equal(p->process->user, "1000");
	assert_string_equal(p->process->cwd, "/srv");
	assert_int_equal(p->process->cap_permitted, 0);
	assert_int_equal(p->process->seccomp.len, 8);
	assert_int_equal(p->process->n_env, 4);
	assert_string_equal(p->process->env[2], "A=x");
	assert_string_equal(p->process->env[3], "B=2");
	ask.user = (char *)"0";
	ask.workdir = (char *)"/";
	assert_int_equal(plan_make_exec(&x.f, &ask, "e2", &x.a, &p, &x.e), 0);
	assert_string_equal(p->process->user, "0");
	assert_string_equal(p->process->cwd, "/");
	assert_int_equal(p->process->cap_permitted, 0xff);
	arena_fini(&x.a);
}

static void the_holder_has_what_its_members_share(void **state)
{
	static const char *const golden[] = {
		"rootfs proc proc /proc e",
		"rootfs tmpfs shm /dev/shm e mode=1777 size=1048576",
		"inside? sysctl net.ipv4.ip_unprivileged_port_start=0",
		"inside? sysctl net.ipv4.ping_group_range=0 2147483647",
		"inside sysctl net.core.somaxconn=100",
		"inside readonly /proc",
		NULL,
	};
	Berth__Pod pod = BERTH__POD__INIT;
	Berth__PodSpec spec = BERTH__POD_SPEC__INIT;
	Berth__Meta meta = BERTH__META__INIT;
	Berth__KeyValue sysctl = BERTH__KEY_VALUE__INIT, *sysctls[] = {&sysctl};
	Shim__LaunchPlan *p;
	struct arena a = ARENA_INIT;
	struct err e;

	meta.uuid = (char *)UUID;
	sysctl.key = (char *)"net.core.somaxconn";
	sysctl.value = (char *)"100";
	spec.shm_size_bytes = 1u << 20;
	spec.sysctls = sysctls;
	spec.n_sysctls = 1;
	pod.meta = &meta;
	pod.spec = &spec;
	assert_int_equal(plan_make_holder(&pod, "/run/staging", "/run/exits/x", "podhost", 3, &a, &p, &e), 0);
	assert_steps(p, golden);
	assert_int_equal(p->program, SHIM__LAUNCH_PLAN__PROGRAM__PAUSE);
	assert_int_equal(p->incarnation, 3);
	assert_null(p->process);
	arena_fini(&a);
}

/* ---------------------------------------------------------------- devices */

static void device_rules_are_the_default_and_what_was_asked_for(void **state)
{
	static const struct plan_device found[] = {{"/dev/fuse", "/dev/fuse", S_IFCHR | 0666, 10, 229},
						   {"/dev/vda", "/dev/disk", S_IFBLK | 0660, 254, 0}};
	Berth__Device d[2], *list[2] = {&d[0], &d[1]};
	struct cg_device_rule rules[64];
	struct box x;
	unsigned n;

	box_init(&x);
	berth__device__init(&d[0]);
	berth__device__init(&d[1]);
	d[1].access = (char *)"r";
	x.spec.devices = list;
	x.spec.n_devices = 2;
	x.f.devices = found;
	x.f.n_devices = 2;
	n = plan_device_rules(&x.f, rules, ARRAY_SIZE(rules));
	assert_int_equal(n, cg_device_n_defaults + 2);
	assert_int_equal(rules[n - 2].type, 'c');
	assert_int_equal(rules[n - 2].major, 10);
	assert_int_equal(rules[n - 2].access, CG_DEVICE_MKNOD | CG_DEVICE_READ | CG_DEVICE_WRITE);
	assert_int_equal(rules[n - 1].type, 'b');
	assert_int_equal(rules[n - 1].access, CG_DEVICE_READ);
	assert_true(has_step(box_plan(&x), "rootfs node /dev/disk 60660 254:0 /dev/vda"));
	arena_fini(&x.a);
}

static void plans_survive_the_wire(void **state)
{
	struct box x;
	Shim__LaunchPlan *p, *again;
	uint8_t *data;
	size_t len;

	box_init(&x);
	p = box_plan(&x);
	len = shim__launch_plan__get_packed_size(p);
	data = malloc(len);
	assert_int_equal(shim__launch_plan__pack(p, data), len);
	again = shim__launch_plan__unpack(NULL, len, data);
	assert_non_null(again);
	assert_int_equal(again->n_steps, p->n_steps);
	assert_string_equal(again->process->argv[0], "/bin/true");
	shim__launch_plan__free_unpacked(again, NULL);
	free(data);
	arena_fini(&x.a);
}

static bool same_beginning(struct box *x, struct box *y)
{
	uint8_t a[PLAN_DIGEST], b[PLAN_DIGEST];

	assert_int_equal(plan_beginning_digest(plan_beginning(box_plan(x), &x->a), &x->a, a), 0);
	assert_int_equal(plan_beginning_digest(plan_beginning(box_plan(y), &y->a), &y->a, b), 0);
	arena_fini(&x->a);
	arena_fini(&y->a);
	return !memcmp(a, b, sizeof a);
}

static void a_beginning_is_the_same_until_the_user_is_looked_up(void **state)
{
	struct box x, y;
	char *env[] = {(char *)"A=b"}, *addresses[] = {(char *)"10.0.0.5", (char *)"fd00::5"};
	Berth__Ulimit u = BERTH__ULIMIT__INIT, *ulimits[] = {&u};
	Berth__Lease lease = BERTH__LEASE__INIT, *leases[] = {&lease};

	lease.addresses = addresses;
	lease.n_addresses = 2;
	box_init(&x);
	box_init(&y);
	y.spec.command = (char *[]){(char *)"/bin/other"};
	y.spec.n_command = 1;
	y.spec.env = env;
	y.spec.n_env = 1;
	y.spec.user = (char *)"7:7";
	y.spec.workdir = (char *)"/tmp";
	y.spec.stdin_open = 1;
	y.security.no_new_privs = 1;
	y.status.incarnation = 8;
	y.f.request_id = "r";
	y.f.exit_record = "/run/exits/other";
	y.f.log_dir = "/other";
	y.f.caps = 1;
	y.f.seccomp_len = 0;
	y.f.hold = true;
	/* Its networks are told in files that are written by who goes on with it. */
	y.f.leases = leases;
	y.f.n_leases = 1;
	y.f.resolv_conf = "nameserver 10.0.0.1\n";
	y.f.others = "10.0.0.7\tother\n";
	y.f.hostname = "other";
	assert_true(same_beginning(&x, &y));

#define DIFFERS(field, value)                                                                                          \
	do {                                                                                                           \
		box_init(&y);                                                                                          \
		y.field = (value);                                                                                     \
		assert_false(same_beginning(&x, &y));                                                                  \
	} while (0)
	DIFFERS(f.upper, "/other");
	DIFFERS(f.apparmor, "label");
	DIFFERS(spec.read_only, 1);
	DIFFERS(spec.init, 1);
	DIFFERS(spec.tty, 1);
	DIFFERS(spec.oom_score_adj, 5);
	DIFFERS(spec.auto_remove, 1);
	DIFFERS(security.privileged, 1);
#undef DIFFERS
	box_init(&y);
	u.name = (char *)"core";
	y.spec.ulimits = ulimits;
	y.spec.n_ulimits = 1;
	assert_false(same_beginning(&x, &y));
}

static void what_may_have_changed_by_then_is_not_begun(void **state)
{
	struct box x;
	Berth__Mount m = BERTH__MOUNT__INIT, *mounts[] = {&m};

	box_init(&x);
	assert_true(plan_can_begin(&x.spec));
	x.spec.mounts = mounts;
	x.spec.n_mounts = 1;
	assert_false(plan_can_begin(&x.spec));
	box_init(&x);
	x.spec.network = (char *)"host";
	assert_false(plan_can_begin(&x.spec));
	box_init(&x);
	x.security.privileged = 1;
	assert_false(plan_can_begin(&x.spec));
	box_init(&x);
	x.spec.pod = (char *)"p";
	assert_false(plan_can_begin(&x.spec));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_plan_is_dockers),
		cmocka_unit_test(privileged_hides_nothing),
		cmocka_unit_test(mounts_of_a_person_come_outer_folders_first_and_replace_our_files),
		cmocka_unit_test(network_of_the_host_brings_its_names_and_no_sysctls),
		cmocka_unit_test(a_pods_member_joins_and_brings_nothing_of_its_own),
		cmocka_unit_test(a_user_namespace_gets_its_range_and_what_it_may_not_mount_is_optional),
		cmocka_unit_test(environment_has_defaults_that_are_replaced_not_repeated),
		cmocka_unit_test(capabilities_follow_the_user),
		cmocka_unit_test(limits_of_a_person_are_an_order_and_ours_a_wish),
		cmocka_unit_test(without_a_command_there_is_no_plan),
		cmocka_unit_test(an_exec_is_as_its_container_unless_it_says_otherwise),
		cmocka_unit_test(the_holder_has_what_its_members_share),
		cmocka_unit_test(device_rules_are_the_default_and_what_was_asked_for),
		cmocka_unit_test(plans_survive_the_wire),
		cmocka_unit_test(a_beginning_is_the_same_until_the_user_is_looked_up),
		cmocka_unit_test(what_may_have_changed_by_then_is_not_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
