/* Covers: personality: what each bit changes; PR_SET_TSC; PR_SET_MM. */
#define _GNU_SOURCE
#include <elf.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/shm.h>
#include <sys/utsname.h>
#include "case.h"

static const char *permissions(const void *address)
{
	static char line[512], found[8];
	unsigned long start, end;
	FILE *maps = fopen("/proc/self/maps", "r");
	strcpy(found, "none");
	while (fgets(line, sizeof line, maps)) {
		char text[8];
		sscanf(line, "%lx-%lx %4s", &start, &end, text);
		if (start <= (uintptr_t)address && (uintptr_t)address < end)
			strcpy(found, text);
	}
	fclose(maps);
	return found;
}

static void *map(size_t pages, int prot, int flags, int fd)
{
	void *at = mmap(NULL, pages * PAGE, prot, flags, fd, 0);
	if (at == MAP_FAILED)
		printf("mmap: %s\n", error_name(errno));
	return at;
}

static void show_uname(void)
{
	struct utsname names;
	uname(&names);
	names.release[4] = 0;
	printf("%s %s\n", names.release, names.machine);
}

static void read_implies_exec(void)
{
	int fd = (int)MUST(open("/tmp/persona", O_RDWR | O_CREAT | O_TRUNC, 0644));
	MUST(ftruncate(fd, 4 * PAGE));
	char *before = map(1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	MUST(personality(READ_IMPLIES_EXEC));
	printf("before: %s\n", permissions(before));
	printf("read and write: %s\n", permissions(map(1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1)));
	printf("write: %s\n", permissions(map(1, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1)));
	printf("nothing: %s\n", permissions(map(1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1)));
	printf("shared: %s\n", permissions(map(1, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1)));
	char *file = map(2, PROT_READ, MAP_PRIVATE, fd);
	printf("file: %s\n", permissions(file));
	MUST(mprotect(before, PAGE, PROT_READ));
	printf("mprotect: %s\n", permissions(before));
	MUST(mprotect(before, PAGE, PROT_WRITE));
	printf("mprotect: %s\n", permissions(before));
	MUST(mprotect(before, PAGE, PROT_NONE));
	printf("mprotect: %s\n", permissions(before));
	char *end = sbrk(0);
	if (syscall(SYS_brk, end + 4 * PAGE) > (long)end)
		printf("heap: %s\n", permissions(end + 3 * PAGE));
	else
		end = (char *)syscall(SYS_brk, 0), syscall(SYS_brk, end + 4 * PAGE), printf("heap: %s\n", permissions(end + 2 * PAGE));
	int segment = (int)MUST(shmget(IPC_PRIVATE, PAGE, 0600 | IPC_CREAT));
	char *at = shmat(segment, NULL, SHM_RDONLY);
	printf("segment: %s\n", permissions(at));
	shmctl(segment, IPC_RMID, NULL);
	unlink("/tmp/persona");
}

static void sticky(void)
{
	struct timeval time = { 0, 30000 };
	struct timespec precise = { 0, 30000000 };
	SHOW(syscall(SYS_select, 0, NULL, NULL, NULL, &time));
	printf("left: %ld\n", (long)time.tv_usec);
	SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &precise, NULL));
	printf("left: %ld\n", precise.tv_nsec);
	SHOW(syscall(SYS_ppoll, NULL, 0, &precise, NULL, 8));
	printf("left: %ld\n", precise.tv_nsec);
}

static void executed(const char *what)
{
	if (strcmp(what, "layout") == 0) {
		char *first = map(1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		char *second = map(8, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		char *third = map(8, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		printf("mappings go %s, %s a third\n", third > second ? "up" : "down", (uintptr_t)third < 0x400000000000 ? "from about" : "far above");
		printf("next to each other: %d\n", third == second + 8 * PAGE || second == third + 8 * PAGE);
		munmap(second, 8 * PAGE);
		char *again = map(4, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		printf("a gap is used: %d\n", again >= second && again < second + 8 * PAGE);
		printf("from its %s\n", again == second ? "start" : "end");
		(void)first;
	} else if (strcmp(what, "zero") == 0) {
		printf("page 0: %s, %d\n", permissions(NULL), *(volatile char *)NULL);
	} else if (strcmp(what, "persona") == 0) {
		printf("persona %x\n", personality(0xffffffff));
		show_uname();
	}
}

static void execute_with(unsigned long persona, const char *what)
{
	printf("persona %lx, %s:\n", persona, what);
	IN_CHILD({ personality(persona); execl("/proc/self/exe", "personality_effects", what, NULL); });
}

static unsigned long counter(void)
{
	unsigned low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (unsigned long)high << 32 | low;
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
	printf("signal %d, code %d\n", signo, info->si_code);
	fflush(stdout);
	_exit(4);
}

static void time_stamps(void)
{
	int value = 9;
	puts("--- the time-stamp counter");
	SHOW(prctl(PR_GET_TSC, &value));
	printf("%d\n", value);
	SHOW(prctl(PR_SET_TSC, 0));
	SHOW(prctl(PR_SET_TSC, 3));
	SHOW(prctl(PR_SET_TSC, PR_TSC_ENABLE));
	IN_CHILD({
		struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
		sigaction(SIGSEGV, &action, NULL);
		SHOW(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
		SHOW(prctl(PR_GET_TSC, &value));
		printf("%d\n", value);
		fflush(stdout);
		struct timespec t;
		SHOW(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t));
		for (int i = 0; i < 3; i++)
			sched_yield();
		fflush(stdout);
		counter();
		puts("it can be read");
	});
	IN_CHILD({
		prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
		IN_CHILD({ SHOW(prctl(PR_GET_TSC, &value)); printf("inherited: %d\n", value); prctl(PR_SET_TSC, PR_TSC_ENABLE); printf("%d\n", counter() != 0); });
		fflush(stdout);
		counter();
	});
	printf("others may read it: %d\n", counter() != 0);
	IN_CHILD({ MUST(prctl(PR_SET_SECCOMP, 1)); counter(); syscall(SYS_exit, 0); });
}

static void places(void)
{
	struct { unsigned long places[11]; unsigned long vector; unsigned vector_size; int descriptor; } all;
	unsigned size = 0;
	char text[1024], *at = map(1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	unsigned long v[52] = { 0 };
	puts("--- PR_SET_MM");
	SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0));
	printf("%u\n", size);
	SHOW(prctl(PR_SET_MM, 0, at, 0, 0));
	SHOW(prctl(PR_SET_MM, 16, at, 0, 0));
	SHOW(prctl(PR_SET_MM, PR_SET_MM_ARG_START, at, 1, 0));
	SHOW(prctl(PR_SET_MM, PR_SET_MM_ARG_START, at, 0, 1));
	SHOW(prctl(PR_SET_MM, PR_SET_MM_ARG_START, 0, 0, 0));
	SHOW(prctl(PR_SET_MM, PR_SET_MM_ARG_START, 1L << 47, 0, 0));
	strcpy(at, "new title");
	IN_CHILD({
		SHOW(prctl(PR_SET_MM, PR_SET_MM_ARG_START, at, 0, 0));
		SHOW(prctl(PR_SET_MM, PR_SET_MM_ARG_END, at + 10, 0, 0));
		SHOW(prctl(PR_SET_MM, PR_SET_MM_ARG_START, at, 0, 0));
		SHOW(prctl(PR_SET_MM, PR_SET_MM_ARG_END, at + 10, 0, 0));
		int fd = open("/proc/self/cmdline", O_RDONLY);
		int n = read(fd, text, sizeof text);
		printf("%s, more than it: %d\n", strncmp(text, "new title", 9) == 0 ? "new title" : "old title", n > 10);
	});
	for (int what = 1; what <= 11; what++) {
		printf("%d:\n", what);
		IN_CHILD({
			SHOW(prctl(PR_SET_MM, what, at, 0, 0));
			SHOW(prctl(PR_SET_MM, what, 0x7ffffffff000UL - PAGE, 0, 0));
			SHOW(prctl(PR_SET_MM, what, 0x20000, 0, 0));
		});
	}
	IN_CHILD({ setresuid(1000, 1000, 1000); SHOW(prctl(PR_SET_MM, PR_SET_MM_BRK, at, 0, 0)); SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0)); });
	v[0] = AT_PAGESZ, v[1] = 77;
	SHOW(prctl(PR_SET_MM, PR_SET_MM_AUXV, v, 8 * 200, 0));
	SHOW(prctl(PR_SET_MM, PR_SET_MM_AUXV, 8, 32, 0));
	IN_CHILD({
		SHOW(prctl(PR_SET_MM, PR_SET_MM_AUXV, v, 32, 0));
		int fd = open("/proc/self/auxv", O_RDONLY);
		printf("%d bytes\n", (int)read(fd, text, sizeof text));
		printf("%lu %lu %lu %lu\n", ((long *)text)[0], ((long *)text)[1], ((long *)text)[2], ((long *)text)[3]);
	});
	SHOW(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, 99, 0, 0));
	int fd = (int)MUST(open("/bin/busybox", O_RDONLY));
	SHOW(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, fd, 0, 0));
	int directory = (int)MUST(open("/tmp", O_RDONLY));
	SHOW(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, directory, 0, 0));
	memset(&all, 0, sizeof all);
	SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &all, sizeof all - 1, 0));
	SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &all, sizeof all, 0));
	SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, 8, sizeof all, 0));
	for (int i = 0; i < 11; i++)
		all.places[i] = (unsigned long)at + (i & 1 ? 16 : 0);
	all.places[5] = all.places[4];
	all.places[8] = all.places[7] + 10;
	all.places[10] = all.places[9] + 16;
	all.descriptor = -1;
	IN_CHILD({
		SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &all, sizeof all, 0));
		all.vector_size = 8 * 60;
		SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &all, sizeof all, 0));
		all.vector_size = 32;
		SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &all, sizeof all, 0));
		all.vector = (unsigned long)v;
		SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &all, sizeof all, 0));
		all.descriptor = fd;
		SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &all, sizeof all, 0));
		setresuid(1000, 1000, 1000);
		SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &all, sizeof all, 0));
	});
	all.places[0] = all.places[1];
	SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &all, sizeof all, 0));
}

int main(int count, char **arguments)
{
	if (count > 1) {
		executed(arguments[1]);
		return 0;
	}
	puts("--- uname");
	show_uname();
	IN_CHILD(personality(0x0020000); show_uname());
	IN_CHILD(personality(0x0008); show_uname());
	IN_CHILD(personality(0x0020008); show_uname());
	puts("--- READ_IMPLIES_EXEC");
	IN_CHILD(read_implies_exec());
	puts("--- STICKY_TIMEOUTS");
	IN_CHILD(sticky());
	IN_CHILD(personality(0x4000000); sticky());
	puts("--- execve");
	execute_with(0, "layout");
	execute_with(0x0200000, "layout");
	execute_with(0x0240000, "layout");
	execute_with(0x0100000, "zero");
	execute_with(0x0400008, "persona");
	execute_with(0xfff0000, "persona");
	IN_CHILD({ setresuid(1000, 1000, 1000); personality(0x0100000); execl("/proc/self/exe", "x", "zero", NULL); });
	time_stamps();
	places();
	return 0;
}
