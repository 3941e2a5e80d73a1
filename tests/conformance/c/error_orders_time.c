/*
 * Clocks and timers with several bad arguments at once: which error wins, and what was written before it.
 */
#include "orders_case.h"
#include <sys/time.h>
#include <sys/timex.h>

#define CPU_OF(pid, kind) ((int)((~(unsigned)(pid) << 3) | (kind)))

static const int clocks[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 17, 100, 0x7fffffff,
	CPU_OF(0, 0), CPU_OF(0, 1), CPU_OF(0, 2), CPU_OF(0, 4), CPU_OF(0, 6), CPU_OF(0, 7), CPU_OF(NOBODY, 2), CPU_OF(NOBODY, 6),
	CPU_OF(NOBODY, 7), CPU_OF(1, 2), CPU_OF(1, 6), CPU_OF(0, 3), CPU_OF(1, 3), CPU_OF(500, 3), -1, (int)0x80000000 };
#define CLOCKS (int)(sizeof clocks / sizeof clocks[0])

static void each_clock(void)
{
	in("");
	struct timespec out, zero = { 0, 0 }, wrong = { 0, -1 }, huge = { 1L << 60, 0 };
	struct timex x;
	for (int i = 0; i < CLOCKS; i++) {
		int c = clocks[i];
		in("clock %d of the list: %d: ", i, c);
		T(clock_gettime, c, &out);
		C(clock_gettime, c, 0L);
		C(clock_gettime, c, KERNEL);
		out.tv_nsec = 77;
		if (T(clock_getres, c, &out) == 0)
			printf("resolution %ld %ld\n", (long)out.tv_sec, out.tv_nsec);
		C(clock_getres, c, 0L);
		C(clock_getres, c, BAD);
		C(clock_nanosleep, c, 0, &zero, BAD);
		C(clock_nanosleep, c, -1, &zero, 0L);
		C(clock_nanosleep, c, 2, &zero, 0L);
		C(clock_nanosleep, c, 0, &wrong, 0L);
		C(clock_nanosleep, c, 0, 0L, 0L);
		C(clock_settime, c, 0L);
		C(clock_settime, c, &wrong);
		memset(&x, 0, sizeof x);
		x.modes = ADJ_TICK;
		T(clock_adjtime, c, 0L);
		T(clock_adjtime, c, &x);
		CHECK(x.modes == ADJ_TICK && x.tick == 0);
	}
	if (geteuid() != 0)
		for (int i = 0; i < CLOCKS; i++) {
			in("clock %d of the list: %d: ", i, clocks[i]);
			C(clock_settime, clocks[i], &zero);
			C(clock_settime, clocks[i], &huge);
			x.modes = ADJ_TICK;
			T(clock_adjtime, clocks[i], &x);
			x.modes = ADJ_FREQUENCY;
			x.freq = 1L << 60;
			T(clock_adjtime, clocks[i], &x);
			x.modes = ADJ_SETOFFSET;
			x.time.tv_usec = -1;
			T(clock_adjtime, clocks[i], &x);
		}
}

static void create(int clock, void *event)
{
	int id = -77;
	long r = syscall(SYS_timer_create, clock, event, &id);
	int error = errno;
	printf("%stimer_create: %s, number written: %s\n", where, r ? error_name(error) : "ok", id == -77 ? "no" : "yes");
	if (r == 0)
		MUST(syscall(SYS_timer_delete, id));
}

static void timers(void)
{
	in("");
	struct sigevent event;
	static const int kinds[] = { SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, 4, 3, 5, 6, 8, -1 };
	static const int signals[] = { 0, -1, 1, 9, 64, 65, 1000 };
	for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++)
		for (unsigned s = 0; s < sizeof signals / sizeof *signals; s++) {
			memset(&event, 0, sizeof event);
			event.sigev_notify = kinds[k];
			event.sigev_signo = signals[s];
			in("notify %d, signal %d, no thread: ", kinds[k], signals[s]);
			create(CLOCK_MONOTONIC, &event);
			*(int *)((char *)&event + 16) = (int)syscall(SYS_gettid);
			in("notify %d, signal %d, this thread: ", kinds[k], signals[s]);
			create(CLOCK_MONOTONIC, &event);
			*(int *)((char *)&event + 16) = 1;
			in("notify %d, signal %d, thread of another: ", kinds[k], signals[s]);
			create(CLOCK_MONOTONIC, &event);
		}
	memset(&event, 0, sizeof event);
	event.sigev_notify = 99;
	for (int i = 0; i < CLOCKS; i++) {
		int id = -77;
		if (clocks[i] == CPU_OF(1, 2))
			continue; /* a timer on the time of another process */
		in("clock %d of the list: %d: ", i, clocks[i]);
		create(clocks[i], 0);
		create(clocks[i], &event);
		create(clocks[i], BAD);
		C(timer_create, clocks[i], 0L, 0L);
		C(timer_create, clocks[i], &event, KERNEL);
		CHECK(id == -77);
	}
	int id = -1;
	struct itimerspec zero, wrong, old;
	memset(&zero, 0, sizeof zero);
	memset(&old, 0x55, sizeof old);
	wrong = zero;
	wrong.it_interval.tv_nsec = 1000000000;
	event.sigev_notify = SIGEV_NONE;
	MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	C(timer_settime, -1, 0, 0L, 0L);
	C(timer_settime, -1, 0, BAD, 0L);
	C(timer_settime, id, 0, 0L, BAD);
	C(timer_settime, id, 0, BAD, BAD);
	C(timer_settime, id, 0, &wrong, BAD);
	C(timer_settime, id, -1, &zero, &old);
	C(timer_settime, id, 0xfffe, &zero, BAD);
	C(timer_settime, -1, 0, &zero, BAD);
	wrong.it_interval.tv_nsec = 0;
	wrong.it_value.tv_sec = -1;
	C(timer_settime, id, 0, &wrong, &old);
	wrong.it_value.tv_sec = 0x7fffffffffffffff;
	C(timer_settime, id, 0, &wrong, &old);
	C(timer_settime, id, 1, &wrong, &old);
	C(timer_settime, id, 0, &wrong, BAD);
	C(timer_gettime, id, 0L);
	C(timer_gettime, -1, 0L);
	C(timer_gettime, id + 1000, BAD);
	memset(&wrong, 0, sizeof wrong);
	wrong.it_value.tv_sec = 5000;
	wrong.it_interval.tv_sec = 7;
	C(timer_settime, id, 0, &wrong, BAD);
	C(timer_gettime, id, &old);
	CHECK(old.it_value.tv_sec > 4000 && old.it_interval.tv_sec == 7);
	wrong.it_value.tv_sec = 0;
	C(timer_settime, id, 0, &wrong, &old);
	C(timer_gettime, id, &old);
	printf("%ld %ld\n", (long)old.it_interval.tv_sec, (long)old.it_value.tv_sec);
	C(timer_delete, -1);
	C(timer_delete, id + 1000);
	C(timer_getoverrun, -1);
	C(timer_getoverrun, id + 1000);
	C(timer_delete, id);
	C(timer_delete, id);
}

static void interval_timers(void)
{
	in("");
	struct itimerval zero, wrong, old;
	memset(&zero, 0, sizeof zero);
	memset(&old, 0x55, sizeof old);
	wrong = zero;
	wrong.it_interval.tv_usec = 1000000;
	static const int which[] = { 0, 1, 2, 3, -1 };
	for (int i = 0; i < 5; i++) {
		int w = which[i];
		C(getitimer, w, 0L);
		C(getitimer, w, BAD);
		C(setitimer, w, 0L, 0L);
		C(setitimer, w, BAD, BAD);
		C(setitimer, w, &wrong, BAD);
		C(setitimer, w, &zero, BAD);
		C(setitimer, w, 0L, &old);
		wrong.it_value.tv_sec = 5000;
		C(setitimer, w, &wrong, 0L);
		wrong.it_interval.tv_usec = 5;
		C(setitimer, w, &wrong, BAD);
		C(getitimer, w, &old);
		CHECK(old.it_value.tv_sec > 4000 && old.it_interval.tv_usec > 0);
		printf("%ld\n", (long)old.it_interval.tv_sec);
		wrong.it_value.tv_sec = 0;
		C(setitimer, w, &wrong, 0L);
		C(setitimer, w, 0L, &old);
		printf("interval %ld us, value %ld\n", (long)old.it_interval.tv_usec, (long)old.it_value.tv_sec);
		C(getitimer, w, &old);
		printf("interval %ld us, value %ld\n", (long)old.it_interval.tv_usec, (long)old.it_value.tv_sec);
		wrong.it_interval.tv_usec = 1000000;
	}
}

static void descriptors(void)
{
	in("");
	struct itimerspec zero, wrong, old;
	memset(&zero, 0, sizeof zero);
	wrong = zero;
	wrong.it_interval.tv_nsec = -1;
	for (int i = 0; i < CLOCKS; i++) {
		in("clock %d of the list: %d: ", i, clocks[i]);
		int fd = (int)T(timerfd_create, clocks[i], 0);
		if (fd >= 0)
			close(fd);
		C(timerfd_create, clocks[i], 1);
	}
	int fd = (int)MUST(syscall(SYS_timerfd_create, CLOCK_REALTIME, 0)), plain = (int)MUST(open("/dev/null", O_RDWR));
	int path = (int)MUST(open("/tmp", O_PATH));
	int fds[] = { fd, plain, path, 999, -1 };
	static const char *names[] = { "timer", "other", "path", "closed", "negative" };
	for (int i = 0; i < 5; i++) {
		int f = fds[i];
		in("%s: ", names[i]);
		C(timerfd_gettime, f, 0L);
		C(timerfd_gettime, f, &old);
		C(timerfd_settime, f, 0, 0L, 0L);
		C(timerfd_settime, f, -1, 0L, 0L);
		C(timerfd_settime, f, 4, &zero, 0L);
		C(timerfd_settime, f, 0, &wrong, 0L);
		C(timerfd_settime, f, 4, &wrong, BAD);
		C(timerfd_settime, f, 0, &zero, BAD);
		C(timerfd_settime, f, 2, &zero, &old);
		C(timerfd_settime, f, 3, &zero, &old);
		C(ioctl, f, 0x40085400, 0L);
	}
	long ticks = 0;
	C(ioctl, fd, 0x40085400, &ticks);
	ticks = 3;
	C(ioctl, fd, 0x40085400, &ticks);
	C(read, fd, &ticks, 7);
	C(read, fd, BAD, 8);
	C(fcntl, fd, F_SETFL, O_NONBLOCK);
	C(read, fd, &ticks, 8);
	C(write, fd, &ticks, 8);
	C(lseek, fd, 0, 0);
	C(pread64, fd, &ticks, 8, 0);
}

static void others(void)
{
	in("");
	struct timespec zero = { 0, 0 }, wrong = { 0, 1000000000 }, before = { -1, 0 };
	struct timeval tv = { 0, 1000000 };
	int zone[2] = { 2000, 0 };
	C(nanosleep, 0L, 0L);
	C(nanosleep, BAD, BAD);
	C(nanosleep, &wrong, BAD);
	C(nanosleep, &before, 0L);
	C(nanosleep, &zero, BAD);
	C(gettimeofday, 0L, 0L);
	C(gettimeofday, BAD, 0L);
	C(gettimeofday, 0L, BAD);
	T(gettimeofday, &tv, KERNEL);
	C(time, BAD);
	C(time, KERNEL);
	C(times, BAD);
	C(settimeofday, BAD, BAD);
	tv.tv_usec = 1000000;
	C(settimeofday, &tv, BAD);
	tv.tv_usec = -1;
	C(settimeofday, &tv, 0L);
	C(settimeofday, 0L, BAD);
	C(adjtimex, 0L);
	C(adjtimex, BAD);
	if (geteuid() != 0) {
		C(settimeofday, 0L, 0L);
		C(settimeofday, 0L, zone);
		tv.tv_usec = 0;
		tv.tv_sec = -1;
		C(settimeofday, &tv, 0L);
		tv.tv_sec = 1L << 50;
		C(settimeofday, &tv, zone);
		tv.tv_sec = 1000;
		C(settimeofday, &tv, zone);
	} else {
		C(settimeofday, 0L, zone);
	}
	struct timex x;
	static const unsigned modes[] = { 0, 1, 2, 4, 8, 16, 32, 0x80, 0x100, 0x1000, 0x2000, 0x4000, 0x8000, 0x8001, 0xa001, 0xa000, 0x10000 };
	for (unsigned i = 0; geteuid() != 0 && i < sizeof modes / sizeof *modes; i++) {
		memset(&x, 0, sizeof x);
		x.modes = modes[i];
		x.time.tv_usec = -1;
		in("modes %x: ", modes[i]);
		T(adjtimex, &x);
		printf("%x\n", x.modes);
	}
	memset(&x, 0, sizeof x);
	x.modes = ADJ_TICK;
	x.tick = 1;
	T(adjtimex, &x);
	x.modes = 0x8000;
	T(adjtimex, &x);
	x.modes = ADJ_SETOFFSET;
	x.time.tv_usec = -1;
	T(adjtimex, &x);
}

int main(void)
{
	each_clock();
	timers();
	interval_timers();
	descriptors();
	others();
	fflush(stdout);
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		each_clock();
		timers();
		descriptors();
		others();
	});
	return 0;
}
