/* Covers: what socket options do: times of arrival, IP options of what came, least TTLs, binding without a port, errors as urgent (socket(7), ip(7)). */
#define _GNU_SOURCE
#include <poll.h>
#include "tcp_case.h"

static int on(int s, int level, int name, int value) { return setsockopt(s, level, name, &value, sizeof value); }

static int udp(int port)
{
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	MUST(bind(s, in(port), sizeof in_address));
	return s;
}

/* Receive, and say what comes along. Times are not said, but whether they are some of today. */
static void receive(int s)
{
	char data[64], control[512];
	struct iovec part = { data, sizeof data };
	struct msghdr m = { NULL, 0, &part, 1, control, sizeof control, 0 };
	settle();
	ssize_t n = recvmsg(s, &m, MSG_DONTWAIT);
	printf("  %zd %s:", n, n < 0 ? error_name(errno) : "bytes");
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		size_t length = c->cmsg_len - CMSG_LEN(0);
		unsigned char *value = CMSG_DATA(c);
		printf(" level %d type %d length %zu", c->cmsg_level, c->cmsg_type, length);
		if (c->cmsg_level == SOL_SOCKET)
			printf(" %s", labs(time(NULL) - *(long *)value) < 10 ? "now" : "wrong");
		else
			for (size_t i = 0; i < length; i++)
				printf(" %02x", value[i]);
		if (c->cmsg_level == SOL_SOCKET && length == 48)
			for (size_t i = 16; i < 48; i++)
				if (value[i])
					printf(" and more");
	}
	putchar('\n');
}

static void times(void)
{
	puts("--- when a datagram came");
	static const int flags[] = { 0x10, 0x8, 0x18, 0x58, 0x0 };
	for (int name = 37; name <= 65; name += 28)
		for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
			int a = udp(7001), b = udp(7002);
			printf("option %d, flags %#x: %d\n", name, flags[i], on(b, SOL_SOCKET, name, flags[i]));
			MUST(sendto(a, "text", 4, 0, in(7002), sizeof in_address));
			receive(b);
			on(b, SOL_SOCKET, SO_TIMESTAMPNS, 1);
			MUST(sendto(a, "text", 4, 0, in(7002), sizeof in_address));
			receive(b);
			close(a), close(b);
		}
	puts("--- when data of a connection came");
	for (int name = 29; name <= 37; name += name == 29 ? 6 : 2) {
		int pair[2];
		connected(7003, pair);
		on(pair[1], SOL_SOCKET, name, 0x18);
		MUST(write(pair[0], "text", 4));
		receive(pair[1]);
		receive(pair[1]);
		close(pair[0]), close(pair[1]);
	}
}

static void header_options(void)
{
	puts("--- options of the IP header");
	static const unsigned char route[] = { 7, 15, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	int a = udp(7001), b = udp(7002);
	MUST(setsockopt(a, IPPROTO_IP, IP_OPTIONS, route, sizeof route));
	for (int i = 0; i < 4; i++) {
		on(b, IPPROTO_IP, IP_RECVOPTS, i & 1), on(b, IPPROTO_IP, IP_RETOPTS, i >> 1);
		MUST(sendto(a, "text", 4, 0, in(7002), sizeof in_address));
		receive(b);
	}
	MUST(setsockopt(a, IPPROTO_IP, IP_OPTIONS, NULL, 0));
	MUST(sendto(a, "plain", 5, 0, in(7002), sizeof in_address));
	receive(b);
	close(a), close(b);
}

static void least_ttl(void)
{
	puts("--- least TTLs");
	int a = udp(7001), b = udp(7002);
	SHOW(on(b, IPPROTO_IP, 21, 10));
	for (int ttl = 9; ttl <= 10; ttl++) {
		on(a, IPPROTO_IP, IP_TTL, ttl);
		MUST(sendto(a, "text", 4, 0, in(7002), sizeof in_address));
		receive(b);
	}
	close(a), close(b);
	for (int ttl = 9; ttl <= 10; ttl++) {
		int l = listener(7004, 3), c = tcp();
		on(l, IPPROTO_IP, 21, 10);
		on(c, IPPROTO_IP, IP_TTL, ttl);
		fcntl(c, F_SETFL, O_NONBLOCK);
		int failed = connect(c, in(7004), sizeof in_address);
		settle();
		printf("from TTL %d: %d, %s", ttl, failed, state_of(c));
		fcntl(l, F_SETFL, O_NONBLOCK);
		int s = accept(l, NULL, NULL);
		printf(", accepted: %s\n", s < 0 ? error_name(errno) : "yes");
		if (s >= 0) {
			/* The accepted connection has the limit, too. */
			on(c, IPPROTO_IP, IP_TTL, 5);
			MUST(write(c, "far", 3));
			receive(s);
			close(s);
		}
		on(c, IPPROTO_IP, IP_TTL, 64); /* what it says at last is heard */
		close(c), close(l);
	}
}

static void least_hops(void)
{
	puts("--- least hop counts");
	struct sockaddr_in6 at = { AF_INET6, htons(7002), 0, IN6ADDR_LOOPBACK_INIT };
	int a = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), b = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	MUST(bind(b, (struct sockaddr *)&at, sizeof at));
	SHOW(on(b, IPPROTO_IPV6, 73, 10));
	for (int hops = 9; hops <= 10; hops++) {
		on(a, IPPROTO_IPV6, IPV6_UNICAST_HOPS, hops);
		MUST(sendto(a, "text", 4, 0, (struct sockaddr *)&at, sizeof at));
		receive(b);
	}
	close(a), close(b);
	for (int hops = 9; hops <= 10; hops++) {
		int l = (int)MUST(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0)), c = (int)MUST(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
		at.sin6_port = htons(7020 + hops);
		MUST(bind(l, (struct sockaddr *)&at, sizeof at));
		MUST(listen(l, 3));
		on(l, IPPROTO_IPV6, 73, 10);
		on(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, hops);
		SHOW(connect(c, (struct sockaddr *)&at, sizeof at));
		settle();
		printf("from %d hops: %s\n", hops, state_of(c));
		close(c), close(l);
	}
}

static void no_port(void)
{
	puts("--- binding without a port");
	for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		int l = listener(7005, 3), s = (int)MUST(socket(AF_INET, type, 0));
		socklen_t length = sizeof in_address;
		SHOW(on(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1));
		SHOW(bind(s, in(0), sizeof in_address));
		MUST(getsockname(s, (struct sockaddr *)&in_address, &length));
		printf("port chosen: %s, address %x\n", in_address.sin_port ? "yes" : "no", ntohl(in_address.sin_addr.s_addr));
		SHOW(bind(s, in(0), sizeof in_address));
		SHOW(connect(s, in(7005), sizeof in_address));
		MUST(getsockname(s, (struct sockaddr *)&in_address, &length));
		printf("port chosen: %s\n", in_address.sin_port ? "yes" : "no");
		close(s);
		s = (int)MUST(socket(AF_INET, type, 0));
		on(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		SHOW(bind(s, in(7006), sizeof in_address));
		MUST(getsockname(s, (struct sockaddr *)&in_address, &length));
		printf("port %d\n", ntohs(in_address.sin_port));
		close(s), close(l);
	}
}

static void urgent_errors(void)
{
	puts("--- errors as urgent data");
	for (int i = 0; i < 2; i++) {
		int s = udp(7001);
		on(s, IPPROTO_IP, IP_RECVERR, 1);
		SHOW(on(s, SOL_SOCKET, SO_SELECT_ERR_QUEUE, i));
		MUST(connect(s, in(7009), sizeof in_address));
		MUST(send(s, "text", 4, 0));
		settle();
		struct pollfd p = { s, POLLIN | POLLPRI, 0 };
		SHOW(poll(&p, 1, 0));
		printf("%#x\n", p.revents);
		close(s);
	}
}

static void no_gateways(void)
{
	puts("--- without gateways");
	SHOW(system("ip route add 198.51.100.0/24 dev lo && ip route add 192.0.2.0/24 via 198.51.100.7"));
	struct sockaddr_in far = { AF_INET, htons(9), { htonl(0xc0000201) } }, near = { AF_INET, htons(9), { htonl(0xc6336401) } };
	for (int i = 0; i < 2; i++) {
		int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), t = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		SHOW(on(s, SOL_SOCKET, SO_DONTROUTE, i));
		on(t, SOL_SOCKET, SO_DONTROUTE, i);
		SHOW(sendto(s, "text", 4, 0, (struct sockaddr *)&near, sizeof near));
		SHOW(sendto(s, "text", 4, 0, (struct sockaddr *)&far, sizeof far));
		SHOW(sendto(s, "text", 4, MSG_DONTROUTE, (struct sockaddr *)&far, sizeof far));
		SHOW(connect(s, (struct sockaddr *)&far, sizeof far));
		SHOW(connect(t, (struct sockaddr *)&far, sizeof far));
		close(s), close(t);
	}
	SHOW(system("ip route flush table main"));
}

static void memory(void)
{
	puts("--- memory of queues");
	int a = udp(7001), b = udp(7002);
	unsigned used[9];
	socklen_t length = sizeof used;
	on(b, SOL_SOCKET, SO_RCVBUF, 4000);
	for (int i = 0; i < 40; i++)
		MUST(sendto(a, "text", 4, 0, in(7002), sizeof in_address));
	SHOW(getsockopt(b, SOL_SOCKET, 55, used, &length));
	CHECK(length == 36);
	CHECK(used[0] > 0 && used[0] < 20000);
	CHECK(used[1] == 8000);
	CHECK(used[8] > 0 && used[8] < 40);
	close(a), close(b);
}

int main(void)
{
	loopback_up();
	times();
	header_options();
	least_ttl();
	least_hops();
	no_port();
	urgent_errors();
	no_gateways();
	memory();
	return 0;
}
