/* gateway/zun/error.c - see gateway/zun/error.h */
#include "gateway/zun/error.h"

#include "base/own.h"
#include "gateway/params.h"
#include "gateway/zun/version.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	int status;
	const char *code;
} kinds[ZUN_E_KIND_N_] = {
	[ZUN_E_INTERNAL] = {500, "container."},
	[ZUN_E_ROUTER] = {404, "container."},
	[ZUN_E_AUTH] = {401, ""},
	[ZUN_E_SCHEMA] = {400, "container.schema-validation-error"},
	[ZUN_E_VALUE] = {400, "container.invalid-value"},
	[ZUN_E_PARAMETER] = {400, "container.invalid-parameter-value"},
	[ZUN_E_VERSION_PARAM] = {400, "container.invalid-param-in-version"},
	[ZUN_E_VERSION_RANGE] = {406, "zun.microversion-unsupported"},
	[ZUN_E_IMAGE] = {400, "container.image-not-found"},
	[ZUN_E_POLICY] = {403, "container.policy-not-authorized"},
	[ZUN_E_CONTAINER] = {404, "container.container-not-found"},
	[ZUN_E_RESOURCE] = {404, "container.resource-not-found"},
	[ZUN_E_HOST] = {404, "container.requested-host-not-found"},
	[ZUN_E_STATE] = {409, "container.invalid-state-exception"},
	[ZUN_E_CONFLICT] = {409, "container.conflict"},
	[ZUN_E_NOT_IMPLEMENTED] = {501, "container.not-implemented"},
	[ZUN_E_UNAVAILABLE] = {503, "container.service-unavailable"},
	[ZUN_E_TIMEOUT] = {504, "container.gateway-timeout"},
};

int zun_error_status(enum zun_error_kind kind)
{
	return kinds[kind].status;
}

static void set(struct zun_error *e, enum zun_error_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void set(struct zun_error *e, enum zun_error_kind kind, const char *fmt, ...)
{
	va_list ap;

	*e = (struct zun_error){.kind = kind, .status = kinds[kind].status};
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
}

static void set_router(struct zun_error *e, int status, const char *text)
{
	set(e, ZUN_E_ROUTER, "%s", text);
	e->status = status;
	e->title = fault_title(status);
}

static void set_auth(struct zun_error *e)
{
	set(e, ZUN_E_AUTH, "The request you have made requires authentication.");
}

static void set_internal(struct zun_error *e, const struct zun_error_about *about)
{
	set(e, ZUN_E_INTERNAL,
	    "Your request could not be handled because of a problem in the server. Error Correlation id is: %s",
	    about->correlation ? about->correlation : "");
	e->title = fault_title(500);
}

/* ---------------------------------------------------------------- what berthd refused */

static const enum zun_error_kind kind_of_code[] = {
	/* without a row: ZUN_E_INTERNAL */
	[BERTH__ERROR__CODE__INVALID] = ZUN_E_VALUE,	       [BERTH__ERROR__CODE__NOT_FOUND] = ZUN_E_CONTAINER,
	[BERTH__ERROR__CODE__EXISTS] = ZUN_E_CONFLICT,	       [BERTH__ERROR__CODE__CONFLICT] = ZUN_E_STATE,
	[BERTH__ERROR__CODE__DENIED] = ZUN_E_POLICY,	       [BERTH__ERROR__CODE__UNSUPPORTED] = ZUN_E_VALUE,
	[BERTH__ERROR__CODE__EXHAUSTED] = ZUN_E_UNAVAILABLE,   [BERTH__ERROR__CODE__TIMEOUT] = ZUN_E_TIMEOUT,
	[BERTH__ERROR__CODE__AMBIGUOUS] = ZUN_E_CONFLICT,      [BERTH__ERROR__CODE__START_FAILED] = ZUN_E_CONFLICT,
	[BERTH__ERROR__CODE__UNAVAILABLE] = ZUN_E_UNAVAILABLE, [BERTH__ERROR__CODE__STALE] = ZUN_E_CONFLICT,
	[BERTH__ERROR__CODE__COMPACTED] = ZUN_E_CONFLICT,      [BERTH__ERROR__CODE__UNAUTHENTICATED] = ZUN_E_AUTH,
};

/* How what Zun's users can set is called over there: the beginning of a field's path. */
static const struct {
	const char *berth, *zun;
} fields[] = {
	{"spec.resources.memory", "memory"},
	{"spec.resources.cpu", "cpu"},
	{"resources.memory", "memory"},
	{"resources.cpu", "cpu"},
	{"spec.image", "image"},
	{"spec.command", "command"},
	{"spec.entrypoint", "entrypoint"},
	{"spec.env", "environment"},
	{"spec.workdir", "workdir"},
	{"spec.hostname", "hostname"},
	{"spec.labels", "labels"},
	{"spec.restart", "restart_policy"},
	{"spec.auto_remove", "auto_remove"},
	{"exec.command", "command"},
	{"image", "image"},
	{"name", "name"},
	{"signal", "signal"},
};

static const char *field_of(const char *berth)
{
	for (size_t i = 0; berth && i < ARRAY_SIZE(fields); i++)
		if (!strncmp(berth, fields[i].berth, strlen(fields[i].berth)))
			return fields[i].zun;
	return NULL;
}

static void of_berthd(struct zun_error *e, const Berth__Error *error, const struct zun_error_about *about)
{
	const char *text = error->text ? error->text : "", *field = field_of(error->field ? error->field : error->step);
	enum zun_error_kind kind =
		(size_t)error->code < ARRAY_SIZE(kind_of_code) ? kind_of_code[error->code] : ZUN_E_INTERNAL;

	if (kind == ZUN_E_INTERNAL)
		set_internal(e, about);
	else if (kind == ZUN_E_AUTH)
		set_auth(e);
	else if (kind == ZUN_E_CONTAINER && field && !strcmp(field, "image"))
		set(e, ZUN_E_IMAGE, "%s", text);
	else if (kind == ZUN_E_CONTAINER && about->ident)
		set(e, kind, "Container %.300s could not be found.", about->ident);
	else if (error->code == BERTH__ERROR__CODE__AMBIGUOUS)
		set(e, kind, "Multiple containers exist with same name. Please use the container uuid instead.");
	else if (kind == ZUN_E_VALUE && field)
		set(e, kind, "Invalid input for field '%s'. %s", field, text);
	else
		set(e, kind, "%s", text);
}

/* ---------------------------------------------------------------- what the core refused */

static unsigned since_of(const struct schema *s, const char *field)
{
	for (const struct param *p = s ? s->params : NULL; p && p->name; p++)
		if (!strcmp(p->name, field))
			return p->since;
	return 0;
}

/* The last two keys came with schemas of their own: before, nobody knew them. */
static void of_version_param(struct zun_error *e, const struct fault *f, const struct zun_error_about *about)
{
	if (!strcmp(f->field, "host") || !strcmp(f->field, "entrypoint"))
		set(e, ZUN_E_SCHEMA, "Additional properties are not allowed ('%s' was unexpected)", f->field);
	else
		set(e, ZUN_E_VERSION_PARAM,
		    "Invalid param %s because current request version is 1.%u. %s is only supported from version 1.%u",
		    f->field, about->version, f->field, since_of(about->args, f->field));
}

/* The version itself, or what is not in it. */
static void of_version(struct zun_error *e, const struct fault *f, const struct zun_error_about *about)
{
	char text[128];

	if (f->code == ZUN_VERSION_RANGE) {
		set(e, ZUN_E_VERSION_RANGE, "%s", f->text);
		e->title = "Requested microversion is unsupported";
		return;
	}
	snprintf(text, sizeof text,
		 "Version 1.%u was requested but the requested API is not supported for this version.", about->version);
	set_router(e, 406, f->code == ZUN_VERSION_BAD ? f->text : text);
}

void zun_error_of(struct zun_error *e, const struct fault *f, const struct zun_error_about *about)
{
	switch (f->kind) {
	case FAULT_ROUTE:
		set_router(e, 404, "The resource could not be found.");
		break;
	case FAULT_VERSION:
		of_version(e, f, about);
		break;
	case FAULT_TOKEN:
		set_auth(e);
		break;
	case FAULT_SYNTAX:
		set(e, ZUN_E_SCHEMA, "%s", f->text);
		break;
	case FAULT_ARG_UNKNOWN:
		if (about->lists)
			set(e, ZUN_E_VALUE, "Unknown parameters: %s", f->field);
		else
			set(e, ZUN_E_SCHEMA, "Additional properties are not allowed ('%s' was unexpected)", f->field);
		break;
	case FAULT_ARG_MISSING:
		set(e, ZUN_E_SCHEMA, "'%s' is a required property", f->field);
		break;
	case FAULT_ARG_VALUE:
		set(e, ZUN_E_SCHEMA, "Invalid input for %s '%s'. Value: '%s'. %s",
		    f->in_query ? "query parameters" : "field", f->field, f->value, f->text);
		break;
	case FAULT_ARG_VERSION:
		of_version_param(e, f, about);
		break;
	case FAULT_REFUSED:
		of_berthd(e, f->error, about);
		break;
	case FAULT_ADMIN:
		set(e, ZUN_E_POLICY, "Policy doesn't allow this to be performed: %s.", f->text);
		break;
	case FAULT_BUSY:
	case FAULT_UPSTREAM:
		set(e, ZUN_E_UNAVAILABLE, "%s", f->text);
		break;
	case FAULT_TIMEOUT:
		set(e, ZUN_E_TIMEOUT, "%s", f->text);
		break;
	case FAULT_DIALECT:
		set(e, (enum zun_error_kind)f->code, "%s", f->text);
		break;
	case FAULT_METHOD:
	case FAULT_BODY_TYPE:
	case FAULT_BODY_SIZE:
	case FAULT_HEAD_SIZE:
		set_router(e, f->status, f->text);
		break;
	default:
		set_internal(e, about);
		break;
	}
}

/* ---------------------------------------------------------------- the body */

/* keystonemiddleware answers before Zun does, in Keystone's shape. */
static void auth_write(struct jw *j, const struct zun_error *e)
{
	jw_object(j, NULL);
	jw_object(j, "error");
	jw_int(j, "code", e->status);
	jw_str(j, "title", fault_title(e->status));
	jw_str(j, "message", e->text);
	jw_end(j);
	jw_end(j);
}

/* request_id is always empty, also where it is known: that is how Zun's errors look. The id is in the header. */
void zun_error_write(struct jw *j, const struct zun_error *e)
{
	bool range = e->kind == ZUN_E_VERSION_RANGE;

	if (e->kind == ZUN_E_AUTH) {
		auth_write(j, e);
		return;
	}
	jw_object(j, NULL);
	jw_array(j, "errors");
	jw_object(j, NULL);
	jw_str(j, "request_id", "");
	jw_str(j, "code", kinds[e->kind].code);
	jw_int(j, "status", e->status);
	jw_str(j, "title", e->title ? e->title : e->text);
	jw_str(j, "detail", e->text);
	if (range) {
		jw_fmt(j, "max_version", "1.%d", ZUN_VERSION_MAX);
		jw_fmt(j, "min_version", "1.%d", ZUN_VERSION_MIN);
	}
	jw_array(j, "links");
	if (range) {
		jw_object(j, NULL);
		jw_str(j, "rel", "help");
		jw_str(j, "href", "https://docs.openstack.org/api-guide/compute/microversions.html");
		jw_end(j);
	}
	jw_end(j);
	jw_end(j);
	jw_end(j);
	jw_end(j);
}
