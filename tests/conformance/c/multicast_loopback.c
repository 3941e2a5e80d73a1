/* Covers: groups of IPv4 and IPv6 on loopback: joining, leaving, loop, sources included and excluded, filters, whom IP_MULTICAST_ALL hears. */
#include "tcp_case.h"

static const char *group4 = "239.1.2.3", *group6 = "ff02::1234";

static int receiver4(int port)
{
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), one = 1;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	MUST(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	MUST(bind(s, (struct sockaddr *)&a, sizeof a));
	return s;
}

static void send4(int s, const char *group, int port, const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, group, &a.sin_addr);
	ssize_t n = sendto(s, text, strlen(text), 0, (struct sockaddr *)&a, sizeof a);
	if (n < 0)
		printf("send to %s: %s\n", group, error_name(errno));
}

static struct ip_mreq mreq(const char *group)
{
	struct ip_mreq m = { 0 };
	inet_pton(AF_INET, group, &m.imr_multiaddr);
	m.imr_interface.s_addr = htonl(INADDR_LOOPBACK);
	return m;
}

static struct ip_mreq_source source(const char *group, const char *from)
{
	struct ip_mreq_source m = { 0 };
	inet_pton(AF_INET, group, &m.imr_multiaddr);
	inet_pton(AF_INET, from, &m.imr_sourceaddr);
	m.imr_interface.s_addr = htonl(INADDR_LOOPBACK);
	return m;
}

static int from4(const char *address)
{
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct in_addr lo = { htonl(INADDR_LOOPBACK) };
	inet_pton(AF_INET, address, &a.sin_addr);
	MUST(bind(s, (struct sockaddr *)&a, sizeof a));
	MUST(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
	return s;
}

static void show_filter(int s, const char *group)
{
	char room[200] = { 0 };
	struct ip_msfilter *f = (void *)room;
	struct ip_mreq m = mreq(group);
	f->imsf_multiaddr = m.imr_multiaddr;
	f->imsf_interface = m.imr_interface;
	f->imsf_numsrc = 4;
	socklen_t length = sizeof room;
	if (getsockopt(s, IPPROTO_IP, IP_MSFILTER, f, &length)) {
		printf("filter: %s\n", error_name(errno));
		return;
	}
	printf("filter: %d bytes, mode %d, %d sources:", (int)length, f->imsf_fmode, f->imsf_numsrc);
	for (unsigned i = 0; i < f->imsf_numsrc; i++)
		printf(" %s", inet_ntoa(f->imsf_slist[i]));
	putchar('\n');
}

#define JOIN(s, option, request) SHOW(setsockopt(s, IPPROTO_IP, option, &request, sizeof request))

static void version4(void)
{
	int r = receiver4(4200), other = receiver4(4200), s = from4("127.0.0.1"), t = from4("127.0.0.2"), zero = 0, one = 1;
	struct ip_mreq m = mreq(group4);
	puts("--- IPv4");
	send4(s, group4, 4200, "nobody joined");
	show_receive("r", r, 100, 0);
	JOIN(r, IP_ADD_MEMBERSHIP, m);
	JOIN(r, IP_ADD_MEMBERSHIP, m);
	send4(s, group4, 4200, "one joined");
	show_receive("r", r, 100, 0);
	show_receive("other, which hears all groups", other, 100, 0);
	SHOW(setsockopt(other, IPPROTO_IP, IP_MULTICAST_ALL, &zero, sizeof zero));
	send4(s, group4, 4200, "again");
	show_receive("r", r, 100, 0);
	show_receive("other, which hears its own groups", other, 100, 0);
	SHOW(setsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &zero, sizeof zero));
	send4(s, group4, 4200, "without loop");
	show_receive("r", r, 100, 0);
	SHOW(setsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof one));
	puts("--- sources");
	struct ip_mreq_source first = source(group4, "127.0.0.1"), second = source(group4, "127.0.0.2");
	JOIN(r, IP_BLOCK_SOURCE, first);
	JOIN(r, IP_BLOCK_SOURCE, first);
	show_filter(r, group4);
	send4(s, group4, 4200, "from a blocked one");
	send4(t, group4, 4200, "from another");
	show_receive("r", r, 100, 0);
	show_receive("r", r, 100, 0);
	JOIN(r, IP_ADD_SOURCE_MEMBERSHIP, second);
	JOIN(r, IP_UNBLOCK_SOURCE, second);
	JOIN(r, IP_UNBLOCK_SOURCE, first);
	show_filter(r, group4);
	JOIN(r, IP_ADD_SOURCE_MEMBERSHIP, second);
	show_filter(r, group4);
	send4(s, group4, 4200, "from one that is not included");
	send4(t, group4, 4200, "from one that is");
	show_receive("r", r, 100, 0);
	show_receive("r", r, 100, 0);
	JOIN(r, IP_DROP_SOURCE_MEMBERSHIP, first);
	JOIN(r, IP_DROP_SOURCE_MEMBERSHIP, second);
	show_filter(r, group4);
	JOIN(r, IP_DROP_MEMBERSHIP, m);
	puts("--- whole filters");
	char room[100] = { 0 };
	struct ip_msfilter *f = (void *)room;
	f->imsf_multiaddr = m.imr_multiaddr;
	f->imsf_interface = m.imr_interface;
	f->imsf_fmode = MCAST_INCLUDE;
	f->imsf_numsrc = 2;
	inet_pton(AF_INET, "127.0.0.2", &f->imsf_slist[0]);
	inet_pton(AF_INET, "127.0.0.3", &f->imsf_slist[1]);
	SHOW(setsockopt(r, IPPROTO_IP, IP_MSFILTER, f, 24));
	JOIN(r, IP_ADD_MEMBERSHIP, m);
	SHOW(setsockopt(r, IPPROTO_IP, IP_MSFILTER, f, 24));
	SHOW(setsockopt(r, IPPROTO_IP, IP_MSFILTER, f, 20));
	show_filter(r, group4);
	send4(s, group4, 4200, "from one that is not included");
	send4(t, group4, 4200, "from one that is");
	show_receive("r", r, 100, 0);
	f->imsf_numsrc = 1000;
	SHOW(setsockopt(r, IPPROTO_IP, IP_MSFILTER, f, sizeof room));
	f->imsf_fmode = 5;
	f->imsf_numsrc = 0;
	SHOW(setsockopt(r, IPPROTO_IP, IP_MSFILTER, f, 16));
	f->imsf_fmode = MCAST_INCLUDE;
	SHOW(setsockopt(r, IPPROTO_IP, IP_MSFILTER, f, 16));
	show_filter(r, group4);
	puts("--- by index and by the options of RFC 3678");
	struct ip_mreqn n = { m.imr_multiaddr, { 0 }, 1 };
	JOIN(r, IP_ADD_MEMBERSHIP, n);
	n.imr_ifindex = 77;
	JOIN(r, IP_ADD_MEMBERSHIP, n);
	JOIN(r, IP_DROP_MEMBERSHIP, n);
	struct group_req g = { 1, { 0 } };
	struct sockaddr_in *a = (void *)&g.gr_group;
	a->sin_family = AF_INET;
	a->sin_addr = m.imr_multiaddr;
	JOIN(r, MCAST_LEAVE_GROUP, g);
	JOIN(r, MCAST_JOIN_GROUP, g);
	JOIN(r, MCAST_JOIN_GROUP, g);
	struct group_source_req q = { 1, g.gr_group, g.gr_group };
	a = (void *)&q.gsr_source;
	inet_pton(AF_INET, "127.0.0.1", &a->sin_addr);
	JOIN(r, MCAST_BLOCK_SOURCE, q);
	send4(s, group4, 4200, "from a blocked one");
	show_receive("r", r, 100, 0);
	JOIN(r, MCAST_UNBLOCK_SOURCE, q);
	JOIN(r, MCAST_LEAVE_SOURCE_GROUP, q);
	JOIN(r, MCAST_JOIN_SOURCE_GROUP, q);
	send4(s, group4, 4200, "from an included one");
	show_receive("r", r, 100, 0);
	JOIN(r, MCAST_LEAVE_SOURCE_GROUP, q);
	a->sin_family = AF_INET6;
	JOIN(r, MCAST_JOIN_SOURCE_GROUP, q);
	puts("--- errors");
	struct ip_mreq unicast = mreq("10.1.2.3");
	JOIN(r, IP_ADD_MEMBERSHIP, unicast);
	JOIN(r, IP_DROP_MEMBERSHIP, unicast);
	unicast = mreq(group4);
	inet_pton(AF_INET, "10.9.9.9", &unicast.imr_interface);
	JOIN(r, IP_ADD_MEMBERSHIP, unicast);
	char name[20];
	for (int i = 0; i < 21; i++) {
		snprintf(name, sizeof name, "239.9.9.%d", i);
		m = mreq(name);
		if (setsockopt(r, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m))
			printf("group %d: %s\n", i, error_name(errno));
	}
	close(r);
	close(other);
	close(s);
	close(t);
}

static void version6(void)
{
	int r = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), s = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), index = 1, zero = 0;
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(4201) }, to = a;
	struct ipv6_mreq m = { .ipv6mr_interface = 1 };
	puts("--- IPv6");
	inet_pton(AF_INET6, group6, &m.ipv6mr_multiaddr);
	to.sin6_addr = m.ipv6mr_multiaddr;
	MUST(bind(r, (struct sockaddr *)&a, sizeof a));
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof m));
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof m));
	SHOW(sendto(s, "by the route", 12, 0, (struct sockaddr *)&to, sizeof to));
	show_receive("r", r, 100, 0);
	SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index));
	SHOW(sendto(s, "joined", 6, 0, (struct sockaddr *)&to, sizeof to));
	show_receive("r", r, 100, 0);
	SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &zero, sizeof zero));
	SHOW(sendto(s, "without loop", 12, 0, (struct sockaddr *)&to, sizeof to));
	show_receive("r", r, 100, 0);
	int one = 1;
	MUST(setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &one, sizeof one));
	struct group_source_req q = { 1, { 0 }, { 0 } };
	memcpy(&q.gsr_group, &to, sizeof to);
	memcpy(&q.gsr_source, &to, sizeof to);
	((struct sockaddr_in6 *)&q.gsr_source)->sin6_addr = in6addr_loopback;
	SHOW(setsockopt(r, IPPROTO_IPV6, MCAST_BLOCK_SOURCE, &q, sizeof q));
	SHOW(sendto(s, "blocked", 7, 0, (struct sockaddr *)&to, sizeof to));
	show_receive("r", r, 100, 0);
	char room[1000] = { 0 };
	struct group_filter *f = (void *)room;
	f->gf_interface = 1;
	f->gf_group = q.gsr_group;
	f->gf_numsrc = 2;
	socklen_t length = sizeof room;
	SHOW(getsockopt(r, IPPROTO_IPV6, MCAST_MSFILTER, f, &length));
	printf("%d bytes, mode %d, %d sources, loopback: %d\n", (int)length, f->gf_fmode, f->gf_numsrc,
	       !memcmp(&((struct sockaddr_in6 *)f->gf_slist)->sin6_addr, &in6addr_loopback, 16));
	SHOW(setsockopt(r, IPPROTO_IPV6, MCAST_UNBLOCK_SOURCE, &q, sizeof q));
	SHOW(setsockopt(r, IPPROTO_IPV6, MCAST_UNBLOCK_SOURCE, &q, sizeof q));
	SHOW(sendto(s, "heard again", 11, 0, (struct sockaddr *)&to, sizeof to));
	show_receive("r", r, 100, 0);
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &m, sizeof m));
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &m, sizeof m));
	m.ipv6mr_interface = 77;
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof m));
	close(r);
	close(s);
}

int main(void)
{
	loopback_up();
	version4();
	version6();
	return 0;
}
