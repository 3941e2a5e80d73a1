/* Covers: every option of level SOL_SOCKET on sockets of every family, in the states that matter (socket(7)). */
#include "option_sweep.h"
#include "tcp_case.h"

static int udp(void) { return (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)); }
static int raw(void) { return (int)MUST(socket(AF_INET, SOCK_RAW, 99)); }
static int udp6(void) { return (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)); }
/* One socket for all: Linux takes long to close one. */
static int packet(void)
{
	static int s;
	if (!s)
		s = (int)MUST(socket(AF_PACKET, SOCK_RAW, 0));
	return dup(s);
}

static int netlink(void) { return (int)MUST(socket(AF_NETLINK, SOCK_RAW, 0)); }
static int stream(void) { return (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)); }
static int datagram(void) { return (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0)); }

static int pair(void)
{
	int p[2];
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p));
	close(p[1]);
	return p[0];
}

static int listening(void)
{
	int s = tcp();
	MUST(listen(s, 5));
	return s;
}

static int unstable(int level, int option)
{
	/* Numbers of sockets and processes; a limit that depends on the memory. */
	return option == SO_COOKIE || option == SO_PEERCRED || option == 77 || option == SO_RCVLOWAT;
}

/* Times of sending, SO_TIMESTAMPING in both forms: nobody records them. */
static int left_out(int level, int option) { return is_among(option, (int[]){ 37, 65, 0 }); }

int main(void)
{
	is_left_out = left_out;
	loopback_up();
	is_unstable = unstable;
	sweep("UDP", udp, SOL_SOCKET, -1, 77);
	sweep("TCP", tcp, SOL_SOCKET, 0, 77);
	sweep("listening TCP", listening, SOL_SOCKET, 0, 77);
	sweep("raw", raw, SOL_SOCKET, 0, 77);
	sweep("UDP of IPv6", udp6, SOL_SOCKET, 0, 77);
	sweep("packet", packet, SOL_SOCKET, 0, 77);
	sweep("netlink", netlink, SOL_SOCKET, 0, 77);
	sweep("unix stream", stream, SOL_SOCKET, 0, 77);
	sweep("unix datagram", datagram, SOL_SOCKET, 0, 77);
	sweep("unix pair whose other end is closed", pair, SOL_SOCKET, 0, 77);
	return 0;
}
