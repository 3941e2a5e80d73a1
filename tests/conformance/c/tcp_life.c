/* TCP connections from their beginning to their end: states, errors, poll bits, shutdown, linger. */
#include "tcp_case.h"

static void begin(void)
{
	int s = tcp();
	struct sockaddr_in a;
	socklen_t length = sizeof a;
	char byte;
	printf("-- a new socket\n");
	show_poll("new", s);
	printf("%s\n", state_of(s));
	SHOW(recv(s, &byte, 1, 0));
	SHOW(send(s, "x", 1, MSG_NOSIGNAL));
	SHOW(shutdown(s, SHUT_WR));
	SHOW(shutdown(s, 7));
	SHOW(accept(s, NULL, NULL));
	SHOW(getpeername(s, (void *)&a, &length));
	length = sizeof a;
	SHOW(getsockname(s, (void *)&a, &length));
	printf("%d %s:%d\n", (int)length, inet_ntoa(a.sin_addr), ntohs(a.sin_port));
	SHOW(connect(s, in(4999), sizeof in_address));
	show_error("refused", s);
	SHOW(connect(s, in(4999), 8));
	in(4999)->sa_family = AF_UNIX;
	SHOW(connect(s, (void *)&in_address, sizeof in_address));
	close(s);
}

static void names(void)
{
	printf("-- names\n");
	int l = listener(5100, 3), s = tcp(), other = tcp(), one = 1;
	struct sockaddr_in a;
	socklen_t length = sizeof a;
	printf("%s\n", state_of(l));
	SHOW(listen(l, 5));
	SHOW(bind(l, in(5101), sizeof in_address));
	SHOW(connect(l, in(5100), sizeof in_address));
	SHOW(bind(other, in(5100), sizeof in_address));
	setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	SHOW(bind(other, in(5100), sizeof in_address));
	SHOW(listen(other, 1));
	in(5102)->sa_family = AF_INET;
	in_address.sin_addr.s_addr = htonl(0x0a0b0c0d);
	SHOW(bind(other, (void *)&in_address, sizeof in_address));
	show_poll("listener", l);
	SHOW(connect(s, in(5100), sizeof in_address));
	settle();
	show_poll("listener with a connection", l);
	SHOW(connect(s, in(5100), sizeof in_address));
	int c = accept(l, (void *)&a, &length);
	printf("%s from %s %d\n", c >= 0 ? "accepted" : error_name(errno), inet_ntoa(a.sin_addr), (int)length);
	struct sockaddr_in b;
	length = sizeof b;
	SHOW(getsockname(s, (void *)&b, &length));
	printf("%d\n", a.sin_port == b.sin_port);
	length = sizeof b;
	SHOW(getpeername(c, (void *)&b, &length));
	printf("%d\n", a.sin_port == b.sin_port);
	length = sizeof b;
	SHOW(getsockname(c, (void *)&b, &length));
	printf("%s:%d\n", inet_ntoa(b.sin_addr), ntohs(b.sin_port));
	nonblocking(l);
	SHOW(accept(l, NULL, NULL));
	printf("%s %s\n", state_of(s), state_of(c));
	show_poll("connected", s);
	close(c);
	close(s);
	close(l);
	close(other);
}

static void half_close(void)
{
	int p[2];
	printf("-- half close\n");
	connected(5110, p);
	SHOW(send(p[0], "first", 5, 0));
	SHOW(shutdown(p[0], SHUT_WR));
	settle();
	printf("%s %s\n", state_of(p[0]), state_of(p[1]));
	show_poll("closer", p[0]);
	show_poll("other", p[1]);
	SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
	show_receive("other", p[1], 100, 0);
	show_receive("other", p[1], 100, 0);
	show_poll("other", p[1]);
	SHOW(send(p[1], "answer", 6, 0));
	settle();
	show_poll("closer", p[0]);
	show_receive("closer", p[0], 100, 0);
	show_receive("closer", p[0], 100, 0);
	SHOW(shutdown(p[1], SHUT_WR));
	settle();
	printf("%s %s\n", state_of(p[0]), state_of(p[1]));
	show_poll("closer", p[0]);
	show_poll("other", p[1]);
	show_receive("closer", p[0], 100, 0);
	SHOW(shutdown(p[0], SHUT_RDWR));
	SHOW(shutdown(p[1], SHUT_RD));
	close(p[0]);
	close(p[1]);
}

static void shut_reading(void)
{
	int p[2];
	printf("-- no more reading\n");
	connected(5111, p);
	SHOW(send(p[1], "before", 6, 0));
	settle();
	SHOW(shutdown(p[0], SHUT_RD));
	show_poll("shut", p[0]);
	show_receive("shut", p[0], 100, 0);
	show_receive("shut", p[0], 100, 0);
	SHOW(send(p[1], "after", 5, 0));
	settle();
	show_receive("shut", p[0], 100, 0);
	show_receive("shut", p[0], 100, 0);
	show_poll("other", p[1]);
	SHOW(send(p[0], "back", 4, 0));
	settle();
	show_receive("other", p[1], 100, 0);
	close(p[0]);
	close(p[1]);
}

static void reset(void)
{
	int p[2];
	struct linger at_once = { 1, 0 };
	printf("-- unread data at close\n");
	connected(5112, p);
	SHOW(send(p[0], "unread", 6, 0));
	settle();
	close(p[1]);
	settle();
	show_poll("reset", p[0]);
	printf("%s\n", state_of(p[0]));
	SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
	show_poll("told", p[0]);
	SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
	show_receive("told", p[0], 10, 0);
	close(p[0]);

	printf("-- linger 0\n");
	connected(5113, p);
	SHOW(send(p[1], "data", 4, 0));
	settle();
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
	close(p[1]);
	settle();
	show_poll("reset", p[0]);
	show_receive("reset", p[0], 100, 0);
	show_receive("reset", p[0], 100, 0);
	show_receive("reset", p[0], 100, 0);
	SHOW(getpeername(p[0], (void *)&in_address, &(socklen_t){ sizeof in_address }));
	close(p[0]);

	printf("-- SO_ERROR takes the error\n");
	connected(5114, p);
	setsockopt(p[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(p[1]);
	settle();
	show_error("reset", p[0]);
	show_error("again", p[0]);
	show_receive("reset", p[0], 100, 0);
	show_poll("reset", p[0]);
	close(p[0]);

	printf("-- writing to a closed peer\n");
	connected(5115, p);
	close(p[1]);
	settle();
	printf("%s\n", state_of(p[0]));
	SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
	settle();
	show_poll("closed", p[0]);
	SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
	SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
	show_error("closed", p[0]);
	show_receive("closed", p[0], 10, 0);
	close(p[0]);
}

static int pipes;
static void on_pipe(int number) { pipes++; }

static void broken_pipe(void)
{
	int p[2];
	printf("-- SIGPIPE\n");
	signal(SIGPIPE, on_pipe);
	connected(5116, p);
	shutdown(p[0], SHUT_WR);
	SHOW(send(p[0], "x", 1, 0));
	SHOW(write(p[0], "x", 1));
	SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
	printf("%d signals\n", pipes);
	close(p[0]);
	close(p[1]);
}

static void unaccepted(void)
{
	printf("-- nobody accepted\n");
	int l = listener(5117, 5), s = tcp();
	SHOW(connect(s, in(5117), sizeof in_address));
	settle();
	close(l);
	settle();
	show_poll("dropped", s);
	show_receive("dropped", s, 10, 0);
	show_receive("dropped", s, 10, 0);
	close(s);
	s = tcp();
	SHOW(connect(s, in(5117), sizeof in_address));
	close(s);
}

static void nonblocking_connect(void)
{
	printf("-- non-blocking\n");
	int l = listener(5118, 5), s = tcp();
	nonblocking(s);
	long r = connect(s, in(5118), sizeof in_address);
	printf("%s\n", r < 0 ? error_name(errno) : "connected");
	settle();
	show_poll("connecting", s);
	show_error("connecting", s);
	SHOW(connect(s, in(5118), sizeof in_address));
	SHOW(connect(s, in(5118), sizeof in_address));
	char byte;
	SHOW(recv(s, &byte, 1, 0));
	close(s);
	s = tcp();
	nonblocking(s);
	r = connect(s, in(4999), sizeof in_address);
	printf("%s\n", r < 0 ? error_name(errno) : "connected");
	settle();
	show_poll("refused", s);
	show_error("refused", s);
	show_poll("refused, told", s);
	close(s);
	close(l);
}

static void to_itself(void)
{
	printf("-- to itself\n");
	int s = tcp();
	SHOW(bind(s, in(5119), sizeof in_address));
	SHOW(connect(s, in(5119), sizeof in_address));
	SHOW(send(s, "echo", 4, 0));
	settle();
	show_receive("itself", s, 10, 0);
	printf("%s\n", state_of(s));
	shutdown(s, SHUT_WR);
	settle();
	printf("%s\n", state_of(s));
	show_receive("itself", s, 10, 0);
	close(s);
}

static void disconnected(void)
{
	printf("-- connect to nothing\n");
	int p[2];
	connected(5120, p);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	SHOW(connect(p[0], &none, sizeof none));
	settle();
	printf("%s\n", state_of(p[0]));
	show_receive("other", p[1], 10, 0);
	int l = listener(5121, 1);
	SHOW(connect(p[0], in(5121), sizeof in_address));
	close(l);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	loopback_up();
	begin();
	names();
	half_close();
	shut_reading();
	reset();
	broken_pipe();
	unaccepted();
	nonblocking_connect();
	to_itself();
	disconnected();
	return 0;
}
