/* Covers: lseek: SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE, directories, pipes, overflow. */
#include "case.h"

int main(void)
{
	int fd = (int)MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(write(fd, "0123456789", 10));
	SHOW(lseek(fd, 4, SEEK_SET));
	SHOW(lseek(fd, 3, SEEK_CUR));
	SHOW(lseek(fd, -2, SEEK_END));
	SHOW(lseek(fd, -20, SEEK_END));
	SHOW(lseek(fd, 20, SEEK_END));
	SHOW(lseek(fd, -1, SEEK_SET));
	SHOW(lseek(fd, 0, 9));
	SHOW(lseek(fd, 0, -1));
	SHOW(lseek(fd, INT64_MAX, SEEK_SET));
	SHOW(lseek(fd, 1, SEEK_CUR));
	SHOW(lseek(fd, 0, SEEK_DATA));
	SHOW(lseek(fd, 0, SEEK_HOLE));
	SHOW(lseek(fd, 10, SEEK_DATA));
	SHOW(lseek(fd, 11, SEEK_HOLE));
	MUST(ftruncate(fd, 1 << 20));
	SHOW(lseek(fd, 4096, SEEK_DATA));
	SHOW(lseek(fd, 0, SEEK_HOLE));
	SHOW(lseek(99, 0, SEEK_SET));
	int pipes[2];
	MUST(pipe(pipes));
	SHOW(lseek(pipes[0], 0, SEEK_SET));
	int null = (int)MUST(open("/dev/null", O_RDWR)), zero = (int)MUST(open("/dev/zero", O_RDWR));
	SHOW(lseek(null, 5, SEEK_SET));
	SHOW(lseek(zero, 5, SEEK_END));
	return 0;
}
