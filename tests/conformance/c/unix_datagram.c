/* Covers: unix datagram and sequenced-packet sockets: boundaries, truncation, names, connected peers, backlog, endings, poll states. */
#include "socket_case.h"

static void receive_with_flags(const char *what, int fd, size_t room, int flags)
{
	char buffer[64] = { 0 };
	struct sockaddr_un from;
	struct iovec v = { buffer, room };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &m, flags | MSG_DONTWAIT);
	if (n < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	printf("%s: %zd \"%s\" flags %#x\n", what, n, buffer, m.msg_flags);
	show_un("  from", 0, &from, m.msg_namelen);
}

static void pair(int type, const char *name)
{
	int s[2], n;
	printf("--- %s\n", name);
	MUST(socketpair(AF_UNIX, type, 0, s));
	show_poll("fresh", s[0]);
	SHOW(send(s[0], "first", 5, 0));
	SHOW(send(s[0], "second one", 10, MSG_EOR));
	SHOW(send(s[0], "", 0, 0));
	SHOW(write(s[0], "third", 5));
	MUST(ioctl(s[1], FIONREAD, &n));
	printf("%d bytes wait\n", n);
	receive_with_flags("peek", s[1], 3, MSG_PEEK);
	receive_with_flags("peek whole length", s[1], 3, MSG_PEEK | MSG_TRUNC);
	receive_with_flags("cut", s[1], 3, 0);
	receive_with_flags("cut, whole length", s[1], 3, MSG_TRUNC);
	receive_with_flags("empty", s[1], 30, 0);
	receive_with_flags("third", s[1], 30, 0);
	receive_with_flags("none", s[1], 30, 0);
	MUST(send(s[0], "to read", 7, 0));
	char data[10] = { 0 };
	SHOW(read(s[1], data, 2));
	receive_with_flags("none", s[1], 30, 0);
	static char large[300000];
	SHOW(send(s[0], large, 212992 - 32, MSG_DONTWAIT));
	SHOW(send(s[0], large, 212992 - 31, MSG_DONTWAIT));
	SHOW(recv(s[1], large, sizeof large, MSG_DONTWAIT));
	SHOW(send(s[0], "x", 1, MSG_OOB));
	SHOW(recv(s[0], data, 1, MSG_OOB));
	SHOW(shutdown(s[0], SHUT_WR));
	show_poll("writer shut", s[0]);
	show_poll("its peer", s[1]);
	receive_with_flags("end", s[1], 10, 0);
	SHOW(send(s[0], "x", 1, 0));
	SHOW(send(s[1], "y", 1, 0));
	SHOW(shutdown(s[0], SHUT_RD));
	SHOW(send(s[1], "z", 1, 0));
	receive_with_flags("left", s[0], 10, 0);
	receive_with_flags("end", s[0], 10, 0);
	close(s[0]);
	show_poll("peer closed", s[1]);
	receive_with_flags("closed", s[1], 10, 0);
	SHOW(send(s[1], "x", 1, 0));
	SHOW(send(s[1], "x", 1, 0));
	show_names("survivor", s[1]);
	close(s[1]);
	MUST(socketpair(AF_UNIX, type, 0, s));
	MUST(send(s[1], "unread", 6, 0));
	close(s[0]);
	show_poll("closed with unread data", s[1]);
	show_error("closed with unread data", s[1]);
	receive_with_flags("closed with unread data", s[1], 10, 0);
	close(s[1]);
}

static void datagrams(void)
{
	int a = (int)MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)), b = (int)MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	int c = (int)MUST(socket(AF_UNIX, SOCK_RAW | SOCK_NONBLOCK, 0));
	puts("--- names");
	SHOW(send(a, "x", 1, 0));
	receive_with_flags("nothing", a, 10, 0);
	SHOW(listen(a, 1));
	SHOW(accept(a, 0, 0));
	SHOW(shutdown(b, 7));
	MUST(BIND(a, "a"));
	SHOW(sendto(b, "hello", 5, 0, (struct sockaddr *)&un_address, un("a")));
	receive_with_flags("from a socket without name", a, 10, 0);
	MUST(BIND(b, "b"));
	SHOW(sendto(b, "hello", 5, 0, (struct sockaddr *)&un_address, un("a")));
	receive_with_flags("from b", a, 10, 0);
	SHOW(sendto(b, "hello", 5, 0, (struct sockaddr *)&un_address, un("none")));
	SHOW(sendto(b, "hello", 5, 0, (struct sockaddr *)&un_address, 2));
	SHOW(sendto(b, "hello", 5, 0, (struct sockaddr *)&un_address, un("@none")));
	int stream = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(BIND(stream, "stream"));
	SHOW(CONNECT(b, "stream"));
	SHOW(CONNECT(stream, "a"));
	SHOW(CONNECT(b, "a"));
	SHOW(CONNECT(b, "a"));
	show_names("b", b);
	SHOW(send(b, "connected", 9, 0));
	MUST(BIND(c, "@c"));
	SHOW(sendto(c, "stranger", 8, 0, (struct sockaddr *)&un_address, un("b")));
	SHOW(CONNECT(c, "b"));
	SHOW(CONNECT(c, "a"));
	SHOW(sendto(c, "to myself", 9, 0, (struct sockaddr *)&un_address, un("@c")));
	receive_with_flags("at a", a, 20, 0);
	SHOW(sendto(a, "back", 4, 0, (struct sockaddr *)&un_address, un("b")));
	receive_with_flags("at b", b, 20, 0);
	puts("--- backlog");
	int sent = 0;
	while (send(b, "x", 1, 0) == 1)
		sent++;
	printf("%d sent, then %s\n", sent, error_name(errno));
	show_poll("full peer", b);
	show_poll("unconnected", a);
	SHOW(sendto(c, "x", 1, 0, (struct sockaddr *)&un_address, un("a")));
	receive_with_flags("one", a, 10, 0);
	show_poll("peer with room", b);
	SHOW(send(b, "x", 1, 0));
	puts("--- the peer goes");
	close(a);
	show_poll("peer gone", b);
	SHOW(send(b, "x", 1, 0));
	SHOW(send(b, "x", 1, 0));
	show_names("b", b);
	SHOW(CONNECT(b, "a"));
	struct sockaddr none = { AF_UNSPEC };
	int d = (int)MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	MUST(BIND(d, "d"));
	SHOW(CONNECT(b, "d"));
	SHOW(CONNECT(d, "b"));
	SHOW(send(d, "waits", 5, 0));
	SHOW(connect(b, &none, sizeof none));
	show_poll("disconnected", b);
	receive_with_flags("dropped", b, 10, 0);
	show_error("its old peer", d);
	SHOW(connect(b, &none, 1));
	SHOW(connect(b, &none, 2));
	SHOW(shutdown(b, SHUT_RD));
	SHOW(send(d, "x", 1, 0));
	close(b), close(c), close(d), close(stream);
}

static void packets(void)
{
	puts("--- sequenced packets");
	int l = (int)MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0)), c = (int)MUST(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0));
	SHOW(send(c, "x", 1, 0));
	receive_with_flags("unconnected", c, 10, 0);
	show_poll("fresh", c);
	MUST(BIND(l, "packets"));
	MUST(listen(l, 4));
	SHOW(CONNECT(c, "packets"));
	int a = (int)MUST(accept(l, 0, 0));
	SHOW(sendto(c, "one", 3, 0, (struct sockaddr *)&un_address, un("ignored")));
	SHOW(send(c, "two", 3, 0));
	receive_with_flags("one", a, 10, 0);
	receive_with_flags("two", a, 2, 0);
	close(c);
	show_poll("closed", a);
	receive_with_flags("end", a, 10, 0);
	SHOW(send(a, "x", 1, 0));
	close(a), close(l);
}

int main(void)
{
	pair(SOCK_DGRAM, "datagram pair");
	pair(SOCK_SEQPACKET, "packet pair");
	datagrams();
	packets();
	return 0;
}
