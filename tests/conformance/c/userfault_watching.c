#define _GNU_SOURCE
/* Write protection by a userfaultfd: of shared memory, of pages that are not there, and asynchronously, with PAGEMAP_SCAN. */
#include "case.h"
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>

#define PAGES 8
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PM_SCAN_WP_MATCHING 1
#define PM_SCAN_CHECK_WPASYNC 2
struct page_region { uint64_t start, end, categories; };
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGE_IS_WPALLOWED 1
#define PAGE_IS_WRITTEN 2
#define PAGE_IS_FILE 4
#define PAGE_IS_PRESENT 8
#define PAGE_IS_SWAPPED 16
#define PAGE_IS_HUGE 64
#endif

static char *memory;
static char source[PAGE] __attribute__((aligned(PAGE)));
static int fd, pagemap;

static int ready_fd(int flags, uint64_t features)
{
	int made = (int)syscall(SYS_userfaultfd, flags);
	struct uffdio_api api = { UFFD_API, features, 0 };
	if (made < 0 || ioctl(made, UFFDIO_API, &api) == -1)
		printf("not ready: %s\n", error_name(errno));
	return made;
}

/* Two tables of the lowest level never share the memory. */
static void fresh(int flags, int file)
{
	static char *area;
	if (area)
		munmap(area, 4 << 20);
	area = mmap(NULL, 4 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = (char *)(((uintptr_t)area + (2 << 20) - 1) & -(2ul << 20));
	memory = mmap(memory, PAGES * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, file, 0);
}

static long reg(char *start, size_t length, uint64_t mode)
{
	struct uffdio_register r = { { (uint64_t)(uintptr_t)start, length }, mode, 0 };
	long result = ioctl(fd, UFFDIO_REGISTER, &r);
	if (result == 0)
		printf("may: %#llx\n", (unsigned long long)r.ioctls);
	return result;
}

static long unreg(char *start, size_t length)
{
	struct uffdio_range r = { (uint64_t)(uintptr_t)start, length };
	return ioctl(fd, UFFDIO_UNREGISTER, &r);
}

static long protect(char *target, size_t length, uint64_t mode)
{
	struct uffdio_writeprotect p = { { (uint64_t)(uintptr_t)target, length }, mode };
	return ioctl(fd, UFFDIO_WRITEPROTECT, &p);
}

static long copy_to(char *target, size_t length, uint64_t mode)
{
	memset(source, 's', sizeof source);
	struct uffdio_copy c = { (uint64_t)(uintptr_t)target, (uint64_t)(uintptr_t)source, length, mode, 77 };
	return ioctl(fd, UFFDIO_COPY, &c);
}

static long zero(char *target, size_t length)
{
	struct uffdio_zeropage z = { { (uint64_t)(uintptr_t)target, length }, 0, 77 };
	return ioctl(fd, UFFDIO_ZEROPAGE, &z);
}

static long proceed(char *target, size_t length, uint64_t mode)
{
	struct uffdio_continue c = { { (uint64_t)(uintptr_t)target, length }, mode, 77 };
	return ioctl(fd, UFFDIO_CONTINUE, &c);
}

static void show_pages(void)
{
	uint64_t words[PAGES];
	MUST(pread(pagemap, words, sizeof words, (off_t)((uintptr_t)memory / PAGE * 8)));
	printf("pages:");
	for (int i = 0; i < PAGES; i++)
		printf(" %lld%s%s", (long long)(words[i] >> 63), words[i] >> 62 & 1 ? "s" : "", words[i] >> 57 & 1 ? "w" : "");
	for (int i = 0; i < PAGES; i++)
		if (words[i] >> 62 == 1)
			printf(" (%lld)", (long long)(words[i] & ((1ull << 55) - 1)));
	printf("\n");
}

static void next_message(void)
{
	struct uffd_msg m = { 0 };
	ssize_t n = read(fd, &m, sizeof m);
	if (n != sizeof m)
		printf("read: %s\n", n < 0 ? error_name(errno) : "short");
	else
		printf("event %#x, flags %llu, page %lld\n", m.event, (unsigned long long)m.arg.pagefault.flags,
				(long long)(m.arg.pagefault.address - (uint64_t)(uintptr_t)memory) / PAGE);
}

static char *place;
static char touched;
static int writes;
static pthread_t toucher;

static void *touch(void *unused)
{
	(void)unused;
	if (writes)
		*(volatile char *)place = 'w';
	touched = *(volatile char *)place;
	return NULL;
}

static void start_touch(char *where, int write)
{
	place = where;
	writes = write;
	pthread_create(&toucher, NULL, touch, NULL);
}

static void end_touch(void)
{
	pthread_join(toucher, NULL);
	printf("it sees '%c'\n", touched ? touched : '0');
}

/* A write that waits until the page is protected no more. */
static void write_to(int page)
{
	start_touch(memory + page * PAGE, 1);
	next_message();
	SHOW(protect(memory + page * PAGE, PAGE, 0));
	end_touch();
}

static void sharing(int flags)
{
	printf("== shared memory, flags %#x\n", flags);
	int file = (int)MUST(syscall(SYS_memfd_create, "m", 0));
	MUST(ftruncate(file, PAGES * PAGE));
	MUST(pwrite(file, "file", 4, PAGE));
	fd = ready_fd(0, UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	fresh(flags, file);
	memory[0] = 'a';
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP));
	SHOW(protect(memory, 5 * PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	show_pages();
	write_to(0);
	start_touch(memory + PAGE, 0);
	end_touch();
	show_pages();
	write_to(1);
	write_to(2);
	memory[6 * PAGE] = 'f';
	show_pages();
	SHOW(protect(memory, PAGES * PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	MUST(madvise(memory, 2 * PAGE, MADV_DONTNEED));
	show_pages();
	write_to(0);
	SHOW(fallocate(file, 3, PAGE, 2 * PAGE));
	show_pages();
	write_to(2);
	MUST(ftruncate(file, 6 * PAGE));
	show_pages();
	MUST(ftruncate(file, PAGES * PAGE));
	show_pages();
	write_to(6);
	MUST(mprotect(memory + 4 * PAGE, PAGE, PROT_NONE));
	MUST(mprotect(memory + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	write_to(4);
	IN_CHILD({
		memory[3 * PAGE] = 'c';
		show_pages();
	});
	SHOW(copy_to(memory + 3 * PAGE, PAGE, UFFDIO_COPY_MODE_WP));
	SHOW(copy_to(memory + 5 * PAGE, PAGE, 0));
	MUST(ftruncate(file, 7 * PAGE));
	MUST(ftruncate(file, PAGES * PAGE));
	SHOW(copy_to(memory + 7 * PAGE, PAGE, UFFDIO_COPY_MODE_WP));
	show_pages();
	write_to(7);
	SHOW(zero(memory + 5 * PAGE, PAGE));
	show_pages();
	char *moved = mremap(memory + 7 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + 20 * PAGE);
	printf("moved %d\n", moved == memory + 20 * PAGE);
	*moved = 'm';
	SHOW(unreg(memory, 7 * PAGE));
	show_pages();
	memory[3 * PAGE] = 'u';
	SHOW(reg(memory, 7 * PAGE, UFFDIO_REGISTER_MODE_WP));
	show_pages();
	close(fd);
	memory[4 * PAGE] = 'u';
	fd = ready_fd(0, UFFD_FEATURE_MINOR_SHMEM);
	fresh(flags, file);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP));
	SHOW(protect(memory, PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	SHOW(proceed(memory + 6 * PAGE, PAGE, UFFDIO_CONTINUE_MODE_WP));
	SHOW(proceed(memory + 3 * PAGE, PAGE, UFFDIO_CONTINUE_MODE_WP));
	SHOW(proceed(memory, PAGE, 0));
	show_pages();
	close(fd);
	close(file);
}

static void absent(void)
{
	for (int wanted = 0; wanted < 2; wanted++) {
		printf("== private memory, pages that are not there: %d\n", wanted);
		fd = ready_fd(0, wanted ? UFFD_FEATURE_WP_UNPOPULATED : 0);
		fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
		memory[0] = 'a';
		SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP));
		SHOW(protect(memory, 5 * PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
		show_pages();
		start_touch(memory + PAGE, 0);
		end_touch();
		if (wanted) {
			write_to(1);
			write_to(2);
		}
		show_pages();
		SHOW(zero(memory + 3 * PAGE, PAGE));
		SHOW(copy_to(memory + 3 * PAGE, PAGE, 0));
		SHOW(copy_to(memory + 4 * PAGE, PAGE, UFFDIO_COPY_MODE_WP));
		show_pages();
		SHOW(protect(memory, PAGES * PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
		MUST(madvise(memory, 2 * PAGE, MADV_DONTNEED));
		show_pages();
		SHOW(protect(memory, PAGES * PAGE, 0));
		show_pages();
		SHOW(protect(memory, PAGES * PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
		IN_CHILD({ memory[0] = 'c'; show_pages(); });
		close(fd);
		show_pages();
		memory[7 * PAGE] = 'e';
		memory[0] = 'e';
	}
	printf("== both modes\n");
	fd = ready_fd(0, UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_EVENT_FORK);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING));
	SHOW(protect(memory, PAGES * PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	start_touch(memory, 1);
	next_message();
	SHOW(copy_to(memory, PAGE, 0));
	end_touch();
	show_pages();
	struct uffdio_poison p = { { (uint64_t)(uintptr_t)memory + PAGE, PAGE }, 0, 0 };
	SHOW(ioctl(fd, UFFDIO_POISON, &p));
	close(fd);
}

static void scan_as(uint64_t flags, char *start, char *end, uint64_t room, uint64_t most, uint64_t inverted, uint64_t all, uint64_t any, uint64_t shown)
{
	struct page_region regions[16];
	struct pm_scan_arg a = {
		sizeof a, flags, (uint64_t)(uintptr_t)start, (uint64_t)(uintptr_t)end, 0, room ? (uint64_t)(uintptr_t)regions : 0, room, most, inverted, all, any, shown
	};
	long result = ioctl(pagemap, PAGEMAP_SCAN, &a);
	int error = errno;
	printf("flags %lld, room %lld, most %lld, inverted %lld, all %lld, any %lld, shown %lld: %s, end %lld:", (long long)flags, (long long)room, (long long)most,
			(long long)inverted, (long long)all, (long long)any, (long long)shown, result < 0 ? error_name(error) : "found",
			a.walk_end ? (long long)(a.walk_end - (uint64_t)(uintptr_t)memory) / PAGE : -1);
	for (long i = 0; i < result; i++)
		printf(" %lld-%lld %lld", (long long)(regions[i].start - (uint64_t)(uintptr_t)memory) / PAGE,
				(long long)(regions[i].end - (uint64_t)(uintptr_t)memory) / PAGE, (long long)regions[i].categories);
	printf("\n");
}

static void written(uint64_t flags, uint64_t room, uint64_t most)
{
	scan_as(flags, memory, memory + PAGES * PAGE, room, most, 0, PAGE_IS_WRITTEN, 0, PAGE_IS_WRITTEN);
}

static void asynchronous(int flags, int file)
{
	printf("== asynchronous, flags %#x\n", flags);
	fd = ready_fd(O_NONBLOCK, UFFD_FEATURE_WP_ASYNC);
	fresh(flags, file);
	memory[0] = 'a';
	memory[3 * PAGE] = 'a';
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING));
	SHOW(unreg(memory, PAGES * PAGE));
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP));
	written(0, 16, 0);
	written(PM_SCAN_WP_MATCHING, 16, 0);
	show_pages();
	written(0, 16, 0);
	memory[PAGE] = 'b';
	memory[3 * PAGE] = 'b';
	memory[4 * PAGE] = 'b';
	memory[6 * PAGE] = 'b';
	next_message();
	show_pages();
	written(0, 16, 0);
	written(PM_SCAN_WP_MATCHING, 2, 0);
	written(0, 16, 0);
	memory[PAGE] = 'b';
	memory[3 * PAGE] = 'b';
	written(0, 16, 2);
	written(0, 16, 3);
	written(0, 16, 4);
	written(0, 1, 0);
	written(PM_SCAN_WP_MATCHING, 16, 1);
	scan_as(0, memory, memory + PAGES * PAGE, 16, 0, 0, 0, 0, 127);
	scan_as(0, memory, memory + PAGES * PAGE, 16, 0, 0, PAGE_IS_PRESENT, 0, 127);
	scan_as(0, memory, memory + PAGES * PAGE, 16, 0, PAGE_IS_PRESENT, PAGE_IS_PRESENT, 0, 127);
	scan_as(0, memory, memory + PAGES * PAGE, 16, 0, PAGE_IS_WRITTEN, PAGE_IS_WRITTEN, 0, 127);
	scan_as(0, memory, memory + PAGES * PAGE, 16, 0, 0, 0, PAGE_IS_WRITTEN | PAGE_IS_FILE, 127);
	scan_as(0, memory, memory + PAGES * PAGE, 16, 0, PAGE_IS_WPALLOWED, PAGE_IS_WPALLOWED, 0, 127);
	scan_as(0, memory, memory + PAGES * PAGE, 16, 0, 0, PAGE_IS_WPALLOWED, PAGE_IS_SWAPPED, 127);
	scan_as(PM_SCAN_WP_MATCHING, memory, memory + PAGES * PAGE, 16, 0, 0, PAGE_IS_WRITTEN, 0, 127);
	memory[5 * PAGE] = 'b';
	written(PM_SCAN_WP_MATCHING, 0, 0);
	written(0, 16, 0);
	scan_as(PM_SCAN_CHECK_WPASYNC, memory, memory + (PAGES + 1) * PAGE, 16, 0, 0, 0, 0, 127);
	scan_as(PM_SCAN_WP_MATCHING, memory, memory + (PAGES + 1) * PAGE, 16, 0, 0, 0, 0, 127);
	scan_as(PM_SCAN_WP_MATCHING, memory, memory + PAGES * PAGE, 16, 0, 0, 0, 0, 127);
	int pair[2];
	MUST(pipe(pair));
	SHOW(write(pair[1], "xyz", 3));
	SHOW(read(pair[0], memory + 2 * PAGE, 3));
	written(0, 16, 0);
	close(pair[0]);
	close(pair[1]);
	SHOW(protect(memory, PAGES * PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	memory[0] = 'z';
	SHOW(protect(memory, PAGES * PAGE, 0));
	show_pages();
	SHOW(unreg(memory, PAGES * PAGE));
	close(fd);
}

static void scanning(void)
{
	printf("== scanning\n");
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memory[0] = 'a';
	memory[2 * PAGE] = 'a';
	written(0, 16, 0);
	scan_as(0, memory, memory + PAGES * PAGE, 16, 0, 0, 0, 0, 127);
	scan_as(0, memory, memory + PAGES * PAGE + 1, 16, 0, 0, PAGE_IS_PRESENT, 0, 127);
	scan_as(PM_SCAN_WP_MATCHING, memory, memory + PAGES * PAGE, 16, 0, 0, 0, 0, 127);
	scan_as(PM_SCAN_CHECK_WPASYNC, memory, memory + PAGES * PAGE, 16, 0, 0, 0, 0, 127);
	scan_as(4, memory, memory + PAGES * PAGE, 16, 0, 0, 0, 0, 127);
	scan_as(0, memory + 1, memory + PAGES * PAGE, 16, 0, 0, 0, 0, 127);
	scan_as(0, memory + PAGES * PAGE, memory, 16, 0, 0, 0, 0, 127);
	scan_as(0, memory, memory, 16, 0, 0, 0, 0, 127);
	scan_as(0, memory, (char *)(1ul << 60), 16, 0, 0, 0, 0, 127);
	for (int bit = 6; bit < 10; bit++) {
		scan_as(0, memory, memory + PAGES * PAGE, 16, 0, 1 << bit, 1 << bit, 0, 0);
		scan_as(0, memory, memory + PAGES * PAGE, 16, 0, 0, 0, 1 << bit, 0);
	}
	scan_as(0, memory, memory + PAGES * PAGE, 0, 0, 0, 0, 0, 127);
	munmap(memory + 2 * PAGE, PAGE);
	scan_as(0, memory, memory + PAGES * PAGE, 16, 0, 0, 0, 0, 127);
	scan_as(0, memory, memory + PAGES * PAGE, 1, 0, 0, 0, 0, 127);
	struct page_region region = { 0 };
	struct pm_scan_arg a = { sizeof a, 0, (uint64_t)(uintptr_t)memory, (uint64_t)(uintptr_t)memory + PAGE, 9, 0, 1, 0, 0, 0, 0, 8 };
	SHOW(ioctl(pagemap, PAGEMAP_SCAN, &a));
	a.vec = 8;
	SHOW(ioctl(pagemap, PAGEMAP_SCAN, &a));
	a.vec = (uint64_t)(uintptr_t)&region;
	a.size--;
	SHOW(ioctl(pagemap, PAGEMAP_SCAN, &a));
	a.size += 2;
	SHOW(ioctl(pagemap, PAGEMAP_SCAN, &a));
	SHOW(ioctl(pagemap, PAGEMAP_SCAN, (void *)1));
	SHOW(ioctl(pagemap, PAGEMAP_SCAN + 1, &a));
	SHOW(ioctl(pagemap, 0x5401, &a));
	int file = (int)MUST(open("/proc/self/exe", O_RDONLY));
	char *still = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	fd = ready_fd(0, UFFD_FEATURE_WP_ASYNC);
	SHOW(reg(still, PAGE, UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING));
	SHOW(reg(still, PAGE, UFFDIO_REGISTER_MODE_MINOR));
	SHOW(reg(still, PAGE, UFFDIO_REGISTER_MODE_WP));
	memory = still;
	SHOW(protect(still, PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	scan_as(PM_SCAN_CHECK_WPASYNC, still, still + PAGE, 16, 0, 0, 0, 0, 127);
	touched = *(volatile char *)still;
	scan_as(PM_SCAN_CHECK_WPASYNC, still, still + PAGE, 16, 0, 0, 0, 0, 127);
	*(volatile char *)still = 'x';
	scan_as(PM_SCAN_CHECK_WPASYNC, still, still + PAGE, 16, 0, 0, 0, 0, 127);
	SHOW(copy_to(still, PAGE, 0));
	SHOW(unreg(still, PAGE));
	close(fd);
	close(file);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	pagemap = (int)MUST(open("/proc/self/pagemap", O_RDONLY));
	sharing(MAP_SHARED);
	sharing(MAP_PRIVATE);
	absent();
	asynchronous(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int file = (int)MUST(syscall(SYS_memfd_create, "m", 0));
	MUST(ftruncate(file, PAGES * PAGE));
	asynchronous(MAP_SHARED, file);
	scanning();
	return 0;
}
