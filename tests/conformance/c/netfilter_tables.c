// nf_tables by its messages, in a network of its own: batches that hold and that fail, what is shown of tables, chains,
// rules, sets and objects, and what becomes of packets.
#define _GNU_SOURCE
#include "case.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static char batch[32768];
static int used, sequence, nft;
static int open_places[8], depth, port = 5000;

static void put(const void *data, int size) {
    memcpy(batch + used, data, size);
    used += size;
    while (used & 3)
        batch[used++] = 0;
}

static void attribute(int kind, const void *data, int size) {
    struct nlattr head = {4 + size, kind};
    memcpy(batch + used, &head, 4);
    used += 4;
    put(data, size);
}

static void number(int kind, uint32_t value) { value = htonl(value); attribute(kind, &value, 4); }
static void text(int kind, const char *value) { attribute(kind, value, strlen(value) + 1); }
static void number64(int kind, uint64_t value) {
    uint32_t words[2] = {htonl(value >> 32), htonl(value)};
    attribute(kind, words, 8);
}

static void nest(int kind) {
    struct nlattr head = {0, kind};
    open_places[depth++] = used;
    put(&head, 4);
}

static void end(void) {
    int place = open_places[--depth];
    ((struct nlattr *)(batch + place))->nla_len = used - place;
}

static int message_at;

static void message(int kind, int flags, int family) {
    struct nlmsghdr head = {0, kind, NLM_F_REQUEST | flags, ++sequence, 0};
    struct nfgenmsg generic = {family, NFNETLINK_V0, kind < 256 ? htons(NFNL_SUBSYS_NFTABLES) : 0};
    message_at = used;
    put(&head, sizeof head);
    put(&generic, sizeof generic);
}

static void done(void) { ((struct nlmsghdr *)(batch + message_at))->nlmsg_len = used - message_at; }
static void begin(void) { used = 0; sequence = 0; message(NFNL_MSG_BATCH_BEGIN, 0, 0); done(); }
static void change(int kind, int flags) { message(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, NFPROTO_INET); }

// Print attributes: those that hold others are recognised by their numbers on the way.
static void show(const char *data, int size, int level) {
    while (size >= 4) {
        const struct nlattr *at = (const struct nlattr *)data;
        int length = at->nla_len - 4;
        printf("%*s%d:", 2 * level, "", at->nla_type & 0x3fff);
        for (int i = 0; i < length; i++)
            printf(" %02x", (unsigned char)data[4 + i]);
        printf("\n");
        data += NLA_ALIGN(at->nla_len);
        size -= NLA_ALIGN(at->nla_len);
    }
}

static int answers(void) {
    static char data[65536];
    int count = 0;
    for (;;) {
        int got = recv(nft, data, sizeof data, MSG_DONTWAIT);
        if (got < 0)
            return count;
        for (struct nlmsghdr *at = (struct nlmsghdr *)data; NLMSG_OK(at, got); at = NLMSG_NEXT(at, got)) {
            count++;
            if (at->nlmsg_type == NLMSG_ERROR) {
                struct nlmsgerr *error = NLMSG_DATA(at);
                printf("  message %d: %s", error->msg.nlmsg_seq, error->error ? strerror(-error->error) : "done");
                if (at->nlmsg_flags & NLM_F_ACK_TLVS) {
                    int inner = error->error ? NLMSG_ALIGN(error->msg.nlmsg_len) : sizeof error->msg;
                    char *more = (char *)error + 4 + inner;
                    for (int left = at->nlmsg_len - 20 - inner; left >= 8;) {
                        struct nlattr *told = (struct nlattr *)more;
                        if (told->nla_type == NLMSGERR_ATTR_OFFS)
                            printf(" at %u", *(uint32_t *)(told + 1));
                        left -= NLA_ALIGN(told->nla_len);
                        more += NLA_ALIGN(told->nla_len);
                    }
                }
                printf("\n");
            } else if (at->nlmsg_type == NLMSG_DONE) {
                printf("  end\n");
            } else {
                printf("  type %x flags %x family %d\n", at->nlmsg_type, at->nlmsg_flags,
                       ((struct nfgenmsg *)NLMSG_DATA(at))->nfgen_family);
                show((char *)NLMSG_DATA(at) + 4, at->nlmsg_len - 20, 2);
            }
        }
    }
}

static void commit(const char *what) {
    message(NFNL_MSG_BATCH_END, 0, 0);
    done();
    printf("%s:\n", what);
    if (send(nft, batch, used, 0) < 0)
        printf("  send: %s\n", strerror(errno));
    answers();
}

static void list(const char *what, int kind, const char *table, const char *set) {
    used = 0;
    message(NFNL_SUBSYS_NFTABLES << 8 | kind, NLM_F_DUMP, NFPROTO_INET);
    if (table)
        text(1, table);
    if (set)
        text(2, set);
    done();
    printf("%s:\n", what);
    send(nft, batch, used, 0);
    answers();
}

static void table(int flags) { change(NFT_MSG_NEWTABLE, flags); text(NFTA_TABLE_NAME, "t"); done(); }

static void chain(const char *name, int hook, int policy) {
    change(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    text(NFTA_CHAIN_TABLE, "t");
    text(NFTA_CHAIN_NAME, name);
    if (hook >= 0) {
        nest(NFTA_CHAIN_HOOK);
        number(NFTA_HOOK_HOOKNUM, hook);
        number(NFTA_HOOK_PRIORITY, 0);
        end();
        number(NFTA_CHAIN_POLICY, policy);
        text(NFTA_CHAIN_TYPE, "filter");
    }
    done();
}

static void rule(const char *name, int flags) {
    change(NFT_MSG_NEWRULE, flags);
    text(NFTA_RULE_TABLE, "t");
    text(NFTA_RULE_CHAIN, name);
    nest(NFTA_RULE_EXPRESSIONS);
}

static void rule_end(void) { end(); done(); }
static void expression(const char *name) { nest(NFTA_LIST_ELEM); text(NFTA_EXPR_NAME, name); nest(NFTA_EXPR_DATA); }
static void expression_end(void) { end(); end(); }
static void value(int kind, const void *data, int size) { nest(kind); attribute(NFTA_DATA_VALUE, data, size); end(); }

static void meta(int key) {
    expression("meta");
    number(NFTA_META_KEY, key);
    number(NFTA_META_DREG, NFT_REG_1);
    expression_end();
}

static void compare(const void *data, int size) {
    expression("cmp");
    number(NFTA_CMP_SREG, NFT_REG_1);
    number(NFTA_CMP_OP, NFT_CMP_EQ);
    value(NFTA_CMP_DATA, data, size);
    expression_end();
}

static void payload(int base, int offset, int size) {
    expression("payload");
    number(NFTA_PAYLOAD_DREG, NFT_REG_1);
    number(NFTA_PAYLOAD_BASE, base);
    number(NFTA_PAYLOAD_OFFSET, offset);
    number(NFTA_PAYLOAD_LEN, size);
    expression_end();
}

static void to_port(int protocol, int port) {
    unsigned char number_of = protocol;
    uint16_t wanted = htons(port);
    meta(NFT_META_L4PROTO);
    compare(&number_of, 1);
    payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
    compare(&wanted, 2);
}

static void counter(void) { expression("counter"); expression_end(); }

static void verdict_data(int kind, int code, const char *name) {
    nest(kind);
    nest(NFTA_DATA_VERDICT);
    number(NFTA_VERDICT_CODE, code);
    if (name)
        text(NFTA_VERDICT_CHAIN, name);
    end();
    end();
}

static void decide(int code, const char *name) {
    expression("immediate");
    number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    verdict_data(NFTA_IMMEDIATE_DATA, code, name);
    expression_end();
}

static void reject(int kind, int code) {
    unsigned char byte = code;
    expression("reject");
    number(NFTA_REJECT_TYPE, kind);
    if (kind != NFT_REJECT_TCP_RST)
        attribute(NFTA_REJECT_ICMP_CODE, &byte, 1);
    expression_end();
}

static void set(const char *name, int flags, int size, int number_of) {
    change(NFT_MSG_NEWSET, NLM_F_CREATE);
    text(NFTA_SET_TABLE, "t");
    text(NFTA_SET_NAME, name);
    number(NFTA_SET_FLAGS, flags);
    number(NFTA_SET_KEY_TYPE, 13);
    number(NFTA_SET_KEY_LEN, size);
    if (flags & NFT_SET_MAP) {
        number(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
        number(NFTA_SET_DATA_LEN, 16);
    }
    number(NFTA_SET_ID, number_of);
    done();
}

static void elements(const char *name, int kind, int flags) {
    change(kind, flags);
    text(NFTA_SET_ELEM_LIST_TABLE, "t");
    text(NFTA_SET_ELEM_LIST_SET, name);
    nest(NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void element(const void *key, int size, int flags) {
    nest(NFTA_LIST_ELEM);
    value(NFTA_SET_ELEM_KEY, key, size);
    if (flags)
        number(NFTA_SET_ELEM_FLAGS, flags);
    end();
}

static void address_element(const char *address, int flags) {
    uint32_t key = inet_addr(address);
    element(&key, 4, flags);
}

static void lookup(const char *name) {
    expression("lookup");
    text(NFTA_LOOKUP_SET, name);
    number(NFTA_LOOKUP_SREG, NFT_REG_1);
    expression_end();
}

// Whether a word, shifted, is another one: if so the datagram is dropped.
static void shifted(int operation, uint32_t shift, uint32_t word, uint32_t result) {
    rule("in", NLM_F_CREATE | NLM_F_APPEND);
    to_port(IPPROTO_UDP, port);
    expression("immediate"); number(NFTA_IMMEDIATE_DREG, NFT_REG_1); value(NFTA_IMMEDIATE_DATA, &word, 4); expression_end();
    expression("bitwise");
    number(NFTA_BITWISE_SREG, NFT_REG_1); number(NFTA_BITWISE_DREG, NFT_REG_1); number(NFTA_BITWISE_LEN, 4);
    number(NFTA_BITWISE_OP, operation); value(NFTA_BITWISE_DATA, &shift, 4);
    expression_end();
    compare(&result, 4);
    decide(NF_DROP, 0);
    rule_end();
}

// ---- Packets ----

static int receiver;

static void try_datagram(const char *to, int target) {
    struct sockaddr_in there = {AF_INET, htons(target), {inet_addr(to)}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    connect(fd, (struct sockaddr *)&there, sizeof there);
    int sent = send(fd, "hello", 5, 0);
    printf("  to %s %d: %s", to, target, sent < 0 ? strerror(errno) : "sent");
    struct pollfd wait = {receiver, POLLIN, 0};
    char data[16];
    if (poll_for(&wait, 100) > 0 && recv(receiver, data, sizeof data, 0) == 5)
        printf(", received");
    wait.fd = fd;
    if (poll(&wait, 1, 0) > 0 && recv(fd, data, sizeof data, 0) < 0)
        printf(", then %s", strerror(errno));
    printf("\n");
    close(fd);
}

static void try_connection(int target) {
    struct sockaddr_in there = {AF_INET, htons(target), {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
    socklen_t size = sizeof error;
    connect(fd, (struct sockaddr *)&there, sizeof there);
    struct pollfd wait = {fd, POLLOUT, 0};
    int ready = poll_for(&wait, 300);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    printf("  connection to %d: %s\n", target, ready == 0 ? "silence" : error ? strerror(error) : "made");
    close(fd);
}

static void lo_up(void) {
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
}

int main(void) {
    int on = 1;
    if (unshare(CLONE_NEWNET) < 0)
        return printf("unshare: %s\n", strerror(errno));
    lo_up();
    nft = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
    setsockopt(nft, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    struct sockaddr_in here = {AF_INET, htons(port), {htonl(INADDR_ANY)}};
    receiver = socket(AF_INET, SOCK_DGRAM, 0);
    bind(receiver, (struct sockaddr *)&here, sizeof here);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&here, sizeof here);
    listen(listener, 8);

    begin(); table(NLM_F_CREATE | NLM_F_ACK); chain("in", NF_INET_LOCAL_IN, NF_ACCEPT); chain("side", -1, 0); commit("a table");
    list("chains", NFT_MSG_GETCHAIN, "t", 0);
    begin(); table(NLM_F_CREATE | NLM_F_EXCL); chain("in", NF_INET_FORWARD, NF_DROP); commit("what exists");

    begin();
    rule("in", NLM_F_CREATE | NLM_F_APPEND); to_port(IPPROTO_UDP, port); counter(); decide(NF_DROP, 0); rule_end();
    rule("in", NLM_F_CREATE | NLM_F_APPEND); to_port(IPPROTO_TCP, port); decide(NFT_JUMP, "side"); rule_end();
    commit("rules");
    list("rules", NFT_MSG_GETRULE, "t", 0);
    try_datagram("127.0.0.1", port);
    try_connection(port);

    begin();
    rule("in", NLM_F_CREATE); decide(NF_ACCEPT, 0); rule_end();
    rule("nowhere", NLM_F_CREATE); decide(NF_ACCEPT, 0); rule_end();
    rule("in", 0); decide(NF_ACCEPT, 0); rule_end();
    commit("a batch that fails");
    try_datagram("127.0.0.1", port);

    begin(); rule("side", NLM_F_CREATE); reject(NFT_REJECT_TCP_RST, 0); rule_end(); commit("reset");
    try_connection(port);
    begin(); rule("in", NLM_F_CREATE); to_port(IPPROTO_UDP, port); reject(NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_PORT_UNREACH); rule_end(); commit("unreachable");
    try_datagram("127.0.0.1", port);

    begin(); rule("side", NLM_F_CREATE); decide(NFT_JUMP, "in"); rule_end(); commit("a jump to a base chain");
    begin(); change(NFT_MSG_DELCHAIN, 0); text(NFTA_CHAIN_TABLE, "t"); text(NFTA_CHAIN_NAME, "side"); done(); commit("a chain in use");

    begin(); change(NFT_MSG_DELRULE, 0); text(NFTA_RULE_TABLE, "t"); done();
    set("s", NFT_SET_INTERVAL, 4, 1);
    elements("s", NFT_MSG_NEWSETELEM, NLM_F_CREATE);
    address_element("127.0.0.2", 0); address_element("127.0.0.4", NFT_SET_ELEM_INTERVAL_END); end(); done();
    rule("in", NLM_F_CREATE); payload(NFT_PAYLOAD_NETWORK_HEADER, 16, 4); lookup("s"); counter(); decide(NF_DROP, 0); rule_end();
    commit("intervals");
    try_datagram("127.0.0.1", port); try_datagram("127.0.0.2", port); try_datagram("127.0.0.3", port); try_datagram("127.0.0.4", port);
    list("elements", NFT_MSG_GETSETELEM, "t", "s");
    list("counted", NFT_MSG_GETRULE, "t", 0);
    list("sets", NFT_MSG_GETSET, "t", 0);
    begin(); elements("s", NFT_MSG_NEWSETELEM, NLM_F_CREATE);
    address_element("127.0.0.3", 0); address_element("127.0.0.9", NFT_SET_ELEM_INTERVAL_END); end(); done(); commit("an overlap");
    begin(); elements("s", NFT_MSG_DELSETELEM, 0); address_element("127.0.0.7", 0); end(); done(); commit("an element that is not there");
    begin(); change(NFT_MSG_DELSET, 0); text(NFTA_SET_TABLE, "t"); text(NFTA_SET_NAME, "s"); done(); commit("a set in use");

    begin(); change(NFT_MSG_NEWOBJ, NLM_F_CREATE); text(NFTA_OBJ_TABLE, "t"); text(NFTA_OBJ_NAME, "n");
    number(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER); nest(NFTA_OBJ_DATA); end(); done();
    rule("in", NLM_F_CREATE); expression("objref"); number(NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER); text(NFTA_OBJREF_IMM_NAME, "n"); expression_end(); rule_end();
    rule("in", NLM_F_CREATE); expression("limit"); number64(NFTA_LIMIT_RATE, 10); number64(NFTA_LIMIT_UNIT, 60); number(NFTA_LIMIT_BURST, 7); expression_end(); rule_end();
    commit("an object");
    list("objects", NFT_MSG_GETOBJ, "t", 0);
    list("rules", NFT_MSG_GETRULE, "t", 0);

    begin(); rule("side", NLM_F_CREATE); decide(NFT_JUMP, "side"); rule_end(); commit("a circle");
    begin(); chain("out", NF_INET_LOCAL_OUT, NF_ACCEPT); rule("out", NLM_F_CREATE); to_port(IPPROTO_UDP, port); decide(NF_DROP, 0); rule_end(); commit("output");
    try_datagram("127.0.0.1", port);

    static const struct { int operation; uint32_t shift, word, result; } shifts[] = {
        {NFT_BITWISE_RSHIFT, 0, 0xffffffff, 0xffffffff}, {NFT_BITWISE_RSHIFT, 1, 0xffffffff, 0x7fffffff},
        {NFT_BITWISE_RSHIFT, 31, 0x80000001, 1}, {NFT_BITWISE_LSHIFT, 0, 0xfffffffe, 0xfffffffe},
        {NFT_BITWISE_LSHIFT, 31, 0xffffffff, 0x80000000}, {NFT_BITWISE_LSHIFT, 32, 1, 0}, {NFT_BITWISE_RSHIFT, 1, 2, 2},
    };
    for (unsigned i = 0; i < sizeof shifts / sizeof *shifts; i++) {
        begin(); change(NFT_MSG_DELRULE, 0); text(NFTA_RULE_TABLE, "t"); done();
        shifted(shifts[i].operation, shifts[i].shift, shifts[i].word, shifts[i].result);
        commit("a shift");
        try_datagram("127.0.0.1", port);
    }

    begin(); change(NFT_MSG_DELTABLE, 0); text(NFTA_TABLE_NAME, "t"); done(); change(NFT_MSG_DELTABLE, 0); text(NFTA_TABLE_NAME, "t"); done(); commit("twice");
    begin(); rule("in", NLM_F_CREATE); expression("nonsense"); expression_end(); rule_end(); commit("an expression that there is not");
    begin(); change(NFT_MSG_DELTABLE, 0); text(NFTA_TABLE_NAME, "t"); done(); commit("delete");
    list("tables", NFT_MSG_GETTABLE, 0, 0);
    try_datagram("127.0.0.1", port);
    return 0;
}
