/*
 * Covers: set_mempolicy, get_mempolicy, mbind, set_mempolicy_home_node, migrate_pages, move_pages: modes and their flags, sets of
 * nodes of all sizes, the order of errors, what fork, threads and exec inherit, policies of shared memory, areas that are cut and
 * joined, numa_maps.
 */
#include "case.h"
#include <pthread.h>
#include <sys/prctl.h>

enum { DEFAULT, PREFERRED, BIND, INTERLEAVE, LOCAL, MANY, WEIGHTED };
#define STATIC 0x8000
#define RELATIVE 0x4000
#define BALANCING 0x2000
#define NODE 1
#define ADDR 2
#define ALLOWED 4
#define STRICT 1
#define MOVE 2
#define MOVE_ALL 4

typedef unsigned long word;

static long set(int mode, const word *nodes, word limit) { return syscall(SYS_set_mempolicy, mode, nodes, limit); }
static long get(int *mode, word *nodes, word limit, void *at, word flags) { return syscall(SYS_get_mempolicy, mode, nodes, limit, at, flags); }
static long mbind_(void *at, word length, int mode, const word *nodes, word limit, unsigned flags)
{
	return syscall(SYS_mbind, at, length, mode, nodes, limit, flags);
}
static long home(void *at, word length, word node, word flags) { return syscall(450, at, length, node, flags); }
static long migrate(int pid, word limit, const word *old, const word *new) { return syscall(SYS_migrate_pages, pid, limit, old, new); }
static long move(int pid, word count, void **pages, const int *nodes, int *status, int flags)
{
	return syscall(SYS_move_pages, pid, count, pages, nodes, status, flags);
}

static word zero[600], first[600] = { 1 }, second[600] = { 2 }, both[600] = { 3 }, far[600], out[600];

static void show_policy(const char *what, void *at)
{
	int mode = -7;
	word nodes[16];
	memset(nodes, 0xaa, sizeof nodes);
	long result = get(&mode, nodes, 1024, at, at ? ADDR : 0);
	if (result)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: mode %#x, nodes %lx %lx %lx\n", what, mode, nodes[0], nodes[1], nodes[15]);
}

static void modes(void)
{
	static const int all[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 255, -1, 0x7fffffff, (int)0x80000000, 0x1000, 0x10000 };
	static const int flags[] = { 0, STATIC, RELATIVE, BALANCING, STATIC | RELATIVE, STATIC | BALANCING, RELATIVE | BALANCING, STATIC | RELATIVE | BALANCING };
	static const struct { const char *name; const word *nodes; word limit; } masks[] = {
		{ "none", NULL, 0 }, { "zero", zero, 64 }, { "first", first, 64 }, { "second", second, 64 }, { "both", both, 64 }, { "far", far, 1024 },
	};
	far[3] = 5;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
			for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
				char text[80];
				set(DEFAULT, NULL, 0);
				long result = set(all[i] | flags[f], masks[m].nodes, masks[m].limit);
				int error = errno;
				snprintf(text, sizeof text, "%#x|%#x %s: %s", all[i], flags[f], masks[m].name, result ? error_name(error) : "ok");
				show_policy(text, NULL);
			}
	set(DEFAULT, NULL, 0);
}

static void sizes(void)
{
	static const word limits[] = { 0, 1, 2, 3, 8, 63, 64, 65, 66, 128, 129, 513, 1023, 1024, 1025, 1026, 1088, 1089, 1090, 2048, 4097, 32767, 32768, 32769, 32770, 65536,
		1ul << 31, 1ul << 32, 1ul << 63, -1ul, -2ul, -61ul, -62ul, -63ul, -64ul, -65ul, -66ul };
	word *edge = (word *)((char *)MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) + PAGE) - 1;
	munmap(edge + 1, PAGE);
	*edge = 1;
	static word wide[600], stray[600];
	wide[0] = 1;
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		printf("limit %#lx: ", limits[i]);
		int mode = -1;
		long a = set(BIND, wide, limits[i]);
		printf("%s, ", a ? error_name(errno) : "ok");
		a = set(BIND, edge, limits[i]);
		printf("%s, ", a ? error_name(errno) : "ok");
		a = set(LOCAL, NULL, limits[i]);
		printf("%s, ", a ? error_name(errno) : "ok");
		a = set(LOCAL, (void *)-4096l, limits[i]);
		printf("%s; ", a ? error_name(errno) : "ok");
		set(BIND | STATIC, both, 64);
		memset(out, 0x55, sizeof out);
		a = get(&mode, out, limits[i], NULL, 0);
		size_t touched = 0;
		for (size_t j = 0; j < sizeof out / sizeof *out; j++)
			touched += out[j] != 0x5555555555555555;
		printf("%s mode %#x, %zu words, %lx; ", a ? error_name(errno) : "ok", mode, touched, touched ? out[0] : 0);
		a = get(NULL, edge, limits[i], NULL, 0);
		printf("%s, ", a ? error_name(errno) : "ok");
		a = get(&mode, NULL, limits[i], NULL, 0);
		printf("%s\n", a ? error_name(errno) : "ok");
		*edge = 1;
	}
	for (int bit = 1; bit < 33000; bit = bit < 60 ? bit * 2 : bit + (bit < 1100 ? 60 : 5000)) {
		memset(stray, 0, sizeof stray);
		stray[0] = 1;
		stray[bit / 64] |= 1ul << bit % 64;
		long a = set(BIND, stray, 32769);
		printf("bit %d: %s, ", bit, a ? error_name(errno) : "ok");
		a = set(BIND, stray, bit + 1);
		printf("%s, ", a ? error_name(errno) : "ok");
		a = set(BIND, stray, bit + 2);
		printf("%s\n", a ? error_name(errno) : "ok");
	}
	set(DEFAULT, NULL, 0);
}

static void asking(void)
{
	int mode = 5;
	char *page = (char *)MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (word flags = 0; flags < 10; flags++)
		for (int with = 0; with < 3; with++) {
			void *at = with == 0 ? NULL : with == 1 ? page + 5 : (void *)0x5000;
			for (int policy = 0; policy <= WEIGHTED; policy++) {
				set(policy, policy == DEFAULT || policy == LOCAL ? NULL : first, 64);
				mode = 99;
				out[0] = 77;
				long a = get(&mode, out, 64, at, flags);
				printf("flags %lx at %d policy %d: %s %d %lx\n", flags, with, policy, a ? error_name(errno) : "ok", mode, out[0]);
			}
		}
	set(DEFAULT, NULL, 0);
	SHOW(get(NULL, NULL, 0, NULL, 0));
	SHOW(get((int *)-1l, NULL, 0, NULL, 0));
	SHOW(get(&mode, (word *)-8l, 64, NULL, 0));
	SHOW(get(&mode, (word *)8, 64, NULL, 0));
	SHOW(get((int *)8, (word *)8, 40000, NULL, 0));
	SHOW(get(&mode, (word *)8, 40000, NULL, 0));
	SHOW(get(&mode, out, 64, (void *)-1l, ADDR));
	SHOW(get(&mode, out, 64, (void *)(1l << 47), ADDR));
	SHOW(get(&mode, out, 64, (void *)0, ADDR));
	SHOW(get(&mode, out, 64, NULL, 1ul << 40));
	MUST(mprotect(page, PAGE, PROT_NONE));
	SHOW(get(&mode, out, 64, page, ADDR));
	SHOW(get(&mode, out, 64, page, ADDR | NODE));
	MUST(mprotect(page, PAGE, PROT_WRITE));
	SHOW(get(&mode, out, 64, page, ADDR | NODE));
	MUST(mprotect(page, PAGE, PROT_EXEC));
	SHOW(get(&mode, out, 64, page, ADDR | NODE));
	MUST(mprotect(page, PAGE, PROT_READ));
	SHOW(get(&mode, out, 64, page, ADDR | NODE));
	CHECK(mode == 0);
}

static void show_areas(void *at, size_t pages)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[300];
	while (fgets(line, sizeof line, maps)) {
		word start, end;
		sscanf(line, "%lx-%lx", &start, &end);
		if (end > (word)at && start < (word)at + pages * PAGE)
			printf(" [%ld,%ld)", ((long)start - (long)at) / PAGE, ((long)end - (long)at) / PAGE);
	}
	fclose(maps);
	printf("\n");
}

/* Lines of numa_maps for a range, without what differs between machines: where, how often used, how many map it. */
static void show_numa(void *at, size_t pages)
{
	FILE *maps = fopen("/proc/self/numa_maps", "r");
	if (!maps) {
		printf("no numa_maps: %s\n", error_name(errno));
		return;
	}
	char line[400];
	while (fgets(line, sizeof line, maps)) {
		char *rest;
		word start = strtoul(line, &rest, 16);
		if (start < (word)at || start >= (word)at + pages * PAGE)
			continue;
		char *active = strstr(rest, " active=");
		if (active) {
			char *after = strchr(active + 1, ' ');
			memmove(active, after, strlen(after) + 1);
		}
		printf("numa +%ld%s", ((long)start - (long)at) / PAGE, rest);
	}
	fclose(maps);
}

/* Pages between two that cannot be touched. */
static char *fresh(size_t pages, int flags)
{
	char *fence = (char *)MUST(mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(mmap(fence + PAGE, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0));
	return fence + PAGE;
}

static void binding(void)
{
	char *at = fresh(16, MAP_PRIVATE | MAP_ANONYMOUS);
	memset(at, 1, 9 * PAGE); /* before the area is cut: Linux joins no areas that got their first pages apart */
	show_areas(at, 16);
	SHOW(mbind_(at + 4 * PAGE, 4 * PAGE, BIND, first, 64, 0));
	show_areas(at, 16);
	SHOW(mbind_(at + 8 * PAGE, 4 * PAGE, BIND, first, 64, 0));
	show_areas(at, 16);
	SHOW(mbind_(at + 12 * PAGE, 2 * PAGE, BIND | STATIC, first, 64, 0));
	show_areas(at, 16);
	SHOW(mbind_(at + 14 * PAGE, 2 * PAGE, BIND | STATIC, both, 64, 0));
	show_areas(at, 16);
	for (int page = 0; page < 16; page++)
		show_policy("page", at + page * PAGE);
	show_numa(at, 16);
	SHOW(mbind_(at + 12 * PAGE, 4 * PAGE, BIND, first, 64, 0));
	show_areas(at, 16);
	SHOW(mbind_(at, 16 * PAGE, DEFAULT, NULL, 0, 0));
	show_areas(at, 16);
	SHOW(mbind_(at, 16 * PAGE, PREFERRED, NULL, 0, 0));
	show_policy("preferred nothing", at);
	set(INTERLEAVE, first, 64);
	show_numa(at, 16);
	SHOW(mbind_(at, 2 * PAGE, DEFAULT, NULL, 0, 0));
	show_numa(at, 16);
	set(PREFERRED | RELATIVE, second, 64);
	show_numa(at, 16);
	set(MANY | STATIC | BALANCING, first, 64);
	show_numa(at, 16);
	set(MANY | BALANCING, first, 64);
	show_numa(at, 16);
	set(LOCAL, NULL, 0);
	show_numa(at, 16);
	set(DEFAULT, NULL, 0);
	static const int modes[] = { PREFERRED, BIND, INTERLEAVE, LOCAL, MANY, WEIGHTED, BIND | RELATIVE, PREFERRED | STATIC, BIND | BALANCING };
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		SHOW(mbind_(at, 16 * PAGE, modes[i], modes[i] == LOCAL ? NULL : first, 64, 0));
		show_policy("it", at + 3 * PAGE);
		show_numa(at, 16);
		SHOW(home(at, 16 * PAGE, 0, 0));
	}
	/* The home node is part of the policy. */
	SHOW(mbind_(at, 16 * PAGE, BIND, first, 64, 0));
	SHOW(home(at + 4 * PAGE, 4 * PAGE, 0, 0));
	show_areas(at, 16);
	SHOW(home(at, 16 * PAGE, 0, 0));
	show_areas(at, 16);
	SHOW(mbind_(at + 8 * PAGE, 4 * PAGE, LOCAL, NULL, 0, 0));
	SHOW(home(at, 16 * PAGE, 0, 0));
	SHOW(home(at + 1, PAGE, 0, 0));
	SHOW(home(at, PAGE, 1, 0));
	SHOW(home(at, PAGE, 1024, 0));
	SHOW(home(at, PAGE, -1ul, 0));
	SHOW(home(at, PAGE, 0, 1));
	SHOW(home(at, 0, 0, 0));
	SHOW(home(at, -1ul, 0, 0));
	SHOW(home(at, -4096ul, 0, 0));
	SHOW(home((void *)-4096l, 4096, 0, 0));
	SHOW(home((void *)-8192l, 4096, 0, 0));
	SHOW(home((void *)0, 4096, 0, 0));
	/* Where a policy goes: moved, grown, cut, forked. */
	char *moved = mremap(at, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	show_policy("moved", moved);
	show_policy("moved, grown", moved + 7 * PAGE);
	SHOW(mprotect(moved + 2 * PAGE, PAGE, PROT_READ));
	show_policy("cut", moved + 2 * PAGE);
	IN_CHILD(show_policy("forked", moved + 2 * PAGE); mbind_(moved, PAGE, LOCAL, NULL, 0, 0); show_policy("its own", moved));
	show_policy("after that", moved);
	MUST(mmap(moved + 4 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	show_policy("mapped anew", moved + 4 * PAGE);
	show_areas(moved, 8);
}

static void errors(void)
{
	char *at = fresh(8, MAP_PRIVATE | MAP_ANONYMOUS);
	MUST(munmap(at - PAGE, PAGE));
	MUST(munmap(at + 8 * PAGE, PAGE));
	SHOW(mbind_(at + 1, PAGE, BIND, first, 64, 0));
	SHOW(mbind_(at, PAGE, BIND, first, 64, 8));
	SHOW(mbind_(at + 1, PAGE, 99, first, 64, 8));
	SHOW(mbind_(at + 1, PAGE, BIND, (void *)8, 64, 8));
	SHOW(mbind_(at + 1, PAGE, BIND, first, 64, 8));
	SHOW(mbind_(at, PAGE, BIND, NULL, 0, 0));
	SHOW(mbind_(at, 0, BIND, NULL, 0, 0));
	SHOW(mbind_(at, -1ul, BIND, NULL, 0, 0));
	SHOW(mbind_(at, -4096ul, BIND, NULL, 0, 0));
	SHOW(mbind_((void *)-4096l, 8192, BIND, first, 64, 0));
	SHOW(mbind_((void *)-8192l, 4096, BIND, first, 64, 0));
	SHOW(mbind_((void *)-8192l, 4096, DEFAULT, NULL, 0, 0));
	SHOW(mbind_((void *)(1l << 47), 4096, DEFAULT, NULL, 0, 0));
	SHOW(mbind_((void *)(1l << 62), 4096, BIND, first, 64, 0));
	SHOW(mbind_(at, PAGE, BIND, second, 64, 0));
	SHOW(mbind_(at + 7 * PAGE, 2 * PAGE, BIND, first, 64, 0));
	show_policy("the last page", at + 7 * PAGE);
	SHOW(mbind_(at - PAGE, 2 * PAGE, BIND, first, 64, 0));
	SHOW(mbind_(at - PAGE, 2 * PAGE, DEFAULT, NULL, 0, 0));
	SHOW(mbind_(at - PAGE, PAGE, DEFAULT, NULL, 0, 0));
	SHOW(mbind_(at - PAGE, 10 * PAGE, DEFAULT, NULL, 0, 0));
	SHOW(mbind_(at, 1ul << 46, DEFAULT, NULL, 0, 0));
	SHOW(mbind_(at, 1ul << 60, DEFAULT, NULL, 0, 0));
	MUST(munmap(at + 3 * PAGE, PAGE));
	SHOW(mbind_(at, 8 * PAGE, BIND, first, 64, 0));
	show_policy("before the hole", at);
	SHOW(mbind_(at, 8 * PAGE, DEFAULT, NULL, 0, 0));
	/* Pages that are there, and nodes that are not wanted. */
	memset(at, 1, 2 * PAGE);
	for (unsigned flags = 0; flags < 8; flags++) {
		SHOW(mbind_(at, 2 * PAGE, BIND, first, 64, flags));
		SHOW(mbind_(at, 2 * PAGE, BIND | RELATIVE, second, 64, flags));
		SHOW(mbind_(at, 2 * PAGE, BIND | RELATIVE, both, 64, flags));
		SHOW(mbind_(at, 2 * PAGE, LOCAL, NULL, 0, flags));
		SHOW(mbind_(at, 2 * PAGE, PREFERRED, NULL, 0, flags));
		SHOW(mbind_(at, 2 * PAGE, DEFAULT, NULL, 0, flags));
		SHOW(mbind_(at + 4 * PAGE, 2 * PAGE, LOCAL, NULL, 0, flags));
		SHOW(mbind_(at, 8 * PAGE, LOCAL, NULL, 0, flags));
		SHOW(mbind_(at + 2 * PAGE, 6 * PAGE, LOCAL, NULL, 0, flags));
		show_policy("now", at);
	}
	CHECK(at[0] == 1 && at[2 * PAGE - 1] == 1);
}

static void *in_thread(void *unused)
{
	show_policy("a thread's", NULL);
	set(LOCAL, NULL, 0);
	show_policy("its own", NULL);
	return NULL;
}

static void inheritance(char *self)
{
	pthread_t thread;
	set(BIND | STATIC, both, 64);
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	show_policy("still", NULL);
	IN_CHILD(show_policy("a child's", NULL); set(DEFAULT, NULL, 0); show_policy("then", NULL));
	show_policy("still", NULL);
	IN_CHILD(execl(self, self, "exec", NULL));
	set(DEFAULT, NULL, 0);
}

static void shared(void)
{
	char *at = fresh(8, MAP_SHARED | MAP_ANONYMOUS);
	SHOW(mbind_(at + 2 * PAGE, 2 * PAGE, BIND, first, 64, 0));
	show_areas(at, 8);
	IN_CHILD(
		SHOW(mbind_(at + 3 * PAGE, 3 * PAGE, PREFERRED, first, 64, 0));
		show_numa(at, 8));
	for (int page = 0; page < 8; page++)
		show_policy("shared", at + page * PAGE);
	show_areas(at, 8);
	show_numa(at, 8);
	int fd = (int)MUST(syscall(SYS_memfd_create, "policies", 0));
	MUST(ftruncate(fd, 8 * PAGE));
	char *one = (char *)MUST(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	char *two = (char *)MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * PAGE));
	SHOW(mbind_(one, 4 * PAGE, INTERLEAVE, first, 64, 0));
	show_policy("through the other", two);
	show_policy("through the other, past it", two + 2 * PAGE);
	SHOW(mbind_(two + PAGE, PAGE, LOCAL, NULL, 0, 0));
	for (int page = 0; page < 8; page++)
		show_policy("file", one + page * PAGE);
	SHOW(mbind_(one, 8 * PAGE, DEFAULT, NULL, 0, 0));
	for (int page = 0; page < 8; page++)
		show_policy("file", one + page * PAGE);
	SHOW(mbind_(one, 8 * PAGE, BIND, first, 64, 0));
	MUST(munmap(one, 8 * PAGE));
	MUST(munmap(two, 4 * PAGE));
	one = (char *)MUST(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	show_policy("mapped again", one);
	close(fd);
	put_file("/tmp/policy", "text", 0644);
	fd = (int)MUST(open("/tmp/policy", O_RDWR));
	MUST(ftruncate(fd, 2 * PAGE));
	one = (char *)MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	SHOW(mbind_(one, PAGE, BIND, first, 64, 0));
	show_policy("a file", one);
	show_policy("a file", one + PAGE);
	unlink("/tmp/policy");
}

static void moving(void)
{
	char *at = fresh(4, MAP_PRIVATE | MAP_ANONYMOUS);
	MUST(munmap(at + 4 * PAGE, PAGE));
	memset(at, 1, 2 * PAGE);
	void *pages[40] = { at, at + PAGE + 7, at + 2 * PAGE, at + 4 * PAGE, (void *)8, (void *)-8l, (void *)(1l << 47) };
	int nodes[40] = { 0 }, status[40];
	for (int i = 7; i < 40; i++)
		pages[i] = at;
	memset(status, 0x77, sizeof status);
	SHOW(move(0, 7, pages, NULL, status, 0));
	for (int i = 0; i < 8; i++)
		printf("%d ", status[i]);
	memset(status, 0x77, sizeof status);
	SHOW(move(0, 7, pages, nodes, status, MOVE));
	for (int i = 0; i < 8; i++)
		printf("%d ", status[i]);
	SHOW(move(0, 0, NULL, NULL, NULL, 0));
	SHOW(move(0, 0, NULL, nodes, NULL, 0));
	SHOW(move(0, 1, NULL, NULL, status, 0));
	SHOW(move(0, 1, pages, NULL, NULL, 0));
	SHOW(move(0, 1, pages, nodes, NULL, 0));
	SHOW(move(0, 1, pages, (int *)8, status, 0));
	SHOW(move(0, 1, NULL, nodes, status, 0));
	SHOW(move(0, 1, pages, nodes, status, 1));
	SHOW(move(0, 1, pages, nodes, status, 8));
	SHOW(move(0, 1, pages, nodes, status, MOVE_ALL));
	SHOW(move(getpid(), 1, pages, nodes, status, MOVE_ALL));
	SHOW(move(-1, 1, pages, nodes, status, 0));
	SHOW(move(0x3fffff, 1, pages, nodes, status, 0));
	SHOW(move(0x3fffff, 1, pages, nodes, status, 1));
	static const int bad[] = { 1, -1, 1023, 1024, 0x7fffffff, (int)0x80000000 };
	for (int i = 0; i < 6; i++) {
		nodes[1] = bad[i];
		status[0] = status[1] = 99;
		SHOW(move(0, 3, pages, nodes, status, MOVE));
		printf("%d %d\n", status[0], status[1]);
	}
	nodes[1] = 0;
	/* The end of what can be read or written, at the second sixteen. */
	char *edge = fresh(2, MAP_PRIVATE | MAP_ANONYMOUS);
	munmap(edge + PAGE, PAGE);
	memset(edge, 0, PAGE);
	for (int i = 0; i < 20; i++)
		((void **)(edge + PAGE))[i - 20] = at;
	memset(status, 0x77, sizeof status);
	SHOW(move(0, 21, (void **)(edge + PAGE) - 20, NULL, status, 0));
	for (int i = 0; i < 22; i++)
		printf("%d ", status[i]);
	memset(status, 0x77, sizeof status);
	SHOW(move(0, 21, (void **)(edge + PAGE) - 20, nodes, status, 0));
	for (int i = 0; i < 22; i++)
		printf("%d ", status[i]);
	SHOW(move(0, 21, pages, NULL, (int *)(edge + PAGE) - 20, 0));
	SHOW(move(0, -1ul, pages, NULL, (int *)(edge + PAGE) - 20, 0));
	SHOW(move(0, -1ul, (void **)(edge + PAGE) - 20, NULL, status, 0));
	/* Nothing is there before it is touched. */
	MUST(mprotect(at, PAGE, PROT_NONE));
	SHOW(move(0, 3, pages, NULL, status, 0));
	for (int i = 0; i < 3; i++)
		printf("%d ", status[i]);
	printf("\n");
	/* Another process. */
	int ready[2];
	MUST(pipe(ready));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		at[PAGE] = 3;
		at[3 * PAGE] = 1;
		write(ready[1], "x", 1);
		pause();
	}
	char byte;
	read(ready[0], &byte, 1);
	pages[2] = at + 3 * PAGE;
	SHOW(move(child, 3, pages, NULL, status, 0));
	for (int i = 0; i < 3; i++)
		printf("%d ", status[i]);
	SHOW(migrate(child, 64, first, first));
	kill(child, SIGKILL);
	until_ended(child);
	SHOW(move(child, 3, pages, NULL, status, 0));
	SHOW(migrate(child, 64, first, first));
	waitpid(child, NULL, 0);
	SHOW(move(child, 3, pages, NULL, status, 0));
	SHOW(migrate(0, 64, first, first));
	SHOW(migrate(0, 64, zero, first));
	SHOW(migrate(0, 64, second, first));
	SHOW(migrate(0, 64, first, zero));
	SHOW(migrate(0, 64, first, second));
	SHOW(migrate(0, 64, first, both));
	SHOW(migrate(0, 64, NULL, first));
	SHOW(migrate(0, 64, first, NULL));
	SHOW(migrate(0, 0, NULL, NULL));
	SHOW(migrate(0, 0, first, first));
	SHOW(migrate(0, 1, first, first));
	SHOW(migrate(0, 64, (word *)8, first));
	SHOW(migrate(0, 64, first, (word *)8));
	SHOW(migrate(-1, 64, first, first));
	SHOW(migrate(-1, 64, first, (word *)8));
	SHOW(migrate(0x3fffff, 64, first, zero));
	IN_CHILD(
		MUST(setresuid(1000, 1000, 1000));
		prctl(PR_SET_DUMPABLE, 1);
		SHOW(move(0, 1, pages, nodes, status, MOVE_ALL));
		SHOW(move(0, 1, pages, nodes, status, MOVE_ALL | 1));
		SHOW(move(1, 1, pages, nodes, status, MOVE));
		SHOW(mbind_(at, PAGE, BIND, first, 64, MOVE_ALL));
		SHOW(mbind_(at, PAGE, BIND, first, 64, MOVE));
		SHOW(mbind_(at + 1, PAGE, BIND, first, 64, MOVE_ALL));
		SHOW(migrate(0, 64, first, first));
		SHOW(migrate(0, 64, first, second));
		SHOW(migrate(0, 64, first, both));
		SHOW(migrate(0, 64, first, zero));
		SHOW(migrate(1, 64, first, first));
		SHOW(set(BIND, first, 64)));
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		show_policy("the next program's", NULL);
		return 0;
	}
	modes();
	sizes();
	asking();
	binding();
	errors();
	inheritance(argv[0]);
	shared();
	moving();
	printf("%s", "");
	show_policy("in the end", NULL);
	FILE *status = fopen("/proc/self/status", "r");
	char line[1000];
	while (fgets(line, sizeof line, status))
		if (!strncmp(line, "Mems", 4))
			printf("%s", line);
	return 0;
}
