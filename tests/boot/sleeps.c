/* How late sleeps end, and how often the processor's timer interrupts while nobody runs. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MOST 150000 /* ns; the slack is 50 us */
#define MOST_EVER 500000

static long now(void)
{
	struct timespec t;
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static struct timespec span(long ns) { return (struct timespec){ ns / 1000000000, ns % 1000000000 }; }

static void by_nanosleep(long ns)
{
	struct timespec t = span(ns);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static void by_absolute_time(long ns)
{
	struct timespec t = span(now() + ns);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void by_poll(long ns)
{
	struct timespec t = span(ns);
	ppoll(NULL, 0, &t, NULL);
}

static void by_epoll(long ns)
{
	struct timespec t = span(ns);
	struct epoll_event event;
	int fd = epoll_create1(0);
	syscall(SYS_epoll_pwait2, fd, &event, 1, &t, NULL, 8);
	close(fd);
}

static void by_futex(long ns)
{
	static uint32_t word;
	struct timespec t = span(ns);
	syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0);
}

static void by_timerfd(long ns)
{
	struct itimerspec t = { .it_value = span(ns) };
	uint64_t times;
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(fd, 0, &t, NULL);
	if (read(fd, &times, sizeof times) != sizeof times)
		exit(1);
	close(fd);
}

static void by_timer(long ns)
{
	struct itimerspec t = { .it_value = span(ns) };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &t, NULL);
	sigwaitinfo(&set, NULL);
	timer_delete(timer);
}

static long computing(void)
{
	long before = now();
	for (volatile int i = 0; i < 20000000; i++)
		;
	return now() - before;
}

/* Timers that are due again at once leave most of the time to programs. */
static int storm(void)
{
	struct itimerspec t = { .it_value = { 0, 1 }, .it_interval = { 0, 1 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;
	sigset_t set;
	long alone = computing();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 400; i++)
		if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &t, NULL))
			return 1;
	long beside = computing();
	puts(beside < 2 * alone ? "done" : "timers take most of the time");
	return 0;
}

int main(int count, char **arguments)
{
	static const struct { const char *name; void (*wait)(long); } ways[] = {
		{ "nanosleep", by_nanosleep }, { "absolute", by_absolute_time }, { "poll", by_poll }, { "epoll", by_epoll },
		{ "futex", by_futex }, { "timerfd", by_timerfd }, { "timer", by_timer },
	};
	if (count > 1 && !strcmp(arguments[1], "storm"))
		return storm();
	static const long spans[] = { 1000, 30000, 200000, 1000000, 3900000, 4100000, 30000000, 700000000, 3000000000 };
	for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++)
		for (unsigned s = 0; s < sizeof spans / sizeof *spans; s++) {
			long worst = 0, second = 0; /* the kernel may tidy up its memory in one of them */
			for (int i = 0; i < (spans[s] > 10000000 ? 2 : 20); i++) {
				long before = now();
				ways[w].wait(spans[s]);
				long late = now() - before - spans[s];
				if (late < 0)
					printf("%s of %ld us ended too early\n", ways[w].name, spans[s] / 1000);
				second = late > worst ? worst : late > second ? late : second;
				worst = late > worst ? late : worst;
			}
			if (second > MOST || worst > MOST_EVER)
				printf("%s of %ld us: %ld and %ld us late\n", ways[w].name, spans[s] / 1000, second / 1000, worst / 1000);
		}
	puts("done");
	return 0;
}
