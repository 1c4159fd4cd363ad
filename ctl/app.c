/* ctl/app.c - what the commands share (ctl/command.h): asking, and saying what went wrong. */
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/command.h"
#include "ctl/spec_flags.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void say(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout); /* in order, when both go to one place */
	fputs("berth: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int app_fail(const struct app *app, const struct err *e)
{
	char text[600];

	say("%s", err_format(e, text, sizeof text));
	return app->failure;
}

/* As shells and Docker: 127 when the program is not there, 126 when it cannot be executed. */
static int start_failure(const struct app *app, const Berth__Error *error)
{
	if (app->failure != 125 || error->code != BERTH__ERROR__CODE__START_FAILED || !error->step ||
	    strcmp(error->step, "exec") != 0)
		return app->failure;
	return error->sys_errno == ENOENT || error->sys_errno == ENOTDIR ? 127 : 126;
}

int app_refused(const struct app *app, const Berth__Error *error, const struct spec_opts *spec)
{
	const char *field = error->field ? error->field : "";
	AUTO_FREE char *flag = *field && spec ? spec_flag_of_field(spec, app->flags, field) : NULL;
	const char *text = error->text && *error->text ? error->text : "refused without a reason";

	if (!flag && str_starts(field, "filters"))
		flag = mem_text("--filter");
	if (flag)
		say("%s: %s", flag, text);
	else if (*field && error->code == BERTH__ERROR__CODE__INVALID && !strstr(text, field))
		say("%s: %s", field, text);
	else
		say("%s", text);
	return start_failure(app, error);
}

int app_connect(struct app *app)
{
	struct err e;

	/* A connection that was there before and is lost is made again with patience, by client_ask. */
	if (app->connected || client_open(&app->client, &e) == 0) {
		app->connected = true;
		return 0;
	}
	return app_fail(app, &e);
}

int app_ask(struct app *app, struct ask *a, const struct spec_opts *spec)
{
	struct err e;
	int r = app_connect(app);

	if (r)
		return r;
	if (client_ask(&app->client, a, &e) < 0)
		return a->lost ? app->failure : app_fail(app, &e);
	return ask_error(a) ? app_refused(app, ask_error(a), spec) : 0;
}

int app_each(struct app *app, Berth__Envelope__BodyCase body_case, void *(*make)(const void *opts, const char *ref),
	     const void *opts, char **refs, unsigned n)
{
	struct err e = {0};
	struct ask *asks;
	int status = app_connect(app);

	if (status)
		return status;
	asks = mem_zero(n * sizeof *asks);
	for (unsigned i = 0; i < n; i++)
		ask_init(&asks[i], body_case, make(opts, refs[i]));
	if (client_ask_all(&app->client, asks, n, &e) < 0)
		status = app_fail(app, &e);
	for (unsigned i = 0; i < n; i++) {
		if (ask_error(&asks[i]))
			status = app_refused(app, ask_error(&asks[i]), NULL);
		else if (asks[i].reply)
			puts(refs[i]);
		protobuf_c_message_free_unpacked((ProtobufCMessage *)asks[i].env.hello, NULL);
		ask_fini(&asks[i]);
	}
	free(asks);
	return status;
}

int app_filters(const struct app *app, const struct strings *texts, Berth__Filter ***ret, size_t *ret_n)
{
	Berth__Filter **filters = NULL;

	for (size_t i = 0; i < texts->n; i++) {
		char *eq = strchr(texts->v[i], '=');

		if (!eq || eq == texts->v[i]) {
			say("--filter: \"%s\" is not KEY=VALUE", texts->v[i]);
			return app->failure;
		}
		filters = mem_grow(filters, i, sizeof *filters);
		filters[i] = mem_zero(sizeof **filters);
		berth__filter__init(filters[i]);
		filters[i]->key = mem_textn(texts->v[i], (size_t)(eq - texts->v[i]));
		filters[i]->value = mem_text(eq + 1);
	}
	*ret = filters;
	*ret_n = texts->n;
	return 0;
}

int app_time(const struct app *app, const char *flag, const char *text, protobuf_c_boolean *ret_has, int64_t *ret)
{
	if (!text)
		return 0;
	*ret_has = true;
	if (str_to_time(text, wall_ns(), ret) == 0)
		return 0;
	say("%s: \"%s\" is not a time (RFC 3339, @seconds, or how long ago, such as 10m)", flag, text);
	return app->failure;
}
