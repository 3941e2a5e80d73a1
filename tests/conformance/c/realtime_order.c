/* Covers: SCHED_RR and SCHED_FIFO threads that compute, beside others: whom they leave nothing, on one processor and on all. */
#define _GNU_SOURCE
#include <sched.h>
#include "case.h"

#define MOST 64

/* musl refuses to have it. */
#define sched_setscheduler(...) syscall(SYS_sched_setscheduler, __VA_ARGS__)

static volatile long *progress;
static volatile int *begun;

static double used(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void bind_to_first(void)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	MUST(sched_setaffinity(0, sizeof one, &one));
}

static pid_t start(int number, int policy, int priority)
{
	struct sched_param parameters = { priority };
	pid_t child = (pid_t)MUST(fork());
	if (child > 0)
		return child;
	MUST(sched_setscheduler(0, policy, &parameters));
	++*begun;
	while (*begun >= 0 && *begun < 1000)
		sleep_ms(1);
	for (;;)
		progress[number]++;
}

/* A thread whose slices end goes on: only its equals get the next one. */
static void slices(void)
{
	IN_CHILD(
		struct sched_param parameters = { 10 };
		bind_to_first();
		*begun = 1000;
		pid_t ordinary = start(0, SCHED_OTHER, 0);
		while (progress[0] == 0)
			sleep_ms(1);
		MUST(sched_setscheduler(0, SCHED_RR, &parameters));
		/* When the host stands still meanwhile, that uses up what real-time threads may take: so there are several attempts. */
		int waits = 0;
		double began;
		for (int tries = 0; tries < 5 && !waits; tries++) {
			if (tries > 0)
				sleep_ms(1100);
			long before = progress[0];
			began = used();
			while (used() - began < 0.45)
				;
			waits = progress[0] == before;
		}
		printf("an ordinary program beside SCHED_RR: %s\n", waits ? "waits" : "runs");
		pid_t equal = start(1, SCHED_RR, 10);
		/* What the host takes counts as used, and not as a slice that has ended. */
		for (int tries = 0; tries < 5 && progress[1] == 0; tries++) {
			began = used();
			while (used() - began < 0.3)
				;
		}
		printf("an equal one: %s\n", progress[1] == 0 ? "waits" : "runs");
		kill(ordinary, SIGKILL);
		kill(equal, SIGKILL);
		show_end(ordinary);
		show_end(equal));
}

/* As many as there are processors run, and one waits: the least urgent one. */
static void order(void)
{
	IN_CHILD(
		struct sched_param parameters = { 90 };
		int count = (int)sysconf(_SC_NPROCESSORS_ONLN);
		pid_t children[MOST + 1];
		if (count > MOST)
			count = MOST;
		MUST(sched_setscheduler(0, SCHED_FIFO, &parameters));
		*begun = 0;
		for (int i = 0; i <= count; i++) {
			progress[i] = 0;
			children[i] = start(i, SCHED_FIFO, 10 + i);
		}
		while (*begun <= count)
			sleep_ms(1);
		*begun = 1000;
		int running = 0;
		for (int turn = 0; turn < 1500 && running < count; turn++) {
			sleep_ms(turn == 0 ? 60 : 20);
			running = 0;
			for (int i = 1; i <= count; i++)
				running += progress[i] > 0;
		}
		/* Where a processor stands still, the least urgent one may run on it until it hears of another: so there are several attempts. */
		int waits = 0;
		for (int tries = 0; tries < 10 && !waits; tries++) {
			long least = progress[0];
			sleep_ms(160);
			waits = progress[0] == least;
		}
		printf("the others run: %d, the least urgent waits: %d\n", running == count, waits);
		for (int i = 0; i <= count; i++)
			kill(children[i], SIGKILL);
		for (int i = 0; i <= count; i++)
			waitpid(children[i], 0, 0));
}

int main(void)
{
	progress = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	begun = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sleep_ms(1100); /* a period without real-time threads: an earlier program may have used what they may take */
	slices();
	order();
	return 0;
}
