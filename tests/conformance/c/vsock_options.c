/* Covers: options of AF_VSOCK and of SOL_SOCKET there, ioctl(2), /dev/vsock, lingering, what sock_diag(7) reports. */
#define _GNU_SOURCE
#include <sys/sysmacros.h>
#include "vsock_case.h"

static char big[1 << 20];

static void set(int fd, int name, unsigned long long value)
{
	printf("option %d := %llu: ", name, value);
	SHOW(setsockopt(fd, AF_VSOCK, name, &value, sizeof value));
}

static void show_sizes(int fd)
{
	show_u64("size", fd, SO_VM_SOCKETS_BUFFER_SIZE);
	show_u64("least", fd, SO_VM_SOCKETS_BUFFER_MIN_SIZE);
	show_u64("most", fd, SO_VM_SOCKETS_BUFFER_MAX_SIZE);
}

static void sizes(void)
{
	int a = vm_socket(SOCK_STREAM), value = 5;
	unsigned char wide[24] = { 0 };
	socklen_t length;
	puts("--- sizes");
	show_sizes(a);
	set(a, SO_VM_SOCKETS_BUFFER_SIZE, 1000);
	set(a, SO_VM_SOCKETS_BUFFER_SIZE, 1 << 20);
	show_sizes(a);
	set(a, SO_VM_SOCKETS_BUFFER_MAX_SIZE, 1 << 20);
	set(a, SO_VM_SOCKETS_BUFFER_SIZE, 1 << 19);
	show_sizes(a);
	set(a, SO_VM_SOCKETS_BUFFER_SIZE, 1);
	show_sizes(a);
	set(a, SO_VM_SOCKETS_BUFFER_MIN_SIZE, 4096);
	show_sizes(a);
	set(a, SO_VM_SOCKETS_BUFFER_MIN_SIZE, 2 << 20);
	show_sizes(a);
	set(a, SO_VM_SOCKETS_BUFFER_MIN_SIZE, 0);
	set(a, SO_VM_SOCKETS_BUFFER_MAX_SIZE, 100);
	show_sizes(a);
	set(a, SO_VM_SOCKETS_BUFFER_SIZE, 0);
	show_sizes(a);
	set(a, SO_VM_SOCKETS_BUFFER_MAX_SIZE, 1ull << 40);
	set(a, SO_VM_SOCKETS_BUFFER_SIZE, 1ull << 33);
	show_sizes(a);
	SHOW(setsockopt(a, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &value, sizeof value));
	SHOW(setsockopt(a, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, wide, sizeof wide));
	SHOW(setsockopt(a, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, (void *)8, 8));
	for (int name = -1; name < 12; name++) {
		length = sizeof wide;
		printf("option %d: ", name);
		if (SHOW(getsockopt(a, AF_VSOCK, name, wide, &length)) == 0)
			printf("%u bytes\n", length);
		length = 7;
		if (getsockopt(a, AF_VSOCK, name, wide, &length) == -1)
			printf("with less room: %s\n", error_name(errno));
		if (name != 0 && name != 1 && name != 2)
			SHOW(setsockopt(a, AF_VSOCK, name, wide, 8));
	}
	length = 8;
	SHOW(getsockopt(a, 0, 0, wide, &length));
	SHOW(getsockopt(a, 6, 1, wide, &length));
	SHOW(setsockopt(a, 0, 0, wide, 8));
	SHOW(setsockopt(a, 287, 1, wide, 8));
	close(a);
}

static void set_time(int fd, int name, long seconds, long microseconds)
{
	long long value[2] = { seconds, microseconds };
	printf("%ld s %ld us: ", seconds, microseconds);
	SHOW(setsockopt(fd, AF_VSOCK, name, value, sizeof value));
	socklen_t length = sizeof value;
	value[0] = value[1] = 0;
	MUST(getsockopt(fd, AF_VSOCK, name, value, &length));
	printf("is %lld s %lld us\n", value[0], value[1]);
}

static void times(void)
{
	int a = vm_socket(SOCK_STREAM);
	puts("--- time limit");
	set_time(a, SO_VM_SOCKETS_CONNECT_TIMEOUT, 3, 4000);
	set_time(a, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, 1, 5001);
	set_time(a, SO_VM_SOCKETS_CONNECT_TIMEOUT, 0, 1);
	set_time(a, SO_VM_SOCKETS_CONNECT_TIMEOUT, 0, 0);
	set_time(a, SO_VM_SOCKETS_CONNECT_TIMEOUT, -1, 0);
	set_time(a, SO_VM_SOCKETS_CONNECT_TIMEOUT, 1, 1000000);
	set_time(a, SO_VM_SOCKETS_CONNECT_TIMEOUT, 100000, 999999);
	set_time(a, SO_VM_SOCKETS_CONNECT_TIMEOUT, 1l << 62, 0);
	close(a);
}

static void inherited(void)
{
	unsigned long long size = 2000;
	int l = vm_socket(SOCK_STREAM), p[2];
	puts("--- inherited");
	MUST(setsockopt(l, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size));
	MUST(bind(l, vm(CID_ANY, 4200), sizeof vm_address));
	MUST(listen(l, 4));
	p[0] = vm_socket(SOCK_STREAM);
	MUST(connect(p[0], vm(CID_LOCAL, 4200), sizeof vm_address));
	p[1] = (int)MUST(accept(l, NULL, NULL));
	show_sizes(p[1]);
	nonblocking(p[0]);
	nonblocking(p[1]);
	SHOW(write(p[0], big, sizeof big));
	settle();
	SHOW(write(p[1], big, sizeof big));
	settle();
	SHOW(recv(p[1], big, 2000, MSG_WAITALL));
	SHOW(recv(p[1], big, 1999, MSG_WAITALL));
	settle();
	SHOW(write(p[0], big, sizeof big));
	size = 5000;
	MUST(setsockopt(p[1], AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size));
	settle();
	show_poll("with more room", p[0]);
	SHOW(write(p[0], big, sizeof big));
	settle(); /* what comes when there is less room is lost on Linux, and ends the connection */
	size = 500;
	MUST(setsockopt(p[1], AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size));
	settle();
	show_poll("with less room", p[0]);
	close(p[0]);
	close(p[1]);
	close(l);
}

static void low_water(void)
{
	int p[2], value;
	puts("--- low water");
	vm_connected(SOCK_STREAM, 4201, p);
	value = 5;
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value));
	MUST(write(p[0], "abc", 3));
	settle();
	show_poll("three of five", p[1]);
	show_receive("three of five", p[1], 100, MSG_DONTWAIT);
	MUST(write(p[0], "abc", 3));
	MUST(write(p[0], "def", 3));
	settle();
	show_poll("six of five", p[1]);
	show_receive("six of five", p[1], 100, MSG_DONTWAIT);
	value = 262144;
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value));
	show_receive("as much as the buffer", p[1], sizeof big, MSG_DONTWAIT);
	value = 262145;
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value));
	value = 0;
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value));
	value = -1;
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value));
	socklen_t length = sizeof value;
	MUST(getsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &value, &length));
	printf("SO_RCVLOWAT is %d\n", value);
	close(p[0]);
	close(p[1]);
}

static void socket_level(void)
{
	static const struct { const char *name; int number; } options[] = {
		{ "SO_TYPE", SO_TYPE }, { "SO_DOMAIN", SO_DOMAIN }, { "SO_PROTOCOL", SO_PROTOCOL }, { "SO_ACCEPTCONN", SO_ACCEPTCONN },
		{ "SO_ERROR", SO_ERROR }, { "SO_REUSEADDR", SO_REUSEADDR }, { "SO_KEEPALIVE", SO_KEEPALIVE }, { "SO_RCVLOWAT", SO_RCVLOWAT },
		{ "SO_SNDBUF", SO_SNDBUF }, { "SO_PEEK_OFF", SO_PEEK_OFF }, { "SO_PEERCRED", SO_PEERCRED },
	};
	int p[2], value, l = vm_listener(SOCK_SEQPACKET, 4202, 1);
	socklen_t length;
	puts("--- socket level");
	vm_connected(SOCK_STREAM, 4203, p);
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		value = 0;
		length = sizeof value;
		if (getsockopt(p[0], SOL_SOCKET, options[i].number, &value, &length) == -1)
			printf("%s: %s\n", options[i].name, error_name(errno));
		else
			printf("%s: %d\n", options[i].name, value);
	}
	value = 0;
	length = sizeof value;
	MUST(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &value, &length));
	printf("listening: %d\n", value);
	value = 1;
	SHOW(setsockopt(p[0], SOL_SOCKET, SO_REUSEPORT, &value, sizeof value));
	SHOW(setsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
	SHOW(setsockopt(p[0], SOL_SOCKET, SO_PASSCRED, &value, sizeof value));
	value = 3;
	SHOW(setsockopt(p[0], SOL_SOCKET, SO_PEEK_OFF, &value, sizeof value));
	close(p[0]);
	close(p[1]);
	close(l);
}

static void commands(void)
{
	int p[2], value = -7, device = open("/dev/vsock", O_RDONLY);
	unsigned int cid = 7;
	struct stat s;
	char b[4];
	puts("--- ioctl");
	vm_connected(SOCK_STREAM, 4204, p);
	SHOW(ioctl(p[0], FIONREAD, &value));
	SHOW(ioctl(p[0], SIOCOUTQ, &value));
	printf("%d\n", value);
	MUST(write(p[0], "abc", 3));
	settle();
	SHOW(ioctl(p[0], SIOCOUTQ, &value));
	printf("%d\n", value);
	SHOW(ioctl(p[0], SIOCOUTQ, (void *)8));
	SHOW(ioctl(p[0], IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid));
	SHOW(ioctl(p[0], 0x12345678, &cid));
	int n = vm_socket(SOCK_STREAM), l = vm_listener(SOCK_STREAM, 4205, 1);
	SHOW(ioctl(n, SIOCOUTQ, &value));
	SHOW(ioctl(l, SIOCOUTQ, &value));
	close(n);
	close(l);
	close(p[0]);
	close(p[1]);
	CHECK(device >= 0);
	SHOW(ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid));
	printf("cid %d\n", (int)cid);
	SHOW(ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, (void *)8));
	SHOW(ioctl(device, 0x12345678, &cid));
	SHOW(read(device, b, 1));
	SHOW(write(device, b, 1));
	MUST(fstat(device, &s));
	printf("mode %o, major %u\n", s.st_mode, major(s.st_rdev));
	close(device);
}

static void lingering(void)
{
	struct linger on = { 1, 0 };
	struct timespec start, now;
	int p[2];
	puts("--- lingering");
	for (int unread = 0; unread < 2; unread++) {
		vm_connected(SOCK_STREAM, 4206, p);
		on.l_linger = unread ? 1 : 60;
		MUST(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &on, sizeof on));
		if (unread)
			MUST(write(p[0], "data", 4));
		settle();
		clock_gettime(CLOCK_MONOTONIC, &start);
		close(p[0]);
		clock_gettime(CLOCK_MONOTONIC, &now);
		long ms = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
		printf("%s: %s\n", unread ? "unread" : "all read", ms < (unread ? 900 : 30000) ? "at once" : "after the time");
		show_receive("the peer", p[1], 100, 0);
		close(p[1]);
	}
}

static void show_end_of(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	printf("ends: %d\n", poll(&p, 1, 12000));
}

/* One that is closed while its peer does not read waits eight seconds for its answer. */
static void orphans(void)
{
	int p[2], l;
	puts("--- orphans");
	vm_connected(SOCK_STREAM, 4207, p);
	MUST(write(p[0], "data", 4));
	settle();
	close(p[0]);
	settle();
	show_poll("its peer", p[1]);
	l = vm_listener(SOCK_STREAM, 4207, 1);
	close(l);
	show_receive("its peer", p[1], 100, 0);
	show_end_of(p[1]);
	close(p[1]);
}

static void request(int fd, unsigned int states, unsigned short flags)
{
	struct {
		unsigned int length;
		unsigned short type, flags;
		unsigned int sequence, port;
		unsigned char family, protocol;
		unsigned short pad;
		unsigned int states, inode, show, cookie[2];
	} q = { sizeof q, 20, flags, 1, 0, AF_VSOCK, 0, 0, states, 0, 0, { ~0u, ~0u } };
	unsigned int b[4096];
	MUST(send(fd, &q, sizeof q, 0));
	for (int end = 0; !end;) {
		ssize_t n = recv(fd, b, sizeof b, MSG_DONTWAIT);
		if (n <= 0) {
			printf("no answer: %s\n", error_name(errno));
			return;
		}
		for (char *at = (char *)b; at < (char *)b + n; at += (*(unsigned int *)at + 3) & ~3u) {
			unsigned int *h = (unsigned int *)at;
			unsigned short type = (unsigned short)h[1];
			if (type == 2 || type == 3) {
				printf("%s: %d\n", type == 2 ? "error" : "done", (int)h[4]);
				end = 1;
				break;
			}
			unsigned char *m = (unsigned char *)(h + 4);
			printf("length %u type %u family %u kind %u state %u shutdown %u from %d:%d to %d:%d inode %s\n", h[0], type, m[0], m[1], m[2],
				m[3], (int)h[5], h[6] > 65535 && h[6] != PORT_ANY ? -2 : (int)h[6], (int)h[7], h[8] > 65535 && h[8] != PORT_ANY ? -2 : (int)h[8],
				h[9] ? "yes" : "no");
		}
	}
}

static void diagnosis(void)
{
	int d = socket(AF_NETLINK, SOCK_RAW, 4), p[2], l, c, n;
	puts("--- diagnosis");
	if (d < 0) {
		printf("no sock_diag: %s\n", error_name(errno));
		return;
	}
	request(d, 0, 0x301);
	l = vm_listener(SOCK_STREAM, 4208, 1);
	request(d, 1 << 10, 0x301);
	close(l);
	n = vm_socket(SOCK_SEQPACKET);
	request(d, ~0u, 0x301);
	close(n);
	vm_connected(SOCK_STREAM, 4209, p);
	request(d, 1 << 10, 0x301);
	shutdown(p[0], SHUT_WR);
	settle();
	close(p[1]);
	settle();
	request(d, ~0u, 0x301);
	close(p[0]);
	l = vm_listener(SOCK_SEQPACKET, 4210, 1);
	c = vm_socket(SOCK_SEQPACKET);
	MUST(connect(c, vm(CID_LOCAL, 4210), sizeof vm_address));
	close(l);
	settle();
	request(d, ~0u, 0x301);
	close(c);
	request(d, ~0u, 1);
	close(d);
}

int main(void)
{
	sizes();
	times();
	inherited();
	low_water();
	socket_level();
	commands();
	lingering();
	orphans();
	diagnosis();
	return 0;
}
