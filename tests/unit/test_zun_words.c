/* tests/unit/test_zun_words.c - a command line in one string becomes the words that a POSIX shell would make of it. */
#include "unit.h"

#include "gateway/zun/words.h"

struct row {
	const char *line, *words; /* words joined by '|'; NULL: refused */
	size_t n;
	const char *text;
};

static void check(const struct row *rows, size_t n_rows)
{
	for (size_t i = 0; i < n_rows; i++) {
		char **words = NULL, joined[256] = "";
		struct err e = {0};
		size_t n = 99;
		int r = words_split(rows[i].line, &words, &n, &e);

		assert_row((r == 0) == (rows[i].words != NULL), i);
		if (r < 0) {
			assert_row(r == -EINVAL && !strcmp(e.text, rows[i].text), i);
			continue;
		}
		assert_row(n == rows[i].n && words[n] == NULL, i);
		for (size_t k = 0; k < n; k++)
			snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", k ? "|" : "",
				 words[k]);
		assert_row(!strcmp(joined, rows[i].words), i);
		free(words);
	}
}

static void words_are_those_of_a_posix_shell(void **state)
{
	static const struct row rows[] = {
		{"", "", 0},
		{"  \t\r\n ", "", 0},
		{"ls", "ls", 1},
		{" ls  -l\t/tmp\n", "ls|-l|/tmp", 3},
		{"a b c d e", "a|b|c|d|e", 5},
		{"sh -c 'echo \"x\" $HOME'", "sh|-c|echo \"x\" $HOME", 3},
		{"\"ls\" \"-l\" \"a b\"", "ls|-l|a b", 3}, /* what the zun command sends */
		{"\"nginx\" \"-g\" \"daemon off;\"", "nginx|-g|daemon off;", 3},
		{"''", "", 1},
		{"a '' \"\" b", "a|||b", 4},
		{"a''b\"\"c", "abc", 1},
		{"a\"b c\"'d e'f", "ab cd ef", 1},
		{"a\\ b \\\"c\\'", "a b|\"c'", 2},
		{"\"a\\\"b\\\\c\\d\\$\"", "a\"b\\c\\d\\$", 1}, /* within "": before " and \ only */
		{"'a\\'b", "a\\b", 1},
		{"a\\\nb", "a\nb", 1},
		{"# no | comment ; here && $x *", "#|no|||comment|;|here|&&|$x|*", 9},
		{"\xc3\xa4 \xe2\x82\xac", "\xc3\xa4|\xe2\x82\xac", 2},
	};

	check(rows, ARRAY_SIZE(rows));
}

static void what_is_left_open_is_refused(void **state)
{
	static const struct row rows[] = {
		{"'", NULL, 0, "No closing quotation"},
		{"a 'b", NULL, 0, "No closing quotation"},
		{"\"a\\\"", NULL, 0, "No closing quotation"},
		{"a\\", NULL, 0, "No escaped character"},
	};

	check(rows, ARRAY_SIZE(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_those_of_a_posix_shell),
		cmocka_unit_test(what_is_left_open_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
