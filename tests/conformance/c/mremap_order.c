/* Covers: mremap(2) where it moves: what gives way first, hints and alignment of MREMAP_DONTUNMAP, RLIMIT_AS, locked memory, parts of areas
 * and what is left of them, page tables that are not there yet.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include "case.h"

#undef PAGE
#define PAGE 4096L
#define PAGES 64

static char *base;

/* A letter for each page: what it holds, '.' if it is empty, '!' past the end of shared memory, ' ' where nothing is mapped. */
static void show(const char *what)
{
	char text[PAGES + 1] = "", letter;
	unsigned char there;
	for (int i = 0; i < PAGES; i++) {
		if (mincore(base + i * PAGE, PAGE, &there) < 0)
			text[i] = ' ';
		else if (process_vm_readv(getpid(), &(struct iovec){ &letter, 1 }, 1, &(struct iovec){ base + i * PAGE, 1 }, 1, 0) != 1)
			text[i] = '!';
		else
			text[i] = letter ? letter : '.';
	}
	printf("%s: |%s|\n", what, text);
}

static void fill(void)
{
	munmap(base, PAGES * PAGE);
	(void)MUST((long)mmap(base, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	(void)MUST((long)mmap(base + 8 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	for (int i = 0; i < 12; i++)
		base[i * PAGE] = (char)('a' + i);
}

static void move(const char *what, long old, long old_pages, long pages, int flags, long new)
{
	fill();
	long at = syscall(SYS_mremap, base + old, old_pages * PAGE, pages * PAGE, flags, new == -1 ? 0 : (long)(base + new));
	if (at == -1)
		printf("%s", error_name(errno));
	else if (at >= (long)base && at < (long)base + PAGES * PAGE)
		printf("page %ld", (at - (long)base) / PAGE);
	else
		printf("elsewhere");
	printf(", ");
	show(what);
	if (at != -1 && !(at >= (long)base && at < (long)base + PAGES * PAGE))
		munmap((void *)at, (size_t)(pages * PAGE));
}

static long locked_kib(void)
{
	char line[200];
	long kib = -1;
	FILE *file = fopen("/proc/self/status", "r");
	while (file && fgets(line, sizeof line, file))
		sscanf(line, "VmLck: %ld", &kib);
	if (file)
		fclose(file);
	return kib;
}

int main(void)
{
	mkdir("/proc", 0755);
	base = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	move("to a free place", 0, 2, 2, 3, 20 * PAGE);
	move("the middle", 3 * PAGE, 2, 2, 3, 20 * PAGE);
	move("the middle, longer", 3 * PAGE, 2, 4, 3, 20 * PAGE);
	move("the middle, shorter", 3 * PAGE, 4, 2, 3, 20 * PAGE);
	move("shorter, across two areas", 6 * PAGE, 4, 2, 3, 20 * PAGE);
	move("shorter, across an end", 10 * PAGE, 8, 2, 3, 20 * PAGE);
	move("too long, across two areas", 6 * PAGE, 4, 3, 3, 20 * PAGE);
	move("in place, shorter, across an end", 10 * PAGE, 8, 2, 0, -1);
	move("in place, as long, across an end", 10 * PAGE, 8, 8, 0, -1);
	move("in place, shorter, across two areas", 6 * PAGE, 4, 1, 0, -1);
	move("free to move, shorter, across two areas", 6 * PAGE, 4, 1, 1, -1);
	move("in place, shorter, beyond all memory", 0, 1L << 36, 1, 0, -1);
	move("in place, as long, beyond all memory", 0, 1L << 36, 1L << 36, 0, -1);
	move("in place, longer, beyond all memory", 0, 1L << 36, (1L << 36) + 1, 0, -1);
	move("in place, of nothing", 0, 0, 0, 0, -1);
	move("onto others", 0, 2, 2, 3, 7 * PAGE);
	move("onto others, shorter", 0, 6, 2, 3, 7 * PAGE);
	move("right below", 1 * PAGE, 2, 1, 3, 0);
	move("right above", 0, 2, 2, 3, 2 * PAGE);
	move("right above the end", 8 * PAGE, 4, 4, 3, 12 * PAGE);
	move("of both kinds", 7 * PAGE, 2, 2, 3, 20 * PAGE);
	move("grows in place", 8 * PAGE, 4, 8, 1, -1);
	move("grows elsewhere", 2 * PAGE, 2, 4, 1, -1);
	move("leaves it", 2 * PAGE, 2, 2, 7, 20 * PAGE);
	move("leaves it, hint", 2 * PAGE, 2, 2, 5, 20 * PAGE);
	move("leaves it, hint inside", 2 * PAGE, 2, 2, 5, 3 * PAGE);
	move("leaves it, hint in use", 2 * PAGE, 2, 2, 5, 9 * PAGE);
	move("leaves it, hint off a page", 2 * PAGE, 2, 2, 5, 20 * PAGE + 1);
	move("leaves it, no hint", 2 * PAGE, 2, 2, 5, -1);
	move("leaves the shared", 9 * PAGE, 2, 2, 7, 20 * PAGE);
	move("off a page", 2 * PAGE, 2, 2, 3, 20 * PAGE + 1);
	move("a second one", 8 * PAGE, 0, 4, 3, 20 * PAGE);
	move("a second one of private memory", 0, 0, 4, 3, 20 * PAGE);

	puts("--- locked");
	fill();
	TRY(mlock(base, 4 * PAGE));
	printf("locked %ld\n", locked_kib());
	SHOW(syscall(SYS_mremap, base + 2 * PAGE, 2 * PAGE, 2 * PAGE, 3, base + 20 * PAGE) == (long)base + 20 * PAGE);
	printf("locked %ld\n", locked_kib());
	/* MREMAP_DONTUNMAP unlocks all of the old area, but Linux goes on counting it: VmLck is of no use from here on. */
	SHOW(syscall(SYS_mremap, base, 2 * PAGE, 2 * PAGE, 7, base + 30 * PAGE) == (long)base + 30 * PAGE);
	munlockall();

	puts("--- limits");
	long large = 64 << 20;
	char *big = (char *)MUST((long)mmap(NULL, (size_t)large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *room = (char *)MUST((long)mmap(NULL, (size_t)large * 4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	munmap(room, (size_t)large * 4);
	big[0] = 'x';
	big[large - 1] = 'y';
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	if (file) {
		if (fscanf(file, "%ld", &pages) != 1)
			pages = 0;
		fclose(file);
	}
	struct rlimit limit = { (rlim_t)pages * 4096 + (16 << 20), RLIM_INFINITY };
	MUST(setrlimit(RLIMIT_AS, &limit));
	long at = syscall(SYS_mremap, big, large, large, 3, room);
	printf("moved: %s\n", at == (long)room ? "yes" : error_name(errno));
	if (at == (long)room)
		big = room;
	at = syscall(SYS_mremap, big, large, large, 7, room + 2 * large);
	printf("left: %s\n", at == (long)room + 2 * large ? "yes" : error_name(errno));
	at = syscall(SYS_mremap, big, large, large + (8 << 20), 3, room + 2 * large);
	printf("grown by 8 MiB: %s\n", at == (long)room + 2 * large ? "yes" : error_name(errno));
	if (at == (long)room + 2 * large)
		big = room + 2 * large;
	at = syscall(SYS_mremap, big, large, large + (64 << 20), 3, room);
	printf("grown by 64 MiB: %s\n", at == (long)room ? "yes" : error_name(errno));
	printf("%c %c\n", big[0], big[large - 1]);
	return 0;
}
