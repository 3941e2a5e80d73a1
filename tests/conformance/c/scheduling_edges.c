/* Covers: the calls of sched(7) and setpriority(2) with arguments at the edges: unknown policies and flags, priorities next to their
 * bounds, structures that are too short, too long or of a later version, masks of every length, numbers of nobody.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/resource.h>
#include "case.h"

#define NOBODY 4000000
#define RESET_ON_FORK 0x40000000

struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t least, most;
	uint64_t more[8];
};

static const char *result(long r)
{
	static char text[4][24];
	static int next;
	char *here = text[next++ % 4];
	if (r == -1)
		return error_name(errno);
	snprintf(here, sizeof text[0], "%ld", r);
	return here;
}

static void normal(void)
{
	struct sched_param none = { 0 };
	MUST(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &none));
	MUST(setpriority(PRIO_PROCESS, 0, 0));
}

static void show_now(void)
{
	struct sched_param now = { -1 };
	long policy = syscall(SYS_sched_getscheduler, 0);
	syscall(SYS_sched_getparam, 0, &now);
	printf("[%ld %d %d]", policy, now.sched_priority, getpriority(PRIO_PROCESS, 0));
}

static void policies(void)
{
	static const int all[] = { -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1000, RESET_ON_FORK, RESET_ON_FORK | 1, RESET_ON_FORK | 3, 0x20000000,
		0x40000001 | 0x20000000, -0x7fffffff - 1, 0x7fffffff };
	static const int priorities[] = { -1, 0, 1, 2, 99, 100, 0x7fffffff, -0x7fffffff - 1 };
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		printf("policy %d: max %s, min %s;", all[i], result(syscall(SYS_sched_get_priority_max, all[i])),
		       result(syscall(SYS_sched_get_priority_min, all[i])));
		for (size_t j = 0; j < sizeof priorities / sizeof priorities[0]; j++) {
			struct sched_param param = { priorities[j] };
			printf(" %d:%s", priorities[j], result(syscall(SYS_sched_setscheduler, 0, all[i], &param)));
			show_now();
			normal();
		}
		putchar('\n');
	}
	for (int policy = 0; policy < 6; policy++) {
		if (policy == 4)
			continue;
		struct sched_param start = { policy == 1 || policy == 2 };
		MUST(syscall(SYS_sched_setscheduler, 0, policy, &start));
		printf("param under %d:", policy);
		for (size_t j = 0; j < sizeof priorities / sizeof priorities[0]; j++) {
			struct sched_param param = { priorities[j] };
			printf(" %d:%s", priorities[j], result(syscall(SYS_sched_setparam, 0, &param)));
			show_now();
		}
		struct timespec interval = { -1, -1 };
		MUST(syscall(SYS_sched_setscheduler, 0, policy, &start));
		printf(" interval %s", result(syscall(SYS_sched_rr_get_interval, 0, &interval)));
		printf(policy == 1 || policy == 2 ? " %ld.%09ld\n" : "\n", (long)interval.tv_sec, interval.tv_nsec);
		normal();
	}
}

static void numbers(void)
{
	static const int pids[] = { -1, NOBODY, 0x7fffffff, -0x7fffffff - 1 };
	struct sched_param param = { 0 };
	struct timespec interval;
	struct attributes attributes = { .size = 48 };
	unsigned long mask = 1;
	for (size_t i = 0; i < sizeof pids / sizeof pids[0]; i++) {
		int pid = pids[i];
		printf("%d:", pid);
		printf(" %s", result(syscall(SYS_sched_setscheduler, pid, 0, &param)));
		printf(" %s", result(syscall(SYS_sched_setscheduler, pid, 77, &param)));
		printf(" %s", result(syscall(SYS_sched_getscheduler, pid)));
		printf(" %s", result(syscall(SYS_sched_setparam, pid, &param)));
		printf(" %s", result(syscall(SYS_sched_getparam, pid, &param)));
		printf(" %s", result(syscall(SYS_sched_getparam, pid, 0)));
		printf(" %s", result(syscall(SYS_sched_rr_get_interval, pid, &interval)));
		printf(" %s", result(syscall(SYS_sched_setattr, pid, &attributes, 0)));
		printf(" %s", result(syscall(SYS_sched_getattr, pid, &attributes, 48, 0)));
		printf(" %s", result(syscall(SYS_sched_setaffinity, pid, 8, &mask)));
		printf(" %s", result(syscall(SYS_sched_getaffinity, pid, 8, &mask)));
		for (int which = -1; which < 4; which++)
			printf(" %s/%s", result(syscall(SYS_getpriority, which, pid)), result(syscall(SYS_setpriority, which, pid, 0)));
		putchar('\n');
	}
	SHOW(syscall(SYS_sched_setscheduler, 0, 0, 0));
	SHOW(syscall(SYS_sched_setscheduler, 0, 0, 1));
	SHOW(syscall(SYS_sched_setscheduler, -1, 0, 0));
	SHOW(syscall(SYS_sched_setparam, 0, 0));
	SHOW(syscall(SYS_sched_setparam, 0, 1));
	SHOW(syscall(SYS_sched_getparam, 0, 0));
	SHOW(syscall(SYS_sched_getparam, 0, 1));
	SHOW(syscall(SYS_sched_rr_get_interval, 0, 0));
	SHOW(syscall(SYS_sched_setattr, 0, 0, 0));
	SHOW(syscall(SYS_sched_setattr, 0, 1, 0));
	SHOW(syscall(SYS_sched_getattr, 0, 0, 48, 0));
	SHOW(syscall(SYS_sched_getattr, 0, 1, 48, 0));
	SHOW(syscall(SYS_sched_setaffinity, 0, 8, 0));
	SHOW(syscall(SYS_sched_getaffinity, 0, 8, 0));
}

static long set(struct attributes *a, unsigned flags)
{
	return syscall(SYS_sched_setattr, 0, a, flags);
}

static void structures(void)
{
	static const unsigned sizes[] = { 0, 1, 4, 16, 47, 48, 49, 52, 55, 56, 57, 64, 72, 120 };
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct attributes a = { .size = sizes[i], .policy = SCHED_BATCH, .nice = 3 };
		long r = set(&a, 0);
		printf("set with size %u: %s, size is %u", sizes[i], result(r), a.size);
		show_now();
		normal();
		a = (struct attributes){ .size = sizes[i] };
		a.more[0] = 1;
		r = set(&a, 0);
		printf("; with more: %s, size is %u", result(r), a.size);
		struct attributes got;
		memset(&got, 0xee, sizeof got);
		r = syscall(SYS_sched_getattr, 0, &got, sizes[i], 0);
		printf("; get: %s", result(r));
		if (r == 0)
			printf(", size %u, policy %u, flags %lx, nice %d, priority %u, least %x, most %x", got.size, got.policy,
			       (unsigned long)got.flags, got.nice, got.priority, got.least, got.most);
		putchar('\n');
	}
	char page[8192] __attribute__((aligned(4096))) = "";
	static const unsigned large[] = { 4095, 4096, 4097, 8192, 0x7fffffff, 0xffffffff };
	for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
		((struct attributes *)page)->size = large[i];
		printf("size %u: set %s", large[i], result(set((struct attributes *)page, 0)));
		printf(", get %s\n", result(syscall(SYS_sched_getattr, 0, page, large[i], 0)));
		memset(page, 0, sizeof page);
	}
	for (int bit = 0; bit < 12; bit++) {
		struct attributes a = { .size = 48, .policy = SCHED_OTHER, .flags = 1UL << bit };
		struct attributes got = { 0 };
		printf("flag %x: %s", 1 << bit, result(set(&a, 0)));
		syscall(SYS_sched_getattr, 0, &got, 56, 0);
		printf(", then %lx;", (unsigned long)got.flags);
		a.size = 56;
		printf(" long %s;", result(set(&a, 0)));
		printf(" call's flag %s", result(set(&a, 1U << bit)));
		printf(" %s\n", result(syscall(SYS_sched_getattr, 0, &got, 56, 1U << bit)));
		normal();
	}
	static const int nices[] = { -21, -20, -1, 0, 19, 20, 40, 0x7fffffff, -0x7fffffff - 1 };
	for (size_t i = 0; i < sizeof nices / sizeof nices[0]; i++) {
		struct attributes a = { .size = 48, .nice = nices[i] };
		printf("nice %d: %s", nices[i], result(set(&a, 0)));
		show_now();
		a.policy = SCHED_IDLE;
		printf(" %s", result(set(&a, 0)));
		show_now();
		normal();
		a.policy = SCHED_FIFO;
		a.priority = 1;
		printf(" %s", result(set(&a, 0)));
		show_now();
		normal();
		printf(" %s", result(setpriority(PRIO_PROCESS, 0, nices[i])));
		show_now();
		normal();
		putchar('\n');
	}
	struct attributes deadline[] = {
		{ .size = 48, .policy = 6 },
		{ .size = 48, .policy = 6, .runtime = 1 << 20, .deadline = 1 << 19, .period = 1 << 21 },
		{ .size = 48, .policy = 6, .runtime = 1023, .deadline = 1 << 20, .period = 1 << 20 },
		{ .size = 48, .policy = 6, .runtime = 1 << 20, .deadline = 1 << 21, .period = 1 << 20 },
		{ .size = 48, .policy = 6, .runtime = 1 << 20, .deadline = 1UL << 63, .period = 0 },
		{ .size = 48, .policy = 6, .priority = 1, .runtime = 1 << 20, .deadline = 1 << 21, .period = 1 << 21 },
		{ .size = 48, .policy = -1 },
		{ .size = 48, .policy = 0, .priority = 1 },
		{ .size = 48, .policy = 0, .runtime = 1, .deadline = 2, .period = 3 },
	};
	for (size_t i = 0; i < sizeof deadline / sizeof deadline[0]; i++) {
		printf("attributes %zu: %s", i, result(set(&deadline[i], 0)));
		show_now();
		putchar('\n');
		normal();
	}
}

static void masks(void)
{
	static const unsigned lengths[] = { 0, 1, 2, 4, 7, 8, 9, 12, 15, 16, 24, 128, 1000, 4096, 0x1fffffff, 0x20000000, 0x20000008, 0x60000000, 0x7fffffff, 0x80000000, 0xffffffff };
	static unsigned char mask[8192] __attribute__((aligned(8)));
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		memset(mask, 0, sizeof mask);
		long r = syscall(SYS_sched_getaffinity, 0, lengths[i], mask);
		printf("mask of %u: get %s, first %d", lengths[i], result(r), mask[0]);
		memset(mask, 0xff, sizeof mask);
		printf("; set all %s", result(syscall(SYS_sched_setaffinity, 0, lengths[i], mask)));
		memset(mask, 0, sizeof mask);
		printf(", none %s", result(syscall(SYS_sched_setaffinity, 0, lengths[i], mask)));
		mask[7] = 1;
		printf(", far %s", result(syscall(SYS_sched_setaffinity, 0, lengths[i], mask)));
		mask[0] = 1;
		printf(", both %s\n", result(syscall(SYS_sched_setaffinity, 0, lengths[i], mask)));
	}
}

/* What a user without privileges may do. */
static void user(void)
{
	struct rlimit nice = { 22, 22 }, realtime = { 5, 5 };
	MUST(setrlimit(RLIMIT_NICE, &nice));
	MUST(setrlimit(RLIMIT_RTPRIO, &realtime));
	MUST(setuid(1000));
	for (int n = -4; n < 4; n++)
		SHOW(setpriority(PRIO_PROCESS, 0, n));
	SHOW(setpriority(PRIO_PROCESS, 0, -2));
	for (int p = 4; p < 7; p++) {
		struct sched_param param = { p };
		printf("%d: ", p);
		SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_RR, &param));
	}
	struct sched_param none = { 0 }, three = { 3 }, five = { 5 };
	SHOW(syscall(SYS_sched_setparam, 0, &three));
	SHOW(syscall(SYS_sched_setparam, 0, &five));
	realtime.rlim_cur = 0;
	MUST(setrlimit(RLIMIT_RTPRIO, &realtime));
	SHOW(syscall(SYS_sched_setparam, 0, &three));
	SHOW(syscall(SYS_sched_setparam, 0, &five));
	SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &three));
	SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &none));
	SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &none));
	SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER | RESET_ON_FORK, &none));
	SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &none));
	SHOW(syscall(SYS_sched_getscheduler, 0));
	unsigned long mask = 1;
	SHOW(syscall(SYS_sched_setscheduler, 1, SCHED_OTHER, &none));
	SHOW(syscall(SYS_sched_setaffinity, 1, 8, &mask));
	SHOW(syscall(SYS_sched_getaffinity, 1, 8, &mask));
	SHOW(setpriority(PRIO_PROCESS, 1, 0));
	SHOW(setpriority(PRIO_PROCESS, 1, 5));
	SHOW(setpriority(PRIO_USER, 0, 5));
}

int main(void)
{
	policies();
	numbers();
	structures();
	masks();
	IN_CHILD({ user(); });
	return 0;
}
