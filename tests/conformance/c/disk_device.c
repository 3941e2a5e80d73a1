/* A block device as a file: size, position, alignment, ioctls, errors at its end. */
#include "case.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

static void say(const char *what, long result)
{
	printf("%s: %ld %s\n", what, result < 0 ? -1L : result, result < 0 ? error_name(errno) : "");
}

int main(void)
{
	static char buffer[8192] __attribute__((aligned(4096)));
	char *text = buffer;
	struct stat status;
	unsigned long long bytes = 0;
	unsigned long sectors = 0;
	int number = 0;
	long readahead = 0;
	int disk = open("/dev/vda", O_RDWR);
	say("fstat", fstat(disk, &status));
	printf("block device %d, size %ld, minor %u\n", S_ISBLK(status.st_mode), (long)status.st_size, minor(status.st_rdev));
	say("end", lseek(disk, 0, SEEK_END));
	say("past the end", lseek(disk, 1, SEEK_END));
	say("negative", lseek(disk, -1, SEEK_SET));
	say("data", lseek(disk, 100, SEEK_DATA));
	say("hole", lseek(disk, 100, SEEK_HOLE));
	say("BLKGETSIZE64", ioctl(disk, BLKGETSIZE64, &bytes));
	say("BLKGETSIZE", ioctl(disk, BLKGETSIZE, &sectors));
	printf("%llu bytes, %lu sectors\n", bytes, sectors);
	say("BLKSSZGET", ioctl(disk, BLKSSZGET, &number));
	printf("%d\n", number);
	say("BLKPBSZGET", ioctl(disk, BLKPBSZGET, &number));
	printf("%d\n", number);
	say("BLKIOMIN", ioctl(disk, BLKIOMIN, &number));
	printf("%d\n", number);
	say("BLKROGET", ioctl(disk, BLKROGET, &number));
	printf("%d\n", number);
	say("BLKRAGET", ioctl(disk, BLKRAGET, &readahead));
	printf("%ld\n", readahead);
	say("BLKRASET", ioctl(disk, BLKRASET, 64));
	ioctl(disk, BLKRAGET, &readahead);
	printf("%ld\n", readahead);
	ioctl(disk, BLKRASET, 256);
	say("BLKFLSBUF", ioctl(disk, BLKFLSBUF, 0));
	say("unknown", ioctl(disk, _IO(0x12, 99), 0));
	say("bad address", ioctl(disk, BLKGETSIZE64, (void *)1));
	pwrite(disk, text, 8192, 0);
	memset(text, 'a', 5000);
	say("write", pwrite(disk, text, 5000, 1000));
	say("write at the end", pwrite(disk, text, 5000, bytes - 2000));
	say("write past the end", pwrite(disk, text, 100, bytes));
	say("read at the end", pread(disk, text, 5000, bytes - 1000));
	say("read past the end", pread(disk, text, 5000, bytes));
	say("fsync", fsync(disk));
	say("fdatasync", fdatasync(disk));
	say("sync_file_range", sync_file_range(disk, 0, 8192, 7));
	say("ftruncate", ftruncate(disk, 100));
	int direct = open("/dev/vda", O_RDONLY | O_DIRECT);
	say("direct", pread(direct, text, 4096, 0));
	printf("%d %d\n", text[999], text[1000]);
	say("direct, offset", pread(direct, text, 512, 100));
	say("direct, length", pread(direct, text, 100, 512));
	say("direct, memory", pread(direct, text + 8, 512, 512));
	say("direct, 512", pread(direct, text, 512, 512));
	int alone = open("/dev/vda", O_RDWR | O_EXCL);
	printf("exclusive: %d\n", alone >= 0);
	say("exclusive again", open("/dev/vda", O_RDWR | O_EXCL));
	say("BLKBSZSET", ioctl(alone, BLKBSZSET, (number = 1024, &number)));
	say("BLKBSZGET", ioctl(alone, BLKBSZGET, &number));
	printf("%d\n", number);
	close(alone);
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, disk, 0);
	printf("mapped: %d %d %d\n", map != MAP_FAILED, map[999], map[5999]);
	map[0] = 'z';
	say("msync", msync(map, 8192, MS_SYNC));
	say("direct", pread(direct, text, 512, 0));
	printf("%c\n", text[0]);
	memset(text, 0, 8192);
	pwrite(disk, text, 8192, 0);
	pwrite(disk, text, 2000, bytes - 2000);
	return 0;
}
