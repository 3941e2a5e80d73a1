/*
 * Covers: what real-time programs may take: sched_rt_period_us and sched_rt_runtime_us, a SCHED_FIFO loop beside an ordinary program,
 * RLIMIT_RTTIME, RLIMIT_RTPRIO, RLIMIT_NICE.
 */
#include <grp.h>
#include <sched.h>
#include <sys/resource.h>
#include "case.h"

/* musl refuses to have it. */
#define sched_setscheduler(...) syscall(SYS_sched_setscheduler, __VA_ARGS__)
#define sched_getscheduler(...) syscall(SYS_sched_getscheduler, __VA_ARGS__)
#define PERIOD "/proc/sys/kernel/sched_rt_period_us"
#define RUNTIME "/proc/sys/kernel/sched_rt_runtime_us"

static void user(void)
{
	MUST(setgroups(0, 0));
	MUST(setgid(1000));
	MUST(setuid(1000));
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	int result = (int)write(fd, text, strlen(text)), error = errno;
	close(fd);
	errno = error;
	return result;
}

static void settings(void)
{
	show_file(PERIOD);
	show_file(RUNTIME);
	SHOW(put(RUNTIME, "1000001"));
	SHOW(put(RUNTIME, "-2"));
	SHOW(put(RUNTIME, "x"));
	SHOW(put(RUNTIME, "900000"));
	SHOW(put(PERIOD, "899999"));
	SHOW(put(PERIOD, "0"));
	SHOW(put(PERIOD, "-1"));
	SHOW(put(PERIOD, "900000"));
	show_file(PERIOD);
	show_file(RUNTIME);
	SHOW(put(PERIOD, "1000000"));
	SHOW(put(RUNTIME, "-1"));
	show_file(RUNTIME);
	SHOW(put(RUNTIME, "950000"));
	show_file(PERIOD);
	show_file(RUNTIME);
	IN_CHILD(user(); SHOW(put(RUNTIME, "-1")); SHOW(put(PERIOD, "1")));
}

static double used(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* A loop that never sleeps, of the highest priority; beside it, this program gets some work done and stops it. */
static void loop(int policy, int count)
{
	pid_t children[2];
	struct sched_param parameters = { 99 };
	printf("policy %d, %d loops\n", policy, count);
	fflush(stdout);
	for (int i = 0; i < count; i++) {
		children[i] = (pid_t)MUST(fork());
		if (children[i] == 0) {
			MUST(sched_setscheduler(0, policy, &parameters));
			for (;;)
				;
		}
	}
	double start = now(), worked = used();
	while (now() - start < 1.0)
		; /* let it have what it can get */
	worked = used();
	while (used() - worked < 0.03 && now() - start < 15)
		;
	CHECK(used() - worked >= 0.03);
	for (int i = 0; i < count; i++) {
		kill(children[i], SIGKILL);
		show_end(children[i]);
	}
}

static volatile int warnings;
static void warned(int signal) { warnings++; }

static void time_limit(void)
{
	puts("RLIMIT_RTTIME");
	IN_CHILD(
		struct rlimit limit = { 20000, 5000000 }; /* a host that stands still uses it, too */
		struct sched_param parameters = { 1 };
		signal(SIGXCPU, warned);
		MUST(setrlimit(RLIMIT_RTTIME, &limit));
		double start = now();
		while (now() - start < 0.3)
			; /* it is no real-time program yet */
		printf("warnings before: %d\n", warnings);
		MUST(sched_setscheduler(0, SCHED_FIFO, &parameters));
		start = now();
		while (!warnings && now() - start < 30)
			;
		printf("warnings: %d\n", warnings);
		MUST(getrlimit(RLIMIT_RTTIME, &limit));
		printf("limits %lld %lld\n", (long long)limit.rlim_cur, (long long)limit.rlim_max);
		fflush(stdout);
		while (now() - start < 30)
			;
		puts("still here"));
	/* When the host stands still, that uses up the limit as well: so there are several attempts. */
	int status = 1;
	for (int tries = 0; tries < 5 && status != 0; tries++) {
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			struct rlimit limit = { 2000000, 2000000 };
			struct sched_param parameters = { 1 };
			MUST(setrlimit(RLIMIT_RTTIME, &limit));
			MUST(sched_setscheduler(0, SCHED_RR, &parameters));
			for (int i = 0; i < 30; i++) {
				double begin = used();
				while (used() - begin < 0.1)
					;
				sleep_ms(1);
			}
			_exit(0);
		}
		MUST(waitpid(child, &status, 0));
	}
	printf("a program that sleeps: ");
	show_status(status);
}

static void set(int policy, int priority)
{
	struct sched_param parameters = { priority };
	printf("policy %d priority %d: ", policy, priority);
	TRY(sched_setscheduler(0, policy, &parameters));
}

static void limits(void)
{
	puts("limits of a user");
	IN_CHILD(
		user();
		set(SCHED_FIFO, 1);
		set(SCHED_RR, 1);
		TRY(setpriority(PRIO_PROCESS, 0, 5));
		TRY(setpriority(PRIO_PROCESS, 0, 4));
		TRY(setpriority(PRIO_PROCESS, 0, 5));
		set(SCHED_IDLE, 0);
		set(SCHED_OTHER, 0);
		struct rlimit more = { 10, 10 };
		SHOW(setrlimit(RLIMIT_RTPRIO, &more));
		SHOW(setrlimit(RLIMIT_NICE, &more)));
	IN_CHILD(
		struct rlimit priority = { 10, 20 };
		struct rlimit nice = { 18, 18 };
		MUST(setrlimit(RLIMIT_RTPRIO, &priority));
		MUST(setrlimit(RLIMIT_NICE, &nice));
		user();
		set(SCHED_FIFO, 11);
		set(SCHED_FIFO, 10);
		set(SCHED_RR, 5);
		set(SCHED_RR, 10);
		set(SCHED_RR, 11);
		priority.rlim_cur = 0;
		SHOW(setrlimit(RLIMIT_RTPRIO, &priority));
		set(SCHED_RR, 9);
		set(SCHED_RR, 10);
		set(SCHED_FIFO, 1);
		set(SCHED_OTHER, 0);
		set(SCHED_FIFO, 1);
		SHOW(setpriority(PRIO_PROCESS, 0, 19));
		SHOW(setpriority(PRIO_PROCESS, 0, 2));
		SHOW(setpriority(PRIO_PROCESS, 0, 1));
		set(SCHED_IDLE, 0);
		set(SCHED_OTHER, 0);
		struct sched_param fifo = { 1 };
		priority.rlim_cur = 20;
		SHOW(setrlimit(RLIMIT_RTPRIO, &priority));
		SHOW(sched_setscheduler(0, SCHED_FIFO | 0x40000000, &fifo));
		SHOW(sched_setscheduler(0, SCHED_FIFO, &fifo));
		SHOW(sched_getscheduler(0));
		SHOW(sched_setscheduler(getppid(), SCHED_OTHER, &(struct sched_param){ 0 })));
}

int main(void)
{
	settings();
	limits();
	time_limit();
	loop(SCHED_FIFO, 1);
	loop(SCHED_RR, 2);
	return 0;
}
