/* Steering the wall clock: what adjtimex tells and takes, its bounds and errors; timers that follow the clock when it is set, or
 * are cancelled by it; the alarm clocks (adjtimex(2), clock_adjtime(2), timerfd_create(2)).
 */
#define _GNU_SOURCE
#include "case.h"
#include <poll.h>
#include <sys/timerfd.h>
#include <sys/timex.h>

static struct timex t;

static void show(const char *what, long result)
{
	if (result < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	printf("%s: state %ld, offset %ld, freq %ld, maxerror %s, esterror %ld, status %#x, constant %ld, precision %ld, tolerance %ld, tick %ld, "
	       "tai %d, time %s\n", what, result, t.offset, t.freq, t.maxerror >= 16000000 ? "most" : t.maxerror < 100000 ? "small" : "other",
	       t.esterror, t.status, t.constant, t.precision, t.tolerance, t.tick, t.tai,
	       t.time.tv_sec > 1000000000 && t.time.tv_usec >= 0 ? "plausible" : "odd");
}
#define ADJUST(m, ...) ({ memset(&t, 0, sizeof t); t = (struct timex){ .modes = m, __VA_ARGS__ }; show(#m ", " #__VA_ARGS__, adjtimex(&t)); })

static void steering(void)
{
	ADJUST(0);
	ADJUST(ADJ_FREQUENCY, .freq = 65536 * 3);
	ADJUST(ADJ_FREQUENCY, .freq = 65536L * 1000);
	ADJUST(ADJ_FREQUENCY, .freq = -65536L * 1000);
	ADJUST(ADJ_FREQUENCY, .freq = 1L << 62);
	ADJUST(ADJ_FREQUENCY, .freq = 0);
	ADJUST(ADJ_MAXERROR | ADJ_ESTERROR, .maxerror = 500, .esterror = 20);
	ADJUST(ADJ_ESTERROR, .esterror = -5);
	ADJUST(ADJ_STATUS, .status = STA_PLL);
	ADJUST(ADJ_TIMECONST, .constant = 3);
	ADJUST(ADJ_TIMECONST, .constant = 99);
	ADJUST(ADJ_NANO);
	ADJUST(ADJ_TIMECONST, .constant = 1);
	ADJUST(ADJ_MICRO);
	ADJUST(ADJ_TAI, .constant = 37);
	ADJUST(ADJ_TAI, .constant = 0);
	ADJUST(ADJ_TICK, .tick = 8999);
	ADJUST(ADJ_TICK, .tick = 11001);
	ADJUST(ADJ_TICK, .tick = 10000);
	ADJUST(ADJ_STATUS, .status = STA_UNSYNC);
	ADJUST(ADJ_OFFSET, .offset = 1000);
	ADJUST(ADJ_SETOFFSET, .time = { 0, 1000000 });
	ADJUST(ADJ_SETOFFSET | ADJ_NANO, .time = { 0, 1000000000 });
	ADJUST(ADJ_SETOFFSET, .time = { 0, -1 });
	ADJUST(0x8000);
	ADJUST(ADJ_OFFSET_SS_READ);
	SHOW(adjtimex((void *)8));
	SHOW(clock_adjtime(CLOCK_MONOTONIC, &t));
	SHOW(clock_adjtime(99, &t));
	SHOW(clock_adjtime(CLOCK_REALTIME, (void *)8));
	memset(&t, 0, sizeof t);
	SHOW(clock_adjtime(CLOCK_REALTIME, &t));
	IN_CHILD(
		MUST(setuid(1000));
		ADJUST(0);
		ADJUST(ADJ_FREQUENCY, .freq = 0);
		ADJUST(ADJ_OFFSET_SINGLESHOT, .offset = 1);
		ADJUST(ADJ_OFFSET_SS_READ);
	);
	struct timespec before, after;
	clock_gettime(CLOCK_REALTIME, &before);
	ADJUST(ADJ_SETOFFSET, .time = { 100, 0 });
	clock_gettime(CLOCK_REALTIME, &after);
	CHECK(after.tv_sec - before.tv_sec >= 100 && after.tv_sec - before.tv_sec < 104);
	ADJUST(ADJ_SETOFFSET, .time = { -100, 0 });
}

static void step(long seconds)
{
	memset(&t, 0, sizeof t);
	t.modes = ADJ_SETOFFSET;
	t.time.tv_sec = seconds;
	MUST(adjtimex(&t));
}

static void timers(void)
{
	struct itimerspec s = { { 0, 0 }, { 0, 0 } };
	struct timespec now;
	uint64_t count = 0;
	int fd = (int)MUST(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
	struct pollfd p = { fd, POLLIN, 0 };
	clock_gettime(CLOCK_REALTIME, &now);
	s.it_value.tv_sec = now.tv_sec + 50;
	SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &s, 0));
	SHOW(read(fd, &count, 8));
	step(100);
	SHOW(poll(&p, 1, 60000));
	SHOW(read(fd, &count, 8));
	printf("expired %lu times\n", (unsigned long)count);
	step(-100);
	SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &s, 0));
	SHOW(poll(&p, 1, 0));
	step(1);
	SHOW(poll(&p, 1, 60000));
	SHOW(read(fd, &count, 8));
	SHOW(read(fd, &count, 8));
	step(-1);
	SHOW(read(fd, &count, 8));
	SHOW(timerfd_settime(fd, TFD_TIMER_CANCEL_ON_SET, &s, 0));
	step(1);
	SHOW(read(fd, &count, 8));
	step(-1);
	SHOW(timerfd_settime(fd, 4, &s, 0));
	close(fd);
	fd = (int)TRY(timerfd_create(CLOCK_BOOTTIME_ALARM, TFD_NONBLOCK));
	s.it_value = (struct timespec){ 0, 10000000 };
	SHOW(timerfd_settime(fd, 0, &s, 0));
	p.fd = fd;
	SHOW(poll(&p, 1, 60000));
	SHOW(read(fd, &count, 8));
	close(fd);
	close((int)TRY(timerfd_create(CLOCK_REALTIME_ALARM, 0)));
	SHOW(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
	IN_CHILD(
		MUST(setuid(1000));
		SHOW(timerfd_create(CLOCK_REALTIME_ALARM, 0));
	);
}

int main(void)
{
	steering();
	timers();
	return 0;
}
