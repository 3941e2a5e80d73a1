/* Covers: AF_VSOCK sockets with boundaries (SOCK_SEQPACKET): whole messages, MSG_EOR, MSG_TRUNC, MSG_PEEK, sizes, ends. */
#define _GNU_SOURCE
#include <sys/uio.h>
#include "vsock_case.h"

static char big[1 << 20];

/* Receive by recvmsg(2), which also tells the flags. */
static void show_message(const char *what, int fd, size_t size, int flags)
{
	static char b[1 << 20];
	struct vm_address from;
	struct iovec v = { b, size };
	struct msghdr m = { &from, sizeof from, &v, 1, NULL, 0, 0x5a5a };
	memset(b, 0, 64);
	ssize_t n = recvmsg(fd, &m, flags);
	if (n == -1)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %zd bytes \"%.40s\", flags %#x, name of %u bytes\n", what, n, b, m.msg_flags, m.msg_namelen);
}

static void messages(void)
{
	int p[2];
	puts("--- messages");
	vm_connected(SOCK_SEQPACKET, 4100, p);
	show_poll("connected", p[0]);
	SHOW(send(p[0], "one", 3, 0));
	SHOW(send(p[0], "two", 3, MSG_EOR));
	SHOW(send(p[0], "three", 5, MSG_MORE));
	SHOW(write(p[0], "four", 4));
	SHOW(send(p[0], "", 0, 0));
	SHOW(send(p[0], "", 0, MSG_EOR));
	SHOW(send(p[0], "five", 4, 0));
	settle();
	show_poll("data", p[1]);
	show_message("peek", p[1], 100, MSG_PEEK);
	show_message("peek", p[1], 2, MSG_PEEK);
	show_message("peek", p[1], 2, MSG_PEEK | MSG_TRUNC);
	show_message("nothing", p[1], 0, 0);
	show_message("one", p[1], 100, 0);
	show_message("two", p[1], 100, 0);
	show_message("three, cut", p[1], 2, 0);
	show_message("four, cut", p[1], 1, MSG_TRUNC);
	show_message("five", p[1], 100, MSG_WAITALL);
	show_message("empty", p[1], 100, MSG_DONTWAIT);
	SHOW(send(p[0], "x", 1, MSG_OOB));
	show_message("out of band", p[1], 1, MSG_OOB);
	SHOW(sendto(p[0], "x", 1, 0, vm(CID_LOCAL, 4100), sizeof vm_address));
	SHOW(write(p[0], (void *)8, 10));
	SHOW(write(p[0], "fault", 5));
	SHOW(write(p[0], "next", 4));
	settle();
	SHOW(read(p[1], (void *)8, 10));
	show_message("after a fault", p[1], 100, MSG_DONTWAIT);
	struct iovec v[3] = { { "gather", 6 }, { "", 0 }, { "ed", 2 } };
	SHOW(writev(p[0], v, 3));
	settle();
	char x[4], y[2] = "";
	struct iovec w[2] = { { x, 4 }, { y, 2 } };
	SHOW(readv(p[1], w, 2));
	printf("\"%.4s\" \"%.2s\"\n", x, y);
	show_message("empty", p[1], 100, MSG_DONTWAIT);
	close(p[0]);
	close(p[1]);
}

static void sizes(void)
{
	int p[2];
	puts("--- sizes");
	vm_connected(SOCK_SEQPACKET, 4101, p);
	memset(big, 'x', sizeof big);
	SHOW(send(p[0], big, 262145, MSG_DONTWAIT));
	SHOW(send(p[0], big, 262144, MSG_DONTWAIT));
	SHOW(send(p[0], "y", 1, MSG_DONTWAIT));
	settle();
	show_poll("full", p[0]);
	show_poll("full", p[1]);
	show_message("peek", p[1], 10, MSG_PEEK | MSG_TRUNC);
	show_message("all", p[1], sizeof big, 0);
	settle();
	SHOW(send(p[0], big, 100000, MSG_DONTWAIT));
	SHOW(send(p[0], big, 100000, MSG_DONTWAIT));
	SHOW(send(p[0], big, 100000, MSG_DONTWAIT));
	settle();
	show_message("first", p[1], 70000, MSG_TRUNC);
	settle();
	show_message("second", p[1], sizeof big, MSG_DONTWAIT);
	show_message("third", p[1], sizeof big, MSG_DONTWAIT);
	close(p[0]);
	close(p[1]);
	vm_connected(SOCK_SEQPACKET, 4102, p);
	pid_t writer = (pid_t)MUST(fork());
	if (writer == 0) {
		close(p[1]);
		ssize_t first = write(p[0], big, 200000), second = write(p[0], big, 150000);
		char go;
		MUST(recv(p[0], &go, 1, 0));
		printf("wrote %zd, %zd\n", first, second);
		_exit(0);
	}
	close(p[0]);
	settle();
	until_asleep(writer);
	show_message("first", p[1], sizeof big, 0);
	show_message("second", p[1], sizeof big, 0);
	MUST(send(p[1], "g", 1, 0));
	show_end(writer);
	show_message("end", p[1], 100, 0);
	close(p[1]);
	vm_connected(SOCK_SEQPACKET, 4103, p);
	for (int i = 0; i < 200; i++)
		MUST(send(p[0], big, (size_t)(i + 1), 0));
	settle();
	int wrong = 0;
	for (int i = 0; i < 200; i++)
		wrong += recv(p[1], big, sizeof big, 0) != i + 1;
	printf("%d of wrong length\n", wrong);
	close(p[0]);
	close(p[1]);
}

static void ends(void)
{
	int p[2], c;
	puts("--- ends");
	c = vm_socket(SOCK_SEQPACKET);
	SHOW(send(c, "x", 1, 0));
	show_message("new", c, 10, 0);
	show_poll("new", c);
	int l = vm_listener(SOCK_STREAM, 4110, 1);
	SHOW(connect(c, vm(CID_LOCAL, 4110), sizeof vm_address));
	close(l);
	close(c);
	vm_connected(SOCK_SEQPACKET, 4111, p);
	MUST(write(p[0], "before", 6));
	SHOW(shutdown(p[0], SHUT_WR));
	SHOW(write(p[0], "after", 5));
	settle();
	show_poll("p[1]", p[1]);
	show_message("p[1]", p[1], 100, 0);
	show_message("p[1]", p[1], 100, 0);
	SHOW(write(p[1], "answer", 6));
	settle();
	show_message("p[0]", p[0], 100, 0);
	close(p[0]);
	settle();
	show_poll("p[1]", p[1]);
	SHOW(write(p[1], "x", 1));
	show_message("p[1]", p[1], 100, 0);
	close(p[1]);
	vm_connected(SOCK_SEQPACKET, 4112, p);
	struct timeval t = { 0, 20000 };
	MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	show_message("in time", p[1], 100, 0);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	messages();
	sizes();
	ends();
	return 0;
}
