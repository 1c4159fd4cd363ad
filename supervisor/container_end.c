/* supervisor/container_end.c - the actions of an end, whoever brought it about: what is written down of it, what follows from it
 * (policy.c decides), and the ends that nobody reported: of the shim, of the host. */
#include "supervisor/container_act.h"

#include "base/file.h"
#include "proto/envelope.h"
#include "supervisor/copy.h"
#include "supervisor/exec.h"
#include "supervisor/logs.h"
#include "supervisor/pod.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/spare.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* The container has ended for good: its shim is not needed any more. */
void container_bye(struct container *c)
{
	if (!c->shim || c->bye_sent)
		return;
	c->bye_sent = true;
	shimlink_bye(c->shim);
}

static void exit_words(const struct container *c, char *buf, size_t size)
{
	const Shim__ExitRecord *x = &c->exit;
	char name[32];

	if (!c->exit_known)
		snprintf(buf, size, c->ran ? "its shim died: exit status unknown" : "it never ran");
	else if (x->signal)
		snprintf(buf, size, "killed by %s%s%s", signal_name(x->signal, name, sizeof name),
			 x->core_dumped ? " (core dumped)" : "", x->oom_kills ? ", out of memory" : "");
	else
		snprintf(buf, size, "exited with %d%s", x->code,
			 x->oom_kills ? ", processes of it were killed: out of memory" : "");
}

void container_record_exit(struct container *c)
{
	Berth__ContainerStatus *st = c->obj->status;
	Berth__ExitInfo *info = calloc(1, sizeof *info);
	const Shim__ExitRecord *x = &c->exit;
	char words[128], code[16];

	exit_words(c, words, sizeof words);
	snprintf(code, sizeof code, "%d", x->signal ? 128 + x->signal : x->code);
	SET(st, pid, 0);
	SET(st, finished_at, c->exit_known && x->finished_at ? x->finished_at : wall_ns());
	if (c->exit_known && x->oom_known)
		SET(st, oom_kills, x->oom_kills);
	set_text(&st->status_reason, "%s", words);
	if (info) {
		berth__exit_info__init(info);
		SET(info, incarnation, st->incarnation);
		SET(info, known, c->exit_known);
		if (c->exit_known) {
			SET(info, code, x->signal ? 128 + x->signal : x->code);
			SET(info, signal, x->signal);
			SET(info, core_dumped, x->core_dumped);
			SET(info, oom_killed, x->oom_kills != 0);
			SET(info, oom_kills, x->oom_kills);
		}
		SET(info, started_at, c->exit_known && x->started_at ? x->started_at : st->started_at);
		SET(info, finished_at, st->finished_at);
		set_text(&info->reason, "%s", words);
		if (st->last_exit)
			berth__exit_info__free_unpacked(st->last_exit, NULL);
		st->last_exit = info;
	}
	container_publish(c, "die", words, c->exit_known ? (const char *const[]){"exit_code", code, NULL} : NULL);
	container_touch(c);
}

static struct ending ending_of(const struct container *c, bool asked)
{
	const Berth__ContainerStatus *st = c->obj->status;
	int64_t ran = st->finished_at - st->started_at;

	return (struct ending){
		.known = c->exit_known,
		.code = c->exit.code,
		.signal = c->exit.signal,
		.asked = asked,
		.start_failed = !c->ran,
		.by_person = c->by_person,
		.ran_ns = st->started_at && ran > 0 ? (uint64_t)ran : 0,
	};
}

state container_stay_ended(struct container *c, bool asked)
{
	Berth__ContainerStatus *st = c->obj->status;
	bool again = c->sv->going_down && !asked && policy_starts_at_boot(c->obj->spec->restart, st->desired_running);

	SET(st, desired_running, again);
	container_answer(c, WAIT_BIT(WAIT_NOT_RUNNING));
	if (asked)
		container_publish(c, "stop", NULL, NULL);
	container_bye(c);
	pod_member_ended(c->pod, c);
	c->goes_by_itself = c->ran && c->obj->spec->auto_remove;
	if (c->obj->spec->auto_remove)
		return container_remove_own(c);
	return asked ? S(STOPPED) : S(EXITED);
}

/* The one door through which every incarnation leaves: what happened is in c->exit, c->exit_known, c->ran. */
state act_exited(struct container *c, struct event *ev)
{
	bool asked = container_state(c) == S(STOPPING) && c->obj->status->stop_requested;
	struct decision d;
	unsigned jitter = 0;
	struct ending end;
	struct err e;

	asked |= c->asked_until_ns && now_ns() < c->asked_until_ns;
	timer_del(&c->timer);
	close_fd(&c->session_fd);
	container_freeze_forget(c, "the container has ended");
	exec_forget(c);
	if (c->exit_known)
		container_note_ran(c);
	container_record_exit(c);
	container_group_bury(c);
	net_holder_forget(&c->net);
	c->phase = PHASE_NONE;
	c->held = false;
	SET(c->obj->status, process_stuck, 0);
	SET(c->obj->status, stop_requested, asked);
	err_set(&e, 0, "start", "it ended while it was being started: %s", c->obj->status->status_reason);
	if (c->ran)
		container_answer_started(c);
	else
		waiters_fail(c, WAIT_BIT(WAIT_STARTED), BERTH__ERROR__CODE__START_FAILED, &e);
	container_answer(c, WAIT_BIT(WAIT_ENDED) | WAIT_BIT(WAIT_NEXT_EXIT));
	/* Restarted, and it ended before that was reported; or a stop had the last word over the restart. */
	if (!c->start_after && container_state(c) != S(STOPPING))
		container_answer(c, WAIT_BIT(WAIT_RESTARTED));
	else if (!c->start_after)
		waiters_fail(c, WAIT_BIT(WAIT_RESTARTED), BERTH__ERROR__CODE__CONFLICT, &e);
	if (c->rebuild.step == REBUILD_WANTED)
		return container_rebuild_begin(c);
	if (c->start_after) {
		c->by_person = true;
		container_start_wanted(c);
		return container_start(c, S(STOPPED));
	}
	if (c->sv->going_down && !asked) {
		set_text(&c->obj->status->restart_decision,
			 "the host goes down: the policy decides when it is up again");
		return container_stay_ended(c, false);
	}
	end = ending_of(c, asked);
	getrandom(&jitter, sizeof jitter, GRND_NONBLOCK);
	d = policy_decide(c->obj->spec->restart, &c->history, &end, jitter);
	container_set_history(c, d.history);
	set_text(&c->obj->status->restart_decision, "%s", d.why);
	return d.verdict == VERDICT_RESTART ? container_retry(c, &d) : container_stay_ended(c, asked);
}

/* The file that the shim wrote before it spoke: it may have died in between. */
static Shim__ExitRecord *record_read(struct container *c)
{
	uint8_t data[1024];
	char path[160];
	ssize_t len;
	Shim__ExitRecord *x;

	path_exit(c->sv, c->node.uuid, path, sizeof path);
	len = file_read(AT_FDCWD, path, (char *)data, sizeof data);
	x = len > 0 ? message_unpack(&shim__exit_record__descriptor, data, (size_t)len) : NULL;
	if (x && (!x->boot_id || strcmp(x->boot_id, c->sv->boot_id) || x->incarnation != c->obj->status->incarnation)) {
		shim__exit_record__free_unpacked(x, NULL);
		x = NULL;
	}
	return x;
}

static void exit_take(struct container *c, const Shim__ExitRecord *x)
{
	c->exit_known = x != NULL;
	c->exit = x ? *x : (Shim__ExitRecord)SHIM__EXIT_RECORD__INIT;
	c->exit.boot_id = c->exit.uuid = NULL;
}

state container_shim_lost_ended(struct container *c)
{
	Shim__ExitRecord *x = record_read(c);
	struct event ev = EVENT(EV_EXITED);

	exit_take(c, x);
	if (x)
		shim__exit_record__free_unpacked(x, NULL);
	return act_exited(c, &ev);
}

state act_shim_left(struct container *c, struct event *ev)
{
	char path[160];

	net_holder_down(&c->net);
	shimlink_free(c->shim);
	c->shim = NULL;
	prepared_free(take_ptr(c->prepared));
	c->bye_sent = false;
	SET(c->obj->status, shim_pid, 0);
	path_shim(c->sv, c->node.uuid, path, sizeof path);
	unlink(path);
	container_touch(c);
	logs_container_changed(c->sv, c->node.uuid);
	copies_go_on(c, NULL);
	return 0;
}

/* Nobody holds the container any more: its processes die with their shim, then what the shim left written decides. */
state act_shim_lost(struct container *c, struct event *ev)
{
	act_shim_left(c, ev);
	container_freeze_forget(c, "the container's shim died");
	container_group_kill(c);
	if (!container_group_populated(c))
		return container_shim_lost_ended(c);
	c->phase = PHASE_SHIM_LOST;
	set_text(&c->obj->status->status_reason, "its shim died; what it left is being killed");
	container_poll_begin(c);
	return 0;
}

state act_no_answer(struct container *c, struct event *ev)
{
	timer_del(&c->timer);
	set_text(&c->obj->status->status_reason, "its shim does not answer");
	return 0;
}

/* The host was restarted: nothing of it runs, nobody saw its end, and the policy says whether it starts. */
state act_boot(struct container *c, struct event *ev)
{
	Berth__ContainerStatus *st = c->obj->status;
	state now = container_state(c) == S(REBUILDING) ? S(STOPPED) : container_state(c);
	bool lived = container_has_process(c) || now == S(UNKNOWN);
	bool wanted = policy_starts_at_boot(c->obj->spec->restart, st->desired_running);

	/* Never started is not to be restarted; but a start that was accepted and waited for its pod is owed. */
	if (now == S(CREATED))
		wanted = st->desired_running;
	if (lived) {
		exit_take(c, NULL);
		c->ran = st->started_at != 0;
		container_record_exit(c);
		set_text(&st->last_exit->reason, "the host went down while it ran: exit status unknown");
		set_text(&st->status_reason, "%s", st->last_exit->reason);
	}
	SET(st, next_retry_at, 0);
	container_set_history(c, (struct history){0});
	container_touch(c);
	if (wanted) {
		set_text(&st->restart_decision, "started because the host was: the policy says so");
		SET(st, desired_running, 1);
		if (c->rebuild.step == REBUILD_WANTED) /* on its new root, of which it has none yet */
			return lived ? S(EXITED) : now;
		return container_start(c, lived ? S(EXITED) : now);
	}
	SET(st, desired_running, 0);
	if (lived && c->obj->spec->auto_remove)
		return container_remove_own(c);
	return now == S(BACKOFF) ? S(EXITED) : 0;
}
