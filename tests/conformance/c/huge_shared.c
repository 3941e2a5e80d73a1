/* Covers: shared huge pages without a file: mmap (MAP_HUGETLB | MAP_SHARED), reservations of shared pages, fork, munmap,
 * mprotect, madvise (MADV_REMOVE, MADV_DONTNEED), MAP_NORESERVE, futex; smaps. */
#include <linux/futex.h>
#include "huge_case.h"

static void child_writes(char *p)
{
	printf("the child reads %c\n", p[0]);
	p[0] = 'c';
	p[HUGE] = 'd';
	pool("in the child");
	area_figures("in the child", p);
	syscall(SYS_futex, p + 64, FUTEX_WAKE, 1, 0, 0, 0);
}

static void child_waits(char *p)
{
	int *word = (int *)(p + 64);
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 1)
		syscall(SYS_futex, word, FUTEX_WAIT, 1, 0, 0, 0);
	printf("the child was woken: %d\n", *word);
}

static void empty(const char *when, char *p)
{
	printf("%s: %d %d\n", when, p[0], p[HUGE - 1]);
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	catch_faults();
	SHOW(write_number(SURPLUS_AT, 0));
	SHOW(write_number(POOL_AT, 4));
	pool("set aside");

	char *p = map_huge(3, RW, MAP_SHARED);
	printf("three: %s\n", p == MAP_FAILED ? error_name(errno) : "mapped");
	pool("mapped");
	TRY(map_huge(2, RW, MAP_SHARED));
	p[0] = 'a';
	printf("zeros: %d\n", p[HUGE] == 0);
	pool("two touched");
	area_figures("two touched", p);
	in_child(child_writes, p);
	printf("the parent reads %c %c\n", p[0], p[HUGE]);
	pool("the child has ended");

	puts("--- a futex");
	int *word = (int *)(p + 64);
	*word = 1;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		child_waits(p);
		fflush(stdout);
		_exit(0);
	}
	usleep(1000);
	__atomic_store_n(word, 2, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, 0, 0, 0);
	waitpid(child, 0, 0);

	puts("--- giving back");
	SHOW(madvise(p, HUGE, MADV_DONTNEED));
	pool("not needed");
	printf("still there: %c\n", p[0]);
	memset(p, 'x', HUGE);
	SHOW(madvise(p, PAGE, MADV_REMOVE));
	printf("a part removed: %d %c\n", p[0], p[PAGE]);
	pool("a part removed");
	SHOW(madvise(p, HUGE, MADV_REMOVE));
	pool("a whole one removed");
	area_figures("a whole one removed", p);
	empty("touched again", p);
	pool("touched again");
	memset(p, 'y', HUGE);
	memset(p + HUGE, 'y', HUGE);
	SHOW(madvise(p + HUGE / 2, HUGE, MADV_REMOVE));
	printf("halves: %c %d %d %c\n", p[0], p[HUGE / 2], p[HUGE], p[HUGE + HUGE / 2]);
	pool("halves removed");

	puts("--- protection");
	SHOW(mprotect(p + HUGE, HUGE, PROT_READ));
	printf("read: %s, written: %s\n", reading(p + HUGE), writing(p + HUGE, 'z'));
	SHOW(mprotect(p + HUGE, HUGE, RW));
	printf("written: %s\n", writing(p + HUGE, 'z'));
	SHOW(munmap(p, HUGE));
	pool("one unmapped");
	printf("the next: %c\n", p[HUGE]);
	SHOW(munmap(p + HUGE, 2 * HUGE));
	pool("all unmapped");

	puts("--- without a reservation");
	p = map_huge(6, RW, MAP_SHARED | MAP_NORESERVE);
	printf("six: %s\n", p == MAP_FAILED ? error_name(errno) : "mapped");
	pool("mapped");
	for (int i = 0; i < 6; i++)
		printf("page %d: %s\n", i, writing(p + i * HUGE, 'x'));
	pool("touched");
	SHOW(munmap(p, 6 * HUGE));
	pool("unmapped");
	p = map_huge(2, PROT_READ, MAP_SHARED);
	pool("for reading");
	printf("read: %s\n", reading(p));
	SHOW(mprotect(p, 2 * HUGE, RW));
	printf("written: %s\n", writing(p, 1));
	SHOW(munmap(p, 2 * HUGE));
	SHOW(write_number(POOL_AT, 0));
	pool("after");
	return 0;
}
