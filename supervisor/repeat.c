/* supervisor/repeat.c - see supervisor/repeat.h */
#include "supervisor/repeat.h"

#include "supervisor/control.h"
#include "supervisor/replay.h"
#include "supervisor/supervisor.h"

#include <stddef.h>
#include <stdio.h>

#define TABLE(name) offsetof(struct supervisor, name)

enum kind {
	MADE = 1, /* there: looking at it gives the answer that it had */
	REMOVED,  /* not there: that was it */
	OWN,	  /* says so itself */
	PART,	  /* … and it is about a part of an object */
};

static const struct row {
	enum kind kind;
	size_t table;
	Berth__Envelope__BodyCase look; /* a request whose first field says which */
	request_fn *fn;
	repeat_fn *own;
} rows[] = {
#define CASE(name) [BERTH__ENVELOPE__BODY_##name]
#define MAKES(t, body, f)                                                                                              \
	{                                                                                                              \
		.kind = MADE, .table = TABLE(t), .look = BERTH__ENVELOPE__BODY_##body, .fn = f                         \
	}
#define REMOVES(t)                                                                                                     \
	{                                                                                                              \
		.kind = REMOVED, .table = TABLE(t)                                                                     \
	}
#define SAYS(f)                                                                                                        \
	{                                                                                                              \
		.kind = OWN, .own = f                                                                                  \
	}
#define OF_PART(f)                                                                                                     \
	{                                                                                                              \
		.kind = PART, .own = f                                                                                 \
	}
	CASE(CONTAINER_CREATE) = MAKES(containers, CONTAINER_INSPECT, on_container_inspect),
	CASE(CONTAINER_REMOVE) = REMOVES(containers),
	CASE(POD_CREATE) = MAKES(pods, POD_INSPECT, on_pod_inspect),
	CASE(POD_REMOVE) = REMOVES(pods),
	CASE(IMAGE_REMOVE) = REMOVES(images),
	CASE(VOLUME_CREATE) = MAKES(volumes, VOLUME_INSPECT, on_volume_inspect),
	CASE(VOLUME_REMOVE) = REMOVES(volumes),
	CASE(NETWORK_CREATE) = MAKES(networks, NETWORK_INSPECT, on_network_inspect),
	CASE(NETWORK_REMOVE) = REMOVES(networks),
	CASE(NETWORK_CONNECT) = OF_PART(network_change_repeated),
	CASE(NETWORK_DISCONNECT) = OF_PART(network_change_repeated),
	CASE(SECURITY_GROUP_CREATE) = MAKES(security_groups, SECURITY_GROUP_INSPECT, on_security_group_inspect),
	CASE(SECURITY_GROUP_REMOVE) = REMOVES(security_groups),
	CASE(SECURITY_GROUP_RULE_ADD) = OF_PART(security_rule_repeated),
	CASE(SECURITY_GROUP_RULE_REMOVE) = OF_PART(security_rule_repeated),
	CASE(FLOATING_IP_POOL_CREATE) = SAYS(floating_pool_repeated),
	CASE(FLOATING_IP_POOL_REMOVE) = REMOVES(floating_pools),
	CASE(FLOATING_IP_ALLOCATE) = SAYS(floating_ip_repeated),
	CASE(FLOATING_IP_RELEASE) = REMOVES(floating_ips),
};

/* The request is the other one from here on. */
static void look(struct request *rq, const struct row *row, const char *id)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field(&berth__envelope__descriptor, row->look);
	const ProtobufCMessageDescriptor *d = f->descriptor;
	union {
		ProtobufCMessage base;
		char room[128];
	} body;
	Berth__Envelope view = BERTH__ENVELOPE__INIT;
	char ref[UUID_SIZE];

	_Static_assert(sizeof(Berth__ContainerInspect) <= sizeof body && sizeof(Berth__VolumeInspect) <= sizeof body &&
			       sizeof(Berth__PodInspect) <= sizeof body &&
			       sizeof(Berth__NetworkInspect) <= sizeof body &&
			       sizeof(Berth__SecurityGroupInspect) <= sizeof body,
		       "room for the request");
	snprintf(ref, sizeof ref, "%s", id);
	protobuf_c_message_init(d, &body);
	*(char **)(body.room + d->fields[0].offset) = ref;
	view.body_case = row->look;
	view.container_inspect =
		(Berth__ContainerInspect *)&body; /* any member of the union: they are all one pointer */
	rq->env = &view;
	row->fn(rq);
}

static const struct row *row_of(Berth__Envelope__BodyCase body)
{
	return (size_t)body < sizeof rows / sizeof *rows && rows[body].kind ? &rows[body] : NULL;
}

bool request_repeated(struct request *rq, const char *id)
{
	const struct row *row = row_of(rq->env->body_case);
	const struct table *of = row ? (const void *)((const char *)rq->sv + row->table) : NULL;

	if (!row || !*id)
		return false;
	if (row->own)
		return row->own(rq, id);
	if (!table_find(of, id) == (row->kind == MADE))
		return false; /* its row was not committed, or its deletion */
	if (row->kind == MADE)
		look(rq, row, id);
	else
		reply_done(rq->sv, rq->parked, id);
	return true;
}

bool repeat_is_of_object(Berth__Envelope__BodyCase body)
{
	const struct row *row = row_of(body);

	return row && row->kind != PART;
}

void repeat_note(struct supervisor *sv, struct parked p, const char *id)
{
	struct open *o = control_open_find(sv, p);

	if (o && o->replay)
		replay_object(sv, o->replay, id);
}
