/* Covers: unix stream sockets: socketpair, names of all kinds, listen, accept, connect, shutdown, poll states, resets, MSG_PEEK, MSG_WAITALL, SO_PEERCRED, FIONREAD, time-outs, urgent bytes at faults. */
#include <sys/time.h>
#include "socket_case.h"

static void pairs(void)
{
	int s[2];
	char buffer[100];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	show_names("one of a pair", s[0]);
	show_poll("fresh", s[0]);
	SHOW(send(s[0], "hello", 5, 0));
	SHOW(send(s[0], " world", 6, MSG_EOR));
	show_poll("with data", s[1]);
	int n;
	SHOW(ioctl(s[1], FIONREAD, &n));
	printf("%d bytes wait\n", n);
	show_receive("peek", s[1], 8, MSG_PEEK);
	show_receive("peek far", s[1], 80, MSG_PEEK);
	show_receive("some", s[1], 3, 0);
	show_receive("rest", s[1], 80, 0);
	show_receive("nothing", s[1], 80, 0);
	SHOW(recv(s[1], buffer, 10, MSG_OOB));
	SHOW(send(s[0], "x", 1, 0));
	SHOW(recv(s[1], buffer, 0, 0));
	SHOW(read(s[1], buffer, 0));
	SHOW(write(s[0], buffer, 0));
	SHOW(send(s[0], buffer, 0, 0));
	struct iovec v[2] = { { "ab", 2 }, { "cde", 3 } }, w[2] = { { buffer, 4 }, { buffer + 10, 40 } };
	SHOW(writev(s[0], v, 2));
	SHOW(readv(s[1], w, 2));
	SHOW(pread(s[0], buffer, 1, 0));
	SHOW(pwrite(s[0], buffer, 1, 0));
	SHOW(lseek(s[0], 0, SEEK_SET));
	SHOW(ftruncate(s[0], 0));
	SHOW(fsync(s[0]));
	struct stat status;
	MUST(fstat(s[0], &status));
	printf("mode %o, size %ld, links %d\n", status.st_mode, (long)status.st_size, (int)status.st_nlink);
	char link[64], name[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", s[0]);
	n = (int)MUST(readlink(link, name, sizeof name));
	printf("%.7s\n", name);
	SHOW(open(link, O_RDWR));
	printf("flags %#x, cloexec %d\n", fcntl(s[0], F_GETFL), fcntl(s[0], F_GETFD));
	close(s[0]), close(s[1]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s));
	printf("flags %#x, cloexec %d\n", fcntl(s[1], F_GETFL), fcntl(s[1], F_GETFD));
	SHOW(recv(s[1], buffer, 10, 0));
	close(s[0]), close(s[1]);
}

static void endings(void)
{
	int s[2];
	char buffer[100];
	signal(SIGPIPE, SIG_IGN);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SHOW(shutdown(s[0], 3));
	SHOW(shutdown(s[0], -1));
	SHOW(shutdown(s[0], SHUT_WR));
	show_poll("writer shut", s[0]);
	show_poll("its peer", s[1]);
	show_receive("end", s[1], 10, 0);
	SHOW(send(s[0], "x", 1, 0));
	SHOW(send(s[1], "x", 1, 0));
	SHOW(shutdown(s[1], SHUT_WR));
	show_poll("both shut", s[0]);
	show_receive("last", s[0], 10, 0);
	show_receive("end", s[0], 10, 0);
	close(s[0]), close(s[1]);

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SHOW(shutdown(s[0], SHUT_RD));
	show_poll("reader shut", s[0]);
	show_poll("its peer", s[1]);
	SHOW(send(s[1], "x", 1, 0));
	show_receive("end", s[0], 10, 0);
	SHOW(send(s[0], "y", 1, 0));
	show_receive("other way", s[1], 10, 0);
	close(s[0]), close(s[1]);

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SHOW(send(s[0], "unread", 6, 0));
	SHOW(send(s[1], "left", 4, 0));
	close(s[1]);
	show_poll("peer closed with unread data", s[0]);
	show_receive("what it sent", s[0], 10, 0);
	show_receive("reset", s[0], 10, 0);
	show_receive("end", s[0], 10, 0);
	SHOW(send(s[0], "x", 1, 0));
	show_names("survivor", s[0]);
	SHOW(shutdown(s[0], SHUT_RDWR));
	close(s[0]);

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SHOW(send(s[0], "unread", 6, 0));
	close(s[1]);
	show_error("reset", s[0]);
	show_error("again", s[0]);
	SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
	show_receive("end", s[0], 10, 0);
	close(s[0]);

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	close(s[1]);
	show_poll("peer closed", s[0]);
	SHOW(recv(s[0], buffer, 10, 0));
	signal(SIGPIPE, SIG_DFL);
	IN_CHILD(send(s[0], "x", 1, MSG_NOSIGNAL); puts("alive"); send(s[0], "x", 1, 0); puts("not reached"));
	IN_CHILD(write(s[0], "x", 1); puts("not reached"));
	close(s[0]);
}

static void names(void)
{
	int l = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c, a;
	struct sockaddr_un peer;
	socklen_t length = sizeof peer;
	show_names("fresh", l);
	show_poll("fresh", l);
	SHOW(listen(l, 3));
	SHOW(accept(l, 0, 0));
	SHOW(BIND(l, "dir/none"));
	SHOW(BIND(l, "sock"));
	SHOW(BIND(l, "sock2"));
	SHOW(BIND(l, "@name"));
	SHOW(access("sock2", F_OK));
	show_names("bound", l);
	show_poll("bound", l);
	SHOW(CONNECT(l, "sock"));
	c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	SHOW(CONNECT(c, "sock"));
	SHOW(BIND(c, "sock"));
	SHOW(CONNECT(c, "nothing"));
	put_file("plain", "", 0600);
	SHOW(CONNECT(c, "plain"));
	SHOW(CONNECT(c, "@nobody"));
	SHOW(listen(l, 1));
	show_poll("listening", l);
	SHOW(CONNECT(l, "sock"));
	SHOW(send(l, "x", 1, MSG_NOSIGNAL));
	SHOW(recv(l, &peer, 1, 0));
	SHOW(CONNECT(c, "sock"));
	SHOW(CONNECT(c, "sock"));
	SHOW(BIND(c, "client"));
	show_poll("connected", c);
	show_poll("ready to accept", l);
	show_names("client", c);
	SHOW(send(c, "early", 5, 0));
	memset(&peer, 'z', sizeof peer);
	a = accept4(l, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK(a >= 0);
	show_un("accepted from", a, &peer, length);
	show_names("accepted", a);
	printf("flags %#x, cloexec %d\n", fcntl(a, F_GETFL), fcntl(a, F_GETFD));
	show_receive("early", a, 10, 0);
	length = sizeof peer;
	SHOW(recvfrom(a, &peer, 1, 0, (struct sockaddr *)&peer, &length));
	SHOW(send(c, "named", 5, 0));
	char data[10];
	length = sizeof peer;
	int n = (int)recvfrom(a, data, 10, 0, (struct sockaddr *)&peer, &length);
	show_un("from", n, &peer, length);
	SHOW(sendto(c, "x", 1, 0, (struct sockaddr *)&un_address, un("sock")));
	close(a), close(c);
	/* The backlog. */
	int many[6];
	for (int i = 0; i < 5; i++) {
		many[i] = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
		SHOW(CONNECT(many[i], "sock"));
	}
	SHOW(unlink("sock"));
	SHOW(CONNECT(many[4], "sock"));
	show_names("unlinked", l);
	close(l);
	show_poll("listener gone", many[0]);
	show_receive("listener gone", many[0], 10, 0);
	SHOW(send(many[1], "x", 1, MSG_NOSIGNAL));
	for (int i = 0; i < 5; i++)
		close(many[i]);
	/* A dead node. */
	l = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(BIND(l, "dead"));
	struct stat status;
	MUST(stat("dead", &status));
	printf("node %o\n", status.st_mode);
	close(l);
	c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	SHOW(CONNECT(c, "dead"));
	SHOW(BIND(c, "dead"));
	SHOW(open("dead", O_RDONLY));
	/* Abstract names and automatic ones. */
	SHOW(BIND(c, "@krait"));
	show_names("abstract", c);
	int d = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	SHOW(BIND(d, "@krait"));
	int g = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	SHOW(BIND(g, "@krait"));
	SHOW(CONNECT(g, "@krait2"));
	MUST(listen(c, 0));
	SHOW(CONNECT(d, "@krait"));
	show_names("its client", d);
	close(c), close(d);
	c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	SHOW(BIND(c, "@krait"));
	SHOW(CONNECT(g, "@krait"));
	close(c), close(g);
	c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	struct sockaddr_un any = { AF_UNIX, "" };
	SHOW(bind(c, (struct sockaddr *)&any, sizeof(sa_family_t)));
	SHOW(bind(c, (struct sockaddr *)&any, sizeof(sa_family_t)));
	length = sizeof peer;
	MUST(getsockname(c, (struct sockaddr *)&peer, &length));
	printf("automatic name: %d bytes\n", (int)length);
	close(c);
	/* Lengths. */
	c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	memset(&any, 'a', sizeof any);
	any.sun_family = AF_UNIX;
	for (int size = -1; size <= 3; size++)
		printf("bind with %d: %s\n", size, bind(-1, 0, 0) ? error_name(errno) : "ok");
	SHOW(bind(c, (struct sockaddr *)&any, 0));
	SHOW(bind(c, (struct sockaddr *)&any, 1));
	SHOW(bind(c, (struct sockaddr *)&any, -1));
	SHOW(bind(c, (struct sockaddr *)&any, 111));
	SHOW(bind(c, (struct sockaddr *)&any, 128));
	SHOW(bind(c, (struct sockaddr *)&any, 129));
	SHOW(connect(c, (struct sockaddr *)&any, 0));
	SHOW(connect(c, (struct sockaddr *)&any, 2));
	SHOW(connect(c, (struct sockaddr *)&any, 111));
	any.sun_family = AF_INET;
	SHOW(bind(c, (struct sockaddr *)&any, 16));
	SHOW(connect(c, (struct sockaddr *)&any, 16));
	any.sun_family = AF_UNSPEC;
	SHOW(connect(c, (struct sockaddr *)&any, 16));
	any.sun_family = AF_UNIX;
	SHOW(bind(c, (struct sockaddr *)&any, 110));
	length = 200;
	char large[200];
	SHOW(getsockname(c, (struct sockaddr *)large, &length));
	printf("longest name: %d\n", (int)length);
	length = 5;
	SHOW(getsockname(c, (struct sockaddr *)large, &length));
	printf("cut off: %d\n", (int)length);
	length = (socklen_t)-1;
	SHOW(getsockname(c, (struct sockaddr *)large, &length));
	close(c);
}

static void waiting(void)
{
	int s[2];
	char buffer[40] = { 0 };
	struct timeval t = { 0, 50000 };
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	MUST(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	SHOW(read(s[0], buffer, 1));
	MUST(send(s[1], "abc", 3, 0));
	SHOW(recv(s[0], buffer, 10, MSG_WAITALL));
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 5; i++)
			sleep_ms(5), write(s[1], "0123456789" + 2 * i, 2);
		_exit(0);
	}
	t.tv_sec = 60;
	MUST(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	SHOW(recv(s[0], buffer, 10, MSG_WAITALL));
	printf("%s\n", buffer);
	show_end(child);
	/* A full buffer. */
	static char block[8192];
	t.tv_sec = 0;
	MUST(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
	long total = 0, n;
	while ((n = write(s[0], block, sizeof block)) > 0)
		total += n;
	printf("full: %s\n", error_name(errno));
	CHECK(total > 100000 && total < 500000);
	show_poll("full", s[0]);
	long got = 0;
	while ((n = recv(s[1], block, sizeof block, MSG_DONTWAIT)) > 0)
		got += n;
	CHECK(got == total);
	show_poll("empty", s[0]);
	/* A writer that waits for its reader. */
	child = fork();
	if (child == 0) {
		static char big[1 << 20];
		t.tv_sec = 10;
		setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
		_exit(write(s[0], big, sizeof big) == sizeof big ? 0 : 1);
	}
	for (got = 0; got < 1 << 20 && (n = read(s[1], block, sizeof block)) > 0;)
		got += n;
	printf("%ld bytes\n", got);
	show_end(child);
	struct ucred who;
	socklen_t length = sizeof who;
	MUST(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &who, &length));
	printf("peer: %s %d %d, %d bytes\n", who.pid == getpid() ? "me" : "another", who.uid, who.gid, (int)length);
	close(s[0]), close(s[1]);
	int c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &who, &length));
	printf("nobody: %d %d %d\n", who.pid, who.uid, who.gid);
}

/* An urgent byte that meets a fault is gone, but not if it was only looked at. */
static void urgent_faults(void)
{
	int s[2];
	char buffer[100];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SHOW(send(s[0], "abc", 3, MSG_OOB));
	SHOW(recv(s[1], (void *)16, 1, MSG_OOB | MSG_PEEK));
	SHOW(recv(s[1], buffer, 1, MSG_OOB | MSG_PEEK));
	SHOW(recv(s[1], (void *)16, 1, MSG_OOB));
	SHOW(recv(s[1], buffer, 1, MSG_OOB));
	show_receive("rest", s[1], 80, MSG_DONTWAIT);
	close(s[0]), close(s[1]);
}

int main(void)
{
	pairs();
	urgent_faults();
	endings();
	names();
	waiting();
	return 0;
}
