/* Covers: preadv2, pwritev2: RWF_HIPRI RWF_DSYNC RWF_SYNC RWF_NOWAIT RWF_APPEND RWF_NOAPPEND, offset -1; preadv, pwritev: their limits. */
#define _GNU_SOURCE
#include <sys/uio.h>
#include "case.h"

static long read_with(int fd, void *buffer, size_t size, off_t at, int flags)
{
	struct iovec part = { buffer, size };
	return syscall(SYS_preadv2, fd, &part, 1, at, 0, flags);
}

static long write_with(int fd, const void *buffer, size_t size, off_t at, int flags)
{
	struct iovec part = { (void *)buffer, size };
	return syscall(SYS_pwritev2, fd, &part, 1, at, 0, flags);
}

int main(void)
{
	put_file("file", "0123456789", 0644);
	int fd = (int)MUST(open("file", O_RDWR)), append = (int)MUST(open("file", O_RDWR | O_APPEND));
	char buffer[16] = "";
	SHOW(read_with(fd, buffer, 4, 2, 0));
	SHOW(read_with(fd, buffer, 4, -1, 0));
	SHOW(read_with(fd, buffer, 4, -1, 0));
	printf("%s\n", buffer);
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(read_with(fd, buffer, 4, -2, 0));
	SHOW(read_with(fd, buffer, 4, 0, 1));
	SHOW(read_with(fd, buffer, 4, 0, 2));
	SHOW(read_with(fd, buffer, 4, 0, 4));
	SHOW(read_with(fd, buffer, 4, 0, 8));
	SHOW(read_with(fd, buffer, 4, 0, 16));
	SHOW(read_with(fd, buffer, 4, 0, 32));
	SHOW(read_with(fd, buffer, 4, 0, 64));
	SHOW(read_with(fd, buffer, 4, 0, 128));
	SHOW(read_with(fd, buffer, 4, 0, 0x1000));
	SHOW(write_with(fd, "AB", 2, 0, 1));
	SHOW(write_with(fd, "CD", 2, 2, 2));
	SHOW(write_with(fd, "EF", 2, 4, 4));
	SHOW(write_with(fd, "GH", 2, 6, 8));
	SHOW(write_with(fd, "IJ", 2, 0, 16));
	show_file("file");
	SHOW(write_with(fd, "KL", 2, -1, 0));
	SHOW(write_with(fd, "MN", 2, -1, 16));
	SHOW(lseek(fd, 0, SEEK_CUR));
	show_file("file");
	SHOW(write_with(append, "OP", 2, 0, 0));
	SHOW(write_with(append, "QR", 2, 0, 32));
	SHOW(write_with(append, "ST", 2, 0, 48));
	SHOW(write_with(append, "ST", 2, 0, 64));
	SHOW(write_with(append, "ST", 2, 0, 0x10000));
	show_file("file");
	int ends[2];
	MUST(pipe(ends));
	SHOW(read_with(ends[0], buffer, 1, -1, 8));
	SHOW(read_with(ends[0], buffer, 1, 0, 0));
	SHOW(write_with(ends[1], "x", 1, -1, 8));
	SHOW(write_with(ends[1], "x", 1, 0, 0));
	SHOW(read_with(ends[0], buffer, 1, -1, 8));
	SHOW(write_with(ends[1], "x", 1, -1, 16));
	SHOW(read_with(-1, buffer, 1, 0, 0));
	SHOW(preadv(fd, NULL, 0, 0));
	SHOW(preadv(fd, NULL, -1, 0));
	SHOW(preadv(fd, NULL, 1025, 0));
	SHOW(preadv(fd, NULL, 1, 0));
	SHOW(pwritev(fd, NULL, 1, -1));
	struct iovec huge = { buffer, (size_t)-1 };
	SHOW(preadv(fd, &huge, 1, 0));
	struct iovec many[3] = { { buffer, 1 }, { NULL, 0 }, { buffer + 1, 2 } };
	SHOW(preadv(fd, many, 3, 0));
	SHOW(readv(fd, many, 3));
	struct iovec half[2] = { { buffer, 2 }, { (void *)1, 2 } };
	SHOW(preadv(fd, half, 2, 0));
	SHOW(pwritev(fd, half, 2, 0));
	return 0;
}
