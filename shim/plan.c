/* shim/plan.c - see shim/plan.h */
#include "shim/plan.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

static int bad(struct err *e, int code, const char *what, const char *more)
{
	return err_set(e, code, "plan", "%s%s%s", what, more ? ": " : "", more ? more : "");
}

/* Fields that a newer berthd knows and we do not: nothing may be silently left out. */
static bool has_unknown(const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	if (m->n_unknown_fields)
		return true;
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const char *at = (const char *)m + f->offset;

		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(const size_t *)((const char *)m + f->quantifier_offset);
			ProtobufCMessage *const *sub = *(ProtobufCMessage *const *const *)at;

			while (n--)
				if (has_unknown(sub[n]))
					return true;
			continue;
		}
		if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
		    *(const uint32_t *)((const char *)m + f->quantifier_offset) != f->id)
			continue;
		const ProtobufCMessage *one = *(ProtobufCMessage *const *)at;
		if (one && has_unknown(one))
			return true;
	}
	return false;
}

static bool absolute(const char *path)
{
	return path && path[0] == '/';
}

static int check_seccomp(const Shim__ProcessPlan *p, struct err *e)
{
	/* 8 = sizeof(struct sock_filter); the kernel takes 4096 at most. */
	if (p->has_seccomp && (!p->seccomp.len || p->seccomp.len % 8 || p->seccomp.len / 8 > 4096))
		return bad(e, EINVAL, "seccomp filter has a bad length", NULL);
	return 0;
}

static int check_rlimits(const Shim__ProcessPlan *p, struct err *e)
{
	for (size_t i = 0; i < p->n_rlimits; i++)
		if (!p->rlimits[i]->has_resource || p->rlimits[i]->resource >= RLIM_NLIMITS)
			return bad(e, EINVAL, "unknown rlimit", NULL);
	return 0;
}

static int check_process(const Shim__ProcessPlan *p, struct err *e)
{
	int r;

	if (!p)
		return bad(e, EINVAL, "no process", NULL);
	if (!p->n_argv || !p->argv[0][0])
		return bad(e, EINVAL, "nothing to execute", NULL);
	if (p->cwd && !absolute(p->cwd))
		return bad(e, EINVAL, "working directory is not absolute", p->cwd);
	r = check_seccomp(p, e);
	return r < 0 ? r : check_rlimits(p, e);
}

static int check_overlay(const Shim__Overlay *o, struct err *e)
{
	if (!o->n_layers)
		return bad(e, EINVAL, "overlay without layers", NULL);
	for (size_t i = 0; i < o->n_layers; i++)
		if (!absolute(o->layers[i]))
			return bad(e, EINVAL, "layer is not an absolute path", o->layers[i]);
	if (!o->upper != !o->work)
		return bad(e, EINVAL, "overlay needs both of upper and work, or none", NULL);
	if (o->upper && (!absolute(o->upper) || !absolute(o->work)))
		return bad(e, EINVAL, "upper and work must be absolute paths", NULL);
	return 0;
}

const char *plan_step_target(const Shim__Step *s)
{
	switch (s->what_case) {
	case SHIM__STEP__WHAT_MOUNT:
		return s->mount->target;
	case SHIM__STEP__WHAT_NODE:
		return s->node->path;
	case SHIM__STEP__WHAT_SYMLINK:
		return s->symlink->path;
	case SHIM__STEP__WHAT_DIRECTORY:
		return s->directory->path;
	case SHIM__STEP__WHAT_FILE:
		return s->file->path;
	case SHIM__STEP__WHAT_MASK:
		return s->mask->path;
	case SHIM__STEP__WHAT_READONLY_PATH:
		return s->readonly_path->path;
	case SHIM__STEP__WHAT_TREE:
		return s->tree->path;
	default:
		return NULL;
	}
}

/* Steps that take something from the host can only run while the host's paths resolve. */
static bool step_needs_host(const Shim__Step *s)
{
	if (s->what_case == SHIM__STEP__WHAT_TREE)
		return true; /* its nodes may be bound */
	return s->what_case == SHIM__STEP__WHAT_FILE || (s->what_case == SHIM__STEP__WHAT_MOUNT && !s->mount->fstype);
}

static int check_tree(const Shim__TreeStep *t, const char *where, struct err *e)
{
	if (t->n_steps > PLAN_STEPS_MAX)
		return bad(e, E2BIG, "too many steps", where);
	for (size_t i = 0; i < t->n_steps; i++) {
		const Shim__Step *s = t->steps[i];

		if ((s->what_case != SHIM__STEP__WHAT_MOUNT || !s->mount->fstype) &&
		    s->what_case != SHIM__STEP__WHAT_NODE && s->what_case != SHIM__STEP__WHAT_SYMLINK)
			return bad(e, ENOTSUP, "what a tree cannot have", where);
		if (!s->has_stage || s->stage != SHIM__STEP__STAGE__ROOTFS)
			return bad(e, EINVAL, "a tree belongs to stage ROOTFS", where);
		if (!absolute(plan_step_target(s)))
			return bad(e, EINVAL, "no absolute path", where);
	}
	return 0;
}

static int check_step(const Shim__Step *s, size_t i, struct err *e)
{
	char where[80];

	snprintf(where, sizeof where, "step %zu%s%.48s", i, s->name ? " " : "", s->name ? s->name : "");
	if (s->what_case == SHIM__STEP__WHAT__NOT_SET)
		return bad(e, ENOTSUP, "this shim does not know what it asks", where);
	if (!s->has_stage || s->stage < SHIM__STEP__STAGE__PREPARE || s->stage > SHIM__STEP__STAGE__INSIDE)
		return bad(e, ENOTSUP, "unknown stage", where);
	if ((s->what_case == SHIM__STEP__WHAT_OVERLAY) != (s->stage == SHIM__STEP__STAGE__PREPARE))
		return bad(e, EINVAL, "an overlay and nothing else belongs to stage PREPARE", where);
	if (s->stage == SHIM__STEP__STAGE__INSIDE && step_needs_host(s))
		return bad(e, EINVAL, "needs the host's paths, which are gone in stage INSIDE", where);
	if (s->what_case == SHIM__STEP__WHAT_OVERLAY)
		return check_overlay(s->overlay, e);
	if (s->what_case == SHIM__STEP__WHAT_SYSCTL)
		return s->sysctl->key && s->sysctl->value ? 0 : bad(e, EINVAL, "sysctl without key or value", where);
	if (!absolute(plan_step_target(s)))
		return bad(e, EINVAL, "no absolute path", where);
	if (s->what_case == SHIM__STEP__WHAT_MOUNT && !s->mount->fstype && !absolute(s->mount->source))
		return bad(e, EINVAL, "bind without an absolute source", where);
	if (s->what_case == SHIM__STEP__WHAT_SYMLINK && !s->symlink->target)
		return bad(e, EINVAL, "symlink without a target", where);
	if (s->what_case == SHIM__STEP__WHAT_NODE && !s->node->has_mode)
		return bad(e, EINVAL, "device node without a mode", where);
	return s->what_case == SHIM__STEP__WHAT_TREE ? check_tree(s->tree, where, e) : 0;
}

static int check_steps(Shim__Step *const *steps, size_t n, struct err *e)
{
	int stage = 0, overlays = 0, r;

	if (n > PLAN_STEPS_MAX)
		return bad(e, E2BIG, "too many steps", NULL);
	for (size_t i = 0; i < n; i++) {
		r = check_step(steps[i], i, e);
		if (r < 0)
			return r;
		if ((int)steps[i]->stage < stage)
			return bad(e, EINVAL, "steps are not in the order of their stages", NULL);
		stage = (int)steps[i]->stage;
		overlays += steps[i]->what_case == SHIM__STEP__WHAT_OVERLAY;
	}
	return overlays > 1 ? bad(e, EINVAL, "more than one overlay", NULL) : 0;
}

/* Of a launch, and of one that is begun ahead. */
static int check_head(const Shim__LaunchPlan *l, const char *uuid, struct err *e)
{
	if (l->version < SHIM_VERSION_OLDEST || l->version > SHIM_VERSION)
		return err_set(e, EPROTO, "plan", "launch plan of version %u, this shim speaks %u to %u", l->version,
			       SHIM_VERSION_OLDEST, SHIM_VERSION);
	if (has_unknown(&l->base))
		return bad(e, ENOTSUP, "it has fields that this shim does not know", NULL);
	if (!l->uuid || strcmp(l->uuid, uuid) != 0)
		return bad(e, EINVAL, "it is for another container", l->uuid);
	if (l->program != SHIM__LAUNCH_PLAN__PROGRAM__EXEC && l->program != SHIM__LAUNCH_PLAN__PROGRAM__PAUSE)
		return bad(e, ENOTSUP, "unknown program", NULL);
	if (l->net < SHIM__LAUNCH_PLAN__NET__NET_NEW || l->net > SHIM__LAUNCH_PLAN__NET__NET_POD)
		return bad(e, ENOTSUP, "unknown kind of network", NULL);
	if (!absolute(l->staging_dir))
		return bad(e, EINVAL, "no staging folder", NULL);
	return check_steps(l->steps, l->n_steps, e);
}

static int check_launch(const Shim__LaunchPlan *l, const char *uuid, struct err *e)
{
	int r = check_head(l, uuid, e);

	if (r < 0)
		return r;
	if (!l->has_incarnation || !l->incarnation)
		return bad(e, EINVAL, "no incarnation", NULL);
	if (l->log_dir && !absolute(l->log_dir))
		return bad(e, EINVAL, "log folder is not an absolute path", l->log_dir);
	if (l->exit_record && !absolute(l->exit_record))
		return bad(e, EINVAL, "exit record is not an absolute path", l->exit_record);
	if (l->userns_count && l->userns_pod)
		return bad(e, EINVAL, "a user namespace of its own and the pod's", NULL);
	if (l->userns_pod && !l->has_userns_first_id)
		return bad(e, EINVAL, "the pod's user namespace without its first id", NULL);
	if (l->program == SHIM__LAUNCH_PLAN__PROGRAM__EXEC)
		return check_process(l->process, e);
	return l->process ? check_seccomp(l->process, e) : 0;
}

/* Nothing that belongs to others: they may have changed by the time that it is used. */
static int check_stand_by(const Shim__LaunchPlan *l, const char *uuid, struct err *e)
{
	int r = check_head(l, uuid, e);

	if (r < 0)
		return r;
	if (!l->process || l->program != SHIM__LAUNCH_PLAN__PROGRAM__EXEC)
		return bad(e, EINVAL, "no process", NULL);
	if (plan_needs_pod(l) || l->userns_count)
		return bad(e, ENOTSUP, "a process that stands by is in no pod and has no ids of its own", NULL);
	return check_rlimits(l->process, e);
}

bool plan_needs_pod(const Shim__LaunchPlan *l)
{
	if (l->net == SHIM__LAUNCH_PLAN__NET__NET_POD || l->ipc_pod || l->uts_pod || l->pid_pod || l->userns_pod)
		return true;
	for (size_t i = 0; i < l->n_steps; i++)
		if (l->steps[i]->what_case == SHIM__STEP__WHAT_MOUNT && l->steps[i]->mount->from_pod)
			return true;
	return false;
}

/* Unpacked strings take more room than packed ones, structures of empty steps most of all; pages that stay unused cost nothing. */
static int unpack(struct plan *p, int memfd, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret, struct err *e)
{
	const void *data;
	size_t len;
	int r;

	r = memfd_map(memfd, PLAN_MAX, &data, &len);
	if (r < 0)
		return err_set(e, r, "plan", "read the plan's memfd");
	r = arena_init(&p->arena, len * 32 + 65536);
	if (r == 0)
		*ret = protobuf_c_message_unpack(d, &p->arena.allocator, len, data);
	munmap((void *)(uintptr_t)data, len);
	if (r < 0)
		return err_set(e, r, "plan", "memory for the plan");
	if (!*ret)
		return err_set(e, EBADMSG, "plan", "the plan cannot be unpacked");
	return 0;
}

int plan_open_launch(struct plan *p, int memfd, const char *uuid, struct err *e)
{
	ProtobufCMessage *m = NULL;
	int r;

	*p = PLAN_NULL;
	r = unpack(p, memfd, &shim__launch_plan__descriptor, &m, e);
	if (r < 0)
		return r;
	p->launch = (Shim__LaunchPlan *)m;
	return check_launch(p->launch, uuid, e);
}

int plan_open_prepare(struct plan *p, int memfd, const char *uuid, struct err *e)
{
	ProtobufCMessage *m = NULL;
	int r;

	*p = PLAN_NULL;
	r = unpack(p, memfd, &shim__prepare_plan__descriptor, &m, e);
	if (r < 0)
		return r;
	p->prepare = (Shim__PreparePlan *)m;
	if (has_unknown(m))
		return bad(e, ENOTSUP, "it has fields that this shim does not know", NULL);
	if (p->prepare->stand_by)
		return check_stand_by(p->prepare->stand_by, uuid, e);
	if (!absolute(p->prepare->staging_dir))
		return bad(e, EINVAL, "no staging folder", NULL);
	for (size_t i = 0; i < p->prepare->n_steps; i++)
		if ((i == 0) != (p->prepare->steps[i]->what_case == SHIM__STEP__WHAT_OVERLAY) ||
		    (i && p->prepare->steps[i]->what_case != SHIM__STEP__WHAT_TREE &&
		     p->prepare->steps[i]->what_case != SHIM__STEP__WHAT_FILE))
			return bad(e, ENOTSUP, "it asks for more than an overlay, trees and files", NULL);
	return check_steps(p->prepare->steps, p->prepare->n_steps, e);
}

int plan_open_exec(struct plan *p, int memfd, struct err *e)
{
	ProtobufCMessage *m = NULL;
	int r;

	*p = PLAN_NULL;
	r = unpack(p, memfd, &shim__exec_plan__descriptor, &m, e);
	if (r < 0)
		return r;
	p->exec = (Shim__ExecPlan *)m;
	if (has_unknown(m))
		return bad(e, ENOTSUP, "it has fields that this shim does not know", NULL);
	return check_process(p->exec->process, e);
}

void plan_close(struct plan *p)
{
	arena_fini(&p->arena);
	*p = PLAN_NULL;
}
