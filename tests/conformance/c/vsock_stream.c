/* Covers: AF_VSOCK streams over loopback: names, binding, connecting, accepting, sending, shutting down, resets, readiness. */
#define _GNU_SOURCE
#include <sys/epoll.h>
#include <sys/uio.h>
#include "vsock_case.h"

static char big[1 << 20];

static void making(void)
{
	int pair[2];
	puts("--- socket");
	TRY(socket(AF_VSOCK, SOCK_STREAM, 0));
	TRY(socket(AF_VSOCK, SOCK_STREAM, AF_VSOCK));
	TRY(socket(AF_VSOCK, SOCK_STREAM, 1));
	TRY(socket(AF_VSOCK, SOCK_SEQPACKET, 0));
	TRY(socket(AF_VSOCK, SOCK_DGRAM, 0));
	TRY(socket(AF_VSOCK, SOCK_RAW, 0));
	TRY(socket(AF_VSOCK, SOCK_RDM, 0));
	TRY(socketpair(AF_VSOCK, SOCK_STREAM, 0, pair));
}

static void names(void)
{
	int a = vm_socket(SOCK_STREAM), b = vm_socket(SOCK_STREAM), c;
	puts("--- names");
	show_name("new", a, 0);
	show_name("new, peer", a, 1);
	show_poll("new", a);
	SHOW(bind(a, vm(CID_ANY, 4000), 15));
	SHOW(bind(a, vm(CID_ANY, 4000), 2));
	vm(CID_ANY, 4000);
	vm_address.family = AF_INET;
	SHOW(bind(a, (void *)&vm_address, sizeof vm_address));
	SHOW(connect(a, (void *)&vm_address, sizeof vm_address));
	vm(CID_ANY, 4000);
	vm_address.reserved = 7;
	SHOW(bind(a, (void *)&vm_address, sizeof vm_address));
	show_name("bound", a, 0);
	SHOW(bind(a, vm(CID_ANY, 4001), sizeof vm_address));
	SHOW(bind(b, vm(CID_ANY, 4000), sizeof vm_address));
	SHOW(bind(b, vm(CID_LOCAL, 4000), sizeof vm_address));
	SHOW(bind(b, vm(CID_HYPERVISOR, 4002), sizeof vm_address));
	SHOW(bind(b, vm(CID_HOST, 4002), sizeof vm_address));
	SHOW(bind(b, vm(77, 4002), sizeof vm_address));
	SHOW(bind(b, vm(CID_LOCAL, 4002), sizeof vm_address));
	show_name("bound to the local context", b, 0);
	close(b);
	b = vm_socket(SOCK_STREAM);
	SHOW(bind(b, vm(CID_LOCAL, PORT_ANY), sizeof vm_address));
	show_name("any port", b, 0);
	c = vm_socket(SOCK_SEQPACKET);
	SHOW(bind(c, vm(CID_ANY, 4000), sizeof vm_address));
	SHOW(bind(c, vm(CID_ANY, 1023), sizeof vm_address));
	show_name("privileged", c, 0);
	close(c);
	c = vm_socket(SOCK_STREAM);
	vm(CID_ANY, 4003);
	vm_address.flags = 1;
	SHOW(bind(c, (void *)&vm_address, sizeof vm_address));
	close(c);
	c = vm_socket(SOCK_STREAM);
	vm(CID_ANY, 4003);
	vm_address.zero[1] = 1;
	SHOW(bind(c, (void *)&vm_address, sizeof vm_address));
	SHOW(bind(c, vm(CID_ANY, 0), sizeof vm_address));
	show_name("port 0", c, 0);
	IN_CHILD(
		MUST(setuid(1000));
		int u = vm_socket(SOCK_STREAM);
		SHOW(bind(u, vm(CID_ANY, 1022), sizeof vm_address));
		SHOW(bind(u, vm(CID_ANY, 1024), sizeof vm_address));
	);
	close(a);
	close(b);
	close(c);
}

static void unconnected(void)
{
	int a = vm_socket(SOCK_STREAM);
	struct sockaddr none = { AF_UNSPEC };
	puts("--- unconnected");
	SHOW(send(a, "x", 1, MSG_NOSIGNAL));
	SHOW(send(a, "x", 0, MSG_NOSIGNAL));
	SHOW(send(a, "x", 1, MSG_OOB | MSG_NOSIGNAL));
	SHOW(sendto(a, "x", 1, MSG_NOSIGNAL, vm(CID_LOCAL, 4000), sizeof vm_address));
	show_receive("recv", a, 10, 0);
	show_receive("recv of nothing", a, 0, 0);
	show_receive("recv out of band", a, 1, MSG_OOB);
	show_receive("recv of errors", a, 1, MSG_ERRQUEUE);
	SHOW(shutdown(a, SHUT_RD));
	SHOW(shutdown(a, SHUT_RDWR));
	SHOW(shutdown(a, 3));
	SHOW(shutdown(a, -1));
	SHOW(listen(a, 1));
	SHOW(accept(a, NULL, NULL));
	SHOW(connect(a, &none, sizeof none));
	SHOW(connect(a, vm(CID_LOCAL, 4000), 15));
	SHOW(connect(a, vm(CID_LOCAL, 4000), sizeof vm_address));
	show_name("after a failure", a, 0);
	show_name("after a failure, peer", a, 1);
	show_poll("after a failure", a);
	SHOW(send(a, "x", 1, MSG_NOSIGNAL));
	show_error("after a failure", a);
	show_error("after a failure, again", a);
	show_poll("after a failure", a);
	SHOW(connect(a, vm(CID_ANY, 4000), sizeof vm_address));
	SHOW(connect(a, vm(CID_HYPERVISOR, 4000), sizeof vm_address));
	SHOW(connect(a, vm(CID_HOST, 4000), sizeof vm_address));
	SHOW(connect(a, vm(99, 4000), sizeof vm_address));
	SHOW(connect(a, vm(CID_LOCAL, PORT_ANY), sizeof vm_address));
	int l = vm_listener(SOCK_STREAM, 4000, 3);
	SHOW(connect(a, vm(CID_LOCAL, 4000), sizeof vm_address));
	SHOW(connect(a, vm(CID_LOCAL, 4000), sizeof vm_address));
	show_name("at last", a, 0);
	show_name("at last, peer", a, 1);
	close(a);
	close(l);
	a = vm_socket(SOCK_STREAM);
	SHOW(connect(a, vm(CID_LOCAL, 4000), sizeof vm_address));
	show_error("refused", a);
	close(a);
}

static void accepting(void)
{
	struct vm_address from;
	socklen_t length = sizeof from;
	int l = vm_listener(SOCK_STREAM, 4010, 1), c[4], s;
	puts("--- accepting");
	show_poll("listening", l);
	SHOW(listen(l, 1));
	SHOW(bind(l, vm(CID_ANY, 4011), sizeof vm_address));
	SHOW(connect(l, vm(CID_LOCAL, 4010), sizeof vm_address));
	SHOW(send(l, "x", 1, MSG_NOSIGNAL));
	show_receive("recv of a listener", l, 1, 0);
	SHOW(shutdown(l, SHUT_RD));
	nonblocking(l);
	SHOW(accept(l, NULL, NULL));
	for (int i = 0; i < 4; i++) {
		c[i] = vm_socket(SOCK_STREAM);
		printf("connection %d: ", i);
		SHOW(connect(c[i], vm(CID_LOCAL, 4010), sizeof vm_address));
	}
	show_poll("with connections", l);
	SHOW(send(c[0], "before it is accepted", 21, 0));
	memset(&from, 0xaa, sizeof from);
	s = (int)MUST(accept4(l, (void *)&from, &length, SOCK_NONBLOCK));
	printf("from cid %u in %u bytes\n", from.cid, length);
	show_name("accepted", s, 0);
	show_receive("accepted", s, 100, 0);
	show_receive("accepted", s, 100, 0);
	close(c[1]);
	settle();
	show_poll("one has gone", l);
	int t = (int)TRY(accept(l, NULL, NULL));
	if (t >= 0) {
		show_name("has gone, peer", t, 1);
		show_poll("has gone", t);
		show_receive("has gone", t, 100, 0);
		SHOW(send(t, "x", 1, MSG_NOSIGNAL));
		close(t);
	}
	SHOW(accept(l, NULL, NULL));
	SHOW(connect(c[2], vm(CID_LOCAL, 4010), sizeof vm_address));
	close(l);
	settle();
	puts("the listener is closed");
	show_poll("accepted", s);
	SHOW(send(c[0], "still", 5, MSG_NOSIGNAL));
	settle();
	show_receive("accepted", s, 100, 0);
	show_poll("never accepted", c[2]);
	show_receive("never accepted", c[2], 100, 0);
	SHOW(send(c[2], "x", 1, MSG_NOSIGNAL));
	show_error("never accepted", c[2]);
	for (int i = 0; i < 4; i++)
		close(c[i]);
	close(s);
}

static void nonblocking_connect(void)
{
	int l = vm_listener(SOCK_STREAM, 4020, 1), c = vm_socket(SOCK_STREAM), s;
	puts("--- connecting without blocking");
	nonblocking(c);
	SHOW(connect(c, vm(CID_LOCAL, 4020), sizeof vm_address));
	settle();
	show_poll("connecting", c);
	show_error("connecting", c);
	show_name("connecting, peer", c, 1);
	SHOW(connect(c, vm(CID_LOCAL, 4020), sizeof vm_address));
	s = (int)MUST(accept(l, NULL, NULL));
	SHOW(send(c, "hello", 5, 0));
	settle();
	show_receive("accepted", s, 100, 0);
	close(c);
	close(s);
	close(l);
	c = vm_socket(SOCK_STREAM);
	nonblocking(c);
	SHOW(connect(c, vm(CID_LOCAL, 4020), sizeof vm_address));
	settle();
	show_poll("refused", c);
	SHOW(connect(c, vm(CID_LOCAL, 4020), sizeof vm_address));
	show_error("refused", c);
	show_poll("refused", c);
	SHOW(connect(c, vm(CID_LOCAL, 4020), sizeof vm_address));
	MUST(fcntl(c, F_SETFL, 0));
	SHOW(connect(c, vm(CID_LOCAL, 4020), sizeof vm_address));
	SHOW(shutdown(c, SHUT_RDWR));
	l = vm_listener(SOCK_STREAM, 4020, 1);
	SHOW(connect(c, vm(CID_LOCAL, 4020), sizeof vm_address));
	SHOW(connect(c, vm(CID_LOCAL, 4020), sizeof vm_address));
	close(c);
	close(l);
}

static void transfer(void)
{
	int p[2];
	puts("--- transfer");
	vm_connected(SOCK_STREAM, 4030, p);
	show_name("connected", p[0], 0);
	show_name("connected, peer", p[0], 1);
	show_name("accepted", p[1], 0);
	show_name("accepted, peer", p[1], 1);
	show_poll("connected", p[0]);
	show_poll("accepted", p[1]);
	SHOW(write(p[0], "one", 3));
	SHOW(send(p[0], "two", 3, MSG_MORE));
	SHOW(send(p[0], "three", 5, MSG_EOR | MSG_DONTWAIT));
	SHOW(send(p[0], "", 0, 0));
	SHOW(write(p[0], "", 0));
	settle();
	show_poll("data", p[1]);
	show_receive("peek", p[1], 4, MSG_PEEK);
	show_receive("peek", p[1], 100, MSG_PEEK);
	show_receive("nothing", p[1], 0, 0);
	show_receive("out of band", p[1], 1, MSG_OOB);
	show_receive("part", p[1], 4, 0);
	show_receive("truncated", p[1], 2, MSG_TRUNC);
	show_receive("all of six", p[1], 6, MSG_WAITALL | MSG_DONTWAIT);
	show_receive("the rest", p[1], 100, MSG_WAITALL | MSG_DONTWAIT);
	show_receive("empty", p[1], 100, MSG_DONTWAIT);
	show_receive("peek at nothing", p[1], 100, MSG_DONTWAIT | MSG_PEEK);
	SHOW(send(p[0], "x", 1, MSG_OOB));
	SHOW(sendto(p[0], "x", 1, 0, vm(CID_LOCAL, 4030), sizeof vm_address));
	SHOW(write(p[0], (void *)8, 10));
	SHOW(write(p[0], "abc", 3));
	settle();
	SHOW(read(p[1], (void *)8, 10));
	show_receive("after a fault", p[1], 100, MSG_DONTWAIT);
	SHOW(write(p[1], "back", 4));
	settle();
	show_receive("back", p[0], 100, 0);
	SHOW(lseek(p[0], 0, SEEK_SET));
	struct iovec v[3] = { { "gather", 6 }, { "", 0 }, { "ed", 2 } };
	SHOW(writev(p[0], v, 3));
	settle();
	char x[4], y[100] = "";
	struct iovec w[2] = { { x, 4 }, { y, 100 } };
	SHOW(readv(p[1], w, 2));
	printf("\"%.4s\" \"%s\"\n", x, y);
	close(p[0]);
	close(p[1]);
}

static void filling(void)
{
	int p[2];
	long total = 0, n;
	puts("--- filling");
	vm_connected(SOCK_STREAM, 4031, p);
	nonblocking(p[0]);
	nonblocking(p[1]);
	for (int i = 0; i < 4; i++) {
		n = SHOW(write(p[0], big, 100000));
		if (n > 0)
			total += n;
	}
	printf("%ld in all\n", total);
	settle();
	show_poll("full", p[0]);
	SHOW(write(p[0], "x", 1));
	show_receive("a part", p[1], 1000, 0);
	settle();
	show_poll("after a part", p[0]);
	SHOW(write(p[0], big, 100000));
	show_receive("more", p[1], 100000, 0);
	settle();
	SHOW(write(p[0], big, 100000));
	show_receive("much more", p[1], 150000, 0);
	settle();
	SHOW(write(p[0], big, 100000));
	settle();
	total = 0;
	while ((n = read(p[1], big, sizeof big)) > 0)
		total += n;
	printf("drained: %s\n", error_name(errno));
	settle();
	show_poll("drained", p[0]);
	SHOW(write(p[0], big, sizeof big));
	close(p[0]);
	settle();
	show_poll("closed with data", p[1]);
	total = 0;
	while ((n = read(p[1], big, sizeof big)) > 0)
		total += n;
	printf("%ld bytes, then %ld %s\n", total, n, n < 0 ? error_name(errno) : "");
	show_poll("closed", p[1]);
	SHOW(send(p[1], "x", 1, MSG_NOSIGNAL));
	show_name("closed, peer", p[1], 1);
	show_error("closed", p[1]);
	close(p[1]);
}

static void halves(void)
{
	int p[2];
	puts("--- halves");
	signal(SIGPIPE, SIG_IGN);
	vm_connected(SOCK_STREAM, 4032, p);
	MUST(write(p[0], "before", 6));
	SHOW(shutdown(p[0], SHUT_WR));
	SHOW(write(p[0], "after", 5));
	show_name("half, peer", p[0], 1);
	SHOW(connect(p[0], vm(CID_LOCAL, 4032), sizeof vm_address));
	settle();
	show_poll("p[0]", p[0]);
	show_poll("p[1]", p[1]);
	show_receive("p[1]", p[1], 100, 0);
	show_receive("p[1]", p[1], 100, 0);
	SHOW(write(p[1], "answer", 6));
	settle();
	show_receive("p[0]", p[0], 100, 0);
	SHOW(shutdown(p[0], SHUT_WR));
	MUST(write(p[1], "unread", 6));
	settle();
	SHOW(shutdown(p[0], SHUT_RD));
	settle();
	show_receive("p[0]", p[0], 100, 0);
	show_poll("p[0]", p[0]);
	show_poll("p[1]", p[1]);
	SHOW(write(p[1], "too late", 8));
	show_receive("p[1]", p[1], 100, 0);
	SHOW(shutdown(p[1], SHUT_RDWR));
	show_error("p[1]", p[1]);
	close(p[0]);
	show_receive("p[1]", p[1], 100, 0);
	close(p[1]);
	vm_connected(SOCK_STREAM, 4033, p);
	SHOW(shutdown(p[0], SHUT_RD));
	settle();
	show_poll("p[0]", p[0]);
	show_poll("p[1]", p[1]);
	SHOW(write(p[1], "x", 1));
	SHOW(write(p[0], "y", 1));
	settle();
	show_receive("p[0]", p[0], 100, 0);
	show_receive("p[1]", p[1], 100, 0);
	close(p[0]);
	settle();
	show_poll("p[1]", p[1]);
	close(p[1]);
	vm_connected(SOCK_STREAM, 4034, p);
	MUST(write(p[0], "unread", 6));
	settle();
	SHOW(shutdown(p[0], SHUT_RDWR));
	settle();
	show_poll("p[0]", p[0]);
	show_poll("p[1]", p[1]);
	show_receive("p[0]", p[0], 100, 0);
	show_receive("p[1]", p[1], 3, 0);
	show_poll("p[1]", p[1]);
	show_receive("p[1]", p[1], 100, 0);
	show_receive("p[1]", p[1], 100, 0);
	SHOW(write(p[1], "x", 1));
	close(p[1]);
	settle();
	show_poll("p[0]", p[0]);
	show_receive("p[0]", p[0], 100, 0);
	close(p[0]);
	vm_connected(SOCK_STREAM, 4035, p);
	MUST(write(p[1], "unread", 6));
	settle();
	close(p[0]);
	settle();
	show_poll("closed with unread data", p[1]);
	show_receive("closed with unread data", p[1], 100, 0);
	SHOW(write(p[1], "x", 1));
	SHOW(shutdown(p[1], SHUT_RDWR));
	close(p[1]);
	signal(SIGPIPE, SIG_DFL);
	IN_CHILD(
		vm_connected(SOCK_STREAM, 4036, p);
		close(p[1]);
		settle();
		write(p[0], "x", 1);
		puts("not reached");
	);
}

static void waiting(void)
{
	int p[2], l;
	struct timeval t = { 0, 20000 };
	puts("--- waiting");
	vm_connected(SOCK_STREAM, 4040, p);
	pid_t reader = (pid_t)MUST(fork());
	if (reader == 0) {
		close(p[0]);
		show_receive("reader", p[1], 100, 0);
		show_receive("reader, all", p[1], 8, MSG_WAITALL);
		show_receive("reader, end", p[1], 100, 0);
		_exit(0);
	}
	close(p[1]);
	settle();
	until_asleep(reader);
	MUST(write(p[0], "first", 5));
	settle();
	until_asleep(reader);
	MUST(write(p[0], "1234", 4));
	settle();
	until_asleep(reader);
	MUST(write(p[0], "5678", 4));
	settle();
	until_asleep(reader);
	close(p[0]);
	show_end(reader);
	vm_connected(SOCK_STREAM, 4041, p);
	pid_t writer = (pid_t)MUST(fork());
	if (writer == 0) {
		close(p[1]);
		SHOW(write(p[0], big, sizeof big));
		_exit(0);
	}
	close(p[0]);
	settle();
	until_asleep(writer);
	long total = 0, n;
	while ((n = read(p[1], big, 50000)) > 0)
		total += n;
	printf("read %ld, then %ld\n", total, n);
	show_end(writer);
	close(p[1]);
	vm_connected(SOCK_STREAM, 4042, p);
	MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	MUST(setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
	show_receive("in time", p[1], 100, 0);
	SHOW(write(p[0], big, sizeof big));
	SHOW(write(p[0], big, 1));
	close(p[0]);
	close(p[1]);
	l = vm_listener(SOCK_STREAM, 4043, 4);
	MUST(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	SHOW(accept(l, NULL, NULL));
	pid_t server = (pid_t)MUST(fork());
	if (server == 0) {
		t.tv_usec = 0;
		MUST(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
		int s = (int)MUST(accept(l, NULL, NULL));
		show_receive("server", s, 100, 0);
		MUST(write(s, "answer", 6));
		_exit(0);
	}
	settle();
	until_asleep(server);
	int c = vm_socket(SOCK_STREAM);
	MUST(connect(c, vm(CID_LOCAL, 4043), sizeof vm_address));
	MUST(write(c, "question", 8));
	show_receive("client", c, 100, 0);
	show_receive("client", c, 100, 0);
	show_end(server);
	close(c);
	close(l);
}

static void show_event(int q)
{
	struct epoll_event got = { 0 };
	int n = epoll_wait(q, &got, 1, 0);
	printf("%d %#x\n", n, got.events);
}

static void readiness(void)
{
	struct epoll_event e = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { 0 } };
	int p[2], q = (int)MUST(epoll_create1(0));
	puts("--- epoll");
	vm_connected(SOCK_STREAM, 4050, p);
	MUST(epoll_ctl(q, EPOLL_CTL_ADD, p[1], &e));
	show_event(q);
	show_event(q);
	MUST(write(p[0], "x", 1));
	settle();
	show_event(q);
	MUST(write(p[0], "x", 1));
	settle();
	show_event(q);
	show_receive("read", p[1], 100, 0);
	shutdown(p[0], SHUT_WR);
	settle();
	show_event(q);
	close(p[0]);
	settle();
	show_poll("in the end", p[1]);
	close(p[1]);
	close(q);
}

int main(void)
{
	making();
	names();
	unconnected();
	accepting();
	nonblocking_connect();
	transfer();
	filling();
	halves();
	waiting();
	readiness();
	return 0;
}
