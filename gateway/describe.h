/* gateway/describe.h - the tables of all dialects as JSON: what can be asked, how, from which version on. For people, and for tests
 * that go through every row. */
#pragma once

#include "gateway/dialect.h"

void describe(struct jw *j, const struct dialect *const *dialects);
