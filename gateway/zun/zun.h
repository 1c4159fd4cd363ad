/* gateway/zun/zun.h - the API of OpenStack Zun, microversions 1.1 to 1.40, as far as berth can keep its promises. */
#pragma once

#include "gateway/dialect.h"

extern const struct dialect zun_dialect;
