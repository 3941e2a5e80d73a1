/* What the cases about AF_VSOCK share. All of them speak over the loopback transport: context number 1. */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "case.h"

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif
#define CID_ANY 0xffffffffu
#define PORT_ANY 0xffffffffu
#define CID_HYPERVISOR 0u
#define CID_LOCAL 1u
#define CID_HOST 2u
#define SO_VM_SOCKETS_BUFFER_SIZE 0
#define SO_VM_SOCKETS_BUFFER_MIN_SIZE 1
#define SO_VM_SOCKETS_BUFFER_MAX_SIZE 2
#define SO_VM_SOCKETS_PEER_HOST_VM_ID 3
#define SO_VM_SOCKETS_TRUSTED 5
#define SO_VM_SOCKETS_CONNECT_TIMEOUT 6
#define SO_VM_SOCKETS_NONBLOCK_TXRX 7
#define SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW 8
#define IOCTL_VM_SOCKETS_GET_LOCAL_CID 0x7b9
#ifndef SIOCOUTQ
#define SIOCOUTQ 0x5411
#endif

struct vm_address {
	unsigned short family;
	unsigned short reserved;
	unsigned int port;
	unsigned int cid;
	unsigned char flags;
	unsigned char zero[3];
};

static struct vm_address vm_address;

/* The address of a port, for the next call. */
static inline struct sockaddr *vm(unsigned int cid, unsigned int port)
{
	memset(&vm_address, 0, sizeof vm_address);
	vm_address.family = AF_VSOCK;
	vm_address.cid = cid;
	vm_address.port = port;
	return (struct sockaddr *)&vm_address;
}

static inline int vm_socket(int kind)
{
	return (int)MUST(socket(AF_VSOCK, kind, 0));
}

static inline void nonblocking(int fd)
{
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
}

/* Let what is under way arrive: Linux delivers in a thread of its own. */
static inline void settle(void)
{
	settle_for(30);
}

static inline void show_name(const char *what, int fd, int peer)
{
	struct vm_address a;
	socklen_t length = sizeof a;
	memset(&a, 0xaa, sizeof a);
	int result = (peer ? getpeername : getsockname)(fd, (struct sockaddr *)&a, &length);
	if (result == -1) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	printf("%s: %u bytes, family %u, reserved %u, cid %d, flags %u %u %u %u, port ", what, length, a.family, a.reserved, (int)a.cid,
		a.flags, a.zero[0], a.zero[1], a.zero[2]);
	if (a.port == PORT_ANY)
		puts("any");
	else if (a.port > 65535)
		puts("chosen");
	else
		printf("%u\n", a.port);
}

static inline void show_poll(const char *what, int fd)
{
	struct pollfd p = { fd, POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND, 0 };
	int n = poll(&p, 1, 0);
	printf("%s: poll gives %d, %#x\n", what, n, p.revents);
}

static inline void show_error(const char *what, int fd)
{
	int error = -1;
	socklen_t length = sizeof error;
	MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
	printf("%s: SO_ERROR is %s\n", what, error ? error_name(error) : "0");
}

static inline void show_receive(const char *what, int fd, size_t size, int flags)
{
	static char b[1 << 20];
	memset(b, 0, 64);
	ssize_t n = recv(fd, b, size, flags);
	if (n == -1)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %zd bytes \"%.40s\"\n", what, n, b);
}

static inline void show_u64(const char *what, int fd, int name)
{
	unsigned long long value = 0x5555555555555555;
	socklen_t length = sizeof value;
	if (getsockopt(fd, AF_VSOCK, name, &value, &length) == -1)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %llu in %u bytes\n", what, value, length);
}

static inline int vm_listener(int kind, unsigned int port, int backlog)
{
	int fd = vm_socket(kind);
	MUST(bind(fd, vm(CID_ANY, port), sizeof vm_address));
	MUST(listen(fd, backlog));
	return fd;
}

/* Two ends of a connection: p[0] has connected, p[1] was accepted. */
static inline void vm_connected(int kind, unsigned int port, int p[2])
{
	int l = vm_listener(kind, port, 4);
	p[0] = vm_socket(kind);
	MUST(connect(p[0], vm(CID_LOCAL, port), sizeof vm_address));
	p[1] = (int)MUST(accept(l, NULL, NULL));
	close(l);
}
