/* Covers: getsockopt and setsockopt of level SOL_SOCKET on unix, UDP and netlink sockets: every option, lengths, privileges, hostile pointers. */
#include <net/if.h>
#include <netinet/in.h>
#include <sys/time.h>
#include <linux/filter.h>
#include "socket_case.h"

static const struct { const char *name; int option; } options[] = {
	{ "DEBUG", 1 }, { "REUSEADDR", 2 }, { "TYPE", 3 }, { "ERROR", 4 }, { "DONTROUTE", 5 }, { "BROADCAST", 6 }, { "SNDBUF", 7 }, { "RCVBUF", 8 },
	{ "KEEPALIVE", 9 }, { "OOBINLINE", 10 }, { "NO_CHECK", 11 }, { "PRIORITY", 12 }, { "LINGER", 13 }, { "BSDCOMPAT", 14 }, { "REUSEPORT", 15 },
	{ "PASSCRED", 16 }, { "PEERCRED", 17 }, { "RCVLOWAT", 18 }, { "SNDLOWAT", 19 }, { "RCVTIMEO", 20 }, { "SNDTIMEO", 21 }, { "BINDTODEVICE", 25 },
	{ "DETACH_FILTER", 27 }, { "TIMESTAMP", 29 }, { "ACCEPTCONN", 30 }, { "PEERSEC", 31 }, { "SNDBUFFORCE", 32 }, { "RCVBUFFORCE", 33 },
	{ "PASSSEC", 34 }, { "TIMESTAMPNS", 35 }, { "MARK", 36 }, { "PROTOCOL", 38 }, { "DOMAIN", 39 }, { "RXQ_OVFL", 40 }, { "WIFI_STATUS", 41 },
	{ "PEEK_OFF", 42 }, { "NOFCS", 43 }, { "LOCK_FILTER", 44 }, { "SELECT_ERR_QUEUE", 45 }, { "BPF_EXTENSIONS", 48 },
	{ "INCOMING_CPU", 49 }, { "COOKIE", 57 }, { "BINDTOIFINDEX", 62 }, { "TIMESTAMP_NEW", 63 }, { "TIMESTAMPNS_NEW", 64 },
	{ "RCVTIMEO_NEW", 66 }, { "SNDTIMEO_NEW", 67 }, { "BUF_LOCK", 72 }, { "none", 99 }, { "negative", -1 },
};
enum { COUNT = sizeof options / sizeof *options };

static void show_value(const char *name, int fd, int option, socklen_t room)
{
	unsigned char value[64];
	socklen_t length = room;
	memset(value, 'z', sizeof value);
	if (getsockopt(fd, SOL_SOCKET, option, value, &length)) {
		printf("  %s: %s\n", name, error_name(errno));
		return;
	}
	printf("  %s: %d bytes", name, (int)length);
	if (option != 57)
		for (socklen_t i = 0; i < length && i < 32; i++)
			printf(" %02x", value[i]);
	putchar('\n');
}

static void all(const char *kind, int fd)
{
	printf("--- %s: defaults\n", kind);
	for (int i = 0; i < COUNT; i++)
		show_value(options[i].name, fd, options[i].option, 32);
	printf("--- %s: three bytes of room\n", kind);
	for (int i = 0; i < COUNT; i++)
		show_value(options[i].name, fd, options[i].option, 3);
	for (int value = -1; value <= 7; value += value == 1 ? 6 : 1) {
		printf("--- %s: set to %d\n", kind, value);
		for (int i = 0; i < COUNT; i++) {
			if (options[i].option == 27 || options[i].option == 44)
				continue;
			int v[4] = { value, 0, 0, 0 };
			int result = setsockopt(fd, SOL_SOCKET, options[i].option, v, options[i].option == 20 || options[i].option == 21 || options[i].option == 66
						|| options[i].option == 67 ? 16 : options[i].option == 13 ? 8 : 4);
			printf("%s: %s\n", options[i].name, result ? error_name(errno) : "ok");
			if (!result)
				show_value("now", fd, options[i].option, 32);
		}
	}
	printf("--- %s: short values\n", kind);
	for (int i = 0; i < COUNT; i++) {
		int v = 1;
		printf("%s: %s", options[i].name, setsockopt(fd, SOL_SOCKET, options[i].option, &v, 3) ? error_name(errno) : "ok");
		printf(", none: %s", setsockopt(fd, SOL_SOCKET, options[i].option, 0, 0) ? error_name(errno) : "ok");
		printf(", null: %s\n", setsockopt(fd, SOL_SOCKET, options[i].option, 0, 4) ? error_name(errno) : "ok");
	}
	int v = 1;
	socklen_t length = 4;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, -1));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, 1 << 30));
	SHOW(setsockopt(fd, 77, 1, &v, 4));
	SHOW(getsockopt(fd, 77, 1, &v, &length));
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, 0, &length));
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, 0));
	length = -1;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &length));
	length = 0;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &length));
	struct timeval t = { 1, 1000000 };
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	t.tv_usec = -1;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	t.tv_usec = 4000;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	show_value("RCVTIMEO", fd, 20, 32);
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, 8));
}

static void unprivileged(int fd)
{
	int v = 1;
	puts("--- without privileges");
	MUST(setuid(1000));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_DEBUG, &v, 4));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_MARK, &v, 4));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &v, 4));
	v = 7;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &v, 4));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &v, 4));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &v, 4));
}

int main(void)
{
	int u = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	all("unix stream", u);
	all("netlink", (int)MUST(socket(AF_NETLINK, SOCK_RAW, 0)));
	int d = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	all("UDP", d);
	puts("--- devices");
	SHOW(setsockopt(d, SOL_SOCKET, SO_BINDTODEVICE, "none", 5));
	SHOW(setsockopt(d, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	show_value("BINDTODEVICE", d, 25, 32);
	show_value("BINDTODEVICE", d, 25, 15);
	SHOW(setsockopt(d, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	show_value("BINDTODEVICE", d, 25, 32);
	puts("--- not sockets");
	socklen_t length = 4;
	int v, p[2];
	MUST(pipe(p));
	SHOW(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &v, &length));
	SHOW(setsockopt(p[0], SOL_SOCKET, SO_TYPE, &v, 4));
	SHOW(getsockopt(-1, SOL_SOCKET, SO_TYPE, &v, &length));
	SHOW(bind(p[0], 0, 0));
	SHOW(connect(0x7fffffff, 0, 0));
	SHOW(listen(p[1], 0));
	SHOW(accept(p[0], 0, 0));
	SHOW(getsockname(p[0], 0, 0));
	SHOW(getpeername(p[0], 0, 0));
	SHOW(shutdown(p[0], 0));
	SHOW(send(p[1], "", 0, 0));
	SHOW(recv(p[0], 0, 0, 0));
	puts("--- families");
	for (int family = -1; family < 50; family++)
		if (family < 3 || family == 10 || family == 16 || family > 45)
			for (int type = 0; type < 12; type++)
				for (int protocol = -1; protocol < 2; protocol++) {
					if (family == 2 || family == 10)
						continue;
					int fd = socket(family, type, protocol);
					printf("%d %d %d: %s\n", family, type, protocol, fd < 0 ? error_name(errno) : "ok");
					close(fd);
				}
	SHOW(socket(AF_UNIX, SOCK_STREAM | 0x100, 0));
	SHOW(socket(AF_UNIX, -1, 0));
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, 0));
	SHOW(socketpair(AF_NETLINK, SOCK_RAW, 0, p));
	SHOW(socketpair(AF_UNIX, SOCK_STREAM | 0x10, 0, p));
	SHOW(socketpair(99, SOCK_STREAM, 0, p));
	IN_CHILD(unprivileged(u));
	return 0;
}
