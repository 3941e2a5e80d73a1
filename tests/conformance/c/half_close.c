/* Covers: shutdown, half-closed connections, lingering, results of non-blocking connect, sendfile and splice to and from sockets. */
#define _GNU_SOURCE
#include <sys/sendfile.h>
#include <time.h>
#include "tcp_case.h"

static void halves(int kind)
{
	int p[2];
	printf("--- %s\n", kind ? "unix" : "TCP");
	if (kind)
		MUST(socketpair(AF_UNIX, kind, 0, p));
	else
		connected(4400, p);
	signal(SIGPIPE, SIG_IGN);
	SHOW(shutdown(p[0], 3));
	SHOW(shutdown(p[0], -1));
	MUST(write(p[0], "before", 6));
	SHOW(shutdown(p[0], SHUT_WR));
	SHOW(write(p[0], "after", 5));
	settle();
	show_receive("p[1]", p[1], 100, 0);
	show_receive("p[1]", p[1], 100, 0);
	SHOW(write(p[1], "answer", 6));
	settle();
	show_receive("p[0]", p[0], 100, 0);
	show_poll("p[0]", p[0]);
	show_poll("p[1]", p[1]);
	SHOW(shutdown(p[0], SHUT_RD));
	show_receive("p[0]", p[0], 100, 0);
	SHOW(write(p[1], "too late", 8));
	settle();
	SHOW(write(p[1], "too late", 8));
	settle();
	show_poll("p[0]", p[0]);
	show_poll("p[1]", p[1]);
	show_error("p[1]", p[1]);
	SHOW(shutdown(p[1], SHUT_RDWR));
	SHOW(shutdown(p[1], SHUT_RDWR));
	close(p[0]);
	show_receive("p[1]", p[1], 100, 0);
	close(p[1]);
}

static long ms_since(struct timespec *start)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

static void lingering(void)
{
	int p[2];
	struct linger l = { 1, 60 };
	struct timespec start;
	puts("--- lingering");
	connected(4401, p);
	MUST(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, sizeof l));
	MUST(write(p[0], "data", 4));
	clock_gettime(CLOCK_MONOTONIC, &start);
	close(p[0]);
	printf("the data were taken: %s\n", ms_since(&start) < 30000 ? "at once" : "late");
	show_receive("p[1]", p[1], 100, 0);
	close(p[1]);
	connected(4402, p);
	l.l_linger = 2;
	MUST(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, sizeof l));
	nonblocking(p[0]);
	static char block[1 << 20];
	while (write(p[0], block, sizeof block) > 0)
		;
	MUST(fcntl(p[0], F_SETFL, 0));
	clock_gettime(CLOCK_MONOTONIC, &start);
	close(p[0]);
	long ms = ms_since(&start);
	printf("nobody reads: after %s\n", ms < 1800 ? "less than the time" : ms < 30000 ? "the time" : "more than the time");
	close(p[1]);
	connected(4403, p);
	l.l_linger = 0;
	MUST(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, sizeof l));
	MUST(write(p[0], "data", 4));
	close(p[0]);
	settle();
	show_poll("reset", p[1]);
	show_receive("reset", p[1], 100, 0);
	show_receive("reset", p[1], 100, 0);
	SHOW(write(p[1], "x", 1));
	close(p[1]);
}

static void connecting(void)
{
	struct sockaddr none = { AF_UNSPEC };
	puts("--- connecting without blocking");
	int l = listener(4404, 5), c = tcp();
	nonblocking(c);
	SHOW(connect(c, in(4404), sizeof in_address));
	settle();
	show_poll("connected", c);
	show_error("connected", c);
	SHOW(connect(c, in(4404), sizeof in_address));
	SHOW(connect(c, in(4404), sizeof in_address));
	SHOW(connect(c, &none, sizeof none));
	show_poll("dissolved", c);
	SHOW(connect(c, in(4404), sizeof in_address));
	settle();
	SHOW(send(c, "hi", 2, 0));
	close(c);
	c = tcp();
	nonblocking(c);
	SHOW(connect(c, in(4499), sizeof in_address));
	settle();
	show_poll("refused", c);
	SHOW(send(c, "hi", 2, MSG_NOSIGNAL));
	SHOW(recv(c, &none, 1, 0));
	SHOW(connect(c, in(4499), sizeof in_address));
	settle();
	SHOW(connect(c, in(4499), sizeof in_address));
	SHOW(connect(c, in(4404), sizeof in_address));
	settle();
	SHOW(connect(c, in(4404), sizeof in_address));
	close(c);
	c = tcp();
	SHOW(connect(c, in(4499), sizeof in_address));
	SHOW(connect(c, in(4404), sizeof in_address));
	close(c);
	c = tcp();
	SHOW(send(c, "hi", 2, MSG_NOSIGNAL));
	SHOW(recv(c, &none, 1, 0));
	SHOW(sendto(c, "hi", 2, MSG_NOSIGNAL, in(4404), sizeof in_address));
	SHOW(sendto(c, "fast", 4, MSG_NOSIGNAL | MSG_FASTOPEN, in(4404), sizeof in_address));
	for (int i = 0; i < 5; i++) {
		int s = accept4(l, 0, 0, SOCK_NONBLOCK);
		if (s < 0)
			break;
		show_receive("accepted", s, 100, 0);
		close(s);
		nonblocking(l);
	}
	close(c);
	c = tcp();
	nonblocking(c);
	SHOW(sendto(c, "fast", 4, MSG_NOSIGNAL | MSG_FASTOPEN, in(4404), sizeof in_address));
	SHOW(sendto(c, "fast", 4, MSG_NOSIGNAL | MSG_FASTOPEN, &none, sizeof none));
	close(c);
	close(l);
}

static void moving(int kind)
{
	int p[2], pipe_[2];
	char b[100];
	printf("--- sendfile and splice, %s\n", kind ? "unix" : "TCP");
	if (kind)
		MUST(socketpair(AF_UNIX, kind, 0, p));
	else
		connected(4405, p);
	put_file("/tmp/half_close", "0123456789abcdef", 0600);
	int f = (int)MUST(open("/tmp/half_close", O_RDWR));
	off_t at = 4;
	SHOW(sendfile(p[0], f, &at, 6));
	printf("offset %ld\n", (long)at);
	settle();
	show_receive("received", p[1], 100, 0);
	SHOW(sendfile(p[0], f, NULL, 100));
	settle();
	show_receive("received", p[1], 100, 0);
	SHOW(sendfile(p[0], f, NULL, 100));
	SHOW(sendfile(f, p[0], NULL, 100));
	MUST(pipe(pipe_));
	MUST(write(pipe_[1], "through a pipe", 14));
	SHOW(splice(pipe_[0], NULL, p[0], NULL, 7, 0));
	SHOW(splice(pipe_[0], NULL, p[0], NULL, 100, SPLICE_F_MORE | SPLICE_F_NONBLOCK));
	settle();
	show_receive("received", p[1], 100, 0);
	MUST(write(p[0], "into a pipe", 11));
	settle();
	SHOW(splice(p[1], NULL, pipe_[1], NULL, 4, 0));
	SHOW(splice(p[1], NULL, pipe_[1], NULL, 100, 0));
	memset(b, 0, sizeof b);
	SHOW(read(pipe_[0], b, sizeof b));
	printf("\"%s\"\n", b);
	SHOW(splice(p[0], NULL, p[1], NULL, 4, 0));
	at = 0;
	SHOW(splice(p[0], &at, pipe_[1], NULL, 4, 0));
	MUST(shutdown(p[0], SHUT_WR));
	settle();
	SHOW(splice(p[1], NULL, pipe_[1], NULL, 100, 0));
	SHOW(sendfile(p[0], f, &at, 6));
	at = 0;
	MUST(write(pipe_[1], "x", 1));
	SHOW(splice(pipe_[0], NULL, p[0], NULL, 7, 0));
	close(p[0]);
	close(p[1]);
	close(f);
}

int main(void)
{
	loopback_up();
	halves(0);
	halves(SOCK_STREAM);
	halves(SOCK_SEQPACKET);
	lingering();
	connecting();
	moving(0);
	moving(SOCK_STREAM);
	return 0;
}
