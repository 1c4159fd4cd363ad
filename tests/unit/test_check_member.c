/* tests/unit/test_check_member.c - what a member may ask for. There is a decision for every field that a spec can have: one that is added
 * to the messages and not to the list here fails the test. */
#include "tests/unit/unit.h"

#include "supervisor/check_member.h"

/* The generated structs want their text writable, and only read it. */
#pragma GCC diagnostic ignored "-Wwrite-strings"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wdiscarded-qualifiers"
#endif

#define BASE(m)	      .base = PROTOBUF_C_MESSAGE_INIT(&berth__##m##__descriptor)
#define SPEC(...)     ((const Berth__ContainerSpec){BASE(container_spec), __VA_ARGS__})
#define SECURITY(...) SPEC(.security = &(Berth__Security){BASE(security), __VA_ARGS__})
#define LIST(type, ...)                                                                                                \
	(type *[])                                                                                                     \
	{                                                                                                              \
		__VA_ARGS__                                                                                            \
	}
#define MOUNT(...)                                                                                                     \
	&(Berth__Mount)                                                                                                \
	{                                                                                                              \
		BASE(mount), __VA_ARGS__                                                                               \
	}
#define TYPE(t) .has_type = 1, .type = BERTH__MOUNT__TYPE__##t
#define ULIMIT(n)                                                                                                      \
	&(Berth__Ulimit)                                                                                               \
	{                                                                                                              \
		BASE(ulimit), .name = n, .has_soft = 1, .soft = 1                                                      \
	}
#define CAPS(n, ...) .n_cap_add = n, .cap_add = LIST(char, __VA_ARGS__)

static void each_way_out_is_refused_by_its_field(void **state)
{
	const struct {
		Berth__ContainerSpec spec;
		const char *field;
	} rows[] = {
		{SECURITY(.has_privileged = 1, .privileged = 1), "spec.security.privileged"},
		{SPEC(.n_mounts = 1, .mounts = LIST(Berth__Mount, MOUNT(TYPE(BIND), .source = "/"))),
		 "spec.mounts[0].source"},
		{SPEC(.n_mounts = 1, .mounts = LIST(Berth__Mount, MOUNT(.source = "/"))), "spec.mounts[0].source"},
		{SPEC(.n_mounts = 1, .mounts = LIST(Berth__Mount, MOUNT(.has_type = 1, .type = 99))),
		 "spec.mounts[0].source"},
		{SPEC(.n_mounts = 3,
		      .mounts = LIST(Berth__Mount, MOUNT(TYPE(TMPFS)), MOUNT(TYPE(VOLUME)), MOUNT(TYPE(BIND)))),
		 "spec.mounts[2].source"},
		{SPEC(.n_devices = 1, .devices = LIST(Berth__Device, NULL)), "spec.devices[0]"},
		{SECURITY(CAPS(1, "NET_ADMIN")), "spec.security.cap_add[0]"},
		{SECURITY(CAPS(2, "cap_chown", "sys_admin")), "spec.security.cap_add[1]"},
		{SECURITY(CAPS(1, "ALL")), "spec.security.cap_add[0]"},
		{SECURITY(CAPS(1, "no such")), "spec.security.cap_add[0]"},
		{SECURITY(.seccomp = "unconfined"), "spec.security.seccomp"},
		{SECURITY(.seccomp = "profile"), "spec.security.seccomp"},
		{SECURITY(.has_seccomp_profile = 1), "spec.security.seccomp_profile"},
		{SECURITY(.apparmor = "unconfined"), "spec.security.apparmor"},
		{SECURITY(.apparmor = "mine"), "spec.security.apparmor"},
		{SPEC(.network = "host"), "spec.network"},
		{SPEC(.network = "container:x"), "spec.network"},
		{SPEC(.pid_mode = "host"), "spec.pid_mode"},
		{SPEC(.names = &(Berth__NameOptions){BASE(name_options), .n_dns = 1, .dns = LIST(char, "192.0.2.1")}),
		 "spec.names.dns[0]"},
		{SPEC(.ipc_mode = "host"), "spec.ipc_mode"},
		{SPEC(.has_oom_score_adj = 1, .oom_score_adj = -1), "spec.oom_score_adj"},
		{SPEC(.n_ulimits = 2, .ulimits = LIST(Berth__Ulimit, ULIMIT("nofile"), ULIMIT("RTPRIO"))),
		 "spec.ulimits[1]"},
		{SPEC(.n_ulimits = 1, .ulimits = LIST(Berth__Ulimit, ULIMIT("nice"))), "spec.ulimits[0]"},
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_row(check_member_container(&rows[i].spec, &e) == -EACCES, i);
		assert_row(e.code == EACCES, i);
		assert_string_equal(e.step, rows[i].field);
		assert_non_null(strstr(e.text, "a member of a project may not ask for this"));
	}
}

static void what_stays_within_is_allowed(void **state)
{
	const Berth__ContainerSpec rows[] = {
		SPEC(.image = "busybox"),
		SECURITY(CAPS(2, "chown", "CAP_NET_RAW"), .seccomp = "default", .apparmor = "", .has_userns = 1,
			 .userns = 1),
		SECURITY(.n_cap_drop = 1, .cap_drop = LIST(char, "ALL"), .has_no_new_privs = 1, .no_new_privs = 1),
		SPEC(.n_mounts = 2,
		     .mounts = LIST(Berth__Mount, MOUNT(TYPE(VOLUME), .source = "data"), MOUNT(TYPE(TMPFS)))),
		SPEC(.network = "none", .pid_mode = "private", .ipc_mode = ""),
		SPEC(.names = &(Berth__NameOptions){BASE(name_options), .n_dns_search = 1,
						    .dns_search = LIST(char, "example.org")}),
		SPEC(.has_oom_score_adj = 1, .oom_score_adj = 500),
		SPEC(.n_ulimits = 1, .ulimits = LIST(Berth__Ulimit, ULIMIT("nofile"))),
	};
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (check_member_container(&rows[i], &e) != 0)
			fail_msg("row %zu: %s: %s", i, e.step, e.text);
}

static void pods_and_programs_are_no_way_round(void **state)
{
	Berth__PodSpec pod = BERTH__POD_SPEC__INIT;
	Berth__PortMap port = BERTH__PORT_MAP__INIT;
	Berth__ExecSpec exec = BERTH__EXEC_SPEC__INIT;
	struct err e;

	assert_int_equal(check_member_pod(&pod, &e), 0);
	pod.network = "host";
	assert_int_equal(check_member_pod(&pod, &e), -EACCES);
	assert_string_equal(e.step, "spec.network");
	assert_int_equal(check_member_joins(&pod, &e), -EACCES);
	pod.network = NULL;
	pod.ports = (Berth__PortMap *[]){&port};
	pod.n_ports = 1;
	port.container_port = 80;
	assert_int_equal(check_member_pod(&pod, &e), 0); /* one is found for it */
	port.host_port = 22;
	assert_int_equal(check_member_pod(&pod, &e), -EACCES);
	assert_string_equal(e.step, "spec.ports[0].host_port");
	pod.n_ports = 0;
	pod.names = &(Berth__NameOptions){BASE(name_options), .n_dns = 1, .dns = LIST(char, "192.0.2.1")};
	assert_int_equal(check_member_pod(&pod, &e), -EACCES);
	assert_string_equal(e.step, "spec.names.dns[0]");
	assert_int_equal(check_member_joins(&pod, &e), 0); /* what was found, or given by an admin */
	assert_int_equal(check_member_exec(&exec, &e), 0);
	exec.has_privileged = exec.privileged = true;
	assert_int_equal(check_member_exec(&exec, &e), -EACCES);
	assert_string_equal(e.step, "exec.privileged");
}

/* ---------------------------------------------------------------- nothing is forgotten */

/* All fields of a spec, and why a member may set them. ! = there is a row above that refuses some values. */
static const char *const decided[] = {
	"ContainerSpec: image entrypoint entrypoint_set command env workdir user labels hostname stop_signal "
	"stop_timeout_s "
	"init read_only !mounts !devices !ulimits sysctls shm_size_bytes resources !security restart auto_remove "
	"stdin_open "
	"stdin_once tty pod pod_init !network log tty_rows tty_cols !pid_mode !ipc_mode !oom_score_adj "
	"hold_before_exec networks !ports expose publish_all names " /* those that he sees: network_find; ports that are free */
	"annotations",
	"NameOptions: hosts !dns dns_search dns_options", /* of files of its own; whom berth-dns asks */
	"HostName: name address",
	"NetworkAsk: network addresses link mac aliases security_groups !allow_spoofing ingress_bps egress_bps",
	"PortMap: !host_ip !host_port container_port protocol",
	"Mount: !type source target read_only propagation size_bytes mode exec non_recursive writable_below no_copy", /* of volumes */
	"Device: !source !target !access", /* none at all */
	"Ulimit: !name soft hard",
	"RestartPolicy: kind max_retries",
	"LogOptions: max_size_bytes max_files",
	"Resources: memory_bytes memory_high_bytes memory_swap_bytes cpus_milli cpu_weight cpuset_cpus cpuset_mems "
	"pids_limit "
	"io_weight io_max oom_group", /* of its own group only */
	"IoMax: device rbps wbps riops wiops",
	"Security: !cap_add cap_drop !seccomp !seccomp_profile !apparmor no_new_privs !privileged userns masked_paths "
	"readonly_paths",
	"KeyValue: key value",
	"PodSpec: hostname share_pid !network labels resources sysctls shm_size_bytes networks !ports names",
	"ExecSpec: command env workdir user tty want_stdin !privileged rows cols timeout_ms detach",
};

static bool is_decided(const ProtobufCMessageDescriptor *d, const char *field)
{
	const char *name = strrchr(d->name, '.') + 1;
	size_t n = strlen(name), len = strlen(field);

	for (size_t i = 0; i < ARRAY_SIZE(decided); i++) {
		if (strncmp(decided[i], name, n) != 0 || decided[i][n] != ':')
			continue;
		for (const char *p = decided[i] + n; (p = strstr(p, field)); p += len)
			if ((p[-1] == ' ' || p[-1] == '!') && (!p[len] || p[len] == ' '))
				return true;
	}
	return false;
}

static void walk(const ProtobufCMessageDescriptor *d)
{
	for (unsigned i = 0; i < d->n_fields; i++) {
		if (!is_decided(d, d->fields[i].name))
			fail_msg("%s.%s: may a member set it? Decide in supervisor/check_member.c, and say so here",
				 d->name, d->fields[i].name);
		if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			walk(d->fields[i].descriptor);
	}
}

static void there_is_a_decision_for_every_field(void **state)
{
	walk(&berth__container_spec__descriptor);
	walk(&berth__pod_spec__descriptor);
	walk(&berth__exec_spec__descriptor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_out_is_refused_by_its_field),
		cmocka_unit_test(what_stays_within_is_allowed),
		cmocka_unit_test(pods_and_programs_are_no_way_round),
		cmocka_unit_test(there_is_a_decision_for_every_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
