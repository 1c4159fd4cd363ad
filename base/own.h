/* base/own.h - scope closes things; take_fd and take_ptr are the only way out, so every change of owner can be grepped. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

static inline void own_close_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void own_free_(void *pp)
{
	free(*(void **)pp);
}

#define AUTO_FD	  __attribute__((cleanup(own_close_))) int
#define AUTO_FREE __attribute__((cleanup(own_free_)))

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Closes *fd if it is open and marks it closed. errno is kept. */
void close_fd(int *fd);

#define take_ptr(p)                                                                                                    \
	({                                                                                                             \
		__typeof__(p) taken_ = (p);                                                                            \
		(p) = NULL;                                                                                            \
		taken_;                                                                                                \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))
