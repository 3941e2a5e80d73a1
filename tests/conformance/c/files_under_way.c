/* Covers: how many descriptors a user may have under way (SCM_RIGHTS, RLIMIT_NOFILE, ETOOMANYREFS), for all of the user's processes; who is exempt; sockets that hold each other under pressure. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include "socket_case.h"

static char control[CMSG_SPACE(253 * sizeof(int))];

static long pass(int through, const int *fds, int count, int parts)
{
	struct iovec v = { "d", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control };
	m.msg_controllen = (size_t)parts * CMSG_SPACE(count * sizeof(int));
	memset(control, 0, sizeof control);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	for (int i = 0; i < parts; i++, h = CMSG_NXTHDR(&m, h)) {
		h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(h), fds, count * sizeof(int));
	}
	return sendmsg(through, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void be_user(int uid, rlim_t files)
{
	struct rlimit limit = { files, 4096 };
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	MUST(setgid(uid));
	MUST(setuid(uid));
}

static void until_refused(int through, int fd, int count)
{
	int fds[253], sent = 0;
	for (int i = 0; i < 253; i++)
		fds[i] = fd;
	while (sent < 3000 && pass(through, fds, count, 1) == 1)
		sent++;
	printf("%d messages of %d, then %s\n", sent, count, error_name(errno));
}

static void receive_one(int fd)
{
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	SHOW(recvmsg(fd, &m, MSG_DONTWAIT));
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
		for (size_t i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
			close(((int *)CMSG_DATA(h))[i]);
}

int main(void)
{
	int s[2], t[2], p[2];
	MUST(pipe(p));
	/* At the limit: one message more is let through, so that it is passed by what one message holds. */
	IN_CHILD(be_user(2001, 64); MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		 until_refused(s[0], p[0], 1);
		 receive_one(s[1]);
		 until_refused(s[0], p[0], 1));
	IN_CHILD(be_user(2001, 64); MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		 until_refused(s[0], p[0], 253));
	IN_CHILD(be_user(2001, 1000); MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		 until_refused(s[0], p[0], 253));
	/* Two lists in one message. */
	IN_CHILD(be_user(2002, 64); MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		 int two[2] = { p[0], p[1] };
		 int sent = 0;
		 while (pass(s[0], two, 2, 2) == 1) sent++;
		 printf("%d messages of two lists, then %s\n", sent, error_name(errno)));
	/* Another process of the same user has nothing left; another user has. */
	IN_CHILD(be_user(2003, 64); MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s)); MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, t));
		 until_refused(s[0], p[0], 8);
		 IN_CHILD(until_refused(t[0], p[0], 8)));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, t));
	IN_CHILD(be_user(2004, 64); until_refused(t[0], p[0], 8);
		 receive_one(t[1]);
		 until_refused(t[0], p[0], 8));
	/* What a user sent stays charged after its process has gone, and is free once the queue goes. */
	IN_CHILD(be_user(2004, 64); until_refused(t[0], p[0], 8));
	close(t[0]), close(t[1]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, t));
	IN_CHILD(be_user(2004, 64); until_refused(t[0], p[0], 8));
	/* Root is exempt, and does not count against others. */
	IN_CHILD(struct rlimit limit = { 64, 64 };
		 MUST(setrlimit(RLIMIT_NOFILE, &limit));
		 MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		 int sent = 0;
		 while (sent < 100 && pass(s[0], &p[0], 1, 1) == 1) sent++;
		 printf("root: %d messages\n", sent));
	/* Cycles of sockets, each with as much in its queue as goes. */
	IN_CHILD(be_user(2005, 4096);
		 static char block[16384];
		 int made = 0;
		 for (; made < 200; made++) {
			 if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) break;
			 if (pass(s[0], s, 2, 1) != 1) break;
			 while (write(s[0], block, sizeof block) > 0) continue;
			 close(s[0]), close(s[1]);
		 }
		 printf("%d cycles: %s\n", made, made == 200 ? "all" : error_name(errno)));
	return 0;
}
