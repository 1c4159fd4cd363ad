/* tests/unit/test_check.c - what a spec may say: every refusal with its field and words, every canonical form and default. */
#include "tests/unit/unit.h"

#include "base/str.h"
#include "cgroup/tree.h"
#include "supervisor/check.h"
#include "supervisor/seccomp.h"

#include <sys/sysinfo.h>

/* The generated structs want their text writable; a copy is what is checked. */
#pragma GCC diagnostic ignored "-Wwrite-strings"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wdiscarded-qualifiers"
#endif

#define BASE(m) .base = PROTOBUF_C_MESSAGE_INIT(&berth__##m##__descriptor)
#define SPEC(...)                                                                                                      \
	{                                                                                                              \
		BASE(container_spec), __VA_ARGS__                                                                      \
	}
#define LIST(type, ...)                                                                                                \
	(type *[])                                                                                                     \
	{                                                                                                              \
		__VA_ARGS__                                                                                            \
	}
#define NETWORK(...)                                                                                                   \
	.n_networks = 1, .networks = LIST(Berth__NetworkAsk,                                                           \
					  &(Berth__NetworkAsk){BASE(network_ask), .network = "default", __VA_ARGS__})
#define NAMES(...)                                                                                                     \
	.names = &(Berth__NameOptions)                                                                                 \
	{                                                                                                              \
		BASE(name_options), __VA_ARGS__                                                                        \
	}
#define HOST(...)	       .n_hosts = 1, .hosts = LIST(Berth__HostName, &(Berth__HostName){BASE(host_name), __VA_ARGS__})
#define A50		       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A250		       A50 A50 A50 A50 A50
#define STRINGS(n, field, ...) .n_##field = n, .field = LIST(char, __VA_ARGS__)
#define KV(k, v)                                                                                                       \
	&(Berth__KeyValue)                                                                                             \
	{                                                                                                              \
		BASE(key_value), .key = k, .value = v                                                                  \
	}
#define MOUNT(t, ...)                                                                                                  \
	&(Berth__Mount)                                                                                                \
	{                                                                                                              \
		BASE(mount), .has_type = 1, .type = BERTH__MOUNT__TYPE__##t, __VA_ARGS__                               \
	}
#define MOUNTS(n, ...) .n_mounts = n, .mounts = LIST(Berth__Mount, __VA_ARGS__)
#define DEVICE(s, t, a)                                                                                                \
	&(Berth__Device)                                                                                               \
	{                                                                                                              \
		BASE(device), .source = s, .target = t, .access = a                                                    \
	}
#define DEVICES(n, ...) .n_devices = n, .devices = LIST(Berth__Device, __VA_ARGS__)
#define ULIMIT(nm, ...)                                                                                                \
	&(Berth__Ulimit)                                                                                               \
	{                                                                                                              \
		BASE(ulimit), .name = nm, __VA_ARGS__                                                                  \
	}
#define ULIMITS(n, ...) .n_ulimits = n, .ulimits = LIST(Berth__Ulimit, __VA_ARGS__)
#define SYSCTL(k, v)	.n_sysctls = 1, .sysctls = LIST(Berth__KeyValue, KV(k, v))
#define RESOURCES(...)                                                                                                 \
	.resources = &(Berth__Resources)                                                                               \
	{                                                                                                              \
		BASE(resources), __VA_ARGS__                                                                           \
	}
#define SECURITY(...)                                                                                                  \
	.security = &(Berth__Security)                                                                                 \
	{                                                                                                              \
		BASE(security), __VA_ARGS__                                                                            \
	}
#define RESTART(k, ...)                                                                                                \
	.restart = &(Berth__RestartPolicy)                                                                             \
	{                                                                                                              \
		BASE(restart_policy), .has_kind = 1, .kind = BERTH__RESTART_POLICY__KIND__##k, __VA_ARGS__             \
	}
#define LOG(...)                                                                                                       \
	.log = &(Berth__LogOptions)                                                                                    \
	{                                                                                                              \
		BASE(log_options), __VA_ARGS__                                                                         \
	}
#define HAS(f, v) .has_##f = 1, .f = v
#define NAME_65	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct row {
	Berth__ContainerSpec spec;
	const char *field; /* NULL: it is good */
	const char *text;  /* a part of the message */
	int code;	   /* 0 = EINVAL */
};

static const struct row rows[] = {
	/* process */
	{SPEC(0), NULL, NULL, 0},
	{SPEC(.image = ""), "spec.image", "an image is missing", 0},
	{SPEC(STRINGS(1, entrypoint, "")), "spec.entrypoint[0]", "the program's name is empty", 0},
	{SPEC(STRINGS(2, command, "", "x")), "spec.command[0]", "the program's name is empty", 0},
	{SPEC(STRINGS(2, command, "x", "")), NULL, NULL, 0},
	{SPEC(STRINGS(1, env, "NAME")), "spec.env[0]", "'NAME' is not of the form NAME=value", 0},
	{SPEC(STRINGS(2, env, "A=", "=b")), "spec.env[1]", "'=b' is not of the form NAME=value", 0},
	{SPEC(STRINGS(1, env, "A=b=c d")), NULL, NULL, 0},
	{SPEC(.workdir = "app"), "spec.workdir", "'app' is not absolute: it must begin with /", 0},
	{SPEC(.workdir = "/a/../b"), "spec.workdir", "'/a/../b' has '..' in it", 0},
	{SPEC(.workdir = "/.."), "spec.workdir", "has '..' in it", 0},
	{SPEC(.workdir = "/a/..b"), NULL, NULL, 0},
	{SPEC(.user = "root"), NULL, NULL, 0},
	{SPEC(.user = "1000:1000"), NULL, NULL, 0},
	{SPEC(.user = "www-data:adm"), NULL, NULL, 0},
	{SPEC(.user = "1000:"), "spec.user", "'1000:' is not a user", 0},
	{SPEC(.user = ":5"), "spec.user", "':5' is not a user", 0},
	{SPEC(.user = "a b"), "spec.user", "'a b' is not a user", 0},
	{SPEC(.user = "-x"), "spec.user", "is not a user", 0},
	{SPEC(.user = "a:b:c"), "spec.user", "is not a user", 0},
	{SPEC(.user = "4294967295"), "spec.user", "is not a user", 0},
	{SPEC(.user = "4294967294"), NULL, NULL, 0},
	{SPEC(.hostname = "web-1.example"), NULL, NULL, 0},
	{SPEC(.hostname = "-web"), "spec.hostname", "'-web' is not a host name", 0},
	{SPEC(.hostname = "a..b"), "spec.hostname", "is not a host name", 0},
	{SPEC(.hostname = "a b"), "spec.hostname", "is not a host name", 0},
	{SPEC(.hostname = NAME_65), "spec.hostname", "65 characters: the kernel takes at most 64", 0},
	{SPEC(.stop_signal = "SIGWINCH"), NULL, NULL, 0},
	{SPEC(.stop_signal = "SIGFOO"), "spec.stop_signal", "'SIGFOO' is not a signal", 0},
	{SPEC(.stop_signal = "0"), "spec.stop_signal", "'0' is not a signal", 0},
	{SPEC(.stop_signal = "65"), "spec.stop_signal", "'65' is not a signal", 0},
	{SPEC(.n_labels = 1, .labels = LIST(Berth__KeyValue, KV("", "x"))), "spec.labels[0]", "there is no key", 0},
	{SPEC(.n_labels = 1, .labels = LIST(Berth__KeyValue, KV("a=b", "x"))), "spec.labels[0]", "is no key", 0},
	{SPEC(HAS(tty_rows, 24), HAS(tty_cols, 80)), "spec.tty_rows", "a window size without a tty", 0},
	{SPEC(HAS(tty, 1), HAS(tty_rows, 24)), NULL, NULL, 0},
	{SPEC(HAS(tty, 1), HAS(tty_rows, 70000)), "spec.tty_rows", "at most 65535 rows", 0},
	/* combinations */
	{SPEC(RESTART(NO, HAS(max_retries, 3))), "spec.restart.max_retries", "goes with on-failure only", 0},
	{SPEC(RESTART(ON_FAILURE, HAS(max_retries, 3))), NULL, NULL, 0},
	{SPEC(HAS(auto_remove, 1), RESTART(ALWAYS, 0)), "spec.auto_remove", "cannot be restarted by policy", 0},
	{SPEC(HAS(auto_remove, 1), RESTART(NO, 0)), NULL, NULL, 0},
	{SPEC(HAS(stdin_once, 1)), "spec.stdin_once", "goes with stdin_open only", 0},
	{SPEC(HAS(init, 1), .pid_mode = "host"), "spec.init", "no pid 1", 0},
	{SPEC(HAS(oom_score_adj, -1001)), "spec.oom_score_adj", "-1001 is not from -1000 to 1000", 0},
	{SPEC(HAS(oom_score_adj, 1000)), NULL, NULL, 0},
	{SPEC(HAS(shm_size_bytes, 100)), "spec.shm_size_bytes", "at least one page", 0},
	{SPEC(HAS(shm_size_bytes, 0)), "spec.shm_size_bytes", "0 bytes: at least one page", 0},
	{SPEC(LOG(HAS(max_size_bytes, 0))), "spec.log.max_size_bytes", "0 bytes: at least 16 KiB", 0},
	{SPEC(LOG(HAS(max_files, 0))), "spec.log.max_files", "0 files: 1 to", 0},
	{SPEC(HAS(shm_size_bytes, 1 << 20), .ipc_mode = "host"), "spec.shm_size_bytes", "/dev/shm is the host's", 0},
	{SPEC(LOG(HAS(max_size_bytes, 100))), "spec.log.max_size_bytes", "100 bytes: at least 16 KiB", 0},
	{SPEC(LOG(HAS(max_files, 5000))), "spec.log.max_files", "1 to 1000", 0},
	/* namespaces */
	{SPEC(.network = "host"), NULL, NULL, 0},
	{SPEC(.network = "bridge"), "spec.network",
	 "network bridge: here there are none and host; the others are asked for by spec.networks", ENOTSUP},
	{SPEC(.pid_mode = "container:x"), "spec.pid_mode", "there are private and host", ENOTSUP},
	{SPEC(.ipc_mode = "shareable"), "spec.ipc_mode", "there are private and host", ENOTSUP},
	{SPEC(.pod = "p", .network = "none"), "spec.network", "it is the pod's", 0},
	{SPEC(.pod = "p", .pid_mode = "host"), "spec.pid_mode", "it is the pod's", 0},
	{SPEC(.pod = "p", .ipc_mode = "host"), "spec.ipc_mode", "it is the pod's", 0},
	{SPEC(.pod = "p", .hostname = "h"), "spec.hostname", "it is the pod's", 0},
	{SPEC(.pod = "p", HAS(shm_size_bytes, 1 << 20)), "spec.shm_size_bytes", "it is the pod's", 0},
	{SPEC(.pod = "p", SYSCTL("net.ipv4.ip_forward", "1")), "spec.sysctls[0]", "belongs to the pod", 0},
	{SPEC(.pod = "p", SECURITY(HAS(userns, 1))), "spec.security.userns", "the pod decides", 0},
	{SPEC(.pod = "p"), NULL, NULL, 0},
	{SPEC(HAS(pod_init, 1)), "spec.pod_init", "an init container needs a pod", 0},
	{SPEC(.pod = "p", HAS(pod_init, 1), RESTART(ALWAYS, 0)), "spec.restart.kind", "runs to its end", 0},
	{SPEC(.pod = "p", HAS(pod_init, 1), HAS(auto_remove, 1)), "spec.auto_remove", "an init container stays", 0},
	/* mounts */
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a", .target = "/b"))), NULL, NULL, 0},
	{SPEC(MOUNTS(1, &(Berth__Mount){BASE(mount), .target = "/b"})), "spec.mounts[0].type", "there are bind", 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "a", .target = "/b"))), "spec.mounts[0].source", "is not absolute", 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .target = "/b"))), "spec.mounts[0].source", "a path is missing", 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a/..", .target = "/b"))), "spec.mounts[0].source", "has '..' in it", 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a", .target = "/b/../c"))), "spec.mounts[0].target", "has '..'", 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a", .target = "/"))), "spec.mounts[0].target", "on / itself", 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a", .target = "//."))), "spec.mounts[0].target", "on / itself", 0},
	{SPEC(MOUNTS(1, MOUNT(TMPFS, .target = "/proc"))), "spec.mounts[0].target", "lies in /proc", 0},
	{SPEC(MOUNTS(1, MOUNT(TMPFS, .target = "/proc//sys"))), "spec.mounts[0].target", "lies in /proc", 0},
	{SPEC(MOUNTS(1, MOUNT(TMPFS, .target = "/process"))), NULL, NULL, 0},
	{SPEC(MOUNTS(2, MOUNT(TMPFS, .target = "/t"), MOUNT(BIND, .source = "/a", .target = "/t/"))),
	 "spec.mounts[1].target", "two mounts on /t", 0},
	{SPEC(MOUNTS(1, MOUNT(VOLUME, .source = "data", .target = "/d"))), NULL, NULL, 0},
	{SPEC(MOUNTS(1, MOUNT(VOLUME, .target = "/d"))), NULL, NULL, 0},
	{SPEC(MOUNTS(1, MOUNT(VOLUME, .source = "a/b", .target = "/d"))), "spec.mounts[0].source",
	 "neither a path nor a volume's name", 0},
	{SPEC(MOUNTS(1, MOUNT(VOLUME, .source = "..", .target = "/d"))), "spec.mounts[0].source", "neither a path", 0},
	{SPEC(MOUNTS(1, MOUNT(TMPFS, .source = "x", .target = "/d"))), "spec.mounts[0].source", "no source", 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a", .target = "/b", .propagation = "rslave"))), NULL, NULL, 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a", .target = "/b", .propagation = "x"))), "spec.mounts[0].propagation",
	 "there are rprivate", 0},
	{SPEC(MOUNTS(1, MOUNT(VOLUME, .source = "v", .target = "/b", .propagation = "rslave"))),
	 "spec.mounts[0].propagation", "for bind mounts", 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a", .target = "/b", HAS(size_bytes, 4096)))), "spec.mounts[0]",
	 "are for tmpfs", 0},
	{SPEC(MOUNTS(1, MOUNT(TMPFS, .target = "/b", HAS(size_bytes, 1)))), "spec.mounts[0]", "at least one page", 0},
	{SPEC(MOUNTS(1, MOUNT(TMPFS, .target = "/b", HAS(size_bytes, 0)))), "spec.mounts[0]", "at least one page", 0},
	{SPEC(MOUNTS(1, MOUNT(TMPFS, .target = "/b", HAS(mode, 010000)))), "spec.mounts[0]", "beyond 7777", 0},
	{SPEC(MOUNTS(1, MOUNT(VOLUME, .source = "data", .target = "/b", HAS(no_copy, 1)))), NULL, NULL, 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a", .target = "/b", HAS(no_copy, 1)))), "spec.mounts[0]", "for volumes",
	 0},
	{SPEC(MOUNTS(1, MOUNT(TMPFS, .target = "/b", HAS(non_recursive, 1)))), "spec.mounts[0]", "for bind mounts", 0},
	{SPEC(MOUNTS(1, MOUNT(BIND, .source = "/a", .target = "/b", HAS(writable_below, 1)))), "spec.mounts[0]",
	 "read-only at the top", 0},
	/* devices */
	{SPEC(DEVICES(1, DEVICE("/dev/null", NULL, NULL))), NULL, NULL, 0},
	{SPEC(DEVICES(1, DEVICE("/dev/null", "/dev/x", "rw"))), NULL, NULL, 0},
	{SPEC(DEVICES(1, DEVICE("/dev/nothing-here", NULL, NULL))), "spec.devices[0].source", "No such file", 0},
	{SPEC(DEVICES(1, DEVICE("/etc/passwd", NULL, NULL))), "spec.devices[0].source", "not below /dev", 0},
	{SPEC(DEVICES(1, DEVICE("/dev/../etc/passwd", NULL, NULL))), "spec.devices[0].source", "has '..'", 0},
	{SPEC(DEVICES(1, DEVICE("/dev/shm", NULL, NULL))), "spec.devices[0].source", "is a folder", 0},
	{SPEC(DEVICES(1, DEVICE("/dev/null", NULL, "rx"))), "spec.devices[0].access", "made of r, w and m", 0},
	{SPEC(DEVICES(1, DEVICE("/dev/null", NULL, "rr"))), "spec.devices[0].access", "each at most once", 0},
	{SPEC(DEVICES(2, DEVICE("/dev/null", NULL, NULL), DEVICE("/dev/zero", "/dev/null", NULL))),
	 "spec.devices[1].target", "two devices at /dev/null", 0},
	/* ulimits */
	{SPEC(ULIMITS(1, ULIMIT("nofile", HAS(soft, 10), HAS(hard, 20)))), NULL, NULL, 0},
	{SPEC(ULIMITS(1, ULIMIT("files", HAS(soft, 10)))), "spec.ulimits[0]", "there is no ulimit 'files'", 0},
	{SPEC(ULIMITS(1, ULIMIT("core", 0))), "spec.ulimits[0]", "a value is missing", 0},
	{SPEC(ULIMITS(1, ULIMIT("core", HAS(soft, 3), HAS(hard, 2)))), "spec.ulimits[0]", "above the hard one", 0},
	{SPEC(ULIMITS(2, ULIMIT("core", HAS(soft, 3)), ULIMIT("CORE", HAS(soft, 3)))), "spec.ulimits[1]",
	 "core: given twice", 0},
	{SPEC(ULIMITS(1, ULIMIT("nofile", HAS(soft, UINT64_MAX)))), "spec.ulimits[0]", "fs.nr_open", 0},
	{SPEC(ULIMITS(1, ULIMIT("memlock", HAS(soft, UINT64_MAX)))), NULL, NULL, 0},
	/* sysctls */
	{SPEC(SYSCTL("net.ipv4.ip_forward", "1")), NULL, NULL, 0},
	{SPEC(SYSCTL("kernel.shmmax", "1")), NULL, NULL, 0},
	{SPEC(SYSCTL("kernel.sem", "1 2 3 4")), NULL, NULL, 0},
	{SPEC(SYSCTL("fs.mqueue.msg_max", "5")), NULL, NULL, 0},
	{SPEC(SYSCTL("kernel.domainname", "x")), NULL, NULL, 0},
	{SPEC(SYSCTL("kernel.panic", "1")), "spec.sysctls[0]", "kernel.panic is the whole host's", 0},
	{SPEC(SYSCTL("vm.swappiness", "1")), "spec.sysctls[0]", "is the whole host's", 0},
	{SPEC(SYSCTL("net.", "1")), "spec.sysctls[0]", "not a sysctl's name", 0},
	{SPEC(SYSCTL("net", "1")), "spec.sysctls[0]", "is the whole host's", 0},
	{SPEC(SYSCTL("net/ipv4/../../kernel/panic", "1")), "spec.sysctls[0]", "not a sysctl's name", 0},
	{SPEC(SYSCTL("net..x", "1")), "spec.sysctls[0]", "not a sysctl's name", 0},
	{SPEC(SYSCTL("net.x", "")), "spec.sysctls[0]", "a value of one line is missing", 0},
	{SPEC(SYSCTL("net.x", "a\nb")), "spec.sysctls[0]", "a value of one line is missing", 0},
	{SPEC(SYSCTL("net.x", "1"), .network = "host"), "spec.sysctls[0]", "would change the host", 0},
	{SPEC(SYSCTL("kernel.sem", "1"), .network = "host"), NULL, NULL, 0},
	{SPEC(SYSCTL("kernel.sem", "1"), .ipc_mode = "host"), "spec.sysctls[0]", "would change the host", 0},
	/* security */
	{SPEC(SECURITY(STRINGS(2, cap_add, "net_admin", "ALL"))), NULL, NULL, 0},
	{SPEC(SECURITY(STRINGS(1, cap_add, "FLY"))), "spec.security.cap_add[0]", "there is no capability 'FLY'", 0},
	{SPEC(SECURITY(STRINGS(1, cap_drop, ""))), "spec.security.cap_drop[0]", "there is no capability", 0},
	{SPEC(SECURITY(.seccomp = "unconfined")), NULL, NULL, 0},
	{SPEC(SECURITY(.seccomp = "off")), "spec.security.seccomp", "there are default, unconfined and profile", 0},
	{SPEC(SECURITY(.seccomp = "profile")), "spec.security.seccomp_profile", "the profile is missing", 0},
	{SPEC(SECURITY(.has_seccomp_profile = 1, .seccomp_profile = {2, (uint8_t *)"{}"})),
	 "spec.security.seccomp_profile", "is not \"profile\"", 0},
	{SPEC(SECURITY(.seccomp = "profile", .has_seccomp_profile = 1, .seccomp_profile = {3, (uint8_t *)"{x}"})),
	 "spec.security.seccomp_profile", "", 0},
	{SPEC(SECURITY(HAS(userns, 1), HAS(privileged, 1))), "spec.security.userns", "privileged", 0},
	{SPEC(SECURITY(HAS(userns, 1)), .network = "host"), "spec.security.userns", "host's network namespace", 0},
	{SPEC(SECURITY(HAS(userns, 1)), .pid_mode = "host"), "spec.security.userns", "host's pid namespace", 0},
	{SPEC(SECURITY(HAS(userns, 1))), NULL, NULL, 0},
	{SPEC(SECURITY(.apparmor = "a b")), "spec.security.apparmor", "is not a profile's name", 0},
	{SPEC(SECURITY(.apparmor = "unconfined")), NULL, NULL, 0},
	{SPEC(SECURITY(STRINGS(1, masked_paths, "/x"))), "spec.security.masked_paths", "cannot be chosen", 0},
	/* resources: what cgroup/limits.c checks has tests there */
	{SPEC(RESOURCES(HAS(memory_bytes, 64 << 20), HAS(cpus_milli, 500), HAS(pids_limit, 5))), NULL, NULL, 0},
	{SPEC(RESOURCES(HAS(memory_bytes, 1 << 20))), "spec.resources.memory_bytes", "the least is 6 MiB", 0},
	{SPEC(RESOURCES(HAS(cpus_milli, 100000000))), "spec.resources.cpus_milli", "this host has", 0},
	{SPEC(RESOURCES(.n_io_max = 1,
			.io_max = LIST(Berth__IoMax,
				       &(Berth__IoMax){BASE(io_max), .device = "/etc/passwd", HAS(rbps, 1)}))),
	 "spec.resources.io_max", "not below /dev", 0},
	{SPEC(RESOURCES(HAS(cpu_weight, 20000))), "spec.resources.cpu_weight", "", 0},
	{SPEC(RESOURCES(.cpuset_cpus = "4000")), "spec.resources.cpuset_cpus", "", 0},
	{SPEC(RESOURCES(HAS(memory_bytes, 64 << 20), HAS(memory_high_bytes, 65 << 20))),
	 "spec.resources.memory_high_bytes", "", 0},
	{SPEC(RESOURCES(HAS(memory_swap_bytes, 64 << 20))), "spec.resources.memory_swap_bytes", "", 0},
	/* networks, and lines of /etc/hosts and resolv.conf */
	{SPEC(NETWORK(STRINGS(2, addresses, "10.0.0.1", "bogus"))), "spec.networks[0].addresses[1]", "'bogus'", 0},
	{SPEC(NAMES(HOST(.name = "db", .address = "192.0.2.7"))), NULL, NULL, 0},
	{SPEC(NAMES(HOST(.name = "db", .address = "host-gateway"))), NULL, NULL, 0},
	{SPEC(NAMES(HOST(.address = "192.0.2.7"))), "spec.names.hosts[0].name", "is not the name of a host", 0},
	{SPEC(NAMES(HOST(.name = "a\n192.0.2.8 b", .address = "192.0.2.7"))), "spec.names.hosts[0].name", "", 0},
	{SPEC(NAMES(HOST(.name = "a\tb", .address = "192.0.2.7"))), "spec.names.hosts[0].name", "", 0},
	{SPEC(NAMES(HOST(.name = "a#b", .address = "192.0.2.7"))), "spec.names.hosts[0].name", "", 0},
	{SPEC(NAMES(HOST(.name = A250 "aaa", .address = "192.0.2.7"))), NULL, NULL, 0},
	{SPEC(NAMES(HOST(.name = A250 "aaaa", .address = "192.0.2.7"))), "spec.names.hosts[0].name", "", 0},
	{SPEC(NAMES(HOST(.name = "db"))), "spec.names.hosts[0].address", "is neither an IP address nor", 0},
	{SPEC(NAMES(HOST(.name = "db", .address = "192.0.2.7\n::1 b"))), "spec.names.hosts[0].address", "", 0},
	{SPEC(NAMES(HOST(.name = "db", .address = "fe80::1%eth0"))), "spec.names.hosts[0].address", "", 0},
	{SPEC(NAMES(STRINGS(1, dns, "192.0.2.1\noptions debug"))), "spec.names.dns[0]", "is not an IP address", 0},
	{SPEC(NAMES(STRINGS(4, dns, "::1", "::2", "::3", "::4"))), "spec.names.dns", "at most 3", 0},
	{SPEC(NAMES(STRINGS(2, dns_search, "a.example", "b\nnameserver 192.0.2.1"))), "spec.names.dns_search[1]",
	 "is not a domain", 0},
	{SPEC(NAMES(STRINGS(2, dns_search, ".", "a.example"))), "spec.names.dns_search[0]", "is not a domain", 0},
	{SPEC(NAMES(STRINGS(1, dns_search, "."))), NULL, NULL, 0},
	{SPEC(NAMES(STRINGS(7, dns_search, "a", "b", "c", "d", "e", "f", "g"))), "spec.names.dns_search", "at most 6",
	 0},
	{SPEC(NAMES(STRINGS(1, dns_options, "ndots:2\nnameserver 192.0.2.1"))), "spec.names.dns_options[0]", "", 0},
	{SPEC(NAMES(STRINGS(1, dns_options, ""))), "spec.names.dns_options[0]", "is not an option", 0},
	{SPEC(NAMES(STRINGS(1, dns_options, A250))), "spec.names.dns_options[0]", "is not an option", 0},
	{SPEC(NAMES(STRINGS(1, dns_options, "rotate")), .network = "host"), "spec.names.dns_options[0]",
	 "are the host's", ENOTSUP},
	{SPEC(NAMES(STRINGS(1, dns_options, "rotate")), .pod = "p"), "spec.names.dns_options[0]", "it is the pod's", 0},
	{SPEC(NAMES(.n_dns = 0), .network = "host"), NULL, NULL, 0}, /* nothing is said */
	{SPEC(NAMES(.n_dns = 0), .pod = "p"), NULL, NULL, 0},
};

static struct supervisor sv = {.cg.controllers = CG_WANTED};

static Berth__ContainerSpec *copy(const Berth__ContainerSpec *spec)
{
	Berth__ContainerSpec view = *spec;
	uint8_t data[8192];

	if (!view.image)
		view.image = "busybox";
	assert_true(berth__container_spec__get_packed_size(&view) < sizeof data);
	return berth__container_spec__unpack(NULL, berth__container_spec__pack(&view, data), data);
}

static void each_refusal_names_its_field_and_reason(void **state)
{
	assert_int_equal(seccomp_cache_new(&sv.seccomp), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		Berth__ContainerSpec *spec = copy(&row->spec);
		struct err e = {0};
		int r = check_container_spec(&sv, spec, &e);

		if (!row->field && r != 0)
			fail_msg("row %zu: refused: %s: %s", i, e.step, e.text);
		if (row->field && r == 0)
			fail_msg("row %zu: not refused: %s, %s", i, row->field, row->text);
		if (row->field && (strcmp(e.step, row->field) != 0 || !strstr(e.text, row->text)))
			fail_msg("row %zu: %s: %s", i, e.step, e.text);
		if (row->field && (e.code != (row->code ? row->code : EINVAL) || r != -e.code))
			fail_msg("row %zu: %s: code %d", i, e.step, e.code);
		berth__container_spec__free_unpacked(spec, NULL);
	}
	seccomp_cache_free(sv.seccomp);
	sv.seccomp = NULL;
}

static void what_is_not_said_gets_its_default(void **state)
{
	const Berth__ContainerSpec plain = SPEC(0);
	Berth__ContainerSpec *s = copy(&plain);
	struct err e;

	assert_int_equal(check_container_spec(&sv, s, &e), 0);
	assert_int_equal(s->stop_timeout_s, 10);
	assert_int_equal(s->restart->kind, BERTH__RESTART_POLICY__KIND__NO);
	assert_true(s->restart->has_kind);
	assert_int_equal(s->log->max_size_bytes, 16 << 20);
	assert_int_equal(s->log->max_files, 4);
	assert_int_equal(s->shm_size_bytes, 64 << 20);
	assert_string_equal(s->network, "none");
	assert_non_null(s->security);
	assert_null(s->security->seccomp);
	berth__container_spec__free_unpacked(s, NULL);
}

static void names_become_canonical(void **state)
{
	const Berth__ContainerSpec loose =
		SPEC(.stop_signal = "term", .workdir = "//app/./x/", .user = "", .pid_mode = "private",
		     STRINGS(1, entrypoint, "/bin/sh"),
		     SECURITY(STRINGS(2, cap_add, "net_admin", "cap_sys_time"), STRINGS(1, cap_drop, "all"),
			      .seccomp = "default"),
		     ULIMITS(1, ULIMIT("NOFILE", HAS(soft, 9))), DEVICES(1, DEVICE("/dev//null", "", "")),
		     MOUNTS(2, MOUNT(VOLUME, .target = "/d/"), MOUNT(BIND, .source = "/a//b/", .target = "/./e")),
		     .n_labels = 3, .labels = LIST(Berth__KeyValue, KV("a", "1"), KV("b", NULL), KV("a", "2")));
	Berth__ContainerSpec *s = copy(&loose);
	struct err e;

	if (check_container_spec(&sv, s, &e) < 0 && e.code != ENOTSUP) /* berthd may lack a capability itself */
		fail_msg("%s: %s", e.step, e.text);
	assert_string_equal(s->stop_signal, "SIGTERM");
	assert_string_equal(s->workdir, "/app/x");
	assert_null(s->user);
	assert_null(s->pid_mode);
	assert_true(s->entrypoint_set);
	assert_string_equal(s->ulimits[0]->name, "nofile");
	assert_int_equal(s->ulimits[0]->hard, 9);
	assert_string_equal(s->devices[0]->source, "/dev/null");
	assert_string_equal(s->devices[0]->target, "/dev/null");
	assert_string_equal(s->devices[0]->access, "rwm");
	assert_true(uuid_is(s->mounts[0]->source));
	assert_string_equal(s->mounts[0]->target, "/d");
	assert_string_equal(s->mounts[1]->source, "/a/b");
	assert_string_equal(s->mounts[1]->target, "/e");
	assert_int_equal(s->n_labels, 2);
	assert_string_equal(s->labels[0]->value, "");
	assert_string_equal(s->labels[1]->value, "2");
	assert_string_equal(s->security->cap_add[0], "CAP_NET_ADMIN");
	assert_string_equal(s->security->cap_add[1], "CAP_SYS_TIME");
	assert_string_equal(s->security->cap_drop[0], "ALL");
	berth__container_spec__free_unpacked(s, NULL);
}

static void a_checked_spec_stays_as_it_is_when_it_is_checked_again(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__ContainerSpec *s = copy(&rows[i].spec);
		uint8_t once[8192], twice[8192];
		struct err e;

		if (!rows[i].field && !rows[i].spec.pod) {
			assert_row(check_container_spec(&sv, s, &e) == 0, i);
			size_t n = berth__container_spec__pack(s, once);
			assert_row(check_container_spec(&sv, s, &e) == 0, i);
			assert_row(berth__container_spec__pack(s, twice) == n && !memcmp(once, twice, n), i);
		}
		berth__container_spec__free_unpacked(s, NULL);
	}
}

static void a_limit_without_its_controller_is_refused_with_the_remedy(void **state)
{
	const Berth__ContainerSpec limited = SPEC(RESOURCES(HAS(memory_bytes, 64 << 20)));
	struct supervisor poor = {.cg.controllers = CG_BIT(CG_PIDS), .cg.hybrid = true};
	Berth__ContainerSpec *s = copy(&limited);
	struct err e;

	snprintf(poor.cg.remedy[CG_MEMORY], sizeof poor.cg.remedy[0], "boot with everything on v2");
	assert_int_equal(check_container_spec(&poor, s, &e), -ENOTSUP);
	assert_string_equal(e.step, "spec.resources.memory_bytes");
	assert_non_null(strstr(e.text, "memory controller"));
	assert_non_null(strstr(e.text, "boot with everything on v2"));
	berth__container_spec__free_unpacked(s, NULL);
}

static void every_processor_of_the_host_may_be_asked_for_and_no_more(void **state)
{
	Berth__Resources r = BERTH__RESOURCES__INIT;
	struct err e;

	r.has_cpus_milli = true;
	r.cpus_milli = (uint64_t)get_nprocs() * 1000;
	assert_int_equal(check_resources(&sv, &r, &e), 0);
	r.cpus_milli++;
	assert_int_equal(check_resources(&sv, &r, &e), -EINVAL);
	assert_string_equal(e.step, "resources.cpus_milli");
}

/* ---------------------------------------------------------------- the other specs */

static void an_exec_is_checked(void **state)
{
#define EXEC(...)                                                                                                      \
	{                                                                                                              \
		BASE(exec_spec), __VA_ARGS__                                                                           \
	}
	const struct {
		Berth__ExecSpec spec;
		const char *field;
	} execs[] = {
		{EXEC(0), "exec.command"},
		{EXEC(STRINGS(1, command, "sh")), NULL},
		{EXEC(STRINGS(1, command, "")), "exec.command[0]"},
		{EXEC(STRINGS(1, command, "sh"), STRINGS(1, env, "A")), "exec.env[0]"},
		{EXEC(STRINGS(1, command, "sh"), .workdir = "x"), "exec.workdir"},
		{EXEC(STRINGS(1, command, "sh"), .user = "a b"), "exec.user"},
		{EXEC(STRINGS(1, command, "sh"), HAS(rows, 5)), "exec.rows"},
		{EXEC(STRINGS(1, command, "sh"), HAS(rows, 5), HAS(tty, 1)), NULL},
		{EXEC(STRINGS(1, command, "sh"), HAS(detach, 1), HAS(tty, 1)), "exec.detach"},
		{EXEC(STRINGS(1, command, "sh"), HAS(detach, 1), HAS(want_stdin, 1)), "exec.detach"},
		{EXEC(STRINGS(1, command, "sh"), HAS(detach, 1)), NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(execs); i++) {
		uint8_t data[1024];
		Berth__ExecSpec *s = berth__exec_spec__unpack(NULL, berth__exec_spec__pack(&execs[i].spec, data), data);
		struct err e = {0};
		int r = check_exec_spec(&sv, s, &e);

		assert_row((r == 0) == !execs[i].field, i);
		assert_row(!execs[i].field || !strcmp(e.step, execs[i].field), i);
		berth__exec_spec__free_unpacked(s, NULL);
	}
}

static void a_pod_is_checked(void **state)
{
#define POD(...)                                                                                                       \
	{                                                                                                              \
		BASE(pod_spec), __VA_ARGS__                                                                            \
	}
	const struct {
		Berth__PodSpec spec;
		const char *field;
	} pods[] = {
		{POD(0), NULL},
		{POD(.network = "x"), "spec.network"},
		{POD(.hostname = "_"), "spec.hostname"},
		{POD(SYSCTL("net.x", "1")), NULL},
		{POD(SYSCTL("net.x", "1"), .network = "host"), "spec.sysctls[0]"},
		{POD(SYSCTL("vm.x", "1")), "spec.sysctls[0]"},
		{POD(HAS(shm_size_bytes, 1)), "spec.shm_size_bytes"},
		{POD(HAS(shm_size_bytes, 0)), "spec.shm_size_bytes"},
		{POD(RESOURCES(HAS(memory_bytes, 1))), "spec.resources.memory_bytes"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pods); i++) {
		uint8_t data[1024];
		Berth__PodSpec *s = berth__pod_spec__unpack(NULL, berth__pod_spec__pack(&pods[i].spec, data), data);
		struct err e = {0};
		int r = check_pod_spec(&sv, s, &e);

		assert_row((r == 0) == !pods[i].field, i);
		assert_row(!pods[i].field || !strcmp(e.step, pods[i].field), i);
		if (r == 0)
			assert_int_equal(s->shm_size_bytes, 64 << 20);
		berth__pod_spec__free_unpacked(s, NULL);
	}
}

static void a_name_is_letters_digits_and_a_few_signs(void **state)
{
	static const char *const good[] = {"a", "web-1", "0x", "a_b.c"};
	static const char *const bad[] = {"", "-a", ".a", "a/b", "a b", "\xc3\xa4", "a\n"};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_row(check_name("name", good[i], &e) == 0, i);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_row(check_name("name", bad[i], &e) == -EINVAL && !strcmp(e.step, "name"), i);
	assert_int_equal(check_name("name", NULL, &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refusal_names_its_field_and_reason),
		cmocka_unit_test(what_is_not_said_gets_its_default),
		cmocka_unit_test(names_become_canonical),
		cmocka_unit_test(a_checked_spec_stays_as_it_is_when_it_is_checked_again),
		cmocka_unit_test(a_limit_without_its_controller_is_refused_with_the_remedy),
		cmocka_unit_test(every_processor_of_the_host_may_be_asked_for_and_no_more),
		cmocka_unit_test(an_exec_is_checked),
		cmocka_unit_test(a_pod_is_checked),
		cmocka_unit_test(a_name_is_letters_digits_and_a_few_signs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
