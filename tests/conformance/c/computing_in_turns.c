/* Covers: processes that compute for a millisecond, wake each other over pipes and wait, beside one that computes without end, all on
 * one processor: everybody gets a part of it. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/resource.h>
#include "case.h"

#define MOST 4

static void bind_to_first(void)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	MUST(sched_setaffinity(0, sizeof one, &one));
}

static double used(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Wait for the one before, compute, wake the next. */
static pid_t member(int from, int to, int milliseconds)
{
	pid_t child = (pid_t)MUST(fork());
	if (child > 0)
		return child;
	char turn;
	while (read(from, &turn, 1) == 1) {
		double began = used();
		while (used() - began < milliseconds / 1e3)
			;
		if (write(to, &turn, 1) != 1)
			break;
	}
	_exit(1);
}

static pid_t loop(int nice_value)
{
	pid_t child = (pid_t)MUST(fork());
	if (child > 0)
		return child;
	if (nice_value != 0)
		MUST(setpriority(PRIO_PROCESS, 0, nice_value));
	for (;;)
		;
}

/* What a process has used, in seconds, when it has been killed. */
static double ended(pid_t child)
{
	struct rusage usage;
	int status;
	MUST(wait4(child, &status, 0, &usage));
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int is_within(double part, double least, double most) { return part * 100 >= least && part * 100 <= most; }

/* Whether a part in percent lies between two bounds; printed only if it does not, as it differs from run to run. */
static void show(const char *what, double part, double least, double most)
{
	int is_right = is_within(part, least, most);
	printf("  %s: %s", what, is_right ? "its part\n" : "");
	if (!is_right)
		printf("%d percent\n", (int)(part * 100));
}

/* A ring of processes beside a loop: what part of the time the loop has, and the least that one of the ring has. */
static void measure(int count, int milliseconds, int nice_value, double *part_of_loop, double *least_part)
{
	int pipes[MOST][2];
	pid_t children[MOST];
	fflush(stdout);
	for (int i = 0; i < count; i++)
		MUST(pipe(pipes[i]));
	for (int i = 0; i < count; i++)
		children[i] = member(pipes[i][0], pipes[(i + 1) % count][1], milliseconds);
	pid_t busy = loop(nice_value);
	MUST(write(pipes[0][1], "x", 1));
	sleep_ms(2500);
	MUST(kill(busy, SIGKILL));
	for (int i = 0; i < count; i++)
		MUST(kill(children[i], SIGKILL));
	double of_loop = ended(busy), of_all = of_loop, lowest = 1e9;
	for (int i = 0; i < count; i++) {
		double one = ended(children[i]);
		of_all += one;
		lowest = one < lowest ? one : lowest;
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	*part_of_loop = of_loop / of_all;
	*least_part = lowest / of_all;
}

/* A host that stands still for a second gives that to whoever has the processor: so there are several attempts. */
static void beside(const char *what, int count, int milliseconds, int nice_value, double least, double most, double least_of_ring)
{
	double of_loop = 0, lowest = 0;
	printf("%s\n", what);
	for (int tries = 0; tries < 4; tries++) {
		measure(count, milliseconds, nice_value, &of_loop, &lowest);
		if (is_within(of_loop, least, most) && is_within(lowest, least_of_ring, 100))
			break;
	}
	show("the loop", of_loop, least, most);
	show("the least of the ring", lowest, least_of_ring, 100);
}

int main(void)
{
	bind_to_first();
	beside("a pair", 2, 1, 0, 25, 65, 15);
	beside("a pair, 3 ms each", 2, 3, 0, 25, 65, 15);
	beside("three", 3, 1, 0, 18, 65, 10);
	beside("a pair beside a loop of nice 5", 2, 1, 5, 8, 35, 25);
	beside("a pair beside a loop of nice -6", 2, 1, -6, 50, 85, 5);
	return 0;
}
