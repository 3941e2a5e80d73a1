/* Covers: mmap MAP_ANONYMOUS (MAP_PRIVATE, MAP_SHARED, MAP_FIXED, MAP_FIXED_NOREPLACE, hints, PROT_NONE), munmap, mprotect, madvise, mremap, mincore, brk; errors. */
#include <setjmp.h>
#include "case.h"

static sigjmp_buf back;
static volatile int code;
static void *volatile where;

static void on_fault(int number, siginfo_t *info, void *context)
{
	code = info->si_code;
	where = info->si_addr;
	siglongjmp(back, number);
}

/* What touching an address does: 0, or the signal. */
static int reads(volatile char *p)
{
	int number = sigsetjmp(back, 1);
	if (number == 0)
		(void)*p;
	return number;
}

static int writes(volatile char *p)
{
	int number = sigsetjmp(back, 1);
	if (number == 0)
		*p = 1;
	return number;
}

#define ANON(length, prot, flags) mmap(0, length, prot, (flags) | MAP_ANONYMOUS, -1, 0)
#define RW (PROT_READ | PROT_WRITE)

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);

	char *p = ANON(4 * PAGE, RW, MAP_PRIVATE);
	CHECK(p != MAP_FAILED && (uintptr_t)p % PAGE == 0);
	CHECK(p[0] == 0 && p[4 * PAGE - 1] == 0);
	memset(p, 'x', 4 * PAGE);
	SHOW(munmap(p + PAGE, PAGE));
	CHECK(p[0] == 'x' && p[2 * PAGE] == 'x');
	SHOW(reads(p + PAGE));
	printf("code %d at the address: %d\n", code, where == p + PAGE);
	SHOW(munmap(p + PAGE, PAGE));
	SHOW(munmap(p + 1, PAGE));
	SHOW(munmap(p, 0));
	SHOW(munmap((void *)(1ul << 63), PAGE));
	SHOW(munmap(p, -1));
	SHOW(mprotect(p, PAGE, PROT_READ));
	SHOW(reads(p));
	SHOW(writes(p));
	printf("code %d\n", code);
	SHOW(mprotect(p, PAGE, PROT_NONE));
	SHOW(reads(p));
	SHOW(mprotect(p, PAGE, RW));
	CHECK(p[0] == 'x');
	SHOW(mprotect(p, 4 * PAGE, PROT_READ));
	SHOW(mprotect(p + 1, PAGE, RW));
	SHOW(mprotect(p, 0, RW));
	SHOW(mprotect(p, PAGE, 0x100));
	SHOW(mprotect((void *)PAGE, PAGE, RW));

	SHOW(mmap(0, 0, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(0, PAGE, RW, MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(0, PAGE, RW, MAP_PRIVATE, -1, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(0, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1) == MAP_FAILED ? -1 : 0);
	SHOW(mmap((void *)1, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(0, 1ul << 47, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(0, -1, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap((void *)(1ul << 47), PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(0, PAGE, RW, 0x04 | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	char *hinted = mmap((void *)0x10000000, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("hint %p\n", (void *)hinted);
	char *again = mmap((void *)0x10000000, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(again != hinted && again != MAP_FAILED);
	hinted[0] = 'h';
	SHOW(mmap(hinted, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ? -1 : 0);
	CHECK(hinted[0] == 'h');
	SHOW(mmap(hinted, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == hinted ? 0 : -1);
	CHECK(hinted[0] == 0);

	char *none = ANON(PAGE, PROT_NONE, MAP_PRIVATE);
	SHOW(reads(none));
	char *readable = ANON(PAGE, PROT_READ, MAP_PRIVATE);
	SHOW(reads(readable));
	SHOW(writes(readable));
	SHOW(reads((char *)0));
	SHOW(reads((char *)0xffffffff80000000));
	SHOW(writes((char *)0xffff800000000000));
	SHOW(reads((char *)0x8000000000000000));
	printf("code %d address %p\n", code, where);

	/* Shared memory is seen by a child, private memory is copied. */
	char *shared = ANON(PAGE, RW, MAP_SHARED), *private = ANON(PAGE, RW, MAP_PRIVATE);
	IN_CHILD(shared[0] = 's'; private[0] = 's');
	printf("shared %d private %d\n", shared[0], private[0]);

	/* Discarded pages are zero again; unmapped holes are reported. */
	char *d = ANON(4 * PAGE, RW, MAP_PRIVATE);
	memset(d, 'd', 4 * PAGE);
	SHOW(madvise(d + PAGE, PAGE, MADV_DONTNEED));
	printf("%d %d %d\n", d[0], d[PAGE], d[2 * PAGE]);
	SHOW(madvise(d + 1, PAGE, MADV_DONTNEED));
	SHOW(madvise(d, PAGE, 9999));
	SHOW(madvise(d, 0, MADV_DONTNEED));
	munmap(d + 2 * PAGE, PAGE);
	SHOW(madvise(d, 4 * PAGE, MADV_DONTNEED));
	SHOW(mprotect(d, 4 * PAGE, PROT_READ));
	unsigned char present[4];
	SHOW(mincore(shared, PAGE, present));
	printf("present %d\n", present[0] & 1);
	SHOW(mincore(d + 2 * PAGE, PAGE, present));
	SHOW(mincore(d + 1, PAGE, present));

	/* Growing, moving and shrinking a mapping. */
	char *m = ANON(2 * PAGE, RW, MAP_PRIVATE);
	m[0] = 'm', m[PAGE] = 'n';
	char *grown = mremap(m, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(grown != MAP_FAILED && grown[0] == 'm' && grown[PAGE] == 'n' && grown[63 * PAGE] == 0);
	SHOW(mremap(grown, 64 * PAGE, PAGE, 0) == grown ? 0 : -1);
	SHOW(reads(grown + PAGE));
	char *target = ANON(2 * PAGE, RW, MAP_PRIVATE);
	SHOW(mremap(grown, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target ? 0 : -1);
	CHECK(target[0] == 'm');
	SHOW(reads(grown));
	SHOW(mremap(grown, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
	SHOW(mremap(target, PAGE, 0, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mremap(target + 1, PAGE, PAGE, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mremap(target, PAGE, PAGE, 0x100) == MAP_FAILED ? -1 : 0);

	/* The heap. */
	char *end = (char *)syscall(SYS_brk, 0);
	CHECK((char *)syscall(SYS_brk, end + 3 * PAGE) == end + 3 * PAGE);
	memset(end, 'b', 3 * PAGE);
	CHECK((char *)syscall(SYS_brk, end + 1) == end + 1);
	CHECK((char *)syscall(SYS_brk, end + 2 * PAGE) == end + 2 * PAGE);
	CHECK(end[PAGE] == 0);
	CHECK((char *)syscall(SYS_brk, 1) == end + 2 * PAGE);
	CHECK((char *)syscall(SYS_brk, 1ul << 50) == end + 2 * PAGE);
	SHOW(mlock(target, PAGE));
	SHOW(munlock(target, PAGE));

	/* Code that may be written or run, not both unless asked for. */
	static const unsigned char RETURN_42[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	char *run = ANON(PAGE, RW, MAP_PRIVATE);
	memcpy(run, RETURN_42, sizeof RETURN_42);
	int number = sigsetjmp(back, 1);
	if (number == 0)
		printf("ran: %d\n", ((int (*)(void))run)());
	else
		printf("running data: signal %d code %d\n", number, code);
	SHOW(mprotect(run, PAGE, PROT_READ | PROT_EXEC));
	printf("ran: %d\n", ((int (*)(void))run)());
	return 0;
}
