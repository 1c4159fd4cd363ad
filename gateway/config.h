/* gateway/config.h - the gateway's settings: defaults, then the file (base/settings.h), then the command line (main.c). */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct config {
	char control[108];	  /* berthd's api.sock */
	char listen[1024];	  /* ADDR:PORT and unix:PATH, blanks between */
	char user[64];		  /* who we are, when started as root */
	char base_url[256];	  /* what links begin with; empty: http:// and the Host of the request */
	uint32_t max_connections; /* of all, and … */
	uint32_t max_per_peer;	  /* … of one address (of an IPv6 /64, of a local uid) */
	uint64_t max_memory;	  /* bytes: gateway/memory.h */
	uint64_t head_timeout_ns; /* from the connection, or the last answer, to the end of the next head */
	uint64_t body_timeout_ns;
	uint64_t answer_timeout_ns; /* and more for a long one: server.c */
	uint64_t exec_timeout_ns;   /* of a command whose end is waited for; then it is killed */
	uint64_t stop_timeout_ns;   /* for requests under way when we are told to end */
	bool log_requests, debug;
};

void config_defaults(struct config *c);
int config_set(struct config *c, const char *key, const char *value, struct err *e);
int config_load(struct config *c, const char *path, bool must_exist, struct err *e);
