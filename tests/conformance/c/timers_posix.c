/* Covers: setitimer, getitimer: REAL VIRTUAL PROF; timer_create with SIGEV_SIGNAL SIGEV_NONE SIGEV_THREAD_ID, timer_settime: TIMER_ABSTIME, intervals,
 * timer_gettime, timer_getoverrun, timer_delete; clock_nanosleep: clocks, TIMER_ABSTIME; clock_getres, clock_settime errors; alarm. */
#define _GNU_SOURCE
#include <sys/time.h>
#include "case.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id __sev_fields.sigev_notify_thread_id
#endif

static volatile int fired, code, value;

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	fired++;
	code = info->si_code;
	value = info->si_value.sival_int;
}

static long now_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Use the processor until a timer has fired. Linux counts for most of them by ticks, of which a busy host loses some: how
 * long it takes is not known. It must be time of the program itself, too, not of the kernel.
 */
static void burn_until_fired(void)
{
	long start = now_ms(CLOCK_MONOTONIC);
	while (!fired && now_ms(CLOCK_MONOTONIC) - start < 15000)
		for (volatile int i = 0; i < 20000; i++)
			;
}

/* As pause, for a signal that was blocked until now: however slow the host is, it does not come too early. */
static int await(int signal)
{
	sigset_t others;
	sigprocmask(SIG_SETMASK, NULL, &others);
	sigdelset(&others, signal);
	return sigsuspend(&others);
}

static void await_pending(int signal)
{
	sigset_t pending;
	while (sigpending(&pending), !sigismember(&pending, signal))
		sleep_ms(10);
}

static void expire(timer_t timer)
{
	struct itimerspec t = { .it_value = { 0, 1 } };
	timer_settime(timer, 0, &t, NULL);
	while (timer_gettime(timer, &t), t.it_value.tv_sec != 0 || t.it_value.tv_nsec != 0)
		sleep_ms(1);
}

static void take_all(int signal)
{
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, signal);
	while (sigtimedwait(&set, &info, &(struct timespec){ 0 }) == signal)
		printf("signal %d code %d overrun %d\n", signal, info.si_code, info.si_code == SI_TIMER ? info.si_overrun : 0);
}

/* Each timer's signal is pending beside those of others; a process's is not, beside any. SIGUSR1 is blocked. */
static void one_signal_from_several(timer_t timer)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 88 };
	timer_t other;
	take_all(SIGUSR1);
	SHOW(timer_create(CLOCK_MONOTONIC, &event, &other));
	SHOW(kill(getpid(), SIGUSR1));
	expire(timer);
	expire(other);
	SHOW(kill(getpid(), SIGUSR1));
	take_all(SIGUSR1);
	expire(other);
	SHOW(kill(getpid(), SIGUSR1));
	expire(other);
	expire(other);
	SHOW(timer_getoverrun(other));
	SHOW(timer_delete(other));
	take_all(SIGUSR1);
	struct itimerspec often = { .it_value = { 0, 1 }, .it_interval = { 0, 1000000 } };
	timer_settime(timer, 0, &often, NULL);
	await_pending(SIGUSR1);
	sleep_ms(20);
	often.it_value.tv_nsec = 0;
	timer_settime(timer, 0, &often, NULL);
	take_all(SIGUSR1);
	SHOW(timer_getoverrun(timer));
}

/* What expires while the signal is ignored is an overrun of the first signal that comes. SIGUSR1 is blocked. */
static void ignored(timer_t timer)
{
	struct sigaction kept, ignoring = { .sa_handler = SIG_IGN };
	struct itimerspec t = { .it_value = { 0, 1000000 }, .it_interval = { 0, 10000000 } };
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaction(SIGUSR1, &ignoring, &kept);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	timer_settime(timer, 0, &t, NULL);
	sleep_ms(100);
	SHOW(timer_getoverrun(timer));
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGUSR1, &kept, NULL);
	CHECK(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_overrun >= 3);
	CHECK(timer_getoverrun(timer) >= 3);
	t.it_value.tv_nsec = 0;
	timer_settime(timer, 0, &t, NULL);
	int more = 0; /* the time may have come once more before it was stopped */
	while (sigtimedwait(&set, &info, &(struct timespec){ 0 }) == SIGUSR1)
		more++;
	CHECK(more <= 1);
}

static void change_mask(int how, int signal)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signal);
	sigprocmask(how, &set, NULL);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	static const int signals[] = { SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1 };
	for (int i = 0; i < 4; i++)
		sigaction(signals[i], &action, NULL);

	struct itimerval it = { .it_value = { 0, 50000 } }, old;
	change_mask(SIG_BLOCK, SIGALRM);
	SHOW(setitimer(ITIMER_REAL, &it, NULL));
	SHOW(await(SIGALRM));
	change_mask(SIG_UNBLOCK, SIGALRM);
	printf("fired %d code %d\n", fired, code);
	SHOW(getitimer(ITIMER_REAL, &old));
	printf("left %ld\n", (long)old.it_value.tv_usec);
	it.it_interval.tv_usec = 20000;
	it.it_value.tv_usec = 20000;
	fired = 0;
	SHOW(setitimer(ITIMER_REAL, &it, NULL));
	while (fired < 5)
		pause();
	it.it_value.tv_usec = 0;
	SHOW(setitimer(ITIMER_REAL, &it, &old));
	CHECK(old.it_interval.tv_usec == 20000 && old.it_value.tv_usec > 0);
	it.it_value.tv_usec = 200000;
	it.it_interval.tv_usec = 0;
	fired = 0;
	SHOW(setitimer(ITIMER_VIRTUAL, &it, NULL));
	sleep_ms(300);
	printf("virtual while asleep: %d\n", fired);
	burn_until_fired();
	printf("virtual: %d code %d\n", fired, code);
	fired = 0;
	SHOW(setitimer(ITIMER_PROF, &it, NULL));
	burn_until_fired();
	printf("prof: %d\n", fired);
	it.it_value.tv_usec = 1000000;
	SHOW(setitimer(ITIMER_REAL, &it, NULL));
	SHOW(setitimer(3, &it, NULL));
	SHOW(setitimer(ITIMER_REAL, (void *)1, NULL));
	SHOW(getitimer(7, &old));
	SHOW(getitimer(ITIMER_REAL, (void *)1));
	SHOW(alarm(100));
	unsigned seconds = alarm(0);
	CHECK(seconds > 70 && seconds <= 100);
	SHOW(alarm(0));
	IN_CHILD(alarm(1); pause());

	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77 };
	SHOW(timer_create(CLOCK_MONOTONIC, &event, &timer));
	struct itimerspec t = { .it_value = { 30, 0 } }, left;
	SHOW(timer_settime(timer, 0, &t, NULL));
	SHOW(timer_gettime(timer, &left));
	CHECK(left.it_value.tv_sec >= 20 && left.it_value.tv_sec < 30 && left.it_interval.tv_nsec == 0);
	t.it_value = (struct timespec){ 0, 30000000 };
	fired = 0;
	change_mask(SIG_BLOCK, SIGUSR1);
	SHOW(timer_settime(timer, 0, &t, &left));
	CHECK(left.it_value.tv_sec >= 10 && left.it_value.tv_sec < 30);
	SHOW(await(SIGUSR1));
	change_mask(SIG_UNBLOCK, SIGUSR1);
	printf("fired %d code %d value %d\n", fired, code, value);
	SHOW(timer_gettime(timer, &left));
	printf("left %ld\n", left.it_value.tv_nsec);
	SHOW(timer_getoverrun(timer));
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t.it_interval.tv_nsec = 10000000;
	SHOW(timer_settime(timer, 0, &t, NULL));
	sleep_ms(200);
	siginfo_t info;
	CHECK(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_code == SI_TIMER && info.si_value.sival_int == 77 && info.si_overrun >= 5);
	CHECK(timer_getoverrun(timer) >= 5);
	await_pending(SIGUSR1); /* the next signal does not count before it is taken */
	CHECK(timer_getoverrun(timer) >= 5);
	t.it_value.tv_nsec = 0;
	SHOW(timer_settime(timer, 0, &t, &left));
	CHECK(left.it_interval.tv_nsec == 10000000);
	while (sigtimedwait(&set, NULL, &(struct timespec){ 0 }) == SIGUSR1)
		; /* one that was pending still */
	clock_gettime(CLOCK_MONOTONIC, &t.it_value);
	t.it_interval.tv_nsec = 0;
	SHOW(timer_settime(timer, TIMER_ABSTIME, &t, NULL));
	CHECK(sigwaitinfo(&set, &info) == SIGUSR1);
	one_signal_from_several(timer);
	ignored(timer);
	t.it_value.tv_nsec = 1000000000;
	SHOW(timer_settime(timer, 0, &t, NULL));
	t.it_value.tv_nsec = -1;
	SHOW(timer_settime(timer, 0, &t, NULL));
	SHOW(timer_delete(timer));
	SHOW(syscall(SYS_timer_delete, 12345));
	SHOW(syscall(SYS_timer_gettime, 12345, &left));
	SHOW(syscall(SYS_timer_getoverrun, -1));
	int id;
	event.sigev_notify = SIGEV_NONE;
	SHOW(syscall(SYS_timer_create, CLOCK_REALTIME, &event, &id));
	event.sigev_notify = 99;
	SHOW(syscall(SYS_timer_create, CLOCK_REALTIME, &event, &id));
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = 65;
	SHOW(syscall(SYS_timer_create, CLOCK_REALTIME, &event, &id));
	event.sigev_signo = SIGUSR1;
	SHOW(syscall(SYS_timer_create, 99, &event, &id));
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, &event, &id));
	SHOW(syscall(SYS_timer_create, CLOCK_BOOTTIME, &event, &id) >= 0);
	event.sigev_notify = SIGEV_SIGNAL | SIGEV_THREAD_ID;
	event.sigev_notify_thread_id = getpid();
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id) >= 0);
	event.sigev_notify_thread_id = 1;
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	SHOW(syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, NULL, &id) >= 0);
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, (void *)1));
	sigprocmask(SIG_UNBLOCK, &set, NULL);

	/* Timers on processor time. */
	event.sigev_notify = SIGEV_SIGNAL;
	MUST(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer));
	fired = 0;
	memset(&t, 0, sizeof t);
	t.it_value.tv_nsec = 200000000;
	SHOW(timer_settime(timer, 0, &t, NULL));
	sleep_ms(300);
	printf("cpu timer while asleep: %d\n", fired);
	burn_until_fired();
	printf("cpu timer: %d\n", fired);
	SHOW(timer_delete(timer));
	MUST(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer));
	fired = 0;
	SHOW(timer_settime(timer, 0, &t, NULL));
	burn_until_fired();
	printf("thread timer: %d\n", fired);

	struct timespec sleep = { 0, 20000000 }, rest;
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, 0, &sleep, NULL));
	SHOW(clock_nanosleep(CLOCK_REALTIME, 0, &sleep, NULL));
	SHOW(clock_nanosleep(CLOCK_BOOTTIME, 0, &sleep, NULL));
	SHOW(clock_nanosleep(CLOCK_TAI, 0, &sleep, NULL));
	SHOW(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &sleep, NULL));
	SHOW(clock_nanosleep(CLOCK_MONOTONIC_COARSE, 0, &sleep, NULL));
	SHOW(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &sleep, NULL));
	SHOW(clock_nanosleep(99, 0, &sleep, NULL));
	sleep.tv_nsec = 1000000000;
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, 0, &sleep, NULL));
	clock_gettime(CLOCK_MONOTONIC, &sleep);
	sleep.tv_sec -= 1;
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &sleep, &rest));
	SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (void *)1, NULL));
	SHOW(syscall(SYS_clock_gettime, 99, &sleep));
	SHOW(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (void *)1));
	for (int clock = 0; clock <= 11; clock++) {
		struct timespec r = { 0, 0 };
		errno = 0;
		long result = syscall(SYS_clock_getres, clock, &r);
		int coarse = clock == 5 || clock == 6;
		printf("clock %d: %s", clock, result < 0 ? error_name(errno) : "ok");
		if (result == 0)
			printf(" resolution %s", coarse ? (r.tv_nsec > 1 ? "coarse" : "fine") : r.tv_sec == 0 && r.tv_nsec == 1 ? "1 ns" : "other");
		printf("\n");
	}
	SHOW(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &t));
	sleep.tv_nsec = -1;
	SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, &sleep));
	IN_CHILD(setuid(1000); struct timespec n = { 1000000000, 0 }; SHOW(clock_settime(CLOCK_REALTIME, &n)));
	return 0;
}
