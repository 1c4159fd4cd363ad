/* supervisor/info.c - Info: what berthd is and has just now. */
#include "base/log.h"
#include "supervisor/container.h"
#include "supervisor/control.h"
#include "supervisor/pod.h"
#include "supervisor/slot.h"
#include "supervisor/spare.h"
#include "supervisor/store.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

static uint32_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint32_t n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n > 3 ? n - 3 : 0; /* ".", ".." and the folder itself */
}

static void info_containers(const struct supervisor *sv, const struct principal *who, Berth__InfoReply *i)
{
	struct table_node *n;

	list_each (n, &sv->containers.all, link) {
		const struct container *c = container_of(n, struct container, node);

		if (!principal_sees(who, c->obj->meta))
			continue;
		i->containers++;
		i->shims += c->shim != NULL;
		if (container_state(c) == BERTH__CONTAINER_STATE__CONTAINER_STATE_PAUSED)
			i->containers_paused++;
		else if (container_has_process(c))
			i->containers_running++;
		else
			i->containers_stopped++;
	}
	list_each (n, &sv->pods.all, link) {
		const struct pod *p = container_of(n, struct pod, node);

		if (!principal_sees(who, p->obj->meta))
			continue;
		i->pods += !p->obj->implicit;
		i->shims += p->holder != NULL;
	}
	i->has_containers = i->has_containers_paused = i->has_containers_running = i->has_containers_stopped = true;
	i->has_pods = true;
}

static void info_cgroup(const struct supervisor *sv, Berth__InfoReply *i, char **have, char **missing)
{
	for (int k = 0; k < CG_CONTROLLER_N_; k++) {
		char *name = (char *)(uintptr_t)cg_controller_name((enum cg_controller)k); /* only packed */

		if (sv->cg.controllers & CG_BIT(k))
			have[i->n_controllers++] = name;
		else if (CG_WANTED & CG_BIT(k))
			missing[i->n_controllers_missing++] = name;
	}
	i->controllers = have;
	i->controllers_missing = missing;
}

static void info_host(Berth__InfoReply *i, struct utsname *u)
{
	struct sysinfo si;

	if (uname(u) == 0) {
		i->host = u->nodename;
		i->kernel = u->release;
		i->architecture = u->machine;
	}
	i->has_cpus = true;
	i->cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	if (sysinfo(&si) == 0) {
		i->has_memory_bytes = true;
		i->memory_bytes = (uint64_t)si.totalram * si.mem_unit;
	}
}

/* What is berthd's own and the host's: not for members. */
static void info_daemon(const struct supervisor *sv, Berth__InfoReply *i)
{
	static char *slots[SPARES_MAX];

	i->has_pid = i->has_images = i->has_clients = i->has_generation = i->has_store_queue = i->has_fds = true;
	i->pid = getpid();
	i->state_dir = (char *)(uintptr_t)sv->cfg.state_dir; /* only packed, as below */
	i->run_dir = (char *)(uintptr_t)sv->cfg.run_dir;
	i->cgroup_root = (char *)(uintptr_t)sv->cg.path;
	i->has_cgroups_undead = i->has_shims = i->has_spare_shims = true;
	i->cgroups_undead = sv->graveyard.n;
	i->images = sv->images.n;
	i->clients = control_clients(sv);
	i->generation = sv->generation;
	i->store_queue = store_queued(sv->store);
	i->store_error = (char *)(uintptr_t)store_error(sv->store);
	i->fds = count_fds();
	i->spare_shims = spare_count(sv);
	i->network_slots = slots;
	i->n_network_slots = slots_links(sv, slots, ARRAY_SIZE(slots));
}

void on_info(struct request *rq)
{
	static char version[] = BERTH_VERSION;
	struct supervisor *sv = rq->sv;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__InfoReply i = BERTH__INFO_REPLY__INIT;
	char *have[CG_CONTROLLER_N_], *missing[CG_CONTROLLER_N_];
	struct utsname u;

	i.version = version;
	i.has_started_at = i.has_revision = true;
	i.started_at = sv->started_at;
	i.revision = supervisor_revision(sv);
	info_host(&i, &u);
	info_containers(sv, &rq->who, &i);
	info_cgroup(sv, &i, have, missing);
	if (principal_sees_all(&rq->who))
		info_daemon(sv, &i);
	else
		i.host = i.kernel = NULL;
	env.body_case = BERTH__ENVELOPE__BODY_INFO_REPLY;
	env.info_reply = &i;
	reply(sv, rq->parked, &env, NULL, 0);
}
