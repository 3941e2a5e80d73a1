/*
 * Covers: settings of interfaces (net.ipv4.conf, net.ipv6.conf): `all`, `default`, new interfaces and networks; what
 * rp_filter, route_localnet, forwarding and accept_dad do; pairs that are made as ports; dumps of some interfaces only;
 * flags of addresses that are replaced.
 */
#include "netns_case.h"
#include <linux/if_bridge.h>
#include <poll.h>

static void set(const char *path, const char *value)
{
	char whole[128];
	snprintf(whole, sizeof whole, "/proc/sys/net/%s", path);
	int fd = open(whole, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		printf("%s=%s: %s\n", path, value, error_name(errno));
	if (fd >= 0)
		close(fd);
}

static void show(const char *path)
{
	char whole[128], text[32] = "";
	snprintf(whole, sizeof whole, "/proc/sys/net/%s", path);
	int fd = open(whole, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		snprintf(text, sizeof text, "%s\n", error_name(errno));
	if (fd >= 0)
		close(fd);
	printf("%s %s", path, text);
}

static void show_forwarding(const char *when)
{
	printf("%s\n", when);
	show("ipv4/ip_forward");
	for (int i = 0; i < 4; i++) {
		char path[64];
		const char *name = ((const char *[]){"all", "default", "lo", "a"})[i];
		snprintf(path, sizeof path, "ipv4/conf/%s/forwarding", name);
		show(path);
		snprintf(path, sizeof path, "ipv6/conf/%s/forwarding", name);
		show(path);
	}
	show("ipv4/conf/all/accept_redirects");
}

/* Send a datagram from here to a port there; whether it comes is what is shown. */
static void carry(const char *what, int here, int there, const char *from, const char *to)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7000)}, source = {.sin_family = AF_INET};
	MUST(setns(there, CLONE_NEWNET));
	int receiver = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(receiver, (struct sockaddr *)&a, sizeof a));
	MUST(setns(here, CLONE_NEWNET));
	int sender = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	inet_pton(AF_INET, from, &source.sin_addr);
	inet_pton(AF_INET, to, &a.sin_addr);
	MUST(bind(sender, (struct sockaddr *)&source, sizeof source));
	long sent = sendto(sender, "x", 1, 0, (struct sockaddr *)&a, sizeof a);
	int error = errno;
	struct pollfd p = {.fd = receiver, .events = POLLIN};
	if (sent < 0)
		printf("%s: %s\n", what, error_name(error));
	else
		printf("%s: %s\n", what, poll_for(&p, 300) == 1 ? "arrives" : "is lost");
	close(sender);
	close(receiver);
}

static int add_route(const char *to, int prefix, const char *device)
{
	struct rtmsg header = {.rtm_family = AF_INET, .rtm_dst_len = (unsigned char)prefix, .rtm_table = RT_TABLE_MAIN,
			       .rtm_protocol = RTPROT_BOOT, .rtm_scope = RT_SCOPE_LINK, .rtm_type = RTN_UNICAST};
	struct in_addr address;
	inet_pton(AF_INET, to, &address);
	start(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
	add(RTA_DST, &address, sizeof address);
	add_word(RTA_OIF, if_nametoindex(device));
	return ask();
}

/* A pair whose first end becomes a port at once. */
static int new_port(const char *name, const char *peer, int master)
{
	struct ifinfomsg header = {0};
	link_header(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	add_word(IFLA_MASTER, (unsigned)master);
	struct rtattr *nest = add(IFLA_LINKINFO, NULL, 0);
	add_text(IFLA_INFO_KIND, "veth");
	struct rtattr *data = add(IFLA_INFO_DATA, NULL, 0);
	struct rtattr *other = add(VETH_INFO_PEER, &header, sizeof header);
	add_text(IFLA_IFNAME, peer);
	end_nest(other);
	end_nest(data);
	end_nest(nest);
	return ask();
}

/* The interfaces that a dump shows, and whether it says that it is not of all. */
static void dump(const char *what, int master, const char *kind)
{
	struct ifinfomsg header = {0};
	start(RTM_GETLINK, 0, &header, sizeof header);
	message.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	if (master)
		add_word(IFLA_MASTER, (unsigned)master);
	if (kind) {
		struct rtattr *nest = add(IFLA_LINKINFO, NULL, 0);
		add_text(IFLA_INFO_KIND, kind);
		end_nest(nest);
	}
	int fd = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	MUST(send(fd, &message, message.h.nlmsg_len, 0));
	printf("%s:", what);
	for (int is_over = 0; !is_over;) {
		static char buffer[32768];
		ssize_t got = MUST(recv(fd, buffer, sizeof buffer, 0));
		for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, (unsigned)got); h = NLMSG_NEXT(h, got)) {
			if (h->nlmsg_type != RTM_NEWLINK) {
				printf(" end %#x\n", h->nlmsg_flags);
				is_over = 1;
				break;
			}
			int left = IFLA_PAYLOAD(h);
			for (struct rtattr *a = IFLA_RTA(NLMSG_DATA(h)); RTA_OK(a, left); a = RTA_NEXT(a, left))
				if (a->rta_type == IFLA_IFNAME)
					printf(" %s(%#x)", (char *)RTA_DATA(a), h->nlmsg_flags);
		}
	}
	close(fd);
}

static int give6(const char *name, const char *address, int flags, unsigned what)
{
	struct ifaddrmsg header = {.ifa_family = AF_INET6, .ifa_prefixlen = 64, .ifa_index = if_nametoindex(name)};
	struct in6_addr where;
	inet_pton(AF_INET6, address, &where);
	start(RTM_NEWADDR, flags, &header, sizeof header);
	add(IFA_LOCAL, &where, sizeof where);
	add_word(IFA_FLAGS, what);
	return ask();
}

static void show_flags(const char *when)
{
	struct ifaddrmsg header = {.ifa_family = AF_INET6};
	start(RTM_GETADDR, 0, &header, sizeof header);
	message.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	int fd = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	MUST(send(fd, &message, message.h.nlmsg_len, 0));
	printf("%s:", when);
	for (int is_over = 0; !is_over;) {
		char buffer[8192];
		ssize_t got = MUST(recv(fd, buffer, sizeof buffer, 0));
		for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, (unsigned)got); h = NLMSG_NEXT(h, got)) {
			if (h->nlmsg_type != RTM_NEWADDR) {
				is_over = 1;
				break;
			}
			struct ifaddrmsg *m = NLMSG_DATA(h);
			int left = IFA_PAYLOAD(h), is_ours = 0;
			unsigned flags = 0;
			for (struct rtattr *a = IFA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
				if (a->rta_type == IFA_ADDRESS)
					is_ours = ((unsigned char *)RTA_DATA(a))[0] == 0xfd;
				else if (a->rta_type == IFA_FLAGS)
					flags = *(unsigned *)RTA_DATA(a);
			}
			if (is_ours)
				printf(" %#x", flags);
		}
	}
	printf("\n");
	close(fd);
}

/* What a new network has of the first one's settings. */
static void try_inheritance(void)
{
	static const char *const paths[] = {
		"ipv4/conf/default/rp_filter", "ipv4/conf/all/rp_filter", "ipv4/conf/all/arp_notify", "ipv6/conf/default/accept_ra",
		"ipv4/conf/lo/rp_filter",
	};
	int first = (int)MUST(open("/proc/self/ns/net", O_RDONLY));
	for (int i = 0; i < 4; i++) {
		char whole[128], before[16] = "";
		snprintf(whole, sizeof whole, "/proc/sys/net/%s", paths[i]);
		int fd = (int)MUST(open(whole, O_RDONLY));
		MUST(read(fd, before, sizeof before - 1));
		close(fd);
		set(paths[i], *before == '0' ? "1" : "0");
		MUST(unshare(CLONE_NEWNET));
		for (int j = 0; j < 5; j++)
			show(paths[j]);
		MUST(setns(first, CLONE_NEWNET));
		set(paths[i], before);
	}
	close(first);
}

int main(void)
{
	try_inheritance();
	MUST(unshare(CLONE_NEWNET));
	int here = own_network();
	MUST(unshare(CLONE_NEWNET));
	int there = own_network();
	MUST(setns(here, CLONE_NEWNET));
	TRY(new_pair("a", "b", there));

	show_forwarding("at first");
	set("ipv4/ip_forward", "1");
	set("ipv6/conf/all/forwarding", "1");
	show_forwarding("with forwarding");
	set("ipv4/conf/a/forwarding", "0");
	show_forwarding("without it on one");
	set("ipv4/conf/all/forwarding", "0");
	set("ipv6/conf/default/forwarding", "0");
	show_forwarding("without it again");
	set("ipv6/conf/all/forwarding", "0");
	for (int i = 0; i < 5; i++) {
		char path[64];
		const char *name = ((const char *[]){"accept_dad", "accept_ra", "autoconf", "dad_transmits", "router_solicitations"})[i];
		snprintf(path, sizeof path, "ipv6/conf/all/%s", name);
		set(path, "0");
		snprintf(path, sizeof path, "ipv6/conf/a/%s", name);
		show(path);
		set(path, "0");
		show(path);
		snprintf(path, sizeof path, "ipv6/conf/default/%s", name);
		show(path);
	}
	set("ipv4/conf/default/rp_filter", "2");
	set("ipv4/conf/all/arp_notify", "1");

	MUST(turn("lo", 1));
	MUST(turn("a", 1));
	MUST(give("a", "10.1.0.1", 24));
	MUST(give("lo", "10.9.0.1", 32));
	MUST(setns(there, CLONE_NEWNET));
	MUST(turn("lo", 1));
	MUST(turn("b", 1));
	MUST(give("b", "10.1.0.2", 24));
	MUST(give("lo", "10.3.0.2", 32));
	MUST(setns(here, CLONE_NEWNET));
	MUST(add_route("10.3.0.2", 32, "a"));
	MUST(add_route("127.7.0.0", 16, "a"));

	/* The way back. */
	carry("from the link", here, there, "10.1.0.1", "10.1.0.2");
	carry("from nowhere", here, there, "10.9.0.1", "10.1.0.2");
	MUST(setns(there, CLONE_NEWNET));
	set("ipv4/conf/b/rp_filter", "2");
	carry("from nowhere, loose", here, there, "10.9.0.1", "10.1.0.2");
	MUST(setns(there, CLONE_NEWNET));
	MUST(add_route("10.9.0.0", 24, "lo"));
	carry("from elsewhere, loose", here, there, "10.9.0.1", "10.1.0.2");
	MUST(setns(there, CLONE_NEWNET));
	set("ipv4/conf/b/rp_filter", "1");
	carry("from elsewhere, strict", here, there, "10.9.0.1", "10.1.0.2");
	carry("from the link, strict", here, there, "10.1.0.1", "10.1.0.2");
	MUST(setns(there, CLONE_NEWNET));
	set("ipv4/conf/b/rp_filter", "0");
	set("ipv4/conf/all/rp_filter", "1");
	carry("from elsewhere, strict for all", here, there, "10.9.0.1", "10.1.0.2");
	MUST(setns(there, CLONE_NEWNET));
	set("ipv4/conf/all/rp_filter", "0");

	/* Addresses of lo. */
	carry("from lo", here, there, "127.0.0.5", "10.1.0.2");
	MUST(setns(here, CLONE_NEWNET));
	set("ipv4/conf/a/route_localnet", "1");
	carry("from lo, allowed here", here, there, "127.0.0.5", "10.1.0.2");
	MUST(setns(there, CLONE_NEWNET));
	set("ipv4/conf/all/route_localnet", "1");
	carry("from lo, allowed", here, there, "127.0.0.5", "10.1.0.2");
	carry("from lo's own", here, there, "127.0.0.1", "10.1.0.2");

	/* Ports, and dumps. */
	MUST(setns(here, CLONE_NEWNET));
	new_link(NLM_F_CREATE | NLM_F_EXCL, "br", "bridge");
	TRY(ask());
	struct ifreq before = {.ifr_name = "br"}, after = {.ifr_name = "br"};
	int any = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(ioctl(any, SIOCGIFHWADDR, &before));
	TRY(turn("br", 1));
	MUST(ioctl(any, SIOCGIFHWADDR, &after));
	printf("a bridge without ports %s its address\n",
	       memcmp(before.ifr_hwaddr.sa_data, after.ifr_hwaddr.sa_data, 6) ? "changes" : "keeps");
	TRY(new_port("p", "q", (int)if_nametoindex("br")));
	TRY(new_port("r", "s", 4711));
	TRY(new_port("r", "s", (int)if_nametoindex("a")));
	TRY(new_port("r", "s", 0));
	dump("all", 0, NULL);
	dump("ports", (int)if_nametoindex("br"), NULL);
	dump("no ports", -1, NULL);
	dump("bridges", 0, "bridge");
	dump("pairs that are ports", (int)if_nametoindex("br"), "veth");
	dump("of no type", 0, "nonesuch");
	dump("bridges that are ports", (int)if_nametoindex("br"), "bridge");
	delete_link("br");
	dump("in the end", 0, NULL);

	/* Flags of addresses. */
	TRY(give6("a", "fd00::1", NLM_F_CREATE | NLM_F_EXCL, 0));
	settle_for(100);
	show_flags("without a proof");
	TRY(give6("a", "fd00::1", NLM_F_CREATE | NLM_F_EXCL, IFA_F_NODAD));
	TRY(give6("a", "fd00::1", NLM_F_REPLACE, IFA_F_NODAD));
	show_flags("replaced");
	TRY(give6("a", "fd00::1", NLM_F_REPLACE, 0));
	show_flags("replaced again");
	return 0;
}
