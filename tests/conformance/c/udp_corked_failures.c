/* Covers: what is left of a datagram that MSG_MORE or UDP_CORK has begun, once a later part fails. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/udp.h>
#include "socket_case.h"

static int from, to;

static void received(void)
{
	static char bytes[70000];
	for (;;) {
		ssize_t count = recv(to, bytes, sizeof bytes, MSG_DONTWAIT);
		if (count < 0) {
			puts(error_name(errno));
			return;
		}
		printf("%zd bytes: \"%.*s\"\n", count, count < 20 ? (int)count : 20, bytes);
	}
}

int main(void)
{
	static char large[65535];
	int on = 1, off = 0;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof address;
	memset(large, 'l', sizeof large);
	from = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	to = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(to, (struct sockaddr *)&address, sizeof address));
	MUST(getsockname(to, (struct sockaddr *)&address, &length));
	MUST(connect(from, (struct sockaddr *)&address, sizeof address));
	puts("--- a part that cannot be read");
	SHOW(send(from, "one", 3, MSG_MORE));
	SHOW(send(from, (void *)8, 3, MSG_MORE));
	SHOW(send(from, "two", 3, 0));
	received();
	puts("--- the last part cannot be read");
	SHOW(send(from, "three", 5, MSG_MORE));
	SHOW(send(from, (void *)8, 3, 0));
	SHOW(send(from, "four", 4, 0));
	received();
	puts("--- the first part cannot be read");
	SHOW(send(from, (void *)8, 3, MSG_MORE));
	SHOW(send(from, "five", 4, 0));
	received();
	puts("--- too much together");
	SHOW(send(from, "six", 3, MSG_MORE));
	SHOW(send(from, large, sizeof large, MSG_MORE));
	SHOW(send(from, "seven", 5, 0));
	received();
	puts("--- too much at once");
	static char huge[65536];
	SHOW(send(from, "eight", 5, MSG_MORE));
	SHOW(send(from, huge, sizeof huge, MSG_MORE));
	SHOW(send(from, "nine", 4, 0));
	received();
	puts("--- UDP_CORK");
	MUST(setsockopt(from, IPPROTO_UDP, UDP_CORK, &on, sizeof on));
	SHOW(send(from, "ten", 3, 0));
	SHOW(send(from, (void *)8, 3, 0));
	SHOW(send(from, "eleven", 6, 0));
	SHOW(setsockopt(from, IPPROTO_UDP, UDP_CORK, &off, sizeof off));
	received();
	return 0;
}
