/* io_uring: multishot RECVMSG, bundles, sends from provided buffers, buffers that are used up bit by bit, and files that one ring sends to
 * another.
 */
#define _GNU_SOURCE
#include "uring_patience.h"
#include <netinet/in.h>

#define BUNDLE (1U << 4)
#define INC 2

static struct io_uring_buf_ring *buffers;
static char room[4096];

/* A ring of buffers of these lengths in group 5, numbered from 20. */
static void provide(struct ring *r, unsigned flags, unsigned count, const unsigned *lengths)
{
	struct io_uring_buf_reg reg = { .ring_addr = (unsigned long)buffers, .ring_entries = 16, .bgid = 5, .flags = (__u16)flags };
	memset(buffers, 0, PAGE);
	memset(room, 0, sizeof room);
	SHOW(uring_register(r->fd, IORING_REGISTER_PBUF_RING, &reg, 1));
	struct io_uring_buf *b = (struct io_uring_buf *)buffers;
	char *at = room;
	for (unsigned i = 0; i < count; i++) {
		b[i].addr = (unsigned long)at, b[i].len = lengths[i], b[i].bid = (__u16)(20 + i);
		at += lengths[i];
	}
	__atomic_store_n(&buffers->tail, (__u16)count, __ATOMIC_RELEASE);
}

static void no_more(struct ring *r)
{
	struct io_uring_buf_reg reg = { .bgid = 5 };
	SHOW(uring_register(r->fd, IORING_UNREGISTER_PBUF_RING, &reg, 1));
}

static struct io_uring_sqe *selecting(struct ring *r, int op, int fd, const void *addr, unsigned len, unsigned how, int data)
{
	struct io_uring_sqe *s = next_sqe(r, op, fd, addr, len, 0);
	s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 5;
	s->ioprio = (__u16)how;
	s->user_data = (unsigned)data;
	return s;
}

static void show_description(const char *at)
{
	const struct io_uring_recvmsg_out *out = (const void *)at;
	printf("name %u, control %u, payload %u, flags %x\n", out->namelen, out->controllen, out->payloadlen, out->flags);
}

static void messages(struct ring *r)
{
	static const unsigned lengths[] = { 128, 128, 128, 128, 20, 128 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof a;
	char text[256] = "a message";
	int on = 1;
	int receiver = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), sender = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(receiver, (void *)&a, sizeof a));
	MUST(getsockname(receiver, (void *)&a, &length));
	MUST(setsockopt(receiver, SOL_IP, IP_PKTINFO, &on, sizeof on));
	provide(r, 0, 6, lengths);
	struct msghdr m = { .msg_namelen = sizeof a, .msg_controllen = 48 };
	selecting(r, IORING_OP_RECVMSG, receiver, &m, 1, IORING_RECV_MULTISHOT, 1);
	go(r, "wait", 0);
	MUST(sendto(sender, text, 9, 0, (void *)&a, sizeof a));
	go(r, "one", 1);
	show_description(room);
	printf("family %d, \"%.9s\"\n", ((struct sockaddr *)(room + 16))->sa_family, room + 16 + sizeof a + 48);
	MUST(sendto(sender, text, 200, 0, (void *)&a, sizeof a));
	go(r, "a part of it", 1);
	show_description(room + 128);
	MUST(sendto(sender, text, 0, 0, (void *)&a, sizeof a));
	go(r, "an empty one", 1);
	show_description(room + 256);
	/* with less room */
	m.msg_namelen = 4, m.msg_controllen = 8;
	selecting(r, IORING_OP_RECVMSG, receiver, &m, 1, IORING_RECV_MULTISHOT, 2);
	go(r, "wait", 0);
	MUST(sendto(sender, text, 9, 0, (void *)&a, sizeof a));
	go(r, "no room for the rest", 2);
	show_description(room + 384);
	/* refused */
	m.msg_namelen = (socklen_t)-1;
	selecting(r, IORING_OP_RECVMSG, receiver, &m, 1, IORING_RECV_MULTISHOT, 3);
	go(r, "negative length", 1);
	m.msg_namelen = 0, m.msg_controllen = 1UL << 31;
	selecting(r, IORING_OP_RECVMSG, receiver, &m, 1, IORING_RECV_MULTISHOT, 3);
	go(r, "much control", 1);
	m.msg_controllen = 0;
	selecting(r, IORING_OP_RECVMSG, receiver, &m, 1, IORING_RECV_MULTISHOT, 3)->msg_flags = MSG_WAITALL;
	go(r, "all", 1);
	selecting(r, IORING_OP_RECVMSG, receiver, &m, 1, IORING_RECV_MULTISHOT, 3)->flags = 0;
	go(r, "without buffers", 1);
	selecting(r, IORING_OP_RECVMSG, receiver, &m, 1, BUNDLE, 3);
	go(r, "bundle", 1);
	no_more(r);
	close(sender), close(receiver);
	/* the end of a stream */
	static const unsigned two[] = { 64, 64 };
	int pair[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	provide(r, 0, 2, two);
	selecting(r, IORING_OP_RECVMSG, pair[0], &m, 1, IORING_RECV_MULTISHOT, 4);
	go(r, "wait", 0);
	MUST(write(pair[1], "abc", 3));
	go(r, "bytes", 1);
	close(pair[1]);
	go(r, "the end", 1);
	show_description(room + 64);
	close(pair[0]);
	no_more(r);
}

static void connect_stream(int *client, int *accepted)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof a;
	int listening = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	*client = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(listening, (void *)&a, sizeof a));
	MUST(listen(listening, 5));
	MUST(getsockname(listening, (void *)&a, &length));
	MUST(connect(*client, (void *)&a, sizeof a));
	*accepted = (int)MUST(accept(listening, NULL, NULL));
	close(listening);
}

/* What a ring did before decides on how many buffers Linux's next bundle begins with: so each step has a new one. */
static void anew(struct ring *r)
{
	ring_end(r);
	ring_make(r, 16, 0, 0);
}

static void bundles(struct ring *r)
{
	static const unsigned eight[] = { 4, 4, 4, 4, 4, 4, 4, 4 };
	char into[64];
	int client, accepted;
	connect_stream(&client, &accepted);
	struct pollfd ready = { accepted, POLLIN, 0 };
	MUST(write(client, "0123456789", 10));
	poll_for(&ready, 1000);
	anew(r);
	provide(r, 0, 8, eight);
	selecting(r, IORING_OP_RECV, accepted, NULL, 0, BUNDLE | IORING_RECV_MULTISHOT, 1);
	go(r, "multishot", 1);
	MUST(write(client, "abc", 3));
	go(r, "again", 1);
	MUST(write(client, "defghijklmnopqrstuvwxyz", 23));
	go(r, "all buffers", 1);
	printf("\"%.32s\"\n", room);
	SHOW(recv(accepted, into, sizeof into, MSG_DONTWAIT));
	anew(r);
	provide(r, 0, 8, eight);
	MUST(write(client, "0123456789", 10));
	poll_for(&ready, 1000);
	selecting(r, IORING_OP_RECV, accepted, NULL, 0, BUNDLE, 2);
	go(r, "once", 1);
	SHOW(recv(accepted, into, sizeof into, MSG_DONTWAIT));
	anew(r);
	provide(r, 0, 8, eight);
	MUST(write(client, "0123456789", 10));
	poll_for(&ready, 1000);
	selecting(r, IORING_OP_RECV, accepted, NULL, 2, BUNDLE, 2);
	go(r, "with a length", 1);
	SHOW(recv(accepted, into, sizeof into, MSG_DONTWAIT));
	/* sending */
	anew(r);
	provide(r, 0, 8, eight);
	memcpy(room, "abcdefghijklmnopqrstuvwxyz012345", 32);
	selecting(r, IORING_OP_SEND, client, NULL, 0, 0, 3);
	go(r, "send one", 1);
	selecting(r, IORING_OP_SEND, client, NULL, 2, 0, 3);
	go(r, "send a part of one", 1);
	anew(r);
	provide(r, 0, 8, eight);
	memcpy(room, "abcdefghijklmnopqrstuvwxyz012345", 32);
	selecting(r, IORING_OP_SEND, client, NULL, 6, BUNDLE, 4);
	go(r, "send a bundle", 1);
	selecting(r, IORING_OP_SEND, client, NULL, 0, BUNDLE, 5);
	go(r, "send nothing", 1);
	poll_for(&ready, 1000);
	ssize_t n = recv(accepted, into, sizeof into, MSG_DONTWAIT);
	printf("%zd \"%.*s\"\n", n, (int)n, into);
	selecting(r, IORING_OP_SEND, client, NULL, 6, BUNDLE, 6)->flags = 0;
	go(r, "a bundle without buffers", 1);
	struct iovec v = { into, 3 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	selecting(r, IORING_OP_SENDMSG, client, &m, 1, BUNDLE, 6);
	go(r, "sendmsg", 1);
	selecting(r, IORING_OP_SENDMSG, client, &m, 1, BUNDLE, 6)->flags = 0;
	go(r, "a bundle of sendmsg", 1);
	no_more(r);
	ONE(r, "a list", IORING_OP_PROVIDE_BUFFERS, 2, room, 4, 30, s->buf_group = 5);
	selecting(r, IORING_OP_SEND, client, NULL, 0, 0, 7);
	go(r, "send from a list", 1);
	ONE(r, "take the rest", IORING_OP_REMOVE_BUFFERS, 5, NULL, 0, 0, s->buf_group = 5);
	close(client), close(accepted);
}

static void parts(struct ring *r)
{
	static const unsigned two[] = { 10, 10 };
	int p[2];
	MUST(pipe(p));
	provide(r, INC, 2, two);
	MUST(write(p[1], "abc", 3));
	selecting(r, IORING_OP_READ, p[0], NULL, 0, 0, 1);
	go(r, "three bytes", 1);
	MUST(write(p[1], "defg", 4));
	selecting(r, IORING_OP_READ, p[0], NULL, 0, 0, 1);
	go(r, "four", 1);
	MUST(write(p[1], "hijklmn", 7));
	selecting(r, IORING_OP_READ, p[0], NULL, 0, 0, 1);
	go(r, "the last of it", 1);
	selecting(r, IORING_OP_READ, p[0], NULL, 2, 0, 1);
	go(r, "two of the next", 1);
	selecting(r, 49, p[0], NULL, 0, 0, 2);
	go(r, "multishot", 1);
	MUST(write(p[1], "op", 2));
	go(r, "more", 1);
	printf("\"%.20s\"\n", room);
	struct io_uring_buf *b = (struct io_uring_buf *)buffers;
	printf("%u bytes left\n", b[1].len);
	struct io_uring_buf_status status = { .buf_group = 5 };
	SHOW(uring_register(r->fd, IORING_REGISTER_PBUF_STATUS, &status, 1));
	printf("head %u\n", status.head);
	MUST(write(p[1], "0123456789", 10));
	go(r, "no more", 3);
	no_more(r);
	struct io_uring_buf_reg reg = { .ring_addr = (unsigned long)buffers, .ring_entries = 16, .bgid = 5, .flags = 4 };
	SHOW(uring_register(r->fd, IORING_REGISTER_PBUF_RING, &reg, 1));
	close(p[0]), close(p[1]);
}

static void files(struct ring *r)
{
	struct ring other;
	int p[2];
	ring_make(&other, 4, 0, 0);
	MUST(pipe(p));
	int own[2] = { p[1], -1 }, theirs[2] = { -1, -1 };
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES, own, 2));
#define SEND_FD(what, slot, target, ...) ONE(r, what, IORING_OP_MSG_RING, other.fd, (void *)1, 0, 77, s->addr3 = slot, s->file_index = target, ##__VA_ARGS__)
	SEND_FD("no table", 0, 1);
	SHOW(uring_register(other.fd, IORING_REGISTER_FILES, theirs, 2));
	SEND_FD("to a slot", 0, 2);
	SEND_FD("to any", 0, IORING_FILE_INDEX_ALLOC);
	SEND_FD("to any, none left", 0, IORING_FILE_INDEX_ALLOC);
	SEND_FD("to one that is taken", 0, 1);
	SEND_FD("without a message", 0, 1, s->msg_ring_flags = IORING_MSG_RING_CQE_SKIP);
	SEND_FD("empty slot", 1, 1);
	SEND_FD("beyond", 2, 1);
	SEND_FD("to beyond", 0, 3);
	SEND_FD("to none", 0, 0);
	SEND_FD("with a length", 0, 1, s->len = 1);
	SEND_FD("with flags to pass", 0, 1, s->msg_ring_flags = 2);
	SEND_FD("to itself", 0, 1, s->fd = r->fd);
	SEND_FD("to no ring", 0, 1, s->fd = p[0]);
	show_all(&other);
	struct io_uring_sqe *s = next_sqe(&other, IORING_OP_WRITE, 1, "sent", 4, 0);
	s->flags = IOSQE_FIXED_FILE;
	go(&other, "used", 1);
	char buffer[8];
	SHOW(read(p[0], buffer, sizeof buffer));
	ring_end(&other);
	struct io_uring_params q = { .flags = IORING_SETUP_R_DISABLED };
	other.fd = (int)MUST(uring_setup(4, &q));
	SEND_FD("to a disabled ring", 0, 1);
	close(other.fd);
	SHOW(uring_register(r->fd, IORING_UNREGISTER_FILES, NULL, 0));
	close(p[0]), close(p[1]);
}

int main(void)
{
	struct ring r;
	ring_make(&r, 16, 0, 0);
	buffers = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("bundles: %d\n", r.p.features & (1U << 14) ? 1 : 0);
	messages(&r);
	bundles(&r);
	parts(&r);
	files(&r);
	ring_end(&r);
	return 0;
}
