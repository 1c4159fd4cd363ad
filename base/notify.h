/* base/notify.h - what systemd wants to hear: "READY=1\n". Nothing where nobody asked for it (NOTIFY_SOCKET). */
#pragma once

void notify(const char *text);
