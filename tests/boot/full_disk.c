/*
 * A full disk and many writers: full_disk DIRECTORY. Blocks run out, then inodes. Every write that gets less than it
 * asked for reports that, and what was written is there, also what was written through mappings of holes.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 8
#define PAGE 4096
#define HOLES 4000 /* pages of the sparse file that each mapping writer has */

static sigjmp_buf out;
static unsigned long block[PAGE / sizeof(long)];

static void caught(int number)
{
	siglongjmp(out, number);
}

static void fill(unsigned writer, unsigned number)
{
	for (unsigned i = 0; i < PAGE / sizeof *block; i++)
		block[i] = (unsigned long)writer << 56 | 1UL << 48 | (unsigned long)number << 16 | i;
}

static void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Write until nothing goes any more; then everything that was accepted must be there. */
static void by_write(unsigned writer)
{
	char name[40];
	sprintf(name, "w%u", writer);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	long done = 0;
	for (;;) {
		fill(writer, (unsigned)(done / PAGE));
		ssize_t n = write(fd, (char *)block + done % PAGE, (size_t)(PAGE - done % PAGE));
		if (n < 0)
			break;
		done += n;
	}
	if (errno != ENOSPC)
		fail("write");
	if (fsync(fd))
		fail("fsync");
	if (lseek(fd, 0, SEEK_END) != done)
		fail("size");
	for (long at = 0; at < done; at += PAGE) {
		char back[PAGE];
		long size = done - at < PAGE ? done - at : PAGE;
		fill(writer, (unsigned)(at / PAGE));
		if (pread(fd, back, PAGE, at) != size || memcmp(back, block, (size_t)size))
			fail("contents");
	}
}

/* Touch the holes of a sparse file until one is SIGBUS. */
static void by_mapping(unsigned writer)
{
	char name[40];
	sprintf(name, "m%u", writer);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	volatile long done = 0;
	if (fd < 0 || ftruncate(fd, (long)HOLES * PAGE))
		fail("ftruncate");
	char *map = mmap(NULL, (size_t)HOLES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	signal(SIGBUS, caught);
	if (sigsetjmp(out, 1) == 0)
		for (; done < HOLES; done++) {
			fill(writer, (unsigned)done);
			memcpy(map + done * PAGE, block, PAGE);
		}
	if (done == HOLES)
		fail("no SIGBUS");
	if (map[done * PAGE] != 0) /* it can be read: it is a hole */
		fail("a hole");
	if (msync(map, (size_t)HOLES * PAGE, MS_SYNC))
		fail("msync");
	for (long at = 0; at < done; at++) {
		char back[PAGE];
		fill(writer, (unsigned)at);
		if (pread(fd, back, PAGE, at * PAGE) != PAGE || memcmp(back, block, PAGE))
			fail("contents");
	}
}

/* Make names until there are no inodes. */
static void by_names(unsigned writer)
{
	char name[60];
	int count = 0;
	for (;; count++) {
		sprintf(name, "n%u.%d", writer, count);
		int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0)
			break;
		close(fd);
	}
	if (errno != ENOSPC)
		fail("open");
	while (count-- > 0) {
		sprintf(name, "n%u.%d", writer, count);
		if (unlink(name))
			fail("unlink");
	}
}

static void round_of(void (*job)(unsigned), unsigned from)
{
	int status;
	for (unsigned writer = from; writer < from + WRITERS; writer++)
		if (fork() == 0) {
			job(writer);
			_exit(0);
		}
	while (wait(&status) > 0)
		if (status != 0) {
			printf("a writer ended with %#x\n", status);
			exit(1);
		}
}

int main(int count, char **arguments)
{
	struct statvfs before, after;
	if (count != 2 || chdir(arguments[1]))
		return 2;
	statvfs(".", &before);
	round_of(by_names, 0);
	round_of(by_write, 0);
	system("rm -f w*");
	round_of(by_mapping, 0);
	system("rm -f m*");
	statvfs(".", &after);
	/* The directory may have grown. */
	if (after.f_bfree + 100 < before.f_bfree || after.f_ffree != before.f_ffree)
		fail("something is lost");
	for (unsigned writer = 0; writer < WRITERS; writer++)
		if (fork() == 0) {
			writer % 2 ? by_write(writer) : by_mapping(writer);
			_exit(0);
		}
	int status, failed = 0;
	while (wait(&status) > 0)
		failed |= status;
	printf(failed ? "a mixed writer failed\n" : "full and sound\n");
	return failed != 0;
}
