/* supervisor/request.h - what may be asked, by whom: one table of body case -> handler, permission, descriptors, audit verb. */
#pragma once

#include "supervisor/client.h"

struct request {
	struct supervisor *sv;
	const Berth__Envelope *env; /* valid during the handler only */
	struct principal who;	    /* during the handler only */
	struct parked parked;	    /* keep by value to answer later */
	struct wire_fds *fds;	    /* take what is kept (wire_fds_take) */
	const char *verb;	    /* of the row: "stop" */
};

typedef void request_fn(struct request *rq);

struct request_row {
	request_fn *fn;
	enum role least; /* who may ask; what says nothing is for ROLE_ADMIN and above */
	uint8_t min_fds, max_fds;
	bool starts; /* refused while the host goes down */
	bool stores; /* refused while the store cannot be written */
	/* its answer carries a descriptor or a secret: cannot be repeated under a client_token */
	bool once;
	bool revision;	      /* honours if_revision */
	bool accept;	      /* honours accept */
	const char *verb;     /* of the audit log; NULL = only looks */
	uint32_t deadline_ms; /* when the asker names none; 0 = none */
};

/* One good Envelope of a client whose Hello was seen. */
struct client;
/* 0, or -EPROTO: the client broke the protocol and was told. */
int request_handle(struct client *c, const Berth__Envelope *env, struct wire_fds *fds);
const struct request_row *request_row_of(Berth__Envelope__BodyCase body); /* NULL: not a request */

/* Opens the audit record for this request (object may be unknown yet: NULL) and puts its id into rq->parked.action. A second call
 * only names the object: one request is one action. */
void request_audit(struct request *rq, const char *kind, const Berth__Meta *object);

/* if_revision, where one came, is the object's; false: it was refused. noun: "container". */
bool request_revision_fits(struct request *rq, const char *noun, const Berth__Meta *object);
/* For what is asked of all projects; false: it was refused. */
bool request_sees_all(struct request *rq);

/* container_*.c, pod.c, image.c … implement these; request.c holds the table. */
request_fn on_container_create, on_container_start, on_container_stop, on_container_restart, on_container_kill,
	on_container_pause, on_container_unpause, on_container_rename, on_container_remove, on_container_update,
	on_container_wait, on_container_inspect, on_container_list, on_container_logs, on_container_attach,
	on_container_exec, on_container_top, on_container_stats, on_container_copy;
request_fn on_container_commit, on_container_diff, on_container_rebuild;
request_fn on_events, on_actions, on_cancel;
request_fn on_pod_create, on_pod_inspect, on_pod_list, on_pod_remove;
request_fn on_image_import, on_image_pull, on_image_push, on_image_export, on_image_list, on_image_inspect,
	on_image_remove;
request_fn on_security_group_create, on_security_group_list, on_security_group_inspect, on_security_group_remove,
	on_security_group_rule_add, on_security_group_rule_remove, on_security_group_attach;
request_fn on_network_create, on_network_list, on_network_inspect, on_network_remove, on_network_update,
	on_network_drivers, on_network_connect, on_network_disconnect;
request_fn on_floating_ip_pool_create, on_floating_ip_pool_list, on_floating_ip_pool_remove, on_floating_ip_allocate,
	on_floating_ip_list, on_floating_ip_release, on_floating_ip_associate, on_floating_ip_disassociate;
request_fn on_interface_limit;
request_fn on_volume_create, on_volume_list, on_volume_inspect, on_volume_remove, on_volume_update, on_volume_prune;
request_fn on_image_tag, on_image_history, on_image_prune, on_image_verify, on_disk_usage;
request_fn on_info, on_check, on_upgrade, on_shutdown;
request_fn on_token_create, on_token_list, on_token_revoke, on_token_check;
