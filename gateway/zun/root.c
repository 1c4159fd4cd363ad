/* gateway/zun/root.c - the documents that say what there is, and the refusal of what there is not yet. */
#include "gateway/zun/handlers.h"
#include "gateway/zun/version.h"

#include <string.h>

static void link_write(struct jw *j, const char *rel, const char *base, const char *path)
{
	jw_object(j, NULL);
	jw_fmt(j, "href", "%s%s", base, path);
	jw_str(j, "rel", rel);
	jw_end(j);
}

static void version_write(struct jw *j, const char *key, const char *base)
{
	jw_object(j, key);
	jw_str(j, "id", "v1");
	jw_str(j, "status", "CURRENT");
	jw_fmt(j, "min_version", "1.%d", ZUN_VERSION_MIN);
	jw_fmt(j, "max_version", "1.%d", ZUN_VERSION_MAX);
	jw_array(j, "links");
	link_write(j, "self", base, "/v1/");
	jw_end(j);
	jw_end(j);
}

void on_root(struct call *c)
{
	struct jw *j = &c->out;

	jw_object(j, NULL);
	jw_str(j, "name", "OpenStack Zun API");
	jw_str(j, "description", "Containers, by berth on this host.");
	jw_array(j, "versions");
	version_write(j, NULL, call_base(c));
	jw_end(j);
	version_write(j, "default_version", call_base(c));
	jw_end(j);
	call_reply(c, 200);
}

void on_v1(struct call *c)
{
	static const char *const collections[] = {
		"services", "containers",	  "images", "networks",	     "hosts",
		"capsules", "availability_zones", "quotas", "quota_classes", "registries"};
	struct jw *j = &c->out;

	jw_object(j, NULL);
	jw_str(j, "id", "v1");
	jw_array(j, "media_types");
	jw_object(j, NULL);
	jw_str(j, "base", "application/json");
	jw_str(j, "type", "application/vnd.openstack.zun.v1+json");
	jw_end(j);
	jw_end(j);
	jw_array(j, "links");
	link_write(j, "self", call_base(c), "/v1/");
	jw_end(j);
	for (size_t i = 0; i < ARRAY_SIZE(collections); i++)
		zun_view_links(j, collections[i], call_base(c), collections[i], "");
	jw_end(j);
	call_reply(c, 200);
}

/* What creates accept as their zone. */
void on_availability_zones(struct call *c)
{
	struct jw *j = &c->out;

	jw_object(j, NULL);
	jw_array(j, "availability_zones");
	jw_object(j, NULL);
	jw_str(j, "availability_zone", "nova");
	jw_end(j);
	jw_end(j);
	jw_null(j, "next");
	jw_end(j);
	call_reply(c, 200);
}

void on_not_implemented(struct call *c)
{
	zun_refuse(c, ZUN_E_NOT_IMPLEMENTED,
		   "%s %.200s: this part of Zun's API is not available in this version of berth.", c->method,
		   call_path(c));
}
