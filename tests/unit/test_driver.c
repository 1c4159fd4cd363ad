/* tests/unit/test_driver.c - what the table of drivers says, and what is refused by it. */
#include "tests/unit/unit.h"

#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/driver.h"
#include "supervisor/network.h"

#include <string.h>

#pragma GCC diagnostic ignored "-Wwrite-strings"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wdiscarded-qualifiers"
#endif

#define NET(...)                                                                                                       \
	{                                                                                                              \
		.base = PROTOBUF_C_MESSAGE_INIT(&berth__network__descriptor), __VA_ARGS__                              \
	}

static void what_is_asked_for_is_completed_or_refused_by_its_field(void **state)
{
	static const struct {
		Berth__Network asked;
		const char *field, *text; /* NULL: it is fine */
	} rows[] = {
		{NET(.driver = NULL), NULL, "routed"},
		{NET(.driver = "bridge"), NULL, "bridge"},
		{NET(.driver = "bridge", .parent = "br0"), NULL, "bridge"},
		{NET(.driver = "macvlan", .parent = "eth0.100", .mode = "vepa"), NULL, "macvlan"},
		{NET(.driver = "ipvlan", .parent = "eth0", .mode = "l3s"), NULL, "ipvlan"},
		{NET(.driver = "phys", .parent = "eth1"), NULL, "phys"},
		{NET(.driver = "overlay"), "spec.driver", "there are routed, bridge, macvlan, ipvlan and phys"},
		{NET(.driver = "host"), "spec.driver", "always there"},
		{NET(.driver = "none"), "spec.driver", "always there"},
		{NET(.driver = "routed", .parent = "eth0"), "spec.parent", "leads to no link"},
		{NET(.driver = "macvlan"), "spec.parent", "needs a link"},
		{NET(.driver = "phys", .parent = ""), "spec.parent", "needs a link"},
		{NET(.driver = "phys", .parent = "lo"), "spec.parent", "leads nowhere"},
		{NET(.driver = "macvlan", .parent = "a/b"), "spec.parent", "not the name of a link"},
		{NET(.driver = "macvlan", .parent = "x\" {"), "spec.parent", "not the name of a link"},
		{NET(.driver = "macvlan", .parent = "sixteen-letters-"), "spec.parent", "not the name of a link"},
		{NET(.driver = "macvlan", .parent = "e", .mode = "l2"), "spec.mode", "bridge private vepa passthru"},
		{NET(.driver = "macvlan", .parent = "e", .mode = "vep"), "spec.mode", "bridge private vepa passthru"},
		{NET(.driver = "ipvlan", .parent = "e", .mode = "l3 l3s"), "spec.mode", "l2 l3 l3s"},
		{NET(.driver = "routed", .mode = "l2"), "spec.mode", "has no modes"},
		{NET(.driver = "bridge", .has_internal = 1, .internal = 1), NULL, "bridge"},
		{NET(.driver = "bridge", .parent = "b", .has_internal = 1, .internal = 1), "spec.internal",
		 "bridge with a parent"},
		{NET(.driver = "macvlan", .parent = "b", .has_internal = 1, .internal = 1), "spec.internal",
		 "drivers that can: routed, bridge"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__Network *n = message_copy(&rows[i].asked.base);
		struct err e = {0};
		int r = driver_check(n, &e);

		assert_int_equal(r < 0, rows[i].field != NULL);
		if (rows[i].field) {
			assert_string_equal(e.step, rows[i].field);
			assert_non_null(strstr(e.text, rows[i].text));
		} else {
			assert_string_equal(n->driver, rows[i].text);
		}
		berth__network__free_unpacked(n, NULL);
	}
}

static void a_mode_that_is_not_asked_for_is_the_drivers_first(void **state)
{
	Berth__Network asked = NET(.driver = "macvlan", .parent = "e");
	Berth__Network *n = message_copy(&asked.base);
	struct err e;

	assert_int_equal(driver_check(n, &e), 0);
	assert_string_equal(n->mode, "bridge");
	berth__network__free_unpacked(n, NULL);
}

static void what_a_driver_cannot_enforce_is_refused_with_those_that_can(void **state)
{
	Berth__Meta meta = {.base = PROTOBUF_C_MESSAGE_INIT(&berth__meta__descriptor), .name = "lan"};
	Berth__Network obj = NET(.meta = &meta, .driver = "ipvlan", .parent = "e");
	struct network n = {.obj = &obj};
	struct err e;

	assert_int_equal(driver_needs(&n, FEATURE_MTU, &e), 0);
	assert_int_equal(driver_needs(&n, FEATURE_PUBLISH, &e), -ENOTSUP);
	assert_string_equal(
		e.text, "network lan has the driver ipvlan with a parent, which cannot enforce this: published ports; "
			"drivers that can: routed, bridge");
	obj.driver = "bridge";
	assert_int_equal(driver_needs(&n, FEATURE_PUBLISH, &e), -ENOTSUP);
	obj.parent = NULL;
	assert_int_equal(driver_needs(&n, FEATURE_PUBLISH, &e), 0);
}

static void a_parent_is_shared_only_where_the_kernel_can(void **state)
{
	static const struct {
		const char *driver[2], *mode[2];
		bool fits;
	} rows[] = {
		{{"macvlan", "macvlan"}, {"bridge", "vepa"}, true},
		{{"macvlan", "macvlan"}, {"passthru", "bridge"}, false},
		{{"macvlan", "macvlan"}, {"bridge", "passthru"}, false},
		{{"ipvlan", "ipvlan"}, {"l2", "l2"}, true},
		{{"ipvlan", "ipvlan"}, {"l2", "l3"}, false},
		{{"macvlan", "ipvlan"}, {"bridge", "l2"}, false},
		{{"macvlan", "phys"}, {"bridge", NULL}, false},
		{{"phys", "phys"}, {NULL, NULL}, false},
		{{"bridge", "bridge"}, {NULL, NULL}, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__Network a = NET(.driver = rows[i].driver[0], .mode = rows[i].mode[0], .parent = "eth0");
		Berth__Network b = NET(.driver = rows[i].driver[1], .mode = rows[i].mode[1], .parent = "eth0");

		assert_int_equal(!driver_quarrel(&a, &b), rows[i].fits);
		b.parent = "eth1";
		assert_null(driver_quarrel(&a, &b));
		a.parent = b.parent = NULL;
		assert_null(driver_quarrel(&a, &b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_for_is_completed_or_refused_by_its_field),
		cmocka_unit_test(a_mode_that_is_not_asked_for_is_the_drivers_first),
		cmocka_unit_test(what_a_driver_cannot_enforce_is_refused_with_those_that_can),
		cmocka_unit_test(a_parent_is_shared_only_where_the_kernel_can),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
