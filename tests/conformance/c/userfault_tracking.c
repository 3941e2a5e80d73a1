#define _GNU_SOURCE
/* Threads write while another one finds and protects what was written, again and again: no write is missed. */
#include "case.h"
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>

#define PAGES 64
#define WRITERS 3
#define WRITES 20000
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PM_SCAN_WP_MATCHING 1
struct page_region { uint64_t start, end, categories; };
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask, category_anyof_mask, return_mask;
};
#endif

static char *memory, *copy;
static int pagemap;
static volatile int running;

static void *write_on(void *seed)
{
	unsigned state = (unsigned)(uintptr_t)seed;
	for (int i = 0; i < WRITES; i++) {
		state = state * 1103515245 + 12345;
		__atomic_fetch_add((unsigned *)(memory + (state >> 16) % PAGES * PAGE), 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_sub(&running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Copy what was written since the last time, which is protected first. */
static long follow(void)
{
	struct page_region regions[PAGES];
	struct pm_scan_arg a = {
		sizeof a, PM_SCAN_WP_MATCHING, (uint64_t)(uintptr_t)memory, (uint64_t)(uintptr_t)memory + PAGES * PAGE, 0,
		(uint64_t)(uintptr_t)regions, PAGES, 0, 0, 2, 0, 2
	};
	long n = MUST(ioctl(pagemap, PAGEMAP_SCAN, &a));
	for (long i = 0; i < n; i++) {
		size_t from = regions[i].start - (uint64_t)(uintptr_t)memory;
		memcpy(copy + from, memory + from, regions[i].end - regions[i].start);
	}
	return n;
}

static void track(const char *what, int flags, int file)
{
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, file, 0);
	memset(memory, 0, PAGES * PAGE);
	memset(copy, 1, PAGES * PAGE);
	int fd = (int)MUST(syscall(SYS_userfaultfd, 0));
	struct uffdio_api api = { UFFD_API, UFFD_FEATURE_WP_ASYNC, 0 };
	MUST(ioctl(fd, UFFDIO_API, &api));
	struct uffdio_register r = { { (uint64_t)(uintptr_t)memory, PAGES * PAGE }, UFFDIO_REGISTER_MODE_WP, 0 };
	MUST(ioctl(fd, UFFDIO_REGISTER, &r));
	pthread_t threads[WRITERS];
	running = WRITERS;
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, write_on, (void *)(uintptr_t)(i + 1));
	while (running)
		follow();
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	follow();
	unsigned long sum = 0;
	for (int i = 0; i < PAGES; i++)
		sum += *(unsigned *)(memory + i * PAGE);
	printf("%s: %lu writes, the copy is %s, %ld regions are left\n", what, sum,
			memcmp(memory, copy, PAGES * PAGE) ? "another" : "the same", follow());
	munmap(memory, PAGES * PAGE);
	close(fd);
}

int main(void)
{
	pagemap = (int)MUST(open("/proc/self/pagemap", O_RDONLY));
	copy = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	track("private memory", MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int file = (int)MUST(syscall(SYS_memfd_create, "m", 0));
	MUST(ftruncate(file, PAGES * PAGE));
	track("shared memory", MAP_SHARED, file);
	return 0;
}
