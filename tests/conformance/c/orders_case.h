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

/* A system call with its value or its error; the same without the value. */
#define C(call, ...) ({ errno = 0; long r_ = syscall(SYS_##call, ##__VA_ARGS__); printf("%s", where); \
	show_result(#call "(" #__VA_ARGS__ ")", r_, 1); r_; })
#define T(call, ...) ({ errno = 0; long r_ = syscall(SYS_##call, ##__VA_ARGS__); printf("%s", where); \
	show_result(#call "(" #__VA_ARGS__ ")", r_, 0); r_; })
#endif
