/* io_uring: requests that wait: polls, timeouts, reads of pipes; waiting with limits of time and masks of signals. */
#define _GNU_SOURCE
#include "uring_case.h"
#include <pthread.h>
#include <sys/epoll.h>

static struct __kernel_timespec ms(long n) { return (struct __kernel_timespec){ n / 1000, n % 1000 * 1000000 }; }

static void polls(struct ring *r)
{
	int p[2];
	MUST(pipe(p));
	struct io_uring_sqe *s;
	s = next_sqe(r, IORING_OP_POLL_ADD, p[0], NULL, 0, 0);
	s->poll32_events = POLLIN;
	s->user_data = 1;
	go(r, "poll", 0);
	MUST(write(p[1], "x", 1));
	go(r, "written", 1);
	ONE(r, "ready", IORING_OP_POLL_ADD, p[0], NULL, 0, 0, s->poll32_events = POLLIN);
	ONE(r, "writable", IORING_OP_POLL_ADD, p[1], NULL, 0, 0, s->poll32_events = POLLOUT);
	char c[8];
	MUST(read(p[0], c, 1));
	/* several times */
	s = next_sqe(r, IORING_OP_POLL_ADD, p[0], NULL, IORING_POLL_ADD_MULTI, 0);
	s->poll32_events = POLLIN;
	s->user_data = 2;
	go(r, "multishot", 0);
	for (int i = 0; i < 3; i++) {
		MUST(write(p[1], "x", 1));
		go(r, "once", 1);
		MUST(read(p[0], c, 1));
	}
	s = next_sqe(r, IORING_OP_POLL_REMOVE, -1, (void *)2, 0, 0);
	s->user_data = 3;
	go(r, "remove", 2);
	ONE(r, "remove again", IORING_OP_POLL_REMOVE, -1, (void *)2, 0, 0);
	/* change what is waited for, and what it is called */
	s = next_sqe(r, IORING_OP_POLL_ADD, p[0], NULL, 0, 0);
	s->poll32_events = POLLPRI;
	s->user_data = 4;
	go(r, "for something else", 0);
	MUST(write(p[1], "x", 1));
	go(r, "nothing", 0);
	s = next_sqe(r, IORING_OP_POLL_REMOVE, -1, (void *)4, IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA, 44);
	s->poll32_events = POLLIN;
	s->user_data = 5;
	go(r, "update", 2);
	MUST(read(p[0], c, 1));
	/* reading waits */
	s = next_sqe(r, IORING_OP_READ, p[0], c, 8, 0);
	s->user_data = 6;
	go(r, "read", 0);
	MUST(write(p[1], "abc", 3));
	go(r, "came", 1);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	s = next_sqe(r, IORING_OP_READ, p[0], c, 8, 0);
	s->user_data = 7;
	go(r, "read, non-blocking", 0);
	close(p[1]);
	go(r, "hung up", 1);
	close(p[0]);
	int e = (int)MUST(eventfd(0, 0));
	s = next_sqe(r, IORING_OP_READ, e, c, 8, 0);
	s->user_data = 8;
	go(r, "eventfd", 0);
	uint64_t one = 1;
	MUST(write(e, &one, 8));
	go(r, "rung", 1);
	close(e);
	/* the ring's own descriptor */
	int set = (int)MUST(epoll_create1(0));
	struct epoll_event ev = { .events = EPOLLIN };
	SHOW(epoll_ctl(set, EPOLL_CTL_ADD, r->fd, &ev));
	SHOW(epoll_wait(set, &ev, 1, 0));
	next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 9;
	SHOW(submit_and_wait(r, 0));
	SHOW(epoll_wait(set, &ev, 1, 60000));
	show_all(r);
	SHOW(epoll_wait(set, &ev, 1, 0));
	close(set);
	/* its eventfd */
	e = (int)MUST(eventfd(0, EFD_NONBLOCK));
	SHOW(uring_register(r->fd, IORING_REGISTER_EVENTFD, &e, 1));
	SHOW(uring_register(r->fd, IORING_REGISTER_EVENTFD, &e, 1));
	next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0);
	go(r, "nop", 1);
	CHECK(read(e, &one, 8) == 8 && one == 1);
	*WORD(r, r->p.cq_off.flags) = IORING_CQ_EVENTFD_DISABLED;
	next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0);
	go(r, "silently", 1);
	SHOW(read(e, &one, 8));
	*WORD(r, r->p.cq_off.flags) = 0;
	SHOW(uring_register(r->fd, IORING_UNREGISTER_EVENTFD, NULL, 0));
	SHOW(uring_register(r->fd, IORING_UNREGISTER_EVENTFD, NULL, 0));
	close(e);
}

static void timeouts(struct ring *r)
{
	struct __kernel_timespec t = ms(20), longer = ms(100000), zero = ms(0), bad = { 0, -1 };
	ONE(r, "timeout", IORING_OP_TIMEOUT, -1, &t, 1, 0);
	ONE(r, "at once", IORING_OP_TIMEOUT, -1, &zero, 1, 0);
	ONE(r, "bad time", IORING_OP_TIMEOUT, -1, &bad, 1, 0);
	ONE(r, "bad length", IORING_OP_TIMEOUT, -1, &t, 2, 0);
	ONE(r, "no time", IORING_OP_TIMEOUT, -1, NULL, 1, 0);
	ONE(r, "bad flags", IORING_OP_TIMEOUT, -1, &t, 1, 0, s->timeout_flags = 1u << 10);
	ONE(r, "two clocks", IORING_OP_TIMEOUT, -1, &t, 1, 0, s->timeout_flags = IORING_TIMEOUT_BOOTTIME | IORING_TIMEOUT_REALTIME);
	ONE(r, "boot time", IORING_OP_TIMEOUT, -1, &t, 1, 0, s->timeout_flags = IORING_TIMEOUT_BOOTTIME);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct __kernel_timespec at = { now.tv_sec, now.tv_nsec };
	ONE(r, "real time, absolute", IORING_OP_TIMEOUT, -1, &at, 1, 0, s->timeout_flags = IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME);
	clock_gettime(CLOCK_MONOTONIC, &now);
	at = (struct __kernel_timespec){ now.tv_sec + (now.tv_nsec > 970000000), (now.tv_nsec + 30000000) % 1000000000 };
	ONE(r, "absolute", IORING_OP_TIMEOUT, -1, &at, 1, 0, s->timeout_flags = IORING_TIMEOUT_ABS);
	clock_gettime(CLOCK_MONOTONIC, &now);
	CHECK(now.tv_sec > at.tv_sec || (now.tv_sec == at.tv_sec && now.tv_nsec >= at.tv_nsec));
	/* ends with completions */
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_TIMEOUT, -1, &longer, 1, 2);
	s->user_data = 2;
	go(r, "two completions", 0);
	next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 3;
	go(r, "one", 1);
	next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 4;
	go(r, "the other", 2);
	/* several times */
	s = next_sqe(r, IORING_OP_TIMEOUT, -1, &t, 1, 3);
	s->timeout_flags = IORING_TIMEOUT_MULTISHOT;
	s->user_data = 5;
	printf("three times\n");
	submit_and_wait(r, 1);
	struct io_uring_cqe c;
	for (int n = 0; n < 3;)
		if (take(r, &c))
			n++, show_completion(&c);
		else
			uring_enter(r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	/* removed and changed */
	s = next_sqe(r, IORING_OP_TIMEOUT, -1, &longer, 1, 0);
	s->user_data = 6;
	go(r, "long", 0);
	s = next_sqe(r, IORING_OP_TIMEOUT_REMOVE, -1, (void *)6, 0, 0);
	s->user_data = 7;
	go(r, "remove", 2);
	ONE(r, "remove again", IORING_OP_TIMEOUT_REMOVE, -1, (void *)6, 0, 0);
	s = next_sqe(r, IORING_OP_TIMEOUT, -1, &longer, 1, 0);
	s->user_data = 8;
	go(r, "long", 0);
	s = next_sqe(r, IORING_OP_TIMEOUT_REMOVE, -1, (void *)8, 0, (unsigned long)&t);
	s->timeout_flags = IORING_TIMEOUT_UPDATE;
	s->user_data = 9;
	go(r, "shorter", 2);
	ONE(r, "update of none", IORING_OP_TIMEOUT_REMOVE, -1, (void *)8, 0, (unsigned long)&t, s->timeout_flags = IORING_TIMEOUT_UPDATE);
}

static void on_alarm(int signo) { (void)signo; }

static void waiting(struct ring *r)
{
	struct __kernel_timespec t = ms(20);
	struct io_uring_getevents_arg arg = { .ts = (unsigned long)&t };
	SHOW(uring_enter(r->fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
	SHOW(uring_enter(r->fd, 0, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
	SHOW(uring_enter(r->fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, 8));
	SHOW(uring_enter(r->fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, NULL, sizeof arg));
	arg.ts = 16;
	SHOW(uring_enter(r->fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
	struct sigaction a = { .sa_handler = on_alarm };
	sigaction(SIGALRM, &a, NULL);
	ualarm(30000, 30000); /* again and again: the first one may come before the call */
	SHOW(uring_enter(r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	ualarm(0, 0);
	sigset_t all;
	sigfillset(&all);
	arg = (struct io_uring_getevents_arg){ .sigmask = (unsigned long)&all, .sigmask_sz = 8, .ts = (unsigned long)&t };
	t = ms(60);
	(void)arg;
	/* Submitted, and then a time-out: the count is returned. */
	next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 1;
	__atomic_store_n(WORD(r, r->p.sq_off.tail), r->tail, __ATOMIC_RELEASE);
	t = ms(20);
	arg = (struct io_uring_getevents_arg){ .ts = (unsigned long)&t };
	SHOW(uring_enter(r->fd, 1, 2, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
	SHOW(uring_enter(r->fd, 0, 2, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
	show_all(r);
}

static int pipe_of_thread[2];
static void *writer(void *none)
{
	sleep_ms(30);
	MUST(write(pipe_of_thread[1], "hello", 5));
	return none;
}

static void with_threads(struct ring *r)
{
	pthread_t t;
	char c[8];
	MUST(pipe(pipe_of_thread));
	next_sqe(r, IORING_OP_READ, pipe_of_thread[0], c, 8, 0)->user_data = 1;
	pthread_create(&t, NULL, writer, NULL);
	go(r, "another thread writes", 1);
	pthread_join(t, NULL);
	/* … while this one runs, and sleeps */
	next_sqe(r, IORING_OP_READ, pipe_of_thread[0], c, 8, 0)->user_data = 2;
	SHOW(submit_and_wait(r, 0));
	pthread_create(&t, NULL, writer, NULL);
	if (!(r->p.flags & IORING_SETUP_DEFER_TASKRUN))
		while (*WORD(r, r->p.cq_off.head) == __atomic_load_n(WORD(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE))
			sched_yield();
	pthread_join(t, NULL);
	SHOW(uring_enter(r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(r);
	next_sqe(r, IORING_OP_READ, pipe_of_thread[0], c, 8, 0)->user_data = 3;
	SHOW(submit_and_wait(r, 0));
	pthread_create(&t, NULL, writer, NULL);
	sleep_ms(80);
	pthread_join(t, NULL);
	SHOW(uring_enter(r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(r);
}

int main(void)
{
	static const unsigned flags[] = { 0, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN };
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		struct ring r;
		printf("flags %x\n", flags[i]);
		ring_make(&r, 8, flags[i], 0);
		if (!(flags[i] & IORING_SETUP_DEFER_TASKRUN))
			polls(&r);
		timeouts(&r);
		waiting(&r);
		with_threads(&r);
		ring_end(&r);
	}
	return 0;
}
