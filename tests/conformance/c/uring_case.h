/* io_uring by its system calls: what the cases about it share. */
#ifndef URING_CASE_H
#define URING_CASE_H
#include "case.h"
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif

struct ring {
	int fd;
	struct io_uring_params p;
	unsigned char *rings;
	size_t rings_size, sqes_size;
	struct io_uring_sqe *sqes;
	unsigned tail; /* of submissions, as far as they are filled in */
};

#define WORD(r, at) ((volatile unsigned *)((r)->rings + (at)))

static inline long uring_setup(unsigned n, struct io_uring_params *p) { return syscall(SYS_io_uring_setup, n, p); }
static inline long uring_enter(int fd, unsigned submit, unsigned least, unsigned flags, const void *arg, size_t size)
{
	return syscall(SYS_io_uring_enter, fd, submit, least, flags, arg, size);
}
static inline long uring_register(int fd, unsigned code, const void *arg, unsigned n)
{
	return syscall(SYS_io_uring_register, fd, code, arg, n);
}

static inline void ring_make(struct ring *r, unsigned entries, unsigned flags, unsigned completions)
{
	memset(r, 0, sizeof *r);
	r->p.flags = flags;
	r->p.cq_entries = completions;
	r->fd = (int)MUST(uring_setup(entries, &r->p));
	size_t sq = r->p.sq_off.array + r->p.sq_entries * 4;
	size_t cq = r->p.cq_off.cqes + r->p.cq_entries * (flags & IORING_SETUP_CQE32 ? 32 : 16);
	r->rings_size = sq > cq ? sq : cq;
	r->sqes_size = r->p.sq_entries * (flags & IORING_SETUP_SQE128 ? 128 : 64);
	r->rings = mmap(NULL, r->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, r->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	if (r->rings == MAP_FAILED || (void *)r->sqes == MAP_FAILED) {
		printf("mmap of a ring: %s\n", error_name(errno));
		exit(99);
	}
	if (!(flags & IORING_SETUP_NO_SQARRAY))
		for (unsigned i = 0; i < r->p.sq_entries; i++)
			WORD(r, r->p.sq_off.array)[i] = i;
}

static inline void ring_end(struct ring *r)
{
	munmap(r->rings, r->rings_size);
	munmap(r->sqes, r->sqes_size);
	close(r->fd);
}

static inline struct io_uring_sqe *next_sqe(struct ring *r, int op, int fd, const void *addr, unsigned len, unsigned long long off)
{
	unsigned at = r->tail++ & (r->p.sq_entries - 1);
	struct io_uring_sqe *s = &r->sqes[r->p.flags & IORING_SETUP_SQE128 ? 2 * at : at];
	memset(s, 0, sizeof *s);
	s->opcode = (unsigned char)op;
	s->fd = fd;
	s->addr = (unsigned long)addr;
	s->len = len;
	s->off = off;
	return s;
}

static inline long submit_and_wait(struct ring *r, unsigned least)
{
	unsigned old = *WORD(r, r->p.sq_off.tail);
	__atomic_store_n(WORD(r, r->p.sq_off.tail), r->tail, __ATOMIC_RELEASE);
	return uring_enter(r->fd, r->tail - old, least, least ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
}

/* The next completion, if there is one. */
static inline int take(struct ring *r, struct io_uring_cqe *c)
{
	unsigned head = *WORD(r, r->p.cq_off.head);
	if (head == __atomic_load_n(WORD(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE))
		return 0;
	unsigned at = head & (r->p.cq_entries - 1);
	*c = *(struct io_uring_cqe *)(r->rings + r->p.cq_off.cqes + at * (r->p.flags & IORING_SETUP_CQE32 ? 32 : 16));
	__atomic_store_n(WORD(r, r->p.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return 1;
}

static inline void show_completion(const struct io_uring_cqe *c)
{
	if (c->res < 0)
		printf("  %llu: %s", (unsigned long long)c->user_data, error_name(-c->res));
	else
		printf("  %llu: %d", (unsigned long long)c->user_data, c->res);
	printf(c->flags ? " flags %x\n" : "\n", c->flags);
}

static inline void show_all(struct ring *r)
{
	struct io_uring_cqe c;
	while (take(r, &c))
		show_completion(&c);
}

/* Submit what is filled in, wait for that many completions, and show all that there are. */
static inline void go(struct ring *r, const char *what, unsigned least)
{
	errno = 0;
	long n = submit_and_wait(r, least);
	printf("%s: ", what);
	if (n < 0)
		printf("%s\n", error_name(errno));
	else
		printf("%ld\n", n);
	show_all(r);
}

/* One request, whose user_data is 1. */
#define ONE(r, what, op, fd, addr, len, off, ...) do { \
	struct io_uring_sqe *s = next_sqe(r, op, fd, addr, len, off); \
	s->user_data = 1; \
	__VA_ARGS__; \
	go(r, what, 1); \
} while (0)
#endif
