/* For cases of io_uring in which Linux may complete less than is waited for: after a second it is enough. */
#ifndef URING_PATIENCE_H
#define URING_PATIENCE_H
#include "uring_case.h"

static inline void go_for_a_second(struct ring *r, const char *what, unsigned least)
{
	unsigned old = *WORD(r, r->p.sq_off.tail);
	struct __kernel_timespec second = { 1, 0 };
	struct io_uring_getevents_arg limit = { .ts = (unsigned long)&second };
	unsigned flags = least ? IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG : 0;
	errno = 0;
	__atomic_store_n(WORD(r, r->p.sq_off.tail), r->tail, __ATOMIC_RELEASE);
	long n = uring_enter(r->fd, r->tail - old, least, flags, least ? &limit : NULL, least ? sizeof limit : 0);
	printf("%s: ", what);
	if (n < 0)
		printf("%s\n", error_name(errno));
	else
		printf("%ld\n", n);
	show_all(r);
}
#define go go_for_a_second
#endif
