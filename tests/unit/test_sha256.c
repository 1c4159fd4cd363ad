/* tests/unit/test_sha256.c - our SHA-256 against the standard's examples and another implementation's sums. */
#include "tests/unit/unit.h"

#include "base/sha256.h"

static void hex_of(const void *data, size_t len, char ret[2 * SHA256_SIZE + 1])
{
	uint8_t sum[SHA256_SIZE];

	sha256(data, len, sum);
	for (unsigned i = 0; i < SHA256_SIZE; i++)
		snprintf(ret + 2 * i, 3, "%02x", sum[i]);
}

static void the_examples_of_the_standard(void **state)
{
	static const struct {
		const char *text, *sum;
	} rows[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	char hex[2 * SHA256_SIZE + 1];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		hex_of(rows[i].text, strlen(rows[i].text), hex);
		assert_string_equal(hex, rows[i].sum);
	}
}

/* A padding that just fits, one that needs a block more, whole blocks, and the length of a token. The sums are coreutils'. */
static void lengths_around_a_block(void **state)
{
	static const struct {
		size_t len;
		const char *sum;
	} rows[] = {
		{1, "e7cf46a078fed4fafd0b5e3aff144802b853f8ae459a4f0c14add3314b7cc3a6"},
		{49, "d08cf7eb5abf6b84dfc0187e137a8929855f59cccd4bcf5911f7912bf44a86f2"},
		{55, "2900465fcb533e05a158fd2b3be0e5e3b03740d83060aa3580e0d98a96bf2384"},
		{56, "31454ff48ef36af2f08fd511bdc37d9d5855ac23e992e5ff5445cb6b7674a674"},
		{63, "5f6401b96532c36de4e65beec0409b69b1d181864c8009b7a04f43e5d56350d1"},
		{64, "94eb5de4943613fd048dc93393ab06877405faa39c11f53e9386083339833e7e"},
		{65, "fc518669b6eb4b4dd91827ecacef86689c725bd5bab888fd3b26dbb196eec954"},
		{119, "b0dc41b1a384e2f1203f0351b38fbeaafceef577ce1191d5bfc25da39f721eae"},
		{120, "5df24dd802ac26132ce608dcb5f09841eef039ee0f152acf98d26d17fe4e88e6"},
		{128, "0aedd4856f8eba0963627336ad5144a9a7dbe12498e6066f0165fc97d8ddee4c"},
		{300, "9b854f0a59eabeac0b0ecaee1f5cd7ab3bfbc93e9b33e2a89ac338b237f300f2"},
	};
	char data[300], hex[2 * SHA256_SIZE + 1];

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (char)(i * 37 + 11);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		hex_of(data, rows[i].len, hex);
		assert_string_equal(hex, rows[i].sum);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_standard),
		cmocka_unit_test(lengths_around_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
