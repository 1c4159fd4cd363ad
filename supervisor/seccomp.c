/* supervisor/seccomp.c - see supervisor/seccomp.h.
 *
 * libseccomp 2.5.4 may merge 64-bit comparisons of one argument wrongly (mended in 2.6.1, not in Debian 12), which can weaken
 * a filter. So values that fit 32 bits are compared as 32 bits, which is what the kernel looks at for the int and flag arguments
 * that profiles are about; and a profile with two wide comparisons of one argument of one syscall is refused. */
#include "supervisor/seccomp.h"

#include "base/file.h"
#include "base/list.h"
#include "supervisor/seccomp_profile.h"
#include "supervisor/seccomp_reduce.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CACHE_MAX 64   /* profiles kept; the one that was made first goes first */
#define INSNS_MAX 4096 /* the kernel's BPF_MAXINSNS */

#if defined(__x86_64__)
#define NATIVE_AUDIT_ARCH AUDIT_ARCH_X86_64
#define COMPAT_ARCH	  SCMP_ARCH_X86
#elif defined(__aarch64__)
#define NATIVE_AUDIT_ARCH AUDIT_ARCH_AARCH64
#define COMPAT_ARCH	  SCMP_ARCH_ARM
#else
#error "name this architecture's audit value"
#endif

struct entry {
	struct list link; /* seccomp_cache.entries */
	uint64_t caps;
	void *profile; /* owned; NULL = the default one */
	size_t profile_len;
	void *bpf; /* owned */
	size_t len;
};

struct seccomp_cache {
	struct list entries; /* of struct entry, oldest first */
	unsigned n;
	unsigned newest_nr; /* highest native syscall number that libseccomp has a name for */
	bool usable;
};

static uint32_t action_of(uint8_t action, uint16_t errno_ret)
{
	switch ((enum profile_action)action) {
	case ACT_ALLOW:
		return SCMP_ACT_ALLOW;
	case ACT_ERRNO:
		return SCMP_ACT_ERRNO(errno_ret);
	case ACT_KILL_PROCESS:
		return SCMP_ACT_KILL_PROCESS;
	case ACT_KILL_THREAD:
		return SCMP_ACT_KILL_THREAD;
	case ACT_TRAP:
		return SCMP_ACT_TRAP;
	case ACT_TRACE:
		return SCMP_ACT_TRACE(errno_ret);
	case ACT_LOG:
		return SCMP_ACT_LOG;
	case ACT_N_:
		break;
	}
	return SCMP_ACT_KILL_PROCESS;
}

static struct scmp_arg_cmp arg_of(const struct profile_arg *a)
{
	static const enum scmp_compare op[] = {
		[OP_NE] = SCMP_CMP_NE,
		[OP_LT] = SCMP_CMP_LT,
		[OP_LE] = SCMP_CMP_LE,
		[OP_EQ] = SCMP_CMP_EQ,
		[OP_GE] = SCMP_CMP_GE,
		[OP_GT] = SCMP_CMP_GT,
		[OP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
	};

	if (a->value <= UINT32_MAX && a->value_two <= UINT32_MAX)
		return SCMP_CMP32(a->index, op[a->op], (uint32_t)a->value, (uint32_t)a->value_two);
	return SCMP_CMP64(a->index, op[a->op], a->value, a->value_two);
}

static bool is_wide(const struct profile_arg *a)
{
	return a->value > UINT32_MAX || a->value_two > UINT32_MAX;
}

static bool rule_applies(const struct profile_rule *r, uint64_t caps)
{
	return !r->skip && (r->needs_caps & caps) == r->needs_caps && !(r->unless_cap & caps);
}

static size_t rule_n_names(const struct profile_rule *r)
{
	size_t n = r->n_names;

	if (!n)
		while (r->names[n])
			n++;
	return n;
}

static bool rule_names(const struct profile_rule *r, const char *name)
{
	for (size_t i = 0; i < rule_n_names(r); i++)
		if (!strcmp(r->names[i], name))
			return true;
	return false;
}

/* Two rules with wide comparisons of one argument of one syscall: what libseccomp might merge. */
static int check_wide(const struct profile *p, struct err *e)
{
	for (size_t i = 0; i < p->n_rules; i++)
		for (unsigned a = 0; a < p->rules[i].n_args; a++) {
			const struct profile_arg *arg = &p->rules[i].arg[a];

			if (!is_wide(arg))
				continue;
			for (size_t j = i + 1; j < p->n_rules; j++)
				for (unsigned b = 0; b < p->rules[j].n_args; b++)
					for (size_t k = 0;
					     p->rules[j].arg[b].index == arg->index && is_wide(&p->rules[j].arg[b]) &&
					     k < rule_n_names(&p->rules[i]);
					     k++)
						if (rule_names(&p->rules[j], p->rules[i].names[k]))
							return err_set(
								e, ENOTSUP, "seccomp",
								"seccomp profile: syscalls[%zu] and [%zu] both compare "
								"argument %u of %s with a value over 32 bits; "
								"this libseccomp may combine them wrongly: use one "
								"rule",
								i, j, arg->index, p->rules[i].names[k]);
		}
	return 0;
}

static int rule_add(scmp_filter_ctx ctx, const struct profile *p, const struct profile_rule *r, struct err *e)
{
	uint32_t action = action_of(r->action, r->errno_ret);
	struct scmp_arg_cmp args[PROFILE_ARGS_MAX];

	if (action == action_of(p->default_action, p->default_errno))
		return 0; /* libseccomp refuses rules that say what the default says */
	for (unsigned i = 0; i < r->n_args; i++)
		args[i] = arg_of(&r->arg[i]);
	for (size_t i = 0; i < rule_n_names(r); i++) {
		int nr = seccomp_syscall_resolve_name(r->names[i]), err;

		if (nr == __NR_SCMP_ERROR)
			continue; /* newer than this libseccomp: denied by the default, or ENOSYS by number */
		err = seccomp_rule_add_array(ctx, action, nr, r->n_args, args);
		/* EDOM, EOPNOTSUPP: a pseudo syscall that no architecture of ours has. EEXIST: said before. */
		if (err && err != -EDOM && err != -EOPNOTSUPP && err != -EEXIST)
			return err_set(e, -err, "seccomp", "seccomp rule for %s", r->names[i]);
	}
	return 0;
}

/* A syscall that is newer than our tables gets ENOSYS, so that libc tries an older one; EPERM would be taken for an answer.
 * Only in front of filters that deny by default. x32 numbers (bit 30) are refused the same way. */
static size_t prologue(struct sock_filter *f, unsigned newest_nr)
{
	const struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_AUDIT_ARCH, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest_nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};

	memcpy(f, insns, sizeof insns);
	return ARRAY_SIZE(insns);
}

static int export_bpf(scmp_filter_ctx ctx, bool denies, unsigned newest_nr, struct entry *ent, struct err *e)
{
	AUTO_FD fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct sock_filter head[8], *small;
	size_t n;
	struct stat st;
	size_t n_head = denies ? prologue(head, newest_nr) : 0, head_len = n_head * sizeof *head;
	char *bpf;
	int err;

	if (fd < 0)
		return err_set(e, errno, "seccomp", "memfd");
	err = seccomp_export_bpf(ctx, fd);
	if (err)
		return err_set(e, -err, "seccomp", "seccomp profile: export");
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "seccomp", "memfd");
	if ((size_t)st.st_size + head_len > INSNS_MAX * sizeof(struct sock_filter))
		return err_set(e, E2BIG, "seccomp", "seccomp profile: %zu instructions, the kernel takes %u",
			       (size_t)st.st_size / sizeof(struct sock_filter), INSNS_MAX);
	bpf = malloc(head_len + (size_t)st.st_size);
	if (!bpf)
		return err_set(e, ENOMEM, "seccomp", "seccomp profile");
	memcpy(bpf, head, head_len);
	if (pread(fd, bpf + head_len, (size_t)st.st_size, 0) != st.st_size) {
		free(bpf);
		return err_set(e, EIO, "seccomp", "memfd");
	}
	ent->bpf = bpf;
	ent->len = head_len + (size_t)st.st_size;
	/* One that cannot be made smaller is right as it is. */
	if (seccomp_reduce(ent->bpf, ent->len / sizeof *small, &small, &n) == 0) {
		free(ent->bpf);
		ent->bpf = small;
		ent->len = n * sizeof *small;
	}
	return 0;
}

static int compile(const struct profile *p, uint64_t caps, unsigned newest_nr, struct entry *ent, struct err *e)
{
	bool denies = p->default_action != ACT_ALLOW && p->default_action != ACT_LOG;
	scmp_filter_ctx ctx;
	int err = check_wide(p, e);

	if (err)
		return err;
	ctx = seccomp_init(action_of(p->default_action, p->default_errno));
	if (!ctx)
		return err_set(e, ENOMEM, "seccomp", "seccomp profile");
	/* 32-bit programs of the same family run in containers as they do on the host. */
	err = seccomp_arch_add(ctx, COMPAT_ARCH);
	if (err == -EEXIST)
		err = 0;
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE,
				       2); /* binary tree: a third of the time to load and run */
	if (err)
		err = err_set(e, -err, "seccomp", "seccomp profile");
	for (size_t i = 0; !err && i < p->n_rules; i++)
		if (rule_applies(&p->rules[i], caps))
			err = rule_add(ctx, p, &p->rules[i], e);
	if (!err)
		err = export_bpf(ctx, denies, newest_nr, ent, e);
	seccomp_release(ctx);
	return err;
}

static void entry_free(struct entry *ent)
{
	free(ent->profile);
	free(ent->bpf);
	free(ent);
}

bool seccomp_is_usable(const struct seccomp_cache *c)
{
	return c->usable;
}

int seccomp_cache_new(struct seccomp_cache **ret)
{
	struct seccomp_cache *c = calloc(1, sizeof *c);
	uint32_t action = SECCOMP_RET_ERRNO;

	if (!c)
		return -ENOMEM;
	list_init(&c->entries);
	c->usable = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
	for (int nr = 0; nr < 1024; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (name)
			c->newest_nr = (unsigned)nr;
		free(name);
	}
	*ret = c;
	return 0;
}

void seccomp_cache_free(struct seccomp_cache *c)
{
	struct entry *ent;

	if (!c)
		return;
	while ((ent = list_pop(&c->entries, struct entry, link)))
		entry_free(ent);
	free(c);
}

static struct entry *cache_find(struct seccomp_cache *c, const void *profile, size_t len, uint64_t caps)
{
	struct entry *ent;

	list_each (ent, &c->entries, link)
		if (ent->caps == caps && !ent->profile == !profile && ent->profile_len == len &&
		    (!profile || !memcmp(ent->profile, profile, len)))
			return ent;
	return NULL;
}

static int cache_make(struct seccomp_cache *c, const void *profile, size_t len, uint64_t caps, struct entry **ret,
		      struct err *e)
{
	struct profile_json *json = NULL;
	struct entry *ent;
	int err = 0;

	if (profile)
		err = profile_json_parse(profile, len, &json, e);
	if (err)
		return err;
	ent = calloc(1, sizeof *ent);
	if (!ent || (profile && !(ent->profile = malloc(len ? len : 1))))
		err = err_set(e, ENOMEM, "seccomp", "seccomp profile");
	else
		err = compile(json ? profile_json_get(json) : &profile_default, caps, c->newest_nr, ent, e);
	profile_json_free(json);
	if (err) {
		if (ent)
			entry_free(ent);
		return err;
	}
	ent->caps = caps;
	if (profile)
		memcpy(ent->profile, profile, len);
	ent->profile_len = len;
	if (c->n == CACHE_MAX)
		entry_free(list_pop(&c->entries, struct entry, link));
	else
		c->n++;
	list_push(&c->entries, &ent->link);
	*ret = ent;
	return 0;
}

int seccomp_get(struct seccomp_cache *c, const Berth__Security *s, uint64_t caps, const void **ret_bpf, size_t *ret_len,
		struct err *e)
{
	bool own = s && s->seccomp && !strcmp(s->seccomp, "profile");
	const void *profile = own ? (const void *)s->seccomp_profile.data : NULL;
	size_t len = own ? s->seccomp_profile.len : 0;
	struct entry *ent;
	int err;

	*ret_bpf = NULL;
	*ret_len = 0;
	if (s && ((s->seccomp && !strcmp(s->seccomp, "unconfined")) || (s->privileged && !own)))
		return 0;
	if (!c->usable)
		return own ? err_set(e, ENOTSUP, "seccomp",
				     "this kernel has no seccomp filters: it lacks CONFIG_SECCOMP_FILTER")
			   : 0;
	if (own && !len)
		return err_set(e, EINVAL, "seccomp", "seccomp profile: it is empty");
	ent = cache_find(c, profile, len, caps);
	if (!ent) {
		err = cache_make(c, profile, len, caps, &ent, e);
		if (err)
			return err;
	}
	*ret_bpf = ent->bpf;
	*ret_len = ent->len;
	return 0;
}
