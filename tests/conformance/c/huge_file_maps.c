/* Covers: mappings of files of huge pages (memfd_create with MFD_HUGETLB): offsets and lengths, reservations, growth of the
 * file, private copies, fork, munmap, mprotect, mremap, madvise, msync, mlock, MAP_NORESERVE, MAP_POPULATE; maps, smaps,
 * numa_maps. */
#include "huge_case.h"

static int new_file(int pages)
{
	int fd = syscall(SYS_memfd_create, "huge file", 4);
	if (pages > 0 && ftruncate(fd, pages * HUGE) != 0)
		puts("no size");
	return fd;
}

static void size(const char *when, int fd)
{
	struct stat st;
	fstat(fd, &st);
	printf("%s: size %ld, %ld blocks\n", when, (long)st.st_size, (long)st.st_blocks);
}

static void line_of(const char *file, char *place)
{
	char line[512], start[32];
	snprintf(start, sizeof start, "%08lx", (unsigned long)place);
	FILE *stream = fopen(file, "r");
	while (stream && fgets(line, sizeof line, stream))
		if (strncmp(line, start, strlen(start)) == 0) {
			char *rights = strchr(line, ' ') + 1;
			char *name = strchr(rights, '/');
			if (strncmp(rights, "default", 7) == 0)
				printf("%s", rights);
			else
				printf("%.13s %s", rights, name ? name : "\n");
		}
	if (stream)
		fclose(stream);
}

static const char *mapped(void *place)
{
	return place == MAP_FAILED ? error_name(errno) : "mapped";
}

static void places(void)
{
	puts("--- places");
	int fd = new_file(3);
	printf("no length: %s\n", mapped(mmap(0, 0, RW, MAP_SHARED, fd, 0)));
	printf("all lengths: %s\n", mapped(mmap(0, -1, RW, MAP_SHARED, fd, 0)));
	printf("an offset of a small page: %s\n", mapped(mmap(0, HUGE, RW, MAP_SHARED, fd, PAGE)));
	printf("a negative offset: %s\n", mapped(mmap(0, HUGE, RW, MAP_SHARED, fd, -HUGE)));
	pool("nothing mapped");
	char *p = mmap(0, PAGE, RW, MAP_SHARED, fd, HUGE);
	printf("a small length: %s, aligned %d\n", mapped(p), (uintptr_t)p % HUGE == 0);
	pool("a small length");
	line_of("/proc/self/maps", p);
	p[HUGE - 1] = 1;
	SHOW(munmap(p, PAGE));
	SHOW(munmap(p, HUGE));
	p = mmap(0, HUGE, RW, MAP_SHARED | MAP_HUGETLB, fd, 0);
	printf("with the flag, too: %s\n", mapped(p));
	SHOW(munmap(p, HUGE));
	p = mmap(0, HUGE, RW, MAP_SHARED | MAP_HUGETLB | 30 << 26, fd, 0);
	printf("with another size: %s\n", mapped(p));
	if (p != MAP_FAILED)
		SHOW(munmap(p, HUGE));
	p = mmap(0, 4 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	printf("fixed inside a page: %s\n", mapped(mmap(at + PAGE, HUGE, RW, MAP_SHARED | MAP_FIXED, fd, 0)));
	printf("fixed: %s\n", mapped(mmap(at, HUGE, RW, MAP_SHARED | MAP_FIXED, fd, 0)));
	SHOW(munmap(p, 4 * HUGE));
	printf("growing down: %s\n", mapped(mmap(0, HUGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0)));
	printf("of no kind: %s\n", mapped(mmap(0, HUGE, RW, 0, fd, 0)));
	pool("all unmapped");
	close(fd);
	pool("closed");
	fd = open("/proc/self/exe", O_RDONLY);
	printf("the flag and another file: %s\n", mapped(mmap(0, HUGE, PROT_READ, MAP_PRIVATE | MAP_HUGETLB, fd, 0)));
	close(fd);
}

static void sharing(void)
{
	puts("--- sharing");
	int fd = new_file(2);
	printf("more than there is: %s\n", mapped(mmap(0, 5 * HUGE, RW, MAP_SHARED, fd, 0)));
	size("it stays", fd);
	char *p = mmap(0, 2 * HUGE, RW, MAP_SHARED, fd, 0);
	pool("mapped");
	char *q = mmap(0, 2 * HUGE, PROT_READ, MAP_SHARED, fd, 0);
	pool("mapped twice");
	line_of("/proc/self/maps", p);
	strcpy(p + HUGE + 10, "seen by both");
	printf("%s\n", q + HUGE + 10);
	area_figures("shared", p);
	area_figures("for reading", q);
	line_of("/proc/self/numa_maps", p);
	line_of("/proc/self/numa_maps", q);
	pool("touched");
	SHOW(munmap(p, HUGE));
	SHOW(munmap(p + HUGE, HUGE));
	SHOW(munmap(q, 2 * HUGE));
	pool("unmapped: the file owns what is reserved");
	p = mmap(0, 2 * HUGE, RW, MAP_SHARED, fd, 0);
	pool("mapped again");
	printf("%s\n", p + HUGE + 10);
	SHOW(msync(p, 2 * HUGE, MS_SYNC));
	SHOW(madvise(p, HUGE, MADV_REMOVE));
	pool("removed where nothing was");
	SHOW(madvise(p + HUGE, HUGE, MADV_REMOVE));
	pool("removed");
	printf("again: %s %d\n", reading(p + HUGE), p[HUGE + 10]);
	SHOW(munmap(p, 2 * HUGE));
	p = mmap(0, 2 * HUGE, PROT_READ, MAP_SHARED, fd, 2 * HUGE);
	printf("past the end: %s\n", mapped(p));
	size("for reading", fd);
	pool("past the end");
	printf("read: %s\n", reading(p));
	SHOW(munmap(p, 2 * HUGE));
	p = mmap(0, HUGE, RW, MAP_SHARED, fd, 2 * HUGE);
	printf("past the end: %s\n", mapped(p));
	size("for writing", fd);
	printf("written: %s\n", writing(p, 1));
	size("written", fd);
	SHOW(munmap(p, HUGE));
	close(fd);
	pool("closed");

	fd = new_file(0);
	p = mmap(0, 2 * HUGE, RW, MAP_SHARED | MAP_POPULATE, fd, 0);
	size("populated", fd);
	pool("populated");
	close(fd);
	printf("the file is closed: %s\n", writing(p, 1));
	line_of("/proc/self/maps", p);
	SHOW(munmap(p, 2 * HUGE));
	pool("unmapped");

	fd = new_file(6);
	p = mmap(0, 6 * HUGE, RW, MAP_SHARED | MAP_NORESERVE, fd, 0);
	printf("without a reservation: %s\n", mapped(p));
	pool("mapped");
	for (int i = 0; i < 6; i++)
		printf("page %d: %s\n", i, writing(p + i * HUGE, 1));
	SHOW(ftruncate(fd, HUGE));
	pool("truncated");
	printf("page 4: %s\n", writing(p + 4 * HUGE, 1));
	SHOW(munmap(p, 6 * HUGE));
	close(fd);
	pool("closed");
}

static void child_writes(char *p)
{
	printf("the child reads %c %c\n", p[0], p[HUGE]);
	printf("the child writes: %s\n", writing(p, 'c'));
	printf("the child writes: %s\n", writing(p + HUGE, 'c'));
	pool("in the child");
}

static void copies(void)
{
	puts("--- copies");
	int fd = new_file(2);
	char *shared = mmap(0, HUGE, RW, MAP_SHARED, fd, 0);
	shared[0] = 'f';
	char *p = mmap(0, 2 * HUGE, RW, MAP_PRIVATE, fd, 0);
	pool("mapped");
	line_of("/proc/self/maps", p);
	printf("read: %c %d\n", p[0], p[HUGE]);
	pool("read");
	size("a hole was read", fd);
	area_figures("read", p);
	line_of("/proc/self/numa_maps", p);
	p[0] = 'p';
	p[HUGE] = 'q';
	pool("written");
	printf("%c %c\n", p[0], shared[0]);
	area_figures("written", p);
	line_of("/proc/self/numa_maps", p);
	in_child(child_writes, p);
	printf("the parent reads %c %c %c\n", p[0], p[HUGE], shared[0]);
	SHOW(madvise(p, HUGE, MADV_DONTNEED));
	pool("given back");
	printf("the file's: %c\n", p[0]);
	SHOW(mprotect(p, HUGE, PROT_READ));
	printf("written: %s\n", writing(p, 1));
	SHOW(mprotect(p, HUGE, RW));
	printf("written: %s\n", writing(p, 1));
	SHOW(madvise(p, HUGE, MADV_REMOVE));
	pool("before truncation");
	SHOW(ftruncate(fd, HUGE));
	pool("truncated");
	printf("the copy: %s, the one past the end: %s\n", reading(p), reading(p + HUGE));
	SHOW(ftruncate(fd, 0));
	printf("both: %s %s\n", reading(p), reading(p + HUGE));
	pool("empty");
	SHOW(ftruncate(fd, 2 * HUGE));
	printf("longer: %s %s\n", writing(p, 1), writing(p + HUGE, 1));
	pool("longer");
	SHOW(munmap(p, 2 * HUGE));
	SHOW(munmap(shared, HUGE));
	pool("unmapped");
	printf("too many: %s\n", mapped(mmap(0, 5 * HUGE, RW, MAP_PRIVATE, fd, 0)));
	p = mmap(0, 3 * HUGE, RW, MAP_PRIVATE, fd, 0);
	size("a private mapping", fd);
	pool("three");
	SHOW(munmap(p + HUGE, HUGE));
	pool("a part unmapped");
	SHOW(munmap(p, 3 * HUGE));
	int again = open("/proc/self/fd/3", O_RDONLY);
	if (fd == 3) {
		printf("for reading: %s\n", mapped(mmap(0, HUGE, RW, MAP_SHARED, again, 0)));
		p = mmap(0, HUGE, RW, MAP_PRIVATE, again, 0);
		printf("a private one: %s\n", mapped(p));
		SHOW(munmap(p, HUGE));
		p = mmap(0, HUGE, PROT_READ, MAP_SHARED, again, 0);
		SHOW(mprotect(p, HUGE, RW));
		SHOW(munmap(p, HUGE));
	}
	close(again);
	close(fd);
	pool("closed");
}

static void moves(void)
{
	puts("--- moves");
	int fd = new_file(2);
	char *p = mmap(0, 2 * HUGE, RW, MAP_SHARED, fd, 0);
	p[0] = 'a';
	p[HUGE] = 'b';
	TRY(mremap(p, 2 * HUGE, 3 * HUGE, MREMAP_MAYMOVE));
	TRY(mremap(p, 0, 2 * HUGE, MREMAP_MAYMOVE));
	TRY(mremap(p, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | 4));
	SHOW(mremap(p, 2 * HUGE, HUGE, 0) == p);
	pool("shorter");
	char *room = mmap(0, 4 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *to = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));
	TRY(mremap(p, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE));
	SHOW(mremap(p, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	printf("moved: %c, the old place: %s\n", to[0], reading(p));
	SHOW(mprotect(to, PAGE, PROT_READ));
	SHOW(mlock(to, PAGE));
	SHOW(munlock(to, PAGE));
	SHOW(msync(to, PAGE, MS_ASYNC));
	unsigned char seen[512];
	SHOW(mincore(to, HUGE, seen));
	printf("there: %d %d\n", seen[0] & 1, seen[511] & 1);
	SHOW(munmap(room, 4 * HUGE));
	close(fd);
	pool("closed");
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	catch_faults();
	SHOW(write_number(SURPLUS_AT, 0));
	SHOW(write_number(POOL_AT, 4));
	pool("set aside");
	places();
	sharing();
	copies();
	moves();
	SHOW(write_number(POOL_AT, 0));
	pool("after");
	return 0;
}
