/* Covers: epoll with sockets: EPOLLRDHUP, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, hang-ups, errors, descriptors that are closed or duplicated. */
#define _GNU_SOURCE
#include <sys/epoll.h>
#include "tcp_case.h"

static int set;

static void show_events(const char *what)
{
	struct epoll_event e[8];
	int n = 0;
	for (int i = 0; i < 10 && n == 0; i++) /* in several turns: the host may stand still for one */
		n = epoll_wait(set, e, 8, 3);
	printf("%s:", what);
	for (int i = 0; i < n; i++) {
		unsigned v = e[i].events;
		printf(" [%d:%s%s%s%s%s%s]", e[i].data.fd, v & EPOLLIN ? " in" : "", v & EPOLLOUT ? " out" : "", v & EPOLLRDHUP ? " rdhup" : "",
		       v & EPOLLHUP ? " hup" : "", v & EPOLLERR ? " err" : "", v & EPOLLPRI ? " pri" : "");
	}
	puts(n ? "" : " nothing");
}

static int control(int op, int fd, unsigned events, int data)
{
	struct epoll_event e = { .events = events, .data.fd = data };
	return epoll_ctl(set, op, fd, &e);
}

static void pair_of(int kind, int p[2])
{
	if (kind == 0)
		connected(4300, p);
	else
		MUST(socketpair(AF_UNIX, kind, 0, p));
}

static void streams(int kind)
{
	int p[2];
	char b[100];
	printf("--- %s\n", kind ? "unix" : "TCP");
	pair_of(kind, p);
	SHOW(control(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLRDHUP, 1));
	show_events("idle");
	MUST(write(p[1], "abc", 3));
	show_events("data");
	show_events("data, level-triggered");
	SHOW(control(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1));
	show_events("edge-triggered");
	show_events("edge-triggered, again");
	MUST(write(p[1], "d", 1));
	show_events("more data");
	MUST(read(p[0], b, 1));
	show_events("a part was read");
	MUST(read(p[0], b, sizeof b));
	show_events("all was read");
	SHOW(control(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 1));
	MUST(write(p[1], "abc", 3));
	show_events("one-shot");
	show_events("one-shot, again");
	MUST(write(p[1], "abc", 3));
	show_events("one-shot, more data");
	SHOW(control(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 1));
	show_events("one-shot, armed again");
	SHOW(control(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLRDHUP, 1));
	MUST(read(p[0], b, sizeof b));
	MUST(shutdown(p[1], SHUT_WR));
	settle();
	show_events("the peer ended its side");
	SHOW(read(p[0], b, sizeof b));
	show_events("the end was read");
	MUST(shutdown(p[0], SHUT_WR));
	settle();
	show_events("both ended");
	close(p[1]);
	settle();
	show_events("the peer closed");
	close(p[0]);
	show_events("closed");
	puts("--- a reset");
	pair_of(kind, p);
	SHOW(control(EPOLL_CTL_ADD, p[0], EPOLLIN, 2));
	struct linger l = { 1, 0 };
	setsockopt(p[1], SOL_SOCKET, SO_LINGER, &l, sizeof l);
	MUST(write(p[0], "unread", 6));
	close(p[1]);
	settle();
	show_events("the peer reset");
	show_error("error", p[0]);
	show_events("the error was taken");
	close(p[0]);
	puts("--- room");
	pair_of(kind, p);
	nonblocking(p[0]);
	nonblocking(p[1]);
	static char block[65536];
	while (write(p[0], block, sizeof block) > 0)
		;
	settle();
	SHOW(control(EPOLL_CTL_ADD, p[0], EPOLLOUT | EPOLLET, 3));
	while (write(p[0], block, sizeof block) > 0)
		;
	show_events("full");
	for (int i = 0; i < 50; i++) {
		while (read(p[1], block, sizeof block) > 0)
			;
		usleep(2000);
	}
	show_events("emptied");
	show_events("emptied, again");
	close(p[0]);
	close(p[1]);
}

static void connecting(void)
{
	puts("--- connecting");
	int c = tcp();
	nonblocking(c);
	SHOW(control(EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT, 4));
	show_events("new");
	SHOW(connect(c, in(4399), sizeof in_address));
	settle();
	show_events("refused");
	show_error("error", c);
	show_events("the error was taken");
	close(c);
	int l = listener(4301, 5);
	c = tcp();
	nonblocking(c);
	SHOW(control(EPOLL_CTL_ADD, l, EPOLLIN, 5));
	SHOW(control(EPOLL_CTL_ADD, c, EPOLLOUT | EPOLLET, 6));
	show_events("a listener and a new socket");
	SHOW(connect(c, in(4301), sizeof in_address));
	settle();
	show_events("connected");
	show_events("connected, again");
	int s = (int)MUST(accept(l, 0, 0));
	show_events("accepted");
	MUST(send(s, "!", 1, MSG_OOB));
	SHOW(control(EPOLL_CTL_MOD, c, EPOLLIN | EPOLLPRI, 6));
	settle();
	show_events("urgent data");
	close(c);
	close(s);
	close(l);
}

static void members(void)
{
	int p[2], u[2];
	puts("--- members");
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
	SHOW(control(EPOLL_CTL_ADD, p[0], EPOLLIN, 7));
	SHOW(control(EPOLL_CTL_ADD, p[0], EPOLLIN, 7));
	int copy = dup(p[0]);
	SHOW(control(EPOLL_CTL_ADD, copy, EPOLLIN, 8));
	MUST(write(p[1], "x", 1));
	show_events("two descriptors");
	MUST(close(copy));
	show_events("one was closed, the description lives");
	SHOW(control(EPOLL_CTL_DEL, copy, 0, 0));
	SHOW(control(EPOLL_CTL_DEL, p[0], 0, 0));
	SHOW(control(EPOLL_CTL_DEL, p[0], 0, 0));
	SHOW(control(EPOLL_CTL_MOD, p[0], EPOLLIN, 0));
	close(p[0]);
	close(p[1]);
	show_events("all closed");
	puts("--- exclusive");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
	SHOW(control(EPOLL_CTL_ADD, u[0], EPOLLIN | EPOLLEXCLUSIVE, 9));
	SHOW(control(EPOLL_CTL_MOD, u[0], EPOLLIN, 9));
	SHOW(control(EPOLL_CTL_MOD, u[0], EPOLLIN | EPOLLEXCLUSIVE, 9));
	SHOW(control(EPOLL_CTL_ADD, u[1], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 9));
	SHOW(control(EPOLL_CTL_ADD, u[1], EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP, 9));
	SHOW(control(EPOLL_CTL_ADD, u[1], EPOLLIN | EPOLLEXCLUSIVE | EPOLLET | EPOLLOUT, 9));
	MUST(write(u[1], "x", 1));
	show_events("exclusive");
	close(u[0]);
	close(u[1]);
	puts("--- sets in sets");
	int inner = (int)MUST(epoll_create1(0)), outer = set;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
	SHOW(control(EPOLL_CTL_ADD, inner, EPOLLIN, 10));
	set = inner;
	SHOW(control(EPOLL_CTL_ADD, u[0], EPOLLIN, 11));
	SHOW(control(EPOLL_CTL_ADD, outer, EPOLLIN, 12));
	SHOW(control(EPOLL_CTL_ADD, inner, EPOLLIN, 12));
	set = outer;
	MUST(write(u[1], "x", 1));
	show_events("the outer");
	set = inner;
	show_events("the inner");
	set = outer;
	close(inner);
	show_events("the inner was closed");
}

int main(void)
{
	loopback_up();
	set = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
	streams(0);
	streams(SOCK_STREAM);
	connecting();
	members();
	return 0;
}
