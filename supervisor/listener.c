/* supervisor/listener.c - see supervisor/listener.h
 *
 * The socket's inode by /proc/net, its owner by the descriptors of processes. Nothing of it waits for anybody, and it is bounded. */
#include "supervisor/listener.h"

#include "base/file.h"
#include "base/own.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 20000u /* descriptors that are looked at: some 20 ms */

/* "  sl  local_address rem_address   st …": the port in hex, the state (0A listens; 07 is UDP's), the inode in the tenth column. */
static uint64_t inode_in(const char *path, uint32_t port)
{
	FILE *f = fopen(path, "re");
	unsigned long long inode = 0;
	char line[512];

	while (f && !inode && fgets(line, sizeof line, f)) {
		unsigned long long found;
		unsigned p, state;

		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %llu", &p, &state,
			   &found) == 3 &&
		    p == port && (state == 0x0a || state == 0x07))
			inode = found;
	}
	if (f)
		fclose(f);
	return inode;
}

static bool has_link(const char *pid, const char *want, unsigned *looked)
{
	char path[300], to[64];
	const struct dirent *entry;
	bool found = false;

	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	DIR *d = opendir(path);
	while (d && !found && *looked < LINKS_MAX && (entry = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), entry->d_name, to, sizeof to - 1);

		++*looked;
		to[n > 0 ? n : 0] = 0;
		found = !strcmp(to, want);
	}
	if (d)
		closedir(d);
	return found;
}

const char *listener_name(const char *protocol, uint32_t port, char buf[LISTENER_TEXT])
{
	static const char *const families[] = {"", "6"};
	char path[300], want[40], name[40] = "";
	const struct dirent *entry;
	unsigned looked = 0;
	uint64_t inode = 0;

	snprintf(buf, LISTENER_TEXT, "a program of the host");
	for (int i = 0; i < 2 && !inode; i++) {
		snprintf(path, sizeof path, "/proc/net/%s%s", protocol, families[i]);
		inode = inode_in(path, port);
	}
	if (!inode)
		return buf;
	snprintf(want, sizeof want, "socket:[%llu]", (unsigned long long)inode);
	DIR *d = opendir("/proc");
	while (d && (entry = readdir(d))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !has_link(entry->d_name, want, &looked))
			continue;
		snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
		if (file_read(AT_FDCWD, path, name, sizeof name) > 0) {
			name[strcspn(name, "\n")] = 0;
			snprintf(buf, LISTENER_TEXT, "%.40s (pid %.20s)", name, entry->d_name);
		}
		break;
	}
	if (d)
		closedir(d);
	return buf;
}
