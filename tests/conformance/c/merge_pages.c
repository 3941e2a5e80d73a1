/* Covers: merging equal pages (KSM): what is merged, what a write, a fork, unmapping and the end of a process do to it, and the figures. */
#define _GNU_SOURCE
#include <sys/ptrace.h>
#include <sys/uio.h>
#include "merge_case.h"

enum { ONES = 20, ZEROS = 10, OTHERS = 10, ALL = ONES + ZEROS + OTHERS };

static char *pages;

static int value_of(int page)
{
	return page < ONES ? 1 : page < ONES + ZEROS ? 0 : page;
}

static void fill(void)
{
	for (int i = 0; i < ALL; i++)
		memset(pages + i * PAGE, value_of(i), PAGE);
}

/* Pages that do not hold what they should, except one. */
static int wrong(int except, int end)
{
	int count = 0;
	for (int i = 0; i < end; i++)
		for (int k = 0; k < PAGE && i != except; k++)
			if (pages[i * PAGE + k] != value_of(i)) {
				count++;
				break;
			}
	return count;
}

static long kib(const char *word)
{
	return in_smaps(pages, word, NULL);
}

static void others_notice(void)
{
	long sum = -1;
	for (int i = 0; i < 6000 && (sum = ksm("pages_unshared") + ksm("pages_volatile")) != OTHERS; i++)
		sleep_ms(10);
	printf("pages that are not merged: %ld\n", sum);
}

static void a_write(void)
{
	long copies = number_in("/proc/vmstat", "cow_ksm ");
	pages[100] = 5;
	printf("a write: %d, wrong: %d, copies: %ld\n", pages[100], wrong(0, ALL), number_in("/proc/vmstat", "cow_ksm ") - copies);
	until_ksm("pages_sharing", ONES + ZEROS - 3);
	pages[100] = 1;
	until_ksm("pages_sharing", ONES + ZEROS - 2);
}

static void a_fork(void)
{
	IN_CHILD(
		printf("the child's, wrong: %d\n", wrong(-1, ALL));
		memset(pages + PAGE, 7, PAGE);
		printf("after its write: %d, wrong: %d\n", pages[PAGE], wrong(1, ALL));
	);
	printf("after the child, wrong: %d\n", wrong(-1, ALL));
	until_ksm("pages_sharing", ONES + ZEROS - 2);
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		for (;;)
			pause();
	until_ksm("pages_sharing", 2 * (ONES + ZEROS) - 2);
	MUST(kill(child, SIGKILL));
	show_end(child);
	until_ksm("pages_sharing", ONES + ZEROS - 2);
}

static void by_others(void)
{
	char five = 5;
	struct iovec from = { &five, 1 }, to = { pages + 3 * PAGE, 1 };
	SHOW(process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	printf("written by a call: %d, wrong: %d\n", pages[3 * PAGE], wrong(3, ALL));
	pages[3 * PAGE] = 1;
	int fd = (int)MUST(open("/proc/self/mem", O_RDWR));
	MUST(mprotect(pages, PAGE * ALL, PROT_READ));
	SHOW(pwrite(fd, &five, 1, (off_t)(pages + 4 * PAGE)));
	printf("written by force: %d, wrong: %d\n", pages[4 * PAGE], wrong(4, ALL));
	MUST(mprotect(pages, PAGE * ALL, RW));
	close(fd);
	pages[4 * PAGE] = 1;
	printf("wrong: %d\n", wrong(-1, ALL));
	until_ksm("pages_sharing", ONES + ZEROS - 2);
	MUST(mprotect(pages, PAGE * ALL, PROT_READ));
	MUST(mprotect(pages, PAGE * ALL, RW));
	pages[0] = 9;
	printf("after a change of protection: %d, wrong: %d\n", pages[0], wrong(0, ALL));
	pages[0] = 1;
	until_ksm("pages_sharing", ONES + ZEROS - 2);
}

static void a_debugger(void)
{
	int status;
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(ptrace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		printf("the debugger wrote: %d, wrong: %d\n", pages[5 * PAGE], wrong(5, ALL));
		fflush(stdout);
		_exit(0);
	}
	MUST(waitpid(child, &status, 0));
	MUST(ptrace(PTRACE_POKEDATA, child, pages + 5 * PAGE, 0x0101010101010107));
	printf("wrong: %d\n", wrong(-1, ALL));
	MUST(ptrace(PTRACE_CONT, child, 0, 0));
	show_end(child);
}

static void an_end(void)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		char *more = map(64, RW, MAP_PRIVATE);
		MUST(madvise(more, 64 * PAGE, MADV_MERGEABLE));
		memset(more, 77, 64 * PAGE);
		for (;;)
			pause();
	}
	until_ksm("pages_shared", 3);
	until_ksm("pages_sharing", 2 * (ONES + ZEROS) - 2 + 63);
	MUST(kill(child, SIGKILL));
	show_end(child);
	until_ksm("pages_shared", 2);
	until_ksm("pages_sharing", ONES + ZEROS - 2);
}

static void part_of_it(void)
{
	MUST(munmap(pages + 10 * PAGE, 5 * PAGE));
	until_ksm("pages_sharing", ONES + ZEROS - 2 - 5);
	MUST((long)mmap(pages + 10 * PAGE, 5 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	MUST(madvise(pages, ALL * PAGE, MADV_MERGEABLE));
	memset(pages + 10 * PAGE, 1, 5 * PAGE);
	until_ksm("pages_sharing", ONES + ZEROS - 2);
	store("run", "0");
	MUST(mlock(pages, 8 * PAGE));
	printf("locked: KSM %ld, Locked %ld\n", kib("KSM:"), kib("Locked:"));
	MUST(munlock(pages, 8 * PAGE));
	MUST(madvise(pages + 8 * PAGE, 4 * PAGE, MADV_UNMERGEABLE));
	printf("separated: %ld, %d; the rest: %ld\n", in_smaps(pages + 8 * PAGE, "KSM:", NULL), is_mergeable(pages + 8 * PAGE),
	       in_smaps(pages + 12 * PAGE, "KSM:", NULL));
	printf("wrong: %d\n", wrong(-1, ALL));
	MUST(madvise(pages + 8 * PAGE, 4 * PAGE, MADV_MERGEABLE));
}

static void all_apart(void)
{
	long copies = number_in("/proc/vmstat", "cow_ksm ");
	store("run", "2");
	printf("run %ld, shared %ld, sharing %ld, scans %ld, merging %ld, KSM %ld\n", ksm("run"), ksm("pages_shared"), ksm("pages_sharing"),
	       ksm("full_scans"), number_in("/proc/self/ksm_merging_pages", ""), kib("KSM:"));
	printf("copied: %d, Rss %ld, Pss %ld, wrong: %d\n", number_in("/proc/vmstat", "cow_ksm ") > copies, kib("Rss:"), kib("Pss:"),
	       wrong(-1, ALL));
}

int main(void)
{
	store("smart_scan", "0");
	store("pages_to_scan", "5000");
	store("sleep_millisecs", "5");
	pages = map(ALL + 24, RW, MAP_PRIVATE);
	MUST(madvise(pages, (ALL + 24) * PAGE, MADV_MERGEABLE));
	fill();
	printf("before: KSM %ld, Rss %ld\n", kib("KSM:"), kib("Rss:"));
	store("run", "1");
	until_ksm("pages_sharing", ONES + ZEROS - 2);
	until_ksm("pages_shared", 2);
	until_merged(ONES + ZEROS);
	others_notice();
	printf("KSM %ld, Rss %ld, Pss %ld, Anonymous %ld, profits: %d %d, wrong: %d\n", kib("KSM:"), kib("Rss:"), kib("Pss:"), kib("Anonymous:"),
	       ksm("general_profit") > 0, number_in("/proc/self/ksm_stat", "ksm_process_profit ") > 0, wrong(-1, ALL));
	printf("in all: %ld\n", number_in("/proc/self/smaps_rollup", "KSM:"));
	store("max_page_sharing", "16");
	store("max_page_sharing", "256");
	store("merge_across_nodes", "0");
	a_write();
	a_fork();
	by_others();
	a_debugger();
	until_ksm("pages_sharing", ONES + ZEROS - 2);
	an_end();
	part_of_it();
	all_apart();

	store("max_page_sharing", "16");
	store("use_zero_pages", "1");
	store("run", "1");
	until_ksm("ksm_zero_pages", ZEROS);
	until_ksm("pages_sharing", ONES - 2);
	printf("shared %ld, chains %ld, their frames %ld\n", ksm("pages_shared"), ksm("stable_node_chains"), ksm("stable_node_dups"));
	printf("zero pages %ld, merging %ld, KSM %ld, wrong: %d\n", number_in("/proc/self/ksm_stat", "ksm_zero_pages "),
	       number_in("/proc/self/ksm_merging_pages", ""), kib("KSM:"), wrong(-1, ALL));
	pages[25 * PAGE] = 3;
	printf("a page of zeros, written to: %d, wrong: %d\n", pages[25 * PAGE], wrong(25, ALL));
	pages[25 * PAGE] = 0;
	all_apart();
	store("run", "0");
	MUST(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0));
	SHOW(prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0));
	printf("switched off: %d, wrong: %d\n", is_mergeable(pages), wrong(-1, ALL));
	store("use_zero_pages", "0");
	store("max_page_sharing", "256");
	store("smart_scan", "1");
	store("pages_to_scan", "100");
	store("sleep_millisecs", "20");
	return 0;
}
