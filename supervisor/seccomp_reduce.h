/* supervisor/seccomp_reduce.h - the same seccomp filter, in fewer instructions.
 *
 * libseccomp asks for each system call by itself; the kernel translates all of that, and then runs it for every number there is,
 * at each load: which is at each start and each exec. Most answers depend on the number alone, and neighbours mostly have the
 * same. So the answer is worked out for every number there can be, and asked for by ranges; where arguments decide, the original
 * instructions are kept as they are. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>

/* *ret is the caller's. -ENOTSUP: it has instructions that libseccomp does not make today, or would not become smaller. */
int seccomp_reduce(const struct sock_filter *in, size_t n, struct sock_filter **ret, size_t *ret_n);
