/* Files on a disk, mapped shared and privately: what is written shows everywhere, and lasts over an unmount. */
#define _GNU_SOURCE
#include "case.h"
#include <signal.h>
#include <setjmp.h>
#include <sys/mount.h>

static sigjmp_buf back;

static void caught(int number)
{
	siglongjmp(back, number);
}

static const char *touch(volatile char *place, int write)
{
	int number = sigsetjmp(back, 1);
	if (number != 0)
		return number == SIGBUS ? "SIGBUS" : "SIGSEGV";
	if (write)
		*place = 'w';
	else
		(void)*place;
	return "fine";
}

static void say(const char *what, long result)
{
	printf("%s: %ld %s\n", what, result < 0 ? -1L : 0L, result < 0 ? error_name(errno) : "");
}

/* With blocks smaller than a page: a page of which write(2) made one block, and a mapping others, through punching and cutting off. */
static void small_blocks(void)
{
	char text[PAGE];
	printf("-- small blocks: %d\n", system("mke2fs -F -b 1024 /dev/vda 8192 > /dev/null 2>&1"));
	printf("mount: %d\n", mount("/dev/vda", "/tmp/mapped", "ext2", 0, ""));
	for (int kind = 0; kind < 4; kind++) {
		struct stat status;
		int file = open("/tmp/mapped/small", O_RDWR | O_CREAT | O_TRUNC, 0644);
		ftruncate(file, PAGE);
		char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		memset(text, 'w', PAGE);
		if (kind < 2)
			pwrite(file, text, 1, 0);
		else
			pwrite(file, text, PAGE, 0);
		if (kind == 1)
			fsync(file);
		if (kind == 2)
			fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1024, 3072);
		if (kind == 3) {
			ftruncate(file, 100);
			ftruncate(file, PAGE);
		}
		if (kind % 2)
			map[3000] = 'm';
		else
			memset(map + 2048, 'm', 1000);
		pwrite(file, "x", 1, 3500);
		munmap(map, PAGE);
		fsync(file);
		fstat(file, &status);
		printf("kind %d: blocks %ld\n", kind, (long)status.st_blocks);
		close(file);
		umount("/tmp/mapped");
		mount("/dev/vda", "/tmp/mapped", "ext2", 0, "");
		file = open("/tmp/mapped/small", O_RDONLY);
		read(file, text, PAGE);
		printf("%d %d %d %c %c\n", text[0], text[99], text[1024], text[3000], text[3500]);
		close(file);
	}
	unlink("/tmp/mapped/small");
	umount("/tmp/mapped");
}

int main(void)
{
	char text[64];
	struct stat status;
	signal(SIGBUS, caught);
	signal(SIGSEGV, caught);
	mkdir("/tmp/mapped", 0755);
	printf("mke2fs: %d\n", system("mke2fs -F /dev/vda > /dev/null 2>&1"));
	printf("mount: %d\n", mount("/dev/vda", "/tmp/mapped", "ext2", 0, ""));
	int file = open("/tmp/mapped/file", O_RDWR | O_CREAT | O_TRUNC, 0644);
	printf("write: %zd\n", write(file, "some text that lies on a disk", 29));
	ftruncate(file, 3 * PAGE + 10);
	char *shared = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	char *private = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	printf("both: %.9s %.9s\n", shared, private);
	memcpy(shared, "SOME", 4);
	pread(file, text, 4, 0);
	printf("read after a mapped write: %.4s, private sees %.4s\n", text, private);
	memcpy(private + 5, "TEXT", 4);
	printf("private: %.9s shared: %.9s\n", private, shared);
	pwrite(file, "that", 4, 10);
	printf("write shows: %.14s / %.14s\n", shared, private);
	printf("hole: %d, tail: %d\n", shared[2 * PAGE], shared[3 * PAGE + 20]);
	shared[2 * PAGE + 5] = 'h';
	shared[3 * PAGE + 20] = 't';
	printf("past the last page: %s %s\n", touch(shared + 4 * PAGE, 0), touch(shared + 5 * PAGE, 1));
	printf("msync: %d %d\n", msync(shared, 4 * PAGE, MS_SYNC), msync(shared, 4 * PAGE, MS_INVALIDATE));
	shared[1] = '0'; /* written again after it was clean */
	ftruncate(file, 4 * PAGE);
	pread(file, text, 1, 3 * PAGE + 20);
	printf("what was written past the end: %d\n", text[0]);
	fstat(file, &status);
	printf("size %ld\n", (long)status.st_size);
	ftruncate(file, PAGE);
	printf("cut off: %s %s %s\n", touch(shared + PAGE, 0), touch(private + PAGE, 1), touch(shared, 1));
	ftruncate(file, 3 * PAGE);
	printf("grown again: %d %s\n", shared[2 * PAGE + 5], touch(shared + PAGE, 1));
	close(file);
	munmap(shared, 6 * PAGE);
	say("umount while mapped", umount("/tmp/mapped"));
	munmap(private, 4 * PAGE);
	printf("umount: %d\n", umount("/tmp/mapped"));
	mount("/dev/vda", "/tmp/mapped", "ext2", MS_RDONLY, "");
	file = open("/tmp/mapped/file", O_RDONLY);
	read(file, text, 29);
	printf("later: %.29s\n", text);
	pread(file, text, 1, PAGE);
	printf("page 1: %c\n", text[0]);
	say("write", open("/tmp/mapped/file", O_RDWR));
	printf("shared and writable: %d\n",
	       mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED ? errno : 0);
	close(file);
	printf("umount: %d\n", umount("/tmp/mapped"));
	mount("/dev/vda", "/tmp/mapped", "ext2", 0, "");
	unlink("/tmp/mapped/file");
	umount("/tmp/mapped");
	small_blocks();
	return 0;
}
