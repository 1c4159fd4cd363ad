/* supervisor/notify.h - tells systemd (NOTIFY_SOCKET) how far we are. Silent when nobody asked to be told. */
#pragma once

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
