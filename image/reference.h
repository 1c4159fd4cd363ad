/* image/reference.h - the name of an image as people write it, made canonical: "busybox" -> "docker.io/library/busybox:latest". */
#pragma once

#include "base/err.h"

#define REFERENCE_SIZE 512

/* Canonical form into buf; e->text says what is wrong with a bad one. A digest reference keeps its digest. */
int reference_canonical(const char *text, char buf[REFERENCE_SIZE], struct err *e);
