/*
 * Calls with arguments at the edges of their types, by a table: what a letter stands for is a list of values, and a call is made with all
 * combinations of them, or with some that a fixed seed picks. Each call has a process, a directory and descriptors of its own. A line is printed where
 * the answer is not that of the combination before it.
 */
#ifndef ARGUMENT_SWEEP_H
#define ARGUMENT_SWEEP_H
#define _GNU_SOURCE
#include "case.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sched.h>
#include <sys/mount.h>

#define LEAST (-0x7fffffffffffffffL - 1)
#define MOST 0x7fffffffffffffffL
#define MOST_COMBINATIONS 240

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif
#ifndef SYS_lsm_get_self_attr
#define SYS_lsm_get_self_attr 459
#define SYS_lsm_set_self_attr 460
#define SYS_lsm_list_modules 461
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef SYS_futex_wake
#define SYS_futex_wake 454
#define SYS_futex_wait 455
#define SYS_futex_requeue 456
#endif
#ifndef SYS_map_shadow_stack
#define SYS_map_shadow_stack 453
#endif

struct call { const char *name; long number; const char *arguments; };
#define CALL(name, arguments) { #name, SYS_##name, arguments }

static char *area; /* two pages, one that can only be read, a hole */
static long values[128][40];
static int counts[128];

#define VALUES(letter, ...) do { \
	static const long list_[] = { __VA_ARGS__ }; \
	memcpy(values[letter], list_, sizeof list_); \
	counts[letter] = sizeof list_ / sizeof *list_; \
} while (0)

static void add_value(int letter, long value) { values[letter][counts[letter]++] = value; }
static void add_pointer(int letter, const void *value) { add_value(letter, (long)value); }

static void edges_of_memory(int letter)
{
	char *hole = area + 3 * PAGE;
	add_value(letter, 0);
	add_value(letter, 1);
	add_pointer(letter, hole);
	add_pointer(letter, hole - 4);
	add_pointer(letter, area + 2 * PAGE);
	add_pointer(letter, area + 2 * PAGE - 4);
	add_value(letter, (1L << 47) - 4096);
	add_value(letter, 1L << 47);
	add_value(letter, MOST - 4095);
	add_value(letter, -8);
}

/* In the process of a call. */
static void prepare(const char *directory)
{
	static const struct timespec times[] = { { 0, 0 }, { 0, 1 }, { -1, 0 }, { 0, -1 }, { 0, 1000000000 }, { LEAST, 0 } };
	MUST(chdir(directory));
	area = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(area + 3 * PAGE, 13 * PAGE); /* what lies behind is not the same on every machine */
	char *texts = area + 256;
	MUST(mkdir("dir", 0755));
	put_file("file", "0123456789abcdef", 0644);
	MUST(symlink("file", "link"));
	memcpy(area + 1024, times, sizeof times);
	for (int fd = 3; fd < 40; fd++)
		close(fd);
	int file = (int)MUST(open("file", O_RDWR));
	int dir = (int)MUST(open("dir", O_RDONLY | O_DIRECTORY));
	int pipes[2];
	MUST(pipe2(pipes, O_NONBLOCK));
	int sock = (int)MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	int event = (int)MUST(eventfd(1, EFD_NONBLOCK));
	int queue = (int)MUST(epoll_create1(0));
	int timer = (int)MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	int path = (int)MUST(open("file", O_PATH));
	int reader = (int)MUST(open("file", O_RDONLY));
	long fds[] = { file, dir, pipes[0], pipes[1], sock, event, queue, timer, path, reader, -1, 9999, 0x80000000 };
	for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++)
		add_value('f', fds[i]);
	long dirs[] = { AT_FDCWD, dir, file, path, -1, 9999 };
	for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++)
		add_value('d', dirs[i]);
	static const char *const paths[] = { "file", "absent", "", "dir", "link", "file/x", "dir/", "new", ".", ".." };
	for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
		strcpy(texts + 32 * i, paths[i]);
		add_pointer('s', texts + 32 * i);
	}
	add_value('s', 0);
	add_pointer('s', area + 3 * PAGE);
	add_value('s', 1L << 47);
	add_pointer('p', area);
	add_pointer('p', area + 1);
	edges_of_memory('p');
	edges_of_memory('q');
	counts['q']--;
	for (int i = 0; i < 6; i++)
		add_pointer('t', area + 1024 + 16 * i);
	add_pointer('t', area + 3 * PAGE - 8);
	add_value('t', 1L << 47);
	add_value('t', -1);
	VALUES('i', 0, 1, 2, 3, -1, -2, 0x7fffffff, -0x80000000L, 0x80000000, 0x100000000, 0x100000001, MOST);
	VALUES('c', 0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, -1, 0x7fffffff, 0x100000000, MOST); /* clocks that time goes on by while the caller sleeps */
	VALUES('N', 30, 31, -1, 0x7fffffff, -0x80000000L, 0xffffffff, 0x10000001f, MOST);
	VALUES('n', 0, 1, 2, -1, 0x7fffffff, -0x80000000L, 0xffffffff, 0x100000000);
	VALUES('z', 0, 1, 4, 8, 16, 4096, 8192, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, MOST, LEAST, -1);
	VALUES('y', 0, 1, 4, 8, 16, 4096, 8192, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, LEAST, -1);
	VALUES('o', 0, 1, 16, 4095, 4096, 0x100000000, MOST - 4095, MOST, -1, LEAST);
	VALUES('0', 0);
	VALUES('1', 1);
	VALUES('8', 8);
	VALUES('u', 0, 1, 65534, 65535, 65536, 0x7fffffff, 0xfffffffe, 0xffffffff, 0x100000000, -1);
	VALUES('m', 0, 0644, 07777, 010000, 0100644, 040755, 020644, 060644, 0140644, 0120777, 0170000, -1, 0xffff0000);
	add_value('g', 0);
	for (int bit = 0; bit < 33; bit++)
		add_value('g', 1L << bit);
	add_value('g', -1);
	char *page = area + PAGE;
	long where[] = { (long)page, (long)page + 1, (long)page + 2 * PAGE, (long)page + 3 * PAGE, 0, (1L << 47) - 4096, 1L << 47, MOST - 4095, -4096, -1 };
	for (unsigned i = 0; i < sizeof where / sizeof *where; i++)
		add_value('a', where[i]);
	mprotect(area + 2 * PAGE, PAGE, PROT_READ);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static void sweep(const struct call *call)
{
	unsigned long total = 1, seed = 12345;
	int count = (int)strlen(call->arguments);
	char last[64] = "";
	for (int i = 0; i < count; i++)
		total *= (unsigned long)counts[(int)call->arguments[i]];
	unsigned long tries = total < MOST_COMBINATIONS ? total : MOST_COMBINATIONS;
	for (unsigned long n = 0; n < tries; n++) {
		long arguments[6] = { 0 };
		int picked[6];
		unsigned long rest = n;
		if (total > MOST_COMBINATIONS) {
			seed = seed * 6364136223846793005ul + 1442695040888963407ul;
			rest = (seed >> 20) % total;
		}
		for (int i = count - 1; i >= 0; i--) {
			int letter = call->arguments[i];
			picked[i] = (int)(rest % (unsigned long)counts[letter]);
			rest /= (unsigned long)counts[letter];
			arguments[i] = values[letter][picked[i]];
		}
		errno = 0;
		long result = syscall(call->number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
		char now[64];
		if (result == -1 && errno)
			snprintf(now, sizeof now, "%s", error_name(errno));
		else if (result > -100000 && result < 100000)
			snprintf(now, sizeof now, "%ld", result);
		else
			strcpy(now, "ok");
		if (strcmp(last, now)) {
			printf("  %s(", call->name);
			for (int i = 0; i < count; i++)
				printf("%s%c%d", i ? " " : "", call->arguments[i], picked[i]);
			printf("): %s\n", now);
			strcpy(last, now);
		}
	}
}

static void sweep_as(const struct call *calls, unsigned count, int uid)
{
	printf("== as %d\n", uid);
	for (unsigned i = 0; i < count; i++) {
		char directory[64];
		snprintf(directory, sizeof directory, "/tmp/sweep/in/%d-%03u", uid, i);
		printf("%s %s:\n", calls[i].name, calls[i].arguments);
		IN_CHILD({
			alarm(10);
			MUST(mkdir(directory, 0755));
			MUST(chown(directory, uid, uid));
			if (uid) {
				MUST(setgid(uid));
				MUST(setuid(uid));
			}
			prepare(directory);
			sweep(&calls[i]);
		});
	}
}

/* In a file system of its own, and among processes of its own, of which the caller's child is the first. */
static void sweep_all(const struct call *calls, unsigned count)
{
	MUST(unshare(CLONE_NEWNS | CLONE_NEWPID));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("/tmp/sweep", 0755);
	MUST(mount("none", "/tmp/sweep", "tmpfs", 0, "size=8m"));
	MUST(mkdir("/tmp/sweep/in", 0755));
	IN_CHILD({
		sweep_as(calls, count, 0);
		sweep_as(calls, count, 1000);
	});
}
#endif
