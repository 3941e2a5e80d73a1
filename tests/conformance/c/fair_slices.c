/*
 * Covers: the slices that threads of SCHED_OTHER and SCHED_BATCH ask for (sched_setattr(2)): which are given, what keeps and what inherits
 * them; threads with long ones switch less often, and have no more of the processor.
 */
#include "case.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
#define RESET 1
#define KEEP_POLICY 8
#define KEEP_PARAMETERS 16
#define BATCH 3
#define IDLE 5

static long set(int policy, uint64_t flags, uint64_t slice, int nice)
{
	struct attributes wanted = { sizeof wanted, policy, flags, nice, 0, slice, 77, 88 };
	return syscall(SYS_sched_setattr, 0, &wanted, 0);
}

static uint64_t usual; /* the slice of those who ask for none */

static uint64_t slice_now(void)
{
	struct attributes is = { 0 };
	MUST(syscall(SYS_sched_getattr, 0, &is, sizeof is, 0));
	return is.runtime;
}

static void show(const char *what)
{
	struct attributes is = { 0 };
	MUST(syscall(SYS_sched_getattr, 0, &is, sizeof is, 0));
	printf("%s: policy %u, flags %lu, nice %d, deadline %lu, period %lu, slice ", what, is.policy, is.flags, is.nice, is.deadline, is.period);
	if (is.runtime == usual)
		puts("as usual");
	else
		printf("%lu\n", is.runtime);
}

static void *of_thread(void *what)
{
	show(what);
	return NULL;
}

static void show_children(void)
{
	pthread_t thread;
	IN_CHILD(show("a child"));
	pthread_create(&thread, NULL, of_thread, "a thread");
	pthread_join(thread, NULL);
}

static void ask(void)
{
	usual = slice_now();
	static const uint64_t slices[] = { 1, 99999, 100000, 100001, 3000000, 99999999, 100000000, 100000001, 1ul << 40, 1ul << 63, ~0ul, 0 };
	for (unsigned i = 0; i < sizeof slices / sizeof *slices; i++) {
		SHOW(set(SCHED_OTHER, 0, slices[i], 0));
		show("SCHED_OTHER");
	}
	SHOW(set(BATCH, 0, 5000000, 0));
	show("SCHED_BATCH");
	SHOW(set(IDLE, 0, 7000000, 0));
	show("SCHED_IDLE");
	SHOW(set(SCHED_OTHER, 0, 5000000, 0));
	show("SCHED_OTHER again");
	show_children();
	struct sched_param none = { 0 }, some = { 1 };
	SHOW(syscall(SYS_sched_setscheduler, 0, BATCH, &none));
	show("sched_setscheduler");
	SHOW(syscall(SYS_sched_setparam, 0, &none));
	show("sched_setparam");
	SHOW(setpriority(PRIO_PROCESS, 0, 3));
	show("setpriority");
	SHOW(set(SCHED_OTHER, KEEP_PARAMETERS, 9000000, 7));
	show("KEEP_PARAMETERS");
	SHOW(set(-1, KEEP_POLICY, 9000000, 7));
	SHOW(set(0, KEEP_POLICY, 9000000, 7));
	show("KEEP_POLICY");
	SHOW(set(0, KEEP_POLICY | KEEP_PARAMETERS, 1000000, 1));
	show("both");
	SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &some));
	show("SCHED_FIFO");
	SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &none));
	show("SCHED_OTHER after it");
	SHOW(set(SCHED_OTHER, RESET, 4000000, 7));
	show("RESET_ON_FORK");
	show_children();
	SHOW(set(SCHED_OTHER, 0, 0, 7));
	show("none");
}

static void interval(uint64_t slice)
{
	struct timespec is;
	MUST(set(SCHED_OTHER, 0, slice, 0));
	MUST(sched_rr_get_interval(0, &is));
	printf("sched_rr_get_interval with %lu: %ld.%09ld\n", slice, is.tv_sec, is.tv_nsec);
}

/* Two processes compute on one processor, with slices that they ask for: whether their shares are alike, and the switches
 * of the one with more. */
static int compete_once(uint64_t first, uint64_t second, long *most)
{
	struct times { volatile long used, switches; } *is = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ready[2];
	MUST(pipe(ready));
	for (int i = 0; i < 2; i++) {
		if (MUST(fork()) == 0) {
			cpu_set_t one;
			struct timespec now, used;
			struct rusage usage;
			char c;
			CPU_ZERO(&one);
			CPU_SET(0, &one);
			sched_setaffinity(0, sizeof one, &one);
			MUST(set(SCHED_OTHER, 0, i ? second : first, 0));
			read(ready[0], &c, 1);
			clock_gettime(CLOCK_MONOTONIC, &now);
			long end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + 2000;
			do
				clock_gettime(CLOCK_MONOTONIC, &now);
			while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < end);
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
			getrusage(RUSAGE_SELF, &usage);
			is[i].used = used.tv_sec * 1000 + used.tv_nsec / 1000000;
			is[i].switches = usage.ru_nivcsw;
			_exit(0);
		}
	}
	sleep_ms(50);
	MUST(write(ready[1], "12", 2));
	while (wait(NULL) > 0)
		;
	long all = is[0].used + is[1].used;
	int alike = is[0].used * 10 > all * 3 && is[0].used * 10 < all * 7;
	*most = is[0].switches > is[1].switches ? is[0].switches : is[1].switches;
	munmap(is, PAGE);
	close(ready[0]);
	close(ready[1]);
	return alike;
}

/* While the host stands still, one of them has all the time: one of several attempts is without that. */
static void compete(const char *what, uint64_t first, uint64_t second)
{
	int few = first == 100000000 && second == 100000000, alike = 0;
	long most = 0;
	for (int i = 0; i < 5 && !(alike && (!few || most < 60)); i++)
		alike = compete_once(first, second, &most);
	printf("%s: shares alike %s, %s\n", what, alike ? "yes" : "no",
		!few ? "and more switches" : most < 60 ? "and few switches" : "and many switches");
}

int main(void)
{
	IN_CHILD(ask());
	IN_CHILD(interval(4000000); interval(10000000); interval(100000000); interval(5000000));
	compete("as usual", 0, 0);
	compete("long", 100000000, 100000000);
	compete("short and long", 100000, 100000000);
	compete("as usual and long", 0, 100000000);
	compete("as usual and short", 0, 100000);
	return 0;
}
