// Generic netlink: what the controller says of itself and of families that nobody has, and of bad requests.
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ask(int fd, int kind, int flags, int command, int size, int attribute, const void *value, int length) {
    struct { struct nlmsghdr header; struct genlmsghdr generic; char rest[64]; } message = {0};
    static char answer[8192];
    message.header.nlmsg_type = kind;
    message.header.nlmsg_flags = NLM_F_REQUEST | flags;
    message.header.nlmsg_seq = 7;
    message.generic.cmd = command;
    message.generic.version = 1;
    int total = NLMSG_HDRLEN + size;
    if (attribute) {
        struct nlattr *at = (struct nlattr *)message.rest;
        at->nla_len = 4 + length;
        at->nla_type = attribute;
        memcpy(at + 1, value, length);
        total += NLA_ALIGN(4 + length);
    }
    message.header.nlmsg_len = total;
    send(fd, &message, total, 0);
    int got = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
    if (got < 0)
        return printf("nothing: %s\n", strerror(errno));
    struct nlmsghdr *header = (struct nlmsghdr *)answer;
    printf("type %d, sequence %d", header->nlmsg_type, header->nlmsg_seq);
    if (header->nlmsg_type == NLMSG_ERROR)
        return printf(", error %d\n", *(int *)NLMSG_DATA(header));
    struct genlmsghdr *generic = NLMSG_DATA(header);
    printf(", command %d, version %d\n", generic->cmd, generic->version);
    int offset = NLMSG_HDRLEN + GENL_HDRLEN;
    while (offset + 4 <= (int)header->nlmsg_len) {
        struct nlattr *at = (struct nlattr *)(answer + offset);
        char *data = (char *)(at + 1);
        if (at->nla_type == CTRL_ATTR_FAMILY_NAME)
            printf("  name %s\n", data);
        else if (at->nla_type == CTRL_ATTR_FAMILY_ID)
            printf("  number %d, %d bytes\n", *(uint16_t *)data, at->nla_len);
        else if (at->nla_type >= CTRL_ATTR_VERSION && at->nla_type <= CTRL_ATTR_MAXATTR)
            printf("  attribute %d: %u\n", at->nla_type, *(uint32_t *)data);
        else if (at->nla_type == CTRL_ATTR_MCAST_GROUPS)
            printf("  group %u %s, %d bytes\n", *(uint32_t *)(data + 8), data + 16, at->nla_len);
        offset += NLA_ALIGN(at->nla_len);
    }
    return 0;
}

int main(void) {
    uint16_t number = GENL_ID_CTRL, none = 0x7777;
    int group = 16, fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
    printf("socket: %s\n", fd < 0 ? strerror(errno) : "made");
    ask(fd, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, GENL_HDRLEN, CTRL_ATTR_FAMILY_NAME, "nlctrl", 7);
    ask(fd, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, GENL_HDRLEN, CTRL_ATTR_FAMILY_ID, &number, 2);
    ask(fd, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, GENL_HDRLEN, CTRL_ATTR_FAMILY_ID, &none, 2);
    ask(fd, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, GENL_HDRLEN, CTRL_ATTR_FAMILY_NAME, "nobody", 7);
    ask(fd, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, GENL_HDRLEN, 0, 0, 0);
    ask(fd, GENL_ID_CTRL, 0, 99, GENL_HDRLEN, 0, 0, 0);
    ask(fd, GENL_ID_CTRL, 0, 0, 0, 0, 0, 0);
    ask(fd, 0x7777, 0, 3, GENL_HDRLEN, 0, 0, 0);
    printf("join: %d\n", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    close(fd);
    return 0;
}
