/* An echo server with one thread: epoll over any number of TCP connections, and UDP on the same port. Says "ready". */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 4096

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static int bound(int type, int port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int on = 1, fd = socket(AF_INET6, type | SOCK_NONBLOCK, 0);
	must(fd >= 0, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	must(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
	return fd;
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void datagrams(int fd)
{
	char data[65536];
	struct sockaddr_storage from;
	socklen_t length = sizeof from;
	ssize_t n;
	while ((n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &length)) >= 0) {
		sendto(fd, data, n, 0, (struct sockaddr *)&from, length);
		length = sizeof from;
	}
}

static void echo(int fd)
{
	char data[16384];
	ssize_t n = read(fd, data, sizeof data);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		close(fd);
		return;
	}
	for (ssize_t done = 0; done < n;) { /* the other side reads what it gets: to wait here is harmless */
		ssize_t sent = write(fd, data + done, n - done);
		if (sent > 0)
			done += sent;
		else if (errno != EAGAIN) {
			close(fd);
			return;
		} else
			usleep(1000);
	}
}

int main(int count, char **words)
{
	struct rlimit limit = { MOST, MOST };
	setrlimit(RLIMIT_NOFILE, &limit);
	int port = count > 1 ? atoi(words[1]) : 7;
	int listener = bound(SOCK_STREAM, port), udp = bound(SOCK_DGRAM, port), epoll = epoll_create1(0);
	must(epoll >= 0, "epoll_create1");
	must(listen(listener, 1024) == 0, "listen");
	watch(epoll, listener);
	watch(epoll, udp);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd, peer;
			if (fd == udp)
				datagrams(udp);
			else if (fd == listener)
				while ((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
					watch(epoll, peer);
			else
				echo(fd);
		}
	}
}
