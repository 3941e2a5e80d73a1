/*
 * Calls about threads, processes, signals and futexes with several bad arguments at once: which error wins, and what was
 * written before it.
 */
#include "orders_case.h"
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* The C library gives the call this name under another one. */
#undef prlimit64

#ifndef SYS_futex_wake
#define SYS_futex_wake 454
#define SYS_futex_wait 455
#define SYS_futex_requeue 456
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t least, most;
	uint32_t rest[20];
};

static char *edge; /* the last byte before a page that is not there */

static void set(const char *what, int pid, struct attributes a)
{
	errno = 0;
	long r = syscall(SYS_sched_setattr, pid, &a, 0);
	printf("%s: %s, size %u\n", what, r ? error_name(errno) : "ok", a.size);
}
#define SET(pid, ...) set("sched_setattr " #pid " " #__VA_ARGS__, pid, (struct attributes){ __VA_ARGS__ })

static void attributes(void)
{
	in("");
	struct attributes a;
	memset(&a, 0, sizeof a);
	C(sched_setattr, 0, 0L, 0);
	C(sched_setattr, 0, BAD, 1);
	C(sched_setattr, -1, BAD, 0);
	C(sched_setattr, 0, BAD, 0);
	C(sched_setattr, 0, KERNEL, 0);
	static const unsigned sizes[] = { 1, 47, 48, 49, 55, 56, 57, 60, 100, 136, 4097, 0xffffffff };
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
		SET(0, .size = sizes[i]);
	SET(0, .size = 64, .rest = { 1 });
	SET(0, .size = 60, .rest = { 0, 1 });
	SET(0, .size = 56, .least = 5);
	SET(NOBODY, .size = 4);
	SET(NOBODY, .size = 48, .policy = 77);
	SET(NOBODY, .size = 48, .policy = 0x80000000);
	SET(NOBODY, .size = 48, .flags = 1UL << 40);
	SET(NOBODY, .size = 48, .flags = 0x20);
	SET(NOBODY, .size = 56, .flags = 0x20);
	SET(0, .size = 48, .policy = 77);
	SET(0, .size = 48, .policy = 4);
	SET(0, .size = 48, .policy = 0x40000000);
	SET(0, .size = 48, .priority = 1);
	SET(0, .size = 48, .priority = 100);
	SET(0, .size = 48, .policy = 1);
	SET(0, .size = 48, .policy = 1, .priority = 100);
	SET(0, .size = 48, .policy = 6);
	SET(0, .size = 48, .policy = 6, .runtime = 5000, .deadline = 100, .period = 100);
	SET(0, .size = 48, .policy = 6, .runtime = 1UL << 63, .deadline = 1UL << 63, .period = 1UL << 63);
	SET(0, .size = 48, .policy = 6, .priority = 1, .runtime = 5000000, .deadline = 10000000, .period = 10000000);
	for (int bit = 7; bit < 64; bit++) {
		printf("flag %d: ", bit);
		SET(0, .size = 56, .flags = 1UL << bit);
	}
	SET(0, .size = 48, .flags = 2);
	SET(0, .size = 48, .flags = 4);
	SET(0, .size = 48, .flags = 8);
	SET(0, .size = 48, .flags = 8, .policy = 77);
	SET(0, .size = 48, .flags = 8, .policy = 0x80000000);
	SET(0, .size = 48, .flags = 16, .priority = 50, .nice = 3);
	C(getpriority, 0, 0);
	SET(0, .size = 48, .flags = 24, .policy = 1, .priority = 50, .nice = 3);
	C(getpriority, 0, 0);
	SET(0, .size = 48, .flags = 0x20);
	SET(0, .size = 48, .flags = 0x40);
	SET(0, .size = 48, .flags = 0x10000000);
	SET(0, .size = 48, .flags = 0x10000000, .priority = 1);
	SET(0, .size = 48, .nice = 100);
	C(getpriority, 0, 0);
	SET(0, .size = 48, .policy = 5, .nice = -100);
	C(getpriority, 0, 0);
	C(sched_getscheduler, 0);
	SET(0, .size = 48, .policy = 3, .nice = 19);
	C(getpriority, 0, 0);
	SET(0, .size = 0, .policy = 0, .nice = 19, .flags = 1);
	C(sched_getscheduler, 0);
	SET(0, .size = 0, .policy = 0, .nice = 19);
	SET(0, .size = 0, .policy = 0, .nice = 19, .flags = 9);
	C(sched_getscheduler, 0);

	C(sched_getattr, 0, 0L, 48, 0);
	C(sched_getattr, NOBODY, BAD, 48, 0);
	C(sched_getattr, NOBODY, BAD, 47, 0);
	C(sched_getattr, NOBODY, BAD, 48, 1);
	C(sched_getattr, -1, BAD, 48, 0);
	C(sched_getattr, 0, BAD, 48, 0);
	C(sched_getattr, 0, &a, 4097, 0);
	C(sched_getattr, 0, &a, -1, 0);
	C(sched_getattr, 0, KERNEL, 4096, 0);
	static const unsigned known[] = { 48, 49, 52, 56, 60, 128 };
	for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
		memset(&a, 0x77, sizeof a);
		printf("%ld ", syscall(SYS_sched_getattr, 0, &a, known[i], 0));
		printf("size %u policy %u flags %lx nice %d priority %u deadline %lu period %lu; %x %x %x\n", a.size, a.policy,
			(long)a.flags, a.nice, a.priority, (long)a.deadline, (long)a.period, a.least, a.most, a.rest[0]);
	}
}

static void scheduling(void)
{
	in("");
	int one = 1, zero = 0, wrong = 100;
	unsigned long mask = 1, none = 0;
	static const int pids[] = { 0, -1, NOBODY, 0x7fffffff, -2147483647 - 1 };
	for (int i = 0; i < 5; i++) {
		int p = pids[i];
		in("pid %d: ", p);
		C(sched_setscheduler, p, 0, 0L);
		C(sched_setscheduler, p, -1, BAD);
		C(sched_setscheduler, p, 99, BAD);
		C(sched_setscheduler, p, 99, &zero);
		C(sched_setscheduler, p, 0, &one);
		C(sched_setscheduler, p, 1, &wrong);
		C(sched_setscheduler, p, 6, &zero);
		C(sched_setscheduler, p, 0x40000063, &zero);
		C(sched_setparam, p, 0L);
		C(sched_setparam, p, BAD);
		C(sched_setparam, p, &one);
		C(sched_getparam, p, 0L);
		C(sched_getparam, p, BAD);
		C(sched_getscheduler, p);
		C(sched_rr_get_interval, p, 0L);
		C(sched_rr_get_interval, p, BAD);
		C(sched_setaffinity, p, 0, BAD);
		C(sched_setaffinity, p, 8, BAD);
		C(sched_setaffinity, p, 8, &none);
		C(sched_setaffinity, p, -1, BAD);
		C(sched_setaffinity, p, -8, &none);
		C(sched_setaffinity, p, -8, &mask);
		C(sched_setaffinity, p, 1, &mask);
		C(sched_setaffinity, p, 4096, &mask);
		C(sched_getaffinity, p, 0, BAD);
		C(sched_getaffinity, p, 7, BAD);
		C(sched_getaffinity, p, 12, BAD);
		C(sched_getaffinity, p, 8, BAD);
		C(sched_getaffinity, p, 4096, &mask);
		C(sched_getaffinity, p, -8, &mask);
		C(sched_getaffinity, p, -8, BAD);
		C(sched_getaffinity, p, -1, &mask);
		C(getpriority, 0, p);
		C(getpriority, 1, p == 0 ? NOBODY : p);
		C(getpriority, 3, p);
		C(getpriority, -1, p);
		C(setpriority, 3, p, 19);
		C(setpriority, 0, p == 0 ? NOBODY : p, 19);
		C(setpriority, 2, p == 0 ? NOBODY : p, 19);
		C(ioprio_get, 0, p);
		C(ioprio_get, 4, p);
		T(ioprio_get, 1, p);
		C(ioprio_get, 3, p == 0 ? NOBODY : p);
		C(ioprio_set, 0, p, 0);
		C(ioprio_set, 4, p, 4 << 13);
		C(ioprio_set, 1, p, 4 << 13);
		C(ioprio_set, 1, p, 1);
		C(ioprio_set, 1, p, 2 << 13 | 8);
		C(ioprio_set, 1, p, 2 << 13 | 0x1007);
		C(ioprio_set, 1, p, 0x10000);
		C(ioprio_set, 0, p, 1 << 13);
		C(ioprio_set, 1, p == 0 ? NOBODY : p, 1 << 13);
		C(ioprio_set, 1, p, 0);
		C(getpgid, p == 0 ? NOBODY : p);
		C(getsid, p == 0 ? NOBODY : p);
		C(setpgid, p == 0 ? NOBODY : p, 0);
		C(setpgid, p, -1);
		C(setpgid, p == 0 ? NOBODY : p, NOBODY);
		C(get_robust_list, p, BAD, BAD);
		C(capget, BAD, 0L);
	}
	in("");
	static const int policies[] = { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 100 };
	for (int i = 0; i < 11; i++) {
		in("policy %d: ", policies[i]);
		C(sched_get_priority_max, policies[i]);
		C(sched_get_priority_min, policies[i]);
	}
	unsigned cpu = 77, node = 77;
	C(getcpu, BAD, &node, BAD);
	printf("node %u\n", node);
	T(getcpu, &cpu, BAD, 0);
	CHECK(cpu != 77);
	C(getcpu, 0L, KERNEL, 0L);
}

static void futexes(void)
{
	in("");
	uint32_t word = 0x0ffffff5, other = 6; /* a thread that does not exist */
	struct timespec zero = { 0, 0 }, wrong = { 0, -1 };
	void *odd = (char *)&word + 1;
	for (int op = 0; op <= 14; op++)
		for (int flags = 0; flags < 1024; flags += 128) {
			if (flags & 256 && op == 2)
				continue;
			int o = op | flags;
			void *limit = op == 3 || op == 4 || op == 5 || op == 12 ? (void *)1 : &zero;
			in("operation %#x: ", o);
			C(futex, odd, o, 1, BAD, odd, 0);
			C(futex, odd, o, 1, &wrong, odd, 0);
			C(futex, odd, o, 1, limit, odd, 0);
			C(futex, BAD, o, 1, limit, odd, 0);
			C(futex, 0L, o, 1, limit, 0L, 0);
			C(futex, KERNEL, o, 1, limit, KERNEL, 1);
			C(futex, &word, o, -1, limit, odd, 0);
			C(futex, &word, o, 1, -1L, odd, 0);
			C(futex, &word, o, 1, limit, BAD, 0);
			if (op != 6 && op != 8 && op != 13)
				C(futex, &word, o, 4, limit, &word, 0);
			C(futex, &word, o, 0, 0x7fffffff, &other, 4);
			word = 0x0ffffff5;
			other = 6;
		}
	in("");
	word = 5;
	C(futex, &word, 5, 1, 1L, &other, 0x70000000);
	C(futex, &word, 5, 1, 1L, &other, 0x06000000);
	C(futex, &word, 5, 1, 1L, &other, 0x0f000000);
	C(futex, &word, 5, 1, 1L, &other, 0x50000000);
	C(futex, odd, 5, 1, 1L, &other, 0x70000000);
	C(futex, &word, 5, 1, 1L, BAD, 0x70000000);

	struct { uint64_t value, address; uint32_t flags, reserved; } w[3];
	memset(w, 0, sizeof w);
	for (int i = 0; i < 3; i++) {
		w[i].address = (uintptr_t)&word;
		w[i].value = 4;
		w[i].flags = 2;
	}
	C(futex_waitv, 0L, 0, 1, 0L, 0);
	C(futex_waitv, 0L, 1, 0, 0L, 0);
	C(futex_waitv, BAD, 0, 0, 0L, 0);
	C(futex_waitv, BAD, 129, 0, 0L, 0);
	C(futex_waitv, BAD, 128, 0, BAD, 5);
	C(futex_waitv, BAD, 128, 0, BAD, 1);
	C(futex_waitv, BAD, 128, 0, &wrong, 1);
	C(futex_waitv, BAD, 128, 0, &zero, 1);
	C(futex_waitv, w, 1, 0, &wrong, 7);
	C(futex_waitv, w, 1, 0, 0L, 7);
	C(futex_waitv, w, 3, 0, 0L, 0);
	w[1].reserved = 1;
	C(futex_waitv, w, 3, 0, 0L, 0);
	w[0].address = 3;
	C(futex_waitv, w, 3, 0, 0L, 0);
	C(futex_waitv, w, 1, 0, 0L, 0);
	C(futex_requeue, w, 0, -1, 0);
	w[1].reserved = 0;
	C(futex_waitv, w, 3, 0, 0L, 0);
	C(futex_requeue, w, 0, -1, 0);
	C(futex_requeue, w, 0, 0, -1);
	C(futex_requeue, w, 0, 0, 0);
	w[0].address = 16;
	C(futex_requeue, w, 0, 0, 0);
	w[0].address = (uintptr_t)&word;
	C(futex_requeue, w, 0, 0, 0);
	w[0].value = 5;
	C(futex_requeue, w, 0, 0, 0);
	w[0].value = 1UL << 32;
	C(futex_requeue, w, 0, 0, 0);
	C(futex_waitv, w, 1, 0, 0L, 0);
	w[0].value = 4;
	C(futex_requeue, 0L, 1, 0, 0);
	C(futex_requeue, BAD, 1, 0, 0);
	C(futex_requeue, 0L, 0, -1, 0);
	C(futex_requeue, BAD, 0, -1, 0);
	memcpy(edge - 24, &w[0], 24);
	C(futex_requeue, edge - 24, 0, -1, 0);
	C(futex_waitv, edge - 24, 2, 0, 0L, 0);
	((uint32_t *)(edge - 24))[5] = 1;
	C(futex_waitv, edge - 24, 2, 0, 0L, 0);
	C(futex_requeue, edge - 24, 0, -1, 0);
	memcpy(edge - 20, &w[0], 20);
	C(futex_waitv, edge - 20, 1, 0, 0L, 0);
	static const unsigned flags[] = { 0, 1, 2, 3, 4, 6, 8, 10, 16, 18, 128, 130, 131, 134, 256, 0x80000002 };
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		unsigned f = flags[i];
		in("flags %#x: ", f);
		C(futex_wake, odd, 0, 1, f);
		C(futex_wake, odd, 1, 1, f);
		C(futex_wake, odd, 1, 0, f);
		C(futex_wake, BAD, 1, 0, f);
		C(futex_wake, &word, 0, 0, f);
		C(futex_wake, &word, 1, 0, f);
		C(futex_wake, &word, 1, -1, f);
		C(futex_wake, &word, 1L << 32, 1, f);
		C(futex_wait, odd, 5, 0, f, BAD, 0);
		C(futex_wait, odd, 5, 0, f, BAD, 2);
		C(futex_wait, odd, 5, 0, f, &wrong, 0);
		C(futex_wait, odd, 5, 0, f, &zero, 0);
		C(futex_wait, odd, 5, 1, f, &zero, 0);
		C(futex_wait, odd, 1L << 32, 1, f, &zero, 9);
		C(futex_wait, &word, 4, 1L << 32, f, &zero, 0);
		C(futex_wait, &word, 4, 0, f, 0L, 9);
		C(futex_wait, &word, 4, 1, f, 0L, 9);
		C(futex_wait, &word, 5, 1, f, &zero, 1);
		C(futex_wait, BAD, 5, 1, f, &zero, 1);
		w[0].flags = f;
		C(futex_waitv, w, 1, 0, &zero, 0);
	}
	C(set_robust_list, BAD, 23);
	C(set_robust_list, KERNEL, 25);
	long head = 0, size = 0;
	C(get_robust_list, NOBODY, BAD, BAD);
	C(get_robust_list, 0, BAD, &size);
	printf("size %ld\n", size);
	C(get_robust_list, 0, &head, BAD);
	printf("head %ld\n", head);
}

static void signals(void)
{
	in("");
	unsigned long set = 1UL << 9, old = 77;
	struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } action;
	memset(&action, 0, sizeof action);
	struct timespec zero = { 0, 0 }, wrong = { 0, 1000000000 };
	siginfo_t info;
	static const int numbers[] = { 0, -1, 9, 19, 10, 65, 64, 32 };
	for (int i = 0; i < 8; i++) {
		int s = numbers[i];
		in("signal %d: ", s);
		C(rt_sigaction, s, BAD, BAD, 7);
		C(rt_sigaction, s, BAD, BAD, 8);
		C(rt_sigaction, s, 0L, BAD, 8);
		C(rt_sigaction, s, &action, BAD, 8);
		C(rt_sigaction, s, &action, 0L, 0);
		C(kill, NOBODY, s);
		C(kill, -NOBODY, s);
		C(kill, -2147483647 - 1, s);
		C(tkill, 0, s);
		C(tkill, -1, s);
		C(tkill, NOBODY, s);
		C(tgkill, 0, 1, s);
		C(tgkill, 1, 0, s);
		C(tgkill, NOBODY, 1, s);
		C(tgkill, (int)getpid(), 1, s);
		C(rt_sigqueueinfo, NOBODY, s, BAD);
		C(rt_tgsigqueueinfo, 0, 0, s, BAD);
		C(rt_tgsigqueueinfo, -1, 0, s, BAD);
		C(rt_tgsigqueueinfo, NOBODY, 1, s, BAD);
		memset(&info, 0, sizeof info);
		info.si_code = 0;
		C(rt_sigqueueinfo, NOBODY, s, &info);
		C(rt_sigqueueinfo, -1, s, &info);
		C(rt_sigqueueinfo, 0, s, &info);
		C(rt_tgsigqueueinfo, 0, 0, s, &info);
		C(rt_tgsigqueueinfo, NOBODY, NOBODY, s, &info);
		info.si_code = -1;
		C(rt_sigqueueinfo, NOBODY, s, &info);
		C(rt_sigqueueinfo, -1, s, &info);
		C(rt_tgsigqueueinfo, NOBODY, NOBODY, s, &info);
		info.si_code = -100;
		memset((char *)&info + 100, 1, 4);
		C(rt_sigqueueinfo, NOBODY, s, &info);
		C(rt_tgsigqueueinfo, NOBODY, NOBODY, s, &info);
		C(rt_tgsigqueueinfo, 0, NOBODY, s, &info);
		info.si_code = 100;
		C(rt_sigqueueinfo, NOBODY, s, &info);
		info.si_code = 3;
		C(rt_sigqueueinfo, NOBODY, s, &info);
		memset((char *)&info, 0, sizeof info);
		info.si_code = -100;
		C(rt_sigqueueinfo, NOBODY, s, &info);
		memset(edge - 48, 0, 48);
		((int *)(edge - 48))[2] = -100;
		C(rt_sigqueueinfo, NOBODY, s, edge - 48);
		((int *)(edge - 48))[2] = -1;
		C(rt_sigqueueinfo, NOBODY, s, edge - 48);
	}
	C(rt_sigprocmask, 99, 0L, 0L, 8);
	C(rt_sigprocmask, 99, 0L, BAD, 8);
	C(rt_sigprocmask, 99, BAD, BAD, 8);
	C(rt_sigprocmask, 99, BAD, BAD, 4);
	C(rt_sigprocmask, 99, &set, BAD, 8);
	C(rt_sigprocmask, 0, &set, BAD, 8);
	C(rt_sigprocmask, 0, 0L, &old, 8);
	printf("%lx\n", old);
	C(rt_sigprocmask, 2, 0L, BAD, 8);
	set = 0;
	C(rt_sigprocmask, 2, &set, &old, 8);
	printf("%lx\n", old);
	static const long sizes[] = { 0, 1, 4, 7, 8, 9, -1, 16, 1L << 32 | 8 };
	for (int i = 0; i < 9; i++) {
		long z = sizes[i];
		in("size %ld: ", z);
		old = 0x7777777777777777;
		C(rt_sigpending, &old, z);
		printf("%lx\n", old);
		C(rt_sigpending, BAD, z);
		if (z != 8)
			C(rt_sigsuspend, BAD, z);
		C(rt_sigtimedwait, BAD, BAD, BAD, z);
		C(rt_sigtimedwait, &set, BAD, BAD, z);
		C(rt_sigtimedwait, &set, BAD, &wrong, z);
		C(rt_sigtimedwait, &set, BAD, &zero, z);
		C(signalfd, -1, BAD, z);
		C(signalfd4, -1, BAD, z, 1);
		C(signalfd4, 999, &set, z, 1);
		C(signalfd4, 999, &set, z, 0);
		C(signalfd4, 999, BAD, z, 0);
		C(signalfd4, 1, &set, z, 1);
		C(signalfd4, 1, &set, z, 0);
		C(signalfd4, -2, &set, z, 0);
		C(signalfd4, -1, &set, z, 0x10000);
	}
	C(rt_sigsuspend, BAD, 8);
	int fd = (int)MUST(syscall(SYS_signalfd4, -1, &set, 8, O_NONBLOCK));
	C(read, fd, &info, 127);
	C(read, fd, BAD, 127);
	C(read, fd, BAD, 128);
	C(read, fd, &info, 0);
	C(write, fd, &info, 128);
	C(pread64, fd, &info, 128, 0);
	C(lseek, fd, 0, 0);
	close(fd);
	stack_t stack = { .ss_flags = 99 }, before;
	C(sigaltstack, BAD, BAD);
	C(sigaltstack, &stack, BAD);
	stack.ss_flags = 0;
	stack.ss_size = 1;
	C(sigaltstack, &stack, BAD);
	C(sigaltstack, 0L, BAD);
	stack.ss_flags = SS_DISABLE;
	C(sigaltstack, &stack, BAD);
	stack.ss_flags = 0x80000000;
	stack.ss_size = 100000;
	C(sigaltstack, &stack, &before);
	printf("%x\n", before.ss_flags);
	stack.ss_flags = 3;
	C(sigaltstack, &stack, &before);
	stack.ss_flags = SS_DISABLE;
	C(sigaltstack, &stack, &before);
	printf("%x\n", before.ss_flags);
}

static void limits(void)
{
	in("");
	struct rlimit wrong = { 10, 5 }, fine = { RLIM_INFINITY, RLIM_INFINITY }, old;
	static const unsigned which[] = { 7, 16, 99, 0xffffffff, 15 };
	for (int i = 0; i < 5; i++) {
		unsigned w = which[i];
		in("limit %u: ", w);
		C(getrlimit, w, BAD);
		C(setrlimit, w, BAD);
		C(setrlimit, w, &wrong);
		C(prlimit64, 0, w, BAD, BAD);
		C(prlimit64, NOBODY, w, BAD, BAD);
		C(prlimit64, NOBODY, w, &wrong, BAD);
		C(prlimit64, NOBODY, w, 0L, BAD);
		C(prlimit64, -1, w, 0L, BAD);
		C(prlimit64, 0, w, &wrong, BAD);
		C(prlimit64, 1, w, &wrong, BAD);
		C(prlimit64, 1, w, 0L, BAD);
		C(prlimit64, 0, w, 0L, BAD);
		C(prlimit64, 0, w, 0L, 0L);
	}
	fine.rlim_cur = 1UL << 40;
	fine.rlim_max = 1UL << 41;
	C(prlimit64, 0, 7, &fine, &old);
	fine.rlim_cur = fine.rlim_max + 1;
	C(prlimit64, 0, 7, &fine, &old);
	static const int whom[] = { 0, -1, 1, 2, -2, 99 };
	for (int i = 0; i < 6; i++)
		C(getrusage, whom[i], BAD);
}

static void waiting(void)
{
	in("");
	static const int options[] = { 0, 1, 2, 4, 8, 16, 32, 0x1000000, 0x20000000, 0x40000000, (int)0x80000000, 0x20000001, 5, 0xe000000f,
		0xe000000b };
	siginfo_t info;
	int status;
	for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
		int o = options[i];
		in("options %#x: ", o);
		C(wait4, -1, BAD, o, BAD);
		C(wait4, -2147483647 - 1, BAD, o, BAD);
		C(wait4, NOBODY, &status, o, 0L);
		for (int kind = -1; kind < 5; kind++) {
			in("options %#x, kind %d: ", o, kind);
			C(waitid, kind, 0, 0L, o, 0L);
			C(waitid, kind, -1, &info, o, BAD);
			C(waitid, kind, -1, BAD, o, BAD);
			C(waitid, kind, NOBODY, 0L, o, BAD);
			C(waitid, kind, 1, 0L, o, BAD);
		}
	}
}

static void zombies(void)
{
	in("");
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(3);
	until_ended(child);
	struct attributes a;
	struct rlimit limit;
	struct timespec t;
	unsigned long mask[16] = { 1 };
	int zero = 0;
	struct iovec { void *base; size_t length; } piece = { &zero, 4 };
	C(sched_getscheduler, child);
	C(sched_getparam, child, &zero);
	C(sched_getattr, child, &a, 48, 0);
	C(sched_setscheduler, child, 3, &zero);
	C(sched_setscheduler, child, 99, &zero);
	C(sched_rr_get_interval, child, 0L);
	C(sched_rr_get_interval, child, &t);
	C(sched_getaffinity, child, 128, mask);
	C(sched_setaffinity, child, 128, mask);
	C(getpriority, 0, child);
	C(setpriority, 0, child, 19);
	T(ioprio_get, 1, child);
	C(ioprio_set, 1, child, 2 << 13);
	T(getpgid, child);
	T(getsid, child);
	C(setpgid, child, child);
	C(kill, child, 0);
	C(kill, child, 99);
	C(tgkill, child, child, 0);
	C(tgkill, child, child, 15);
	C(tgkill, child, child, 99);
	T(prlimit64, child, 7, 0L, &limit);
	C(prlimit64, child, 99, 0L, &limit);
	limit.rlim_cur = 5;
	C(prlimit64, child, 7, &limit, 0L);
	C(kcmp, child, child, KCMP_VM, 0, 0);
	C(kcmp, child, child, KCMP_FILE, 0, 0);
	C(kcmp, child, child, KCMP_FILES, 0, 0);
	C(kcmp, child, child, 99, 0, 0);
	C(process_vm_readv, child, &piece, 1, &piece, 1, 0);
	C(process_vm_readv, child, &piece, 1, &piece, 1, 1);
	C(get_robust_list, child, mask, mask);
	C(ptrace, 0x4206, child, 0, 0);
	C(ptrace, 0x10, child, 0, 0);
	C(migrate_pages, child, 64, mask, mask);
	C(move_pages, child, 0L, 0L, 0L, 0L, 0);
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, child };
	struct __user_cap_data_struct data[2];
	C(capget, &header, data);
	int fd = (int)T(pidfd_open, child, 0);
	C(pidfd_send_signal, fd, 0, 0L, 0);
	C(pidfd_send_signal, fd, 99, 0L, 0);
	C(pidfd_send_signal, fd, 15, BAD, 0);
	C(pidfd_getfd, fd, 0, 0);
	C(pidfd_getfd, fd, -1, 1);
	C(process_madvise, fd, &piece, 1, 20, 0);
	C(process_madvise, fd, &piece, 1, 99, 0);
	C(process_mrelease, fd, 0);
	C(setns, fd, 0);
	C(setns, fd, 0x20000000);
	close(fd);
	show_end(child);
}

static void descriptors(void)
{
	in("");
	int self = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0)), plain = (int)MUST(open("/dev/null", O_RDWR));
	int path = (int)MUST(open("/dev/null", O_PATH));
	siginfo_t info;
	memset(&info, 0, sizeof info);
	struct iovec { void *base; size_t length; } piece = { KERNEL, 4096 }, pieces[2] = { { BAD, 1 }, { 0, -1UL } };
	int fds[] = { self, plain, path, 999, -1 };
	static const char *names[] = { "self", "other", "path", "closed", "negative" };
	for (int i = 0; i < 5; i++) {
		int f = fds[i];
		in("%s: ", names[i]);
		C(pidfd_send_signal, f, 99, BAD, 8);
		C(pidfd_send_signal, f, 99, BAD, 3);
		C(pidfd_send_signal, f, 99, BAD, 0);
		C(pidfd_send_signal, f, 99, &info, 0);
		info.si_signo = 99;
		C(pidfd_send_signal, f, 99, &info, 0);
		info.si_code = -100;
		memset((char *)&info + 100, 1, 4);
		C(pidfd_send_signal, f, 99, &info, 0);
		memset(&info, 0, sizeof info);
		C(pidfd_send_signal, f, 99, 0L, 0);
		C(pidfd_send_signal, f, 0, 0L, 0);
		C(pidfd_getfd, f, 999, 1);
		C(pidfd_getfd, f, 999, 0);
		C(pidfd_getfd, f, -1, 0);
		C(process_madvise, f, BAD, 1, 99, 1);
		C(process_madvise, f, BAD, 1, 99, 0);
		C(process_madvise, f, BAD, 0, 99, 0);
		C(process_madvise, f, BAD, 0, 20, 0);
		C(process_madvise, f, BAD, 1025, 20, 0);
		C(process_madvise, f, BAD, -1, 20, 0);
		C(process_madvise, f, &piece, 1, 20, 0);
		C(process_madvise, f, &piece, 1, 99, 0);
		C(process_madvise, f, pieces, 2, 99, 0);
		C(process_mrelease, f, 1);
		C(process_mrelease, f, 0);
		C(setns, f, 0);
		C(setns, f, -1);
		C(waitid, 3, f, &info, 0, 0L);
		C(waitid, 3, f, BAD, 4, BAD);
	}
	piece.base = (void *)4096;
	piece.length = 4096;
	C(process_madvise, self, &piece, 1, 20, 0);
	piece.base = (void *)1;
	C(process_madvise, self, &piece, 1, 20, 0);
	C(pidfd_open, 0, 0);
	C(pidfd_open, -1, 0);
	C(pidfd_open, NOBODY, 1);
	C(pidfd_open, 0, 1);
	C(pidfd_open, NOBODY, O_NONBLOCK);
	C(kcmp, 0, 0, 99, 0, 0);
	C(kcmp, NOBODY, getpid(), 99, 0, 0);
	C(kcmp, getpid(), getpid(), 99, 0, 0);
	C(kcmp, getpid(), getpid(), KCMP_FILE, 999, 0);
	C(kcmp, getpid(), getpid(), KCMP_FILE, -1, 0);
	C(kcmp, getpid(), getpid(), KCMP_FILE, 1L << 32 | 1, 1);
	C(kcmp, getpid(), getpid(), KCMP_FILE, plain, plain);
	C(kcmp, getpid(), getpid(), KCMP_FILE, path, path);
	C(kcmp, getpid(), getpid(), KCMP_EPOLL_TFD, 999, BAD);
	C(kcmp, getpid(), getpid(), -1, 0, 0);
}

static void others(void)
{
	in("");
	static const unsigned commands[] = { 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 3, 0x80000000 };
	for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
		in("membarrier %u: ", commands[i]);
		C(membarrier, commands[i], 2, 0);
		C(membarrier, commands[i], 1, -1);
		C(membarrier, commands[i], 1, 9999);
		C(membarrier, commands[i], 0, 9999);
	}
	static _Alignas(64) char area[128];
	C(rseq, BAD, 32, 1, 5);
	C(rseq, 0L, 32, 1, 5);
	C(rseq, 0L, 32, 2, 5);
	C(rseq, area, 32, 3, 5);
	C(rseq, area, 31, 0, 5);
	C(rseq, area + 8, 32, 0, 5);
	C(rseq, area + 16, 33, 0, 5);
	C(rseq, KERNEL, 32, 0, 5);
	C(rseq, KERNEL, 31, 0, 5);
	C(rseq, area, 32, 0, 5);
	C(rseq, area, 32, 0, 5);
	C(rseq, area, 32, 0, 6);
	C(rseq, area + 32, 32, 0, 6);
	C(rseq, area, 64, 0, 6);
	C(rseq, area, 32, 1, 6);
	C(rseq, area, 64, 1, 6);
	C(rseq, area + 32, 32, 1, 6);
	C(rseq, area, 32, 1, 5);
	C(rseq, area, 32, 1, 5);
	C(personality, 0xffffffff);
	C(personality, 0xff);
	C(personality, 0x80000000);
	C(personality, 0);
	T(set_tid_address, KERNEL);
}

static void identities(void)
{
	in("");
	struct __user_cap_header_struct header = { 0, 0 };
	struct __user_cap_data_struct data[2];
	memset(data, 0, sizeof data);
	C(capget, 0L, 0L);
	C(capget, &header, 0L);
	printf("%x\n", header.version);
	header.version = 5;
	C(capget, &header, BAD);
	printf("%x\n", header.version);
	header.version = 5;
	header.pid = -1;
	C(capset, &header, BAD);
	printf("%x\n", header.version);
	C(capset, &header, BAD);
	C(capget, &header, BAD);
	C(capget, &header, 0L);
	header.pid = NOBODY;
	C(capget, &header, BAD);
	C(capget, &header, 0L);
	C(capset, &header, BAD);
	C(capset, &header, data);
	header.pid = 0;
	C(capset, &header, BAD);
	C(capset, &header, 0L);
	C(capget, &header, BAD);
	C(capget, &header, 0L);
	C(capget, KERNEL, data);
	C(capset, BAD, data);
	C(getgroups, -1, BAD);
	C(getgroups, 0, BAD);
	C(getgroups, 65536, BAD);
	C(setgroups, -1, BAD);
	C(setgroups, 65537, BAD);
	C(setgroups, 65536, BAD);
	C(setuid, -1);
	C(setgid, -1);
	C(setreuid, -1, -1);
	C(setresuid, -1, -1, -1);
	C(setfsuid, -1);
	C(getresuid, BAD, BAD, BAD);
	unsigned ids[3] = { 77, 77, 77 };
	C(getresuid, &ids[0], BAD, &ids[2]);
	CHECK(ids[0] != 77);
	CHECK(ids[2] != 77);
	ids[0] = ids[2] = 77;
	C(getresgid, BAD, BAD, &ids[2]);
	CHECK(ids[2] != 77);
	C(sethostname, BAD, -1);
	C(sethostname, BAD, 65);
	C(sethostname, BAD, 64);
	C(setdomainname, BAD, -1);
	C(setdomainname, BAD, 65);
	C(setdomainname, BAD, 64);
	C(uname, BAD);
	C(sysinfo, BAD);
	C(getrandom, BAD, 10, 8);
	C(getrandom, BAD, 10, 6);
	C(getrandom, BAD, 10, 0);
	C(getrandom, BAD, 0, 0);
	C(getrandom, KERNEL, 0, 4);
	C(getrandom, KERNEL, 1, 4);
	C(getrandom, KERNEL, 10, 9);
	C(reboot, 1, 2, 3, BAD);
	C(reboot, 0xfee1dead, 2, 0xa1b2c3d4, BAD);
	C(reboot, 0xfee1dead, 672274793, 0x11, BAD);
	C(seccomp, 4, 0, 0L);
	C(seccomp, 4, -1, BAD);
	C(seccomp, 0, 1, 0L);
	C(seccomp, 0, 0, BAD);
	C(seccomp, 1, -1, BAD);
	C(seccomp, 1, 0x40, BAD);
	C(seccomp, 1, 0x20, BAD);
	C(seccomp, 1, 9, BAD);
	C(seccomp, 1, 0, BAD);
	struct { unsigned short count; void *program; } program = { 0, BAD };
	C(seccomp, 1, 0, &program);
	program.count = 5000;
	C(seccomp, 1, 0, &program);
	program.count = 1;
	C(seccomp, 1, 0, &program);
	program.program = 0;
	C(seccomp, 1, 0, &program);
	C(seccomp, 2, 1, BAD);
	C(seccomp, 2, 0, BAD);
	C(seccomp, 3, 1, BAD);
	C(seccomp, 3, 0, BAD);
	C(acct, BAD);
	C(swapoff, BAD);
	C(swapon, BAD, 0x100000);
	C(syslog, 99, BAD, -1);
	C(syslog, 3, BAD, -1);
	C(syslog, 3, 0L, 5);
	C(syslog, 8, 0L, 99);
	C(unshare, 1);
	C(unshare, 0x40000000 | 1);
	C(setns, 999, 0x123);
	C(clone3, 0L, 63);
	C(clone3, BAD, 64);
	C(clone3, BAD, 4097);
	C(ioperm, 65536, 1, 1);
	C(ioperm, 0, 0, 1);
	C(iopl, 4);
	C(umount2, BAD, 0x100);
	C(umount2, "/nowhere", 0x100);
	C(umount2, "/nowhere", 0);
	C(mount, BAD, BAD, BAD, 0, BAD);
	C(mount, BAD, "/nowhere", BAD, 0, 0L);
	C(mount, "x", "/nowhere", BAD, 0, 0L);
	C(mount, "x", BAD, "y", 0, 0L);
	C(mount, "x", "/nowhere", "y", 0, 0L);
	C(chroot, BAD);
	C(chroot, "/dev/null");
	C(pivot_root, BAD, BAD);
}

static void switches(void)
{
	in("");
	C(prctl, PR_SET_PDEATHSIG, 65, 0, 0, 0);
	C(prctl, PR_SET_PDEATHSIG, -1L, 0, 0, 0);
	C(prctl, PR_GET_PDEATHSIG, BAD, 0, 0, 0);
	C(prctl, PR_SET_DUMPABLE, 2, 0, 0, 0);
	C(prctl, PR_SET_TIMING, 1, 0, 0, 0);
	C(prctl, PR_SET_NAME, BAD, 0, 0, 0);
	C(prctl, PR_GET_NAME, KERNEL, 0, 0, 0);
	C(prctl, PR_SET_TIMERSLACK, 123, 0, 0, 0);
	C(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
	C(prctl, PR_SET_TIMERSLACK, 1L << 40, 0, 0, 0);
	C(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
	C(prctl, PR_SET_TIMERSLACK, -5000L, 0, 0, 0);
	C(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
	C(prctl, PR_SET_TIMERSLACK, 0, 0, 0, 0);
	C(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
	C(prctl, PR_SET_CHILD_SUBREAPER, 2, 0, 0, 0);
	int value = 77;
	C(prctl, PR_GET_CHILD_SUBREAPER, &value, 1, 1, 1);
	printf("%d\n", value);
	C(prctl, PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	C(prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
	C(prctl, PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0);
	C(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 1);
	C(prctl, PR_SET_SECCOMP, 0, 0, 0, 0);
	C(prctl, PR_SET_SECCOMP, 2, BAD, 0, 0);
	C(prctl, PR_CAPBSET_READ, 64, 0, 0, 0);
	C(prctl, PR_CAPBSET_READ, -1L, 0, 0, 0);
	C(prctl, PR_CAPBSET_DROP, 64, 0, 0, 0);
	C(prctl, PR_CAP_AMBIENT, 0, 1, 0, 0);
	C(prctl, PR_CAP_AMBIENT, 1, 64, 0, 0);
	C(prctl, PR_CAP_AMBIENT, 4, 1, 0, 0);
	C(prctl, PR_CAP_AMBIENT, 2, 1, 1, 0);
	C(prctl, PR_SET_KEEPCAPS, 2, 0, 0, 0);
	C(prctl, PR_SET_SECUREBITS, 1L << 12, 0, 0, 0);
	C(prctl, PR_SET_TSC, 3, 0, 0, 0);
	C(prctl, PR_GET_TSC, BAD, 0, 0, 0);
	C(prctl, PR_SET_FPEXC, 0, 0, 0, 0);
	C(prctl, PR_GET_UNALIGN, BAD, 0, 0, 0);
	C(prctl, PR_SET_ENDIAN, 0, 0, 0, 0);
	C(prctl, PR_MCE_KILL, 0, 1, 0, 0);
	C(prctl, PR_MCE_KILL, 2, 0, 0, 0);
	C(prctl, PR_MCE_KILL, 1, 3, 0, 0);
	C(prctl, PR_MCE_KILL, 1, 2, 1, 0);
	C(prctl, PR_MCE_KILL_GET, 0, 0, 0, 1);
	C(prctl, PR_SET_THP_DISABLE, 1, 1, 0, 0);
	C(prctl, PR_GET_THP_DISABLE, 1, 0, 0, 0);
	C(prctl, PR_GET_TID_ADDRESS, BAD, 0, 0, 0);
	C(prctl, 57, 2, 0, 0, 0);
	C(prctl, 57, 1, 1, 0, 0);
	C(prctl, 58, 1, 0, 0, 0);
	C(prctl, 59, 2, 0, 0, 0);
	C(prctl, 59, 0, 1, 0, 0);
	C(prctl, 59, 1, -1L, 5, BAD);
	C(prctl, 65, 8, 0, 0, 0);
	C(prctl, 65, 2, 0, 0, 0);
	C(prctl, 65, 1, 1, 0, 0);
	C(prctl, 66, 1, 0, 0, 0);
	C(prctl, 0x41555856, BAD, 4096, 0, 0);
	C(prctl, 0x41555856, BAD, 0, 0, 1);
	/* Not PR_SET_VMA, which Linux may be built without, nor PR_SET_SPECULATION_CTRL, which is about the processor. */
	C(prctl, 62, 0, 0, 0, 0);
	C(prctl, 62, 4, 0, 0, 0);
	C(prctl, 0x59616d61, NOBODY, 0, 0, 0);
	C(prctl, 9999, 0, 0, 0, 0);
}

static void programs(void)
{
	char *const some[] = { "a", 0 };
	static const int flags[] = { 0, 0x1000, 0x100, 0x1100, 0x400, 0x200, 0x1400, -1 };
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		in("flags %#x ", flags[i]);
		C(execveat, -1, BAD, BAD, BAD, flags[i]);
		C(execveat, -1, KERNEL, some, some, flags[i]);
		C(execveat, -1, "", some, some, flags[i]);
		C(execveat, -1, "", BAD, some, flags[i]);
		C(execveat, -100, "", some, some, flags[i]);
		C(execveat, 0x7fff, "relative", some, some, flags[i]);
		C(execveat, -1, "/absent", BAD, some, flags[i]);
		C(execveat, -1, "/proc/version", BAD, BAD, flags[i]);
		C(execveat, -1, "/proc/self/exe/", some, some, flags[i]);
	}
	in("");
	C(execve, 0L, BAD, BAD);
	C(execve, "", BAD, BAD);
	C(execve, "/absent", BAD, BAD);
	C(execve, "/proc/version", BAD, BAD);
}

static void all(void)
{
	programs();
	attributes();
	scheduling();
	futexes();
	signals();
	limits();
	waiting();
	zombies();
	descriptors();
	others();
	identities();
	switches();
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	edge = (char *)MUST(mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) + PAGE;
	MUST(munmap(edge, PAGE));
	IN_CHILD({ all(); });
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		programs();
		attributes();
		scheduling();
		limits();
		zombies();
		descriptors();
		identities();
	});
	return 0;
}
