/* tests/unit/test_check_volume.c - what may be asked of a volume, and how much of it a member may have. */
#include "supervisor/check_member.h"
#include "supervisor/check_volume.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define MiB (1ull << 20)

static void test_each_driver_has_its_own_fields(void **state)
{
	static const struct {
		Berth__Volume__Driver driver;
		bool has_size, has_mode, has_uid;
		uint64_t size;
		uint32_t mode;
		const char *field; /* of the refusal; NULL: fine */
	} rows[] = {
		{BERTH__VOLUME__DRIVER__PLAIN, 0, 0, 0, 0, 0, NULL},
		{BERTH__VOLUME__DRIVER__PLAIN, 1, 0, 0, MiB, 0, "size_bytes"},
		{BERTH__VOLUME__DRIVER__PLAIN, 0, 1, 0, 0, 0700, "mode"},
		{BERTH__VOLUME__DRIVER__SIZED, 1, 0, 0, 16 * MiB, 0, NULL},
		{BERTH__VOLUME__DRIVER__SIZED, 1, 0, 0, 16 * MiB - 1, 0, "size_bytes"},
		{BERTH__VOLUME__DRIVER__SIZED, 1, 0, 0, UINT64_MAX, 0, "size_bytes"},
		{BERTH__VOLUME__DRIVER__SIZED, 0, 0, 0, 0, 0, "size_bytes"},
		{BERTH__VOLUME__DRIVER__SIZED, 1, 0, 1, 16 * MiB, 0, "mode"},
		{BERTH__VOLUME__DRIVER__TMPFS, 1, 1, 1, 4096, 07777, NULL},
		{BERTH__VOLUME__DRIVER__TMPFS, 1, 0, 0, 4095, 0, "size_bytes"},
		{BERTH__VOLUME__DRIVER__TMPFS, 0, 0, 0, 0, 0, "size_bytes"},
		{BERTH__VOLUME__DRIVER__TMPFS, 1, 1, 0, 4096, 010000, "mode"},
		{(Berth__Volume__Driver)9, 0, 0, 0, 0, 0, "driver"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__VolumeCreate v = BERTH__VOLUME_CREATE__INIT;
		struct err e = {0};

		v.has_driver = true;
		v.driver = rows[i].driver;
		v.has_size_bytes = rows[i].has_size;
		v.size_bytes = rows[i].size;
		v.has_mode = rows[i].has_mode;
		v.mode = rows[i].mode;
		v.has_uid = rows[i].has_uid;
		assert_int_equal(check_volume(&v, &e) < 0, rows[i].field != NULL);
		assert_string_equal(e.step, rows[i].field ? rows[i].field : "");
	}
}

static void test_a_size_means_sized_and_becomes_whole_blocks(void **state)
{
	Berth__VolumeCreate v = BERTH__VOLUME_CREATE__INIT;
	struct err e = {0};

	v.has_size_bytes = true;
	v.size_bytes = 20 * MiB + 1;
	assert_int_equal(check_volume(&v, &e), 0);
	assert_int_equal(v.driver, BERTH__VOLUME__DRIVER__SIZED);
	assert_int_equal(v.size_bytes, 20 * MiB + 4096);
}

static void test_only_sized_volumes_grow_and_none_shrinks(void **state)
{
	Berth__Volume v = BERTH__VOLUME__INIT;
	Berth__VolumeUpdate u = BERTH__VOLUME_UPDATE__INIT;
	struct err e = {0};

	v.driver = BERTH__VOLUME__DRIVER__SIZED;
	v.size_bytes = 32 * MiB;
	assert_int_equal(check_volume_growth(&v, &u, &e), -EINVAL);
	u.has_size_bytes = true;
	u.size_bytes = 32 * MiB - 4096;
	assert_int_equal(check_volume_growth(&v, &u, &e), -ENOTSUP);
	u.size_bytes = 64 * MiB;
	assert_int_equal(check_volume_growth(&v, &u, &e), 0);
	v.driver = BERTH__VOLUME__DRIVER__TMPFS;
	assert_int_equal(check_volume_growth(&v, &u, &e), -ENOTSUP);
}

static void test_a_members_volumes_have_a_limit_together(void **state)
{
	struct err e = {0};

	assert_int_equal(check_member_volume(0, 10, 10, &e), 0);
	assert_int_equal(check_member_volume(4, 6, 10, &e), 0);
	assert_int_equal(check_member_volume(4, 7, 10, &e), -EACCES);
	assert_int_equal(check_member_volume(11, 1, 10, &e), -EACCES);
	assert_int_equal(check_member_volume(11, 0, 10, &e), 0); /* what has no size is no matter of it */
	assert_int_equal(check_member_volume(1, UINT64_MAX, 10, &e), -EACCES);
	assert_string_equal(e.step, "size_bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_driver_has_its_own_fields),
		cmocka_unit_test(test_a_size_means_sized_and_becomes_whole_blocks),
		cmocka_unit_test(test_only_sized_volumes_grow_and_none_shrinks),
		cmocka_unit_test(test_a_members_volumes_have_a_limit_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
