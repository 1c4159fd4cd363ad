/* supervisor/config.c - see supervisor/config.h. One table of keys: where the value goes, what it may be. */
#include "supervisor/config.h"

#include "base/own.h"
#include "base/settings.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define KEY(n, t, lo, hi) SETTING_AS(#n, struct config, n, t, lo, hi)

static const struct setting table[] = {
	KEY(state_dir, SETTING_PATH, 0, 0),
	KEY(run_dir, SETTING_PATH, 0, 0),
	KEY(cgroup, SETTING_PATH_OR_NONE, 0, 0),
	KEY(socket_group, SETTING_NAME_OR_NONE, 0, 0),
	KEY(job_path, SETTING_PATH, 0, 0),
	KEY(net_path, SETTING_PATH, 0, 0),
	KEY(dns_path, SETTING_PATH, 0, 0),
	KEY(resolv_conf, SETTING_PATH, 0, 0),
	KEY(default_subnet, SETTING_TEXT, 0, 0),
	KEY(default_network, SETTING_NAME_OR_NONE, 0, 0),
	KEY(plain_http, SETTING_TEXT, 0, 0),
	KEY(mirrors, SETTING_TEXT, 0, 0),
	KEY(certs_dir, SETTING_PATH, 0, 0),
	KEY(auth_file, SETTING_PATH, 0, 0),
	KEY(members_pull, SETTING_TEXT, 0, 0),
	KEY(members_auth_file, SETTING_PATH_OR_NONE, 0, 0),
	KEY(members_images, SETTING_NUMBER, 0, 1u << 20),
	KEY(members_floating_ips, SETTING_NUMBER, 0, 1u << 20),
	SETTING_AS("pull_stall", struct config, pull_stall_ns, SETTING_DURATION, 1 * NS_PER_S, 3600 * NS_PER_S),
	KEY(image_max_size, SETTING_BYTES, 0, 1ull << 50),
	SETTING_AS("action_keep", struct config, action_keep_ns, SETTING_DURATION, 0, 10ull * 365 * 86400 * NS_PER_S),
	KEY(project_volumes, SETTING_BYTES, 0, UINT64_MAX),
	KEY(max_containers, SETTING_NUMBER, 1, 1u << 20),
	KEY(max_clients, SETTING_NUMBER, 1, 60000),
	KEY(userns_first, SETTING_NUMBER, 1, 4294000000u),
	KEY(userns_per, SETTING_NUMBER, 1, 1u << 20),
	KEY(spare_shims, SETTING_NUMBER, 0, SPARES_MAX),
	KEY(debug, SETTING_BOOL, 0, 0),
};

static const struct settings settings = {table, ARRAY_SIZE(table), sizeof(struct config)};

/* berth-job, berth-net and berth-dns lie beside berthd, wherever that was installed. */
static void config_path_beside(char path[200], const char *name)
{
	char self[200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (n <= 0)
		return;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (slash && (size_t)(slash - self) + strlen(name) + 2 <= sizeof self) {
		strcpy(slash + 1, name);
		strcpy(path, self);
	}
}

void config_defaults(struct config *c)
{
	*c = (struct config){
		.state_dir = "/var/lib/berth",
		.run_dir = "/run/berth",
		.config_file = "/etc/berth/berthd.conf",
		.socket_group = "berth",
		.job_path = "/usr/libexec/berth/berth-job",
		.net_path = "/usr/libexec/berth/berth-net",
		.dns_path = "/usr/libexec/berth/berth-dns",
		.resolv_conf = "/etc/resolv.conf",
		.default_subnet = "10.209.0.0/16",
		.certs_dir = "/etc/berth/certs.d",
		.auth_file = "/etc/berth/auth.json",
		.members_pull = "no",
		.members_images = 100,
		.members_floating_ips = 50,
		.pull_stall_ns = 30 * NS_PER_S,
		.action_keep_ns = 7ull * 86400 * NS_PER_S,
		.project_volumes = 10ull << 30,
		.max_containers = 16384,
		.max_clients = 1024,
		.userns_first = 200000,
		.userns_per = 65536,
		.spare_shims = 4,
	};
	config_path_beside(c->job_path, "berth-job");
	config_path_beside(c->net_path, "berth-net");
	config_path_beside(c->dns_path, "berth-dns");
}

int config_set(struct config *c, const char *key, const char *value, struct err *e)
{
	return settings_set(&settings, c, key, value, e);
}

int config_parse(struct config *c, const char *file, const char *text, size_t len, struct err *e)
{
	return settings_parse(&settings, c, file, text, len, e);
}

int config_load(struct config *c, const char *path, bool must_exist, struct err *e)
{
	return settings_load(&settings, c, path, must_exist, e);
}

/* `here` has no symbolic links in it, so that .. at the beginning goes up. One behind a name may mean anything: it stays, and is refused. */
int config_set_path(struct config *c, const char *key, const char *here, const char *path, struct err *e)
{
	char full[2 * PATH_MAX] = "/";
	bool going_up = path[0] != '/';
	size_t len, n = going_up && strcmp(here, "/") ? strlen(here) : 0;
	const char *p = path, *word;

	if (!path[0])
		return config_set(c, key, path, e);
	if (n + strlen(path) + 2 > sizeof full)
		return err_set(e, ENAMETOOLONG, key, "%s: %.64s...", key, path);
	memcpy(full, here, n);
	while ((word = str_word(&p, "/", &len))) {
		if (len == 1 && word[0] == '.')
			continue;
		going_up = going_up && len == 2 && !memcmp(word, "..", 2);
		if (going_up) {
			while (n && full[--n] != '/')
				;
			continue;
		}
		full[n++] = '/';
		memcpy(full + n, word, len);
		n += len;
	}
	full[n ? n : 1] = 0;
	return config_set(c, key, full, e);
}

int config_check(const struct config *c, struct err *e)
{
	/* sun_path has 108 bytes: RUN "/shims/" uuid NUL. */
	size_t longest = 108 - 1 - strlen("/shims/") - (UUID_SIZE - 1);

	if (!str_is_clean_path(c->state_dir) || !str_is_clean_path(c->run_dir))
		return err_set(e, 0, "config", "state_dir and run_dir must be absolute paths without . and ..");
	if (strlen(c->run_dir) > longest)
		return err_set(e, 0, "run_dir", "run_dir: longer than %zu bytes, sockets in it could not be named",
			       longest);
	if (!strcmp(c->state_dir, c->run_dir))
		return err_set(e, 0, "config", "state_dir and run_dir must not be the same folder");
	if (!strcmp(c->default_network, "host") || !strcmp(c->default_network, "none"))
		return err_set(e, 0, "default_network",
			       "default_network: %s is no network: name one, or leave it empty for none",
			       c->default_network);
	if ((uint64_t)c->userns_first + c->userns_per > 4294967295u)
		return err_set(e, 0, "userns_first", "userns_first + userns_per is beyond the last user id");
	return 0;
}
