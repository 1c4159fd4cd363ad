/* ctl/spec_flags.c - see ctl/spec_flags.h
 *
 * A flag that is one field of the request is one row with the field's path (spec_field). The others have a setter that
 * reads what Docker's users write. Every setter records which words led to which field, so that a refusal of berthd is
 * told in the user's own words. */
#include "ctl/spec_flags.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/mount_text.h"
#include "ctl/spec_own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_FILE_MAX	 (1u << 20) /* --env-file, --label-file */
#define SECCOMP_FILE_MAX (1u << 20)

void spec_opts_init(struct spec_opts *o, const ProtobufCMessageDescriptor *type)
{
	*o = (struct spec_opts){.message = message_new(type)};
}

void spec_opts_fini(struct spec_opts *o)
{
	protobuf_c_message_free_unpacked(o->message, NULL);
	for (size_t i = 0; i < o->n_origins; i++) {
		free(o->origins[i].field);
		free(o->origins[i].words);
	}
	free(o->origins);
	*o = (struct spec_opts){0};
}

void spec_origin_add(struct spec_opts *o, char *field, const struct flag *f, const char *value)
{
	char letter[3] = {'-', f->letter, 0};
	struct spec_origin *origin;

	o->origins = mem_grow(o->origins, o->n_origins, sizeof *o->origins);
	origin = &o->origins[o->n_origins++];
	origin->field = field;
	origin->words = f->arg ? mem_printf("%s%s %s", f->letter ? letter : "--", f->letter ? "" : f->name, value)
			       : mem_printf("%s%s", f->letter ? letter : "--", f->letter ? "" : f->name);
}

static bool is_repeated(const ProtobufCMessage *m, const char *path)
{
	const ProtobufCFieldDescriptor *f = NULL;
	char name[64];

	for (const ProtobufCMessageDescriptor *type = m->descriptor; type; type = f ? f->descriptor : NULL) {
		size_t len = strcspn(path, ".");

		snprintf(name, sizeof name, "%.*s", (int)len, path);
		f = protobuf_c_message_descriptor_get_field_by_name(type, name);
		if (!f || !path[len])
			break;
		path += len + 1;
	}
	return f && f->label == PROTOBUF_C_LABEL_REPEATED;
}

void spec_origin_of(struct spec_opts *o, const struct flag *f, const char *field, const char *value)
{
	if (is_repeated(o->message, field))
		spec_origin_add(o, mem_printf("%s[%zu]", field, field_count(o->message, field)), f, value);
	else
		spec_origin_add(o, mem_text(field), f, value);
}

void *spec_element(struct spec_opts *o, const struct flag *f, const char *value)
{
	spec_origin_of(o, f, f->field, value);
	return field_add(o->message, f->field);
}

int spec_field(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct spec_opts *o = opts;

	spec_origin_of(o, f, f->field, value);
	return field_set(o->message, f->field, value, e);
}

static int spec_entrypoint(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct spec_opts *o = opts;
	int r = field_set(o->message, "entrypoint_set", "true", e);

	if (!r && *value)
		r = spec_field(o, f, value, e);
	return r;
}

/* ---------------------------------------------------------------- NAME=VALUE: environment, labels, sysctls */

/* NAME alone takes the value from our own environment; when it has none, the container gets none either. */
static int env_add(struct spec_opts *o, const struct flag *f, const char *value, struct err *e)
{
	AUTO_FREE char *joined = NULL;

	if (!strchr(value, '=')) {
		const char *ours = getenv(value);

		if (!ours)
			return 0;
		joined = mem_printf("%s=%s", value, ours);
		value = joined;
	}
	if (value[0] == '=')
		return err_set(e, EINVAL, "flag", "\"%s\" has no name before the \"=\"", value);
	return spec_field(o, f, value, e);
}

static int spec_env(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return env_add(opts, f, value, e);
}

static int label_add(struct spec_opts *o, const struct flag *f, const char *value, struct err *e)
{
	const char *eq = strchrnul(value, '=');
	Berth__KeyValue *kv;

	if (eq == value)
		return err_set(e, EINVAL, "flag", "\"%s\" has no key", value);
	kv = spec_element(o, f, value);
	kv->key = mem_textn(value, (size_t)(eq - value));
	kv->value = mem_text(*eq ? eq + 1 : "");
	return 0;
}

int spec_label(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return label_add(opts, f, value, e);
}

static int spec_sysctl(void *opts, const struct flag *f, const char *value, struct err *e)
{
	if (!strchr(value, '='))
		return err_set(e, EINVAL, "flag", "\"%s\" is not NAME=VALUE", value);
	return label_add(opts, f, value, e);
}

/* Lines of a file; blank ones and those that begin with # are skipped, as Docker does. */
static int file_lines(struct spec_opts *o, const struct flag *f, const char *path,
		      int (*add)(struct spec_opts *, const struct flag *, const char *, struct err *), struct err *e)
{
	AUTO_FREE char *text = NULL;
	ssize_t n = file_read_all(AT_FDCWD, path, TEXT_FILE_MAX, &text);
	char *rest, *line;

	if (n < 0)
		return err_set(e, (int)-n, "flag", "%s: %s", path, strerror((int)-n));
	if (memchr(text, 0, (size_t)n))
		return err_set(e, EINVAL, "flag", "%s is not a text file", path);
	rest = text;
	for (unsigned number = 1; (line = strsep(&rest, "\n")); number++) {
		size_t len = strlen(line);
		int r;

		if (len && line[len - 1] == '\r')
			line[--len] = 0;
		line += strspn(line, " \t");
		if (!*line || *line == '#')
			continue;
		r = add(o, f, line, e);
		if (r < 0)
			return err_wrap(e, "%s:%u", path, number);
	}
	return 0;
}

static int spec_env_file(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return file_lines(opts, f, value, env_add, e);
}

static int spec_label_file(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return file_lines(opts, f, value, label_add, e);
}

/* ---------------------------------------------------------------- mounts, devices, limits of processes */

static int spec_volume(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return mount_from_volume(spec_element(opts, f, value), value, e);
}

static int spec_mount(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return mount_from_mount(spec_element(opts, f, value), value, e);
}

static int spec_tmpfs(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return mount_from_tmpfs(spec_element(opts, f, value), value, e);
}

static bool is_access(const char *s)
{
	return *s && strspn(s, "rwm") == strlen(s) && strlen(s) <= 3;
}

static int spec_device(void *opts, const struct flag *f, const char *value, struct err *e)
{
	AUTO_FREE char *source = mem_text(value);
	char *target = strchr(source, ':'), *access = NULL;
	Berth__Device *d;

	if (target)
		*target++ = 0;
	if (target && (access = strchr(target, ':')))
		*access++ = 0;
	if (target && !access && is_access(target)) {
		access = target;
		target = NULL;
	}
	if (source[0] != '/' || (target && target[0] != '/') || (access && !is_access(access)))
		return err_set(e, EINVAL, "flag", "\"%s\" is not /dev/SOURCE[:/dev/TARGET][:rwm]", value);
	d = spec_element(opts, f, value);
	d->source = path_tidy(source);
	d->target = path_tidy(target ? target : source);
	d->access = access ? mem_text(access) : NULL;
	return 0;
}

static int ulimit_number(const char *s, uint64_t *ret)
{
	if (!strcmp(s, "-1") || !strcmp(s, "unlimited")) {
		*ret = UINT64_MAX;
		return 0;
	}
	return str_to_u64(s, ret);
}

static int spec_ulimit(void *opts, const struct flag *f, const char *value, struct err *e)
{
	AUTO_FREE char *name = mem_text(value);
	char *soft = strchr(name, '='), *hard = soft ? strchr(soft, ':') : NULL;
	uint64_t low, high;
	Berth__Ulimit *u;

	if (!soft || soft == name)
		return err_set(e, EINVAL, "flag", "\"%s\" is not NAME=SOFT[:HARD]", value);
	*soft++ = 0;
	if (hard)
		*hard++ = 0;
	if (ulimit_number(soft, &low) || ulimit_number(hard ? hard : soft, &high))
		return err_set(e, EINVAL, "flag", "\"%s\": limits are numbers or \"unlimited\"", value);
	if (low > high)
		return err_set(e, EINVAL, "flag", "\"%s\": the soft limit is above the hard one", value);
	u = spec_element(opts, f, value);
	u->name = mem_text(name);
	u->has_soft = u->has_hard = true;
	u->soft = low;
	u->hard = high;
	return 0;
}

/* ---------------------------------------------------------------- resources */

static int spec_cpus(void *opts, const struct flag *f, const char *value, struct err *e)
{
	size_t whole = strspn(value, "0123456789"),
	       fraction = value[whole] == '.' ? strspn(value + whole + 1, "0123456789") : 0;
	AUTO_FREE char *milli = NULL;

	if (strlen(value) != whole + (value[whole] == '.') + fraction || !(whole + fraction) || whole > 6)
		return err_set(e, EINVAL, "flag", "\"%s\" is not a number of processors (such as 1.5)", value);
	if (fraction > 3)
		return err_set(e, EINVAL, "flag", "\"%s\": thousandths of a processor are the finest step", value);
	milli = mem_printf("%.*s%.*s%.*s", (int)whole, value, (int)fraction, value + whole + 1, (int)(3 - fraction),
			   "000");
	spec_origin_of(opts, f, f->field, value);
	return field_set(((struct spec_opts *)opts)->message, f->field, milli, e);
}

/* Docker's -1 for "no limit" is 0 in a request. */
static int spec_pids_limit(void *opts, const struct flag *f, const char *value, struct err *e)
{
	spec_origin_of(opts, f, f->field, value);
	return field_set(((struct spec_opts *)opts)->message, f->field, strcmp(value, "-1") ? value : "0", e);
}

static int io_max_option(Berth__IoMax *io, char *option, struct err *e)
{
	char *value = strchr(option, '=');

	if (value)
		*value++ = 0;
	if (strcmp(option, "rbps") && strcmp(option, "wbps") && strcmp(option, "riops") && strcmp(option, "wiops"))
		return err_set(e, EINVAL, "flag", "unknown limit \"%s\"; there are rbps, wbps, riops, wiops", option);
	if (!value)
		return err_set(e, EINVAL, "flag", "%s needs a value", option);
	if (!strcmp(option + 1, "bps")) {
		uint64_t *at = option[0] == 'r' ? &io->rbps : &io->wbps;

		if (str_to_bytes(value, at))
			return err_set(e, EINVAL, "flag", "%s: \"%s\" is not a size (such as 10m)", option, value);
		*(option[0] == 'r' ? &io->has_rbps : &io->has_wbps) = true;
		return 0;
	}
	if (str_to_u64(value, option[0] == 'r' ? &io->riops : &io->wiops))
		return err_set(e, EINVAL, "flag", "%s: \"%s\" is not a number", option, value);
	*(option[0] == 'r' ? &io->has_riops : &io->has_wiops) = true;
	return 0;
}

/* DEVICE:rbps=10m,wiops=100; the device may be 8:0, so the colon that counts is the last one before the first "=". */
static int spec_io_max(void *opts, const struct flag *f, const char *value, struct err *e)
{
	AUTO_FREE char *text = mem_text(value);
	char *eq = strchr(text, '='), *colon = eq ? memrchr(text, ':', (size_t)(eq - text)) : NULL, *rest, *option;
	Berth__IoMax *io;

	if (!colon || colon == text)
		return err_set(e, EINVAL, "flag", "\"%s\" is not DEVICE:rbps=N,wbps=N,riops=N,wiops=N", value);
	*colon = 0;
	io = spec_element(opts, f, value);
	io->device = text[0] == '/' ? path_tidy(text) : mem_text(text);
	rest = colon + 1;
	while ((option = strsep(&rest, ","))) {
		int r = io_max_option(io, option, e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---------------------------------------------------------------- the rest */

static int spec_restart(void *opts, const struct flag *f, const char *value, struct err *e)
{
	static const struct {
		const char *name;
		Berth__RestartPolicy__Kind kind;
	} kinds[] = {
		{"no", BERTH__RESTART_POLICY__KIND__NO},
		{"on-failure", BERTH__RESTART_POLICY__KIND__ON_FAILURE},
		{"always", BERTH__RESTART_POLICY__KIND__ALWAYS},
		{"unless-stopped", BERTH__RESTART_POLICY__KIND__UNLESS_STOPPED},
	};
	struct spec_opts *o = opts;
	AUTO_FREE char *name = mem_text(value);
	char *retries = strchr(name, ':');
	Berth__RestartPolicy *p;

	if (retries)
		*retries++ = 0;
	spec_origin_of(o, f, f->field, value);
	p = (Berth__RestartPolicy *)field_add(o->message, "restart");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(name, kinds[i].name))
			continue;
		p->has_kind = true;
		p->kind = kinds[i].kind;
		p->has_max_retries = retries != NULL;
		if (retries &&
		    (p->kind != BERTH__RESTART_POLICY__KIND__ON_FAILURE || str_to_u32(retries, &p->max_retries)))
			return err_set(e, EINVAL, "flag", "\"%s\": a number of retries is only for on-failure:N",
				       value);
		return 0;
	}
	return err_set(e, EINVAL, "flag", "\"%s\" is not no, on-failure[:N], always or unless-stopped", value);
}

static Berth__Security *security(struct spec_opts *o)
{
	return (Berth__Security *)field_add(o->message, "security");
}

static int seccomp_set(struct spec_opts *o, const char *value, struct err *e)
{
	Berth__Security *s = security(o);
	char *text;
	ssize_t n;

	free(s->seccomp);
	s->seccomp = NULL;
	if (!strcmp(value, "default"))
		return 0;
	if (!strcmp(value, "unconfined")) {
		s->seccomp = mem_text(value);
		return 0;
	}
	n = file_read_all(AT_FDCWD, value, SECCOMP_FILE_MAX, &text);
	if (n < 0)
		return err_set(e, (int)-n, "flag", "seccomp profile %s: %s", value, strerror((int)-n));
	free(s->seccomp_profile.data);
	s->has_seccomp_profile = true;
	s->seccomp_profile.data = (uint8_t *)text;
	s->seccomp_profile.len = (size_t)n;
	s->seccomp = mem_text("profile");
	return 0;
}

static int spec_security(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct spec_opts *o = opts;
	AUTO_FREE char *name = mem_text(value);
	char *of = strpbrk(name, "=:"); /* Docker takes both */

	if (of)
		*of++ = 0;
	if (!strcmp(name, "no-new-privileges")) {
		if (of && strcmp(of, "true") && strcmp(of, "false"))
			return err_set(e, EINVAL, "flag", "%s takes true or false, not \"%s\"", name, of);
		spec_origin_add(o, mem_text("security.no_new_privs"), f, value);
		security(o)->has_no_new_privs = true;
		security(o)->no_new_privs = !of || of[0] == 't';
		return 0;
	}
	if (!strcmp(name, "seccomp") && of && *of) {
		spec_origin_add(o, mem_text("security.seccomp"), f, value);
		return seccomp_set(o, of, e);
	}
	if (!strcmp(name, "apparmor") && of && *of) {
		spec_origin_add(o, mem_text("security.apparmor"), f, value);
		free(security(o)->apparmor);
		security(o)->apparmor = mem_text(of);
		return 0;
	}
	return err_set(
		e, EINVAL, "flag",
		"\"%s\": there are seccomp=FILE|unconfined|default, apparmor=NAME|unconfined and no-new-privileges",
		value);
}

static int spec_userns(void *opts, const struct flag *f, const char *value, struct err *e)
{
	if (strcmp(value, "auto") && strcmp(value, "host"))
		return err_set(e, EINVAL, "flag", "\"%s\" is not auto (a user namespace of its own) or host (none)",
			       value);
	spec_origin_of(opts, f, f->field, value);
	return field_set(((struct spec_opts *)opts)->message, f->field, !strcmp(value, "auto") ? "true" : "false", e);
}

/* pid and ipc: "private" is what a container has anyway. */
static int spec_namespace(void *opts, const struct flag *f, const char *value, struct err *e)
{
	if (!strcmp(value, "private") || !*value)
		return 0;
	return spec_field(opts, f, value, e);
}

static int spec_log_opt(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct spec_opts *o = opts;
	AUTO_FREE char *text = mem_text(value);
	char *rest = text, *option;

	while ((option = strsep(&rest, ","))) {
		char *of = strchr(option, '=');
		const char *field = NULL;
		int r;

		if (of)
			*of++ = 0;
		if (!strcmp(option, "max-size"))
			field = "log.max_size_bytes";
		else if (!strcmp(option, "max-file"))
			field = "log.max_files";
		if (!field || !of)
			return err_set(e, EINVAL, "flag", "\"%s\": there are max-size=SIZE and max-file=N", option);
		spec_origin_add(o, mem_text(field), f, value);
		r = field_set(o->message, field, of, e);
		if (r < 0)
			return err_wrap(e, "%s", option);
	}
	return 0;
}

static int spec_pull(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)opts;
	(void)f;
	if (!strcmp(value, "never"))
		return 0; /* which is what happens */
	return err_set(e, EOPNOTSUPP, "flag", "berth does not pull images yet: import one with `berth image import`");
}

int spec_opts_check(const struct spec_opts *o, struct err *e)
{
	const Berth__ContainerSpec *s = (const Berth__ContainerSpec *)o->message;

	if (s->auto_remove && s->restart && s->restart->kind != BERTH__RESTART_POLICY__KIND__NO)
		return err_set(
			e, 0, "flag",
			"--rm and --restart exclude each other: a container that is removed cannot be started again");
	return 0;
}

char *spec_flag_of_field(const struct spec_opts *o, const struct flag_table *tables, const char *field)
{
	const struct spec_origin *best = NULL;
	const struct flag *f;

	if (str_starts(field, "spec.") || str_starts(field, "exec.") || str_starts(field, "rule."))
		field += 5;
	for (size_t i = o ? o->n_origins : 0; i > 0; i--) {
		const struct spec_origin *origin = &o->origins[i - 1];
		size_t len = strlen(origin->field);

		if (!strncmp(field, origin->field, len) && (!field[len] || field[len] == '.' || field[len] == '[') &&
		    (!best || len > strlen(best->field)))
			best = origin;
	}
	if (best)
		return mem_text(best->words);
	f = args_find_field(tables, field);
	return f ? mem_printf("--%s", f->name) : NULL;
}

/* ---------------------------------------------------------------- the tables */

const struct flag spec_flags[] = {
	{'e', "env", "NAME=VALUE", "set a variable; NAME alone takes it from here", spec_env, .field = "env"},
	{0, "env-file", "FILE", "variables from lines of a file", spec_env_file, .field = "env", .complete = "file"},
	{'w', "workdir", "DIR", "working directory", spec_field, .field = "workdir"},
	{'u', "user", "USER[:GROUP]", "names or numbers, resolved in the container", spec_field, .field = "user"},
	{'l', "label", "KEY=VALUE", "add a label", spec_label, .field = "labels"},
	{0, "label-file", "FILE", "labels from lines of a file", spec_label_file, .field = "labels",
	 .complete = "file"},
	{'h', "hostname", "NAME", "host name; default: first digits of the uuid", spec_field, .field = "hostname"},
	{0, "entrypoint", "PROGRAM", "instead of the image's; \"\" for none", spec_entrypoint, .field = "entrypoint"},
	{0, "stop-signal", "SIGNAL", "how `stop` asks it to end; default SIGTERM", spec_field, .field = "stop_signal"},
	{0, "stop-timeout", "SECONDS", "and when it is killed; default 10", spec_field, .field = "stop_timeout_s"},
	{0, "init", NULL, "a small pid 1 that reaps, before the program", spec_field, .field = "init"},
	{'i', "interactive", NULL, "keep standard input open", spec_field, .field = "stdin_open"},
	{'t', "tty", NULL, "a terminal of its own", spec_field, .field = "tty"},
	{0, "rm", NULL, "remove the container when it has ended", spec_field, .field = "auto_remove"},
	{0, "read-only", NULL, "root file system read-only", spec_field, .field = "read_only"},
	{'v', "volume", "[SOURCE:]TARGET[:OPTIONS]",
	 "a path of the host or a named volume; ro, nocopy, [r]slave, [r]shared", spec_volume, .field = "mounts",
	 .complete = "dir"},
	{0, "mount", "type=T,src=S,dst=D[,ro]", "the same in words; bind, volume or tmpfs", spec_mount,
	 .field = "mounts"},
	{0, "tmpfs", "DIR[:size=N,mode=M,exec,ro]", "memory file system", spec_tmpfs, .field = "mounts"},
	{0, "device", "SOURCE[:TARGET][:rwm]", "give it a device of the host", spec_device, .field = "devices",
	 .complete = "file"},
	{0, "cap-add", "CAPABILITY", "beyond the default set; ALL for all", spec_field, .field = "security.cap_add"},
	{0, "cap-drop", "CAPABILITY", "from the default set; ALL for all", spec_field, .field = "security.cap_drop"},
	{0, "privileged", NULL, "all capabilities (less --cap-drop) and devices, no seccomp, nothing masked",
	 spec_field, .field = "security.privileged"},
	{0, "security-opt", "OPTION", "seccomp=FILE|unconfined, apparmor=NAME, no-new-privileges", spec_security,
	 .field = "security"},
	{0, "userns", "auto|host", "auto: a user namespace of its own, rootfs id-mapped", spec_userns,
	 .field = "security.userns", .complete = "auto host"},
	{0, "ulimit", "NAME=SOFT[:HARD]", "limit of a process, such as nofile=1024:4096", spec_ulimit,
	 .field = "ulimits"},
	{0, "sysctl", "NAME=VALUE", "a kernel parameter of its namespaces", spec_sysctl, .field = "sysctls"},
	{0, "shm-size", "SIZE", "of /dev/shm; default 64m", spec_field, .field = "shm_size_bytes"},
	{0, "oom-score-adj", "N", "between -1000 and 1000", spec_field, .field = "oom_score_adj"},
	{'P', "publish-all", NULL, "free ports of the host for all that the image or --expose names", spec_field,
	 .field = "publish_all"},
	{0, "expose", "PORT[-PORT][/PROTOCOL]", "ports for --publish-all", spec_field, .field = "expose"},
	{0, "pid", "host", "the host's process ids instead of its own", spec_namespace, .field = "pid_mode",
	 .complete = "host private"},
	{0, "ipc", "host", "the host's IPC instead of its own", spec_namespace, .field = "ipc_mode",
	 .complete = "host private"},
	{0, "pod", "POD", "run in this pod", spec_field, .field = "pod", .complete = "pod"},
	{0, "pod-init", NULL, "as an init container of the pod: ends before the others start", spec_field,
	 .field = "pod_init"},
	{0, "log-opt", "max-size=N,max-file=N", "rotation of its log; default 16m, 4", spec_log_opt, .field = "log"},
	{0, "pull", "POLICY", NULL, spec_pull},
	{0},
};

const struct flag spec_resource_flags[] = {
	{'m', "memory", "SIZE", "memory limit (memory.max), such as 512m", spec_field,
	 .field = "resources.memory_bytes"},
	{0, "memory-high", "SIZE", "above this it is slowed down (memory.high)", spec_field,
	 .field = "resources.memory_high_bytes"},
	{0, "memory-swap", "SIZE", "memory and swap together; -1: swap without limit", spec_field,
	 .field = "resources.memory_swap_bytes"},
	{0, "cpus", "N", "processors, such as 1.5: a real quota (cpu.max)", spec_cpus, .field = "resources.cpus_milli"},
	{0, "cpu-weight", "N", "share under contention, 1 to 10000; default 100", spec_field,
	 .field = "resources.cpu_weight"},
	{0, "cpuset-cpus", "LIST", "only these processors, such as 0-2,5", spec_field,
	 .field = "resources.cpuset_cpus"},
	{0, "cpuset-mems", "LIST", "only these memory nodes", spec_field, .field = "resources.cpuset_mems"},
	{0, "pids-limit", "N", "processes and threads (pids.max)", spec_pids_limit, .field = "resources.pids_limit"},
	{0, "io-weight", "N", "share of disks under contention, 1 to 10000", spec_field,
	 .field = "resources.io_weight"},
	{0, "io-max", "DEVICE:rbps=N,wiops=N", "limits of a block device: rbps, wbps, riops, wiops", spec_io_max,
	 .field = "resources.io_max", .complete = "file"},
	{0, "oom-group", NULL, "out of memory ends all its processes, not one", spec_field,
	 .field = "resources.oom_group"},
	{0},
};

const struct flag spec_restart_flags[] = {
	{0, "restart", "POLICY", "no, on-failure[:N], always, unless-stopped", spec_restart, .field = "restart",
	 .complete = "no on-failure always unless-stopped"},
	{0},
};

static int spec_timeout(void *opts, const struct flag *f, const char *value, struct err *e)
{
	AUTO_FREE char *ms = NULL;
	uint64_t ns;

	if (str_to_duration_ns(value, &ns) || ns < 1000000)
		return err_set(e, EINVAL, "flag", "\"%s\" is not a duration (such as 10s or 1m30s)", value);
	ms = mem_printf("%llu", (unsigned long long)ns / 1000000);
	spec_origin_of(opts, f, f->field, value);
	return field_set(((struct spec_opts *)opts)->message, f->field, ms, e);
}

const struct flag spec_exec_flags[] = {
	{'i', "interactive", NULL, "keep standard input open", spec_field, .field = "want_stdin"},
	{'t', "tty", NULL, "a terminal of its own", spec_field, .field = "tty"},
	{'d', "detach", NULL, "in the background", spec_field, .field = "detach"},
	{'e', "env", "NAME=VALUE", "set a variable; NAME alone takes it from here", spec_env, .field = "env"},
	{0, "env-file", "FILE", "variables from lines of a file", spec_env_file, .field = "env", .complete = "file"},
	{'w', "workdir", "DIR", "working directory", spec_field, .field = "workdir"},
	{'u', "user", "USER[:GROUP]", "names or numbers, resolved in the container", spec_field, .field = "user"},
	{0, "privileged", NULL, "all capabilities", spec_field, .field = "privileged"},
	{0, "timeout", "DURATION", "then it is killed with all that it started; exit status 124", spec_timeout,
	 .field = "timeout_ms"},
	{0},
};

const struct flag spec_pod_flags[] = {
	{0, "hostname", "NAME", "host name of its containers", spec_field, .field = "hostname"},
	{0, "share-pid", NULL, "one pid namespace for all", spec_field, .field = "share_pid"},
	{'l', "label", "KEY=VALUE", "add a label", spec_label, .field = "labels"},
	{0, "label-file", "FILE", "labels from lines of a file", spec_label_file, .field = "labels",
	 .complete = "file"},
	{0, "sysctl", "NAME=VALUE", "a kernel parameter of its namespaces", spec_sysctl, .field = "sysctls"},
	{0, "shm-size", "SIZE", "of /dev/shm; default 64m", spec_field, .field = "shm_size_bytes"},
	{0},
};

#define NO_HEALTH "health checks are not there yet"

const struct flag spec_refused_flags[] = {
	SPEC_REFUSED(0, "link-local-ip", "the kernel makes those itself"),
	SPEC_REFUSED(0, "link", "containers of a network find each other by name; see --network-alias"),
	SPEC_REFUSED(0, "health-cmd", NO_HEALTH),
	SPEC_REFUSED(0, "health-interval", NO_HEALTH),
	SPEC_REFUSED(0, "health-retries", NO_HEALTH),
	SPEC_REFUSED(0, "health-timeout", NO_HEALTH),
	SPEC_REFUSED('c', "cpu-shares", "use --cpu-weight (1 to 10000, default 100)"),
	SPEC_REFUSED(0, "cpu-quota", "use --cpus"),
	SPEC_REFUSED(0, "cpu-period", "use --cpus"),
	SPEC_REFUSED(0, "blkio-weight", "use --io-weight (1 to 10000, default 100)"),
	SPEC_REFUSED(0, "device-read-bps", "use --io-max DEVICE:rbps=N"),
	SPEC_REFUSED(0, "device-write-bps", "use --io-max DEVICE:wbps=N"),
	SPEC_REFUSED(0, "device-read-iops", "use --io-max DEVICE:riops=N"),
	SPEC_REFUSED(0, "device-write-iops", "use --io-max DEVICE:wiops=N"),
	SPEC_REFUSED(0, "memory-reservation", "use --memory-high, which slows down what is above it"),
	SPEC_REFUSED(0, "memory-swappiness", "cgroup v2 has no swappiness of a group"),
	SPEC_REFUSED(0, "kernel-memory", "cgroup v2 counts the kernel's memory in --memory"),
	SPEC_REFUSED(0, "oom-kill-disable", "cgroup v2 cannot do that; --oom-group ends all processes together"),
	SPEC_REFUSED(0, "cgroup-parent", "berth places its groups itself"),
	SPEC_REFUSED(0, "cgroupns", "a container always has its own cgroup namespace"),
	SPEC_REFUSED(0, "log-driver", "berth writes one format, that of CRI; see --log-opt"),
	SPEC_REFUSED(0, "runtime", "berth has no other runtime than its own"),
	SPEC_REFUSED(0, "isolation", "berth has one kind of isolation"),
	SPEC_REFUSED(0, "gpus", "use --device"),
	SPEC_REFUSED(0, "group-add", "supplementary groups come from the image's /etc/group"),
	SPEC_REFUSED(0, "domainname", "it belongs to the host name: --hostname NAME.DOMAIN"),
	SPEC_REFUSED(0, "uts", "a container always has its own host name"),
	SPEC_REFUSED(0, "volumes-from", "name the volumes with -v"),
	SPEC_REFUSED(0, "volume-driver", "berth has one kind of volume, a folder"),
	SPEC_REFUSED(0, "storage-opt", "berth has one kind of storage, overlayfs"),
	SPEC_REFUSED('a', "attach", "run attaches to all streams, or to none with -d; see also `berth attach`"),
	{0},
};
