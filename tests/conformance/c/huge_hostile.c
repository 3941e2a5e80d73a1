/* Covers: huge pages under attack: processes map, touch, share, fork, shrink, move, cut and give back more of them than there are, while
 * the pool changes its size. Each gets what it mapped or a signal, and in the end nothing is in use or reserved.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include "huge_case.h"

#define POOL_PAGES 6
#define ROUNDS 80
#define ATTACKERS 3
#define MAP_HUGE (MAP_ANONYMOUS | MAP_HUGETLB)

static unsigned next_number(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 16;
}

static int wrong;

/* What was written must be there, unless a signal says that there is no page. */
static void use(char *at, long count, char mark)
{
	for (long i = 0; i < count; i++)
		if (strcmp(writing(at + i * HUGE, mark), "fine") == 0 && at[i * HUGE] != mark)
			wrong++;
}

static void attack(unsigned seed)
{
	unsigned state = seed * 7919 + 1;
	catch_faults();
	for (int round = 0; round < ROUNDS; round++) {
		unsigned kind = next_number(&state);
		long count = 1 + next_number(&state) % 4;
		int flags = (kind & 1 ? MAP_SHARED : MAP_PRIVATE) | (kind & 2 ? MAP_NORESERVE : 0);
		int memory = -1;
		char *at;
		if (kind & 4) {
			memory = (int)syscall(SYS_memfd_create, "huge", 4);
			at = mmap(NULL, (size_t)count * HUGE, RW, flags, memory, 0);
		} else
			at = mmap(NULL, (size_t)count * HUGE, RW, flags | MAP_HUGE, -1, 0);
		if (at == MAP_FAILED) {
			close(memory);
			usleep(500);
			continue;
		}
		use(at, count, (char)(1 + (round & 63)));
		char *to = mmap(NULL, (size_t)(count + 1) * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *aligned = (char *)(((uintptr_t)to + HUGE - 1) & ~(HUGE - 1));
		pid_t child;
		switch (next_number(&state) % 8) {
		case 0:
			if (mremap(at, (size_t)count * HUGE, (size_t)count * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, aligned) == aligned) {
				use(aligned, count, 'm');
				munmap(aligned, (size_t)count * HUGE);
			}
			break;
		case 1:
			if (mremap(at, (size_t)count * HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, aligned) == aligned) {
				use(aligned, 1, 's');
				munmap(aligned, HUGE);
			}
			break;
		case 2:
			child = fork();
			if (child == 0) {
				use(at, count, 'c');
				_exit(wrong != 0);
			}
			/* What is shared they write one after the other. */
			int status = -1, takes_turns = kind & 1;
			if (child > 0 && takes_turns)
				waitpid(child, &status, 0);
			use(at, count, 'p');
			if (child > 0 && !takes_turns)
				waitpid(child, &status, 0);
			wrong += child > 0 && status != 0;
			break;
		case 3:
			madvise(at, HUGE, MADV_DONTNEED);
			use(at, count, 'd');
			break;
		case 4:
			munmap(at + (count / 2) * HUGE, HUGE);
			mremap(at, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, aligned);
			munmap(aligned, HUGE);
			break;
		case 5:
			mprotect(at, HUGE, PROT_READ);
			mprotect(at, (size_t)count * HUGE, RW);
			use(at, count, 'r');
			break;
		case 6:
			if (memory >= 0) {
				fallocate(memory, 3, 0, HUGE);
				use(at, count, 'f');
				if (ftruncate(memory, HUGE) < 0)
					errno = 0;
				use(at, count, 't');
			}
			break;
		default:
			if (mmap(at + HUGE / 2, HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
				wrong++;
			if (mremap(at, HUGE, 2 * HUGE, MREMAP_MAYMOVE) != MAP_FAILED)
				wrong++;
		}
		munmap(to, (size_t)(count + 1) * HUGE);
		munmap(at, (size_t)count * HUGE);
		close(memory);
	}
	_exit(wrong != 0);
}

static long free_kib(void)
{
	char line[128];
	long kib = -1;
	FILE *file = fopen("/proc/meminfo", "r");
	while (file && fgets(line, sizeof line, file))
		sscanf(line, "MemFree: %ld", &kib);
	if (file)
		fclose(file);
	return kib;
}

static void attack_all(void)
{
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
			usleep(5000);
			write_number(POOL_AT, i % 5 + 2);
			write_number(SURPLUS_AT, i % 3);
		}
	for (int i = 0; i < ATTACKERS; i++)
		show_end(children[i]);
	kill(switcher, SIGKILL);
	waitpid(switcher, NULL, 0);
	MUST(write_number(SURPLUS_AT, 0));
	MUST(write_number(POOL_AT, POOL_PAGES));
}

int main(void)
{
	MUST(write_number(POOL_AT, POOL_PAGES));
	attack_all();
	pool("after");
	long before = free_kib();
	attack_all();
	pool("again");
	CHECK(before - free_kib() < 4096);
	MUST(write_number(POOL_AT, 0));
	pool("end");
	return 0;
}
