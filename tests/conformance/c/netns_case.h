/* What the cases of network namespaces share: requests of rtnetlink, and what a network shows. */
#ifndef NETNS_CASE_H
#define NETNS_CASE_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include "case.h"

static struct {
	struct nlmsghdr h;
	char data[1000];
} message;

static inline void start(int type, int flags, const void *fixed, size_t size)
{
	memset(&message, 0, sizeof message);
	message.h.nlmsg_len = NLMSG_LENGTH(size);
	message.h.nlmsg_type = type;
	message.h.nlmsg_flags = flags | NLM_F_REQUEST | NLM_F_ACK;
	memcpy(message.data, fixed, size);
}

static inline struct rtattr *add(int type, const void *data, size_t size)
{
	struct rtattr *a = (struct rtattr *)((char *)&message + NLMSG_ALIGN(message.h.nlmsg_len));
	a->rta_type = type;
	a->rta_len = RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(a), data, size);
	message.h.nlmsg_len = NLMSG_ALIGN(message.h.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static inline void add_text(int type, const char *text) { add(type, text, strlen(text) + 1); }
static inline void add_word(int type, unsigned word) { add(type, &word, sizeof word); }
static inline void end_nest(struct rtattr *a)
{
	a->rta_len = (char *)&message + NLMSG_ALIGN(message.h.nlmsg_len) - (char *)a;
}

/* Send the message, and say how it went: 0, or -1 with errno. What it answered is in `answer`. */
static char answer[8192];
static inline int ask(void)
{
	int fd = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	MUST(sendto(fd, &message, message.h.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel));
	int error = 0;
	memset(answer, 0, sizeof answer);
	for (int is_over = 0; !is_over;) {
		char buffer[8192];
		ssize_t got = MUST(recv(fd, buffer, sizeof buffer, 0));
		for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, (unsigned)got); h = NLMSG_NEXT(h, got)) {
			if (h->nlmsg_type == NLMSG_ERROR) {
				error = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
				is_over = 1;
			} else {
				memcpy(answer, h, h->nlmsg_len);
			}
		}
	}
	close(fd);
	errno = error;
	return error ? -1 : 0;
}

static inline void link_header(int type, int flags, int index, unsigned set, unsigned mask)
{
	struct ifinfomsg header = {.ifi_index = index, .ifi_flags = set, .ifi_change = mask};
	start(type, flags, &header, sizeof header);
}

static inline void new_link(int flags, const char *name, const char *kind)
{
	link_header(RTM_NEWLINK, flags, 0, 0, 0);
	if (name)
		add_text(IFLA_IFNAME, name);
	struct rtattr *nest = add(IFLA_LINKINFO, NULL, 0);
	add_text(IFLA_INFO_KIND, kind);
	end_nest(nest);
}

/* A pair; the peer is in the network of a descriptor, if that is not -1. */
static inline int new_pair(const char *name, const char *peer, int network)
{
	struct ifinfomsg header = {0};
	link_header(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	struct rtattr *nest = add(IFLA_LINKINFO, NULL, 0);
	add_text(IFLA_INFO_KIND, "veth");
	struct rtattr *data = add(IFLA_INFO_DATA, NULL, 0);
	struct rtattr *other = add(VETH_INFO_PEER, &header, sizeof header);
	add_text(IFLA_IFNAME, peer);
	if (network >= 0)
		add_word(IFLA_NET_NS_FD, network);
	end_nest(other);
	end_nest(data);
	end_nest(nest);
	return ask();
}

static inline int delete_link(const char *name)
{
	link_header(RTM_DELLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	return ask();
}

static inline int turn(const char *name, int on)
{
	link_header(RTM_NEWLINK, 0, 0, on ? IFF_UP : 0, IFF_UP);
	add_text(IFLA_IFNAME, name);
	return ask();
}

static inline int move(const char *name, int attribute, int value)
{
	link_header(RTM_NEWLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	add_word(attribute, value);
	return ask();
}

static inline int give(const char *name, const char *address, int prefix)
{
	struct ifaddrmsg header = {.ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_index = if_nametoindex(name)};
	struct in_addr where;
	inet_pton(AF_INET, address, &where);
	start(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
	add(IFA_LOCAL, &where, sizeof where);
	add(IFA_ADDRESS, &where, sizeof where);
	return ask();
}

/* Interfaces of this network, by index: flags, and the index of the other end. */
static inline void show_links(const char *when)
{
	printf("%s:", when);
	for (int index = 1; index < 12; index++) {
		link_header(RTM_GETLINK, 0, index, 0, 0);
		if (ask() < 0)
			continue;
		struct nlmsghdr *h = (struct nlmsghdr *)answer;
		struct ifinfomsg *link = NLMSG_DATA(h);
		int left = IFLA_PAYLOAD(h);
		printf(" %d", link->ifi_index);
		for (struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
			if (a->rta_type == IFLA_IFNAME)
				printf(" %s", (char *)RTA_DATA(a));
			else if (a->rta_type == IFLA_LINK)
				printf(" @%d", *(int *)RTA_DATA(a));
			else if (a->rta_type == IFLA_LINK_NETNSID)
				printf(" in %d", *(int *)RTA_DATA(a));
			else if (a->rta_type == IFLA_OPERSTATE)
				printf(" state %d", *(unsigned char *)RTA_DATA(a));
		}
		printf(" flags %#x;", link->ifi_flags);
	}
	printf("\n");
}

static inline int own_network(void) { return (int)MUST(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)); }
#endif
