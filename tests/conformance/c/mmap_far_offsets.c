/* Covers: mmap(2) of files at offsets near 2^62 and up to 2^63, mremap(2) beyond, mincore(2), msync(2), madvise(2) and faults there. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <sys/mount.h>
#include "case.h"

#define END 0x7fffffffffffffffUL
#define TOP 0x8000000000000000UL

static sigjmp_buf back;
static int on_disk;

static void on_fault(int signo, siginfo_t *info, void *context)
{
	(void)context;
	siglongjmp(back, signo << 8 | info->si_code);
}

static void touch(const char *what, volatile char *at, int is_write)
{
	int got = sigsetjmp(back, 1);
	if (got) {
		printf("  %s: signal %d, code %d\n", what, got >> 8, got & 255);
		return;
	}
	if (is_write)
		*at = 1;
	printf("  %s: %d\n", what, *at);
}

/* What /proc/self/maps says of an area: its offset. */
static void show_offset(void *at)
{
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, maps)) {
		unsigned long start, end, offset;
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 && start <= (unsigned long)at && (unsigned long)at < end)
			printf("  maps: %lu pages at offset %lx\n", (end - start) / PAGE, offset);
	}
	fclose(maps);
}

static void look(char *at, size_t length)
{
	unsigned char in_core[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };
	size_t pages = length / PAGE < 8 ? length / PAGE : 8;
	show_offset(at);
	printf("  mincore: %s", mincore(at, pages * PAGE, in_core) ? error_name(errno) : "");
	for (size_t i = 0; i < pages; i++)
		printf(" %d", in_core[i]);
	putchar('\n');
	SHOW(msync(at, length, MS_SYNC));
	SHOW(msync(at, length, MS_ASYNC | MS_INVALIDATE));
	touch("read first", at, 0);
	touch("write last", at + length - 1, 1);
	SHOW(madvise(at, length, MADV_WILLNEED));
	SHOW(madvise(at, length, MADV_DONTNEED));
	if (!on_disk)
		SHOW(madvise(at, length, MADV_REMOVE));
	SHOW(madvise(at, length, 22 /* MADV_POPULATE_READ */));
	SHOW(mlock(at, length));
	SHOW(munlock(at, length));
}

static void map_at(int fd, unsigned long offset, size_t length, int how)
{
	printf("%s %zu pages at %#lx\n", how == MAP_SHARED ? "share" : "copy", length / PAGE, offset);
	char *at = (char *)syscall(SYS_mmap, 0, length, PROT_READ | PROT_WRITE, how, fd, offset);
	if (at == MAP_FAILED) {
		printf("  %s\n", error_name(errno));
		return;
	}
	look(at, length);
	char *grown = mremap(at, length, length + 2 * PAGE, MREMAP_MAYMOVE);
	printf(" grown: %s\n", grown == MAP_FAILED ? error_name(errno) : "ok");
	if (grown != MAP_FAILED) {
		look(grown, length + 2 * PAGE);
		SHOW(mprotect(grown + PAGE, PAGE, PROT_READ));
		show_offset(grown);
		show_offset(grown + PAGE);
		IN_CHILD({ touch("child reads", grown, 0); });
		char *again = how == MAP_SHARED ? mremap(grown, 0, 3 * PAGE, MREMAP_MAYMOVE) : MAP_FAILED;
		if (again != MAP_FAILED) {
			show_offset(again);
			munmap(again, 3 * PAGE);
		}
		SHOW(munmap(grown, length + 2 * PAGE));
	}
}

static void map_many(int fd)
{
	static const unsigned long offsets[] = {
		0, 1UL << 32, (1UL << 44) - PAGE, 1UL << 44, (1UL << 61), (1UL << 62) - 2 * PAGE, (1UL << 62) - PAGE, 1UL << 62, (1UL << 62) + PAGE,
		TOP - 4 * PAGE, TOP - 3 * PAGE, TOP - 2 * PAGE, TOP - PAGE, TOP, TOP + PAGE, -3UL * PAGE, -2UL * PAGE, -1UL * PAGE, 1, TOP - 1,
	};
	for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
		map_at(fd, offsets[i], 2 * PAGE, MAP_SHARED);
		map_at(fd, offsets[i], PAGE, MAP_PRIVATE);
	}
}

/* A file that is as long as a file can be. */
static void longest(int fd)
{
	struct stat status;
	puts("--- longest");
	SHOW(ftruncate(fd, END));
	MUST(fstat(fd, &status));
	printf("size %lx\n", (long)status.st_size);
	SHOW(pwrite(fd, "x", 1, END - 1));
	SHOW(pwrite(fd, "xyz", 3, END - 2));
	SHOW(pwrite(fd, "x", 1, END));
	char c[4] = "";
	SHOW(pread(fd, c, 4, END - 2));
	SHOW(pread(fd, c, 4, END));
	SHOW(fallocate(fd, 3, END - PAGE, PAGE));
	SHOW(fallocate(fd, 0, END - PAGE, PAGE + 1));
	char *kept = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	touch("write kept", kept, 1);
	map_at(fd, TOP - 4 * PAGE, 4 * PAGE, MAP_SHARED);
	map_at(fd, TOP - 2 * PAGE, PAGE, MAP_SHARED);
	map_at(fd, TOP - 2 * PAGE, 2 * PAGE, MAP_SHARED);
	SHOW(ftruncate(fd, END - 1));
	SHOW(ftruncate(fd, END - 2 * PAGE));
	SHOW(fallocate(fd, 3, PAGE, END - 4 * PAGE));
	SHOW(fallocate(fd, 3, END - 4 * PAGE, 4 * PAGE));
	SHOW(ftruncate(fd, 1UL << 62));
	SHOW(fstat(fd, &status));
	printf("size %lx, blocks %ld\n", (long)status.st_size, (long)status.st_blocks);
	touch("read", kept, 0);
	SHOW(ftruncate(fd, 0));
	touch("read", kept, 0);
	munmap(kept, 4 * PAGE);
}

/* A file on a disk can be less long. */
static void disk(void)
{
	puts("--- ext2");
	on_disk = 1;
	MUST(system("mke2fs -F -b 1024 /dev/vda >/dev/null 2>&1"));
	MUST(mkdir("/tmp/far", 0700));
	MUST(mount("/dev/vda", "/tmp/far", "ext2", 0, 0));
	int fd = (int)MUST(open("/tmp/far/file", O_RDWR | O_CREAT, 0600));
	static const unsigned long offsets[] = { 0, 1UL << 32, 1UL << 36, 1UL << 44, 1UL << 50, 1UL << 62, TOP - PAGE };
	for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
		map_at(fd, offsets[i], 2 * PAGE, MAP_SHARED);
	close(fd);
	MUST(umount("/tmp/far"));
	MUST(rmdir("/tmp/far"));
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	sigaction(SIGBUS, &action, 0);
	sigaction(SIGSEGV, &action, 0);
	int fd = (int)MUST(syscall(SYS_memfd_create, "far", 0));
	puts("--- memory");
	map_many(fd);
	longest(fd);
	close(fd);
	disk();
	puts("--- huge pages");
	fd = (int)TRY(syscall(SYS_memfd_create, "far", 4));
	for (int i = 0; i < 6; i++) {
		unsigned long offset = i < 3 ? TOP - (unsigned long)(3 - i) * (2 << 20) : (1UL << 62) + (unsigned long)(i - 4) * (2 << 20);
		for (int how = MAP_SHARED; how <= MAP_PRIVATE; how++) {
			char *at = (char *)syscall(SYS_mmap, 0, 2 << 20, PROT_READ, how | MAP_NORESERVE, fd, offset);
			printf("%lx: %s\n", offset, at == MAP_FAILED ? error_name(errno) : "ok");
			if (at != MAP_FAILED) {
				show_offset(at);
				touch("read", at, 0);
				munmap(at, 2 << 20);
			}
		}
	}
	return 0;
}
