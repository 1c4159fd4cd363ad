/* base/own.c - see base/own.h */
#include "base/own.h"

#include <errno.h>

void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}
