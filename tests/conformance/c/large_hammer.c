/* Covers: transparent huge pages under threads that write to them while others fork, cut, lock, collapse and read them: no write is lost. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/uio.h>
#include "large_case.h"

enum { LENGTH = 4 * HUGE, WRITERS = 3, ROUNDS = 120, PAGES = LENGTH / PAGE };

static char *place;
static volatile int is_over;
static int lost[WRITERS];

static volatile unsigned *lane(int writer, int page)
{
	return (volatile unsigned *)(place + (size_t)page * PAGE + 64 * (writer + 1));
}

/* Count in a word of its own of each page, and see that nobody else changes it. */
static void *write_all(void *argument)
{
	int writer = (int)(long)argument;
	static unsigned values[WRITERS][PAGES];
	unsigned *known = values[writer];
	for (unsigned at = writer * 1000; !is_over; at = at * 5 + 2731) {
		int page = at / 7 % PAGES;
		volatile unsigned *word = lane(writer, page);
		if (*word != known[page])
			lost[writer]++;
		*word = ++known[page];
	}
	for (int page = 0; page < PAGES; page++)
		lost[writer] += *lane(writer, page) != known[page];
	return 0;
}

/* A child has what was there when it was made, and what it writes is its own. */
static void look_from_child(int block)
{
	pid_t child = fork();
	if (child == 0) {
		int wrong = 0;
		for (int page = block * 512; page < block * 512 + 512; page += 37) {
			unsigned before = *lane(0, page);
			*lane(1, page) = 77;
			usleep(0);
			wrong += *lane(0, page) != before || *lane(1, page) != 77;
		}
		_exit(wrong != 0);
	}
	int status = 0;
	MUST(waitpid(child, &status, 0));
	if (status != 0)
		printf("a child saw what it should not: %x\n", status);
}

static void read_from_outside(int page)
{
	static char copy[8 * PAGE];
	struct iovec here = { copy, sizeof copy }, there = { place + (size_t)page * PAGE, sizeof copy };
	MUST(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
}

int main(void)
{
	pthread_t threads[WRITERS];
	borrow_settings();
	store("defrag", "always");
	store("enabled", "always");
	place = aligned(LENGTH, RW);
	for (long i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], 0, write_all, (void *)i);
	unsigned chance = 1;
	for (int round = 0; round < ROUNDS; round++) {
		chance = chance * 1664525u + 1013904223u;
		int block = chance >> 20 & 3, page = block * 512 + (chance >> 10 & 255);
		char *at = place + block * HUGE;
		switch (chance >> 28) {
		case 0 ... 4:
			madvise(at, HUGE, MADV_COLLAPSE);
			break;
		case 5 ... 7:
			look_from_child(block);
			break;
		case 8 ... 9:
			MUST(madvise(place + (size_t)page * PAGE, 5 * PAGE, MADV_NOHUGEPAGE));
			MUST(madvise(place, LENGTH, MADV_HUGEPAGE));
			break;
		case 10:
			MUST(mlock(place + (size_t)page * PAGE, 3 * PAGE));
			MUST(munlock(place, LENGTH));
			break;
		case 11:
			read_from_outside(page);
			break;
		case 12 ... 13:
			MUST(mprotect(place, LENGTH, RW | PROT_EXEC));
			MUST(mprotect(place, LENGTH, RW));
			break;
		default:
			MUST(mprotect(place + (size_t)page * PAGE, 9 * PAGE, RW | PROT_EXEC));
			MUST(mprotect(place + (size_t)page * PAGE, 9 * PAGE, RW));
		}
	}
	is_over = 1;
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], 0);
		printf("lost by %d: %d\n", i, lost[i]);
	}
	return 0;
}
