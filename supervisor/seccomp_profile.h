/* supervisor/seccomp_profile.h - a seccomp profile as data: what berth's own table and a user's JSON are both turned into. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROFILE_ARGS_MAX 6

enum profile_op { OP_NE, OP_LT, OP_LE, OP_EQ, OP_GE, OP_GT, OP_MASKED_EQ, OP_N_ };

struct profile_arg {
	uint8_t index;		   /* 0..5 */
	uint8_t op;		   /* enum profile_op */
	uint64_t value, value_two; /* MASKED_EQ: (arg & value) == value_two */
};

enum profile_action { ACT_ALLOW, ACT_ERRNO, ACT_KILL_PROCESS, ACT_KILL_THREAD, ACT_TRAP, ACT_TRACE, ACT_LOG, ACT_N_ };

struct profile_rule {
	const char *const *names; /* n_names of them, or to NULL when n_names is 0 */
	size_t n_names;
	uint8_t action;	    /* enum profile_action */
	uint16_t errno_ret; /* ERRNO and TRACE */
	struct profile_arg arg[PROFILE_ARGS_MAX];
	uint8_t n_args;
	uint64_t needs_caps; /* applies if the container has all of these */
	uint64_t unless_cap; /* does not apply if the container has one of these */
	bool skip;	     /* another architecture's, or a newer kernel's */
};

struct profile {
	uint8_t default_action;
	uint16_t default_errno;
	const struct profile_rule *rules;
	size_t n_rules;
};

/* Of the same reach as Docker's default profile. */
extern const struct profile profile_default;

/* A profile in Docker's JSON format. e->text says what is wrong and where. profile_json_free frees it. */
struct profile_json;
int profile_json_parse(const char *text, size_t len, struct profile_json **ret, struct err *e);
const struct profile *profile_json_get(const struct profile_json *p);
void profile_json_free(struct profile_json *p);
