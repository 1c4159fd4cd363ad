/* supervisor/meta.c - see supervisor/meta.h */
#include "supervisor/meta.h"

#include "base/loop.h"
#include "base/str.h"
#include "supervisor/set.h"

#include <stdlib.h>
#include <string.h>

Berth__Meta *meta_new(struct supervisor *sv, const char *uuid, const char *project, const char *owner, const char *name)
{
	Berth__Meta *m = malloc(sizeof *m);
	char made[UUID_SIZE];

	if (!m)
		return NULL;
	berth__meta__init(m);
	if (!uuid) {
		uuid_make(made);
		uuid = made;
	}
	m->uuid = strdup(uuid);
	m->project = strdup(project);
	m->owner = strdup(owner);
	m->name = strdup(name ? name : uuid);
	if (!m->uuid || !m->project || !m->owner || !m->name) {
		berth__meta__free_unpacked(m, NULL);
		return NULL;
	}
	SET(m, id, supervisor_next_id(sv));
	SET(m, revision, supervisor_next_revision(sv));
	SET(m, generation, 1);
	SET(m, created_at, wall_ns());
	SET(m, updated_at, m->created_at);
	return m;
}
