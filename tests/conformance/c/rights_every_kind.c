/* Covers: SCM_RIGHTS with a file of every kind, SCM_PIDFD, SO_PEERPIDFD, SO_PEERGROUPS, and unix sequenced packets. */
#define _GNU_SOURCE
#include <grp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include "socket_case.h"

static int p[2];

static void pass(const char *what, int fd)
{
	char byte = 'f', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { &byte, 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct stat before, after;
	if (fd < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	MUST(fstat(fd, &before));
	int flags = fcntl(fd, F_GETFL);
	if (sendmsg(p[0], &m, 0) < 0) {
		printf("%s: sendmsg: %s\n", what, error_name(errno));
		close(fd);
		return;
	}
	close(fd);
	memset(control, 0, sizeof control);
	m.msg_controllen = sizeof control;
	MUST(recvmsg(p[1], &m, MSG_CMSG_CLOEXEC));
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS) {
		printf("%s: nothing came\n", what);
		return;
	}
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	MUST(fstat(fd, &after));
	printf("%s: mode %o, the same inode: %d, flags: %d, close-on-exec: %d\n", what, after.st_mode & S_IFMT,
	       before.st_ino == after.st_ino && before.st_dev == after.st_dev, fcntl(fd, F_GETFL) == flags, fcntl(fd, F_GETFD));
	close(fd);
}

static void every_kind(void)
{
	int q[2];
	sigset_t s;
	pass("a file", open("/tmp/rights", O_RDWR | O_CREAT | O_APPEND, 0600));
	pass("a directory", open("/tmp", O_RDONLY | O_DIRECTORY));
	pass("a place", open("/tmp", O_PATH));
	pass("a device", open("/dev/null", O_RDWR));
	pass("a file of /proc", open("/proc/self/status", O_RDONLY));
	MUST(pipe(q));
	MUST(write(q[1], "in the pipe", 11));
	pass("a pipe's writer", q[1]);
	pass("a pipe's reader", q[0]);
	mkfifo("/tmp/rights.fifo", 0600);
	pass("a FIFO", open("/tmp/rights.fifo", O_RDWR | O_NONBLOCK));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, q));
	pass("a unix socket", q[0]);
	close(q[1]);
	pass("the socket's own end", dup(p[0]));
	pass("a TCP socket", socket(AF_INET, SOCK_STREAM, 0));
	pass("a UDP socket", socket(AF_INET6, SOCK_DGRAM, 0));
	pass("a raw socket", socket(AF_INET, SOCK_RAW, 1));
	pass("a packet socket", socket(AF_PACKET, SOCK_RAW, 0));
	pass("a netlink socket", socket(AF_NETLINK, SOCK_RAW, 0));
	pass("an event descriptor", eventfd(7, EFD_NONBLOCK));
	pass("a timer", timerfd_create(CLOCK_MONOTONIC, 0));
	sigemptyset(&s);
	pass("a signal descriptor", signalfd(-1, &s, 0));
	pass("an epoll set", epoll_create1(0));
	pass("an inotify descriptor", inotify_init());
	pass("a memory file", memfd_create("rights", 0));
	pass("a process descriptor", (int)syscall(SYS_pidfd_open, getpid(), 0));
	pass("a pseudo terminal", open("/dev/ptmx", O_RDWR | O_NOCTTY));
}

static int is_me(int pidfd)
{
	char name[64], text[4096];
	snprintf(name, sizeof name, "/proc/self/fdinfo/%d", pidfd);
	int f = open(name, O_RDONLY);
	ssize_t n = read(f, text, sizeof text - 1);
	close(f);
	text[n > 0 ? n : 0] = 0;
	char *line = strstr(text, "Pid:");
	return line && atoi(line + 4) == getpid();
}

static void identities(void)
{
	int on = 1, q[2];
	char byte = 'i', control[200];
	struct iovec part = { &byte, 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	puts("--- SCM_PIDFD");
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, q));
	SHOW(setsockopt(q[1], SOL_SOCKET, 76 /* SO_PASSPIDFD */, &on, sizeof on));
	SHOW(setsockopt(q[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	MUST(write(q[0], "x", 1));
	SHOW(recvmsg(q[1], &m, 0));
	printf("flags %#x\n", m.msg_flags);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		printf("level %d type %d length %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len - sizeof *c);
		if (c->cmsg_type == 4) {
			int fd;
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
			printf(", of this process: %d, close-on-exec: %d", is_me(fd), fcntl(fd, F_GETFD));
			close(fd);
		}
		putchar('\n');
	}
	puts("--- SO_PEERPIDFD and SO_PEERGROUPS");
	int fd = -1;
	socklen_t length = sizeof fd;
	SHOW(getsockopt(q[0], SOL_SOCKET, 77 /* SO_PEERPIDFD */, &fd, &length));
	int u[2];
	gid_t groups[] = { 5, 3, 9 }, got[8];
	MUST(setgroups(3, groups));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
	length = sizeof fd;
	TRY(getsockopt(u[0], SOL_SOCKET, 77, &fd, &length));
	CHECK(is_me(fd));
	length = sizeof got;
	SHOW(getsockopt(u[0], SOL_SOCKET, SO_PEERGROUPS, got, &length));
	printf("%d bytes: %d %d %d\n", (int)length, got[0], got[1], got[2]);
	length = 8;
	SHOW(getsockopt(u[0], SOL_SOCKET, SO_PEERGROUPS, got, &length));
	printf("%d bytes\n", (int)length);
	int t = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	length = sizeof got;
	SHOW(getsockopt(t, SOL_SOCKET, SO_PEERGROUPS, got, &length));
	length = sizeof got;
	SHOW(getsockopt(t, SOL_SOCKET, SO_PEERSEC, got, &length));
}

static void packets(void)
{
	char b[20];
	int q[2];
	puts("--- sequenced packets");
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, q));
	SHOW(send(q[0], "first", 5, 0));
	SHOW(send(q[0], "second", 6, MSG_EOR));
	SHOW(send(q[0], "", 0, 0));
	SHOW(send(q[0], "x", 1, MSG_OOB));
	struct iovec part = { b, 3 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	SHOW(recvmsg(q[1], &m, 0));
	printf("flags %#x\n", m.msg_flags);
	part.iov_len = sizeof b;
	SHOW(recvmsg(q[1], &m, MSG_PEEK));
	printf("flags %#x\n", m.msg_flags);
	SHOW(recvmsg(q[1], &m, MSG_TRUNC));
	printf("flags %#x\n", m.msg_flags);
	SHOW(recvmsg(q[1], &m, 0));
	show_receive("empty", q[1], 10, 0);
	int l = (int)MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0)), c = (int)MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	int stream = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(BIND(l, "@packets"));
	SHOW(CONNECT(c, "@packets"));
	MUST(listen(l, 3));
	SHOW(CONNECT(stream, "@packets"));
	SHOW(CONNECT(c, "@packets"));
	SHOW(CONNECT(c, "@packets"));
	int s = (int)MUST(accept(l, 0, 0));
	show_names("accepted", s);
	SHOW(send(c, "hello", 5, 0));
	socklen_t length = un("@packets");
	SHOW(sendto(c, "to", 2, 0, (struct sockaddr *)&un_address, length));
	show_receive("s", s, 20, 0);
	show_receive("s", s, 20, 0);
	close(c);
	show_receive("s", s, 20, 0);
	signal(SIGPIPE, SIG_IGN);
	SHOW(send(s, "x", 1, 0));
	show_poll("s", s);
}

int main(void)
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	every_kind();
	identities();
	packets();
	return 0;
}
