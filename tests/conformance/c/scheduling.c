/* Covers: sched_setscheduler, sched_getscheduler, sched_setparam, sched_getparam, sched_get_priority_min and _max, sched_rr_get_interval,
 * sched_setaffinity, sched_getaffinity, sched_setattr, sched_getattr, sched_yield, ioprio_get, ioprio_set. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/resource.h>
#include "case.h"

struct attr { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; uint32_t low, high; };

#define setscheduler(...) syscall(SYS_sched_setscheduler, __VA_ARGS__)
#define getscheduler(...) syscall(SYS_sched_getscheduler, __VA_ARGS__)
#define setparam(...) syscall(SYS_sched_setparam, __VA_ARGS__)
#define getparam(...) syscall(SYS_sched_getparam, __VA_ARGS__)

int main(void)
{
	struct sched_param p = { .sched_priority = 0 };
	for (int policy = -1; policy <= 7; policy++)
		printf("policy %d: %ld %ld\n", policy, syscall(SYS_sched_get_priority_min, policy), syscall(SYS_sched_get_priority_max, policy));
	SHOW(getscheduler(0));
	SHOW(getparam(0, &p));
	printf("%d\n", p.sched_priority);
	p.sched_priority = 5;
	SHOW(setscheduler(0, SCHED_OTHER, &p));
	SHOW(setscheduler(0, SCHED_FIFO, &p));
	SHOW(getscheduler(0));
	SHOW(getparam(0, &p));
	printf("%d\n", p.sched_priority);
	p.sched_priority = 7;
	SHOW(setparam(0, &p));
	SHOW(getparam(0, &p));
	printf("%d\n", p.sched_priority);
	IN_CHILD(SHOW(getscheduler(0)));
	struct timespec slice;
	SHOW(syscall(SYS_sched_rr_get_interval, 0, &slice));
	printf("%ld\n", slice.tv_nsec);
	SHOW(setscheduler(0, SCHED_RR | 0x40000000, &p));
	SHOW(getscheduler(0));
	SHOW(syscall(SYS_sched_rr_get_interval, 0, &slice));
	printf("%ld %ld\n", (long)slice.tv_sec, slice.tv_nsec);
	IN_CHILD(SHOW(getscheduler(0)));
	p.sched_priority = 100;
	SHOW(setscheduler(0, SCHED_FIFO, &p));
	SHOW(setparam(0, &p));
	p.sched_priority = 0;
	SHOW(setscheduler(0, SCHED_FIFO, &p));
	SHOW(setscheduler(0, 4, &p));
	SHOW(setscheduler(0, 6, &p));
	SHOW(setscheduler(0, -1, &p));
	SHOW(setscheduler(99999, SCHED_OTHER, &p));
	SHOW(setscheduler(-1, SCHED_OTHER, &p));
	SHOW(setscheduler(0, SCHED_OTHER, NULL));
	SHOW(setscheduler(0, SCHED_OTHER, (void *)1));
	SHOW(setscheduler(0, SCHED_BATCH, &p));
	SHOW(getscheduler(0));
	SHOW(setscheduler(0, SCHED_IDLE, &p));
	SHOW(getscheduler(0));
	SHOW(setscheduler(0, SCHED_OTHER, &p));
	SHOW(getscheduler(99999));
	SHOW(getscheduler(-1));
	SHOW(getparam(0, NULL));
	SHOW(getparam(99999, &p));
	SHOW(syscall(SYS_sched_rr_get_interval, 99999, &slice));
	SHOW(sched_yield());
	IN_CHILD(
		setuid(1000);
		p.sched_priority = 1;
		SHOW(setscheduler(0, SCHED_FIFO, &p));
		p.sched_priority = 0;
		SHOW(setscheduler(0, SCHED_BATCH, &p));
		SHOW(setscheduler(0, SCHED_IDLE, &p));
		SHOW(setscheduler(0, SCHED_OTHER, &p));
		SHOW(setscheduler(getppid(), SCHED_OTHER, &p)));

	uint64_t mask[16] = { 0 };
	CHECK(syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) >= 8);
	printf("%#lx\n", (long)mask[0]);
	SHOW(syscall(SYS_sched_getaffinity, 0, 4, mask));
	SHOW(syscall(SYS_sched_getaffinity, 0, 7, mask));
	SHOW(syscall(SYS_sched_getaffinity, 99999, 128, mask));
	SHOW(syscall(SYS_sched_setaffinity, 0, 8, mask));
	mask[0] = 0;
	SHOW(syscall(SYS_sched_setaffinity, 0, 8, mask));
	mask[0] = 1ul << 63; /* one that there is not */
	SHOW(syscall(SYS_sched_setaffinity, 0, 8, mask));
	mask[0] = 0xff;
	SHOW(syscall(SYS_sched_setaffinity, 0, 4, mask));
	SHOW(syscall(SYS_sched_setaffinity, 0, 0, mask));
	SHOW(syscall(SYS_sched_setaffinity, 0, 8, (void *)1));

	struct attr a;
	memset(&a, 0xff, sizeof a);
	SHOW(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0));
	printf("size %u policy %u flags %lu nice %d priority %u runtime-is-set %d period %lu\n", a.size, a.policy, (long)a.flags, a.nice, a.priority, a.runtime > 0, (long)a.period);
	SHOW(syscall(SYS_sched_getattr, 0, &a, 48, 0));
	SHOW(syscall(SYS_sched_getattr, 0, &a, 47, 0));
	SHOW(syscall(SYS_sched_getattr, 0, &a, sizeof a, 1));
	SHOW(syscall(SYS_sched_getattr, 99999, &a, sizeof a, 0));
	SHOW(syscall(SYS_sched_getattr, 0, NULL, sizeof a, 0));
	memset(&a, 0, sizeof a);
	a.size = 48;
	a.nice = 3;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	SHOW(getpriority(PRIO_PROCESS, 0));
	a.policy = SCHED_FIFO;
	a.priority = 3;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	SHOW(getscheduler(0));
	a.flags = 1;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	SHOW(getscheduler(0));
	a.flags = 1ull << 40;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	a.flags = 0;
	a.policy = 99;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	a.policy = 0;
	a.priority = 0;
	a.nice = 0;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 1));
	a.size = 20;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	a.size = 0;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	SHOW(syscall(SYS_sched_setattr, 0, NULL, 0));

	SHOW(syscall(SYS_ioprio_get, 1, 0));
	SHOW(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3));
	SHOW(syscall(SYS_ioprio_get, 1, 0));
	IN_CHILD(SHOW(syscall(SYS_ioprio_get, 1, 0)));
	SHOW(syscall(SYS_ioprio_set, 1, 0, 1 << 13 | 8));
	SHOW(syscall(SYS_ioprio_set, 1, 0, 4 << 13));
	SHOW(syscall(SYS_ioprio_set, 1, 0, 1));
	SHOW(syscall(SYS_ioprio_set, 9, 0, 0));
	SHOW(syscall(SYS_ioprio_get, 9, 0));
	SHOW(syscall(SYS_ioprio_get, 1, 99999));
	IN_CHILD(setuid(1000); SHOW(syscall(SYS_ioprio_set, 1, 0, 1 << 13)); SHOW(syscall(SYS_ioprio_set, 1, 0, 3 << 13)));
	return 0;
}
