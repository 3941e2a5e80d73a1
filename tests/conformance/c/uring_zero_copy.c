/* io_uring: SEND_ZC and SENDMSG_ZC, and the notices that follow their completions. */
#define _GNU_SOURCE
#include "uring_case.h"
#include <netinet/in.h>

#define OP_SEND_ZC 47
#define OP_SENDMSG_ZC 48
#define REPORT_USAGE (1U << 3)

/* One request, and its notice. */
#define TWO(r, what, op, fd, addr, len, off, ...) do { \
	struct io_uring_sqe *s = next_sqe(r, op, fd, addr, len, off); \
	s->user_data = 1; \
	__VA_ARGS__; \
	go(r, what, 2); \
} while (0)

static char text[64] = "hello, this is sent without a copy";

static void datagrams(struct ring *r)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof a;
	char buffer[64];
	int receiver = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), sender = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(receiver, (void *)&a, sizeof a));
	MUST(getsockname(receiver, (void *)&a, &length));
	TWO(r, "to", OP_SEND_ZC, sender, text, 5, (unsigned long)&a, s->addr_len = sizeof a);
	SHOW(recv(receiver, buffer, sizeof buffer, 0));
	TWO(r, "report", OP_SEND_ZC, sender, text, 6, (unsigned long)&a, s->addr_len = sizeof a, s->ioprio = REPORT_USAGE);
	SHOW(recv(receiver, buffer, sizeof buffer, 0));
	TWO(r, "nowhere", OP_SEND_ZC, sender, text, 5, 0);
	TWO(r, "nowhere, report", OP_SEND_ZC, sender, text, 5, 0, s->ioprio = REPORT_USAGE);
	TWO(r, "too long", OP_SEND_ZC, sender, text, 70000, (unsigned long)&a, s->addr_len = sizeof a);
	TWO(r, "bad address", OP_SEND_ZC, sender, text, 5, (unsigned long)&a, s->addr_len = 2);
	TWO(r, "unreadable address", OP_SEND_ZC, sender, text, 5, 16, s->addr_len = sizeof a);
	struct iovec v[2] = { { text, 3 }, { text + 7, 4 } };
	struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof a, .msg_iov = v, .msg_iovlen = 2 };
	TWO(r, "message", OP_SENDMSG_ZC, sender, &m, 1, 0);
	SHOW(recv(receiver, buffer, sizeof buffer, 0));
	printf("\"%.7s\"\n", buffer);
	TWO(r, "message with an offset", OP_SENDMSG_ZC, sender, &m, 1, 1);
	TWO(r, "message from a registered buffer", OP_SENDMSG_ZC, sender, &m, 1, 0, s->ioprio = IORING_RECVSEND_FIXED_BUF);
	/* registered buffers */
	TWO(r, "no buffers", OP_SEND_ZC, sender, text, 5, (unsigned long)&a, s->addr_len = sizeof a, s->ioprio = IORING_RECVSEND_FIXED_BUF);
	struct iovec b[2] = { { text, sizeof text }, { NULL, 0 } };
	SHOW(uring_register(r->fd, IORING_REGISTER_BUFFERS, b, 2));
	TWO(r, "fixed", OP_SEND_ZC, sender, text, 5, (unsigned long)&a, s->addr_len = sizeof a, s->ioprio = IORING_RECVSEND_FIXED_BUF);
	SHOW(recv(receiver, buffer, sizeof buffer, 0));
	TWO(r, "fixed, not in it", OP_SEND_ZC, sender, text + 62, 5, (unsigned long)&a, s->addr_len = sizeof a, s->ioprio = IORING_RECVSEND_FIXED_BUF);
	TWO(r, "fixed, empty slot", OP_SEND_ZC, sender, text, 5, (unsigned long)&a, s->addr_len = sizeof a, s->ioprio = IORING_RECVSEND_FIXED_BUF, s->buf_index = 1);
	TWO(r, "fixed, no slot", OP_SEND_ZC, sender, text, 5, (unsigned long)&a, s->addr_len = sizeof a, s->ioprio = IORING_RECVSEND_FIXED_BUF, s->buf_index = 2);
	SHOW(uring_register(r->fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	/* refused before there is a notice, or after */
	ONE(r, "skip", OP_SEND_ZC, sender, text, 5, 0, s->flags = IOSQE_CQE_SKIP_SUCCESS);
	ONE(r, "addr3", OP_SEND_ZC, sender, text, 5, 0, s->addr3 = 1);
	ONE(r, "pad", OP_SEND_ZC, sender, text, 5, 0, s->__pad2[0] = 1);
	ONE(r, "select", OP_SEND_ZC, sender, text, 5, 0, s->flags = IOSQE_BUFFER_SELECT);
	TWO(r, "ioprio", OP_SEND_ZC, sender, text, 5, 0, s->ioprio = 1 << 9);
	TWO(r, "no file", OP_SEND_ZC, 9999, text, 5, 0);
	TWO(r, "no socket", OP_SEND_ZC, 0, text, 5, 0);
	/* chains: the one that is cancelled has its notice too */
	next_sqe(r, IORING_OP_READ, 9999, text, 5, 0)->flags = IOSQE_IO_LINK;
	next_sqe(r, OP_SEND_ZC, sender, text, 5, 0)->user_data = 2;
	go(r, "cancelled in a chain", 3);
	close(sender), close(receiver);
	int pair[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	TWO(r, "unix", OP_SEND_ZC, pair[0], text, 5, 0);
	TWO(r, "unix message", OP_SENDMSG_ZC, pair[0], &m, 1, 0);
	close(pair[0]), close(pair[1]);
}

static void streams(struct ring *r)
{
	static char large[1 << 20], into[1 << 16];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof a;
	int listening = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), client = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(listening, (void *)&a, sizeof a));
	MUST(listen(listening, 5));
	MUST(getsockname(listening, (void *)&a, &length));
	TWO(r, "not connected", OP_SEND_ZC, client, text, 5, 0);
	MUST(connect(client, (void *)&a, sizeof a));
	int accepted = (int)MUST(accept(listening, NULL, NULL));
	TWO(r, "stream", OP_SEND_ZC, accepted, text, 5, 0, s->ioprio = REPORT_USAGE);
	SHOW(recv(client, into, sizeof into, 0));
	TWO(r, "first poll", OP_SEND_ZC, client, text, 6, 0, s->ioprio = IORING_RECVSEND_POLL_FIRST);
	SHOW(recv(accepted, into, sizeof into, 0));
	/* all of it: what the socket has no room for waits */
	struct io_uring_sqe *s = next_sqe(r, OP_SEND_ZC, client, large, sizeof large, 0);
	s->msg_flags = MSG_WAITALL, s->user_data = 5;
	MUST(submit_and_wait(r, 0));
	size_t total = 0;
	for (ssize_t n; total < sizeof large && (n = read(accepted, into, sizeof into)) > 0;)
		total += (size_t)n;
	printf("%zu bytes\n", total);
	go(r, "all", 2);
	/* full, and cancelled */
	int small = 4096;
	MUST(setsockopt(client, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
	for (int quiet = 0; quiet < 5; quiet++) { /* an acknowledgement that is late makes room once more */
		while (send(client, large, sizeof large, MSG_DONTWAIT) > 0)
			quiet = 0;
		settle_for(30);
	}
	next_sqe(r, OP_SEND_ZC, client, text, 5, 0)->user_data = 6;
	go(r, "full", 0);
	TWO(r, "full, not to wait", OP_SEND_ZC, client, text, 5, 0, s->msg_flags = MSG_DONTWAIT);
	next_sqe(r, IORING_OP_ASYNC_CANCEL, -1, (void *)6, 0, 0)->user_data = 7;
	go(r, "cancel", 3);
	close(accepted);
	close(client), close(listening);
}

int main(void)
{
	struct ring r;
	ring_make(&r, 8, 0, 0);
	datagrams(&r);
	streams(&r);
	ring_end(&r);
	return 0;
}
