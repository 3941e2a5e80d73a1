/*
 * For programs that give a call several bad arguments: system calls without the C library, each with the circumstances in its
 * line, and addresses that hold nothing.
 */
#ifndef ORDERS_CASE_H
#define ORDERS_CASE_H
#include "case.h"
#include <stdarg.h>

#define BAD ((void *)0x10)                   /* no memory of the program */
#define KERNEL ((void *)0xffff800000000000) /* no address of a program */
#define NOBODY 0x7ffffff                    /* no process */

static char where[100];

static inline void in(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(where, sizeof where, format, list);
	va_end(list);
}

#ifdef BRIEF
/* For programs that give many files or names the same arguments: a call is written out the first time, and later named by its
 * line in the program; the circumstances have a line of their own, once the first answer in them comes.
 */
static char shown[100];

static inline long answer(int *is_known, int line, const char *call, long result, int with_value)
{
	char text[300];
	int error = errno;
	if (strcmp(where, shown) != 0)
		printf("%s\n", where);
	memcpy(shown, where, sizeof shown);
	if (*is_known)
		snprintf(text, sizeof text, "%d", line);
	else
		snprintf(text, sizeof text, "%d %s", line, call);
	*is_known = 1;
	errno = error;
	show_result(text, result, with_value);
	return result;
}

#define ANSWER(call, with_value, ...) ({ static int known_; errno = 0; long r_ = syscall(SYS_##call, ##__VA_ARGS__); \
	answer(&known_, __LINE__, #call "(" #__VA_ARGS__ ")", r_, with_value); })
#else
#define ANSWER(call, with_value, ...) ({ errno = 0; long r_ = syscall(SYS_##call, ##__VA_ARGS__); printf("%s", where); \
	show_result(#call "(" #__VA_ARGS__ ")", r_, with_value); r_; })
#endif

/* A system call with its value or its error; the same without the value. */
#define C(call, ...) ANSWER(call, 1, ##__VA_ARGS__)
#define T(call, ...) ANSWER(call, 0, ##__VA_ARGS__)
#endif
