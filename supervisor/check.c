/* supervisor/check.c - see supervisor/check.h. This file is the order of the checks and the combinations that cannot be; the
 * larger parts are in check_parts.c, fields that several specs have in check_field.c. */
#include "supervisor/check.h"
#include "supervisor/mac.h"
#include "supervisor/network.h"
#include "supervisor/publish.h"

#include "base/str.h"
#include "cgroup/limits.h"
#include "supervisor/check_field.h"
#include "supervisor/check_names.h"
#include "supervisor/check_parts.h"
#include "supervisor/pod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_TIMEOUT_S 10u
#define SHM_BYTES      (64u << 20)
#define LOG_BYTES      (16u << 20)
#define LOG_BYTES_MIN  (16u << 10)
#define LOG_FILES      4u
#define LOG_FILES_MAX  1000u
#define MEMORY_MIN     (6u << 20)

int check_name(const char *field, const char *name, struct err *e)
{
	if (!name || !*name)
		return field_bad(e, field, "a name is missing");
	if (!str_is_name(name))
		return field_bad(
			e, field,
			"'%.100s' is not a name: a letter or digit, then letters, digits, _ . or -, at most 255 in all",
			name);
	return 0;
}

int check_restart(Berth__RestartPolicy *p, struct err *e)
{
	if (!p->has_kind) {
		p->has_kind = true;
		p->kind = BERTH__RESTART_POLICY__KIND__NO;
	}
	if (p->kind < BERTH__RESTART_POLICY__KIND__NO || p->kind > BERTH__RESTART_POLICY__KIND__UNLESS_STOPPED)
		return field_bad(e, "restart.kind", "there are no, on-failure, always and unless-stopped");
	if (p->max_retries && p->kind != BERTH__RESTART_POLICY__KIND__ON_FAILURE)
		return field_bad(e, "restart.max_retries", "a number of retries goes with on-failure only");
	return 0;
}

/* ---------------------------------------------------------------- resources */

static int resources_of_host(const Berth__Resources *r, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (r->memory_bytes && r->memory_bytes < MEMORY_MIN)
		return field_bad(e, "resources.memory_bytes", "%llu bytes: the least is 6 MiB",
				 (unsigned long long)r->memory_bytes);
	if (cpus > 0 && r->cpus_milli > (uint64_t)cpus * 1000)
		return field_bad(e, "resources.cpus_milli", "%llu.%03llu processors: this host has %ld",
				 (unsigned long long)r->cpus_milli / 1000, (unsigned long long)r->cpus_milli % 1000,
				 cpus);
	for (size_t i = 0; i < r->n_io_max; i++) {
		const char *device = r->io_max[i]->device;

		/* A path elsewhere could lie on a disk that does not answer, and cg_limits_make asks for it. */
		if (device && *device == '/' && (!str_starts(device, "/dev/") || strstr(device, "/../")))
			return field_bad(e, "resources.io_max", "%.200s is not below /dev", device);
	}
	return 0;
}

static enum cg_controller controller_of_field(const char *field)
{
	static const struct {
		const char *field;
		enum cg_controller controller;
	} of[] = {
		{"resources.memory", CG_MEMORY}, {"resources.oom", CG_MEMORY}, {"resources.cpuset", CG_CPUSET},
		{"resources.cpu", CG_CPU},	 {"resources.pids", CG_PIDS},  {"resources.io", CG_IO},
	};

	for (size_t i = 0; i < ARRAY_SIZE(of); i++)
		if (str_starts(field, of[i].field))
			return of[i].controller;
	return CG_CONTROLLER_N_;
}

int check_resources(struct supervisor *sv, Berth__Resources *r, struct err *e)
{
	struct cg_limits limits;
	enum cg_controller missing;
	struct err why = {0};
	int res = resources_of_host(r, e);

	if (res < 0)
		return res;
	res = cg_limits_make(r, sv->cg.controllers, false, &limits, &why);
	if (res == 0)
		return 0;
	missing = controller_of_field(why.step);
	if (res == -ENOTSUP && missing != CG_CONTROLLER_N_ && *cg_controller_remedy(&sv->cg, missing))
		return field_unsupported(e, why.step, "%s; %s", why.text, cg_controller_remedy(&sv->cg, missing));
	return err_set(e, -res, why.step, "%s", why.text);
}

/* ---------------------------------------------------------------- whose namespaces */

/* "" and "private": of its own. */
static int check_mode(const char *field, char **mode, struct err *e)
{
	field_empty_is_absent(mode);
	if (*mode && !strcmp(*mode, "private")) {
		free(*mode);
		*mode = NULL;
	}
	if (*mode && strcmp(*mode, "host") != 0)
		return field_unsupported(e, field,
					 "'%.60s': there are private and host (sharing with others is a pod's)", *mode);
	return 0;
}

/* What the pod owns, its member cannot choose: refused rather than ignored. */
static int check_pod_member(const Berth__ContainerSpec *spec, struct err *e)
{
	const struct {
		const char *field;
		bool given;
	} own[] = {
		{"spec.network", spec->network != NULL},
		{"spec.pid_mode", spec->pid_mode != NULL},
		{"spec.ipc_mode", spec->ipc_mode != NULL},
		{"spec.hostname", spec->hostname != NULL},
		{"spec.networks", spec->n_networks > 0},
		{"spec.shm_size_bytes", spec->has_shm_size_bytes},
		{"spec.ports", spec->n_ports > 0},
		{"spec.publish_all", spec->publish_all},
		{names_field(spec->names), names_field(spec->names) != NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (own[i].given)
			return field_bad(e, own[i].field, "a container of a pod cannot choose this: it is the pod's");
	if (!spec->pod_init)
		return 0;
	if (spec->restart && spec->restart->kind > BERTH__RESTART_POLICY__KIND__ON_FAILURE)
		return field_bad(e, "spec.restart.kind", "an init container runs to its end: no or on-failure");
	if (spec->auto_remove)
		return field_bad(e, "spec.auto_remove",
				 "an init container stays, so that the pod knows that it has run");
	return 0;
}

int check_network_ask(const char *at, const Berth__NetworkAsk *ask, struct err *e)
{
	char field[FIELD_SIZE];
	struct address a[2];
	uint8_t mac[6];

	if (!ask->network || !ask->network[0])
		return field_bad(e, field_at(field, "%s.network", at), "which network?");
	field_at(field, "%s.addresses", at);
	if (ask->n_addresses > NETWORK_SUBNETS)
		return field_bad(e, field, "at most one address of each family");
	for (size_t k = 0; k < ask->n_addresses; k++)
		if (address_parse(ask->addresses[k], &a[k]) < 0)
			return field_bad(e, field_at(field, "%s.addresses[%zu]", at, k), "'%.60s' is not an IP address",
					 ask->addresses[k]);
	if (ask->n_addresses == 2 && a[0].len == a[1].len)
		return field_bad(e, field, "at most one address of each family");
	if (ask->n_aliases > ALIASES_EACH)
		return field_bad(e, field_at(field, "%s.aliases", at), "at most %u aliases in a network", ALIASES_EACH);
	for (size_t k = 0; k < ask->n_aliases; k++)
		if (check_name(field_at(field, "%s.aliases[%zu]", at, k), ask->aliases[k], e) < 0)
			return -EINVAL;
	if (ask->link && ask->link[0] && !link_name_is_good(ask->link))
		return field_bad(e, field_at(field, "%s.link", at),
				 "'%.60s' cannot be the name of an interface: 1 to 15 printable characters without "
				 "blank, slash, colon, quote and percent, and not lo, all or default",
				 ask->link);
	if (ask->mac && ask->mac[0] && (mac_parse(ask->mac, mac) < 0 || !mac_is_unicast(mac)))
		return field_bad(e, field_at(field, "%s.mac", at),
				 "'%.60s' is not the MAC of one machine, such as 02:00:00:00:00:0a", ask->mac);
	return 0;
}

static int check_networks(Berth__NetworkAsk *const *asks, size_t n, struct err *e)
{
	char field[FIELD_SIZE];
	int r = 0;

	if (n > NETWORKS_EACH)
		return field_bad(e, "spec.networks", "at most %u networks", NETWORKS_EACH);
	for (size_t i = 0; i < n && r == 0; i++)
		r = check_network_ask(field_at(field, "spec.networks[%zu]", i), asks[i], e);
	return r;
}

/* None, the host's, or networks: nothing is none. */
static int check_network(char **network, Berth__NetworkAsk *const *asks, size_t n, struct err *e)
{
	field_empty_is_absent(network);
	if (*network && n)
		return field_bad(e, "spec.network", "%s and networks exclude each other", *network);
	if (n)
		return check_networks(asks, n, e);
	if (!*network)
		return field_set(network, "none") < 0 ? err_set(e, ENOMEM, "spec.network", "keep the spec") : 0;
	if (strcmp(*network, "none") != 0 && strcmp(*network, "host") != 0)
		return field_unsupported(
			e, "spec.network",
			"network %.100s: here there are none and host; the others are asked for by spec.networks",
			*network);
	return 0;
}

static int check_sharing(Berth__ContainerSpec *spec, struct sharing *share, struct err *e)
{
	int r;

	field_empty_is_absent(&spec->pod);
	field_empty_is_absent(&spec->network);
	field_empty_is_absent(&spec->hostname);
	r = check_mode("spec.pid_mode", &spec->pid_mode, e);
	if (r == 0)
		r = check_mode("spec.ipc_mode", &spec->ipc_mode, e);
	if (r == 0 && spec->pod)
		r = check_pod_member(spec, e);
	if (r == 0 && !spec->pod && spec->pod_init)
		r = field_bad(e, "spec.pod_init", "an init container needs a pod");
	if (r == 0 && !spec->pod)
		r = check_network(&spec->network, spec->networks, spec->n_networks, e);
	if (r == 0)
		r = publish_check_exposed(spec, e);
	if (r == 0)
		r = publish_check(spec->ports, spec->n_ports, spec->network, e);
	if (r == 0)
		r = field_hostname("spec.hostname", &spec->hostname, e);
	if (r == 0)
		r = check_names(spec->names, spec->network, e);
	*share = (struct sharing){
		.pod = spec->pod != NULL,
		.net_host = spec->network && !strcmp(spec->network, "host"),
		.pid_host = spec->pid_mode != NULL,
		.ipc_host = spec->ipc_mode != NULL,
		.userns = spec->security && spec->security->userns,
	};
	return r;
}

/* ---------------------------------------------------------------- defaults */

static int defaults_fill(Berth__ContainerSpec *spec)
{
	if (!spec->restart) {
		spec->restart = malloc(sizeof *spec->restart);
		if (!spec->restart)
			return -ENOMEM;
		berth__restart_policy__init(spec->restart);
	}
	if (!spec->log) {
		spec->log = malloc(sizeof *spec->log);
		if (!spec->log)
			return -ENOMEM;
		berth__log_options__init(spec->log);
	}
	if (!spec->log->has_max_size_bytes) {
		spec->log->has_max_size_bytes = true;
		spec->log->max_size_bytes = LOG_BYTES;
	}
	if (!spec->log->has_max_files) {
		spec->log->has_max_files = true;
		spec->log->max_files = LOG_FILES;
	}
	if (!spec->has_stop_timeout_s) {
		spec->has_stop_timeout_s = true;
		spec->stop_timeout_s = STOP_TIMEOUT_S;
	}
	return 0;
}

static int check_shm(protobuf_c_boolean *has, uint64_t *bytes, struct err *e)
{
	if (*has && *bytes < 4096)
		return field_bad(e, "spec.shm_size_bytes", "%llu bytes: at least one page, 4096",
				 (unsigned long long)*bytes);
	if (!*has)
		*bytes = SHM_BYTES;
	*has = true;
	return 0;
}

/* ---------------------------------------------------------------- the specs */

static int check_log(const Berth__LogOptions *log, struct err *e)
{
	if (log->max_size_bytes < LOG_BYTES_MIN)
		return field_bad(e, "spec.log.max_size_bytes", "%llu bytes: at least 16 KiB",
				 (unsigned long long)log->max_size_bytes);
	if (log->max_size_bytes > 1ull << 40)
		return field_bad(e, "spec.log.max_size_bytes", "more than 1 TiB");
	if (log->max_files < 1 || log->max_files > LOG_FILES_MAX)
		return field_bad(e, "spec.log.max_files", "%u files: 1 to %u", log->max_files, LOG_FILES_MAX);
	return 0;
}

static int check_stop_signal(Berth__ContainerSpec *spec, struct err *e)
{
	char name[24];
	int sig;

	field_empty_is_absent(&spec->stop_signal);
	if (!spec->stop_signal)
		return 0;
	if (str_to_signal(spec->stop_signal, &sig) < 0)
		return field_bad(e, "spec.stop_signal", "'%.40s' is not a signal", spec->stop_signal);
	return field_set(&spec->stop_signal, signal_name(sig, name, sizeof name)) < 0
		       ? err_set(e, ENOMEM, "spec.stop_signal", "keep the spec")
		       : 0;
}

/* What is executed, and as whom. */
static int check_process(Berth__ContainerSpec *spec, struct err *e)
{
	int r;

	field_empty_is_absent(&spec->image);
	if (!spec->image)
		return field_bad(e, "spec.image", "an image is missing");
	if (spec->n_entrypoint && !spec->entrypoint_set) {
		spec->has_entrypoint_set = true;
		spec->entrypoint_set = true;
	}
	r = field_args("spec.entrypoint", spec->entrypoint, spec->n_entrypoint, e);
	if (r == 0)
		r = field_args("spec.command", spec->command, spec->n_command, e);
	if (r == 0)
		r = field_env("spec.env", spec->env, spec->n_env, e);
	field_empty_is_absent(&spec->workdir);
	if (r == 0 && spec->workdir)
		r = field_path("spec.workdir", &spec->workdir, e);
	if (r == 0)
		r = field_user("spec.user", &spec->user, e);
	if (r == 0)
		r = field_labels("spec.labels", spec->labels, &spec->n_labels, e);
	if (r == 0)
		r = field_labels("spec.annotations", spec->annotations, &spec->n_annotations, e);
	if (r == 0)
		r = check_stop_signal(spec, e);
	if (r == 0)
		r = field_window("spec.tty_rows", spec->tty, spec->tty_rows, spec->tty_cols, e);
	return r;
}

static int check_combinations(const Berth__ContainerSpec *spec, const struct sharing *share, struct err *e)
{
	if (spec->auto_remove && spec->restart->kind != BERTH__RESTART_POLICY__KIND__NO)
		return field_bad(e, "spec.auto_remove",
				 "a container that is removed at its end cannot be restarted by policy");
	if (spec->stdin_once && !spec->stdin_open)
		return field_bad(e, "spec.stdin_once", "goes with stdin_open only");
	if (spec->init && share->pid_host)
		return field_bad(e, "spec.init", "in the host's pid namespace the container has no pid 1");
	if (spec->oom_score_adj < -1000 || spec->oom_score_adj > 1000)
		return field_bad(e, "spec.oom_score_adj", "%d is not from -1000 to 1000", spec->oom_score_adj);
	if (share->ipc_host && spec->has_shm_size_bytes)
		return field_bad(e, "spec.shm_size_bytes", "with the host's IPC namespace /dev/shm is the host's");
	return 0;
}

int check_container_spec(struct supervisor *sv, Berth__ContainerSpec *spec, struct err *e)
{
	struct sharing share;
	int r;

	if (defaults_fill(spec) < 0)
		return err_set(e, ENOMEM, "spec", "keep the spec");
	r = check_process(spec, e);
	if (r == 0)
		r = field_below(check_restart(spec->restart, e), "spec", e);
	if (r == 0)
		r = check_sharing(spec, &share, e);
	if (r == 0)
		r = check_combinations(spec, &share, e);
	if (r == 0)
		r = check_log(spec->log, e);
	if (r == 0)
		r = check_mounts(spec, e);
	if (r == 0)
		r = check_devices(spec, e);
	if (r == 0)
		r = check_ulimits(spec, e);
	if (r == 0)
		r = check_sysctls("spec.sysctls", spec->sysctls, spec->n_sysctls, &share, e);
	if (r == 0)
		r = spec->resources ? field_below(check_resources(sv, spec->resources, e), "spec", e) : 0;
	if (r == 0)
		r = check_security(sv, spec, &share, e);
	if (r == 0)
		r = check_shm(&spec->has_shm_size_bytes, &spec->shm_size_bytes, e);
	return r;
}

int check_exec_spec(struct supervisor *sv, Berth__ExecSpec *spec, struct err *e)
{
	int r;

	if (!spec->n_command)
		return field_bad(e, "exec.command", "what is to be executed?");
	if (spec->detach && (spec->want_stdin || spec->tty))
		return field_bad(e, "exec.detach", "nobody is there for stdin or a tty");
	r = field_args("exec.command", spec->command, spec->n_command, e);
	if (r == 0)
		r = field_env("exec.env", spec->env, spec->n_env, e);
	field_empty_is_absent(&spec->workdir);
	if (r == 0 && spec->workdir)
		r = field_path("exec.workdir", &spec->workdir, e);
	if (r == 0)
		r = field_user("exec.user", &spec->user, e);
	if (r == 0)
		r = field_window("exec.rows", spec->tty, spec->rows, spec->cols, e);
	return r;
}

int check_pod_spec(struct supervisor *sv, Berth__PodSpec *spec, struct err *e)
{
	struct sharing share = {0};
	int r = check_network(&spec->network, spec->networks, spec->n_networks, e);

	if (r == 0)
		r = publish_check(spec->ports, spec->n_ports, spec->network, e);
	if (r == 0)
		r = field_hostname("spec.hostname", &spec->hostname, e);
	if (r == 0)
		r = check_names(spec->names, spec->network, e);
	if (r == 0)
		r = field_labels("spec.labels", spec->labels, &spec->n_labels, e);
	share.net_host = spec->network && !strcmp(spec->network, "host");
	if (r == 0)
		r = check_sysctls("spec.sysctls", spec->sysctls, spec->n_sysctls, &share, e);
	if (r == 0)
		r = check_shm(&spec->has_shm_size_bytes, &spec->shm_size_bytes, e);
	if (r == 0)
		r = spec->resources ? field_below(check_resources(sv, spec->resources, e), "spec", e) : 0;
	return r;
}
