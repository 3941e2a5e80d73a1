/* Covers: SIGIO with O_ASYNC, F_SETOWN, F_SETOWN_EX, F_SETSIG and FIOASYNC on pipes, FIFOs, sockets and terminals; SIGURG. */
#define _GNU_SOURCE
#include "tcp_case.h"

static volatile int count, code, band, from;

static void heard(int signo, siginfo_t *info, void *context)
{
	count++;
	code = info->si_code;
	band = (int)info->si_band;
	from = info->si_fd;
}

static void listen_for(int signo)
{
	struct sigaction a = { 0 };
	a.sa_sigaction = heard;
	a.sa_flags = SA_SIGINFO | SA_RESTART;
	MUST(sigaction(signo, &a, NULL));
}

static void told(const char *what, int detailed)
{
	if (detailed && count)
		printf("%s: told, code %d, band %#x\n", what, code, band);
	else
		printf("%s: %s\n", what, count ? "told" : "not told");
	count = code = band = 0;
}

static void show_flag(const char *what, int fd) { printf("%s: O_ASYNC is %s\n", what, fcntl(fd, F_GETFL) & O_ASYNC ? "on" : "off"); }

static void async(int fd)
{
	MUST(fcntl(fd, F_SETOWN, getpid()));
	MUST(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

static void pipes(int detailed)
{
	int p[2];
	char byte;
	MUST(pipe(p));
	async(p[0]);
	if (detailed)
		MUST(fcntl(p[0], F_SETSIG, SIGRTMIN + 1));
	MUST(write(p[1], "a", 1));
	told("pipe, written to", detailed);
	MUST(write(p[1], "b", 1));
	told("pipe, written to again", detailed);
	MUST(read(p[0], &byte, 1));
	MUST(read(p[0], &byte, 1));
	count = 0;
	MUST(fcntl(p[0], F_SETFL, 0));
	MUST(write(p[1], "a", 1));
	told("pipe, flag off", detailed);
	async(p[1]);
	if (detailed)
		MUST(fcntl(p[1], F_SETSIG, SIGRTMIN + 1));
	MUST(read(p[0], &byte, 1));
	told("pipe, read from", detailed);
	MUST(fcntl(p[1], F_SETOWN, 0));
	MUST(write(p[1], "a", 1));
	MUST(read(p[0], &byte, 1));
	told("pipe, no owner", detailed);
	close(p[0]);
	close(p[1]);
}

static void unix_sockets(int type, int detailed)
{
	int p[2];
	char byte;
	printf("--- unix sockets of type %d\n", type);
	MUST(socketpair(AF_UNIX, type, 0, p));
	async(p[0]);
	if (detailed)
		MUST(fcntl(p[0], F_SETSIG, SIGRTMIN + 1));
	MUST(write(p[1], "a", 1));
	told("written to", detailed);
	MUST(read(p[0], &byte, 1));
	told("read from by itself", detailed);
	MUST(write(p[0], "a", 1));
	MUST(read(p[1], &byte, 1));
	told("what it wrote was read", detailed);
	nonblocking(p[0]);
	MUST(fcntl(p[0], F_SETFL, O_NONBLOCK | O_ASYNC));
	count = 0;
	static char block[1000];
	while (write(p[0], block, sizeof block) > 0)
		;
	told("filled", detailed);
	static char all[1 << 20];
	nonblocking(p[1]);
	while (read(p[1], all, sizeof all) > 0)
		;
	told("emptied by the other", detailed);
	close(p[1]);
	told("the other closed", 0);
	close(p[0]);
}

static void udp_sockets(void)
{
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(s, in(4001), sizeof in_address));
	async(s);
	MUST(fcntl(s, F_SETSIG, SIGRTMIN + 1));
	int c = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(sendto(c, "abc", 3, 0, in(4001), sizeof in_address));
	told("UDP", 1);
	printf("si_fd is %s\n", from == s ? "the socket" : "something else");
	close(s);
	close(c);
}

static void tcp_sockets(void)
{
	int l = listener(4002, 5), one = 1;
	async(l);
	int c = tcp();
	async(c);
	MUST(connect(c, in(4002), sizeof in_address));
	told("TCP, connected", 0);
	int s = (int)MUST(accept(l, 0, 0));
	show_flag("accepted", s);
	async(s);
	count = 0;
	MUST(send(c, "abc", 3, 0));
	told("TCP, data", 0);
	listen_for(SIGURG);
	MUST(send(c, "!", 1, MSG_OOB));
	told("TCP, urgent data", 0);
	MUST(fcntl(s, F_SETFL, 0));
	MUST(send(c, "!", 1, MSG_OOB));
	told("TCP, urgent data without O_ASYNC", 0);
	int v = 1;
	MUST(ioctl(s, FIOASYNC, &v));
	show_flag("after FIOASYNC", s);
	count = 0;
	shutdown(c, SHUT_WR);
	told("TCP, the other shut down", 0);
	close(c);
	close(s);
	close(l);
}

static void owners(void)
{
	int p[2], v = 1;
	struct f_owner_ex o = { 0, 0 };
	MUST(pipe(p));
	puts("--- owners");
	SHOW(fcntl(p[0], F_GETOWN));
	SHOW(fcntl(p[0], F_GETSIG));
	SHOW(fcntl(p[0], F_SETSIG, 65));
	SHOW(fcntl(p[0], F_SETSIG, -1));
	SHOW(fcntl(p[0], F_SETSIG, 10));
	SHOW(fcntl(p[0], F_GETSIG));
	SHOW(fcntl(p[0], F_SETOWN, 999999));
	SHOW(fcntl(p[0], F_SETOWN, -999999));
	SHOW(fcntl(p[0], F_SETOWN, INT32_MIN));
	SHOW(fcntl(p[0], F_SETOWN, -getpgrp()));
	CHECK(fcntl(p[0], F_GETOWN) == -getpgrp());
	SHOW(fcntl(p[0], F_GETOWN_EX, &o));
	printf("type %d, the group: %d\n", o.type, o.pid == getpgrp());
	o.type = F_OWNER_TID;
	o.pid = getpid();
	SHOW(fcntl(p[0], F_SETOWN_EX, &o));
	o.pid = 0;
	SHOW(fcntl(p[0], F_GETOWN_EX, &o));
	printf("type %d, me: %d\n", o.type, o.pid == getpid());
	o.type = 7;
	SHOW(fcntl(p[0], F_SETOWN_EX, &o));
	o.type = F_OWNER_PID;
	o.pid = 999999;
	SHOW(fcntl(p[0], F_SETOWN_EX, &o));
	listen_for(SIGUSR1);
	MUST(fcntl(p[0], F_SETFL, O_ASYNC));
	MUST(write(p[1], "a", 1));
	told("a thread", 1);
	int f = (int)MUST(open("/tmp/sigio", O_RDWR | O_CREAT, 0600));
	SHOW(ioctl(f, FIOASYNC, &v));
	SHOW(fcntl(f, F_SETFL, O_ASYNC));
	show_flag("a file", f);
	int s = tcp(), me = getpid();
	SHOW(ioctl(s, FIOSETOWN, &me));
	CHECK(fcntl(s, F_GETOWN) == me);
	me = 999999;
	SHOW(ioctl(s, FIOSETOWN, &me));
	SHOW(ioctl(s, SIOCSPGRP, &me));
	close(s);
}

static void foreign(void)
{
	/* The thread that chose the owner may not signal it. */
	int p[2];
	MUST(pipe(p));
	puts("--- without the right");
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(setuid(1000));
		SHOW(fcntl(p[0], F_SETOWN, getppid()));
		SHOW(fcntl(p[0], F_SETFL, O_ASYNC));
		_exit(0);
	}
	show_end(child);
	MUST(write(p[1], "a", 1));
	told("root", 0);
}

static void terminals(void)
{
	int m = (int)MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY)), zero = 0, n;
	char name[32];
	MUST(ioctl(m, TIOCSPTLCK, &zero));
	MUST(ioctl(m, TIOCGPTN, &n));
	snprintf(name, sizeof name, "/dev/pts/%d", n);
	int s = (int)MUST(open(name, O_RDWR | O_NOCTTY));
	puts("--- terminals");
	MUST(fcntl(s, F_SETFL, O_ASYNC));
	CHECK(fcntl(s, F_GETOWN) == getpid());
	MUST(write(m, "line\n", 5));
	settle_for(50);
	told("a line was typed", 0);
	MUST(fcntl(s, F_SETFL, 0));
	async(m);
	count = 0;
	MUST(write(s, "out\n", 4));
	settle_for(50);
	told("the master, something was printed", 0);
}

int main(void)
{
	loopback_up();
	listen_for(SIGIO);
	listen_for(SIGRTMIN + 1);
	pipes(0);
	pipes(1);
	unix_sockets(SOCK_STREAM, 1);
	unix_sockets(SOCK_DGRAM, 1);
	unix_sockets(SOCK_SEQPACKET, 0);
	udp_sockets();
	tcp_sockets();
	owners();
	foreign();
	terminals();
	return 0;
}
