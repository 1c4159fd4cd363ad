/* gateway/zun/act.c - start, stop, reboot, pause, unpause, kill: found, allowed in its status, asked for; answered when berthd has begun
 * it. How it went on is in the container's task_state and in its actions. */
#include "gateway/zun/handlers.h"
#include "gateway/zun/value.h"

#include <stdio.h>
#include <string.h>

struct act {
	struct target target;
};
STATE_FITS(struct act);

static const struct ask_options accept = {.accept = true};

static void on_accepted(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	jw_null(&c->out, NULL);
	call_reply(c, 202);
}

#define ASK(c, BODY, m) call_ask_with(c, BERTH__ENVELOPE__BODY_CONTAINER_##BODY, m, on_accepted, &accept)
#define UUID(c)		(((struct target *)(c)->state)->uuid)

static void start_found(struct call *c, const Berth__Container *obj)
{
	Berth__ContainerStart m = BERTH__CONTAINER_START__INIT;

	m.ref = UUID(c);
	ASK(c, START, &m);
}

static void stop_found(struct call *c, const Berth__Container *obj)
{
	Berth__ContainerStop m = BERTH__CONTAINER_STOP__INIT;

	m.ref = UUID(c);
	m.has_timeout_s = arg_given(c->args, "timeout");
	m.timeout_s = (uint32_t)arg_int(c->args, "timeout", 0);
	ASK(c, STOP, &m);
}

static void reboot_found(struct call *c, const Berth__Container *obj)
{
	Berth__ContainerRestart m = BERTH__CONTAINER_RESTART__INIT;

	m.ref = UUID(c);
	m.has_timeout_s = arg_given(c->args, "timeout");
	m.timeout_s = (uint32_t)arg_int(c->args, "timeout", 0);
	ASK(c, RESTART, &m);
}

static void pause_found(struct call *c, const Berth__Container *obj)
{
	Berth__ContainerPause m = BERTH__CONTAINER_PAUSE__INIT;

	m.ref = UUID(c);
	ASK(c, PAUSE, &m);
}

static void unpause_found(struct call *c, const Berth__Container *obj)
{
	Berth__ContainerUnpause m = BERTH__CONTAINER_UNPAUSE__INIT;

	m.ref = UUID(c);
	ASK(c, UNPAUSE, &m);
}

static void kill_found(struct call *c, const Berth__Container *obj)
{
	Berth__ContainerKill m = BERTH__CONTAINER_KILL__INIT;
	char name[32];
	int sig = 0;

	m.ref = UUID(c);
	if (zun_signal(arg_str(c->args, "signal"), &sig) == 0 && sig) /* the schema has let through what is one */
		m.signal = (char *)(uintptr_t)signal_name(sig, name, sizeof name);
	ASK(c, KILL, &m);
}

void on_start(struct call *c)
{
	target_find(c, ZUN_START, start_found);
}

void on_stop(struct call *c)
{
	target_find(c, ZUN_STOP, stop_found);
}

void on_reboot(struct call *c)
{
	target_find(c, ZUN_REBOOT, reboot_found);
}

void on_pause(struct call *c)
{
	target_find(c, ZUN_PAUSE, pause_found);
}

void on_unpause(struct call *c)
{
	target_find(c, ZUN_UNPAUSE, unpause_found);
}

void on_kill(struct call *c)
{
	target_find(c, ZUN_KILL, kill_found);
}
