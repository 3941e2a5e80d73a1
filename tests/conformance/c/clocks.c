/* Covers: clock_gettime, clock_getres, clock_nanosleep (TIMER_ABSTIME), nanosleep, gettimeofday, time, times, setitimer, getitimer, alarm, timer_create; order and precision. */
#include <sys/time.h>
#include <sys/times.h>
#include "case.h"

static volatile int ticks;

static void on_alarm(int number)
{
	ticks++;
}

static long long ns(clockid_t clock)
{
	struct timespec t;
	MUST(clock_gettime(clock, &t));
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(void)
{
	struct timespec t, left;
	struct timeval v;
	int clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
		CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME };
	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
		printf("clock %d: ", clocks[i]);
		SHOW(clock_gettime(clocks[i], &t));
		printf("clock %d by the kernel: ", clocks[i]);
		SHOW(syscall(SYS_clock_gettime, clocks[i], &t));
		CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
	}
	SHOW(clock_gettime(99, &t));
	SHOW(syscall(SYS_clock_gettime, CLOCK_REALTIME, (void *)8));
	SHOW(clock_getres(CLOCK_MONOTONIC, &t));
	printf("resolution %ld\n", t.tv_nsec);
	SHOW(clock_getres(99, &t));
	SHOW(clock_getres(CLOCK_REALTIME, 0));
	long long last = ns(CLOCK_MONOTONIC), back = 0;
	for (int i = 0; i < 20000; i++) {
		long long now = ns(CLOCK_MONOTONIC);
		back += now < last;
		last = now;
	}
	printf("steps back %lld\n", back);
	long long earlier = ns(CLOCK_REALTIME) / 1000;
	MUST(gettimeofday(&v, 0));
	CHECK(earlier <= v.tv_sec * 1000000ll + v.tv_usec && v.tv_sec * 1000000ll + v.tv_usec <= ns(CLOCK_REALTIME) / 1000);
	long long second = time(0);
	CHECK(second >= v.tv_sec - 1 && second <= ns(CLOCK_REALTIME) / 1000000000);
	CHECK(v.tv_sec > 1700000000);
	SHOW(syscall(SYS_gettimeofday, (void *)8, 0));
	SHOW(syscall(SYS_time, (void *)8));

	long long before = ns(CLOCK_MONOTONIC);
	SHOW(nanosleep(&(struct timespec){ 0, 30000000 }, 0));
	long long spent = ns(CLOCK_MONOTONIC) - before;
	CHECK(spent >= 30000000 && spent < 30000000000);
	SHOW(nanosleep(&(struct timespec){ 0, 0 }, 0));
	SHOW(nanosleep(&(struct timespec){ -1, 0 }, 0));
	SHOW(nanosleep(&(struct timespec){ 0, 1000000000 }, 0));
	SHOW(syscall(SYS_nanosleep, (void *)8, 0));
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += 30000000;
	if (t.tv_nsec >= 1000000000)
		t.tv_sec++, t.tv_nsec -= 1000000000;
	printf("%s\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0) ? "failed" : "slept until");
	CHECK(ns(CLOCK_MONOTONIC) >= t.tv_sec * 1000000000ll + t.tv_nsec);
	printf("past: %d\n", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &(struct timespec){ 1, 0 }, 0));
	printf("unknown clock: %s\n", error_name(clock_nanosleep(99, 0, &t, 0)));

	struct sigaction action = { .sa_handler = on_alarm };
	sigaction(SIGALRM, &action, 0);
	struct itimerval every = { { 0, 20000 }, { 0, 20000 } }, old;
	SHOW(setitimer(ITIMER_REAL, &every, 0));
	while (ticks < 3)
		pause();
	memset(&every, 0, sizeof every);
	SHOW(setitimer(ITIMER_REAL, &every, &old));
	printf("interval %ld\n", (long)old.it_interval.tv_usec);
	SHOW(getitimer(ITIMER_REAL, &old));
	printf("value %ld\n", (long)old.it_value.tv_sec);
	SHOW(setitimer(99, &every, 0));
	every.it_value.tv_usec = 1000000;
	SHOW(setitimer(ITIMER_REAL, &every, 0));
	SHOW(alarm(100));
	unsigned seconds = alarm(0);
	CHECK(seconds > 70 && seconds <= 100);
	SHOW(alarm(0));
	ticks = 0;
	alarm(1);
	while (!ticks)
		sleep_ms(5);
	pid_t helper = signal_in_sleep(SIGALRM);
	SHOW(nanosleep(&(struct timespec){ 300, 0 }, &left));
	CHECK(left.tv_sec >= 200 && left.tv_sec <= 300);
	show_end(helper);

	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	SHOW(timer_create(CLOCK_MONOTONIC, &event, &timer));
	struct itimerspec soon = { { 0, 0 }, { 0, 20000000 } };
	ticks = 0;
	SHOW(timer_settime(timer, 0, &soon, 0));
	while (!ticks)
		sleep_ms(5);
	SHOW(timer_gettime(timer, &soon));
	SHOW(timer_delete(timer));
	SHOW(timer_create(99, &event, &timer));

	/* Processor time grows with work, not with sleep. A host that stands still gives that time to somebody: so there are several attempts. */
	long long slept = 0, worked = 0;
	for (int tries = 0; tries < 5 && (tries == 0 || slept >= 150000000 || worked <= slept); tries++) {
		long long cpu = ns(CLOCK_PROCESS_CPUTIME_ID);
		sleep_ms(200);
		slept = ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		before = ns(CLOCK_MONOTONIC);
		while (ns(CLOCK_MONOTONIC) - before < 200000000)
			;
		worked = ns(CLOCK_PROCESS_CPUTIME_ID) - cpu - slept;
	}
	CHECK(slept < 150000000);
	CHECK(worked > slept);
	struct tms spent_ticks;
	CHECK(times(&spent_ticks) != -1);
	CHECK(sysconf(_SC_CLK_TCK) == 100);
	ticks = 0;
	struct itimerval cpu_timer = { { 0, 0 }, { 0, 20000 } };
	signal(SIGVTALRM, on_alarm);
	SHOW(setitimer(ITIMER_VIRTUAL, &cpu_timer, 0));
	while (!ticks)
		;
	puts("virtual timer expired");
	return 0;
}
