/* Covers: what one read of a unix stream holds where the receiver asks for identities: SO_PASSPIDFD, SO_PASSCRED, with
 * descriptors and bytes of several processes; and accept4 without a free descriptor. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/wait.h>
#include "socket_case.h"

static int q[2];

static void send_with(const char *text, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { (char *)text, strlen(text) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	if (fd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof control;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	MUST(sendmsg(q[0], &m, 0));
}

static void take(void)
{
	char bytes[16], control[200];
	struct iovec part = { bytes, sizeof bytes };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	int count = recvmsg(q[1], &m, MSG_DONTWAIT);
	if (count < 0) {
		printf("recvmsg: %s\n", error_name(errno));
		return;
	}
	printf("\"%.*s\" flags %#x:", count, bytes, m.msg_flags);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		printf(" type %d length %zu", c->cmsg_type, c->cmsg_len - sizeof *c);
		if (c->cmsg_type == 1 || c->cmsg_type == 4) {
			int fd;
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
			close(fd);
		}
	}
	putchar('\n');
}

static void from_child(const char *text)
{
	int child = fork();
	if (child == 0) {
		send_with(text, -1);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void reads(const char *title, int first, int second)
{
	int on = 1;
	printf("--- %s\n", title);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, q));
	if (first)
		MUST(setsockopt(q[1], SOL_SOCKET, first, &on, sizeof on));
	if (second)
		MUST(setsockopt(q[1], SOL_SOCKET, second, &on, sizeof on));
	send_with("a", -1);
	send_with("b", 0);
	send_with("c", -1);
	take();
	take();
	send_with("d", -1);
	from_child("e");
	send_with("f", -1);
	take();
	take();
	take();
	close(q[0]);
	close(q[1]);
}

static void accepting(void)
{
	struct rlimit limit;
	puts("--- accept4 without a free descriptor");
	int listener = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(BIND(listener, "@streams"));
	MUST(listen(listener, 5));
	MUST(CONNECT(client, "@streams"));
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = client + 1;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	TRY(accept4(listener, NULL, NULL, 0));
	TRY(accept4(client, NULL, NULL, 0));
	TRY(accept4(0, NULL, NULL, 0));
	TRY(accept4(99, NULL, NULL, 0));
	limit.rlim_cur = before;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	int taken = accept4(listener, NULL, NULL, 0);
	CHECK(taken == client + 1);
	struct sockaddr_un address;
	socklen_t length = sizeof address;
	MUST(CONNECT(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), "@streams"));
	/* The address cannot be written: the connection is lost, and its descriptor is free. */
	TRY(accept4(listener, (struct sockaddr *)8, &length, 0));
	CHECK(dup(0) == taken + 2);
	MUST(fcntl(listener, F_SETFL, O_NONBLOCK));
	TRY(accept4(listener, (struct sockaddr *)&address, &length, 0));
}

int main(void)
{
	reads("no identities", 0, 0);
	reads("SO_PASSCRED", SO_PASSCRED, 0);
	reads("SO_PASSPIDFD", 76, 0);
	reads("both", SO_PASSCRED, 76);
	accepting();
	return 0;
}
