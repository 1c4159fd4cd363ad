/* job/list.c - see job/list.h */
#include "job/list.h"

#include "base/file.h"
#include "proto/envelope.h"

#include <errno.h>
#include <sys/mman.h>

Berth__Envelope *envelope_read(int fd, Berth__Envelope__BodyCase body, const char *verb, struct err *e)
{
	struct wire_fds fds = {.n = 0};
	Berth__Envelope *env;
	const void *data;
	size_t len;
	int r = memfd_map(fd, ENVELOPE_MAX, &data, &len);

	if (r < 0) {
		err_set(e, r, verb, "what berthd handed over");
		return NULL;
	}
	env = envelope_unpack(data, len, &fds);
	munmap((void *)data, len);
	if (!env || env->body_case != body) {
		err_set(e, EBADMSG, verb, "what berthd handed over");
		if (env)
			berth__envelope__free_unpacked(env, NULL);
		return NULL;
	}
	return env;
}

Berth__Envelope *list_read(const char *verb, struct err *e)
{
	return envelope_read(LIST_FD, BERTH__ENVELOPE__BODY_IMAGE_REPLY, verb, e);
}

Berth__Envelope *list_read_of(const char *verb, Berth__Envelope__BodyCase of, struct err *e)
{
	return envelope_read(LIST_FD, of, verb, e);
}
