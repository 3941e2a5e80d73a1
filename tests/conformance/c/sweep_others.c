/* Covers: every option of the levels of packet, netlink and unix sockets (packet(7), netlink(7), unix(7)). */
#include "option_sweep.h"
#include "tcp_case.h"

/* One socket for all: Linux takes long to close one. */
static int packet(void)
{
	static int s;
	if (!s)
		s = (int)MUST(socket(AF_PACKET, SOCK_RAW, 0));
	return dup(s);
}

static int netlink(void) { return (int)MUST(socket(AF_NETLINK, SOCK_RAW, 0)); }
static int events(void) { return (int)MUST(socket(AF_NETLINK, SOCK_DGRAM, 15)); }
static int stream(void) { return (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)); }
static int seqpacket(void) { return (int)MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0)); }

/* Rings in shared memory, headers of virtual devices, groups of sockets, strict requests. */
static int left_out(int level, int option)
{
	return level == SOL_PACKET ? !is_among(option, (int[]){ -1, 1, 2, 4, 6, 8, 9, 20, 23, 25, 0 })
				   : level == SOL_NETLINK && is_among(option, (int[]){ 6, 7, 8, 12, 0 });
}

int main(void)
{
	is_left_out = left_out;
	loopback_up();
	sweep("packet", packet, SOL_PACKET, -1, 30);
	sweep("packet", packet, IPPROTO_IP, 0, 3);
	sweep("netlink", netlink, SOL_NETLINK, -1, 20);
	sweep("netlink of events", events, SOL_NETLINK, 0, 20);
	sweep("netlink", netlink, IPPROTO_IP, 0, 3);
	sweep("unix", stream, 0, 0, 5);
	sweep("unix", stream, IPPROTO_TCP, 0, 3);
	sweep("unix", stream, SOL_PACKET, 0, 3);
	return 0;
}
