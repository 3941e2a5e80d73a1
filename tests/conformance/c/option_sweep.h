/*
 * Every number of a level, as an option: its default, what a short buffer gets, and what becomes of it when it is set to
 * various values of various lengths. The maker makes a socket for each value, so that nothing depends on the order.
 */
#ifndef OPTION_SWEEP_H
#define OPTION_SWEEP_H
#include <stdarg.h>
#include <netinet/in.h>
#include "socket_case.h"

typedef int maker(void);

static char sweep_line[8192], sweep_before[8192];
static size_t sweep_used;

static void say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	sweep_used += (size_t)vsnprintf(sweep_line + sweep_used, sizeof sweep_line - sweep_used, format, arguments);
	va_end(arguments);
}

/* Whether a value differs from run to run. */
static int (*is_unstable)(int level, int option);

/* Options that Krait does not have, as some builds of Linux do not, and answers so: what Linux makes of them is not asked. */
static int (*is_left_out)(int level, int option);

static int is_among(int option, const int *list)
{
	while (*list && *list != option)
		list++;
	return *list;
}

static void say_value(int fd, int level, int option, socklen_t room)
{
	unsigned char value[512];
	socklen_t length = room;
	memset(value, 'z', sizeof value);
	if (getsockopt(fd, level, option, value, &length)) {
		say(" %s", error_name(errno));
		return;
	}
	say(" %d:", (int)length);
	if (is_unstable && is_unstable(level, option))
		return;
	for (socklen_t i = 0; i < length && i < 40; i++)
		say("%02x", value[i]);
}

static void set_and_say(maker *make, int level, int option, const char *what, const void *value, socklen_t length)
{
	static char last[512];
	size_t start;
	int fd = make();
	if (sweep_used && what[0] == '*')
		last[0] = 0;
	int result = setsockopt(fd, level, option, value, length);
	int error = errno;
	start = sweep_used;
	say(" %s", result ? error_name(error) : "ok");
	if (!result)
		say_value(fd, level, option, 64);
	close(fd);
	/* What is like the one before is not repeated. */
	if (strcmp(last, sweep_line + start) == 0) {
		sweep_used = start;
		sweep_line[start] = 0;
		return;
	}
	snprintf(last, sizeof last, "%s", sweep_line + start);
	sweep_used = start;
	say("; %s:%s", what, last);
}

static void sweep(const char *kind, maker *make, int level, int first, int last)
{
	static const int values[] = { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 64, 255, 256, 1280, 65535, 65536, INT32_MAX };
	printf("--- %s, level %d\n", kind, level);
	sweep_before[0] = 0;
	for (int option = first; option <= last; option++) {
		if (is_left_out && is_left_out(level, option))
			continue;
		char name[24];
		int fd = make();
		sweep_used = 0;
		say_value(fd, level, option, 64);
		for (socklen_t room = 0; room < 4; room++) {
			say(" |%d", (int)room);
			say_value(fd, level, option, room);
		}
		close(fd);
		for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
			int v[4] = { values[i], 0, 0, 0 };
			snprintf(name, sizeof name, i ? "%d" : "*%d", values[i]);
			set_and_say(make, level, option, name, v, 4);
		}
		for (socklen_t length = 0; length <= 32; length++) {
			int v[8] = { 1, 0 };
			if (length == 4)
				continue;
			snprintf(name, sizeof name, length ? "1 of %d" : "*1 of %d", (int)length);
			set_and_say(make, level, option, name, v, length);
		}
		set_and_say(make, level, option, "*negative", "", (socklen_t)-1);
		if (strcmp(sweep_line, sweep_before) != 0)
			printf("%d:%s\n", option, sweep_line);
		strcpy(sweep_before, sweep_line);
	}
}
#endif
