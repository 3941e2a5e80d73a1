/*
 * Covers: cachestat(2) of files on a disk, block devices and other files; pages that memory pressure took, which are remembered until
 * they are read again, cut off, or dropped on request; who may ask.
 */
#include "case.h"
#include <sys/mount.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#define PAGES 64

struct range { uint64_t offset, length; };
struct counts { uint64_t cached, dirty, writing, evicted, recent; };

static long cachestat(int fd, struct range *range, struct counts *counts, unsigned flags)
{
	return syscall(SYS_cachestat, fd, range, counts, flags);
}

static void count(const char *what, int fd, uint64_t offset, uint64_t length)
{
	struct range range = { offset, length };
	struct counts is = { 99, 99, 99, 99, 99 };
	if (cachestat(fd, &range, &is, 0) == -1)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %lu cached, %lu dirty, %lu writing, %lu evicted%s\n", what, is.cached, is.dirty, is.writing, is.evicted,
			is.recent <= is.evicted ? "" : ", more of them recently");
}

static void write_text(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	if (write(fd, text, strlen(text)) == -1 && errno != EAGAIN)
		printf("%s: %s\n", path, error_name(errno));
	close(fd);
}

static int fresh(const char *path, int pages)
{
	static char page[PAGE];
	int fd = (int)MUST(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
	for (int i = 0; i < pages; i++)
		MUST(write(fd, page, PAGE));
	MUST(fsync(fd));
	return fd;
}

static void read_pages(int fd, int first, int pages)
{
	char page[PAGE];
	for (int i = first; i < first + pages; i++)
		MUST(pread(fd, page, PAGE, i * PAGE));
}

/* Take everything from this process's group that can be taken. */
static void press(void)
{
	char text[PAGE];
	int fd = (int)MUST(open("/tmp/group/taken/memory.stat", O_RDONLY)); /* Linux counts anew when somebody looks */
	read(fd, text, sizeof text);
	close(fd);
	write_text("/tmp/group/taken/memory.reclaim", "544K");
}

static void remembered(void)
{
	write_text("/tmp/group/taken/cgroup.procs", "0");
	/* Linux forgets what it remembers where a group has little else. */
	char *much = mmap(0, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(much, 1, 16 << 20);
	int fd = fresh("/mnt/file", PAGES), other = fresh("/mnt/other", PAGES);
	count("fresh", fd, 0, 0);
	press();
	count("pressed", fd, 0, 0);
	count("a page", fd, 3 * PAGE + 1, 5);
	count("ten pages", fd, 50 * PAGE, 10 * PAGE);
	count("past the end", fd, 60 * PAGE, 100 * PAGE);
	MUST(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
	read_pages(fd, 0, 16);
	count("read", fd, 0, 0);
	count("what was read", fd, 0, 16 * PAGE);
	static char page[PAGE];
	for (int i = 16; i < 20; i++)
		MUST(pwrite(fd, page, PAGE, i * PAGE));
	MUST(fsync(fd));
	count("written", fd, 0, 0);
	MUST(ftruncate(fd, 40 * PAGE));
	count("cut", fd, 0, 0);
	MUST(ftruncate(fd, 60 * PAGE));
	count("longer", fd, 0, 0);
	MUST(posix_fadvise(fd, 30 * PAGE, 5 * PAGE, POSIX_FADV_DONTNEED));
	count("advised", fd, 0, 0);
	MUST(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	count("all advised", fd, 0, 0);
	MUST(posix_fadvise(other, 0, 0, POSIX_FADV_RANDOM));
	read_pages(other, 0, 4);
	press();
	count("pressed again", other, 0, 0);
	MUST(ftruncate(other, 0));
	count("empty", other, 0, 0);
	close(fd);
	close(other);
}

static void who_may(void)
{
	static const char *const names[] = { "file", "all", "group", "owned", ".", "/dev/null", "/dev/zero", "/sys", "/sys/kernel/uevent_seqnum", "fifo" };
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		int fd = open(names[i], O_RDONLY | O_NONBLOCK);
		count(names[i], fd, 0, 0);
		struct range range = { 0 };
		struct counts counts;
		SHOW(cachestat(fd, &range, &counts, 1));
		close(fd);
	}
	int fd = open("file", O_PATH);
	count("a path", fd, 0, 0);
	close(fd);
	fd = open("all", O_WRONLY);
	count("for writing", fd, 0, 0);
	struct range range = { 0 };
	SHOW(cachestat(fd, NULL, NULL, 1));
	SHOW(cachestat(fd, &range, NULL, 0));
	SHOW(cachestat(-1, NULL, NULL, 0));
	close(fd);
	int ends[2];
	MUST(pipe(ends));
	count("a pipe", ends[0], 0, 0);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	mkdir("/tmp/cached", 0755);
	MUST(chdir("/tmp/cached"));
	put_file("file", "some text", 0644);
	put_file("all", "some text", 0666);
	put_file("group", "some text", 0664);
	put_file("owned", "some text", 0400);
	MUST(chown("owned", 1000, 1000));
	MUST(mkfifo("fifo", 0644));
	who_may();
	IN_CHILD(MUST(setgid(1000)); MUST(setuid(1000)); who_may());
	MUST(system("mke2fs -F -b 4096 -m 0 /dev/vda 4096 >/dev/null 2>&1"));
	int device = (int)MUST(open("/dev/vda", O_RDONLY));
	MUST(posix_fadvise(device, 0, 0, POSIX_FADV_DONTNEED));
	MUST(posix_fadvise(device, 0, 0, POSIX_FADV_RANDOM));
	count("the disk", device, 0, 0);
	read_pages(device, 100, 4);
	count("the disk, read", device, 99 * PAGE, 10 * PAGE);
	close(device);
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	mkdir("/tmp/group", 0755);
	MUST(mount("none", "/tmp/group", "cgroup2", 0, 0));
	write_text("/tmp/group/cgroup.subtree_control", "+memory");
	MUST(mkdir("/tmp/group/taken", 0755));
	IN_CHILD(remembered());
	MUST(rmdir("/tmp/group/taken"));
	write_text("/tmp/group/cgroup.subtree_control", "-memory");
	MUST(umount("/tmp/group"));
	MUST(umount("/mnt"));
	return 0;
}
