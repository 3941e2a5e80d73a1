/* Pages that are swapped out: who sees them, how they come back, and what keeps them in memory. */
#define _GNU_SOURCE
#include "swap_case.h"

#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/uio.h>

#define PAGES 64

static void show_used(const char *what)
{
	struct sysinfo info;
	sysinfo(&info);
	long used = (long)(info.totalswap - info.freeswap) / PAGE;
	printf("%s: total %ld, used at least %s\n", what, (long)info.totalswap / PAGE, used >= PAGES ? "64" : used > 0 ? "1" : "0");
}

static void one_program(void)
{
	char *place = memory(PAGES, MAP_PRIVATE | MAP_ANONYMOUS);
	fill(place, PAGES);
	long before = event("pswpout");
	CHECK(here(place, PAGES) == PAGES);
	CHECK(swapped(place, PAGES) == 0);
	page_out(place, PAGES);
	CHECK(swapped(place, PAGES) == PAGES);
	CHECK(figure("/proc/self/status", "VmSwap") >= PAGES * 4);
	CHECK(event("pswpout") - before >= PAGES);
	show_used("out");
	empty(place, PAGES);
	CHECK(here(place, PAGES) == 0);
	CHECK(swapped(place, PAGES) == PAGES);
	before = event("pswpin");
	CHECK(*(long *)(place + 5 * PAGE) == 41);
	CHECK(here(place + 5 * PAGE, 1) == 1);
	CHECK(event("pswpin") > before);
	CHECK(mlock(place + 8 * PAGE, 8 * PAGE) == 0);
	CHECK(here(place + 8 * PAGE, 8) == 8);
	CHECK(swapped(place + 8 * PAGE, 8) == 0);
	SHOW(madvise(place, PAGES * PAGE, 21));
	SHOW(madvise(place + 8 * PAGE, PAGE, 20));
	CHECK(here(place + 8 * PAGE, 8) == 8);
	CHECK(munlock(place, PAGES * PAGE) == 0);
	CHECK(wrong(place, PAGES) == 0);
	page_out(place, PAGES);
	CHECK(mprotect(place, PAGES * PAGE, PROT_NONE) == 0);
	CHECK(swapped(place, PAGES) == PAGES);
	CHECK(mprotect(place, PAGES * PAGE, PROT_READ) == 0);
	CHECK(wrong(place, PAGES) == 0);
	CHECK(mprotect(place, PAGES * PAGE, PROT_READ | PROT_WRITE) == 0);
	fill(place, PAGES);
	page_out(place, PAGES);
	char *moved = mremap(place, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE);
	CHECK(swapped(moved, PAGES) == PAGES);
	CHECK(wrong(moved, PAGES) == 0);
	page_out(moved, PAGES);
	CHECK(madvise(moved, 4 * PAGE, MADV_DONTNEED) == 0);
	CHECK(*(long *)moved == 0 && *(long *)(moved + 4 * PAGE) == 33);
	CHECK(madvise(moved, PAGES * PAGE, MADV_WILLNEED) == 0);
	sleep_ms(300);
	CHECK(*(long *)(moved + 20 * PAGE) == 161);
	CHECK(munmap(moved, 2 * PAGES * PAGE) == 0);
}

static void several_programs(void)
{
	int ends[2];
	char byte = 0;
	char *place = memory(PAGES, MAP_PRIVATE | MAP_ANONYMOUS);
	fill(place, PAGES);
	page_out(place, PAGES);
	MUST(pipe(ends));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		CHECK(swapped(place, PAGES) == PAGES);
		CHECK(wrong(place, PAGES) == 0);
		memset(place, 7, PAGES * PAGE);
		fflush(stdout);
		MUST(write(ends[1], "x", 1));
		pause();
		_exit(0);
	}
	MUST(read(ends[0], &byte, 1));
	CHECK(wrong(place, PAGES) == 0);
	char words[8] = "";
	struct iovec own = { words, 4 }, other = { place + 3 * PAGE, 4 };
	CHECK(process_vm_readv(child, &own, 1, &other, 1, 0) == 4 && words[0] == 7);
	kill(child, SIGKILL);
	show_end(child);
	page_out(place, PAGES);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(ptrace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		_exit(wrong(place, PAGES) != 1);
	}
	waitpid(child, 0, 0);
	CHECK(ptrace(PTRACE_PEEKDATA, child, place + 9 * PAGE, 0) == 73);
	CHECK(ptrace(PTRACE_POKEDATA, child, place + 9 * PAGE, 5) == 0);
	ptrace(PTRACE_CONT, child, 0, 0);
	show_end(child);
	CHECK(wrong(place, PAGES) == 0);
	page_out(place, PAGES);
	int fd = memfd_create("x", 0);
	CHECK(write(fd, place, PAGES * PAGE) == PAGES * PAGE);
	CHECK(pread(fd, place, PAGES * PAGE, 0) == PAGES * PAGE);
	CHECK(wrong(place, PAGES) == 0);
	CHECK(read(fd, 0, 0) == 0);
	close(fd);
	munmap(place, PAGES * PAGE);
}

static void shared_memory(void)
{
	char *place = memory(PAGES, MAP_SHARED | MAP_ANONYMOUS);
	fill(place, PAGES);
	page_out_shared(place, PAGES);
	CHECK(wrong(place, PAGES) == 0);
	int fd = memfd_create("x", 0);
	MUST(ftruncate(fd, PAGES * PAGE));
	char *file = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill(file, PAGES);
	page_out_shared(file, PAGES);
	struct stat about;
	fstat(fd, &about);
	printf("%ld bytes, %ld blocks, data at %ld, hole at %ld\n", (long)about.st_size, (long)about.st_blocks,
		(long)lseek(fd, 0, SEEK_DATA), (long)lseek(fd, 0, SEEK_HOLE));
	long word = 0;
	CHECK(pread(fd, &word, 8, 10 * PAGE) == 8 && word == 81);
	word = -1;
	CHECK(pwrite(fd, &word, 8, 11 * PAGE) == 8);
	CHECK(wrong(file, PAGES) == 1);
	page_out_shared(file, PAGES);
	MUST(ftruncate(fd, 20 * PAGE + 100));
	MUST(ftruncate(fd, PAGES * PAGE));
	CHECK(*(long *)(file + 20 * PAGE) == 161 && *(long *)(file + 20 * PAGE + 512) == 0 && *(long *)(file + 21 * PAGE) == 0);
	munmap(file, PAGES * PAGE);
	close(fd);
	int segment = (int)MUST(shmget(IPC_PRIVATE, PAGES * PAGE, 0600));
	char *attached = shmat(segment, 0, 0);
	fill(attached, PAGES);
	page_out_shared(attached, PAGES);
	CHECK(wrong(attached, PAGES) == 0);
	shmctl(segment, IPC_RMID, 0);
	shmdt(attached);
	munmap(place, PAGES * PAGE);
}

static void taken_away(void)
{
	char *place = memory(PAGES, MAP_PRIVATE | MAP_ANONYMOUS);
	fill(place, PAGES);
	page_out(place, PAGES);
	CHECK(swapped(place, PAGES) == PAGES);
	SHOW(off(DISK));
	CHECK(swapped(place, PAGES) == 0);
	CHECK(here(place, PAGES) == PAGES);
	CHECK(wrong(place, PAGES) == 0);
	SHOW(madvise(place, PAGES * PAGE, 21));
	CHECK(here(place, PAGES) == PAGES);
	show_used("off");
	printf("meminfo %ld %ld\n", figure("/proc/meminfo", "SwapTotal"), figure("/proc/meminfo", "SwapFree"));
}

int main(void)
{
	make_area(DISK, 16383);
	SHOW(on(DISK, 0));
	show_areas();
	one_program();
	several_programs();
	shared_memory();
	taken_away();
	return 0;
}
