/* cgroup/stat.c - see cgroup/stat.h */
#include "cgroup/stat.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "cgroup/tree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The decimal number at p; false if there is none ("max"). */
static bool number_at(const char *p, uint64_t *ret)
{
	char digits[24];
	size_t len = strspn(p, "0123456789");

	if (!len || len >= sizeof digits)
		return false;
	memcpy(digits, p, len);
	digits[len] = '\0';
	return str_to_u64(digits, ret) == 0;
}

/* The number of the line "key N" in text. */
static bool find_line(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (!strncmp(line, key, len) && line[len] == ' ')
			return number_at(line + len + 1, ret);
	return false;
}

static bool read_number(int fd, const char *file, uint64_t *ret)
{
	char text[64];

	return file_read(fd, file, text, sizeof text) > 0 && number_at(text, ret);
}

static void read_cpu(int fd, Berth__Stats *s, uint32_t *missing)
{
	char text[2048];

	if (file_read(fd, "cpu.stat", text, sizeof text) < 0) {
		*missing |= CG_BIT(CG_CPU);
		return;
	}
	/* Times are always there; periods only with the controller. */
	s->has_cpu_usec = find_line(text, "usage_usec", &s->cpu_usec);
	s->has_cpu_user_usec = find_line(text, "user_usec", &s->cpu_user_usec);
	s->has_cpu_system_usec = find_line(text, "system_usec", &s->cpu_system_usec);
	s->has_cpu_periods = find_line(text, "nr_periods", &s->cpu_periods);
	s->has_cpu_throttled_periods = find_line(text, "nr_throttled", &s->cpu_throttled_periods);
	s->has_cpu_throttled_usec = find_line(text, "throttled_usec", &s->cpu_throttled_usec);
	if (!s->has_cpu_periods)
		*missing |= CG_BIT(CG_CPU);
}

static void read_memory(int fd, Berth__Stats *s, uint32_t *missing)
{
	char text[8192];
	uint64_t inactive = 0;

	s->has_memory_current_bytes = read_number(fd, "memory.current", &s->memory_current_bytes);
	if (!s->has_memory_current_bytes) {
		*missing |= CG_BIT(CG_MEMORY);
		return;
	}
	if (file_read(fd, "memory.stat", text, sizeof text) > 0 && find_line(text, "inactive_file", &inactive)) {
		s->has_memory_bytes = true;
		s->memory_bytes = s->memory_current_bytes > inactive ? s->memory_current_bytes - inactive : 0;
	}
	s->has_memory_peak_bytes = read_number(fd, "memory.peak", &s->memory_peak_bytes);
	s->has_memory_limit_bytes = read_number(fd, "memory.max", &s->memory_limit_bytes);
	s->has_swap_bytes = read_number(fd, "memory.swap.current", &s->swap_bytes);
	s->has_oom_kills = cg_stat_oom_kills(fd, &s->oom_kills) == 0;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" for each device: the sum of one of them. */
static uint64_t sum_io(const char *text, const char *key)
{
	uint64_t sum = 0, n;
	size_t len = strlen(key);

	for (const char *p = strstr(text, key); p; p = strstr(p + len, key))
		if (number_at(p + len, &n))
			sum += n;
	return sum;
}

static void read_io(int fd, Berth__Stats *s, uint32_t *missing)
{
	AUTO_FREE char *text = NULL;

	if (file_read_all(fd, "io.stat", 1 << 20, &text) < 0) {
		*missing |= CG_BIT(CG_IO);
		return;
	}
	s->has_io_read_bytes = s->has_io_write_bytes = s->has_io_reads = s->has_io_writes = true;
	s->io_read_bytes = sum_io(text, " rbytes=");
	s->io_write_bytes = sum_io(text, " wbytes=");
	s->io_reads = sum_io(text, " rios=");
	s->io_writes = sum_io(text, " wios=");
}

/* "some avg10=1.25 avg60=…": the kernel prints two decimals. */
static protobuf_c_boolean read_pressure(int fd, const char *file, double *ret)
{
	static const char key[] = "some avg10=";
	char text[256];
	uint64_t whole, hundredths = 0;

	if (file_read(fd, file, text, sizeof text) < 0 || !str_starts(text, key) ||
	    !number_at(text + sizeof key - 1, &whole))
		return false;
	const char *dot = strchr(text, '.');
	if (dot && !number_at(dot + 1, &hundredths))
		return false;
	*ret = (double)whole + (double)hundredths / 100;
	return true;
}

int cg_stat_read(int group_fd, Berth__Stats *s, uint32_t *ret_missing)
{
	char text[64];

	*ret_missing = 0;
	/* cgroup.type is in every group but the root; without it the group has been removed. */
	ssize_t n = file_read(group_fd, "cgroup.type", text, sizeof text);
	if (n < 0)
		return (int)n;
	read_cpu(group_fd, s, ret_missing);
	read_memory(group_fd, s, ret_missing);
	read_io(group_fd, s, ret_missing);
	s->has_pids = read_number(group_fd, "pids.current", &s->pids);
	s->has_pids_limit = read_number(group_fd, "pids.max", &s->pids_limit);
	if (!s->has_pids)
		*ret_missing |= CG_BIT(CG_PIDS);
	s->has_cpu_pressure_avg10 = read_pressure(group_fd, "cpu.pressure", &s->cpu_pressure_avg10);
	s->has_memory_pressure_avg10 = read_pressure(group_fd, "memory.pressure", &s->memory_pressure_avg10);
	s->has_io_pressure_avg10 = read_pressure(group_fd, "io.pressure", &s->io_pressure_avg10);
	return 0;
}

int cg_stat_oom_kills(int group_fd, uint64_t *ret)
{
	char text[512];
	ssize_t n = file_read(group_fd, "memory.events", text, sizeof text);

	if (n < 0)
		return (int)n;
	return find_line(text, "oom_kill", ret) ? 0 : -ENODATA;
}
