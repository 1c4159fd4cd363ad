/* image/reference.h - the name of an image as people write it, made canonical: "busybox" -> "docker.io/library/busybox:latest". */
#pragma once

#include "base/err.h"

#include <stdbool.h>

#define REFERENCE_SIZE 512
#define REFERENCES_MAX 256 /* of one image, in a docker-archive and by tags */

/* Canonical form into buf; e->text says what is wrong with a bad one. A digest reference keeps its digest. */
int reference_canonical(const char *text, char buf[REFERENCE_SIZE], struct err *e);

struct reference {	    /* the parts of a canonical name */
	char registry[264]; /* "docker.io", "host:5000" */
	char path[256];	    /* "library/busybox" */
	char tag[136];	    /* "" with a digest alone */
	char digest[72];    /* "sha256:…" or "" */
};
int reference_split(const char *canonical, struct reference *ret, struct err *e);
/* Whom to ask for what is called so: docker.io's images are served by registry-1.docker.io. */
const char *reference_host(const char *registry);
/* "HOST" or "HOST:PORT", as the first part of a name may be. */
bool reference_is_host(const char *text);

/* "linux/arm64/v8", "arm64": the parts, "" without a variant, or e says what is wrong. */
int platform_parse(const char *text, char architecture[32], char variant[32], struct err *e);
