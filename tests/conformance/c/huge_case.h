/*
 * What the cases about huge pages share: the pool's size and figures, and what touching memory does.
 */
#ifndef HUGE_H
#define HUGE_H
#include <setjmp.h>
#include "case.h"

#define HUGE (2ul << 20)
#define RW (PROT_READ | PROT_WRITE)
#define POOL_AT "/proc/sys/vm/nr_hugepages"
#define SURPLUS_AT "/proc/sys/vm/nr_overcommit_hugepages"

static sigjmp_buf huge_back;

static void huge_fault(int number)
{
	siglongjmp(huge_back, number);
}

static inline const char *signal_word(int number)
{
	return number == 0 ? "fine" : number == SIGBUS ? "SIGBUS" : number == SIGSEGV ? "SIGSEGV" : "another signal";
}

static inline const char *reading(volatile char *place)
{
	int number = sigsetjmp(huge_back, 1);
	if (number == 0)
		(void)*place;
	return signal_word(number);
}

static inline const char *writing(volatile char *place, char value)
{
	int number = sigsetjmp(huge_back, 1);
	if (number == 0)
		*place = value;
	return signal_word(number);
}

static inline void catch_faults(void)
{
	signal(SIGBUS, huge_fault);
	signal(SIGSEGV, huge_fault);
}

static inline int write_number(const char *path, long number)
{
	char text[32];
	int length = snprintf(text, sizeof text, "%ld\n", number), fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	int result = write(fd, text, length) == length ? 0 : -1;
	close(fd);
	return result;
}

/* The pool's line of figures, as /proc/meminfo has them. */
static inline void pool(const char *when)
{
	static const char *names[] = { "HugePages_Total:", "HugePages_Free:", "HugePages_Rsvd:", "HugePages_Surp:" };
	char line[128];
	long found[4] = { -1, -1, -1, -1 };
	FILE *file = fopen("/proc/meminfo", "r");
	while (file && fgets(line, sizeof line, file))
		for (int i = 0; i < 4; i++)
			if (strncmp(line, names[i], strlen(names[i])) == 0)
				found[i] = atol(line + strlen(names[i]));
	if (file)
		fclose(file);
	printf("%s: %ld pages, %ld free, %ld reserved, %ld surplus\n", when, found[0], found[1], found[2], found[3]);
}

/* Lines about huge pages in smaps of the area at an address. */
static inline void area_figures(const char *when, void *place)
{
	static const char *names[] = { "Size:", "KernelPageSize:", "MMUPageSize:", "Rss:", "Shared_Hugetlb:", "Private_Hugetlb:" };
	char line[256], start[32];
	int here = 0;
	snprintf(start, sizeof start, "%lx-", (unsigned long)place);
	FILE *file = fopen("/proc/self/smaps", "r");
	printf("%s:\n", when);
	while (file && fgets(line, sizeof line, file)) {
		if (strchr(line, '-') && strchr(line, '-') < line + 17)
			here = strncmp(line, start, strlen(start)) == 0;
		for (size_t i = 0; here && i < sizeof names / sizeof *names; i++)
			if (strncmp(line, names[i], strlen(names[i])) == 0)
				printf("  %s", line);
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			printf("  %s%s", line, strchr(line, '\n') ? "" : "\n");
	}
	if (file)
		fclose(file);
}

static inline char *map_huge(size_t pages, int prot, int flags)
{
	return mmap(0, pages * HUGE, prot, MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);
}

/* Run a function in a child, and wait for it. */
static inline void in_child(void (*work)(char *), char *place)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		work(place);
		fflush(stdout);
		_exit(0);
	}
	int status = 0;
	waitpid(child, &status, 0);
	if (status != 0)
		printf("the child ended with %x\n", status);
}
#endif
