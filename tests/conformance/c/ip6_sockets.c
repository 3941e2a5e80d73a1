/* Covers: UDP, TCP and raw sockets of IPv6 on loopback: names, dual stack, mapped addresses, ancillary data, ICMPv6 and its filter. */
#define _GNU_SOURCE
#include <netinet/icmp6.h>
#include "tcp_case.h"

static struct sockaddr_in6 a6;

static struct sockaddr *in6(const char *address, int port)
{
	memset(&a6, 0, sizeof a6);
	a6.sin6_family = AF_INET6;
	a6.sin6_port = htons(port);
	inet_pton(AF_INET6, address, &a6.sin6_addr);
	return (struct sockaddr *)&a6;
}

static void show6(const char *what, int result)
{
	char text[64];
	if (result < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	printf("%s: %s, port %s, flow %x, scope %d\n", what, inet_ntop(AF_INET6, &a6.sin6_addr, text, sizeof text),
	       ntohs(a6.sin6_port) < 20000 ? (char[8]){ 'x', 0 } : "chosen", ntohl(a6.sin6_flowinfo), a6.sin6_scope_id);
}

static void names6(const char *what, int s)
{
	socklen_t length = sizeof a6;
	printf("%s: ", what);
	show6("is", getsockname(s, (struct sockaddr *)&a6, &length));
	length = sizeof a6;
	printf("%s: ", what);
	show6("talks to", getpeername(s, (struct sockaddr *)&a6, &length));
}

static void show_control(const char *what, int s)
{
	char data[100], control[400];
	struct iovec part = { data, sizeof data };
	struct msghdr m = { .msg_name = &a6, .msg_namelen = sizeof a6, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	ssize_t n = recvmsg(s, &m, MSG_DONTWAIT);
	if (n < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	printf("%s: %zd bytes, flags %#x\n", what, n, m.msg_flags);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		printf("  level %d type %d:", c->cmsg_level, c->cmsg_type);
		if (c->cmsg_type == 11)
			CMSG_DATA(c)[1] &= 0xf0, c->cmsg_len -= 2; /* Linux chooses a flow label. */
		for (size_t i = 0; i < c->cmsg_len - sizeof *c; i++)
			printf(" %02x", CMSG_DATA(c)[i]);
		putchar('\n');
	}
}

static void udp(void)
{
	int s = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), c = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), on = 1;
	puts("--- UDP");
	names6("new", s);
	SHOW(bind(s, in6("::1", 5200), 20));
	SHOW(bind(s, in6("fe80::1", 5200), sizeof a6));
	SHOW(bind(s, in6("2001:db8::1", 5200), sizeof a6));
	SHOW(bind(s, in6("::1", 5200), sizeof a6));
	SHOW(bind(s, in6("::1", 5201), sizeof a6));
	names6("bound", s);
	SHOW(sendto(c, "hello", 5, 0, in6("::1", 5200), sizeof a6));
	show_receive("received", s, 100, 0);
	int options[] = { IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, 11 /* IPV6_FLOWINFO */, 74 /* IPV6_RECVORIGDSTADDR */ };
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		MUST(setsockopt(s, IPPROTO_IPV6, options[i], &on, sizeof on));
	int hops = 7, class = 0x28;
	MUST(setsockopt(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof hops));
	MUST(setsockopt(c, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class));
	SHOW(sendto(c, "hello", 5, 0, in6("::1", 5200), sizeof a6));
	show_control("with options", s);
	char control[CMSG_SPACE(4) * 2] = { 0 }, data[] = "hello";
	struct iovec part = { data, 5 };
	struct msghdr m = { .msg_name = in6("::1", 5200), .msg_namelen = sizeof a6, .msg_iov = &part, .msg_iovlen = 1,
			    .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = IPPROTO_IPV6;
	h->cmsg_type = IPV6_HOPLIMIT;
	h->cmsg_len = CMSG_LEN(4);
	*(int *)CMSG_DATA(h) = 99;
	h = CMSG_NXTHDR(&m, h);
	h->cmsg_level = IPPROTO_IPV6;
	h->cmsg_type = IPV6_TCLASS;
	h->cmsg_len = CMSG_LEN(4);
	*(int *)CMSG_DATA(h) = 0x11;
	SHOW(sendmsg(c, &m, 0));
	show_control("with control", s);
	*(int *)CMSG_DATA(h) = 256;
	SHOW(sendmsg(c, &m, 0));
	puts("--- connected");
	SHOW(connect(c, in6("::1", 5200), sizeof a6));
	names6("connected", c);
	SHOW(send(c, "one", 3, 0));
	show_control("from the connected", s);
	SHOW(connect(c, in6("::1", 5299), sizeof a6));
	SHOW(send(c, "nobody", 6, 0));
	settle();
	show_error("refused", c);
	SHOW(connect(c, in6("::", 5200), sizeof a6));
	names6("connected to ::", c);
	SHOW(connect(c, in6("2001:db8::9", 5200), sizeof a6));
	struct sockaddr none = { AF_UNSPEC };
	SHOW(connect(c, &none, sizeof none));
	names6("disconnected", c);
	puts("--- a mapped address");
	int four = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), dual = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	SHOW(bind(dual, in6("::", 5203), sizeof a6));
	SHOW(sendto(four, "from four", 9, 0, in(5203), sizeof in_address));
	socklen_t length = sizeof a6;
	char b[20];
	SHOW(recvfrom(dual, b, sizeof b, MSG_DONTWAIT, (struct sockaddr *)&a6, &length));
	show6("sender", 0);
	SHOW(sendto(dual, "back", 4, 0, (struct sockaddr *)&a6, sizeof a6));
	show_receive("four", four, 100, 0);
	SHOW(sendto(dual, "as four", 7, 0, in(5203), sizeof in_address));
	SHOW(bind(four, in(5203), sizeof in_address));
	int only = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	MUST(setsockopt(only, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
	SHOW(sendto(only, "x", 1, 0, in6("::ffff:127.0.0.1", 5203), sizeof a6));
	SHOW(connect(only, in6("::ffff:127.0.0.1", 5203), sizeof a6));
	SHOW(bind(only, in6("::ffff:127.0.0.1", 5204), sizeof a6));
	puts("--- becoming an IPv4 socket");
	SHOW(connect(dual, in6("::ffff:127.0.0.1", 5203), sizeof a6));
	int family = AF_INET;
	SHOW(setsockopt(dual, IPPROTO_IPV6, 1 /* IPV6_ADDRFORM */, &family, sizeof family));
	struct sockaddr_storage name;
	length = sizeof name;
	SHOW(getsockname(dual, (struct sockaddr *)&name, &length));
	printf("%d bytes, family %d\n", (int)length, name.ss_family);
	close(s);
	close(c);
	close(four);
	close(dual);
	close(only);
}

static void tcp6(void)
{
	int l = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0)), c = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0)), on = 1;
	puts("--- TCP");
	MUST(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	SHOW(bind(l, in6("::", 5210), sizeof a6));
	SHOW(listen(l, 5));
	SHOW(connect(c, in6("::1", 5210), sizeof a6));
	int s = (int)MUST(accept(l, 0, 0));
	names6("client", c);
	names6("server", s);
	SHOW(send(c, "hello", 5, 0));
	show_receive("server", s, 100, 0);
	close(c);
	close(s);
	puts("--- by IPv4");
	c = tcp();
	SHOW(connect(c, in(5210), sizeof in_address));
	s = (int)MUST(accept(l, 0, 0));
	names6("server", s);
	close(c);
	close(s);
	c = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	SHOW(connect(c, in6("::ffff:127.0.0.1", 5210), sizeof a6));
	names6("mapped client", c);
	int family = AF_INET;
	SHOW(setsockopt(c, IPPROTO_IPV6, 1 /* IPV6_ADDRFORM */, &family, sizeof family));
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	SHOW(getpeername(c, (struct sockaddr *)&name, &length));
	printf("%d bytes, family %d\n", (int)length, name.ss_family);
	s = (int)MUST(accept(l, 0, 0));
	SHOW(send(c, "hello", 5, 0));
	show_receive("server", s, 100, 0);
	close(c);
	close(s);
	c = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	SHOW(connect(c, in6("::1", 5299), sizeof a6));
	SHOW(connect(c, in6("ff02::1", 5210), sizeof a6));
	SHOW(connect(c, in6("2001:db8::1", 5210), sizeof a6));
	SHOW(connect(c, in6("fe80::1", 5210), sizeof a6));
	close(c);
	close(l);
}

static void raw(void)
{
	int s = (int)MUST(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)), on = 1;
	struct icmp6_filter f;
	puts("--- ICMPv6");
	ICMP6_FILTER_SETBLOCKALL(&f);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
	SHOW(setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f));
	MUST(setsockopt(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
	struct { struct icmp6_hdr h; char data[8]; } echo = { { 128, 0, 0 }, "payload" };
	echo.h.icmp6_id = htons(7);
	echo.h.icmp6_seq = htons(1);
	SHOW(sendto(s, &echo, sizeof echo, 0, in6("::1", 0), sizeof a6));
	settle();
	unsigned char b[100];
	socklen_t length = sizeof a6;
	ssize_t n = recvfrom(s, b, sizeof b, MSG_DONTWAIT, (struct sockaddr *)&a6, &length);
	printf("%zd bytes, type %d, code %d, id %d, \"%s\"\n", n, b[0], b[1], b[4] << 8 | b[5], b + 8);
	show6("from", n < 0 ? -1 : 0);
	show_receive("more", s, 100, 0);
	ICMP6_FILTER_SETPASSALL(&f);
	SHOW(setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f));
	SHOW(sendto(s, &echo, sizeof echo, 0, in6("::1", 0), sizeof a6));
	settle();
	for (int i = 0; i < 3; i++) {
		n = recv(s, b, sizeof b, MSG_DONTWAIT);
		printf("%zd bytes, type %d\n", n, n > 0 ? b[0] : -1);
	}
	puts("--- another protocol, with a checksum");
	int r = (int)MUST(socket(AF_INET6, SOCK_RAW, 253)), offset = 2;
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_CHECKSUM, &offset, sizeof offset));
	SHOW(sendto(r, "\1\2\0\0abcd", 8, 0, in6("::1", 0), sizeof a6));
	n = recv(r, b, sizeof b, MSG_DONTWAIT);
	printf("%zd bytes:", n);
	for (ssize_t i = 0; i < n; i++)
		printf(" %02x", b[i]);
	putchar('\n');
	SHOW(sendto(r, "\1", 1, 0, in6("::1", 0), sizeof a6));
	puts("--- the header from the program");
	unsigned char whole[48] = { 0x60, 0, 0, 0, 0, 8, 253, 9 };
	whole[23] = whole[39] = 1;
	memcpy(whole + 40, "\1\2\0\0abcd", 8);
	int h = (int)MUST(socket(AF_INET6, SOCK_RAW, IPPROTO_RAW));
	SHOW(sendto(h, whole, sizeof whole, 0, in6("::1", 0), sizeof a6));
	offset = -1;
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_CHECKSUM, &offset, sizeof offset));
	SHOW(sendto(h, whole, sizeof whole, 0, in6("::1", 0), sizeof a6));
	MUST(setsockopt(r, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
	show_control("received", r);
	close(s);
	close(r);
	close(h);
}

int main(void)
{
	loopback_up();
	udp();
	tcp6();
	raw();
	return 0;
}
