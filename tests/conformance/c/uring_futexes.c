/* io_uring: requests that wait for futexes, and that wake waiters. */
#define _GNU_SOURCE
#include "uring_patience.h"
#include <linux/futex.h>

#define OP_FUTEX_WAIT 51
#define OP_FUTEX_WAKE 52
#define OP_FUTEX_WAITV 53
#define SIZE_32 2
#define PRIVATE 128

struct waiter {
	unsigned long long value, address;
	unsigned flags, reserved;
};

static unsigned word[4];

static struct io_uring_sqe *one(struct ring *r, int op, void *address, unsigned long long value, unsigned long long mask, int flags, int data)
{
	struct io_uring_sqe *s = next_sqe(r, op, flags, address, 0, value);
	s->addr3 = mask;
	s->user_data = (unsigned)data;
	return s;
}

static void single(struct ring *r, int flags)
{
	printf("flags %d\n", flags);
	word[0] = 7;
	one(r, OP_FUTEX_WAIT, word, 8, ~0U, flags, 1);
	go(r, "another value", 1);
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, flags, 2);
	go(r, "wait", 0);
	SHOW(syscall(SYS_futex, word, FUTEX_WAKE | (flags & PRIVATE ? FUTEX_PRIVATE_FLAG : 0), 5, NULL, NULL, 0));
	go(r, "woken by a call", 1);
	one(r, OP_FUTEX_WAIT, word, 7, 2, flags, 3);
	one(r, OP_FUTEX_WAIT, word, 7, 5, flags, 4);
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, flags, 5);
	one(r, OP_FUTEX_WAKE, word, 1, 1, flags, 6);
	go(r, "the first that has the bit", 2);
	one(r, OP_FUTEX_WAKE, word, 0, 3, flags, 7);
	go(r, "wake none", 1);
	one(r, OP_FUTEX_WAKE, word, 0xFFFFFFFF, 2, flags, 8);
	go(r, "wake a negative number", 2);
	one(r, OP_FUTEX_WAKE, word, 10, ~0U, flags, 9);
	go(r, "wake the rest", 2);
	one(r, OP_FUTEX_WAKE, word, 10, ~0U, flags, 10);
	go(r, "none is left", 1);
}

static void refused(struct ring *r)
{
	for (int op = OP_FUTEX_WAIT; op <= OP_FUTEX_WAKE; op++) {
		printf("op %d\n", op);
		for (int flags = 0; flags < 12; flags++)
			if (flags != SIZE_32) {
				one(r, op, word, 7, ~0U, flags, 1);
				go(r, "flags", 1);
			}
		one(r, op, word, 7, ~0U, SIZE_32 | 256, 1);
		go(r, "unknown flags", 1);
		one(r, op, word, 7, 0, SIZE_32, 1);
		go(r, "no mask", 1);
		one(r, op, word, 1ULL << 32, ~0U, SIZE_32, 1);
		go(r, "large value", 1);
		one(r, op, word, 7, 1ULL << 32, SIZE_32, 1);
		go(r, "large mask", 1);
		one(r, op, (char *)word + 1, 7, ~0U, SIZE_32, 1);
		go(r, "not aligned", 1);
		one(r, op, (void *)64, 7, ~0U, SIZE_32, 1);
		go(r, "no memory", 1);
		one(r, op, (void *)64, 7, ~0U, SIZE_32 | PRIVATE, 1);
		go(r, "no memory, private", 1);
		one(r, op, word, 7, ~0U, SIZE_32, 1)->len = 1;
		go(r, "len", 1);
		one(r, op, word, 7, ~0U, SIZE_32, 1)->rw_flags = 1;
		go(r, "futex_flags", 1);
		one(r, op, word, 7, ~0U, SIZE_32, 1)->buf_index = 1;
		go(r, "buf_index", 1);
		one(r, op, word, 7, ~0U, SIZE_32, 1)->file_index = 1;
		go(r, "file_index", 1);
		one(r, op, word, 7, ~0U, SIZE_32, 1)->ioprio = 1;
		go(r, "ioprio", 1);
		one(r, op, word, 7, ~0U, SIZE_32, 1)->flags = IOSQE_BUFFER_SELECT;
		go(r, "buffer", 1);
	}
}

static void several(struct ring *r)
{
	struct waiter w[3];
	for (unsigned i = 0; i < 3; i++) {
		word[i] = i;
		w[i] = (struct waiter){ i, (unsigned long)&word[i], SIZE_32 | PRIVATE, 0 };
	}
	next_sqe(r, OP_FUTEX_WAITV, 0, w, 3, 0)->user_data = 1;
	go(r, "three", 0);
	SHOW(syscall(SYS_futex, &word[1], FUTEX_WAKE_PRIVATE, 5, NULL, NULL, 0));
	go(r, "the second", 1);
	SHOW(syscall(SYS_futex, &word[0], FUTEX_WAKE_PRIVATE, 5, NULL, NULL, 0));
	ONE(r, "another value", OP_FUTEX_WAITV, 0, w, 3, 0, word[2] = 9);
	ONE(r, "none", OP_FUTEX_WAITV, 0, w, 0, 0);
	ONE(r, "too many", OP_FUTEX_WAITV, 0, w, 129, 0);
	ONE(r, "no memory", OP_FUTEX_WAITV, 0, (void *)64, 3, 0);
	ONE(r, "fd", OP_FUTEX_WAITV, 2, w, 3, 0);
	ONE(r, "addr2", OP_FUTEX_WAITV, 0, w, 3, 1);
	ONE(r, "addr3", OP_FUTEX_WAITV, 0, w, 3, 0, s->addr3 = 1);
	ONE(r, "futex_flags", OP_FUTEX_WAITV, 0, w, 3, 0, s->rw_flags = 1);
	ONE(r, "reserved", OP_FUTEX_WAITV, 0, w, 3, 0, w[1].reserved = 1);
	w[1].reserved = 0;
	ONE(r, "flags", OP_FUTEX_WAITV, 0, w, 3, 0, w[1].flags = 3);
	w[1].flags = SIZE_32;
	ONE(r, "bad address", OP_FUTEX_WAITV, 0, w, 3, 0, word[2] = 2, w[1].address = 64);
	ONE(r, "not aligned", OP_FUTEX_WAITV, 0, w, 3, 0, w[1].address = 65);
}

static void cancelled(struct ring *r)
{
	struct __kernel_timespec t = { 0, 20000000 };
	word[0] = 7;
	struct waiter w = { 7, (unsigned long)word, SIZE_32, 0 };
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, SIZE_32, 1);
	next_sqe(r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0)->user_data = 2;
	go(r, "cancel", 2);
	next_sqe(r, OP_FUTEX_WAITV, 0, &w, 1, 0)->user_data = 1;
	next_sqe(r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0)->user_data = 2;
	go(r, "cancel of several", 2);
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, SIZE_32, 1);
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, SIZE_32, 1);
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0);
	s->cancel_flags = IORING_ASYNC_CANCEL_ALL, s->user_data = 2;
	go(r, "cancel all", 3);
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, SIZE_32, 1);
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, SIZE_32, 3);
	s = next_sqe(r, IORING_OP_ASYNC_CANCEL, -1, (void *)0, 0, 0);
	s->cancel_flags = IORING_ASYNC_CANCEL_ANY, s->user_data = 2;
	go(r, "cancel any", 3);
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, SIZE_32, 1);
	s = next_sqe(r, IORING_OP_ASYNC_CANCEL, -1, (void *)0, OP_FUTEX_WAIT, 0);
	s->cancel_flags = IORING_ASYNC_CANCEL_OP, s->user_data = 2;
	go(r, "cancel by another name", 1);
	s = next_sqe(r, IORING_OP_ASYNC_CANCEL, r->fd, (void *)1, 0, 0);
	s->cancel_flags = IORING_ASYNC_CANCEL_FD, s->user_data = 2;
	go(r, "cancel by file", 1);
	struct io_uring_sync_cancel_reg c = { .addr = 1, .fd = -1, .timeout = { -1, -1 } };
	SHOW(uring_register(r->fd, IORING_REGISTER_SYNC_CANCEL, &c, 1));
	go(r, "cancelled by a call", 1);
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, SIZE_32, 1)->flags = IOSQE_IO_LINK;
	next_sqe(r, IORING_OP_LINK_TIMEOUT, -1, &t, 1, 0)->user_data = 2;
	go(r, "time is up", 2);
	one(r, OP_FUTEX_WAIT, word, 7, ~0U, SIZE_32, 1)->flags = IOSQE_IO_LINK;
	next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 2;
	go(r, "with another after it", 0);
	one(r, OP_FUTEX_WAKE, word, 1, ~0U, SIZE_32, 3);
	go(r, "both", 3);
}

int main(void)
{
	struct ring r;
	ring_make(&r, 16, 0, 0);
	single(&r, SIZE_32);
	single(&r, SIZE_32 | PRIVATE);
	refused(&r);
	several(&r);
	cancelled(&r);
	ring_end(&r);
	/* a ring that ends, and a process that does */
	ring_make(&r, 4, 0, 0);
	one(&r, OP_FUTEX_WAIT, word, 7, ~0U, SIZE_32, 1);
	go(&r, "before its end", 0);
	ring_end(&r);
	settle_for(20);
	SHOW(syscall(SYS_futex, word, FUTEX_WAKE, 5, NULL, NULL, 0));
	unsigned *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	IN_CHILD(
		ring_make(&r, 4, 0, 0);
		one(&r, OP_FUTEX_WAIT, shared, 0, ~0U, SIZE_32, 1);
		go(&r, "in a child", 0);
	);
	SHOW(syscall(SYS_futex, shared, FUTEX_WAKE, 5, NULL, NULL, 0));
	return 0;
}
