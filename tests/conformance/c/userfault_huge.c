#define _GNU_SOURCE
/* Faults in huge pages that a program serves: userfaultfd(2) over MAP_HUGETLB, each page as a whole. */
#include "case.h"
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/ioctl.h>

#define HUGE (2 << 20)
#define PAGES 4
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PM_SCAN_WP_MATCHING 1
struct page_region { uint64_t start, end, categories; };
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask, category_anyof_mask, return_mask;
};
#endif

static char *memory, *source;
static int fd, pagemap;

static int ready_fd(int flags, uint64_t features)
{
	int made = (int)syscall(SYS_userfaultfd, flags);
	struct uffdio_api api = { UFFD_API, features, 0 };
	if (made < 0 || ioctl(made, UFFDIO_API, &api) == -1)
		printf("not ready: %s\n", error_name(errno));
	return made;
}

static void fresh(int flags, int file)
{
	if (memory)
		munmap(memory, PAGES * HUGE);
	memory = mmap(NULL, PAGES * HUGE, PROT_READ | PROT_WRITE, flags, file, 0);
	if (memory == MAP_FAILED)
		printf("not mapped: %s\n", error_name(errno));
}

static long reg(char *start, size_t length, uint64_t mode)
{
	struct uffdio_register r = { { (uint64_t)(uintptr_t)start, length }, mode, 0 };
	long result = ioctl(fd, UFFDIO_REGISTER, &r);
	if (result == 0)
		printf("may: %#llx\n", (unsigned long long)r.ioctls);
	return result;
}

static long copy_to(char *target, char *from, size_t length, uint64_t mode)
{
	struct uffdio_copy c = { (uint64_t)(uintptr_t)target, (uint64_t)(uintptr_t)from, length, mode, 77 };
	long result = ioctl(fd, UFFDIO_COPY, &c);
	int error = errno;
	printf("[copied %lld] ", (long long)c.copy);
	errno = error;
	return result;
}

static long zero(char *target, size_t length)
{
	struct uffdio_zeropage z = { { (uint64_t)(uintptr_t)target, length }, 0, 77 };
	return ioctl(fd, UFFDIO_ZEROPAGE, &z);
}

static long protect(char *target, size_t length, uint64_t mode)
{
	struct uffdio_writeprotect p = { { (uint64_t)(uintptr_t)target, length }, mode };
	return ioctl(fd, UFFDIO_WRITEPROTECT, &p);
}

static long proceed(char *target, size_t length, uint64_t mode)
{
	struct uffdio_continue c = { { (uint64_t)(uintptr_t)target, length }, mode, 77 };
	long result = ioctl(fd, UFFDIO_CONTINUE, &c);
	int error = errno;
	printf("[continued %lld] ", (long long)c.mapped);
	errno = error;
	return result;
}

static long poison(char *start, size_t length)
{
	struct uffdio_poison p = { { (uint64_t)(uintptr_t)start, length }, 0, 77 };
	return ioctl(fd, UFFDIO_POISON, &p);
}

static void next_message(void)
{
	struct uffd_msg m = { 0 };
	ssize_t n = read(fd, &m, sizeof m);
	if (n != sizeof m)
		printf("read: %s\n", n < 0 ? error_name(errno) : "short");
	else
		printf("event %#x, flags %llu, page %lld + %lld\n", m.event, (unsigned long long)m.arg.pagefault.flags,
				(long long)(m.arg.pagefault.address - (uint64_t)(uintptr_t)memory) / HUGE, (long long)(m.arg.pagefault.address % HUGE));
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

static sigjmp_buf back;
static siginfo_t seen;

static void on_bus(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	seen = *info;
	siglongjmp(back, 1);
}

static void touch_here(char *where, int write)
{
	if (sigsetjmp(back, 1) == 0) {
		if (write)
			*(volatile char *)where = 'w';
		char byte = *(volatile char *)where;
		printf("it sees '%c'\n", byte ? byte : '0');
	} else
		printf("signal %d, code %d, at %ld, lsb %d\n", seen.si_signo, seen.si_code, (long)((char *)seen.si_addr - where),
				seen.si_code == 4 ? seen.si_addr_lsb : 0);
}

static void show_pages(void)
{
	printf("pages:");
	for (int i = 0; i < PAGES; i++) {
		uint64_t word = 0;
		MUST(pread(pagemap, &word, sizeof word, (off_t)((uintptr_t)(memory + (size_t)i * HUGE) / PAGE * 8)));
		printf(" %lld%s%s%s", (long long)(word >> 63), word >> 62 & 1 ? "s" : "", word >> 57 & 1 ? "w" : "", word >> 61 & 1 ? "f" : "");
	}
	printf("\n");
}

static void missing(int flags)
{
	printf("== missing, flags %#x\n", flags);
	fresh(flags, -1);
	fd = ready_fd(0, UFFD_FEATURE_MISSING_HUGETLBFS);
	SHOW(reg(memory + PAGE, HUGE, UFFDIO_REGISTER_MODE_MISSING));
	SHOW(reg(memory, HUGE + PAGE, UFFDIO_REGISTER_MODE_MISSING));
	SHOW(reg(memory, PAGES * HUGE, UFFDIO_REGISTER_MODE_MISSING));
	start_touch(memory + 5 * PAGE + 3, 0);
	next_message();
	SHOW(copy_to(memory, source, HUGE, 0));
	end_touch();
	SHOW(copy_to(memory, source, HUGE, 0));
	SHOW(copy_to(memory + HUGE, source, PAGE, 0));
	SHOW(copy_to(memory + HUGE + PAGE, source, HUGE, 0));
	SHOW(copy_to(memory + HUGE, source + 100, HUGE, 0));
	printf("'%c' '%c'\n", memory[HUGE], memory[2 * HUGE - 1]);
	SHOW(copy_to(memory + 2 * HUGE, (char *)(1ul << 46), HUGE, 0));
	SHOW(copy_to(memory + 2 * HUGE, source, HUGE, UFFDIO_COPY_MODE_WP));
	SHOW(zero(memory + 2 * HUGE, HUGE));
	SHOW(zero(memory + 2 * HUGE, PAGE));
	SHOW(proceed(memory + 2 * HUGE, HUGE, 0));
	SHOW(protect(memory, HUGE, 0));
	start_touch(memory + 3 * HUGE - 1, 1);
	next_message();
	SHOW(copy_to(memory + 2 * HUGE, source, 2 * HUGE, 0));
	end_touch();
	show_pages();
	struct uffdio_range r = { (uint64_t)(uintptr_t)memory + PAGE, HUGE };
	SHOW(ioctl(fd, UFFDIO_UNREGISTER, &r));
	MUST(madvise(memory, HUGE, MADV_DONTNEED));
	if (flags & MAP_PRIVATE) {
		start_touch(memory, 0);
		next_message();
		close(fd);
		end_touch();
	} else {
		printf("'%c'\n", memory[0]);
		close(fd);
	}
	fd = ready_fd(0, UFFD_FEATURE_EXACT_ADDRESS);
	fresh(flags, -1);
	SHOW(reg(memory, HUGE, UFFDIO_REGISTER_MODE_MISSING));
	start_touch(memory + 5 * PAGE + 3, 1);
	next_message();
	SHOW(copy_to(memory, source, HUGE, UFFDIO_COPY_MODE_DONTWAKE));
	struct uffdio_range w = { (uint64_t)(uintptr_t)memory, HUGE };
	SHOW(ioctl(fd, UFFDIO_WAKE, &w));
	end_touch();
	close(fd);
}

static void sharing(void)
{
	printf("== pages of a file\n");
	int file = (int)MUST(syscall(SYS_memfd_create, "h", 4));
	MUST(ftruncate(file, 3 * HUGE));
	char *other = mmap(NULL, PAGES * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	other[HUGE] = 'o';
	fresh(MAP_SHARED, file);
	fd = ready_fd(0, UFFD_FEATURE_MINOR_HUGETLBFS | UFFD_FEATURE_MISSING_HUGETLBFS);
	SHOW(reg(memory, PAGES * HUGE, UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_MISSING));
	start_touch(memory + HUGE + PAGE, 0);
	next_message();
	SHOW(copy_to(memory + HUGE, source, HUGE, 0));
	SHOW(proceed(memory + HUGE, PAGE, 0));
	SHOW(proceed(memory + HUGE, HUGE, 0));
	end_touch();
	printf("'%c'\n", memory[HUGE]);
	SHOW(proceed(memory + HUGE, HUGE, 0));
	SHOW(proceed(memory, HUGE, 0));
	start_touch(memory, 1);
	next_message();
	SHOW(copy_to(memory, source, HUGE, 0));
	end_touch();
	printf("'%c' '%c'\n", other[0], other[1]);
	SHOW(copy_to(memory + 3 * HUGE, source, HUGE, 0));
	touch_here(memory + 3 * HUGE, 0);
	SHOW(fallocate(file, 3, 0, HUGE));
	start_touch(memory, 0);
	next_message();
	SHOW(copy_to(memory, source, HUGE, 0));
	end_touch();
	close(fd);
	munmap(other, PAGES * HUGE);
	close(file);
}

static void protecting(int flags)
{
	printf("== protected, flags %#x\n", flags);
	fresh(flags, -1);
	memory[0] = 'a';
	fd = ready_fd(0, UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	SHOW(reg(memory, PAGES * HUGE, UFFDIO_REGISTER_MODE_WP));
	SHOW(protect(memory, PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	SHOW(protect(memory + PAGE, HUGE, UFFDIO_WRITEPROTECT_MODE_WP));
	SHOW(protect(memory, 3 * HUGE, UFFDIO_WRITEPROTECT_MODE_WP));
	show_pages();
	printf("'%c' '%c'\n", memory[0], memory[HUGE] ? memory[HUGE] : '0');
	show_pages();
	for (int i = 0; i < 3; i++) {
		start_touch(memory + i * HUGE + PAGE, 1);
		next_message();
		SHOW(protect(memory + i * HUGE, HUGE, 0));
		end_touch();
	}
	memory[3 * HUGE] = 'f';
	SHOW(protect(memory, 4 * HUGE, UFFDIO_WRITEPROTECT_MODE_WP));
	MUST(madvise(memory, HUGE, MADV_DONTNEED));
	show_pages();
	MUST(mprotect(memory, PAGES * HUGE, PROT_READ));
	MUST(mprotect(memory, PAGES * HUGE, PROT_READ | PROT_WRITE));
	start_touch(memory + HUGE, 1);
	next_message();
	close(fd);
	end_touch();
	show_pages();
	memory[0] = 'e';
	memory[2 * HUGE] = 'e';
	fd = ready_fd(O_NONBLOCK, UFFD_FEATURE_WP_ASYNC);
	SHOW(reg(memory, PAGES * HUGE, UFFDIO_REGISTER_MODE_WP));
	for (int round = 0; round < 3; round++) {
		struct page_region regions[8];
		struct pm_scan_arg a = {
			sizeof a, round == 2 ? 0 : PM_SCAN_WP_MATCHING, (uint64_t)(uintptr_t)memory, (uint64_t)(uintptr_t)memory + PAGES * HUGE, 0,
			(uint64_t)(uintptr_t)regions, 8, 0, 0, round == 2 ? 0 : 2, 0, 127
		};
		long n = SHOW(ioctl(pagemap, PAGEMAP_SCAN, &a));
		for (long i = 0; i < n; i++)
			printf("%lld-%lld %lld\n", (long long)(regions[i].start - (uint64_t)(uintptr_t)memory) / HUGE,
					(long long)(regions[i].end - (uint64_t)(uintptr_t)memory) / HUGE, (long long)regions[i].categories);
		memory[HUGE] = 'r';
		show_pages();
	}
	next_message();
	close(fd);
}

static void poisoning(void)
{
	printf("== poisoned\n");
	fresh(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	memory[0] = 'a';
	fd = ready_fd(0, UFFD_FEATURE_POISON);
	SHOW(reg(memory, PAGES * HUGE, UFFDIO_REGISTER_MODE_MISSING));
	SHOW(poison(memory, HUGE));
	SHOW(poison(memory + HUGE, PAGE));
	SHOW(poison(memory + HUGE, 2 * HUGE));
	SHOW(poison(memory + HUGE, HUGE));
	show_pages();
	touch_here(memory + HUGE + 5 * PAGE + 7, 0);
	touch_here(memory + 2 * HUGE, 1);
	int pair[2];
	MUST(pipe(pair));
	SHOW(write(pair[1], memory + HUGE, 1));
	IN_CHILD(touch_here(memory + HUGE, 0));
	SHOW(copy_to(memory + HUGE, source, HUGE, 0));
	touch_here(memory + HUGE, 0);
	MUST(madvise(memory + 2 * HUGE, HUGE, MADV_DONTNEED));
	show_pages();
	close(fd);
	touch_here(memory + 2 * HUGE, 0);
	close(pair[0]);
	close(pair[1]);
}

static void set_pool(const char *pages)
{
	int setting = (int)MUST(open("/proc/sys/vm/nr_hugepages", O_WRONLY));
	MUST(write(setting, pages, strlen(pages)));
	close(setting);
	show_file("/proc/sys/vm/nr_hugepages");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	struct sigaction action = { .sa_flags = SA_SIGINFO };
	action.sa_sigaction = on_bus;
	sigaction(SIGBUS, &action, NULL);
	set_pool("10");
	pagemap = (int)MUST(open("/proc/self/pagemap", O_RDONLY));
	source = mmap(NULL, HUGE * 2 + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(source, 's', HUGE * 2 + PAGE);
	missing(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
	missing(MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB);
	sharing();
	protecting(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
	protecting(MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB);
	poisoning();
	munmap(memory, PAGES * HUGE);
	set_pool("0");
	return 0;
}
