/* shim/report.c - see shim/report.h */
#include "shim/report.h"

#include "base/file.h"
#include "base/log.h"
#include "shim/plan.h"
#include "shim/shim.h"
#include "shim/sys.h"

#include <fcntl.h>
#include <string.h>

#define SKIPPED_MAX 32 /* listed; there are as many optional steps as the plan has */

static Shim__ShimMessage message_of(Shim__ShimMessage__BodyCase what)
{
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;

	m.body_case = what;
	return m;
}

static void fill_record(const struct shim *s, Shim__ExitRecord *r)
{
	const struct run *run = &s->run;

	shim__exit_record__init(r);
	r->boot_id = (char *)s->boot_id;
	r->uuid = (char *)s->uuid;
	r->has_incarnation = r->has_code = r->has_signal = r->has_core_dumped = r->has_oom_kills = 1;
	r->has_oom_known = r->has_started_at = r->has_finished_at = 1;
	r->incarnation = run->incarnation;
	r->code = run->code;
	r->signal = run->signal;
	r->core_dumped = run->core_dumped;
	r->oom_kills = run->oom_kills;
	r->oom_known = run->oom_known;
	r->started_at = run->started_at;
	r->finished_at = run->finished_at;
}

static void fill_running(const struct shim *s, Shim__Running *r, char *skipped[SKIPPED_MAX])
{
	const struct run *run = &s->run;

	shim__running__init(r);
	r->has_incarnation = 1;
	r->incarnation = run->incarnation;
	if (run->state != SHIM__SHIM_STATE__SHIM_RUNNING)
		return;
	r->has_pid = r->has_started_at = r->has_held = 1;
	r->pid = run->pid;
	r->started_at = run->started_at;
	r->held = run->held;
	for (unsigned at = 0; at < run->skipped_len && r->n_skipped < SKIPPED_MAX;
	     at += (unsigned)strlen(run->skipped + at) + 1)
		skipped[r->n_skipped++] = (char *)run->skipped + at;
	r->skipped = skipped;
}

static void fill_failed(Shim__Failed *f, const struct err *e)
{
	shim__failed__init(f);
	f->has_sys_errno = 1;
	f->sys_errno = e->code;
	f->step = (char *)e->step;
	f->text = (char *)e->text;
}

static void fill_dropped(const struct shim *s, Shim__LogDropped *d)
{
	shim__log_dropped__init(d);
	d->has_lines = d->has_bytes = 1;
	logger_totals(&s->logger, &d->lines, &d->bytes);
}

void report_hello(struct shim *s)
{
	Shim__ShimMessage m = message_of(SHIM__SHIM_MESSAGE__BODY_HELLO);
	Shim__ShimHello h = SHIM__SHIM_HELLO__INIT;
	Shim__Running running;
	Shim__ExitRecord exited;
	Shim__Failed failed;
	Shim__LogDropped dropped;
	Shim__FdRole roles[4];
	char *skipped[SKIPPED_MAX];
	AUTO_FD self = sys_pidfd_open(getpid());
	int fds[4], n = 0;

	if (s->link.fd < 0)
		return;
	h.has_version = h.has_oldest = h.has_shim_pid = h.has_state = h.has_oom_kills = h.has_execs = 1;
	h.version = SHIM_VERSION;
	h.oldest = SHIM_VERSION_OLDEST;
	h.software = (char *)"berth " BERTH_VERSION;
	h.uuid = (char *)(s->run.state == SHIM__SHIM_STATE__SHIM_IDLE ? "" : s->uuid);
	h.shim_pid = getpid();
	h.state = s->run.state;
	h.oom_kills = s->run.oom_kills;
	h.execs = s->n_execs;
	if (h.state == SHIM__SHIM_STATE__SHIM_LAUNCHING || h.state == SHIM__SHIM_STATE__SHIM_RUNNING) {
		fill_running(s, &running, skipped);
		h.running = &running;
	} else if (h.state == SHIM__SHIM_STATE__SHIM_EXITED) {
		fill_record(s, &exited);
		h.exit = &exited;
	} else if (h.state == SHIM__SHIM_STATE__SHIM_FAILED) {
		fill_failed(&failed, &s->run.failure);
		failed.has_incarnation = 1;
		failed.incarnation = s->run.incarnation;
		h.failure = &failed;
	}
	fill_dropped(s, &dropped);
	h.log_dropped = &dropped;
	m.hello = &h;
	const struct {
		Shim__FdRole role;
		int fd;
	} have[] = {{SHIM__FD_ROLE__FD_SHIM, self},
		    {SHIM__FD_ROLE__FD_CONTAINER, self < 0 ? -1 : s->run.pidfd},
		    {SHIM__FD_ROLE__FD_VOLUMES, s->volumes_fd},
		    {SHIM__FD_ROLE__FD_NETWORK, s->net_ahead ? s->net_fd : -1}};
	for (size_t i = 0; i < ARRAY_SIZE(have); i++) {
		if (have[i].fd < 0)
			continue;
		roles[n] = have[i].role;
		fds[n++] = have[i].fd;
	}
	m.fds = roles;
	m.n_fds = (size_t)n;
	link_send(s, &m, fds, (unsigned)n);
}

void report_running(struct shim *s)
{
	Shim__ShimMessage m = message_of(SHIM__SHIM_MESSAGE__BODY_RUNNING);
	Shim__Running running;
	Shim__FdRole role = SHIM__FD_ROLE__FD_CONTAINER;
	char *skipped[SKIPPED_MAX];

	fill_running(s, &running, skipped);
	m.running = &running;
	m.fds = &role;
	m.n_fds = s->run.pidfd >= 0;
	link_send(s, &m, &s->run.pidfd, (unsigned)m.n_fds);
}

void report_refused(struct shim *s, unsigned long long incarnation, const struct err *e)
{
	Shim__ShimMessage m = message_of(SHIM__SHIM_MESSAGE__BODY_FAILED);
	Shim__Failed failed;

	fill_failed(&failed, e);
	failed.has_incarnation = 1;
	failed.incarnation = incarnation;
	m.failed = &failed;
	link_send(s, &m, NULL, 0);
}

void report_failed(struct shim *s)
{
	report_refused(s, s->run.incarnation, &s->run.failure);
}

void report_exited(struct shim *s)
{
	Shim__ShimMessage m = message_of(SHIM__SHIM_MESSAGE__BODY_EXITED);
	Shim__Exited exited = SHIM__EXITED__INIT;
	Shim__ExitRecord record;

	fill_record(s, &record);
	exited.record = &record;
	m.exited = &exited;
	link_send(s, &m, NULL, 0);
}

void report_exit_record(struct shim *s)
{
	Shim__ExitRecord record;
	uint8_t packed[512];
	size_t len;
	int r;

	if (!s->run.exit_record[0])
		return;
	fill_record(s, &record);
	len = shim__exit_record__get_packed_size(&record);
	if (len > sizeof packed)
		return; /* two uuids and numbers: it does not happen */
	shim__exit_record__pack(&record, packed);
	r = file_write_atomic(AT_FDCWD, s->run.exit_record, packed, len, 0640, false);
	if (r < 0)
		log_warn("exit record %s: %s", s->run.exit_record, strerror(-r));
}

/* ---------------------------------------------------------------- execs */

void report_exec_started(struct exec *x)
{
	Shim__ShimMessage m = message_of(SHIM__SHIM_MESSAGE__BODY_EXEC_STARTED);
	Shim__ExecStarted started = SHIM__EXEC_STARTED__INIT;

	started.exec_id = x->id;
	started.has_pid = 1;
	started.pid = x->pid;
	m.exec_started = &started;
	link_send(x->shim, &m, NULL, 0);
}

void report_exec_exited(struct exec *x)
{
	Shim__ShimMessage m = message_of(SHIM__SHIM_MESSAGE__BODY_EXEC_EXITED);
	Shim__ExecExited exited = SHIM__EXEC_EXITED__INIT;

	exited.exec_id = x->id;
	exited.has_code = exited.has_signal = exited.has_timed_out = 1;
	exited.code = x->code;
	exited.signal = x->signal;
	exited.timed_out = x->timed_out;
	m.exec_exited = &exited;
	link_send(x->shim, &m, NULL, 0);
}

void report_exec_failed(struct shim *s, const char *id, const struct err *e)
{
	Shim__ShimMessage m = message_of(SHIM__SHIM_MESSAGE__BODY_FAILED);
	Shim__Failed failed;

	fill_failed(&failed, e);
	failed.exec_id = (char *)id;
	m.failed = &failed;
	link_send(s, &m, NULL, 0);
}

/* ---------------------------------------------------------------- counters */

void report_oom(struct shim *s)
{
	Shim__ShimMessage m = message_of(SHIM__SHIM_MESSAGE__BODY_OOM);
	Shim__Oom oom = SHIM__OOM__INIT;

	oom.has_incarnation = oom.has_oom_kills = 1;
	oom.incarnation = s->run.incarnation;
	oom.oom_kills = s->run.oom_kills;
	m.oom = &oom;
	link_send(s, &m, NULL, 0);
}

void report_log_dropped(struct shim *s)
{
	Shim__ShimMessage m = message_of(SHIM__SHIM_MESSAGE__BODY_LOG_DROPPED);
	Shim__LogDropped dropped;

	fill_dropped(s, &dropped);
	m.log_dropped = &dropped;
	link_send(s, &m, NULL, 0);
}
