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

static const char *const families[] = {"", "6"};

/* Its next socket that has the port. "  sl  local_address rem_address   st …": address and port in hex, the state (0A listens; 07 is UDP's), the
 * inode in the tenth column. Of an address each four bytes are one number of this machine's kind. */
static bool socket_next(FILE *f, uint32_t port, struct address *a, unsigned long long *inode)
{
	char line[512], hex[40], word[9] = "";

	while (fgets(line, sizeof line, f)) {
		unsigned p, state;

		if (sscanf(line, " %*u: %39[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %llu", hex, &p,
			   &state, inode) != 4 ||
		    p != port || (state != 0x0a && state != 0x07))
			continue;
		*a = (struct address){.len = strlen(hex) == 8 ? 4 : 16};
		for (unsigned i = 0; i < a->len; i += 4) {
			uint32_t four;

			memcpy(word, hex + 2 * i, 8);
			four = (uint32_t)strtoul(word, NULL, 16);
			memcpy(a->byte + i, &four, 4);
		}
		return true;
	}
	return false;
}

static FILE *sockets_open(const char *protocol, unsigned family)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/net/%.8s%s", protocol, families[family]);
	return fopen(path, "re");
}

bool listener_only_at(const char *protocol, uint32_t port, bool (*such)(const struct address *a, void *arg), void *arg)
{
	unsigned long long inode;
	struct address a;
	bool only = true;

	for (unsigned i = 0; i < ARRAY_SIZE(families); i++) {
		FILE *f = sockets_open(protocol, i);

		while (f && only && socket_next(f, port, &a, &inode))
			only = such(&a, arg);
		if (f)
			fclose(f);
	}
	return only;
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
	char path[300], want[40], name[40] = "";
	const struct dirent *entry;
	unsigned looked = 0;
	unsigned long long inode = 0;
	struct address a;
	bool found = false;

	snprintf(buf, LISTENER_TEXT, "a program of the host");
	for (unsigned i = 0; i < ARRAY_SIZE(families) && !found; i++) {
		FILE *f = sockets_open(protocol, i);

		found = f && socket_next(f, port, &a, &inode);
		if (f)
			fclose(f);
	}
	if (!found)
		return buf;
	snprintf(want, sizeof want, "socket:[%llu]", inode);
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
