/* swapon(2) on partitions and loop devices: what is in use with them, which of them are rotational, and that pages come back. */
#define _GNU_SOURCE
#include "swap_case.h"

#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#define LOOP "/dev/loop6"
#define PART "/dev/vda1"
#define PAGES 128
#define AREA 512 /* pages */

static void put_text(const char *path, const char *text)
{
	errno = 0;
	int fd = open(path, O_WRONLY);
	long done = fd < 0 ? -1 : write(fd, text, strlen(text));
	printf("%s to %s: %s\n", text, path, done < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		close(fd);
}

/* Let pages go there, and come back one way or the other. */
static void use(const char *path, int flags)
{
	SHOW(on(path, flags));
	show_areas();
	char *place = memory(PAGES, MAP_PRIVATE | MAP_ANONYMOUS);
	fill(place, PAGES);
	page_out(place, PAGES);
	CHECK(swapped(place, PAGES) == PAGES);
	CHECK(wrong(place, PAGES) == 0);
	page_out(place, PAGES);
	SHOW(off(path));
	CHECK(swapped(place, PAGES) == 0 && wrong(place, PAGES) == 0);
	MUST(munmap(place, PAGES * PAGE));
}

/* A table with one partition from 1 MiB on. */
static void make_partition(void)
{
	unsigned char sector[512] = { 0 };
	unsigned words[2] = { 2048, AREA * 8 };
	int fd = (int)MUST(open(DISK, O_RDWR));
	sector[446 + 4] = 0x82;
	memcpy(sector + 446 + 8, words, sizeof words);
	sector[510] = 0x55, sector[511] = 0xaa;
	MUST(pwrite(fd, sector, sizeof sector, 0));
	MUST(fsync(fd));
	SHOW(ioctl(fd, BLKRRPART, 0));
	close(fd);
	for (int i = 0; i < 200 && access(PART, F_OK); i++)
		sleep_ms(20);
}

static void on_a_partition(void)
{
	int fd;
	puts("--- a partition");
	make_partition();
	make_area(PART, AREA - 1);
	use(PART, 0);
	use(PART, PREFER | 9);
	use(PART, 0x10000);
	MUST(on(PART, 0));
	SHOW(on(PART, 0));
	SHOW(on(DISK, 0));
	SHOW(off(DISK));
	SHOW(open(PART, O_RDWR | O_EXCL));
	SHOW(open(DISK, O_RDWR | O_EXCL));
	fd = (int)MUST(open(DISK, O_RDWR));
	SHOW(ioctl(fd, BLKRRPART, 0));
	SHOW(pwrite(fd, "x", 1, 100));
	close(fd);
	fd = (int)MUST(open(PART, O_RDWR));
	SHOW(pwrite(fd, "x", 1, 100));
	close(fd);
	SHOW(mount(PART, "/mnt", "ext2", 0, ""));
	SHOW(access("/sys/block/vda/vda1/queue", F_OK));
	SHOW(off(PART));
	SHOW(off(PART));
	make_area(PART, AREA);
	SHOW(on(PART, 0));
	static char zeros[512];
	fd = (int)MUST(open(DISK, O_RDWR));
	MUST(pwrite(fd, zeros, sizeof zeros, 0));
	MUST(fsync(fd));
	SHOW(ioctl(fd, BLKRRPART, 0));
	close(fd);
}

static void on_a_loop(const char *file, int size)
{
	int loop = (int)MUST(open(LOOP, O_RDWR)), below = (int)MUST(open(file, O_RDWR | O_CREAT, 0600));
	printf("--- a loop device of %s\n", file);
	if (size > 0)
		MUST(ftruncate(below, size * PAGE));
	MUST(ioctl(loop, LOOP_SET_FD, below));
	show_file("/sys/block/loop6/queue/rotational");
	make_area(LOOP, AREA - 1);
	use(LOOP, 0);
	use(LOOP, 0x10000);
	MUST(on(LOOP, 0));
	SHOW(open(LOOP, O_RDWR | O_EXCL));
	if (SHOW(on(file, 0)) == 0)
		SHOW(off(file));
	SHOW(pwrite(loop, "x", 1, 100));
	put_text("/sys/block/loop6/queue/rotational", "0");
	show_file("/sys/block/loop6/queue/rotational");
	put_text("/sys/block/loop6/queue/rotational", "1");
	show_file("/sys/block/loop6/queue/rotational");
	SHOW(off(LOOP));
	SHOW(ioctl(loop, LOOP_CLR_FD, 0));
	close(loop);
	close(below);
	for (int i = 0; i < 200 && access("/sys/block/loop6/loop", F_OK) == 0; i++)
		sleep_ms(20);
}

int main(void)
{
	mkdir("/mnt", 0755);
	on_a_partition();
	on_a_loop("/tmp/area", AREA);
	on_a_loop(DISK, 0);
	put_text("/sys/block/vda/queue/rotational", "0");
	on_a_loop(DISK, 0);
	put_text("/sys/block/vda/queue/rotational", "1");
	unlink("/tmp/area");
	return 0;
}
