/* Covers: notifications of NETLINK_ROUTE (RTNLGRP_LINK, addresses, routes, rules for receivers), dumps,
 * acknowledgments, sockets of netlink. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/if_addr.h>
#include "tcp_case.h"

static int events, requests, sequence;

static void show_message(struct nlmsghdr *h)
{
	printf("  type %d, flags %#x", h->nlmsg_type, h->nlmsg_flags);
	if (h->nlmsg_type == NLMSG_ERROR) {
		struct nlmsgerr *e = NLMSG_DATA(h);
		printf(": error %d, of type %d", e->error, e->msg.nlmsg_type);
	} else if (h->nlmsg_type == RTM_NEWLINK) {
		struct ifinfomsg *i = NLMSG_DATA(h);
		printf(": link %d, type %d, up %d, running %d, change %#x", i->ifi_index, i->ifi_type, !!(i->ifi_flags & IFF_UP), !!(i->ifi_flags & IFF_RUNNING),
		       i->ifi_change);
	} else if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR) {
		struct ifaddrmsg *a = NLMSG_DATA(h);
		struct rtattr *t = IFA_RTA(a);
		int left = IFA_PAYLOAD(h);
		char text[64];
		printf(": family %d, /%d, scope %d, if %d", a->ifa_family, a->ifa_prefixlen, a->ifa_scope, a->ifa_index);
		for (; RTA_OK(t, left); t = RTA_NEXT(t, left))
			if (t->rta_type == IFA_ADDRESS)
				printf(", %s", inet_ntop(a->ifa_family, RTA_DATA(t), text, sizeof text));
			else if (t->rta_type == IFA_LABEL)
				printf(", label %s", (char *)RTA_DATA(t));
	} else if (h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_DELROUTE) {
		struct rtmsg *r = NLMSG_DATA(h);
		struct rtattr *t = RTM_RTA(r);
		int left = RTM_PAYLOAD(h);
		char text[64];
		printf(": family %d, /%d, table %d, protocol %d, scope %d, kind %d", r->rtm_family, r->rtm_dst_len, r->rtm_table, r->rtm_protocol, r->rtm_scope,
		       r->rtm_type);
		for (; RTA_OK(t, left); t = RTA_NEXT(t, left))
			if (t->rta_type == RTA_DST || t->rta_type == RTA_GATEWAY || t->rta_type == RTA_PREFSRC)
				printf(", %d: %s", t->rta_type, inet_ntop(r->rtm_family, RTA_DATA(t), text, sizeof text));
	}
	putchar('\n');
}

static void show_all(const char *what, int s)
{
	static char data[65536];
	ssize_t n;
	printf("%s:\n", what);
	settle();
	while ((n = recv(s, data, sizeof data, MSG_DONTWAIT)) > 0)
		for (struct nlmsghdr *h = (void *)data; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			show_message(h);
	if (n < 0 && errno != EAGAIN)
		printf("  %s\n", error_name(errno));
}

static struct { struct nlmsghdr h; char data[500]; } request;

static void *begin(int type, int flags, size_t size)
{
	memset(&request, 0, sizeof request);
	request.h.nlmsg_len = NLMSG_LENGTH(size);
	request.h.nlmsg_type = type;
	request.h.nlmsg_flags = NLM_F_REQUEST | flags;
	request.h.nlmsg_seq = ++sequence;
	return NLMSG_DATA(&request.h);
}

static void attribute(int type, const void *data, size_t size)
{
	struct rtattr *t = (void *)((char *)&request + NLMSG_ALIGN(request.h.nlmsg_len));
	t->rta_type = type;
	t->rta_len = RTA_LENGTH(size);
	memcpy(RTA_DATA(t), data, size);
	request.h.nlmsg_len = NLMSG_ALIGN(request.h.nlmsg_len) + RTA_ALIGN(t->rta_len);
}

static void go(const char *what)
{
	MUST(send(requests, &request, request.h.nlmsg_len, 0));
	printf("--- %s\n", what);
	show_all("answer", requests);
	show_all("heard", events);
}

static void address(int type, int flags, const char *text, int length)
{
	struct ifaddrmsg *a = begin(type, flags | NLM_F_ACK, sizeof *a);
	struct in_addr in;
	a->ifa_family = AF_INET;
	a->ifa_prefixlen = length;
	a->ifa_index = 1;
	inet_pton(AF_INET, text, &in);
	attribute(IFA_LOCAL, &in, sizeof in);
	attribute(IFA_ADDRESS, &in, sizeof in);
}

static void route(int type, int flags, const char *text, int length)
{
	struct rtmsg *r = begin(type, flags | NLM_F_ACK, sizeof *r);
	struct in_addr in;
	int index = 1;
	r->rtm_family = AF_INET;
	r->rtm_dst_len = length;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_STATIC;
	r->rtm_scope = RT_SCOPE_LINK;
	r->rtm_type = RTN_UNICAST;
	inet_pton(AF_INET, text, &in);
	attribute(RTA_DST, &in, sizeof in);
	attribute(RTA_OIF, &index, sizeof index);
}

int main(void)
{
	loopback_up();
	struct sockaddr_nl name = { .nl_family = AF_NETLINK };
	socklen_t length = sizeof name;
	requests = (int)MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	events = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	name.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE;
	SHOW(bind(events, (struct sockaddr *)&name, sizeof name));
	SHOW(getsockname(events, (struct sockaddr *)&name, &length));
	printf("%d bytes, groups %#x, the process's number: %d\n", (int)length, name.nl_groups, name.nl_pid == (unsigned)getpid());
	int group = RTNLGRP_IPV6_IFADDR;
	SHOW(setsockopt(events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
	unsigned groups[4] = { 0 };
	length = sizeof groups;
	SHOW(getsockopt(events, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &length));
	printf("%d bytes: %#x %#x\n", (int)length, groups[0], groups[1]);
	show_all("heard so far", events);
	address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "10.3.0.1", 24);
	go("a new address");
	go("the same again");
	route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.4.0.0", 16);
	go("a new route");
	go("the same again");
	route(RTM_DELROUTE, 0, "10.4.0.0", 16);
	go("the route is deleted");
	go("the same again");
	address(RTM_DELADDR, 0, "10.3.0.1", 24);
	go("the address is deleted");
	go("the same again");
	struct ifinfomsg *i = begin(RTM_NEWLINK, NLM_F_ACK, sizeof *i);
	i->ifi_index = 1;
	i->ifi_change = IFF_UP;
	MUST(send(requests, &request, request.h.nlmsg_len, 0));
	show_all("answer", requests);
	puts("--- the link goes down and up");
	int count = 0, up = -1;
	static char data[65536];
	settle();
	for (ssize_t n; (n = recv(events, data, sizeof data, MSG_DONTWAIT)) > 0;)
		for (struct nlmsghdr *h = (void *)data; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			if (h->nlmsg_type == RTM_NEWLINK) {
				count++;
				up = !!(((struct ifinfomsg *)NLMSG_DATA(h))->ifi_flags & IFF_UP);
			}
	printf("heard of links: %d, the last is up: %d\n", count > 0, up);
	i = begin(RTM_NEWLINK, NLM_F_ACK, sizeof *i);
	i->ifi_index = 1;
	i->ifi_flags = i->ifi_change = IFF_UP;
	MUST(send(requests, &request, request.h.nlmsg_len, 0));
	show_all("answer", requests);
	puts("--- without the right");
	IN_CHILD({
		MUST(setuid(1000));
		address(RTM_NEWADDR, NLM_F_CREATE, "10.3.0.2", 24);
		int s = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
		SHOW(send(s, &request, request.h.nlmsg_len, 0));
		show_all("answer", s);
		struct rtgenmsg *g = begin(RTM_GETLINK, NLM_F_DUMP, sizeof *g);
		g->rtgen_family = AF_UNSPEC;
		SHOW(send(s, &request, request.h.nlmsg_len, 0) > 0);
		show_all("a dump", s);
	});
	puts("--- requests that are not");
	begin(RTM_NEWROUTE, NLM_F_ACK, 2);
	go("too short");
	begin(999, NLM_F_ACK, 4);
	go("an unknown type");
	begin(RTM_GETLINK, NLM_F_ACK, sizeof *i);
	((struct ifinfomsg *)NLMSG_DATA(&request.h))->ifi_index = 77;
	go("an unknown link");
	address(RTM_NEWADDR, NLM_F_CREATE, "10.3.0.2", 33);
	go("a prefix that is too long");
	begin(NLMSG_NOOP, NLM_F_ACK, 0);
	go("nothing");
	request.h.nlmsg_len = 4;
	SHOW(send(requests, &request, 16, 0));
	show_all("answer", requests);
	SHOW(send(requests, &request, 4, 0));
	SHOW(send(requests, &request, 0, 0));
	SHOW(send(requests, &request, 16, MSG_OOB));
	puts("--- between sockets");
	struct sockaddr_nl first = { .nl_family = AF_NETLINK, .nl_pid = 70001 }, second = { .nl_family = AF_NETLINK, .nl_pid = 70002 };
	int a = (int)MUST(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE)), b = (int)MUST(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE));
	SHOW(bind(a, (struct sockaddr *)&first, sizeof first));
	SHOW(bind(b, (struct sockaddr *)&first, sizeof first));
	SHOW(bind(b, (struct sockaddr *)&second, sizeof second));
	SHOW(bind(b, (struct sockaddr *)&first, sizeof first));
	SHOW(sendto(a, "hello", 5, 0, (struct sockaddr *)&second, sizeof second));
	length = sizeof name;
	SHOW(recvfrom(b, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&name, &length));
	printf("from %d\n", name.nl_pid);
	second.nl_pid = 70003;
	SHOW(sendto(a, "hello", 5, 0, (struct sockaddr *)&second, sizeof second));
	SHOW(connect(a, (struct sockaddr *)&second, sizeof second));
	SHOW(send(a, "hello", 5, 0));
	return 0;
}
