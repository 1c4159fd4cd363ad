/* gateway/config.c - see gateway/config.h */
#include "gateway/config.h"

#include "base/loop.h"
#include "base/own.h"
#include "base/settings.h"

#define KEY(n, t, lo, hi) SETTING_AS(#n, struct config, n, t, lo, hi)
#define TIMEOUT(n, field) SETTING_AS(n, struct config, field, SETTING_DURATION, NS_PER_S / 10, 3600 * NS_PER_S)

static const struct setting table[] = {
	KEY(control, SETTING_PATH, 0, 0),
	KEY(listen, SETTING_TEXT, 0, 0),
	KEY(user, SETTING_NAME_OR_NONE, 0, 0),
	KEY(base_url, SETTING_TEXT, 0, 0),
	KEY(max_connections, SETTING_NUMBER, 4, 100000),
	KEY(max_per_peer, SETTING_NUMBER, 1, 100000),
	KEY(max_memory, SETTING_BYTES, 4u << 20, 1ull << 40),
	TIMEOUT("head_timeout", head_timeout_ns),
	TIMEOUT("body_timeout", body_timeout_ns),
	TIMEOUT("answer_timeout", answer_timeout_ns),
	TIMEOUT("exec_timeout", exec_timeout_ns),
	TIMEOUT("stop_timeout", stop_timeout_ns),
	KEY(log_requests, SETTING_BOOL, 0, 0),
	KEY(debug, SETTING_BOOL, 0, 0),
};

static const struct settings settings = {table, ARRAY_SIZE(table), sizeof(struct config)};

void config_defaults(struct config *c)
{
	*c = (struct config){
		.control = "/run/berth/api.sock",
		.listen = "127.0.0.1:9517",
		.user = "berth-gateway",
		.max_connections = 4096,
		.max_per_peer = 1024,
		.max_memory = 256u << 20,
		.head_timeout_ns = 60 * NS_PER_S,
		.body_timeout_ns = 60 * NS_PER_S,
		.answer_timeout_ns = 60 * NS_PER_S,
		.exec_timeout_ns = 5 * NS_PER_S,
		.stop_timeout_ns = 20 * NS_PER_S,
	};
}

int config_set(struct config *c, const char *key, const char *value, struct err *e)
{
	return settings_set(&settings, c, key, value, e);
}

int config_load(struct config *c, const char *path, bool must_exist, struct err *e)
{
	return settings_load(&settings, c, path, must_exist, e);
}
