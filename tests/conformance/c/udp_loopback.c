/* Covers: UDP sockets over loopback, IPv4 and IPv6: binding, connecting, addresses, boundaries, truncation, errors, refused ports, sendmmsg and recvmmsg, ancillary messages, poll states. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/time.h>
#include "socket_case.h"

static int family;

static socklen_t address(struct sockaddr_storage *s, const char *text, int port)
{
	memset(s, 0, sizeof *s);
	s->ss_family = family;
	if (family == AF_INET) {
		struct sockaddr_in *a = (struct sockaddr_in *)s;
		inet_pton(AF_INET, text ? text : "127.0.0.1", &a->sin_addr);
		a->sin_port = htons(port);
		return sizeof *a;
	}
	struct sockaddr_in6 *a = (struct sockaddr_in6 *)s;
	inet_pton(AF_INET6, text ? text : "::1", &a->sin6_addr);
	a->sin6_port = htons(port);
	return sizeof *a;
}

static int port_of(int fd)
{
	struct sockaddr_storage s;
	socklen_t length = sizeof s;
	MUST(getsockname(fd, (struct sockaddr *)&s, &length));
	return ntohs(s.ss_family == AF_INET ? ((struct sockaddr_in *)&s)->sin_port : ((struct sockaddr_in6 *)&s)->sin6_port);
}

static void show(const char *what, int result, struct sockaddr_storage *s, socklen_t length, int known)
{
	char text[INET6_ADDRSTRLEN];
	if (result < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	if (length == 0) {
		printf("%s: nothing\n", what);
		return;
	}
	int port = ntohs(((struct sockaddr_in *)s)->sin_port);
	inet_ntop(s->ss_family, s->ss_family == AF_INET ? (void *)&((struct sockaddr_in *)s)->sin_addr : (void *)&((struct sockaddr_in6 *)s)->sin6_addr,
		  text, sizeof text);
	printf("%s: %d bytes, %s port %s\n", what, (int)length, text, port == 0 ? "none" : port == known ? "known" : "some");
}

static void names(const char *what, int fd, int known)
{
	struct sockaddr_storage s;
	socklen_t length = sizeof s;
	printf("%s\n", what);
	show("  is", getsockname(fd, (struct sockaddr *)&s, &length), &s, length, known);
	length = sizeof s;
	show("  talks to", getpeername(fd, (struct sockaddr *)&s, &length), &s, length, known);
}

#define TO(fd, data, size, text, port) ({ struct sockaddr_storage s_; socklen_t l_ = address(&s_, text, port); \
	sendto(fd, data, size, 0, (struct sockaddr *)&s_, l_); })
#define CONNECT_TO(fd, text, port) ({ struct sockaddr_storage s_; socklen_t l_ = address(&s_, text, port); \
	connect(fd, (struct sockaddr *)&s_, l_); })
#define BIND_TO(fd, text, port) ({ struct sockaddr_storage s_; socklen_t l_ = address(&s_, text, port); \
	bind(fd, (struct sockaddr *)&s_, l_); })

static void datagrams(void)
{
	struct sockaddr_storage s;
	socklen_t length;
	char buffer[100];
	int n;
	int a = (int)MUST(socket(family, SOCK_DGRAM, 0)), b = (int)MUST(socket(family, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP));
	show_poll("fresh", a);
	names("fresh", a, 0);
	SHOW(send(a, "x", 1, 0));
	SHOW(listen(a, 1));
	SHOW(accept(a, 0, 0));
	SHOW(shutdown(a, SHUT_WR));
	SHOW(BIND_TO(a, 0, 0));
	int port = port_of(a);
	CHECK(port >= 1024);
	names("bound", a, port);
	SHOW(BIND_TO(a, 0, 0));
	SHOW(BIND_TO(b, 0, port));
	SHOW(BIND_TO(b, family == AF_INET ? "192.0.2.77" : "2001:db8::77", 0));
	length = address(&s, 0, 0);
	SHOW(bind(b, (struct sockaddr *)&s, 1));
	SHOW(bind(b, (struct sockaddr *)&s, length - 5));
	s.ss_family = AF_UNIX;
	SHOW(bind(b, (struct sockaddr *)&s, length));
	SHOW(connect(b, (struct sockaddr *)&s, length));
	SHOW(sendto(b, "x", 1, 0, (struct sockaddr *)&s, length));
	show_receive("nothing", b, 10, 0);
	SHOW(TO(b, "hello", 5, 0, port));
	SHOW(TO(b, "", 0, 0, port));
	SHOW(TO(b, "third", 5, 0, port));
	SHOW(TO(b, "x", 1, 0, 0));
	int from_port = port_of(b);
	show_poll("with data", a);
	MUST(ioctl(a, FIONREAD, &n));
	printf("%d bytes wait\n", n);
	length = sizeof s;
	n = (int)recvfrom(a, buffer, 3, MSG_PEEK | MSG_TRUNC, (struct sockaddr *)&s, &length);
	printf("%d\n", n);
	show("peeked from", n, &s, length, from_port);
	show_receive("cut", a, 3, 0);
	show_receive("empty", a, 30, 0);
	length = sizeof s;
	n = (int)recvfrom(a, buffer, 30, 0, (struct sockaddr *)&s, &length);
	show("third from", n, &s, length, from_port);
	show_receive("none", a, 30, 0);
	names("sender", b, from_port);
	puts("-- connected");
	SHOW(CONNECT_TO(b, 0, port));
	names("connected", b, port);
	SHOW(send(b, "one", 3, 0));
	SHOW(TO(b, "two", 3, 0, port));
	show_receive("one", a, 30, 0);
	show_receive("two", a, 30, 0);
	int c = (int)MUST(socket(family, SOCK_DGRAM, 0));
	SHOW(TO(c, "stranger", 8, 0, from_port));
	SHOW(TO(a, "friend", 6, 0, from_port));
	show_receive("from the peer only", b, 30, 0);
	show_receive("nothing more", b, 30, 0);
	close(a);
	SHOW(send(b, "to nobody", 9, 0));
	settle_for(20);
	show_poll("refused", b);
	SHOW(send(b, "again", 5, 0));
	SHOW(send(b, "to nobody", 9, 0));
	settle_for(20);
	show_error("refused", b);
	show_receive("no error left", b, 10, 0);
	SHOW(TO(c, "unconnected", 11, 0, port));
	settle_for(20);
	show_poll("unconnected", c);
	struct sockaddr none = { AF_UNSPEC };
	SHOW(connect(b, &none, sizeof none));
	names("disconnected", b, from_port);
	SHOW(send(b, "x", 1, 0));
	close(b), close(c);
	puts("-- sizes");
	a = (int)MUST(socket(family, SOCK_DGRAM, 0)), b = (int)MUST(socket(family, SOCK_DGRAM, 0));
	MUST(BIND_TO(a, 0, 0));
	port = port_of(a);
	static char large[70000];
	SHOW(TO(b, large, 65507, 0, port));
	SHOW(TO(b, large, 65527, 0, port));
	SHOW(TO(b, large, 65528, 0, port));
	SHOW(TO(b, large, 70000, 0, port));
	SHOW(recv(a, large, sizeof large, MSG_DONTWAIT));
	puts("-- several at once");
	CONNECT_TO(b, 0, port);
	while (recv(a, large, sizeof large, MSG_DONTWAIT) >= 0)
		;
	struct iovec v[4] = { { "first", 5 }, { "second", 6 }, { 0, 0 }, { "fourth", 6 } };
	struct mmsghdr m[4] = { 0 };
	for (int i = 0; i < 4; i++)
		m[i].msg_hdr.msg_iov = &v[i], m[i].msg_hdr.msg_iovlen = 1;
	SHOW(sendmmsg(b, m, 4, 0));
	printf("%u %u %u %u\n", m[0].msg_len, m[1].msg_len, m[2].msg_len, m[3].msg_len);
	static char room[4][10];
	for (int i = 0; i < 4; i++)
		v[i].iov_base = room[i], v[i].iov_len = 5 + i / 3;
	struct timespec zero = { 0, 0 }, bad = { 0, -1 };
	SHOW(recvmmsg(a, m, 4, 0, &bad));
	SHOW(recvmmsg(a, m, 3, MSG_WAITFORONE, 0));
	printf("%u %u %u, flags %#x %#x\n", m[0].msg_len, m[1].msg_len, m[2].msg_len, m[0].msg_hdr.msg_flags, m[1].msg_hdr.msg_flags);
	SHOW(recvmmsg(a, m, 4, 0, &zero));
	SHOW(recvmmsg(a, m, 4, MSG_DONTWAIT, 0));
	SHOW(recvmmsg(a, m, 0, 0, 0));
	SHOW(sendmmsg(b, 0, 1, 0));
	puts("-- endings");
	SHOW(shutdown(b, SHUT_WR));
	signal(SIGPIPE, SIG_DFL);
	SHOW(send(b, "x", 1, 0));
	show_poll("writer shut", b);
	SHOW(shutdown(b, SHUT_RD));
	show_poll("both shut", b);
	SHOW(recv(b, large, 10, 0));
	close(a), close(b);
}

static void reuse(void)
{
	puts("-- reuse");
	int a = (int)MUST(socket(family, SOCK_DGRAM, 0)), b = (int)MUST(socket(family, SOCK_DGRAM, 0)), on = 1;
	MUST(setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	MUST(BIND_TO(a, 0, 0));
	SHOW(BIND_TO(b, 0, port_of(a)));
	MUST(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	SHOW(BIND_TO(b, 0, port_of(a)));
	close(a), close(b);
	IN_CHILD(
		MUST(setuid(1000));
		a = (int)MUST(socket(family, SOCK_DGRAM, 0));
		SHOW(BIND_TO(a, 0, 80)));
}

static void ancillary(void)
{
	puts("-- ancillary messages");
	int a = (int)MUST(socket(family, SOCK_DGRAM, 0)), b = (int)MUST(socket(family, SOCK_DGRAM, 0)), on = 1, ttl = 33;
	MUST(BIND_TO(a, 0, 0));
	MUST(CONNECT_TO(b, 0, port_of(a)));
	if (family == AF_INET) {
		SHOW(setsockopt(a, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
		SHOW(setsockopt(a, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
		SHOW(setsockopt(a, IPPROTO_IP, IP_RECVTOS, &on, sizeof on));
		SHOW(setsockopt(b, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl));
		SHOW(setsockopt(b, IPPROTO_IP, IP_TOS, &ttl, sizeof ttl));
	} else {
		SHOW(setsockopt(a, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on));
		SHOW(setsockopt(a, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
		SHOW(setsockopt(a, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on));
		SHOW(setsockopt(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl));
		SHOW(setsockopt(b, IPPROTO_IPV6, IPV6_TCLASS, &ttl, sizeof ttl));
	}
	SHOW(setsockopt(a, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
	MUST(send(b, "x", 1, 0));
	_Alignas(8) char control[500];
	char data[10];
	struct iovec v = { data, 10 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	SHOW(recvmsg(a, &m, 0));
	printf("flags %#x\n", m.msg_flags);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		printf("level %d type %d length %d", c->cmsg_level, c->cmsg_type, (int)c->cmsg_len);
		if (c->cmsg_type == IP_TTL || c->cmsg_type == IPV6_HOPLIMIT)
			printf(" %d", *(int *)CMSG_DATA(c));
		putchar('\n');
	}
	MUST(send(b, "x", 1, 0));
	m.msg_controllen = 20;
	SHOW(recvmsg(a, &m, 0));
	printf("flags %#x, %d bytes\n", m.msg_flags, (int)m.msg_controllen);
	close(a), close(b);
}

static void waiting(void)
{
	puts("-- waiting");
	int a = (int)MUST(socket(family, SOCK_DGRAM, 0)), b = (int)MUST(socket(family, SOCK_DGRAM, 0));
	struct timeval t = { 0, 30000 };
	char buffer[10];
	MUST(BIND_TO(a, 0, 0));
	MUST(CONNECT_TO(b, 0, port_of(a)));
	MUST(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	SHOW(recv(a, buffer, 10, 0));
	pid_t child = fork();
	if (child == 0)
		sleep_ms(20), send(b, "late", 4, 0), _exit(0);
	struct pollfd p = { a, POLLIN, 0 };
	SHOW(poll(&p, 1, 60000));
	SHOW(recv(a, buffer, 10, 0));
	show_end(child);
	close(a), close(b);
}

/* One socket names other destinations each time, and options come between: each datagram goes where it says, from the
 * address that belongs there. And a pipe and a socket tell in /proc which they are.
 */
static void changing_ways(void)
{
	const char *ways[] = { "127.0.0.1", "127.0.0.2", "127.0.0.2", "127.0.0.1", "255.255.255.255", "127.0.0.2" };
	int one = 1, a = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), b = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_storage s;
	char buffer[10], path[64], link[64], wanted[64];
	family = AF_INET;
	MUST(BIND_TO(a, "0.0.0.0", 0));
	for (int i = 0; i < 6; i++) {
		if (i == 2)
			MUST(setsockopt(b, SOL_SOCKET, SO_DONTROUTE, &one, sizeof one));
		if (i == 3)
			MUST(setsockopt(b, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
		socklen_t length = address(&s, ways[i], port_of(a));
		printf("to %s: %d\n", ways[i], (int)sendto(b, "x", 1, 0, (struct sockaddr *)&s, length));
		if (i == 4)
			continue;
		SHOW(recv(a, buffer, 10, MSG_PEEK | MSG_DONTWAIT));
		length = sizeof s;
		SHOW(recvfrom(a, buffer, 10, MSG_DONTWAIT, (struct sockaddr *)&s, &length));
		show("  from", 0, &s, length, port_of(b));
	}
	int ends[2];
	MUST(pipe(ends));
	for (int i = 0; i < 2; i++) {
		struct stat status;
		int fd = i ? ends[0] : a;
		MUST(fstat(fd, &status));
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		ssize_t n = MUST(readlink(path, link, sizeof link - 1));
		link[n] = 0;
		snprintf(wanted, sizeof wanted, "%s:[%lu]", i ? "pipe" : "socket", (unsigned long)status.st_ino);
		printf("%s\n", strcmp(link, wanted) ? link : "named by its inode");
	}
	close(a), close(b), close(ends[0]), close(ends[1]);
}

int main(void)
{
	int families[] = { AF_INET, AF_INET6 };
	for (int i = 0; i < 2; i++) {
		family = families[i];
		printf("--- family %d\n", family);
		datagrams();
		reuse();
		ancillary();
		waiting();
	}
	changing_ways();
	return 0;
}
