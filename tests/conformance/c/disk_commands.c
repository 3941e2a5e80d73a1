/* Commands of block devices: discarding and zeroing, partitions one by one, loop devices, FITRIM. */
#define _GNU_SOURCE
#include "case.h"

#include <linux/blkpg.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

static char buffer[1 << 16], other[1 << 16];

static int range(int fd, unsigned long command, uint64_t start, uint64_t length)
{
	uint64_t numbers[2] = {start, length};
	return ioctl(fd, command, numbers);
}

static long nonzero(int fd, long offset, long length)
{
	long count = 0;
	pread(fd, other, (size_t)length, offset);
	for (long i = 0; i < length; i++)
		count += other[i] != 0;
	return count;
}

/* `punch`: Linux forgets that a loop device can make holes when it fails to make zeros without them. */
static void ranges(const char *path, int punch)
{
	int fd = MUST(open(path, O_RDWR)), reader = MUST(open(path, O_RDONLY));
	uint64_t size = 0;
	printf("---- %s\n", path);
	MUST(ioctl(fd, BLKGETSIZE64, &size));
	memset(buffer, 'x', sizeof buffer);
	MUST(pwrite(fd, buffer, sizeof buffer, 0));
	SHOW(range(fd, BLKZEROOUT, 4096, 8192));
	printf("%ld %ld %ld\n", nonzero(fd, 0, 4096), nonzero(fd, 4096, 8192), nonzero(fd, 12288, 4096));
	SHOW(range(fd, BLKZEROOUT, 512, 1024));
	printf("%ld\n", nonzero(fd, 0, 4096));
	SHOW(range(fd, BLKZEROOUT, 100, 512));
	SHOW(range(fd, BLKZEROOUT, 512, 100));
	SHOW(range(fd, BLKZEROOUT, 512, 0));
	SHOW(range(fd, BLKZEROOUT, size, 512));
	SHOW(range(fd, BLKZEROOUT, size - 512, 1024));
	SHOW(range(fd, BLKZEROOUT, 512, ~0ULL - 511));
	SHOW(range(reader, BLKZEROOUT, 0, 512));
	SHOW(ioctl(fd, BLKZEROOUT, NULL));
	SHOW(range(fd, BLKDISCARD, 16384, 16384));
	SHOW(range(fd, BLKDISCARD, 100, 512));
	SHOW(range(fd, BLKDISCARD, 512, 100));
	SHOW(range(fd, BLKDISCARD, 512, 0));
	SHOW(range(fd, BLKDISCARD, size, 512));
	SHOW(range(reader, BLKDISCARD, 0, 512));
	SHOW(ioctl(fd, BLKDISCARD, NULL));
	SHOW(range(fd, BLKSECDISCARD, 0, 512));
	SHOW(range(reader, BLKSECDISCARD, 0, 512));
	MUST(pwrite(fd, buffer, sizeof buffer, 0));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 4096, 4096));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 12288, 4096));
	if (punch)
		SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 20480, 4096));
	printf("%ld %ld %ld %ld\n", nonzero(fd, 0, 12288), nonzero(fd, 4096, 4096), nonzero(fd, 12288, 4096), punch ? nonzero(fd, 20480, 4096) : 0);
	SHOW(fallocate(fd, 0, 0, 4096));
	SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096));
	SHOW(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 100, 4096));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, size, 4096));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, size - 512, 4096));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, size - 512, 4096));
	SHOW(fallocate(reader, FALLOC_FL_ZERO_RANGE, 0, 512));
	close(fd);
	close(reader);
}

static int part(int fd, int operation, int number, long long start, long long length)
{
	struct blkpg_partition partition = {start, length, number, "", ""};
	struct blkpg_ioctl_arg argument = {operation, 0, sizeof partition, &partition};
	return ioctl(fd, BLKPG, &argument);
}

static void parts(void)
{
	uint64_t size;
	int fd = MUST(open("/dev/vda", O_RDWR));
	printf("---- partitions\n");
	SHOW(part(fd, BLKPG_ADD_PARTITION, 1, 1 << 20, 2 << 20));
	SHOW(part(fd, BLKPG_ADD_PARTITION, 1, 8 << 20, 1 << 20));
	SHOW(part(fd, BLKPG_ADD_PARTITION, 2, 2 << 20, 2 << 20));
	SHOW(part(fd, BLKPG_ADD_PARTITION, 5, 4 << 20, 1 << 20));
	SHOW(part(fd, BLKPG_ADD_PARTITION, 0, 6 << 20, 1 << 20));
	SHOW(part(fd, BLKPG_ADD_PARTITION, 3, -512, 1 << 20));
	SHOW(part(fd, BLKPG_ADD_PARTITION, 3, 6 << 20, 0));
	SHOW(part(fd, BLKPG_ADD_PARTITION, 3, 6 << 20, 100));
	SHOW(part(fd, BLKPG_ADD_PARTITION, 3, 63 << 20, 2 << 20));
	SHOW(part(fd, BLKPG_ADD_PARTITION, 3, 1LL << 40, 2 << 20));
	SHOW(part(fd, 77, 3, 6 << 20, 1 << 20));
	MUST(system("grep vda /proc/partitions; cat /sys/block/vda/vda5/start; ls /sys/block/vda | grep vda"));
	SHOW(part(fd, BLKPG_RESIZE_PARTITION, 1, 1 << 20, 1 << 20));
	SHOW(part(fd, BLKPG_RESIZE_PARTITION, 1, 0, 1 << 20));
	SHOW(part(fd, BLKPG_RESIZE_PARTITION, 1, 1 << 20, 4 << 20));
	SHOW(part(fd, BLKPG_RESIZE_PARTITION, 9, 1 << 20, 4 << 20));
	int one = MUST(open("/dev/vda1", O_RDWR));
	MUST(ioctl(one, BLKGETSIZE64, &size));
	printf("%lld\n", (long long)size);
	SHOW(pwrite(one, "partition", 9, 0));
	SHOW(fsync(one));
	SHOW(pread(fd, buffer, 9, 1 << 20));
	printf("%.9s\n", buffer);
	SHOW(part(one, BLKPG_ADD_PARTITION, 1, 0, 512));
	SHOW(part(fd, BLKPG_DEL_PARTITION, 1, 0, 0));
	SHOW(ioctl(fd, BLKRRPART, 0));
	close(one);
	SHOW(part(fd, BLKPG_DEL_PARTITION, 1, 0, 0));
	SHOW(part(fd, BLKPG_DEL_PARTITION, 1, 0, 0));
	SHOW(access("/dev/vda1", F_OK));
	SHOW(ioctl(fd, BLKPG, NULL));
	IN_CHILD(MUST(setuid(5)); SHOW(part(fd, BLKPG_DEL_PARTITION, 5, 0, 0)); SHOW(ioctl(fd, BLKRRPART, 0)));
	SHOW(ioctl(fd, BLKRRPART, 0));
	MUST(system("grep vda /proc/partitions"));
	close(fd);
}

static uint32_t checksum(const void *data, size_t length)
{
	uint32_t crc = ~0u;
	for (size_t i = 0; i < length; i++) {
		crc ^= ((const unsigned char *)data)[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
	}
	return ~crc;
}

static void show_uevent(const char *path)
{
	int fd = MUST(open(path, O_RDONLY));
	ssize_t length = MUST(read(fd, other, sizeof other - 1));
	other[length] = 0;
	for (char *line = strtok(other, "\n"); line; line = strtok(NULL, "\n"))
		if (strncmp(line, "DISKSEQ=", 8)) /* it counts all disks that there ever were */
			puts(line);
	close(fd);
}

/* A table of partitions with names: what /sys tells of them. */
static void named_parts(void)
{
	static const uint16_t names[][36] = {{'r', 'o', 'o', 't'}, {'a', 'b', ' ', 0xE4, 0x20AC, 7, '=', 0x100, 'z'}, {0}, {0xA0, 0x80, 0x7F}};
	int fd = MUST(open("/dev/vda", O_RDWR));
	struct { char signature[8]; uint32_t revision, size, checksum, zero; uint64_t here, other, first, last; char guid[16];
		 uint64_t table; uint32_t count, entry, table_checksum; } head = {"EFI PART", 0x10000, 92, 0, 0, 1, 131071, 34, 131038, {1}, 2, 128, 128, 0};
	printf("---- names of partitions\n");
	memset(buffer, 0, sizeof buffer);
	for (int i = 0; i < 4; i++) {
		char *entry = buffer + 1024 + 128 * i;
		uint64_t place[2] = {2048 * (i + 1), 2048 * (i + 2) - 1};
		entry[0] = entry[16] = (char)(i + 1);
		memcpy(entry + 32, place, 16);
		memcpy(entry + 56, names[i], 72);
	}
	for (int i = 0; i < 36; i++)
		buffer[1024 + 128 * 4 + 56 + 2 * i] = (char)('A' + i % 26);
	buffer[1024 + 128 * 4] = 5, memcpy(buffer + 1024 + 128 * 4 + 32, (uint64_t[]){20000, 20007}, 16);
	head.table_checksum = checksum(buffer + 1024, 128 * 128);
	head.checksum = checksum(&head, 92);
	memcpy(buffer + 512, &head, 92);
	buffer[446 + 4] = (char)0xEE, memcpy(buffer + 446 + 8, (uint32_t[]){1, 131071}, 8);
	buffer[510] = 0x55, buffer[511] = (char)0xAA;
	MUST(pwrite(fd, buffer, 34 * 512, 0));
	MUST(ioctl(fd, BLKRRPART, 0));
	show_uevent("/sys/class/block/vda/uevent");
	for (int i = 1; i <= 5; i++) {
		char path[64];
		snprintf(path, sizeof path, "/sys/class/block/vda%d/uevent", i);
		show_uevent(path);
	}
	memset(buffer, 0, sizeof buffer);
	MUST(pwrite(fd, buffer, 34 * 512, 0));
	MUST(ioctl(fd, BLKRRPART, 0));
	close(fd);
}

static void show_loop(int fd)
{
	struct loop_info64 info;
	uint64_t size = 0;
	memset(&info, 0, sizeof info);
	if (ioctl(fd, LOOP_GET_STATUS64, &info) != 0)
		printf("status: %s\n", error_name(errno));
	else
		printf("offset %lld limit %lld number %u flags %#x name \"%.20s\"\n", (long long)info.lo_offset,
		       (long long)info.lo_sizelimit, info.lo_number, info.lo_flags, (char *)info.lo_file_name);
	ioctl(fd, BLKGETSIZE64, &size);
	printf("size %lld\n", (long long)size);
}

static void loops(const char *directory)
{
	struct loop_info64 info = {0};
	struct loop_config config = {0};
	int number = 0;
	printf("---- loop in %s\n", directory);
	MUST(chdir(directory));
	int image = MUST(open("image", O_RDWR | O_CREAT | O_TRUNC, 0644)), second = MUST(open("second", O_RDWR | O_CREAT | O_TRUNC, 0644));
	MUST(ftruncate(image, 1 << 20));
	MUST(ftruncate(second, 1 << 20));
	MUST(pwrite(second, "second", 6, 0));
	int loop = MUST(open("/dev/loop5", O_RDWR));
	show_loop(loop);
	SHOW(ioctl(loop, LOOP_CHANGE_FD, second));
	config.fd = (unsigned)image;
	config.block_size = 1024;
	config.info.lo_offset = 4096;
	config.info.lo_sizelimit = 65536;
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	strcpy((char *)config.info.lo_file_name, "a name");
	SHOW(ioctl(loop, LOOP_CONFIGURE, &config));
	show_loop(loop);
	SHOW(ioctl(loop, BLKSSZGET, &number));
	printf("%d\n", number);
	SHOW(ioctl(loop, LOOP_CONFIGURE, &config));
	SHOW(ioctl(loop, LOOP_CHANGE_FD, second));
	SHOW(pwrite(loop, "through the loop", 16, 1024));
	SHOW(fsync(loop));
	SHOW(pread(image, buffer, 16, 4096 + 1024));
	printf("%.16s\n", buffer);
	SHOW(ioctl(loop, BLKRRPART, 0));
	info.lo_offset = 8192;
	info.lo_flags = LO_FLAGS_AUTOCLEAR;
	SHOW(ioctl(loop, LOOP_SET_STATUS64, &info));
	show_loop(loop);
	info.lo_flags = 0;
	info.lo_offset = 0;
	SHOW(ioctl(loop, LOOP_SET_STATUS64, &info));
	show_loop(loop);
	SHOW(ioctl(loop, LOOP_SET_BLOCK_SIZE, 512));
	SHOW(ioctl(loop, LOOP_SET_BLOCK_SIZE, 4096));
	SHOW(ioctl(loop, LOOP_SET_BLOCK_SIZE, 1000));
	SHOW(ioctl(loop, LOOP_SET_BLOCK_SIZE, 256));
	SHOW(ioctl(loop, BLKSSZGET, &number));
	printf("%d\n", number);
	SHOW(ioctl(loop, LOOP_SET_BLOCK_SIZE, 512));
	MUST(ftruncate(image, 2 << 20));
	show_loop(loop);
	SHOW(ioctl(loop, LOOP_SET_CAPACITY, 0));
	show_loop(loop);
	MUST(close(loop));
	ranges("/dev/loop5", 0);
	loop = MUST(open("/dev/loop5", O_RDWR));
	SHOW(ioctl(loop, LOOP_CLR_FD, 0));
	show_loop(loop);
	SHOW(ioctl(loop, LOOP_CLR_FD, 0));
	SHOW(pread(loop, buffer, 6, 512 << 10));
	SHOW(ioctl(loop, LOOP_CONFIGURE, &config));
	close(loop);
	loop = MUST(open("/dev/loop5", O_RDWR));
	show_loop(loop);
	memset(&config, 0, sizeof config);
	config.fd = (unsigned)image;
	config.info.lo_flags = 0x400;
	SHOW(ioctl(loop, LOOP_CONFIGURE, &config));
	config.info.lo_flags = LO_FLAGS_READ_ONLY;
	config.block_size = 1000;
	SHOW(ioctl(loop, LOOP_CONFIGURE, &config));
	config.block_size = 0;
	MUST(ftruncate(image, 1 << 20));
	SHOW(ioctl(loop, LOOP_CONFIGURE, &config));
	show_loop(loop);
	SHOW(pread(loop, buffer, 6, 0));
	SHOW(ioctl(loop, LOOP_CHANGE_FD, second));
	SHOW(pread(loop, buffer, 6, 0));
	printf("%.6s\n", buffer);
	MUST(ftruncate(image, 100));
	SHOW(ioctl(loop, LOOP_CHANGE_FD, image));
	SHOW(ioctl(loop, LOOP_CHANGE_FD, 999));
	SHOW(ioctl(loop, LOOP_CHANGE_FD, loop));
	SHOW(pwrite(loop, "x", 1, 0));
	int again = MUST(open("/dev/loop5", O_RDONLY));
	SHOW(ioctl(loop, LOOP_CLR_FD, 0));
	show_loop(loop);
	close(loop);
	show_loop(again);
	close(again);
	loop = MUST(open("/dev/loop5", O_RDWR));
	config.fd = (unsigned)loop;
	SHOW(ioctl(loop, LOOP_CONFIGURE, &config));
	config.fd = 999;
	SHOW(ioctl(loop, LOOP_CONFIGURE, &config));
	SHOW(ioctl(loop, LOOP_CONFIGURE, NULL));
	SHOW(ioctl(loop, 0x4C7F, 0));
	close(loop);
	close(image);
	close(second);
	MUST(unlink("image"));
	MUST(unlink("second"));
	MUST(chdir("/"));
}

/* LOOP_SET_DIRECT_IO: the device goes past the file's cache, where it can. */
static void direct_loop(void)
{
	struct loop_info64 info = {0};
	struct loop_config config = {0};
	unsigned char pages[256];
	printf("---- direct loop\n");
	int image = MUST(open("image", O_RDWR | O_CREAT | O_TRUNC, 0644));
	int direct = MUST(open("image", O_RDWR | O_DIRECT));
	for (int i = 0; i < 16; i++)
		MUST(pwrite(image, buffer, 65536, i * 65536L));
	MUST(fsync(image));
	int loop = MUST(open("/dev/loop6", O_RDWR));
	SHOW(ioctl(loop, LOOP_SET_DIRECT_IO, 1));
	SHOW(ioctl(loop, LOOP_SET_FD, image));
	SHOW(ioctl(loop, LOOP_SET_DIRECT_IO, 1));
	show_loop(loop);
	SHOW(ioctl(loop, LOOP_SET_DIRECT_IO, 1));
	MUST(posix_fadvise(image, 0, 0, POSIX_FADV_DONTNEED));
	SHOW(pwrite(loop, "past the cache", 14, 300000));
	SHOW(fsync(loop));
	void *map = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, image, 0);
	MUST(mincore(map, 1 << 20, pages));
	printf("resident %d\n", pages[300000 / PAGE] & 1);
	printf("%.14s\n", (char *)map + 300000);
	MUST(pwrite(image, "through the cache", 17, 500000));
	SHOW(pread(loop, buffer, 17, 500000));
	printf("%.17s\n", buffer);
	int device = MUST(open("/dev/loop6", O_RDWR | O_DIRECT));
	char *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(memory + 512, "all the way");
	SHOW(pwrite(device, memory + 512, 20480, 700416));
	SHOW(pread(image, buffer, 11, 700416));
	printf("%.11s\n", buffer);
	SHOW(pread(device, memory + 32768, 20480, 700416));
	printf("%.11s\n", memory + 32768);
	close(device);
	SHOW(ioctl(loop, LOOP_SET_DIRECT_IO, 0));
	show_loop(loop);
	info.lo_offset = 512;
	SHOW(ioctl(loop, LOOP_SET_DIRECT_IO, 1));
	SHOW(ioctl(loop, LOOP_SET_STATUS64, &info));
	show_loop(loop);
	info.lo_offset = 100;
	SHOW(ioctl(loop, LOOP_SET_STATUS64, &info));
	show_loop(loop);
	SHOW(ioctl(loop, LOOP_SET_DIRECT_IO, 1));
	SHOW(pread(loop, buffer, 14, 300000 - 100));
	printf("%.14s\n", buffer);
	SHOW(ioctl(loop, LOOP_CLR_FD, 0));
	close(loop);
	loop = MUST(open("/dev/loop6", O_RDWR));
	config.fd = (unsigned)image;
	config.info.lo_flags = LO_FLAGS_DIRECT_IO;
	SHOW(ioctl(loop, LOOP_CONFIGURE, &config));
	show_loop(loop);
	/* The end of the file, which is no multiple of anything. */
	MUST(ftruncate(image, 100100));
	SHOW(ioctl(loop, LOOP_SET_CAPACITY, 0));
	show_loop(loop);
	SHOW(pread(loop, buffer, 8192, 95000));
	SHOW(ioctl(loop, LOOP_CLR_FD, 0));
	close(loop);
	loop = MUST(open("/dev/loop6", O_RDWR));
	SHOW(ioctl(loop, LOOP_SET_FD, direct));
	show_loop(loop);
	SHOW(ioctl(loop, LOOP_CLR_FD, 0));
	close(loop);
	munmap(map, 1 << 20);
	munmap(memory, 65536);
	close(direct);
	close(image);
	MUST(unlink("image"));
}

static void trim(void)
{
	struct fstrim_range range = {0, ~0ULL, 0};
	printf("---- trim\n");
	MUST(system("mke2fs -F -b 1024 /dev/vda 32768 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	MUST(system("dd if=/bin/busybox of=/mnt/file bs=64k 2>/dev/null"));
	int fd = MUST(open("/mnt", O_RDONLY));
	SHOW(ioctl(fd, FITRIM, &range));
	CHECK(range.len > 28 << 20 && range.len < 32 << 20);
	range = (struct fstrim_range){1LL << 40, ~0ULL, 0};
	SHOW(ioctl(fd, FITRIM, &range));
	range = (struct fstrim_range){0, 100, 0};
	SHOW(ioctl(fd, FITRIM, &range));
	range = (struct fstrim_range){0, ~0ULL, 1LL << 40};
	SHOW(ioctl(fd, FITRIM, &range));
	SHOW(ioctl(fd, FITRIM, NULL));
	IN_CHILD(MUST(setuid(5)); SHOW(ioctl(fd, FITRIM, &range)));
	MUST(system("cmp /mnt/file /bin/busybox && echo same"));
	MUST(chdir("/mnt"));
	direct_loop();
	MUST(chdir("/"));
	close(fd);
	MUST(umount("/mnt"));
	fd = MUST(open("/tmp", O_RDONLY));
	SHOW(ioctl(fd, FITRIM, &range));
	close(fd);
}

int main(void)
{
	ranges("/dev/vda", 1);
	parts();
	named_parts();
	trim();
	loops("/tmp");
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	loops("/mnt");
	MUST(umount("/mnt"));
	MUST(system("dd if=/dev/zero of=/dev/vda bs=64k count=1 2>/dev/null"));
	return 0;
}
