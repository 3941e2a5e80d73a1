/*
 * The guest's side of the network fuzzer: sockets of every kind, so that packets find somebody, until SIGTERM.
 *
 *   target DEVICE PEER4 PEER6
 *
 * It echoes, discards, sends without end, closes at once, never accepts, and now and then connects to the peer. How many
 * connections it holds is bounded: the oldest makes room for the next.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIMIT 256
enum kind { LISTENER, SILENT, STREAM, DATAGRAM, TAP, UNREAD };

static struct pollfd polls[LIMIT];
static struct entry { enum kind kind; int port; } entries[LIMIT];
static int count, fixed, next_victim;
static volatile sig_atomic_t ended;
static char buffer[65536];
static unsigned long accepted, received, datagrams, frames;

static void end(int signal) { ended = 1; }

static void on(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

static void enter(int fd, enum kind kind, int port, short events)
{
	int at = count;
	if (count < LIMIT) {
		count++;
	} else {
		at = fixed + next_victim++ % (LIMIT - fixed);
		close(polls[at].fd);
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	polls[at] = (struct pollfd){ fd, events, 0 };
	entries[at] = (struct entry){ kind, port };
}

static void leave(int at)
{
	close(polls[at].fd);
	count--;
	polls[at] = polls[count];
	entries[at] = entries[count];
}

static int bound(int type, int protocol, int port)
{
	struct sockaddr_in6 any = { AF_INET6, htons(port) };
	int fd = socket(AF_INET6, type, protocol);
	on(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	on(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any)) {
		perror("bind");
		exit(1);
	}
	return fd;
}

static void listen_at(int port)
{
	int fd = bound(SOCK_STREAM, 0, port);
	if (port == 12)
		on(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	if (port == 13)
		on(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (port == 14) {
		on(fd, SOL_SOCKET, SO_RCVBUF, 4096);
		on(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
		on(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
	listen(fd, port == 11 ? 4 : 64);
	enter(fd, port == 11 ? SILENT : LISTENER, port, port == 11 ? 0 : POLLIN);
}

static void datagram_sockets(const char *device, const char *peer4, const char *peer6)
{
	int index = if_nametoindex(device);
	int fd = bound(SOCK_DGRAM, 0, 7);
	static const int four[] = { IP_RECVERR, IP_PKTINFO, IP_RECVTOS, IP_RECVTTL, IP_RECVOPTS, IP_RETOPTS };
	static const int six[] = { IPV6_RECVERR, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, IPV6_RECVRTHDR };
	for (unsigned i = 0; i < sizeof four / sizeof *four; i++)
		on(fd, IPPROTO_IP, four[i], 1);
	for (unsigned i = 0; i < sizeof six / sizeof *six; i++)
		on(fd, IPPROTO_IPV6, six[i], 1);
	for (int group = 1; group <= 8; group++) {
		struct ip_mreqn request = { { htonl(0xe0010200 + group) }, { 0 }, index };
		struct ipv6_mreq request6 = { { { { 0xff, 2, [14] = 0x12, [15] = group } } }, index };
		setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
		setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request6, sizeof request6);
	}
	enter(fd, DATAGRAM, 7, POLLIN);
	enter(bound(SOCK_DGRAM, 0, 68), DATAGRAM, 68, POLLIN);
	enter(bound(SOCK_DGRAM, 0, 9), UNREAD, 9, 0);

	/* Connected ones hear of errors. */
	struct sockaddr_in to4 = { AF_INET, htons(53) };
	struct sockaddr_in6 to6 = { AF_INET6, htons(53) };
	inet_pton(AF_INET, peer4, &to4.sin_addr);
	inet_pton(AF_INET6, peer6, &to6.sin6_addr);
	to6.sin6_scope_id = index;
	fd = bound(SOCK_DGRAM, 0, 5300);
	on(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	connect(fd, (struct sockaddr *)&to6, sizeof to6);
	enter(fd, DATAGRAM, 53, POLLIN);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	on(fd, IPPROTO_IP, IP_RECVERR, 1);
	connect(fd, (struct sockaddr *)&to4, sizeof to4);
	enter(fd, DATAGRAM, 53, POLLIN);

	enter(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), UNREAD, 0, 0);
	enter(socket(AF_INET, SOCK_RAW, 253), TAP, 0, POLLIN);
	enter(socket(AF_INET, SOCK_RAW, IPPROTO_TCP), TAP, 0, POLLIN);
	enter(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), TAP, 0, POLLIN);
	enter(socket(AF_INET6, SOCK_RAW, 253), TAP, 0, POLLIN);
}

static void taps(int index)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 3),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14), BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16), BPF_STMT(BPF_RET | BPF_A, 0),
		BPF_STMT(BPF_RET | BPF_K, 96),
	};
	struct sock_fprog filter = { sizeof code / sizeof *code, code };
	for (int kind = SOCK_DGRAM; kind <= SOCK_RAW; kind++) {
		int fd = socket(AF_PACKET, kind, htons(ETH_P_ALL));
		struct sockaddr_ll at = { AF_PACKET, htons(ETH_P_ALL), index };
		bind(fd, (struct sockaddr *)&at, sizeof at);
		on(fd, SOL_SOCKET, SO_RCVBUF, 65536);
		if (kind == SOCK_RAW)
			setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
		enter(fd, TAP, 0, POLLIN);
	}
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct sockaddr_nl groups = { AF_NETLINK, 0, 0, RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_IFADDR };
	bind(fd, (struct sockaddr *)&groups, sizeof groups);
	enter(fd, UNREAD, 0, 0);
}

static void stream(int at, short events)
{
	int fd = polls[at].fd, port = entries[at].port;
	if (events & POLLPRI)
		recv(fd, buffer, 1, MSG_OOB);
	if (events & (POLLIN | POLLERR | POLLHUP)) {
		ssize_t n = recv(fd, buffer, sizeof buffer, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			leave(at);
			return;
		}
		if (n > 0) {
			received += n;
			if (port == 7)
				send(fd, buffer, n, MSG_NOSIGNAL);
		}
	}
	if (events & POLLOUT && port == 19)
		send(fd, buffer, 4096, MSG_NOSIGNAL);
}

static void take(int at)
{
	int port = entries[at].port;
	int fd = accept(polls[at].fd, NULL, NULL);
	if (fd < 0)
		return;
	accepted++;
	if (port == 10) {
		send(fd, "closed", 6, MSG_NOSIGNAL);
		close(fd);
		return;
	}
	if (port == 20) {
		send(fd, "half", 4, MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
	}
	enter(fd, STREAM, port, POLLIN | POLLPRI | (port == 19 ? POLLOUT : 0));
}

static void datagram(int at)
{
	int fd = polls[at].fd;
	struct sockaddr_in6 from;
	char control[512];
	struct iovec part = { buffer, sizeof buffer };
	struct msghdr message = { &from, sizeof from, &part, 1, control, sizeof control, 0 };
	for (int i = 0; i < 16; i++) {
		message.msg_namelen = sizeof from;
		message.msg_controllen = sizeof control;
		ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | (i % 2 ? MSG_ERRQUEUE : 0));
		if (n < 0)
			continue;
		datagrams++;
		if (entries[at].port == 7 && !(message.msg_flags & MSG_ERRQUEUE))
			sendto(fd, buffer, n, MSG_DONTWAIT, (struct sockaddr *)&from, message.msg_namelen);
	}
	if (entries[at].port == 53)
		send(fd, "question", 8, MSG_DONTWAIT);
}

static void call_peer(int index, const char *peer4, const char *peer6, int port)
{
	struct sockaddr_in to4 = { AF_INET, htons(port) };
	struct sockaddr_in6 to6 = { AF_INET6, htons(port) };
	inet_pton(AF_INET, peer4, &to4.sin_addr);
	inet_pton(AF_INET6, peer6, &to6.sin6_addr);
	to6.sin6_scope_id = index;
	int fd = socket(port % 2 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	on(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	connect(fd, port % 2 ? (struct sockaddr *)&to4 : (struct sockaddr *)&to6, port % 2 ? sizeof to4 : sizeof to6);
	enter(fd, STREAM, 7, POLLIN | POLLPRI);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	int index = if_nametoindex(argv[1]);
	struct rlimit files = { 1024, 1024 };
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGTERM, end);
	signal(SIGPIPE, SIG_IGN);
	static const int ports[] = { 7, 9, 10, 11, 12, 13, 14, 19, 20 };
	for (unsigned i = 0; i < sizeof ports / sizeof *ports; i++)
		listen_at(ports[i]);
	datagram_sockets(argv[1], argv[2], argv[3]);
	taps(index);
	fixed = count;
	puts("target is ready");
	fflush(stdout);
	time_t called = 0;
	int port = 80;
	while (!ended) {
		time_t now = time(NULL);
		if (now != called) {
			called = now;
			for (int i = 0; i < 4; i++)
				call_peer(index, argv[2], argv[3], 80 + port++ % 4);
		}
		if (poll(polls, count, 200) <= 0)
			continue;
		for (int i = count - 1; i >= 0; i--) {
			short events = polls[i].revents;
			if (!events || i >= count)
				continue;
			switch (entries[i].kind) {
			case LISTENER: take(i); break;
			case STREAM: stream(i, events); break;
			case DATAGRAM: datagram(i); break;
			case TAP:
				for (int j = 0; j < 32 && recv(polls[i].fd, buffer, sizeof buffer, 0) >= 0; j++)
					frames++;
				break;
			default:
				recv(polls[i].fd, buffer, 1, MSG_PEEK); /* takes a pending error, so that poll does not spin */
				break;
			}
		}
	}
	printf("target: %lu connections with %lu bytes, %lu datagrams, %lu frames\n", accepted, received, datagrams, frames);
	return 0;
}
