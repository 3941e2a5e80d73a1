/* ctnetlink: a program makes, lists, changes and ends connections in a network of its own, and hears of them. */
#include "ctnetlink_case.h"

#define CREATE (NLM_F_CREATE | NLM_F_EXCL)

static void make(int fd, const char *what, const char *a, const char *b, int protocol, int port, int to, int back,
		 int back_to, int timeout, int mark, int state)
{
	ct_start(IPCTNL_MSG_CT_NEW, CREATE, strchr(a, ':') ? AF_INET6 : AF_INET);
	ct_tuple(ORIGINAL, a, b, protocol, port, to);
	ct_tuple(REPLY, b, a, protocol, back, back_to);
	if (timeout)
		ct_u32(CTA_TIMEOUT, timeout);
	if (mark)
		ct_u32(CTA_MARK, mark);
	if (state) {
		struct rtattr *whole = ct_begin(CTA_PROTOINFO), *tcp = ct_begin(CTA_PROTOINFO_TCP);
		ct_u8(CTA_PROTOINFO_TCP_STATE, state);
		ct_end(tcp);
		ct_end(whole);
	}
	ct_ask(fd, what);
}

static void list(int fd, const char *what, int family, int kind, uint32_t value, int kind2, uint32_t value2)
{
	ct_start(IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
	message.h.nlmsg_flags &= ~NLM_F_ACK;
	if (kind)
		ct_u32(kind, value);
	if (kind2)
		ct_u32(kind2, value2);
	ct_ask(fd, what);
}

static void one(int fd, const char *what, int kind, int flags, const char *a, const char *b, int protocol, int port,
		int to, int tuple, int extra, uint32_t value, int extra2, uint32_t value2)
{
	ct_start(kind, flags, strchr(a, ':') ? AF_INET6 : AF_INET);
	ct_tuple(tuple, a, b, protocol, port, to);
	if (extra)
		ct_u32(extra, value);
	if (extra2)
		ct_u32(extra2, value2);
	ct_ask(fd, what);
}

static void bare(int fd, const char *what, int kind, int flags, int family)
{
	ct_start(kind, flags, family);
	ct_ask(fd, what);
}

int main(void)
{
	static const char *A = "10.1.0.1", *B = "10.2.0.2", *A6 = "fd00::1", *B6 = "fd00::2";
	if (unshare(CLONE_NEWNET) < 0)
		return printf("unshare: %s\n", error_name(errno));
	int fd = ct_socket(0), news = ct_socket(1), changes = ct_socket(2), ends = ct_socket(4);

	make(fd, "udp", A, B, 17, 1000, 53, 53, 1000, 100, 0, 0);
	make(fd, "udp again", A, B, 17, 1000, 53, 53, 1000, 100, 0, 0);
	make(fd, "its answers again", A, B, 17, 1000, 54, 53, 1000, 100, 0, 0);
	make(fd, "without a timeout", A, B, 17, 1001, 53, 53, 1001, 0, 0, 0);
	make(fd, "udp, translated, marked", A, B, 17, 1002, 53, 53, 2002, 100, 0x17, 0);
	make(fd, "tcp", A, B, 6, 1000, 80, 80, 1000, 1000, 0x18, 3);
	make(fd, "tcp of no state", A, B, 6, 1001, 80, 80, 1001, 1000, 0, 99);
	make(fd, "icmp", A, B, 1, 77, 8 << 8, 77, 0, 100, 0, 0);
	make(fd, "icmp6", A6, B6, 58, 78, 128 << 8, 78, 129 << 8, 100, 0, 0);
	make(fd, "udp6", A6, B6, 17, 1000, 53, 53, 1000, 100, 0x27, 0);
	make(fd, "another protocol", A, B, 99, 0, 0, 0, 0, 100, 0, 0);
	puts("heard of new ones");
	ct_show(news);

	list(fd, "all", AF_UNSPEC, 0, 0, 0, 0);
	list(fd, "of IPv6", AF_INET6, 0, 0, 0, 0);
	list(fd, "of no family", AF_UNIX, 0, 0, 0, 0);
	list(fd, "marked 0x17", AF_UNSPEC, CTA_MARK, 0x17, 0, 0);
	list(fd, "marked 0x10/0xf0", AF_UNSPEC, CTA_MARK, 0x10, CTA_MARK_MASK, 0xf0);
	list(fd, "assured", AF_UNSPEC, CTA_STATUS, 4, 0, 0);
	list(fd, "not confirmed", AF_UNSPEC, CTA_STATUS, 0, CTA_STATUS_MASK, 8);
	list(fd, "no mask", AF_UNSPEC, CTA_STATUS, 0, CTA_STATUS_MASK, 0);

	one(fd, "get by the question", IPCTNL_MSG_CT_GET, 0, A, B, 17, 1002, 53, ORIGINAL, 0, 0, 0, 0);
	one(fd, "get by the answer", IPCTNL_MSG_CT_GET, 0, B, A, 17, 53, 2002, REPLY, 0, 0, 0, 0);
	one(fd, "get another", IPCTNL_MSG_CT_GET, 0, A, B, 17, 1003, 53, ORIGINAL, 0, 0, 0, 0);
	bare(fd, "get nothing", IPCTNL_MSG_CT_GET, 0, AF_INET);
	one(fd, "of another zone", IPCTNL_MSG_CT_GET, 0, A, B, 17, 1002, 53, ORIGINAL, 0, 0, 0, 0);

	one(fd, "timeout", IPCTNL_MSG_CT_NEW, 0, A, B, 17, 1000, 53, ORIGINAL, CTA_TIMEOUT, 500, 0, 0);
	one(fd, "mark", IPCTNL_MSG_CT_NEW, 0, A, B, 17, 1000, 53, ORIGINAL, CTA_MARK, 0xff, 0, 0);
	one(fd, "mark by mask", IPCTNL_MSG_CT_NEW, 0, A, B, 17, 1000, 53, ORIGINAL, CTA_MARK, 0x100, CTA_MARK_MASK, 0xf0f);
	one(fd, "assured", IPCTNL_MSG_CT_NEW, 0, A, B, 17, 1000, 53, ORIGINAL, CTA_STATUS, 0x8 | 0x4 | 0x2, 0, 0);
	one(fd, "no longer", IPCTNL_MSG_CT_NEW, 0, A, B, 17, 1000, 53, ORIGINAL, CTA_STATUS, 0x8 | 0x2, 0, 0);
	one(fd, "dying", IPCTNL_MSG_CT_NEW, 0, A, B, 17, 1000, 53, ORIGINAL, CTA_STATUS, 0x200 | 0xe, 0, 0);
	one(fd, "change another", IPCTNL_MSG_CT_NEW, 0, A, B, 17, 1003, 53, ORIGINAL, CTA_MARK, 1, 0, 0);
	one(fd, "make one that is there", IPCTNL_MSG_CT_NEW, CREATE, A, B, 17, 1000, 53, ORIGINAL, CTA_MARK, 1, 0, 0);
	one(fd, "what it is now", IPCTNL_MSG_CT_GET, 0, A, B, 17, 1000, 53, ORIGINAL, 0, 0, 0, 0);
	puts("heard of changes");
	ct_show(changes);

	one(fd, "end another", IPCTNL_MSG_CT_DELETE, 0, A, B, 17, 1003, 53, ORIGINAL, 0, 0, 0, 0);
	one(fd, "end one of another number", IPCTNL_MSG_CT_DELETE, 0, A, B, 17, 1000, 53, ORIGINAL, CTA_ID, 7, 0, 0);
	one(fd, "end one", IPCTNL_MSG_CT_DELETE, 0, A, B, 17, 1000, 53, ORIGINAL, 0, 0, 0, 0);
	one(fd, "end it again", IPCTNL_MSG_CT_DELETE, 0, A, B, 17, 1000, 53, ORIGINAL, 0, 0, 0, 0);
	puts("heard of ends");
	ct_show(ends);
	bare(fd, "statistics", IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC);
	bare(fd, "dying ones", IPCTNL_MSG_CT_GET_DYING, NLM_F_DUMP, AF_UNSPEC);
	bare(fd, "not yet confirmed ones", IPCTNL_MSG_CT_GET_UNCONFIRMED, NLM_F_DUMP, AF_UNSPEC);
	bare(fd, "dying ones without a list", IPCTNL_MSG_CT_GET_DYING, 0, AF_UNSPEC);
	bare(fd, "no message", 77, 0, AF_UNSPEC);
	bare(fd, "end all", IPCTNL_MSG_CT_DELETE, 0, AF_UNSPEC);
	puts("heard of ends");
	ct_show(ends);
	list(fd, "all", AF_UNSPEC, 0, 0, 0, 0);

	int file = open("/proc/net/nf_conntrack", O_RDONLY);
	make(fd, "udp", A, B, 17, 1000, 53, 53, 1000, 100000, 0x11, 0);
	make(fd, "tcp", A6, B6, 6, 1000, 80, 80, 1000, 100000, 0, 3);
	char text[4096], *lines[8];
	ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
	text[got < 0 ? 0 : got] = 0;
	puts("as text");
	int count = 0;
	for (char *line = strtok(text, "\n"); line && count < 8; line = strtok(NULL, "\n"))
		lines[count++] = line;
	qsort(lines, count, sizeof *lines, ct_by_text);
	for (int i = 0; i < count; i++) {
		/* How many seconds are left depends on when one looks. */
		char *time = strstr(lines[i], " 100000 ");
		if (!time)
			time = strstr(lines[i], " 99999 ");
		if (time)
			printf("%.*s time%s\n", (int)(time - lines[i]), lines[i], strchr(time + 1, ' '));
		else
			puts(lines[i]);
	}
	struct stat about;
	printf("mode %o\n", fstat(file, &about) ? 0 : about.st_mode);
	if (setresuid(1000, 1000, 1000) == 0)
		printf("somebody else opens it: %s\n", open("/proc/net/nf_conntrack", O_RDONLY) < 0 ? error_name(errno) : "ok");
	int other = ct_socket(0);
	list(other, "somebody else lists", AF_UNSPEC, 0, 0, 0, 0);
	return 0;
}
