/* Translation of addresses, and rules about connections: a client, a router and a server in networks of their own, joined
 * by veth. The router masquerades, sends some ports on to the server, and lets nobody in who was not asked. */
#include "nat_case.h"
#include <linux/netfilter/nf_nat.h>

/* The rules as the kernel shows them. */
static void list(const char *what)
{
	static char data[32768];
	used = 0;
	n_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, NLM_F_DUMP);
	n_done();
	MUST(send(nft, batch, used, 0));
	printf("%s\n", what);
	for (int got, is_over = 0; !is_over && (got = recv(nft, data, sizeof data, 0)) > 0;)
		for (struct nlmsghdr *h = (void *)data; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
			is_over = h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
			if (is_over)
				break;
			ct_length = 0;
			unsigned char *at = (unsigned char *)NLMSG_DATA(h) + 4;
			for (int left = h->nlmsg_len - NLMSG_HDRLEN - 4; left >= 4;) {
				struct nlattr *a = (void *)at;
				if ((a->nla_type & NLA_TYPE_MASK) == NFTA_RULE_EXPRESSIONS)
					ct_show_attributes((void *)a, a->nla_len, 0, 0);
				left -= NLA_ALIGN(a->nla_len);
				at += NLA_ALIGN(a->nla_len);
			}
			printf("  %s\n", ct_line);
		}
}

static void rules(void)
{
	inside(router);
	n_family = NFPROTO_INET;
	n_begin();
	n_table();
	n_chain("out", "nat", NF_INET_POST_ROUTING, 100, NF_ACCEPT);
	n_chain("in", "nat", NF_INET_PRE_ROUTING, -100, NF_ACCEPT);
	n_chain("through", "filter", NF_INET_FORWARD, 0, NF_DROP);
	n_rule("out"), n_port(IPPROTO_UDP, 7001), n_masquerade(9000, 9000, 0), n_rule_end();
	n_rule("out"), n_port(IPPROTO_UDP, 7002), n_masquerade(9000, 9000, NF_NAT_RANGE_PROTO_SPECIFIED), n_rule_end();
	n_rule("out"), n_interface(NFT_META_OIFNAME, "outer"), n_masquerade(0, 0, 0), n_rule_end();
	n_rule("in"), n_port(IPPROTO_TCP, 8080), n_to(NFT_NAT_DNAT, "10.2.0.2", "10.2.0.2", 80), n_rule_end();
	n_rule("in"), n_port(IPPROTO_UDP, 5353), n_to(NFT_NAT_DNAT, "10.2.0.2", "10.2.0.2", 53), n_rule_end();
	n_rule("in"), n_port(IPPROTO_UDP, 5354), n_to(NFT_NAT_DNAT, "10.2.0.2", "10.2.0.4", 0), n_rule_end();
	n_rule("through"), n_state(2 | 4), n_decide(NF_ACCEPT), n_rule_end();
	n_rule("through"), n_interface(NFT_META_IIFNAME, "inner"), n_decide(NF_ACCEPT), n_rule_end();
	n_commit("rules");
	list("listed");
}

/* A datagram, and the answer to it. `there` is who gets it, if it comes. */
static void ask_datagram(const char *what, int from, int there, const char *to, int port, int with_port)
{
	struct sockaddr_in a = address(to, port), sender, answerer;
	socklen_t size = sizeof sender;
	char data[1400];
	printf("%s", what);
	memset(data, 'q', sizeof data);
	if (sendto(from, data, sizeof data, 0, (struct sockaddr *)&a, sizeof a) < 0)
		printf(", %s", error_name(errno));
	if (!comes(there, 200)) {
		printf(", nothing came\n");
		return;
	}
	ssize_t got = recvfrom(there, data, sizeof data, 0, (struct sockaddr *)&sender, &size);
	printf(", %zd bytes", got);
	say("from", &sender, with_port);
	sendto(there, data, 1001, 0, (struct sockaddr *)&sender, sizeof sender);
	size = sizeof answerer;
	if (!comes(from, 1000)) {
		printf(", no answer\n");
		return;
	}
	got = recvfrom(from, data, sizeof data, 0, (struct sockaddr *)&answerer, &size);
	printf(", answer of %zd", got);
	say("from", &answerer, 1);
	printf("\n");
}

/* A connection with data both ways, which ends orderly or by a reset. */
static void connect_to(const char *what, int network, int listener, const char *from, int own, const char *to, int port,
		       int is_reset)
{
	struct sockaddr_in a = address(to, port), me = address(from, own), peer;
	socklen_t size = sizeof peer;
	struct linger at_once = {1, 0};
	int on = 1;
	inside(network);
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	MUST(bind(fd, (struct sockaddr *)&me, sizeof me));
	printf("%s", what);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		printf(", %s\n", error_name(errno));
		close(fd);
		return;
	}
	int other = (int)MUST(accept(listener, (struct sockaddr *)&peer, &size));
	say("from", &peer, 1);
	size = sizeof peer;
	MUST(getpeername(fd, (struct sockaddr *)&peer, &size));
	say("to", &peer, 1);
	printf(", there %s", transfer(fd, other) ? "whole" : "broken");
	printf(", back %s", transfer(other, fd) ? "whole" : "broken");
	if (is_reset)
		MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
	char byte;
	close(fd);
	printf(", then %s", comes(other, 60000) ? recv(other, &byte, 1, 0) < 0 ? error_name(errno) : "its end" : "nothing");
	close(other);
	settle_for(20);
	printf("\n");
}

static unsigned short sum(const unsigned char *data, int size)
{
	unsigned long total = 0;
	for (int i = 0; i < size; i += 2)
		total += data[i] << 8 | data[i + 1];
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons(~total);
}

/* An echo request, and what comes back. */
static void ping(const char *what, int network, const char *to)
{
	struct sockaddr_in a = address(to, 0), from;
	unsigned char data[64] = {8, 0, 0, 0, 0x12, 0x34, 0, 1}, answer[256];
	socklen_t size = sizeof from;
	inside(network);
	int fd = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	unsigned short s = sum(data, sizeof data);
	memcpy(data + 2, &s, 2);
	printf("%s", what);
	MUST(sendto(fd, data, sizeof data, 0, (struct sockaddr *)&a, sizeof a));
	while (comes(fd, 300)) {
		ssize_t got = recvfrom(fd, answer, sizeof answer, 0, (struct sockaddr *)&from, &size);
		if (got < 28 || answer[20] == 8)
			continue;
		printf(", type %d identifier %02x%02x sum %s", answer[20], answer[24], answer[25],
		       sum(answer + 20, got - 20) ? "wrong" : "right");
		say("from", &from, 0);
		printf("\n");
		close(fd);
		return;
	}
	printf(", no answer\n");
	close(fd);
}

/* An error comes back to the sender. */
static void refused(const char *what, int network, const char *from, int own, const char *to, int port)
{
	struct sockaddr_in a = address(to, port);
	int fd = open_at(network, SOCK_DGRAM, from, own), error = 0;
	socklen_t size = sizeof error;
	MUST(connect(fd, (struct sockaddr *)&a, sizeof a));
	MUST(send(fd, "question", 8, 0));
	comes(fd, 500);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	printf("%s, %s\n", what, error ? error_name(error) : "nothing");
	close(fd);
}

/* The connections of a network, without times and counts of references. */
static void show(const char *what, int network)
{
	static char text[65536];
	char *lines[64];
	int count = 0;
	inside(network);
	int fd = open("/proc/net/nf_conntrack", O_RDONLY);
	size_t length = 0;
	for (ssize_t got; (got = read(fd, text + length, sizeof text - 1 - length)) > 0;)
		length += got;
	text[length] = 0;
	close(fd);
	for (char *line = strtok(text, "\n"); line && count < 64; line = strtok(NULL, "\n"))
		lines[count++] = line;
	for (int i = 0; i < count; i++) {
		/* "ipv4 2 udp 17 SECONDS …" */
		char *at = lines[i], *from, *to;
		for (int word = 0; word < 4; word++) {
			at += strcspn(at, " ");
			at += strspn(at, " ");
		}
		from = at + strcspn(at, " ");
		to = at;
		memmove(to, from, strlen(from) + 1);
		if ((at = strstr(lines[i], " use=")))
			*at = 0;
		/* A port that was chosen because the first choice was taken. */
		char *own = strstr(lines[i], "sport="), *answers = own ? strstr(strstr(own, "dport=") + 1, "dport=") : NULL;
		if (answers && atoi(own + 6) != atoi(answers + 6)) {
			from = answers + strcspn(answers, " ");
			memmove(answers + 8, from, strlen(from) + 1);
			memcpy(answers, "dport=..", 8);
		}
	}
	qsort(lines, count, sizeof *lines, ct_by_text);
	printf("%s\n", what);
	for (int i = 0; i < count; i++)
		printf("  %s\n", lines[i]);
}

static void router_flushes(void)
{
	inside(router);
	int fd = ct_socket(0);
	ct_start(IPCTNL_MSG_CT_DELETE, 0, AF_UNSPEC);
	ct_ask(fd, "flush");
	close(fd);
}

static void through(void)
{
	int there = open_at(server, SOCK_DGRAM, "0.0.0.0", 7000), name = open_at(server, SOCK_DGRAM, "0.0.0.0", 53);
	int spread = open_at(server, SOCK_DGRAM, "0.0.0.0", 5354);
	int web = open_at(server, SOCK_STREAM, "0.0.0.0", 80);
	int own = open_at(client, SOCK_DGRAM, "10.1.0.2", 4000), second = open_at(client, SOCK_DGRAM, "10.1.0.3", 4000);
	int low = open_at(client, SOCK_DGRAM, "10.1.0.2", 700), low2 = open_at(client, SOCK_DGRAM, "10.1.0.3", 700);
	ask_datagram("udp", own, there, "10.2.0.2", 7000, 1);
	ask_datagram("again", own, there, "10.2.0.2", 7000, 1);
	ask_datagram("to another port", own, name, "10.2.0.2", 53, 1);
	int ports = open_at(server, SOCK_DGRAM, "0.0.0.0", 7001), ports2 = open_at(server, SOCK_DGRAM, "0.0.0.0", 7002);
	ask_datagram("to a port of a range", own, ports, "10.2.0.2", 7001, 1);
	ask_datagram("to a port of a range by a flag", own, ports2, "10.2.0.2", 7002, 1);
	ask_datagram("sent on", own, name, "10.1.0.1", 5353, 0);
	show("connections", router);
	router_flushes();
	ask_datagram("low port", low, there, "10.2.0.2", 7000, 1);
	ask_datagram("the same port of another host", low2, there, "10.2.0.2", 7000, 0);
	ask_datagram("udp of another host", second, there, "10.2.0.2", 7000, 1);
	ask_datagram("the first with its port", own, there, "10.2.0.2", 7000, 0);
	router_flushes();
	connect_to("tcp", client, web, "10.1.0.2", 4100, "10.2.0.2", 80, 0);
	connect_to("tcp sent on", client, web, "10.1.0.2", 4101, "10.1.0.1", 8080, 0);
	connect_to("tcp that is reset", client, web, "10.1.0.2", 4102, "10.1.0.1", 8080, 1);
	connect_to("tcp to nobody", client, web, "10.1.0.2", 4103, "10.2.0.2", 81, 0);
	show("connections", router);
	ping("ping", client, "10.2.0.2");
	ping("ping the router", client, "10.1.0.1");
	ping("ping the router's other side", client, "10.2.0.1");
	refused("udp to nobody", client, "10.1.0.2", 4001, "10.2.0.2", 7999);
	refused("udp to nobody, sent on", client, "10.1.0.2", 4002, "10.2.0.9", 5353);
	close(name);
	refused("udp sent on to nobody", client, "10.1.0.2", 4003, "10.1.0.1", 5353);
	show("connections", router);
	/* Over a range of addresses: who asks from many ports may reach any of them. */
	int count = 0;
	for (int i = 0; i < 32; i++) {
		int one = open_at(client, SOCK_DGRAM, "10.1.0.2", 4200 + i);
		struct sockaddr_in a = address("10.1.0.1", 5354), from;
		socklen_t size = sizeof from;
		char data[64];
		MUST(sendto(one, "spread", 6, 0, (struct sockaddr *)&a, sizeof a));
		if (comes(spread, 500)) {
			ssize_t got = recvfrom(spread, data, sizeof data, 0, (struct sockaddr *)&from, &size);
			count += got == 6 && ntohs(from.sin_port) == 4200 + i;
		}
		close(one);
	}
	printf("%d of 32 reached one of three\n", count);
	/* The server knows a way to the client, and is not let in. */
	inside(server);
	route("10.1.0.0", "255.255.255.0", "10.2.0.1");
	ask_datagram("not asked", there, own, "10.1.0.2", 4000, 1);
	ping("ping from outside", server, "10.1.0.2");
	ask_datagram("asked before", own, there, "10.2.0.2", 7000, 0);
	close(there);
	close(web);
}

/* What this host sends itself goes to another port. */
static void redirected(void)
{
	inside(client);
	close(nft);
	nft = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
	n_begin();
	n_table();
	n_chain("own", "nat", NF_INET_LOCAL_OUT, -100, NF_ACCEPT);
	n_rule("own"), n_port(IPPROTO_UDP, 6000), n_redirect(6001), n_rule_end();
	n_rule("own"), n_port(IPPROTO_TCP, 6000), n_redirect(6001), n_rule_end();
	n_commit("redirect");
	list("listed");
	int there = open_at(client, SOCK_DGRAM, "0.0.0.0", 6001), own = open_at(client, SOCK_DGRAM, "127.0.0.1", 4000);
	int listener = open_at(client, SOCK_STREAM, "0.0.0.0", 6001);
	ask_datagram("redirected", own, there, "127.0.0.1", 6000, 1);
	ask_datagram("not redirected", own, there, "127.0.0.1", 6001, 0);
	connect_to("tcp redirected", client, listener, "127.0.0.1", 4104, "127.0.0.1", 6000, 0);
	refused("another port", client, "127.0.0.1", 4005, "127.0.0.1", 6002);
	show("connections", client);
	n_begin();
	n_change(NFT_MSG_DELTABLE, 0), n_text(NFTA_TABLE_NAME, "t"), n_done();
	n_commit("no more");
	close(own);
	refused("to nobody again", client, "127.0.0.1", 4006, "127.0.0.1", 6000);
}

/* Connections end when their time is up, and masqueraded ones with their device. */
static void ends(void)
{
	router_flushes();
	int there = open_at(server, SOCK_DGRAM, "0.0.0.0", 7000), own = open_at(client, SOCK_DGRAM, "10.1.0.2", 4010);
	inside(router);
	set("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", "6");
	ask_datagram("for six seconds", own, there, "10.2.0.2", 7000, 1);
	show("connections", router);
	usleep(6300000);
	show("six seconds later", router);
	set("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", "30");
	ask_datagram("for longer", own, there, "10.2.0.2", 7000, 1);
	inside(router);
	MUST(turn("outer", 0));
	settle_for(300);
	show("its device went down", router);
}

int main(void)
{
	for (size_t i = 0; i < sizeof sent; i++)
		sent[i] = (char)(i * 7 + i / 251);
	network();
	rules();
	through();
	redirected();
	ends();
	return 0;
}
