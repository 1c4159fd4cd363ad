/* cgroup/limits.c - see cgroup/limits.h
 *
 * One function for each controller: it checks, then adds. What the host has to say (which CPUs are online, what
 * a device path is) is read here too, so that a limit that cannot be honoured is refused before anything is
 * changed. */
#include "cgroup/limits.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "cgroup/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MEMORY_MIN_BYTES (512 << 10) /* less does not even carry an exec */
#define CPU_PERIOD_USEC	 100000
#define CPU_MILLI_MIN	 10	 /* the kernel's smallest quota is 1 ms */
#define PIDS_MAX	 4194304 /* PID_MAX_LIMIT */
#define IO_DEVICES_MAX	 32
#define DEVICE_SIZE	 32   /* "MAJ:MIN" */
#define CPUS_MAX	 8192 /* NR_CPUS_RANGE_END on x86 */

struct limits_make {
	const Berth__Resources *r;
	uint32_t have;
	bool reset;
	struct cg_limits *l;
	struct err *e;
};

static int refuse(const struct limits_make *m, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(const struct limits_make *m, const char *field, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err_set(m->e, EINVAL, field, "%s", text);
	if (m->e)
		m->e->code = EINVAL;
	return -EINVAL;
}

static int need(const struct limits_make *m, enum cg_controller c, const char *field)
{
	if (m->have & CG_BIT(c))
		return 0;
	return err_set(m->e, ENOTSUP, field, "the %s controller is not available in this host's cgroup v2",
		       cg_controller_name(c));
}

static void add(const struct limits_make *m, enum cg_need need, const char *file, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void add(const struct limits_make *m, enum cg_need need, const char *file, const char *fmt, ...)
{
	struct cg_limit *item = &m->l->item[m->l->n++]; /* room: IO_DEVICES_MAX + the fixed ones < CG_LIMITS_MAX */
	va_list ap;

	item->file = file;
	item->need = need;
	va_start(ap, fmt);
	vsnprintf(item->value, sizeof item->value, fmt, ap);
	va_end(ap);
}

/* What an absent or zero field of an available controller becomes: its default, when it was given as zero or on
 * update. */
static void add_default(const struct limits_make *m, enum cg_controller c, bool given, const char *file,
			const char *value)
{
	if ((m->have & CG_BIT(c)) && (given || m->reset))
		add(m, CG_MAY, file, "%s", value);
}

/* ---------------------------------------------------------------- memory */

static int make_memory_size(const struct limits_make *m, const char *field, bool given, uint64_t bytes,
			    const char *file)
{
	int r;

	if (!bytes) {
		add_default(m, CG_MEMORY, given, file, "max");
		return 0;
	}
	if (bytes < MEMORY_MIN_BYTES)
		return refuse(m, field, "%" PRIu64 " bytes is too little to start a program: at least 512 KiB", bytes);
	if (bytes > INT64_MAX)
		return refuse(m, field, "%" PRIu64 " bytes is more than the kernel can count", bytes);
	r = need(m, CG_MEMORY, field);
	if (!r)
		add(m, CG_MUST, file, "%" PRIu64, bytes);
	return r;
}

/* Docker's meaning: memory and swap together; absent (or 0) with a memory limit allows as much swap as memory. */
static int make_swap(const struct limits_make *m)
{
	static const char field[] = "resources.memory_swap_bytes";
	uint64_t memory = m->r->has_memory_bytes ? m->r->memory_bytes : 0;
	int64_t total = m->r->has_memory_swap_bytes ? m->r->memory_swap_bytes : 0;
	int r;

	if (total < -1)
		return refuse(m, field, "%" PRId64 " is no size; -1 means unlimited swap", total);
	if (total <= 0) {
		if (!total && memory && (m->have & CG_BIT(CG_MEMORY)))
			add(m, CG_MAY, "memory.swap.max", "%" PRIu64, memory);
		else
			add_default(m, CG_MEMORY, m->r->has_memory_swap_bytes, "memory.swap.max", "max");
		return 0;
	}
	if (!memory)
		return refuse(m, field, "counts memory and swap together: it needs a memory limit too");
	if ((uint64_t)total < memory)
		return refuse(m, field,
			      "%" PRId64
			      " bytes counts memory and swap together: it must be at least the memory limit, %" PRIu64,
			      total, memory);
	r = need(m, CG_MEMORY, field);
	if (!r)
		add(m, CG_MUST, "memory.swap.max", "%" PRIu64, (uint64_t)total - memory);
	return r;
}

static int make_memory(const struct limits_make *m)
{
	const Berth__Resources *s = m->r;
	int r;

	if (s->memory_bytes && s->memory_high_bytes && s->memory_high_bytes > s->memory_bytes)
		return refuse(m, "resources.memory_high_bytes",
			      "%" PRIu64 " bytes is above the memory limit, %" PRIu64 ": it would never act",
			      s->memory_high_bytes, s->memory_bytes);
	r = make_memory_size(m, "resources.memory_high_bytes", s->has_memory_high_bytes, s->memory_high_bytes,
			     "memory.high");
	if (!r)
		r = make_memory_size(m, "resources.memory_bytes", s->has_memory_bytes, s->memory_bytes, "memory.max");
	if (!r)
		r = make_swap(m);
	if (r)
		return r;
	if (!s->oom_group) {
		add_default(m, CG_MEMORY, s->has_oom_group, "memory.oom.group", "0");
		return 0;
	}
	r = need(m, CG_MEMORY, "resources.oom_group");
	if (!r)
		add(m, CG_MUST, "memory.oom.group", "1");
	return r;
}

/* ---------------------------------------------------------------- cpu, pids */

static int make_cpu(const struct limits_make *m)
{
	const Berth__Resources *s = m->r;
	int r;

	if (!s->cpus_milli) {
		add_default(m, CG_CPU, s->has_cpus_milli, "cpu.max", "max 100000");
	} else {
		if (s->cpus_milli < CPU_MILLI_MIN)
			return refuse(m, "resources.cpus_milli",
				      "%" PRIu64 " thousandths of a CPU is too little: at least 10 (0.01 CPUs)",
				      s->cpus_milli);
		long cpus = sysconf(_SC_NPROCESSORS_CONF);
		if (cpus > 0 && s->cpus_milli > (uint64_t)cpus * 1000)
			return refuse(m, "resources.cpus_milli",
				      "this host has %ld CPUs: at most %ld thousandths of a CPU", cpus, cpus * 1000);
		r = need(m, CG_CPU, "resources.cpus_milli");
		if (r)
			return r;
		add(m, CG_MUST, "cpu.max", "%" PRIu64 " %d", s->cpus_milli * CPU_PERIOD_USEC / 1000, CPU_PERIOD_USEC);
	}
	if (!s->has_cpu_weight) {
		add_default(m, CG_CPU, false, "cpu.weight", "100");
		return 0;
	}
	if (!s->cpu_weight || s->cpu_weight > 10000)
		return refuse(m, "resources.cpu_weight", "%" PRIu32 " is not from 1 to 10000 (100 is usual)",
			      s->cpu_weight);
	r = need(m, CG_CPU, "resources.cpu_weight");
	if (!r)
		add(m, CG_MUST, "cpu.weight", "%" PRIu32, s->cpu_weight);
	return r;
}

static int make_pids(const struct limits_make *m)
{
	const Berth__Resources *s = m->r;
	int r;

	if (!s->pids_limit) {
		add_default(m, CG_PIDS, s->has_pids_limit, "pids.max", "max");
		return 0;
	}
	if (s->pids_limit > PIDS_MAX)
		return refuse(m, "resources.pids_limit", "%" PRIu64 " is more than the kernel's %d", s->pids_limit,
			      PIDS_MAX);
	r = need(m, CG_PIDS, "resources.pids_limit");
	if (!r)
		add(m, CG_MUST, "pids.max", "%" PRIu64, s->pids_limit);
	return r;
}

/* ---------------------------------------------------------------- cpuset */

struct id_set {
	uint64_t word[CPUS_MAX / 64];
};

static bool id_set_has(const struct id_set *s, unsigned i)
{
	return s->word[i / 64] >> (i % 64) & 1;
}

/* "0-3,8": false if it is not such a list, or is empty. */
static bool id_set_parse(const char *text, struct id_set *s)
{
	const char *word;
	size_t len;

	memset(s, 0, sizeof *s);
	if (!text[0] || text[0] == ',' || text[strlen(text) - 1] == ',' || strstr(text, ",,"))
		return false;
	while ((word = str_word(&text, ",", &len))) {
		char range[32];
		uint32_t first, last;

		if (len >= sizeof range)
			return false;
		memcpy(range, word, len);
		range[len] = '\0';
		char *dash = strchr(range, '-');
		if (dash)
			*dash++ = '\0';
		if (str_to_u32(range, &first) < 0 || str_to_u32(dash ? dash : range, &last) < 0)
			return false;
		if (first > last || last >= CPUS_MAX)
			return false;
		for (uint32_t i = first; i <= last; i++)
			s->word[i / 64] |= 1ull << (i % 64);
	}
	return true;
}

/* The first of want that is not in have, or -1. */
static int id_set_beyond(const struct id_set *want, const struct id_set *have)
{
	for (unsigned i = 0; i < CPUS_MAX; i++)
		if (id_set_has(want, i) && !id_set_has(have, i))
			return (int)i;
	return -1;
}

static int read_list(int dir_fd, const char *file, char *text, size_t size)
{
	ssize_t n = file_read(dir_fd, file, text, size);

	if (n < 0)
		return (int)n;
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

static int make_cpuset_one(const struct limits_make *m, const char *field, const char *list, const char *file,
			   const char *online, const char *what)
{
	struct id_set want, have;
	char text[1024];
	int beyond;
	int r;

	if (!list || !list[0]) {
		add_default(m, CG_CPUSET, list != NULL, file, "");
		return 0;
	}
	if (!id_set_parse(list, &want))
		return refuse(m, field, "'%.100s' is not a list like 0-3,8", list);
	if (strlen(list) >= sizeof m->l->item[0].value)
		return refuse(m, field, "the list is too long: use ranges");
	if (!read_list(AT_FDCWD, online, text, sizeof text) && id_set_parse(text, &have) &&
	    (beyond = id_set_beyond(&want, &have)) >= 0)
		return refuse(m, field, "this host has no %s %d (it has %.100s)", what, beyond, text);
	r = need(m, CG_CPUSET, field);
	if (!r)
		add(m, CG_MUST, file, "%s", list);
	return r;
}

static int make_cpuset(const struct limits_make *m)
{
	int r = make_cpuset_one(m, "resources.cpuset_cpus", m->r->cpuset_cpus, "cpuset.cpus",
				"/sys/devices/system/cpu/online", "CPU");

	return r ? r
		 : make_cpuset_one(m, "resources.cpuset_mems", m->r->cpuset_mems, "cpuset.mems",
				   "/sys/devices/system/node/online", "memory node");
}

/* ---------------------------------------------------------------- io */

/* Device path or "MAJ:MIN" to "MAJ:MIN". */
static int make_io_device(const struct limits_make *m, const char *device, char buf[DEVICE_SIZE])
{
	static const char field[] = "resources.io_max";
	char number[16], sysfs[64 + 32];
	uint32_t major_nr, minor_nr;
	struct stat st;

	if (!device || !device[0])
		return refuse(m, field, "a device is missing");
	if (device[0] != '/') {
		const char *colon = strchr(device, ':');

		if (!colon || (size_t)(colon - device) >= sizeof number)
			return refuse(m, field, "'%.100s' is neither a path nor MAJ:MIN", device);
		snprintf(number, sizeof number, "%.*s", (int)(colon - device), device);
		if (str_to_u32(number, &major_nr) < 0 || str_to_u32(colon + 1, &minor_nr) < 0)
			return refuse(m, field, "'%.100s' is neither a path nor MAJ:MIN", device);
		snprintf(buf, DEVICE_SIZE, "%" PRIu32 ":%" PRIu32, major_nr, minor_nr);
		return 0;
	}
	if (stat(device, &st) < 0)
		return err_set(m->e, errno, field, "device %.200s", device);
	if (!S_ISBLK(st.st_mode))
		return refuse(m, field, "%.200s is not a block device", device);
	snprintf(buf, DEVICE_SIZE, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	snprintf(sysfs, sizeof sysfs, "/sys/dev/block/%u:%u/partition", major(st.st_rdev), minor(st.st_rdev));
	if (!access(sysfs, F_OK))
		return refuse(m, field, "%.200s is a partition: the kernel limits whole disks only", device);
	return 0;
}

static int make_io_max(const struct limits_make *m, const Berth__IoMax *io)
{
	const struct {
		const char *name;
		uint64_t rate;
	} rates[] = {{"rbps", io->rbps}, {"wbps", io->wbps}, {"riops", io->riops}, {"wiops", io->wiops}};
	char value[160];
	int r = make_io_device(m, io->device, value);

	if (r)
		return r;
	if (!io->has_rbps && !io->has_wbps && !io->has_riops && !io->has_wiops)
		return refuse(m, "resources.io_max", "no limit is given for %.200s", io->device);
	size_t len = strlen(value);
	for (unsigned i = 0; i < m->l->n; i++)
		if (!strcmp(m->l->item[i].file, "io.max") && !strncmp(m->l->item[i].value, value, len) &&
		    m->l->item[i].value[len] == ' ')
			return refuse(m, "resources.io_max", "%.200s is named twice", io->device);
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++)
		len += (size_t)(rates[i].rate ? snprintf(value + len, sizeof value - len, " %s=%" PRIu64, rates[i].name,
							 rates[i].rate)
					      : snprintf(value + len, sizeof value - len, " %s=max", rates[i].name));
	add(m, CG_MUST, "io.max", "%s", value);
	return 0;
}

/* BFQ's own file counts to 1000. The same share at 100, linear below, and a straight line above. */
static uint32_t bfq_weight(uint32_t weight)
{
	return weight <= 100 ? weight : 100 + (weight - 100) * (1000 - 100) / (10000 - 100);
}

static int make_io(const struct limits_make *m)
{
	const Berth__Resources *s = m->r;
	int r;

	if (s->has_io_weight) {
		if (!s->io_weight || s->io_weight > 10000)
			return refuse(m, "resources.io_weight", "%" PRIu32 " is not from 1 to 10000 (100 is usual)",
				      s->io_weight);
		r = need(m, CG_IO, "resources.io_weight");
		if (r)
			return r;
		add(m, CG_OR_NEXT, "io.weight", "default %" PRIu32, s->io_weight);
		add(m, CG_MUST, "io.bfq.weight", "%" PRIu32, bfq_weight(s->io_weight));
	} else {
		add_default(m, CG_IO, false, "io.weight", "default 100");
		add_default(m, CG_IO, false, "io.bfq.weight", "100");
	}
	m->l->reset_io = m->reset && (m->have & CG_BIT(CG_IO));
	if (s->n_io_max > IO_DEVICES_MAX)
		return refuse(m, "resources.io_max", "more than %d devices", IO_DEVICES_MAX);
	r = s->n_io_max ? need(m, CG_IO, "resources.io_max") : 0;
	for (size_t i = 0; !r && i < s->n_io_max; i++)
		r = make_io_max(m, s->io_max[i]);
	return r;
}

int cg_limits_make(const Berth__Resources *r, uint32_t have, bool reset_absent, struct cg_limits *l, struct err *e)
{
	static const Berth__Resources none = BERTH__RESOURCES__INIT;
	const struct limits_make m = {.r = r ? r : &none, .have = have, .reset = reset_absent, .l = l, .e = e};
	static int (*const parts[])(const struct limits_make *) = {make_memory, make_cpu, make_cpuset, make_pids,
								   make_io};
	int result = 0;

	l->n = 0;
	l->reset_io = false;
	for (unsigned i = 0; !result && i < ARRAY_SIZE(parts); i++)
		result = parts[i](&m);
	return result;
}

/* ---------------------------------------------------------------- applying */

/* The kernel takes a cpuset that the groups above cannot give, and then ignores it: ask what is in force. */
static int check_cpuset(int group_fd, const struct cg_limit *item, struct err *e)
{
	bool cpus = !strcmp(item->file, "cpuset.cpus");
	struct id_set want, have;
	char text[1024];
	int r;

	if (!item->value[0] || (!cpus && strcmp(item->file, "cpuset.mems")) || !id_set_parse(item->value, &want))
		return 0;
	r = read_list(group_fd, cpus ? "cpuset.cpus.effective" : "cpuset.mems.effective", text, sizeof text);
	if (r < 0)
		return err_set(e, r, "cgroup", "read %s.effective", item->file);
	if (!id_set_parse(text, &have) || id_set_beyond(&want, &have) >= 0)
		return err_set(e, ENODEV, "cgroup", "%s %s: only %s can be had in this cgroup", item->file, item->value,
			       text);
	return 0;
}

static int reset_io(int group_fd, const struct cg_limits *l, struct err *e)
{
	char text[4096], value[64];
	const char *p = text, *line;
	size_t len;
	ssize_t n = file_read(group_fd, "io.max", text, sizeof text);

	if (n < 0)
		return n == -ENOENT ? 0 : err_set(e, (int)n, "cgroup", "read io.max");
	while ((line = str_word(&p, "\n", &len))) {
		int device_len = (int)strcspn(line, " \n");
		bool kept = false;

		for (unsigned i = 0; i < l->n; i++)
			kept |= !strcmp(l->item[i].file, "io.max") &&
				!strncmp(l->item[i].value, line, (size_t)device_len + 1);
		if (kept)
			continue;
		snprintf(value, sizeof value, "%.*s rbps=max wbps=max riops=max wiops=max", device_len, line);
		int r = file_writes(group_fd, "io.max", value);
		if (r < 0)
			return err_set(e, r, "cgroup", "io.max %s", value);
	}
	return 0;
}

int cg_limits_apply(int group_fd, const struct cg_limits *l, struct err *e)
{
	enum cg_need relaxed = CG_MUST;

	for (unsigned i = 0; i < l->n; i++) {
		const struct cg_limit *item = &l->item[i];
		enum cg_need item_need = relaxed == CG_MAY ? CG_MAY : item->need;
		/* An empty value still takes a write: a newline. */
		int r = file_writes(group_fd, item->file, item->value[0] ? item->value : "\n");

		relaxed = item->need == CG_OR_NEXT && r >= 0 ? CG_MAY : CG_MUST;
		if (r == -ENOENT && item_need != CG_MUST)
			continue;
		if (r == -ENOENT)
			return err_set(e, ENOTSUP, "cgroup", "this kernel has no %s (wanted: %s)", item->file,
				       item->value);
		if (r < 0)
			return err_set(e, r, "cgroup", "%s %s", item->file, item->value);
		r = check_cpuset(group_fd, item, e);
		if (r < 0)
			return r;
	}
	return l->reset_io ? reset_io(group_fd, l, e) : 0;
}
