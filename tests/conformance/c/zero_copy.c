/* Covers: SO_ZEROCOPY and MSG_ZEROCOPY of TCP and UDP: the notices in the error queue, their numbers, how they join; sends that fail or are empty,
 * corked datagrams, notices beside errors of ICMP, a limit on notices.
 */
#define _GNU_SOURCE
#include "tcp_case.h"
#include <linux/errqueue.h>

#define ZEROCOPY 60
#define FLAG 0x4000000
#define FOREVER_MS 20000

static int zero_copies(int fd)
{
	int one = 1;
	return setsockopt(fd, SOL_SOCKET, ZEROCOPY, &one, sizeof one);
}

static void wait_error(int fd)
{
	struct pollfd one = { fd, 0, 0 };
	printf("poll: %d", poll_for(&one, FOREVER_MS));
	printf(" %x\n", one.revents);
}

/* Read one entry of the error queue, and print it. */
static int entry(int fd, struct sock_extended_err *into)
{
	char control[512], data[64];
	struct sockaddr_storage name;
	struct iovec part = { data, sizeof data };
	struct msghdr message = { .msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof control };
	memset(control, 0, sizeof control);
	ssize_t got = recvmsg(fd, &message, MSG_ERRQUEUE);
	if (got < 0) {
		printf("  %s\n", error_name(errno));
		return -1;
	}
	printf("  %zd bytes, flags %x, name %d", got, message.msg_flags, (int)message.msg_namelen);
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
		memcpy(into, CMSG_DATA(header), sizeof *into);
		printf(", level %d type %d length %d: errno %d origin %d type %d code %d %u-%u", header->cmsg_level, header->cmsg_type,
		       (int)header->cmsg_len, into->ee_errno, into->ee_origin, into->ee_type, into->ee_code, into->ee_info, into->ee_data);
	}
	putchar('\n');
	return 0;
}

static int show_entry(int fd)
{
	struct sock_extended_err error;
	return entry(fd, &error);
}

/* Until all that was sent is acknowledged. */
static void wait_empty(int fd)
{
	int left = 1;
	for (int i = 0; i < 4000 && left != 0; i++) {
		MUST(ioctl(fd, TIOCOUTQ, &left));
		if (left != 0)
			sleep_ms(5);
	}
	printf("unacknowledged: %d\n", left);
}

static void streams(int port)
{
	int pair[2];
	char data[100];
	puts("--- a stream");
	connected(port, pair);
	SHOW(send(pair[0], "a", 1, FLAG));
	MUST(read(pair[1], data, 1));
	wait_empty(pair[0]);
	show_entry(pair[0]);
	SHOW(zero_copies(pair[0]));
	show_entry(pair[0]);
	SHOW(send(pair[0], "b", 1, FLAG));
	MUST(read(pair[1], data, 1));
	wait_error(pair[0]);
	show_entry(pair[0]);
	show_entry(pair[0]);
	puts("without the flag, without data, without memory");
	SHOW(send(pair[0], "c", 1, 0));
	SHOW(send(pair[0], "", 0, FLAG));
	SHOW(send(pair[0], (char *)8, 10, FLAG));
	MUST(read(pair[1], data, 1));
	wait_empty(pair[0]);
	show_entry(pair[0]);
	SHOW(send(pair[0], "d", 1, FLAG));
	MUST(read(pair[1], data, 1));
	wait_error(pair[0]);
	show_entry(pair[0]);
	puts("many");
	for (int i = 0; i < 5; i++)
		SHOW(send(pair[0], "many", 4, FLAG));
	wait_empty(pair[0]);
	wait_error(pair[0]);
	show_entry(pair[0]);
	show_entry(pair[0]);
	puts("corked");
	SHOW(send(pair[0], "one", 3, FLAG | MSG_MORE));
	SHOW(send(pair[0], "two", 3, MSG_MORE));
	SHOW(send(pair[0], "three", 5, FLAG));
	wait_empty(pair[0]);
	show_entry(pair[0]);
	MUST(read(pair[1], data, sizeof data));
	puts("the other direction has numbers of its own");
	SHOW(zero_copies(pair[1]));
	SHOW(send(pair[1], "back", 4, FLAG));
	MUST(read(pair[0], data, sizeof data));
	wait_empty(pair[1]);
	wait_error(pair[1]);
	show_entry(pair[1]);
	puts("after shutdown, and the end");
	SHOW(send(pair[0], "e", 1, FLAG));
	MUST(shutdown(pair[0], SHUT_WR));
	SHOW(send(pair[0], "f", 1, FLAG | MSG_NOSIGNAL));
	MUST(read(pair[1], data, sizeof data));
	wait_empty(pair[0]);
	close(pair[1]);
	show_entry(pair[0]);
	show_entry(pair[0]);
	close(pair[0]);
}

/* There is a notice of what the peer never takes, too, when the connection is reset. */
static void resets(void)
{
	enum { SIZE = 100000 };
	static char data[SIZE];
	int pair[2], small = 2000, l = listener(5202, 1);
	puts("--- a connection that is reset");
	MUST(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
	pair[0] = tcp();
	MUST(connect(pair[0], in(5202), sizeof in_address));
	pair[1] = (int)MUST(accept(l, NULL, NULL));
	MUST(zero_copies(pair[0]));
	MUST(fcntl(pair[0], F_SETFL, O_NONBLOCK));
	CHECK(send(pair[0], data, SIZE, FLAG) > 0);
	show_entry(pair[0]);
	struct linger now = { 1, 0 };
	MUST(setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &now, sizeof now));
	close(pair[1]);
	wait_error(pair[0]);
	show_entry(pair[0]);
	show_entry(pair[0]);
	SHOW(send(pair[0], data, 1, FLAG | MSG_NOSIGNAL));
	SHOW(send(pair[0], data, 1, FLAG | MSG_NOSIGNAL));
	show_entry(pair[0]);
	close(pair[0]);
	close(l);
}

static void datagrams(int family, int port)
{
	int fd = (int)MUST(socket(family, SOCK_DGRAM, 0)), one = 1;
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr *name = family == AF_INET ? in(port) : (struct sockaddr *)&six;
	socklen_t length = family == AF_INET ? sizeof in_address : sizeof six;
	char data[100];
	printf("--- datagrams of %s\n", family == AF_INET ? "IPv4" : "IPv6");
	MUST(bind(fd, name, length));
	MUST(connect(fd, name, length));
	SHOW(send(fd, "a", 1, FLAG));
	SHOW(recv(fd, data, sizeof data, 0));
	show_entry(fd);
	SHOW(zero_copies(fd));
	SHOW(send(fd, "bc", 2, FLAG));
	wait_error(fd);
	SHOW(recv(fd, data, sizeof data, 0));
	show_entry(fd);
	show_entry(fd);
	SHOW(send(fd, "", 0, FLAG));
	SHOW(recv(fd, data, sizeof data, 0));
	show_entry(fd);
	for (int i = 0; i < 3; i++) {
		SHOW(send(fd, "d", 1, FLAG));
		SHOW(recv(fd, data, sizeof data, 0));
	}
	wait_error(fd);
	show_entry(fd);
	puts("corked");
	SHOW(send(fd, "e", 1, FLAG | MSG_MORE));
	SHOW(send(fd, "f", 1, MSG_MORE));
	show_entry(fd);
	SHOW(send(fd, "", 0, FLAG | MSG_MORE));
	SHOW(send(fd, "g", 1, FLAG));
	SHOW(recv(fd, data, sizeof data, 0));
	wait_error(fd);
	show_entry(fd);
	SHOW(send(fd, "", 0, FLAG | MSG_MORE));
	SHOW(send(fd, "h", 1, FLAG));
	SHOW(recv(fd, data, sizeof data, 0));
	wait_error(fd);
	show_entry(fd);
	puts("too large, bad, refused");
	SHOW(send(fd, data, 70000, FLAG));
	SHOW(send(fd, (char *)8, 10, FLAG));
	show_entry(fd);
	MUST(setsockopt(fd, SOL_SOCKET, SO_SELECT_ERR_QUEUE, &one, sizeof one));
	SHOW(send(fd, "h", 1, FLAG));
	SHOW(recv(fd, data, sizeof data, 0));
	struct pollfd ready = { fd, POLLPRI, 0 };
	poll_for(&ready, FOREVER_MS);
	printf("poll: %x\n", ready.revents);
	show_entry(fd);
	close(fd);

	puts("nobody there");
	fd = (int)MUST(socket(family, SOCK_DGRAM, 0));
	SHOW(zero_copies(fd));
	MUST(setsockopt(fd, family == AF_INET ? SOL_IP : SOL_IPV6, family == AF_INET ? IP_RECVERR : IPV6_RECVERR, &one, sizeof one));
	MUST(connect(fd, name, length));
	SHOW(send(fd, "i", 1, FLAG));
	wait_error(fd);
	show_entry(fd);
	show_entry(fd);
	socklen_t size = sizeof one;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &one, &size));
	printf("error: %d\n", one);
	SHOW(send(fd, "j", 1, FLAG));
	wait_error(fd);
	SHOW(send(fd, "k", 1, FLAG));
	show_entry(fd);
	show_entry(fd);
	show_entry(fd);
	close(fd);
}

/* Write a setting of /proc/sys. */
static void put_setting(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static void limits(void)
{
	int pair[2], fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	puts("--- no room for notices");
	connected(5205, pair);
	MUST(connect(fd, in(5206), sizeof in_address));
	MUST(zero_copies(fd));
	MUST(zero_copies(pair[0]));
	put_setting("/proc/sys/net/core/optmem_max", "100");
	SHOW(send(fd, "a", 1, FLAG));
	SHOW(send(pair[0], "a", 1, FLAG));
	SHOW(send(pair[0], "a", 1, 0));
	put_setting("/proc/sys/net/core/optmem_max", "131072");
	SHOW(send(pair[0], "a", 1, FLAG));
	wait_empty(pair[0]);
	show_entry(pair[0]);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	loopback_up();
	streams(5201);
	resets();
	datagrams(AF_INET, 5203);
	datagrams(AF_INET6, 5204);
	limits();
	return 0;
}
