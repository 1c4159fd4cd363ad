/* supervisor/notify.c - see supervisor/notify.h */
#include "supervisor/notify.h"

#include "base/loop.h"
#include "base/notify.h"

#include <stdio.h>

void notify_ready(void)
{
	notify("READY=1\nSTATUS=supervising\n");
}

void notify_reloading(void)
{
	char text[96];

	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=upgrading in place\n",
		 (unsigned long long)(now_ns() / 1000));
	notify(text);
}

void notify_stopping(void)
{
	notify("STOPPING=1\nSTATUS=containers go on\n");
}
