/* tests/shim/driver.c - see tests/shim/driver.h */
#include "tests/shim/driver.h"

#include "base/file.h"
#include "base/loop.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

struct driver driver = {.cgroup_fd = -1};

long now_us(void)
{
	return (long)(now_ns() / 1000);
}

char *slurp(const char *path, size_t *ret_len)
{
	char *text = NULL;
	ssize_t n = file_read_all(AT_FDCWD, path, 64u << 20, &text);

	if (n < 0) {
		text = calloc(1, 1);
		n = 0;
	}
	if (ret_len)
		*ret_len = (size_t)n;
	return text;
}

/* ---------------------------------------------------------------- surroundings */

static void make_layer(void)
{
	static const char *const folders[] = {"bin", "etc", "tmp", "root", "proc", "sys", "dev", "home", "usr"};
	static const char *const tools[] = {"sh",   "cat",  "echo",	"sleep",    "id",   "ls",    "true",  "false",
					    "head", "yes",  "seq",	"mount",    "stty", "tty",   "pwd",   "touch",
					    "kill", "wc",   "stat",	"ip",	    "test", "mkdir", "chmod", "od",
					    "dd",   "grep", "readlink", "hostname", "env",  "nc"};
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof path, "%s/layer/%s", driver.dir, folders[i]);
		assert_int_equal(dir_make(AT_FDCWD, path, 0755), 0);
	}
	snprintf(path, sizeof path, "cp /bin/busybox %s/layer/bin/busybox", driver.dir);
	assert_int_equal(system(path), 0);
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		snprintf(path, sizeof path, "%s/layer/bin/%s", driver.dir, tools[i]);
		assert_int_equal(symlink("busybox", path), 0);
	}
	snprintf(path, sizeof path, "%s/layer/etc/passwd", driver.dir);
	static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:n:/home:/bin/"
				     "sh\napp:x:1000:1001:a:/home:/bin/sh\n";
	assert_int_equal(file_write_atomic(AT_FDCWD, path, passwd, sizeof passwd - 1, 0644, false), 0);
	snprintf(path, sizeof path, "%s/layer/etc/group", driver.dir);
	static const char group[] = "root:x:0:\napp:x:1001:\nextra:x:2000:app,other\nmore:x:2001:other,app\n";
	assert_int_equal(file_write_atomic(AT_FDCWD, path, group, sizeof group - 1, 0644, false), 0);
}

int driver_setup(void **state)
{
	char path[128];

	if (geteuid() != 0) {
		printf("skip: needs root\n");
		exit(77);
	}
	assert_int_equal(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), 0);
	strcpy(driver.dir, "/tmp/berth-shim-XXXXXX");
	assert_non_null(mkdtemp(driver.dir));
	snprintf(path, sizeof path, "%s/cgroup", driver.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mount("cgroup2", path, "cgroup2", 0, NULL), 0);
	snprintf(driver.cgroup, sizeof driver.cgroup, "%s/cgroup/t%d", driver.dir, getpid());
	assert_int_equal(mkdir(driver.cgroup, 0755), 0);
	driver.cgroup_fd = open(driver.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(driver.cgroup_fd >= 0);
	snprintf(path, sizeof path, "%s/run", driver.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mount("tmpfs", path, "tmpfs", 0, NULL), 0);
	snprintf(path, sizeof path, "%s/run/staging", driver.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	make_layer();
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static void remove_group(const char *path)
{
	char command[256];

	snprintf(command, sizeof command, "%s/cgroup.kill", path);
	(void)file_writes(AT_FDCWD, command, "1");
	for (int i = 0; i < 100; i++) {
		snprintf(command, sizeof command, "find %s -depth -type d -exec rmdir {} + 2>/dev/null", path);
		if (system(command) == 0)
			break;
		usleep(10000);
	}
	assert_int_equal(access(path, F_OK), -1);
}

int driver_teardown(void **state)
{
	char path[128];

	close_fd(&driver.cgroup_fd);
	remove_group(driver.cgroup);
	snprintf(path, sizeof path, "%s/cgroup", driver.dir);
	umount2(path, MNT_DETACH);
	snprintf(path, sizeof path, "%s/run", driver.dir);
	umount2(path, MNT_DETACH);
	assert_int_equal(dir_remove_all(AT_FDCWD, driver.dir), 0);
	return 0;
}

/* ---------------------------------------------------------------- the shim */

void shim_spawn(struct shim *s)
{
	const char *program = getenv("BERTH_SHIM");
	int pair[2];

	*s = (struct shim){.link = -1, .group_fd = -1, .container_fd = -1};
	assert_non_null(program);
	uuid_make(s->uuid);
	snprintf(s->path, sizeof s->path, "%s/run/%s.sock", driver.dir, s->uuid);
	snprintf(s->logs, sizeof s->logs, "%s/%.36s/logs", driver.dir, s->uuid);
	snprintf(s->exit_record, sizeof s->exit_record, "%s/run/%.36s.exit", driver.dir, s->uuid);
	char own[128];
	snprintf(own, sizeof own, "%s/%.36s", driver.dir, s->uuid);
	assert_int_equal(mkdir(own, 0755), 0);
	assert_int_equal(wire_pair(pair), 0);
	s->pid = fork();
	if (!s->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing */
		if (pair[1] != 3)
			dup2(pair[1], 3);
		else
			fcntl(3, F_SETFD, 0);
		execl(program, "berth-shim", s->path, s->uuid, NULL);
		_exit(127);
	}
	close(pair[1]);
	s->link = pair[0];
	Shim__ShimMessage *m = shim_expect(s, SHIM__SHIM_MESSAGE__BODY_HELLO);
	assert_int_equal(m->hello->state, SHIM__SHIM_STATE__SHIM_IDLE);
	assert_int_equal(m->hello->shim_pid, s->pid);
	shim__shim_message__free_unpacked(m, NULL);
}

static int wait_for_end(struct shim *s)
{
	int status = -1;

	for (long end = now_us() + WAIT_MS * 1000; now_us() < end; usleep(1000))
		if (waitpid(s->pid, &status, WNOHANG) == s->pid)
			return status;
	fail_msg("the shim does not end");
	return -1;
}

static void forget(struct shim *s)
{
	close_fd(&s->link);
	close_fd(&s->group_fd);
	close_fd(&s->container_fd);
}

void shim_stop(struct shim *s)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Bye bye = SHIM__BYE__INIT;

	m.body_case = SHIM__SHIM_MESSAGE__BODY_BYE;
	m.bye = &bye;
	shim_send(s, &m, NULL, 0);
	int status = wait_for_end(s);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	forget(s);
}

void shim_kill(struct shim *s)
{
	kill(s->pid, SIGKILL);
	wait_for_end(s);
	forget(s);
}

void shim_reconnect(struct shim *s)
{
	int fd = wire_connect(s->path);

	assert_true(fd >= 0);
	close_fd(&s->link);
	s->link = fd;
}

void shim_send(struct shim *s, Shim__ShimMessage *m, const int *fds, unsigned n_fds)
{
	uint8_t packed[4096];

	assert_true(shim__shim_message__get_packed_size(m) <= sizeof packed);
	assert_int_equal(wire_send(s->link, packed, shim__shim_message__pack(m, packed), fds, n_fds), 0);
}

Shim__ShimMessage *shim_next(struct shim *s, int ms)
{
	struct pollfd p = {.fd = s->link, .events = POLLIN};
	struct wire_fds fds;
	size_t len;

	if (poll(&p, 1, ms) != 1)
		return NULL;
	if (wire_recv(s->link, s->record, sizeof s->record, &len, &fds) != 0)
		return NULL;
	Shim__ShimMessage *m = shim__shim_message__unpack(NULL, len, s->record);
	assert_non_null(m);
	assert_int_equal(m->n_fds, fds.n);
	for (unsigned i = 0; i < fds.n; i++)
		if (m->fds[i] == SHIM__FD_ROLE__FD_CONTAINER) {
			close_fd(&s->container_fd);
			s->container_fd = wire_fds_take(&fds, i);
		}
	wire_fds_close(&fds);
	return m;
}

Shim__ShimMessage *shim_expect(struct shim *s, Shim__ShimMessage__BodyCase what)
{
	for (;;) {
		Shim__ShimMessage *m = shim_next(s, WAIT_MS);

		if (!m)
			fail_msg("no message %d came", (int)what);
		if (m->body_case == what)
			return m;
		if (m->body_case == SHIM__SHIM_MESSAGE__BODY_FAILED)
			fail_msg("%s: %s (%d)", m->failed->step, m->failed->text, m->failed->sys_errno);
		shim__shim_message__free_unpacked(m, NULL);
	}
}

/* ---------------------------------------------------------------- plans */

Shim__Step *plan_step(struct plan *p, Shim__Step__Stage stage, Shim__Step__WhatCase what)
{
	size_t at = p->p.n_steps;

	/* Steps are in the order of their stages: a later one that was added before moves up. */
	assert_true(at < ARRAY_SIZE(p->steps));
	Shim__Step *s = &p->steps[at];

	shim__step__init(s);
	s->has_stage = 1;
	s->stage = stage;
	s->what_case = what;
	for (; at > 0 && p->step_list[at - 1]->stage > stage; at--)
		p->step_list[at] = p->step_list[at - 1];
	p->step_list[at] = s;
	p->p.n_steps++;
	return s;
}

Shim__MountStep *plan_mount(struct plan *p, const char *type, const char *source, const char *target)
{
	Shim__MountStep *m = &p->mounts[p->n_mounts++];

	assert_true(p->n_mounts <= ARRAY_SIZE(p->mounts));
	shim__mount_step__init(m);
	plan_step(p, SHIM__STEP__STAGE__ROOTFS, SHIM__STEP__WHAT_MOUNT)->mount = m;
	m->fstype = (char *)type;
	m->source = (char *)source;
	m->target = (char *)target;
	return m;
}

static void add_node(struct plan *p, const char *path, unsigned minor)
{
	Shim__NodeStep *n = &p->nodes[p->n_nodes++];

	shim__node_step__init(n);
	plan_step(p, SHIM__STEP__STAGE__ROOTFS, SHIM__STEP__WHAT_NODE)->node = n;
	n->path = n->host_path = (char *)path;
	n->has_mode = n->has_major = n->has_minor = 1;
	n->mode = S_IFCHR | 0666;
	n->major = minor > 100 ? 5 : 1;
	n->minor = minor > 100 ? minor - 100 : minor;
}

static void add_link(struct plan *p, const char *path, const char *target)
{
	Shim__SymlinkStep *l = &p->links[p->n_links++];

	shim__symlink_step__init(l);
	plan_step(p, SHIM__STEP__STAGE__ROOTFS, SHIM__STEP__WHAT_SYMLINK)->symlink = l;
	l->path = (char *)path;
	l->target = (char *)target;
}

static void add_mask(struct plan *p, const char *path)
{
	Shim__MaskStep *m = &p->masks[p->n_masks++];

	shim__mask_step__init(m);
	plan_step(p, SHIM__STEP__STAGE__INSIDE, SHIM__STEP__WHAT_MASK)->mask = m;
	m->path = (char *)path;
}

static void add_read_only(struct plan *p, const char *path)
{
	Shim__ReadonlyPathStep *r = &p->read_only[p->n_read_only++];

	shim__readonly_path_step__init(r);
	plan_step(p, SHIM__STEP__STAGE__INSIDE, SHIM__STEP__WHAT_READONLY_PATH)->readonly_path = r;
	r->path = (char *)path;
}

static void add_rootfs(struct plan *p, struct shim *s)
{
	static char layer[96];

	snprintf(layer, sizeof layer, "%s/layer", driver.dir);
	snprintf(p->upper, sizeof p->upper, "%s/%.36s/upper", driver.dir, s->uuid);
	snprintf(p->work, sizeof p->work, "%s/%.36s/work", driver.dir, s->uuid);
	shim__overlay__init(&p->overlay);
	plan_step(p, SHIM__STEP__STAGE__PREPARE, SHIM__STEP__WHAT_OVERLAY)->overlay = &p->overlay;
	p->layers[0] = layer;
	p->overlay.layers = p->layers;
	p->overlay.n_layers = 1;
	p->overlay.upper = p->upper;
	p->overlay.work = p->work;
}

static void add_surroundings(struct plan *p)
{
	static char *dev_options[] = {(char *)"mode=755", (char *)"size=65536k"};
	static char *pts_options[] = {(char *)"newinstance", (char *)"ptmxmode=0666", (char *)"mode=0620",
				      (char *)"gid=5"};
	Shim__MountStep *m;

	plan_mount(p, "proc", "proc", "/proc");
	m = plan_mount(p, "tmpfs", "tmpfs", "/dev");
	m->options = dev_options;
	m->n_options = ARRAY_SIZE(dev_options);
	add_node(p, "/dev/null", 3);
	add_node(p, "/dev/zero", 5);
	add_node(p, "/dev/full", 7);
	add_node(p, "/dev/tty", 100);
	m = plan_mount(p, "devpts", "devpts", "/dev/pts");
	m->options = pts_options;
	m->n_options = ARRAY_SIZE(pts_options);
	add_link(p, "/dev/ptmx", "pts/ptmx");
	add_link(p, "/dev/fd", "/proc/self/fd");
	add_link(p, "/dev/stdout", "/proc/self/fd/1");
	add_link(p, "/dev/stderr", "/proc/self/fd/2");
	plan_mount(p, "tmpfs", "shm", "/dev/shm");
	m = plan_mount(p, "sysfs", "sysfs", "/sys");
	m->has_attr = 1;
	m->attr = MOUNT_ATTR_RDONLY;
	add_read_only(p, "/proc/sys");
	add_read_only(p, "/proc/bus");
	add_mask(p, "/proc/kcore");
	add_mask(p, "/proc/timer_list");
	add_mask(p, "/sys/firmware");
	add_mask(p, "/sys/kernel");
}

void plan_init(struct plan *p, struct shim *s, const char *const argv[])
{
	static char staging[96];

	memset(p, 0, sizeof *p);
	snprintf(staging, sizeof staging, "%s/run/staging", driver.dir);
	shim__launch_plan__init(&p->p);
	shim__process_plan__init(&p->process);
	p->p.steps = p->step_list;
	p->p.has_version = p->p.has_incarnation = p->p.has_program = p->p.has_net = p->p.has_new_cgroup_ns = 1;
	p->p.version = 1;
	p->p.uuid = s->uuid;
	p->p.incarnation = s->incarnation + 1;
	p->p.program = SHIM__LAUNCH_PLAN__PROGRAM__EXEC;
	p->p.net = SHIM__LAUNCH_PLAN__NET__NET_NEW;
	p->p.staging_dir = staging;
	p->p.exit_record = s->exit_record;
	p->p.log_dir = s->logs;
	p->p.has_log_max_bytes = p->p.has_log_max_files = 1;
	p->p.log_max_bytes = 1 << 20;
	p->p.log_max_files = 3;
	p->p.hostname = (char *)"berthed";
	p->p.new_cgroup_ns = 1;
	p->p.process = &p->process;
	for (p->process.n_argv = 0; argv[p->process.n_argv]; p->process.n_argv++)
		p->argv[p->process.n_argv] = (char *)argv[p->process.n_argv];
	p->process.argv = p->argv;
	p->env[0] = (char *)"PATH=/bin:/sbin";
	p->process.env = p->env;
	p->process.n_env = 1;
	p->process.has_cap_bounding = p->process.has_cap_permitted = p->process.has_cap_effective = 1;
	p->process.cap_bounding = p->process.cap_permitted = p->process.cap_effective = 0xa80425fb; /* Docker's */
	add_rootfs(p, s);
	add_surroundings(p);
}

static int seal(const void *data, size_t len)
{
	int fd = memfd_sealed("plan", data, len);

	assert_true(fd >= 0);
	return fd;
}

static void make_group(struct shim *s)
{
	char name[64];

	s->incarnation++;
	snprintf(name, sizeof name, "%.36s.%llu", s->uuid, (unsigned long long)s->incarnation);
	close_fd(&s->group_fd);
	/* Or the shim has, at the end of the life before. */
	assert_true(mkdirat(driver.cgroup_fd, name, 0755) == 0 || errno == EEXIST);
	s->group_fd = openat(driver.cgroup_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(mkdirat(s->group_fd, "main", 0755) == 0 || errno == EEXIST);
}

void shim_launch(struct shim *s, struct plan *p, int session, int pod_fd)
{
	size_t len = shim__launch_plan__get_packed_size(&p->p);
	uint8_t *packed = malloc(len);
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Launch launch = SHIM__LAUNCH__INIT;
	Shim__FdRole roles[4] = {SHIM__FD_ROLE__FD_PLAN, SHIM__FD_ROLE__FD_CGROUP};
	int fds[4];

	make_group(s);
	p->p.incarnation = s->incarnation;
	shim__launch_plan__pack(&p->p, packed);
	fds[0] = seal(packed, len);
	free(packed);
	fds[1] = s->group_fd;
	m.fds = roles;
	m.n_fds = 2;
	if (pod_fd >= 0) {
		fds[m.n_fds] = pod_fd;
		roles[m.n_fds++] = SHIM__FD_ROLE__FD_POD;
	}
	if (session >= 0) {
		fds[m.n_fds] = session;
		roles[m.n_fds++] = SHIM__FD_ROLE__FD_SESSION;
	}
	m.body_case = SHIM__SHIM_MESSAGE__BODY_LAUNCH;
	m.launch = &launch;
	shim_send(s, &m, fds, (unsigned)m.n_fds);
	close(fds[0]);
	close_fd(&session);
}

Shim__ExitRecord *shim_run(struct shim *s, struct plan *p)
{
	static Shim__ShimMessage *last;

	shim_launch(s, p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
	if (last)
		shim__shim_message__free_unpacked(last, NULL);
	last = shim_expect(s, SHIM__SHIM_MESSAGE__BODY_EXITED);
	return last->exited->record;
}

const Shim__Failed *shim_launch_fails(struct shim *s, struct plan *p)
{
	static Shim__ShimMessage *last;

	shim_launch(s, p, -1, -1);
	if (last)
		shim__shim_message__free_unpacked(last, NULL);
	last = shim_next(s, WAIT_MS);
	assert_non_null(last);
	assert_int_equal(last->body_case, SHIM__SHIM_MESSAGE__BODY_FAILED);
	return last->failed;
}

/* ---------------------------------------------------------------- exec, attach, signal */

int session_pair(int *ret_theirs)
{
	unsigned char version = SESSION_VERSION;
	int pair[2];

	assert_int_equal(wire_pair(pair), 0);
	*ret_theirs = pair[1];
	session_put(pair[0], SESSION_HELLO, &version, 1);
	return pair[0];
}

int shim_exec(struct shim *s, const char *id, Shim__ProcessPlan *p, uint32_t timeout_ms, bool detach)
{
	Shim__ExecPlan plan = SHIM__EXEC_PLAN__INIT;
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Exec exec = SHIM__EXEC__INIT;
	Shim__FdRole roles[2] = {SHIM__FD_ROLE__FD_PLAN, SHIM__FD_ROLE__FD_SESSION};
	int fds[2] = {-1, -1}, ours = -1;

	plan.exec_id = (char *)id;
	plan.process = p;
	plan.has_timeout_ms = timeout_ms != 0;
	plan.timeout_ms = timeout_ms;
	plan.has_detach = plan.detach = detach;
	size_t len = shim__exec_plan__get_packed_size(&plan);
	uint8_t *packed = malloc(len);
	shim__exec_plan__pack(&plan, packed);
	fds[0] = seal(packed, len);
	free(packed);
	if (!detach)
		ours = session_pair(&fds[1]);
	exec.exec_id = (char *)id;
	m.fds = roles;
	m.n_fds = detach ? 1 : 2;
	m.body_case = SHIM__SHIM_MESSAGE__BODY_EXEC;
	m.exec = &exec;
	shim_send(s, &m, fds, (unsigned)m.n_fds);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
	return ours;
}

int driver_exec_argv(struct shim *s, const char *id, const char *const argv[])
{
	Shim__ProcessPlan p = SHIM__PROCESS_PLAN__INIT;
	char *env[] = {(char *)"PATH=/bin"};

	p.argv = (char **)argv;
	while (argv[p.n_argv])
		p.n_argv++;
	p.env = env;
	p.n_env = 1;
	p.has_stdin_open = p.stdin_open = 1;
	p.has_cap_bounding = p.has_cap_permitted = p.has_cap_effective = 1;
	p.cap_bounding = p.cap_permitted = p.cap_effective = 0xa80425fb;
	return shim_exec(s, id, &p, 0, false);
}

int shim_attach(struct shim *s, bool want_stdin)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Attach attach = SHIM__ATTACH__INIT;
	Shim__FdRole role = SHIM__FD_ROLE__FD_SESSION;
	int theirs, ours = session_pair(&theirs);

	attach.has_want_stdin = 1;
	attach.want_stdin = want_stdin;
	m.fds = &role;
	m.n_fds = 1;
	m.body_case = SHIM__SHIM_MESSAGE__BODY_ATTACH;
	m.attach = &attach;
	shim_send(s, &m, &theirs, 1);
	close(theirs);
	return ours;
}

void shim_signal(struct shim *s, int sig, uint64_t incarnation)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Signal signal = SHIM__SIGNAL__INIT;

	signal.has_signal = signal.has_incarnation = 1;
	signal.signal = sig;
	signal.incarnation = incarnation;
	m.body_case = SHIM__SHIM_MESSAGE__BODY_SIGNAL;
	m.signal = &signal;
	shim_send(s, &m, NULL, 0);
}

/* ---------------------------------------------------------------- sessions */

void session_put(int fd, int type, const void *data, size_t len)
{
	char record[SESSION_MAX];

	assert_true(len < sizeof record);
	record[0] = (char)type;
	memcpy(record + 1, data, len);
	for (;;) {
		int r = wire_send(fd, record, len + 1, NULL, 0);
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (r != WIRE_AGAIN)
			return; /* a shim that closed is noticed when reading */
		poll(&p, 1, WAIT_MS);
	}
}

static void take_output(struct output *o, int stream, const char *data, size_t len)
{
	size_t room = sizeof o->text[0] - 1 - o->len[stream], n = len < room ? len : room;

	memcpy(o->text[stream] + o->len[stream], data, n);
	o->len[stream] += n;
	o->total[stream] += len;
}

bool session_read(int fd, struct output *o, const char *until)
{
	static char record[SESSION_MAX];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (!until || !strstr(o->text[0], until)) {
		struct wire_fds fds;
		size_t len;

		if (poll(&p, 1, WAIT_MS) != 1 || wire_recv(fd, record, sizeof record, &len, &fds) != 0)
			return false;
		switch (record[0]) {
		case SESSION_HELLO:
			break;
		case SESSION_STDOUT:
		case SESSION_STDERR:
			take_output(o, record[0] == SESSION_STDERR, record + 1, len - 1);
			break;
		case SESSION_CLOSE:
			o->closed[record[1] - 1] = true;
			break;
		case SESSION_ERROR:
			snprintf(o->error, sizeof o->error, "%.*s", (int)len - 1, record + 1);
			break;
		case SESSION_EXIT:
			memcpy(&o->how, record + 1, sizeof o->how);
			return !until;
		default:
			fail_msg("session record of type %d", record[0]);
		}
	}
	return true;
}

/* ---------------------------------------------------------------- looking */

char *shim_log(struct shim *s)
{
	char path[128];
	char *text, *to;

	snprintf(path, sizeof path, "%s/current.log", s->logs);
	text = to = slurp(path, NULL);
	for (char *at = text; *at;) {
		char *nl = strchr(at, '\n');

		assert_non_null(nl); /* whole lines */
		assert_true(nl - at >= 40);
		memmove(to, at + 40, (size_t)(nl - at) - 40);
		to += nl - at - 40;
		*to++ = '\n';
		at = nl + 1;
	}
	*to = 0;
	return text;
}

char *shim_log_until(struct shim *s, const char *has)
{
	char *log = shim_log(s);

	for (int i = 0; i < WAIT_MS && !strstr(log, has); i++) {
		usleep(1000);
		free(log);
		log = shim_log(s);
	}
	return log;
}

int process_in(struct shim *s, const char *name)
{
	char path[96], text[4096];
	int n = 0;

	snprintf(path, sizeof path, "%s/cgroup.procs", name);
	if (file_read(s->group_fd, path, text, sizeof text) < 0)
		return -1;
	for (const char *p = text; *p; p++)
		n += *p == '\n';
	return n;
}
