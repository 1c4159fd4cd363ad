/* cgroup/device.c - see cgroup/device.h
 *
 * The program is a straight chain: each rule is a few comparisons that jump to the next rule; one that fits
 * returns 1, the end returns 0. What the kernel hands over: access_type (access bits << 16 | type), major,
 * minor. */
#include "cgroup/device.h"

#include "base/list.h"
#include "base/own.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULES_MAX    512
#define RULE_INSNS   8	 /* the longest: type 1, access 3, major, minor, return 2 */
#define BORDER_INSNS 8	 /* loads and splits 6, return 2 */
#define PROGRAMS_MAX 256 /* distinct rule sets kept; the oldest goes first */

struct device_program {
	struct list link; /* cg_devices.programs */
	int fd;
	unsigned n;
	struct cg_device_rule rules[];
};

struct cg_devices {
	struct list programs;
	unsigned n;
};

#define ALL_ACCESS (CG_DEVICE_MKNOD | CG_DEVICE_READ | CG_DEVICE_WRITE)

const struct cg_device_rule cg_device_defaults[] = {
	{'c', -1, -1, CG_DEVICE_MKNOD}, {'b', -1, -1, CG_DEVICE_MKNOD}, {'c', 1, 3, ALL_ACCESS}, /* null */
	{'c', 1, 5, ALL_ACCESS},								 /* zero */
	{'c', 1, 7, ALL_ACCESS},								 /* full */
	{'c', 1, 8, ALL_ACCESS},								 /* random */
	{'c', 1, 9, ALL_ACCESS},								 /* urandom */
	{'c', 5, 0, ALL_ACCESS},								 /* tty */
	{'c', 5, 1, ALL_ACCESS},								 /* console */
	{'c', 5, 2, ALL_ACCESS},								 /* ptmx */
	{'c', 136, -1, ALL_ACCESS},								 /* pts */
};
const unsigned cg_device_n_defaults = ARRAY_SIZE(cg_device_defaults);

static int sys_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof *attr);

	return r < 0 ? -errno : (int)r;
}

struct cg_devices *cg_devices_new(void)
{
	struct cg_devices *d = calloc(1, sizeof *d);

	if (d)
		list_init(&d->programs);
	return d;
}

static void program_free(struct cg_devices *d, struct device_program *p)
{
	list_del(&p->link);
	d->n--;
	close(p->fd);
	free(p);
}

void cg_devices_free(struct cg_devices *d)
{
	struct device_program *p;

	if (!d)
		return;
	list_each (p, &d->programs, link)
		program_free(d, p);
	free(d);
}

/* ---------------------------------------------------------------- the program */

enum { R_RESULT = BPF_REG_0, R_CONTEXT = BPF_REG_1, R_TYPE, R_ACCESS, R_MAJOR, R_MINOR, R_OTHER };

struct code {
	struct bpf_insn *insn;
	unsigned n;
};

static void emit(struct code *c, uint8_t op, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	c->insn[c->n++] =
		(struct bpf_insn){.code = op, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm};
}

static void emit_load(struct code *c, uint8_t dst, size_t offset)
{
	emit(c, BPF_LDX | BPF_MEM | BPF_W, dst, R_CONTEXT, (int16_t)offset, 0);
}

static void emit_return(struct code *c, int32_t value)
{
	emit(c, BPF_ALU64 | BPF_MOV | BPF_K, R_RESULT, 0, 0, value);
	emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* A jump to the end of the rule, filled in by emit_rule when it knows where that is. */
static void emit_unless(struct code *c, uint8_t reg, int32_t value)
{
	emit(c, BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0, value);
}

static void emit_rule(struct code *c, const struct cg_device_rule *r)
{
	unsigned first = c->n;

	if (r->type != 'a')
		emit_unless(c, R_TYPE, r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	if (r->access != ALL_ACCESS) { /* anything asked for that the rule does not give? */
		emit(c, BPF_ALU64 | BPF_MOV | BPF_X, R_OTHER, R_ACCESS, 0, 0);
		emit(c, BPF_ALU64 | BPF_AND | BPF_K, R_OTHER, 0, 0, ALL_ACCESS & ~r->access);
		emit_unless(c, R_OTHER, 0);
	}
	if (r->major >= 0)
		emit_unless(c, R_MAJOR, r->major);
	if (r->minor >= 0)
		emit_unless(c, R_MINOR, r->minor);
	emit_return(c, 1);
	for (unsigned i = first; i < c->n; i++)
		if (c->insn[i].code == (BPF_JMP32 | BPF_JNE | BPF_K))
			c->insn[i].off = (int16_t)(c->n - i - 1);
}

static int program_load(const struct cg_device_rule *rules, unsigned n)
{
	AUTO_FREE struct bpf_insn *insns = calloc((size_t)n * RULE_INSNS + BORDER_INSNS, sizeof *insns);
	struct code c = {insns, 0};

	if (!insns)
		return -ENOMEM;
	emit_load(&c, R_TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit(&c, BPF_ALU64 | BPF_MOV | BPF_X, R_ACCESS, R_TYPE, 0, 0);
	emit(&c, BPF_ALU64 | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
	emit(&c, BPF_ALU64 | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
	emit_load(&c, R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	emit_load(&c, R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
	for (unsigned i = 0; i < n; i++)
		emit_rule(&c, &rules[i]);
	emit_return(&c, 0);

	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uint64_t)(uintptr_t)insns,
		.insn_cnt = c.n,
		.license = (uint64_t)(uintptr_t) "Apache-2.0",
		.prog_name = "berth_devices",
	};
	return sys_bpf(BPF_PROG_LOAD, &attr);
}

/* ---------------------------------------------------------------- cache */

static bool rules_equal(const struct cg_device_rule *a, const struct cg_device_rule *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (a[i].type != b[i].type || a[i].major != b[i].major || a[i].minor != b[i].minor ||
		    a[i].access != b[i].access)
			return false;
	return true;
}

static int program_get(struct cg_devices *d, const struct cg_device_rule *rules, unsigned n, struct err *e)
{
	struct device_program *p;

	list_each (p, &d->programs, link)
		if (p->n == n && rules_equal(p->rules, rules, n)) {
			list_del(&p->link);
			list_push(&d->programs, &p->link);
			return p->fd;
		}
	p = malloc(sizeof *p + n * sizeof *rules);
	if (!p)
		return err_set(e, ENOMEM, "devices", "device filter");
	p->n = n;
	if (n)
		memcpy(p->rules, rules, n * sizeof *rules);
	p->fd = program_load(rules, n);
	if (p->fd < 0) {
		int r = p->fd;

		free(p);
		if (r == -EINVAL || r == -ENOSYS) /* the program type is unknown */
			return err_set(e, ENOTSUP, "devices",
				       "the kernel has no device filter for cgroups (CONFIG_CGROUP_BPF)");
		return err_set(e, r, "devices", "load the device filter");
	}
	if (d->n >= PROGRAMS_MAX)
		program_free(d, list_first(&d->programs, struct device_program, link));
	list_push(&d->programs, &p->link);
	d->n++;
	return p->fd;
}

int cg_devices_attach(struct cg_devices *d, int group_fd, const struct cg_device_rule *rules, unsigned n, struct err *e)
{
	if (n > RULES_MAX)
		return err_set(e, E2BIG, "devices", "%u device rules; at most %d", n, RULES_MAX);
	for (unsigned i = 0; i < n; i++) {
		const struct cg_device_rule *r = &rules[i];

		if (!strchr("abc", r->type) || !r->type || !r->access || (r->access & ~ALL_ACCESS) || r->major < -1 ||
		    r->minor < -1)
			return err_set(e, EINVAL, "devices", "bad device rule %u", i);
		if (r->type == 'a' && r->major == -1 && r->minor == -1 && r->access == ALL_ACCESS)
			return CG_DEVICES_ALL; /* no program is the same and costs nothing */
	}
	int fd = program_get(d, rules, n, e);
	if (fd < 0)
		return fd;
	union bpf_attr attr = {
		.target_fd = (uint32_t)group_fd,
		.attach_bpf_fd = (uint32_t)fd,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI,
	};
	int r = sys_bpf(BPF_PROG_ATTACH, &attr);
	return r < 0 ? err_set(e, r, "devices", "attach the device filter") : 0;
}
