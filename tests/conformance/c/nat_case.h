/* What the cases of NAT share: batches of nf_tables, and a client, a router and a server in networks of their own, joined
 * by veth. */
#ifndef NAT_CASE_H
#define NAT_CASE_H
#include "ctnetlink_case.h"
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <net/route.h>
#include <poll.h>

/* ---- Batches of nf_tables ---- */

static char batch[16384];
static inline int used, sequence, nft, places[8], depth, message_at, n_family = NFPROTO_IPV4;

static inline void n_put(const void *data, int size)
{
	memcpy(batch + used, data, size);
	used += size;
	while (used & 3)
		batch[used++] = 0;
}

static inline void n_add(int kind, const void *data, int size)
{
	struct nlattr head = {4 + size, kind};
	n_put(&head, 4);
	n_put(data, size);
}

static inline void n_number(int kind, uint32_t value)
{
	value = htonl(value);
	n_add(kind, &value, 4);
}

static inline void n_text(int kind, const char *value) { n_add(kind, value, strlen(value) + 1); }

static inline void n_nest(int kind)
{
	struct nlattr head = {0, kind | NLA_F_NESTED};
	places[depth++] = used;
	n_put(&head, 4);
}

static inline void n_end(void)
{
	int place = places[--depth];
	((struct nlattr *)(batch + place))->nla_len = used - place;
}

static inline void n_message(int kind, int flags)
{
	struct nlmsghdr head = {0, kind, NLM_F_REQUEST | flags, ++sequence, 0};
	int is_batch = kind == NFNL_MSG_BATCH_BEGIN || kind == NFNL_MSG_BATCH_END;
	struct nfgenmsg generic = {is_batch ? 0 : n_family, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)};
	if (!is_batch)
		generic.res_id = 0;
	message_at = used;
	n_put(&head, sizeof head);
	n_put(&generic, sizeof generic);
}

static inline void n_done(void) { ((struct nlmsghdr *)(batch + message_at))->nlmsg_len = used - message_at; }

static inline void n_change(int kind, int flags) { n_message(NFNL_SUBSYS_NFTABLES << 8 | kind, flags); }

static inline void n_begin(void)
{
	used = 0;
	sequence = 0;
	n_message(NFNL_MSG_BATCH_BEGIN, 0);
	n_done();
}

static inline void n_commit(const char *what)
{
	static char data[8192];
	n_message(NFNL_MSG_BATCH_END, 0);
	n_done();
	MUST(send(nft, batch, used, 0));
	printf("%s:", what);
	for (int got; (got = recv(nft, data, sizeof data, MSG_DONTWAIT)) > 0;)
		for (struct nlmsghdr *h = (void *)data; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got))
			if (h->nlmsg_type == NLMSG_ERROR) {
				struct nlmsgerr *error = NLMSG_DATA(h);
				printf(" message %d %s", error->msg.nlmsg_seq, error->error ? error_name(-error->error) : "ok");
			}
	printf(" end\n");
}

static inline void n_table(void)
{
	n_change(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK);
	n_text(NFTA_TABLE_NAME, "t");
	n_done();
}

static inline void n_chain(const char *name, const char *type, int hook, int priority, int policy)
{
	n_change(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	n_text(NFTA_CHAIN_TABLE, "t");
	n_text(NFTA_CHAIN_NAME, name);
	n_nest(NFTA_CHAIN_HOOK);
	n_number(NFTA_HOOK_HOOKNUM, hook);
	n_number(NFTA_HOOK_PRIORITY, priority);
	n_end();
	n_number(NFTA_CHAIN_POLICY, policy);
	n_text(NFTA_CHAIN_TYPE, type);
	n_done();
}

static inline void n_rule(const char *chain)
{
	n_change(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	n_text(NFTA_RULE_TABLE, "t");
	n_text(NFTA_RULE_CHAIN, chain);
	n_nest(NFTA_RULE_EXPRESSIONS);
}

static inline void n_rule_end(void)
{
	n_end();
	n_done();
}

static inline void n_expression(const char *name)
{
	n_nest(NFTA_LIST_ELEM);
	n_text(NFTA_EXPR_NAME, name);
	n_nest(NFTA_EXPR_DATA);
}

static inline void n_expression_end(void)
{
	n_end();
	n_end();
}

static inline void n_value(int kind, const void *data, int size)
{
	n_nest(kind);
	n_add(NFTA_DATA_VALUE, data, size);
	n_end();
}

static inline void n_compare(int operation, const void *data, int size)
{
	n_expression("cmp");
	n_number(NFTA_CMP_SREG, NFT_REG_1);
	n_number(NFTA_CMP_OP, operation);
	n_value(NFTA_CMP_DATA, data, size);
	n_expression_end();
}

static inline void n_meta(int key)
{
	n_expression("meta");
	n_number(NFTA_META_KEY, key);
	n_number(NFTA_META_DREG, NFT_REG_1);
	n_expression_end();
}

static inline void n_interface(int key, const char *name)
{
	char whole[16] = "";
	strcpy(whole, name);
	n_meta(key);
	n_compare(NFT_CMP_EQ, whole, sizeof whole);
}

static inline void n_port(int protocol, int port)
{
	unsigned char number = protocol;
	uint16_t wanted = htons(port);
	n_meta(NFT_META_L4PROTO);
	n_compare(NFT_CMP_EQ, &number, 1);
	n_expression("payload");
	n_number(NFTA_PAYLOAD_DREG, NFT_REG_1);
	n_number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
	n_number(NFTA_PAYLOAD_OFFSET, 2);
	n_number(NFTA_PAYLOAD_LEN, 2);
	n_expression_end();
	n_compare(NFT_CMP_EQ, &wanted, 2);
}

static inline void n_state(uint32_t bits)
{
	uint32_t zero = 0;
	n_expression("ct");
	n_number(NFTA_CT_KEY, NFT_CT_STATE);
	n_number(NFTA_CT_DREG, NFT_REG_1);
	n_expression_end();
	n_expression("bitwise");
	n_number(NFTA_BITWISE_SREG, NFT_REG_1);
	n_number(NFTA_BITWISE_DREG, NFT_REG_1);
	n_number(NFTA_BITWISE_LEN, 4);
	n_value(NFTA_BITWISE_MASK, &bits, 4);
	n_value(NFTA_BITWISE_XOR, &zero, 4);
	n_expression_end();
	n_compare(NFT_CMP_NEQ, &zero, 4);
}

static inline void n_load(int where, const void *data, int size)
{
	n_expression("immediate");
	n_number(NFTA_IMMEDIATE_DREG, where);
	n_value(NFTA_IMMEDIATE_DATA, data, size);
	n_expression_end();
}

static inline void n_decide(int code)
{
	n_expression("immediate");
	n_number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	n_nest(NFTA_IMMEDIATE_DATA);
	n_nest(NFTA_DATA_VERDICT);
	n_number(NFTA_VERDICT_CODE, code);
	n_end();
	n_end();
	n_expression_end();
}

/* snat or dnat to addresses from `first` to `last`, and to a port if it is not 0. */
static inline void n_to(int kind, const char *first, const char *last, int port)
{
	unsigned char from[16], to[16];
	uint16_t number = htons(port);
	int is_6 = strchr(first, ':') != NULL, family = is_6 ? AF_INET6 : AF_INET, size = is_6 ? 16 : 4;
	inet_pton(family, first, from);
	inet_pton(family, last, to);
	n_load(NFT_REG_1, from, size);
	n_load(NFT_REG_2, to, size);
	if (port)
		n_load(NFT_REG_3, &number, 2);
	n_expression("nat");
	n_number(NFTA_NAT_TYPE, kind);
	n_number(NFTA_NAT_FAMILY, family);
	n_number(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
	n_number(NFTA_NAT_REG_ADDR_MAX, NFT_REG_2);
	if (port)
		n_number(NFTA_NAT_REG_PROTO_MIN, NFT_REG_3);
	n_expression_end();
}

static inline void n_redirect(int port)
{
	uint16_t number = htons(port);
	n_load(NFT_REG_1, &number, 2);
	n_expression("redir");
	n_number(NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
	n_expression_end();
}

/* With 0 for `first`, ports are not given. */
static inline void n_masquerade(int first, int last, int flags)
{
	uint16_t low = htons(first), high = htons(last);
	if (first) {
		n_load(NFT_REG_1, &low, 2);
		n_load(NFT_REG_2, &high, 2);
	}
	n_expression("masq");
	if (flags)
		n_number(NFTA_MASQ_FLAGS, flags);
	if (first) {
		n_number(NFTA_MASQ_REG_PROTO_MIN, NFT_REG_1);
		n_number(NFTA_MASQ_REG_PROTO_MAX, NFT_REG_2);
	}
	n_expression_end();
}

/* ---- Networks ---- */

static inline int client, router, server;

static inline void inside(int network) { MUST(setns(network, CLONE_NEWNET)); }

static inline void set(const char *name, const char *value)
{
	int fd = (int)MUST(open(name, O_WRONLY));
	MUST(write(fd, value, strlen(value)));
	close(fd);
}

static inline struct sockaddr_in address(const char *where, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, where, &a.sin_addr);
	return a;
}

static inline void route(const char *to, const char *mask, const char *gateway)
{
	struct rtentry r = {.rt_flags = RTF_UP | RTF_GATEWAY};
	struct sockaddr_in a = address(to, 0), m = address(mask, 0), g = address(gateway, 0);
	memcpy(&r.rt_dst, &a, sizeof a);
	memcpy(&r.rt_genmask, &m, sizeof m);
	memcpy(&r.rt_gateway, &g, sizeof g);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(ioctl(fd, SIOCADDRT, &r));
	close(fd);
}

static inline void network(void)
{
	MUST(unshare(CLONE_NEWNET));
	client = own_network();
	MUST(unshare(CLONE_NEWNET));
	server = own_network();
	MUST(unshare(CLONE_NEWNET));
	router = own_network();
	MUST(new_pair("inner", "c0", client));
	MUST(new_pair("outer", "s0", server));
	MUST(give("inner", "10.1.0.1", 24));
	MUST(give("outer", "10.2.0.1", 24));
	MUST(turn("inner", 1));
	MUST(turn("outer", 1));
	MUST(turn("lo", 1));
	set("/proc/sys/net/ipv4/ip_forward", "1");
	nft = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
	inside(client);
	MUST(give("c0", "10.1.0.2", 24));
	MUST(give("c0", "10.1.0.3", 24));
	MUST(turn("c0", 1));
	MUST(turn("lo", 1));
	route("0.0.0.0", "0.0.0.0", "10.1.0.1");
	inside(server);
	MUST(give("s0", "10.2.0.2", 24));
	MUST(give("s0", "10.2.0.3", 24));
	MUST(give("s0", "10.2.0.4", 24));
	MUST(turn("s0", 1));
	MUST(turn("lo", 1));
}

static inline void give6(const char *name, const char *where)
{
	struct ifaddrmsg header = {.ifa_family = AF_INET6, .ifa_prefixlen = 64, .ifa_flags = IFA_F_NODAD};
	struct in6_addr a;
	header.ifa_index = if_nametoindex(name);
	inet_pton(AF_INET6, where, &a);
	start(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
	add(IFA_ADDRESS, &a, sizeof a);
	MUST(ask());
}

static inline void route6(const char *gateway)
{
	struct rtmsg header = {.rtm_family = AF_INET6, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
			       .rtm_type = RTN_UNICAST};
	struct in6_addr a;
	inet_pton(AF_INET6, gateway, &a);
	start(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
	add(RTA_GATEWAY, &a, sizeof a);
	MUST(ask());
}

/* ---- Packets ---- */

static inline int open_at(int network, int type, const char *where, int port)
{
	struct sockaddr_in a = address(where, port);
	int on = 1;
	inside(network);
	int fd = (int)MUST(socket(AF_INET, type, 0));
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	MUST(bind(fd, (struct sockaddr *)&a, sizeof a));
	if (type == SOCK_STREAM)
		MUST(listen(fd, 8));
	return fd;
}

static inline int comes(int fd, int milliseconds)
{
	struct pollfd wait = {fd, POLLIN, 0};
	return poll_for(&wait, milliseconds) > 0;
}

static inline void say(const char *what, const struct sockaddr_in *a, int with_port)
{
	printf(", %s %s", what, inet_ntoa(a->sin_addr));
	if (with_port)
		printf(":%d", ntohs(a->sin_port));
}

static char sent[100000], received[100000];

/* Send all of `sent`; 1 if it arrives. */
static inline int transfer(int from, int to)
{
	if (fork() == 0) {
		for (size_t done = 0; done < sizeof sent;)
			done += (size_t)MUST(send(from, sent + done, sizeof sent - done, 0));
		_exit(0);
	}
	size_t done = 0;
	memset(received, 0, sizeof received);
	while (done < sizeof received && comes(to, 60000)) {
		ssize_t got = recv(to, received + done, sizeof received - done, 0);
		if (got <= 0)
			break;
		done += got;
	}
	wait(NULL);
	return done == sizeof sent && memcmp(sent, received, sizeof sent) == 0;
}

#endif
