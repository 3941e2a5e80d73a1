/* Covers: bridges by rtnetlink and ioctl: ports, addresses, tables, settings, and packets between networks; macvlan. */
#include "netns_case.h"
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/sockios.h>
#include <poll.h>

static int set_word(const char *name, int attribute, unsigned value)
{
	link_header(RTM_NEWLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	add_word(attribute, value);
	return ask();
}

static int set_master(const char *name, const char *master) { return set_word(name, IFLA_MASTER, master ? if_nametoindex(master) : 0); }

static int set_address(const char *name, unsigned char last)
{
	unsigned char address[6] = {2, 0, 0, 0, 0, last};
	link_header(RTM_NEWLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	add(IFLA_ADDRESS, address, 6);
	return ask();
}

/* Change a bridge: one attribute of IFLA_INFO_DATA. */
static int set_bridge(const char *name, int attribute, const void *value, size_t size)
{
	link_header(RTM_NEWLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	struct rtattr *nest = add(IFLA_LINKINFO, NULL, 0);
	add_text(IFLA_INFO_KIND, "bridge");
	struct rtattr *data = add(IFLA_INFO_DATA, NULL, 0);
	add(attribute, value, size);
	end_nest(data);
	end_nest(nest);
	return ask();
}

static int set_port(const char *name, int attribute, const void *value, size_t size)
{
	struct ifinfomsg header = {.ifi_family = AF_BRIDGE, .ifi_index = if_nametoindex(name)};
	start(RTM_SETLINK, 0, &header, sizeof header);
	struct rtattr *nest = add(IFLA_PROTINFO | NLA_F_NESTED, NULL, 0);
	add(attribute, value, size);
	end_nest(nest);
	return ask();
}

static void show_bytes(const struct rtattr *a)
{
	const unsigned char *bytes = RTA_DATA(a);
	for (unsigned i = 0; i < RTA_PAYLOAD(a); i++)
		printf("%02x", bytes[i]);
}

static const unsigned char bridge_shown[] = {
	IFLA_BR_FORWARD_DELAY, IFLA_BR_HELLO_TIME, IFLA_BR_MAX_AGE, IFLA_BR_AGEING_TIME, IFLA_BR_STP_STATE, IFLA_BR_PRIORITY,
	IFLA_BR_VLAN_FILTERING, IFLA_BR_GROUP_FWD_MASK, IFLA_BR_ROOT_PORT, IFLA_BR_ROOT_PATH_COST, IFLA_BR_TOPOLOGY_CHANGE,
	IFLA_BR_GROUP_ADDR, IFLA_BR_VLAN_PROTOCOL, IFLA_BR_FDB_N_LEARNED, IFLA_BR_FDB_MAX_LEARNED};
static const unsigned char port_shown[] = {
	IFLA_BRPORT_STATE, IFLA_BRPORT_PRIORITY, IFLA_BRPORT_COST, IFLA_BRPORT_MODE, IFLA_BRPORT_GUARD, IFLA_BRPORT_PROTECT,
	IFLA_BRPORT_FAST_LEAVE, IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD, IFLA_BRPORT_BCAST_FLOOD,
	IFLA_BRPORT_PROXYARP, IFLA_BRPORT_DESIGNATED_PORT, IFLA_BRPORT_DESIGNATED_COST, IFLA_BRPORT_ID, IFLA_BRPORT_NO,
	IFLA_BRPORT_GROUP_FWD_MASK, IFLA_BRPORT_ISOLATED, IFLA_BRPORT_LOCKED};

/* Attributes of a nest, in the order of a list: kernels have them in different orders. */
static void show_nest(const struct rtattr *nest, const unsigned char *shown, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int left = RTA_PAYLOAD(nest);
		for (const struct rtattr *a = RTA_DATA(nest); RTA_OK(a, left); a = RTA_NEXT(a, left))
			if ((a->rta_type & 0x3FFF) == shown[i]) {
				printf(" %d:", shown[i]);
				show_bytes(a);
			}
	}
}

static void show_link(const char *name, int with_address)
{
	printf("%s:", name);
	link_header(RTM_GETLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	if (ask() < 0) {
		printf(" %s\n", error_name(errno));
		return;
	}
	struct nlmsghdr *h = (struct nlmsghdr *)answer;
	struct ifinfomsg *link = NLMSG_DATA(h);
	int left = IFLA_PAYLOAD(h);
	printf(" flags %#x", link->ifi_flags);
	for (struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_MASTER)
			printf(" master %d", *(int *)RTA_DATA(a));
		else if (a->rta_type == IFLA_LINK)
			printf(" link %d", *(int *)RTA_DATA(a));
		else if (a->rta_type == IFLA_MTU)
			printf(" mtu %d", *(int *)RTA_DATA(a));
		else if (a->rta_type == IFLA_PROMISCUITY)
			printf(" promiscuity %d", *(int *)RTA_DATA(a));
		else if (a->rta_type == IFLA_OPERSTATE)
			printf(" state %d", *(unsigned char *)RTA_DATA(a));
		else if (a->rta_type == IFLA_ADDRESS && with_address) {
			printf(" ");
			show_bytes(a);
		} else if (a->rta_type == IFLA_LINKINFO) {
			int inner_left = RTA_PAYLOAD(a);
			const char *kind = "", *port_kind = "";
			for (struct rtattr *b = RTA_DATA(a); RTA_OK(b, inner_left); b = RTA_NEXT(b, inner_left)) {
				if (b->rta_type == IFLA_INFO_KIND)
					printf(" kind %s", kind = RTA_DATA(b));
				else if (b->rta_type == IFLA_INFO_SLAVE_KIND)
					printf(" port of %.6s", port_kind = RTA_DATA(b));
				else if (b->rta_type == IFLA_INFO_DATA && strcmp(kind, "bridge") == 0)
					show_nest(b, bridge_shown, sizeof bridge_shown);
				else if (b->rta_type == IFLA_INFO_DATA && strcmp(kind, "macvlan") == 0)
					show_nest(b, (const unsigned char[]){IFLA_MACVLAN_MODE, IFLA_MACVLAN_FLAGS}, 2);
				else if (b->rta_type == IFLA_INFO_SLAVE_DATA)
					show_nest(b, port_shown, sizeof port_shown);
			}
		}
	}
	printf("\n");
}

/* The table of a bridge, sorted; entries of VLAN 1, which a bridge without filtering does not use, are left out. */
static char lines[64][80];
static int compare(const void *a, const void *b) { return strcmp(a, b); }

static void show_table(const char *bridge)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg link;
		struct rtattr a;
		unsigned master;
	} wanted = {
		{sizeof wanted, RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {.ifi_family = AF_BRIDGE}, {8, IFLA_MASTER},
		if_nametoindex(bridge)};
	int fd = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), count = 0;
	MUST(send(fd, &wanted, sizeof wanted, 0));
	for (int is_over = 0; !is_over;) {
		char buffer[16384];
		ssize_t got = MUST(recv(fd, buffer, sizeof buffer, 0));
		for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, (unsigned)got); h = NLMSG_NEXT(h, got)) {
			if (h->nlmsg_type != RTM_NEWNEIGH) {
				is_over = 1;
				continue;
			}
			struct ndmsg *n = NLMSG_DATA(h);
			int left = (int)h->nlmsg_len - NLMSG_LENGTH(sizeof *n), skip = n->ndm_flags & NTF_SELF;
			unsigned char *address = NULL;
			unsigned master = 0;
			for (struct rtattr *a = (struct rtattr *)(n + 1); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
				if (a->rta_type == NDA_LLADDR)
					address = RTA_DATA(a);
				else if (a->rta_type == NDA_MASTER)
					master = *(unsigned *)RTA_DATA(a);
				else if (a->rta_type == NDA_VLAN)
					skip = 1;
			}
			if (!skip && address && count < 64)
				snprintf(lines[count++], 80, "%02x:%02x:%02x family %d dev %d state %#x flags %d master %u", address[0],
					 address[4], address[5], n->ndm_family, n->ndm_ifindex, n->ndm_state, n->ndm_flags, master);
		}
	}
	close(fd);
	qsort(lines, (size_t)count, 80, compare);
	printf("table of %s\n", bridge);
	for (int i = 0; i < count; i++)
		printf("  %s\n", lines[i]);
}

static int entry(int type, int flags, const char *name, unsigned char last, int state, int how)
{
	unsigned char address[6] = {2, 0, 0, 0, 1, last};
	struct ndmsg header = {.ndm_family = AF_BRIDGE, .ndm_ifindex = (int)if_nametoindex(name), .ndm_state = (unsigned short)state,
			       .ndm_flags = (unsigned char)how};
	start(type, flags, &header, sizeof header);
	add(NDA_LLADDR, address, 6);
	return ask();
}

static void wait_until_it_has_ended(const char *name)
{
	for (int i = 0; i < 3000 && if_nametoindex(name); i++)
		sleep_ms(10);
}

/* Linux looks at carriers once a second. */
static void settle(void) { settle_for(1100); }

static void exchange(int from, int at, const char *address)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7000)};
	char buffer[64] = "";
	inet_pton(AF_INET, address, &a.sin_addr);
	MUST(setns(at, CLONE_NEWNET));
	int server = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(server, (struct sockaddr *)&a, sizeof a));
	MUST(setns(from, CLONE_NEWNET));
	int client = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	SHOW(sendto(client, "question", 8, 0, (struct sockaddr *)&a, sizeof a));
	struct pollfd one = {server, POLLIN, 0};
	if (SHOW(poll_for(&one, 3000)) == 1) {
		struct sockaddr_in source;
		socklen_t size = sizeof source;
		SHOW(recvfrom(server, buffer, sizeof buffer, 0, (struct sockaddr *)&source, &size));
		printf("%s from %s\n", buffer, inet_ntoa(source.sin_addr));
		SHOW(sendto(server, "answer", 6, 0, (struct sockaddr *)&source, size));
		SHOW(recv(client, buffer, sizeof buffer, 0));
	}
	close(server);
	close(client);
}

static void transfer(int from, int at, const char *address)
{
	static char sent[400000], got[400000];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7001)};
	inet_pton(AF_INET, address, &a.sin_addr);
	MUST(setns(at, CLONE_NEWNET));
	int listener = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(listener, (struct sockaddr *)&a, sizeof a));
	MUST(listen(listener, 1));
	MUST(setns(from, CLONE_NEWNET));
	for (unsigned i = 0; i < sizeof sent; i++)
		sent[i] = (char)(i * 7 + i / 251);
	int stream = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	SHOW(connect(stream, (struct sockaddr *)&a, sizeof a));
	int accepted = (int)MUST(accept(listener, NULL, NULL));
	pid_t child = fork();
	if (child == 0) {
		for (size_t done = 0; done < sizeof sent;)
			done += (size_t)MUST(send(stream, sent + done, sizeof sent - done, 0));
		_exit(0);
	}
	close(stream);
	size_t done = 0;
	while (done < sizeof got) {
		ssize_t more = MUST(recv(accepted, got + done, sizeof got - done, 0));
		if (more == 0)
			break;
		done += (size_t)more;
	}
	printf("%zu bytes, %s\n", done, memcmp(sent, got, sizeof got) ? "others" : "the same");
	show_end(child);
	close(accepted);
	close(listener);
}

static int new_macvlan(const char *name, const char *lower, unsigned mode)
{
	link_header(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	if (lower)
		add_word(IFLA_LINK, if_nametoindex(lower));
	struct rtattr *nest = add(IFLA_LINKINFO, NULL, 0);
	add_text(IFLA_INFO_KIND, "macvlan");
	struct rtattr *data = add(IFLA_INFO_DATA, NULL, 0);
	if (mode)
		add_word(IFLA_MACVLAN_MODE, mode);
	end_nest(data);
	end_nest(nest);
	return ask();
}

/* One that is to be up at once, and has the address of what it stands on. */
static int new_twin(const char *name, const char *lower)
{
	struct ifreq request = {0};
	strcpy(request.ifr_name, lower);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(ioctl(fd, SIOCGIFHWADDR, &request));
	close(fd);
	link_header(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP, IFF_UP);
	add_text(IFLA_IFNAME, name);
	add_word(IFLA_LINK, if_nametoindex(lower));
	add(IFLA_ADDRESS, request.ifr_hwaddr.sa_data, 6);
	struct rtattr *nest = add(IFLA_LINKINFO, NULL, 0);
	add_text(IFLA_INFO_KIND, "macvlan");
	end_nest(nest);
	return ask();
}

static int ask_for_mtu(const char *name, int mtu)
{
	struct ifreq request = {.ifr_mtu = mtu};
	strcpy(request.ifr_name, name);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), result = ioctl(fd, SIOCSIFMTU, &request), error = errno;
	close(fd);
	errno = error;
	return result;
}

static void without_ipv6(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY);
	if (fd >= 0 && write(fd, "1", 1) != 1)
		printf("IPv6 stays\n");
	close(fd);
}

static void ports_and_settings(void)
{
	new_link(NLM_F_CREATE | NLM_F_EXCL, "br0", "bridge");
	SHOW(ask());
	new_link(NLM_F_CREATE | NLM_F_EXCL, "br0", "bridge");
	SHOW(ask());
	show_link("br0", 0);
	SHOW(turn("br0", 1));
	show_link("br0", 0);
	for (int i = 3; i > 0; i--) {
		char name[8] = "d?";
		name[1] = (char)('0' + i);
		new_link(NLM_F_CREATE | NLM_F_EXCL, name, "dummy");
		MUST(ask());
		MUST(set_address(name, (unsigned char)(0x10 + i)));
	}
	SHOW(set_master("d2", "br0"));
	settle();
	show_link("d2", 1);
	show_link("br0", 1);
	SHOW(turn("d2", 1));
	settle();
	show_link("d2", 1);
	show_link("br0", 1);
	SHOW(set_master("d2", "br0"));
	SHOW(set_master("d1", "br0"));
	SHOW(set_word("d3", IFLA_MTU, 1400));
	SHOW(set_master("d3", "br0"));
	settle();
	show_link("br0", 1);
	show_table("br0");
	SHOW(set_master("lo", "br0"));
	SHOW(set_master("d1", "d2"));
	SHOW(set_word("d1", IFLA_MASTER, 9999));
	new_link(NLM_F_CREATE | NLM_F_EXCL, "br1", "bridge");
	MUST(ask());
	SHOW(set_master("br1", "br0"));
	SHOW(set_master("d1", "br1"));
	settle();
	show_link("d1", 1);
	show_link("br0", 1);
	show_link("br1", 1);
	SHOW(set_master("d1", NULL));
	SHOW(set_master("d1", NULL));
	settle();
	show_link("d1", 1);
	show_link("br1", 1);
	SHOW(move("br1", IFLA_NET_NS_PID, getpid()));
	/* Settings of a bridge. */
	unsigned word = 1000;
	unsigned short half = 8;
	unsigned char byte = 0;
	SHOW(set_bridge("br0", IFLA_BR_AGEING_TIME, &word, 4));
	SHOW(set_bridge("br0", IFLA_BR_HELLO_TIME, &word, 4));
	SHOW(set_bridge("br0", IFLA_BR_MAX_AGE, &word, 4));
	SHOW(set_bridge("br0", IFLA_BR_FORWARD_DELAY, &word, 4));
	word = 1001;
	SHOW(set_bridge("br0", IFLA_BR_HELLO_TIME, &word, 4));
	word = 4001;
	SHOW(set_bridge("br0", IFLA_BR_MAX_AGE, &word, 4));
	SHOW(set_bridge("br0", IFLA_BR_GROUP_FWD_MASK, &half, 2));
	half = 4;
	SHOW(set_bridge("br0", IFLA_BR_GROUP_FWD_MASK, &half, 2));
	half = 0x1000;
	SHOW(set_bridge("br0", IFLA_BR_PRIORITY, &half, 2));
	word = 0;
	SHOW(set_bridge("br0", IFLA_BR_STP_STATE, &word, 4));
	SHOW(set_bridge("br0", IFLA_BR_VLAN_FILTERING, &byte, 1));
	unsigned char group[6] = {1, 0x80, 0xC2, 0, 0, 0x0F};
	SHOW(set_bridge("br0", IFLA_BR_GROUP_ADDR, group, 6));
	group[3] = 1;
	SHOW(set_bridge("br0", IFLA_BR_GROUP_ADDR, group, 6));
	SHOW(set_bridge("d2", IFLA_BR_STP_STATE, &word, 4));
	show_link("br0", 1);
	/* Settings of a port. */
	for (unsigned char on = 0; on < 2; on++) {
		SHOW(set_port("d2", IFLA_BRPORT_MODE, &on, 1));
		SHOW(set_port("d2", IFLA_BRPORT_LEARNING, &on, 1));
		SHOW(set_port("d2", IFLA_BRPORT_UNICAST_FLOOD, &on, 1));
		SHOW(set_port("d2", IFLA_BRPORT_ISOLATED, &on, 1));
		SHOW(set_port("d2", IFLA_BRPORT_GUARD, &on, 1));
		show_link("d2", 1);
	}
	word = 70000;
	SHOW(set_port("d2", IFLA_BRPORT_COST, &word, 4));
	word = 7;
	SHOW(set_port("d2", IFLA_BRPORT_COST, &word, 4));
	half = 64;
	SHOW(set_port("d2", IFLA_BRPORT_PRIORITY, &half, 2));
	half = 5;
	SHOW(set_port("d2", IFLA_BRPORT_PRIORITY, &half, 2));
	byte = 5;
	SHOW(set_port("d2", IFLA_BRPORT_STATE, &byte, 1));
	byte = 4;
	SHOW(set_port("d2", IFLA_BRPORT_STATE, &byte, 1));
	show_link("d2", 1);
	byte = 3;
	SHOW(set_port("d2", IFLA_BRPORT_STATE, &byte, 1));
	SHOW(set_port("d3", IFLA_BRPORT_STATE, &byte, 1));
	SHOW(set_port("d1", IFLA_BRPORT_STATE, &byte, 1));
	SHOW(set_port("br0", IFLA_BRPORT_STATE, &byte, 1));
	show_link("d2", 1);
	/* Entries. */
	SHOW(entry(RTM_NEWNEIGH, 0, "d2", 1, NUD_NOARP, NTF_MASTER));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "d2", 1, NUD_NOARP, NTF_MASTER));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "d2", 1, NUD_NOARP, NTF_MASTER));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "d2", 2, NUD_REACHABLE, NTF_MASTER));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "d2", 3, NUD_PERMANENT, 0));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "d2", 4, NUD_NOARP, NTF_MASTER | NTF_STICKY));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "d2", 5, NUD_PERMANENT, NTF_MASTER | NTF_STICKY));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "d2", 6, 0, NTF_MASTER));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "d3", 7, NUD_REACHABLE, NTF_MASTER));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "d1", 8, NUD_NOARP, NTF_MASTER));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "br0", 9, NUD_PERMANENT, NTF_SELF));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "br0", 10, NUD_NOARP, NTF_SELF));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "none", 9, NUD_PERMANENT, NTF_SELF));
	SHOW(entry(RTM_NEWNEIGH, NLM_F_REPLACE, "d2", 1, NUD_REACHABLE, NTF_MASTER));
	show_table("br0");
	SHOW(entry(RTM_DELNEIGH, 0, "d3", 1, 0, NTF_MASTER));
	SHOW(entry(RTM_DELNEIGH, 0, "d2", 1, 0, NTF_MASTER));
	SHOW(entry(RTM_DELNEIGH, 0, "d2", 1, 0, NTF_MASTER));
	SHOW(entry(RTM_DELNEIGH, 0, "br0", 9, 0, NTF_SELF));
	byte = 1;
	SHOW(set_bridge("br0", IFLA_BR_FDB_FLUSH, &byte, 1));
	show_table("br0");
	SHOW(turn("d2", 0));
	show_table("br0");
	/* Its own address stays as a program has set it. */
	SHOW(set_address("br0", 0x99));
	SHOW(set_master("d1", "br0"));
	settle();
	show_link("br0", 1);
	SHOW(set_word("br0", IFLA_MTU, 1300));
	SHOW(set_master("d3", NULL));
	settle();
	show_link("br0", 1);
	show_table("br0");
	SHOW(delete_link("d2"));
	show_table("br0");
	SHOW(delete_link("br0"));
	show_link("d1", 1);
	SHOW(delete_link("br1"));
	SHOW(delete_link("d1"));
	SHOW(delete_link("d3"));
	/* By ioctl. */
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	SHOW(ioctl(fd, SIOCBRADDBR, "br5"));
	SHOW(ioctl(fd, SIOCBRADDBR, "br5"));
	new_link(NLM_F_CREATE | NLM_F_EXCL, "d5", "dummy");
	MUST(ask());
	struct ifreq both = {.ifr_name = "br5"};
	both.ifr_ifindex = (int)if_nametoindex("d5");
	SHOW(ioctl(fd, SIOCBRDELIF, &both));
	SHOW(ioctl(fd, SIOCBRADDIF, &both));
	SHOW(ioctl(fd, SIOCBRADDIF, &both));
	show_link("d5", 0);
	SHOW(ioctl(fd, SIOCBRDELIF, &both));
	both.ifr_ifindex = 999;
	SHOW(ioctl(fd, SIOCBRADDIF, &both));
	SHOW(turn("br5", 1));
	SHOW(ioctl(fd, SIOCBRDELBR, "br5"));
	SHOW(ioctl(fd, SIOCBRDELBR, "d5"));
	SHOW(turn("br5", 0));
	SHOW(ioctl(fd, SIOCBRDELBR, "br5"));
	SHOW(ioctl(fd, SIOCBRDELBR, "br5"));
	SHOW(delete_link("d5"));
	close(fd);
}

int main(void)
{
	int original = own_network();
	MUST(unshare(CLONE_NEWNET));
	int left = own_network();
	without_ipv6();
	MUST(unshare(CLONE_NEWNET));
	int right = own_network();
	without_ipv6();
	MUST(unshare(CLONE_NEWNET));
	int middle = own_network();
	without_ipv6();
	MUST(turn("lo", 1));
	ports_and_settings();

	/* Two networks, joined by a bridge in a third. */
	new_link(NLM_F_CREATE | NLM_F_EXCL, "br0", "bridge");
	MUST(ask());
	MUST(turn("br0", 1));
	MUST(give("br0", "10.3.0.254", 24));
	const char *names[] = {"pl", "pr"}, *addresses[] = {"10.3.0.1", "10.3.0.2"};
	for (int i = 0; i < 2; i++) {
		MUST(new_pair(names[i], "eth", i ? right : left));
		MUST(set_address(names[i], (unsigned char)(0x20 + i)));
		MUST(set_master(names[i], "br0"));
		MUST(turn(names[i], 1));
		MUST(setns(i ? right : left, CLONE_NEWNET));
		MUST(set_address("eth", (unsigned char)(0x30 + i)));
		MUST(give("eth", addresses[i], 24));
		MUST(turn("eth", 1));
		MUST(setns(middle, CLONE_NEWNET));
	}
	settle();
	exchange(left, right, "10.3.0.2");
	exchange(right, middle, "10.3.0.254");
	exchange(middle, left, "10.3.0.1");
	transfer(left, right, "10.3.0.2");
	MUST(setns(middle, CLONE_NEWNET));
	show_table("br0");
	show_link("br0", 1);
	unsigned char on = 1;
	SHOW(set_port("pl", IFLA_BRPORT_ISOLATED, &on, 1));
	SHOW(set_port("pr", IFLA_BRPORT_ISOLATED, &on, 1));
	exchange(left, right, "10.3.0.2");
	MUST(setns(middle, CLONE_NEWNET));
	SHOW(move("pl", IFLA_NET_NS_FD, right));
	show_table("br0");
	MUST(setns(right, CLONE_NEWNET));
	show_link("pl", 1);
	SHOW(delete_link("pl"));
	MUST(setns(middle, CLONE_NEWNET));

	/* Interfaces on an interface. */
	SHOW(new_macvlan("m0", NULL, MACVLAN_MODE_BRIDGE));
	SHOW(new_macvlan("m0", "lo", MACVLAN_MODE_BRIDGE));
	SHOW(new_macvlan("m0", "pr", MACVLAN_MODE_BRIDGE));
	SHOW(new_macvlan("m0", "br0", 3));
	SHOW(new_macvlan("m0", "br0", MACVLAN_MODE_BRIDGE));
	SHOW(new_macvlan("m1", "m0", 0));
	SHOW(new_macvlan("m2", "br0", MACVLAN_MODE_PASSTHRU));
	MUST(set_address("m0", 0x40));
	settle();
	show_link("m0", 1);
	show_link("m1", 0);
	SHOW(set_word("m0", IFLA_MTU, 1501));
	SHOW(ask_for_mtu("m0", 1501));
	SHOW(ask_for_mtu("m0", 1500));
	SHOW(new_twin("m3", "br0"));
	SHOW((int)if_nametoindex("m3"));
	SHOW(move("m0", IFLA_NET_NS_FD, left));
	MUST(set_port("pr", IFLA_BRPORT_ISOLATED, (unsigned char[]){0}, 1));
	MUST(setns(left, CLONE_NEWNET));
	SHOW(give("m0", "10.3.0.3", 24));
	SHOW(turn("m0", 1));
	settle();
	exchange(left, right, "10.3.0.2");
	transfer(right, left, "10.3.0.3");
	MUST(setns(middle, CLONE_NEWNET));
	SHOW(delete_link("br0"));
	MUST(setns(left, CLONE_NEWNET));
	wait_until_it_has_ended("m0");
	show_link("m0", 0);
	MUST(setns(middle, CLONE_NEWNET));
	show_link("m1", 0);
	show_link("pr", 1);
	MUST(setns(original, CLONE_NEWNET));
	return 0;
}
