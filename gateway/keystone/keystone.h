/* gateway/keystone/keystone.h - as much of OpenStack's identity API as a stock client needs to log in with an access token for a
 * password: GET /v3, POST /v3/auth/tokens. The token that comes back is the password. */
#pragma once

#include "gateway/dialect.h"

extern const struct dialect keystone_dialect;
