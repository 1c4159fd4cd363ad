/* tests/unit/test_gateway_route.c - which row a path and method mean, by table. */
#include "tests/unit/unit.h"

#include "gateway/route.h"

static void h(struct call *c)
{
}

static const struct route routes[] = {
	{.method = "GET", .path = "/", .handle = h, .name = "root"},
	{.method = "GET", .path = "[/v1]/containers", .handle = h, .name = "list"},
	{.method = "POST", .path = "[/v1]/containers", .handle = h, .name = "create"},
	{.method = "GET", .path = "[/v1]/containers/{id}", .handle = h, .name = "show"},
	{.method = "POST", .path = "[/v1]/containers/{id}/start", .handle = h, .name = "start"},
	{.method = "POST", .path = "[/v1]/containers/{id}/rename", .handle = h, .until = 13, .name = "rename"},
	{.method = "GET", .path = "/v1/hosts", .handle = h, .since = 4, .name = "hosts"},
	{.method = "GET", .path = "/v1/shape", .handle = h, .until = 9, .name = "old shape"},
	{.method = "GET", .path = "/v1/shape", .handle = h, .since = 10, .name = "new shape"},
	{.method = "GET", .path = "/v1/x/{a}/{b}", .handle = h, .name = "two"},
	{.path = "/any/{what}", .handle = h, .name = "any method"},
	{0},
};

static struct path path;
static struct path_args args;
static struct fault fault;
static char allow[64];

static const struct route *find(const char *method, const char *text, unsigned version)
{
	fault = (struct fault){0};
	path_free(&path);
	if (!path_parse(&path, text, strlen(text), &fault))
		return NULL;
	return route_find(routes, method, &path, version, &args, allow, sizeof allow, &fault);
}

static void every_path_finds_its_row(void **state)
{
	static const struct {
		const char *method, *path;
		unsigned version;
		const char *name;
		enum fault_kind kind;
		const char *allow;
	} rows[] = {
		{"GET", "/", 40, "root", 0, NULL},
		{"GET", "", 40, "root", 0, NULL},
		{"GET", "/v1/containers", 40, "list", 0, NULL},
		{"GET", "/containers", 40, "list", 0, NULL},
		{"GET", "//v1///containers//", 40, "list", 0, NULL},
		{"POST", "/v1/containers/", 40, "create", 0, NULL},
		{"GET", "/v1/containers/abc", 40, "show", 0, NULL},
		{"GET", "/containers/v1", 40, "show", 0, NULL},
		{"GET", "/v1/%63ontainers/abc", 40, "show", 0, NULL},
		{"GET", "/v1/containers/a%2Fb", 40, "show", 0, NULL},
		{"POST", "/v1/containers//abc/start", 40, "start", 0, NULL},
		{"POST", "/v1/containers/abc/rename", 13, "rename", 0, NULL},
		{"GET", "/v1/shape", 9, "old shape", 0, NULL},
		{"GET", "/v1/shape", 10, "new shape", 0, NULL},
		{"BREW", "/any/pot", 0, "any method", 0, NULL},
		{"POST", "/v1/containers/abc/rename", 14, NULL, FAULT_VERSION, NULL},
		{"GET", "/v1/hosts", 3, NULL, FAULT_VERSION, NULL},
		{"POST", "/v1/hosts", 3, NULL, FAULT_METHOD, "GET"},
		{"DELETE", "/v1/containers", 40, NULL, FAULT_METHOD, "GET, POST"},
		{"HEAD", "/v1/shape", 40, NULL, FAULT_METHOD, "GET"},
		{"get", "/v1/containers", 40, NULL, FAULT_METHOD, "GET, POST"},
		{"GET", "/v1", 40, NULL, FAULT_ROUTE, NULL},
		{"GET", "/v2/containers", 40, NULL, FAULT_ROUTE, NULL},
		{"GET", "/v1/container", 40, NULL, FAULT_ROUTE, NULL},
		{"GET", "/v1/containersX", 40, NULL, FAULT_ROUTE, NULL},
		{"GET", "/v1/v1/containers", 40, NULL, FAULT_ROUTE, NULL},
		{"GET", "/v1/containers/a/start/more", 40, NULL, FAULT_ROUTE, NULL},
		{"GET", "/v1/x/only", 40, NULL, FAULT_ROUTE, NULL},
		{"GET", "/v1%2Fcontainers", 40, NULL, FAULT_ROUTE, NULL},
		{"GET", "/v1/containers/%zz", 40, NULL, FAULT_SYNTAX, NULL},
		{"GET", "/v1/containers/%2", 40, NULL, FAULT_SYNTAX, NULL},
		{"GET", "/v1/containers/%", 40, NULL, FAULT_SYNTAX, NULL},
		{"GET", "/v1/containers/a%00b", 40, NULL, FAULT_SYNTAX, NULL},
		{"GET", "/v1/containers/%ff", 40, NULL, FAULT_SYNTAX, NULL},
		{"GET", "/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3", 40, NULL, FAULT_ROUTE,
		 NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct route *r = find(rows[i].method, rows[i].path, rows[i].version);

		assert_row(!!r == !!rows[i].name, i);
		assert_row(!r || !strcmp(r->name, rows[i].name), i);
		assert_row(fault.kind == rows[i].kind, i);
		assert_row(!rows[i].allow || !strcmp(allow, rows[i].allow), i);
	}
}

static void names_in_a_pattern_stand_for_whole_decoded_segments(void **state)
{
	assert_non_null(find("GET", "/v1/x/a%20b//%2e%2e%2f%C3%A9", 0));
	assert_int_equal(args.n, 2);
	assert_string_equal(args.arg[0].value, "a b");
	assert_string_equal(args.arg[1].value, "../\xc3\xa9");
	assert_true(args.arg[1].name_len == 1 && *args.arg[1].name == 'b');
	assert_null(find("GET", "/v2", 0));
	assert_int_equal(args.n, 0);
}

static void a_root_is_whole_segments(void **state)
{
	static const struct {
		const char *path, *root;
		bool below;
	} rows[] = {
		{"/v3", "/v3", true},	    {"/v3/auth", "/v3", true},	 {"/v30", "/v3", false},
		{"/", "/v3", false},	    {"/anything/at", "/", true}, {"", "/", true},
		{"//v3//a", "/v3/a", true}, {"/v3/ab", "/v3/a", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		path_free(&path);
		assert_row(path_parse(&path, rows[i].path, strlen(rows[i].path), &fault), i);
		assert_row(path_below(&path, rows[i].root) == rows[i].below, i);
	}
}

static int teardown(void **state)
{
	path_free(&path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_path_finds_its_row, teardown),
		cmocka_unit_test_teardown(names_in_a_pattern_stand_for_whole_decoded_segments, teardown),
		cmocka_unit_test_teardown(a_root_is_whole_segments, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
