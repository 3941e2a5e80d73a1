/* io_uring: URING_CMD on sockets, on other files, and on a disk. */
#define _GNU_SOURCE
#include "uring_case.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

#define OP_URING_CMD 46
#define DISCARD 0x1200

enum { INPUT, OUTPUT, GET, SET };

#define COMMAND(r, what, fd, op, lv, nm, value, length) \
	ONE(r, what, OP_URING_CMD, fd, NULL, 0, (unsigned)(op), s->addr = (unsigned)(lv) | (unsigned long long)(unsigned)(nm) << 32, \
		s->addr3 = (unsigned long)(value), s->file_index = (unsigned)(length))

static void options(struct ring *r, const char *what, int fd)
{
	int on = 1, got = 0;
	char device[16] = "";
	printf("%s\n", what);
	COMMAND(r, "input", fd, INPUT, 0, 0, NULL, 0);
	COMMAND(r, "output", fd, OUTPUT, 0, 0, NULL, 0);
	COMMAND(r, "set", fd, SET, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	COMMAND(r, "get", fd, GET, SOL_SOCKET, SO_KEEPALIVE, &got, sizeof got);
	printf("it is %d\n", got);
	got = 0;
	COMMAND(r, "get a part", fd, GET, SOL_SOCKET, SO_TYPE, &got, 2);
	printf("it is %d\n", got);
	COMMAND(r, "get with more room", fd, GET, SOL_SOCKET, SO_TYPE, &got, 2000);
	COMMAND(r, "get nothing", fd, GET, SOL_SOCKET, SO_TYPE, &got, 0);
	COMMAND(r, "get, negative", fd, GET, SOL_SOCKET, SO_TYPE, &got, -1);
	COMMAND(r, "get, bad address", fd, GET, SOL_SOCKET, SO_TYPE, 64, 4);
	COMMAND(r, "get of no option", fd, GET, SOL_SOCKET, 999, &got, 4);
	COMMAND(r, "get of another level", fd, GET, IPPROTO_TCP, TCP_NODELAY, &got, 4);
	COMMAND(r, "set of another level", fd, SET, IPPROTO_TCP, TCP_NODELAY, &on, 4);
	COMMAND(r, "set, short", fd, SET, SOL_SOCKET, SO_KEEPALIVE, &on, 2);
	COMMAND(r, "set, negative", fd, SET, SOL_SOCKET, SO_KEEPALIVE, &on, -1);
	COMMAND(r, "set, bad address", fd, SET, SOL_SOCKET, SO_KEEPALIVE, 64, 4);
	COMMAND(r, "get a device", fd, GET, SOL_SOCKET, SO_BINDTODEVICE, device, sizeof device);
	COMMAND(r, "get of the filter", fd, GET, SOL_SOCKET, SO_ATTACH_FILTER, NULL, 0);
	COMMAND(r, "no such command", fd, 4, 0, 0, NULL, 0);
	ONE(r, "large command", OP_URING_CMD, fd, NULL, 0, 1ULL << 32);
	ONE(r, "flags", OP_URING_CMD, fd, NULL, 0, 0, s->rw_flags = 2);
	ONE(r, "registered buffer", OP_URING_CMD, fd, NULL, 0, 0, s->rw_flags = 1);
	ONE(r, "ioprio", OP_URING_CMD, fd, NULL, 0, 0, s->ioprio = 1);
	ONE(r, "select", OP_URING_CMD, fd, NULL, 0, 0, s->flags = IOSQE_BUFFER_SELECT);
}

int main(void)
{
	struct ring r;
	ring_make(&r, 8, 0, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof a;
	int receiver = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), sender = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(receiver, (void *)&a, sizeof a));
	MUST(getsockname(receiver, (void *)&a, &length));
	MUST(connect(sender, (void *)&a, sizeof a));
	MUST(write(sender, "hello", 5));
	options(&r, "datagrams", receiver);
	close(sender), close(receiver);
	int listening = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), client = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	a.sin_port = 0;
	MUST(bind(listening, (void *)&a, sizeof a));
	MUST(getsockname(listening, (void *)&a, &length));
	COMMAND(&r, "input", client, INPUT, 0, 0, NULL, 0);
	MUST(listen(listening, 5));
	options(&r, "listening", listening);
	MUST(connect(client, (void *)&a, sizeof a));
	int accepted = (int)MUST(accept(listening, NULL, NULL));
	MUST(write(client, "hello", 5));
	struct pollfd ready = { accepted, POLLIN, 0 };
	poll_for(&ready, 1000);
	options(&r, "stream", accepted);
	close(client), close(listening), close(accepted);
	int pair[2], p[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	COMMAND(&r, "unix", pair[0], INPUT, 0, 0, NULL, 0);
	COMMAND(&r, "unix", pair[0], GET, SOL_SOCKET, SO_TYPE, &length, 4);
	close(pair[0]), close(pair[1]);
	int raw = (int)MUST(socket(AF_INET, SOCK_RAW, 253));
	COMMAND(&r, "raw", raw, INPUT, 0, 0, NULL, 0);
	close(raw);
	int netlink = (int)MUST(socket(AF_NETLINK, SOCK_RAW, 0));
	COMMAND(&r, "netlink", netlink, INPUT, 0, 0, NULL, 0);
	close(netlink);
	MUST(pipe(p));
	COMMAND(&r, "pipe", p[0], INPUT, 0, 0, NULL, 0);
	close(p[0]), close(p[1]);
	int null = (int)MUST(open("/dev/null", O_RDWR)), zero = (int)MUST(open("/dev/zero", O_RDWR)), file = (int)MUST(open("/proc/self/exe", O_RDONLY));
	COMMAND(&r, "null", null, INPUT, 0, 0, NULL, 0);
	COMMAND(&r, "null", null, 77, 0, 0, NULL, 0);
	COMMAND(&r, "zero", zero, INPUT, 0, 0, NULL, 0);
	COMMAND(&r, "file", file, INPUT, 0, 0, NULL, 0);
	COMMAND(&r, "nothing", 9999, INPUT, 0, 0, NULL, 0);
	close(null), close(zero), close(file);
	int disk = (int)MUST(open("/dev/vda", O_RDONLY));
	ONE(&r, "no command", OP_URING_CMD, disk, NULL, 0, 1);
	ONE(&r, "discard with len", OP_URING_CMD, disk, NULL, 1, DISCARD);
	ONE(&r, "discard with file_index", OP_URING_CMD, disk, NULL, 0, DISCARD, s->file_index = 1);
	ONE(&r, "discard, read only", OP_URING_CMD, disk, NULL, 0, DISCARD, s->addr3 = PAGE);
	close(disk);
	disk = (int)MUST(open("/dev/vda", O_RDWR));
	ONE(&r, "discard", OP_URING_CMD, disk, NULL, 0, DISCARD, s->addr3 = PAGE);
	ONE(&r, "discard of nothing", OP_URING_CMD, disk, NULL, 0, DISCARD);
	ONE(&r, "discard, not aligned", OP_URING_CMD, disk, (void *)1, 0, DISCARD, s->addr3 = PAGE);
	ONE(&r, "discard beyond", OP_URING_CMD, disk, (void *)(1UL << 40), 0, DISCARD, s->addr3 = PAGE);
	close(disk);
	ring_end(&r);
	return 0;
}
