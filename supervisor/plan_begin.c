/* supervisor/plan_begin.c - which part of a launch can be done before it is asked for.
 *
 * It is done in a network namespace that has no interface yet, whatever networks there will be: what is mounted and set is the same, and
 * what the small files say of them comes with the launch. */
#include "supervisor/plan.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

static bool is_host(const char *mode)
{
	return mode && !strcmp(mode, "host");
}

bool plan_can_begin(const Berth__ContainerSpec *spec)
{
	/* What is on the host may be another thing by then; what is made in a rootfs or set in a namespace would be there for one who wants
	 * neither. */
	return !spec->n_mounts && !spec->n_devices && !spec->n_sysctls && !(spec->pod && spec->pod[0]) &&
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

static Shim__Step *without_content(const Shim__Step *s, struct arena *a)
{
	Shim__Step *step = arena_alloc(a, sizeof *step);
	Shim__FileStep *file = arena_alloc(a, sizeof *file);

	if (!step || !file)
		return NULL;
	*step = *s;
	*file = *s->file;
	file->has_content = 0;
	step->file = file;
	return step;
}

/* What its small files say, and how its host is called, comes with the plan of who goes on with it. NULL: no memory. */
static const Shim__LaunchPlan *what_is_made(const Shim__LaunchPlan *beginning, struct arena *a)
{
	Shim__LaunchPlan *p = arena_alloc(a, sizeof *p);
	Shim__Step **steps = arena_alloc(a, (beginning->n_steps + 1) * sizeof(Shim__Step *));

	if (!p || !steps)
		return NULL;
	*p = *beginning;
	p->steps = steps;
	p->hostname = NULL;
	for (size_t i = 0; i < p->n_steps; i++) {
		bool file = beginning->steps[i]->what_case == SHIM__STEP__WHAT_FILE;

		steps[i] = file ? without_content(beginning->steps[i], a) : beginning->steps[i];
		if (!steps[i])
			return NULL;
	}
	return p;
}

int plan_beginning_digest(const Shim__LaunchPlan *beginning, struct arena *a, uint8_t digest[PLAN_DIGEST])
{
	const Shim__LaunchPlan *p = what_is_made(beginning, a);
	size_t len = p ? shim__launch_plan__get_packed_size(p) : 0;
	uint8_t *data = p ? arena_alloc(a, len + 1) : NULL;

	if (!data)
		return -ENOMEM;
	shim__launch_plan__pack(p, data);
	return EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}
