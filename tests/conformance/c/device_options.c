/* Covers: the options of SOL_SOCKET about devices: SO_BUSY_POLL and its kin, SO_MAX_PACING_RATE, SO_ZEROCOPY, SO_TXTIME, SO_TXREHASH, SO_RCVMARK: who
 * may set them, for which sockets, what accept(2) hands on; the marks that arrive, the pace of TCP, ancillary messages of senders.
 */
#define _GNU_SOURCE
#include <netinet/ip_icmp.h>
#include <netpacket/packet.h>
#include <linux/if_ether.h>
#include "tcp_case.h"

#define BUSY_POLL 46
#define PACING 47
#define NAPI 56
#define ZEROCOPY 60
#define TXTIME 61
#define PREFER 69
#define BUDGET 70
#define TXREHASH 74
#define RCVMARK 75
#define DONTNEED 80
#define FOREVER_MS 20000

static void set(int fd, const char *name, int option, int value)
{
	int now = -77, length = sizeof now;
	long r = setsockopt(fd, SOL_SOCKET, option, &value, sizeof value);
	printf("%s %d: %s", name, value, r < 0 ? error_name(errno) : "ok");
	r = getsockopt(fd, SOL_SOCKET, option, &now, (socklen_t *)&length);
	if (r < 0)
		printf(", %s\n", error_name(errno));
	else
		printf(", %d\n", now);
}
#define SET(fd, option, value) set(fd, #option, option, value)

static void all_of(int fd)
{
	SET(fd, BUSY_POLL, 5);
	SET(fd, BUSY_POLL, -1);
	SET(fd, BUSY_POLL, 70000);
	SET(fd, BUSY_POLL, 3);
	SET(fd, PREFER, 1);
	SET(fd, PREFER, 0);
	SET(fd, PREFER, -5);
	SET(fd, BUDGET, 0);
	SET(fd, BUDGET, 8);
	SET(fd, BUDGET, 65535);
	SET(fd, BUDGET, 65536);
	SET(fd, BUDGET, 7);
	SET(fd, BUDGET, 8);
	SET(fd, BUDGET, -1);
	SET(fd, NAPI, 1);
	SET(fd, ZEROCOPY, 1);
	SET(fd, ZEROCOPY, 2);
	SET(fd, ZEROCOPY, -1);
	SET(fd, ZEROCOPY, 0);
	SET(fd, TXREHASH, 0);
	SET(fd, TXREHASH, -1);
	SET(fd, TXREHASH, 2);
	SET(fd, TXREHASH, -2);
	SET(fd, RCVMARK, 1);
	SET(fd, RCVMARK, 0);
	SET(fd, DONTNEED, 1);
	SET(fd, PACING, 0);
	SET(fd, PACING, 1000);
	SET(fd, PACING, -2);
	SET(fd, PACING, -1);
}

static void kinds(void)
{
	static const struct { const char *name; int family, type, protocol; } sockets[] = {
		{ "tcp", AF_INET, SOCK_STREAM, 0 }, { "tcp6", AF_INET6, SOCK_STREAM, 0 }, { "udp", AF_INET, SOCK_DGRAM, 0 },
		{ "udp6", AF_INET6, SOCK_DGRAM, 0 }, { "raw", AF_INET, SOCK_RAW, IPPROTO_ICMP }, { "unix", AF_UNIX, SOCK_STREAM, 0 },
		{ "unix datagram", AF_UNIX, SOCK_DGRAM, 0 }, { "netlink", AF_NETLINK, SOCK_RAW, 0 }, { "packet", AF_PACKET, SOCK_RAW, 0 },
	};
	for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
		printf("--- %s\n", sockets[i].name);
		int fd = (int)MUST(socket(sockets[i].family, sockets[i].type, sockets[i].protocol));
		all_of(fd);
		close(fd);
	}
	puts("--- of a user");
	IN_CHILD({
		int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
		MUST(setuid(1000));
		all_of(fd);
	});
}

/* ---- Rates ------------------------------------------------------------------------------------------------------- */

static void show_rate(int fd)
{
	unsigned long value[2] = { 0x5a5a5a5a5a5a5a5a, 0x5a5a5a5a5a5a5a5a };
	for (socklen_t room = 0; room <= 16; room += room == 8 ? 8 : room == 3 ? 1 : room == 0 ? 3 : 4) {
		socklen_t length = room;
		memset(value, 'Z', sizeof value);
		MUST(getsockopt(fd, SOL_SOCKET, PACING, value, &length));
		printf(" %d: %lx", (int)length, value[0]);
	}
	putchar('\n');
}

static void rates(void)
{
	static const unsigned long values[] = { 0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x100000000, 0x123456789abcdef,
						0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffffffe, 0xffffffffffffffff };
	puts("--- rates");
	int fd = tcp();
	show_rate(fd);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		for (socklen_t length = 4; length <= 12; length += 4) {
			unsigned long value[2] = { values[i], 0 };
			printf("%lx in %d: %s", values[i], (int)length, setsockopt(fd, SOL_SOCKET, PACING, value, length) ? error_name(errno) : "ok");
			show_rate(fd);
		}
	char *page = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + PAGE, PAGE);
	SHOW(setsockopt(fd, SOL_SOCKET, PACING, page + PAGE - 4, 4));
	SHOW(setsockopt(fd, SOL_SOCKET, PACING, page + PAGE - 4, 7));
	SHOW(setsockopt(fd, SOL_SOCKET, PACING, page + PAGE - 4, 8));
	SHOW(setsockopt(fd, SOL_SOCKET, TXTIME, page + PAGE - 4, 8));
	SHOW(setsockopt(fd, SOL_SOCKET, TXTIME, page + PAGE - 4, 4));
	close(fd);
}

static void show_information(const char *what, int fd)
{
	unsigned long info[32] = { 0 };
	socklen_t length = sizeof info;
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length));
	printf("%s: %lx of %lx\n", what, info[13], info[14]); /* tcpi_pacing_rate, tcpi_max_pacing_rate */
}

static void pace(void)
{
	enum { SIZE = 60000, SEGMENT = 500, RATE = 100000 };
	static char data[SIZE];
	int rate = 1000, segment = SEGMENT, pair[2];
	puts("--- pace");
	int fd = tcp();
	show_information("new", fd);
	MUST(setsockopt(fd, SOL_SOCKET, PACING, &rate, 4));
	show_information("limited", fd);
	close(fd);
	connected(5101, pair);
	MUST(setsockopt(pair[0], SOL_SOCKET, PACING, &rate, 4));
	show_information("connected", pair[0]);
	MUST(write(pair[0], "x", 1));
	MUST(read(pair[1], data, 1));
	show_information("after a byte", pair[0]);
	close(pair[0]);
	close(pair[1]);

	int l = listener(5102, 5);
	rate = RATE;
	MUST(setsockopt(l, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment));
	pair[0] = tcp();
	MUST(setsockopt(pair[0], IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment));
	MUST(setsockopt(pair[0], SOL_SOCKET, PACING, &rate, 4));
	MUST(connect(pair[0], in(5102), sizeof in_address));
	pair[1] = (int)MUST(accept(l, NULL, NULL));
	long start = now_ms();
	IN_CHILD({
		memset(data, 'd', SIZE);
		long done = 0;
		while (done < SIZE)
			done += MUST(write(pair[0], data + done, SIZE - done));
	});
	long got = 0;
	while (got < SIZE)
		got += MUST(read(pair[1], data, SIZE));
	long took = now_ms() - start;
	printf("%ld bytes, in 300 ms or more: %s\n", got, took >= 300 ? "yes" : "no");
	/* A rate that would take hours holds back nothing that was sent before it, and closing does not wait. */
	rate = 1;
	MUST(setsockopt(pair[0], SOL_SOCKET, PACING, &rate, 4));
	close(pair[0]);
	close(pair[1]);
	close(l);
}

/* ---- Accepting ---------------------------------------------------------------------------------------------------- */

static void show_all(int fd)
{
	static const int options[] = { BUSY_POLL, PREFER, ZEROCOPY, TXREHASH, RCVMARK, PACING };
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		int value = -77;
		socklen_t length = sizeof value;
		if (getsockopt(fd, SOL_SOCKET, options[i], &value, &length))
			printf(" %d: %s", options[i], error_name(errno));
		else
			printf(" %d: %d", options[i], value);
	}
	int time[2] = { -1, -1 };
	socklen_t length = sizeof time;
	MUST(getsockopt(fd, SOL_SOCKET, TXTIME, time, &length));
	printf(" time: %d %d\n", time[0], time[1]);
}

static void turn_all(int fd)
{
	static const int options[] = { BUSY_POLL, PREFER, ZEROCOPY, RCVMARK };
	int one = 1, zero = 0, rate = 123456, time[2] = { CLOCK_TAI, 3 };
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		setsockopt(fd, SOL_SOCKET, options[i], &one, 4);
	setsockopt(fd, SOL_SOCKET, TXREHASH, &zero, 4);
	MUST(setsockopt(fd, SOL_SOCKET, PACING, &rate, 4));
	MUST(setsockopt(fd, SOL_SOCKET, TXTIME, time, sizeof time));
}

static void accepting(void)
{
	puts("--- what accept hands on");
	int l = listener(5103, 5), c = tcp();
	turn_all(l);
	show_all(l);
	show_all(c);
	MUST(connect(c, in(5103), sizeof in_address));
	int a = (int)MUST(accept(l, NULL, NULL));
	show_all(a);
	show_information("accepted", a);
	close(a);
	close(c);
	close(l);
	int u = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)), v = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(BIND(u, "@device options"));
	MUST(listen(u, 1));
	turn_all(u);
	MUST(CONNECT(v, "@device options"));
	a = (int)MUST(accept(u, NULL, NULL));
	show_all(u);
	show_all(a);
	close(a);
	close(u);
	close(v);
}

/* ---- Times and marks ---------------------------------------------------------------------------------------------- */

static void times(void)
{
	static const int values[][2] = { { CLOCK_REALTIME, 0 }, { CLOCK_MONOTONIC, 1 }, { CLOCK_TAI, 2 }, { CLOCK_MONOTONIC, 3 }, { CLOCK_MONOTONIC, 4 },
					 { CLOCK_MONOTONIC, -1 }, { CLOCK_PROCESS_CPUTIME_ID, 0 }, { CLOCK_BOOTTIME, 0 }, { -1, 0 }, { 99, 7 } };
	puts("--- times");
	for (int user = 0; user < 2; user++)
		IN_CHILD({
			int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
			if (user)
				MUST(setuid(1000));
			for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
				int now[2];
				socklen_t length = sizeof now;
				printf("%d %d: %s", values[i][0], values[i][1], setsockopt(fd, SOL_SOCKET, TXTIME, values[i], 8) ? error_name(errno) : "ok");
				MUST(getsockopt(fd, SOL_SOCKET, TXTIME, now, &length));
				printf(", %d %d\n", now[0], now[1]);
			}
		});
}

/* Send with one ancillary message of SOL_SOCKET, of as many bytes of `data`. */
static void say(int fd, const char *what, int type, const void *data, size_t length)
{
	char control[128] = { 0 }, byte = 'm';
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(length) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = type;
	header->cmsg_len = CMSG_LEN(length);
	memcpy(CMSG_DATA(header), data, length);
	ssize_t r = sendmsg(fd, &message, MSG_NOSIGNAL);
	printf("%s, %zu bytes: %s\n", what, length, r < 0 ? error_name(errno) : "sent");
}

/* Take a datagram, and print the ancillary messages with it. */
static int hear(int fd, const char *what)
{
	char control[256], data[512];
	struct iovec part = { data, sizeof data };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct pollfd one = { fd, POLLIN, 0 };
	if (poll_for(&one, FOREVER_MS) != 1) {
		printf("%s: nothing\n", what);
		return 0;
	}
	MUST(recvmsg(fd, &message, 0));
	printf("%s:", what);
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
		int value;
		memcpy(&value, CMSG_DATA(header), sizeof value);
		printf(" level %d type %d length %d", header->cmsg_level, header->cmsg_type, (int)header->cmsg_len);
		if (header->cmsg_type == SO_MARK)
			printf(" value %x", value);
	}
	putchar('\n');
	return 1;
}

static int receiver(int family, int port)
{
	int fd = (int)MUST(socket(family, SOCK_DGRAM, 0)), one = 1;
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	MUST(family == AF_INET ? bind(fd, in(port), sizeof in_address) : bind(fd, (struct sockaddr *)&any, sizeof any));
	MUST(setsockopt(fd, SOL_SOCKET, RCVMARK, &one, 4));
	return fd;
}

static void marks_between(int family)
{
	int from = (int)MUST(socket(family, SOCK_DGRAM, 0)), to = receiver(family, 5104), mark = 0x1234567, one = 1;
	struct sockaddr_in6 peer = { .sin6_family = AF_INET6, .sin6_port = htons(5104), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	MUST(family == AF_INET ? connect(from, in(5104), sizeof in_address) : connect(from, (struct sockaddr *)&peer, sizeof peer));
	MUST(send(from, "x", 1, 0));
	hear(to, "no mark");
	MUST(setsockopt(from, SOL_SOCKET, SO_MARK, &mark, 4));
	MUST(send(from, "x", 1, 0));
	hear(to, "marked");
	mark = -2;
	say(from, "SO_MARK", SO_MARK, &mark, 4);
	hear(to, "by message");
	say(from, "SO_MARK", SO_MARK, &mark, 3);
	say(from, "SO_MARK", SO_MARK, &mark, 0);
	MUST(send(from, "x", 1, 0));
	hear(to, "marked again");
	MUST(setsockopt(to, SOL_SOCKET, SO_TIMESTAMP, &one, 4));
	MUST(setsockopt(to, family == AF_INET ? SOL_IP : SOL_IPV6, family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, &one, 4));
	MUST(send(from, "x", 1, 0));
	hear(to, "with time and hops");
	int time[2] = { CLOCK_MONOTONIC, 0 };
	uint64_t when = 1;
	say(from, "SCM_TXTIME", TXTIME, &when, 8);
	MUST(setsockopt(from, SOL_SOCKET, TXTIME, time, 8));
	say(from, "SCM_TXTIME", TXTIME, &when, 4);
	say(from, "SCM_TXTIME", TXTIME, &when, 8);
	hear(to, "with a time");
	say(from, "SO_TIMESTAMPING", SO_TIMESTAMPING, &(int){ 0 }, 4);
	hear(to, "with flags");
	say(from, "SO_TIMESTAMPING", SO_TIMESTAMPING, &(int){ 0 }, 2);
	say(from, "SO_TIMESTAMPING", SO_TIMESTAMPING, &(int){ 1 << 20 }, 4);
	say(from, "SCM_RIGHTS", SCM_RIGHTS, &from, 4);
	hear(to, "with rights");
	say(from, "SCM_CREDENTIALS", SCM_CREDENTIALS, &from, 4);
	hear(to, "with credentials");
	say(from, "SO_PEEK_OFF", SO_PEEK_OFF, &one, 4);
	say(from, "99", 99, &one, 4);
	fflush(stdout);
	IN_CHILD({
		MUST(setuid(1000));
		say(from, "SO_MARK of a user", SO_MARK, &mark, 4);
		say(from, "SO_MARK of a user", SO_MARK, &mark, 3);
		SHOW(setsockopt(to, SOL_SOCKET, RCVMARK, &one, 4));
	});
	close(from);
	close(to);
}

static void stream_messages(void)
{
	int pair[2], mark = 5, time[2] = { CLOCK_MONOTONIC, 0 };
	uint64_t when = 1;
	char data[16];
	puts("--- messages in a stream");
	connected(5105, pair);
	say(pair[0], "SO_MARK", SO_MARK, &mark, 4);
	say(pair[0], "SO_MARK", SO_MARK, &mark, 2);
	say(pair[0], "SCM_TXTIME", TXTIME, &when, 8);
	MUST(setsockopt(pair[0], SOL_SOCKET, TXTIME, time, 8));
	say(pair[0], "SCM_TXTIME", TXTIME, &when, 8);
	say(pair[0], "SCM_TXTIME", TXTIME, &when, 7);
	say(pair[0], "SCM_RIGHTS", SCM_RIGHTS, &mark, 4);
	say(pair[0], "99", 99, &mark, 4);
	IN_CHILD({
		MUST(setuid(1000));
		say(pair[0], "SO_MARK of a user", SO_MARK, &mark, 4);
	});
	shutdown(pair[0], SHUT_WR);
	long got = 0, n;
	while ((n = MUST(read(pair[1], data, sizeof data))) > 0)
		got += n;
	printf("%ld bytes came\n", got);
	close(pair[0]);
	close(pair[1]);
}

static void marks(void)
{
	int mark = 0x77, one = 1;
	puts("--- marks of IPv4");
	marks_between(AF_INET);
	puts("--- marks of IPv6");
	marks_between(AF_INET6);
	puts("--- marks of raw sockets");
	int raw = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	struct icmphdr echo = { .type = ICMP_ECHO, .checksum = htons(0xf7ff) };
	MUST(setsockopt(raw, SOL_SOCKET, SO_MARK, &mark, 4));
	MUST(setsockopt(raw, SOL_SOCKET, RCVMARK, &one, 4));
	MUST(sendto(raw, &echo, sizeof echo, 0, in(0), sizeof in_address));
	hear(raw, "request");
	hear(raw, "reply");
	close(raw);
	puts("--- marks of frames");
	int tap = (int)MUST(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP))), from = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), to = receiver(AF_INET, 5106);
	struct sockaddr_ll device = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex("lo") };
	MUST(bind(tap, (struct sockaddr *)&device, sizeof device));
	MUST(setsockopt(tap, SOL_SOCKET, RCVMARK, &one, 4));
	MUST(setsockopt(from, SOL_SOCKET, SO_MARK, &mark, 4));
	MUST(sendto(from, "x", 1, 0, in(5106), sizeof in_address));
	hear(tap, "datagram");
	close(from);
	close(to);
	from = tcp();
	mark = 0x78;
	MUST(setsockopt(from, SOL_SOCKET, SO_MARK, &mark, 4));
	SHOW(connect(from, in(5107), sizeof in_address));
	hear(tap, "SYN");
	hear(tap, "reset");
	close(from);
	int l = listener(5108, 1);
	MUST(setsockopt(l, SOL_SOCKET, SO_MARK, &mark, 4));
	from = tcp();
	MUST(connect(from, in(5108), sizeof in_address));
	hear(tap, "SYN without");
	hear(tap, "SYN-ACK");
	hear(tap, "ACK");
	int a = (int)MUST(accept(l, NULL, NULL));
	mark = 0x79;
	MUST(setsockopt(from, SOL_SOCKET, SO_MARK, &mark, 4));
	MUST(write(from, "x", 1));
	hear(tap, "data");
	close(a);
	close(from);
	close(l);
	close(tap);
}

/* Write a setting of /proc/sys. */
static void put_setting(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static void settings(void)
{
	puts("--- settings");
	show_file("/proc/sys/net/core/busy_read");
	show_file("/proc/sys/net/core/txrehash");
	put_setting("/proc/sys/net/core/busy_read", "7");
	put_setting("/proc/sys/net/core/txrehash", "0");
	int fd = tcp(), udp = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	show_all(fd);
	show_all(udp);
	SET(fd, TXREHASH, 1);
	SET(fd, TXREHASH, -1);
	put_setting("/proc/sys/net/core/txrehash", "1");
	SET(fd, TXREHASH, -1);
	put_setting("/proc/sys/net/core/busy_read", "0");
	int bad = (int)MUST(open("/proc/sys/net/core/txrehash", O_WRONLY));
	SHOW(write(bad, "2", 1));
	SHOW(write(bad, "-1", 2));
	close(bad);
	close(fd);
	close(udp);
}

int main(void)
{
	loopback_up();
	kinds();
	rates();
	pace();
	accepting();
	times();
	stream_messages();
	marks();
	settings();
	return 0;
}
