/* Covers: NETLINK_ROUTE: binding, dumps and requests for links, addresses, routes, rules and neighbours, acknowledgements, errors, notifications, bad messages; getifaddrs, if_nameindex. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include "socket_case.h"

static struct { struct nlmsghdr h; char data[1000]; } message;
static unsigned sequence = 100;

static void start(int type, int flags, const void *fixed, size_t size)
{
	memset(&message, 0, sizeof message);
	message.h.nlmsg_len = NLMSG_LENGTH(size);
	message.h.nlmsg_type = type, message.h.nlmsg_flags = flags | NLM_F_REQUEST, message.h.nlmsg_seq = ++sequence;
	memcpy(message.data, fixed, size);
}

static void add(int type, const void *data, size_t size)
{
	struct rtattr *a = (struct rtattr *)((char *)&message + NLMSG_ALIGN(message.h.nlmsg_len));
	a->rta_type = type, a->rta_len = RTA_LENGTH(size);
	memcpy(RTA_DATA(a), data, size);
	message.h.nlmsg_len = NLMSG_ALIGN(message.h.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static const char *text(int family, const void *address)
{
	static char buffer[4][INET6_ADDRSTRLEN];
	static int next;
	return inet_ntop(family, address, buffer[next = (next + 1) & 3], INET6_ADDRSTRLEN);
}

static void show_message(struct nlmsghdr *h)
{
	char *data = NLMSG_DATA(h);
	struct rtattr *a = 0;
	int left = 0;
	if (h->nlmsg_type == NLMSG_DONE) {
		printf("  done %d\n", *(int *)data);
		return;
	}
	if (h->nlmsg_type == NLMSG_ERROR) {
		struct nlmsgerr *e = (struct nlmsgerr *)data;
		printf("  answer %s to %d, flags %#x, length %u\n", e->error ? error_name(-e->error) : "ok", e->msg.nlmsg_type, h->nlmsg_flags, h->nlmsg_len);
		return;
	}
	printf("  type %d flags %#x:", h->nlmsg_type, h->nlmsg_flags);
	int family = (unsigned char)data[0];
	if (h->nlmsg_type == RTM_NEWLINK) {
		struct ifinfomsg *i = (struct ifinfomsg *)data;
		printf(" link %d kind %d flags %#x", i->ifi_index, i->ifi_type, i->ifi_flags);
		a = IFLA_RTA(i), left = (int)IFLA_PAYLOAD(h);
	} else if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR) {
		struct ifaddrmsg *i = (struct ifaddrmsg *)data;
		printf(" address family %d /%d flags %#x scope %d on %d", i->ifa_family, i->ifa_prefixlen, i->ifa_flags, i->ifa_scope, i->ifa_index);
		a = IFA_RTA(i), left = (int)IFA_PAYLOAD(h);
	} else if (h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_DELROUTE) {
		struct rtmsg *r = (struct rtmsg *)data;
		printf(" route family %d /%d table %d protocol %d scope %d type %d", r->rtm_family, r->rtm_dst_len, r->rtm_table, r->rtm_protocol,
		       r->rtm_scope, r->rtm_type);
		a = RTM_RTA(r), left = (int)RTM_PAYLOAD(h);
	}
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		char *value = RTA_DATA(a);
		if (h->nlmsg_type == RTM_NEWLINK) {
			if (a->rta_type == IFLA_IFNAME)
				printf(" name %s", value);
			if (a->rta_type == IFLA_MTU)
				printf(" mtu %u", *(unsigned *)value);
			if (a->rta_type == IFLA_ADDRESS)
				printf(" address of %d", (int)RTA_PAYLOAD(a));
		} else if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR) {
			if (a->rta_type == IFA_ADDRESS)
				printf(" address %s", text(family, value));
			if (a->rta_type == IFA_LOCAL)
				printf(" local %s", text(family, value));
			if (a->rta_type == IFA_BROADCAST)
				printf(" broadcast %s", text(family, value));
			if (a->rta_type == IFA_LABEL)
				printf(" label %s", value);
			if (a->rta_type == IFA_CACHEINFO)
				printf(" life %u %u", ((struct ifa_cacheinfo *)value)->ifa_prefered, ((struct ifa_cacheinfo *)value)->ifa_valid);
		} else {
			if (a->rta_type == RTA_DST)
				printf(" to %s", text(family, value));
			if (a->rta_type == RTA_GATEWAY)
				printf(" via %s", text(family, value));
			if (a->rta_type == RTA_PREFSRC)
				printf(" source %s", text(family, value));
			if (a->rta_type == RTA_OIF)
				printf(" on %d", *(int *)value);
			if (a->rta_type == RTA_PRIORITY)
				printf(" metric %d", *(int *)value);
			if (a->rta_type == RTA_TABLE)
				printf(" table %d", *(int *)value);
		}
	}
	putchar('\n');
}

/* Print what comes, until nothing more does. */
static void receive(const char *what, int fd, int count_only)
{
	static char buffer[32768];
	int count = 0, ended = 0;
	printf("%s\n", what);
	for (;;) {
		struct sockaddr_nl from;
		socklen_t length = sizeof from;
		ssize_t n = recvfrom(fd, buffer, sizeof buffer, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
		if (n < 0) {
			if (errno != EAGAIN)
				printf("  %s\n", error_name(errno));
			break;
		}
		if (length != sizeof from || from.nl_family != AF_NETLINK || from.nl_pid != 0)
			printf("  from port %d, %d bytes\n", from.nl_pid, (int)length);
		for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				ended = 1;
			count++;
			if (!count_only || h->nlmsg_type == NLMSG_ERROR)
				show_message(h);
		}
	}
	if (count_only)
		printf("  %s, %s\n", count ? "messages" : "nothing", ended ? "ended" : "no end");
}

static void request(const char *what, int fd)
{
	ssize_t n = send(fd, &message, message.h.nlmsg_len, 0);
	if (n != (ssize_t)message.h.nlmsg_len)
		printf("%s: sent %zd: %s\n", what, n, error_name(errno));
	receive(what, fd, 0);
}

static void sockets(void)
{
	int a = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), b = (int)MUST(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct sockaddr_nl n = { AF_NETLINK }, m;
	socklen_t length = sizeof m;
	char buffer[100];
	show_poll("fresh", a);
	MUST(getsockname(a, (struct sockaddr *)&m, &length));
	printf("%d bytes, family %d, port %d, groups %#x\n", (int)length, m.nl_family, m.nl_pid, m.nl_groups);
	SHOW(bind(a, (struct sockaddr *)&n, 11));
	SHOW(bind(a, (struct sockaddr *)&n, sizeof n));
	MUST(getsockname(a, (struct sockaddr *)&m, &length));
	printf("my own port: %d, groups %#x\n", m.nl_pid == (unsigned)getpid(), m.nl_groups);
	MUST(getpeername(a, (struct sockaddr *)&m, &length));
	printf("peer: %d, groups %#x\n", m.nl_pid, m.nl_groups);
	SHOW(bind(b, (struct sockaddr *)&n, sizeof n));
	MUST(getsockname(b, (struct sockaddr *)&m, &length));
	printf("another port: %d\n", m.nl_pid != (unsigned)getpid() && m.nl_pid != 0);
	n.nl_pid = getpid();
	SHOW(bind(b, (struct sockaddr *)&n, sizeof n));
	SHOW(bind(a, (struct sockaddr *)&n, sizeof n));
	int c = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	SHOW(bind(c, (struct sockaddr *)&n, sizeof n));
	n.nl_pid = 123456789, n.nl_groups = 3;
	SHOW(bind(c, (struct sockaddr *)&n, sizeof n));
	MUST(getsockname(c, (struct sockaddr *)&m, &length));
	printf("port %d, groups %#x\n", m.nl_pid, m.nl_groups);
	SHOW(listen(c, 1));
	SHOW(accept(c, 0, 0));
	SHOW(shutdown(c, SHUT_WR));
	n.nl_family = AF_INET;
	SHOW(connect(c, (struct sockaddr *)&n, sizeof n));
	n.nl_family = AF_NETLINK, n.nl_groups = 0, n.nl_pid = getpid();
	SHOW(connect(b, (struct sockaddr *)&n, sizeof n));
	SHOW(send(b, "to another program", 18, 0));
	length = sizeof m;
	SHOW(recvfrom(a, buffer, 5, MSG_TRUNC | MSG_DONTWAIT, (struct sockaddr *)&m, &length));
	n.nl_pid = 77777;
	SHOW(sendto(b, "nobody", 6, 0, (struct sockaddr *)&n, sizeof n));
	SHOW(send(a, "", 0, 0));
	SHOW(send(a, "x", 1, MSG_OOB));
	SHOW(send(a, "short", 5, 0));
	SHOW(recv(a, buffer, 10, MSG_DONTWAIT));
	SHOW(recv(a, buffer, 10, MSG_OOB));
	int group = 5, zero = 0, huge = 100000;
	SHOW(setsockopt(a, 270, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
	SHOW(setsockopt(a, 270, NETLINK_ADD_MEMBERSHIP, &zero, sizeof zero));
	SHOW(setsockopt(a, 270, NETLINK_ADD_MEMBERSHIP, &huge, sizeof huge));
	SHOW(setsockopt(a, 270, NETLINK_ADD_MEMBERSHIP, &group, 3));
	MUST(getsockname(a, (struct sockaddr *)&m, &length));
	printf("groups %#x\n", m.nl_groups);
	SHOW(setsockopt(a, 270, NETLINK_DROP_MEMBERSHIP, &group, sizeof group));
	SHOW(setsockopt(a, 270, 99, &group, sizeof group));
	SHOW(setsockopt(a, 271, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
	SHOW(ioctl(a, FIONREAD, &group));
	close(a), close(b), close(c);
	SHOW(socket(AF_NETLINK, SOCK_STREAM, 0));
	SHOW(socket(AF_NETLINK, SOCK_RAW, 32));
	SHOW(socket(AF_NETLINK, SOCK_RAW, -1));
	SHOW(socket(AF_NETLINK, SOCK_RAW, 31));
	a = (int)SHOW(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT) >= 0);
}

static void requests(int fd)
{
	struct rtgenmsg any = { AF_UNSPEC };
	start(RTM_GETLINK, NLM_F_DUMP, &any, sizeof any);
	request("dump of links", fd);
	start(RTM_GETADDR, NLM_F_DUMP, &any, sizeof any);
	request("dump of addresses", fd);
	any.rtgen_family = AF_INET;
	start(RTM_GETADDR, NLM_F_DUMP, &any, sizeof any);
	request("dump of IPv4 addresses", fd);
	start(RTM_GETROUTE, NLM_F_DUMP, &any, sizeof any);
	request("dump of IPv4 routes", fd);
	start(RTM_GETNEIGH, NLM_F_DUMP, &any, sizeof any);
	send(fd, &message, message.h.nlmsg_len, 0);
	receive("dump of neighbours", fd, 1);
	start(RTM_GETRULE, NLM_F_DUMP, &any, sizeof any);
	send(fd, &message, message.h.nlmsg_len, 0);
	receive("dump of rules", fd, 1);

	struct ifinfomsg link = { 0 };
	start(RTM_GETLINK, 0, &link, sizeof link);
	request("link without a name", fd);
	link.ifi_index = 1;
	start(RTM_GETLINK, 0, &link, sizeof link);
	request("link 1", fd);
	link.ifi_index = 99;
	start(RTM_GETLINK, NLM_F_ACK, &link, sizeof link);
	request("link 99", fd);
	link.ifi_index = 0;
	start(RTM_GETLINK, NLM_F_ACK, &link, sizeof link);
	add(IFLA_IFNAME, "lo", 3);
	request("link lo", fd);
	start(RTM_GETLINK, 0, &link, 4);
	request("short", fd);
	start(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE, &link, sizeof link);
	add(IFLA_LINKINFO, "\10\0\1\0nope", 8);
	request("a link of a kind that there is not", fd);
	link.ifi_index = 1, link.ifi_change = IFF_UP;
	start(RTM_SETLINK, NLM_F_ACK, &link, sizeof link);
	request("down", fd);
	start(RTM_GETROUTE, NLM_F_DUMP, &any, sizeof any);
	request("routes while it is down", fd);
	link.ifi_flags = IFF_UP;
	start(RTM_NEWLINK, NLM_F_ACK, &link, sizeof link);
	request("up", fd);

	struct ifaddrmsg address = { AF_INET, 24, 0, 0, 1 };
	unsigned char local[4] = { 10, 1, 2, 3 }, broadcast[4] = { 10, 1, 2, 255 }, other[4] = { 10, 1, 2, 9 };
	start(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &address, sizeof address);
	request("address without address", fd);
	add(IFA_LOCAL, local, 4), add(IFA_ADDRESS, local, 4), add(IFA_BROADCAST, broadcast, 4);
	request("address", fd);
	request("again", fd);
	start(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &address, sizeof address);
	add(IFA_LOCAL, other, 4), add(IFA_ADDRESS, other, 4), add(IFA_LABEL, "lo:1", 5);
	request("a second one", fd);
	start(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &address, sizeof address);
	add(IFA_LOCAL, local, 3);
	request("three bytes", fd);
	address.ifa_index = 77;
	start(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &address, sizeof address);
	add(IFA_LOCAL, local, 4);
	request("no such device", fd);
	address.ifa_index = 1, address.ifa_prefixlen = 33;
	start(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &address, sizeof address);
	add(IFA_LOCAL, local, 4);
	request("prefix of 33", fd);
	start(RTM_GETADDR, NLM_F_DUMP, &any, sizeof any);
	request("addresses now", fd);
	start(RTM_GETROUTE, NLM_F_DUMP, &any, sizeof any);
	request("routes now", fd);

	struct rtmsg route = { AF_INET, 16, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_LINK, RTN_UNICAST, 0 };
	unsigned char net[4] = { 10, 5, 0, 0 }, host[4] = { 10, 5, 6, 7 };
	int lo = 1, metric = 5;
	start(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &route, sizeof route);
	add(RTA_DST, net, 4);
	request("route without device", fd);
	add(RTA_OIF, &lo, 4);
	request("route", fd);
	request("again", fd);
	start(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &route, sizeof route);
	add(RTA_DST, net, 4), add(RTA_OIF, &lo, 4), add(RTA_PRIORITY, &metric, 4);
	request("with a metric", fd);
	start(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, &route, sizeof route);
	add(RTA_DST, host, 4), add(RTA_OIF, &lo, 4);
	request("bits after the prefix", fd);
	route.rtm_dst_len = 0;
	start(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, &route, sizeof route);
	unsigned char far[4] = { 192, 0, 2, 1 };
	add(RTA_GATEWAY, far, 4);
	request("gateway that is nowhere", fd);
	start(RTM_GETROUTE, NLM_F_DUMP, &any, sizeof any);
	request("routes now", fd);
	route.rtm_dst_len = 32;
	struct rtmsg ask = { AF_INET, 32 };
	start(RTM_GETROUTE, 0, &ask, sizeof ask);
	add(RTA_DST, host, 4);
	request("route to a host", fd);
	start(RTM_GETROUTE, 0, &ask, sizeof ask);
	add(RTA_DST, local, 4);
	request("route to myself", fd);
	start(RTM_GETROUTE, 0, &ask, sizeof ask);
	add(RTA_DST, far, 4);
	request("route to nowhere", fd);
	route.rtm_dst_len = 16, route.rtm_scope = RT_SCOPE_NOWHERE, route.rtm_protocol = 0;
	start(RTM_DELROUTE, NLM_F_ACK, &route, sizeof route);
	add(RTA_DST, net, 4);
	request("delete", fd);
	request("delete the other", fd);
	request("delete what there is not", fd);
	address.ifa_prefixlen = 24;
	start(RTM_DELADDR, NLM_F_ACK, &address, sizeof address);
	add(IFA_LOCAL, local, 4);
	request("delete an address, and its second", fd);
	request("again", fd);
	start(RTM_GETADDR, NLM_F_DUMP, &any, sizeof any);
	request("addresses now", fd);
	start(RTM_GETROUTE, NLM_F_DUMP, &any, sizeof any);
	request("routes now", fd);

	puts("--- bad messages");
	start(200, NLM_F_ACK, &any, sizeof any);
	request("unknown type", fd);
	start(202, NLM_F_DUMP, &any, sizeof any);
	request("unknown dump", fd);
	start(3, NLM_F_ACK, &any, sizeof any);
	request("control message", fd);
	start(RTM_GETLINK, NLM_F_ACK, &any, 0);
	request("without payload", fd);
	start(RTM_GETADDR, NLM_F_ACK, &any, sizeof any);
	message.h.nlmsg_flags = NLM_F_ACK;
	request("not a request", fd);
	start(RTM_GETADDR, NLM_F_ACK, &any, sizeof any);
	message.h.nlmsg_len = 15;
	printf("%zd\n", send(fd, &message, 20, 0));
	receive("length of 15", fd, 0);
	message.h.nlmsg_len = 21;
	printf("%zd\n", send(fd, &message, 20, 0));
	receive("length of 21 in 20", fd, 0);
	IN_CHILD(
		MUST(setuid(1000));
		start(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, &route, sizeof route);
		int mine = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
		request("without privileges", mine);
		struct sockaddr_nl n = { AF_NETLINK, 0, 5, 0 };
		SHOW(sendto(mine, "x", 1, 0, (struct sockaddr *)&n, sizeof n)));
}

static void notifications(int fd)
{
	int watcher = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	struct sockaddr_nl n = { AF_NETLINK, 0, 0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE };
	MUST(bind(watcher, (struct sockaddr *)&n, sizeof n));
	struct ifaddrmsg address = { AF_INET, 32, 0, 0, 1 };
	unsigned char local[4] = { 10, 9, 8, 7 };
	puts("--- notifications");
	start(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &address, sizeof address);
	add(IFA_LOCAL, local, 4);
	request("add", fd);
	sleep_ms(20);
	show_poll("watcher", watcher);
	receive("it hears", watcher, 1);
	start(RTM_DELADDR, NLM_F_ACK, &address, sizeof address);
	add(IFA_LOCAL, local, 4);
	request("delete", fd);
	sleep_ms(20);
	receive("it hears", watcher, 1);
	close(watcher);
}

static void library(void)
{
	puts("--- the library");
	struct ifaddrs *list, *i;
	MUST(getifaddrs(&list));
	for (i = list; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo"))
			continue;
		printf("%s %#x", i->ifa_name, i->ifa_flags);
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			printf(" %s", text(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr));
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
			printf(" %s", text(AF_INET6, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr));
		putchar('\n');
	}
	freeifaddrs(list);
	struct if_nameindex *names = if_nameindex();
	if (names)
		printf("%d %s\n", names[0].if_index, names[0].if_name);
	printf("%u %u\n", if_nametoindex("lo"), if_nametoindex("nope"));
	char name[IF_NAMESIZE];
	printf("%s\n", if_indextoname(1, name) ? name : "none");
}

int main(void)
{
	int fd = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	struct ifinfomsg link = { .ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	start(RTM_NEWLINK, NLM_F_ACK, &link, sizeof link);
	request("the loopback interface goes up", fd);
	requests(fd);
	close(fd);
	sockets();
	fd = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	notifications(fd);
	library();
	return 0;
}
