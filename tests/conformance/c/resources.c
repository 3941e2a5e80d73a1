/* Covers: getrusage: SELF CHILDREN THREAD; times; getrlimit, setrlimit, prlimit64 of others; getpriority, setpriority, nice; RLIMIT_FSIZE, RLIMIT_CPU,
 * RLIMIT_NPROC, RLIMIT_STACK, RLIMIT_CORE; exit status of what is killed by a limit. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/times.h>
#include "case.h"

static void burn(long ms)
{
	struct timespec start, now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
}

static long ms(struct timeval t) { return t.tv_sec * 1000 + t.tv_usec / 1000; }

static void show_limit(const char *what, int resource)
{
	struct rlimit l;
	if (getrlimit(resource, &l) == -1)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %lld %lld\n", what, (long long)l.rlim_cur, (long long)l.rlim_max);
}

static volatile int hits;
static void on_limit(int signal) { (void)signal; hits++; }

int main(void)
{
	struct rusage usage;
	burn(150);
	SHOW(getrusage(RUSAGE_SELF, &usage));
	CHECK(ms(usage.ru_utime) + ms(usage.ru_stime) >= 100);
	CHECK(usage.ru_minflt > 0);
	SHOW(getrusage(RUSAGE_CHILDREN, &usage));
	CHECK(ms(usage.ru_utime) == 0);
	SHOW(getrusage(1, &usage));
	CHECK(ms(usage.ru_utime) + ms(usage.ru_stime) >= 100);
	IN_CHILD(burn(150));
	SHOW(getrusage(RUSAGE_CHILDREN, &usage));
	CHECK(ms(usage.ru_utime) + ms(usage.ru_stime) >= 100);
	SHOW(getrusage(7, &usage));
	SHOW(getrusage(RUSAGE_SELF, (void *)1));
	struct tms t;
	CHECK(times(&t) > 0);
	CHECK(t.tms_utime + t.tms_stime >= 10 && t.tms_cutime + t.tms_cstime >= 10);
	CHECK(times(NULL) > 0);
	SHOW(syscall(SYS_times, (void *)1));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		burn(120);
		_exit(0);
	}
	int status;
	MUST(wait4(child, &status, 0, &usage));
	CHECK(ms(usage.ru_utime) + ms(usage.ru_stime) >= 80);

	show_limit("stack", RLIMIT_STACK);
	show_limit("files", RLIMIT_NOFILE);
	show_limit("core", RLIMIT_CORE);
	show_limit("cpu", RLIMIT_CPU);
	show_limit("data", RLIMIT_DATA);
	show_limit("nice", RLIMIT_NICE);
	show_limit("locks", RLIMIT_LOCKS);
	show_limit("rtprio", RLIMIT_RTPRIO);
	show_limit("msgqueue", RLIMIT_MSGQUEUE);
	show_limit("memlock", RLIMIT_MEMLOCK);
	show_limit("as", RLIMIT_AS);
	show_limit("fsize", RLIMIT_FSIZE);
	show_limit("rss", RLIMIT_RSS);
	show_limit("rttime", 15);
	show_limit("none", 16);
	struct rlimit limit = { 10, 5 };
	SHOW(setrlimit(RLIMIT_CORE, &limit));
	limit.rlim_max = 1ull << 40;
	SHOW(setrlimit(RLIMIT_NOFILE, &limit));
	SHOW(setrlimit(99, &limit));
	SHOW(setrlimit(RLIMIT_CORE, (void *)1));
	IN_CHILD(
		limit.rlim_cur = 5;
		limit.rlim_max = 8;
		SHOW(setrlimit(RLIMIT_CORE, &limit));
		setuid(1000);
		limit.rlim_max = 9;
		SHOW(setrlimit(RLIMIT_CORE, &limit));
		limit.rlim_cur = 8;
		limit.rlim_max = 8;
		SHOW(setrlimit(RLIMIT_CORE, &limit));
		SHOW(prlimit(getppid(), RLIMIT_CORE, NULL, &limit));
		SHOW(prlimit(99999, RLIMIT_CORE, NULL, &limit)));
	child = (pid_t)MUST(fork());
	if (child == 0) {
		pause();
		_exit(0);
	}
	limit.rlim_cur = 3;
	limit.rlim_max = 4;
	struct rlimit old;
	SHOW(prlimit(child, RLIMIT_CORE, &limit, &old));
	SHOW(prlimit(child, RLIMIT_CORE, NULL, &old));
	printf("%d %d\n", (int)old.rlim_cur, (int)old.rlim_max);
	kill(child, SIGKILL);
	show_end(child);

	/* What happens at the limit. */
	IN_CHILD(
		limit.rlim_cur = limit.rlim_max = 100;
		setrlimit(RLIMIT_FSIZE, &limit);
		int fd = open("grow", O_RDWR | O_CREAT, 0644);
		char block[80];
		memset(block, 'x', sizeof block);
		SHOW(write(fd, block, 80));
		SHOW(write(fd, block, 80));
		signal(SIGXFSZ, SIG_IGN);
		SHOW(write(fd, block, 80));
		SHOW(ftruncate(fd, 101));
		SHOW(pwrite(fd, block, 80, 50));
		signal(SIGXFSZ, SIG_DFL);
		write(fd, block, 1));
	IN_CHILD(
		limit.rlim_cur = 1;
		limit.rlim_max = 5; /* a host that stands still uses processor time, too */
		setrlimit(RLIMIT_CPU, &limit);
		signal(SIGXCPU, on_limit);
		/* Linux counts for limits by ticks, of which a busy host loses some. */
		for (int i = 0; i < 100 && hits == 0; i++)
			burn(100);
		printf("SIGXCPU came: %d\n", hits > 0);
		fflush(stdout);
		burn(10000));
	IN_CHILD(
		limit.rlim_cur = 1;
		limit.rlim_max = 10;
		setrlimit(RLIMIT_CPU, &limit);
		burn(10000));
	IN_CHILD(
		setuid(1234);
		limit.rlim_cur = limit.rlim_max = 1;
		setrlimit(RLIMIT_NPROC, &limit);
		SHOW(fork()));

	/* Nice values. */
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, 5));
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
	SHOW(nice(3));
	SHOW(setpriority(PRIO_PROCESS, 0, 100));
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, -100));
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(getpriority(PRIO_PGRP, 0));
	SHOW(getpriority(PRIO_USER, 0) <= 0);
	SHOW(getpriority(7, 0));
	SHOW(getpriority(PRIO_PROCESS, 99999));
	SHOW(setpriority(PRIO_PROCESS, 99999, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, 0));
	IN_CHILD(
		setuid(1000);
		SHOW(setpriority(PRIO_PROCESS, 0, 3));
		SHOW(setpriority(PRIO_PROCESS, 0, 2));
		SHOW(setpriority(PRIO_PROCESS, getppid(), 3));
		SHOW(nice(-1)));
	return 0;
}
