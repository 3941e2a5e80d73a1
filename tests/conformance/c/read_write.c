/* Covers: read, write, pread64, pwrite64, readv, writev, preadv, pwritev: lengths, offsets, holes, closed and wrong descriptors. */
#include <sys/uio.h>
#include "case.h"

int main(void)
{
	char buffer[64] = { 0 };
	int fd = (int)MUST(open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
	SHOW(write(fd, "0123456789", 10));
	SHOW(pwrite(fd, "AB", 2, 4));
	SHOW(pread(fd, buffer, 10, 0));
	puts(buffer);
	SHOW(pread(fd, buffer, 10, 8));
	SHOW(pread(fd, buffer, 10, 100));
	SHOW(pread(fd, buffer, 10, -1));
	SHOW(pwrite(fd, buffer, 10, -1));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(read(fd, buffer, 10));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(read(fd, buffer, 0));
	SHOW(write(fd, buffer, 0));
	SHOW(read(fd, (void *)1, 0));
	SHOW(pwrite(fd, "end", 3, 10000));
	SHOW(pread(fd, buffer, 8, 9998));
	printf("%d %d %c\n", buffer[0], buffer[1], buffer[2]);
	struct stat st;
	SHOW(fstat(fd, &st));
	printf("size %ld\n", (long)st.st_size);

	struct iovec parts[3] = { { "one ", 4 }, { "", 0 }, { "two", 3 } };
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(writev(fd, parts, 3));
	SHOW(writev(fd, parts, 0));
	SHOW(writev(fd, parts, -1));
	SHOW(writev(fd, parts, 1025));
	SHOW(writev(fd, (struct iovec *)1, 2));
	char first[5] = { 0 }, second[5] = { 0 };
	struct iovec in[2] = { { first, 4 }, { second, 3 } };
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(readv(fd, in, 2));
	printf("[%s] [%s]\n", first, second);
	SHOW(pwritev(fd, parts, 3, 20));
	SHOW(preadv(fd, in, 2, 20));
	printf("[%s] [%s]\n", first, second);
	struct iovec huge[2] = { { first, (size_t)1 << 62 }, { second, (size_t)1 << 62 } };
	SHOW(readv(fd, huge, 2));

	SHOW(read(99, buffer, 1));
	SHOW(write(99, buffer, 1));
	SHOW(read(-1, buffer, 1));
	int wo = (int)MUST(open("file", O_WRONLY)), ro = (int)MUST(open("file", O_RDONLY)), dir = (int)MUST(open(".", O_RDONLY));
	SHOW(read(wo, buffer, 1));
	SHOW(write(ro, buffer, 1));
	SHOW(pread(wo, buffer, 1, 0));
	SHOW(pwrite(ro, buffer, 1, 0));
	SHOW(read(dir, buffer, 1));
	SHOW(write(dir, buffer, 1));
	SHOW(read(fd, (void *)-PAGE, 1));
	SHOW(write(fd, (void *)0x10, 1));
	int pipes[2];
	MUST(pipe(pipes));
	SHOW(pread(pipes[0], buffer, 1, 0));
	SHOW(pwrite(pipes[1], buffer, 1, 0));

	/* Append mode, and two descriptors that share an offset or do not. */
	int copy = (int)MUST(dup(fd)), other = (int)MUST(open("file", O_RDWR));
	SHOW(lseek(fd, 3, SEEK_SET));
	SHOW(lseek(copy, 0, SEEK_CUR));
	SHOW(lseek(other, 0, SEEK_CUR));

	/* A buffer that ends at an unmapped page: what was readable counts. */
	char *map = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(map + PAGE, PAGE);
	memcpy(map + PAGE - 4, "edge", 4);
	MUST(ftruncate(fd, 0));
	MUST(lseek(fd, 0, SEEK_SET));
	SHOW(write(fd, map + PAGE, 10));
	SHOW(write(fd, map + PAGE - 4, 4));
	struct iovec half[2] = { { map + PAGE - 4, 4 }, { map + PAGE, 4 } };
	SHOW(writev(fd, half, 2));
	show_file("file");
	return 0;
}
