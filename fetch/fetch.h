/* fetch/fetch.h - orders of the job carried out: which place, which credentials, how often again. */
#pragma once

#include "fetch/brief.h"

/* Serves orders on sock until its end. Negative errno: it cannot go on. */
int fetch_serve(const struct brief *s, int sock, struct err *e);
