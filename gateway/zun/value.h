/* gateway/zun/value.h - the forms in which Zun takes and gives single values: booleans, signals, times, names. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As filters of lists may say it: 1 t true on y yes and their opposites, in any case. -EINVAL. */
int zun_bool(const char *text, bool *ret);

/* "SIGTERM", "term", "15"; "None" and NULL are *ret = 0: the default. -EINVAL. */
int zun_signal(const char *text, int *ret);

bool zun_is_name(const char *s);     /* of a container: 2 to 255, a letter or digit, then letters, digits, _ . - */
bool zun_is_image(const char *s);    /* 2 to 255, with two characters of a name somewhere in it */
bool zun_is_hostname(const char *s); /* 1 to 255 of letters, digits, - . _ */

#define ZUN_NAME_SIZE 64
void zun_name_make(char buf[ZUN_NAME_SIZE]); /* "zeta-22-container" */

/* "2026-11-22 00:31:57.353379" (of containers; between is ' ') or with 'T' (of actions). */
#define ZUN_TIME_SIZE 32
const char *zun_time(int64_t wall_ns, char between, char buf[ZUN_TIME_SIZE]);
/* Of logs: unix seconds, or "2026-11-22 00:31:57,353" in UTC. -EINVAL. */
int zun_since(const char *text, int64_t *ret_wall_ns);
