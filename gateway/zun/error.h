/* gateway/zun/error.h - what went wrong, in Zun's words: HTTP status, code, title, detail. Pure. */
#pragma once

#include "gateway/fault.h"
#include "gateway/json.h"
#include "proto/berth.pb-c.h"

enum zun_error_kind { /* the code is "container." and the kebab-case name of Zun's exception */
		      ZUN_E_INTERNAL,
		      ZUN_E_ROUTER, /* found before any handler: "container." alone, whatever the status */
		      ZUN_E_AUTH,   /* Keystone's middleware speaks: no errors[] */
		      ZUN_E_SCHEMA,
		      ZUN_E_VALUE,
		      ZUN_E_PARAMETER,
		      ZUN_E_VERSION_PARAM,
		      ZUN_E_VERSION_RANGE,
		      ZUN_E_IMAGE,
		      ZUN_E_POLICY,
		      ZUN_E_CONTAINER,
		      ZUN_E_RESOURCE,
		      ZUN_E_HOST,
		      ZUN_E_STATE,
		      ZUN_E_CONFLICT,
		      ZUN_E_NOT_IMPLEMENTED, /* Zun has it, this version of berth has not */
		      ZUN_E_UNAVAILABLE,
		      ZUN_E_TIMEOUT,
		      ZUN_E_KIND_N_,
};

struct zun_error {
	enum zun_error_kind kind;
	int status;
	const char *title; /* NULL: the text */
	char text[768];
};

/* What the dialect's own refusals are made of: call_refuse(c, zun_error_status(kind), kind, …). */
int zun_error_status(enum zun_error_kind kind);

struct zun_error_about {	   /* the request that failed, as far as the words need it; all may be NULL or 0 */
	const char *ident;	   /* of the container in its path */
	unsigned version;	   /* 1.x */
	const struct schema *args; /* of its route */
	bool lists;		   /* it is a list, whose parameters are refused otherwise */
	const char *correlation;   /* to be found in the log by: the request id */
};
void zun_error_of(struct zun_error *e, const struct fault *f, const struct zun_error_about *about);

void zun_error_write(struct jw *j, const struct zun_error *e);
