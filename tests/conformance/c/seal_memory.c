/* Covers: mseal: what it refuses and what it forbids afterwards; cachestat: counts, ranges, errors. */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/mman.h>
#include "case.h"

#define PAGE 4096L
static char *base;

static int mseal_(void *address, unsigned long length, unsigned long flags) { return (int)syscall(462, address, length, flags); }

static char *fresh(int prot)
{
	char *p = mmap(NULL, 8 * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		exit(98);
	return p;
}

static const char *map_over(char *at, long length)
{
	return mmap(at, (size_t)length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? error_name(errno) : "mapped";
}

static void sealing(void)
{
	puts("--- mseal");
	base = fresh(PROT_READ | PROT_WRITE);
	SHOW(mseal_(base, PAGE, 1));
	SHOW(mseal_(base + 1, PAGE, 0));
	SHOW(mseal_(base, 0, 0));
	SHOW(mseal_(base, ~0UL, 0));
	SHOW(mseal_(base, 1UL << 63, 0));
	SHOW(mseal_((void *)0x100000, PAGE, 0));
	munmap(base + 4 * PAGE, PAGE);
	SHOW(mseal_(base + 3 * PAGE, 3 * PAGE, 0));
	SHOW(munmap(base + 3 * PAGE, PAGE));
	memset(base, 'x', 3 * PAGE);
	SHOW(mseal_(base + PAGE, PAGE + 1 - PAGE, 0));
	SHOW(mseal_(base + PAGE, PAGE, 0));
	SHOW(munmap(base + PAGE, PAGE));
	SHOW(munmap(base, 3 * PAGE));
	base[0] = base[2 * PAGE] = 'y';
	SHOW(mprotect(base + PAGE, PAGE, PROT_READ));
	SHOW(mprotect(base + PAGE, PAGE, PROT_READ | PROT_WRITE));
	SHOW(mremap(base + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	SHOW(mremap(base + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, base + 5 * PAGE) == MAP_FAILED);
	SHOW(mremap(base + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, base + PAGE) == MAP_FAILED);
	printf("over it: %s\n", map_over(base + PAGE, PAGE));
	printf("over it and more: %s\n", map_over(base, 2 * PAGE));
	SHOW(madvise(base + PAGE, PAGE, MADV_DONTNEED));
	printf("%d\n", base[PAGE]);
	SHOW(madvise(base + PAGE, PAGE, MADV_WILLNEED));
	SHOW(munmap(base, PAGE));
	SHOW(munmap(base + 2 * PAGE, PAGE));
	IN_CHILD(SHOW(munmap(base + PAGE, PAGE)); base[PAGE] = 'c'; printf("%c\n", base[PAGE]));
	char *constant = fresh(PROT_READ);
	SHOW(mseal_(constant, 2 * PAGE, 0));
	SHOW(madvise(constant, PAGE, MADV_DONTNEED));
	SHOW(madvise(constant, PAGE, MADV_FREE));
	SHOW(madvise(constant, PAGE, MADV_DONTFORK));
	SHOW(madvise(constant, PAGE, MADV_WIPEONFORK));
	SHOW(madvise(constant, PAGE, MADV_DOFORK));
	SHOW(madvise(constant, PAGE, MADV_RANDOM));
	SHOW(mseal_(constant, 3 * PAGE, 0));
	SHOW(munmap(constant + 2 * PAGE, PAGE));
	SHOW(munmap(constant + 3 * PAGE, PAGE));
	int file = (int)MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(ftruncate(file, PAGE));
	char *mapped = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
	SHOW(mseal_(mapped, PAGE, 0));
	SHOW(madvise(mapped, PAGE, MADV_DONTNEED));
	SHOW(mprotect(mapped, PAGE, PROT_READ | PROT_WRITE));
	close(file);
}

static void counts(const char *what, int fd, uint64_t offset, uint64_t length)
{
	uint64_t range[2] = { offset, length }, found[5] = { 9, 9, 9, 9, 9 };
	long result = syscall(451, fd, range, found, 0);
	if (result)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %d cached, %d dirty, %d written back\n", what, (int)found[0], (int)found[1], (int)found[2]);
}

static void cached(void)
{
	uint64_t range[2] = { 0, 0 }, found[5];
	static char block[10 * 4096];
	puts("--- cachestat");
	int f = (int)MUST(memfd_create("a", 0)), p[2];
	counts("empty", f, 0, 0);
	MUST(write(f, block, sizeof block));
	counts("all", f, 0, 0);
	counts("two", f, 4096, 8192);
	counts("parts of three", f, 4095, 4098);
	counts("beyond", f, 40960, 4096);
	counts("far", f, 1ULL << 62, 4096);
	counts("without end", f, 8192, ~0ULL);
	MUST(fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192));
	counts("with a hole", f, 0, 0);
	MUST(pipe(p));
	counts("a pipe", p[0], 0, 0);
	counts("closed", 999, 0, 0);
	SHOW(syscall(451, f, range, found, 1));
	SHOW(syscall(451, f, 8, found, 0));
	SHOW(syscall(451, f, range, 8, 0));
	SHOW(syscall(451, open(".", O_PATH), range, found, 0));
}

int main(void)
{
	sealing();
	cached();
	return 0;
}
