/* tests/unit/unit.h - what every unit test needs of cmocka, and a folder of its own under /tmp. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"

/* Ends the test as skipped, with a line that tests/run-unit shows. */
#define SKIP(...)                                                                                                      \
	do {                                                                                                           \
		printf("skip: " __VA_ARGS__);                                                                          \
		printf("\n");                                                                                          \
		skip();                                                                                                \
	} while (0)

/* Says which row of a table failed. */
#define assert_row(condition, row)                                                                                     \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			fail_msg("row %zu: %s", (size_t)(row), #condition);                                            \
	} while (0)

static inline int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}
