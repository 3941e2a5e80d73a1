/* A thousand connections at once, served by epoll; IPv6 and mapped addresses; SO_REUSEPORT. */
#include <sys/epoll.h>
#include <sys/resource.h>
#include "tcp_case.h"

#define COUNT 1000

static void serve(int l)
{
	int e = epoll_create1(0), open_now = 0, accepted = 0;
	struct epoll_event event = { EPOLLIN, { .fd = l } }, events[64];
	static char buffer[4096];
	epoll_ctl(e, EPOLL_CTL_ADD, l, &event);
	nonblocking(l);
	do {
		int n = epoll_wait(e, events, 64, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == l) {
				int c;
				while ((c = accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
					event = (struct epoll_event){ EPOLLIN, { .fd = c } };
					epoll_ctl(e, EPOLL_CTL_ADD, c, &event);
					accepted++;
					open_now++;
				}
				continue;
			}
			ssize_t got = recv(fd, buffer, sizeof buffer, 0);
			if (got > 0)
				send(fd, buffer, got, 0);
			else {
				close(fd);
				open_now--;
			}
		}
	} while (accepted < COUNT || open_now > 0);
	printf("served %d\n", accepted);
	fflush(stdout);
	_exit(0);
}

static void many(void)
{
	struct rlimit limit = { COUNT + 100, COUNT + 100 };
	setrlimit(RLIMIT_NOFILE, &limit);
	int l = listener(5400, 128);
	static int s[COUNT];
	int good = 0;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0)
		serve(l);
	close(l);
	for (int i = 0; i < COUNT; i++) {
		s[i] = tcp();
		MUST(connect(s[i], in(5400), sizeof in_address));
	}
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < COUNT; i++) {
			char text[32], back[32];
			int n = snprintf(text, sizeof text, "message %d of %d", round, i);
			send(s[i], text, n, 0);
			if (recv(s[i], back, n, MSG_WAITALL) == n && memcmp(text, back, n) == 0)
				good++;
		}
	for (int i = 0; i < COUNT; i++)
		close(s[i]);
	waitpid(child, NULL, 0);
	printf("%d answers\n", good);
}

static void versions(void)
{
	int l = socket(AF_INET6, SOCK_STREAM, 0), s = socket(AF_INET6, SOCK_STREAM, 0), t = tcp(), c;
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(5401) }, a;
	socklen_t length = sizeof a;
	char text[64], byte;
	SHOW(bind(l, (void *)&any, sizeof any));
	SHOW(listen(l, 5));
	any.sin6_addr = in6addr_loopback;
	SHOW(connect(s, (void *)&any, sizeof any));
	c = accept(l, (void *)&a, &length);
	printf("%s %d\n", inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof text), (int)length);
	SHOW(send(c, "6", 1, 0));
	SHOW(recv(s, &byte, 1, 0));
	close(c);
	close(s);
	SHOW(connect(t, in(5401), sizeof in_address));
	length = sizeof a;
	c = accept(l, (void *)&a, &length);
	printf("%s %d\n", inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof text), (int)length);
	SHOW(send(c, "4", 1, 0));
	SHOW(recv(t, &byte, 1, 0));
	close(c);
	close(t);
	s = socket(AF_INET6, SOCK_STREAM, 0);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &any.sin6_addr);
	SHOW(connect(s, (void *)&any, sizeof any));
	length = sizeof a;
	SHOW(getpeername(s, (void *)&a, &length));
	printf("%s\n", inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof text));
	close(s);
	t = tcp();
	SHOW(bind(t, in(5401), sizeof in_address));
	close(t);
	close(l);
}

static void shared_port(void)
{
	int a = tcp(), b = tcp(), one = 1;
	SHOW(setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
	SHOW(bind(a, in(5402), sizeof in_address));
	SHOW(listen(a, 64));
	SHOW(bind(b, in(5402), sizeof in_address));
	SHOW(setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
	SHOW(bind(b, in(5402), sizeof in_address));
	SHOW(listen(b, 64));
	int got[2] = { 0, 0 };
	for (int i = 0; i < 40; i++) {
		int s = tcp();
		MUST(connect(s, in(5402), sizeof in_address));
		struct pollfd p[2] = { { a, POLLIN }, { b, POLLIN } };
		poll(p, 2, 60000);
		for (int k = 0; k < 2; k++)
			if (p[k].revents & POLLIN) {
				close(accept(p[k].fd, NULL, NULL));
				got[k]++;
			}
		close(s);
	}
	printf("%d connections, both %d\n", got[0] + got[1], got[0] > 0 && got[1] > 0);
}

static void again_and_again(void)
{
	int good = 0;
	for (int i = 0; i < 300; i++) {
		int p[2];
		connected(5403, p);
		char byte;
		if (send(p[0], "x", 1, 0) == 1 && recv(p[1], &byte, 1, 0) == 1)
			good++;
		close(p[i & 1]);
		close(p[!(i & 1)]);
	}
	printf("%d good\n", good);
}

int main(void)
{
	loopback_up();
	many();
	versions();
	shared_port();
	again_and_again();
	return 0;
}
