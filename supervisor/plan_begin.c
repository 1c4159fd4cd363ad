/* supervisor/plan_begin.c - which part of a launch can be done before it is asked for. */
#include "supervisor/plan.h"

#include <string.h>

static bool is_host(const char *mode)
{
	return mode && !strcmp(mode, "host");
}

bool plan_can_begin(const Berth__ContainerSpec *spec)
{
	/* What is on the host may be another thing by then; what is made in a rootfs or said to a network would be there for one who wants
	 * neither. */
	return !spec->n_mounts && !spec->n_devices && !spec->n_sysctls && !spec->n_networks &&
	       !(spec->pod && spec->pod[0]) &&
	       !(spec->security && (spec->security->privileged || spec->security->userns)) && !is_host(spec->network) &&
	       !is_host(spec->pid_mode) && !is_host(spec->ipc_mode);
}

Shim__LaunchPlan *plan_beginning(const Shim__LaunchPlan *whole, struct arena *a)
{
	Shim__LaunchPlan *p = arena_alloc(a, sizeof *p);
	Shim__ProcessPlan *process = arena_alloc(a, sizeof *process);

	if (!p || !process)
		return NULL;
	*p = *whole;
	p->has_incarnation = p->has_hold_before_exec = p->has_as_prepared = p->has_stand_by_next =
		p->has_log_max_bytes = p->has_log_max_files = p->has_timeout_ms = 0;
	p->request_id = p->exit_record = p->log_dir = NULL;
	shim__process_plan__init(process);
	process->rlimits = whole->process->rlimits;
	process->n_rlimits = whole->process->n_rlimits;
	process->has_oom_score_adj = whole->process->has_oom_score_adj;
	process->oom_score_adj = whole->process->oom_score_adj;
	process->has_oom_score_adj_optional = whole->process->has_oom_score_adj_optional;
	process->oom_score_adj_optional = whole->process->oom_score_adj_optional;
	process->apparmor = whole->process->apparmor;
	p->process = process;
	return p;
}
