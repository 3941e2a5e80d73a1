/* Covers: raw sockets of IPv4 on loopback: ICMP echo, its filter, headers from the program, protocols, connect, and ping sockets. */
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include "tcp_case.h"

static unsigned short sum(const void *data, int length)
{
	const unsigned short *w = data;
	unsigned total = 0;
	for (; length > 1; length -= 2)
		total += *w++;
	if (length)
		total += *(const unsigned char *)w;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (unsigned short)~total;
}

static int show_ip(const char *what, int s)
{
	unsigned char b[200];
	ssize_t n = recv(s, b, sizeof b, MSG_DONTWAIT);
	if (n < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return 0;
	}
	printf("%s: %zd bytes, version %d, length %d, tos %d, ttl %d, protocol %d, from %d.%d.%d.%d, sum %s; type %d \"%.8s\"\n", what, n,
	       b[0] >> 4, b[2] << 8 | b[3], b[1], b[8], b[9], b[12], b[13], b[14], b[15], sum(b, 20) ? "wrong" : "right", b[20], b + 28);
	return 1;
}

int main(void)
{
	loopback_up();
	int s = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), on = 1;
	struct { struct icmphdr h; char data[8]; } echo = { { ICMP_ECHO }, "payload" };
	echo.h.un.echo.id = htons(7);
	echo.h.checksum = sum(&echo, sizeof echo);
	puts("--- echo");
	SHOW(sendto(s, &echo, sizeof echo, 0, in(0), sizeof in_address));
	settle();
	while (show_ip("received", s))
		;
	int filter = ~(1 << ICMP_ECHOREPLY);
	SHOW(setsockopt(s, 255 /* SOL_RAW */, 1 /* ICMP_FILTER */, &filter, sizeof filter));
	SHOW(sendto(s, &echo, sizeof echo, 0, in(0), sizeof in_address));
	settle();
	while (show_ip("only replies", s))
		;
	echo.data[0]++;
	SHOW(sendto(s, &echo, sizeof echo, 0, in(0), sizeof in_address));
	settle();
	show_ip("after a wrong sum", s);
	puts("--- another protocol");
	int r = (int)MUST(socket(AF_INET, SOCK_RAW, 253)), ttl = 9, tos = 0x10;
	MUST(setsockopt(r, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl));
	MUST(setsockopt(r, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
	struct sockaddr_in name;
	socklen_t length = sizeof name;
	SHOW(getsockname(r, (struct sockaddr *)&name, &length));
	printf("port %d\n", ntohs(name.sin_port));
	SHOW(sendto(r, "12345678hello", 14, 0, in(77), sizeof in_address));
	show_ip("received", r);
	SHOW(send(r, "x", 1, 0));
	SHOW(connect(r, in(5), sizeof in_address));
	length = sizeof name;
	SHOW(getpeername(r, (struct sockaddr *)&name, &length));
	printf("peer's port %d\n", ntohs(name.sin_port));
	SHOW(send(r, "12345678again", 14, 0));
	show_ip("connected", r);
	SHOW(bind(r, in(0), sizeof in_address));
	puts("--- the header from the program");
	int h = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
	struct { struct iphdr ip; char data[20]; } whole = { { .version = 4, .ihl = 5, .ttl = 33, .protocol = 253 }, "12345678whole" };
	whole.ip.daddr = htonl(INADDR_LOOPBACK);
	SHOW(sendto(h, &whole, sizeof whole, 0, in(0), sizeof in_address));
	show_ip("received", r);
	whole.ip.saddr = htonl(0x7f000009);
	SHOW(sendto(h, &whole, sizeof whole, 0, in(0), sizeof in_address));
	show_ip("from another source, connected", r);
	whole.ip.ihl = 15;
	SHOW(sendto(h, &whole, sizeof whole, 0, in(0), sizeof in_address));
	whole.ip.ihl = 4;
	SHOW(sendto(h, &whole, sizeof whole, 0, in(0), sizeof in_address));
	SHOW(sendto(h, &whole, 10, 0, in(0), sizeof in_address));
	SHOW(recv(h, &whole, sizeof whole, MSG_DONTWAIT));
	SHOW(setsockopt(r, IPPROTO_IP, IP_HDRINCL, &on, sizeof on));
	whole.ip.ihl = 5;
	whole.ip.saddr = 0;
	SHOW(send(r, &whole, sizeof whole, 0));
	show_ip("with IP_HDRINCL", r);
	puts("--- errors");
	SHOW(listen(r, 1));
	SHOW(accept(r, 0, 0));
	SHOW(send(r, &whole, sizeof whole, MSG_OOB));
	SHOW(socket(AF_INET, SOCK_RAW, 0));
	SHOW(socket(AF_INET, SOCK_RAW, 300));
	SHOW(socket(AF_INET, SOCK_RAW, -1));
	IN_CHILD({
		MUST(setuid(1000));
		SHOW(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
		SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	});
	puts("--- ping sockets");
	int groups = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
	CHECK(write(groups, "0 100", 5) == 5);
	int p = (int)MUST(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	SHOW(sendto(p, &echo, sizeof echo, 0, in(0), sizeof in_address));
	settle();
	unsigned char b[100];
	ssize_t n = recv(p, b, sizeof b, MSG_DONTWAIT);
	printf("%zd bytes, type %d, \"%.8s\"\n", n, b[0], b + 8);
	echo.h.type = ICMP_ECHOREPLY;
	SHOW(sendto(p, &echo, sizeof echo, 0, in(0), sizeof in_address));
	SHOW(sendto(p, &echo, 4, 0, in(0), sizeof in_address));
	SHOW(pwrite(groups, "1 0", 3, 0));
	return 0;
}
