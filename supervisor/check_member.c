/* supervisor/check_member.c - see supervisor/check_member.h. A row for each way out. tests/unit/test_check_member.c has a list of all
 * fields: a new one needs a decision there. */
#include "supervisor/check_member.h"

#include "base/own.h"
#include "supervisor/caps.h"
#include "supervisor/check_field.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

typedef Berth__ContainerSpec spec_t;

/* 0, or 1 + the number of what is not allowed in its list (1 for what is no list). */
typedef size_t forbidden_fn(const spec_t *spec);

static bool is_one_of(const char *text, const char *a, const char *b)
{
	return !text || !*text || !strcmp(text, a) || (b && !strcmp(text, b));
}

static size_t is_privileged(const spec_t *s)
{
	return s->security && s->security->privileged;
}

/* Named volumes are the project's own; anything else that has a source is the host's. */
static size_t host_mount(const spec_t *s)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (s->mounts[i]->type != BERTH__MOUNT__TYPE__VOLUME && s->mounts[i]->type != BERTH__MOUNT__TYPE__TMPFS)
			return i + 1;
	return 0;
}

static size_t device(const spec_t *s)
{
	return s->n_devices ? 1 : 0;
}

static size_t capability(const spec_t *s)
{
	int cap;

	for (size_t i = 0; s->security && i < s->security->n_cap_add; i++)
		if (caps_parse(s->security->cap_add[i], &cap) < 0 || !(caps_default() & 1ull << cap))
			return i + 1;
	return 0;
}

static size_t seccomp(const spec_t *s)
{
	return s->security && !is_one_of(s->security->seccomp, "default", NULL);
}

static size_t seccomp_profile(const spec_t *s)
{
	return s->security && s->security->has_seccomp_profile;
}

static size_t apparmor(const spec_t *s)
{
	return s->security && !is_one_of(s->security->apparmor, "", NULL);
}

static size_t network(const spec_t *s)
{
	return !is_one_of(s->network, "none", NULL);
}

static size_t spoofing_chosen(Berth__NetworkAsk *const *networks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (networks[i]->allow_spoofing)
			return i + 1;
	return 0;
}

static size_t spoofing(const spec_t *s)
{
	return spoofing_chosen(s->networks, s->n_networks);
}

/* One of his choice may be what others are asked for: ssh. */
static size_t port_chosen(Berth__PortMap *const *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i]->host_port || (ports[i]->host_ip && ports[i]->host_ip[0]))
			return i + 1;
	return 0;
}

static size_t published(const spec_t *s)
{
	return port_chosen(s->ports, s->n_ports);
}

/* berth-dns asks them from the host, at which more listens than a container may reach. */
static size_t name_server(const spec_t *s)
{
	return s->names && s->names->n_dns;
}

static size_t pid_mode(const spec_t *s)
{
	return !is_one_of(s->pid_mode, "private", NULL);
}

static size_t ipc_mode(const spec_t *s)
{
	return !is_one_of(s->ipc_mode, "private", NULL);
}

/* Below 0 the kernel kills others first, at -1000 never this one. */
static size_t oom_score(const spec_t *s)
{
	return s->oom_score_adj < 0;
}

/* A program of real time takes a processor from everybody. */
static size_t realtime(const spec_t *s)
{
	for (size_t i = 0; i < s->n_ulimits; i++)
		if (s->ulimits[i]->name &&
		    (!strcasecmp(s->ulimits[i]->name, "rtprio") || !strcasecmp(s->ulimits[i]->name, "nice")))
			return i + 1;
	return 0;
}

#define PORT_CHOSEN "a port of the host of his choice: without one, one is found"
#define NAME_SERVER "a name server of his choice: the host would ask it"
#define SPOOFING    "sending from addresses that are others'"

static const struct {
	const char *field;
	const char *of; /* in a list: what of the element, "" for all of it */
	forbidden_fn *forbidden;
	const char *text;
} rows[] = {
	{"spec.security.privileged", NULL, is_privileged, "a privileged container is root on the host"},
	{"spec.mounts", ".source", host_mount, "a path of the host: there are volumes and tmpfs"},
	{"spec.devices", "", device, "a device of the host"},
	{"spec.security.cap_add", "", capability, "a capability beyond the default set"},
	{"spec.security.seccomp", NULL, seccomp, "another seccomp profile than the default"},
	{"spec.security.seccomp_profile", NULL, seccomp_profile, "another seccomp profile than the default"},
	{"spec.security.apparmor", NULL, apparmor, "another AppArmor profile than the default"},
	{"spec.network", NULL, network, "the host's network"},
	{"spec.networks", ".allow_spoofing", spoofing, SPOOFING},
	{"spec.ports", ".host_port", published, PORT_CHOSEN},
	{"spec.names.dns", "", name_server, NAME_SERVER},
	{"spec.pid_mode", NULL, pid_mode, "the host's processes"},
	{"spec.ipc_mode", NULL, ipc_mode, "the host's IPC namespace"},
	{"spec.oom_score_adj", NULL, oom_score, "being spared by the OOM killer at the cost of others"},
	{"spec.ulimits", "", realtime, "the priority of real time"},
};

static int refuse(struct err *e, const char *field, const char *text)
{
	return err_set(e, EACCES, field, "a member of a project may not ask for this: %s", text);
}

int check_member_container(const Berth__ContainerSpec *spec, struct err *e)
{
	char at[FIELD_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = rows[i].forbidden(spec);

		if (n && rows[i].of)
			return refuse(e, field_at(at, "%s[%zu]%s", rows[i].field, n - 1, rows[i].of), rows[i].text);
		if (n)
			return refuse(e, rows[i].field, rows[i].text);
	}
	return 0;
}

int check_member_interface(const Berth__NetworkAsk *ask, struct err *e)
{
	return ask->allow_spoofing ? refuse(e, "spec.allow_spoofing", SPOOFING) : 0;
}

int check_member_joins(const Berth__PodSpec *spec, struct err *e)
{
	return is_one_of(spec->network, "none", NULL) ? 0 : refuse(e, "spec.network", "the host's network");
}

int check_member_pod(const Berth__PodSpec *spec, struct err *e)
{
	size_t n = port_chosen(spec->ports, spec->n_ports);
	size_t spoof = spoofing_chosen(spec->networks, spec->n_networks);
	char at[FIELD_SIZE];

	if (n)
		return refuse(e, field_at(at, "spec.ports[%zu].host_port", n - 1), PORT_CHOSEN);
	if (spoof)
		return refuse(e, field_at(at, "spec.networks[%zu].allow_spoofing", spoof - 1), SPOOFING);
	if (spec->names && spec->names->n_dns)
		return refuse(e, "spec.names.dns[0]", NAME_SERVER);
	return check_member_joins(spec, e);
}

int check_member_exec(const Berth__ExecSpec *spec, struct err *e)
{
	return spec->privileged ? refuse(e, "exec.privileged", "a privileged program is root on the host") : 0;
}

int check_member_volume(uint64_t has, uint64_t more, uint64_t may, struct err *e)
{
	if (!more || (has <= may && more <= may - has))
		return 0;
	return err_set(
		e, EACCES, "size_bytes",
		"the volumes with a size of a project may have %llu MiB together (project_volumes in berthd.conf), of "
		"which %llu are taken",
		(unsigned long long)(may >> 20), (unsigned long long)(has >> 20));
}
