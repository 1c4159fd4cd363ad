/* supervisor/container_act.h - what the actions of a container share; for container.c and its action files only.
 *
 * An action returns the state it led to, or 0 for the one in its row. It handles no other event: it posts. */
#pragma once

#include "supervisor/container.h"

#define S(name)		 BERTH__CONTAINER_STATE__CONTAINER_STATE_##name
#define KILL_DEADLINE_NS (5 * NS_PER_S) /* from SIGKILL to "does not die" */

typedef Berth__ContainerState state;
typedef state action(struct container *c, struct event *ev);

/* Of an end that was asked for: container.phase. */
enum end_phase {
	PHASE_NONE,
	PHASE_SIGNALLED, /* the stop signal was sent; SIGKILL at the deadline (also of what is Deleting) */
	PHASE_KILLED,	 /* everything in its group was killed */
	PHASE_STUCK,	 /* … and did not die */
	PHASE_SHIM_LOST, /* its shim is gone; what it left is being killed */
};

/* container.c */
action act_allowed;

/* The answer shows the container, so it is given when its state is what the action led to. */
void container_answer(struct container *c, unsigned kinds);
/* Who sent ev gets an answer of this kind. */
void container_owe(struct container *c, enum waiter_kind kind, struct event *ev);
void container_post_failure(struct container *c, const struct err *e);
/* EV_TIMER then; or soon, and with each poll_again a little later. step_older_than: since poll_begin. */
void container_arm(struct container *c, uint64_t ns);
void container_poll_begin(struct container *c);
void container_poll_again(struct container *c);
bool container_step_older_than(const struct container *c, uint64_t ns);

/* container_group.c */
bool container_group_populated(struct container *c);
void container_group_kill(struct container *c);
int container_group_freeze(struct container *c, bool on);
void container_group_bury(struct container *c);

/* container_start.c */
action act_stored, act_undo, act_start, act_start_running, act_start_joins, act_filled, act_held, act_net_ready,
	act_launching, act_running, act_running_again, act_failed, act_shim_lost_launching, act_timer_launch,
	act_timer_retry;

/* It is here, and so is its row. */
state container_created(struct container *c);
/* Starting; or it waits in the state that it is in for its pod to be ready. */
state container_start(struct container *c, state waits_in);
/* A person asked for it, or this stands in for one: history begins anew. */
void container_start_wanted(struct container *c);
state container_retry(struct container *c, const struct decision *d);
void container_set_history(struct container *c, struct history h);
void container_answer_started(struct container *c);
void container_note_ran(struct container *c);
void container_note_running(struct container *c, const Shim__Running *r);

/* container_image.c */
action act_pull, act_pulled, act_pull_failed, act_stop_pull;

/* It is Creating, and waits for its image as for a pod. */
state container_pull_again(struct container *c);
/* What the image has for it goes into the spec; once. */
int container_complete(Berth__Container *obj, const Berth__Image *image, struct err *e);
/* obj->pull: ask, without what is secret. */
int container_pull_note(Berth__Container *obj, const Berth__ImagePull *ask, struct err *e);
/* container_net.c */
action act_net_failed;

void container_net_attach(
	struct container *c,
	int fd); /* (of its process, or its network namespace) it must not run before it has its interfaces */

/* container_stop.c */
action act_stop, act_stop_again, act_stop_launch, act_stop_ended, act_cancel_retry, act_kill, act_kill_paused,
	act_kill_unknown, act_running_unwanted, act_failed_unwanted, act_timer_stop;
action act_down, act_down_created, act_down_launch, act_down_stopping, act_down_retry, act_down_unknown;

int container_stop_signal(const struct container *c);
/* The stop signal, and SIGKILL when the time is over. */
void container_stop_begin(struct container *c, uint64_t timeout_ns);
void container_kill_all(struct container *c);
/* Everything was killed some time ago and nothing was reported. */
void container_look_dead(struct container *c);
/* Tells that it does not die. */
void container_stuck(struct container *c);

/* container_pause.c */
action act_pause, act_unpause, act_timer_running;

/* So that a signal reaches it; told if it was paused. */
int container_thaw(struct container *c, const char *sig_name);

/* container_end.c */
action act_exited, act_shim_lost, act_shim_left, act_no_answer, act_boot;

/* Its shim is not needed any more. */
void container_bye(struct container *c);
void container_record_exit(struct container *c);
/* No restart. */
state container_stay_ended(struct container *c, bool asked);
/* What its lost shim left is dead too. */
state container_shim_lost_ended(struct container *c);

/* container_rebuild.c */
action act_rebuild_asked, act_rebuild, act_rebuild_running, act_timer_rebuilding, act_shim_gone_rebuilding, act_rebuilt;

/* It has ended, and somebody wants a new rootfs for it. */
state container_rebuild_begin(struct container *c);

/* container_remove.c */
action act_remove, act_remove_running, act_remove_again, act_running_deleted, act_exited_deleted, act_shim_gone_deleted,
	act_timer_deleting;

/* As an action of berthd's own. */
state container_remove_own(struct container *c);
