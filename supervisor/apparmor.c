/* supervisor/apparmor.c - see supervisor/apparmor.h */
#include "supervisor/apparmor.h"

#include "base/file.h"
#include "base/own.h"
#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <string.h>

#define PROFILES_MAX (4u << 20)

bool apparmor_active(void)
{
	char text[8];

	return file_read(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", text, sizeof text) > 0 && text[0] == 'Y';
}

/* A line for each: "name (enforce)"; a name may have blanks. */
bool apparmor_is_loaded(const char *profile)
{
	AUTO_FREE char *text = NULL;
	size_t len = strlen(profile);

	if (file_read_all(AT_FDCWD, "/sys/kernel/security/apparmor/profiles", PROFILES_MAX, &text) < 0)
		return false;
	for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (!strncmp(line, profile, len) && !strncmp(line + len, " (", 2))
			return true;
	return false;
}

void apparmor_look(struct supervisor *sv)
{
	sv->apparmor_kernel = apparmor_active();
	sv->apparmor = sv->apparmor_kernel && apparmor_is_loaded(APPARMOR_DEFAULT);
}
