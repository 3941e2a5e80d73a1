/*
 * Random calls of the socket family: socket_fuzz SEED SECONDS [NUMBER]. Children with seeds of their own, every other one
 * without privileges, share a crowd of sockets of all families and hand them arguments of a likely form, or of none.
 * Meanwhile a connection over loopback and a pair of UNIX sockets must echo. With NUMBER only that child runs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 32
#define CROWD 48
#define ROUNDS 1500
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CHOOSE(...) ((long[]){ __VA_ARGS__ }[pick(sizeof((long[]){ __VA_ARGS__ }) / sizeof(long))])

static uint64_t state;
static unsigned char *page, *place; /* PAGES of memory with a hole after them; where the next argument is made */
static int crowd[CROWD], is_root;
static struct { long calls, good; } *counts; /* shared by all processes */

/* Every call by its number is counted; two processes may miss some. */
static long counted(long result)
{
	counts->calls++;
	counts->good += result >= 0;
	return result;
}
#define syscall(...) counted(syscall(__VA_ARGS__))

static uint32_t draw(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 32);
}

static unsigned pick(unsigned below) { return draw() % below; }
static int one_in(unsigned n) { return pick(n) == 0; }

/* ---- Numbers, places, bytes ----------------------------------------------------------------------------------------- */

static long number(void)
{
	static const long borders[] = { 0, 1, 2, 3, 4, 7, 8, 12, 14, 16, 20, 28, 40, 56, 110, 128, 129, 136, 264, 576, 1280, 1500, 4096,
		65535, 65536, -1, -2, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, (long)0x8000000000000000 };
	switch (pick(4)) {
	case 0: return (long)draw() << 31 ^ draw();
	case 1: return pick(300);
	default: return borders[pick(COUNT(borders))];
	}
}

/* A length that is likely to be right. */
static long length_of(long right)
{
	switch (pick(8)) {
	case 0: return number();
	case 1: return right + (long)pick(9) - 4;
	default: return right;
	}
}

/* Where memory is, is not, or ends. */
static void *anywhere(void)
{
	switch (pick(16)) {
	case 0: return 0;
	case 1: return (void *)CHOOSE(1, 0x1003, -1, -4096, (long)0xffffffff80000000, (long)0x8000000000000000, 0x7ffffffff000);
	case 2: return page + PAGES * PAGE - pick(64);
	case 3: return page + (PAGES + 2) * PAGE + pick(PAGE); /* may be read only */
	default: return page + pick(PAGES * PAGE - 8192);
	}
}

static void *room(size_t size)
{
	if (place + size + 64 > page + PAGES * PAGE)
		place = page + pick(64);
	void *found = place;
	place += size + pick(16);
	return found;
}

static void *rubbish(size_t size)
{
	unsigned char *at = room(size);
	for (size_t i = 0; i < size; i++)
		at[i] = (unsigned char)(one_in(3) ? draw() : 0);
	return at;
}

/* What was made, or by chance something else. */
static void *perhaps(void *made) { return one_in(12) ? anywhere() : made; }

static socklen_t *size_pointer(long right)
{
	socklen_t *at = room(sizeof *at);
	*at = (socklen_t)length_of(right);
	return perhaps(at);
}

static int any(void)
{
	return one_in(40) ? (int)CHOOSE(-1, 0, 1, 2, -100, 0x7fffffff) : crowd[pick(CROWD)];
}

/* ---- Addresses ------------------------------------------------------------------------------------------------------ */

static uint16_t port(void) { return htons((uint16_t)(one_in(6) ? draw() : one_in(8) ? 0 : 7000 + pick(6))); }

static uint32_t address4(void)
{
	return one_in(5) ? draw() : htonl((uint32_t)CHOOSE(0, 0x7f000001, 0x7f000001, 0x7f000001, 0x7f000002, 0x7fffffff, 0x0a00020f,
		0x0a0002ff, 0x0a000202, 0x0a000207, 0xe0000001, 0xe0010203, 0xe0010204, 0xffffffff, 0xf0000001));
}

static void address6(unsigned char *at)
{
	static const char *const texts[] = { "::", "::1", "::1", "::1", "ff02::1", "ff02::1:2", "ff05::3", "fe80::1", "fe80::5054:ff:fe12:3456",
		"fec0::2", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:127.0.0.1", "::ffff:224.1.2.3", "::ffff:0.0.0.0", "::127.0.0.1" };
	inet_pton(AF_INET6, texts[pick(COUNT(texts))], at);
	if (one_in(8))
		at[pick(16)] = (unsigned char)draw();
}

/* A struct sockaddr of a family, most often the one that fits; its length. */
static long address(unsigned char *at, int family)
{
	memset(at, 0, 128);
	if (one_in(12))
		family = (int)CHOOSE(AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, 99);
	*(uint16_t *)at = (uint16_t)family;
	switch (family) {
	case AF_INET: {
		struct sockaddr_in *a = (void *)at;
		a->sin_port = port(), a->sin_addr.s_addr = address4();
		return sizeof *a;
	}
	case AF_INET6: {
		struct sockaddr_in6 *a = (void *)at;
		a->sin6_port = port(), a->sin6_scope_id = pick(4), a->sin6_flowinfo = one_in(3) ? draw() : 0;
		address6((unsigned char *)&a->sin6_addr);
		return sizeof *a;
	}
	case AF_UNIX: {
		struct sockaddr_un *a = (void *)at;
		int start = one_in(2);
		long length = sprintf(a->sun_path + start, one_in(9) ? "/nowhere/%u" : "/tmp/fuzz/%u", pick(6));
		if (one_in(9))
			memset(a->sun_path, 'x', 108), length = 108 - start;
		return 2 + (one_in(8) ? 0 : start + length + (start ? 0 : 1));
	}
	case AF_NETLINK: {
		struct sockaddr_nl *a = (void *)at;
		a->nl_pid = (uint32_t)(one_in(2) ? 0 : number()), a->nl_groups = one_in(3) ? draw() : 0;
		return sizeof *a;
	}
	case AF_PACKET: {
		struct sockaddr_ll *a = (void *)at;
		a->sll_protocol = htons((uint16_t)CHOOSE(0, 3, 0x800, 0x806, 0x86dd, 0x88b5)), a->sll_ifindex = one_in(5) ? (int)number() : (int)pick(4);
		a->sll_halen = (unsigned char)CHOOSE(0, 6, 6, 8, 255), memset(a->sll_addr, 0xff, 6);
		return sizeof *a;
	}
	case AF_VSOCK: {
		uint32_t *a = (void *)at; /* struct sockaddr_vm */
		a[1] = one_in(9) ? (uint32_t)number() : (uint32_t)CHOOSE(2000, 2001, 2002, -1), a[2] = (uint32_t)CHOOSE(1, 1, 1, -1, 2, number());
		return 16;
	}
	default: return pick(129);
	}
}

static int family_of(int fd)
{
	int family = AF_INET;
	socklen_t length = sizeof family;
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
	return family;
}

/* ---- What is sent --------------------------------------------------------------------------------------------------- */

static size_t attributes(unsigned char *at, int depth)
{
	size_t used = 0;
	for (unsigned n = pick(6); n; n--) {
		struct rtattr *a = (void *)(at + used);
		size_t length = depth && one_in(5) ? attributes(at + used + 4, depth - 1) : (size_t)CHOOSE(0, 1, 4, 4, 4, 6, 8, 16, 16, 20, 60);
		if (!depth || length == 0 || !one_in(5))
			for (size_t i = 0; i < length; i++)
				at[used + 4 + i] = (unsigned char)(one_in(3) ? draw() : 0);
		if (length == 4 && one_in(2))
			*(uint32_t *)(at + used + 4) = one_in(2) ? address4() : pick(5);
		if (length == 16 && one_in(2))
			address6(at + used + 4);
		a->rta_type = (uint16_t)(one_in(20) ? draw() : pick(32));
		a->rta_len = (uint16_t)(one_in(15) ? number() : (long)length + 4);
		used += RTA_ALIGN(length + 4);
		if (used > 400)
			break;
	}
	return used;
}

static size_t netlink_message(unsigned char *at)
{
	size_t used = 0;
	for (unsigned n = 1 + pick(2); n; n--) {
		struct nlmsghdr *h = (void *)(at + used);
		unsigned char *body = at + used + sizeof *h;
		size_t length = (size_t)CHOOSE(0, 1, 4, 8, 12, 12, 16, 28);
		for (size_t i = 0; i < length; i++)
			body[i] = (unsigned char)(one_in(6) ? draw() : 0);
		if (length)
			body[0] = (unsigned char)CHOOSE(0, 0, AF_INET, AF_INET, AF_INET6, AF_PACKET, 77);
		if (length >= 8 && one_in(2))
			*(uint32_t *)(body + 4) = pick(4);
		length += length ? attributes(body + length, 2) : 0;
		h->nlmsg_type = (uint16_t)(one_in(8) ? number() : 16 + (long)pick(72));
		h->nlmsg_flags = (uint16_t)(one_in(3) ? draw() : (uint32_t)CHOOSE(1, 5, 0x301, 0x305, 0x601, 0x105));
		h->nlmsg_len = (uint32_t)(one_in(12) ? number() : (long)(length + sizeof *h));
		h->nlmsg_seq = draw(), h->nlmsg_pid = 0;
		used += NLMSG_ALIGN(length + sizeof *h);
	}
	return used;
}

/* A packet with headers that begin well. */
static size_t packet(unsigned char *at, int family)
{
	size_t used = 0, length = 60 + pick(200);
	for (size_t i = 0; i < length; i++)
		at[i] = (unsigned char)(one_in(4) ? draw() : 0);
	if (family == AF_PACKET && one_in(2)) {
		memset(at, 0xff, 12);
		*(uint16_t *)(at + 12) = htons((uint16_t)CHOOSE(0x800, 0x806, 0x86dd));
		used = 14;
	}
	unsigned char *ip = at + used;
	if (one_in(2)) {
		ip[0] = (unsigned char)(0x45 + (one_in(4) ? pick(11) : 0));
		*(uint16_t *)(ip + 2) = htons((uint16_t)length_of((long)(length - used)));
		ip[9] = (unsigned char)CHOOSE(1, 2, 6, 17, 99);
		*(uint32_t *)(ip + 12) = address4(), *(uint32_t *)(ip + 16) = address4();
	} else {
		ip[0] = 0x60;
		*(uint16_t *)(ip + 4) = htons((uint16_t)length_of((long)(length - used) - 40));
		ip[6] = (unsigned char)CHOOSE(0, 6, 17, 43, 44, 58, 59, 60);
		address6(ip + 8), address6(ip + 24);
	}
	return length;
}

static size_t payload(unsigned char *at, int family)
{
	if (family == AF_NETLINK)
		return netlink_message(at);
	if (family == AF_PACKET || one_in(4))
		return packet(at, family);
	return (size_t)CHOOSE(0, 1, 8, 100, 1472, 1473, 4000);
}

static size_t control(unsigned char *at)
{
	size_t used = 0;
	for (unsigned n = pick(4); n; n--) {
		struct cmsghdr *c = (void *)(at + used);
		size_t length = (size_t)CHOOSE(0, 1, 2, 4, 4, 8, 12, 12, 16, 20, 24);
		for (size_t i = 0; i < length; i++)
			at[used + 16 + i] = (unsigned char)(one_in(4) ? draw() : 0);
		switch (pick(6)) {
		case 0: c->cmsg_level = SOL_IP, c->cmsg_type = (int)pick(30); break;
		case 1: c->cmsg_level = SOL_IPV6, c->cmsg_type = (int)pick(80); break;
		case 2: c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_CREDENTIALS; break;
		case 3: c->cmsg_level = (int)number(), c->cmsg_type = (int)number(); break;
		case 4: c->cmsg_level = IPPROTO_UDP, c->cmsg_type = 103; break;
		default:
			c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS;
			length = 4 * pick(one_in(30) ? 300 : 4);
			for (size_t i = 0; i < length / 4; i++)
				((int *)CMSG_DATA(c))[i] = any();
		}
		c->cmsg_len = (size_t)(one_in(10) ? number() : (long)length + 16);
		used += CMSG_ALIGN(length + 16);
		if (used > 1500)
			break;
	}
	return used;
}

static void message(struct msghdr *m, int fd, int receives)
{
	int family = family_of(fd), count = (int)pick(5);
	struct iovec *parts = room(sizeof *parts * 5);
	unsigned char *name = room(128), *text = room(6000), *extra = room(4096);
	for (int i = 0; i < count; i++)
		parts[i] = (struct iovec){ perhaps(room(64)), (size_t)length_of((long)pick(64)) };
	if (count && !receives)
		parts[0] = (struct iovec){ perhaps(text), (size_t)length_of((long)payload(text, family)) };
	m->msg_namelen = (socklen_t)length_of(address(name, family));
	m->msg_name = one_in(2) ? perhaps(name) : (m->msg_namelen = 0, NULL);
	m->msg_iov = perhaps(parts);
	m->msg_iovlen = one_in(20) ? (size_t)number() : (size_t)count;
	m->msg_controllen = (size_t)length_of(receives ? (long)pick(200) : (long)control(extra));
	m->msg_control = one_in(3) ? perhaps(extra) : (m->msg_controllen = 0, NULL);
	m->msg_flags = (int)number();
}

static int flags(void)
{
	int f = one_in(3) ? (int)draw() & (int)draw() : (int)CHOOSE(0, 0, MSG_PEEK, MSG_OOB, MSG_TRUNC, MSG_WAITALL, MSG_ERRQUEUE, MSG_MORE, MSG_EOR);
	return one_in(8) ? f | MSG_NOSIGNAL : f | MSG_NOSIGNAL | MSG_DONTWAIT;
}

/* ---- Options and ioctls --------------------------------------------------------------------------------------------- */

static long option_value(unsigned char *at, int name)
{
	for (int i = 0; i < 512; i++)
		at[i] = (unsigned char)(one_in(4) ? draw() : 0);
	switch (pick(9)) {
	case 0: { /* a filter */
		unsigned count = pick(one_in(20) ? 5000 : 12);
		struct sock_filter *code = room(12 * sizeof *code);
		for (unsigned i = 0; i < 12; i++)
			code[i] = (struct sock_filter){ (uint16_t)(one_in(4) ? draw() : (uint32_t)CHOOSE(0x28, 0x30, 0x20, 0x15, 0x05, 0x06, 0x16, 0x54, 0x34, 0x94, 0xb1, 0x02, 0x60, 0x07, 0x87, 0x80)),
				(uint8_t)pick(6), (uint8_t)pick(6), one_in(2) ? pick(64) : (uint32_t)number() };
		if (count && count <= 12)
			code[count - 1] = (struct sock_filter){ 6, 0, 0, (uint32_t)number() };
		*(struct sock_fprog *)at = (struct sock_fprog){ (unsigned short)count, perhaps(code) };
		return sizeof(struct sock_fprog);
	}
	case 1: /* groups: ip_mreq, ip_mreqn, ip_mreq_source, ip_msfilter */
		for (int i = 0; i < 3; i++)
			((uint32_t *)at)[i] = address4();
		if (one_in(2))
			((uint32_t *)at)[2] = pick(4);
		((uint32_t *)at)[3] = (uint32_t)length_of(1);
		return CHOOSE(8, 12, 16, 20);
	case 2: address6(at); *(uint32_t *)(at + 16) = pick(4); return 20;
	case 3: /* group_req, group_source_req, group_filter */
		*(uint32_t *)at = pick(4);
		address(at + 8, one_in(2) ? AF_INET : AF_INET6), address(at + 136, one_in(2) ? AF_INET : AF_INET6);
		if (one_in(2))
			*(uint32_t *)(at + 136) = pick(2), *(uint32_t *)(at + 140) = (uint32_t)length_of(1), address(at + 144, AF_INET);
		return CHOOSE(136, 264, 272);
	case 4: strcpy((char *)at, ((const char *[]){ "lo", "eth0", "cubic", "reno", "" }[pick(5)])); return 16;
	case 5: ((int64_t *)at)[0] = one_in(2) ? (long)pick(3) : number(), ((int64_t *)at)[1] = one_in(2) ? (long)pick(1000000) : number(); return 16;
	case 6: return (long)pick(512);
	default: *(int *)at = (int)number();
	}
	if (name == SO_SNDBUFFORCE || name == SO_RCVBUFFORCE)
		*(int *)at = (int)pick(1 << 20); /* root may take what there is, on every kernel */
	return 4;
}

static int level(void) { return one_in(3) ? SOL_SOCKET : (int)CHOOSE(0, 6, 17, 41, 58, 136, 255, 263, 270, 1, 2, -1, 132, 262); }
static int option(void) { return one_in(12) ? (int)number() : (int)pick(one_in(4) ? 130 : 80); }

static void *ioctl_argument(unsigned command)
{
	unsigned char *at = rubbish(128);
	switch (pick(6)) {
	case 0: /* arpreq, rtentry */
		for (int i = 0; i < 3; i++)
			*(uint16_t *)(at + 8 * one_in(2) + 16 * i) = AF_INET, *(uint32_t *)(at + 8 * one_in(2) + 16 * i + 4) = address4();
		break;
	case 1: *(int *)at = (int)length_of(80), *(void **)(at + 8) = perhaps(room(128)); break; /* ifconf */
	case 2: return anywhere();
	default: /* ifreq */
		strcpy((char *)at, ((const char *[]){ "lo", "eth0", "eth0:1", "lo:1", "nowhere", "" }[pick(6)]));
		if (one_in(2))
			address(at + 16, one_in(3) ? AF_INET6 : AF_INET);
		else
			*(int *)(at + 16) = (int)number();
	}
	if (command == 0x8901 || command == 0x8902)
		*(int *)at = getpid(); /* SIGIO goes to nobody else */
	return at;
}

/* ---- One call ------------------------------------------------------------------------------------------------------- */

static void enter(int fd)
{
	if (fd < 3)
		return;
	int at = (int)pick(CROWD);
	close(crowd[at]);
	crowd[at] = fd;
}

static void new_socket(void)
{
	int family = (int)(one_in(30) ? number() : CHOOSE(AF_UNIX, AF_UNIX, AF_INET, AF_INET, AF_INET, AF_INET6, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK));
	int type = (int)(one_in(10) ? number() : CHOOSE(SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET));
	int protocol = (int)(one_in(2) ? 0 : family == AF_PACKET ? CHOOSE(0x0300, 0x0008, 0xdd86) : CHOOSE(1, 6, 15, 17, 58, 99, 136, 255, 262, number()));
	if (!one_in(4)) {
		enter(socket(family, type | (one_in(10) ? 0 : SOCK_NONBLOCK), protocol));
		return;
	}
	int *pair = room(sizeof *pair * 2);
	pair[0] = pair[1] = -1;
	if (syscall(SYS_socketpair, family, type | SOCK_NONBLOCK, one_in(5) ? protocol : 0, perhaps(pair)) == 0)
		enter(pair[0]), enter(pair[1]);
}

static void move_data(int fd)
{
	int file = open("/bin/busybox", O_RDONLY), pipes[2] = { -1, -1 };
	int64_t *offset = room(8);
	*offset = one_in(3) ? number() : (long)pick(100000);
	if (pipe2(pipes, O_NONBLOCK))
		pipes[0] = pipes[1] = -1;
	switch (pick(7)) {
	case 0: syscall(SYS_sendfile, fd, file, one_in(2) ? perhaps(offset) : NULL, length_of(20000)); break;
	case 1: syscall(SYS_sendfile, file, fd, perhaps(offset), number()); break;
	case 2: syscall(SYS_sendfile, fd, any(), NULL, number()); break;
	case 3:
		syscall(SYS_splice, file, NULL, pipes[1], NULL, length_of(30000), draw() & 15);
		syscall(SYS_splice, pipes[0], NULL, fd, one_in(5) ? perhaps(offset) : NULL, number(), draw() & 15);
		break;
	case 4: syscall(SYS_splice, fd, NULL, pipes[1], NULL, number(), draw() & 15); break;
	case 5: syscall(SYS_splice, fd, NULL, any(), NULL, number(), draw()); break;
	case 6: syscall(SYS_copy_file_range, file, NULL, fd, NULL, number(), 0); break;
	}
	close(file), close(pipes[0]), close(pipes[1]);
}

static void watch(int fd)
{
	struct pollfd *polls = room(sizeof *polls * 4);
	for (int i = 0; i < 4; i++)
		polls[i] = (struct pollfd){ any(), (short)draw(), 0 };
	struct epoll_event event = { .events = draw() & ~(1u << 29), .data.fd = fd };
	switch (pick(5)) {
	case 0: syscall(SYS_poll, perhaps(polls), length_of(4) & 255, 0); break;
	case 1: enter(epoll_create1(0)); break;
	case 2: epoll_ctl(any(), (int)pick(4), fd, &event); break;
	case 3: syscall(SYS_epoll_wait, fd, perhaps(rubbish(64)), length_of(4), 0); break;
	case 4: fcntl(fd, F_SETFL, (int)(draw() & (O_NONBLOCK | O_ASYNC | O_APPEND | O_DIRECT)) | (one_in(4) ? 0 : O_NONBLOCK)); break;
	}
}

static void rare_call(int fd)
{
	struct iovec part = { perhaps(rubbish(64)), (size_t)length_of(64) };
	switch (pick(9)) {
	case 0: syscall(SYS_read, fd, perhaps(room(64)), length_of(64)); break;
	case 1: syscall(SYS_write, fd, perhaps(room(64)), length_of(64)); break;
	case 2: syscall(SYS_readv, fd, &part, 1); break;
	case 3: syscall(SYS_writev, fd, &part, 1); break;
	case 4: syscall(SYS_fstat, fd, perhaps(room(144))); break;
	case 5: syscall(SYS_pread64, fd, room(64), 64, number()); break;
	case 6: munmap(mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0), PAGE); break;
	case 7: enter(dup(fd)); break;
	case 8: syscall(SYS_fcntl, fd, CHOOSE(F_SETOWN, F_GETOWN, F_GETFD, F_GETFL, 1034), getpid()); break;
	}
}

static void many_messages(int fd, int receives)
{
	struct mmsghdr *all = room(sizeof *all * 4);
	struct timespec *limit = room(sizeof *limit);
	*limit = (struct timespec){ one_in(3) ? number() : 0, one_in(3) ? number() : (long)pick(1000000) };
	int count = (int)pick(5);
	for (int i = 0; i < count && i < 4; i++)
		message(&all[i].msg_hdr, fd, receives);
	if (receives)
		syscall(SYS_recvmmsg, fd, perhaps(all), length_of(count > 4 ? 4 : count), flags(), one_in(2) ? perhaps(limit) : NULL);
	else
		syscall(SYS_sendmmsg, fd, perhaps(all), length_of(count > 4 ? 4 : count), flags());
}

static void one_call(void)
{
	int fd = any(), name = option();
	struct msghdr *m = room(sizeof *m);
	unsigned char *a = room(128), *value = room(600);
	unsigned command = (unsigned)(one_in(9) ? number() : one_in(4) ? CHOOSE(0x541b, 0x5411, 0x5421, 0x5452, 0x5450, 0x5451) : 0x8900 + (long)pick(256));
	long length;
	switch (pick(28)) {
	case 0: case 1: new_socket(); break;
	case 2: case 3: length = address(a, family_of(fd)); syscall(SYS_bind, fd, perhaps(a), length_of(length)); break;
	case 4: case 5: length = address(a, family_of(fd)); syscall(SYS_connect, fd, perhaps(a), length_of(length)); break;
	case 6: syscall(SYS_listen, fd, one_in(2) ? (long)pick(8) : number()); break;
	case 7: enter((int)syscall(SYS_accept, fd, perhaps(a), size_pointer(128))); break;
	case 8: enter((int)syscall(SYS_accept4, fd, perhaps(a), size_pointer(128), one_in(5) ? number() : SOCK_NONBLOCK)); break;
	case 9: syscall(SYS_getsockname, fd, perhaps(a), size_pointer(128)); break;
	case 10: syscall(SYS_getpeername, fd, perhaps(a), size_pointer(128)); break;
	case 11: case 12:
		value = room(6000);
		length = address(a, family_of(fd));
		syscall(SYS_sendto, fd, perhaps(value), length_of((long)payload(value, family_of(fd))), flags(), one_in(2) ? perhaps(a) : NULL, length_of(length));
		break;
	case 13: syscall(SYS_recvfrom, fd, perhaps(value), length_of(600), flags(), one_in(2) ? perhaps(a) : NULL, size_pointer(128)); break;
	case 14: case 15: message(m, fd, 0); syscall(SYS_sendmsg, fd, perhaps(m), flags()); break;
	case 16: message(m, fd, 1); syscall(SYS_recvmsg, fd, perhaps(m), flags()); break;
	case 17: many_messages(fd, 0); break;
	case 18: many_messages(fd, 1); break;
	case 19: case 20: case 21: length = option_value(value, name); syscall(SYS_setsockopt, fd, level(), name, perhaps(value), length_of(length)); break;
	case 22: rubbish(64); option_value(value, name); syscall(SYS_getsockopt, fd, level(), name, perhaps(value), size_pointer((long)pick(300))); break;
	case 23: syscall(SYS_ioctl, fd, command, ioctl_argument(command)); break;
	case 24: if (one_in(6)) syscall(SYS_shutdown, fd, one_in(5) ? number() : (long)pick(3)); break;
	case 25: move_data(fd); break;
	case 26: watch(fd); break;
	case 27: rare_call(fd); break;
	}
}

/* ---- Children, and what goes on beside them ------------------------------------------------------------------------- */

static void wake(int signal) { (void)signal; }

static void run_child(uint64_t seed)
{
	state = seed;
	draw();
	is_root = (int)(seed & 1);
	mkdir("/tmp/fuzz", 0777);
	chmod("/tmp/fuzz", 0777);
	if (!is_root && (setgid(1000) || setuid(1000)))
		_exit(3);
	int null = open("/dev/null", O_RDWR);
	dup2(null, 0), dup2(null, 1), dup2(null, 2);
	for (int i = 3; i < 1024; i++)
		close(i);
	struct rlimit files = { 256, 256 };
	setrlimit(RLIMIT_NOFILE, &files);
	page = mmap(0, (PAGES + 4) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + PAGES * PAGE, PAGE);
	mprotect(page + (PAGES + 2) * PAGE, PAGE, PROT_READ);
	place = page;
	for (int i = 0; i < CROWD; i++)
		crowd[i] = -1;
	for (int i = 0; i < 4 * CROWD; i++)
		new_socket();
	/* Two processes, so that what one waits for may happen. A signal ends every wait. */
	if (fork() == 0)
		state ^= 0x5851f42d4c957f2dULL;
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	struct sigaction action = { .sa_handler = wake };
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGIO, &action, NULL);
	sigaction(SIGURG, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	setitimer(ITIMER_REAL, &often, 0);
	for (int i = 0; i < ROUNDS; i++)
		one_call();
	while (wait(NULL) > 0 || errno == EINTR)
		;
	_exit(0);
}

static int streams[2], pair[2];

static void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void connect_streams(void)
{
	struct sockaddr_in at = { AF_INET, htons(6999), { htonl(INADDR_LOOPBACK) } };
	int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	streams[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&at, sizeof at) || listen(listener, 1) || connect(streams[0], (void *)&at, sizeof at))
		fail("a connection");
	streams[1] = accept(listener, NULL, NULL);
	close(listener);
	struct timeval limit = { 20, 0 };
	for (int i = 0; i < 2; i++)
		setsockopt(streams[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

static void echo(int *ends, const char *what)
{
	static char data[3000], answer[3000];
	memset(data, (int)draw(), sizeof data);
	if (write(ends[0], data, sizeof data) != sizeof data || recv(ends[1], answer, sizeof answer, MSG_WAITALL) != sizeof answer)
		fail(what);
	if (memcmp(data, answer, sizeof data))
		errno = 0, fail(what);
}

/* What root's children may have done to the interface that the connection uses. */
static void restore(void)
{
	if (system("{ ifconfig lo 127.0.0.1 netmask 255.0.0.0 up mtu 65536; ip route flush table main; ip neigh flush dev eth0; ip addr flush dev eth0;"
		   "ip -6 addr add ::1/128 dev lo; ifconfig eth0 10.0.2.15 up mtu 1500; } >/dev/null 2>&1") < 0)
		fail("restore");
}

static void read_tables(void)
{
	if (system("cat /proc/net/* >/dev/null 2>&1") < 0)
		fail("/proc/net");
}

int main(int count, char **words)
{
	if (count < 3)
		return 2;
	uint64_t seed = strtoull(words[1], 0, 0);
	time_t end = time(0) + atoi(words[2]);
	long only = count > 3 ? atol(words[3]) : -1, done = 0;
	setvbuf(stdout, 0, _IONBF, 0);
	signal(SIGIO, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	counts = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		fail("socketpair");
	connect_streams();
	for (long i = only < 0 ? 0 : only; only < 0 ? time(0) < end : i == only; i++, done++) {
		pid_t child = fork();
		if (child == 0)
			run_child((seed * 0x9e3779b97f4a7c15ULL + (uint64_t)i * 0xbf58476d1ce4e5b9ULL) << 1 | (i & 1));
		int status;
		time_t latest = time(0) + 120;
		while (waitpid(child, &status, WNOHANG) == 0) {
			echo(pair, "the pair");
			if (!(i & 1))
				echo(streams, "the connection");
			if (time(0) > latest)
				printf("child %ld does not end\n", i), exit(1);
			usleep(5000);
		}
		if (!WIFEXITED(status))
			printf("child %ld was killed by signal %d\n", i, WTERMSIG(status));
		if (i & 1)
			restore();
		read_tables();
		echo(streams, "the connection");
	}
	printf("%ld children, %ld calls, %ld without an error: all is well\n", done, counts->calls, counts->good);
	return 0;
}
