/* gateway/zun/version.h - microversions: which of them a request asks for. Pure. */
#pragma once

#include "base/err.h"

#define ZUN_VERSION_MIN 1 /* all are 1.x */
#define ZUN_VERSION_MAX 40

enum zun_version_result {		       /* positive: expected, for the direct caller */
			  ZUN_VERSION_BAD = 1, /* not a version of ours: e->text has Zun's words */
			  ZUN_VERSION_RANGE,   /* a version, but one that is not offered: its text is in e->text */
};

/* The value of OpenStack-API-Version ("container 1.40", "container latest"; NULL: none was sent, which is 1.1) -> x of 1.x. */
int zun_version_parse(const char *header, unsigned *ret_minor, struct err *e);
