/* swapon(2) and swapoff(2): what is an area, what is refused, priorities, /proc/swaps, and what may not be done to a file in use. */
#define _GNU_SOURCE
#include "swap_case.h"

static int disk;

static void try_header(unsigned last, unsigned version, unsigned bad_count, const unsigned *bad)
{
	put_header(disk, last, version, bad_count, bad);
	fsync(disk);
	printf("last %u version %#x bad %u: ", last, version, bad_count);
	if (TRY(on(DISK, 0)) == 0) {
		show_areas();
		TRY(off(DISK));
	}
}

static void try_headers(void)
{
	unsigned bad[700];
	for (int i = 0; i < 700; i++)
		bad[i] = 3 + i;
	TRY(on(DISK, 0));
	try_header(0, 1, 0, 0);
	try_header(1, 1, 0, 0);
	try_header(63, 0, 0, 0);
	try_header(63, 2, 0, 0);
	try_header(63, 1, 0, 0);
	try_header(63, 1, 2, bad);
	bad[1] = 3;
	try_header(63, 1, 2, bad);
	bad[1] = 0;
	try_header(63, 1, 2, bad);
	bad[1] = 64;
	try_header(63, 1, 2, bad);
	bad[1] = 4;
	try_header(1023, 1, 637, bad);
	put_header(disk, 1023, 1, 638, 0);
	TRY(on(DISK, 0));
	try_header(16383, 1, 0, 0);
	try_header(16384, 1, 0, 0);
	try_header(0xffffffff, 1, 0, 0);
	try_header(0x3f000000, 0x01000000, 0, 0);
	bad[0] = 1;
	try_header(1, 1, 1, bad);
}

static void try_flags(void)
{
	int all[] = { 0, 1, 0x7fff, PREFER, PREFER | 5, PREFER | 0x7fff, 0x10000, 0x30000, 0x50000, 0x70000, 0x20000, 0x80000, -1 };
	make_area(DISK, 255);
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		printf("flags %#x: ", all[i]);
		if (TRY(on(DISK, all[i])) == 0) {
			show_areas();
			TRY(off(DISK));
		}
	}
	SHOW(on(0, 0));
	SHOW(on("", 0));
	SHOW(on("/nowhere", 0));
	SHOW(on("/nowhere", 0x80000));
	SHOW(on("/", 0));
	SHOW(on("/dev/null", 0));
	SHOW(on("/proc/self/maps", 0));
	SHOW(off(0));
	SHOW(off(""));
	SHOW(off("/nowhere"));
	SHOW(off("/"));
	SHOW(off(DISK));
}

static void try_in_use(void)
{
	char byte = 1;
	SHOW(on(DISK, PREFER | 3));
	SHOW(on(DISK, 0));
	SHOW(mount(DISK, "/mnt", "ext2", 0, ""));
	int fd = (int)TRY(open(DISK, O_RDWR));
	SHOW(pwrite(fd, &byte, 1, 0));
	SHOW(pread(fd, &byte, 1, 4086));
	printf("%c\n", byte);
	CHECK(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ETXTBSY);
	CHECK(mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	close(fd);
	SHOW(open(DISK, O_RDWR | O_EXCL));
	IN_CHILD({
		MUST(setuid(1000));
		SHOW(on(DISK, 0));
		SHOW(on(DISK, 0x80000));
		SHOW(off(DISK));
		SHOW(off("/nowhere"));
		show_areas();
	});
	SHOW(off(DISK));
}

static void make_file(const char *path, int pages, int hole)
{
	static char page[PAGE];
	int fd = (int)MUST(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
	for (int i = 0; i < pages; i++)
		if (i != hole)
			MUST(pwrite(fd, page, PAGE, (long)i * PAGE));
	put_header(fd, pages - 1, 1, 0, 0);
	fsync(fd);
	close(fd);
}

static void try_files(void)
{
	char byte = 1;
	unsigned bad = 2;
	struct pollfd poller = { (int)MUST(open("/proc/swaps", O_RDONLY)), POLLIN | POLLPRI, 0 };
	printf("mke2fs: %d\n", system("mke2fs -F -b 4096 " DISK " > /dev/null 2>&1"));
	MUST(mount(DISK, "/mnt", "ext2", 0, ""));
	MUST(chdir("/mnt"));
	make_file("first", 64, -1);
	make_file("second", 32, -1);
	make_file("third", 32, -1);
	make_file("holes", 32, 7);
	SHOW(on("holes", 0));
	SHOW(poll(&poller, 1, 0));
	printf("%#x\n", poller.revents);
	SHOW(on("first", 0));
	SHOW(poll(&poller, 1, 0));
	printf("%#x\n", poller.revents);
	SHOW(poll(&poller, 1, 0));
	printf("%#x\n", poller.revents);
	SHOW(on("first", 0));
	SHOW(on("second", 0));
	SHOW(on("third", PREFER | 100));
	show_areas();
	int fd = (int)MUST(open("first", O_RDWR));
	SHOW(write(fd, &byte, 1));
	SHOW(ftruncate(fd, 0));
	SHOW(ftruncate(fd, 64 * PAGE + 100));
	SHOW(fallocate(fd, 3, 8192, 4096));
	SHOW(fallocate(fd, 1, 8192, 4096));
	int other = (int)MUST(open("holes", O_RDWR));
	SHOW(copy_file_range(fd, 0, other, 0, 10, 0));
	SHOW(copy_file_range(other, 0, fd, 0, 10, 0));
	close(other);
	CHECK(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ETXTBSY);
	close(fd);
	SHOW(truncate("first", 0));
	SHOW(open("first", O_WRONLY | O_TRUNC));
	SHOW(unlink("first"));
	SHOW(rename("first", "other"));
	SHOW(rename("holes", "first"));
	SHOW(link("first", "another"));
	SHOW(chmod("first", 0644));
	SHOW(umount("/mnt"));
	SHOW(off("another"));
	show_areas();
	SHOW(poll(&poller, 1, 0));
	printf("%#x\n", poller.revents);
	SHOW(on("first", 0));
	show_areas();
	SHOW(off("second"));
	SHOW(off("third"));
	SHOW(off("first"));
	SHOW(off("first"));
	fd = (int)MUST(open("third", O_RDWR));
	put_header(fd, 31, 1, 1, &bad);
	SHOW(on("third", 0));
	put_header(fd, 32, 1, 0, 0);
	SHOW(on("third", 0));
	put_header(fd, 15, 1, 0, 0);
	SHOW(on("third", 0));
	show_areas();
	SHOW(off("third"));
	MUST(unlink("third"));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	TRY(on(path, 0));
	close(fd);
	SHOW(unlink("first"));
	MUST(chdir("/"));
	SHOW(umount("/mnt"));
	close(poller.fd);
}

int main(void)
{
	mkdir("/mnt", 0755);
	disk = (int)MUST(open(DISK, O_RDWR));
	show_areas();
	try_headers();
	try_flags();
	close(disk);
	try_in_use();
	try_files();
	show_areas();
	printf("total %ld\n", figure("/proc/meminfo", "SwapTotal"));
	return 0;
}
