/* Connection tracking and NAT against packets that nobody should send: cut short, of wrong lengths, broken at random, and
 * very many. Afterwards all is as before. */
#include "nat_case.h"
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define HOSTS 30 /* which the client plays, beside its own address */

static unsigned seed = 20241129;

static unsigned any(unsigned limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % limit;
}

static void networks6(void)
{
	inside(router);
	give6("inner", "fd01::1");
	give6("outer", "fd02::1");
	set("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	inside(client);
	give6("c0", "fd01::2");
	route6("fd01::1");
	for (int i = 0; i < HOSTS; i++) {
		char where[32];
		snprintf(where, sizeof where, "10.1.0.%d", 100 + i);
		MUST(give("c0", where, 24));
		snprintf(where, sizeof where, "fd01::%d", 100 + i);
		give6("c0", where);
	}
	inside(server);
	give6("s0", "fd02::2");
	give6("s0", "fd02::3");
	give6("s0", "fd02::4");
}

static void rules_of(int family)
{
	int is_6 = family == NFPROTO_IPV6;
	inside(router);
	n_family = family;
	n_begin();
	n_table();
	n_chain("out", "nat", NF_INET_POST_ROUTING, 100, NF_ACCEPT);
	n_chain("in", "nat", NF_INET_PRE_ROUTING, -100, NF_ACCEPT);
	n_chain("through", "filter", NF_INET_FORWARD, 0, NF_DROP);
	n_rule("out"), n_interface(NFT_META_OIFNAME, "outer"), n_masquerade(0, 0, 0), n_rule_end();
	n_rule("in"), n_port(IPPROTO_TCP, 8080);
	n_to(NFT_NAT_DNAT, is_6 ? "fd02::2" : "10.2.0.2", is_6 ? "fd02::2" : "10.2.0.2", 80), n_rule_end();
	n_rule("in"), n_port(IPPROTO_UDP, 5354);
	n_to(NFT_NAT_DNAT, is_6 ? "fd02::2" : "10.2.0.2", is_6 ? "fd02::4" : "10.2.0.4", 0), n_rule_end();
	n_rule("through"), n_state(2 | 4), n_decide(NF_ACCEPT), n_rule_end();
	n_rule("through"), n_interface(NFT_META_IIFNAME, "inner"), n_decide(NF_ACCEPT), n_rule_end();
	n_commit(is_6 ? "rules of IPv6" : "rules of IPv4");
}

/* ---- Exchanges of both versions ---- */

static socklen_t address_of(struct sockaddr_storage *a, const char *where, int port)
{
	memset(a, 0, sizeof *a);
	if (strchr(where, ':')) {
		struct sockaddr_in6 *six = (void *)a;
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		inet_pton(AF_INET6, where, &six->sin6_addr);
		return sizeof *six;
	}
	*(struct sockaddr_in *)a = address(where, port);
	return sizeof(struct sockaddr_in);
}

static const char *as_text(struct sockaddr_storage *a)
{
	static char text[64];
	if (a->ss_family == AF_INET6)
		return inet_ntop(AF_INET6, &((struct sockaddr_in6 *)a)->sin6_addr, text, sizeof text);
	return inet_ntop(AF_INET, &((struct sockaddr_in *)a)->sin_addr, text, sizeof text);
}

static int open_any(int network, int type, const char *where, int port)
{
	struct sockaddr_storage a;
	socklen_t size = address_of(&a, where, port);
	int on = 1;
	inside(network);
	int fd = (int)MUST(socket(a.ss_family, type, 0));
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	MUST(bind(fd, (struct sockaddr *)&a, size));
	if (type == SOCK_STREAM)
		MUST(listen(fd, 8));
	return fd;
}

static int exchange(int from, int there, const char *to, int port, struct sockaddr_storage *seen)
{
	struct sockaddr_storage a;
	socklen_t size = address_of(&a, to, port);
	char data[100] = "question";
	if (sendto(from, data, sizeof data, 0, (struct sockaddr *)&a, size) < 0 || !comes(there, 300))
		return 0;
	size = sizeof *seen;
	if (recvfrom(there, data, sizeof data, 0, (struct sockaddr *)seen, &size) != sizeof data)
		return 0;
	sendto(there, data, 50, 0, (struct sockaddr *)seen, size);
	size = sizeof a;
	if (!comes(from, 300))
		return 0;
	return recvfrom(from, data, sizeof data, 0, (struct sockaddr *)&a, &size) == 50 && strcmp(as_text(&a), to) == 0;
}

static void all_is_well(const char *what, int is_6)
{
	const char *own = is_6 ? "fd01::2" : "10.1.0.2", *to = is_6 ? "fd02::2" : "10.2.0.2", *gate = is_6 ? "fd01::1" : "10.1.0.1";
	const char *wild = is_6 ? "::" : "0.0.0.0";
	char host[32];
	struct sockaddr_storage seen, a;
	char byte = 'x';
	int there = open_any(server, SOCK_DGRAM, to, 7000), spread = open_any(server, SOCK_DGRAM, wild, 5354);
	int web = open_any(server, SOCK_STREAM, wild, 80), from = open_any(client, SOCK_DGRAM, own, 0), answered = 0, spreads = 0;
	for (int i = 0; i < 5 && !answered; i++)
		answered = exchange(from, there, to, 7000, &seen);
	printf("%s: %s", what, answered ? "answered" : "silence");
	if (answered)
		printf(", from %s", as_text(&seen));
	for (int i = 0; i < HOSTS; i++) {
		snprintf(host, sizeof host, is_6 ? "fd01::%d" : "10.1.0.%d", 100 + i);
		int one = open_any(client, SOCK_DGRAM, host, 0);
		socklen_t size = address_of(&a, gate, 5354);
		if (sendto(one, "spread", 6, 0, (struct sockaddr *)&a, size) == 6 && comes(spread, 300))
			spreads += recv(spread, host, sizeof host, 0) == 6;
		close(one);
	}
	printf(", %d spread", spreads);
	inside(client);
	int fd = (int)MUST(socket(is_6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0));
	socklen_t size = address_of(&a, gate, 8080);
	if (connect(fd, (struct sockaddr *)&a, size) == 0) {
		size = sizeof seen;
		int other = (int)MUST(accept(web, (struct sockaddr *)&seen, &size));
		printf(", tcp from %s, %s", as_text(&seen), transfer(fd, other) && transfer(other, fd) ? "whole" : "broken");
		close(fd);
		printf(", %s", recv(other, &byte, 1, 0) == 0 ? "its end" : "something");
		close(other);
	} else {
		printf(", %s", error_name(errno));
	}
	printf("\n");
	close(fd);
	close(there);
	close(spread);
	close(web);
	close(from);
}

/* ---- Frames ---- */

static unsigned char frame[2048];
static int length; /* from the IP header on */
static int wire;
static struct sockaddr_ll link_to;
static unsigned char inner_hardware[6], outer_hardware[6];

static void hardware(int network, const char *name, unsigned char *to)
{
	struct ifreq request = {0};
	inside(network);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	strcpy(request.ifr_name, name);
	MUST(ioctl(fd, SIOCGIFHWADDR, &request));
	memcpy(to, request.ifr_hwaddr.sa_data, 6);
	close(fd);
}

static void wire_in(int network, const char *name, const unsigned char *to)
{
	if (wire)
		close(wire);
	inside(network);
	wire = (int)MUST(socket(AF_PACKET, SOCK_DGRAM, 0));
	link_to = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_halen = 6, .sll_ifindex = if_nametoindex(name)};
	memcpy(link_to.sll_addr, to, 6);
}

static unsigned long add_words(const unsigned char *data, int size)
{
	unsigned long total = 0;
	for (int i = 0; i < size; i++)
		total += i & 1 ? data[i] : data[i] << 8;
	return total;
}

static void put16(unsigned char *to, unsigned value)
{
	to[0] = value >> 8;
	to[1] = value;
}

static unsigned folded(unsigned long total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return ~total & 0xffff;
}

/* Set the checksums that the frame has room for. */
static void fix_sums(void)
{
	int is_6 = frame[0] >> 4 == 6, header = is_6 ? 40 : (frame[0] & 15) * 4, protocol = frame[is_6 ? 6 : 9];
	if (!is_6 && header <= length && header >= 20) {
		put16(frame + 10, 0);
		put16(frame + 10, folded(add_words(frame, header)));
	}
	int at = protocol == 6 ? 16 : protocol == 17 ? 6 : protocol == 1 || protocol == 58 ? 2 : -1;
	if (at < 0 || header + at + 2 > length)
		return;
	unsigned char *transport = frame + header;
	unsigned long total = protocol == 1 ? 0 : protocol + length - header;
	if (protocol != 1)
		total += is_6 ? add_words(frame + 8, 32) : add_words(frame + 12, 8);
	put16(transport + at, 0);
	put16(transport + at, folded(total + add_words(transport, length - header)));
}

static void ip_header(int is_6, int outward, int protocol, int payload)
{
	unsigned char inside4[4] = {10, 1, 0, 2}, outside4[4] = {10, 2, 0, 2}, gate4[4] = {10, 2, 0, 1};
	unsigned char inside6[16] = {0xfd, 1}, outside6[16] = {0xfd, 2}, gate6[16] = {0xfd, 2};
	inside6[15] = outside6[15] = 2;
	gate6[15] = 1;
	if (outward && any(4) == 0) { /* to the router itself */
		outside4[1] = outside4[3] = 1;
		outside6[1] = outside6[15] = 1;
	}
	memset(frame, 0, sizeof frame);
	length = (is_6 ? 40 : 20) + payload;
	if (is_6) {
		frame[0] = 0x60;
		put16(frame + 4, payload);
		frame[6] = protocol;
		frame[7] = 64;
		memcpy(frame + 8, outward ? inside6 : outside6, 16);
		memcpy(frame + 24, outward ? outside6 : gate6, 16);
	} else {
		frame[0] = 0x45;
		put16(frame + 2, length);
		put16(frame + 4, any(65536));
		frame[8] = 64;
		frame[9] = protocol;
		memcpy(frame + 12, outward ? inside4 : outside4, 4);
		memcpy(frame + 16, outward ? outside4 : gate4, 4);
	}
}

static void datagram(int is_6, int outward, int size)
{
	ip_header(is_6, outward, 17, 8 + size);
	unsigned char *udp = frame + (is_6 ? 40 : 20);
	put16(udp, outward ? 4000 + any(4) : 7000);
	put16(udp + 2, outward ? 7000 : 4000 + any(4));
	put16(udp + 4, 8 + size);
	fix_sums();
}

static void segment(int is_6, int outward)
{
	static const unsigned char flags[] = {2, 0x10, 0x12, 0x18, 0x11, 4, 0x14, 0, 0x3f, 0x42};
	int options = any(4) * 4;
	ip_header(is_6, outward, 6, 20 + options + any(40));
	unsigned char *tcp = frame + (is_6 ? 40 : 20);
	put16(tcp, outward ? 4100 + any(2) : 80);
	put16(tcp + 2, outward ? 80 : 4100 + any(2));
	put16(tcp + 6, any(4) ? any(2000) : any(65536));
	put16(tcp + 10, any(4) ? any(2000) : any(65536));
	tcp[12] = (5 + options / 4) << 4;
	tcp[13] = flags[any(sizeof flags)];
	put16(tcp + 14, any(65536));
	for (int i = 0; i < options; i++)
		tcp[20 + i] = any(2) ? any(6) : any(256);
	fix_sums();
}

static void echo(int is_6, int outward)
{
	static const unsigned char kinds[] = {8, 0, 13, 14, 15, 16, 17, 18, 128, 129, 139, 140, 135, 136};
	ip_header(is_6, outward, is_6 ? 58 : 1, 8 + any(60));
	unsigned char *icmp = frame + (is_6 ? 40 : 20);
	icmp[0] = kinds[any(sizeof kinds)];
	put16(icmp + 4, any(3));
	fix_sums();
}

/* An error that quotes a datagram or segment which came from the other side. */
static void error(int is_6, int outward)
{
	static const unsigned char kinds4[] = {3, 4, 5, 11, 12}, kinds6[] = {1, 2, 3, 4, 137};
	unsigned char quoted[400];
	int header = is_6 ? 40 : 20, gap = 8;
	if (any(3))
		datagram(is_6, !outward, 20);
	else
		segment(is_6, !outward);
	if (outward) { /* as the client saw it */
		unsigned char *to = frame + (is_6 ? 24 : 16);
		memset(to, 0, is_6 ? 16 : 4);
		if (is_6)
			to[0] = 0xfd, to[1] = 1, to[15] = 2;
		else
			to[0] = 10, to[1] = 1, to[3] = 2;
	} else { /* as it came out of the router */
		unsigned char *from = frame + (is_6 ? 8 : 12);
		memset(from, 0, is_6 ? 16 : 4);
		if (is_6)
			from[0] = 0xfd, from[1] = 2, from[15] = 1;
		else
			from[0] = 10, from[1] = 2, from[3] = 1;
	}
	int size = any(2) ? length : (int)any(length + 1);
	memcpy(quoted, frame, length);
	int kind = is_6 ? kinds6[any(sizeof kinds6)] : kinds4[any(sizeof kinds4)];
	if (kind == 137)
		gap = 48;
	ip_header(is_6, outward, is_6 ? 58 : 1, gap + size);
	frame[header] = kind;
	frame[header + 1] = any(5);
	if (gap == 48)
		frame[header + 40] = 4, frame[header + 41] = any(20);
	memcpy(frame + header + gap, quoted, size);
	fix_sums();
}

/* Put extension headers or options in front of what is there, or make it a fragment. */
static void extend(void)
{
	int is_6 = frame[0] >> 4 == 6, header = is_6 ? 40 : 20, more = 8 * (1 + any(3));
	if (!is_6 && any(2)) {
		put16(frame + 6, any(2) ? 0x2000 : any(4));
		fix_sums();
		return;
	}
	memmove(frame + header + more, frame + header, length - header);
	length += more;
	if (is_6) {
		static const unsigned char kinds[] = {0, 43, 44, 51, 60};
		int next = frame[6];
		frame[6] = kinds[any(sizeof kinds)];
		for (int at = 40; at < 40 + more; at += 8) {
			memset(frame + at, 0, 8);
			frame[at] = at + 8 < 40 + more ? kinds[any(sizeof kinds)] : next;
			frame[at + 1] = any(8) ? 0 : any(256);
			if (any(2))
				put16(frame + at + 2, any(32));
		}
		put16(frame + 4, length - 40);
		return;
	}
	frame[0] = 0x45 + more / 4;
	for (int i = 0; i < more; i++)
		frame[20 + i] = any(4) ? 1 : any(256);
	put16(frame + 2, length);
	fix_sums();
}

static void break_it(void)
{
	int count = any(4);
	for (int i = 0; i < count; i++)
		frame[any(length)] = any(3) ? any(256) : any(2) ? 0 : 255;
	if (any(4) == 0)
		length = 1 + any(length);
	if (any(4)) {
		if (frame[0] >> 4 == 6)
			put16(frame + 4, length > 40 ? length - 40 : 0);
		else
			put16(frame + 2, length);
	}
	if (any(8) && length >= 40)
		fix_sums();
}

static void send_frame(int is_6)
{
	link_to.sll_protocol = htons(is_6 ? ETH_P_IPV6 : ETH_P_IP);
	sendto(wire, frame, length, 0, (struct sockaddr *)&link_to, sizeof link_to);
}

static void hostile(int is_6, int outward, int count)
{
	if (outward)
		wire_in(client, "c0", inner_hardware);
	else
		wire_in(server, "s0", outer_hardware);
	for (int i = 0; i < count; i++) {
		switch (any(6)) {
		case 0:
			datagram(is_6, outward, any(100));
			break;
		case 1:
		case 2:
			segment(is_6, outward);
			break;
		case 3:
			echo(is_6, outward);
			break;
		default:
			error(is_6, outward);
		}
		if (any(5) == 0)
			extend();
		if (any(3))
			break_it();
		send_frame(is_6);
		if (i % 64 == 63)
			usleep(1000);
	}
}

static void flood(int is_6, int count)
{
	wire_in(client, "c0", inner_hardware);
	for (int i = 0; i < count; i++) {
		datagram(is_6, 1, 10);
		unsigned char *udp = frame + (is_6 ? 40 : 20);
		put16(udp, 1024 + i);
		put16(udp + 2, 9);
		fix_sums();
		send_frame(is_6);
		if (i % 64 == 63)
			usleep(1000);
	}
}

/* Requests of ctnetlink, broken at random. */
static void requests(int count)
{
	static const int kinds[] = {IPCTNL_MSG_CT_NEW, IPCTNL_MSG_CT_NEW, IPCTNL_MSG_CT_NEW, IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE,
				    IPCTNL_MSG_CT_GET_CTRZERO, 77};
	static const int protocols[] = {1, 6, 17, 58, 99, 136};
	static char answers[1 << 16];
	inside(router);
	int fd = ct_socket(0), news = ct_socket(7);
	for (int i = 0; i < count; i++) {
		int is_6 = any(2), protocol = protocols[any(6)], port = any(4), to = protocol == 1 ? 8 << 8 : protocol == 58 ? 128 << 8 : 80;
		const char *a = is_6 ? "fd01::2" : "10.1.0.2", *b = is_6 ? "fd02::2" : "10.2.0.2";
		ct_start(kinds[any(7)], any(2) ? NLM_F_CREATE : any(2) ? NLM_F_CREATE | NLM_F_EXCL : any(8) ? 0 : NLM_F_DUMP,
			 any(8) ? is_6 ? AF_INET6 : AF_INET : any(256));
		if (any(8))
			ct_tuple(ORIGINAL, a, b, protocol, port, to);
		if (any(8))
			ct_tuple(REPLY, b, a, protocol, any(4) ? to : port, any(4) ? port : to);
		if (any(4))
			ct_u32(CTA_TIMEOUT, any(4) ? any(1000) : any(0xffffffff));
		if (any(2))
			ct_u32(CTA_STATUS, any(4) ? any(0x10) : any(0xffffffff));
		if (any(4) == 0)
			ct_u32(CTA_MARK, any(0xffffffff));
		if (any(2)) {
			struct rtattr *whole = ct_begin(CTA_PROTOINFO), *tcp = ct_begin(CTA_PROTOINFO_TCP);
			ct_u8(CTA_PROTOINFO_TCP_STATE, any(12));
			ct_end(tcp);
			ct_end(whole);
		}
		int size = message.h.nlmsg_len - NLMSG_HDRLEN;
		for (int n = any(3) ? 0 : any(5); n > 0; n--)
			message.data[any(size)] = any(2) ? any(256) : any(20);
		if (any(16) == 0)
			message.h.nlmsg_len = NLMSG_HDRLEN + any(size + 1);
		send(fd, &message, message.h.nlmsg_len, 0);
		while (recv(fd, answers, sizeof answers, MSG_DONTWAIT) > 0)
			;
		while (recv(news, answers, sizeof answers, MSG_DONTWAIT) > 0)
			;
	}
	close(fd);
	close(news);
}

static long number_in(const char *name)
{
	char text[32] = "";
	inside(router);
	int fd = (int)MUST(open(name, O_RDONLY));
	MUST(read(fd, text, sizeof text - 1));
	close(fd);
	return atol(text);
}

int main(void)
{
	for (size_t i = 0; i < sizeof sent; i++)
		sent[i] = (char)(i * 5 + i / 251);
	network();
	networks6();
	rules_of(NFPROTO_IPV4);
	rules_of(NFPROTO_IPV6);
	hardware(router, "inner", inner_hardware);
	hardware(router, "outer", outer_hardware);
	all_is_well("IPv4", 0);
	all_is_well("IPv6", 1);
	for (int round = 0; round < 2; round++) {
		requests(1500);
		for (int is_6 = 0; is_6 < 2; is_6++)
			for (int outward = 1; outward >= 0; outward--)
				hostile(is_6, outward, 1000);
	}
	inside(router);
	int fd = ct_socket(0);
	ct_start(IPCTNL_MSG_CT_DELETE, 0, AF_UNSPEC);
	ct_ask(fd, "flush");
	all_is_well("IPv4 after broken packets", 0);
	all_is_well("IPv6 after broken packets", 1);
	long most = number_in("/proc/sys/net/netfilter/nf_conntrack_max");
	flood(0, most + 1000);
	flood(1, 1000);
	printf("no more than there may be: %d\n", number_in("/proc/sys/net/netfilter/nf_conntrack_count") <= most + 64);
	all_is_well("IPv4 after a flood", 0);
	all_is_well("IPv6 after a flood", 1);
	return 0;
}
