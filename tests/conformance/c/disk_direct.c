/* O_DIRECT on a file system and on a device: what passes the cache by, what agrees with it, what must be aligned; and what statx tells. */
#define _GNU_SOURCE
#include "case.h"

#include <linux/fs.h>
#include <linux/fiemap.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/uio.h>

#define SIZE (256 << 10)

static char *memory;  /* aligned */
static char *other;

static int resident(const char *path)
{
	unsigned char pages[SIZE / PAGE * 2];
	struct stat status;
	int count = 0;
	int fd = MUST(open(path, O_RDONLY));
	MUST(fstat(fd, &status));
	size_t length = S_ISBLK(status.st_mode) ? SIZE : (size_t)status.st_size;
	void *map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	MUST(mincore(map, length, pages));
	for (size_t i = 0; i < (length + PAGE - 1) / PAGE; i++)
		count += pages[i] & 1;
	munmap(map, length);
	close(fd);
	return count;
}

static void fill(char *where, int seed, int length)
{
	for (int i = 0; i < length; i++)
		where[i] = (char)(i * 11 + seed + i / 256);
}

static int same(int fd, const char *wanted, int length, long offset)
{
	memset(other, 0, length);
	return pread(fd, other, length, offset) == length && memcmp(other, wanted, length) == 0;
}

static void transfers(int block)
{
	int fd = MUST(open("direct", O_RDWR | O_CREAT | O_DIRECT, 0644));
	int plain = MUST(open("direct", O_RDWR));
	struct stat status;
	fill(memory, 1, SIZE);
	SHOW(write(fd, memory, SIZE));
	fstat(fd, &status);
	printf("size %ld blocks %ld resident %d\n", (long)status.st_size, (long)status.st_blocks, resident("direct"));
	SHOW(same(fd, memory, SIZE, 0));
	printf("resident %d\n", resident("direct"));
	SHOW(same(plain, memory, SIZE, 0));
	printf("resident %d\n", resident("direct"));
	/* What the cache has is written first, and dropped when it is old. */
	fill(memory, 2, SIZE);
	SHOW(pwrite(plain, memory, 5000, 3000));
	SHOW(pread(fd, other, 8192, 0));
	CHECK(memcmp(other + 3000, memory, 5000) == 0);
	SHOW(pwrite(fd, memory, 8192, 8192));
	SHOW(same(plain, memory, 8192, 8192));
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, plain, 0);
	map[20000] = 'm';
	map[40000] = 'n';
	SHOW(pread(fd, other, 4096, 16384));
	printf("%c\n", other[20000 - 16384]);
	SHOW(pwrite(fd, memory, 16384, 32768));
	CHECK(memcmp(map + 32768, memory, 16384) == 0);
	munmap(map, SIZE);
	/* Alignment. */
	SHOW(pread(fd, memory + 1, 512, 0));
	SHOW(pread(fd, memory, 511, 0));
	SHOW(pread(fd, memory, 512, 1));
	SHOW(pread(fd, memory + 512, 512, 512));
	SHOW(pwrite(fd, memory + 8, 512, 0));
	SHOW(pwrite(fd, memory, 100, 0));
	SHOW(pwrite(fd, memory, 512, 100));
	SHOW(pwrite(fd, memory, 512, 512));
	SHOW(pread(fd, memory + 1, 0, 0));
	SHOW(pread(fd, memory, 512, SIZE));
	SHOW(pread(fd, memory + 3, 512, SIZE + 512));
	/* The end of the file. */
	SHOW(ftruncate(plain, 10000));
	SHOW(pread(fd, other, 8192, 8192));
	SHOW(pread(fd, other, 512, 9728));
	SHOW(pwrite(fd, memory, 512, 20480));
	fstat(fd, &status);
	printf("size %ld\n", (long)status.st_size);
	SHOW(pread(plain, other, 10992, 10000));
	int wrong = 0;
	for (int i = 0; i < 10480; i++)
		wrong += other[i] != 0;
	printf("not zero: %d\n", wrong);
	/* Holes. */
	SHOW(ftruncate(plain, 0));
	SHOW(ftruncate(plain, 65536));
	SHOW(pread(fd, other, 65536, 0));
	fill(memory, 3, SIZE);
	SHOW(pwrite(fd, memory, block, 16384));
	SHOW(pwrite(fd, memory, 512, 32768 + 512));
	SHOW(pread(fd, other, 65536, 0));
	wrong = memcmp(other + 16384, memory, block) != 0;
	wrong += memcmp(other + 33280, memory, 512) != 0;
	for (int i = 0; i < 65536; i++)
		wrong += other[i] != 0 && !(i >= 16384 && i < 16384 + block) && !(i >= 33280 && i < 33792);
	printf("wrong: %d\n", wrong);
	fstat(fd, &status);
	printf("blocks %ld\n", (long)status.st_blocks);
	struct iovec parts[3] = {{memory, 512}, {memory + 4096, 1024}, {memory + 8192, 512}};
	SHOW(pwritev(fd, parts, 3, 0));
	SHOW(preadv(fd, parts, 3, 0));
	parts[1].iov_base = memory + 4097;
	SHOW(pwritev(fd, parts, 3, 0));
	SHOW(pread(fd, (void *)4096, 4096, 0));
	SHOW(pwrite(fd, (void *)4096, 4096, 0));
	SHOW(fcntl(plain, F_SETFL, O_DIRECT));
	SHOW(pread(plain, memory + 1, 512, 0));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(write(fd, memory, 4096));
	SHOW(lseek(fd, 0, SEEK_CUR));
	int append = MUST(open("direct", O_WRONLY | O_APPEND | O_DIRECT | O_SYNC));
	SHOW(write(append, memory, 8192));
	fstat(fd, &status);
	printf("size %ld\n", (long)status.st_size);
	close(append);
	close(plain);
	close(fd);
}

static void full(void)
{
	int fd = MUST(open("filler", O_RDWR | O_CREAT | O_DIRECT, 0644));
	long total = 0, got;
	struct stat status;
	while ((got = write(fd, memory, SIZE)) > 0)
		total += got;
	printf("%s, more than 6 MiB: %d\n", error_name(errno), total > 6 << 20);
	fstat(fd, &status);
	CHECK(status.st_size == total);
	close(fd);
	MUST(unlink("filler"));
}

static void extents(void)
{
	union {
		struct fiemap map;
		char space[2000];
	} request;
	int fd = MUST(open("sparse", O_RDWR | O_CREAT, 0644));
	MUST(pwrite(fd, memory, 5000, 0));
	MUST(pwrite(fd, memory, 1000, 100000));
	MUST(pwrite(fd, memory, 1000, 40000000));
	MUST(fsync(fd));
	for (int flags = 0; flags < 2; flags++)
		for (int room = 0; room < 12; room += 3) {
			memset(&request, 0, sizeof request);
			request.map.fm_length = ~0ULL;
			request.map.fm_flags = flags;
			request.map.fm_extent_count = room;
			SHOW(ioctl(fd, FS_IOC_FIEMAP, &request));
			printf("mapped %u flags %#x\n", request.map.fm_mapped_extents, request.map.fm_flags);
			for (unsigned i = 0; i < request.map.fm_mapped_extents && room; i++) {
				struct fiemap_extent *e = request.map.fm_extents + i;
				printf("  %lld +%lld %#x placed %d\n", (long long)e->fe_logical, (long long)e->fe_length, e->fe_flags,
				       e->fe_physical != 0);
			}
		}
	request.map.fm_length = 0;
	SHOW(ioctl(fd, FS_IOC_FIEMAP, &request));
	request.map.fm_length = 100;
	request.map.fm_flags = 0x80;
	SHOW(ioctl(fd, FS_IOC_FIEMAP, &request));
	printf("flags %#x\n", request.map.fm_flags);
	request.map.fm_flags = 0;
	request.map.fm_start = 1ULL << 63;
	SHOW(ioctl(fd, FS_IOC_FIEMAP, &request));
	request.map.fm_extent_count = 0x7FFFFFF;
	SHOW(ioctl(fd, FS_IOC_FIEMAP, &request));
	SHOW(ioctl(fd, FS_IOC_FIEMAP, NULL));
	int block = 0;
	SHOW(ioctl(fd, FIBMAP, &block));
	printf("placed %d\n", block != 0);
	block = 20;
	SHOW(ioctl(fd, FIBMAP, &block));
	printf("placed %d\n", block != 0);
	block = -1;
	SHOW(ioctl(fd, FIBMAP, &block));
	IN_CHILD(MUST(setuid(5)); SHOW(ioctl(fd, FIBMAP, &block)));
	close(fd);
	fd = MUST(open("/tmp/memory", O_RDWR | O_CREAT, 0644));
	block = 0;
	SHOW(ioctl(fd, FIBMAP, &block));
	SHOW(ioctl(fd, FS_IOC_FIEMAP, &request));
	close(fd);
	MUST(unlink("/tmp/memory"));
}

static void show_statx(const char *path, unsigned mask)
{
	union {
		struct statx x;
		struct { char front[0x98]; unsigned memory_align, offset_align; } direct;
		char space[512];
	} s;
	memset(&s, 0, sizeof s);
	if (syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, mask, &s) != 0) {
		printf("statx %s: %s\n", path, error_name(errno));
		return;
	}
	unsigned known = 0xFFF | 0x1000 | 0x2000 | 0x4000;
	printf("statx %s: mask %#x attributes %#llx of %#llx, direct %u %u\n", path, s.x.stx_mask & known,
	       (unsigned long long)s.x.stx_attributes, (unsigned long long)s.x.stx_attributes_mask, s.direct.memory_align,
	       s.direct.offset_align);
}

static void device(void)
{
	int fd = MUST(open("/dev/vda", O_RDWR | O_DIRECT));
	int plain = MUST(open("/dev/vda", O_RDWR));
	fill(memory, 7, SIZE);
	SHOW(pwrite(fd, memory, SIZE, 1 << 20));
	SHOW(pread(fd, other, SIZE, 1 << 20));
	CHECK(memcmp(memory, other, SIZE) == 0);
	SHOW(same(plain, memory, SIZE, 1 << 20));
	fill(memory, 8, SIZE);
	SHOW(pwrite(fd, memory, 512, (1 << 20) + 512));
	SHOW(pread(plain, other, 2048, 1 << 20));
	CHECK(memcmp(memory, other + 512, 512) == 0);
	SHOW(pwrite(plain, memory, 100, (1 << 20) + 2000));
	SHOW(pread(fd, other, 4096, 1 << 20));
	CHECK(memcmp(memory, other + 2000, 100) == 0);
	long end = lseek(fd, 0, SEEK_END);
	SHOW(pwrite(fd, memory, 4096, end - 2048));
	SHOW(pread(fd, other, 4096, end - 2048));
	SHOW(pwrite(fd, memory, 512, end));
	SHOW(pread(fd, memory, 512, end));
	close(fd);
	close(plain);
}

int main(void)
{
	memory = mmap(NULL, SIZE * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	other = memory + SIZE;
	int sizes[] = {1024, 4096};
	for (int i = 0; i < 2; i++) {
		char command[200];
		snprintf(command, sizeof command, "mke2fs -F -b %d -I %d /dev/vda 8192 >/dev/null 2>&1", sizes[i], i ? 256 : 128);
		printf("---- %d\n", sizes[i]);
		MUST(system(command));
		MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
		MUST(chdir("/mnt"));
		transfers(sizes[i]);
		full();
		extents();
		for (unsigned mask = 0; mask < 3; mask++) {
			unsigned masks[] = {0xFFF, 0x2000 | 0x4000, 0x1000};
			show_statx("direct", masks[mask]);
			show_statx(".", masks[mask]);
			show_statx("/dev/vda", masks[mask]);
			show_statx("/dev/null", masks[mask]);
			show_statx("/tmp", masks[mask]);
			show_statx("/proc/version", masks[mask]);
			show_statx("/sys/block", masks[mask]);
		}
		MUST(chdir("/"));
		MUST(umount("/mnt"));
	}
	device();
	MUST(system("dd if=/dev/zero of=/dev/vda bs=64k count=1 2>/dev/null"));
	return 0;
}
