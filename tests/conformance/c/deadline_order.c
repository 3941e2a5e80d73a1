/*
 * Covers: SCHED_DEADLINE while threads run: who goes first, budgets and their replenishment, sched_yield, SIGXCPU (SCHED_FLAG_DL_OVERRUN),
 * reclaimed time (SCHED_FLAG_RECLAIM), locks with priority inheritance.
 */
#define _GNU_SOURCE
#include "case.h"
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>

struct attr { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; uint32_t low, high; };

#define DEADLINE 6
#define RECLAIM 2
#define OVERRUN 4
#define MS 1000000ul

static long set(uint64_t flags, uint64_t runtime, uint64_t deadline, uint64_t period)
{
	struct attr a = { sizeof a, DEADLINE, flags, 0, 0, runtime, deadline, period, 0, 0 };
	return syscall(SYS_sched_setattr, 0, &a, 0);
}

/* The bandwidth of one that has ended is free again at the end of its period. */
static void set_soon(uint64_t flags, uint64_t runtime, uint64_t deadline, uint64_t period)
{
	for (int i = 0; i < 2000 && set(flags, runtime, deadline, period) != 0; i++) {
		if (errno != EBUSY) {
			printf("sched_setattr: %s\n", error_name(errno));
			return;
		}
		sleep_ms(10);
	}
}

static void be_ordinary(void)
{
	struct sched_param p = { 0 };
	syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &p);
}

static uint64_t now_of(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void write_setting(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static void bind_to_one(void)
{
	/* A machine of one processor is what this case is about. */
	uint64_t all = 0;
	syscall(SYS_sched_getaffinity, 0, 8, &all);
	if (all != 1) {
		printf("not on several processors\n");
		exit(0);
	}
}

static long futex(volatile uint32_t *word, int operation, uint32_t value)
{
	return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static volatile uint32_t gate, ready;
static volatile int order[8], places;

struct runner { int number; uint64_t deadline; };

static void *wait_for_gate(void *argument)
{
	struct runner *me = argument;
	set_soon(0, 4000 * MS, me->deadline, me->deadline);
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (gate == 0)
		futex(&gate, FUTEX_WAIT_PRIVATE, 0);
	order[__atomic_fetch_add(&places, 1, __ATOMIC_SEQ_CST)] = me->number;
	be_ordinary();
	return NULL;
}

static void earliest_first(const uint64_t *deadlines, int count)
{
	printf("== the earliest deadline first\n");
	pthread_t threads[8];
	struct runner runners[8];
	gate = ready = 0;
	places = 0;
	for (int i = 0; i < count; i++) {
		runners[i] = (struct runner){ i, deadlines[i] };
		pthread_create(&threads[i], NULL, wait_for_gate, &runners[i]);
		while (ready != (uint32_t)i + 1)
			sleep_ms(2);
		sleep_ms(10);
	}
	gate = 1;
	futex(&gate, FUTEX_WAKE_PRIVATE, INT_MAX);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < count; i++)
		printf("%d ", order[i]);
	printf("\n");
}

static volatile int stop;
static volatile uint64_t counted;

static void *count_up(void *unused)
{
	while (!stop)
		counted++;
	return NULL;
}

/* The part of the time that a thread gets that computes, in thousandths, over some of its periods. */
static uint64_t part_of_time(uint64_t flags, uint64_t runtime, uint64_t period)
{
	set_soon(flags, runtime, period, period);
	uint64_t begin = now_of(CLOCK_MONOTONIC), used = now_of(CLOCK_THREAD_CPUTIME_ID), end;
	while ((end = now_of(CLOCK_MONOTONIC)) - begin < 12 * period)
		;
	used = now_of(CLOCK_THREAD_CPUTIME_ID) - used;
	be_ordinary();
	return used * 1000 / (end - begin);
}

static int is_within(uint64_t flags, uint64_t runtime, uint64_t period, uint64_t least, uint64_t most)
{
	uint64_t part = 0;
	for (int i = 0; i < 20; i++) {
		part = part_of_time(flags, runtime, period);
		if (least <= part && part <= most)
			return 1;
	}
	printf("%lu thousandths\n", (long)part);
	return 0;
}

static void budgets(void)
{
	printf("== budgets\n");
	stop = 0;
	counted = 0;
	pthread_t other;
	pthread_create(&other, NULL, count_up, NULL);
	CHECK(is_within(0, 20 * MS, 100 * MS, 150, 250));
	CHECK(is_within(0, 50 * MS, 100 * MS, 430, 570));
	CHECK(is_within(RECLAIM, 20 * MS, 100 * MS, 500, 1000));
	CHECK(counted > 0);
	stop = 1;
	pthread_join(other, NULL);
	CHECK(is_within(0, 20 * MS, 100 * MS, 150, 250)); /* no matter whether anybody else wants the time */
}

static void yields(void)
{
	printf("== sched_yield\n");
	set_soon(0, 10 * MS, 40 * MS, 40 * MS);
	uint64_t begin = now_of(CLOCK_MONOTONIC);
	for (int i = 0; i < 6; i++)
		SHOW(sched_yield());
	uint64_t end = now_of(CLOCK_MONOTONIC);
	be_ordinary();
	CHECK(end - begin >= 5 * 40 * MS);
}

static volatile sig_atomic_t signals, code;

static void on_signal(int number, siginfo_t *info, void *unused)
{
	signals++;
	code = info->si_code;
}

static void overruns(void)
{
	printf("== SIGXCPU\n");
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	sigaction(SIGXCPU, &action, NULL);
	set_soon(OVERRUN, 5 * MS, 50 * MS, 50 * MS);
	uint64_t begin = now_of(CLOCK_MONOTONIC);
	while (signals < 3 && now_of(CLOCK_MONOTONIC) - begin < 30000 * MS)
		;
	CHECK(signals >= 3);
	printf("code %#x\n", (int)code);
	set_soon(0, 5 * MS, 50 * MS, 50 * MS);
	sched_yield();
	signals = 0;
	begin = now_of(CLOCK_MONOTONIC);
	while (now_of(CLOCK_MONOTONIC) - begin < 300 * MS)
		;
	printf("without the flag %d\n", (int)signals);
	be_ordinary();
}

static volatile uint32_t lock_word;
static volatile int has_lock, wants_lock, hog_stops;
static int boosted_priority;

static int own_priority(void)
{
	char text[1024], path[64], *at;
	snprintf(path, sizeof path, "/proc/self/task/%ld/stat", syscall(SYS_gettid));
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strrchr(text, ')') + 2;
	for (int field = 3; field < 18; field++)
		at += strcspn(at, " ") + 1;
	return atoi(at);
}

static void *hold_lock(void *unused)
{
	futex(&lock_word, FUTEX_LOCK_PI_PRIVATE, 0);
	has_lock = 1;
	while (!(lock_word & FUTEX_WAITERS))
		sched_yield();
	boosted_priority = own_priority();
	futex(&lock_word, FUTEX_UNLOCK_PI_PRIVATE, 0);
	return NULL;
}

static void *hog(void *unused)
{
	struct sched_param p = { 50 };
	syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p);
	while (!hog_stops)
		;
	return NULL;
}

static void *want_lock(void *unused)
{
	set_soon(0, 20 * MS, 500 * MS, 500 * MS);
	sleep_ms(50); /* the hog runs by then */
	SHOW(futex(&lock_word, FUTEX_LOCK_PI_PRIVATE, 0));
	hog_stops = 1;
	futex(&lock_word, FUTEX_UNLOCK_PI_PRIVATE, 0);
	be_ordinary();
	return NULL;
}

static void inheritance(void)
{
	printf("== priority inheritance\n");
	pthread_t holder, second, third;
	pthread_create(&holder, NULL, hold_lock, NULL);
	while (!has_lock)
		sleep_ms(2);
	pthread_create(&third, NULL, want_lock, NULL);
	pthread_create(&second, NULL, hog, NULL);
	pthread_join(holder, NULL);
	pthread_join(second, NULL);
	pthread_join(third, NULL);
	printf("the holder's priority was %d\n", boosted_priority);
}

static void before_real_time(void)
{
	printf("== before a real-time thread\n");
	hog_stops = 0;
	pthread_t runs;
	set_soon(0, 20 * MS, 200 * MS, 200 * MS);
	struct attr a = { sizeof a, DEADLINE, 1, 0, 0, 20 * MS, 200 * MS, 200 * MS, 0, 0 };
	MUST(syscall(SYS_sched_setattr, 0, &a, 0)); /* so that it may make a thread */
	pthread_create(&runs, NULL, hog, NULL);
	for (int i = 0; i < 5; i++)
		sleep_ms(20); /* each time it comes back, though another of priority 50 never sleeps */
	hog_stops = 1;
	pthread_join(runs, NULL);
	be_ordinary();
	printf("it came back\n");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	bind_to_one();
	/* So long that the host may stand still meanwhile: the order stays the same. */
	static const uint64_t down[] = { 1000000 * MS, 400000 * MS, 100000 * MS }, mixed[] = { 200000 * MS, 100000 * MS, 1000000 * MS, 50000 * MS };
	budgets();
	yields();
	overruns();
	inheritance();
	before_real_time();
	/* Last: what these threads had is not given away again before their deadlines. */
	write_setting("/proc/sys/kernel/sched_deadline_period_max_us", "2000000000");
	earliest_first(down, 3);
	earliest_first(mixed, 4);
	write_setting("/proc/sys/kernel/sched_deadline_period_max_us", "4194304");
	return 0;
}
