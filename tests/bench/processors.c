/* What a second processor brings, a row a call: `processors ROW`. Prints one number, whose unit processors.py says.
 *
 * compute-N: N processes count; pairs-N: N pairs send each other a byte; yield…-N: N processes yield in turns; bound: ten
 * yield on the last processor while a thousand do on the first; share-N: N processes count for two seconds.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORK 100000000L
#define TRIPS 4000
#define YIELDS 40000
#define SHARE_SECONDS 2

struct shared {
	atomic_int begun;
	atomic_int may_go;
	atomic_int over;
	atomic_long done[1024];
};

static struct shared *shared;
static pid_t children[2048];
static int child_count;

static long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void bind_to(int number)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(number, &one);
	if (sched_setaffinity(0, sizeof one, &one) != 0)
		abort();
}

/* A child, which begins when all are there. */
static int start(void)
{
	pid_t child = fork();
	if (child < 0)
		abort();
	if (child > 0) {
		children[child_count++] = child;
		return 0;
	}
	shared->begun++;
	while (!shared->may_go)
		usleep(2000);
	return 1;
}

static long go(void)
{
	while (shared->begun < child_count)
		usleep(2000);
	usleep(20000);
	shared->may_go = 1;
	return now();
}

static void wait_for_all(void)
{
	for (int i = 0; i < child_count; i++)
		waitpid(children[i], 0, 0);
}

static void count(long times)
{
	for (volatile long i = 0; i < times; i++)
		;
}

static long compute(int processes)
{
	for (int i = 0; i < processes; i++)
		if (start()) {
			count(WORK / 2);
			_exit(0);
		}
	long began = now();
	go();
	wait_for_all();
	return (now() - began) / 1000;
}

static long pairs(int count_of_pairs)
{
	for (int i = 0; i < count_of_pairs; i++) {
		int there[2], back[2];
		char byte = 0;
		if (pipe(there) != 0 || pipe(back) != 0)
			abort();
		if (start()) {
			for (int k = 0; k < TRIPS; k++)
				if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
					abort();
			_exit(0);
		}
		if (start()) {
			for (int k = 0; k < TRIPS; k++)
				if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
					abort();
			_exit(0);
		}
	}
	long began = go();
	wait_for_all();
	return (now() - began) / TRIPS / count_of_pairs;
}

static long yields(int processes, int policy)
{
	struct sched_param parameters = {policy == SCHED_OTHER ? 0 : 5};
	if (syscall(SYS_sched_setscheduler, 0, policy, &parameters) != 0) /* children inherit it */
		abort();
	for (int i = 0; i < processes; i++)
		if (start()) {
			for (int k = 0; k < YIELDS / processes; k++)
				sched_yield();
			_exit(0);
		}
	long began = go();
	wait_for_all();
	return (now() - began) / YIELDS;
}

static long bound(int others)
{
	int last = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	for (int i = 0; i < others; i++)
		if (start()) {
			bind_to(0);
			while (!shared->over)
				sched_yield();
			_exit(0);
		}
	for (int i = 0; i < 10; i++)
		if (start()) {
			bind_to(last);
			for (int k = 0; k < YIELDS / 10; k++)
				sched_yield();
			_exit(0);
		}
	long began = go();
	for (int i = others; i < child_count; i++)
		waitpid(children[i], 0, 0);
	long took = now() - began;
	shared->over = 1;
	wait_for_all();
	return took / YIELDS;
}

/* How much the one that got least has of what the one has that got most, in thousandths. */
static long share(int processes)
{
	for (int i = 0; i < processes; i++)
		if (start()) {
			while (!shared->over) {
				count(1000);
				shared->done[i]++;
			}
			_exit(0);
		}
	go();
	sleep(SHARE_SECONDS);
	shared->over = 1;
	wait_for_all();
	long least = shared->done[0], most = shared->done[0];
	for (int i = 1; i < processes; i++) {
		least = shared->done[i] < least ? shared->done[i] : least;
		most = shared->done[i] > most ? shared->done[i] : most;
	}
	return least * 1000 / (most > 0 ? most : 1);
}

int main(int argument_count, char **words)
{
	char *dash = argument_count == 2 ? strrchr(words[1], '-') : 0;
	if (dash == 0)
		return 2;
	*dash = 0;
	int number = atoi(dash + 1);
	char *row = words[1];
	shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long value = strcmp(row, "compute") == 0    ? compute(number)
	             : strcmp(row, "pairs") == 0    ? pairs(number)
	             : strcmp(row, "yield") == 0    ? yields(number, SCHED_OTHER)
	             : strcmp(row, "yield-rr") == 0 ? yields(number, SCHED_RR)
	             : strcmp(row, "bound") == 0    ? bound(number)
	             : strcmp(row, "share") == 0    ? share(number)
	                                            : -1;
	printf("%ld\n", value);
	return value < 0;
}
