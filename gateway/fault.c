/* gateway/fault.c - see gateway/fault.h */
#include "gateway/fault.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	short status;
	const char *title;
} titles[] = {
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{412, "Precondition Failed"},
	{413, "Request Entity Too Large"},
	{415, "Unsupported Media Type"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
};

static const short statuses[FAULT_N_] = {
	[FAULT_ROUTE] = 404,	   [FAULT_METHOD] = 405,      [FAULT_VERSION] = 406,	 [FAULT_TOKEN] = 401,
	[FAULT_ADMIN] = 403,	   [FAULT_BODY_TYPE] = 415,   [FAULT_BODY_SIZE] = 413,	 [FAULT_HEAD_SIZE] = 431,
	[FAULT_SYNTAX] = 400,	   [FAULT_ARG_UNKNOWN] = 400, [FAULT_ARG_MISSING] = 400, [FAULT_ARG_VALUE] = 400,
	[FAULT_ARG_VERSION] = 400, [FAULT_REFUSED] = 500,     [FAULT_BUSY] = 503,	 [FAULT_UPSTREAM] = 503,
	[FAULT_TIMEOUT] = 504,	   [FAULT_INTERNAL] = 500,    [FAULT_DIALECT] = 400,
};

int fault_status(enum fault_kind kind)
{
	return kind < FAULT_N_ && statuses[kind] ? statuses[kind] : 500;
}

const char *fault_title(int status)
{
	for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
		if (titles[i].status == status)
			return titles[i].title;
	return status < 400 ? "OK" : "Error";
}

bool fault_set(struct fault *f, enum fault_kind kind, const char *field, const char *fmt, ...)
{
	va_list ap;

	f->kind = kind;
	f->status = fault_status(kind);
	snprintf(f->field, sizeof f->field, "%s", field ? field : "");
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof f->text, fmt, ap);
	va_end(ap);
	return false;
}

bool fault_text(struct fault *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text, sizeof f->text, fmt, ap);
	va_end(ap);
	return false;
}
