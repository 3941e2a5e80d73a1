/* Huge pages of 1 GiB: mappings, files, segments, what parts of them may be done to, figures; two are set aside. */
#define _GNU_SOURCE
#include "../conformance/c/huge_case.h"

#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/vfs.h>

#define GIB (1ul << 30)
#define SYS "/sys/kernel/mm/hugepages/hugepages-1048576kB/"
#define SHIFT (30 << 26)
#define PRIVATE_ONES (MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | SHIFT)
#define SHARED_ONES (MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | SHIFT)

static long number_in(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		return -1;
	close(fd);
	return strtol(text, 0, 10);
}

static void counts(const char *when)
{
	printf("%s: total %ld free %ld reserved %ld surplus %ld\n", when, number_in(SYS "nr_hugepages"), number_in(SYS "free_hugepages"),
		number_in(SYS "resv_hugepages"), number_in(SYS "surplus_hugepages"));
}

static void lines_of(const char *path, const char *word)
{
	char line[256];
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		if (strstr(line, word))
			printf("%s", line);
	if (file)
		fclose(file);
}

static void store(const char *path, const char *text)
{
	errno = 0;
	int fd = open(path, O_WRONLY);
	ssize_t result = fd < 0 ? -1 : write(fd, text, strlen(text));
	printf("%s to %s: %s\n", text, path, result < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		close(fd);
}

/* What smaps says of the area that begins at an address. */
static void figures(const char *place)
{
	char line[256], start[32];
	int is_there = 0;
	FILE *file = fopen("/proc/self/smaps", "r");
	snprintf(start, sizeof start, "%lx-", (long)place);
	while (file && fgets(line, sizeof line, file)) {
		if (strncmp(line, start, strlen(start)) == 0)
			is_there = 1;
		else if (is_there && strstr(line, "VmFlags"))
			break;
		else if (is_there && (strstr(line, "Size") || strstr(line, "Huge") || strstr(line, "Rss")))
			printf("| %s", line);
	}
	if (file)
		fclose(file);
}

static void settings(void)
{
	counts("at the beginning");
	lines_of("/proc/meminfo", "Huge");
	store(SYS "nr_overcommit_hugepages", "1");
	store(SYS "nr_hugepages", "x");
	store(SYS "demote_size", "1G");
	store(SYS "demote_size", "2M");
	printf("demotes to %ld\n", number_in(SYS "demote_size"));
	printf("overcommit %ld\n", number_in(SYS "nr_overcommit_hugepages"));
	store(SYS "demote", "1");
	counts("demoted");
	pool("demoted");
	store(SYS "demote", "5");
	counts("demoted");
	pool("demoted");
	write_number(POOL_AT, 0);
	store(SYS "nr_hugepages", "2");
	counts("again");
	pool("again");
}

static void try_parts(char *place)
{
	SHOW(munmap(place, HUGE));
	SHOW(munmap(place + HUGE, GIB));
	SHOW(mprotect(place, GIB / 2, PROT_READ));
	SHOW(mprotect(place + PAGE, PAGE, PROT_READ));
	SHOW(madvise(place, HUGE, MADV_DONTNEED));
	SHOW(madvise(place + HUGE, GIB, MADV_DONTNEED));
	counts("parts");
	printf("%d\n", place[5]);
	CHECK(mremap(place, GIB, HUGE, MREMAP_MAYMOVE) == place);
	CHECK(mremap(place, HUGE, GIB, MREMAP_MAYMOVE) == place);
	SHOW((long)mmap(place + HUGE, HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	SHOW((long)mmap(place + HUGE, GIB, RW, PRIVATE_ONES | MAP_FIXED, -1, 0));
}

static void private_memory(void)
{
	unsigned char there[8];
	SHOW((long)mmap(0, 3 * GIB, RW, PRIVATE_ONES, -1, 0));
	SHOW((long)mmap(0, 3 * GIB, RW, SHARED_ONES, -1, 0));
	char *place = mmap(0, 1, RW, PRIVATE_ONES, -1, 0);
	CHECK(((long)place & (long)(GIB - 1)) == 0);
	counts("mapped");
	figures(place);
	printf("%s\n", writing(place + GIB - 1, 9));
	printf("%s\n", writing(place + 5, 7));
	CHECK(place[GIB / 2] == 0 && place[GIB - 1] == 9);
	counts("written");
	figures(place);
	lines_of("/proc/self/status", "Hugetlb");
	lines_of("/proc/meminfo", "Hugetlb");
	MUST(mincore(place + GIB - 8 * PAGE, 8 * PAGE, there));
	CHECK(there[0] == 1 && there[7] == 1);
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		CHECK(place[5] == 7);
		counts("child");
		printf("%s\n", writing(place + HUGE, 3));
		CHECK(place[5] == 7 && place[HUGE] == 3 && place[GIB - 1] == 9);
		counts("child has a copy");
		fflush(stdout);
		_exit(0);
	}
	show_end(child);
	CHECK(place[HUGE] == 0);
	try_parts(place);
	MUST(madvise(place, GIB, MADV_DONTNEED));
	counts("given up");
	CHECK(place[5] == 0 && place[GIB - 1] == 0);
	SHOW(mprotect(place, GIB, PROT_READ));
	printf("%s, %s\n", writing(place + HUGE, 1), reading(place + HUGE));
	SHOW(munmap(place, 1));
	SHOW(munmap(place, GIB));
	counts("unmapped");
}

static void stolen_memory(void)
{
	int ends[2];
	char byte;
	char *place = mmap(0, GIB, RW, PRIVATE_ONES, -1, 0), *other = mmap(0, GIB, RW, PRIVATE_ONES, -1, 0);
	place[0] = 1;
	other[0] = 2;
	counts("all are used");
	MUST(pipe(ends));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(read(ends[0], &byte, 1));
		printf("child: %s, %s\n", reading(place + HUGE), reading(other));
		fflush(stdout);
		_exit(0);
	}
	printf("%s\n", writing(place + HUGE, 3));
	CHECK(place[0] == 1 && place[HUGE] == 3);
	fflush(stdout);
	MUST(write(ends[1], "x", 1));
	show_end(child);
	munmap(place, GIB);
	munmap(other, GIB);
	counts("unmapped");
}

static void shared_memory(void)
{
	char *place = mmap(0, 2 * GIB, RW, SHARED_ONES, -1, 0);
	counts("shared");
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		place[GIB + HUGE] = 5;
		_exit(0);
	}
	show_end(child);
	CHECK(place[GIB + HUGE] == 5);
	counts("written by a child");
	SHOW(munmap(place, GIB));
	counts("half of it");
	SHOW(madvise(place + GIB, GIB, MADV_REMOVE));
	CHECK(place[GIB + HUGE] == 0);
	munmap(place + GIB, GIB);
	counts("unmapped");
}

static void show_huge_file(int fd)
{
	struct stat info;
	MUST(fstat(fd, &info));
	printf("size %ld blocks %ld of %ld\n", (long)info.st_size, (long)info.st_blocks, (long)info.st_blksize);
}

static void file_without_a_name(void)
{
	static char bytes[3 * PAGE];
	int fd = (int)MUST(memfd_create("x", MFD_HUGETLB | SHIFT));
	show_huge_file(fd);
	SHOW(ftruncate(fd, HUGE));
	SHOW(ftruncate(fd, 3 * GIB));
	SHOW(write(fd, "x", 1));
	SHOW(fallocate(fd, 0, 0, GIB));
	show_huge_file(fd);
	counts("allocated");
	SHOW(fallocate(fd, 0, GIB, 2 * GIB));
	show_huge_file(fd);
	SHOW((long)mmap(0, GIB, RW, MAP_SHARED, fd, HUGE));
	SHOW((long)mmap(0, 3 * GIB, RW, MAP_SHARED, fd, 0));
	char *place = mmap(0, GIB, RW, MAP_SHARED, fd, GIB);
	CHECK(place != MAP_FAILED);
	place[GIB - 1] = 4;
	memset(place + HUGE - PAGE, 6, 2 * PAGE);
	CHECK(pread(fd, bytes, sizeof bytes, GIB + HUGE - PAGE) == sizeof bytes && bytes[0] == 6 && bytes[2 * PAGE - 1] == 6 && bytes[2 * PAGE] == 0);
	CHECK(pread(fd, bytes, 5, 2 * GIB - 1) == 5 && bytes[0] == 4);
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, GIB + HUGE, PAGE));
	CHECK(place[HUGE] == 0 && place[HUGE - 1] == 6);
	show_huge_file(fd);
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, GIB + HUGE));
	CHECK(place[HUGE - 1] == 0 && place[GIB - 1] == 4);
	show_huge_file(fd);
	counts("punched");
	SHOW(ftruncate(fd, GIB));
	printf("%s\n", reading(place));
	counts("cut off");
	munmap(place, GIB);
	close(fd);
	counts("closed");
}

static void show_space(void)
{
	struct statfs info;
	MUST(statfs("/mnt", &info));
	printf("blocks of %ld: %ld, %ld free\n", (long)info.f_bsize, (long)info.f_blocks, (long)info.f_bfree);
}

static void mounted(void)
{
	SHOW(mount("none", "/mnt", "hugetlbfs", 0, "pagesize=1G,min_size=3G"));
	MUST(mount("none", "/mnt", "hugetlbfs", 0, "pagesize=1G,size=1G,min_size=1G"));
	counts("kept for a mount");
	lines_of("/proc/mounts", "hugetlbfs");
	show_space();
	int fd = (int)MUST(open("/mnt/file", O_CREAT | O_RDWR, 0600));
	char *place = mmap(0, GIB, RW, MAP_SHARED, fd, 0);
	CHECK(place != MAP_FAILED);
	printf("%s\n", writing(place + 3 * HUGE, 1));
	show_huge_file(fd);
	show_space();
	SHOW((long)mmap(0, GIB, RW, MAP_SHARED, fd, GIB));
	counts("a file");
	munmap(place, GIB);
	close(fd);
	counts("closed");
	SHOW(unlink("/mnt/file"));
	counts("removed");
	SHOW(umount("/mnt"));
	counts("unmounted");
	MUST(mount("none", "/mnt", "hugetlbfs", 0, "pagesize=1G,size=50%"));
	lines_of("/proc/mounts", "hugetlbfs");
	SHOW(umount("/mnt"));
}

static void segments(void)
{
	struct shmid_ds info;
	SHOW(shmget(IPC_PRIVATE, 3 * GIB, IPC_CREAT | SHM_HUGETLB | SHIFT | 0600));
	int id = (int)MUST(shmget(IPC_PRIVATE, HUGE, IPC_CREAT | SHM_HUGETLB | SHIFT | 0600));
	counts("a segment");
	char *place = shmat(id, 0, 0);
	CHECK(((long)place & (long)(GIB - 1)) == 0);
	printf("%s\n", writing(place + GIB - 1, 1));
	MUST(shmctl(id, IPC_STAT, &info));
	printf("size %ld attached %ld\n", (long)info.shm_segsz, (long)info.shm_nattch);
	figures(place);
	counts("touched");
	SHOW((long)shmat(id, place + 2 * GIB + HUGE, 0));
	MUST(shmctl(id, IPC_RMID, 0));
	SHOW(shmdt(place));
	counts("removed");
}

int main(void)
{
	catch_faults();
	MUST(mkdir("/mnt", 0755) < 0 && errno != EEXIST ? -1 : 0);
	settings();
	private_memory();
	stolen_memory();
	shared_memory();
	file_without_a_name();
	mounted();
	segments();
	store(SYS "nr_hugepages", "0");
	counts("at the end");
	return 0;
}
