/*
 * Covers: the earliest and latest times to which the wall clock can be set, by clock_settime(2), settimeofday(2) and adjtimex(2): no boot before
 * 1970, as root and as another user; and what of settimeofday(2) has happened when it fails.
 */
#include <sys/time.h>
#include <sys/timex.h>
#include "case.h"

static const long seconds[] = { 0, -1, (1L << 33) + 1, 8277292036, 9223372036, 1L << 62, (long)(~0ul >> 1), 1L << 63 };

static void set(void)
{
	for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
		if (seconds[i] > 1L << 32 && seconds[i] < 1L << 60)
			continue; /* they are possible */
		struct timespec time = { seconds[i], 5 };
		struct timeval old = { seconds[i], 5 };
		printf("%ld:\n", seconds[i]);
		TRY(clock_settime(CLOCK_REALTIME, &time));
		TRY(settimeofday(&old, 0));
		struct timezone zone = { 60 + (int)i, 1 }, got = { 0 };
		TRY(syscall(SYS_settimeofday, &old, &zone));
		gettimeofday(&old, &got);
		printf("zone %d %d\n", got.tz_minuteswest, got.tz_dsttime);
	}
	struct timezone none = { 0, 0 };
	syscall(SYS_settimeofday, 0, &none);
	static const long shifts[] = { -(1L << 40), -(1L << 60), 1L << 60, (long)(~0ul >> 1), 1L << 63 };
	for (size_t i = 0; i < sizeof shifts / sizeof *shifts; i++) {
		struct timex shift = { .modes = ADJ_SETOFFSET, .time = { shifts[i], 0 } };
		printf("by %ld: %s\n", shifts[i], adjtimex(&shift) < 0 ? error_name(errno) : "ok");
	}
	struct timespec now;
	MUST(clock_gettime(CLOCK_REALTIME, &now));
	struct timex before = { .modes = ADJ_SETOFFSET, .time = { -now.tv_sec, 0 } };
	printf("to 1970: %s\n", adjtimex(&before) < 0 ? error_name(errno) : "ok");
}

int main(void)
{
	set();
	IN_CHILD({
		MUST(setresuid(1000, 1000, 1000));
		set();
	});
	return 0;
}
