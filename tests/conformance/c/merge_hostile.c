/* Covers: KSM under attack: pages that are merged and written, moved by mremap(2), forked, given away, served by userfaultfd(2), watched
 * for writes and read by devices, all at once, while root stops, starts and undoes merging; pages with one checksum. What memory holds is
 * always right, and nothing is left merged.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include "merge_case.h"

#define PAGES 24L
#define ROUNDS 60
#define ATTACKERS 3
#ifndef PAGE
#define PAGE 4096L
#endif

static unsigned next_number(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 16;
}

static void quiet_store(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, KSM "%s", name);
	int fd = open(path, O_WRONLY);
	if (fd >= 0) {
		if (write(fd, text, strlen(text)) < 0)
			errno = 0;
		close(fd);
	}
}

/* One of a few contents, so that many pages are equal; the last word says which. */
static void fill_page(char *page, unsigned kind)
{
	memset(page, (int)(kind & 3) * 17, PAGE);
	*(unsigned *)(page + PAGE - 4) = kind;
}

static int is_page(const char *page, unsigned kind)
{
	for (long i = 0; i < PAGE - 4; i += 251)
		if (page[i] != (char)((kind & 3) * 17))
			return 0;
	return *(const unsigned *)(page + PAGE - 4) == kind;
}

static int wrong;

static void check_all(char *at, const unsigned *kinds)
{
	for (long i = 0; i < PAGES; i++)
		if (!is_page(at + i * PAGE, kinds[i]))
			wrong++;
}

static char *watched;
static volatile int watch_over;
static int watcher;

static void *unwatch(void *unused)
{
	(void)unused;
	while (!watch_over) {
		struct uffdio_writeprotect free_again = { { (uintptr_t)watched, (uint64_t)(PAGES * PAGE) }, 0 };
		ioctl(watcher, UFFDIO_WRITEPROTECT, &free_again);
		sched_yield();
	}
	return NULL;
}

/* Watch a range for writes, write to it while another thread lets the writes through, and end it. */
static void watch(char *at, unsigned *kinds, unsigned *state)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register all = { { (uintptr_t)at, (uint64_t)(PAGES * PAGE) }, UFFDIO_REGISTER_MODE_WP, 0 };
	struct uffdio_writeprotect stop = { { (uintptr_t)at, (uint64_t)(PAGES * PAGE) }, UFFDIO_WRITEPROTECT_MODE_WP };
	pthread_t thread;
	watcher = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (watcher < 0)
		return;
	watched = at;
	watch_over = 0;
	if (ioctl(watcher, UFFDIO_API, &api) == 0 && ioctl(watcher, UFFDIO_REGISTER, &all) == 0) {
		ioctl(watcher, UFFDIO_WRITEPROTECT, &stop);
		if (pthread_create(&thread, NULL, unwatch, NULL) == 0) {
			for (int i = 0; i < 4; i++) {
				long page = next_number(state) % PAGES;
				kinds[page] = next_number(state) & 7;
				fill_page(at + page * PAGE, kinds[page]);
			}
			watch_over = 1;
			pthread_join(thread, NULL);
		}
		ioctl(watcher, UFFDIO_UNREGISTER, &all.range);
	}
	close(watcher);
}

static void attack(unsigned seed)
{
	unsigned state = seed * 7919 + 1, kinds[PAGES];
	char *room = (char *)MUST((long)mmap(NULL, 4 * PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *at = room;
	int pipes[2];
	MUST(pipe(pipes));
	MUST((long)mmap(at, PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	MUST(madvise(at, PAGES * PAGE, MADV_MERGEABLE));
	for (long i = 0; i < PAGES; i++)
		fill_page(at + i * PAGE, kinds[i] = next_number(&state) & 7);
	for (int round = 0; round < ROUNDS; round++) {
		long page = next_number(&state) % PAGES;
		char *to;
		pid_t child;
		switch (next_number(&state) % 10) {
		case 0:
			to = at == room ? room + 2 * PAGES * PAGE : room;
			if (mremap(at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
				at = to;
			break;
		case 1: /* page by page to another place */
			to = at == room ? room + 2 * PAGES * PAGE : room;
			for (long i = PAGES - 1; i >= 0; i--)
				if (mremap(at + i * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + i * PAGE) == MAP_FAILED)
					wrong++;
			at = to;
			break;
		case 2: /* pages move out, and are mapped anew */
			to = at == room ? room + 2 * PAGES * PAGE : room;
			if (mremap(at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | 4, to) == to) {
				for (long i = 0; i < PAGES; i++)
					wrong += at[i * PAGE] != 0;
				at = to;
			}
			break;
		case 3:
			child = fork();
			if (child == 0) {
				wrong = 0;
				kinds[page] ^= 5;
				fill_page(at + page * PAGE, kinds[page]);
				check_all(at, kinds);
				_exit(wrong != 0);
			}
			if (child > 0) {
				int status = -1;
				fill_page(at + page * PAGE, kinds[page] ^= 1);
				waitpid(child, &status, 0);
				wrong += status != 0;
			}
			break;
		case 4:
			madvise(at + page * PAGE, PAGE, MADV_DONTNEED);
			wrong += at[page * PAGE] != 0;
			fill_page(at + page * PAGE, kinds[page]);
			break;
		case 5:
			madvise(at, PAGES * PAGE, MADV_UNMERGEABLE);
			madvise(at, PAGES * PAGE, MADV_MERGEABLE);
			break;
		case 6:
			watch(at, kinds, &state);
			madvise(at, PAGES * PAGE, MADV_MERGEABLE);
			break;
		case 7: /* a transfer into a page that may be merged */
			kinds[page] = next_number(&state) & 7;
			to = (char *)MUST((long)mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
			fill_page(to, kinds[page]);
			if (write(pipes[1], to, PAGE) != PAGE || read(pipes[0], at + page * PAGE, PAGE) != PAGE)
				wrong++;
			munmap(to, PAGE);
			break;
		case 8:
			mprotect(at, PAGES * PAGE / 2, PROT_READ);
			mprotect(at, PAGES * PAGE, RW);
			break;
		default:
			fill_page(at + page * PAGE, kinds[page] = next_number(&state) & 7);
			usleep(2000);
		}
		check_all(at, kinds);
	}
	_exit(wrong != 0);
}

/* Many pages with different contents and, as far as a hash by words goes, one checksum: pairs of words differ in their highest bits. */
static void one_checksum(void)
{
	long count = 512;
	char *at = (char *)MUST((long)mmap(NULL, (size_t)(count * PAGE), RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (long i = 0; i < count; i++) {
		unsigned *words = (unsigned *)(at + i * PAGE);
		memset(words, 0x55, PAGE);
		for (int bit = 0; bit < 9; bit++)
			if (i >> 1 >> bit & 1) {
				words[1000 + 2 * bit] ^= 0x80000000;
				words[1001 + 2 * bit] ^= 0x80000000;
			}
	}
	MUST(madvise(at, (size_t)(count * PAGE), MADV_MERGEABLE));
	long before = ksm("full_scans");
	for (int i = 0; i < 6000 && ksm("full_scans") < before + 4; i++)
		sleep_ms(10);
	CHECK(ksm("full_scans") >= before + 4);
	CHECK(ksm("pages_sharing") > 0);
	CHECK(ksm("stable_node_dups") == 0);
	int right = 1;
	for (long i = 0; i < count; i++)
		for (int bit = 0; bit < 9; bit++)
			right &= ((unsigned *)(at + i * PAGE))[1000 + 2 * bit] == (i >> 1 >> bit & 1 ? 0xd5555555 : 0x55555555);
	CHECK(right);
	MUST(munmap(at, (size_t)(count * PAGE)));
}

int main(void)
{
	store("pages_to_scan", "2000");
	store("sleep_millisecs", "1");
	store("smart_scan", "0");
	store("run", "1");
	pid_t children[ATTACKERS];
	fflush(stdout);
	for (unsigned i = 0; i < ATTACKERS; i++) {
		children[i] = (pid_t)MUST(fork());
		if (children[i] == 0)
			attack(i);
	}
	pid_t switcher = (pid_t)MUST(fork());
	if (switcher == 0)
		for (int i = 0;; i++) {
			usleep(10000);
			quiet_store("use_zero_pages", i & 1 ? "1" : "0");
			quiet_store("run", i % 7 == 6 ? "2" : i % 7 == 3 ? "0" : "1");
		}
	for (int i = 0; i < ATTACKERS; i++)
		show_end(children[i]);
	kill(switcher, SIGKILL);
	waitpid(switcher, NULL, 0);
	store("run", "2");
	until_ksm("pages_shared", 0);
	store("use_zero_pages", "0");
	store("run", "1");
	one_checksum();
	until_ksm("pages_shared", 0);
	store("run", "0");
	store("smart_scan", "1");
	store("sleep_millisecs", "20");
	store("pages_to_scan", "100");
	return 0;
}
