/* Names of memory (PR_SET_VMA of prctl(2)): which are taken, and how /proc/PID/maps shows them. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/prctl.h>
#include "../conformance/c/case.h"

#define PR_SET_VMA_ 0x53564d41

/* The name of the area in maps. */
static const char *name_of(const void *address)
{
	static char line[512], found[256];
	unsigned long start, end;
	FILE *maps = fopen("/proc/self/maps", "r");
	strcpy(found, "(not mapped)");
	while (fgets(line, sizeof line, maps)) {
		int offset = 0;
		sscanf(line, "%lx-%lx %*s %*s %*s %*s%n", &start, &end, &offset);
		if (start <= (uintptr_t)address && (uintptr_t)address < end) {
			char *p = line;
			for (int field = 0; field < 5; field++) {
				p = strchr(p, ' ');
				while (*p == ' ')
					p++;
			}
			p[strcspn(p, "\n")] = 0;
			snprintf(found, sizeof found, "\"%s\" of %lu pages", p, (end - start) / PAGE);
		}
	}
	fclose(maps);
	return found;
}

static void *map(size_t pages, int prot, int flags, int fd)
{
	void *at = mmap(NULL, pages * PAGE, prot, flags, fd, 0);
	if (at == MAP_FAILED)
		printf("mmap: %s\n", error_name(errno));
	return at;
}

int main(void)
{
	char long_name[100];
	int fd = (int)MUST(open("/tmp/persona", O_RDWR | O_CREAT | O_TRUNC, 0644));
	MUST(ftruncate(fd, 4 * PAGE));
	char *memory = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	MUST(mprotect(memory, PAGE, PROT_NONE));
	MUST(mprotect(memory + 7 * PAGE, PAGE, PROT_NONE));
	memory += PAGE;
	SHOW(prctl(PR_SET_VMA_, 0, memory, 6 * PAGE, "a name, with: blanks"));
	printf("%s\n", name_of(memory));
	SHOW(prctl(PR_SET_VMA_, 0, memory + 2 * PAGE, PAGE + 1, "other"));
	for (int i = 0; i < 6; i++)
		printf("page %d: %s\n", i, name_of(memory + i * PAGE));
	SHOW(prctl(PR_SET_VMA_, 0, memory + 2 * PAGE, 2 * PAGE, "a name, with: blanks"));
	printf("%s\n", name_of(memory));
	IN_CHILD(printf("of a child: %s\n", name_of(memory)));
	char *moved = mremap(memory, 6 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	printf("moved: %s\n", name_of(moved));
	memory = moved;
	SHOW(prctl(PR_SET_VMA_, 0, memory, 8 * PAGE, ""));
	printf("empty: %s\n", name_of(memory));
	SHOW(prctl(PR_SET_VMA_, 0, memory, 8 * PAGE, NULL));
	printf("none: %s\n", name_of(memory));
	static const char *bad[] = { "a\\b", "a`b", "a$b", "a[b", "a]b", "a\x1f", "a\x7f", "a\xe4", "a\tb" };
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		SHOW(prctl(PR_SET_VMA_, 0, memory, PAGE, bad[i]));
	memset(long_name, 'n', sizeof long_name);
	long_name[79] = 0;
	SHOW(prctl(PR_SET_VMA_, 0, memory, PAGE, long_name));
	long_name[79] = 'n';
	long_name[80] = 0;
	SHOW(prctl(PR_SET_VMA_, 0, memory, PAGE, long_name));
	SHOW(prctl(PR_SET_VMA_, 0, memory, PAGE, 8));
	SHOW(prctl(PR_SET_VMA_, 1, memory, PAGE, "x"));
	SHOW(prctl(PR_SET_VMA_, 0, memory + 1, PAGE, "x"));
	SHOW(prctl(PR_SET_VMA_, 0, memory, 0, "x"));
	SHOW(prctl(PR_SET_VMA_, 0, memory, -1L, "x"));
	SHOW(prctl(PR_SET_VMA_, 0, memory, -(long)PAGE, "x"));
	SHOW(prctl(PR_SET_VMA_, 0, -(long)PAGE, PAGE, "x"));
	munmap(memory + 2 * PAGE, PAGE);
	SHOW(prctl(PR_SET_VMA_, 0, memory, 8 * PAGE, "over a hole"));
	printf("%s\n%s\n", name_of(memory), name_of(memory + 3 * PAGE));
	char *shared = map(2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	SHOW(prctl(PR_SET_VMA_, 0, shared, 2 * PAGE, "shared"));
	printf("%s\n", name_of(shared));
	char *file = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	SHOW(prctl(PR_SET_VMA_, 0, file, PAGE, "file"));
	char *end = (char *)syscall(SYS_brk, 0);
	syscall(SYS_brk, end + 4 * PAGE);
	char *heap = (char *)(((uintptr_t)end + PAGE) & -PAGE);
	SHOW(prctl(PR_SET_VMA_, 0, heap, PAGE, "heap"));
	printf("%s\n", strstr(name_of(heap), "[heap]") ? "it stays the heap" : name_of(heap));
	unlink("/tmp/persona");
	return 0;
}
