/* What the cases of connection tracking share: requests of ctnetlink, and its messages as text without what differs from
 * run to run. */
#ifndef CTNETLINK_CASE_H
#define CTNETLINK_CASE_H
#include "netns_case.h"
#include <stdarg.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#define ORIGINAL CTA_TUPLE_ORIG
#define REPLY CTA_TUPLE_REPLY

static char ct_answer[1 << 16];
static char ct_line[4096];
static size_t ct_length;

/* Write into the line. */
static inline void ct_say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int count = vsnprintf(ct_line + ct_length, sizeof ct_line - ct_length, format, arguments);
	va_end(arguments);
	ct_length = ct_length + count < sizeof ct_line ? ct_length + count : sizeof ct_line - 1;
}

static inline int ct_socket(unsigned groups)
{
	struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	if (fd < 0 || bind(fd, (void *)&me, sizeof me) < 0)
		printf("socket: %s\n", error_name(errno));
	return fd;
}

/* Begin a request; `add` and what follows put attributes into it. */
static inline void ct_start(int kind, int flags, int family)
{
	struct nfgenmsg g = {.nfgen_family = family};
	start(NFNL_SUBSYS_CTNETLINK << 8 | kind, flags, &g, sizeof g);
}

static inline struct rtattr *ct_begin(int kind) { return add(kind | NLA_F_NESTED, NULL, 0); }

static inline void ct_end(struct rtattr *a)
{
	a->rta_len = (char *)&message + NLMSG_ALIGN(message.h.nlmsg_len) - (char *)a;
}

static inline void ct_u8(int kind, unsigned value)
{
	unsigned char v = value;
	add(kind, &v, 1);
}

static inline void ct_u16(int kind, unsigned value)
{
	uint16_t v = htons(value);
	add(kind, &v, 2);
}

static inline void ct_u32(int kind, uint32_t value)
{
	uint32_t v = htonl(value);
	add(kind, &v, 4);
}

static inline void ct_tuple(int kind, const char *source, const char *destination, int protocol, int port, int to)
{
	unsigned char from[16], into[16];
	int is_6 = strchr(source, ':') != NULL, family = is_6 ? AF_INET6 : AF_INET, size = is_6 ? 16 : 4;
	inet_pton(family, source, from);
	inet_pton(family, destination, into);
	struct rtattr *whole = ct_begin(kind), *part = ct_begin(CTA_TUPLE_IP);
	add(is_6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, from, size);
	add(is_6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, into, size);
	ct_end(part);
	part = ct_begin(CTA_TUPLE_PROTO);
	ct_u8(CTA_PROTO_NUM, protocol);
	if (protocol == 1 || protocol == 58) {
		int first = protocol == 1 ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID;
		ct_u16(first, port);
		ct_u8(first + 1, to >> 8);
		ct_u8(first + 2, to & 255);
	} else if (protocol == 6 || protocol == 17) {
		ct_u16(CTA_PROTO_SRC_PORT, port);
		ct_u16(CTA_PROTO_DST_PORT, to);
	}
	ct_end(part);
	ct_end(whole);
}

static inline void ct_show_attributes(const unsigned char *data, int size, int depth, int parent)
{
	while (size >= 4) {
		const struct nlattr *a = (const void *)data;
		int kind = a->nla_type & NLA_TYPE_MASK, length = a->nla_len - 4;
		const unsigned char *value = data + 4;
		if (a->nla_len < 4 || a->nla_len > size) {
			ct_say(" broken");
			return;
		}
		if (a->nla_type & NLA_F_NESTED) {
			ct_say(" %d{", kind);
			ct_show_attributes(value, length, depth + 1, kind);
			ct_say(" }");
		} else if (depth == 0 && kind == CTA_ID) {
			ct_say(" id");
		} else if (depth == 0 && kind == CTA_TIMEOUT) {
			uint32_t seconds;
			memcpy(&seconds, value, 4);
			ct_say(" timeout=%u0", (ntohl(seconds) + 5) / 10);
		} else {
			ct_say(" %d=", kind);
			for (int i = 0; i < length; i++)
				ct_say("%02x", value[i]);
		}
		int whole = NLA_ALIGN(a->nla_len);
		data += whole;
		size -= whole;
	}
	(void)parent;
}

static inline int ct_by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Print the messages that wait, until one ends them; a list in the order of its texts. */
static inline void ct_show(int fd)
{
	char *lines[256];
	int count = 0, is_over = 0;
	while (!is_over) {
		int got = recv(fd, ct_answer, sizeof ct_answer, MSG_DONTWAIT);
		if (got <= 0)
			break;
		for (struct nlmsghdr *h = (void *)ct_answer; NLMSG_OK(h, got) && count < 256; h = NLMSG_NEXT(h, got)) {
			ct_length = 0;
			if (h->nlmsg_type == NLMSG_ERROR) {
				ct_say("  answer %s", *(int *)NLMSG_DATA(h) ? error_name(-*(int *)NLMSG_DATA(h)) : "ok");
				is_over = 1;
			} else if (h->nlmsg_type == NLMSG_DONE) {
				ct_say("  zzz done %d", *(int *)NLMSG_DATA(h));
				is_over = 1;
			} else {
				struct nfgenmsg *g = NLMSG_DATA(h);
				ct_say("  type %#x flags %#x family %d version %d:", h->nlmsg_type, h->nlmsg_flags, g->nfgen_family,
				       g->version);
				ct_show_attributes((unsigned char *)(g + 1), h->nlmsg_len - NLMSG_HDRLEN - 4, 0, 0);
			}
			lines[count++] = strdup(ct_line);
		}
	}
	qsort(lines, count, sizeof *lines, ct_by_text);
	for (int i = 0; i < count; i++) {
		puts(lines[i]);
		free(lines[i]);
	}
	if (!count)
		puts("  nothing");
}

static inline void ct_ask(int fd, const char *what)
{
	printf("%s\n", what);
	if (send(fd, &message, message.h.nlmsg_len, 0) < 0)
		printf("  send: %s\n", error_name(errno));
	ct_show(fd);
}
#endif
