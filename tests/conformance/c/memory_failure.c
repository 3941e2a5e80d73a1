/* Memory that is broken: anonymous pages.
 * Covers: madvise (MADV_HWPOISON, MADV_SOFT_OFFLINE); SIGBUS with BUS_MCEERR_AR; fork, mprotect, mremap, munmap,
 * MADV_DONTNEED, mincore, read, write, pipes, ptrace and process_vm_readv of such a page; /proc/meminfo.
 */
#define _GNU_SOURCE
#include <sys/uio.h>
#include "broken_case.h"

#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23

static char *pages(int count, int flags)
{
	char *at = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
	for (int i = 0; i < count; i++)
		at[i * PAGE] = 'a' + i;
	return base = at;
}

static unsigned long pagemap(char *at)
{
	unsigned long entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	pread(fd, &entry, 8, (unsigned long)at / PAGE * 8);
	close(fd);
	return entry;
}

int main(void)
{
	catch_signals();
	long before = corrupted();

	puts("--- arguments");
	char *at = pages(4, MAP_PRIVATE);
	SHOW(madvise(at + 1, PAGE, HWPOISON));
	SHOW(madvise(at, 0, HWPOISON));
	SHOW(madvise(at, -1, HWPOISON));
	SHOW(madvise(at, -PAGE, HWPOISON));
	SHOW(madvise(at, PAGE, 102));
	SHOW(madvise((void *)0x10000, PAGE, HWPOISON));
	SHOW(madvise((void *)0x10000, PAGE, SOFT_OFFLINE));
	SHOW(madvise((void *)-PAGE, PAGE - 1, SOFT_OFFLINE));
	IN_CHILD(MUST(setuid(1000)); SHOW(madvise(at, PAGE, HWPOISON)); SHOW(madvise(at, PAGE, SOFT_OFFLINE)); SHOW(madvise(at + 1, PAGE, SOFT_OFFLINE)); SHOW(madvise(at, 0, HWPOISON)));
	mprotect(at, PAGE, PROT_NONE);
	SHOW(madvise(at, PAGE, HWPOISON));
	SHOW(madvise(at, PAGE, SOFT_OFFLINE));
	munmap(at, 4 * PAGE);

	puts("--- private");
	at = pages(4, MAP_PRIVATE);
	MAY_BREAK(SHOW(poison(at + PAGE)));
	MAY_BREAK(sink = at[PAGE + 10]);
	MAY_BREAK(at[PAGE + 20] = 1);
	MAY_BREAK(sink = at[0]; sink = at[2 * PAGE]);
	CHECK(corrupted() - before == 4);
	SHOW(poison(at + PAGE));
	SHOW(madvise(at + PAGE, PAGE, SOFT_OFFLINE));
	unsigned char there[4];
	SHOW(mincore(at, 4 * PAGE, there));
	printf("%d%d%d%d\n", there[0], there[1], there[2], there[3]);
	printf("pagemap %lx\n", pagemap(at + PAGE) >> 55);
	SHOW(madvise(at + PAGE, PAGE, MADV_POPULATE_READ));
	SHOW(madvise(at + PAGE, PAGE, MADV_POPULATE_WRITE));
	SHOW(madvise(at, 4 * PAGE, MADV_POPULATE_WRITE));
	SHOW(mlock(at, 4 * PAGE));
	SHOW(munlock(at, 4 * PAGE));

	puts("--- calls");
	int fds[2];
	MUST(pipe(fds));
	SHOW(write(fds[1], at + PAGE, 10));
	SHOW(write(fds[1], at + PAGE - 10, 20));
	SHOW(write(fds[1], at, 30));
	SHOW(read(fds[0], at + PAGE - 5, 10));
	SHOW(read(fds[0], at + PAGE, 5));
	SHOW(read(fds[0], at, 5));
	int devzero = MUST(open("/dev/zero", O_RDONLY));
	SHOW(read(devzero, at + PAGE - 5, 10));
	close(devzero);
	struct iovec here = { at + 2 * PAGE, 10 }, far = { at + PAGE, 10 };
	SHOW(process_vm_readv(getpid(), &here, 1, &far, 1, 0));
	SHOW(process_vm_writev(getpid(), &here, 1, &far, 1, 0));
	int fd = MUST(open("/proc/self/mem", O_RDWR));
	SHOW(pread(fd, at, 10, (long)(at + PAGE)));
	SHOW(pwrite(fd, at, 10, (long)(at + PAGE)));
	close(fd);
	SHOW(vmsplice(fds[1], &far, 1, 0));

	puts("--- fork, mprotect, mremap");
	IN_CHILD(MAY_BREAK(sink = at[PAGE + 1]); MAY_BREAK(sink = at[0]); SHOW(madvise(at + PAGE, PAGE, MADV_DONTNEED)); MAY_BREAK(printf("%d\n", at[PAGE])));
	SHOW(mprotect(at, 4 * PAGE, PROT_NONE));
	SHOW(mprotect(at, 4 * PAGE, PROT_READ | PROT_WRITE));
	MAY_BREAK(sink = at[PAGE + 3]);
	MAY_BREAK(printf("%c%c\n", at[0], at[3 * PAGE]));
	base = at = mremap(at, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	MAY_BREAK(sink = at[PAGE + 4]);
	SHOW(madvise(at + PAGE, PAGE, MADV_FREE));
	MAY_BREAK(at[PAGE + 4] = 1; printf("%d\n", at[PAGE + 4]));
	SHOW(madvise(at + PAGE, PAGE, MADV_DONTNEED));
	MAY_BREAK(at[PAGE + 5] = 7; printf("%d\n", at[PAGE + 5]));
	CHECK(corrupted() - before == 4);

	puts("--- several, over a hole");
	munmap(at + 4 * PAGE, PAGE);
	SHOW(madvise(at + 3 * PAGE, 2 * PAGE, SOFT_OFFLINE));
	CHECK(corrupted() - before == 8);
	SHOW(at[3 * PAGE]);

	puts("--- soft");
	munmap(at, 8 * PAGE);
	at = pages(4, MAP_PRIVATE);
	SHOW(madvise(at, 4 * PAGE, SOFT_OFFLINE));
	printf("%c%c%c%c\n", at[0], at[PAGE], at[2 * PAGE], at[3 * PAGE]);
	SHOW(madvise(at, 100, SOFT_OFFLINE));
	SHOW(at[0]);
	CHECK(corrupted() - before == 28);

	puts("--- of a parent");
	munmap(at, 4 * PAGE);
	at = pages(4, MAP_PRIVATE);
	MUST(pipe(fds));
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		char c;
		close(fds[1]);
		read(fds[0], &c, 1);
		MAY_BREAK(sink = at[PAGE + 1]);
		MAY_BREAK(printf("%c\n", at[0]));
		MAY_BREAK(printf("%c\n", at[2 * PAGE]));
		at[2 * PAGE] = 'x';
		SHOW(at[2 * PAGE]);
		_exit(0);
	}
	MAY_BREAK(SHOW(poison(at + PAGE)));
	SHOW(madvise(at + 2 * PAGE, PAGE, SOFT_OFFLINE));
	SHOW(at[2 * PAGE]);
	close(fds[1]);
	show_end(child);
	MAY_BREAK(sink = at[PAGE + 1]);
	SHOW(at[2 * PAGE]);

	puts("--- blocked, ignored, default");
	IN_CHILD(sigset_t set; sigemptyset(&set); sigaddset(&set, SIGBUS); sigprocmask(SIG_BLOCK, &set, NULL); SHOW(poison(at)); puts("not reached"));
	IN_CHILD(signal(SIGBUS, SIG_IGN); SHOW(poison(at + 3 * PAGE)); puts("not reached"));
	IN_CHILD(signal(SIGBUS, SIG_DFL); SHOW(sink = at[PAGE]); puts("not reached"));
	MAY_BREAK(sink = at[0]);
	MAY_BREAK(sink = at[3 * PAGE]);

	puts("--- shared");
	munmap(at, 4 * PAGE);
	at = pages(4, MAP_SHARED);
	fflush(stdout);
	MUST(pipe(fds));
	child = fork();
	if (child == 0) {
		char c;
		close(fds[1]);
		read(fds[0], &c, 1);
		MAY_BREAK(sink = at[PAGE + 1]);
		MAY_BREAK(printf("%c\n", at[2 * PAGE]));
		_exit(0);
	}
	MAY_BREAK(SHOW(poison(at + PAGE)));
	SHOW(madvise(at + 2 * PAGE, PAGE, SOFT_OFFLINE));
	close(fds[1]);
	show_end(child);
	MAY_BREAK(sink = at[PAGE + 1]);
	MAY_BREAK(at[PAGE + 1] = 4);
	SHOW(poison(at + PAGE));
	SHOW(mincore(at, 4 * PAGE, there));
	printf("%d%d%d%d\n", there[0], there[1], there[2], there[3]);
	SHOW(madvise(at + PAGE, PAGE, MADV_DONTNEED));
	MAY_BREAK(at[PAGE + 1] = 4);
	SHOW(madvise(at + PAGE, PAGE, MADV_POPULATE_READ));
	SHOW(madvise(at + PAGE, PAGE, MADV_REMOVE));
	MAY_BREAK(printf("%d\n", at[PAGE + 1]));
	return 0;
}
