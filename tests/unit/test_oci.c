/* tests/unit/test_oci.c - the JSON of images: what is read of it, and that hostile text is refused with a reason. */
#include "tests/unit/unit.h"

#include "image/history.h"
#include "image/oci.h"

#define A64			    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64			    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C64			    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define DESCRIPTOR(type, hex, size) "{\"mediaType\":\"" type "\",\"digest\":\"sha256:" hex "\",\"size\":" size "}"
#define CONFIG			    DESCRIPTOR("application/vnd.oci.image.config.v1+json", A64, "10")
#define LAYER			    DESCRIPTOR("application/vnd.oci.image.layer.v1.tar+gzip", B64, "20")

static void test_a_manifest_is_read(void **state)
{
	static const char json[] =
		"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":" CONFIG
		",\"layers\":[" LAYER "," LAYER "],\"annotations\":null,\"unknown\":[1,2.5,{}]}";
	struct oci_manifest m;
	struct err e;

	(void)state;
	assert_int_equal(oci_manifest_parse(json, strlen(json), &m, &e), 0);
	assert_string_equal(m.config.digest, "sha256:" A64);
	assert_int_equal(m.n_layers, 2);
	assert_int_equal(m.layer[1].size, 20);
	oci_manifest_fini(&m);
}

static void test_hostile_manifests_are_refused(void **state)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{"", "line 1"},
		{"[]", "not an object"},
		{"\"x\"", "line 1"},
		{"{", "line 1"},
		{"{}", "schemaVersion"},
		{"{\"schemaVersion\":1}", "schemaVersion"},
		{"{\"schemaVersion\":\"2\"}", "wrong type"},
		{"{\"schemaVersion\":2,\"schemaVersion\":2}", "duplicate"},
		{"{\"schemaVersion\":2}", "'config'"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG "}", "'layers'"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":{}}", "wrong type"},
		{"{\"schemaVersion\":2,\"config\":[],\"layers\":[]}", "wrong type"},
		{"{\"schemaVersion\":2,\"config\":{},\"layers\":[]}", "not a sha256 digest"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[1]}", "not an object"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG
		 ",\"layers\":[" DESCRIPTOR("application/vnd.oci.image.layer.v1.tar", "../../etc/passwd", "1") "]}",
		 "not a sha256 digest"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG
		 ",\"layers\":[" DESCRIPTOR("application/vnd.oci.image.layer.v1.tar", B64, "-1") "]}",
		 "negative"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG
		 ",\"layers\":[" DESCRIPTOR("application/vnd.oci.image.layer.v1.tar", B64, "1.5") "]}",
		 "wrong type"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG
		 ",\"layers\":[" DESCRIPTOR("application/vnd.oci.image.layer.v1.tar", B64, "99999999999999999999") "]}",
		 "too big"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG
		 ",\"layers\":[" DESCRIPTOR("application/vnd.oci.image.layer.v1.tar+encrypted", B64, "1") "]}",
		 "no kind of layer"},
		{"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"config\":" CONFIG
		 ",\"layers\":[]}",
		 "not the manifest"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[],\"x\":\"\\u0000\"}", "line 1"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[],\"x\":\"\xff\"}", "line 1"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[]} x", "line 1"},
		{"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[],\"x\":NaN}", "line 1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_manifest m;
		struct err e = {0};

		assert_row(oci_manifest_parse(rows[i].json, strlen(rows[i].json), &m, &e) < 0, i);
		if (!strstr(e.text, rows[i].text))
			fail_msg("row %zu: '%s' does not say '%s'", i, e.text, rows[i].text);
	}
}

static void test_deep_and_large_json_is_refused(void **state)
{
	char *json = malloc(OCI_JSON_MAX + 2);
	struct oci_manifest m;
	struct err e;

	(void)state;
	assert_non_null(json);
	memset(json, '[', 200000);
	assert_true(oci_manifest_parse(json, 200000, &m, &e) < 0);
	assert_non_null(strstr(e.text, "nested deeper"));
	memset(json, ' ', OCI_JSON_MAX + 1);
	assert_true(oci_manifest_parse(json, OCI_JSON_MAX + 1, &m, &e) < 0);
	assert_non_null(strstr(e.text, "larger than"));
	/* Brackets within strings do not nest. */
	strcpy(json, "{\"schemaVersion\":2,\"x\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\","
		     "\"config\":" CONFIG ",\"layers\":[]}");
	assert_int_equal(oci_manifest_parse(json, strlen(json), &m, &e), 0);
	oci_manifest_fini(&m);
	free(json);
}

static void test_too_many_layers_are_refused(void **state)
{
	char *json = malloc(65536);
	struct oci_manifest m;
	struct err e;

	(void)state;
	assert_non_null(json);
	strcpy(json, "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" LAYER);
	for (int i = 1; i < OCI_LAYERS_MAX; i++)
		strcat(json, "," LAYER);
	strcat(json, "]}");
	assert_int_equal(oci_manifest_parse(json, strlen(json), &m, &e), 0);
	oci_manifest_fini(&m);
	strcpy(json + strlen(json) - 2, "," LAYER "]}");
	assert_true(oci_manifest_parse(json, strlen(json), &m, &e) < 0);
	assert_non_null(strstr(e.text, "at most 127"));
	free(json);
}

static void test_an_index_names_its_manifests(void **state)
{
	static const char json[] =
		"{\"schemaVersion\":2,\"manifests\":["
		"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:" A64
		"\",\"size\":1,\"platform\":"
		"{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"},\"annotations\":{\"org."
		"opencontainers.image.ref.name\":\"x:1\"}},"
		"{\"digest\":\"sha256:" B64
		"\",\"size\":2,\"annotations\":{\"org.opencontainers.image.ref.name\":\"1\","
		"\"io.containerd.image.name\":\"docker.io/library/x:1\"}}]}";
	struct oci_descriptor *list;
	struct err e;
	unsigned n;

	(void)state;
	assert_int_equal(oci_index_parse(json, strlen(json), &list, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].name, "x:1");
	assert_string_equal(list[0].architecture, "arm64");
	assert_string_equal(list[1].name, "docker.io/library/x:1");
	free(list);
	assert_true(oci_index_parse("{\"schemaVersion\":2,\"manifests\":[]}", 34, &list, &n, &e) < 0);
	assert_true(oci_index_parse("{\"schemaVersion\":2}", 19, &list, &n, &e) < 0);
}

static void test_a_config_is_read(void **state)
{
	static const char json[] =
		"{\"created\":\"2020-01-02T03:04:05.5Z\",\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{"
		"\"User\":\"a:b\",\"Env\":[\"A=1\",\"B=\"],"
		"\"Entrypoint\":null,\"Cmd\":[\"sh\",\"-c\"],\"WorkingDir\":\"/"
		"w\",\"Labels\":{\"k\":\"v\"},\"Volumes\":{\"/d\":{}},"
		"\"ExposedPorts\":{\"80/"
		"tcp\":{}},\"StopSignal\":\"SIGINT\",\"OnBuild\":[\"RUN make\"],\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],"
		"\"Interval\":5,\"Retries\":2}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" A64 "\"]},"
		"\"history\":[{}]}";
	struct oci_image i;
	struct err e;

	(void)state;
	assert_int_equal(oci_image_parse(json, strlen(json), &i, &e), 0);
	assert_int_equal(i.n_diff_ids, 1);
	assert_true(i.created_at == 1577934245500000000);
	assert_int_equal(i.config->n_entrypoint, 0);
	assert_int_equal(i.config->n_command, 2);
	assert_string_equal(i.config->env[1], "B=");
	assert_string_equal(i.config->user, "a:b");
	assert_string_equal(i.config->workdir, "/w");
	assert_string_equal(i.config->labels[0]->value, "v");
	assert_string_equal(i.config->volumes[0], "/d");
	assert_string_equal(i.config->exposed_ports[0], "80/tcp");
	assert_string_equal(i.config->stop_signal, "SIGINT");
	assert_string_equal(i.config->on_build[0], "RUN make");
	assert_int_equal(i.config->healthcheck->n_test, 2);
	assert_int_equal(i.config->healthcheck->interval_ns, 5);
	assert_int_equal(i.config->healthcheck->retries, 2);
	assert_false(i.config->healthcheck->has_timeout_ns);
	oci_image_fini(&i);
}

static void test_hostile_configs_are_refused(void **state)
{
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}"
	static const struct {
		const char *json, *text;
	} rows[] = {
		{"{}", "rootfs"},
		{"{\"rootfs\":{\"type\":\"zfs\",\"diff_ids\":[]}}", "zfs"},
		{"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:XX\"]}}", "diff id 0"},
		{"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[7]}}", "diff id 0"},
		{"{\"rootfs\":[]}", "wrong type"},
		{"{\"config\":[]," ROOTFS "}", "wrong type"},
		{"{\"config\":{\"Env\":[\"NOVALUE\"]}," ROOTFS "}", "NAME=VALUE"},
		{"{\"config\":{\"Env\":[\"=x\"]}," ROOTFS "}", "NAME=VALUE"},
		{"{\"config\":{\"Env\":[1]}," ROOTFS "}", "not a string"},
		{"{\"config\":{\"Env\":{}}," ROOTFS "}", "wrong type"},
		{"{\"config\":{\"Cmd\":\"sh\"}," ROOTFS "}", "wrong type"},
		{"{\"config\":{\"Labels\":{\"a\":1}}," ROOTFS "}", "label 'a'"},
		{"{\"config\":{\"Volumes\":[\"/x\"]}," ROOTFS "}", "wrong type"},
		{"{\"config\":{\"User\":5}," ROOTFS "}", "wrong type"},
		{"{\"architecture\":[]," ROOTFS "}", "wrong type"},
		{"{\"config\":{\"Healthcheck\":[]}," ROOTFS "}", "wrong type"},
		{"{\"config\":{\"Healthcheck\":{\"Interval\":-1}}," ROOTFS "}", "Healthcheck: 'Interval' is negative"},
		{"{\"config\":{\"Healthcheck\":{\"Retries\":1.5}}," ROOTFS "}",
		 "Healthcheck: 'Retries' has the wrong type"},
		{"{\"config\":{\"Healthcheck\":{\"Test\":[[]]}}," ROOTFS "}", "not a string"},
	};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		struct oci_image i;
		struct err e = {0};

		assert_row(oci_image_parse(rows[k].json, strlen(rows[k].json), &i, &e) < 0, k);
		if (!strstr(e.text, rows[k].text))
			fail_msg("row %zu: '%s' does not say '%s'", k, e.text, rows[k].text);
	}
}

/* Builders without a clock write year 1, which no count of nanoseconds reaches. */
static void test_a_time_out_of_range_is_unknown(void **state)
{
	static const char *const rows[] = {"0001-01-01T00:00:00Z", "", "yesterday", "-5m", "@12"};
	char json[256];

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		struct oci_image i;
		struct err e;

		snprintf(json, sizeof json, "{\"created\":\"%s\"," ROOTFS "}", rows[k]);
		assert_row(oci_image_parse(json, strlen(json), &i, &e) == 0, k);
		assert_row(i.created_at == 0, k);
		oci_image_fini(&i);
	}
}

static void test_a_docker_manifest_is_read(void **state)
{
	static const char json[] =
		"[{\"Config\":\"c.json\",\"RepoTags\":[\"a:1\",\"b:2\"],\"Layers\":[\"x/layer.tar\"]},"
		"{\"Config\":\"d.json\",\"RepoTags\":null,\"Layers\":[]}]";
	static const char *const bad[] = {"{}",
					  "[]",
					  "[1]",
					  "[{}]",
					  "[{\"Config\":\"\"}]",
					  "[{\"Config\":\"c\",\"Layers\":[1]}]",
					  "[{\"Config\":\"c\",\"Layers\":\"x\"}]",
					  "[{\"Config\":\"c\",\"Layers\":[],\"RepoTags\":[{}]}]"};
	struct oci_docker *list;
	struct err e;
	unsigned n;

	(void)state;
	assert_int_equal(oci_docker_parse(json, strlen(json), &list, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].name[1], "b:2");
	assert_string_equal(list[0].layer[0], "x/layer.tar");
	assert_int_equal(list[1].n_names, 0);
	oci_docker_free(list, n);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_row(oci_docker_parse(bad[i], strlen(bad[i]), &list, &n, &e) < 0, i);
}

/* Figures from sha256sum. */
static void test_chain_ids_follow_the_image_spec(void **state)
{
	char one[DIGEST_SIZE], two[DIGEST_SIZE], three[DIGEST_SIZE];

	(void)state;
	oci_chain_id(NULL, "sha256:" A64, one);
	assert_string_equal(one, "sha256:" A64);
	oci_chain_id(one, "sha256:" B64, two);
	assert_string_equal(two, "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c");
	oci_chain_id(two, "sha256:" C64, three);
	assert_string_equal(three, "sha256:c1377126441fb2f5ec2c21ae2a60255331d639e830f0ee1b40a36e52d4c40588");
}

static void test_the_host_picks_its_platform(void **state)
{
	static const struct oci_descriptor list[] = {
		{.os = "unknown", .architecture = "unknown"},
		{.os = "linux", .architecture = "arm", .variant = "v6"},
		{.os = "linux", .architecture = "arm", .variant = "v7"},
		{.os = "linux", .architecture = "amd64"},
		{.os = "linux", .architecture = "amd64", .variant = "v3"},
		{.os = "windows", .architecture = "amd64"},
		{.os = "linux", .architecture = "arm64", .variant = "v8"},
	};
	static const struct {
		const char *architecture, *variant;
		int pick;
	} rows[] = {{"amd64", "", 3}, {"arm64", "v8", 6}, {"arm", "v7", 2},
		    {"arm", "v6", 1}, {"arm", "v5", -1},  {"riscv64", "", -1}};
	const struct oci_descriptor any = {.digest = "sha256:" A64};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(oci_platform_pick(list, ARRAY_SIZE(list), rows[i].architecture, rows[i].variant) ==
				   rows[i].pick,
			   i);
	assert_int_equal(oci_platform_pick(&any, 1, "amd64", ""), 0);
}

static void test_digests_are_sha256_in_lower_case(void **state)
{
	(void)state;
	assert_true(oci_digest_is_valid("sha256:" A64));
	assert_false(oci_digest_is_valid("sha256:" A64 "a"));
	assert_false(oci_digest_is_valid("sha256:Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_false(oci_digest_is_valid("sha512:" A64));
	assert_false(oci_digest_is_valid(""));
	assert_false(oci_digest_is_valid("sha256:../../../../../../../../../../../../../../../../../../../../../../"));
}

/* ---------------------------------------------------------------- history */

#define EMPTY "{\"empty_layer\":true,\"created_by\":\"ENV\"}"
#define STEP  "{\"created\":\"2026-01-02T03:04:05Z\",\"created_by\":\"RUN\",\"comment\":\"c\",\"author\":null}"

static void test_a_history_is_read_and_none_is_no_error(void **state)
{
	static const char json[] = "{\"history\":[" STEP "," EMPTY "]}";
	Berth__HistoryEntry **list;
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(oci_history_parse(json, strlen(json), &list, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[0]->created_by, "RUN");
	assert_string_equal(list[0]->comment, "c");
	assert_null(list[0]->author);
	assert_true(list[0]->created_at > 0 && !list[0]->empty_layer && list[1]->empty_layer);
	oci_history_free(list, n);
	assert_int_equal(oci_history_parse("{}", 2, &list, &n, &e), 0);
	assert_int_equal(n, 0);
	oci_history_free(list, n);
}

static void test_hostile_histories_are_refused(void **state)
{
	static const char *const rows[] = {"{\"history\":{}}",
					   "{\"history\":[1]}",
					   "{\"history\":[{\"empty_layer\":1}]}",
					   "{\"history\":[{\"created_by\":[]}]}",
					   "{\"history\":[" STEP ",{\"comment\":7}]}",
					   "[]"};
	Berth__HistoryEntry **list;
	struct err e;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_true(oci_history_parse(rows[i], strlen(rows[i]), &list, &n, &e) < 0);
}

/* How many layers, which history, and which entries (the newest first) then have one: the number of the layer, or '-'. */
static void test_layers_are_laid_over_the_steps_that_changed_files(void **state)
{
	static const struct {
		unsigned layers;
		const char *history, *want;
	} rows[] = {
		{2, STEP "," EMPTY "," STEP, "1-0"},
		{2, STEP "," EMPTY, "-10"},
		{2, EMPTY "," STEP, "1-0"},
		{2, "", "10"},
		{1, EMPTY "," EMPTY, "--0"},
		{1, STEP "," STEP, "-0"},
		{0, STEP, "-"},
		{0, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_descriptor layer[2] = {{.digest = "sha256:" A64, .size = 7},
						  {.digest = "sha256:" B64, .size = 8}};
		char diff_id[2][DIGEST_SIZE] = {"sha256:" C64, "sha256:" A64}, json[1000];
		struct oci_manifest m = {.layer = layer, .n_layers = rows[i].layers};
		struct oci_image config = {.diff_id = diff_id, .n_diff_ids = rows[i].layers};
		uint64_t bytes[] = {100, 101};
		Berth__HistoryEntry **list;
		Berth__HistoryReply *r;
		struct err e;
		size_t n;

		snprintf(json, sizeof json, "{\"history\":[%s]}", rows[i].history);
		assert_int_equal(oci_history_parse(json, strlen(json), &list, &n, &e), 0);
		assert_int_equal(history_join(list, n, &m, &config, bytes, &r, &e), 0);
		assert_int_equal(r->n_entries, strlen(rows[i].want));
		for (size_t k = 0; k < r->n_entries; k++) {
			bool has = rows[i].want[k] != '-';

			assert_int_equal(r->entries[k]->has_size_bytes, has);
			assert_true(has == (r->entries[k]->layer != NULL));
			if (!has)
				continue;
			assert_int_equal(r->entries[k]->size_bytes, bytes[rows[i].want[k] - '0']);
			assert_int_equal(r->entries[k]->blob_bytes, layer[rows[i].want[k] - '0'].size);
		}
		berth__history_reply__free_unpacked(r, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_history_is_read_and_none_is_no_error),
		cmocka_unit_test(test_hostile_histories_are_refused),
		cmocka_unit_test(test_layers_are_laid_over_the_steps_that_changed_files),
		cmocka_unit_test(test_a_manifest_is_read),
		cmocka_unit_test(test_hostile_manifests_are_refused),
		cmocka_unit_test(test_deep_and_large_json_is_refused),
		cmocka_unit_test(test_too_many_layers_are_refused),
		cmocka_unit_test(test_an_index_names_its_manifests),
		cmocka_unit_test(test_a_config_is_read),
		cmocka_unit_test(test_hostile_configs_are_refused),
		cmocka_unit_test(test_a_time_out_of_range_is_unknown),
		cmocka_unit_test(test_a_docker_manifest_is_read),
		cmocka_unit_test(test_chain_ids_follow_the_image_spec),
		cmocka_unit_test(test_the_host_picks_its_platform),
		cmocka_unit_test(test_digests_are_sha256_in_lower_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
