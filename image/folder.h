/* image/folder.h - a copy of a folder with all that is in it: owners, modes, times, xattrs, hard links within it, holes of files. */
#pragma once

#include "base/err.h"

/* to is empty, and gets the attributes of from as well. No link is followed, so a copy stays where it is made. */
int folder_copy(int from_fd, int to_fd, struct err *e);
int folder_copy_attributes(int from_fd, int to_fd, struct err *e); /* these alone */
