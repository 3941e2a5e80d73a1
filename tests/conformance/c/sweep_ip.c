/* Covers: every option of level IPPROTO_IP on UDP, TCP, raw and ping sockets, and on IPv6 sockets (ip(7)). */
#include "option_sweep.h"
#include "tcp_case.h"

static int udp(void) { return (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)); }
static int raw(void) { return (int)MUST(socket(AF_INET, SOCK_RAW, 99)); }
static int udp6(void) { return (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)); }
static int tcp6(void) { return (int)MUST(socket(AF_INET6, SOCK_STREAM, 0)); }

static int udp_connected(void)
{
	int s = udp();
	MUST(connect(s, in(9), sizeof in_address));
	return s;
}

/* IPsec; rules of routers; sums that a device took; extensions of errors. */
static int left_out(int level, int option) { return is_among(option, (int[]){ 5, 16, 17, 23, 26, 0 }); }

/* Of a socket with a port, it is that. */
static int unstable(int level, int option) { return option == 52; }

int main(void)
{
	is_unstable = unstable;
	is_left_out = left_out;
	loopback_up();
	sweep("UDP", udp, IPPROTO_IP, -1, 63);
	sweep("connected UDP", udp_connected, IPPROTO_IP, 0, 63);
	sweep("TCP", tcp, IPPROTO_IP, 0, 63);
	sweep("raw", raw, IPPROTO_IP, 0, 63);
	sweep("UDP of IPv6", udp6, IPPROTO_IP, 0, 63);
	sweep("TCP of IPv6", tcp6, IPPROTO_IP, 0, 63);
	return 0;
}
