/* Covers: what addresses, routes and sockets do while lo is down, when it goes up, and when it had an address before. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include "socket_case.h"

static void flags(int up)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq r = { .ifr_name = "lo" };
	ioctl(s, SIOCGIFFLAGS, &r);
	r.ifr_flags = up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
		perror("SIOCSIFFLAGS");
	close(s);
}

static void set_address(const char *text)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq r = { .ifr_name = "lo" };
	struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;
	a->sin_family = AF_INET;
	inet_pton(AF_INET, text, &a->sin_addr);
	SHOW(ioctl(s, SIOCSIFADDR, &r));
	memset(&r, 0, sizeof r);
	strcpy(r.ifr_name, "lo");
	SHOW(ioctl(s, SIOCGIFFLAGS, &r));
	printf("flags %x\n", r.ifr_flags & 0xffff);
	close(s);
}

static void show_lines(const char *path, const char *wanted)
{
	char line[256];
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (strstr(line, wanted))
			printf("%s: %s", path, line);
	if (f)
		fclose(f);
}

static void attempt(int family, int type, const char *text)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(9) };
	inet_pton(family, text, family == AF_INET ? (void *)&four.sin_addr : (void *)&six.sin6_addr);
	struct sockaddr *a = family == AF_INET ? (void *)&four : (void *)&six;
	socklen_t length = family == AF_INET ? sizeof four : sizeof six;
	printf("%s to %s\n", type == SOCK_STREAM ? "stream" : "datagram", text);
	int s = socket(family, type | SOCK_NONBLOCK, 0);
	TRY(connect(s, a, length));
	if (type == SOCK_DGRAM)
		SHOW(sendto(s, "x", 1, 0, a, length));
	close(s);
	s = socket(family, type, 0);
	four.sin_port = six.sin6_port = 0;
	TRY(bind(s, a, length));
	close(s);
}

static void everything(void)
{
	static const char *const fours[] = { "127.0.0.1", "127.1.2.3", "10.66.0.1", "192.0.2.1", "224.0.0.251", "255.255.255.255", "0.0.0.0" };
	static const char *const sixes[] = { "::1", "fd66::1", "ff02::1", "fe80::1", "::" };
	for (unsigned i = 0; i < sizeof fours / sizeof *fours; i++)
		attempt(AF_INET, SOCK_DGRAM, fours[i]);
	attempt(AF_INET, SOCK_STREAM, "127.0.0.1");
	for (unsigned i = 0; i < sizeof sixes / sizeof *sixes; i++)
		attempt(AF_INET6, SOCK_DGRAM, sixes[i]);
	attempt(AF_INET6, SOCK_STREAM, "::1");
	show_lines("/proc/net/if_inet6", " lo");
	show_lines("/proc/net/dev", "lo:  0");
	show_lines("/proc/net/fib_trie", "nothing");
}

int main(void)
{
	flags(1);
	puts("--- up");
	everything();
	flags(0);
	puts("--- down, with the address that it had");
	everything();
	puts("--- down, without an address");
	set_address("0.0.0.0");
	flags(0);
	everything();
	puts("--- an address of another net brings it up");
	set_address("10.66.0.1");
	everything();
	set_address("0.0.0.0");
	flags(0);
	puts("--- up again");
	flags(1);
	everything();
	return 0;
}
