/* Covers: madvise MADV_COLLAPSE: which memory becomes a huge page, what it holds then, and what is refused. */
#define _GNU_SOURCE
#include "large_case.h"

enum { LENGTH = 4 * HUGE };

static char *small_pages(void)
{
	char *place = aligned(LENGTH, RW);
	madvise(place, LENGTH, MADV_NOHUGEPAGE);
	fill(place, LENGTH);
	return place;
}

static void look(const char *when, char *place)
{
	printf("%s: %ld KiB huge of %ld\n", when, huge_kib(place, LENGTH), sum_of(place, LENGTH, "Rss:"));
}

static void child(char *place)
{
	TRY(madvise(place, LENGTH, MADV_COLLAPSE));
	look("child", place);
	printf("child, wrong: %d\n", wrong(place, LENGTH));
	fill(place, LENGTH);
	TRY(madvise(place, LENGTH, MADV_COLLAPSE));
	look("child", place);
}

int main(void)
{
	static const char *modes[] = { "always", "madvise", "never" };
	borrow_settings();
	store("defrag", "always");
	for (int i = 0; i < 3; i++) {
		store("enabled", modes[i]);
		char *place = small_pages();
		look(modes[i], place);
		TRY(madvise(place, LENGTH, MADV_COLLAPSE));
		madvise(place, LENGTH, MADV_HUGEPAGE);
		TRY(madvise(place, LENGTH, MADV_COLLAPSE));
		look("collapsed", place);
		printf("wrong: %d\n", wrong(place, LENGTH));
		TRY(madvise(place, LENGTH, MADV_COLLAPSE));
		munmap(place, LENGTH);
	}
	store("enabled", "madvise");
	char *place = aligned(LENGTH, RW);
	TRY(madvise(place, LENGTH, MADV_COLLAPSE));
	place[HUGE] = 1;
	TRY(madvise(place, LENGTH, MADV_COLLAPSE));
	look("one of four has pages", place);
	TRY(madvise(place + HUGE, HUGE, MADV_COLLAPSE));
	look("it alone", place);
	fill(place, LENGTH);
	TRY(madvise(place + PAGE, 3 * HUGE, MADV_COLLAPSE));
	look("the whole ones of a range", place);
	printf("wrong: %d\n", wrong(place, LENGTH));
	TRY(madvise(place + PAGE, PAGE, MADV_COLLAPSE));
	TRY(madvise(place + PAGE, HUGE, MADV_COLLAPSE));
	TRY(madvise(place + 1, HUGE, MADV_COLLAPSE));
	TRY(madvise(place, 0, MADV_COLLAPSE));
	TRY(madvise(place - HUGE, LENGTH, MADV_COLLAPSE));
	TRY(madvise(place, PAGE, MADV_COLLAPSE));
	TRY(munmap(place + 2 * HUGE, HUGE));
	TRY(madvise(place, LENGTH, MADV_COLLAPSE));
	look("around a hole", place);

	place = aligned(LENGTH, RW);
	fill(place, LENGTH);
	TRY(mprotect(place, LENGTH, PROT_READ));
	TRY(madvise(place, LENGTH, MADV_COLLAPSE));
	look("read-only", place);
	TRY(mprotect(place, LENGTH, RW));
	TRY(madvise(place, LENGTH, MADV_COLLAPSE));
	look("writable again, but not written", place);
	place[0] = 7;
	TRY(madvise(place, HUGE, MADV_COLLAPSE));
	look("a page written", place);
	fill(place, LENGTH);
	in_child(child, place);
	printf("wrong: %d\n", wrong(place, LENGTH));
	TRY(madvise(place, LENGTH, MADV_COLLAPSE));
	look("parent", place);

	char *small = mmap(0, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	small[0] = 1;
	TRY(madvise(small, 16 * PAGE, MADV_COLLAPSE));
	place = aligned(LENGTH, RW);
	place[0] = place[HUGE - 1] = 5;
	TRY(madvise(place, HUGE, MADV_COLLAPSE));
	look("mostly empty", place);
	printf("it holds: %d %d %d\n", place[0], place[PAGE], place[HUGE - 1]);
	TRY(mlock(place + HUGE, HUGE));
	TRY(madvise(place, 2 * HUGE, MADV_COLLAPSE));
	look("locked", place);
	return 0;
}
