/* Covers: remap_file_pages: errors and their order, the pages that show, areas, locks, shared anonymous memory, private mappings; map_shadow_stack. */
#include "case.h"

static long remap(void *at, unsigned long size, unsigned long prot, unsigned long page, unsigned long flags)
{
	return syscall(SYS_remap_file_pages, at, size, prot, page, flags);
}

static void show_areas(char *at, size_t pages)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[300];
	while (fgets(line, sizeof line, maps)) {
		unsigned long start, end, offset;
		char rights[8];
		sscanf(line, "%lx-%lx %4s %lx", &start, &end, rights, &offset);
		if (end > (unsigned long)at && start < (unsigned long)at + pages * PAGE)
			printf(" [%ld,%ld) %s %lx", ((long)start - (long)at) / PAGE, ((long)end - (long)at) / PAGE, rights, offset);
	}
	fclose(maps);
	printf("\n");
}

static void show_bytes(char *at, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		printf(" %d", at[i * PAGE]);
	printf("\n");
}

int main(void)
{
	int fd = (int)MUST(syscall(SYS_memfd_create, "pages", 0));
	MUST(ftruncate(fd, 8 * PAGE));
	for (int i = 0; i < 8; i++)
		pwrite(fd, (char[]){ (char)(i + 1) }, 1, i * PAGE);
	char *fence = (char *)MUST(mmap(NULL, 12 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *at = (char *)MUST(mmap(fence + PAGE, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
	munmap(fence + 9 * PAGE, 3 * PAGE);
	SHOW(remap(at, PAGE, PROT_READ, 3, 0));
	SHOW(remap(at, PAGE, 1ul << 40, 3, 0));
	SHOW(remap(at, 0, 0, 3, 0));
	SHOW(remap(at, 4095, 0, 3, 0));
	SHOW(remap(at, -1ul, 0, 3, 0));
	SHOW(remap(at, -4096ul, 0, 3, 0));
	SHOW(remap((void *)8, PAGE, 0, 3, 0));
	SHOW(remap((void *)-4096l, PAGE, 0, 3, 0));
	SHOW(remap((void *)(1l << 62), PAGE, 0, 3, 0));
	SHOW(remap(at, PAGE, 0, -1ul, 0));
	SHOW(remap(at, 2 * PAGE, 0, -1ul, 0));
	SHOW(remap(at, PAGE, 0, 1ul << 51, 0));
	SHOW(remap(at, PAGE, 0, 1ul << 52, 0));
	SHOW(remap(at, 9 * PAGE, 0, 0, 0));
	SHOW(remap(fence, PAGE, 0, 0, 0));
	SHOW(remap(at + 8 * PAGE, PAGE, 0, 0, 0));
	show_areas(at, 8);
	SHOW(remap(at + 5, PAGE + 7, 0, 6, 0));
	show_areas(at, 8);
	show_bytes(at, 8);
	SHOW(remap(at + 3 * PAGE, 2 * PAGE, 0, 0, MAP_NONBLOCK));
	show_areas(at, 8);
	show_bytes(at, 8);
	at[3 * PAGE] = 77;
	show_bytes(at, 8);
	SHOW(remap(at, 8 * PAGE, 0, 0, -1ul));
	show_areas(at, 8);
	show_bytes(at, 8);
	SHOW(remap(at, PAGE, 0, 7, 0));
	SHOW(mprotect(at + 4 * PAGE, PAGE, PROT_READ));
	SHOW(remap(at + 3 * PAGE, 2 * PAGE, 0, 7, 0));
	SHOW(remap(at + 4 * PAGE, PAGE, 0, 7, 0));
	show_areas(at, 8);
	show_bytes(at, 8);
	SHOW(mlock(at + 6 * PAGE, PAGE));
	SHOW(remap(at + 6 * PAGE, PAGE, 0, 1, 0));
	show_areas(at, 8);
	show_bytes(at, 8);
	/* Beyond the file's end the mapping is there, and its pages are not. */
	SHOW(remap(at, PAGE, 0, 100, 0));
	show_areas(at, 1);
	IN_CHILD(at[0] = 1);
	char *alone = (char *)MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	SHOW(remap(alone, PAGE, 0, 3, 0));
	char *shared = (char *)MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < 4; i++)
		shared[i * PAGE] = (char)(i + 1);
	SHOW(remap(shared, PAGE, 0, 3, 0));
	SHOW(remap(shared + 2 * PAGE, PAGE, 0, 0, 0));
	show_bytes(shared, 4);
	show_areas(shared, 4);
	IN_CHILD(shared[0] = 55);
	show_bytes(shared, 4);
	for (unsigned flags = 0; flags < 3; flags++) {
		SHOW(syscall(453, 0, 4096, flags));
		SHOW(syscall(453, 4096, 0, flags));
	}
	return 0;
}
