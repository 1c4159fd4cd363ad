/* supervisor/container_group.c - the control group of a container's present incarnation. */
#include "supervisor/container_act.h"

#include "base/log.h"
#include "base/own.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void container_group_path(const struct container *c, char *buf, unsigned size)
{
	snprintf(buf, size, "shared/%s/%s.%llu", c->obj->pod_uuid, c->node.uuid,
		 (unsigned long long)c->obj->status->incarnation);
}

int container_group_open(const struct container *c, int *ret_fd)
{
	char path[160];

	container_group_path(c, path, sizeof path);
	return cg_open(c->sv->cg.root_fd, path, ret_fd);
}

bool container_group_populated(struct container *c)
{
	AUTO_FD fd = -1;

	return container_group_open(c, &fd) == 0 && cg_is_populated(fd) == 1;
}

void container_group_kill(struct container *c)
{
	AUTO_FD fd = -1;
	int r = container_group_open(c, &fd);

	if (!r)
		r = cg_kill(fd);
	if (r < 0 && r != -ENOENT)
		log_error("container %s: kill its group: %s", c->node.uuid, strerror(-r));
}

int container_group_freeze(struct container *c, bool on)
{
	AUTO_FD fd = -1;
	int r = container_group_open(c, &fd);

	return r < 0 ? r : cg_freeze(fd, on);
}

void container_group_bury(struct container *c)
{
	char path[160];

	container_group_path(c, path, sizeof path);
	cg_bury(&c->sv->graveyard, c->sv->cg.root_fd, path);
}
