/* Covers: epoll (level, edge, one-shot), poll and select on unix, UDP, TCP, netlink and listening sockets: what is
 * reported, and when. */
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include "socket_case.h"

static int set;

static void show_events(const char *what)
{
	struct epoll_event e[8];
	int n = epoll_wait(set, e, 8, 0);
	printf("%s: %d", what, n);
	for (int i = 0; i < n; i++)
		printf(" [%d: %#x]", e[i].data.u32, e[i].events);
	putchar('\n');
}

static void watch(int fd, unsigned events)
{
	struct epoll_event e = { events | EPOLLIN | EPOLLOUT | EPOLLRDHUP, { .u32 = 1 } };
	set = (int)MUST(epoll_create1(0));
	SHOW(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
}

static void settle(void) { settle_for(20); }

static void connected(const char *kind, int a, int b, int stream)
{
	static const struct { const char *name; unsigned flags; } modes[] = { { "level", 0 }, { "edge", EPOLLET }, { "one-shot", EPOLLONESHOT } };
	char buffer[100];
	printf("--- %s\n", kind);
	for (int i = 0; i < 3; i++) {
		printf("-- %s\n", modes[i].name);
		watch(a, modes[i].flags);
		show_events("at first");
		show_events("again");
		MUST(write(b, "hello", 5));
		settle();
		show_events("data came");
		show_events("again");
		MUST(write(b, "more", 4));
		settle();
		show_events("more came");
		if (modes[i].flags == EPOLLONESHOT) {
			struct epoll_event e = { EPOLLIN | EPOLLONESHOT, { .u32 = 2 } };
			MUST(epoll_ctl(set, EPOLL_CTL_MOD, a, &e));
			show_events("armed again");
			show_events("again");
		}
		while (recv(a, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
			;
		show_events("all read");
		close(set);
	}
	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(a, &in);
	FD_SET(a, &out);
	struct timeval zero = { 0, 0 };
	SHOW(select(a + 1, &in, &out, 0, &zero));
	printf("in %d out %d\n", FD_ISSET(a, &in) != 0, FD_ISSET(a, &out) != 0);
	if (stream) {
		puts("-- closing");
		watch(a, EPOLLET);
		show_events("at first");
		shutdown(b, SHUT_WR);
		settle();
		show_events("writer shut");
		show_events("again");
		close(b);
		settle();
		show_events("closed");
		close(set);
	} else {
		close(b);
	}
	/* A closed descriptor leaves the set. */
	watch(a, 0);
	close(a);
	show_events("closed myself");
	close(set);
}

int main(void)
{
	int s[2], l, on = 1;
	struct sockaddr_in address = { AF_INET, 0, { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof address;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	connected("unix stream", s[0], s[1], 1);
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	connected("unix packets", s[0], s[1], 1);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	connected("unix datagrams", s[0], s[1], 0);

	puts("--- listening");
	l = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(l, (struct sockaddr *)&address, sizeof address));
	MUST(listen(l, 5));
	MUST(getsockname(l, (struct sockaddr *)&address, &length));
	watch(l, 0);
	show_events("at first");
	s[0] = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(s[0], (struct sockaddr *)&address, sizeof address));
	settle();
	show_events("a connection");
	s[1] = (int)MUST(accept(l, 0, 0));
	show_events("accepted");
	close(set), close(l);
	setsockopt(s[1], IPPROTO_TCP, 1, &on, sizeof on);
	connected("TCP", s[0], s[1], 1);

	s[0] = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), s[1] = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	address.sin_port = 0;
	MUST(bind(s[0], (struct sockaddr *)&address, sizeof address));
	MUST(getsockname(s[0], (struct sockaddr *)&address, &length));
	MUST(connect(s[1], (struct sockaddr *)&address, sizeof address));
	connected("UDP", s[0], s[1], 0);

	puts("--- waking");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	watch(s[0], EPOLLET);
	show_events("at first");
	pid_t child = fork();
	if (child == 0)
		sleep_ms(30), write(s[1], "x", 1), _exit(0);
	struct epoll_event e;
	SHOW(epoll_wait(set, &e, 1, 60000));
	printf("%#x\n", e.events);
	show_end(child);
	static char block[4096];
	while (send(s[0], block, sizeof block, MSG_DONTWAIT) > 0)
		;
	show_events("full");
	while (recv(s[1], block, sizeof block, MSG_DONTWAIT) > 0)
		;
	show_events("room again");
	return 0;
}
