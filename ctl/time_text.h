/* ctl/time_text.h - a point in time as people write it: RFC 3339, the same without a zone (then it is local) and down to the day, a unix
 * time (@ before it or not), or how long ago ("10m"). */
#pragma once

#include <stdint.h>

int time_parse(const char *text, int64_t now_ns, int64_t *ret); /* 0 or -EINVAL */
