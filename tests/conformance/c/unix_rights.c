/* Covers: ancillary messages of unix sockets: SCM_RIGHTS, SCM_CREDENTIALS, SO_PASSCRED, truncation, peeking, bad ones, sockets that only queues keep alive. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include "socket_case.h"

struct control { _Alignas(8) char bytes[4096]; };

static ssize_t send_control(int fd, int level, int type, const void *data, size_t length, size_t claimed)
{
	struct control c = { { 0 } };
	struct iovec v = { "d", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(length) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = level, h->cmsg_type = type, h->cmsg_len = claimed ? claimed : CMSG_LEN(length);
	memcpy(CMSG_DATA(h), data, length);
	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Receive with so much room for control messages; prints them and gives back the first descriptor. */
static int receive_control(const char *what, int fd, size_t room, int flags)
{
	struct control c;
	char buffer[8];
	struct iovec v = { buffer, sizeof buffer };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room ? &c : 0, .msg_controllen = room };
	memset(&c, 'z', sizeof c);
	ssize_t n = recvmsg(fd, &m, flags | MSG_DONTWAIT);
	if (n < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return -1;
	}
	printf("%s: %zd bytes, flags %#x, control %zu\n", what, n, m.msg_flags, (size_t)m.msg_controllen);
	int first = -1;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		printf("  level %d type %d length %zu", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len);
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
			int count = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int)), *fds = (int *)CMSG_DATA(h);
			for (int i = 0; i < count; i++) {
				printf(" %s", fcntl(fds[i], F_GETFD) == FD_CLOEXEC ? "cloexec" : fcntl(fds[i], F_GETFD) == 0 ? "open" : "closed");
				if (i)
					close(fds[i]);
				else
					first = fds[0];
			}
		}
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS && h->cmsg_len >= CMSG_LEN(sizeof(struct ucred))) {
			struct ucred *u = (struct ucred *)CMSG_DATA(h);
			printf(" %s %d %d", u->pid == getpid() ? "me" : u->pid == 0 ? "nobody" : "another", u->uid, u->gid);
		}
		putchar('\n');
		if (h->cmsg_len == 0)
			break;
	}
	return first;
}

static int open_files(void)
{
	int count = 0;
	for (int i = 0; i < 1024; i++)
		count += fcntl(i, F_GETFD) != -1;
	return count;
}

static void rights(int type)
{
	int s[2], p[2], fds[300];
	MUST(socketpair(AF_UNIX, type, 0, s));
	MUST(pipe(p));
	int before = open_files();
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, &p[1], sizeof(int), 0));
	int got = receive_control("one descriptor", s[1], 4096, 0);
	SHOW(write(got, "through", 7));
	char buffer[20] = { 0 };
	SHOW(read(p[0], buffer, 20));
	close(got);
	for (int i = 0; i < 300; i++)
		fds[i] = p[i & 1];
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4 * sizeof(int), 0));
	close(receive_control("four, close on exec", s[1], 4096, MSG_CMSG_CLOEXEC));
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4 * sizeof(int), 0));
	close(receive_control("room for two", s[1], CMSG_LEN(2 * sizeof(int)), 0));
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4 * sizeof(int), 0));
	close(receive_control("room for one and a half", s[1], CMSG_LEN(sizeof(int)) + 2, 0));
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4 * sizeof(int), 0));
	receive_control("room for a header", s[1], CMSG_LEN(0), 0);
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4 * sizeof(int), 0));
	receive_control("room for nothing", s[1], 7, 0);
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4 * sizeof(int), 0));
	receive_control("no room", s[1], 0, 0);
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 2 * sizeof(int), 0));
	SHOW(read(s[1], buffer, 1));
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 2 * sizeof(int), 0));
	close(receive_control("peek", s[1], 4096, MSG_PEEK));
	close(receive_control("and take", s[1], 4096, 0));
	printf("%d descriptors more\n", open_files() - before);
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 253 * sizeof(int), 0));
	close(receive_control("253", s[1], 4096, 0));
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 254 * sizeof(int), 0));
	int bad[2] = { p[0], 999 };
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, bad, sizeof bad, 0));
	bad[1] = -1;
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, bad, sizeof bad, 0));
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4, CMSG_LEN(0)));
	receive_control("no descriptors", s[1], 4096, 0);
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4, CMSG_LEN(3)));
	receive_control("no whole descriptor", s[1], 4096, 0);
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4, 15));
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4, 4000));
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4, -1));
	SHOW(send_control(s[0], SOL_SOCKET, 77, fds, 4, 0));
	SHOW(send_control(s[0], 77, SCM_RIGHTS, fds, 4, 0));
	receive_control("unknown level", s[1], 4096, 0);
	int path = (int)MUST(open("/", O_PATH));
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, &path, sizeof path, 0));
	close(receive_control("O_PATH", s[1], 4096, 0));
	close(path);
	/* A descriptor limit. */
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, fds, 4 * sizeof(int), 0));
	struct rlimit limit, small;
	getrlimit(RLIMIT_NOFILE, &limit);
	small = limit, small.rlim_cur = p[1] + 3;
	setrlimit(RLIMIT_NOFILE, &small);
	close(receive_control("at the limit", s[1], 4096, 0));
	setrlimit(RLIMIT_NOFILE, &limit);
	/* Descriptors that nobody receives. */
	SHOW(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, &p[1], sizeof(int), 0));
	close(p[1]);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	SHOW(read(p[0], buffer, 1));
	close(s[0]), close(s[1]);
	SHOW(read(p[0], buffer, 1));
	close(p[0]);
}

static void bytes_and_rights(void)
{
	int s[2];
	char buffer[20];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	MUST(send(s[0], "ab", 2, 0));
	MUST(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, &s[0], sizeof(int), 0));
	MUST(send(s[0], "ef", 2, 0));
	close(receive_control("bytes up to the descriptor's", s[1], 4096, 0));
	close(receive_control("the rest", s[1], 4096, 0));
	MUST(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, &s[0], sizeof(int), 0));
	MUST(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, &s[0], sizeof(int), 0));
	SHOW(recv(s[1], buffer, 10, 0));
	SHOW(recv(s[1], buffer, 10, 0));
	close(s[0]), close(s[1]);
}

static void credentials(int type)
{
	int s[2], on = 1, off = 0;
	MUST(socketpair(AF_UNIX, type, 0, s));
	MUST(send(s[0], "x", 1, 0));
	MUST(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	receive_control("sent before SO_PASSCRED", s[1], 4096, 0);
	MUST(send(s[0], "x", 1, 0));
	receive_control("sent after it", s[1], 4096, 0);
	MUST(send(s[0], "x", 1, 0));
	receive_control("cut off", s[1], CMSG_LEN(5), 0);
	MUST(send(s[0], "x", 1, 0));
	receive_control("no room", s[1], 0, 0);
	struct ucred u = { getpid(), getuid(), getgid() };
	SHOW(send_control(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u, 0));
	receive_control("explicit", s[1], 4096, 0);
	u.uid = 1234, u.gid = 55;
	SHOW(send_control(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u, 0));
	receive_control("root may claim", s[1], 4096, 0);
	SHOW(send_control(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u - 4, 0));
	u.pid = 999999;
	SHOW(send_control(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u, 0));
	IN_CHILD(
		MUST(setgid(100)); MUST(setuid(100));
		u.pid = getpid(), u.uid = 100, u.gid = 100;
		SHOW(send_control(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u, 0));
		u.uid = 0;
		SHOW(send_control(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u, 0));
		u.uid = 100, u.pid = getppid();
		SHOW(send_control(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u, 0));
		u.pid = getpid(), u.gid = 0;
		SHOW(send_control(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u, 0)));
	receive_control("from a child", s[1], 4096, 0);
	if (type == SOCK_STREAM) {
		IN_CHILD(send(s[0], "abc", 3, 0));
		MUST(send(s[0], "def", 3, 0));
		receive_control("not past another's bytes", s[1], 4096, 0);
		receive_control("the rest", s[1], 4096, 0);
	}
	MUST(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &off, sizeof off));
	MUST(send(s[0], "x", 1, 0));
	receive_control("off again", s[1], 4096, 0);
	close(s[0]), close(s[1]);
}

static void cycles(void)
{
	/* Sockets in their own queues and in each other's: a pipe's end goes with them, so its reader sees whether they went. */
	int p[2], s[2], t[2];
	char c;
	MUST(pipe(p));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, t));
	MUST(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, &p[1], sizeof(int), 0));
	MUST(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, s, sizeof s, 0));
	MUST(send_control(s[0], SOL_SOCKET, SCM_RIGHTS, t, sizeof t, 0));
	MUST(send_control(t[0], SOL_SOCKET, SCM_RIGHTS, s, sizeof s, 0));
	MUST(send_control(t[1], SOL_SOCKET, SCM_RIGHTS, s, sizeof s, 0));
	close(p[1]), close(s[0]), close(s[1]);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	SHOW(read(p[0], &c, 1));
	close(t[0]), close(t[1]);
	for (int i = 0; i < 3000 && read(p[0], &c, 1) == -1; i++) {
		/* Linux looks when another socket closes. */
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, t));
		close(t[0]), close(t[1]);
		sleep_ms(10);
	}
	SHOW(read(p[0], &c, 1));
	close(p[0]);
	/* A connection that was never accepted. */
	MUST(pipe(p));
	int l = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)), k = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(BIND(l, "@cycle"));
	MUST(listen(l, 2));
	MUST(CONNECT(k, "@cycle"));
	int both[2] = { l, p[1] };
	MUST(send_control(k, SOL_SOCKET, SCM_RIGHTS, both, sizeof both, 0));
	close(p[1]);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	SHOW(read(p[0], &c, 1));
	close(k), close(l);
	for (int i = 0; i < 3000 && read(p[0], &c, 1) == -1; i++) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, t));
		close(t[0]), close(t[1]);
		sleep_ms(10);
	}
	SHOW(read(p[0], &c, 1));
	/* Too many under way, for a user other than root. */
	IN_CHILD(
		struct rlimit limit = { 20, 20 };
		MUST(setrlimit(RLIMIT_NOFILE, &limit));
		MUST(setuid(4321));
		MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
		int sent = 0;
		while (send_control(s[0], SOL_SOCKET, SCM_RIGHTS, s, sizeof s, 0) == 1)
			sent++;
		printf("%d messages, then %s\n", sent, error_name(errno)));
}

/* A socket in the queue of a socket in the queue of a socket …: closing the outermost closes all. */
static void packed(void)
{
	int inner = -1, sent = 0, before = open_files();
	for (int i = 0; i < 300; i++) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) {
			perror("socketpair");
			break;
		}
		if (inner >= 0) {
			sent += send_control(pair[0], SOL_SOCKET, SCM_RIGHTS, &inner, sizeof inner, 0) == 1;
			close(inner);
		}
		close(pair[0]);
		inner = pair[1];
	}
	close(inner);
	printf("packed: %d sent, %d more open\n", sent, open_files() - before);
}

int main(void)
{
	rights(SOCK_STREAM);
	rights(SOCK_DGRAM);
	bytes_and_rights();
	credentials(SOCK_STREAM);
	credentials(SOCK_DGRAM);
	credentials(SOCK_SEQPACKET);
	cycles();
	packed();
	return 0;
}
