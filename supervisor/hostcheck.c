/* supervisor/hostcheck.c - Check: what this host can do for containers, what it cannot, and what would help. What berthd knows is
 * said here; what has to be tried (mounts, namespaces, the disk) a job tries. */
#include "base/file.h"
#include "cgroup/group.h"
#include "supervisor/apparmor.h"
#include "supervisor/job.h"
#include "supervisor/request.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_DEADLINE_NS (30 * NS_PER_S)
#define ITEMS_MAX	  96u
#define FDS_PER_CONTAINER 2u

struct item {
	Berth__CheckItem item;
	char name[64], result[16], detail[300], remedy[300];
};

struct checking {
	struct supervisor *sv;
	struct parked parked;
	struct item items[ITEMS_MAX];
	size_t n;
	bool probed;
};

static void add(struct checking *ck, const char *name, const char *result, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void add(struct checking *ck, const char *name, const char *result, const char *remedy, const char *fmt, ...)
{
	struct item *i = &ck->items[ck->n];
	va_list ap;

	if (ck->n == ITEMS_MAX)
		return;
	berth__check_item__init(&i->item);
	snprintf(i->name, sizeof i->name, "%s", name);
	snprintf(i->result, sizeof i->result, "%s", result);
	snprintf(i->remedy, sizeof i->remedy, "%s", remedy ? remedy : "");
	va_start(ap, fmt);
	vsnprintf(i->detail, sizeof i->detail, fmt, ap);
	va_end(ap);
	i->item.name = i->name;
	i->item.result = i->result;
	i->item.detail = i->detail;
	i->item.remedy = *i->remedy ? i->remedy : NULL;
	ck->n++;
}

static void check_cgroups(struct checking *ck)
{
	const struct cg_tree *cg = &ck->sv->cg;
	char name[64];

	if (cg->hybrid)
		add(ck, "cgroup v2", "degraded",
		    "boot with systemd.unified_cgroup_hierarchy=1 (and without cgroup_no_v1)",
		    "%s%s, but some controllers are bound to cgroup v1", cg->mount, cg->path);
	else
		add(ck, "cgroup v2", "ok", NULL, "%s%s", cg->mount, cg->path);
	if (faccessat(cg->jobs_fd, "cgroup.kill", W_OK, 0) == 0)
		add(ck, "cgroup.kill", "ok", NULL, "a group is killed at once");
	else
		add(ck, "cgroup.kill", "missing", "boot a kernel of 6.1 or newer", "%s", strerror(errno));
	for (int i = 0; i < CG_CONTROLLER_N_; i++) {
		if (!(CG_WANTED & CG_BIT(i)))
			continue;
		snprintf(name, sizeof name, "controller %s", cg_controller_name((enum cg_controller)i));
		if (cg->controllers & CG_BIT(i))
			add(ck, name, "ok", NULL, "limits can be set");
		else
			add(ck, name, "missing", cg_controller_remedy(cg, (enum cg_controller)i),
			    "containers run, but its limits are refused");
	}
}

static void check_fds(struct checking *ck)
{
	struct rlimit l;
	uint64_t need = (uint64_t)ck->sv->cfg.max_containers * FDS_PER_CONTAINER + ck->sv->cfg.max_clients + 256;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		add(ck, "open files", "degraded", NULL, "%s", strerror(errno));
	else if (l.rlim_cur < need)
		add(ck, "open files", "degraded", "set LimitNOFILE=1048576 in berthd's unit",
		    "%llu; all that max_containers and max_clients allow would take %llu",
		    (unsigned long long)l.rlim_cur, (unsigned long long)need);
	else
		add(ck, "open files", "ok", NULL, "%llu", (unsigned long long)l.rlim_cur);
}

static void check_store(struct checking *ck)
{
	const char *error = store_error(ck->sv->store);

	if (*error)
		add(ck, "store", "missing", "make room on the disk of the state folder", "%s", error);
	else
		add(ck, "store", "ok", NULL, "%llu writes wait", (unsigned long long)store_queued(ck->sv->store));
}

/* Looked at again: a profile that was loaded meanwhile counts from now on. */
static void check_apparmor(struct checking *ck)
{
	apparmor_look(ck->sv);
	if (!ck->sv->apparmor_kernel)
		add(ck, "AppArmor", "degraded", "boot with security=apparmor to have it",
		    "not active: containers run without a label");
	else if (ck->sv->apparmor)
		add(ck, "AppArmor", "ok", NULL, "the profile " APPARMOR_DEFAULT " is loaded");
	else
		add(ck, "AppArmor", "degraded", "apparmor_parser -r /etc/apparmor.d/" APPARMOR_DEFAULT,
		    "active, but the profile " APPARMOR_DEFAULT " is not loaded: containers run without a label");
}

static void on_probe_record(void *arg, const Berth__Envelope *env)
{
	struct checking *ck = arg;

	if (env->body_case != BERTH__ENVELOPE__BODY_CHECK_REPLY)
		return;
	ck->probed = true;
	for (size_t i = 0; i < env->check_reply->n_items; i++) {
		const Berth__CheckItem *item = env->check_reply->items[i];

		add(ck, item->name ? item->name : "", item->result ? item->result : "", item->remedy, "%s",
		    item->detail ? item->detail : "");
	}
}

static void checking_answer(struct checking *ck)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__CheckReply body = BERTH__CHECK_REPLY__INIT;
	Berth__CheckItem *items[ITEMS_MAX];

	for (size_t i = 0; i < ck->n; i++)
		items[i] = &ck->items[i].item;
	body.items = items;
	body.n_items = ck->n;
	env.body_case = BERTH__ENVELOPE__BODY_CHECK_REPLY;
	env.check_reply = &body;
	reply(ck->sv, ck->parked, &env, NULL, 0);
	free(ck);
}

static void on_probe_done(void *arg, int status)
{
	struct checking *ck = arg;

	if (!ck->probed)
		add(ck, "probes of the host", "missing",
		    WIFSIGNALED(status) ? "look at the disk of the state folder: something on it does not answer"
					: "see berthd's log",
		    WIFSIGNALED(status) ? "the job that tries mounts and namespaces was killed after %llu s"
					: "the job that tries mounts and namespaces failed within %llu s",
		    (unsigned long long)(PROBE_DEADLINE_NS / NS_PER_S));
	checking_answer(ck);
}

void on_check(struct request *rq)
{
	static const struct job_ops ops = {.record = on_probe_record, .done = on_probe_done};
	struct supervisor *sv = rq->sv;
	const char *argv[] = {"probe", sv->cfg.state_dir, sv->cfg.socket_group, sv->cfg.net_path, NULL};
	struct checking *ck = calloc(1, sizeof *ck);
	struct err e = {0};
	char text[600];

	if (!ck) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	ck->sv = sv;
	ck->parked = rq->parked;
	check_cgroups(ck);
	check_fds(ck);
	check_store(ck);
	check_apparmor(ck);
	if (job_start(sv, argv, NULL, 0, PROBE_DEADLINE_NS, &ops, ck, NULL, &e) == 0)
		return;
	add(ck, "workers", "missing", "install berth-job beside berthd, or set job_path", "%s",
	    err_format(&e, text, sizeof text));
	checking_answer(ck);
}
