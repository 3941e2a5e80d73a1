/* Covers: prctl: which options there are; PR_SET_TIMING PR_MCE_KILL PR_MCE_KILL_GET PR_SET_THP_DISABLE PR_GET_THP_DISABLE PR_SET_IO_FLUSHER
 * PR_GET_IO_FLUSHER PR_SET_MDWE PR_GET_MDWE PR_GET_AUXV PR_TASK_PERF_EVENTS_DISABLE. */
#define _GNU_SOURCE
#include <elf.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "case.h"

#define PR_SET_IO_FLUSHER_ 57
#define PR_GET_IO_FLUSHER_ 58
#define PR_SET_MDWE_ 65
#define PR_GET_MDWE_ 66
#define PR_GET_AUXV_ 0x41555856

static long p(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) { return syscall(SYS_prctl, option, a, b, c, d); }

static int map(int prot) { return mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0; }

int main(int count, char **arguments)
{
	(void)arguments;
	if (count > 1) {
		SHOW(p(PR_GET_THP_DISABLE, 0, 0, 0, 0));
		SHOW(p(PR_GET_IO_FLUSHER_, 0, 0, 0, 0));
		SHOW(p(PR_MCE_KILL_GET, 0, 0, 0, 0));
		SHOW(p(PR_GET_MDWE_, 0, 0, 0, 0));
		return 0;
	}
	/* Those that only tell, with nothing to tell it to. */
	static const int asking[] = { 0, 2, 3, 5, 7, 9, 11, 13, 19, 21, 25, 27, 30, 34, 37, 39, 40, 42, 43, 44, 45, 46, 48, 49, 50, 51, 54, 55, 56, 58,
				      60, 61, 63, 64, 66, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81 };
	for (unsigned i = 0; i < sizeof asking / sizeof *asking; i++) {
		errno = 0;
		long result = p(asking[i], 0, 0, 0, 0);
		if (result != -1 || errno != EINVAL)
			printf("%d: %ld %s\n", asking[i], result, result == -1 ? error_name(errno) : "");
	}
	SHOW(p(PR_SET_TIMING, 0, 0, 0, 0));
	SHOW(p(PR_SET_TIMING, 1, 0, 0, 0));
	SHOW(p(PR_TASK_PERF_EVENTS_DISABLE, 0, 0, 0, 0));
	SHOW(p(PR_TASK_PERF_EVENTS_ENABLE, 7, 0, 0, 0));
	puts("--- memory faults of the machine");
	SHOW(p(PR_MCE_KILL, 1, 1, 0, 0));
	SHOW(p(PR_MCE_KILL_GET, 0, 0, 0, 0));
	SHOW(p(PR_MCE_KILL, 1, 0, 0, 0));
	SHOW(p(PR_MCE_KILL_GET, 0, 0, 0, 0));
	SHOW(p(PR_MCE_KILL, 1, 2, 0, 0));
	SHOW(p(PR_MCE_KILL_GET, 0, 0, 0, 0));
	SHOW(p(PR_MCE_KILL, 1, 3, 0, 0));
	SHOW(p(PR_MCE_KILL, 1, 1, 0, 0));
	SHOW(p(PR_MCE_KILL, 0, 1, 0, 0));
	SHOW(p(PR_MCE_KILL, 0, 0, 0, 0));
	SHOW(p(PR_MCE_KILL_GET, 0, 0, 0, 0));
	SHOW(p(PR_MCE_KILL, 2, 0, 0, 0));
	SHOW(p(PR_MCE_KILL, 1, 1, 1, 0));
	SHOW(p(PR_MCE_KILL_GET, 1, 0, 0, 0));
	SHOW(p(PR_MCE_KILL, 1, 1, 0, 0));
	puts("--- huge pages, input and output");
	SHOW(p(PR_SET_THP_DISABLE, 1, 0, 0, 1));
	SHOW(p(PR_SET_THP_DISABLE, 2, 0, 0, 0));
	SHOW(p(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	SHOW(p(PR_GET_THP_DISABLE, 1, 0, 0, 0));
	SHOW(p(PR_SET_IO_FLUSHER_, 2, 0, 0, 0));
	SHOW(p(PR_SET_IO_FLUSHER_, 1, 1, 0, 0));
	SHOW(p(PR_SET_IO_FLUSHER_, 1, 0, 0, 0));
	SHOW(p(PR_GET_IO_FLUSHER_, 0, 0, 0, 0));
	IN_CHILD(SHOW(p(PR_GET_IO_FLUSHER_, 0, 0, 0, 0)); SHOW(p(PR_GET_THP_DISABLE, 0, 0, 0, 0)); SHOW(p(PR_MCE_KILL_GET, 0, 0, 0, 0)));
	IN_CHILD(execl("/proc/self/exe", "self", "look", NULL));
	SHOW(p(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	SHOW(p(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	SHOW(p(PR_SET_IO_FLUSHER_, 0, 0, 0, 0));
	IN_CHILD(MUST(setuid(1000)); SHOW(p(PR_SET_IO_FLUSHER_, 1, 0, 0, 0)); SHOW(p(PR_GET_IO_FLUSHER_, 0, 0, 0, 0)));
	puts("--- the auxiliary vector");
	Elf64_auxv_t v[64];
	long size = p(PR_GET_AUXV_, (unsigned long)v, sizeof v, 0, 0);
	CHECK(size > 100 && size % 16 == 0);
	CHECK(p(PR_GET_AUXV_, (unsigned long)v, 16, 0, 0) == size);
	CHECK(p(PR_GET_AUXV_, 0, 0, 0, 0) == size);
	SHOW(p(PR_GET_AUXV_, 8, 16, 0, 0));
	SHOW(p(PR_GET_AUXV_, (unsigned long)v, sizeof v, 1, 0));
	puts("--- memory that is written is not run");
	IN_CHILD(
		char *x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		SHOW(p(PR_SET_MDWE_, 2, 0, 0, 0));
		SHOW(p(PR_SET_MDWE_, 4, 0, 0, 0));
		SHOW(p(PR_SET_MDWE_, 1, 1, 0, 0));
		SHOW(p(PR_GET_MDWE_, 0, 0, 0, 0));
		SHOW(p(PR_SET_MDWE_, 1, 0, 0, 0));
		SHOW(p(PR_GET_MDWE_, 0, 0, 0, 0));
		SHOW(p(PR_GET_MDWE_, 1, 0, 0, 0));
		SHOW(p(PR_SET_MDWE_, 1, 0, 0, 0));
		SHOW(p(PR_SET_MDWE_, 3, 0, 0, 0));
		SHOW(p(PR_SET_MDWE_, 0, 0, 0, 0));
		SHOW(map(PROT_READ | PROT_WRITE | PROT_EXEC));
		SHOW(map(PROT_READ | PROT_EXEC));
		SHOW(map(PROT_READ | PROT_WRITE));
		SHOW(mprotect(x, 4096, PROT_READ | PROT_EXEC));
		SHOW(mprotect(x, 4096, PROT_READ));
		SHOW(mprotect(x, 4096, PROT_READ | PROT_EXEC));
		SHOW(mprotect(x, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
		SHOW(mprotect(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096, PROT_READ | PROT_EXEC));
		IN_CHILD(SHOW(p(PR_GET_MDWE_, 0, 0, 0, 0)); SHOW(map(PROT_READ | PROT_WRITE | PROT_EXEC)));
		IN_CHILD(execl("/proc/self/exe", "self", "look", NULL)));
	IN_CHILD(
		SHOW(p(PR_SET_MDWE_, 3, 0, 0, 0));
		IN_CHILD(SHOW(p(PR_GET_MDWE_, 0, 0, 0, 0)); SHOW(map(PROT_READ | PROT_WRITE | PROT_EXEC))));
	return 0;
}
