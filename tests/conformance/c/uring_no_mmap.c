/* io_uring: rings in the program's own memory, and rings without a descriptor. */
#define _GNU_SOURCE
#include "uring_case.h"

static unsigned char *pages(size_t size)
{
	unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p;
}

static long attempt(const char *what, unsigned entries, unsigned flags, const void *sqes, const void *rings)
{
	struct io_uring_params p = { .flags = flags };
	p.sq_off.user_addr = (unsigned long)sqes, p.cq_off.user_addr = (unsigned long)rings;
	errno = 0;
	long fd = uring_setup(entries, &p);
	printf("%s: %s\n", what, fd < 0 ? error_name(errno) : "ok");
	if (fd >= 0 && !(flags & IORING_SETUP_REGISTERED_FD_ONLY))
		close((int)fd);
	return fd;
}

/* A ring in memory of one's own; by its descriptor, or its index. */
static long ring_of_ones_own(struct ring *r, unsigned entries, unsigned flags, unsigned char *memory)
{
	memset(r, 0, sizeof *r);
	r->p.flags = flags | IORING_SETUP_NO_MMAP;
	r->p.sq_off.user_addr = (unsigned long)(memory + 8 * PAGE), r->p.cq_off.user_addr = (unsigned long)memory;
	r->rings = memory, r->sqes = (void *)(memory + 8 * PAGE);
	errno = 0;
	r->fd = (int)uring_setup(entries, &r->p);
	if (r->fd >= 0 && !(flags & IORING_SETUP_NO_SQARRAY))
		for (unsigned i = 0; i < r->p.sq_entries; i++)
			WORD(r, r->p.sq_off.array)[i] = i;
	return r->fd;
}

int main(void)
{
	unsigned char *m = pages(17 * PAGE), *only = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(m + 16 * PAGE, PAGE);
	const unsigned own = IORING_SETUP_NO_MMAP, bare = IORING_SETUP_REGISTERED_FD_ONLY;
	attempt("nowhere", 4, own, NULL, NULL);
	attempt("no entries", 4, own, NULL, m);
	attempt("no rings", 4, own, m, NULL);
	attempt("odd entries", 4, own, m + 64, m + PAGE);
	attempt("odd rings", 4, own, m, m + PAGE + 64);
	attempt("not there", 4, own, (void *)0x10000, m);
	attempt("read only", 4, own, only, m);
	attempt("read only", 4, own, m, only);
	attempt("above", 4, own, (void *)(~0ul << 12), m);
	attempt("the end is not there", 256, own, m + 15 * PAGE, m);
	attempt("fine", 4, own, m + PAGE, m);
	attempt("without a descriptor, to be mapped", 4, bare, NULL, NULL);
	attempt("large", 32768, own, m, m);

	struct ring r;
	memset(m, 0xff, 16 * PAGE);
	printf("%d\n", ring_of_ones_own(&r, 4, 0, m) >= 0);
	printf("%u %u, at %u %u\n", r.p.sq_entries, r.p.cq_entries, r.p.sq_off.array, r.p.cq_off.cqes);
	CHECK(r.p.sq_off.user_addr == (unsigned long)r.sqes);
	CHECK(r.p.cq_off.user_addr == (unsigned long)r.rings);
	printf("%u %u %u %u %u\n", *WORD(&r, r.p.sq_off.head), *WORD(&r, r.p.sq_off.tail), *WORD(&r, r.p.cq_off.tail),
		*WORD(&r, r.p.sq_off.ring_mask), *WORD(&r, r.p.cq_off.ring_mask));
	printf("after it %x\n", m[8 * PAGE + 4 * 64]);
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 5;
	go(&r, "nop", 1);
	TRY(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r.fd, IORING_OFF_SQ_RING));
	TRY(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r.fd, IORING_OFF_SQES));
	struct io_uring_buf_reg reg = { .ring_entries = 4, .bgid = 5, .flags = IOU_PBUF_RING_MMAP };
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_RING, &reg, 1));
	TRY(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_PBUF_RING | 5 << IORING_OFF_PBUF_SHIFT));
	IN_CHILD(next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 6; go(&r, "a child's copy", 0));
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 7;
	go(&r, "still the same pages", 1);
	/* unmapped, the pages stay the ring's */
	munmap(m, 16 * PAGE);
	SHOW(uring_enter(r.fd, 1, 0, 0, NULL, 0));
	close(r.fd);

	m = pages(16 * PAGE);
	printf("by index: %ld\n", ring_of_ones_own(&r, 4, bare, m));
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 8;
	__atomic_store_n(WORD(&r, r.p.sq_off.tail), r.tail, __ATOMIC_RELEASE);
	SHOW(uring_enter(r.fd, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, NULL, 0));
	show_all(&r);
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_RING | IORING_REGISTER_USE_REGISTERED_RING, NULL, 0));
	SHOW(attempt("another", 4, own | bare, m + 10 * PAGE, m + 12 * PAGE));
	struct io_uring_rsrc_update up = { .offset = 0 };
	SHOW(uring_register(1, IORING_UNREGISTER_RING_FDS | IORING_REGISTER_USE_REGISTERED_RING, &up, 1));
	SHOW(uring_enter(0, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0));
	for (int i = 0; i < 17; i++)
		SHOW(attempt("one more", 1, own | bare, m + 10 * PAGE, m + 12 * PAGE));
	return 0;
}
