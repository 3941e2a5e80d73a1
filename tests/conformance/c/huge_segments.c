/* Covers: segments of huge pages: shmget (SHM_HUGETLB, SHM_HUGE_*, SHM_NORESERVE), who may have them (CAP_IPC_LOCK,
 * vm.hugetlb_shm_group), shmat, shmdt, shmctl (IPC_STAT, SHM_LOCK, SHM_INFO), fork; maps, smaps, /proc/sysvipc/shm. */
#include <grp.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include "huge_case.h"

#define HUGE_SIZE(shift) ((shift) << 26)
#define GROUP_AT "/proc/sys/vm/hugetlb_shm_group"

static int get(size_t size, int flags)
{
	return shmget(IPC_PRIVATE, size, IPC_CREAT | 0600 | SHM_HUGETLB | flags);
}

static const char *got(int id)
{
	if (id < 0)
		return error_name(errno);
	shmctl(id, IPC_RMID, 0);
	return "ok";
}

static void status(const char *when, int id)
{
	struct shmid_ds ds;
	if (shmctl(id, IPC_STAT, &ds) != 0) {
		printf("%s: %s\n", when, error_name(errno));
		return;
	}
	printf("%s: %lu bytes, mode %o, %lu attached\n", when, (unsigned long)ds.shm_segsz, ds.shm_perm.mode, (unsigned long)ds.shm_nattch);
	char line[512];
	FILE *file = fopen("/proc/sysvipc/shm", "r");
	while (file && fgets(line, sizeof line, file)) {
		long key, number, size, resident = -1;
		unsigned mode;
		if (sscanf(line, "%ld %ld %o %ld %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %ld", &key, &number, &mode, &size, &resident) == 5 && number == id)
			printf("  in /proc: mode %o, %ld bytes, %ld KiB of them there\n", mode, size, resident >> 10);
	}
	if (file)
		fclose(file);
}

static void totals(const char *when)
{
	struct shm_info info;
	SHOW(shmctl(0, SHM_INFO, (struct shmid_ds *)&info) >= 0);
	printf("%s: %d segments, %lu pages, %lu there\n", when, info.used_ids, info.shm_tot, info.shm_rss);
}

static void line_of(char *place)
{
	char line[512], start[32];
	snprintf(start, sizeof start, "%08lx-", (unsigned long)place);
	FILE *stream = fopen("/proc/self/maps", "r");
	while (stream && fgets(line, sizeof line, stream))
		if (strncmp(line, start, strlen(start)) == 0) {
			char *name = strchr(line, '/');
			printf("%.13s %s", strchr(line, ' ') + 1, name ? name : "\n");
		}
	if (stream)
		fclose(stream);
}

static void child_writes(char *p)
{
	printf("the child reads %c\n", p[0]);
	p[0] = 'c';
	p[HUGE] = 'd';
	pool("in the child");
	SHOW(shmdt(p));
}

static void not_root(void)
{
	char text[32];
	snprintf(text, sizeof text, "%s", "");
	setgroups(0, 0);
	setgid(1234);
	setuid(1234);
	printf("another user: %s\n", got(get(HUGE, 0)));
	printf("another user, too many: %s\n", got(get(9 * HUGE, 0)));
	printf("another user, a wrong size: %s\n", got(get(HUGE, HUGE_SIZE(16))));
	int fd = syscall(SYS_memfd_create, "huge", 4);
	printf("another user's file: %s\n", fd < 0 ? error_name(errno) : "ok");
	void *p = map_huge(1, RW, MAP_PRIVATE);
	printf("another user's mapping: %s\n", p == MAP_FAILED ? error_name(errno) : "ok");
}

static void member(void)
{
	gid_t group = 4321;
	setgroups(1, &group);
	setgid(1234);
	setuid(1234);
	printf("a member: %s\n", got(get(HUGE, 0)));
}

static void run(void (*work)(void))
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		work();
		fflush(stdout);
		_exit(0);
	}
	int result = 0;
	waitpid(child, &result, 0);
	printf("ended with %x\n", result);
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	catch_faults();
	SHOW(write_number(SURPLUS_AT, 0));
	SHOW(write_number(POOL_AT, 4));
	pool("set aside");

	puts("--- making them");
	printf("none: %s\n", got(get(0, 0)));
	printf("a small size: %s\n", got(get(1, 0)));
	printf("too many: %s\n", got(get(4 * HUGE + 1, 0)));
	printf("too many, not reserved: %s\n", got(get(9 * HUGE, SHM_NORESERVE)));
	printf("2 MiB: %s\n", got(get(HUGE, HUGE_SIZE(21))));
	printf("1 GiB: %s\n", got(get(HUGE, HUGE_SIZE(30))));
	printf("64 KiB: %s\n", got(get(HUGE, HUGE_SIZE(16))));
	pool("made and removed");
	totals("before");
	int id = get(HUGE + 5, 0);
	status("of two pages", id);
	pool("of two pages");
	totals("of two pages");

	puts("--- attaching");
	char *p = shmat(id, 0, 0);
	printf("attached: %d, aligned: %d\n", p != (void *)-1, (uintptr_t)p % HUGE == 0);
	status("attached", id);
	pool("attached");
	line_of(p);
	p[0] = 'a';
	area_figures("touched", p);
	status("touched", id);
	pool("touched");
	totals("touched");
	in_child(child_writes, p);
	printf("the parent reads %c %c\n", p[0], p[2 * HUGE - 1]);
	status("the child has ended", id);
	char *q = shmat(id, 0, SHM_RDONLY);
	printf("read: %c, written: %s\n", q[0], writing(q, 'x'));
	SHOW(mprotect(q, HUGE, RW));
	SHOW(shmdt(q));
	char *room = mmap(0, 8 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *to = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));
	TRY(shmat(id, to + PAGE, 0));
	TRY(shmat(id, to + PAGE, SHM_REMAP));
	TRY(shmat(id, to + PAGE + 5, SHM_RND | SHM_REMAP));
	TRY(shmat(id, to, 0));
	SHOW(shmat(id, to, SHM_REMAP) == to);
	printf("remapped: %c\n", to[0]);
	SHOW(shmdt(to));
	munmap(room, 8 * HUGE);
	SHOW(munmap(p + HUGE, HUGE));
	status("a part unmapped", id);
	pool("a part unmapped");
	SHOW(shmdt(p + PAGE));
	SHOW(shmdt(p));
	status("detached", id);
	pool("detached");
	p = shmat(id, 0, 0);
	printf("kept: %c %c\n", p[0], p[HUGE]);
	SHOW(madvise(p, HUGE, MADV_REMOVE));
	pool("removed");
	printf("again: %s %d\n", reading(p), p[0]);

	puts("--- locks and removal");
	SHOW(shmctl(id, SHM_LOCK, 0));
	status("locked", id);
	SHOW(shmctl(id, SHM_UNLOCK, 0));
	SHOW(shmctl(id, IPC_RMID, 0));
	status("removed", id);
	line_of(p);
	pool("removed");
	SHOW(shmdt(p));
	status("gone", id);
	pool("gone");
	totals("gone");

	puts("--- without a reservation");
	id = get(5 * HUGE, SHM_NORESERVE);
	pool("made");
	p = shmat(id, 0, 0);
	pool("attached");
	for (int i = 0; i < 5; i++)
		printf("page %d: %s\n", i, writing(p + i * HUGE, 1));
	SHOW(shmctl(id, IPC_RMID, 0));
	SHOW(shmdt(p));
	pool("gone");

	puts("--- by key");
	id = shmget(0x1234567, HUGE, IPC_CREAT | 0600 | SHM_HUGETLB);
	SHOW(shmget(0x1234567, HUGE, 0) == id);
	SHOW(shmget(0x1234567, HUGE + 1, 0));
	SHOW(shmget(0x1234567, 5, SHM_HUGETLB) == id);
	p = shmat(id, 0, 0);
	line_of(p);
	SHOW(shmctl(id, IPC_RMID, 0));
	SHOW(shmdt(p));

	puts("--- who may");
	run(not_root);
	run(member);
	SHOW(write_number(GROUP_AT, 4321));
	run(member);
	run(not_root);
	SHOW(write_number(GROUP_AT, 0));
	SHOW(write_number(POOL_AT, 0));
	pool("after");
	return 0;
}
