/* gateway/zun/list.c - GET containers: berthd's pages, filtered, into one of Zun's.
 *
 * berthd lists by id, up or down, which is Zun's own order: then no more is asked for than the page needs. By any other column
 * all containers of the project are looked at, and a page of them kept. */
#include "gateway/zun/handlers.h"
#include "gateway/zun/page.h"

#include "base/loop.h"
#include "base/own.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

struct listing {
	struct page page;
	struct zun_view view;
	struct utsname host;
};
STATE_FITS(struct listing);

/* ---------------------------------------------------------------- filters */

static bool same(const char *wanted, const char *is)
{
	return !wanted || (is && !strcmp(wanted, is));
}

static bool user_is(const char *wanted, const char *principal)
{
	return !wanted || (principal && strlen(wanted) == zun_user_length(principal) &&
			   !strncmp(wanted, principal, strlen(wanted)));
}

static bool memory_is(const char *wanted, const Berth__Resources *r)
{
	char mib[24];

	snprintf(mib, sizeof mib, "%" PRIu64, r ? r->memory_bytes >> 20 : 0);
	return !wanted || (r && r->memory_bytes && !strcmp(wanted, mib));
}

static bool is_listed(const struct call *c, const Berth__Container *obj)
{
	const struct listing *s = c->state;
	const json_t *a = c->args;

	return same(arg_str(a, "name"), obj->meta->name) && same(arg_str(a, "image"), obj->spec->image) &&
	       same(arg_str(a, "project_id"), obj->meta->project) && user_is(arg_str(a, "user_id"), obj->meta->owner) &&
	       same(arg_str(a, "host"), s->host.nodename) && memory_is(arg_str(a, "memory"), obj->spec->resources) &&
	       same(arg_str(a, "status"), zun_status_name(zun_status_of(obj->status))) &&
	       same(arg_str(a, "task_state"), zun_task_state_of(obj->status)) &&
	       (!arg_given(a, "auto_remove") || arg_bool(a, "auto_remove", false) == (bool)obj->spec->auto_remove);
}

/* ---------------------------------------------------------------- the next page */

static void query_add(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s=", name);
	for (; *value; value++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", *value))
			buf_addc(b, *value);
		else
			buf_printf(b, "%%%02X", (unsigned char)*value);
	buf_addc(b, '&');
}

/* As Zun's, and with what was filtered by: there a client that follows it sees what it did not ask for. */
static void next_write(struct call *c, const struct page *p)
{
	static const char *const kept[] = {"name",   "image", "project_id", "user_id",
					   "memory", "host",  "task_state", "status"};
	static const char *const flags[] = {"auto_remove", "all_projects"};
	const char *key = arg_str(c->args, "sort_key");
	struct buf b;

	if (!page_is_full(p) || !p->n) {
		jw_null(&c->out, "next");
		return;
	}
	buf_init(&b, 0);
	buf_printf(&b, "%s/v1/containers?", call_base(c));
	query_add(&b, "sort_key", key ? key : "id");
	query_add(&b, "sort_dir", p->descending ? "desc" : "asc");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (arg_given(c->args, kept[i]))
			query_add(&b, kept[i], arg_str(c->args, kept[i]));
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (arg_given(c->args, flags[i]))
			query_add(&b, flags[i], arg_bool(c->args, flags[i], false) ? "True" : "False");
	buf_printf(&b, "limit=%u&marker=%s", p->limit, page_last_uuid(p));
	jw_str(&c->out, "next", b.data);
	c->out.buf.failed |= b.failed;
	buf_fini(&b);
}

static void listing_write(struct call *c)
{
	struct listing *s = c->state;

	jw_object(&c->out, NULL);
	page_write(&c->out, "containers", &s->page);
	next_write(c, &s->page);
	jw_end(&c->out);
	call_reply(c, 200);
}

/* ---------------------------------------------------------------- berthd's pages */

static void page_ask(struct call *c, uint64_t after_id);

static void no_memory(struct call *c)
{
	zun_refuse(c, ZUN_E_UNAVAILABLE, "out of memory");
}

static void row_view(struct jw *j, const Berth__Container *obj, void *arg)
{
	zun_view_container(j, NULL, obj, arg);
}

static bool rows_take(struct call *c, const Berth__ContainerListReply *list)
{
	struct listing *s = c->state;

	for (size_t i = 0; i < list->n_full; i++) {
		if (!container_is_whole(c, list->full[i]))
			return false;
		if (is_listed(c, list->full[i]) && page_offer(&s->page, list->full[i], row_view, &s->view) < 0) {
			no_memory(c);
			return false;
		}
	}
	return true;
}

static void on_page(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	const Berth__ContainerListReply *list = reply->container_list_reply;
	struct listing *s = c->state;

	if (reply->body_case != BERTH__ENVELOPE__BODY_CONTAINER_LIST_REPLY) {
		zun_refuse_upstream(c, "list");
		return;
	}
	if (!rows_take(c, list))
		return;
	if (list->next_after_id && !(column_is_id(s->page.column) && page_is_full(&s->page)))
		page_ask(c, list->next_after_id);
	else
		listing_write(c);
}

static void page_ask(struct call *c, uint64_t after_id)
{
	Berth__ContainerList m = BERTH__CONTAINER_LIST__INIT;
	struct listing *s = c->state;

	m.has_all = m.all = true;
	m.has_full = m.full = true;
	m.has_all_projects = true;
	m.all_projects = arg_bool(c->args, "all_projects", false);
	m.has_oldest_first = true;
	m.oldest_first = !(column_is_id(s->page.column) && s->page.descending);
	m.has_after_id = after_id != 0;
	m.after_id = after_id;
	/* Unfiltered, that many are enough. */
	m.has_limit = true;
	m.limit = column_is_id(s->page.column) ? s->page.limit : 0;
	call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_LIST, &m, on_page);
}

/* ---------------------------------------------------------------- what is asked for */

static void on_marker(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	const Berth__Container *obj =
		reply->body_case == BERTH__ENVELOPE__BODY_CONTAINER_REPLY ? reply->container_reply->container : NULL;
	struct listing *s = c->state;

	if (!container_is_whole(c, obj))
		return;
	if (page_after(&s->page, obj) < 0)
		no_memory(c);
	else
		page_ask(c, column_is_id(s->page.column) ? obj->meta->id : 0);
}

/* The path names no container: the marker is what was not found. */
static void on_marker_refused(struct call *c, const Berth__Error *error)
{
	if (error->code == BERTH__ERROR__CODE__NOT_FOUND)
		zun_refuse(c, ZUN_E_CONTAINER, "Container %.300s could not be found.", arg_str(c->args, "marker"));
	else
		zun_refuse_error(c, error);
}

static void listing_cleanup(struct call *c)
{
	page_fini(&((struct listing *)c->state)->page);
}

/* In Zun's order. False: refused. */
static bool listing_read(struct call *c, const struct column **column, bool *descending, unsigned *limit)
{
	const char *wanted = arg_str(c->args, "limit"), *dir = arg_str(c->args, "sort_dir"),
		   *key = arg_str(c->args, "sort_key");
	uint64_t n = PAGE_MAX;

	if (!all_projects_allowed(c, "container:get_all_all_projects"))
		return false;
	if (wanted && (str_to_u64(wanted, &n) == -EINVAL || !n)) {
		zun_refuse(c, ZUN_E_VALUE, "Limit must be positive integer");
		return false;
	}
	if (dir && strcmp(dir, "asc") && strcmp(dir, "desc")) {
		zun_refuse(c, ZUN_E_VALUE, "Invalid sort direction: %.100s. Acceptable values are 'asc' or 'desc'",
			   dir);
		return false;
	}
	if (arg_given(c->args, "host") && !c->who.admin) {
		zun_refuse_policy(c, "container:get_one:host");
		return false;
	}
	*column = column_find(key ? key : "id");
	if (!*column) {
		zun_refuse(c, ZUN_E_PARAMETER, "The sort_key value \"%.100s\" is invalid for sorting", key);
		return false;
	}
	*descending = dir && !strcmp(dir, "desc");
	*limit = n < PAGE_MAX ? (unsigned)n : PAGE_MAX;
	return true;
}

void on_list(struct call *c)
{
	static const struct ask_options options = {.refused = on_marker_refused};
	Berth__ContainerInspect m = BERTH__CONTAINER_INSPECT__INIT;
	struct listing *s = c->state;
	const struct column *column;
	bool descending;
	unsigned limit;

	if (!listing_read(c, &column, &descending, &limit))
		return;
	uname(&s->host);
	s->view = (struct zun_view){
		.base = call_base(c),
		.host = s->host.nodename,
		.now_ns = wall_ns(),
		.admin = c->who.admin,
		.listed = true,
	};
	c->cleanup = listing_cleanup;
	if (page_init(&s->page, column, descending, limit) < 0) {
		no_memory(c);
		return;
	}
	m.ref = arg_str(c->args, "marker");
	if (m.ref && *m.ref)
		call_ask_with(c, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &m, on_marker, &options);
	else
		page_ask(c, 0);
}
