/*
 * Covers: memory that the kernel may drop (MAP_DROPPABLE): with which flags it can be mapped, advised, locked, and what a child and
 * /proc/PID/smaps see of it.
 */
#include "case.h"
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#define WRITABLE (PROT_READ | PROT_WRITE)

static char *map(int flags, int fd)
{
	return mmap(0, 4 * PAGE, WRITABLE, flags, fd, 0);
}

#define MAP(flags, fd) ({ char *at_ = map(flags, fd); errno = at_ == MAP_FAILED ? errno : 0; \
	printf("mmap(%s, %s): %s\n", #flags, #fd, at_ == MAP_FAILED ? error_name(errno) : "ok"); if (at_ != MAP_FAILED) munmap(at_, 4 * PAGE); })

static void show_flags(const char *start)
{
	char line[300], wanted[40];
	int here = 0;
	FILE *maps = fopen("/proc/self/smaps", "r");
	snprintf(wanted, sizeof wanted, "%lx-", (long)start);
	while (fgets(line, sizeof line, maps)) {
		if (strchr(line, '-') && strncmp(line, wanted, strlen(wanted)) == 0)
			here = 1;
		if (here && (strncmp(line, "Locked:", 7) == 0 || strncmp(line, "VmFlags:", 8) == 0))
			printf("%s", line);
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			break;
	}
	fclose(maps);
}

static void map_in_all_ways(void)
{
	int file = (int)MUST(open("/tmp/droppable", O_RDWR | O_CREAT, 0600)), zero = (int)MUST(open("/dev/zero", O_RDWR));
	MUST(ftruncate(file, 4 * PAGE));
	unlink("/tmp/droppable");
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS, -1);
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_POPULATE, -1);
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_STACK, -1);
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_LOCKED, -1);
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_SHARED, -1);
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_PRIVATE, -1);
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_SHARED_VALIDATE, -1);
	MAP(MAP_DROPPABLE, file);
	MAP(MAP_DROPPABLE, zero);
	MAP(MAP_DROPPABLE | MAP_PRIVATE, file);
	MAP(MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1);
	MAP(MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
	close(file);
	close(zero);
}

static void advise(char *at)
{
	printf("advice:");
	for (int advice = 0; advice <= 26; advice++) {
		if (advice == 12 || advice == 13 || advice == 25 || (advice > 4 && advice < 8))
			continue;
		printf(" %d %s", advice, madvise(at, PAGE, advice) ? error_name(errno) : "ok");
	}
	puts("");
}

static void use(void)
{
	char *at = map(MAP_DROPPABLE | MAP_ANONYMOUS, -1);
	memset(at, 'x', 4 * PAGE);
	CHECK(at[PAGE] == 'x');
	show_flags(at);
	IN_CHILD(printf("a child sees %d\n", at[PAGE]); show_flags(at));
	TRY(mlock(at, 4 * PAGE));
	show_flags(at);
	TRY(munlock(at, 4 * PAGE));
	TRY(mlock2(at, PAGE, 1));
	show_flags(at);
	TRY(madvise(at, 4 * PAGE, MADV_KEEPONFORK));
	TRY(madvise(at, 4 * PAGE, MADV_DODUMP));
	TRY(madvise(at, 4 * PAGE, MADV_DONTDUMP));
	TRY(madvise(at, 4 * PAGE, MADV_WIPEONFORK));
	TRY(madvise(at, 2 * PAGE, MADV_FREE));
	TRY(mprotect(at, PAGE, PROT_READ));
	TRY(mprotect(at, PAGE, WRITABLE));
	TRY(msync(at, PAGE, MS_SYNC));
	show_flags(at);
	at = mremap(at, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	CHECK(at != MAP_FAILED && at[3 * PAGE] == 'x');
	show_flags(at);
	char *other = mremap(at, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	CHECK(other != MAP_FAILED && other[3 * PAGE] == 'x');
	show_flags(other);
	TRY(munmap(at, 8 * PAGE));
	advise(other);
	TRY(munmap(other, 8 * PAGE));
}

static void lock_all(void)
{
	char *at = map(MAP_DROPPABLE | MAP_ANONYMOUS, -1);
	TRY(mlockall(MCL_CURRENT));
	show_flags(at);
	TRY(munlockall());
	MUST(prctl(PR_SET_DUMPABLE, 1));
}

/* Which error comes first: what may not be locked, or what cannot be mapped so. */
static void orders(void)
{
	struct rlimit none = { 0, 0 };
	MUST(setrlimit(RLIMIT_MEMLOCK, &none));
	MUST(setresuid(1000, 1000, 1000));
	MAP(MAP_DROPPABLE | MAP_ANONYMOUS | MAP_LOCKED, -1);
	MAP(MAP_ANONYMOUS | MAP_LOCKED, -1);
	MAP(MAP_ANONYMOUS | MAP_PRIVATE | MAP_LOCKED, -1);
	MAP(MAP_ANONYMOUS | MAP_SHARED | MAP_GROWSDOWN | MAP_LOCKED, -1);
	MAP(MAP_ANONYMOUS | MAP_PRIVATE | MAP_HUGETLB | MAP_LOCKED, -1);
	int file = (int)MUST(open("/proc/self/exe", O_RDONLY));
	MAP(MAP_LOCKED, file);
	MAP(MAP_SHARED | MAP_LOCKED, file);
	MAP(MAP_PRIVATE | MAP_GROWSDOWN | MAP_LOCKED, file);
	MAP(MAP_SHARED_VALIDATE | MAP_LOCKED | 0x80000000, file);
	int directory = (int)MUST(open("/", O_RDONLY));
	MAP(MAP_PRIVATE | MAP_LOCKED, directory);
}

int main(void)
{
	map_in_all_ways();
	use();
	IN_CHILD(lock_all());
	IN_CHILD(orders());
	return 0;
}
