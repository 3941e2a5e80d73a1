/* Covers: transparent huge pages of anonymous memory: when a fault brings one, and what fork, munmap, mprotect, mremap and madvise do to it and to what it holds. */
#define _GNU_SOURCE
#include "large_case.h"

enum { LENGTH = 4 * HUGE };

/* Memory that nobody has touched; what this gave before is given back, so that memory of 256 MiB is always enough. */
static char *fresh(int advice)
{
	static char *last;
	if (last)
		munmap(last, LENGTH);
	char *place = last = aligned(LENGTH, RW);
	if (advice)
		madvise(place, LENGTH, advice);
	return place;
}

static char *filled(void)
{
	char *place = fresh(MADV_HUGEPAGE);
	fill(place, LENGTH);
	return place;
}

static void look(const char *when, char *place, size_t length)
{
	printf("%s: %ld KiB huge of %ld\n", when, huge_kib(place, length), sum_of(place, length, "Rss:"));
}

static int rest(void *place)
{
	return place == MAP_FAILED ? -1 : (unsigned long)place % HUGE != 0;
}

/* Where memory of whole large pages lies, if the program names no place. */
static void places(void)
{
	enum { KIND = MAP_PRIVATE | MAP_ANONYMOUS };
	char *one = mmap(0, HUGE, RW, KIND, -1, 0), *three = mmap(0, 3 * HUGE, PROT_NONE, KIND, -1, 0);
	char *low = mmap(0, HUGE, RW, KIND | MAP_32BIT, -1, 0);
	mmap(0, 3 * PAGE, RW, KIND, -1, 0);
	char *two = mmap(0, 2 * HUGE, PROT_READ, KIND | MAP_NORESERVE, -1, 0);
	printf("rests: %d %d %d %d\n", rest(one), rest(three), rest(two), rest(low));
	one = mremap(one, HUGE, 4 * HUGE, MREMAP_MAYMOVE);
	mmap(0, PAGE, RW, KIND, -1, 0);
	char *small = mmap(0, 5 * PAGE, RW, KIND, -1, 0);
	small = mremap(small, 5 * PAGE, 2 * HUGE, MREMAP_MAYMOVE);
	printf("moved: %d %d\n", rest(one), rest(small));
}

static void faults(void)
{
	static const char *modes[] = { "always", "madvise", "never" };
	for (int i = 0; i < 3; i++) {
		store("enabled", modes[i]);
		printf("%s\n", modes[i]);
		char *place = fresh(0);
		place[HUGE + 5] = 1;
		look(" without advice", place, LENGTH);
		place = fresh(MADV_HUGEPAGE);
		place[HUGE + 5] = 1;
		look(" wanted", place, LENGTH);
		place = fresh(MADV_NOHUGEPAGE);
		place[HUGE + 5] = 1;
		look(" not wanted", place, LENGTH);
	}
	store("enabled", "always");
	long all = figure("/proc/meminfo", "AnonHugePages:"), brought = figure("/proc/vmstat", "thp_fault_alloc ");
	char *place = filled();
	look("filled", place, LENGTH);
	/* Others may have some, too. */
	printf("in meminfo: %d\n", figure("/proc/meminfo", "AnonHugePages:") >= all + LENGTH / 1024);
	printf("in vmstat: %d\n", figure("/proc/vmstat", "thp_fault_alloc ") >= brought + 4);
	printf("wrong: %d\n", wrong(place, LENGTH));
	munmap(place, LENGTH);
	place = aligned(HUGE + 6 * PAGE, RW);
	fill(place, HUGE + 6 * PAGE);
	look("with a rest", place, HUGE + 6 * PAGE);
	place = aligned(2 * HUGE, RW);
	munmap(place, 3 * PAGE);
	fill(place + 3 * PAGE, 2 * HUGE - 3 * PAGE);
	look("cut at the front", place + 3 * PAGE, 2 * HUGE - 3 * PAGE);
	place = aligned(2 * HUGE, RW);
	madvise(place, HUGE, MADV_NOHUGEPAGE);
	place[0] = 1;
	madvise(place, HUGE, MADV_HUGEPAGE);
	fill(place, 2 * HUGE);
	look("where one page was", place, 2 * HUGE);
	place = filled();
	madvise(place, LENGTH, MADV_NOHUGEPAGE);
	look("no longer wanted", place, LENGTH);
	place = filled();
	char mapped[2];
	mincore(place + HUGE - PAGE, 2 * PAGE, (unsigned char *)mapped);
	printf("mincore: %d %d\n", mapped[0], mapped[1]);
	place = aligned(2 * HUGE, PROT_READ);
	TRY(madvise(place, 2 * HUGE, MADV_POPULATE_READ));
	place = fresh(MADV_HUGEPAGE);
	TRY(madvise(place, LENGTH, MADV_POPULATE_WRITE));
	look("populated", place, LENGTH);
	place = fresh(MADV_HUGEPAGE);
	TRY(mlock(place + 5 * PAGE, PAGE));
	look("locked in part", place, LENGTH);
}

static void writes_in_child(char *place)
{
	look(" child", place, LENGTH);
	place[HUGE + 9 * PAGE] = 77;
	look(" child after a write", place, LENGTH);
	place[HUGE + 9 * PAGE] = 7 + 512 + 9 - 512;
	*(unsigned *)(place + HUGE + 9 * PAGE) = 7 + 512 + 9;
	printf(" child, wrong: %d\n", wrong(place, LENGTH));
}

static void waits_for_parent(char *place)
{
	(void)place;
}

static void forks(void)
{
	char *place = filled();
	in_child(writes_in_child, place);
	printf("wrong: %d\n", wrong(place, LENGTH));
	look("parent", place, LENGTH);
	fill(place, LENGTH);
	look("parent after writes", place, LENGTH);
	printf("wrong: %d\n", wrong(place, LENGTH));
	in_child(waits_for_parent, place);
	int gate[2], done[2];
	char byte;
	MUST(pipe(gate));
	MUST(pipe(done));
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		MUST(read(gate[0], &byte, 1));
		printf("child meanwhile, wrong: %d\n", wrong(place, LENGTH));
		fflush(stdout);
		_exit(0);
	}
	place[3 * PAGE] = 99;
	look("parent wrote while shared", place, LENGTH);
	MUST(write(gate[1], "x", 1));
	MUST(waitpid(child, 0, 0));
	printf("wrong: %d\n", wrong(place, LENGTH));
	madvise(place, LENGTH, MADV_DONTFORK);
	in_child(waits_for_parent, place);
	place = filled();
	madvise(place, LENGTH, MADV_WIPEONFORK);
	in_child(waits_for_parent, place);
	look("wiped in the child", place, LENGTH);
}

static void parts(void)
{
	char *place = filled();
	long splits = figure("/proc/vmstat", "thp_split_pmd ");
	TRY(munmap(place + HUGE + 7 * PAGE, PAGE));
	look("a page unmapped", place, LENGTH);
	printf("splits: %ld\n", figure("/proc/vmstat", "thp_split_pmd ") - splits);
	printf("wrong: %d\n", wrong(place, HUGE + 7 * PAGE));
	TRY(munmap(place + 2 * HUGE, HUGE));
	look("a whole one unmapped", place, LENGTH);
	TRY(munmap(place + 3 * HUGE - PAGE, 2 * PAGE));
	look("the first page unmapped", place, LENGTH);
	TRY(munmap(place, LENGTH));

	place = filled();
	TRY(mprotect(place, LENGTH, PROT_READ));
	look("read-only", place, LENGTH);
	printf("wrong: %d\n", wrong(place, LENGTH));
	TRY(mprotect(place, LENGTH, RW));
	look("writable", place, LENGTH);
	fill(place, LENGTH);
	look("written", place, LENGTH);
	TRY(mprotect(place, LENGTH, PROT_NONE));
	look("hidden", place, LENGTH);
	TRY(mprotect(place, LENGTH, RW));
	look("back", place, LENGTH);
	printf("wrong: %d\n", wrong(place, LENGTH));
	TRY(mprotect(place + HUGE + PAGE, PAGE, PROT_READ));
	look("a page read-only", place, LENGTH);
	printf("wrong: %d\n", wrong(place, LENGTH));
	TRY(mprotect(place + HUGE + PAGE, PAGE, RW));
	look("all alike again", place, LENGTH);
	fill(place, LENGTH);
	printf("wrong: %d\n", wrong(place, LENGTH));

	place = filled();
	TRY(madvise(place + PAGE, PAGE, MADV_DONTNEED));
	look("a page given back", place, LENGTH);
	printf("it holds: %d\n", place[PAGE]);
	place[PAGE] = 1; /* what is only read, Linux does not count */
	TRY(madvise(place + HUGE, 2 * HUGE, MADV_DONTNEED));
	look("whole ones given back", place, LENGTH);
	printf("they hold: %d %d\n", place[HUGE], place[3 * HUGE - 1]);
	place = filled();
	TRY(madvise(place, LENGTH, MADV_DONTNEED));
	place[HUGE] = 1;
	look("given back, and written", place, LENGTH);
}

static void moves(void)
{
	char *place = filled(), *other = aligned(LENGTH, PROT_NONE);
	char *moved = mremap(place, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, other);
	printf("moved: %d\n", moved == other);
	look("moved", moved, LENGTH);
	printf("wrong: %d\n", wrong(moved, LENGTH));
	other = aligned(LENGTH + HUGE, PROT_NONE) + PAGE;
	place = mremap(moved, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, other);
	printf("moved: %d\n", place == other);
	look("moved by a page more", place, LENGTH);
	printf("wrong: %d\n", wrong(place, LENGTH));
	place = filled();
	TRY(mremap(place, LENGTH, HUGE + 5 * PAGE, 0) == place ? 0 : -1);
	look("shrunk", place, LENGTH);
	printf("wrong: %d\n", wrong(place, HUGE + 5 * PAGE));
	place = filled();
	other = aligned(HUGE, PROT_NONE);
	moved = mremap(place + HUGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
	look("a page moved away", place, LENGTH);
	printf("it holds: %u\n", *(unsigned *)moved);
}

int main(void)
{
	borrow_settings();
	store("defrag", "always");
	store("enabled", "always");
	places();
	faults();
	forks();
	parts();
	moves();
	return 0;
}
