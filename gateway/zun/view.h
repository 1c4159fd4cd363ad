/* gateway/zun/view.h - a container of berth's as the object that Zun's clients know. Pure. */
#pragma once

#include "gateway/json.h"
#include "proto/berth.pb-c.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What Zun's users can set and berth has no use for is kept in ContainerSpec.annotations, under these keys. */
#define ZUN_NOTE_RESTART     "zun.restart_policy" /* given, even when it says "no" */
#define ZUN_NOTE_PULL_POLICY "zun.image_pull_policy"

struct zun_view {
	const char *base; /* "http://HOST", for links */
	const char *host; /* of berthd: admins see it */
	int64_t now_ns;
	bool admin;
	bool listed;	       /* an entry of a list: without links */
	const json_t *created; /* the answer to its creation, from these arguments: what was not given is null */
};

void zun_view_container(struct jw *j, const char *key, const Berth__Container *obj, const struct zun_view *v);
/* "links": self and bookmark of /v1/<collection>[/<uuid>] ("" : of the collection itself). */
void zun_view_links(struct jw *j, const char *key, const char *base, const char *collection, const char *uuid);

/* "alice@shop", as berth has who is behind a token: alice, so many bytes of it. */
size_t zun_user_length(const char *principal);
void zun_view_user(struct jw *j, const char *key, const char *principal);
/* NULL when there is no such note. */
const char *zun_note(const Berth__ContainerSpec *spec, const char *key);
