/* Covers: TCP sockets over loopback, IPv4 and IPv6: binding, listening, connecting, non-blocking connect, shutdown, resets, options, MSG_PEEK, MSG_WAITALL, urgent data, sendfile, poll states. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include "socket_case.h"

static int family;

static socklen_t address(struct sockaddr_storage *s, int port)
{
	memset(s, 0, sizeof *s);
	s->ss_family = family;
	((struct sockaddr_in *)s)->sin_port = htons(port);
	if (family == AF_INET) {
		((struct sockaddr_in *)s)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(struct sockaddr_in);
	}
	((struct sockaddr_in6 *)s)->sin6_addr = in6addr_loopback;
	return sizeof(struct sockaddr_in6);
}

static int port_of(int fd)
{
	struct sockaddr_storage s;
	socklen_t length = sizeof s;
	MUST(getsockname(fd, (struct sockaddr *)&s, &length));
	return ntohs(((struct sockaddr_in *)&s)->sin_port);
}

#define CONNECT_TO(fd, port) ({ struct sockaddr_storage s_; socklen_t l_ = address(&s_, port); connect(fd, (struct sockaddr *)&s_, l_); })
#define BIND_TO(fd, port) ({ struct sockaddr_storage s_; socklen_t l_ = address(&s_, port); bind(fd, (struct sockaddr *)&s_, l_); })

static int listener(int backlog)
{
	int l = (int)MUST(socket(family, SOCK_STREAM, 0));
	MUST(BIND_TO(l, 0));
	MUST(listen(l, backlog));
	return l;
}

static void pair(int s[2])
{
	int l = listener(5);
	s[0] = (int)MUST(socket(family, SOCK_STREAM, 0));
	MUST(CONNECT_TO(s[0], port_of(l)));
	s[1] = (int)MUST(accept(l, 0, 0));
	close(l);
}

static void settle(void) { settle_for(30); }

static void opening(void)
{
	puts("-- opening");
	int l = (int)MUST(socket(family, SOCK_STREAM, 0)), c = (int)MUST(socket(family, SOCK_STREAM, IPPROTO_TCP));
	char buffer[20];
	show_poll("fresh", l);
	SHOW(recv(c, buffer, 10, 0));
	SHOW(send(c, "x", 1, MSG_NOSIGNAL));
	SHOW(shutdown(c, SHUT_RDWR));
	SHOW(accept(c, 0, 0));
	struct sockaddr_storage s;
	socklen_t length = sizeof s;
	SHOW(getpeername(c, (struct sockaddr *)&s, &length));
	SHOW(BIND_TO(l, 0));
	SHOW(BIND_TO(l, 0));
	int port = port_of(l);
	SHOW(BIND_TO(c, port));
	SHOW(CONNECT_TO(c, port));
	show_error("refused", c);
	SHOW(listen(l, 2));
	show_poll("listening", l);
	SHOW(recv(l, buffer, 10, 0));
	SHOW(send(l, "x", 1, MSG_NOSIGNAL));
	SHOW(CONNECT_TO(l, port));
	close(c);
	c = (int)MUST(socket(family, SOCK_STREAM, 0));
	SHOW(CONNECT_TO(c, port));
	SHOW(CONNECT_TO(c, port));
	show_poll("connected", c);
	show_poll("to be accepted", l);
	SHOW(BIND_TO(c, 0));
	SHOW(listen(c, 1));
	int a = (int)MUST(accept4(l, (struct sockaddr *)&s, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
	printf("%d bytes, port %s, flags %#x, cloexec %d\n", (int)length, ntohs(((struct sockaddr_in *)&s)->sin_port) == port_of(c) ? "as it should be" : "wrong",
	       fcntl(a, F_GETFL), fcntl(a, F_GETFD));
	CHECK(port_of(a) == port);
	SHOW(recv(a, buffer, 10, 0));
	close(a), close(c);
	fcntl(l, F_SETFL, O_NONBLOCK);
	SHOW(accept(l, 0, 0));
	c = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int result = CONNECT_TO(c, port);
	printf("non-blocking: %s\n", result == 0 || errno == EINPROGRESS ? "as it should be" : error_name(errno));
	settle();
	show_poll("connected now", c);
	show_error("connected now", c);
	close(l);
	settle();
	show_poll("listener gone", c);
	show_receive("listener gone", c, 10, 0);
	close(c);
	c = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	result = CONNECT_TO(c, port);
	printf("refused: %s\n", errno == EINPROGRESS || errno == ECONNREFUSED ? "as it should be" : error_name(errno));
	settle();
	show_poll("refused", c);
	close(c);
	/* The time that a connection lingers does not hinder a new listener with SO_REUSEADDR. */
	int on = 1, p[2];
	l = listener(5), port = port_of(l);
	p[0] = (int)MUST(socket(family, SOCK_STREAM, 0));
	MUST(CONNECT_TO(p[0], port));
	p[1] = (int)MUST(accept(l, 0, 0));
	close(l), close(p[1]), settle(), close(p[0]);
	l = (int)MUST(socket(family, SOCK_STREAM, 0));
	SHOW(BIND_TO(l, port));
	MUST(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	SHOW(BIND_TO(l, port));
	SHOW(listen(l, 1));
	close(l);
}

static void data(void)
{
	puts("-- data");
	int s[2], n;
	char buffer[100] = { 0 };
	pair(s);
	SHOW(send(s[0], "hello ", 6, 0));
	SHOW(send(s[0], "world", 5, MSG_MORE));
	settle();
	show_receive("peek", s[1], 3, MSG_PEEK);
	MUST(send(s[0], "!", 1, 0));
	settle();
	MUST(ioctl(s[1], FIONREAD, &n));
	printf("%d bytes wait\n", n);
	show_poll("with data", s[1]);
	SHOW(recv(s[1], buffer, 4, MSG_TRUNC));
	show_receive("rest", s[1], 80, 0);
	show_receive("none", s[1], 80, 0);
	SHOW(send(s[0], "", 0, 0));
	SHOW(recv(s[1], buffer, 0, MSG_DONTWAIT));
	struct sockaddr_storage a;
	socklen_t length = sizeof a;
	MUST(send(s[0], "x", 1, 0));
	SHOW(recvfrom(s[1], buffer, 10, 0, (struct sockaddr *)&a, &length));
	printf("address of %d bytes\n", (int)length);
	length = address(&a, 1);
	SHOW(sendto(s[0], "y", 1, 0, (struct sockaddr *)&a, length));
	show_receive("the address does not matter", s[1], 10, 0);
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 5; i++)
			sleep_ms(5), write(s[0], "0123456789" + 2 * i, 2);
		_exit(0);
	}
	SHOW(recv(s[1], buffer, 10, MSG_WAITALL));
	printf("%.10s\n", buffer);
	show_end(child);
	put_file("file", "the contents of a file", 0600);
	int file = (int)MUST(open("file", O_RDONLY));
	off_t offset = 4;
	SHOW(sendfile(s[0], file, &offset, 100));
	settle();
	show_receive("file", s[1], 80, 0);
	int p[2];
	MUST(pipe(p));
	MUST(write(p[1], "piped", 5));
	SHOW(splice(p[0], 0, s[0], 0, 100, 0));
	settle();
	SHOW(splice(s[1], 0, p[1], 0, 100, 0));
	SHOW(read(p[0], buffer, 100));
	printf("%.5s\n", buffer);
	/* Much of it. */
	child = fork();
	if (child == 0) {
		static char big[1 << 20];
		for (size_t i = 0; i < sizeof big; i++)
			big[i] = (char)(i * 7 + i / 4096);
		close(s[1]);
		_exit(write(s[0], big, sizeof big) == sizeof big ? 0 : 1);
	}
	close(s[0]);
	static char block[10000];
	long got = 0, wrong = 0;
	while ((n = (int)read(s[1], block, sizeof block)) > 0)
		for (int i = 0; i < n; i++, got++)
			wrong += block[i] != (char)(got * 7 + got / 4096);
	printf("%ld bytes, %ld wrong, then %d\n", got, wrong, n);
	show_end(child);
	close(s[1]);
	puts("-- urgent data");
	pair(s);
	MUST(send(s[0], "ab", 2, 0));
	SHOW(send(s[0], "cd", 2, MSG_OOB));
	MUST(send(s[0], "ef", 2, 0));
	settle();
	show_poll("urgent", s[1]);
	SHOW(recv(s[1], buffer, 10, MSG_OOB));
	printf("%c\n", buffer[0]);
	show_receive("up to the mark", s[1], 10, 0);
	SHOW(ioctl(s[1], 0x8905, &n));
	printf("at the mark: %d\n", n);
	show_receive("after it", s[1], 10, 0);
	SHOW(recv(s[1], buffer, 10, MSG_OOB));
	close(s[0]), close(s[1]);
}

static void closing(void)
{
	puts("-- closing");
	int s[2];
	pair(s);
	SHOW(shutdown(s[0], 7));
	SHOW(shutdown(s[0], SHUT_WR));
	settle();
	show_poll("writer shut", s[0]);
	show_poll("its peer", s[1]);
	show_receive("end", s[1], 10, 0);
	SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
	SHOW(send(s[1], "still", 5, 0));
	settle();
	show_receive("other way", s[0], 10, 0);
	SHOW(shutdown(s[1], SHUT_WR));
	settle();
	show_poll("both shut", s[0]);
	show_receive("end", s[0], 10, 0);
	SHOW(shutdown(s[0], SHUT_RDWR));
	close(s[0]), close(s[1]);

	pair(s);
	SHOW(shutdown(s[0], SHUT_RD));
	show_poll("reader shut", s[0]);
	show_receive("end", s[0], 10, 0);
	close(s[0]), close(s[1]);

	pair(s);
	close(s[1]);
	settle();
	show_poll("peer closed", s[0]);
	show_receive("end", s[0], 10, 0);
	SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
	settle();
	show_poll("reset by it", s[0]);
	SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
	show_receive("after it", s[0], 10, 0);
	close(s[0]);

	pair(s);
	MUST(send(s[0], "unread", 6, 0));
	settle();
	close(s[1]);
	settle();
	show_poll("closed with unread data", s[0]);
	show_receive("reset", s[0], 10, 0);
	show_receive("end", s[0], 10, 0);
	SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
	close(s[0]);

	pair(s);
	struct linger l = { 1, 0 };
	MUST(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &l, sizeof l));
	close(s[1]);
	settle();
	show_error("linger of 0", s[0]);
	IN_CHILD(send(s[0], "x", 1, 0); puts("not reached"));
	close(s[0]);
}

static void values(void)
{
	puts("-- options");
	int s[2], v;
	socklen_t length;
	static const struct { const char *name; int option; } options[] = {
		{ "NODELAY", TCP_NODELAY }, { "CORK", TCP_CORK }, { "KEEPIDLE", TCP_KEEPIDLE }, { "KEEPINTVL", TCP_KEEPINTVL }, { "KEEPCNT", TCP_KEEPCNT },
		{ "SYNCNT", TCP_SYNCNT }, { "LINGER2", TCP_LINGER2 }, { "DEFER_ACCEPT", TCP_DEFER_ACCEPT }, { "QUICKACK", TCP_QUICKACK },
		{ "USER_TIMEOUT", TCP_USER_TIMEOUT }, { "none", 200 },
	};
	pair(s);
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		length = 4, v = -7;
		int result = getsockopt(s[0], IPPROTO_TCP, options[i].option, &v, &length);
		printf("%s: %s %d", options[i].name, result ? error_name(errno) : "ok", options[i].option == TCP_QUICKACK ? 0 : v);
		for (int value = -1; value < 2; value++)
			printf(", %d: %s", value, setsockopt(s[0], IPPROTO_TCP, options[i].option, &value, sizeof value) ? error_name(errno) : "ok");
		v = 5;
		printf(", short: %s\n", setsockopt(s[0], IPPROTO_TCP, options[i].option, &v, 3) ? error_name(errno) : "ok");
	}
	struct tcp_info info;
	length = sizeof info;
	MUST(getsockopt(s[0], IPPROTO_TCP, TCP_INFO, &info, &length));
	printf("state %d\n", info.tcpi_state);
	close(s[0]), close(s[1]);
}

static void waiting(void)
{
	puts("-- waiting");
	int s[2];
	char buffer[10];
	struct timeval t = { 0, 30000 };
	pair(s);
	MUST(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	MUST(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
	SHOW(recv(s[0], buffer, 10, 0));
	static char block[65536];
	long total = 0, n;
	while ((n = write(s[0], block, sizeof block)) > 0)
		total += n;
	printf("full: %s\n", error_name(errno));
	show_poll("full", s[0]);
	int l = listener(1);
	MUST(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	SHOW(accept(l, 0, 0));
	close(s[0]), close(s[1]), close(l);
}

int main(void)
{
	int families[] = { AF_INET, AF_INET6 };
	for (int i = 0; i < 2; i++) {
		family = families[i];
		printf("--- family %d\n", family);
		opening();
		data();
		closing();
		values();
		waiting();
	}
	return 0;
}
