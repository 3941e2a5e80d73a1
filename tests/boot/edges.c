/*
 * Drives every system call with numbers at the edge: each argument, and each two of them, and the words of the memory that pointers
 * lead to. What a call answers does not matter here; the kernel must not trap, and the machine must go on.
 *
 * Usage: edges UID [NAME…]. edges_table.h, which test_edges.py makes from the call table, has a row for each call, with a kind for
 * each argument:
 *   f descriptor, p pointer, s string, n process, i number of 32 bits, l number of 64 bits, a what the command makes of it,
 *   c one of the commands, = only the base.
 * A child makes the calls one after the other and keeps in shared memory how far it came; where it ends or hangs, another goes on
 * after that place. Blocking calls are interrupted by a timer. A call that ends or blocks its caller too often is cut short.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(list) ((int)(sizeof list / sizeof *list))
#define LEAST (-0x7fffffffffffffffL - 1)
#define MOST 0x7fffffffffffffffL
#define TOP (1L << 47)

enum { ARGUMENTS = 6, BUFFER = 65536, FIRST_FD = 3, LAST_FD = 39, PATIENCE_MS = 300, MOST_HANGS = 4, MOST_ENDS = 40, MOST_TRIES = 12000 };

struct argument {
	char kind;
	long base;
};

struct call {
	long number;
	const char *name;
	struct argument arguments[ARGUMENTS];
	const long *commands;
	int command_count;
};

#include "edges_table.h"

static const long words[] = {
	0, 1, 2, 7, 8, 4095, 4096, -1, -8, -4096, 0x7fffffff, 0x80000000, 0xffffffff, 1L << 32, -(1L << 31), TOP - 4096, TOP - 1, TOP,
	1L << 62, MOST, MOST - 7, MOST - 4095, LEAST,
};
static const long numbers[] = { 0, 1, 2, 3, 4, 8, 16, 64, 4096, 65536, 1 << 30, 0x7fffffff, -1, -2, -0x7fffffff - 1 };
static const long few[] = { 0, 1, 4096, -1, -4096, 0x7fffffff, TOP - 4096, TOP, 1L << 62, MOST, MOST - 4095, LEAST };
static const long processes[] = { 0, 99999, 0x7fffffff, -0x7fffffff - 1, -99999 };
static const long strange[] = { 0, 8, 4095, TOP - 4096, TOP - 8, TOP, 1L << 62, MOST, MOST - 3, MOST - 7, MOST - 15, MOST - 63, LEAST, -1, -8, -4096 };

static const long edges[] = { 0, -1, 0x7fffffff, TOP - 4096, TOP - 8, TOP, 1L << 62, MOST, MOST - 3, MOST - 7, MOST - 63, LEAST, -8, -4096 };

static volatile struct shared { long done, calls, blocked, tid; } *shared;
static char *buffer; /* BUFFER bytes with nothing after them */
static char strings[2][32];
static int descriptors, null;

/* ---- what a child works with -------------------------------------------------------------------------------------------------- */

static void keep(int fd)
{
	if (fd >= 0 && descriptors <= LAST_FD && fd < LAST_FD)
		descriptors = fd + 1 > descriptors ? fd + 1 : descriptors;
	else if (fd >= 0)
		close(fd);
}

static void open_all(void)
{
	int ends[2];
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	for (int fd = FIRST_FD; fd < 64; fd++)
		close(fd);
	descriptors = FIRST_FD;
	int file = open("file", O_RDWR | O_CREAT, 0666);
	write(file, buffer, 9000);
	keep(file);
	keep(open("/mnt/file", O_RDWR));
	keep(open("/dev/vda", O_RDONLY));
	keep(open(".", O_RDONLY | O_DIRECTORY));
	if (pipe2(ends, O_NONBLOCK) == 0) {
		keep(ends[0]);
		keep(ends[1]);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0) {
		keep(ends[0]);
		keep(ends[1]);
	}
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	bind(udp, (struct sockaddr *)&here, sizeof here);
	keep(udp);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	listen(listener, 1);
	keep(listener);
	keep(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
	keep(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0));
	keep(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
	keep(socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, 1));
	keep(epoll_create1(0));
	keep(eventfd(1, EFD_NONBLOCK));
	keep(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	sigset_t none = { 0 };
	keep(signalfd(-1, &none, SFD_NONBLOCK));
	keep(inotify_init1(IN_NONBLOCK));
	keep(syscall(SYS_memfd_create, "memory", 2));
	keep(open("/dev/null", O_RDWR));
	keep(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK));
	keep(open("/proc/self/status", O_RDONLY));
	keep(open("/proc/self/mem", O_RDWR));
	keep(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
	keep(syscall(SYS_mq_open, "edges", O_RDWR | O_CREAT | O_NONBLOCK, 0666, NULL));
	keep(syscall(434, getpid(), 0));
	keep(open("file", O_PATH));
}

static long raw(long number, const long *a)
{
	long result;
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static void interrupt(int number)
{
	(void)number;
}

enum { FILLS = 10 };

static void fill(int kind)
{
	long *at = (long *)buffer;
	long inside = (long)buffer + 4096;
	switch (kind) {
	case 0: memset(buffer, 0, 256); break;
	case 1: memset(buffer, 0xff, 256); break;
	case 2: for (int i = 0; i < 32; i++) at[i] = MOST; break;
	case 3: for (int i = 0; i < 32; i++) at[i] = LEAST; break;
	case 4: for (int i = 0; i < 32; i++) at[i] = i & 1 ? MOST : inside; break;
	case 5: for (int i = 0; i < 32; i++) at[i] = i & 1 ? 64 : inside; break;
	case 6: for (int i = 0; i < 32; i++) at[i] = i & 1 ? 999999 : MOST; break;
	case 7: for (int i = 0; i < 32; i++) at[i] = 0x7fffffff7fffffff; break;
	case 8: for (int i = 0; i < 32; i++) at[i] = TOP - 4096; break;
	case 9: for (int i = 0; i < 32; i++) at[i] = i & 1 ? 1 : MOST - 3; break;
	}
}

/* ---- one call ----------------------------------------------------------------------------------------------------------------- */

static struct call call;
static long at;      /* the number of the next try */
static int blocked;  /* tries of this child that the timer ended */

static int values_of(char kind, const long **list)
{
	switch (kind) {
	case 'p': case 's': *list = strange; return COUNT(strange);
	case 'n': *list = processes; return COUNT(processes);
	case 'l': *list = words; return COUNT(words);
	case 'a': *list = edges; return COUNT(edges);
	case 'i': case 'f': *list = numbers; return COUNT(numbers);
	}
	return 0;
}

static void base(long *arguments, int fd, int command)
{
	int strings_used = 0, pointers = 0;
	for (int i = 0; i < ARGUMENTS; i++)
		switch (call.arguments[i].kind) {
		case 'f': arguments[i] = fd; break;
		case 'a': case 'p': arguments[i] = (long)buffer + 512 * pointers++; break;
		case 's': arguments[i] = (long)strings[strings_used++ & 1]; break;
		case 'c': arguments[i] = call.commands[command]; break;
		default: arguments[i] = call.arguments[i].base;
		}
}

static int closes_descriptors(void)
{
	return call.number == SYS_close || call.number == SYS_dup2 || call.number == SYS_dup3 || call.number == 436;
}

static void try(int filling, const long *arguments)
{
	if (at++ < shared->done)
		return;
	if (at > MOST_TRIES || blocked > MOST_ENDS)
		return;
	fill(filling);
	if (filling < 4 && arguments[0] >= FIRST_FD && arguments[0] < descriptors)
		syscall(SYS_lseek, arguments[0], filling < 2 ? 0L : filling == 2 ? MOST : MOST - 3, SEEK_SET);
	shared->done = at;
	shared->calls++;
	long result = raw(call.number, arguments);
	if (syscall(SYS_gettid) != shared->tid)
		for (;;)
			syscall(SYS_exit, 0); /* it was a fork */
	if (result == -EINTR || (result <= -512 && result > -520)) {
		blocked++;
		shared->blocked++;
	}
	if ((at & 63) == 0 || result >= LAST_FD)
		syscall(436, LAST_FD, ~0U, 0);
	if (closes_descriptors())
		open_all();
}

static void singles(int filling, int fd, int command)
{
	long arguments[ARGUMENTS];
	const long *list;
	base(arguments, fd, command);
	try(filling, arguments);
	for (int i = 0; i < ARGUMENTS; i++) {
		int count = values_of(call.arguments[i].kind, &list);
		for (int v = 0; v < count; v++) {
			base(arguments, fd, command);
			arguments[i] = list[v];
			try(filling, arguments);
		}
	}
}

static int few_values_of(char kind, const long **list)
{
	if (kind == 'l') {
		*list = few;
		return COUNT(few);
	}
	return kind && strchr("pia", kind) ? values_of(kind, list) : 0;
}

static void pairs(int filling, int fd, int command)
{
	long arguments[ARGUMENTS];
	const long *first, *second;
	for (int i = 0; i < ARGUMENTS; i++)
		for (int j = i + 1; j < ARGUMENTS; j++) {
			int a = few_values_of(call.arguments[i].kind, &first), b = few_values_of(call.arguments[j].kind, &second);
			for (int v = 0; v < a; v++)
				for (int w = 0; w < b; w++) {
					base(arguments, fd, command);
					arguments[i] = first[v];
					arguments[j] = second[w];
					try(filling, arguments);
				}
		}
}

static int takes(char kind)
{
	for (int i = 0; i < ARGUMENTS; i++)
		if (call.arguments[i].kind == kind)
			return 1;
	return 0;
}

static void drive(void)
{
	int with_descriptors = takes('f'), with_commands = call.command_count > 0;
	int end = with_descriptors ? descriptors : FIRST_FD + 1;
	for (int command = 0; command < (with_commands ? call.command_count : 1); command++)
		for (int fd = FIRST_FD; fd < end; fd++) {
			/* Each descriptor gets some of the fills, and with many commands one after the other. */
			for (int filling = 0; filling < FILLS; filling++)
				if (!with_descriptors || (with_commands ? (fd + command) % FILLS == filling : (fd + filling) % 3 == 0))
					singles(filling, fd, command);
			if (!with_commands && (fd == FIRST_FD || fd == FIRST_FD + 6))
				pairs(fd & 1 ? 0 : 5, fd, command);
			else if (with_commands && !with_descriptors)
				pairs(command % FILLS, fd, command);
		}
}

static void child(long uid)
{
	struct rlimit memory = { 48 << 20, 48 << 20 }, file = { 4 << 20, 4 << 20 }, core = { 0, 0 };
	struct sigaction action = { .sa_handler = interrupt };
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } };
	setsid();
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	for (int number = 1; number < 65; number++)
		signal(number, SIG_DFL);
	setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_FSIZE, &file);
	setrlimit(RLIMIT_CORE, &core);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (uid) {
		setgid(uid);
		setuid(uid);
	}
	shared->tid = syscall(SYS_gettid);
	open_all();
	setitimer(ITIMER_REAL, &often, NULL);
	drive();
	shared->done = MOST; /* all was tried */
	_exit(0);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
}

/* Make all tries of one call. */
static void run(long uid)
{
	int ends = 0, hangs = 0;
	shared->done = 0;
	while (shared->done != MOST && ends < MOST_ENDS && hangs < MOST_HANGS) {
		close(open("file", O_RDWR | O_CREAT, 0666));
		mkdir("directory", 0777);
		blocked = 0;
		at = 0;
		pid_t pid = fork();
		if (pid < 0) {
			nap();
			continue;
		}
		if (pid == 0)
			child(uid);
		long before = -1;
		double since = now();
		int status;
		while (waitpid(pid, &status, WNOHANG) == 0) {
			if (shared->done != before) {
				before = shared->done;
				since = now();
			} else if (now() - since > PATIENCE_MS / 1000.0) {
				kill(pid, SIGKILL);
				waitpid(pid, &status, 0);
				hangs++;
				break;
			}
			nap();
		}
		kill(-pid, SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		ends++;
	}
}

static int is_wanted(const char *name, int count, char **names)
{
	for (int i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return 1;
	return count <= 0;
}

int main(int argc, char **argv)
{
	long uid = argc > 1 ? atol(argv[1]) : 0, calls = 0;
	double start = now();
	null = open("/dev/null", O_RDWR);
	/* Some of the calls send signals, or make others send them. */
	for (int number = 1; number < 65; number++)
		if (number != SIGCHLD)
			signal(number, SIG_IGN);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	buffer = mmap(NULL, BUFFER + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(buffer + BUFFER, 4096);
	strcpy(strings[0], "file");
	strcpy(strings[1], "directory/other");
	for (int i = 0; i < COUNT(rows); i++) {
		double began = now();
		long made = shared->calls;
		call = rows[i];
		if (!is_wanted(call.name, argc - 2, argv + 2))
			continue;
		run(uid);
		calls++;
		if (getenv("EDGES_TIMES"))
			printf("%s %ld %.2f\n", call.name, shared->calls - made, now() - began);
		fflush(stdout);
	}
	printf("@edges@ %ld calls, %ld tries, %ld of them blocked, %.1f s\n", calls, shared->calls, shared->blocked, now() - start);
	return 0;
}
