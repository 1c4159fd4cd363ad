/* supervisor/check_parts.c - see supervisor/check_parts.h. What is looked up on the host here lies on devtmpfs, procfs or sysfs:
 * none of these waits for a disk. */
#include "supervisor/check_parts.h"

#include "base/file.h"
#include "base/str.h"
#include "supervisor/apparmor.h"
#include "supervisor/caps.h"
#include "supervisor/check_field.h"
#include "supervisor/plan.h"
#include "supervisor/seccomp.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOUNTS_MAX  256u
#define DEVICES_MAX 128u
#define SYSCTLS_MAX 128u
#define CAPS_MAX    128u
#define PROFILE_MAX (1u << 20)

/* ---------------------------------------------------------------- mounts */

static const char *const propagations[] = {"rprivate", "private", "rslave", "slave", "rshared", "shared"};

static int mount_propagation(const char *at, Berth__Mount *m, struct err *e)
{
	field_empty_is_absent(&m->propagation);
	if (!m->propagation)
		return 0;
	if (m->type != BERTH__MOUNT__TYPE__BIND)
		return field_bad(e, at, "propagation is for bind mounts");
	for (size_t i = 0; i < ARRAY_SIZE(propagations); i++)
		if (!strcmp(m->propagation, propagations[i]))
			return 0;
	return field_bad(e, at, "propagation '%.40s': there are rprivate, private, rslave, slave, rshared and shared",
			 m->propagation);
}

static int mount_source(const char *at, Berth__Mount *m, struct err *e)
{
	char made[UUID_SIZE];

	field_empty_is_absent(&m->source);
	switch (m->type) {
	case BERTH__MOUNT__TYPE__BIND:
		return field_path(at, &m->source, e);
	case BERTH__MOUNT__TYPE__VOLUME:
		if (!m->source) { /* anonymous: known by a uuid as its name */
			uuid_make(made);
			return field_set(&m->source, made);
		}
		if (!str_is_name(m->source))
			return field_bad(e, at,
					 "'%.100s' is neither a path nor a volume's name (letters, digits, _ . -)",
					 m->source);
		return 0;
	default:
		if (m->source)
			return field_bad(e, at, "a tmpfs has no source");
		return 0;
	}
}

static int mount_options(const char *at, const Berth__Mount *m, struct err *e)
{
	bool tmpfs = m->type == BERTH__MOUNT__TYPE__TMPFS;

	if (!tmpfs && (m->has_size_bytes || m->has_mode || m->has_exec))
		return field_bad(e, at, "size, mode and exec are for tmpfs");
	if (tmpfs && m->has_mode && m->mode > 07777)
		return field_bad(e, at, "mode %o is beyond 7777", m->mode);
	if (tmpfs && m->has_size_bytes && m->size_bytes < 4096)
		return field_bad(e, at, "a tmpfs of %llu bytes: at least one page, 4096",
				 (unsigned long long)m->size_bytes);
	if (m->has_no_copy && m->type != BERTH__MOUNT__TYPE__VOLUME)
		return field_bad(e, at, "no_copy is for volumes");
	if ((m->non_recursive || m->writable_below) && m->type != BERTH__MOUNT__TYPE__BIND)
		return field_bad(e, at, "non_recursive and writable_below are for bind mounts");
	if (m->writable_below && !m->read_only)
		return field_bad(e, at, "writable_below is for what is read-only at the top");
	return 0;
}

/* Over /proc a container could show other processes, to ours too, a false picture of themselves. */
static int mount_target(const char *at, Berth__Mount *m, struct err *e)
{
	int r = field_path(at, &m->target, e);

	if (r < 0)
		return r;
	if (!strcmp(m->target, "/"))
		return field_bad(e, at, "nothing can be mounted on / itself");
	if (!strcmp(m->target, "/proc") || str_starts(m->target, "/proc/"))
		return field_bad(e, at, "%.100s lies in /proc: nothing can be mounted there", m->target);
	return 0;
}

static int check_mount(size_t i, Berth__Mount *m, struct err *e)
{
	char at[FIELD_SIZE];
	int r;

	if (!m->has_type || m->type < BERTH__MOUNT__TYPE__BIND || m->type > BERTH__MOUNT__TYPE__TMPFS)
		return field_bad(e, field_at(at, "spec.mounts[%zu].type", i), "there are bind, volume and tmpfs");
	r = mount_source(field_at(at, "spec.mounts[%zu].source", i), m, e);
	if (r == 0)
		r = mount_target(field_at(at, "spec.mounts[%zu].target", i), m, e);
	if (r == 0)
		r = mount_propagation(field_at(at, "spec.mounts[%zu].propagation", i), m, e);
	if (r == 0)
		r = mount_options(field_at(at, "spec.mounts[%zu]", i), m, e);
	return r;
}

int check_mounts(Berth__ContainerSpec *spec, struct err *e)
{
	char at[FIELD_SIZE];

	if (spec->n_mounts > MOUNTS_MAX)
		return field_bad(e, "spec.mounts", "%zu mounts: at most %u", spec->n_mounts, MOUNTS_MAX);
	for (size_t i = 0; i < spec->n_mounts; i++) {
		int r = check_mount(i, spec->mounts[i], e);

		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++)
			if (!strcmp(spec->mounts[k]->target, spec->mounts[i]->target))
				return field_bad(e, field_at(at, "spec.mounts[%zu].target", i), "two mounts on %.200s",
						 spec->mounts[i]->target);
	}
	return 0;
}

/* ---------------------------------------------------------------- devices */

/* Only below /dev: a path elsewhere could lie on a disk that does not answer, and this is asked on the loop. */
static int device_exists(const char *at, const char *path, struct err *e)
{
	struct stat st;

	if (!str_starts(path, "/dev/"))
		return field_bad(e, at, "%.200s is not below /dev", path);
	if (stat(path, &st) < 0)
		return field_bad(e, at, "%.200s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return field_bad(e, at, "%.200s is a folder: name the devices in it one by one", path);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return field_bad(e, at, "%.200s is not a device", path);
	return 0;
}

static int device_access(const char *at, Berth__Device *d, struct err *e)
{
	field_empty_is_absent(&d->access);
	if (!d->access)
		return field_set(&d->access, "rwm");
	for (const char *p = d->access; *p; p++)
		if (!strchr("rwm", *p) || strchr(p + 1, *p))
			return field_bad(e, at, "'%.20s' is not made of r, w and m, each at most once", d->access);
	return 0;
}

static int check_device(size_t i, Berth__Device *d, struct err *e)
{
	char at[FIELD_SIZE];
	int r = field_path(field_at(at, "spec.devices[%zu].source", i), &d->source, e);

	if (r == 0)
		r = device_exists(at, d->source, e);
	field_empty_is_absent(&d->target);
	if (r == 0 && !d->target)
		r = field_set(&d->target, d->source);
	field_at(at, "spec.devices[%zu].target", i);
	if (r == 0)
		r = field_path(at, &d->target, e);
	if (r == 0 && !strcmp(d->target, "/"))
		r = field_bad(e, at, "a device needs a name");
	if (r == 0)
		r = device_access(field_at(at, "spec.devices[%zu].access", i), d, e);
	return r;
}

int check_devices(Berth__ContainerSpec *spec, struct err *e)
{
	char at[FIELD_SIZE];

	if (spec->n_devices > DEVICES_MAX)
		return field_bad(e, "spec.devices", "%zu devices: at most %u", spec->n_devices, DEVICES_MAX);
	for (size_t i = 0; i < spec->n_devices; i++) {
		int r = check_device(i, spec->devices[i], e);

		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++)
			if (!strcmp(spec->devices[k]->target, spec->devices[i]->target))
				return field_bad(e, field_at(at, "spec.devices[%zu].target", i),
						 "two devices at %.200s", spec->devices[i]->target);
	}
	return 0;
}

/* ---------------------------------------------------------------- ulimits */

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* Nobody, not even root, has more open files than fs.nr_open. */
static int ulimit_nofile(const char *at, const Berth__Ulimit *u, struct err *e)
{
	char text[32];
	uint64_t most;

	if (file_read(AT_FDCWD, "/proc/sys/fs/nr_open", text, sizeof text) <= 0)
		return 0; /* then the kernel says it at the start */
	text[strcspn(text, "\n")] = 0;
	if (str_to_u64(text, &most) == 0 && u->hard > most)
		return field_bad(e, at, "nofile: this host allows at most %llu (sysctl fs.nr_open)",
				 (unsigned long long)most);
	return 0;
}

static int check_ulimit(const char *at, Berth__Ulimit *u, struct err *e)
{
	if (!u->name || !*u->name)
		return field_bad(e, at, "a ulimit without a name");
	lower(u->name);
	if (plan_rlimit(u->name) < 0)
		return field_bad(e, at, "there is no ulimit '%.40s' (nofile, nproc, memlock, core, stack …)", u->name);
	if (!u->has_soft && !u->has_hard)
		return field_bad(e, at, "%s: a value is missing", u->name);
	if (!u->has_hard)
		u->hard = u->soft;
	if (!u->has_soft)
		u->soft = u->hard;
	u->has_soft = u->has_hard = true;
	if (u->soft > u->hard)
		return field_bad(e, at, "%s: the soft limit is above the hard one", u->name);
	return !strcmp(u->name, "nofile") ? ulimit_nofile(at, u, e) : 0;
}

int check_ulimits(Berth__ContainerSpec *spec, struct err *e)
{
	char at[FIELD_SIZE];

	for (size_t i = 0; i < spec->n_ulimits; i++) {
		int r = check_ulimit(field_at(at, "spec.ulimits[%zu]", i), spec->ulimits[i], e);

		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++) /* names are few: an endless list ends here */
			if (!strcmp(spec->ulimits[k]->name, spec->ulimits[i]->name))
				return field_bad(e, at, "%s: given twice", spec->ulimits[i]->name);
	}
	return 0;
}

/* ---------------------------------------------------------------- sysctls */

enum sysctl_of { SYSCTL_NET, SYSCTL_IPC, SYSCTL_UTS };

/* Those that belong to a namespace of the container: the others would change the host. */
static const struct {
	const char *name; /* with a dot at the end: all below it */
	enum sysctl_of of;
} sysctls_allowed[] = {
	{"net.", SYSCTL_NET},	       {"kernel.shmmax", SYSCTL_IPC},	       {"kernel.shmall", SYSCTL_IPC},
	{"kernel.shmmni", SYSCTL_IPC}, {"kernel.shm_rmid_forced", SYSCTL_IPC}, {"kernel.msgmax", SYSCTL_IPC},
	{"kernel.msgmnb", SYSCTL_IPC}, {"kernel.msgmni", SYSCTL_IPC},	       {"kernel.sem", SYSCTL_IPC},
	{"fs.mqueue.", SYSCTL_IPC},    {"kernel.domainname", SYSCTL_UTS},      {"kernel.hostname", SYSCTL_UTS},
};

static int sysctl_find(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(sysctls_allowed); i++) {
		const char *name = sysctls_allowed[i].name;
		bool below = name[strlen(name) - 1] == '.';

		if (below ? str_starts(key, name) && key[strlen(name)] : !strcmp(key, name))
			return (int)i;
	}
	return -ENOENT;
}

static bool sysctl_key_is_clean(const char *key)
{
	char before = '.';

	for (; *key; before = *key++) {
		if (!isalnum((unsigned char)*key) && !strchr("._-", *key))
			return false;
		if (*key == '.' && before == '.')
			return false;
	}
	return before != '.';
}

static int sysctl_shared(const char *at, const char *key, enum sysctl_of of, const struct sharing *share, struct err *e)
{
	if (share->pod)
		return field_bad(e, at, "%s belongs to the pod: set it there", key);
	if (of == SYSCTL_NET && share->net_host)
		return field_bad(e, at, "%s would change the host: the container has the host's network", key);
	if (of == SYSCTL_IPC && share->ipc_host)
		return field_bad(e, at, "%s would change the host: the container has the host's IPC namespace", key);
	return 0;
}

int check_sysctls(const char *field, Berth__KeyValue **sysctls, size_t n, const struct sharing *share, struct err *e)
{
	char at[FIELD_SIZE];

	if (n > SYSCTLS_MAX)
		return field_bad(e, field, "%zu sysctls: at most %u", n, SYSCTLS_MAX);
	for (size_t i = 0; i < n; i++) {
		const Berth__KeyValue *kv = sysctls[i];
		int allowed, r;

		field_at(at, "%s[%zu]", field, i);
		if (!kv->key || !sysctl_key_is_clean(kv->key))
			return field_bad(e, at, "'%.100s' is not a sysctl's name like net.ipv4.ip_forward",
					 kv->key ? kv->key : "");
		allowed = sysctl_find(kv->key);
		if (allowed < 0)
			return field_bad(e, at,
					 "%.100s is the whole host's: a container can set net.*, kernel.shm*, "
					 "kernel.msg*, kernel.sem, "
					 "fs.mqueue.*, kernel.domainname and kernel.hostname",
					 kv->key);
		if (!kv->value || !*kv->value || strlen(kv->value) > 1024 || strpbrk(kv->value, "\n"))
			return field_bad(e, at, "%.100s: a value of one line is missing", kv->key);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(sysctls[k]->key, kv->key))
				return field_bad(e, at, "%.100s: given twice", kv->key);
		r = sysctl_shared(at, kv->key, sysctls_allowed[allowed].of, share, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---------------------------------------------------------------- security */

/* "net_admin" -> "CAP_NET_ADMIN"; "all" -> "ALL". */
static int check_caps(const char *field, char **caps, size_t n, struct err *e)
{
	char at[FIELD_SIZE], name[64];

	if (n > CAPS_MAX)
		return field_bad(e, field, "%zu capabilities: at most %u", n, CAPS_MAX);
	for (size_t i = 0; i < n; i++) {
		int cap;

		field_at(at, "%s[%zu]", field, i);
		if (!strcasecmp(caps[i], "all")) {
			snprintf(name, sizeof name, "ALL");
		} else if (caps_parse(caps[i], &cap) < 0 || caps_name(cap, name, sizeof name) < 0) {
			return field_bad(e, at, "there is no capability '%.60s'", caps[i]);
		} else if (!(caps_all() & 1ull << cap)) {
			return field_unsupported(e, at, "this kernel has no capability %s", name);
		}
		if (field_set(&caps[i], name) < 0)
			return err_set(e, ENOMEM, at, "keep the name");
	}
	return 0;
}

/* Whoever lacks it cannot give it on, and the container would start without and without a word. */
static int check_caps_given(const Berth__Security *s, struct err *e)
{
	char at[FIELD_SIZE];
	int cap;

	for (size_t i = 0; i < s->n_cap_add; i++)
		if (caps_parse(s->cap_add[i], &cap) == 0 && !(caps_ours() & 1ull << cap))
			return field_unsupported(e, field_at(at, "spec.security.cap_add[%zu]", i),
						 "berthd itself does not have %s and cannot give it", s->cap_add[i]);
	return 0;
}

static int check_seccomp(struct supervisor *sv, Berth__Security *s, struct err *e)
{
	const void *bpf;
	size_t len;
	struct err bad = {0};
	int r;

	field_empty_is_absent(&s->seccomp);
	if (s->seccomp && !strcmp(s->seccomp, "default")) {
		free(s->seccomp);
		s->seccomp = NULL;
	}
	if (s->seccomp && strcmp(s->seccomp, "unconfined") != 0 && strcmp(s->seccomp, "profile") != 0)
		return field_bad(e, "spec.security.seccomp", "'%.60s': there are default, unconfined and profile",
				 s->seccomp);
	if (s->has_seccomp_profile != (s->seccomp && !strcmp(s->seccomp, "profile")))
		return field_bad(e, "spec.security.seccomp_profile",
				 s->has_seccomp_profile ? "a profile is given, but seccomp is not \"profile\""
							: "the profile is missing");
	if (s->has_seccomp_profile && s->seccomp_profile.len > PROFILE_MAX)
		return field_bad(e, "spec.security.seccomp_profile", "%zu bytes: at most %u", s->seccomp_profile.len,
				 PROFILE_MAX);
	if (!s->has_seccomp_profile || !sv->seccomp)
		return 0;
	r = seccomp_get(sv->seccomp, s, caps_of(s), &bpf, &len, &bad);
	if (r < 0)
		return err_set(e, r == -ENOMEM || r == -ENOTSUP ? -r : EINVAL, "spec.security.seccomp_profile", "%s",
			       bad.text);
	return 0;
}

static int check_apparmor(Berth__Security *s, struct err *e)
{
	static const char field[] = "spec.security.apparmor";

	field_empty_is_absent(&s->apparmor);
	if (!s->apparmor || !strcmp(s->apparmor, "unconfined"))
		return 0;
	if (strlen(s->apparmor) > 255 || strpbrk(s->apparmor, " \t\n"))
		return field_bad(e, field, "'%.100s' is not a profile's name", s->apparmor);
	if (!apparmor_active())
		return field_unsupported(
			e, field,
			"AppArmor is not active on this host: boot with lsm=…,apparmor, or ask for unconfined");
	if (!apparmor_is_loaded(s->apparmor))
		return field_bad(e, field, "no AppArmor profile '%s' is loaded: load it with apparmor_parser -r",
				 s->apparmor);
	return 0;
}

/* In a user namespace the container has no say over namespaces that belong to the host. */
static int check_userns(const Berth__Security *s, const struct sharing *share, struct err *e)
{
	static const char field[] = "spec.security.userns";

	if (!s->userns)
		return 0;
	if (s->privileged)
		return field_bad(e, field, "a privileged container cannot have a user namespace of its own");
	if (share->pod)
		return field_bad(e, field, "the pod decides about user namespaces, and pods have none in this version");
	if (share->net_host || share->pid_host || share->ipc_host)
		return field_bad(e, field, "cannot be combined with the host's %s namespace",
				 share->net_host   ? "network"
				 : share->pid_host ? "pid"
						   : "IPC");
	return 0;
}

int check_security(struct supervisor *sv, Berth__ContainerSpec *spec, const struct sharing *share, struct err *e)
{
	Berth__Security *s = spec->security;
	int r;

	if (!s) {
		s = spec->security = malloc(sizeof *s);
		if (!s)
			return err_set(e, ENOMEM, "spec.security", "keep the spec");
		berth__security__init(s);
	}
	if (s->n_masked_paths || s->n_readonly_paths)
		return field_bad(e, "spec.security.masked_paths",
				 "masked and read-only paths are shown, but cannot be chosen");
	r = check_caps("spec.security.cap_add", s->cap_add, s->n_cap_add, e);
	if (r == 0)
		r = check_caps("spec.security.cap_drop", s->cap_drop, s->n_cap_drop, e);
	if (r == 0)
		r = check_caps_given(s, e);
	if (r == 0)
		r = check_userns(s, share, e);
	if (r == 0)
		r = check_apparmor(s, e);
	if (r == 0)
		r = check_seccomp(sv, s, e);
	return r;
}
