/* shim/confine.c - see shim/confine.h */
#include "shim/confine.h"

#include "base/own.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* ---------------------------------------------------------------- rlimits, OOM score */

static const char *const rlimit_names[] = {
	[RLIMIT_CPU] = "cpu",		[RLIMIT_FSIZE] = "fsize",
	[RLIMIT_DATA] = "data",		[RLIMIT_STACK] = "stack",
	[RLIMIT_CORE] = "core",		[RLIMIT_RSS] = "rss",
	[RLIMIT_NPROC] = "nproc",	[RLIMIT_NOFILE] = "nofile",
	[RLIMIT_MEMLOCK] = "memlock",	[RLIMIT_AS] = "as",
	[RLIMIT_LOCKS] = "locks",	[RLIMIT_SIGPENDING] = "sigpending",
	[RLIMIT_MSGQUEUE] = "msgqueue", [RLIMIT_NICE] = "nice",
	[RLIMIT_RTPRIO] = "rtprio",	[RLIMIT_RTTIME] = "rttime",
};

static int rlimit_set(struct child *c, const Shim__Rlimit *l, const struct rlimit *value, struct err *e)
{
	char step[48];
	const char *name = l->resource < ARRAY_SIZE(rlimit_names) ? rlimit_names[l->resource] : NULL;

	if (syscall(SYS_prlimit64, 0, l->resource, value, NULL) == 0)
		return 0;
	snprintf(step, sizeof step, "rlimit %s", name ? name : "?");
	int r = err_set(e, errno, step, "rlimit %s", name ? name : "?");
	return l->optional ? child_skip(c, step, e) : r;
}

int confine_rlimits_raise(struct child *c, struct err *e)
{
	for (size_t i = 0; c->process && i < c->process->n_rlimits; i++) {
		const Shim__Rlimit *l = c->process->rlimits[i];
		struct rlimit now;

		/* The soft ones come late: a small one would hit our own work on the rootfs. */
		if (syscall(SYS_prlimit64, 0, l->resource, NULL, &now) < 0)
			return err_set(e, errno, "rlimit", "read a limit");
		if (l->hard <= now.rlim_max)
			continue;
		now.rlim_max = l->hard;
		TRY(rlimit_set(c, l, &now, e));
	}
	return 0;
}

int confine_rlimits(struct child *c, struct err *e)
{
	for (size_t i = 0; c->process && i < c->process->n_rlimits; i++) {
		const Shim__Rlimit *l = c->process->rlimits[i];
		struct rlimit want = {.rlim_cur = l->soft, .rlim_max = l->hard}, now;

		/* An optional one that could not be raised above gives what there is. */
		if (l->optional && syscall(SYS_prlimit64, 0, l->resource, NULL, &now) == 0 &&
		    want.rlim_max > now.rlim_max) {
			want.rlim_max = now.rlim_max;
			if (want.rlim_cur > want.rlim_max)
				want.rlim_cur = want.rlim_max;
		}
		TRY(rlimit_set(c, l, &want, e));
	}
	return 0;
}

int confine_oom(struct child *c, struct err *e)
{
	/* Always written: the shim's own score is not the container's. */
	int value = c->process && c->process->has_oom_score_adj ? c->process->oom_score_adj : 0;
	char text[16];
	int n = snprintf(text, sizeof text, "%d", value);
	AUTO_FD fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, (size_t)n) == n)
		return 0;
	int r = err_set(e, errno, "oom score", "oom_score_adj %d", value);
	return c->process && c->process->oom_score_adj_optional ? child_skip(c, "oom score", e) : r;
}

/* ---------------------------------------------------------------- capabilities */

int confine_bounding(uint64_t keep, struct err *e)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if ((keep >> cap) & 1 || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL && cap > CAP_SETFCAP)
			break; /* the kernel has no more */
		return err_set(e, errno, "capabilities", "drop capability %u from the bounding set", cap);
	}
	return 0;
}

static int caps_get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capget, &head, data);
}

static int caps_set(const struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capset, &head, data);
}

int confine_caps_raise(struct err *e)
{
	struct __user_cap_data_struct data[2];

	if (caps_get(data) < 0)
		return err_set(e, errno, "capabilities", "read the capabilities");
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	return caps_set(data) < 0 ? err_set(e, errno, "capabilities", "raise the effective capabilities") : 0;
}

int confine_caps(const Shim__ProcessPlan *p, struct err *e)
{
	struct __user_cap_data_struct now[2], want[2];
	uint64_t missing;

	if (caps_get(now) < 0)
		return err_set(e, errno, "capabilities", "read the capabilities");
	missing = p->cap_permitted & ~((uint64_t)now[1].permitted << 32 | now[0].permitted);
	if (missing)
		return err_set(e, EPERM, "capabilities", "berth itself does not have the capabilities of mask %llx",
			       (unsigned long long)missing);
	for (unsigned i = 0; i < 2; i++)
		want[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(p->cap_effective >> 32 * i),
			.permitted = (uint32_t)(p->cap_permitted >> 32 * i),
			.inheritable = (uint32_t)(p->cap_inheritable >> 32 * i),
		};
	if (caps_set(want) < 0)
		return err_set(e, errno, "capabilities", "set the capabilities");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_set(e, errno, "capabilities", "clear the ambient capabilities");
	for (unsigned cap = 0; cap < 64; cap++)
		if ((p->cap_ambient >> cap) & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_set(e, errno, "capabilities", "raise ambient capability %u", cap);
	return 0;
}

/* ---------------------------------------------------------------- no_new_privs, seccomp, label */

int confine_no_new_privs(struct err *e)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_set(e, errno, "no_new_privs", "set no_new_privs") : 0;
}

int confine_seccomp(const Shim__ProcessPlan *p, struct err *e)
{
	struct sock_fprog program = {0};

	if (!p->has_seccomp)
		return 0;
	program.len = (unsigned short)(p->seccomp.len / sizeof(struct sock_filter));
	program.filter = (struct sock_filter *)(void *)p->seccomp.data;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_set(e, errno, "seccomp", "load the seccomp filter of %u instructions", program.len);
	return 0;
}

int confine_label_open(struct child *c, struct err *e)
{
	if (!c->process || !c->process->apparmor || !c->process->apparmor[0])
		return 0;
	/* The first is AppArmor's own since 5.8; the other belongs to whichever LSM came first. */
	c->lsm_fd = open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
	if (c->lsm_fd < 0 && errno == ENOENT)
		c->lsm_fd = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
	return c->lsm_fd < 0 ? err_set(e, errno, "apparmor", "open the AppArmor label") : 0;
}

int confine_label(struct child *c, struct err *e)
{
	char text[256];
	int n;

	if (c->lsm_fd < 0)
		return 0;
	n = snprintf(text, sizeof text, "exec %s", c->process->apparmor);
	if (n >= (int)sizeof text)
		return err_set(e, ENAMETOOLONG, "apparmor", "AppArmor label %.64s", c->process->apparmor);
	if (write(c->lsm_fd, text, (size_t)n) < 0)
		return err_set(e, errno, "apparmor", "AppArmor label %s", c->process->apparmor);
	return 0;
}
