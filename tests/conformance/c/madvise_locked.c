/* Covers: madvise: MADV_DONTNEED and MADV_DONTNEED_LOCKED of locked and other memory, numbers that are none. */
#include "case.h"

int main(void)
{
	char *at = (char *)MUST(mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	memset(at, 1, 6 * PAGE);
	MUST(mlock(at + 2 * PAGE, 2 * PAGE));
	SHOW(madvise(at, 6 * PAGE, MADV_DONTNEED));
	printf("%d %d %d\n", at[0], at[2 * PAGE], at[5 * PAGE]);
	memset(at, 1, 6 * PAGE);
	SHOW(madvise(at, 6 * PAGE, 24));
	printf("%d %d %d\n", at[0], at[2 * PAGE], at[5 * PAGE]);
	memset(at, 1, 6 * PAGE);
	SHOW(madvise(at + 2 * PAGE, 2 * PAGE, MADV_FREE));
	SHOW(madvise(at + 1, PAGE, 24));
	SHOW(madvise(at, 0, 24));
	SHOW(madvise(at, -1ul, 24));
	SHOW(madvise((void *)0x10000, PAGE, 24));
	MUST(munmap(at + 3 * PAGE, PAGE));
	SHOW(madvise(at, 6 * PAGE, 24));
	printf("%d %d %d\n", at[0], at[2 * PAGE], at[5 * PAGE]);
	char *shared = (char *)MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	memset(shared, 1, 2 * PAGE);
	MUST(mlock(shared, PAGE));
	SHOW(madvise(shared, 2 * PAGE, 24));
	printf("%d %d\n", shared[0], shared[PAGE]);
	for (int advice = 25; advice < 100; advice++)
		if (madvise(at, PAGE, advice) == 0 || errno != EINVAL)
			printf("%d: %s\n", advice, error_name(errno));
	return 0;
}
