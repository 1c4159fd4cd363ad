/* ctl/output.h - a file, folder or pipe that somebody else writes for the user: it has its name when it is whole, or never. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct output {
	int fd;	     /* for the writer */
	char *path;  /* owned; NULL: standard output */
	char *other; /* owned: the name until it is whole */
	enum { OUTPUT_STREAM, OUTPUT_UNNAMED, OUTPUT_NAMED, OUTPUT_FOLDER } kind;
	bool made;   /* a folder, by us: goes when it is dropped */
	bool others; /* a folder with something in it: nothing is written to it */
};

/* path NULL or "-": standard output, which may be no terminal. A folder is made if it is not there. */
int output_open(struct output *o, const char *path, bool folder, struct err *e);
int output_keep(struct output *o, struct err *e); /* it is whole */
void output_drop(struct output *o);		  /* it is not; what of it cannot be taken away is told */
void output_close(struct output *o);
