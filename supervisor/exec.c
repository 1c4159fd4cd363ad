/* supervisor/exec.c - see supervisor/exec.h */
#include "supervisor/exec.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/wire.h"
#include "supervisor/caps.h"
#include "supervisor/check.h"
#include "supervisor/check_member.h"
#include "supervisor/container_request.h"
#include "supervisor/launch.h"
#include "supervisor/request.h"
#include "supervisor/seccomp.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct exec {		  /* asked for, not yet started */
	struct list link; /* container.execs */
	struct parked parked;
	int session_fd; /* owned: the client's end; -1 with detach */
	char id[24];
};

static int send_session(struct container *c, Shim__ShimMessage *m, const int *fds, const Shim__FdRole *roles,
			unsigned n)
{
	if (!c->shim)
		return -ENOTCONN;
	m->fds = (Shim__FdRole *)roles;
	m->n_fds = n;
	return shimlink_send(c->shim, m, fds, n);
}

int exec_attach(struct container *c, int session_fd, bool want_stdin, uint32_t rows, uint32_t cols)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Attach body = SHIM__ATTACH__INIT;

	SET(&body, want_stdin, want_stdin);
	body.has_rows = body.has_cols = rows && cols;
	body.rows = rows;
	body.cols = cols;
	m.body_case = SHIM__SHIM_MESSAGE__BODY_ATTACH;
	m.attach = &body;
	return send_session(c, &m, &session_fd, (Shim__FdRole[]){SHIM__FD_ROLE__FD_SESSION}, 1);
}

int exec_release(struct container *c)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Release body = SHIM__RELEASE__INIT;

	m.body_case = SHIM__SHIM_MESSAGE__BODY_RELEASE;
	m.release = &body;
	return send_session(c, &m, NULL, NULL, 0);
}

void on_container_attach(struct request *rq)
{
	const Berth__ContainerAttach *ask = rq->env->container_attach;
	struct event ev = EVENT(EV_ATTACH);
	struct container *c = request_container(rq, ask->ref);
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Done done = BERTH__DONE__INIT;
	int pair[2], r;

	if (!c || !request_may_enter(rq, c) || !request_event(rq, c, &ev))
		return;
	r = wire_pair(pair);
	if (!r) {
		r = exec_attach(c, pair[1], ask->want_stdin, ask->rows, ask->cols);
		close(pair[1]);
		if (r < 0)
			close(pair[0]);
	}
	if (r < 0) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "cannot attach: %s", strerror(-r));
		return;
	}
	done.uuid = c->node.uuid;
	env.body_case = BERTH__ENVELOPE__BODY_DONE;
	env.done = &done;
	reply(rq->sv, rq->parked, &env, pair, 1);
	close(pair[0]);
}

/* ---------------------------------------------------------------- exec */

static int exec_plan(struct container *c, Berth__ExecSpec *spec, const char *id, int *ret_fd, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct plan_facts f;
	Shim__ExecPlan *plan;
	int r = launch_facts(c, &a, &f, e);

	/* All capabilities, and the container's own profile as it is for a container that has them. */
	if (!r && spec->privileged) {
		f.caps = caps_ours();
		r = seccomp_get(c->sv->seccomp, c->obj->spec->security, f.caps, &f.seccomp, &f.seccomp_len, e);
	}
	launch_exec_facts(c, &f);
	if (spec->privileged)
		f.apparmor = NULL;
	if (!r)
		r = plan_make_exec(&f, spec, id, &a, &plan, e);
	if (r == -ENOMEM)
		err_set(e, ENOMEM, "plan", "no memory for the plan");
	if (!r)
		r = launch_pack(&plan->base, "berth-exec", ret_fd, e);
	arena_fini(&a);
	return r;
}

static int exec_send(struct container *c, const char *id, int plan_fd, int session_fd, struct err *e)
{
	static const Shim__FdRole roles[] = {SHIM__FD_ROLE__FD_PLAN, SHIM__FD_ROLE__FD_SESSION};
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
	Shim__Exec body = SHIM__EXEC__INIT;
	int r;

	body.exec_id = (char *)id;
	m.body_case = SHIM__SHIM_MESSAGE__BODY_EXEC;
	m.exec = &body;
	m.request_id = (char *)log_about_now(); /* we are within the request */
	r = send_session(c, &m, (int[]){plan_fd, session_fd}, roles, session_fd >= 0 ? 2 : 1);
	return r < 0 ? err_set(e, -r, "shim", "tell the shim") : 0;
}

static int exec_begin(struct container *c, Berth__ExecSpec *spec, struct parked parked, struct err *e)
{
	struct exec *x = calloc(1, sizeof *x);
	AUTO_FD plan_fd = -1;
	AUTO_FD shim_end = -1;
	uint64_t number = 0;
	int pair[2], r;

	if (!x)
		return err_set(e, ENOMEM, "exec", "no memory");
	*x = (struct exec){.parked = parked, .session_fd = -1};
	/* Random: execs of an earlier berthd may still live, and their groups have their ids in their names. */
	getrandom(&number, sizeof number, 0);
	snprintf(x->id, sizeof x->id, "%012llx", (unsigned long long)(number >> 16));
	r = exec_plan(c, spec, x->id, &plan_fd, e);
	if (!r && !spec->detach) {
		r = wire_pair(pair);
		if (r < 0) {
			err_set(e, -r, "exec", "a socket for the session");
		} else {
			x->session_fd = pair[0];
			shim_end = pair[1];
		}
	}
	if (!r)
		r = exec_send(c, x->id, plan_fd, shim_end, e);
	if (r < 0) {
		close_fd(&x->session_fd);
		free(x);
		return r;
	}
	list_push(&c->execs, &x->link);
	return 0;
}

void on_container_exec(struct request *rq)
{
	const Berth__ContainerExec *ask = rq->env->container_exec;
	struct event ev = EVENT(EV_EXEC);
	struct container *c = request_container(rq, ask->ref);
	Berth__ExecSpec empty = BERTH__EXEC_SPEC__INIT;
	Berth__ExecSpec *spec = ask->exec ? ask->exec : &empty;
	struct err e;
	int r;

	if (!c)
		return;
	if (!request_may_enter(rq, c))
		return;
	r = principal_sees_all(&rq->who) ? 0 : check_member_exec(spec, &e);
	if (r == 0)
		r = check_exec_spec(rq->sv, spec, &e);
	if (r < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	if (!request_event(rq, c, &ev))
		return;
	r = exec_begin(c, spec, rq->parked, &e);
	if (r < 0)
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
}

static struct exec *exec_take(struct container *c, const char *id)
{
	struct exec *x;

	list_each (x, &c->execs, link)
		if (id && !strcmp(x->id, id)) {
			list_del(&x->link);
			return x;
		}
	return NULL;
}

static void exec_free(struct exec *x)
{
	close_fd(&x->session_fd);
	free(x);
}

void exec_started(struct container *c, const Shim__ExecStarted *s)
{
	struct exec *x = exec_take(c, s->exec_id);
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ExecReply body = BERTH__EXEC_REPLY__INIT;

	container_publish(c, "exec_start", NULL, (const char *const[]){"exec_id", s->exec_id ? s->exec_id : "", NULL});
	if (!x)
		return;
	body.exec_id = x->id;
	SET(&body, pid, s->pid);
	env.body_case = BERTH__ENVELOPE__BODY_EXEC_REPLY;
	env.exec_reply = &body;
	reply(c->sv, x->parked, &env, &x->session_fd, x->session_fd >= 0);
	exec_free(x);
}

void exec_failed(struct container *c, const Shim__Failed *f)
{
	struct exec *x = exec_take(c, f->exec_id);
	struct err e;

	if (!x)
		return;
	err_set(&e, f->sys_errno, f->step, "%s", f->text ? f->text : "");
	e.code = f->sys_errno;
	reply_err(c->sv, x->parked, BERTH__ERROR__CODE__START_FAILED, &e);
	exec_free(x);
}

void exec_exited(struct container *c, const Shim__ExecExited *x)
{
	char code[16];

	snprintf(code, sizeof code, "%d", x->signal ? 128 + x->signal : x->code);
	container_publish(c, "exec_die", x->timed_out ? "timed out" : NULL,
			  (const char *const[]){"exec_id", x->exec_id ? x->exec_id : "", "exit_code", code, NULL});
}

void exec_forget(struct container *c)
{
	struct exec *x;

	while ((x = list_pop(&c->execs, struct exec, link))) {
		reply_error(c->sv, x->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "the container or its shim was lost before the exec began");
		exec_free(x);
	}
}
