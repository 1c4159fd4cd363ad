/* supervisor/apparmor.h - AppArmor on this host: is it active, and which profiles are loaded? Nothing here waits for a disk. */
#pragma once

#include <stdbool.h>

struct supervisor;

#define APPARMOR_DEFAULT "berth-default"

bool apparmor_active(void);
bool apparmor_is_loaded(const char *profile);
/* Is there a label for containers that ask for none? Sets sv->apparmor_kernel and sv->apparmor; at start, and when Check is asked. */
void apparmor_look(struct supervisor *sv);
