/* tests/shim/test_run.c - a container from launch to exit record, and what may go wrong on the way. */
#include "tests/shim/driver.h"

#include "base/file.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void runs_and_reports_its_exit(void **state)
{
	struct shim s;
	struct plan p;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c", "echo out; echo err >&2; hostname; exit 7");
	Shim__ExitRecord *r = shim_run(&s, &p);
	assert_int_equal(r->code, 7);
	assert_int_equal(r->signal, 0);
	assert_int_equal(r->incarnation, 1);
	assert_true(r->started_at > 0 && r->finished_at >= r->started_at);
	for (const char *const *line = (const char *const[]){"out\n", "err\n", "berthed\n", NULL}; *line; line++) {
		char *log = shim_log_until(&s, *line);

		assert_non_null(strstr(log, *line));
		free(log);
	}
	size_t len;
	char *file = slurp(s.exit_record, &len);
	Shim__ExitRecord *kept = shim__exit_record__unpack(NULL, len, (uint8_t *)file);
	assert_non_null(kept);
	assert_int_equal(kept->code, 7);
	assert_string_equal(kept->uuid, s.uuid);
	shim__exit_record__free_unpacked(kept, NULL);
	free(file);
	shim_stop(&s);
}

static void leaves_when_berthd_goes_before_a_plan(void **state)
{
	struct shim s;

	shim_spawn(&s);
	close_fd(&s.link);
	for (int i = 0; i < 1000 && kill(s.pid, 0) == 0; i++) {
		usleep(1000);
		waitpid(s.pid, NULL, WNOHANG);
	}
	assert_int_equal(kill(s.pid, 0), -1);
}

static const struct {
	const char *what;
	const char *argv0, *cwd, *user;
	int code;
	const char *step, *text;
} failures[] = {
	{"no such program", "/bin/x", NULL, NULL, ENOENT, "exec", "exec /bin/x"},
	{"not in PATH", "nowhere", NULL, NULL, ENOENT, "exec", "exec nowhere"},
	{"not executable", "/etc/passwd", NULL, NULL, EACCES, "exec", "exec /etc/passwd"},
	{"a folder", "/bin", NULL, NULL, EACCES, "exec", "exec /bin"},
	{"no such user", "true", NULL, "nosuch", ENOENT, "user", "no user nosuch in the container's /etc/passwd"},
	{"no such group", "true", NULL, "root:nosuch", ENOENT, "user", "no group nosuch in the container's /etc/group"},
	{"a closed folder", "true", "/root/closed", "app", EACCES, "cwd",
	 "change to the working directory /root/closed"},
	{"a file as folder", "true", "/etc/passwd", NULL, ENOTDIR, "cwd",
	 "change to the working directory /etc/passwd"},
};

static void failures_name_the_step_and_the_errno(void **state)
{
	struct shim s;
	struct plan p;
	char path[128];

	snprintf(path, sizeof path, "%s/layer/root/closed", driver.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	shim_spawn(&s);
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		PLAN(&p, &s, (char *)failures[i].argv0);
		p.process.cwd = (char *)failures[i].cwd;
		p.process.user = (char *)failures[i].user;
		const Shim__Failed *f = shim_launch_fails(&s, &p);
		if (f->sys_errno != failures[i].code || strcmp(f->step, failures[i].step) ||
		    strcmp(f->text, failures[i].text))
			fail_msg("%s: %s: %s (%d)", failures[i].what, f->step, f->text, f->sys_errno);
		assert_int_equal(f->incarnation, s.incarnation);
		assert_int_equal(process_in(&s, "main"), 0);
	}
	PLAN(&p, &s, "true"); /* and it can still run one */
	assert_int_equal(shim_run(&s, &p)->code, 0);
	shim_stop(&s);
}

static void refuse(struct shim *s, struct plan *p, const char *words)
{
	const Shim__Failed *f = shim_launch_fails(s, p);

	assert_string_equal(f->step, "plan");
	if (!strstr(f->text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, f->text);
}

static void what_a_plan_may_not_say(void **state)
{
	struct shim s;
	struct plan p;
	ProtobufCMessageUnknownField unknown = {
		.tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = (uint8_t *)(uintptr_t) "\1"};

	shim_spawn(&s);
	PLAN(&p, &s, "true");
	p.p.version = SHIM_VERSION + 1;
	refuse(&s, &p, "launch plan of version");
	PLAN(&p, &s, "true");
	plan_step(&p, SHIM__STEP__STAGE__INSIDE, SHIM__STEP__WHAT__NOT_SET);
	refuse(&s, &p, "does not know");
	PLAN(&p, &s, "true");
	p.process.base.n_unknown_fields = 1;
	p.process.base.unknown_fields = &unknown;
	refuse(&s, &p, "does not know");
	PLAN(&p, &s, "true");
	p.p.uuid = (char *)"11111111-1111-1111-1111-111111111111";
	refuse(&s, &p, "another container");
	PLAN(&p, &s, "true");
	p.step_list[1]->stage = SHIM__STEP__STAGE__PREPARE;
	refuse(&s, &p, "PREPARE");
	PLAN(&p, &s, "true");
	p.process.n_argv = 0;
	refuse(&s, &p, "nothing to execute");
	PLAN(&p, &s, "true");
	p.p.net = SHIM__LAUNCH_PLAN__NET__NET_POD;
	refuse(&s, &p, "pod");
	shim_stop(&s);
}

static void a_restart_finds_rootfs_and_network_as_they_were(void **state)
{
	struct shim s;
	struct plan p;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c", "readlink /proc/self/ns/net; touch /root/was-here; ip link | grep LOOPBACK");
	assert_int_equal(shim_run(&s, &p)->code, 0);
	PLAN(&p, &s, "sh", "-c", "readlink /proc/self/ns/net; ls /root; readlink /proc/self/ns/mnt");
	Shim__ExitRecord *r = shim_run(&s, &p);
	assert_int_equal(r->code, 0);
	assert_int_equal(r->incarnation, 2);
	char *log = shim_log_until(&s, "was-here"), first[64], *again;
	assert_int_equal(sscanf(log, "%63s", first), 1);
	assert_non_null(strstr(first, "net:["));
	again = strstr(log + strlen(first), first);
	assert_non_null(again);
	assert_non_null(strstr(again, "was-here"));
	assert_non_null(strstr(log, "LOOPBACK,UP"));
	free(log);
	shim_stop(&s);
}

static int overlays_of(const char *upper)
{
	char line[1024], *at;
	int n = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		at = strstr(line, " - overlay ");
		n += at && strstr(at, upper);
	}
	fclose(f);
	return n;
}

/* Also with another rootfs in between, and with a launch that fails after it took the mount. */
static void the_overlay_outlives_the_incarnation(void **state)
{
	static const char *const commands[] = {"stat -c %d /", "stat -c %d /", NULL, "stat -c %d /"};
	struct shim s;
	struct plan p;
	unsigned long long dev[4] = {0};
	char fresh[2][96];

	shim_spawn(&s);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		PLAN(&p, &s, "sh", "-c", commands[i] ? commands[i] : "exit 3");
		if (!commands[i]) {
			p.process.argv[0] = (char *)(uintptr_t) "/no/such";
			assert_string_equal(shim_launch_fails(&s, &p)->step, "exec");
			continue;
		}
		assert_int_equal(shim_run(&s, &p)->code, 0);
		char *log = shim_log(&s), *last = log;
		for (char *nl; (nl = strchr(last, '\n')) && nl[1];)
			last = nl + 1;
		dev[i] = strtoull(last, NULL, 10);
		free(log);
	}
	assert_true(dev[0] && dev[0] == dev[1]);
	assert_true(dev[0] == dev[3]);
	/* A new upper layer of the old name is another one. */
	snprintf(fresh[0], sizeof fresh[0], "%.90s.old", p.upper);
	assert_int_equal(rename(p.upper, fresh[0]), 0);
	PLAN(&p, &s, "sh", "-c", "echo > /root/new-upper");
	assert_int_equal(shim_run(&s, &p)->code, 0);
	snprintf(fresh[1], sizeof fresh[1], "%.70s/root/new-upper", p.upper);
	assert_int_equal(access(fresh[1], F_OK), 0);
	assert_int_equal(overlays_of(p.upper), 0); /* none of it shows */
	shim_stop(&s);
}

static void confinement_is_in_force(void **state)
{
	/* Allows everything, but mkdir answers ENOANO (55). */
	static const struct {
		uint16_t code;
		uint8_t jt, jf;
		uint32_t k;
	} filter[] = {{0x20, 0, 0, 0}, {0x15, 0, 1, 83}, {0x06, 0, 0, 0x00050000 | 55}, {0x06, 0, 0, 0x7fff0000}};
	struct shim s;
	struct plan p;
	Shim__Rlimit nofile = SHIM__RLIMIT__INIT, *limits[] = {&nofile};
	uint32_t groups[] = {4242};

	nofile.has_resource = nofile.has_soft = nofile.has_hard = 1;
	nofile.resource = RLIMIT_NOFILE;
	nofile.soft = 77;
	nofile.hard = 99;
	for (int user = 0; user < 2; user++) {
		shim_spawn(&s);
		PLAN(&p, &s, "sh", "-c",
		     "cat /proc/self/status; ulimit -n; ulimit -Hn; umask; pwd; echo HOME=$HOME; ls -l /proc/self/fd; "
		     "mkdir /tmp/x; "
		     "echo 1 > /proc/sys/kernel/pid_max; echo masked $(cat /proc/timer_list | wc -c) $(ls "
		     "/sys/firmware | "
		     "wc -l); "
		     "echo groups $(id -G); cat /proc/self/oom_score_adj; cat /proc/self/cgroup; mount | grep -c .");
		p.process.has_seccomp = 1;
		p.process.seccomp.data = (uint8_t *)filter;
		p.process.seccomp.len = sizeof filter;
		p.process.has_no_new_privs = 1;
		p.process.no_new_privs = user;
		p.process.rlimits = limits;
		p.process.n_rlimits = 1;
		p.process.groups = groups;
		p.process.n_groups = 1;
		p.process.user = (char *)(user ? "app" : "0");
		p.process.cwd = (char *)"/made/for/it";
		p.process.has_umask = 1;
		p.process.umask = 027;
		shim_run(&s, &p);
		char *log = shim_log_until(&s, user ? "groups 1001 2000 2001 4242\n" : "groups 0 4242\n");
		assert_non_null(strstr(log, "NoNewPrivs:\t"));
		assert_int_equal(strstr(log, "NoNewPrivs:\t")[12], user ? '1' : '0');
		assert_non_null(strstr(log, "Seccomp:\t2"));
		assert_non_null(strstr(log, "CapBnd:\t00000000a80425fb"));
		assert_non_null(strstr(log, user ? "CapEff:\t0000000000000000" : "CapEff:\t00000000a80425fb"));
		assert_non_null(strstr(log, "CapAmb:\t0000000000000000"));
		assert_non_null(strstr(log, "SigBlk:\t0000000000000000"));
		assert_non_null(strstr(log, "SigIgn:\t0000000000000000"));
		assert_non_null(strstr(log, "77\n99\n0027\n/made/for/it\n"));
		assert_non_null(strstr(log, user ? "HOME=/home\n" : "HOME=/root\n"));
		assert_non_null(strstr(log, "No anode"));
		assert_non_null(strstr(log, "Read-only file system"));
		assert_non_null(strstr(log, "masked 0 0\n"));
		assert_non_null(strstr(log, user ? "groups 1001 2000 2001 4242\n" : "groups 0 4242\n"));
		assert_non_null(strstr(log, "0::/\n"));
		assert_null(strstr(log, "socket:")); /* nothing of ours leaked */
		assert_null(strstr(log, " 10 ->"));
		free(log);
		shim_stop(&s);
	}
}

static void a_read_only_root_is_read_only(void **state)
{
	struct shim s;
	struct plan p;
	Shim__FileStep hosts = SHIM__FILE_STEP__INIT;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c",
	     "touch /root/x; cat /etc/hosts; echo more >> /etc/hosts; touch /new/mount/point && echo fine");
	p.overlay.has_read_only = p.overlay.read_only = 1;
	plan_mount(&p, "tmpfs", "tmpfs", "/new/mount");
	hosts.path = (char *)"/etc/hosts";
	hosts.has_content = 1;
	hosts.content.data = (uint8_t *)(uintptr_t) "127.0.0.1 here\n";
	hosts.content.len = 15;
	plan_step(&p, SHIM__STEP__STAGE__ROOTFS, SHIM__STEP__WHAT_FILE)->file = &hosts;
	assert_int_equal(shim_run(&s, &p)->code, 0);
	char *log = shim_log_until(&s, "fine");
	assert_non_null(strstr(log, "/root/x: Read-only file system"));
	assert_non_null(strstr(log, "127.0.0.1 here"));
	assert_null(strstr(log, "can't create /etc/hosts"));
	assert_non_null(strstr(log, "fine"));
	free(log);
	/* One layer and no upper: no overlay at all. */
	PLAN(&p, &s, "touch", "/root/y");
	p.overlay.upper = p.overlay.work = NULL;
	assert_int_equal(shim_run(&s, &p)->code, 1);
	shim_stop(&s);
}

static void mount_points_behind_dangling_links_are_made(void **state)
{
	static const struct {
		const char *link, *target;
	} links[] = {{"etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"},
		     {"etc/hosts", "/run/a/hosts"},
		     {"etc/loop", "loop"},
		     {"etc/up", "../../../../etc/upper"}};
	struct shim s;
	struct plan p;
	char path[128];

	shim_spawn(&s);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		snprintf(path, sizeof path, "%s/layer/%s", driver.dir, links[i].link);
		unlink(path);
		assert_int_equal(symlink(links[i].target, path), 0);
	}
	snprintf(path, sizeof path, "%s/layer/var", driver.dir);
	assert_int_equal(symlink("/elsewhere/var", path), 0);
	PLAN(&p, &s, "sh", "-c",
	     "cat /etc/hosts /etc/resolv.conf /etc/up; ls -d /run/systemd/resolve/stub-resolv.conf /elsewhere/var/x/y "
	     "/etc/upper");
	static const char *const at[] = {"/etc/hosts", "/etc/resolv.conf", "/etc/up"};
	Shim__FileStep files[ARRAY_SIZE(at)];
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		shim__file_step__init(&files[i]);
		files[i].path = (char *)(uintptr_t)at[i];
		files[i].has_content = 1;
		files[i].content.data = (uint8_t *)(uintptr_t)at[i];
		files[i].content.len = strlen(at[i]);
		plan_step(&p, SHIM__STEP__STAGE__ROOTFS, SHIM__STEP__WHAT_FILE)->file = &files[i];
	}
	plan_mount(&p, "tmpfs", "tmpfs", "/var/x/y");
	assert_int_equal(shim_run(&s, &p)->code, 0);
	char *log = shim_log_until(&s, "/run/systemd/resolve/stub-resolv.conf");
	assert_non_null(strstr(log, "/run/systemd/resolve/stub-resolv.conf"));
	free(log);
	PLAN(&p, &s, "true");
	plan_mount(&p, NULL, "/etc/passwd", "/etc/loop");
	const Shim__Failed *f = shim_launch_fails(&s, &p);
	assert_int_equal(f->sys_errno, ELOOP);
	shim_stop(&s);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		snprintf(path, sizeof path, "%s/layer/%s", driver.dir, links[i].link);
		assert_int_equal(unlink(path), 0);
	}
}

static void an_optional_step_that_fails_is_listed(void **state)
{
	struct shim s;
	struct plan p;
	Shim__ShimMessage *m;

	shim_spawn(&s);
	PLAN(&p, &s, "sleep", "100");
	plan_mount(&p, NULL, "/nowhere/at/all", "/mnt");
	for (size_t i = 0; i < p.p.n_steps; i++)
		if (p.step_list[i]->what_case == SHIM__STEP__WHAT_MOUNT && !p.step_list[i]->mount->fstype)
			p.step_list[i]->has_optional = p.step_list[i]->optional = 1;
	shim_launch(&s, &p, -1, -1);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING);
	assert_int_equal(m->running->n_skipped, 1);
	assert_string_equal(m->running->skipped[0], "bind /nowhere/at/all: No such file or directory");
	assert_true(m->running->pid > 0);
	shim__shim_message__free_unpacked(m, NULL);
	assert_int_equal(process_in(&s, "main"), 1);
	shim_stop(&s);
	assert_int_equal(access(s.path, F_OK), 0); /* berthd's to remove */
}

static void signals_reach_only_their_incarnation(void **state)
{
	struct shim s;
	struct plan p;
	Shim__ShimMessage *m;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c", "trap 'echo got it; exit 3' TERM; echo up; while :; do sleep 0.01; done");
	shim_launch(&s, &p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
	free(shim_log_until(&s, "up\n"));
	shim_signal(&s, SIGKILL, s.incarnation + 1);
	shim_signal(&s, SIGKILL, 0);
	assert_null(shim_next(&s, 50));
	shim_signal(&s, SIGTERM, s.incarnation);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED);
	assert_int_equal(m->exited->record->code, 3);
	shim__shim_message__free_unpacked(m, NULL);
	PLAN(&p, &s, "sleep", "100");
	shim_launch(&s, &p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
	shim_signal(&s, SIGKILL, s.incarnation);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED);
	assert_int_equal(m->exited->record->signal, SIGKILL);
	shim__shim_message__free_unpacked(m, NULL);
	shim_stop(&s);
}

static void a_second_launch_is_refused_while_one_runs(void **state)
{
	struct shim s;
	struct plan p;

	shim_spawn(&s);
	PLAN(&p, &s, "sleep", "100");
	shim_launch(&s, &p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
	refuse(&s, &p, "incarnation 1 is still running");
	shim_stop(&s);
}

static void berthd_may_come_and_go(void **state)
{
	struct shim s;
	struct plan p;
	Shim__ShimMessage *m;
	int pid, old;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c", "sleep 0.3; exit 5");
	shim_launch(&s, &p, -1, -1);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING);
	pid = m->running->pid;
	shim__shim_message__free_unpacked(m, NULL);
	close_fd(&s.link);
	shim_reconnect(&s);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_HELLO);
	assert_int_equal(m->hello->state, SHIM__SHIM_STATE__SHIM_RUNNING);
	assert_int_equal(m->hello->running->pid, pid);
	assert_int_equal(m->hello->running->incarnation, 1);
	assert_true(s.container_fd >= 0);
	shim__shim_message__free_unpacked(m, NULL);
	/* The newest counts. */
	old = s.link;
	s.link = -1;
	shim_reconnect(&s);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_HELLO), NULL);
	char c;
	usleep(10000);
	assert_int_equal(recv(old, &c, 1, MSG_DONTWAIT), 0);
	close(old);
	/* The end while nobody listens is told at the next connection. */
	close_fd(&s.link);
	usleep(500000);
	shim_reconnect(&s);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_HELLO);
	assert_int_equal(m->hello->state, SHIM__SHIM_STATE__SHIM_EXITED);
	assert_int_equal(m->hello->exit->code, 5);
	shim__shim_message__free_unpacked(m, NULL);
	shim_stop(&s);
}

static void a_launch_that_hangs_is_killed_and_named(void **state)
{
	struct shim s;
	struct plan p;

	shim_spawn(&s);
	PLAN(&p, &s, "true");
	p.p.has_timeout_ms = 1;
	p.p.timeout_ms = 200;
	/* A frozen group stands for a disk that does not answer. */
	assert_int_equal(file_writes(driver.cgroup_fd, "cgroup.freeze", "1"), 0);
	long start = now_us();
	const Shim__Failed *f = shim_launch_fails(&s, &p);
	assert_int_equal(f->sys_errno, ETIMEDOUT);
	assert_true(now_us() - start >= 200000 && now_us() - start < 1500000);
	assert_int_equal(file_writes(driver.cgroup_fd, "cgroup.freeze", "0"), 0);
	assert_int_equal(process_in(&s, "main"), 0);
	PLAN(&p, &s, "true");
	assert_int_equal(shim_run(&s, &p)->code, 0);
	shim_stop(&s);
}

static void release(struct shim *s)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Release body = SHIM__RELEASE__INIT;

	m.body_case = SHIM__SHIM_MESSAGE__BODY_RELEASE;
	m.release = &body;
	shim_send(s, &m, NULL, 0);
}

static void held_before_exec_until_released(void **state)
{
	struct shim s;
	struct plan p;
	Shim__ShimMessage *m;

	shim_spawn(&s);
	PLAN(&p, &s, "echo", "released");
	p.p.has_hold_before_exec = p.p.hold_before_exec = 1;
	shim_launch(&s, &p, -1, -1);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING);
	assert_true(m->running->held);
	shim__shim_message__free_unpacked(m, NULL);
	assert_null(shim_next(&s, 50));
	assert_int_equal(process_in(&s, "main"), 1);
	release(&s);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING);
	assert_false(m->running->held);
	shim__shim_message__free_unpacked(m, NULL);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED);
	assert_int_equal(m->exited->record->code, 0);
	shim__shim_message__free_unpacked(m, NULL);
	char *log = shim_log_until(&s, "released\n");
	assert_string_equal(log, "released\n");
	free(log);
	shim_stop(&s);
}

static void released_before_it_stops_it_does_not_stop(void **state)
{
	struct shim s;
	struct plan p;
	Shim__ShimMessage *m, query = SHIM__SHIM_MESSAGE__INIT;
	Shim__Query body = SHIM__QUERY__INIT;

	shim_spawn(&s);
	query.body_case = SHIM__SHIM_MESSAGE__BODY_QUERY;
	query.query = &body;
	for (int init = 0; init < 2; init++) {
		PLAN(&p, &s, "true");
		p.p.has_hold_before_exec = p.p.hold_before_exec = 1;
		p.p.has_init = p.p.init = init;
		assert_int_equal(file_writes(driver.cgroup_fd, "cgroup.freeze", "1"), 0);
		shim_launch(&s, &p, -1, -1);
		release(&s);
		release(&s); /* which is one too many, and nobody's */
		shim_send(&s, &query, NULL, 0);
		shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_HELLO), NULL);
		assert_int_equal(file_writes(driver.cgroup_fd, "cgroup.freeze", "0"), 0);
		m = shim_next(&s, WAIT_MS);
		assert_non_null(m);
		assert_int_equal(m->body_case, SHIM__SHIM_MESSAGE__BODY_RUNNING);
		assert_false(m->running->held);
		shim__shim_message__free_unpacked(m, NULL);
		m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED);
		assert_int_equal(m->exited->record->code, 0);
		shim__shim_message__free_unpacked(m, NULL);
	}
	/* Nor is it remembered for the next one. */
	PLAN(&p, &s, "true");
	p.p.has_hold_before_exec = p.p.hold_before_exec = 1;
	shim_launch(&s, &p, -1, -1);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING);
	assert_true(m->running->held);
	shim__shim_message__free_unpacked(m, NULL);
	release(&s);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED), NULL);
	shim_stop(&s);
}

/* berthd counts a life whose plan it could not send. */
static void who_stands_by_for_a_life_that_never_came_is_not_given_the_next_ones_plan(void **state)
{
	struct shim s;
	struct plan p;
	char name[64];

	shim_spawn(&s);
	PLAN(&p, &s, "true");
	p.p.has_stand_by_next = p.p.stand_by_next = 1;
	assert_int_equal(shim_run(&s, &p)->code, 0);
	snprintf(name, sizeof name, "%.36s.2/main", s.uuid);
	assert_int_equal(faccessat(driver.cgroup_fd, name, F_OK, 0), 0);
	s.incarnation++;
	PLAN(&p, &s, "sleep", "600");
	p.p.has_as_prepared = p.p.as_prepared = 1;
	shim_launch(&s, &p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
	assert_int_equal(process_in(&s, "main"), 1);
	shim_signal(&s, SIGKILL, 3);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED), NULL);
	for (int i = 0; i < WAIT_MS && unlinkat(driver.cgroup_fd, name, AT_REMOVEDIR) < 0; i++)
		usleep(1000);
	*strchr(name, '/') = 0;
	assert_int_equal(unlinkat(driver.cgroup_fd, name, AT_REMOVEDIR), 0);
	shim_stop(&s);
}

static int who_stands_by(const struct shim *s)
{
	char name[80], text[64];

	snprintf(name, sizeof name, "%.36s.%llu/main/cgroup.procs", s->uuid, (unsigned long long)s->incarnation + 1);
	return file_read(driver.cgroup_fd, name, text, sizeof text) > 0 ? atoi(text) : -1;
}

static void next_group_remove(const struct shim *s, uint64_t incarnation)
{
	char name[64];

	snprintf(name, sizeof name, "%.36s.%llu/main", s->uuid, (unsigned long long)incarnation);
	for (int i = 0; i < WAIT_MS && unlinkat(driver.cgroup_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT; i++)
		usleep(1000);
	*strchr(name, '/') = 0;
	unlinkat(driver.cgroup_fd, name, AT_REMOVEDIR);
}

static void plan_file(struct plan *p, Shim__FileStep *f, const char *path, const char *content, size_t len)
{
	shim__file_step__init(f);
	f->path = (char *)(uintptr_t)path;
	f->has_content = 1;
	f->content.data = (uint8_t *)(uintptr_t)content;
	f->content.len = len;
	plan_step(p, SHIM__STEP__STAGE__ROOTFS, SHIM__STEP__WHAT_FILE)->file = f;
	p->p.has_stand_by_next = p->p.stand_by_next = p->p.has_as_prepared = p->p.as_prepared = 1;
}

/* It goes on with who stood by, and finds in its file, and as the name of its host, what its own plan says. False: nobody stood by any more. */
static bool a_life_finds(struct shim *s, struct plan *p, const char *content, size_t len)
{
	Shim__FileStep f;
	Shim__ShimMessage *m;
	int pid = who_stands_by(s);
	char says[96], name[32], *log;
	bool went_on;

	PLAN(p, s, "sh", "-c",
	     "hostname; wc -c < /etc/hosts; tail -c 3 /etc/hosts; echo; echo more >> /etc/hosts && echo written");
	snprintf(name, sizeof name, "life%llu", (unsigned long long)s->incarnation);
	p->p.hostname = name;
	plan_file(p, &f, "/etc/hosts", content, len);
	shim_launch(s, p, -1, -1);
	m = shim_expect(s, SHIM__SHIM_MESSAGE__BODY_RUNNING);
	went_on = m->running->pid == pid;
	shim__shim_message__free_unpacked(m, NULL);
	shim__shim_message__free_unpacked(shim_expect(s, SHIM__SHIM_MESSAGE__BODY_EXITED), NULL);
	next_group_remove(s, s->incarnation);
	snprintf(says, sizeof says, "\n%s\n%zu\n%.3s\nwritten\n", name, len, len ? content + len - 3 : "");
	log = shim_log_until(s, says);
	if (!strstr(log, says))
		fail_msg("not \"%s\": %s", says, log);
	free(log);
	return went_on;
}

static void who_goes_on_with_who_stood_by_brings_what_the_files_say(void **state)
{
	static const size_t lengths[] = {30, 700000, 5, 0, 12000};
	char *content = malloc(700000);
	struct shim s;
	struct plan p;
	Shim__FileStep f;

	shim_spawn(&s);
	PLAN(&p, &s, "echo", "first");
	plan_file(&p, &f, "/etc/hosts", "127.0.0.1 first\n", 16);
	assert_int_equal(shim_run(&s, &p)->code, 0);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		bool went_on = false;

		memset(content, 'a' + (int)i, 700000);
		/* On a busy machine it may be late. */
		for (int k = 0; k < 8 && !went_on; k++)
			went_on = a_life_finds(&s, &p, content, lengths[i]);
		assert_true(went_on);
	}
	free(content);
	bool failed = false;
	for (int k = 0; k < 8 && !failed; k++) {
		if (k)
			a_life_finds(&s, &p, "abc", 3);
		PLAN(&p, &s, "true");
		plan_file(&p, &f, "/etc/shadow", "another file\n", 13);
		shim_launch(&s, &p, -1, -1);
		Shim__ShimMessage *m = shim_next(&s, WAIT_MS);
		assert_non_null(m);
		failed = m->body_case == SHIM__SHIM_MESSAGE__BODY_FAILED;
		if (failed) {
			assert_string_equal(m->failed->step, "plan");
			assert_string_equal(m->failed->text, "/etc/shadow is not in what was begun");
		} else {
			shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED), NULL);
		}
		shim__shim_message__free_unpacked(m, NULL);
		next_group_remove(&s, s.incarnation);
	}
	assert_true(failed);
	PLAN(&p, &s, "true");
	assert_int_equal(shim_run(&s, &p)->code, 0);
	shim_stop(&s);
}

static void an_init_reaps_forwards_and_tells_the_true_end(void **state)
{
	struct shim s;
	struct plan p;
	Shim__ShimMessage *m;
	Shim__ExitRecord *r;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c", "(sleep 0.05 &) ; sleep 0.2; echo pid $$; cat /proc/1/comm; exit 9");
	p.p.has_init = p.p.init = 1;
	r = shim_run(&s, &p);
	assert_int_equal(r->code, 9);
	char *log = shim_log_until(&s, "pid ");
	assert_non_null(strstr(log, "pid "));
	assert_null(strstr(log, "pid 1\n"));
	free(log);
	PLAN(&p, &s, "sh", "-c", "kill -USR1 $$");
	p.p.has_init = p.p.init = 1;
	r = shim_run(&s, &p);
	assert_int_equal(r->signal, SIGUSR1);
	PLAN(&p, &s, "sh", "-c", "trap 'exit 4' TERM; echo up; while :; do sleep 0.01; done");
	p.p.has_init = p.p.init = 1;
	shim_launch(&s, &p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
	free(shim_log_until(&s, "up\n"));
	shim_signal(&s, SIGTERM, s.incarnation);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED);
	assert_int_equal(m->exited->record->code, 4);
	shim__shim_message__free_unpacked(m, NULL);
	PLAN(&p, &s, "/no/such");
	p.p.has_init = p.p.init = 1;
	const Shim__Failed *f = shim_launch_fails(&s, &p);
	assert_string_equal(f->text, "exec /no/such");
	assert_int_equal(f->sys_errno, ENOENT);
	shim_stop(&s);
}

/* Whatever the step that hits the limit: Failed, nothing left behind, and the next launch works. */
static void a_shim_short_of_descriptors_lives_on(void **state)
{
	struct rlimit old, few;
	struct shim s;
	struct plan p;
	char path[64];
	int failed = 0;

	shim_spawn(&s);
	PLAN(&p, &s, "true");
	assert_int_equal(shim_run(&s, &p)->code, 0); /* the log writer has what it needs */
	assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, NULL, &old), 0);
	for (rlim_t room = 2; room < 20; room++) {
		unsigned open_now = 0;

		for (int fd = 0; fd < 64; fd++) {
			snprintf(path, sizeof path, "/proc/%d/fd/%d", s.pid, fd);
			open_now += faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
		}
		few = (struct rlimit){open_now + room, old.rlim_max};
		assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, &few, NULL), 0);
		PLAN(&p, &s, "true");
		shim_launch(&s, &p, -1, -1);
		for (bool ended = false; !ended;) {
			Shim__ShimMessage *m = shim_next(&s, WAIT_MS);

			assert_non_null(m);
			if (m->body_case == SHIM__SHIM_MESSAGE__BODY_FAILED) {
				assert_true(m->failed->sys_errno == EMFILE || m->failed->sys_errno == EINVAL);
				failed++;
			}
			ended = m->body_case == SHIM__SHIM_MESSAGE__BODY_FAILED ||
				m->body_case == SHIM__SHIM_MESSAGE__BODY_EXITED;
			shim__shim_message__free_unpacked(m, NULL);
		}
		assert_int_equal(process_in(&s, "main"), 0);
	}
	assert_true(failed > 3);
	assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, &old, NULL), 0);
	PLAN(&p, &s, "true");
	assert_int_equal(shim_run(&s, &p)->code, 0);
	shim_stop(&s);
}

static void a_killed_shim_takes_its_container_along(void **state)
{
	struct shim s;
	struct plan p;

	shim_spawn(&s);
	PLAN(&p, &s, "sleep", "100");
	shim_launch(&s, &p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
	int group = s.group_fd;
	s.group_fd = -1;
	shim_kill(&s);
	s.group_fd = group;
	for (int i = 0; i < 1000 && process_in(&s, "main") > 0; i++)
		usleep(1000);
	assert_int_equal(process_in(&s, "main"), 0);
	close(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_and_reports_its_exit),
		cmocka_unit_test(leaves_when_berthd_goes_before_a_plan),
		cmocka_unit_test(failures_name_the_step_and_the_errno),
		cmocka_unit_test(what_a_plan_may_not_say),
		cmocka_unit_test(a_restart_finds_rootfs_and_network_as_they_were),
		cmocka_unit_test(the_overlay_outlives_the_incarnation),
		cmocka_unit_test(confinement_is_in_force),
		cmocka_unit_test(a_read_only_root_is_read_only),
		cmocka_unit_test(mount_points_behind_dangling_links_are_made),
		cmocka_unit_test(an_optional_step_that_fails_is_listed),
		cmocka_unit_test(signals_reach_only_their_incarnation),
		cmocka_unit_test(a_second_launch_is_refused_while_one_runs),
		cmocka_unit_test(berthd_may_come_and_go),
		cmocka_unit_test(a_launch_that_hangs_is_killed_and_named),
		cmocka_unit_test(held_before_exec_until_released),
		cmocka_unit_test(released_before_it_stops_it_does_not_stop),
		cmocka_unit_test(who_stands_by_for_a_life_that_never_came_is_not_given_the_next_ones_plan),
		cmocka_unit_test(who_goes_on_with_who_stood_by_brings_what_the_files_say),
		cmocka_unit_test(an_init_reaps_forwards_and_tells_the_true_end),
		cmocka_unit_test(a_shim_short_of_descriptors_lives_on),
		cmocka_unit_test(a_killed_shim_takes_its_container_along),
	};

	if (getenv("BERTH_SHIM_TESTS"))
		cmocka_set_test_filter(getenv("BERTH_SHIM_TESTS"));
	return cmocka_run_group_tests_name("shim_run", tests, driver_setup, driver_teardown);
}
