/*
 * Covers: vm.overcommit_memory, _ratio, _kbytes: what each mode refuses (mmap, mprotect, brk, mremap, fork, shared memory), what counts and
 * what comes back, and that areas that are promised are not joined with others.
 */
#include "case.h"
#include <sys/shm.h>

static void set(const char *name, const char *value)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/sys/vm/%s", name);
	int fd = open(path, O_WRONLY);
	long result = fd < 0 ? -1 : write(fd, value, strlen(value));
	if (result < 0)
		printf("%s: %s: %s\n", name, value, error_name(errno));
	close(fd);
}

static void show(const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/sys/vm/%s", name);
	show_file(path);
}

static long figure(const char *name)
{
	FILE *info = fopen("/proc/meminfo", "r");
	char line[200];
	long found = -1;
	while (fgets(line, sizeof line, info))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			found = atol(line + strlen(name) + 1);
	fclose(info);
	return found;
}

static char *map(long kib, int prot, int flags)
{
	return mmap(NULL, (size_t)kib << 10, prot, flags | MAP_ANONYMOUS, -1, 0);
}

static const char *tried(void *at)
{
	return at == MAP_FAILED ? error_name(errno) : "ok";
}

#define BOTH (PROT_READ | PROT_WRITE)

/* By how many KiB what is promised grows, roughly: other things happen meanwhile. */
#define GROWS(call) ({ long before_ = figure("Committed_AS"); call; long by_ = figure("Committed_AS") - before_; \
	printf("%s: promises %+ld MiB\n", #call, (by_ + (by_ < 0 ? -512 : 512)) / 1024); })

static void show_areas(char *at, size_t pages)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	char line[300];
	int inside = 0;
	while (fgets(line, sizeof line, maps)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			inside = end > (unsigned long)at && start < (unsigned long)at + pages * PAGE;
			if (inside)
				printf(" [%ld,%ld)", ((long)start - (long)at) / PAGE, ((long)end - (long)at) / PAGE);
		} else if (inside && !strncmp(line, "VmFlags", 7))
			printf(" %s", line);
	}
	fclose(maps);
}

int main(void)
{
	show("overcommit_memory");
	show("overcommit_ratio");
	show("overcommit_kbytes");
	static const char *const values[] = { "3", "-1", "x", "4294967296", "0", "1", "2" };
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		set("overcommit_memory", values[i]);
		show("overcommit_memory");
	}
	set("overcommit_memory", "0");
	long total = figure("MemTotal");
	CHECK(figure("CommitLimit") == total / 2 || labs(figure("CommitLimit") - total / 2) < total / 20);
	set("overcommit_kbytes", "40000");
	show("overcommit_ratio");
	printf("%ld\n", figure("CommitLimit"));
	set("overcommit_ratio", "100");
	show("overcommit_kbytes");
	CHECK(labs(figure("CommitLimit") - total) < total / 10);
	set("overcommit_ratio", "-1");
	set("overcommit_ratio", "50");

	/* What counts. */
	char *at, *other;
	GROWS(at = map(64 << 10, BOTH, MAP_PRIVATE));
	GROWS(munmap(at, 32 << 20));
	GROWS(munmap(at, 64 << 20));
	GROWS(at = map(64 << 10, PROT_READ, MAP_PRIVATE));
	GROWS(mprotect(at, 16 << 20, BOTH));
	GROWS(mprotect(at, 16 << 20, PROT_READ));
	GROWS(mprotect(at, 16 << 20, BOTH); at[0] = 1; mprotect(at, 8 << 20, PROT_READ));
	GROWS(mprotect(at, 64 << 20, BOTH));
	GROWS(at = mremap(at, 64 << 20, 80 << 20, MREMAP_MAYMOVE));
	GROWS(at = mremap(at, 80 << 20, 16 << 20, 0));
	GROWS(mmap(at, 16 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	munmap(at, 16 << 20);
	GROWS(at = map(64 << 10, BOTH, MAP_PRIVATE | MAP_NORESERVE));
	GROWS(mprotect(at, 16 << 20, PROT_READ));
	GROWS(mprotect(at, 16 << 20, BOTH));
	munmap(at, 64 << 20);
	GROWS(at = map(64 << 10, BOTH, MAP_SHARED));
	GROWS(other = mremap(at, 0, 64 << 20, MREMAP_MAYMOVE));
	GROWS(munmap(at, 64 << 20));
	GROWS(munmap(other, 64 << 20));
	GROWS(at = map(64 << 10, BOTH, MAP_SHARED | MAP_NORESERVE));
	munmap(at, 64 << 20);
	int segment = -1;
	GROWS(segment = shmget(IPC_PRIVATE, 32 << 20, 0600));
	GROWS(shmctl(segment, IPC_RMID, NULL));
	GROWS(segment = shmget(IPC_PRIVATE, 32 << 20, 0600 | 010000));
	GROWS(shmctl(segment, IPC_RMID, NULL));
	at = map(64 << 10, BOTH, MAP_PRIVATE);
	int ends[2], back[2];
	char byte;
	MUST(pipe(ends));
	MUST(pipe(back));
	pid_t child;
	GROWS(child = fork(); if (child == 0) { write(back[1], "x", 1); read(ends[0], &byte, 1); _exit(0); } read(back[0], &byte, 1));
	GROWS(write(ends[1], "x", 1); waitpid(child, NULL, 0); settle_for(50));
	munmap(at, 64 << 20);
	void *top = sbrk(0);
	GROWS(brk((char *)top + (32 << 20)));
	GROWS(brk(top));

	/* Mode 0: what alone is too much. */
	printf("too much at once: %s\n", tried(at = map(total + (64 << 10), BOTH, MAP_PRIVATE)));
	printf("not to be written: %s\n", tried(at = map(total + (64 << 10), PROT_READ, MAP_PRIVATE)));
	SHOW(mprotect(at, (size_t)(total + (64 << 10)) << 10, BOTH));
	SHOW(mprotect(at, (size_t)(total / 2) << 10, BOTH));
	SHOW(munmap(at, (size_t)(total + (64 << 10)) << 10));
	printf("not reserved: %s\n", tried(at = map(total + (64 << 10), BOTH, MAP_PRIVATE | MAP_NORESERVE)));
	munmap(at, (size_t)(total + (64 << 10)) << 10);
	printf("shared: %s\n", tried(map(total + (64 << 10), BOTH, MAP_SHARED)));
	printf("shared, not reserved: %s\n", tried(at = map(total + (64 << 10), BOTH, MAP_SHARED | MAP_NORESERVE)));
	munmap(at, (size_t)(total + (64 << 10)) << 10);
	char *parts[8];
	for (int i = 0; i < 8; i++)
		printf("%s ", tried(parts[i] = map(total / 2, BOTH, MAP_PRIVATE)));
	for (int i = 0; i < 8; i++)
		munmap(parts[i], (size_t)(total / 2) << 10);
	printf("\n");
	/* Mode 1: anything. */
	set("overcommit_memory", "1");
	printf("always: %s\n", tried(at = map(total * 4, BOTH, MAP_PRIVATE)));
	munmap(at, (size_t)(total * 4) << 10);
	/* Mode 2: a part of memory all in all. */
	set("overcommit_memory", "2");
	set("overcommit_ratio", "80");
	long left = figure("CommitLimit") - figure("Committed_AS");
	CHECK(left > 32 << 10);
	printf("more: %s\n", tried(map(left + (4 << 10), BOTH, MAP_PRIVATE)));
	printf("more, not reserved: %s\n", tried(map(left + (4 << 10), BOTH, MAP_PRIVATE | MAP_NORESERVE)));
	printf("more, not to be written: %s\n", tried(at = map(left + (4 << 10), PROT_READ, MAP_PRIVATE)));
	SHOW(mprotect(at, (size_t)(left + (4 << 10)) << 10, BOTH));
	munmap(at, (size_t)(left + (4 << 10)) << 10);
	printf("more, shared: %s\n", tried(map(left + (4 << 10), BOTH, MAP_SHARED)));
	printf("most: %s\n", tried(at = map(left - (16 << 10), BOTH, MAP_PRIVATE)));
	fflush(stdout);
	child = fork();
	if (child == 0)
		_exit(0);
	printf("fork: %s\n", child < 0 ? error_name(errno) : "ok");
	if (child > 0)
		waitpid(child, NULL, 0);
	SHOW(mremap(at, (size_t)(left - (16 << 10)) << 10, (size_t)(left + (16 << 10)) << 10, MREMAP_MAYMOVE) == MAP_FAILED);
	SHOW(brk((char *)top + (32 << 20)));
	munmap(at, (size_t)(left - (16 << 10)) << 10);
	set("overcommit_memory", "0");
	set("overcommit_ratio", "50");
	/* A user other than root. */
	IN_CHILD(MUST(setresuid(1000, 1000, 1000)); set("overcommit_memory", "1"));
	/* Areas that differ in this alone are two. */
	at = (char *)MUST(mmap(NULL, 12 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	mmap(at + PAGE, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(at + 5 * PAGE, 4 * PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(at + 5 * PAGE, 1, 4 * PAGE);
	show_areas(at + PAGE, 8);
	SHOW(mprotect(at + 5 * PAGE, 4 * PAGE, PROT_READ));
	show_areas(at + PAGE, 8);
	SHOW(mprotect(at + PAGE, 4 * PAGE, BOTH));
	show_areas(at + PAGE, 8);
	mmap(at + PAGE, 4 * PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	show_areas(at + PAGE, 8);
	return 0;
}
