/* io_uring: chains, drains, limits of time, cancelling; the end of a ring, a thread and a program with requests under way. */
#define _GNU_SOURCE
#include "uring_case.h"
#include <pthread.h>

static struct __kernel_timespec short_time = { 0, 20000000 }, long_time = { 100, 0 };

static void nop(struct ring *r, unsigned long long data, unsigned flags)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0);
	s->user_data = data;
	s->flags = (unsigned char)flags;
}

static void bad(struct ring *r, unsigned long long data, unsigned flags)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_READ, 9999, NULL, 0, 0);
	s->user_data = data;
	s->flags = (unsigned char)flags;
}

static void wait_on(struct ring *r, int fd, unsigned long long data, unsigned flags)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_POLL_ADD, fd, NULL, 0, 0);
	s->poll32_events = POLLIN;
	s->user_data = data;
	s->flags = (unsigned char)flags;
}

static void limit(struct ring *r, struct __kernel_timespec *t, unsigned long long data, unsigned flags)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_LINK_TIMEOUT, -1, t, 1, 0);
	s->user_data = data;
	s->flags = (unsigned char)flags;
}

/* Completions in the order of their user_data: which comes first is not said. */
static void go_sorted(struct ring *r, const char *what, unsigned least)
{
	struct io_uring_cqe c[32], x;
	int n = 0;
	printf("%s: %ld\n", what, submit_and_wait(r, least));
	while (n < 32 && take(r, &c[n]))
		n++;
	for (int i = 0; i < n; i++)
		for (int j = i + 1; j < n; j++)
			if (c[j].user_data < c[i].user_data)
				x = c[i], c[i] = c[j], c[j] = x;
	for (int i = 0; i < n; i++)
		show_completion(&c[i]);
}

static void links(struct ring *r)
{
	int p[2];
	MUST(pipe(p));
	nop(r, 1, IOSQE_IO_LINK), nop(r, 2, IOSQE_IO_LINK), nop(r, 3, 0), nop(r, 4, 0);
	go_sorted(r, "a chain", 4);
	bad(r, 1, IOSQE_IO_LINK), nop(r, 2, IOSQE_IO_LINK), nop(r, 3, 0), nop(r, 4, 0);
	go_sorted(r, "a broken chain", 4);
	bad(r, 1, IOSQE_IO_HARDLINK), nop(r, 2, IOSQE_IO_LINK), nop(r, 3, 0);
	go_sorted(r, "a hard link", 3);
	nop(r, 1, IOSQE_IO_LINK), nop(r, 2, 0x80), nop(r, 3, 0);
	go_sorted(r, "a bad request in a chain", 3);
	SHOW(uring_enter(r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(r);
	nop(r, 1, IOSQE_IO_LINK);
	go(r, "a chain without an end", 1);
	char c[8] = "abc";
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_WRITE, p[1], c, 3, 0);
	s->user_data = 1, s->flags = IOSQE_IO_LINK;
	s = next_sqe(r, IORING_OP_READ, p[0], c, 8, 0);
	s->user_data = 2, s->flags = IOSQE_IO_LINK;
	nop(r, 3, 0);
	go_sorted(r, "a short read breaks a chain", 3);
	wait_on(r, p[0], 1, IOSQE_IO_LINK), nop(r, 2, 0);
	go(r, "a chain that waits", 0);
	MUST(write(p[1], "x", 1));
	go(r, "goes on", 2);
	MUST(read(p[0], c, 1));
	nop(r, 1, IOSQE_CQE_SKIP_SUCCESS), nop(r, 2, 0);
	go(r, "a silent one", 1);
	bad(r, 1, IOSQE_CQE_SKIP_SUCCESS), nop(r, 2, 0);
	go(r, "a silent one that fails", 2);
	bad(r, 1, IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK), nop(r, 2, 0), nop(r, 3, 0);
	go(r, "a silent one that fails, in a chain", 2);
	nop(r, 1, IOSQE_IO_DRAIN);
	go(r, "a drain after silent ones", 1);
	/* limits */
	nop(r, 1, IOSQE_IO_LINK), limit(r, &long_time, 2, 0);
	go_sorted(r, "a limit of nothing", 2);
	wait_on(r, p[0], 1, IOSQE_IO_LINK), limit(r, &short_time, 2, 0);
	go_sorted(r, "a limit", 2);
	wait_on(r, p[0], 1, IOSQE_IO_LINK), limit(r, &short_time, 2, IOSQE_IO_LINK), nop(r, 3, 0);
	go_sorted(r, "a limit in a chain", 3);
	wait_on(r, p[0], 1, IOSQE_IO_LINK), limit(r, &long_time, 2, 0);
	go(r, "a long limit", 0);
	MUST(write(p[1], "x", 1));
	go_sorted(r, "is not reached", 2);
	MUST(read(p[0], c, 1));
	limit(r, &long_time, 1, 0);
	go(r, "a limit without a request", 1);
	wait_on(r, p[0], 1, IOSQE_IO_LINK), limit(r, &long_time, 2, IOSQE_IO_LINK), limit(r, &long_time, 3, 0);
	go_sorted(r, "two limits", 3);
	close(p[0]), close(p[1]);
}

static void drains(void)
{
	struct ring r;
	int p[2];
	MUST(pipe(p));
	ring_make(&r, 8, 0, 0);
	wait_on(&r, p[0], 1, 0), nop(&r, 2, IOSQE_IO_DRAIN), nop(&r, 3, 0);
	go(&r, "a drain waits", 0);
	nop(&r, 4, 0);
	go(&r, "and what follows", 0);
	MUST(write(p[1], "x", 1));
	SHOW(uring_enter(r.fd, 0, 4, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	char c;
	MUST(read(p[0], &c, 1));
	wait_on(&r, p[0], 1, 0), nop(&r, 2, IOSQE_IO_LINK | IOSQE_IO_DRAIN), nop(&r, 3, 0);
	go(&r, "a chain that drains", 0);
	MUST(write(p[1], "x", 1));
	SHOW(uring_enter(r.fd, 0, 3, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	nop(&r, 5, IOSQE_IO_DRAIN);
	go(&r, "nothing to drain", 1);
	ring_end(&r);
	close(p[0]), close(p[1]);
}

static void cancel(struct ring *r, unsigned long long data, unsigned flags, int fd)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_ASYNC_CANCEL, fd, (void *)data, 0, 0);
	s->cancel_flags = flags;
	s->user_data = 99;
}

static void cancels(struct ring *r)
{
	int p[2], q[2];
	MUST(pipe(p)), MUST(pipe(q));
	wait_on(r, p[0], 1, 0), cancel(r, 1, 0, 0);
	go_sorted(r, "cancel", 2);
	cancel(r, 1, 0, 0);
	go(r, "cancel nothing", 1);
	wait_on(r, p[0], 1, 0), wait_on(r, p[0], 1, 0), wait_on(r, q[0], 2, 0);
	go(r, "three", 0);
	cancel(r, 1, IORING_ASYNC_CANCEL_ALL, 0);
	go_sorted(r, "all of 1", 3);
	cancel(r, 0, IORING_ASYNC_CANCEL_FD, q[0]);
	go_sorted(r, "by descriptor", 2);
	wait_on(r, p[0], 1, 0), wait_on(r, q[0], 2, 0);
	next_sqe(r, IORING_OP_TIMEOUT, -1, &long_time, 1, 0)->user_data = 3;
	go(r, "three", 0);
	cancel(r, 0, IORING_ASYNC_CANCEL_ANY, 0);
	go_sorted(r, "any", 4);
	cancel(r, 0, IORING_ASYNC_CANCEL_ANY, 0);
	go_sorted(r, "none", 1);
	cancel(r, 0, IORING_ASYNC_CANCEL_FD, 9999);
	go_sorted(r, "bad descriptor", 1);
	cancel(r, 0, 1u << 20, 0);
	go_sorted(r, "bad flags", 1);
	cancel(r, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD, p[0]);
	go_sorted(r, "any and descriptor", 1);
	char c[8];
	next_sqe(r, IORING_OP_READ, p[0], c, 8, 0)->user_data = 4;
	cancel(r, 4, 0, 0);
	go_sorted(r, "a read", 2);
	next_sqe(r, IORING_OP_TIMEOUT, -1, &long_time, 1, 0)->user_data = 5;
	cancel(r, 5, 0, 0);
	go_sorted(r, "a timeout", 2);
	close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

static int ends[2];
static void *thread_with_requests(void *ring)
{
	struct ring *r = ring;
	wait_on(r, ends[0], 1, 0);
	submit_and_wait(r, 0);
	return NULL;
}

static void endings(void)
{
	struct ring r;
	MUST(pipe(ends));
	/* the ring ends */
	ring_make(&r, 8, 0, 0);
	wait_on(&r, ends[0], 1, 0);
	go(&r, "under way", 0);
	ring_end(&r);
	MUST(write(ends[1], "x", 1));
	char c;
	MUST(read(ends[0], &c, 1));
	/* its descriptor is closed; it is mapped still */
	ring_make(&r, 8, 0, 0);
	wait_on(&r, ends[0], 1, 0);
	go(&r, "under way", 0);
	close(r.fd);
	munmap(r.rings, r.rings_size);
	munmap(r.sqes, r.sqes_size);
	/* a poll of itself, and the end of the program */
	IN_CHILD(
		ring_make(&r, 8, 0, 0);
		wait_on(&r, r.fd, 1, 0);
		wait_on(&r, ends[0], 2, IOSQE_IO_LINK);
		nop(&r, 3, 0);
		go(&r, "under way", 0);
	);
	IN_CHILD(
		ring_make(&r, 8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0);
		wait_on(&r, ends[0], 2, 0);
		next_sqe(&r, IORING_OP_TIMEOUT, -1, &long_time, 1, 0);
		go(&r, "under way", 0);
		execl("/bin/true", "true", NULL);
	);
	/* a child has the ring too, and not the requests */
	ring_make(&r, 8, 0, 0);
	wait_on(&r, ends[0], 1, 0);
	go(&r, "under way", 0);
	IN_CHILD(nop(&r, 2, 0); go(&r, "from a child", 1));
	r.tail = *WORD(&r, r.p.sq_off.tail);
	MUST(write(ends[1], "x", 1));
	go(&r, "still there", 1);
	MUST(read(ends[0], &c, 1));
	/* the thread that submitted it ends */
	pthread_t t;
	pthread_create(&t, NULL, thread_with_requests, &r);
	pthread_join(t, NULL);
	r.tail = *WORD(&r, r.p.sq_off.tail);
	MUST(write(ends[1], "x", 1));
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	ring_end(&r);
	/* others may not use a ring with a single issuer */
	ring_make(&r, 8, IORING_SETUP_SINGLE_ISSUER, 0);
	IN_CHILD(nop(&r, 2, 0); go(&r, "from a child", 1); SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0)));
	ring_end(&r);
	/* a ring does not travel */
	int s[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	ring_make(&r, 8, 0, 0);
	char space[CMSG_SPACE(4)] = { 0 };
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
	*CMSG_FIRSTHDR(&m) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &r.fd, 4);
	SHOW(sendmsg(s[0], &m, 0));
	ring_end(&r);
}

static void many(void)
{
	/* 32,768 at once, and cancelled at once */
	struct ring r;
	int p[2];
	MUST(pipe(p));
	ring_make(&r, 32768, 0, 0);
	for (unsigned i = 0; i < 32768; i++)
		wait_on(&r, p[0], i & 7, 0);
	SHOW(submit_and_wait(&r, 0));
	cancel(&r, 0, IORING_ASYNC_CANCEL_ANY, 0);
	SHOW(submit_and_wait(&r, 32769));
	struct io_uring_cqe c;
	unsigned cancelled = 0, others = 0;
	while (take(&r, &c))
		if (c.user_data != 99 && c.res == -ECANCELED)
			cancelled++;
		else
			others++, show_completion(&c);
	printf("cancelled %u others %u\n", cancelled, others);
	ring_end(&r);
	close(p[0]), close(p[1]);
}

int main(void)
{
	struct ring r;
	ring_make(&r, 8, 0, 0);
	links(&r);
	cancels(&r);
	ring_end(&r);
	drains();
	endings();
	many();
	return 0;
}
