/* Covers: mmap of files (MAP_SHARED, MAP_PRIVATE, offsets, permissions of the descriptor), msync, SIGBUS past the end, sharing with read and write, unlinked files. */
#include <setjmp.h>
#include "case.h"

static sigjmp_buf back;

static void on_fault(int number)
{
	siglongjmp(back, number);
}

static int reads(volatile char *p)
{
	int number = sigsetjmp(back, 1);
	if (number == 0)
		(void)*p;
	return number;
}

#define RW (PROT_READ | PROT_WRITE)
#define MAP(length, prot, flags, fd, offset) mmap(0, length, prot, flags, fd, offset)
#define FAILS(call) SHOW((call) == MAP_FAILED ? -1 : 0)

int main(void)
{
	char buffer[32] = { 0 };
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	int fd = (int)MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(ftruncate(fd, 3 * PAGE));
	MUST(pwrite(fd, "first", 5, 0));
	MUST(pwrite(fd, "second", 6, PAGE));
	char *shared = MAP(3 * PAGE, RW, MAP_SHARED, fd, 0), *private = MAP(3 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char *offset = MAP(PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	printf("%.5s %.5s %.6s\n", shared, private, offset);
	memcpy(shared, "FIRST", 5);
	SHOW(pread(fd, buffer, 5, 0));
	printf("%s\n", buffer);
	MUST(pwrite(fd, "SECOND", 6, PAGE));
	printf("%.6s %.6s\n", shared + PAGE, offset);
	memcpy(private + PAGE, "mine!!", 6);
	MUST(pwrite(fd, "theirs", 6, PAGE));
	printf("%.6s %.6s %.6s\n", shared + PAGE, private + PAGE, offset);
	IN_CHILD(memcpy(shared + 2 * PAGE, "child", 5); memcpy(private + 2 * PAGE, "child", 5));
	printf("[%.5s] [%.5s]\n", shared + 2 * PAGE, private + 2 * PAGE);
	SHOW(msync(shared, 3 * PAGE, MS_SYNC));
	SHOW(msync(shared, PAGE, MS_ASYNC));
	SHOW(msync(shared + 1, PAGE, MS_SYNC));
	SHOW(msync(shared, PAGE, MS_SYNC | MS_ASYNC));
	SHOW(msync((void *)0x1000, PAGE, MS_SYNC));

	/* Past the end of the file. */
	MUST(ftruncate(fd, PAGE + 100));
	char *beyond = MAP(4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	SHOW(reads(beyond + PAGE + 99));
	SHOW(reads(beyond + PAGE + 200));
	SHOW(reads(beyond + 2 * PAGE));
	SHOW(reads(shared + 2 * PAGE));
	MUST(ftruncate(fd, 3 * PAGE));
	SHOW(reads(beyond + 2 * PAGE));
	printf("%d\n", shared[2 * PAGE]);

	int ro = (int)MUST(open("file", O_RDONLY)), wo = (int)MUST(open("file", O_WRONLY));
	FAILS(MAP(PAGE, PROT_READ, MAP_SHARED, ro, 0));
	FAILS(MAP(PAGE, RW, MAP_SHARED, ro, 0));
	FAILS(MAP(PAGE, RW, MAP_PRIVATE, ro, 0));
	FAILS(MAP(PAGE, PROT_READ, MAP_PRIVATE, wo, 0));
	FAILS(MAP(PAGE, PROT_WRITE, MAP_SHARED, wo, 0));
	FAILS(MAP(PAGE, PROT_READ, MAP_SHARED, 99, 0));
	FAILS(MAP(PAGE, PROT_READ, MAP_SHARED, fd, 100));
	FAILS(MAP(PAGE, PROT_READ, MAP_SHARED, fd, 1 << 20));
	FAILS(MAP(0, PROT_READ, MAP_SHARED, fd, 0));
	FAILS(MAP(PAGE, PROT_READ, 0, fd, 0));
	char *upgraded = MAP(PAGE, PROT_READ, MAP_SHARED, ro, 0);
	SHOW(mprotect(upgraded, PAGE, RW));
	upgraded = MAP(PAGE, PROT_READ, MAP_PRIVATE, ro, 0);
	SHOW(mprotect(upgraded, PAGE, RW));
	int pipes[2], dir = (int)MUST(open(".", O_RDONLY)), zero = (int)MUST(open("/dev/zero", O_RDWR)),
		null = (int)MUST(open("/dev/null", O_RDWR));
	MUST(pipe(pipes));
	FAILS(MAP(PAGE, PROT_READ, MAP_PRIVATE, pipes[0], 0));
	FAILS(MAP(PAGE, PROT_READ, MAP_PRIVATE, dir, 0));
	FAILS(MAP(PAGE, PROT_READ, MAP_PRIVATE, null, 0));
	char *zeros = MAP(PAGE, RW, MAP_PRIVATE, zero, 0);
	CHECK(zeros != MAP_FAILED && zeros[5] == 0);

	/* A mapping outlives its descriptor and its name. */
	close(fd);
	MUST(unlink("file"));
	memcpy(shared, "alive", 5);
	SHOW(pread(ro, buffer, 5, 0));
	printf("%s\n", buffer);
	/* Reading a file into its own mapping. */
	SHOW(pread(ro, shared + 10, 5, 0));
	printf("%.5s\n", shared + 10);
	return 0;
}
