/* Covers: truncate, ftruncate, fallocate (0, KEEP_SIZE, PUNCH_HOLE), fsync, fdatasync, sync; RLIMIT_FSIZE with SIGXFSZ. */
#include <sys/resource.h>
#include "case.h"

static void on_signal(int number)
{
	printf("signal %d\n", number);
}

static long size(const char *path)
{
	struct stat st;
	MUST(stat(path, &st));
	return (long)st.st_size;
}

int main(void)
{
	char buffer[16];
	put_file("file", "0123456789", 0644);
	SHOW(truncate("file", 4));
	show_file("file");
	SHOW(truncate("file", 8));
	int fd = (int)MUST(open("file", O_RDWR));
	SHOW(read(fd, buffer, 16));
	CHECK(memcmp(buffer, "0123\0\0\0\0", 8) == 0);
	SHOW(ftruncate(fd, 2));
	SHOW(pwrite(fd, "z", 1, 6));
	SHOW(pread(fd, buffer, 16, 0));
	CHECK(memcmp(buffer, "01\0\0\0\0z", 7) == 0);
	SHOW(ftruncate(fd, -1));
	SHOW(truncate("file", -1));
	SHOW(truncate("none", 0));
	SHOW(truncate(".", 0));
	SHOW(truncate("file/x", 0));
	SHOW(ftruncate(99, 0));
	int ro = (int)MUST(open("file", O_RDONLY)), pipes[2];
	SHOW(ftruncate(ro, 0));
	MUST(pipe(pipes));
	SHOW(ftruncate(pipes[1], 0));
	SHOW(ftruncate(fd, (off_t)1 << 40));
	printf("size %ld\n", size("file"));
	SHOW(ftruncate(fd, 0));
	SHOW(fallocate(fd, 0, 0, 10000));
	printf("size %ld\n", size("file"));
	SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000));
	printf("size %ld\n", size("file"));
	SHOW(pwrite(fd, "abc", 3, 5000));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
	SHOW(pread(fd, buffer, 3, 5000));
	CHECK(buffer[0] == 0);
	SHOW(fallocate(fd, 0, 0, 0));
	SHOW(fallocate(fd, 0, -1, 10));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	SHOW(fallocate(ro, 0, 0, 10));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	SHOW(fsync(pipes[0]));
	SHOW(fsync(99));
	sync();

	struct rlimit limit = { 100000, 100000 };
	signal(SIGXFSZ, on_signal);
	MUST(ftruncate(fd, 0));
	SHOW(setrlimit(RLIMIT_FSIZE, &limit));
	static char page[600];
	SHOW(pwrite(fd, page, 600, 0));
	SHOW(pwrite(fd, page, 600, 99500));
	SHOW(pwrite(fd, page, 600, 100000));
	SHOW(ftruncate(fd, 200000));
	printf("size %ld\n", size("file"));
	return 0;
}
