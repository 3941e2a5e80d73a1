/* UDP over loopback: bind, connect, send and receive, errors, options. */
#include "case.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in at(uint32_t address, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address) };
	return a;
}

static int bound(uint32_t address, int port)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(address, port);
	if (bind(s, (void *)&a, sizeof a) != 0)
		printf("bind: %s\n", error_name(errno));
	return s;
}

int main(void)
{
	int ctl = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq up;
	memset(&up, 0, sizeof up);
	strcpy(up.ifr_name, "lo");
	up.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(ctl, SIOCSIFFLAGS, &up);

	int a = bound(INADDR_LOOPBACK, 5001), b = bound(INADDR_LOOPBACK, 5002);
	struct sockaddr_in to = at(INADDR_LOOPBACK, 5002), from;
	socklen_t length = sizeof from;
	char buffer[70000];
	SHOW(sendto(a, "hello", 5, 0, (void *)&to, sizeof to));
	memset(buffer, 0, sizeof buffer);
	SHOW(recvfrom(b, buffer, sizeof buffer, 0, (void *)&from, &length));
	printf("%s from %s:%d, %d\n", buffer, inet_ntoa(from.sin_addr), ntohs(from.sin_port), (int)length);
	SHOW(recv(b, buffer, 10, MSG_DONTWAIT));
	SHOW(sendto(a, "", 0, 0, (void *)&to, sizeof to));
	SHOW(recv(b, buffer, 10, 0));
	SHOW(sendto(a, "truncated", 9, 0, (void *)&to, sizeof to));
	SHOW(recv(b, buffer, 4, MSG_PEEK));
	SHOW(recv(b, buffer, 4, MSG_PEEK | MSG_TRUNC));
	SHOW(recv(b, buffer, 4, 0));
	SHOW(sendto(a, buffer, 65507, 0, (void *)&to, sizeof to));
	SHOW(recv(b, buffer, sizeof buffer, 0));
	SHOW(sendto(a, buffer, 65508, 0, (void *)&to, sizeof to));
	SHOW(send(a, "x", 1, 0));
	struct sockaddr_in bad = to;
	bad.sin_port = 0;
	SHOW(sendto(a, "x", 1, 0, (void *)&bad, sizeof bad));
	bad = to;
	bad.sin_family = AF_INET6;
	SHOW(sendto(a, "x", 1, 0, (void *)&bad, sizeof bad));
	SHOW(sendto(a, "x", 1, 0, (void *)&to, 8));
	SHOW(sendto(a, "x", 1, MSG_OOB, (void *)&to, sizeof to));
	bad = at(0xffffffff, 5002);
	SHOW(sendto(a, "x", 1, 0, (void *)&bad, sizeof bad));

	puts("-- connected");
	SHOW(connect(a, (void *)&to, sizeof to));
	SHOW(send(a, "conn", 4, 0));
	SHOW(recv(b, buffer, 10, 0));
	length = sizeof from;
	SHOW(getpeername(a, (void *)&from, &length));
	printf("peer %s:%d\n", inet_ntoa(from.sin_addr), ntohs(from.sin_port));
	SHOW(getpeername(b, (void *)&from, &length));
	int c = bound(INADDR_LOOPBACK, 5003);
	struct sockaddr_in toa = at(INADDR_LOOPBACK, 5001);
	SHOW(sendto(c, "stranger", 8, 0, (void *)&toa, sizeof toa));
	SHOW(recv(a, buffer, 10, MSG_DONTWAIT));
	struct sockaddr_in nobody = at(INADDR_LOOPBACK, 5999);
	SHOW(connect(a, (void *)&nobody, sizeof nobody));
	SHOW(send(a, "x", 1, 0));
	struct pollfd p = { .fd = a, .events = POLLIN | POLLOUT };
	SHOW(poll(&p, 1, 1000));
	printf("revents %x\n", p.revents);
	SHOW(send(a, "x", 1, 0));
	SHOW(send(a, "x", 1, 0));
	SHOW(recv(a, buffer, 1, 0));
	int error = -1;
	length = sizeof error;
	SHOW(send(a, "x", 1, 0));
	SHOW(getsockopt(a, SOL_SOCKET, SO_ERROR, &error, &length));
	printf("SO_ERROR %s\n", error ? error_name(error) : "0");
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	SHOW(connect(a, &none, sizeof none));
	SHOW(send(a, "x", 1, 0));
	length = sizeof from;
	SHOW(getsockname(a, (void *)&from, &length));
	printf("local %s:%d\n", inet_ntoa(from.sin_addr), ntohs(from.sin_port));

	puts("-- bind");
	int d = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in same = at(INADDR_LOOPBACK, 5002), any = at(0, 5002), foreign = at(0x01020304, 6000);
	SHOW(bind(d, (void *)&same, sizeof same));
	SHOW(bind(d, (void *)&any, sizeof any));
	SHOW(bind(d, (void *)&foreign, sizeof foreign));
	SHOW(bind(d, (void *)&same, 4));
	int one = 1;
	setsockopt(d, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	SHOW(bind(d, (void *)&same, sizeof same));
	setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	SHOW(bind(d, (void *)&same, sizeof same));
	SHOW(bind(d, (void *)&same, sizeof same));
	SHOW(sendto(c, "newest", 6, 0, (void *)&to, sizeof to));
	SHOW(recv(d, buffer, 10, MSG_DONTWAIT));
	SHOW(recv(b, buffer, 10, MSG_DONTWAIT));
	SHOW(shutdown(d, SHUT_RD));
	SHOW(connect(d, (void *)&toa, sizeof toa));
	SHOW(shutdown(d, SHUT_RD));
	SHOW(recv(d, buffer, 10, 0));
	SHOW(shutdown(d, SHUT_WR));
	signal(SIGPIPE, SIG_IGN);
	SHOW(send(d, "x", 1, 0));
	p.fd = d;
	SHOW(poll(&p, 1, 0));
	printf("revents %x\n", p.revents);

	puts("-- more");
	SHOW(sendto(c, "one ", 4, MSG_MORE, (void *)&to, sizeof to));
	SHOW(sendto(c, "two", 3, 0, (void *)&to, sizeof to));
	int number = 0;
	close(d);
	SHOW(ioctl(b, 0x541B, &number));
	printf("FIONREAD %d\n", number);
	SHOW(recv(b, buffer, 10, MSG_DONTWAIT));

	puts("-- ancillary");
	setsockopt(b, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
	setsockopt(b, IPPROTO_IP, IP_RECVTTL, &one, sizeof one);
	setsockopt(b, IPPROTO_IP, IP_RECVTOS, &one, sizeof one);
	int ttl = 33, tos = 0x10;
	SHOW(setsockopt(c, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl));
	SHOW(setsockopt(c, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
	SHOW(sendto(c, "anc", 3, 0, (void *)&to, sizeof to));
	char control[256];
	struct iovec v = { buffer, sizeof buffer };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof control };
	SHOW(recvmsg(b, &m, 0));
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		printf("cmsg %d %d %d:", h->cmsg_level, h->cmsg_type, (int)h->cmsg_len);
		for (size_t i = 0; h->cmsg_len < 128 && i < h->cmsg_len - sizeof *h; i++)
			printf(" %02x", CMSG_DATA(h)[i]);
		puts("");
	}

	puts("-- error queue");
	int e = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(e, IPPROTO_IP, IP_RECVERR, &one, sizeof one);
	SHOW(sendto(e, "dead", 4, 0, (void *)&nobody, sizeof nobody));
	m.msg_controllen = sizeof control;
	m.msg_namelen = sizeof from;
	SHOW(recvmsg(e, &m, MSG_ERRQUEUE));
	printf("flags %x to %s:%d\n", m.msg_flags, inet_ntoa(from.sin_addr), ntohs(from.sin_port));
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		printf("cmsg %d %d %d:", h->cmsg_level, h->cmsg_type, (int)h->cmsg_len);
		for (size_t i = 0; h->cmsg_len < 128 && i < h->cmsg_len - sizeof *h; i++)
			printf(" %02x", CMSG_DATA(h)[i]);
		puts("");
	}
	SHOW(recvmsg(e, &m, MSG_ERRQUEUE));
	struct sockaddr_in far = at(0x01020304, 9);
	SHOW(sendto(e, "far", 3, 0, (void *)&far, sizeof far));
	return 0;
}
