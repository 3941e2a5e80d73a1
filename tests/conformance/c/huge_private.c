/* Covers: private huge pages: mmap (MAP_HUGETLB | MAP_PRIVATE), the pool's size and reservations, SIGBUS without a page,
 * MAP_NORESERVE, surplus pages, fork and copies, munmap, mprotect, mremap, madvise, mlock and mincore at parts of huge
 * pages; smaps, numa_maps and pagemap. */
#include <sys/uio.h>
#include "huge_case.h"

static void show_pages(const char *what, char *place, int count)
{
	unsigned char seen[8192];
	int there = 0, result = mincore(place, count * PAGE, seen);
	for (int i = 0; result == 0 && i < count; i++)
		there += seen[i] & 1;
	printf("%s: %s, %d of %d pages\n", what, result == 0 ? "ok" : error_name(errno), there, count);
}

static void pagemap(const char *what, char *place)
{
	unsigned long word = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	pread(fd, &word, 8, (uintptr_t)place / PAGE * 8);
	close(fd);
	printf("%s: present %d, of a file %d, exclusive %d\n", what, (int)(word >> 63), (int)(word >> 61 & 1), (int)(word >> 56 & 1));
}

static void frames_in_a_row(char *place)
{
	unsigned long words[512];
	int fd = open("/proc/self/pagemap", O_RDONLY), row = 1;
	pread(fd, words, sizeof words, (uintptr_t)place / PAGE * 8);
	close(fd);
	for (int i = 1; i < 512; i++)
		row &= (words[i] & ((1ul << 55) - 1)) == (words[0] & ((1ul << 55) - 1)) + i;
	printf("frames in a row: %d, aligned: %d\n", row, (words[0] & 511) == 0);
}

static void line_of(const char *file, char *place)
{
	char line[512], start[32];
	snprintf(start, sizeof start, "%08lx ", (unsigned long)place);
	FILE *stream = fopen(file, "r");
	while (stream && fgets(line, sizeof line, stream))
		if (strncmp(line, start, strlen(start)) == 0)
			printf("%s", strchr(line, ' ') + 1);
	if (stream)
		fclose(stream);
}

static void child_of_two(char *p)
{
	pool("in the child");
	printf("it reads %c %c\n", p[0], p[HUGE]);
	printf("it writes: %s\n", writing(p, 'c'));
	printf("it reads %c\n", p[0]);
	pool("after its write");
	printf("it touches the third: %s\n", reading(p + 2 * HUGE));
	pool("after that");
}

static void child_that_waits(char *p)
{
	int *turn = (int *)(p + 3 * HUGE - PAGE); /* in shared memory */
	__atomic_store_n(turn, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) == 1)
		usleep(1000);
	printf("the child reads its first page: %s\n", reading(p));
	printf("the child reads its second page: %s\n", reading(p + HUGE));
}

static void without_reservation(void)
{
	puts("--- without a reservation");
	char *p = map_huge(6, RW, MAP_PRIVATE | MAP_NORESERVE);
	printf("more than there are: %s\n", p == MAP_FAILED ? error_name(errno) : "mapped");
	pool("mapped");
	for (int i = 0; i < 6; i++)
		printf("page %d: %s\n", i, writing(p + i * HUGE, 'x'));
	pool("touched");
	SHOW(munmap(p, 6 * HUGE));
	pool("unmapped");
	TRY(map_huge(6, RW, MAP_PRIVATE));
	char *kept = map_huge(3, RW, MAP_PRIVATE);
	p = map_huge(2, RW, MAP_PRIVATE | MAP_NORESERVE);
	printf("first: %s\n", writing(p, 1));
	printf("second: %s\n", writing(p + HUGE, 1));
	SHOW(munmap(p, 2 * HUGE));
	SHOW(munmap(kept, 3 * HUGE));
	pool("all unmapped");
}

static void surplus(void)
{
	puts("--- surplus pages");
	SHOW(write_number(SURPLUS_AT, 2));
	char *p = map_huge(6, RW, MAP_PRIVATE);
	printf("six: %s\n", p == MAP_FAILED ? error_name(errno) : "mapped");
	pool("mapped");
	TRY(map_huge(1, RW, MAP_PRIVATE));
	for (int i = 0; i < 6; i++)
		printf("page %d: %s\n", i, writing(p + i * HUGE, 'x'));
	pool("touched");
	SHOW(munmap(p + 4 * HUGE, 2 * HUGE));
	pool("two less");
	SHOW(write_number(POOL_AT, 1));
	pool("the pool made smaller in use");
	SHOW(munmap(p, 4 * HUGE));
	pool("all unmapped");
	SHOW(write_number(SURPLUS_AT, 0));
	SHOW(write_number(POOL_AT, 4));
	pool("four again");
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	catch_faults();
	SHOW(write_number(POOL_AT, 0));
	SHOW(write_number(SURPLUS_AT, 0));
	pool("before");
	TRY(map_huge(1, RW, MAP_PRIVATE));
	SHOW(write_number(POOL_AT, 4));
	pool("set aside");
	SHOW(write_number(POOL_AT, -1));

	puts("--- mapping");
	char *p = map_huge(3, RW, MAP_PRIVATE);
	printf("three: %s, aligned: %d\n", p == MAP_FAILED ? error_name(errno) : "mapped", (uintptr_t)p % HUGE == 0);
	pool("mapped");
	area_figures("untouched", p);
	show_pages("untouched", p, 1536);
	pagemap("untouched", p);
	TRY(map_huge(2, RW, MAP_PRIVATE));
	printf("zeros: %d\n", p[0] == 0 && p[HUGE - 1] == 0);
	memset(p, 'a', HUGE);
	p[HUGE + 5] = 'b';
	pool("two touched");
	area_figures("two touched", p);
	show_pages("two touched", p, 1536);
	show_pages("a part", p + 3 * PAGE, 4);
	pagemap("touched", p + 7 * PAGE);
	frames_in_a_row(p);
	line_of("/proc/self/numa_maps", p);
	void *q = mmap(0, 100, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	printf("100 bytes: %s\n", q == MAP_FAILED ? error_name(errno) : "mapped");
	pool("100 bytes mapped");
	SHOW(munmap(q, 100));
	SHOW(munmap(q, HUGE));
	TRY(mmap(p + PAGE, HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0));
	SHOW(munmap(q, HUGE));

	puts("--- parts of pages");
	SHOW(munmap(p, PAGE));
	SHOW(munmap(p + PAGE, HUGE - PAGE));
	SHOW(munmap(p + HUGE, HUGE + PAGE));
	SHOW(mprotect(p, PAGE, PROT_READ));
	SHOW(mprotect(p + PAGE, HUGE - PAGE, PROT_READ));
	SHOW(madvise(p + PAGE, HUGE, MADV_DONTNEED));
	SHOW(madvise(p, PAGE, MADV_DONTNEED));
	printf("still there: %c\n", p[0]);
	SHOW(madvise(p, HUGE, MADV_FREE));
	SHOW(madvise(p, PAGE, MADV_DONTFORK));
	SHOW(madvise(p, HUGE, MADV_WIPEONFORK));
	SHOW(madvise(p, HUGE, MADV_REMOVE));
	SHOW(madvise(p, HUGE, 20 /* MADV_COLD */));
	SHOW(madvise(p, HUGE, 21 /* MADV_PAGEOUT */));
	SHOW(mlock(p + PAGE, PAGE));
	SHOW(munlock(p + PAGE, PAGE));
	TRY(mremap(p, HUGE, 2 * HUGE, MREMAP_MAYMOVE));
	TRY(mremap(p + PAGE, PAGE, PAGE, 0));
	TRY(mremap(p, PAGE, HUGE, 0));
	TRY(mremap(p, 0, HUGE, MREMAP_MAYMOVE));
	area_figures("after all that", p);
	pool("after all that");

	puts("--- protection");
	SHOW(mprotect(p, HUGE, PROT_READ));
	printf("read: %s, written: %s\n", reading(p), writing(p, 'z'));
	SHOW(mprotect(p, HUGE, PROT_NONE));
	printf("read: %s\n", reading(p));
	area_figures("without access", p);
	SHOW(mprotect(p, HUGE, RW));
	printf("read: %s, %c; written: %s\n", reading(p), p[0], writing(p, 'z'));
	area_figures("one area or more", p);

	puts("--- giving back");
	SHOW(madvise(p, HUGE, MADV_DONTNEED));
	pool("given back");
	printf("zero again: %d\n", p[0] == 0);
	pool("touched again");

	puts("--- access by calls");
	int ends[2];
	pipe(ends);
	SHOW(write(ends[1], p + HUGE + 5, 1));
	SHOW(read(ends[0], p + 9, 1));
	printf("read into it: %c\n", p[9]);
	struct iovec here = { p + HUGE + 100, 5 }, there = { "hello", 5 };
	SHOW(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
	printf("%.5s\n", p + HUGE + 100);
	int memory = open("/proc/self/mem", O_RDWR);
	char byte = 'm';
	SHOW(pwrite(memory, &byte, 1, (off_t)(uintptr_t)p + 4097));
	printf("%c\n", p[4097]);
	SHOW(mprotect(p, HUGE, PROT_READ));
	SHOW(pwrite(memory, &byte, 1, (off_t)(uintptr_t)p + 4098));
	SHOW(pread(memory, &byte, 1, (off_t)(uintptr_t)p + 4097));
	SHOW(mprotect(p, HUGE, RW));
	close(memory);
	close(ends[0]);
	close(ends[1]);

	puts("--- moving");
	char *room = mmap(0, 4 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *to = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));
	p[0] = 'A';
	TRY(mremap(p, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE));
	TRY(mremap(p, HUGE, HUGE, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */));
	SHOW(mremap(p, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	printf("moved: %c, the old place: %s\n", to[0], reading(p));
	pool("moved");
	SHOW(munmap(to, HUGE));
	pool("the moved one unmapped");
	SHOW(munmap(p + HUGE, 2 * HUGE));
	SHOW(munmap(room, 4 * HUGE));
	pool("unmapped");

	puts("--- fork");
	p = map_huge(3, RW, MAP_PRIVATE);
	p[0] = 'a';
	p[HUGE] = 'b';
	in_child(child_of_two, p);
	printf("the parent reads %c %c\n", p[0], p[HUGE]);
	pool("the child has ended");
	printf("the parent writes: %s\n", writing(p, 'p'));
	printf("the parent touches the third: %s\n", reading(p + 2 * HUGE));
	pool("touched");
	SHOW(munmap(p, 3 * HUGE));

	puts("--- the last pages");
	p = map_huge(4, RW, MAP_PRIVATE);
	for (int i = 0; i < 4; i++)
		p[i * HUGE] = 'a' + i;
	SHOW(munmap(p + 2 * HUGE, HUGE));
	mmap(p + 3 * HUGE - PAGE, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int *turn = (int *)(p + 3 * HUGE - PAGE);
	char *more = map_huge(1, RW, MAP_PRIVATE);
	printf("another takes the free one: %s\n", more == MAP_FAILED ? error_name(errno) : writing(more, 1));
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		child_that_waits(p);
		fflush(stdout);
		_exit(0);
	}
	while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) == 0)
		usleep(1000);
	pool("forked");
	printf("the parent writes its first page: %s\n", writing(p, 'P'));
	pool("written");
	__atomic_store_n(turn, 2, __ATOMIC_SEQ_CST);
	int status = 0;
	waitpid(child, &status, 0);
	printf("the child: %x; the parent reads %c %c\n", status, p[0], p[HUGE]);
	pool("the child has ended");
	SHOW(munmap(more, HUGE));
	SHOW(munmap(p, 2 * HUGE));
	SHOW(munmap(p + 3 * HUGE, HUGE));
	munmap(p + 3 * HUGE - PAGE, PAGE);
	pool("all unmapped");

	without_reservation();
	surplus();

	puts("--- locked and populated");
	p = map_huge(2, RW, MAP_PRIVATE | MAP_POPULATE);
	pool("populated");
	area_figures("populated", p);
	SHOW(munmap(p, 2 * HUGE));
	p = map_huge(2, RW, MAP_PRIVATE | MAP_LOCKED);
	area_figures("locked", p);
	SHOW(munmap(p, 2 * HUGE));
	SHOW(write_number(POOL_AT, 0));
	pool("after");
	return 0;
}
