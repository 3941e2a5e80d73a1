/* Memory that is broken: pages of files, in memory and on a disk.
 * Covers: madvise (MADV_HWPOISON, MADV_SOFT_OFFLINE) of tmpfs and ext2; read, write, sendfile, truncate, fallocate,
 * fsync, mmap of such a page; prctl (PR_MCE_KILL).
 */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include "broken_case.h"

static int fill(const char *path)
{
	static char text[4 * PAGE];
	int fd = MUST(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644));
	for (int i = 0; i < 4; i++)
		memset(text + i * PAGE, 'a' + i, PAGE);
	MUST(write(fd, text, sizeof text));
	return fd;
}

static void show_text(int fd)
{
	char c[4] = "----";
	for (int i = 0; i < 4; i++)
		if (pread(fd, c + i, 1, i * PAGE + 7) != 1)
			c[i] = errno == EIO ? '!' : '?';
	printf("  file: %.4s\n", c);
}

static void try_calls(int fd, const char *path)
{
	static char buffer[4 * PAGE];
	SHOW(pread(fd, buffer, 10, PAGE));
	SHOW(pread(fd, buffer, 10, 2 * PAGE));
	SHOW(pread(fd, buffer, 4 * PAGE, 0));
	SHOW(pread(fd, buffer, 4 * PAGE, PAGE + 5));
	SHOW(pwrite(fd, "xy", 2, PAGE + 3));
	SHOW(pwrite(fd, buffer, PAGE, PAGE));
	SHOW(pwrite(fd, buffer, 3 * PAGE, 0));
	SHOW(pwrite(fd, buffer, 10, 2 * PAGE - 4));
	int out = MUST(open("/tmp/copy", O_RDWR | O_CREAT | O_TRUNC, 0644));
	off_t from = PAGE;
	SHOW(sendfile(out, fd, &from, 10));
	from = 0;
	SHOW(sendfile(out, fd, &from, 2 * PAGE));
	from = 0;
	SHOW(copy_file_range(fd, &from, out, NULL, 2 * PAGE, 0));
	int p[2];
	MUST(pipe(p));
	from = PAGE;
	SHOW(splice(fd, &from, p[1], NULL, 10, 0));
	close(p[0]);
	close(p[1]);
	close(out);
	SHOW(fsync(fd));
	int other = MUST(open(path, O_RDWR));
	SHOW(pread(other, buffer, 10, PAGE));
	SHOW(fdatasync(other));
	close(other);
}

static void in_memory(void)
{
	unsigned char there[4];
	long before = corrupted();
	puts("--- tmpfs");
	int fd = fill("/tmp/file");
	char *at = base = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *also = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	SHOW(also[2 * PAGE] = 'x');
	sink = also[PAGE];
	MAY_BREAK(SHOW(poison(at + PAGE)));
	MAY_BREAK(sink = at[PAGE + 1]);
	MAY_BREAK(at[PAGE + 1] = 1);
	base = also;
	MAY_BREAK(sink = also[PAGE + 1]);
	MAY_BREAK(printf("%c%c\n", at[0], also[2 * PAGE]));
	SHOW(mincore(at, 4 * PAGE, there));
	printf("%d%d%d%d\n", there[0], there[1], there[2], there[3]);
	try_calls(fd, "/tmp/file");
	show_text(fd);
	munmap(at, 4 * PAGE);
	base = at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MAY_BREAK(sink = at[PAGE + 2]);
	MAY_BREAK(at[PAGE + 2] = 1);
	SHOW(poison(at + PAGE));
	SHOW(madvise(at + PAGE, PAGE, SOFT_OFFLINE));
	SHOW(madvise(at, 4 * PAGE, 22));
	SHOW(fallocate(fd, 0, 0, 4 * PAGE));
	SHOW(lseek(fd, 0, SEEK_HOLE));
	SHOW(ftruncate(fd, PAGE + 100));
	SHOW(ftruncate(fd, 4 * PAGE));
	show_text(fd);
	MAY_BREAK(sink = at[PAGE + 2]);
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE + 10, 100));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE));
	show_text(fd);
	MAY_BREAK(printf("%d\n", at[PAGE + 2]));
	munmap(at, 4 * PAGE);
	munmap(also, 4 * PAGE);
	close(fd);

	puts("--- read through a private mapping");
	fd = fill("/tmp/file");
	base = at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	sink = at[PAGE];
	at[2 * PAGE] = 'X';
	MAY_BREAK(SHOW(poison(at + PAGE)));
	MAY_BREAK(SHOW(poison(at + 2 * PAGE)));
	show_text(fd);
	MAY_BREAK(sink = at[2 * PAGE + 2]);
	SHOW(madvise(at + 2 * PAGE, PAGE, MADV_DONTNEED));
	MAY_BREAK(printf("%c\n", at[2 * PAGE + 2]));
	SHOW(madvise(at + 3 * PAGE, PAGE, SOFT_OFFLINE));
	at[0] = 'Y';
	SHOW(madvise(at, PAGE, SOFT_OFFLINE));
	show_text(fd);
	printf("%c%c\n", at[0], at[3 * PAGE]);
	munmap(at, 4 * PAGE);
	close(fd);
	unlink("/tmp/file");

	puts("--- a hole that was only read");
	fd = MUST(open("/tmp/hole", O_RDWR | O_CREAT | O_TRUNC, 0644));
	MUST(ftruncate(fd, 4 * PAGE));
	base = at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MAY_BREAK(SHOW(poison(at + PAGE)));
	MAY_BREAK(sink = at[PAGE]);
	show_text(fd);
	munmap(at, 4 * PAGE);
	close(fd);
	printf("corrupted %ld\n", corrupted() - before);

	puts("--- a hole of a private mapping");
	before = corrupted();
	fd = MUST(memfd_create("m", 0));
	MUST(ftruncate(fd, 4 * PAGE));
	base = at = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	MAY_BREAK(SHOW(poison(at + PAGE)));
	MAY_BREAK(sink = at[PAGE]);
	show_text(fd);
	printf("corrupted %ld\n", corrupted() - before);
}

static void on_disk(void)
{
	unsigned char there[4];
	puts("--- ext2");
	mkdir("/tmp/disk", 0755);
	MUST(system("mke2fs -F /dev/vda >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/tmp/disk", "ext2", 0, ""));
	int fd = fill("/tmp/disk/file");
	int second = MUST(open("/tmp/disk/file", O_RDWR));
	char *at = base = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	long before = corrupted();
	puts("--- clean");
	SHOW(fsync(fd));
	sink = at[PAGE];
	MAY_BREAK(SHOW(poison(at + PAGE)));
	SHOW(mincore(at, 4 * PAGE, there));
	printf("%d%d%d%d\n", there[0], there[1], there[2], there[3]);
	MAY_BREAK(printf("%c\n", at[PAGE + 1]));
	show_text(fd);
	SHOW(fsync(fd));
	puts("--- dirty through a mapping");
	at[PAGE + 7] = 'D';
	MAY_BREAK(SHOW(poison(at + PAGE)));
	MAY_BREAK(printf("%c\n", at[PAGE + 7]));
	show_text(fd);
	SHOW(fsync(fd));
	SHOW(fsync(fd));
	SHOW(fsync(second));
	puts("--- dirty by write");
	SHOW(pwrite(fd, "E", 1, 2 * PAGE + 7));
	MAY_BREAK(SHOW(poison(at + 2 * PAGE)));
	MAY_BREAK(printf("%c\n", at[2 * PAGE + 7]));
	show_text(fd);
	SHOW(fsync(second));
	SHOW(fsync(fd));
	SHOW(fsync(fd));
	puts("--- dirty, and never on the disk");
	int new = fill("/tmp/disk/new");
	munmap(at, 4 * PAGE);
	base = at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, new, 0);
	MAY_BREAK(SHOW(poison(at + 2 * PAGE)));
	MAY_BREAK(sink = at[2 * PAGE + 7]);
	SHOW(fsync(new));
	puts("--- soft");
	SHOW(madvise(at, 4 * PAGE, SOFT_OFFLINE));
	printf("%c%c\n", at[0], at[3 * PAGE]);
	SHOW(fsync(new));
	SHOW(madvise(at, PAGE, SOFT_OFFLINE));
	printf("%c%c\n", at[0], at[3 * PAGE]);
	puts("--- private");
	munmap(at, 4 * PAGE);
	base = at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, new, 0);
	sink = at[3 * PAGE];
	at[0] = 'P';
	MAY_BREAK(SHOW(poison(at + 3 * PAGE)));
	MAY_BREAK(printf("%c\n", at[3 * PAGE]));
	MAY_BREAK(SHOW(poison(at)));
	MAY_BREAK(sink = at[10]);
	SHOW(pread(new, &there, 1, 0));
	SHOW(madvise(at, PAGE, MADV_DONTNEED));
	MAY_BREAK(printf("%c\n", at[0]));
	printf("corrupted %ld\n", corrupted() - before);
	munmap(at, 4 * PAGE);
	close(fd);
	close(second);
	close(new);
	SHOW(umount("/tmp/disk"));
	fflush(stdout);
}

/* What a child hears of pages that its parent breaks: one shared, one private. */
static void others(int policy)
{
	int up[2], down[2];
	char c;
	volatile int got;
	printf("--- another's, policy %d\n", policy);
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *own = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(at, 'a', 4 * PAGE);
	memset(own, 'b', 4 * PAGE);
	MUST(pipe(up));
	MUST(pipe(down));
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		close(down[1]);
		if (policy >= 0)
			SHOW(prctl(PR_MCE_KILL, 1, policy, 0, 0));
		SHOW(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
		sink = at[PAGE];
		for (int i = 0; i < 2; i++) {
			base = i == 0 ? at : own;
			got = 0;
			write(up[1], "x", 1);
			MAY_BREAK(got = read(down[0], &c, 1));
			if (!got)
				read(down[0], &c, 1);
			MAY_BREAK(sink = base[PAGE + 5]);
		}
		_exit(0);
	}
	close(up[1]);
	for (int i = 0; i < 2; i++) {
		read(up[0], &c, 1);
		until_asleep(child);
		base = i == 0 ? at : own;
		if (sigsetjmp(back, 1) == 0)
			poison(base + PAGE);
		until_asleep(child);
		write(down[1], "x", 1);
	}
	close(down[1]);
	show_end(child);
	MAY_BREAK(sink = own[PAGE]);
	munmap(at, 4 * PAGE);
	munmap(own, 4 * PAGE);
}

static void set(const char *name, const char *value)
{
	char path[100];
	snprintf(path, sizeof path, "/proc/sys/vm/%s", name);
	int fd = MUST(open(path, O_WRONLY));
	SHOW(write(fd, value, strlen(value)));
	close(fd);
}

static void show_setting(const char *name)
{
	char path[100];
	snprintf(path, sizeof path, "/proc/sys/vm/%s", name);
	show_file(path);
	set(name, "2");
	set(name, "-1");
	show_file(path);
}

int main(void)
{
	catch_signals();
	in_memory();
	on_disk();
	others(-1);
	others(PR_MCE_KILL_LATE);
	others(PR_MCE_KILL_EARLY);
	show_setting("memory_failure_early_kill");
	show_setting("memory_failure_recovery");
	show_setting("enable_soft_offline");
	set("memory_failure_early_kill", "1");
	others(-1);
	others(PR_MCE_KILL_LATE);
	set("memory_failure_early_kill", "0");
	set("enable_soft_offline", "0");
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at[0] = 'a';
	SHOW(madvise(at, PAGE, SOFT_OFFLINE));
	SHOW(at[0]);
	set("enable_soft_offline", "1");
	SHOW(madvise(at, PAGE, SOFT_OFFLINE));
	return 0;
}
