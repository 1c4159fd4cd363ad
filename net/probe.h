/* net/probe.h - `berth-net probe`: what the kernel has of what networks need, found out by doing it in a network namespace that is gone afterwards. A line
 * for each on standard output: name, result ("ok", "degraded", "missing"), what about it, the remedy; separated by tabs. */
#pragma once

int probe_run(void); /* the exit status */
