/* tests/unit/test_ctl_volume_text.c - volumes as Docker's users write them. */
#include "ctl/volume_text.h"
#include "tests/unit/unit.h"

#include <string.h>

static void clear(Berth__VolumeCreate *v)
{
	for (size_t i = 0; i < v->n_labels; i++)
		berth__key_value__free_unpacked(v->labels[i], NULL);
	free(v->labels);
	berth__volume_create__init(v);
}

static void test_options_of_docker_say_driver_and_size(void **state)
{
	static const struct {
		const char *options[4];
		Berth__Volume__Driver driver;
		uint64_t size;
		int mode, uid, gid; /* -1: absent */
	} rows[] = {
		{{"size=10g"}, BERTH__VOLUME__DRIVER__PLAIN, 10ull << 30, -1, -1, -1},
		{{"type=tmpfs", "device=tmpfs", "o=size=64m,mode=750,uid=5,gid=6"},
		 BERTH__VOLUME__DRIVER__TMPFS,
		 64u << 20,
		 0750,
		 5,
		 6},
		{{"o=size=1m,nodev", "type=tmpfs"}, BERTH__VOLUME__DRIVER__TMPFS, 1u << 20, -1, -1, -1},
		{{"size=1m", "type=tmpfs"}, BERTH__VOLUME__DRIVER__TMPFS, 1u << 20, -1, -1, -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__VolumeCreate v = BERTH__VOLUME_CREATE__INIT;
		struct err e = {0};

		assert_int_equal(volume_driver_text(&v, "local", &e), 0);
		for (size_t k = 0; k < 4 && rows[i].options[k]; k++)
			assert_int_equal(volume_option_text(&v, rows[i].options[k], &e), 0);
		assert_int_equal(v.driver, rows[i].driver);
		assert_int_equal(v.has_driver, rows[i].driver != BERTH__VOLUME__DRIVER__PLAIN); /* berthd decides */
		assert_int_equal(v.size_bytes, rows[i].size);
		assert_int_equal(v.has_mode ? (int)v.mode : -1, rows[i].mode);
		assert_int_equal(v.has_uid ? (int)v.uid : -1, rows[i].uid);
		assert_int_equal(v.has_gid ? (int)v.gid : -1, rows[i].gid);
		clear(&v);
	}
}

static void test_what_makes_no_sense_is_refused_in_its_own_words(void **state)
{
	static const struct {
		const char *option, *text;
	} rows[] = {
		{"type=nfs", "there is tmpfs"}, {"device=/etc", "comes in by -v"}, {"o=bind", "o=bind"},
		{"o=mode=8", "octal"},		{"o=mode=17777", "octal"},	   {"o=mode=-1", "octal"},
		{"o=mode=", "octal"},		{"o=uid=root", "not a number"},	   {"o=gid=4294967295", "not a number"},
		{"size=much", "not a size"},	{"o=size=", "not a size"},	   {"size", "unknown option"},
		{"", "unknown option"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__VolumeCreate v = BERTH__VOLUME_CREATE__INIT;
		struct err e = {0};

		assert_true(volume_option_text(&v, rows[i].option, &e) < 0);
		assert_non_null(strstr(e.text, rows[i].text));
		clear(&v);
	}
}

static void test_drivers_by_name_and_only_one_of_them(void **state)
{
	Berth__VolumeCreate v = BERTH__VOLUME_CREATE__INIT;
	struct err e = {0};

	assert_true(volume_driver_text(&v, "nfs", &e) < 0);
	assert_int_equal(volume_driver_text(&v, "sized", &e), 0);
	assert_string_equal(volume_driver_name(v.driver), "sized");
	assert_int_equal(volume_option_text(&v, "size=1g", &e), 0);
	assert_true(volume_driver_text(&v, "plain", &e) < 0);
	assert_string_equal(volume_driver_name((Berth__Volume__Driver)77), "?");
}

static void test_labels_have_a_key(void **state)
{
	Berth__VolumeCreate v = BERTH__VOLUME_CREATE__INIT;
	struct err e = {0};

	assert_int_equal(volume_label_text(&v, "a=b=c", &e), 0);
	assert_int_equal(volume_label_text(&v, "flag", &e), 0);
	assert_true(volume_label_text(&v, "=x", &e) < 0);
	assert_true(volume_label_text(&v, "", &e) < 0);
	assert_int_equal(v.n_labels, 2);
	assert_string_equal(v.labels[0]->value, "b=c");
	assert_string_equal(v.labels[1]->value, "");
	clear(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_of_docker_say_driver_and_size),
		cmocka_unit_test(test_what_makes_no_sense_is_refused_in_its_own_words),
		cmocka_unit_test(test_drivers_by_name_and_only_one_of_them),
		cmocka_unit_test(test_labels_have_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
