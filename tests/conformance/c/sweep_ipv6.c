/* Covers: every option of level IPPROTO_IPV6 on UDP, TCP and raw sockets of both versions (ipv6(7)). */
#include "option_sweep.h"
#include "tcp_case.h"

static int udp(void) { return (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)); }
static int raw6(void) { return (int)MUST(socket(AF_INET6, SOCK_RAW, 99)); }
static int icmp6(void) { return (int)MUST(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)); }
static int udp6(void) { return (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)); }
static int tcp6(void) { return (int)MUST(socket(AF_INET6, SOCK_STREAM, 0)); }

/* IPsec, anycast, news of path MTUs, rules of routers, extensions of errors, flow labels, extension headers that are sent;
   where a connection went before NAT (80). */
static int left_out(int level, int option)
{
	return level == IPPROTO_IPV6 && is_among(option, (int[]){ 6, 22, 27, 28, 30, 31, 32, 33, 34, 35, 54, 55, 57, 59, 60, 70, 80, 0 });
}

int main(void)
{
	is_left_out = left_out;
	loopback_up();
	sweep("UDP", udp6, IPPROTO_IPV6, -1, 83);
	sweep("TCP", tcp6, IPPROTO_IPV6, 0, 83);
	sweep("raw", raw6, IPPROTO_IPV6, 0, 83);
	sweep("ICMPv6", icmp6, IPPROTO_IPV6, 0, 30);
	sweep("ICMPv6", icmp6, IPPROTO_ICMPV6, 0, 10);
	sweep("raw", raw6, IPPROTO_RAW, 0, 10);
	sweep("UDP of IPv4", udp, IPPROTO_IPV6, 0, 10);
	return 0;
}
