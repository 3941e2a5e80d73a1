/*
 * Covers: which capability the network asks for: kinds of sockets, low ports and net.ipv4.ip_unprivileged_port_start, ping sockets,
 * options of sockets, ioctls of interfaces, routes and neighbours, requests of netlink, credentials sent over unix sockets.
 */
#include "privilege_case.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static const struct actor actors[] = { ROOT, POWERLESS, USER, WITH(CAP_NET_ADMIN), WITH(CAP_NET_RAW), WITH(CAP_NET_BIND_SERVICE), WITH(CAP_SYS_ADMIN), WITH(CAP_SETUID), WITH(CAP_SETGID) };

static void kinds(void)
{
	ASK_FD("raw ICMP", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	ASK_FD("raw", socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
	ASK_FD("raw without protocol", socket(AF_INET, SOCK_RAW, 0));
	ASK_FD("raw IPv6", socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
	ASK_FD("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	ASK_FD("ping IPv6", socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
	ASK_FD("packet", socket(AF_PACKET, SOCK_RAW, htons(3)));
	ASK_FD("packet, datagrams", socket(AF_PACKET, SOCK_DGRAM, 0));
	ASK_FD("packet, unknown type", socket(AF_PACKET, SOCK_STREAM, 0));
	ASK_FD("netlink", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	ASK_FD("sock_diag", socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG));
	ASK_FD("uevents", socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
	ASK_FD("unix", socket(AF_UNIX, SOCK_RAW, 0));
}

static int bind_to(int family, int type, int port)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int s = (int)MUST(socket(family, type, 0));
	int result = family == AF_INET ? bind(s, (struct sockaddr *)&four, sizeof four) : bind(s, (struct sockaddr *)&six, sizeof six), error = errno;
	close(s);
	errno = error;
	return result;
}

static void ports(void)
{
	static const int numbers[] = { 1, 80, 99, 100, 101, 1023, 1024 };
	char what[32];
	for (int i = 0; i < COUNT(numbers); i++)
		for (int way = 0; way < 4; way++) {
			snprintf(what, sizeof what, "%s%s port %d", way & 1 ? "UDP" : "TCP", way & 2 ? "6" : "", numbers[i]);
			ASK(what, bind_to(way & 2 ? AF_INET6 : AF_INET, way & 1 ? SOCK_DGRAM : SOCK_STREAM, numbers[i]));
		}
	struct sockaddr_in away = { .sin_family = AF_INET, .sin_port = htons(5000), .sin_addr.s_addr = htonl(0x01020304) };
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	ASK("bind to a foreign address", bind(s, (struct sockaddr *)&away, sizeof away));
	close(s);
}

static void number_option(const char *what, int family, int type, int level, int name, int value)
{
	int s = socket(family, type, 0);
	ASK(what, setsockopt(s, level, name, &value, sizeof value));
	close(s);
}

static void options(void)
{
	static const struct { const char *name; int level, option, value; } each[] = {
		{ "SO_DEBUG on", SOL_SOCKET, SO_DEBUG, 1 }, { "SO_DEBUG off", SOL_SOCKET, SO_DEBUG, 0 }, { "SO_MARK", SOL_SOCKET, SO_MARK, 1 }, { "SO_MARK 0", SOL_SOCKET, SO_MARK, 0 },
		{ "SO_PRIORITY 6", SOL_SOCKET, SO_PRIORITY, 6 }, { "SO_PRIORITY 7", SOL_SOCKET, SO_PRIORITY, 7 }, { "SO_PRIORITY -1", SOL_SOCKET, SO_PRIORITY, -1 },
		{ "SO_RCVBUFFORCE", SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20 }, { "SO_SNDBUFFORCE", SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20 }, 
		{ "SO_BINDTOIFINDEX", SOL_SOCKET, 62, 1 }, { "SO_PASSSEC", SOL_SOCKET, SO_PASSSEC, 1 },
		{ "SO_RESERVE_MEM", SOL_SOCKET, 73, 4096 }, { "SO_INCOMING_CPU", SOL_SOCKET, 49, 0 }, 
		{ "SO_LOCK_FILTER", SOL_SOCKET, 44, 1 }, { "IP_TOS 0xe0", IPPROTO_IP, IP_TOS, 0xe0 }, { "IP_TRANSPARENT", IPPROTO_IP, IP_TRANSPARENT, 1 }, { "IP_TRANSPARENT off", IPPROTO_IP, IP_TRANSPARENT, 0 },
		{ "IP_FREEBIND", IPPROTO_IP, IP_FREEBIND, 1 }, { "IP_BIND_ADDRESS_NO_PORT", IPPROTO_IP, 24, 1 }, { "IP_RECVERR", IPPROTO_IP, IP_RECVERR, 1 }, { "IP_HDRINCL", IPPROTO_IP, IP_HDRINCL, 1 },
		{ "IP_MINTTL", IPPROTO_IP, IP_MINTTL, 5 }, { "IP_NODEFRAG", IPPROTO_IP, 22, 1 }, 
	};
	static const struct { const char *name; int option; } six[] = { { "IPV6_TRANSPARENT", 75 }, { "IPV6_FREEBIND", 78 }, { "IPV6_ADDRFORM", 1 } };
	for (int i = 0; i < COUNT(each); i++) {
		char what[64];
		snprintf(what, sizeof what, "%s, TCP", each[i].name);
		number_option(what, AF_INET, SOCK_STREAM, each[i].level, each[i].option, each[i].value);
		snprintf(what, sizeof what, "%s, UDP", each[i].name);
		number_option(what, AF_INET, SOCK_DGRAM, each[i].level, each[i].option, each[i].value);
	}
	for (int i = 0; i < COUNT(six); i++)
		number_option(six[i].name, AF_INET6, SOCK_STREAM, IPPROTO_IPV6, six[i].option, 1);
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	ASK("SO_BINDTODEVICE", setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	ASK("SO_BINDTODEVICE, another", setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nothing", 7));
	ASK("SO_BINDTODEVICE, none", setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	ASK("TCP_CONGESTION cubic", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	ASK("TCP_CONGESTION reno", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	ASK("TCP_CONGESTION unknown", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "unknown", 7));
	ASK("router alert", setsockopt(s, IPPROTO_IP, IP_ROUTER_ALERT, &(int){ 1 }, 4));
	close(s);
}

static void interfaces(void)
{
	int may_configure = has_capability(CAP_NET_ADMIN);
	static const struct { const char *name; unsigned long command; } each[] = {
		{ "SIOCGIFFLAGS", SIOCGIFFLAGS }, { "SIOCSIFFLAGS", SIOCSIFFLAGS }, { "SIOCGIFADDR", SIOCGIFADDR }, { "SIOCSIFADDR", SIOCSIFADDR }, { "SIOCSIFNETMASK", SIOCSIFNETMASK },
		{ "SIOCSIFBRDADDR", SIOCSIFBRDADDR }, { "SIOCSIFDSTADDR", SIOCSIFDSTADDR }, { "SIOCSIFMTU", SIOCSIFMTU }, { "SIOCGIFMTU", SIOCGIFMTU }, { "SIOCSIFHWADDR", SIOCSIFHWADDR },
		{ "SIOCSIFNAME", SIOCSIFNAME }, { "SIOCSIFTXQLEN", SIOCSIFTXQLEN }, { "SIOCSIFMETRIC", SIOCSIFMETRIC }, 
		{ "SIOCGIFINDEX", SIOCGIFINDEX }, { "SIOCETHTOOL", 0x8946 },
	};
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	for (int way = 0; way < 2; way++)
		for (int i = 0; i < COUNT(each); i++) {
			struct ifreq request;
			char what[64];
			memset(&request, 0, sizeof request);
			request.ifr_addr.sa_family = AF_INET;
			strcpy(request.ifr_name, way ? "nothing" : "lo");
			if (!way && i != 0) /* ask for what is there, so that setting changes nothing */
				ioctl(s, each[i].command == SIOCSIFFLAGS ? SIOCGIFFLAGS : each[i].command == SIOCSIFADDR ? SIOCGIFADDR : each[i].command == SIOCSIFNETMASK ? SIOCGIFNETMASK :
				      each[i].command == SIOCSIFMTU ? SIOCGIFMTU : each[i].command == SIOCSIFTXQLEN ? SIOCGIFTXQLEN : each[i].command == SIOCSIFHWADDR ? SIOCGIFHWADDR : SIOCGIFFLAGS, &request);
			if (!way && (each[i].command == SIOCSIFNAME || each[i].command == SIOCSIFDSTADDR || each[i].command == SIOCSIFBRDADDR || each[i].command == 0x8946 ||
				     each[i].command == SIOCADDMULTI || each[i].command == SIOCSIFHWADDR) && may_configure)
				continue; /* would succeed, or depends on the card */
			snprintf(what, sizeof what, "%s of %s", each[i].name, request.ifr_name);
			ASK(what, ioctl(s, each[i].command, &request));
		}
	struct rtentry route = { .rt_flags = RTF_UP };
	route.rt_dst.sa_family = route.rt_genmask.sa_family = route.rt_gateway.sa_family = AF_INET;
	((struct sockaddr_in *)&route.rt_dst)->sin_addr.s_addr = htonl(0x7f010200);
	((struct sockaddr_in *)&route.rt_genmask)->sin_addr.s_addr = htonl(0xffffff00);
	route.rt_dev = "lo";
	ASK("SIOCADDRT", ioctl(s, SIOCADDRT, &route));
	ASK("SIOCDELRT", ioctl(s, SIOCDELRT, &route));
	ASK("SIOCDELRT, none", ioctl(s, SIOCDELRT, &route));
	struct arpreq neighbour = { .arp_flags = ATF_COM };
	neighbour.arp_pa.sa_family = AF_INET;
	strcpy(neighbour.arp_dev, "lo");
	ASK("SIOCGARP", ioctl(s, SIOCGARP, &neighbour));
	close(s);
}

/* A request without attributes: a caller that may not send it learns no more. */
static void netlink(void)
{
	static const struct { const char *name; unsigned short type; int flags; } each[] = {
		{ "RTM_NEWLINK", RTM_NEWLINK, 0 }, { "RTM_DELLINK", RTM_DELLINK, 0 }, { "RTM_SETLINK", RTM_SETLINK, 0 }, { "RTM_NEWADDR", RTM_NEWADDR, 0 }, { "RTM_DELADDR", RTM_DELADDR, 0 },
		{ "RTM_NEWROUTE", RTM_NEWROUTE, 0 }, { "RTM_DELROUTE", RTM_DELROUTE, 0 }, { "RTM_NEWNEIGH", RTM_NEWNEIGH, 0 }, { "RTM_DELNEIGH", RTM_DELNEIGH, 0 }, { "RTM_NEWRULE", RTM_NEWRULE, 0 },
		{ "RTM_DELRULE", RTM_DELRULE, 0 }, { "RTM_NEWQDISC", RTM_NEWQDISC, 0 }, { "RTM_GETLINK", RTM_GETLINK, NLM_F_DUMP }, { "RTM_GETROUTE", RTM_GETROUTE, NLM_F_DUMP }, { "unknown", 14, 0 },
	};
	for (int i = 0; i < COUNT(each); i++) {
		struct { struct nlmsghdr header; char body[64]; } request;
		char answer[8192];
		int s = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), error = 1;
		memset(&request, 0, sizeof request);
		request.header = (struct nlmsghdr){ .nlmsg_len = 16 + 16, .nlmsg_type = each[i].type, .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | each[i].flags), .nlmsg_seq = 1 };
		MUST(send(s, &request, request.header.nlmsg_len, 0));
		ssize_t n = recv(s, answer, sizeof answer, 0);
		struct nlmsghdr *first = (struct nlmsghdr *)answer;
		if (n >= (ssize_t)sizeof *first && first->nlmsg_type == NLMSG_ERROR)
			error = ((struct nlmsgerr *)NLMSG_DATA(first))->error;
		printf("    %s: %s\n", each[i].name, error == 1 ? "an answer" : error == 0 ? "ok" : error == -EPERM ? "EPERM" : "another error");
		close(s);
	}
	int s = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = 1 }, groups = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	ASK("send to a group", sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
	ASK("join a group", bind(s, (struct sockaddr *)&groups, sizeof groups));
	ASK("SO_RCVBUFFORCE", setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &(int){ 1 << 20 }, 4));
	close(s);
	s = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
	if (s >= 0) {
		ASK("join the events", bind(s, (struct sockaddr *)&groups, sizeof groups));
		close(s);
	}
}

static void credentials(void)
{
	static const struct { const char *name; int pid, uid, gid; } each[] = {
		{ "itself", 0, -1, -1 }, { "uid 0", 0, 0, -1 }, { "gid 0", 0, -1, 0 }, { "uid 1001", 0, 1001, -1 }, { "gid 1001", 0, -1, 1001 }, { "process 1", 1, -1, -1 }, { "process 999999", 999999, -1, -1 }, { "no such id", 0, -2, -2 },
	};
	int pair[2];
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	for (int i = 0; i < COUNT(each); i++) {
		union { char bytes[CMSG_SPACE(sizeof(struct ucred))]; struct cmsghdr header; } data = { .header = { .cmsg_len = CMSG_LEN(sizeof(struct ucred)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS } };
		struct ucred who = { each[i].pid ? each[i].pid : getpid(), each[i].uid == -1 ? geteuid() : (uid_t)(each[i].uid == -2 ? -1 : each[i].uid), each[i].gid == -1 ? getegid() : (gid_t)(each[i].gid == -2 ? -1 : each[i].gid) };
		struct iovec part = { "x", 1 };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &data, .msg_controllen = sizeof data };
		memcpy(CMSG_DATA(&data.header), &who, sizeof who);
		ASK(each[i].name, sendmsg(pair[0], &message, 0));
	}
	close(pair[0]);
	close(pair[1]);
}

static void all(void)
{
	puts("  kinds");
	kinds();
	puts("  ports");
	ports();
	puts("  options");
	options();
	puts("  interfaces");
	interfaces();
	puts("  netlink");
	netlink();
	puts("  credentials");
	credentials();
}

int main(void)
{
	for (int i = 0; i < COUNT(actors); i++) {
		printf("%s\n", actors[i].name);
		AS(&actors[i], all());
	}
	SHOW(put("/proc/sys/net/ipv4/ip_unprivileged_port_start", "100"));
	for (int i = 1; i < COUNT(actors); i += 2) {
		printf("%s, ports from 100 on\n", actors[i].name);
		AS(&actors[i], ports());
	}
	SHOW(put("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"));
	AS(&actors[2], ports());
	SHOW(put("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024"));
	SHOW(put("/proc/sys/net/ipv4/ip_unprivileged_port_start", "65536"));
	SHOW(put("/proc/sys/net/ipv4/ip_unprivileged_port_start", "-1"));
	SHOW(put("/proc/sys/net/ipv4/ping_group_range", "1000 1000"));
	for (int i = 0; i < 3; i++)
		AS(&actors[i], kinds());
	SHOW(put("/proc/sys/net/ipv4/ping_group_range", "1 0"));
	return 0;
}
