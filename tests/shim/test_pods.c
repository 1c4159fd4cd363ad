/* tests/shim/test_pods.c - containers that share: a holder and its members, user namespaces. */
#include "tests/shim/driver.h"

#include "base/file.h"

static struct output out;

static int start(struct shim *s, struct plan *p, int pod_fd)
{
	shim_launch(s, p, -1, pod_fd);
	Shim__ShimMessage *m = shim_expect(s, SHIM__SHIM_MESSAGE__BODY_RUNNING);
	int pid = m->running->pid;
	shim__shim_message__free_unpacked(m, NULL);
	return pid;
}

static void start_holder(struct shim *s, struct plan *p)
{
	Shim__SysctlStep *k = &p->sysctls[0];
	static const char *const nothing[] = {NULL};

	shim_spawn(s);
	plan_init(p, s, nothing);
	p->p.program = SHIM__LAUNCH_PLAN__PROGRAM__PAUSE;
	p->p.process = NULL;
	p->p.log_dir = NULL;
	p->p.n_steps = 0;
	p->p.hostname = (char *)(uintptr_t) "thepod";
	plan_mount(p, "proc", "proc", "/proc");
	plan_mount(p, "tmpfs", "shm", "/dev/shm");
	shim__sysctl_step__init(k);
	plan_step(p, SHIM__STEP__STAGE__INSIDE, SHIM__STEP__WHAT_SYSCTL)->sysctl = k;
	k->key = (char *)(uintptr_t) "net.ipv4.ip_unprivileged_port_start";
	k->value = (char *)(uintptr_t) "77";
	start(s, p, -1);
}

static char *run_command(struct shim *s, const char *id, const char *command)
{
	memset(&out, 0, sizeof out);
	int fd = EXEC(s, id, "sh", "-c", command);
	assert_true(session_read(fd, &out, NULL));
	close(fd);
	if (out.how.code || out.how.failed)
		fail_msg("%s: %d %s%s", command, out.how.code, out.error, out.text[1]);
	return out.text[0];
}

static void members_join_the_namespaces_of_the_holder(void **state)
{
	struct shim holder, a, b;
	struct plan p;
	char first[3][64], *text;

	start_holder(&holder, &p);
	for (int pid = 0; pid < 2; pid++) {
		struct shim *members[] = {&a, &b};

		for (size_t i = 0; i < 2; i++) {
			shim_spawn(members[i]);
			PLAN(&p, members[i], "sleep", "1000");
			p.p.net = SHIM__LAUNCH_PLAN__NET__NET_POD;
			p.p.has_ipc_pod = p.p.ipc_pod = p.p.has_uts_pod = p.p.uts_pod = 1;
			p.p.has_pid_pod = p.p.pid_pod = pid;
			p.p.hostname = NULL;
			if (pid) { /* proc shows the pids of who mounts it, which a member's first process does not have */
				p.mounts[0].fstype = NULL;
				p.mounts[0].source = (char *)(uintptr_t) "/proc";
				p.mounts[0].has_from_pod = p.mounts[0].from_pod = 1;
			}
			plan_mount(&p, NULL, "/dev/shm", "/dev/shm")->from_pod = 1;
			p.mounts[p.n_mounts - 1].has_from_pod = 1;
			start(members[i], &p, holder.container_fd);
			text = run_command(members[i], "look",
					   "for n in net ipc uts; do readlink /proc/self/ns/$n; done; hostname; cat "
					   "/proc/sys/net/ipv4/ip_unprivileged_port_start");
			if (i == 0)
				assert_int_equal(sscanf(text, "%63s %63s %63s", first[0], first[1], first[2]), 3);
			for (int n = 0; n < 3; n++)
				assert_non_null(strstr(text, first[n]));
			assert_non_null(strstr(text, "thepod\n77\n"));
		}
		run_command(&a, "put", "echo shared > /dev/shm/file");
		assert_string_equal(run_command(&b, "get", "cat /dev/shm/file"), "shared\n");
		/* Who sees whom. */
		text = run_command(&a, "ps", "ls -d /proc/[0-9]* | wc -l; cat /proc/1/cmdline");
		assert_int_equal(atoi(text) > 4, pid); /* wc may not be there yet */
		assert_int_equal(strstr(text, "berth-pause") != NULL, pid);
		shim_signal(&a, SIGKILL, a.incarnation);
		Shim__ShimMessage *m = shim_expect(&a, SHIM__SHIM_MESSAGE__BODY_EXITED);
		assert_int_equal(m->exited->record->signal, SIGKILL);
		assert_int_equal(process_in(&a, "main"), 0);
		shim__shim_message__free_unpacked(m, NULL);
		shim_stop(&a);
		shim_stop(&b);
	}
	shim_stop(&holder);
}

static void what_a_member_leaves_dies_with_it(void **state)
{
	struct shim holder, a;
	struct plan p;

	start_holder(&holder, &p);
	shim_spawn(&a);
	PLAN(&p, &a, "sh", "-c", "sleep 1000 & exit 3");
	p.p.net = SHIM__LAUNCH_PLAN__NET__NET_POD;
	p.p.has_pid_pod = p.p.pid_pod = 1;
	shim_launch(&a, &p, -1, holder.container_fd);
	Shim__ShimMessage *m = shim_expect(&a, SHIM__SHIM_MESSAGE__BODY_EXITED);
	assert_int_equal(m->exited->record->code, 3);
	assert_int_equal(process_in(&a, "main"), 0); /* said when all of it was dead */
	shim__shim_message__free_unpacked(m, NULL);
	PLAN(&p, &a, "sh", "-c", "sleep 1000 & exit 4");
	p.p.has_pid_host = p.p.pid_host = 1;
	m = NULL;
	assert_int_equal(shim_run(&a, &p)->code, 4);
	assert_int_equal(process_in(&a, "main"), 0);
	shim_stop(&a);
	shim_stop(&holder);
}

/* Docker's surroundings in a user namespace: root inside is nobody outside, and the image's files are his. */
static void a_user_namespace_maps_the_rootfs(void **state)
{
	struct shim s;
	struct plan p;
	Shim__FileStep hosts = SHIM__FILE_STEP__INIT;
	char path[192], *text;
	struct stat st;

	shim_spawn(&s);
	hosts.path = (char *)(uintptr_t) "/etc/made-by-berth";
	hosts.has_content = 1;
	hosts.content.data = (uint8_t *)(uintptr_t) "mine\n";
	hosts.content.len = 5;
	for (int incarnation = 1; incarnation <= 2; incarnation++) {
		PLAN(&p, &s, "sh", "-c", "echo as $(id -u); sleep 1000");
		p.p.has_userns_first_id = p.p.has_userns_count = 1;
		p.p.userns_first_id = 500000;
		p.p.userns_count = 65536;
		plan_step(&p, SHIM__STEP__STAGE__ROOTFS, SHIM__STEP__WHAT_FILE)->file = &hosts;
		int pid = start(&s, &p, -1);
		snprintf(path, sizeof path, "/proc/%d", pid);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_uid, 500000);
		text = run_command(&s, "look",
				   "cat /proc/self/uid_map /etc/made-by-berth; stat -c '%u %n' / /bin/busybox "
				   "/etc/made-by-berth /dev/null; "
				   "touch /root/new; echo > /proc/sys/net/ipv4/ip_forward; true");
		assert_non_null(strstr(text, "500000"));
		assert_non_null(strstr(text, "mine\n0 /\n0 /bin/busybox\n0 /etc/made-by-berth\n"));
		snprintf(path, sizeof path, "%s/%.36s/upper/root/new", driver.dir, s.uuid);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_uid, 0); /* on the disk as the container names it */
		run_command(
			&s, "app",
			"chmod 700 /root; mkdir -p /x && rm -rf /etc/passwd 2>/dev/null; ip link | grep LOOPBACK,UP");
		shim_signal(&s, SIGKILL, s.incarnation);
		shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED), NULL);
	}
	char *log = shim_log_until(&s, "as 0\nas 0\n");
	assert_string_equal(log, "as 0\nas 0\n");
	free(log);
	/* Users, terminals and init work there as well. */
	PLAN(&p, &s, "sh", "-c", "id -u; tty; echo again > /dev/stdout; exit 6");
	p.p.has_userns_first_id = p.p.has_userns_count = p.p.has_init = p.p.init = 1;
	p.p.userns_first_id = 500000;
	p.p.userns_count = 65536;
	p.process.user = (char *)(uintptr_t) "1000:1001";
	Shim__ExitRecord *r = shim_run(&s, &p);
	assert_int_equal(r->code, 6);
	PLAN(&p, &s, "sh", "-c", "tty; stat -c %u /dev/pts/0 /dev/console; exit 7");
	p.p.has_userns_first_id = p.p.has_userns_count = p.process.has_tty = p.process.tty = 1;
	p.p.userns_first_id = 500000;
	p.p.userns_count = 65536;
	r = shim_run(&s, &p);
	assert_int_equal(r->code, 7);
	log = shim_log_until(&s, "/dev/pts/0\r\n0\r\n0\r\n");
	assert_non_null(strstr(log, "1000\nnot a tty\nagain\n"));
	assert_non_null(strstr(log, "/dev/pts/0\r\n0\r\n0\r\n"));
	free(log);
	shim_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_join_the_namespaces_of_the_holder),
		cmocka_unit_test(what_a_member_leaves_dies_with_it),
		cmocka_unit_test(a_user_namespace_maps_the_rootfs),
	};

	if (getenv("BERTH_SHIM_TESTS"))
		cmocka_set_test_filter(getenv("BERTH_SHIM_TESTS"));
	return cmocka_run_group_tests_name("shim_pods", tests, driver_setup, driver_teardown);
}
