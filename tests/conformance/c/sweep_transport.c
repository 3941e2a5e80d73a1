/* Covers: every option of the levels of TCP, UDP and ICMP, in each state that matters (tcp(7), udp(7), raw(7)). */
#include "option_sweep.h"
#include "tcp_case.h"

static int udp(void) { return (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)); }
static int udp6(void) { return (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)); }
static int tcp6(void) { return (int)MUST(socket(AF_INET6, SOCK_STREAM, 0)); }
static int raw(void) { return (int)MUST(socket(AF_INET, SOCK_RAW, 99)); }
static int icmp(void) { return (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }

static int listening(void)
{
	int s = tcp();
	MUST(listen(s, 5));
	return s;
}

static int unstable(int level, int option)
{
	return level == IPPROTO_TCP && (option == TCP_INFO || option == TCP_TIMESTAMP || option == TCP_CC_INFO);
}

/* Signatures, repair, fast open, saved SYNs, delays, ESP in UDP, datagrams that are received as one. */
static int left_out(int level, int option)
{
	return level == IPPROTO_TCP ? is_among(option, (int[]){ 14, 19, 22, 23, 27, 28, 30, 32, 33, 34, 35, 37, 38, 39, 40, 41, 42, 0 })
				    : is_among(option, (int[]){ 100, 104, 0 });
}

int main(void)
{
	is_left_out = left_out;
	loopback_up();
	is_unstable = unstable;
	sweep("TCP", tcp, IPPROTO_TCP, -1, 48);
	sweep("TCP of IPv6", tcp6, IPPROTO_TCP, 0, 48);
	sweep("listening TCP", listening, IPPROTO_TCP, 0, 48);
	sweep("UDP", udp, IPPROTO_UDP, 0, 110);
	sweep("UDP of IPv6", udp6, IPPROTO_UDP, 0, 110);
	sweep("UDP", udp, IPPROTO_TCP, 0, 20);
	sweep("TCP", tcp, IPPROTO_UDP, 0, 20);
	sweep("raw", raw, IPPROTO_RAW, 0, 10);
	sweep("ICMP", icmp, IPPROTO_RAW, 0, 10);
	sweep("ICMP", icmp, IPPROTO_ICMP, 0, 10);
	return 0;
}
