/* image/change.h - one instruction of a Dockerfile, done to an image's config (`berth commit --change`). */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>

struct changes {		    /* what is done one after the other to one config */
	Berth__ImageConfig *config; /* not owned; complete messages in it, as they are unpacked */
	bool command_set;	    /* by one of them: a later ENTRYPOINT leaves it */
};

/* CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR as Docker reads it
 * (image/words.h). What is not understood is an error and changes nothing; one that is out of memory may have changed a part. */
int change_apply(struct changes *c, const char *text, struct err *e);
