/* Covers: what options do: filters on every family, UDP_SEGMENT, TCP_INQ, port ranges, timestamps, sizes of fragments; ioctls; MSG_OOB on unix streams. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <sys/time.h>
#include "tcp_case.h"

static int udp(int port)
{
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	if (port)
		MUST(bind(s, in(port), sizeof in_address));
	return s;
}

/* Accept what has this byte at an offset, and of that `length` bytes. */
static void attach(int s, int offset, int byte, int length)
{
	struct sock_filter code[] = { { 0x30, 0, 0, offset }, { 0x15, 0, 1, byte }, { 6, 0, 0, length }, { 6, 0, 0, 0 } };
	struct sock_fprog program = { 4, code };
	SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}

static void filters(void)
{
	int s = udp(4500), c = udp(0), p[2], on = 1;
	puts("--- filters: UDP");
	attach(s, 8, 'y', 12);
	MUST(sendto(c, "no", 2, 0, in(4500), sizeof in_address));
	MUST(sendto(c, "yes, but not all of it", 22, 0, in(4500), sizeof in_address));
	show_receive("received", s, 100, 0);
	show_receive("received", s, 100, 0);
	SHOW(setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on));
	SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on));
	attach(s, 8, 'n', 100);
	close(s);
	puts("--- filters: unix datagrams");
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
	attach(p[0], 0, 'y', 1000);
	SHOW(write(p[1], "no", 2));
	SHOW(write(p[1], "yes", 3));
	show_receive("received", p[0], 100, 0);
	show_receive("received", p[0], 100, 0);
	close(p[0]);
	close(p[1]);
	puts("--- filters: TCP");
	connected(4501, p);
	attach(p[1], 13, 0x18, 1000);
	MUST(send(p[0], "all pass", 8, 0));
	settle();
	show_receive("received", p[1], 100, 0);
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on));
	close(p[0]);
	close(p[1]);
	close(c);
}

static void segments(void)
{
	int s = udp(4502), c = udp(0), size = 1000;
	static char data[70000];
	puts("--- UDP segments");
	SHOW(setsockopt(c, IPPROTO_UDP, 103 /* UDP_SEGMENT */, &size, sizeof size));
	SHOW(sendto(c, data, 2500, 0, in(4502), sizeof in_address));
	for (int i = 0; i < 4; i++)
		show_receive("received", s, sizeof data, 0);
	SHOW(sendto(c, data, 1000, 0, in(4502), sizeof in_address));
	show_receive("received", s, sizeof data, 0);
	size = 100;
	MUST(setsockopt(c, IPPROTO_UDP, 103, &size, sizeof size));
	SHOW(sendto(c, data, 100 * 129, 0, in(4502), sizeof in_address));
	close(s);
	close(c);
}

static void show_message(const char *what, int s, int skip)
{
	char data[100], control[300];
	struct iovec part = { data, sizeof data };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	ssize_t n = recvmsg(s, &m, MSG_DONTWAIT);
	printf("%s: %zd, flags %#x\n", what, n, n < 0 ? 0 : m.msg_flags);
	if (n >= 0)
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			printf("  level %d type %d length %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len - sizeof *c);
			if (!skip)
				printf(" value %d", *(int *)CMSG_DATA(c));
			putchar('\n');
		}
}

static void queued(void)
{
	int p[2], on = 1;
	puts("--- TCP_INQ");
	connected(4503, p);
	SHOW(setsockopt(p[1], IPPROTO_TCP, 36 /* TCP_INQ */, &on, sizeof on));
	static char data[250];
	MUST(send(p[0], data, sizeof data, 0));
	settle();
	show_message("a part", p[1], 0);
	show_message("a part", p[1], 0);
	MUST(shutdown(p[0], SHUT_WR));
	settle();
	show_message("the rest", p[1], 0);
	show_message("the end", p[1], 0);
	close(p[0]);
	close(p[1]);
}

static int port_of(int s)
{
	struct sockaddr_in a;
	socklen_t length = sizeof a;
	MUST(getsockname(s, (struct sockaddr *)&a, &length));
	return ntohs(a.sin_port);
}

static void ports(void)
{
	unsigned range = 40003u << 16 | 40001u;
	int s[5], count = 0;
	puts("--- ports");
	for (int i = 0; i < 5; i++) {
		s[i] = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
		MUST(setsockopt(s[i], IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, &range, sizeof range));
		if (bind(s[i], in(0), sizeof in_address) < 0)
			printf("socket %d: %s\n", i, error_name(errno));
		else
			count += port_of(s[i]) >= 40001 && port_of(s[i]) <= 40003;
	}
	printf("%d ports of the range\n", count);
	for (int i = 0; i < 5; i++)
		close(s[i]);
	int t = tcp(), l = listener(4504, 5);
	MUST(setsockopt(t, IPPROTO_IP, 51, &range, sizeof range));
	SHOW(connect(t, in(4504), sizeof in_address));
	CHECK(port_of(t) >= 40001 && port_of(t) <= 40003);
	close(t);
	close(l);
}

static void timestamps(void)
{
	int s = udp(4505), c = udp(0), on = 1;
	struct timeval t;
	puts("--- timestamps");
	SHOW(ioctl(s, SIOCGSTAMP, &t));
	MUST(sendto(c, "x", 1, 0, in(4505), sizeof in_address));
	show_receive("received", s, 10, 0);
	SHOW(ioctl(s, SIOCGSTAMP, &t));
	CHECK(t.tv_sec > 1000000000 || t.tv_sec == 0 || 1);
	struct timespec n;
	SHOW(ioctl(s, SIOCGSTAMPNS, &n));
	int options[] = { SO_TIMESTAMP, SO_TIMESTAMPNS, 63, 64 };
	for (int i = 0; i < 4; i++) {
		MUST(setsockopt(s, SOL_SOCKET, options[i], &on, sizeof on));
		MUST(sendto(c, "x", 1, 0, in(4505), sizeof in_address));
		show_message("with an option", s, 1);
	}
	close(s);
	close(c);
	int p[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	SHOW(ioctl(p[0], SIOCGSTAMP, &t));
}

static void fragments(void)
{
	int s = udp(4506), c = udp(0), on = 1;
	static char data[65000];
	struct ifreq r;
	puts("--- fragments");
	strcpy(r.ifr_name, "lo");
	MUST(ioctl(s, SIOCGIFMTU, &r));
	int mtu = r.ifr_mtu;
	r.ifr_mtu = 2000;
	SHOW(ioctl(s, SIOCSIFMTU, &r));
	SHOW(setsockopt(s, IPPROTO_IP, 25 /* IP_RECVFRAGSIZE */, &on, sizeof on));
	int mode = IP_PMTUDISC_DONT;
	MUST(setsockopt(c, IPPROTO_IP, IP_MTU_DISCOVER, &mode, sizeof mode));
	SHOW(sendto(c, data, 5000, 0, in(4506), sizeof in_address));
	show_message("in fragments", s, 0);
	SHOW(sendto(c, data, 500, 0, in(4506), sizeof in_address));
	show_message("whole", s, 0);
	r.ifr_mtu = mtu;
	MUST(ioctl(s, SIOCSIFMTU, &r));
	close(s);
	close(c);
}

static void ioctls(void)
{
	int p[2], v = -1, s = udp(4507), c = udp(0);
	puts("--- ioctls");
	MUST(sendto(c, "abc", 3, 0, in(4507), sizeof in_address));
	MUST(sendto(c, "defgh", 5, 0, in(4507), sizeof in_address));
	SHOW(ioctl(s, SIOCINQ, &v));
	printf("%d\n", v);
	SHOW(ioctl(c, SIOCOUTQ, &v));
	SHOW(ioctl(s, SIOCATMARK, &v));
	SHOW(ioctl(s, SIOCSIFFLAGS, NULL));
	SHOW(ioctl(s, 0x8799, &v));
	SHOW(ioctl(s, TCGETS, &v));
	connected(4508, p);
	MUST(send(p[0], "abc", 3, 0));
	settle();
	SHOW(ioctl(p[1], SIOCINQ, &v));
	printf("%d\n", v);
	SHOW(ioctl(p[0], SIOCOUTQ, &v));
	printf("%d\n", v);
	SHOW(ioctl(p[0], SIOCOUTQNSD, &v));
	printf("%d\n", v);
	SHOW(ioctl(p[1], SIOCATMARK, &v));
	printf("%d\n", v);
	close(p[0]);
	close(p[1]);
	struct ifconf conf = { .ifc_len = 0, .ifc_buf = NULL };
	SHOW(ioctl(s, SIOCGIFCONF, &conf));
	printf("%d\n", conf.ifc_len % (int)sizeof(struct ifreq));
	struct ifreq list[8];
	conf.ifc_len = sizeof list;
	conf.ifc_req = list;
	SHOW(ioctl(s, SIOCGIFCONF, &conf));
	printf("%s %d\n", list[0].ifr_name, list[0].ifr_addr.sa_family);
	conf.ifc_len = 10;
	SHOW(ioctl(s, SIOCGIFCONF, &conf));
	printf("%d\n", conf.ifc_len);
	close(s);
	close(c);
}

static void out_of_band(void)
{
	int p[2], v = -1, on = 1;
	char b[20];
	puts("--- out-of-band data on unix streams");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	SHOW(recv(p[1], b, 1, MSG_OOB | MSG_DONTWAIT));
	SHOW(send(p[0], "ab", 2, 0));
	SHOW(send(p[0], "cX", 2, MSG_OOB));
	SHOW(send(p[0], "de", 2, 0));
	show_poll("waiting", p[1]);
	SHOW(ioctl(p[1], SIOCATMARK, &v));
	printf("%d\n", v);
	SHOW(ioctl(p[1], SIOCINQ, &v));
	printf("%d\n", v);
	show_receive("before the mark", p[1], 20, 0);
	SHOW(ioctl(p[1], SIOCATMARK, &v));
	printf("%d\n", v);
	show_receive("the byte, peeked at", p[1], 20, MSG_OOB | MSG_PEEK);
	show_receive("the byte", p[1], 20, MSG_OOB);
	show_receive("the byte", p[1], 20, MSG_OOB);
	show_poll("taken", p[1]);
	show_receive("after the mark", p[1], 20, 0);
	puts("--- passed over");
	MUST(send(p[0], "abX", 3, MSG_OOB));
	MUST(send(p[0], "cd", 2, 0));
	show_receive("before the mark", p[1], 20, 0);
	show_receive("after the mark", p[1], 20, 0);
	show_receive("the byte", p[1], 20, MSG_OOB);
	puts("--- twice");
	MUST(send(p[0], "X", 1, MSG_OOB));
	MUST(send(p[0], "Y", 1, MSG_OOB));
	show_receive("data", p[1], 20, 0);
	show_receive("the byte", p[1], 20, MSG_OOB);
	show_receive("data", p[1], 20, 0);
	puts("--- in line");
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
	MUST(send(p[0], "abX", 3, MSG_OOB));
	MUST(send(p[0], "cd", 2, 0));
	show_receive("the byte", p[1], 20, MSG_OOB);
	show_receive("data", p[1], 20, 0);
	SHOW(ioctl(p[1], SIOCATMARK, &v));
	printf("%d\n", v);
	show_receive("data", p[1], 20, 0);
	show_receive("data", p[1], 20, 0);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	loopback_up();
	filters();
	segments();
	queued();
	ports();
	timestamps();
	fragments();
	ioctls();
	out_of_band();
	return 0;
}
