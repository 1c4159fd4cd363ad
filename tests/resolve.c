/* tests/resolve.c - `resolve NAME`: its addresses by musl's resolver, one a line. The guest of the tests is glibc's. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	char text[64];

	if (argc != 2 || getaddrinfo(argv[1], NULL, &hints, &list) != 0)
		return 1;
	for (struct addrinfo *x = list; x; x = x->ai_next)
		if (getnameinfo(x->ai_addr, x->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
			puts(text);
	freeaddrinfo(list);
	return 0;
}
