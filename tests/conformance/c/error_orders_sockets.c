/*
 * Calls about sockets with several bad arguments at once: which error wins.
 */
#define BRIEF
#include "orders_case.h"
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static char *edge; /* the end of memory: a page that is not there follows */

struct kind {
	const char *name;
	int fd, family;
};
static struct kind kinds[24];
static int kind_count;

static void add(const char *name, int fd, int family)
{
	kinds[kind_count].name = name;
	kinds[kind_count].family = family;
	kinds[kind_count++].fd = fd;
}

static void open_kinds(void)
{
	static const struct {
		const char *name;
		int family, type;
	} made[] = { { "stream", AF_UNIX, SOCK_STREAM }, { "datagrams", AF_UNIX, SOCK_DGRAM }, { "packets", AF_UNIX, SOCK_SEQPACKET },
		{ "tcp", AF_INET, SOCK_STREAM }, { "udp", AF_INET, SOCK_DGRAM }, { "tcp6", AF_INET6, SOCK_STREAM },
		{ "udp6", AF_INET6, SOCK_DGRAM }, { "netlink", AF_NETLINK, SOCK_RAW } };
	int pair[2];
	for (unsigned i = 0; i < sizeof made / sizeof *made; i++)
		add(made[i].name, (int)MUST(socket(made[i].family, made[i].type | SOCK_NONBLOCK, 0)), made[i].family);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	add("connected", pair[0], AF_UNIX);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair));
	add("paired", pair[0], AF_UNIX);
	int f = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	MUST(listen(f, 1));
	add("listening", f, AF_INET);
	f = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct sockaddr_un here = { AF_UNIX, "" };
	memcpy(here.sun_path, "\0listener", 9);
	MUST(bind(f, (struct sockaddr *)&here, 11));
	MUST(listen(f, 1));
	add("listening here", f, AF_UNIX);
	add("file", (int)MUST(open("/dev/null", O_RDWR)), 0);
	add("path", (int)MUST(open("/dev/null", O_PATH)), 0);
	add("closed", 999, 0);
	add("negative", -1, 0);
}

static void names(int f, int family)
{
	struct sockaddr_storage a;
	int length = -1, short_length = 1, zero = 0, fine = 128;
	memset(&a, 0, sizeof a);
	C(bind, f, BAD, -1);
	C(bind, f, BAD, 129);
	C(bind, f, BAD, 16);
	C(bind, f, BAD, 0);
	C(bind, f, KERNEL, 16);
	C(connect, f, BAD, -1);
	C(connect, f, BAD, 129);
	C(connect, f, BAD, 16);
	C(connect, f, BAD, 0);
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_UNSPEC, 99 };
	static const int lengths[] = { 1, 2, 3, 7, 8, 12, 15, 16, 17, 24, 28, 110, 111, 128 };
	for (int i = 0; i < 6; i++) {
		if (families[i] == family)
			continue;
		a.ss_family = (sa_family_t)families[i];
		((struct sockaddr_in *)&a)->sin_addr.s_addr = 0xffffffff;
		for (int j = 0; j < 14; j++) {
			char before[100];
			memcpy(before, where, sizeof before);
			in("%.60sfamily %d, length %d: ", before, families[i], lengths[j]);
			if (families[i] != AF_UNSPEC)
				C(bind, f, &a, lengths[j]);
			if (families[i] != AF_UNSPEC)
				C(connect, f, &a, lengths[j]);
			C(sendto, f, BAD, 1L, 0x4040, &a, lengths[j]);
			memcpy(where, before, sizeof before);
		}
	}
	a.ss_family = (sa_family_t)family;
	for (int j = 0; j < 4; j++) {
		char before[100];
		memcpy(before, where, sizeof before);
		in("%.60slength %d: ", before, lengths[j]);
		if (family == AF_INET || family == AF_INET6) {
			C(bind, f, &a, lengths[j]);
			C(connect, f, &a, lengths[j]);
		}
		memcpy(where, before, sizeof before);
	}
	C(getsockname, f, BAD, BAD);
	C(getsockname, f, BAD, &length);
	C(getsockname, f, BAD, &fine);
	C(getsockname, f, BAD, &zero);
	C(getsockname, f, KERNEL, &short_length);
	C(getpeername, f, BAD, BAD);
	C(getpeername, f, BAD, &length);
	fine = 128;
	C(getpeername, f, BAD, &fine);
	zero = 0;
	C(getpeername, f, BAD, &zero);
	C(accept, f, BAD, BAD);
	C(accept, f, BAD, 0L);
	C(accept4, f, BAD, BAD, 0x1000);
	C(accept4, f, BAD, &length, 0x800);
	C(accept4, f, 0L, BAD, 0);
	C(shutdown, f, 3);
	C(shutdown, f, -1);
	if (kinds[0].fd != f)
		C(listen, f, -1);
}

static void messages(int f)
{
	struct msghdr m;
	char byte[8] = { 0 };
	struct iovec wrong[2] = { { KERNEL, 1 }, { 0, -1UL } }, far = { KERNEL, 1 }, bad = { BAD, 1 }, fine = { byte, 1 }, none = { 0, 0 };
	struct timespec late = { 0, -1 };
	struct { size_t length; int level, type; int values[4]; } control;
	int name_length = -1;
	C(sendto, f, BAD, 1L, 0, BAD, 16);
	C(sendto, f, BAD, 1L, 0, BAD, -1);
	C(sendto, f, BAD, 1L, 0x4000, BAD, 129);
	C(sendto, f, KERNEL, 1L, 0x4000, BAD, 129);
	C(sendto, f, KERNEL, -1L, 0x4000, BAD, 129);
	C(sendto, f, BAD, -1L, 0x4000, BAD, 129);
	C(sendto, f, BAD, 1L, 0x4000, 0L, 129);
	C(sendto, f, BAD, 1L, 0x4001, 0L, 0);
	C(sendto, f, byte, 0L, 0x4001, 0L, 0);
	C(sendto, f, byte, 1L, 0x4001, 0L, 0);
	C(sendto, f, BAD, 1L << 20, 0x4000, 0L, 0);
	C(recvfrom, f, BAD, 1L, 0x40, BAD, BAD);
	C(recvfrom, f, KERNEL, 1L, 0x40, BAD, BAD);
	C(recvfrom, f, KERNEL, -1L, 0x40, BAD, BAD);
	C(recvfrom, f, BAD, -1L, 0x40, BAD, &name_length);
	C(recvfrom, f, byte, 1L, 0x40 | 1, BAD, BAD);
	C(recvfrom, f, byte, 0L, 0x40 | 1, BAD, BAD);
	C(recvfrom, f, BAD, 1L, 0x2040, BAD, BAD);
	C(recvfrom, f, byte, 0L, 0x2040, 0L, BAD);
	C(sendmsg, f, BAD, 0x80000000);
	C(sendmsg, f, KERNEL, 0);
	C(recvmsg, f, BAD, 0x80000000);
	C(recvmsg, f, KERNEL, 0);
	C(sendmmsg, f, BAD, 1, 0x80000000);
	C(sendmmsg, f, BAD, 0, 0x80000000);
	C(sendmmsg, f, KERNEL, 1, 0);
	C(sendmmsg, f, BAD, -1, 0);
	C(recvmmsg, f, BAD, 1, 0x80000000, BAD);
	C(recvmmsg, f, BAD, 0, 0, BAD);
	C(recvmmsg, f, BAD, 1, 0, &late);
	C(recvmmsg, f, BAD, 1, 0x40, 0L);
	C(recvmmsg, f, BAD, -1, 0x40, 0L);
	C(recvmmsg, f, KERNEL, 1, 0x40, 0L);
	for (int i = 0; i < 14; i++) {
		char before[100];
		memset(&m, 0, sizeof m);
		memset(&control, 0, sizeof control);
		m.msg_iov = &fine;
		m.msg_iovlen = 1;
		switch (i) {
		case 0: m.msg_iovlen = 1025; m.msg_iov = BAD; break;
		case 1: m.msg_iov = BAD; m.msg_name = BAD; m.msg_namelen = 16; break;
		case 2: m.msg_iov = BAD; m.msg_name = BAD; m.msg_namelen = (socklen_t)-1; break;
		case 3: m.msg_iov = wrong; m.msg_iovlen = 2; break;
		case 4: m.msg_iov = &far; m.msg_name = BAD; m.msg_namelen = 200; break;
		case 5: m.msg_iov = &bad; m.msg_control = BAD; m.msg_controllen = 16; break;
		case 6: m.msg_iov = &bad; m.msg_control = &control; m.msg_controllen = 15; break;
		case 7: m.msg_iov = wrong; m.msg_iovlen = 2; m.msg_control = BAD; m.msg_controllen = 1 << 30; break;
		case 8: m.msg_control = BAD; m.msg_controllen = 1 << 30; m.msg_iov = &bad; break;
		case 9: m.msg_control = &control; m.msg_controllen = 20; control.length = 99; m.msg_iov = &bad; break;
		case 10: m.msg_control = &control; m.msg_controllen = 20; control.length = 20; control.level = 1; control.type = 1;
			control.values[0] = 999; m.msg_iov = &bad; break;
		case 11: m.msg_control = &control; m.msg_controllen = 20; control.length = 20; control.level = 1; control.type = 99; break;
		case 12: m.msg_control = &control; m.msg_controllen = 20; control.length = 20; control.level = 0; control.type = 99; break;
		case 13: m.msg_iov = &none; m.msg_name = 0; m.msg_namelen = (socklen_t)-1; m.msg_control = BAD; break;
		}
		memcpy(before, where, sizeof before);
		in("%.60sheader %d: ", before, i);
		C(sendmsg, f, &m, 0x4040);
		C(sendmsg, f, &m, 0x4041);
		C(recvmsg, f, &m, 0x40);
		C(recvmsg, f, &m, 0x2040);
		C(recvmsg, f, &m, 0x41);
		memcpy(where, before, sizeof before);
	}
}

static void options(int f)
{
	/* Not SO_MAX_PACING_RATE: nothing paces here. */
	static const int levels[] = { 0, 1, 6, 17, 41, -1 };
	static const int numbers[] = { 0, 1, 2, 4, 7, 8, 13, 15, 20, 25, 28, 36, 59, 9999 };
	int length, value = 1;
	for (int i = 0; i < 6; i++)
		for (int j = 0; j < 14; j++) {
			char before[100];
			int l = levels[i], n = numbers[j];
			memcpy(before, where, sizeof before);
			in("%.60slevel %d, option %d: ", before, l, n);
			C(setsockopt, f, l, n, BAD, -1);
			C(setsockopt, f, l, n, BAD, 0);
			C(setsockopt, f, l, n, BAD, 1);
			C(setsockopt, f, l, n, BAD, 4);
			C(setsockopt, f, l, n, KERNEL, 64);
			C(setsockopt, f, l, n, edge - 4, 64);
			C(getsockopt, f, l, n, BAD, BAD);
			length = -1;
			C(getsockopt, f, l, n, BAD, &length);
			length = 0;
			C(getsockopt, f, l, n, BAD, &length);
			length = 4;
			C(getsockopt, f, l, n, BAD, &length);
			length = 3;
			C(getsockopt, f, l, n, &value, &length);
			printf("length %d\n", length);
			memcpy(where, before, sizeof before);
		}
}

static void make(void)
{
	/* Not SOCK_PACKET, an older way to packet sockets, and MPTCP (protocol 262) only where it is refused. */
	static const int families[] = { -1, 0, 1, 2, 10, 16, 17, 46 }, types[] = { -1, 0, 1, 2, 3, 4, 5, 6, 11, 0x101 },
		protocols[] = { -1, 0, 1, 6, 17, 58, 256, 262, 263 };
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < 10; j++)
			for (int k = 0; k < 9; k++) {
				if (types[j] == SOCK_STREAM && protocols[k] == 262)
					continue;
				in("family %d, type %#x, protocol %d: ", families[i], types[j], protocols[k]);
				int f = (int)C(socket, families[i], types[j], protocols[k]);
				if (f >= 0)
					close(f);
				if (k < 3)
					C(socketpair, families[i], types[j], protocols[k], BAD);
			}
}

static void all(void)
{
	make();
	open_kinds();
	for (int i = 0; i < kind_count; i++) {
		in("%s: ", kinds[i].name);
		names(kinds[i].fd, kinds[i].family);
		messages(kinds[i].fd);
		if (i == 0 || i == 3 || i == 4 || (i >= 6 && i < 8) || i == 12 || i == 14)
			options(kinds[i].fd);
	}
}

int main(void)
{
	edge = (char *)MUST(mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) + PAGE;
	MUST(munmap(edge, PAGE));
	MUST(signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0);
	IN_CHILD({ all(); });
	return 0;
}
