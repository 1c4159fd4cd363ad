/* tests/unit/test_zun_view.c - the container object, key by key, as its clients read it. */
#include "unit.h"

#include "gateway/zun/view.h"

#include <jansson.h>

#define S(name) BERTH__CONTAINER_STATE__CONTAINER_STATE_##name
#define UUID	"40cf0a7b-0653-4165-8122-b227f807db62"
#define NOW	1795307517353379000

static struct {
	Berth__Container obj;
	Berth__Meta meta;
	Berth__ContainerSpec spec;
	Berth__ContainerStatus status;
	Berth__ImageConfig image;
	Berth__RestartPolicy restart;
	Berth__Resources resources;
} t;

static const struct zun_view member = {.base = "http://h:9517", .host = "node1", .now_ns = NOW};

static int fresh(void **state)
{
	berth__container__init(&t.obj);
	berth__meta__init(&t.meta);
	berth__container_spec__init(&t.spec);
	berth__container_status__init(&t.status);
	berth__image_config__init(&t.image);
	berth__restart_policy__init(&t.restart);
	berth__resources__init(&t.resources);
	t.obj.meta = &t.meta;
	t.obj.spec = &t.spec;
	t.obj.status = &t.status;
	t.obj.image_config = &t.image;
	t.spec.restart = &t.restart; /* berthd always fills it */
	t.restart.has_kind = true;
	t.restart.kind = BERTH__RESTART_POLICY__KIND__NO;
	t.meta.uuid = (char *)UUID;
	t.meta.name = (char *)"web";
	t.meta.project = (char *)"shop";
	t.meta.owner = (char *)"alice";
	t.meta.created_at = NOW;
	t.meta.updated_at = NOW + 1000000000;
	t.spec.image = (char *)"cirros";
	t.status.state = S(CREATED);
	return 0;
}

static json_t *view(const struct zun_view *v)
{
	json_t *object;
	struct jw j;

	jw_init(&j, 0);
	zun_view_container(&j, NULL, &t.obj, v);
	object = json_loads(j.buf.data, JSON_REJECT_DUPLICATES, NULL);
	if (!object)
		fail_msg("not JSON: %s", j.buf.data);
	jw_fini(&j);
	return object;
}

static void key_is(const struct zun_view *v, const char *key, const char *json)
{
	json_t *object = view(v), *value = json_object_get(object, key);
	char *text =
		value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15)) : strdup("absent");

	if (strcmp(text, json))
		fail_msg("%s is %s, not %s", key, text, json);
	free(text);
	json_decref(object);
}

static void all_keys_are_there_and_no_others(void **state)
{
	static const char *const keys[] = {
		"uuid",		  "links",	 "name",	  "project_id",	   "user_id",	 "image",
		"image_driver",	  "command",	 "entrypoint",	  "cpu",	   "cpu_policy", "memory",
		"disk",		  "status",	 "status_reason", "status_detail", "task_state", "environment",
		"labels",	  "workdir",	 "hostname",	  "ports",	   "addresses",	 "security_groups",
		"restart_policy", "interactive", "tty",		  "auto_remove",   "auto_heal",	 "healthcheck",
		"registry_id",	  "created_at",	 "updated_at",
	};
	static const char *const of_admins[] = {"host", "image_pull_policy", "runtime", "privileged"};
	struct zun_view admin = member;
	json_t *object = view(&member);

	assert_int_equal(json_object_size(object), ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_row(json_object_get(object, keys[i]), i);
	json_decref(object);
	admin.admin = true;
	object = view(&admin);
	assert_int_equal(json_object_size(object), ARRAY_SIZE(keys) + ARRAY_SIZE(of_admins));
	for (size_t i = 0; i < ARRAY_SIZE(of_admins); i++)
		assert_row(json_object_get(object, of_admins[i]), i);
	json_decref(object);
}

static void what_was_not_given_is_null_at_first_and_empty_later(void **state)
{
	static const struct {
		const char *key, *at_first, *later;
	} rows[] = {
		{"command", "null", "[]"},
		{"entrypoint", "null", "[]"},
		{"environment", "null", "{}"},
		{"labels", "null", "{}"},
		{"ports", "null", "[]"},
		{"addresses", "null", "{}"},
		{"security_groups", "null", "[]"},
		{"restart_policy", "null", "{}"},
		{"healthcheck", "null", "{}"},
		{"hostname", "null", "\"40cf0a7b0653\""},
		{"updated_at", "null", "\"2026-11-22 00:31:58.353379\""},
		{"status_detail", "null", "\"Created\""},
		{"cpu", "null", "null"},
		{"memory", "null", "null"},
		{"workdir", "null", "null"},
		{"registry_id", "null", "null"},
		{"disk", "0", "0"},
		{"cpu_policy", "\"shared\"", "\"shared\""},
		{"image_driver", "\"docker\"", "\"docker\""},
		{"created_at", "\"2026-11-22 00:31:57.353379\"", "\"2026-11-22 00:31:57.353379\""},
	};
	struct zun_view created = member;
	json_t *args = json_pack("{s:s}", "image", "cirros");

	created.created = args;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		key_is(&created, rows[i].key, rows[i].at_first);
		key_is(&member, rows[i].key, rows[i].later);
	}
	json_object_set_new(args, "labels", json_object());
	key_is(&created, "labels", "{}");
	json_decref(args);
}

static void the_image_says_what_was_not_said(void **state)
{
	char *cmd[] = {(char *)"sh"}, *entry[] = {(char *)"/init"}, *own[] = {(char *)"sleep", (char *)"1"};
	char *ports[] = {(char *)"80/tcp", (char *)"53/udp"};
	json_t *args = json_pack("{s:s}", "image", "cirros");
	struct zun_view created = member;

	t.image.command = cmd;
	t.image.entrypoint = entry;
	t.image.exposed_ports = ports;
	t.image.n_command = t.image.n_entrypoint = 1;
	t.image.n_exposed_ports = 2;
	created.created = args;
	key_is(&created, "command", "null");
	key_is(&created, "entrypoint", "null");
	t.spec.command = cmd; /* as berthd completes it */
	t.spec.n_command = 1;
	key_is(&created, "command", "null");
	json_decref(args);
	key_is(&member, "command", "[\"sh\"]");
	key_is(&member, "entrypoint", "[\"/init\"]");
	key_is(&member, "ports", "[80,53]");
	t.spec.command = own;
	t.spec.n_command = 2;
	key_is(&member, "command", "[\"sleep\",\"1\"]");
	t.spec.n_command = 0;
	t.spec.entrypoint_set = true;
	t.spec.entrypoint = own;
	t.spec.n_entrypoint = 1;
	key_is(&member, "entrypoint", "[\"sleep\"]");
	key_is(&member, "command", "[]"); /* the image's command was for the image's entrypoint */
}

static void what_the_image_brought_is_not_shown_as_asked_for(void **state)
{
	Berth__KeyValue of_image = {
		.base = {.descriptor = &berth__key_value__descriptor}, .key = (char *)"i", .value = (char *)"1"};
	Berth__KeyValue own = of_image, changed = of_image, *image_labels[] = {&of_image},
			*labels[] = {&of_image, &own};
	char *image_env[] = {(char *)"PATH=/bin", (char *)"A=1"},
	     *env[] = {(char *)"B=2", (char *)"PATH=/bin", (char *)"A=3"};
	json_t *args = json_pack("{s:s}", "image", "cirros");
	struct zun_view created = member;

	t.image.env = image_env;
	t.image.n_env = 2;
	t.spec.env = image_env;
	t.spec.n_env = 2;
	key_is(&member, "environment", "{}");
	created.created = args;
	key_is(&created, "environment", "null");
	json_decref(args);
	t.spec.env = env;
	t.spec.n_env = 3;
	key_is(&member, "environment", "{\"B\":\"2\",\"A\":\"3\"}");
	own.key = (char *)"own";
	changed.value = (char *)"2";
	t.image.labels = image_labels;
	t.image.n_labels = 1;
	t.spec.labels = labels;
	t.spec.n_labels = 2;
	key_is(&member, "labels", "{\"own\":\"1\"}");
	labels[0] = &changed;
	t.spec.n_labels = 1;
	key_is(&member, "labels", "{\"i\":\"2\"}");
}

static void values_have_zuns_types(void **state)
{
	Berth__KeyValue label = BERTH__KEY_VALUE__INIT, note = BERTH__KEY_VALUE__INIT, *labels[] = {&label},
			*notes[] = {&note};
	char *env[] = {(char *)"A=1=2", (char *)"B="};

	t.spec.resources = &t.resources;
	t.resources.cpus_milli = 1000;
	t.resources.memory_bytes = 512 << 20;
	key_is(&member, "cpu", "1.0");
	key_is(&member, "memory", "\"512\"");
	t.spec.env = env;
	t.spec.n_env = 2;
	key_is(&member, "environment", "{\"A\":\"1=2\",\"B\":\"\"}");
	label.key = (char *)"k\"";
	label.value = (char *)"v";
	t.spec.labels = labels;
	t.spec.n_labels = 1;
	key_is(&member, "labels", "{\"k\\\"\":\"v\"}");
	t.restart.kind = BERTH__RESTART_POLICY__KIND__ON_FAILURE;
	t.restart.max_retries = 2;
	key_is(&member, "restart_policy", "{\"Name\":\"on-failure\",\"MaximumRetryCount\":\"2\"}");
	t.restart.kind = BERTH__RESTART_POLICY__KIND__NO;
	t.restart.max_retries = 0;
	key_is(&member, "restart_policy", "{}");
	note.key = (char *)ZUN_NOTE_RESTART; /* "no" was said */
	note.value = (char *)"no";
	t.spec.annotations = notes;
	t.spec.n_annotations = 1;
	key_is(&member, "restart_policy", "{\"Name\":\"no\",\"MaximumRetryCount\":\"0\"}");
	t.spec.hostname = (char *)"h1";
	t.spec.workdir = (char *)"/tmp";
	t.spec.stdin_open = t.spec.tty = t.spec.auto_remove = true;
	key_is(&member, "hostname", "\"h1\"");
	key_is(&member, "workdir", "\"/tmp\"");
	key_is(&member, "interactive", "true");
	key_is(&member, "tty", "true");
	key_is(&member, "auto_remove", "true");
	key_is(&member, "auto_heal", "false");
}

static void links_lead_to_it_but_not_from_a_list(void **state)
{
	struct zun_view listed = member;

	key_is(&member, "links",
	       "[{\"href\":\"http://h:9517/v1/containers/" UUID "\",\"rel\":\"self\"},"
	       "{\"href\":\"http://h:9517/containers/" UUID "\",\"rel\":\"bookmark\"}]");
	listed.listed = true;
	key_is(&listed, "links", "absent");
}

static void admins_see_more(void **state)
{
	Berth__Security security = BERTH__SECURITY__INIT;
	struct zun_view admin = member;

	key_is(&member, "host", "absent");
	admin.admin = true;
	key_is(&admin, "host", "\"node1\"");
	key_is(&admin, "privileged", "false");
	key_is(&admin, "image_pull_policy", "\"ifnotpresent\"");
	security.privileged = true;
	t.spec.security = &security;
	key_is(&admin, "privileged", "true");
}

static void a_user_is_shown_without_the_project(void **state)
{
	t.meta.owner = (char *)"al@ice@shop";
	key_is(&member, "user_id", "\"al@ice\"");
	t.meta.owner = (char *)"uid:1000";
	key_is(&member, "user_id", "\"uid:1000\"");
}

static void a_container_of_the_tool_can_be_shown(void **state)
{
	t.obj.image_config = NULL;
	t.meta.owner = t.meta.name = NULL;
	t.spec.restart = NULL;
	t.spec.pod = (char *)"p";
	key_is(&member, "name", "null");
	key_is(&member, "user_id", "null");
	key_is(&member, "hostname", "null"); /* the pod's */
	key_is(&member, "command", "[]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_keys_are_there_and_no_others, fresh),
		cmocka_unit_test_setup(what_was_not_given_is_null_at_first_and_empty_later, fresh),
		cmocka_unit_test_setup(the_image_says_what_was_not_said, fresh),
		cmocka_unit_test_setup(what_the_image_brought_is_not_shown_as_asked_for, fresh),
		cmocka_unit_test_setup(values_have_zuns_types, fresh),
		cmocka_unit_test_setup(links_lead_to_it_but_not_from_a_list, fresh),
		cmocka_unit_test_setup(admins_see_more, fresh),
		cmocka_unit_test_setup(a_user_is_shown_without_the_project, fresh),
		cmocka_unit_test_setup(a_container_of_the_tool_can_be_shown, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
