/* Covers: mremap: MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP, shrinking, growing, areas; madvise: DONTNEED FREE WILLNEED NORMAL RANDOM SEQUENTIAL
 * DONTFORK DOFORK WIPEONFORK KEEPONFORK DONTDUMP DODUMP REMOVE POPULATE; mlock, mlock2, munlock, mlockall; mincore; msync; brk; limits. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include "case.h"

static char *area(size_t pages, int flags)
{
	return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
}

static void residency(const char *what, char *at, int pages)
{
	unsigned char vector[16];
	errno = 0;
	if (mincore(at, (size_t)pages * PAGE, vector) == -1) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	printf("%s:", what);
	for (int i = 0; i < pages; i++)
		printf(" %d", vector[i] & 1);
	printf("\n");
}

int main(void)
{
	char *p = area(4, MAP_PRIVATE);
	memset(p, 'a', 4 * PAGE);
	strcpy(p + 3 * PAGE, "third");
	residency("touched", p, 4);

	/* mremap */
	char *q = mremap(p, 4 * PAGE, 2 * PAGE, 0);
	CHECK(q == p);
	residency("past the end", p + 2 * PAGE, 1);
	q = mremap(p, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q[0] == 'a' && q[2 * PAGE] == 0);
	residency("grown", q, 8);
	char *hole = area(16, MAP_PRIVATE);
	MUST(munmap(hole + 8 * PAGE, 8 * PAGE));
	char *blocked = mmap(hole + 8 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(blocked == hole + 8 * PAGE);
	TRY(mremap(hole, 8 * PAGE, 9 * PAGE, 0));
	TRY(mremap(hole, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE));
	char *room = area(8, MAP_PRIVATE);
	strcpy(q, "moved");
	char *r = mremap(q, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	CHECK(r == room);
	printf("%s\n", room);
	residency("left", q, 1);
	TRY(mremap(room, 2 * PAGE, 2 * PAGE, MREMAP_FIXED, room + 4 * PAGE));
	TRY(mremap(room, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + PAGE));
	TRY(mremap(room, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + 1));
	TRY(mremap(room, 2 * PAGE, 0, MREMAP_MAYMOVE));
	TRY(mremap(room + 1, PAGE, PAGE, MREMAP_MAYMOVE));
	TRY(mremap(room, PAGE, PAGE, 8));
	TRY(mremap(room, 0, PAGE, MREMAP_MAYMOVE));
	TRY(mremap((void *)0x10000, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
	TRY(mremap(room, PAGE, (size_t)1 << 60, MREMAP_MAYMOVE));
	char *two = area(4, MAP_PRIVATE);
	mprotect(two + 2 * PAGE, PAGE, PROT_READ);
	TRY(mremap(two, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE));
	TRY(mremap(two, 2 * PAGE, 3 * PAGE, 0));
	strcpy(two, "kept");
	r = mremap(two, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	CHECK(r != MAP_FAILED && r != two && strcmp(r, "kept") == 0 && two[0] == 0);
	TRY(mremap(two, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
	TRY(mremap(two, PAGE, PAGE, MREMAP_DONTUNMAP));
	char *shared = area(2, MAP_SHARED);
	strcpy(shared, "one copy");
	r = mremap(shared, 0, 2 * PAGE, MREMAP_MAYMOVE);
	CHECK(r != MAP_FAILED && strcmp(r, "one copy") == 0);
	if (r != MAP_FAILED) {
		shared[0] = 'O';
		printf("%s\n", r);
	}

	/* madvise */
	char *m = area(4, MAP_PRIVATE);
	memset(m, 'm', 4 * PAGE);
	SHOW(madvise(m + PAGE, 2 * PAGE, MADV_DONTNEED));
	residency("after DONTNEED", m, 4);
	printf("%d %d %d\n", m[0], m[PAGE], m[3 * PAGE]);
	SHOW(madvise(m, PAGE, MADV_NORMAL));
	SHOW(madvise(m, PAGE, MADV_RANDOM));
	SHOW(madvise(m, PAGE, MADV_SEQUENTIAL));
	SHOW(madvise(m, PAGE, MADV_WILLNEED));
	SHOW(madvise(m, PAGE, MADV_FREE));
	SHOW(madvise(shared, PAGE, MADV_FREE));
	SHOW(madvise(m, PAGE, MADV_DONTDUMP));
	SHOW(madvise(m, PAGE, MADV_DODUMP));
	SHOW(madvise(m, PAGE, MADV_HUGEPAGE));
	SHOW(madvise(m, PAGE, MADV_NOHUGEPAGE));
	SHOW(madvise(m, PAGE, MADV_MERGEABLE));
	SHOW(madvise(m, PAGE, MADV_COLD));
	SHOW(madvise(m, PAGE, MADV_PAGEOUT));
	SHOW(madvise(m, PAGE, 22));
	SHOW(madvise(m, PAGE, 23));
	SHOW(madvise(m, PAGE, 99));
	SHOW(madvise(m + 1, PAGE, MADV_DONTNEED));
	SHOW(madvise(m, 0, MADV_DONTNEED));
	SHOW(madvise(m, (size_t)-1, MADV_DONTNEED));
	SHOW(madvise(m, 1, MADV_DONTNEED));
	SHOW(madvise((void *)0x10000, PAGE, MADV_DONTNEED));
	SHOW(madvise((void *)0x10000, PAGE, MADV_WILLNEED));
	MUST(munmap(m + PAGE, PAGE));
	m[0] = 'x';
	m[2 * PAGE] = 'y';
	SHOW(madvise(m, 4 * PAGE, MADV_DONTNEED));
	printf("%d %d\n", m[0], m[2 * PAGE]);
	SHOW(madvise(m, PAGE, MADV_REMOVE));
	strcpy(shared + PAGE, "remove me");
	SHOW(madvise(shared + PAGE, PAGE, MADV_REMOVE));
	printf("after REMOVE: %d\n", shared[PAGE]);
	char *wiped = area(2, MAP_PRIVATE), *absent = area(1, MAP_PRIVATE);
	strcpy(wiped, "wiped");
	strcpy(wiped + PAGE, "kept");
	strcpy(absent, "absent");
	SHOW(madvise(wiped, 2 * PAGE, MADV_WIPEONFORK));
	SHOW(madvise(wiped + PAGE, PAGE, MADV_KEEPONFORK));
	SHOW(madvise(shared, PAGE, MADV_WIPEONFORK));
	SHOW(madvise(absent, PAGE, MADV_DONTFORK));
	IN_CHILD(printf("\"%s\" \"%s\"\n", wiped, wiped + PAGE); residency("not inherited", absent, 1));
	SHOW(madvise(absent, PAGE, MADV_DOFORK));
	IN_CHILD(printf("\"%s\"\n", absent));

	/* Locks. Privileged programs may lock all they like. */
	SHOW(mlock(wiped, 2 * PAGE));
	SHOW(mlock(wiped + 1, 1));
	SHOW(munlock(wiped, 2 * PAGE));
	SHOW(mlock((void *)0x10000, PAGE));
	SHOW(munlock((void *)0x10000, PAGE));
	SHOW(mlock(wiped, (size_t)-1));
	SHOW(mlock(wiped, 0));
	char *lazy = area(4, MAP_PRIVATE);
	SHOW(mlock(lazy, PAGE));
	residency("locked", lazy, 4);
	SHOW(syscall(SYS_mlock2, lazy + PAGE, PAGE, 1));
	residency("locked on fault", lazy, 4);
	SHOW(syscall(SYS_mlock2, lazy, PAGE, 2));
	SHOW(madvise(lazy, PAGE, MADV_DONTNEED));
	SHOW(mlockall(0));
	SHOW(mlockall(8));
	SHOW(mlockall(MCL_ONFAULT));
	SHOW(mlockall(MCL_CURRENT));
	SHOW(mlockall(MCL_FUTURE));
	char *future = area(2, MAP_PRIVATE);
	residency("mapped after mlockall", future, 2);
	SHOW(munlockall());
	future = area(2, MAP_PRIVATE);
	residency("mapped after munlockall", future, 2);
	future = area(2, MAP_PRIVATE | MAP_LOCKED);
	residency("MAP_LOCKED", future, 2);
	future = area(2, MAP_PRIVATE | MAP_POPULATE);
	residency("MAP_POPULATE", future, 2);
	IN_CHILD(
		struct rlimit limit = { 2 * PAGE, 2 * PAGE };
		char *small = area(4, MAP_PRIVATE);
		setrlimit(RLIMIT_MEMLOCK, &limit);
		setuid(1000);
		SHOW(mlock(small, 2 * PAGE));
		SHOW(mlock(small, 2 * PAGE));
		SHOW(mlock(small, 3 * PAGE));
		SHOW(mlockall(MCL_CURRENT));
		SHOW(munlock(small, PAGE));
		SHOW(mlock(small + 2 * PAGE, PAGE));
		SHOW(area(3, MAP_PRIVATE | MAP_LOCKED) == MAP_FAILED);
		limit.rlim_cur = limit.rlim_max = 0;
		setrlimit(RLIMIT_MEMLOCK, &limit);
		SHOW(munlockall());
		SHOW(mlock(small, PAGE)));

	/* mincore and msync */
	unsigned char vector[4];
	SHOW(mincore(lazy + 1, PAGE, vector));
	SHOW(mincore(lazy, 0, vector));
	SHOW(mincore(lazy, PAGE, (void *)1));
	SHOW(mincore((void *)0x10000, PAGE, vector));
	SHOW(mincore(lazy, (size_t)-1, vector));
	SHOW(msync(lazy, PAGE, MS_SYNC));
	SHOW(msync(lazy, PAGE, MS_ASYNC | MS_SYNC));
	SHOW(msync(lazy, PAGE, 8));
	SHOW(msync(lazy + 1, PAGE, MS_SYNC));
	SHOW(msync(lazy, 0, MS_SYNC));
	SHOW(msync((void *)0x10000, PAGE, MS_SYNC));
	SHOW(msync((void *)0x10000, PAGE, MS_ASYNC));
	SHOW(msync(lazy, PAGE, MS_INVALIDATE));
	SHOW(msync(wiped, PAGE, MS_SYNC | MS_INVALIDATE));

	/* Limits on address space and data. */
	IN_CHILD(
		struct rlimit limit = { 64 << 20, 64 << 20 };
		setrlimit(RLIMIT_AS, &limit);
		SHOW(area(20000, MAP_PRIVATE) == MAP_FAILED);
		SHOW(area(100, MAP_PRIVATE) == MAP_FAILED);
		TRY(mremap(future, 2 * PAGE, 20000 * PAGE, MREMAP_MAYMOVE));
		limit.rlim_cur = 1 << 20;
		setrlimit(RLIMIT_DATA, &limit);
		char *now = (char *)syscall(SYS_brk, 0);
		CHECK((char *)syscall(SYS_brk, now + (8 << 20)) == now));
	return 0;
}
