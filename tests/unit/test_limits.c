/* tests/unit/test_limits.c - limits of a spec become these files with these values, or are refused for this reason. */
#include "base/own.h"
#include "cgroup/limits.h"
#include "cgroup/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ull << 20)

#define RESOURCES(...)                                                                                                 \
	(Berth__Resources)                                                                                             \
	{                                                                                                              \
		PROTOBUF_C_MESSAGE_INIT(&berth__resources__descriptor), __VA_ARGS__                                    \
	}
#define MEMORY(n)     .has_memory_bytes = true, .memory_bytes = (n)
#define HIGH(n)	      .has_memory_high_bytes = true, .memory_high_bytes = (n)
#define SWAP(n)	      .has_memory_swap_bytes = true, .memory_swap_bytes = (n)
#define CPUS(n)	      .has_cpus_milli = true, .cpus_milli = (n)
#define CPU_WEIGHT(n) .has_cpu_weight = true, .cpu_weight = (n)
#define PIDS(n)	      .has_pids_limit = true, .pids_limit = (n)
#define IO_WEIGHT(n)  .has_io_weight = true, .io_weight = (n)
#define OOM_GROUP(b)  .has_oom_group = true, .oom_group = (b)

/* "file=value file=value", in order; spaces of values as they are. */
static const char *flatten(const struct cg_limits *l, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < l->n; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s=%s", i ? "; " : "", l->item[i].file, l->item[i].value);
	return buf;
}

struct row {
	const char *proves;
	Berth__Resources r;
	const char *files; /* what is written, or … */
	const char *field; /* … the field that is refused, with … */
	const char *text;  /* … these words in the reason */
	uint32_t without;  /* controllers that the host lacks */
	bool reset;
};

static void run_rows(const struct row *rows, size_t n)
{
	char buf[4096];

	for (size_t i = 0; i < n; i++) {
		const struct row *row = &rows[i];
		struct cg_limits l;
		struct err e = {0};
		int r = cg_limits_make(&row->r, CG_WANTED & ~row->without, row->reset, &l, &e);

		if (row->files) {
			if (r || strcmp(flatten(&l, buf, sizeof buf), row->files))
				fail_msg("%s: %d '%s', not '%s'", row->proves, r, r ? e.text : buf, row->files);
			continue;
		}
		if (r != (row->without ? -ENOTSUP : -EINVAL) || strcmp(e.step, row->field) ||
		    !strstr(e.text, row->text))
			fail_msg("%s: %d, %s '%s' does not say '%s'", row->proves, r, e.step, e.text, row->text);
	}
}

static void a_spec_becomes_files(void **state)
{
	const struct row rows[] = {
		{"nothing asked, nothing written", RESOURCES(), ""},
		{"memory alone allows as much swap", RESOURCES(MEMORY(64 * MIB)),
		 "memory.max=67108864; memory.swap.max=67108864"},
		{"high before max", RESOURCES(MEMORY(64 * MIB), HIGH(32 * MIB), SWAP(-1)),
		 "memory.high=33554432; memory.max=67108864; memory.swap.max=max"},
		{"swap counts memory too", RESOURCES(MEMORY(64 * MIB), SWAP(96 * MIB)),
		 "memory.max=67108864; memory.swap.max=33554432"},
		{"the same number means no swap", RESOURCES(MEMORY(64 * MIB), SWAP(64 * MIB)),
		 "memory.max=67108864; memory.swap.max=0"},
		{"unlimited swap alone", RESOURCES(SWAP(-1)), "memory.swap.max=max"},
		{"oom group", RESOURCES(OOM_GROUP(true)), "memory.oom.group=1"},
		{"half a CPU", RESOURCES(CPUS(500)), "cpu.max=50000 100000"},
		{"the smallest quota", RESOURCES(CPUS(10)), "cpu.max=1000 100000"},
		{"weights", RESOURCES(CPU_WEIGHT(1), IO_WEIGHT(10000)),
		 "cpu.weight=1; io.weight=default 10000; io.bfq.weight=1000"},
		{"the usual io weight is the usual one of BFQ", RESOURCES(IO_WEIGHT(100)),
		 "io.weight=default 100; io.bfq.weight=100"},
		{"pids", RESOURCES(PIDS(100)), "pids.max=100"},
		{"cpuset", RESOURCES(.cpuset_cpus = (char *)"0", .cpuset_mems = (char *)"0"),
		 "cpuset.cpus=0; cpuset.mems=0"},
		{"zero means no limit", RESOURCES(MEMORY(0), SWAP(0), CPUS(0), PIDS(0)),
		 "memory.max=max; memory.swap.max=max; cpu.max=max 100000; pids.max=max"},
	};

	run_rows(rows, ARRAY_SIZE(rows));
}

static void an_impossible_limit_is_refused_with_its_field_and_the_reason(void **state)
{
	const struct row rows[] = {
		{"too little memory", RESOURCES(MEMORY(4096)), .field = "resources.memory_bytes",
		 .text = "at least 512 KiB"},
		{"more memory than can be counted", RESOURCES(MEMORY(UINT64_MAX)), .field = "resources.memory_bytes",
		 .text = "more than"},
		{"high above max", RESOURCES(MEMORY(64 * MIB), HIGH(65 * MIB)), .field = "resources.memory_high_bytes",
		 .text = "never act"},
		{"swap without memory", RESOURCES(SWAP(64 * MIB)), .field = "resources.memory_swap_bytes",
		 .text = "needs a memory limit"},
		{"swap below memory", RESOURCES(MEMORY(64 * MIB), SWAP(63 * MIB)),
		 .field = "resources.memory_swap_bytes", .text = "at least the memory limit"},
		{"negative swap", RESOURCES(SWAP(-2)), .field = "resources.memory_swap_bytes",
		 .text = "-1 means unlimited"},
		{"too little cpu", RESOURCES(CPUS(9)), .field = "resources.cpus_milli", .text = "0.01 CPUs"},
		{"too much cpu", RESOURCES(CPUS(UINT64_MAX)), .field = "resources.cpus_milli", .text = "this host has"},
		{"weight 0", RESOURCES(CPU_WEIGHT(0)), .field = "resources.cpu_weight", .text = "from 1 to 10000"},
		{"weight 10001", RESOURCES(CPU_WEIGHT(10001)), .field = "resources.cpu_weight",
		 .text = "from 1 to 10000"},
		{"io weight 0", RESOURCES(IO_WEIGHT(0)), .field = "resources.io_weight", .text = "from 1 to 10000"},
		{"more pids than there can be", RESOURCES(PIDS(4194305)), .field = "resources.pids_limit",
		 .text = "more than the kernel"},
		{"a CPU this host has not", RESOURCES(.cpuset_cpus = (char *)"8000"), .field = "resources.cpuset_cpus",
		 .text = "no CPU 8000"},
	};

	run_rows(rows, ARRAY_SIZE(rows));
}

static void a_cpu_list_is_checked_before_the_kernel_sees_it(void **state)
{
	static const char *const bad[] = {",",	 "0,",	",0",	 "0,,0", "a",	     "0-",	"-1",
					  "1-0", "0 0", "0-0-0", "0x0",	 "99999999", "0-99999", "0\n"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		Berth__Resources r = RESOURCES(.cpuset_cpus = (char *)bad[i]);
		struct cg_limits l;
		struct err e = {0};

		assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), -EINVAL);
		assert_string_equal(e.step, "resources.cpuset_cpus");
		assert_non_null(strstr(e.text, "is not a list"));
	}
}

static void a_limit_without_its_controller_is_refused_and_named(void **state)
{
	const struct row rows[] = {
		{"memory", RESOURCES(MEMORY(64 * MIB)), .field = "resources.memory_bytes",
		 .text = "the memory controller", .without = CG_BIT(CG_MEMORY)},
		{"high", RESOURCES(HIGH(64 * MIB)), .field = "resources.memory_high_bytes",
		 .text = "the memory controller", .without = CG_BIT(CG_MEMORY)},
		{"oom group", RESOURCES(OOM_GROUP(true)), .field = "resources.oom_group",
		 .text = "the memory controller", .without = CG_BIT(CG_MEMORY)},
		{"cpu", RESOURCES(CPUS(1000)), .field = "resources.cpus_milli", .text = "the cpu controller",
		 .without = CG_BIT(CG_CPU)},
		{"weight", RESOURCES(CPU_WEIGHT(5)), .field = "resources.cpu_weight", .text = "the cpu controller",
		 .without = CG_BIT(CG_CPU)},
		{"pids", RESOURCES(PIDS(5)), .field = "resources.pids_limit", .text = "the pids controller",
		 .without = CG_BIT(CG_PIDS)},
		{"cpuset", RESOURCES(.cpuset_cpus = (char *)"0"), .field = "resources.cpuset_cpus",
		 .text = "the cpuset controller", .without = CG_BIT(CG_CPUSET)},
		{"io", RESOURCES(IO_WEIGHT(5)), .field = "resources.io_weight", .text = "the io controller",
		 .without = CG_BIT(CG_IO)},
		{"none is needed for no limit", RESOURCES(MEMORY(0), CPUS(0), OOM_GROUP(false)), "",
		 .without = CG_WANTED},
		{"none is needed for the defaults of an update", RESOURCES(), "", .without = CG_WANTED, .reset = true},
	};

	run_rows(rows, ARRAY_SIZE(rows));
}

static void an_update_resets_what_it_leaves_out(void **state)
{
	const struct row rows[] = {
		{"all defaults", RESOURCES(),
		 "memory.high=max; memory.max=max; memory.swap.max=max; memory.oom.group=0; cpu.max=max 100000; "
		 "cpu.weight=100; "
		 "cpuset.cpus=; cpuset.mems=; pids.max=max; io.weight=default 100; io.bfq.weight=100",
		 .reset = true},
		{"all but one", RESOURCES(PIDS(7)),
		 "memory.high=max; memory.max=max; memory.swap.max=max; memory.oom.group=0; cpu.max=max 100000; "
		 "cpu.weight=100; "
		 "cpuset.cpus=; cpuset.mems=; pids.max=7; io.weight=default 100; io.bfq.weight=100",
		 .reset = true},
	};

	run_rows(rows, ARRAY_SIZE(rows));
}

static void io_max_names_a_disk_and_the_rates(void **state)
{
	Berth__IoMax a = BERTH__IO_MAX__INIT, b = BERTH__IO_MAX__INIT;
	Berth__IoMax *list[] = {&a, &b};
	Berth__Resources r = RESOURCES(.n_io_max = 1, .io_max = list);
	struct cg_limits l;
	struct err e = {0};
	char buf[512];
	const struct {
		const char *device, *text;
	} bad[] = {{"", "missing"},
		   {"sda", "neither"},
		   {"8", "neither"},
		   {"8:", "neither"},
		   {":0", "neither"},
		   {"8:0:0", "neither"},
		   {"/dev/null", "not a block device"},
		   {"/dev/no such", "device /dev/no such"}};

	a.device = (char *)"8:0";
	a.has_rbps = a.has_wiops = true;
	a.rbps = MIB;
	a.wiops = 50;
	assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), 0);
	assert_string_equal(flatten(&l, buf, sizeof buf), "io.max=8:0 rbps=1048576 wbps=max riops=max wiops=50");

	b = a;
	r.n_io_max = 2;
	assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), -EINVAL);
	assert_non_null(strstr(e.text, "named twice"));
	b.device = (char *)"8:16";
	assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), 0);
	assert_int_equal(l.n, 2);

	r.n_io_max = 1;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		a.device = (char *)bad[i].device;
		assert_true(cg_limits_make(&r, CG_WANTED, false, &l, &e) < 0);
		assert_string_equal(e.step, "resources.io_max");
		assert_non_null(strstr(e.text, bad[i].text));
	}
	a.device = (char *)"8:0";
	a.has_rbps = a.has_wiops = false;
	assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), -EINVAL);
	assert_non_null(strstr(e.text, "no limit is given"));

	Berth__IoMax *many[33];
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = &b;
	r.n_io_max = ARRAY_SIZE(many);
	r.io_max = many;
	assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), -EINVAL);
	assert_non_null(strstr(e.text, "more than 32"));
}

/* ---------------------------------------------------------------- applying, to a folder that plays the group */

static int folder(char *path)
{
	assert_non_null(mkdtemp(path));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void put(int dir, const char *file, const char *text)
{
	int fd = openat(dir, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static const char *get(int dir, const char *file, char buf[256])
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	ssize_t n = read(fd, buf, 255);
	close(fd);
	assert_true(n >= 0);
	buf[n] = '\0';
	return buf;
}

static void applying_falls_back_and_says_what_the_kernel_lacks(void **state)
{
	char path[] = "/tmp/berth-limits.XXXXXX", buf[256];
	int dir = folder(path);
	Berth__Resources r = RESOURCES(IO_WEIGHT(200));
	struct cg_limits l;
	struct err e = {0};

	assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), 0);
	assert_int_equal(cg_limits_apply(dir, &l, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "no io.bfq.weight"));
	put(dir, "io.bfq.weight", "");
	assert_int_equal(cg_limits_apply(dir, &l, &e), 0);
	assert_string_equal(get(dir, "io.bfq.weight", buf), "109");
	unlinkat(dir, "io.bfq.weight", 0);
	put(dir, "io.weight", "");
	assert_int_equal(cg_limits_apply(dir, &l, &e), 0);
	assert_string_equal(get(dir, "io.weight", buf), "default 200");

	/* Swap accounting may be off: nobody asked for this limit by name. */
	r = RESOURCES(MEMORY(64 * MIB));
	put(dir, "memory.max", "");
	assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), 0);
	assert_int_equal(cg_limits_apply(dir, &l, &e), 0);
	assert_string_equal(get(dir, "memory.max", buf), "67108864");
	r = RESOURCES(MEMORY(64 * MIB), SWAP(64 * MIB));
	assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), 0);
	assert_int_equal(cg_limits_apply(dir, &l, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "memory.swap.max"));

	unlinkat(dir, "memory.max", 0);
	unlinkat(dir, "io.weight", 0);
	close(dir);
	assert_int_equal(rmdir(path), 0);
}

static void a_cpuset_that_the_groups_above_cannot_give_is_an_error(void **state)
{
	char path[] = "/tmp/berth-limits.XXXXXX";
	int dir = folder(path);
	Berth__Resources r = RESOURCES(.cpuset_cpus = (char *)"0");
	struct cg_limits l;
	struct err e = {0};

	put(dir, "cpuset.cpus", "");
	put(dir, "cpuset.cpus.effective", "1-3\n");
	assert_int_equal(cg_limits_make(&r, CG_WANTED, false, &l, &e), 0);
	assert_int_equal(cg_limits_apply(dir, &l, &e), -ENODEV);
	assert_non_null(strstr(e.text, "only 1-3 can be had"));
	put(dir, "cpuset.cpus.effective", "0-3\n");
	assert_int_equal(cg_limits_apply(dir, &l, &e), 0);

	unlinkat(dir, "cpuset.cpus", 0);
	unlinkat(dir, "cpuset.cpus.effective", 0);
	close(dir);
	assert_int_equal(rmdir(path), 0);
}

static void an_update_lifts_limits_of_disks_that_it_does_not_name(void **state)
{
	char path[] = "/tmp/berth-limits.XXXXXX", buf[256];
	int dir = folder(path);
	Berth__Resources r = RESOURCES();
	struct cg_limits l;
	struct err e = {0};

	put(dir, "io.max", "8:0 rbps=1048576 wbps=max riops=max wiops=50\n");
	assert_int_equal(cg_limits_make(&r, CG_BIT(CG_IO), true, &l, &e), 0);
	assert_int_equal(cg_limits_apply(dir, &l, &e), 0);
	assert_non_null(strstr(get(dir, "io.max", buf), "8:0 rbps=max wbps=max riops=max wiops=max"));

	unlinkat(dir, "io.max", 0);
	close(dir);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spec_becomes_files),
		cmocka_unit_test(an_impossible_limit_is_refused_with_its_field_and_the_reason),
		cmocka_unit_test(a_cpu_list_is_checked_before_the_kernel_sees_it),
		cmocka_unit_test(a_limit_without_its_controller_is_refused_and_named),
		cmocka_unit_test(an_update_resets_what_it_leaves_out),
		cmocka_unit_test(io_max_names_a_disk_and_the_rates),
		cmocka_unit_test(applying_falls_back_and_says_what_the_kernel_lacks),
		cmocka_unit_test(a_cpuset_that_the_groups_above_cannot_give_is_an_error),
		cmocka_unit_test(an_update_lifts_limits_of_disks_that_it_does_not_name),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
