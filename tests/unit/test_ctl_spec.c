/* tests/unit/test_ctl_spec.c - command lines as Docker's users write them -> the request, shown as JSON; or the words of refusal. */
#include "unit.h"

#include "ctl/spec_flags.h"
#include "proto/json.h"

#define ARGS(...)                                                                                                      \
	{                                                                                                              \
		__VA_ARGS__, NULL                                                                                      \
	}

static const struct flag_table tables[] = {
	{spec_flags, 0},	 {spec_joins_flags, 0},	  {spec_resource_flags, 0},
	{spec_restart_flags, 0}, {spec_refused_flags, 0}, {0},
};

struct row {
	const char *argv[8];
	const char *json;  /* of the ContainerSpec without its empty lists; or */
	const char *error; /* a part of the text */
};

/* JSON without `"x":[]` and `"x":{}`, which every list that was not set prints as. */
static void strip_empty(char *json)
{
	char *p;

	for (;;) {
		char *start, *end;

		p = strstr(json, "[]");
		if (!p)
			p = strstr(json, "\":{}");
		if (!p)
			return;
		end = p + (p[0] == '[' ? 2 : 4);
		start = p[0] == '[' ? p - 2 : p; /* at the closing quote of the name */
		while (*--start != '"')
			;
		if (*end == ',')
			end++;
		else if (start[-1] == ',')
			start--;
		memmove(start, end, strlen(end) + 1);
	}
}

static int parse(struct spec_opts *o, const char *const *argv, struct strings *operands, struct err *e)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return args_parse(tables, true, o, argc, (char **)(uintptr_t)argv, operands, e);
}

static char *spec_json(const struct spec_opts *o)
{
	struct buf b;

	buf_init(&b, 0);
	json_message(&b, o->message, false);
	assert_false(b.failed);
	strip_empty(b.data);
	return b.data;
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct strings operands = {0};
		struct spec_opts o;
		struct err e = {0};
		int r;

		spec_opts_init(&o, &berth__container_spec__descriptor);
		r = parse(&o, rows[i].argv, &operands, &e);
		if (rows[i].error) {
			if (r == 0 || !strstr(e.text, rows[i].error))
				fail_msg("row %zu (%s %s): %d \"%s\", wanted \"%s\"", i, rows[i].argv[0],
					 rows[i].argv[1], r, e.text, rows[i].error);
		} else {
			AUTO_FREE char *json = spec_json(&o);

			if (r || strcmp(json, rows[i].json) != 0)
				fail_msg("row %zu (%s %s): %d \"%s\"\n%s\nwanted\n%s", i, rows[i].argv[0],
					 rows[i].argv[1], r, e.text, json, rows[i].json);
		}
		strings_fini(&operands);
		spec_opts_fini(&o);
	}
}

static void flags_become_the_fields_they_are_named_after(void **state)
{
	static const struct row rows[] = {
		{ARGS("-it"), "{\"stdin_open\":true,\"tty\":true}"},
		{ARGS("-i=false", "--tty=true"), "{\"stdin_open\":false,\"tty\":true}"},
		{ARGS("-e", "A=1", "--env=B=x=y", "-eC="), "{\"env\":[\"A=1\",\"B=x=y\",\"C=\"]}"},
		{ARGS("-w/tmp", "-u", "alice:staff", "-h", "box"),
		 "{\"workdir\":\"/tmp\",\"user\":\"alice:staff\",\"hostname\":\"box\"}"},
		{ARGS("-l", "a.b=c", "--label", "empty"), "{\"labels\":{\"a.b\":\"c\",\"empty\":\"\"}}"},
		{ARGS("--entrypoint", "/bin/x"), "{\"entrypoint\":[\"/bin/x\"],\"entrypoint_set\":true}"},
		{ARGS("--entrypoint", ""), "{\"entrypoint_set\":true}"},
		{ARGS("--rm", "--init", "--read-only"), "{\"init\":true,\"read_only\":true,\"auto_remove\":true}"},
		{ARGS("--cap-add", "NET_ADMIN", "--cap-drop=ALL"),
		 "{\"security\":{\"cap_add\":[\"NET_ADMIN\"],\"cap_drop\":[\"ALL\"]}}"},
		{ARGS("--stop-signal", "INT", "--stop-timeout=3"), "{\"stop_signal\":\"INT\",\"stop_timeout_s\":3}"},
		{ARGS("--shm-size=64m", "--oom-score-adj", "-500"),
		 "{\"shm_size_bytes\":67108864,\"oom_score_adj\":-500}"},
		{ARGS("--pid", "host", "--ipc=private", "--net", "host"),
		 "{\"network\":\"host\",\"pid_mode\":\"host\"}"},
		{ARGS("--log-opt", "max-size=1m,max-file=3"), "{\"log\":{\"max_size_bytes\":1048576,\"max_files\":3}}"},
		{ARGS("--log-opt", "max-size=1m", "--log-opt", "max-file=3"),
		 "{\"log\":{\"max_size_bytes\":1048576,\"max_files\":3}}"},
		{ARGS("--userns", "auto"), "{\"security\":{\"userns\":true}}"},
		{ARGS("--pull=never"), "{}"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void limits_are_read_as_docker_reads_them(void **state)
{
	static const struct row rows[] = {
		{ARGS("-m", "512m"), "{\"resources\":{\"memory_bytes\":536870912}}"},
		{ARGS("-m1g", "--memory-swap", "-1"),
		 "{\"resources\":{\"memory_bytes\":1073741824,\"memory_swap_bytes\":-1}}"},
		{ARGS("--memory-swap=2g", "--memory-high", "100m"),
		 "{\"resources\":{\"memory_high_bytes\":104857600,\"memory_swap_bytes\":2147483648}}"},
		{ARGS("--cpus", "1.5"), "{\"resources\":{\"cpus_milli\":1500}}"},
		{ARGS("--cpus", ".25"), "{\"resources\":{\"cpus_milli\":250}}"},
		{ARGS("--cpus=2"), "{\"resources\":{\"cpus_milli\":2000}}"},
		{ARGS("--cpus=0.001"), "{\"resources\":{\"cpus_milli\":1}}"},
		{ARGS("--cpus=0.0005"), .error = "--cpus: \"0.0005\": thousandths"},
		{ARGS("--cpus=1,5"), .error = "is not a number of processors"},
		{ARGS("--cpus=-1"), .error = "is not a number of processors"},
		{ARGS("--cpus=."), .error = "is not a number of processors"},
		{ARGS("--cpus=1.5x"), .error = "is not a number of processors"},
		{ARGS("--pids-limit", "-1"), "{\"resources\":{\"pids_limit\":0}}"},
		{ARGS("--pids-limit", "100"), "{\"resources\":{\"pids_limit\":100}}"},
		{ARGS("--cpu-weight", "4294967296"), .error = "--cpu-weight: \"4294967296\" is too large"},
		{ARGS("-m", "-5"), .error = "-m: \"-5\" is too small"},
		{ARGS("-m", "lots"), .error = "-m: \"lots\" is not a size"},
		{ARGS("--cpuset-cpus", "0-1", "--oom-group"),
		 "{\"resources\":{\"cpuset_cpus\":\"0-1\",\"oom_group\":true}}"},
		{ARGS("--io-max", "/dev/sda:rbps=1m,wiops=100"),
		 "{\"resources\":{\"io_max\":[{\"device\":\"/dev/sda\",\"rbps\":1048576,\"wiops\":100}]}}"},
		{ARGS("--io-max", "8:0:wbps=1k"), "{\"resources\":{\"io_max\":[{\"device\":\"8:0\",\"wbps\":1024}]}}"},
		{ARGS("--io-max", "/dev/sda"), .error = "is not DEVICE:rbps=N"},
		{ARGS("--io-max", "/dev/sda:rate=1"), .error = "unknown limit \"rate\""},
		{ARGS("--io-max", "/dev/sda:rbps=x"), .error = "rbps: \"x\" is not a size"},
		{ARGS("--ulimit", "nofile=10:20", "--ulimit", "core=-1"),
		 "{\"ulimits\":[{\"name\":\"nofile\",\"soft\":10,\"hard\":20},{\"name\":\"core\",\"soft\":"
		 "18446744073709551615,\"hard\":18446744073709551615}]}"},
		{ARGS("--ulimit", "nofile=9:3"), .error = "above the hard one"},
		{ARGS("--ulimit", "nofile"), .error = "is not NAME=SOFT[:HARD]"},
		{ARGS("--ulimit", "nofile=x"), .error = "limits are numbers"},
		{ARGS("--restart", "on-failure:5"), "{\"restart\":{\"kind\":\"on_failure\",\"max_retries\":5}}"},
		{ARGS("--restart", "unless-stopped"), "{\"restart\":{\"kind\":\"unless_stopped\"}}"},
		{ARGS("--restart", "no:3"), .error = "only for on-failure:N"},
		{ARGS("--restart", "on-failure:x"), .error = "only for on-failure:N"},
		{ARGS("--restart", "sometimes"), .error = "\"sometimes\" is not no, on-failure"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void mounts_are_read_as_docker_reads_them(void **state)
{
	static const struct row rows[] = {
		{ARGS("-v", "/a:/b"), "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/b\"}]}"},
		{ARGS("-v", "/a//x/.:/b/:ro,rslave"),
		 "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/a/x\",\"target\":\"/"
		 "b\",\"read_only\":true,\"propagation\":\"rslave\"}]}"},
		{ARGS("-v", "data:/b:rw"),
		 "{\"mounts\":[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/b\",\"read_only\":false}]}"},
		{ARGS("-v", "/:/host:ro"),
		 "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/\",\"target\":\"/host\",\"read_only\":true}]}"},
		{ARGS("-v", "/a/..:/b"), "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/a/..\",\"target\":\"/b\"}]}"},
		{ARGS("-v", "./a:/b"), .error = "-v: \"./a\" is neither an absolute path nor the name of a volume"},
		{ARGS("-v", "a/b:/c"), .error = "neither an absolute path nor the name of a volume"},
		{ARGS("-v", "/a:b"), .error = "must be absolute, not \"b\""},
		{ARGS("-v", "/a"), "{\"mounts\":[{\"type\":\"volume\",\"target\":\"/a\"}]}"},
		{ARGS("-v", "a"), .error = "must be absolute"},
		{ARGS("--mount", "dst=/a"), "{\"mounts\":[{\"type\":\"volume\",\"target\":\"/a\"}]}"},
		{ARGS("-v", ":/b"), .error = "is not SOURCE:TARGET"},
		{ARGS("-v", "/a:"), .error = "is not SOURCE:TARGET"},
		{ARGS("-v", "/a:/b:wat"), .error = "unknown option \"wat\""},
		{ARGS("-v", "/a:/b:Z"), .error = "SELinux"},
		{ARGS("-v", "data:/b:rslave"), .error = "not for volumes"},
		{ARGS("-v", "data:/b:nocopy,ro"), "{\"mounts\":[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/"
						  "b\",\"read_only\":true,\"no_copy\":true}]}"},
		{ARGS("-v", "/a:/b:nocopy"), .error = "nocopy is for volumes"},
		{ARGS("--mount", "src=data,dst=/b,volume-nocopy=true"),
		 "{\"mounts\":[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/b\",\"no_copy\":true}]}"},
		{ARGS("--mount", "type=bind,src=/a,dst=/b,volume-nocopy"), .error = "is for type=volume"},
		{ARGS("--mount", "type=bind,src=/a,dst=/b,ro"),
		 "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/b\",\"read_only\":true}]}"},
		{ARGS("--mount", "source=data,destination=/b,readonly=false"),
		 "{\"mounts\":[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/b\",\"read_only\":false}]}"},
		{ARGS("--mount", "dst=/b,src=/a,type=bind,bind-propagation=rshared,bind-recursive=disabled"),
		 "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/"
		 "b\",\"propagation\":\"rshared\",\"non_recursive\":true}]}"},
		{ARGS("--mount", "type=bind,src=/a,dst=/b,bind-recursive=writable,ro"),
		 "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/"
		 "b\",\"read_only\":true,\"non_recursive\":false,\"writable_below\":true}]}"},
		{ARGS("--mount", "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly"),
		 "{\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/"
		 "b\",\"read_only\":true,\"non_recursive\":false}]}"},
		{ARGS("--mount", "type=bind,src=/a,dst=/b,bind-recursive=writable"),
		 .error = "are for what is mounted ro"},
		{ARGS("--mount", "type=bind,src=/a,dst=/b,bind-recursive=readonly"),
		 .error = "are for what is mounted ro"},
		{ARGS("--mount", "type=bind,src=/a,dst=/b,bind-recursive=both"),
		 .error = "there are enabled, disabled, writable and readonly"},
		{ARGS("--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700"),
		 "{\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/t\",\"size_bytes\":1048576,\"mode\":448}]}"},
		{ARGS("--mount", "type=bind,src=a,dst=/b"), .error = "src must be an absolute path"},
		{ARGS("--mount", "type=volume,src=/a,dst=/b"), .error = "src must be the name of a volume"},
		{ARGS("--mount", "type=tmpfs,src=/a,dst=/b"), .error = "a tmpfs has no source"},
		{ARGS("--mount", "type=bind,src=/a"), .error = "has no dst="},
		{ARGS("--mount", "type=bind,dst=/a"), .error = "has no src="},
		{ARGS("--mount", "type=npipe,dst=/a"), .error = "there are bind, volume and tmpfs"},
		{ARGS("--mount", "type=bind,src=/a,dst=/b,tmpfs-size=1m"), .error = "for type=tmpfs"},
		{ARGS("--mount", "type=bind,src=/a,dst=/b,consistency=x"), .error = "unknown option \"consistency\""},
		{ARGS("--tmpfs", "/t"), "{\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/t\"}]}"},
		{ARGS("--tmpfs", "/t:size=64m,mode=1770,exec,nosuid"),
		 "{\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/"
		 "t\",\"size_bytes\":67108864,\"mode\":1016,\"exec\":true}]}"},
		{ARGS("--tmpfs", "t"), .error = "must be absolute"},
		{ARGS("--tmpfs", "/t:mode=9"), .error = "is not an octal mode"},
		{ARGS("--tmpfs", "/t:uid=3"), .error = "unknown option \"uid=3\""},
		{ARGS("--device", "/dev/fuse"), "{\"devices\":[{\"source\":\"/dev/fuse\",\"target\":\"/dev/fuse\"}]}"},
		{ARGS("--device", "/dev/fuse:r"),
		 "{\"devices\":[{\"source\":\"/dev/fuse\",\"target\":\"/dev/fuse\",\"access\":\"r\"}]}"},
		{ARGS("--device", "/dev/a:/dev/b:rw"),
		 "{\"devices\":[{\"source\":\"/dev/a\",\"target\":\"/dev/b\",\"access\":\"rw\"}]}"},
		{ARGS("--device", "fuse"), .error = "is not /dev/SOURCE"},
		{ARGS("--device", "/dev/a:/dev/b:rx"), .error = "is not /dev/SOURCE"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void networks_and_published_ports(void **state)
{
	static const struct row rows[] = {
		{ARGS("--network", "none"), "{\"network\":\"none\"}"},
		{ARGS("--network=a", "--net", "b:ip=10.0.0.2,ip6=fd00::2"),
		 "{\"networks\":[{\"network\":\"a\"},{\"network\":\"b\",\"addresses\":[\"10.0.0.2\",\"fd00::2\"]}]}"},
		{ARGS("--network", "a:colour=1"), .error = "is not NETWORK[:KEY=VALUE"},
		{ARGS("--network", "a", "--ip", "10.0.0.2", "--ip6=fd00::2"),
		 "{\"networks\":[{\"network\":\"a\",\"addresses\":[\"10.0.0.2\",\"fd00::2\"]}]}"},
		{ARGS("--network-alias", "www", "--mac-address=02:00:00:00:00:01", "--network", "a:alias=web"),
		 "{\"networks\":[{\"network\":\"a\",\"mac\":\"02:00:00:00:00:01\",\"aliases\":[\"www\",\"web\"]}]}"},
		{ARGS("--network=a", "--network=b", "--ip=10.0.0.2"),
		 "{\"networks\":[{\"network\":\"a\"},{\"network\":\"b\",\"addresses\":[\"10.0.0.2\"]}]}"},
		{ARGS("--ip", "10.0.0.2"), "{\"networks\":[{\"addresses\":[\"10.0.0.2\"]}]}"},
		{ARGS("--ip", "fd00::2"), .error = "--ip: \"fd00::2\" is not an IPv4 address"},
		{ARGS("--ip6", "10.0.0.2"), .error = "--ip6: \"10.0.0.2\" is not an IPv6 address"},
		{ARGS("--add-host", "db:192.0.2.7", "--add-host=six=[fd00::7]", "--add-host=h:host-gateway"),
		 "{\"names\":{\"hosts\":[{\"name\":\"db\",\"address\":\"192.0.2.7\"},"
		 "{\"name\":\"six\",\"address\":\"fd00::7\"},{\"name\":\"h\",\"address\":\"host-gateway\"}]}}"},
		{ARGS("--add-host", "db:fd00::7"),
		 "{\"names\":{\"hosts\":[{\"name\":\"db\",\"address\":\"fd00::7\"}]}}"},
		{ARGS("--add-host", "db"), .error = "is not NAME:ADDRESS"},
		{ARGS("--add-host", ":10.0.0.1"), .error = "is not NAME:ADDRESS"},
		{ARGS("--dns", "192.0.2.1", "--dns-search=a.example", "--dns-opt", "ndots:2"),
		 "{\"names\":{\"dns\":[\"192.0.2.1\"],\"dns_search\":[\"a.example\"],\"dns_options\":[\"ndots:2\"]}}"},
		{ARGS("--network", "a:sg=web,sg=db,spoof=yes"),
		 "{\"networks\":[{\"network\":\"a\",\"security_groups\":[\"web\",\"db\"],\"allow_spoofing\":true}]}"},
		{ARGS("--network", "a:spoof=maybe"), .error = "neither yes nor no"},
		{ARGS("--network", "a:link=lan0,mac=02:00:00:00:00:01,ip6=fd00::2"),
		 "{\"networks\":[{\"network\":\"a\",\"addresses\":[\"fd00::2\"],\"link\":\"lan0\",\"mac\":\"02:00:00:00:00:01\"}]}"},
		{ARGS("-p", "80:8080"), "{\"ports\":[{\"host_port\":80,\"container_port\":8080}]}"},
		{ARGS("-P", "--expose", "53/udp"), "{\"expose\":[\"53/udp\"],\"publish_all\":true}"},
		{ARGS("-p53/udp"), "{\"ports\":[{\"container_port\":53,\"protocol\":\"udp\"}]}"},
		{ARGS("--publish=10.0.0.1:7:8"),
		 "{\"ports\":[{\"host_ip\":\"10.0.0.1\",\"host_port\":7,\"container_port\":8}]}"},
		{ARGS("-p", "10.0.0.1::8"), "{\"ports\":[{\"host_ip\":\"10.0.0.1\",\"container_port\":8}]}"},
		{ARGS("-p", "[fd00::1]:7:8"),
		 "{\"ports\":[{\"host_ip\":\"fd00::1\",\"host_port\":7,\"container_port\":8}]}"},
		{ARGS("-p", "7-8:17-18"),
		 "{\"ports\":[{\"host_port\":7,\"container_port\":17},{\"host_port\":8,\"container_port\":18}]}"},
		{ARGS("-p", ""), .error = "is not [[IP:]"},
		{ARGS("-p", "0:80"), "{\"ports\":[{\"container_port\":80}]}"},
		{ARGS("-p", "80:"), .error = "is not [[IP:]"},
		{ARGS("-p", "65536:80"), .error = "\"65536:80\": ports are 1 to 65535"},
		{ARGS("-p", "80:0"), .error = "ports are 1 to 65535"},
		{ARGS("-p", "0-7:80-87"), .error = "ports are 1 to 65535"},
		{ARGS("-p", "1-3:1-2"), .error = "as many ports of the host as of the container"},
		{ARGS("-p", "8000-8010:80"), .error = "as many ports of the host as of the container"},
		{ARGS("-p", "9-8:9-8"), .error = "a range goes up"},
		{ARGS("--network", "name=a,alias=www,ip=10.0.0.2,mac-address=02:00:00:00:00:01"),
		 "{\"networks\":[{\"network\":\"a\",\"addresses\":[\"10.0.0.2\"],\"mac\":\"02:00:00:00:00:01\",\"aliases\":[\"www\"]}]}"},
		{ARGS("--network", "a,ip=10.0.0.2"), .error = "is not NETWORK[:KEY=VALUE"},
		{ARGS("--network", "container:web"), .error = "containers that share their interfaces are a pod"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void security_options_and_what_is_not_there_are_refused_with_a_reason(void **state)
{
	static const struct row rows[] = {
		{ARGS("--security-opt", "no-new-privileges"), "{\"security\":{\"no_new_privs\":true}}"},
		{ARGS("--security-opt=no-new-privileges:true"), "{\"security\":{\"no_new_privs\":true}}"},
		{ARGS("--security-opt", "no-new-privileges=false"), "{\"security\":{\"no_new_privs\":false}}"},
		{ARGS("--security-opt", "seccomp=unconfined"), "{\"security\":{\"seccomp\":\"unconfined\"}}"},
		{ARGS("--security-opt", "seccomp=unconfined", "--security-opt", "seccomp=default"), "{}"},
		{ARGS("--security-opt", "apparmor=mine"), "{\"security\":{\"apparmor\":\"mine\"}}"},
		{ARGS("--security-opt", "seccomp=/no/such/file"), .error = "/no/such/file: No such file"},
		{ARGS("--security-opt", "seccomp="), .error = "there are seccomp="},
		{ARGS("--security-opt", "label=disable"), .error = "there are seccomp="},
		{ARGS("--domainname", "example.org"), .error = "--hostname NAME.DOMAIN"},
		{ARGS("--cpu-shares", "512"), .error = "use --cpu-weight"},
		{ARGS("--pull", "always"), .error = "berth image import"},
		{ARGS("--userns", "keep-id"), .error = "\"keep-id\" is not auto"},
		{ARGS("--env", "=x"), .error = "no name before"},
		{ARGS("--label", "=x"), .error = "has no key"},
		{ARGS("--sysctl", "kernel.msgmax"), .error = "is not NAME=VALUE"},
		{ARGS("--env-file", "/no/such/file"), .error = "--env-file: /no/such/file: No such file"},
		{ARGS("--rm=perhaps"), .error = "--rm takes true or false"},
		{ARGS("--mem", "3m"), .error = "unknown flag: --mem"},
		{ARGS("--memory"), .error = "--memory needs a value: SIZE"},
		{ARGS("-itX"), .error = "unknown flag: -X"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void files_give_lines_of_variables_and_their_faults_have_a_line_number(void **state)
{
	char path[] = "/tmp/test-ctl-spec-XXXXXX";
	AUTO_FD fd = mkstemp(path);
	static const char good[] = "# comment\n\n  A=1\r\nB=two words\nTEST_CTL_UNSET\nTEST_CTL_SET\n",
			  bad[] = "A=1\n=x\n";
	struct row row = {ARGS("--env-file", path), "{\"env\":[\"A=1\",\"B=two words\",\"TEST_CTL_SET=here\"]}"};

	(void)state;
	setenv("TEST_CTL_SET", "here", 1);
	assert_int_equal(write(fd, good, sizeof good - 1), sizeof good - 1);
	check_rows(&row, 1);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, bad, sizeof bad - 1, 0), sizeof bad - 1);
	row.json = NULL;
	row.error = ":2: \"=x\" has no name";
	check_rows(&row, 1);
	unlink(path);
}

static void flags_end_where_the_containers_command_begins(void **state)
{
	static const char *const argv[] = {"-t", "image", "ls", "-l", "--", "--rm", NULL};
	struct strings operands = {0};
	struct spec_opts o;
	struct err e;

	(void)state;
	spec_opts_init(&o, &berth__container_spec__descriptor);
	assert_int_equal(parse(&o, argv, &operands, &e), 0);
	assert_int_equal(operands.n, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(operands.v[i], argv[i + 1]);
	strings_fini(&operands);
	spec_opts_fini(&o);
}

static void a_refused_field_is_told_as_the_flag_that_set_it(void **state)
{
	static const struct {
		const char *field, *words;
	} rows[] = {
		{"spec.mounts[0].target", "-v /a:/b"},
		{"spec.mounts[1]", "--tmpfs /t"},
		{"spec.mounts[1].size_bytes", "--tmpfs /t"},
		{"spec.resources.memory_bytes", "-m 3m"},
		{"spec.security.cap_add[1]", "--cap-add FLY"},
		{"spec.labels[0].key", "-l x"},
		{"spec.resources.cpu_weight", "--cpu-weight"},
		{"spec.init", "--init"},
		{"spec.image", NULL},
		{"name", NULL},
	};
	static const char *const argv[] = {"-v/a:/b",	    "--tmpfs=/t", "-m3m",   "--cap-add=CHOWN",
					   "--cap-add=FLY", "-lx",	  "--init", NULL};
	struct strings operands = {0};
	struct spec_opts o;
	struct err e;

	(void)state;
	spec_opts_init(&o, &berth__container_spec__descriptor);
	assert_int_equal(parse(&o, argv, &operands, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_FREE char *words = spec_flag_of_field(&o, tables, rows[i].field);

		assert_row(rows[i].words ? words && !strcmp(words, rows[i].words) : !words, i);
	}
	strings_fini(&operands);
	spec_opts_fini(&o);
}

static void auto_remove_and_restart_exclude_each_other(void **state)
{
	static const char *const bad[] = {"--rm", "--restart", "always", NULL}, *const good[] = {"--rm", "--restart",
												 "no", NULL};
	struct strings operands = {0};
	struct spec_opts o;
	struct err e;

	(void)state;
	spec_opts_init(&o, &berth__container_spec__descriptor);
	assert_int_equal(parse(&o, bad, &operands, &e), 0);
	assert_true(spec_opts_check(&o, &e) < 0);
	assert_non_null(strstr(e.text, "--rm"));
	spec_opts_fini(&o);
	spec_opts_init(&o, &berth__container_spec__descriptor);
	assert_int_equal(parse(&o, good, &operands, &e), 0);
	assert_int_equal(spec_opts_check(&o, &e), 0);
	spec_opts_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_become_the_fields_they_are_named_after),
		cmocka_unit_test(limits_are_read_as_docker_reads_them),
		cmocka_unit_test(mounts_are_read_as_docker_reads_them),
		cmocka_unit_test(networks_and_published_ports),
		cmocka_unit_test(security_options_and_what_is_not_there_are_refused_with_a_reason),
		cmocka_unit_test(files_give_lines_of_variables_and_their_faults_have_a_line_number),
		cmocka_unit_test(flags_end_where_the_containers_command_begins),
		cmocka_unit_test(a_refused_field_is_told_as_the_flag_that_set_it),
		cmocka_unit_test(auto_remove_and_restart_exclude_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
