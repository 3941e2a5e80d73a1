/* posix_fadvise, readahead, sync_file_range on files of tmpfs and ext2, block devices and others, with ranges up to the edge. */
#include "case.h"

#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>

#define LEAST (-0x7fffffffffffffffL - 1)
#define MOST 0x7fffffffffffffffL

static const long ranges[][2] = {
	{ 0, 0 }, { 0, 1 }, { 0, 4096 }, { 1, 4095 }, { 4095, 2 }, { 8192, 100000 }, { 1 << 30, 1 }, { 1L << 43, 1 }, { 1L << 62, 1 },
	{ 1L << 62, 1L << 62 }, { 4096, 1L << 62 }, { 0, MOST }, { 1, MOST - 1 }, { 1, MOST }, { MOST, 0 }, { MOST, 1 }, { MOST, 10 },
	{ MOST, MOST }, { MOST - 4096, 4096 }, { MOST - 4095, 4096 }, { MOST - 4094, 4096 }, { 0, -1 }, { -1, 0 }, { -1, 1 },
	{ -1, 4096 }, { -4096, 4096 }, { LEAST, 4096 }, { LEAST, MOST }, { 0, LEAST }, { LEAST, LEAST },
};

static void show(const char *call, const char **before, long result)
{
	const char *outcome = result < 0 ? error_name(errno) : "ok";
	if (*before != outcome)
		printf(" %s %s", call, outcome);
	*before = outcome;
}

/* A line for each range: what all advices get, with a word only where it changes. */
static void drive(const char *what, int fd)
{
	printf("%s\n", what);
	for (unsigned i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		long first = ranges[i][0], second = ranges[i][1];
		const char *advised = 0, *ahead = 0, *synced = 0;
		printf("  (%lx, %lx):", first, second);
		for (int advice = -1; advice < 7; advice++)
			show("fadvise", &advised, syscall(SYS_fadvise64, fd, first, second, advice));
		show("readahead", &ahead, syscall(SYS_readahead, fd, first, second));
		for (int flags = 0; flags < 9; flags++)
			show("sync_file_range", &synced, syscall(SYS_sync_file_range, fd, first, second, flags));
		printf("\n");
	}
}

static void drive_path(const char *path, int flags)
{
	int fd = MUST(open(path, flags, 0600));
	drive(path, fd);
	close(fd);
}

struct range { unsigned long offset, length; };
struct found { unsigned long cached, dirty, writing, evicted, recently; };

static unsigned long cached(int fd)
{
	struct range all = { 0, 0 };
	struct found found;
	MUST(syscall(451, fd, &all, &found, 0));
	return found.cached;
}

/* What is not a whole page stays in memory, but for the last one of the file. */
static void drop(int fd, long offset, long length)
{
	char text[64];
	MUST(fsync(fd));
	for (int page = 0; page < 8; page++)
		pread(fd, text, 1, page * 4096L);
	unsigned long before = cached(fd);
	MUST(syscall(SYS_fadvise64, fd, offset, length, 4));
	printf("(%lx, %lx) drops %ld\n", offset, length, (long)(before - cached(fd)));
}

static void drops(const char *path)
{
	static char text[32768 - 1000];
	int fd = MUST(open(path, O_RDWR | O_CREAT, 0600));
	MUST(write(fd, text, sizeof text));
	MUST(syscall(SYS_fadvise64, fd, 0L, 0L, 1));
	drop(fd, 0, 0);
	drop(fd, 0, 4095);
	drop(fd, 0, 4096);
	drop(fd, 0, 8191);
	drop(fd, 1, 8191);
	drop(fd, 4096, 1);
	drop(fd, 4096, 12288);
	drop(fd, 20000, sizeof text - 20000);
	drop(fd, 20000, sizeof text - 20001);
	drop(fd, 28672, MOST);
	drop(fd, MOST - 10, 10);
	drop(fd, 100, MOST);
	close(fd);
}

/* A program that had advice is done with the file: its blocks come back. */
static void gives_back(void)
{
	static char text[1 << 20];
	char before[64], after[64];
	FILE *pipe = popen("stat -f -c %f /mnt", "r");
	fgets(before, sizeof before, pipe);
	pclose(pipe);
	for (int advice = 0; advice < 6; advice++) {
		IN_CHILD({
			int fd = MUST(open("/mnt/large", O_RDWR | O_CREAT, 0600));
			MUST(write(fd, text, sizeof text));
			SHOW(syscall(SYS_fadvise64, fd, 0L, 4096L, advice));
		});
		MUST(unlink("/mnt/large"));
	}
	sync();
	pipe = popen("stat -f -c %f /mnt", "r");
	fgets(after, sizeof after, pipe);
	pclose(pipe);
	printf("blocks are %s\n", strcmp(before, after) ? "lost" : "free again");
}

int main(void)
{
	int ends[2], sockets[2];
	char text[10000] = "";
	MUST(system("mke2fs -F -b 1024 /dev/vda 32768 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	put_file("/tmp/advice", "", 0600);
	put_file("/mnt/empty", "", 0600);
	put_file("/mnt/short", "short", 0600);
	int fd = MUST(open("/mnt/full", O_RDWR | O_CREAT, 0600));
	MUST(write(fd, text, sizeof text));
	close(fd);
	drive_path("/tmp/advice", O_RDWR);
	drive_path("/mnt/empty", O_RDWR);
	drive_path("/mnt/short", O_RDWR);
	drive_path("/mnt/full", O_RDWR);
	drive_path("/mnt/full", O_RDONLY);
	drive_path("/mnt/full", O_WRONLY);
	drive_path("/mnt", O_RDONLY);
	drive_path("/tmp", O_RDONLY);
	drive_path("/dev/null", O_RDWR);
	drive_path("/dev/zero", O_RDWR);
	drive_path("/proc/self/status", O_RDONLY);
	MUST(pipe(ends));
	drive("a pipe", ends[0]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	drive("a socket", sockets[0]);
	drive("a memory file", MUST(syscall(SYS_memfd_create, "memory", 0)));
	drops("/mnt/dropped");
	gives_back();
	MUST(umount("/mnt"));
	drive_path("/dev/vda", O_RDWR);
	fd = MUST(open("/dev/vda", O_RDWR));
	MUST(syscall(SYS_fadvise64, fd, 0L, 0L, 4)); /* nobody shall find in memory what was read ahead here */
	close(fd);
	MUST(system("dd if=/dev/zero of=/dev/vda bs=64k count=1 2>/dev/null"));
	return 0;
}
