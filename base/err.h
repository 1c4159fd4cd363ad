/* base/err.h - an error that a person will read: what was being done, why it failed. Fixed size, no malloc. */
#pragma once

struct err {
	int code;	/* errno, positive; 0 = no error, or one without an errno */
	char step[48];	/* what was being done: "mount", "exec", "cgroup" */
	char text[464]; /* complete by itself but for the errno: "mount /proc" */
};

/* Fills e (which may be NULL) and returns -code, so that `return err_set(…)` passes it up. code 0 returns -EINVAL. */
int err_set(struct err *e, int code, const char *step, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Puts "<words>: " before the text of an error that comes up from below. Returns -e->code as err_set does. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "text: strerror(code)", cut to size. Returns buf. */
const char *err_format(const struct err *e, char *buf, unsigned size);
