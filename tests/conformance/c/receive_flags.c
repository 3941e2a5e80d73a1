/*
 * Covers: every flag of recvfrom(2), recvmsg(2) and recvmmsg(2) for every kind of socket that has nothing to receive, is not connected, or
 * listens: which flags a kind refuses, and what comes first.
 */
#define _GNU_SOURCE
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "case.h"

static void look(const char *name, int fd)
{
	char byte[8];
	struct iovec piece = { byte, sizeof byte };
	if (fd < 0) {
		printf("%s: %s\n", name, error_name(errno));
		return;
	}
	for (int bit = -1; bit < 32; bit++) {
		int flags = MSG_DONTWAIT | (bit < 0 ? 0 : (int)(1u << bit));
		struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
		struct mmsghdr several[2] = { { .msg_hdr = message }, { .msg_hdr = message } };
		long from = syscall(SYS_recvfrom, fd, byte, sizeof byte, flags, 0, 0);
		printf("%s %#x: %s", name, flags, from < 0 ? error_name(errno) : "ok");
		long nothing = syscall(SYS_recvfrom, fd, byte, 0, flags, 0, 0);
		printf(" %s", nothing < 0 ? error_name(errno) : "ok");
		long one = syscall(SYS_recvmsg, fd, &message, flags);
		printf(" %s", one < 0 ? error_name(errno) : "ok");
		long many = syscall(SYS_recvmmsg, fd, several, 2, flags, 0);
		printf(" %s", many < 0 ? error_name(errno) : "ok");
		long none = syscall(SYS_recvmmsg, fd, several, 0, flags, 0);
		printf(" %s", none < 0 ? error_name(errno) : "ok");
		struct timespec wrong = { -1, 0 };
		long late = syscall(SYS_recvmmsg, fd, several, 2, flags, &wrong);
		printf(" %s\n", late < 0 ? error_name(errno) : "ok");
	}
	close(fd);
}

static int of_pair(int type)
{
	int pair[2];
	MUST(socketpair(AF_UNIX, type, 0, pair));
	dup2(pair[1], 100 + type);
	close(pair[1]);
	return pair[0];
}

static int listening(int family, int type)
{
	int fd = (int)MUST(socket(family, type, 0));
	if (family == AF_UNIX)
		MUST(bind(fd, &(struct sockaddr){ AF_UNIX }, sizeof(sa_family_t)));
	MUST(listen(fd, 1));
	return fd;
}

int main(void)
{
	look("unix stream", of_pair(SOCK_STREAM));
	look("unix datagram", of_pair(SOCK_DGRAM));
	look("unix seqpacket", of_pair(SOCK_SEQPACKET));
	look("lone unix stream", socket(AF_UNIX, SOCK_STREAM, 0));
	look("lone unix datagram", socket(AF_UNIX, SOCK_DGRAM, 0));
	look("lone unix seqpacket", socket(AF_UNIX, SOCK_SEQPACKET, 0));
	look("listening unix stream", listening(AF_UNIX, SOCK_STREAM));
	look("listening unix seqpacket", listening(AF_UNIX, SOCK_SEQPACKET));
	look("udp", socket(AF_INET, SOCK_DGRAM, 0));
	look("udp6", socket(AF_INET6, SOCK_DGRAM, 0));
	look("tcp", socket(AF_INET, SOCK_STREAM, 0));
	look("listening tcp", listening(AF_INET, SOCK_STREAM));
	look("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	look("raw", socket(AF_INET, SOCK_RAW, 253));
	look("raw6", socket(AF_INET6, SOCK_RAW, 253));
	look("netlink", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	look("packet", socket(AF_PACKET, SOCK_RAW, 0));
	look("cooked packet", socket(AF_PACKET, SOCK_DGRAM, 0));
	look("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	return 0;
}
