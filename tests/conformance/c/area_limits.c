/* Covers: vm.max_map_count: mmap, brk, munmap that makes a hole, mprotect, madvise, mlock, mremap at the limit; thousands of areas with holes
 * between them, and which hole a new mapping gets. */
#include "case.h"

#ifndef MREMAP_MAYMOVE
#define MREMAP_MAYMOVE 1
#endif

static void set_limit(long value)
{
	char text[32];
	int fd = (int)MUST(open("/proc/sys/vm/max_map_count", O_WRONLY));
	snprintf(text, sizeof text, "%ld", value);
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

/* Areas of this process. Linux shows a page above user memory too, which does not count. */
static long areas(void)
{
	static char text[1 << 16];
	int fd = (int)MUST(open("/proc/self/maps", O_RDONLY));
	long count = 0;
	ssize_t n;
	while ((n = read(fd, text, sizeof text)) > 0)
		for (ssize_t i = 0; i < n; i++)
			count += text[i] == '\n';
	close(fd);
	fd = (int)MUST(open("/proc/self/maps", O_RDONLY));
	while ((n = read(fd, text, sizeof text - 1)) > 0) {
		text[n] = 0;
		if (strstr(text, "[vsyscall]"))
			count--;
	}
	close(fd);
	return count;
}

static void at_the_limit(void)
{
	char *memory = mmap(0, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *apart = mmap(0, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long count = areas();
	set_limit(count + 2);
	/* each makes two areas more */
	SHOW(mprotect(memory + 2 * PAGE, PAGE, PROT_READ));
	CHECK(areas() == count + 2);
	SHOW(mprotect(memory + 6 * PAGE, PAGE, PROT_READ));
	SHOW(mprotect(memory + 6 * PAGE, 58 * PAGE, PROT_READ));
	SHOW(munmap(memory + 6 * PAGE, PAGE));
	SHOW(madvise(memory + 6 * PAGE, PAGE, MADV_DONTFORK));
	SHOW(mlock(memory + 6 * PAGE, PAGE));
	printf("one side only\n");
	SHOW(munmap(memory + 62 * PAGE, 2 * PAGE));
	SHOW(munmap(memory, PAGE));
	CHECK(areas() == count + 2);
	printf("new ones\n");
	void *fresh = mmap(0, PAGE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(fresh != MAP_FAILED);
	CHECK(mmap(0, PAGE, PROT_EXEC | PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
	CHECK(mmap(apart, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && errno == ENOMEM);
	SHOW(munmap(memory + 6 * PAGE, PAGE));
	SHOW(munmap(memory + 2 * PAGE, PAGE));
	CHECK(mremap(apart, 4 * PAGE, 300 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
	set_limit(65530);
	SHOW(munmap(memory + 6 * PAGE, PAGE));
}

static void holes(void)
{
	enum { COUNT = 3000 };
	char *memory = mmap(0, 4 * COUNT * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long wrong = 0;
	/* holes of one page; at three places of two, three and two */
	for (long i = 0; i < COUNT; i++)
		MUST(munmap(memory + (4 * i + 1) * PAGE, PAGE));
	MUST(munmap(memory + (4 * 1000 + 2) * PAGE, PAGE));
	MUST(munmap(memory + (4 * 500 + 2) * PAGE, 2 * PAGE));
	MUST(munmap(memory + (4 * 250 + 2) * PAGE, PAGE));
	char *three = mmap(0, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(three == memory + (4 * 500 + 1) * PAGE);
	char *two = mmap(0, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(two == memory + (4 * 1000 + 1) * PAGE);
	two = mmap(0, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(two == memory + (4 * 250 + 1) * PAGE);
	for (long i = COUNT - 1; i >= 0; i--) {
		if (i == 1000 || i == 500 || i == 250)
			continue;
		char *one = mmap(0, PAGE, i & 1 ? PROT_READ : PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		wrong += one != memory + (4 * i + 1) * PAGE;
	}
	printf("%ld holes filled in another order\n", wrong);
	CHECK(mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) < (void *)memory);
	SHOW(munmap(memory, 4 * COUNT * PAGE));
}

int main(void)
{
	IN_CHILD({ at_the_limit(); });
	set_limit(65530);
	IN_CHILD({ holes(); });
	return 0;
}
