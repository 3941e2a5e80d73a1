/* Covers: packet sockets on loopback: both types, addresses, directions, filters, auxiliary data, statistics, errors (packet(7)). */
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include "tcp_case.h"

static struct sockaddr_ll ll_address;

static struct sockaddr *ll(int protocol, int index)
{
	memset(&ll_address, 0, sizeof ll_address);
	ll_address.sll_family = AF_PACKET;
	ll_address.sll_protocol = htons(protocol);
	ll_address.sll_ifindex = index;
	ll_address.sll_halen = 6;
	return (struct sockaddr *)&ll_address;
}

static int packet(int type, int protocol)
{
	int s = (int)MUST(socket(AF_PACKET, type, htons(protocol)));
	MUST(bind(s, ll(protocol, 1), sizeof ll_address));
	return s;
}

static int show_frame(const char *what, int s, int flags)
{
	unsigned char data[2000];
	char control[200];
	struct sockaddr_ll from;
	struct iovec part = { data, sizeof data };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	ssize_t n = recvmsg(s, &m, MSG_DONTWAIT | flags);
	if (n < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return 0;
	}
	printf("%s: %zd bytes, protocol %04x, if %d, hatype %d, type %d, halen %d:", what, n, ntohs(from.sll_protocol), from.sll_ifindex,
	       from.sll_hatype, from.sll_pkttype, from.sll_halen);
	for (ssize_t i = 0; i < n && i < 24; i++)
		printf(" %02x", data[i]);
	putchar('\n');
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct tpacket_auxdata *a = (void *)CMSG_DATA(c);
		/* The length is another one on Linux once the frame was peeked at. */
		printf("  level %d type %d: status %#x, snap %u, mac %u, net %u\n", c->cmsg_level, c->cmsg_type,
		       a->tp_status & ~8u, a->tp_snaplen, a->tp_mac, a->tp_net);
	}
	return 1;
}

static void drain(int s)
{
	char b[2000];
	while (recv(s, b, sizeof b, MSG_DONTWAIT) >= 0)
		;
}

int main(void)
{
	int on = 1;
	loopback_up();
	int raw = packet(SOCK_RAW, 0x88b5), cooked = packet(SOCK_DGRAM, 0x88b5), all = packet(SOCK_RAW, ETH_P_ALL);
	socklen_t length = sizeof ll_address;
	memset(&ll_address, 'z', sizeof ll_address);
	SHOW(getsockname(raw, (struct sockaddr *)&ll_address, &length));
	printf("%d bytes: family %d protocol %04x if %d hatype %d type %d halen %d\n", (int)length, ll_address.sll_family,
	       ntohs(ll_address.sll_protocol), ll_address.sll_ifindex, ll_address.sll_hatype, ll_address.sll_pkttype, ll_address.sll_halen);
	SHOW(getpeername(raw, (struct sockaddr *)&ll_address, &length));
	puts("--- a frame of an unused protocol");
	unsigned char frame[60] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0xb5, 'h', 'e', 'l', 'l', 'o' };
	SHOW(setsockopt(raw, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on));
	show_poll("before", raw);
	SHOW(send(raw, frame, sizeof frame, 0));
	show_poll("after", raw);
	int waiting;
	SHOW(ioctl(raw, FIONREAD, &waiting));
	printf("FIONREAD: %d\n", waiting);
	show_frame("raw", raw, MSG_PEEK);
	show_frame("raw", raw, 0);
	show_frame("raw", raw, 0);
	show_frame("cooked", cooked, 0);
	show_frame("all, going out", all, 0);
	show_frame("all, coming in", all, 0);
	show_frame("all", all, 0);
	puts("--- sent without a header");
	SHOW(sendto(cooked, "payload", 7, 0, ll(0x88b5, 1), sizeof ll_address));
	show_frame("raw", raw, 0);
	show_frame("cooked", cooked, 0);
	char small[4];
	SHOW(sendto(cooked, "payload", 7, 0, ll(0x88b5, 1), sizeof ll_address));
	SHOW(recv(cooked, small, sizeof small, 0));
	SHOW(sendto(cooked, "payload", 7, 0, ll(0x88b5, 1), sizeof ll_address));
	SHOW(recv(cooked, small, sizeof small, MSG_TRUNC));
	drain(raw);
	drain(all);
	puts("--- the host's own packets");
	int u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), r = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(r, in(4100), sizeof in_address));
	MUST(sendto(u, "abc", 3, 0, in(4100), sizeof in_address));
	unsigned char seen[200];
	struct sockaddr_ll from;
	for (int i = 0; i < 2; i++) {
		length = sizeof from;
		ssize_t n = recvfrom(all, seen, sizeof seen, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
		printf("%zd bytes of type %d, protocol %02x%02x, IP %02x, length %d, UDP length %d\n", n, from.sll_pkttype, seen[12], seen[13],
		       seen[14], seen[16] << 8 | seen[17], seen[38] << 8 | seen[39]);
	}
	puts("--- without what goes out");
	SHOW(setsockopt(all, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on));
	MUST(send(raw, frame, sizeof frame, 0));
	show_frame("all", all, 0);
	show_frame("all", all, 0);
	puts("--- a filter: only protocol 88b5, and 20 bytes of it");
	struct sock_filter code[] = { { 0x28, 0, 0, 12 }, { 0x15, 0, 1, 0x88b5 }, { 6, 0, 0, 20 }, { 6, 0, 0, 0 } };
	struct sock_fprog program = { 4, code };
	SHOW(setsockopt(all, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
	MUST(sendto(u, "abc", 3, 0, in(4100), sizeof in_address));
	MUST(send(raw, frame, sizeof frame, 0));
	show_frame("filtered", all, 0);
	show_frame("filtered", all, 0);
	struct sock_filter back[10];
	length = 10;
	SHOW(getsockopt(all, SOL_SOCKET, SO_GET_FILTER, back, &length));
	printf("%d instructions, as given: %d\n", (int)length, !memcmp(back, code, sizeof code));
	length = 2;
	SHOW(getsockopt(all, SOL_SOCKET, SO_GET_FILTER, back, &length));
	SHOW(setsockopt(all, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on));
	SHOW(setsockopt(all, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on));
	code[1].jt = 200;
	SHOW(setsockopt(all, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
	puts("--- statistics");
	int tiny = packet(SOCK_RAW, 0x88b6), size = 1;
	MUST(setsockopt(tiny, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
	frame[13] = 0xb6;
	for (int i = 0; i < 20; i++)
		MUST(send(raw, frame, sizeof frame, 0));
	struct tpacket_stats stats;
	length = sizeof stats;
	SHOW(getsockopt(tiny, SOL_PACKET, PACKET_STATISTICS, &stats, &length));
	printf("%u seen, drops: %d\n", stats.tp_packets, stats.tp_drops > 0);
	length = sizeof stats;
	SHOW(getsockopt(tiny, SOL_PACKET, PACKET_STATISTICS, &stats, &length));
	printf("%u seen, %u dropped\n", stats.tp_packets, stats.tp_drops);
	puts("--- memberships");
	struct packet_mreq request = { 1, PACKET_MR_PROMISC, 0, { 0 } };
	SHOW(setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request));
	SHOW(setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request));
	SHOW(setsockopt(raw, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &request, sizeof request));
	SHOW(setsockopt(raw, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &request, sizeof request));
	SHOW(setsockopt(raw, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &request, sizeof request));
	request.mr_type = PACKET_MR_MULTICAST;
	request.mr_alen = 6;
	request.mr_address[0] = 1;
	SHOW(setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request));
	request.mr_alen = 7;
	SHOW(setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request));
	request.mr_ifindex = 77;
	SHOW(setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request));
	puts("--- errors");
	SHOW(bind(raw, ll(0x88b5, 77), sizeof ll_address));
	SHOW(bind(raw, ll(0x88b5, 1), 10));
	ll(0x88b5, 1);
	ll_address.sll_family = AF_INET;
	SHOW(bind(raw, (struct sockaddr *)&ll_address, sizeof ll_address));
	SHOW(sendto(raw, frame, sizeof frame, 0, ll(0x88b5, 77), sizeof ll_address));
	SHOW(sendto(raw, frame, 13, 0, ll(0x88b5, 1), sizeof ll_address));
	SHOW(sendto(raw, frame, sizeof frame, 0, ll(0x88b5, 1), 8));
	static char large[70000];
	SHOW(send(raw, large, sizeof large, 0));
	SHOW(send(raw, frame, sizeof frame, MSG_OOB));
	SHOW(recv(raw, frame, sizeof frame, MSG_OOB | MSG_DONTWAIT));
	SHOW(listen(raw, 1));
	SHOW(connect(raw, ll(0x88b5, 1), sizeof ll_address));
	SHOW(shutdown(raw, SHUT_RDWR));
	SHOW(accept(raw, 0, 0));
	int none = (int)MUST(socket(AF_PACKET, SOCK_RAW, 0));
	SHOW(send(none, frame, sizeof frame, 0));
	show_frame("no protocol", none, 0);
	IN_CHILD({
		MUST(setuid(1000));
		SHOW(socket(AF_PACKET, SOCK_RAW, 0));
	});
	SHOW(socket(AF_PACKET, SOCK_STREAM, 0));
	return 0;
}
