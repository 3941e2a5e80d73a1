/* io_uring: names and descriptors, sockets, direct descriptors, messages between rings. */
#define _GNU_SOURCE
#include "uring_case.h"
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/xattr.h>

static void names(struct ring *r)
{
	mkdir("uring_dir", 0700);
	int dir = (int)MUST(open("uring_dir", O_RDONLY | O_DIRECTORY));
	ONE(r, "mkdirat", IORING_OP_MKDIRAT, dir, "sub", 0755, 0);
	ONE(r, "mkdirat again", IORING_OP_MKDIRAT, dir, "sub", 0755, 0);
	struct io_uring_cqe c;
	next_sqe(r, IORING_OP_OPENAT, dir, "file", 0600, 0)->open_flags = O_RDWR | O_CREAT;
	SHOW(submit_and_wait(r, 1));
	int fd = take(r, &c) ? c.res : -1;
	CHECK(fd >= 0);
	ONE(r, "write", IORING_OP_WRITE, fd, "hello", 5, 0);
	ONE(r, "ftruncate", 55, fd, NULL, 0, 3);
	struct statx x = { 0 };
	ONE(r, "statx", IORING_OP_STATX, dir, "file", STATX_SIZE, (unsigned long)&x);
	printf("size %llu\n", (unsigned long long)x.stx_size);
	ONE(r, "linkat", IORING_OP_LINKAT, dir, "file", (unsigned)dir, (unsigned long)"other");
	ONE(r, "renameat", IORING_OP_RENAMEAT, dir, "other", (unsigned)dir, (unsigned long)"third");
	ONE(r, "symlinkat", IORING_OP_SYMLINKAT, dir, "third", 0, (unsigned long)"link");
	ONE(r, "unlinkat of a directory", IORING_OP_UNLINKAT, dir, "sub", 0, 0);
	ONE(r, "unlinkat", IORING_OP_UNLINKAT, dir, "sub", 0, 0, s->unlink_flags = AT_REMOVEDIR);
	ONE(r, "unlinkat", IORING_OP_UNLINKAT, dir, "link", 0, 0);
	ONE(r, "unlinkat", IORING_OP_UNLINKAT, dir, "third", 0, 0);
	ONE(r, "unlinkat", IORING_OP_UNLINKAT, dir, "file", 0, 0);
	ONE(r, "unlinkat with bad flags", IORING_OP_UNLINKAT, dir, "file", 0, 0, s->unlink_flags = 1);
	ONE(r, "openat of nothing", IORING_OP_OPENAT, dir, "none", 0, 0);
	ONE(r, "openat of a bad name", IORING_OP_OPENAT, dir, (void *)16, 0, 0);
	ONE(r, "openat with a registered directory", IORING_OP_OPENAT, dir, "none", 0, 0, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "close", IORING_OP_CLOSE, fd, NULL, 0, 0);
	ONE(r, "close again", IORING_OP_CLOSE, fd, NULL, 0, 0);
	ONE(r, "close the ring", IORING_OP_CLOSE, r->fd, NULL, 0, 0);
	ONE(r, "close with more", IORING_OP_CLOSE, fd, NULL, 1, 0);
	int set = (int)MUST(epoll_create1(0)), p[2];
	MUST(pipe(p));
	struct epoll_event e = { .events = EPOLLOUT };
	ONE(r, "epoll_ctl", IORING_OP_EPOLL_CTL, set, &e, EPOLL_CTL_ADD, p[1]);
	ONE(r, "epoll_ctl again", IORING_OP_EPOLL_CTL, set, &e, EPOLL_CTL_ADD, p[1]);
	SHOW(epoll_wait(set, &e, 1, 0));
	close(set), close(p[0]), close(p[1]), close(dir);
	rmdir("uring_dir");
}

static void direct(struct ring *r)
{
	int holes[2] = { -1, -1 };
	char c[8];
	ONE(r, "without a list", IORING_OP_OPENAT, AT_FDCWD, "/proc/self/comm", 0, 0, s->file_index = 1);
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES, holes, 2));
	ONE(r, "direct open", IORING_OP_OPENAT, AT_FDCWD, "/proc/self/comm", 0, 0, s->file_index = 2);
	ONE(r, "read", IORING_OP_READ, 1, c, 5, 0, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "beyond", IORING_OP_OPENAT, AT_FDCWD, "/proc/self/comm", 0, 0, s->file_index = 3);
	ONE(r, "any", IORING_OP_OPENAT, AT_FDCWD, "/proc/self/comm", 0, 0, s->file_index = IORING_FILE_INDEX_ALLOC);
	ONE(r, "any, none left", IORING_OP_OPENAT, AT_FDCWD, "/proc/self/comm", 0, 0, s->file_index = IORING_FILE_INDEX_ALLOC);
	ONE(r, "close-on-exec", IORING_OP_OPENAT, AT_FDCWD, "/", 0, 0, s->file_index = 1, s->open_flags = O_CLOEXEC);
	ONE(r, "close", IORING_OP_CLOSE, 0, NULL, 0, 0, s->file_index = 2);
	ONE(r, "close again", IORING_OP_CLOSE, 0, NULL, 0, 0, s->file_index = 2);
	ONE(r, "close beyond", IORING_OP_CLOSE, 0, NULL, 0, 0, s->file_index = 3);
	ONE(r, "close both", IORING_OP_CLOSE, 5, NULL, 0, 0, s->file_index = 2);
	ONE(r, "socket", IORING_OP_SOCKET, AF_INET, NULL, 0, SOCK_STREAM, s->file_index = 2);
	SHOW(uring_register(r->fd, IORING_UNREGISTER_FILES, NULL, 0));
}

static void sockets(struct ring *r)
{
	struct io_uring_sqe *s;
	struct io_uring_cqe c;
	next_sqe(r, IORING_OP_SOCKET, AF_INET, NULL, 0, SOCK_STREAM);
	SHOW(submit_and_wait(r, 1));
	int listening = take(r, &c) ? c.res : -1;
	CHECK(listening >= 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof a;
	MUST(bind(listening, (void *)&a, sizeof a));
	MUST(getsockname(listening, (void *)&a, &length));
	MUST(listen(listening, 5));
	next_sqe(r, IORING_OP_ACCEPT, listening, NULL, 0, 0)->user_data = 1;
	go(r, "accept", 0);
	int client = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	next_sqe(r, IORING_OP_CONNECT, client, &a, 0, sizeof a)->user_data = 2;
	SHOW(submit_and_wait(r, 2));
	int accepted = -1;
	while (take(r, &c))
		if (c.user_data == 1)
			accepted = c.res;
		else
			show_completion(&c);
	CHECK(accepted >= 0);
	char buffer[64] = "";
	next_sqe(r, IORING_OP_RECV, accepted, buffer, 64, 0)->user_data = 3;
	go(r, "recv", 0);
	next_sqe(r, IORING_OP_SEND, client, "hello", 5, 0)->user_data = 4;
	SHOW(submit_and_wait(r, 2));
	int seen = 0;
	while (take(r, &c))
		seen += c.user_data == 3 ? c.res : c.user_data == 4 ? c.res * 100 : 100000;
	printf("seen %d \"%s\"\n", seen, buffer);
	ONE(r, "nothing there", IORING_OP_RECV, accepted, buffer, 64, 0, s->msg_flags = MSG_DONTWAIT);
	s = next_sqe(r, IORING_OP_RECV, accepted, buffer, 10, 0);
	s->msg_flags = MSG_WAITALL, s->user_data = 5;
	go(r, "all of it", 0);
	MUST(write(client, "01234", 5));
	settle_for(20);
	go(r, "a part", 0);
	MUST(write(client, "56789", 5));
	go(r, "the rest", 1);
	struct iovec v = { buffer, sizeof buffer };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	next_sqe(r, IORING_OP_RECVMSG, accepted, &m, 1, 0)->user_data = 6;
	go(r, "recvmsg", 0);
	struct iovec w = { "message", 7 };
	struct msghdr n = { .msg_iov = &w, .msg_iovlen = 1 };
	next_sqe(r, IORING_OP_SENDMSG, client, &n, 1, 0)->flags = IOSQE_CQE_SKIP_SUCCESS;
	go(r, "sendmsg", 1);
	ONE(r, "shutdown", IORING_OP_SHUTDOWN, client, NULL, SHUT_WR, 0);
	ONE(r, "the end", IORING_OP_RECV, accepted, buffer, 64, 0);
	ONE(r, "no socket", IORING_OP_RECV, 0, buffer, 64, 0);
	ONE(r, "bad ioprio", IORING_OP_RECV, accepted, buffer, 64, 0, s->ioprio = 0x100);
	close(client), close(accepted);
	/* refused */
	close(listening);
	client = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	ONE(r, "refused", IORING_OP_CONNECT, client, &a, 0, sizeof a);
	ONE(r, "bad length", IORING_OP_CONNECT, client, &a, 0, 1000);
	close(client);
	/* pairs: a write to a broken one sends no signal */
	int pair[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	next_sqe(r, IORING_OP_READ, pair[0], buffer, 64, 0)->user_data = 7;
	go(r, "read of a socket", 0);
	MUST(write(pair[1], "abc", 3));
	go(r, "came", 1);
	close(pair[1]);
	ONE(r, "broken", IORING_OP_SEND, pair[0], buffer, 4, 0);
	close(pair[0]);
}

static void messages(struct ring *r)
{
	struct ring other;
	ring_make(&other, 4, 0, 0);
	ONE(r, "a message", IORING_OP_MSG_RING, other.fd, NULL, 17, 1234);
	show_all(&other);
	ONE(r, "to itself", IORING_OP_MSG_RING, r->fd, NULL, 18, 5);
	ONE(r, "to no ring", IORING_OP_MSG_RING, 0, NULL, 17, 1234);
	ONE(r, "of no kind", IORING_OP_MSG_RING, other.fd, (void *)9, 17, 1234);
	ONE(r, "with bad flags", IORING_OP_MSG_RING, other.fd, NULL, 17, 1234, s->msg_ring_flags = 8);
	ONE(r, "with flags", IORING_OP_MSG_RING, other.fd, NULL, 17, 1234, s->msg_ring_flags = 2, s->file_index = 5);
	show_all(&other);
	ring_end(&other);
}

int main(void)
{
	struct ring r;
	ring_make(&r, 8, 0, 0);
	names(&r);
	direct(&r);
	sockets(&r);
	messages(&r);
	ring_end(&r);
	return 0;
}
