/*
 * Covers: RTM_DELLINK: what groups of NETLINK_ROUTE hear when an interface is removed or moved, and in which order: its addresses, routes and
 * neighbours, the ports of a bridge, both ends of a pair, what is on top; whether whoever hears of it may take the name at once.
 */
#include "netns_case.h"
#include <linux/neighbour.h>
#include <sys/prctl.h>

static int events;

static int hearer(void)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE };
	int fd = (int)MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	for (unsigned i = 0; i < sizeof groups / sizeof *groups; i++)
		MUST(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(int)));
	struct sockaddr_nl name = { .nl_family = AF_NETLINK };
	socklen_t size = sizeof name;
	MUST(getsockname(fd, (struct sockaddr *)&name, &size));
	name.nl_pid = 0;
	MUST(bind(fd, (struct sockaddr *)&name, sizeof name));
	return fd;
}

static void show_address(struct rtattr *a)
{
	char text[64];
	if (RTA_PAYLOAD(a) == 4 || RTA_PAYLOAD(a) == 16)
		printf(" %d: %s", a->rta_type, inet_ntop(RTA_PAYLOAD(a) == 4 ? AF_INET : AF_INET6, RTA_DATA(a), text, sizeof text));
}

/* Without what is random. */
static void show_link_address(const unsigned char *a)
{
	if (a[1] || a[2] || a[3] || a[4])
		printf(" at a random one");
	else
		printf(" at %02x:%02x", a[0], a[5]);
}

static void show_one(struct nlmsghdr *h)
{
	if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK) {
		struct ifinfomsg *i = NLMSG_DATA(h);
		int left = IFLA_PAYLOAD(h);
		printf("  %s family %d link %d flags %#x change %#x", h->nlmsg_type == RTM_NEWLINK ? "new" : "gone", i->ifi_family, i->ifi_index, i->ifi_flags,
		       i->ifi_change);
		for (struct rtattr *a = IFLA_RTA(i); RTA_OK(a, left); a = RTA_NEXT(a, left))
			if (a->rta_type == IFLA_IFNAME)
				printf(" %s", (char *)RTA_DATA(a));
			else if (a->rta_type == IFLA_MASTER)
				printf(" master %d", *(int *)RTA_DATA(a));
			else if (a->rta_type == IFLA_LINK)
				printf(" @%d", *(int *)RTA_DATA(a));
	} else if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR) {
		struct ifaddrmsg *i = NLMSG_DATA(h);
		int left = IFA_PAYLOAD(h);
		printf("  %s address, family %d /%d link %d", h->nlmsg_type == RTM_NEWADDR ? "new" : "gone", i->ifa_family, i->ifa_prefixlen, i->ifa_index);
		for (struct rtattr *a = IFA_RTA(i); RTA_OK(a, left); a = RTA_NEXT(a, left))
			if (a->rta_type == IFA_ADDRESS)
				show_address(a);
	} else if (h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_DELROUTE) {
		struct rtmsg *r = NLMSG_DATA(h);
		int left = RTM_PAYLOAD(h);
		printf("  %s route, family %d /%d table %d protocol %d kind %d", h->nlmsg_type == RTM_NEWROUTE ? "new" : "gone", r->rtm_family, r->rtm_dst_len,
		       r->rtm_table, r->rtm_protocol, r->rtm_type);
		for (struct rtattr *a = RTM_RTA(r); RTA_OK(a, left); a = RTA_NEXT(a, left))
			if (a->rta_type == RTA_DST || a->rta_type == RTA_GATEWAY)
				show_address(a);
			else if (a->rta_type == RTA_OIF)
				printf(" by %d", *(int *)RTA_DATA(a));
	} else {
		struct ndmsg *n = NLMSG_DATA(h);
		if (n->ndm_state == NUD_NOARP)
			return; /* a group: there is one once a router has been asked for */
		int left = h->nlmsg_len - NLMSG_LENGTH(sizeof *n);
		printf("  %s neighbour, family %d link %d state %#x flags %#x", h->nlmsg_type == RTM_NEWNEIGH ? "new" : "gone", n->ndm_family, n->ndm_ifindex,
		       n->ndm_state, n->ndm_flags);
		for (struct rtattr *a = (struct rtattr *)(n + 1); RTA_OK(a, left); a = RTA_NEXT(a, left))
			if (a->rta_type == NDA_DST)
				show_address(a);
			else if (a->rta_type == NDA_LLADDR && RTA_PAYLOAD(a) == 6)
				show_link_address(RTA_DATA(a));
			else if (a->rta_type == NDA_VLAN)
				printf(" vlan %d", *(unsigned short *)RTA_DATA(a));
	}
	putchar('\n');
}

static void heard(const char *what)
{
	static char data[65536];
	ssize_t n;
	settle_for(20);
	printf("%s:\n", what);
	while ((n = recv(events, data, sizeof data, MSG_DONTWAIT)) > 0)
		for (struct nlmsghdr *h = (struct nlmsghdr *)data; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n))
			show_one(h);
	if (n < 0 && errno != EAGAIN)
		printf("  %s\n", error_name(errno));
}

static int make(const char *name, const char *kind, int last)
{
	unsigned char address[6] = { 2, 0, 0, 0, 0, (unsigned char)last };
	new_link(NLM_F_CREATE | NLM_F_EXCL, name, kind);
	add(IFLA_ADDRESS, address, sizeof address);
	return ask();
}

static int address6(const char *name, const char *text, int prefix)
{
	struct ifaddrmsg header = { .ifa_family = AF_INET6, .ifa_prefixlen = prefix, .ifa_flags = IFA_F_NODAD, .ifa_index = if_nametoindex(name) };
	struct in6_addr where;
	inet_pton(AF_INET6, text, &where);
	start(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
	add(IFA_LOCAL, &where, sizeof where);
	return ask();
}

static int route(int family, const char *text, int prefix, const char *by)
{
	struct rtmsg header = { .rtm_family = family, .rtm_dst_len = prefix, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_LINK, .rtm_type = RTN_UNICAST };
	unsigned char where[16];
	inet_pton(family, text, where);
	start(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
	add(RTA_DST, where, family == AF_INET ? 4 : 16);
	add_word(RTA_OIF, if_nametoindex(by));
	return ask();
}

static int neighbour(int family, const char *text, const char *by)
{
	struct ndmsg header = { .ndm_family = family, .ndm_ifindex = if_nametoindex(by), .ndm_state = NUD_PERMANENT };
	unsigned char where[16], address[6] = { 2, 0, 0, 0, 0, 99 };
	inet_pton(family, text, where);
	start(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
	add(NDA_DST, where, family == AF_INET ? 4 : 16);
	add(NDA_LLADDR, address, sizeof address);
	return ask();
}

/* An interface with an address, a route and a neighbour of both families. */
static void furnish(const char *name)
{
	SHOW(turn(name, 1));
	SHOW(give(name, "10.5.0.1", 24));
	SHOW(give(name, "10.5.0.2", 24));
	SHOW(give(name, "10.6.0.1", 16));
	SHOW(route(AF_INET, "10.7.0.0", 16, name));
	SHOW(neighbour(AF_INET, "10.5.0.9", name));
	heard(name);
}

static void furnish6(const char *name)
{
	SHOW(turn(name, 1));
	heard(name);
	SHOW(address6(name, "fd05::1", 64));
	heard(name);
	SHOW(route(AF_INET6, "fd07::", 32, name));
	SHOW(neighbour(AF_INET6, "fd05::9", name));
	heard(name);
}

static void put_setting(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static int put_under(const char *name, const char *bridge)
{
	link_header(RTM_NEWLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	add_word(IFLA_MASTER, bridge ? if_nametoindex(bridge) : 0);
	return ask();
}

/* A bridge with the addresses of its ports, which are up. */
static void ports_at_work(void)
{
	new_link(NLM_F_CREATE | NLM_F_EXCL, "mine", "bridge");
	MUST(ask());
	heard("a bridge");
	SHOW(turn("mine", 1));
	settle_for(1200);
	heard("up");
	MUST(make("one", "dummy", 0x21));
	MUST(make("two", "dummy", 0x20));
	SHOW(put_under("one", "mine"));
	settle_for(1200);
	heard("a port that is down");
	SHOW(turn("one", 1));
	settle_for(1200);
	heard("it goes up");
	SHOW(turn("two", 1));
	SHOW(put_under("two", "mine"));
	settle_for(1200);
	heard("another, which is up");
	SHOW(turn("mine", 0));
	settle_for(1200);
	heard("the bridge goes down");
	SHOW(turn("mine", 1));
	settle_for(1200);
	heard("and up");
	SHOW(turn("two", 0));
	settle_for(1200);
	heard("a port goes down");
	SHOW(put_under("two", NULL));
	settle_for(1200);
	heard("and leaves");
	SHOW(delete_link("one"));
	settle_for(1200);
	heard("the last is removed");
	SHOW(new_pair("near", "far", -1));
	SHOW(put_under("near", "mine"));
	settle_for(1200);
	heard("an end of a pair");
	SHOW(turn("near", 1));
	settle_for(1200);
	heard("it goes up");
	SHOW(turn("far", 1));
	settle_for(1200);
	heard("the other, too");
	SHOW(turn("far", 0));
	settle_for(1200);
	heard("and down");
	SHOW(delete_link("mine"));
	settle_for(1200);
	heard("the bridge is removed");
	SHOW(delete_link("far"));
	heard("the pair is removed");
	SHOW(delete_link("two"));
	/* All in one request. */
	new_link(NLM_F_CREATE | NLM_F_EXCL, "mine", "bridge");
	((struct ifinfomsg *)message.data)->ifi_flags = ((struct ifinfomsg *)message.data)->ifi_change = IFF_UP;
	SHOW(ask());
	settle_for(1200);
	heard("a bridge that is up");
	new_link(NLM_F_CREATE | NLM_F_EXCL, "one", "dummy");
	((struct ifinfomsg *)message.data)->ifi_flags = ((struct ifinfomsg *)message.data)->ifi_change = IFF_UP;
	add_word(IFLA_MASTER, if_nametoindex("mine"));
	SHOW(ask());
	settle_for(1200);
	heard("a port that is up");
	SHOW(delete_link("mine"));
	SHOW(delete_link("one"));
	heard("removed");
}

/* One who hears that an interface is gone takes its name at once. */
static void taken_at_once(void)
{
	enum { TIMES = 200 };
	int refused = 0;
	SHOW(make("again", "dummy", 1));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		static char data[65536];
		int fd = hearer();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < TIMES; i++) {
			if (delete_link("again"))
				printf("not deleted: %s\n", error_name(errno));
			for (int gone = 0; !gone;) {
				ssize_t n = MUST(recv(fd, data, sizeof data, 0));
				for (struct nlmsghdr *h = (struct nlmsghdr *)data; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n))
					gone |= h->nlmsg_type == RTM_DELLINK;
			}
			if (make("again", "dummy", 1))
				refused++;
		}
		printf("refused %d times\n", refused);
		_exit(0);
	}
	show_end(child);
	SHOW(delete_link("again"));
	/* Another deletes. */
	SHOW(make("again", "dummy", 1));
	int fd = hearer();
	child = (pid_t)MUST(fork());
	if (child == 0) {
		for (int i = 0; i < TIMES;)
			if (delete_link("again") == 0)
				i++;
			else
				sched_yield();
		_exit(0);
	}
	refused = 0;
	for (int made = 0; made < TIMES;) {
		static char data[65536];
		ssize_t n = MUST(recv(fd, data, sizeof data, 0));
		for (struct nlmsghdr *h = (struct nlmsghdr *)data; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type != RTM_DELLINK)
				continue;
			made++;
			if (make("again", "dummy", 1)) {
				refused++;
				while (make("again", "dummy", 1))
					sched_yield();
			}
		}
	}
	show_end(child);
	printf("refused %d times\n", refused);
	close(fd);
}

int main(void)
{
	MUST(unshare(CLONE_NEWNET));
	int first = own_network();
	MUST(unshare(CLONE_NEWNET));
	put_setting("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	events = hearer();
	SHOW(make("plain", "dummy", 1));
	heard("made");
	SHOW(delete_link("plain"));
	heard("removed while down");
	SHOW(make("full", "dummy", 2));
	furnish("full");
	SHOW(turn("full", 0));
	heard("down");
	SHOW(delete_link("full"));
	heard("removed");
	SHOW(make("full", "dummy", 2));
	furnish("full");
	SHOW(delete_link("full"));
	heard("removed while up");
	SHOW(make("full", "dummy", 3));
	furnish("full");
	SHOW(move("full", IFLA_NET_NS_FD, first));
	heard("moved");
	SHOW(make("lower", "dummy", 4));
	SHOW(make("bridge", "bridge", 5));
	link_header(RTM_NEWLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, "lower");
	add_word(IFLA_MASTER, if_nametoindex("bridge"));
	SHOW(ask());
	heard("a port");
	SHOW(delete_link("lower"));
	heard("a port removed");
	SHOW(make("lower", "dummy", 4));
	link_header(RTM_NEWLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, "lower");
	add_word(IFLA_MASTER, if_nametoindex("bridge"));
	SHOW(ask());
	heard("a port");
	SHOW(delete_link("bridge"));
	heard("its bridge removed");
	link_header(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
	add_text(IFLA_IFNAME, "upper");
	add_word(IFLA_LINK, if_nametoindex("lower"));
	struct rtattr *nest = add(IFLA_LINKINFO, NULL, 0);
	add_text(IFLA_INFO_KIND, "macvlan");
	end_nest(nest);
	SHOW(ask());
	heard("one on top");
	SHOW(delete_link("lower"));
	heard("what is below removed");
	SHOW(new_pair("left", "right", -1));
	settle_for(1200); /* Linux looks at carriers once a second */
	heard("a pair");
	SHOW(turn("left", 1));
	heard("one end up");
	SHOW(turn("right", 1));
	heard("both up");
	SHOW(give("right", "10.8.0.1", 24));
	heard("an address");
	SHOW(delete_link("left"));
	heard("a pair removed");
	ports_at_work();
	put_setting("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0");
	SHOW(make("six", "dummy", 6));
	furnish6("six");
	SHOW(turn("six", 0));
	heard("down");
	SHOW(delete_link("six"));
	heard("removed");
	SHOW(make("six", "dummy", 6));
	furnish6("six");
	SHOW(delete_link("six"));
	heard("removed while up");
	taken_at_once();
	return 0;
}
