/* Covers: files of huge pages without a name: memfd_create (MFD_HUGETLB, MFD_HUGE_*), ftruncate, read, write, lseek,
 * fallocate, fstat, fstatfs, seals, sendfile, fsync; the pool's figures beside them. */
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include "huge_case.h"

#define MFD_HUGE(shift) ((unsigned)(shift) << 26)

static int new_file(unsigned flags)
{
	return syscall(SYS_memfd_create, "huge", flags | 4);
}

static void status(const char *when, int fd)
{
	struct stat st;
	fstat(fd, &st);
	printf("%s: size %ld, %ld blocks, block size %ld, mode %o, %ld links, owner %d %d\n", when, (long)st.st_size,
	       (long)st.st_blocks, (long)st.st_blksize, st.st_mode, (long)st.st_nlink, st.st_uid, st.st_gid);
}

static void flags_taken(void)
{
	puts("--- flags");
	static const unsigned shifts[] = { 21, 30, 16, 12, 20, 63, 1 };
	for (size_t i = 0; i < sizeof shifts / sizeof *shifts; i++) {
		int fd = new_file(MFD_HUGE(shifts[i]));
		printf("size of %u bits: %s\n", shifts[i], fd < 0 ? error_name(errno) : "ok");
		if (fd >= 0) {
			status("it", fd);
			close(fd);
		}
	}
	int fd = syscall(SYS_memfd_create, "huge", MFD_HUGE(21));
	printf("a size without the flag: %s\n", fd < 0 ? error_name(errno) : "ok");
	fd = syscall(SYS_memfd_create, "huge", 4 | 8 | 16);
	printf("both ways to be run: %s\n", fd < 0 ? error_name(errno) : "ok");
	fd = syscall(SYS_memfd_create, "huge", 4 | 32);
	printf("an unknown flag: %s\n", fd < 0 ? error_name(errno) : "ok");
	fd = syscall(SYS_memfd_create, 0, 4);
	printf("no name: %s\n", fd < 0 ? error_name(errno) : "ok");
	fd = new_file(1);
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_GETFL));
	SHOW(fcntl(fd, F_GET_SEALS));
	close(fd);
	fd = new_file(8);
	status("not to be run", fd);
	SHOW(fcntl(fd, F_GET_SEALS));
	SHOW(fchmod(fd, 0755));
	close(fd);
	fd = new_file(MFD_HUGE(30));
	SHOW(ftruncate(fd, 2 << 20));
	SHOW(ftruncate(fd, 1 << 30));
	SHOW(fallocate(fd, 0, 0, 1 << 30));
	TRY(mmap(0, 1 << 30, RW, MAP_SHARED, fd, 0));
	TRY(mmap(0, 1 << 20, RW, MAP_PRIVATE, fd, 0));
	char bytes[8] = "xxxxxxx";
	SHOW(pread(fd, bytes, 8, 12345));
	printf("read: %d %d\n", bytes[0], bytes[7]);
	status("of 1 GiB", fd);
	struct statfs fs;
	SHOW(fstatfs(fd, &fs));
	printf("type %lx, block size %ld, fragments %ld\n", (long)fs.f_type, (long)fs.f_bsize, (long)fs.f_frsize);
	close(fd);
}

static void contents(void)
{
	puts("--- contents");
	int fd = new_file(0);
	status("new", fd);
	struct statfs fs;
	SHOW(fstatfs(fd, &fs));
	printf("type %lx, block size %ld, %ld blocks, %ld free, %ld available, %ld files, %ld free, names %ld, fragments %ld\n",
	       (long)fs.f_type, (long)fs.f_bsize, (long)fs.f_blocks, (long)fs.f_bfree, (long)fs.f_bavail, (long)fs.f_files,
	       (long)fs.f_ffree, (long)fs.f_namelen, (long)fs.f_frsize);
	char bytes[4096];
	SHOW(read(fd, bytes, 10));
	SHOW(write(fd, bytes, 10));
	SHOW(write(fd, bytes, 0));
	SHOW(pwrite(fd, bytes, 10, 5));
	struct iovec part = { bytes, 10 };
	SHOW(writev(fd, &part, 1));
	SHOW(ftruncate(fd, 1));
	SHOW(ftruncate(fd, PAGE));
	SHOW(ftruncate(fd, HUGE + PAGE));
	SHOW(ftruncate(fd, -HUGE));
	SHOW(ftruncate(fd, 2 * HUGE));
	status("two pages", fd);
	pool("two pages");
	memset(bytes, 'x', sizeof bytes);
	SHOW(read(fd, bytes, 4096));
	printf("a hole: %d %d\n", bytes[0], bytes[4095]);
	SHOW(lseek(fd, 0, SEEK_CUR));
	pool("read");
	SHOW(lseek(fd, 0, SEEK_DATA));
	SHOW(lseek(fd, HUGE + 7, SEEK_DATA));
	SHOW(lseek(fd, 7, SEEK_HOLE));
	SHOW(lseek(fd, 2 * HUGE, SEEK_DATA));
	SHOW(lseek(fd, 2 * HUGE, SEEK_HOLE));
	SHOW(lseek(fd, -10, SEEK_END));
	SHOW(read(fd, bytes, 100));
	SHOW(read(fd, bytes, 100));
	SHOW(lseek(fd, 5 * HUGE, SEEK_SET));
	SHOW(read(fd, bytes, 100));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	SHOW(sync_file_range(fd, 0, 0, 2));
	SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));

	char *p = mmap(0, 2 * HUGE, RW, MAP_SHARED, fd, 0);
	pool("mapped");
	strcpy(p + HUGE - 3, "across the border");
	status("written", fd);
	SHOW(pread(fd, bytes, 20, HUGE - 3));
	printf("%.20s\n", bytes);
	SHOW(pread(fd, bytes, 4096, 2 * HUGE - 5));
	SHOW(pread(fd, (void *)1, 100, HUGE));
	int ends[2];
	pipe(ends);
	off_t at = HUGE - 3;
	SHOW(sendfile(ends[1], fd, &at, 6));
	SHOW(splice(fd, &at, ends[1], 0, 6, 0));
	write(ends[1], "abcdef", 6);
	SHOW(splice(ends[0], 0, fd, 0, 6, 0));
	SHOW(sendfile(fd, ends[0], 0, 6));
	at = 0;
	int other = syscall(SYS_memfd_create, "small", 0);
	SHOW(copy_file_range(fd, &at, other, 0, 10, 0));
	write(other, "abcdef", 6);
	at = 0;
	SHOW(copy_file_range(other, &at, fd, 0, 6, 0));
	close(other);
	close(ends[0]);
	close(ends[1]);
	SHOW(munmap(p, 2 * HUGE));
	pool("unmapped");
	SHOW(close(fd));
	pool("closed");
}

static void space(void)
{
	puts("--- space");
	int fd = new_file(0);
	SHOW(fallocate(fd, 0, 0, HUGE));
	status("one", fd);
	pool("one");
	SHOW(fallocate(fd, 0, HUGE, 100));
	status("a part", fd);
	pool("a part");
	char byte = 'x';
	SHOW(pread(fd, &byte, 1, HUGE + 99));
	SHOW(pread(fd, &byte, 1, HUGE + 100));
	char *p = mmap(0, 2 * HUGE, PROT_READ, MAP_SHARED, fd, 0);
	printf("the first: %s\n", reading(p));
	printf("the second, of which a part is in the file: %s\n", reading(p + HUGE));
	SHOW(munmap(p, 2 * HUGE));
	SHOW(fallocate(fd, 1, 3 * HUGE, HUGE));
	status("past the end", fd);
	pool("past the end");
	SHOW(fallocate(fd, 0, 0, 6 * HUGE));
	status("too much", fd);
	pool("too much");
	SHOW(fallocate(fd, 16, 0, HUGE));
	SHOW(fallocate(fd, 2, 0, HUGE));
	SHOW(fallocate(fd, 8 | 1, 0, HUGE));
	SHOW(fallocate(fd, 3, 0, HUGE));
	status("a hole", fd);
	pool("a hole");
	SHOW(fallocate(fd, 3, HUGE - 100, HUGE + 200));
	status("another", fd);
	pool("another");
	SHOW(ftruncate(fd, HUGE));
	status("shorter", fd);
	pool("shorter");
	SHOW(ftruncate(fd, 0));
	pool("empty");
	SHOW(fallocate(fd, 0, 0, 3 * HUGE));
	pool("three");
	p = mmap(0, 4 * HUGE, RW, MAP_SHARED, fd, 0);
	status("mapped beyond the end", fd);
	pool("mapped beyond the end");
	memset(p, 'a', 3 * HUGE);
	SHOW(fallocate(fd, 3, HUGE / 2, HUGE));
	printf("%c %d %d %c\n", p[HUGE / 2 - 1], p[HUGE / 2], p[HUGE + HUGE / 2 - 1], p[HUGE + HUGE / 2]);
	SHOW(fallocate(fd, 3, HUGE, HUGE));
	pool("a hole in a mapping");
	printf("touched: %d\n", p[HUGE]);
	pool("touched");
	SHOW(fallocate(fd, 3, 3 * HUGE, HUGE));
	pool("a hole where there was none");
	SHOW(ftruncate(fd, 2 * HUGE));
	pool("truncated");
	printf("past the end: %s, before: %s\n", reading(p + 2 * HUGE), reading(p + HUGE));
	SHOW(ftruncate(fd, 4 * HUGE));
	printf("again: %s %d\n", reading(p + 2 * HUGE), p[2 * HUGE]);
	pool("again");
	SHOW(munmap(p, 4 * HUGE));
	pool("unmapped");
	SHOW(close(fd));
	pool("closed");
}

static void seals(void)
{
	puts("--- seals");
	int fd = new_file(2);
	SHOW(fcntl(fd, F_GET_SEALS));
	SHOW(ftruncate(fd, 2 * HUGE));
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	SHOW(ftruncate(fd, HUGE));
	SHOW(ftruncate(fd, 3 * HUGE));
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	SHOW(ftruncate(fd, 4 * HUGE));
	SHOW(ftruncate(fd, 3 * HUGE));
	SHOW(fallocate(fd, 0, 3 * HUGE, HUGE));
	SHOW(fallocate(fd, 1, 3 * HUGE, HUGE));
	char *p = mmap(0, HUGE, RW, MAP_SHARED, fd, 0);
	strcpy(p, "sealed");
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	SHOW(fcntl(fd, F_ADD_SEALS, 16 /* F_SEAL_FUTURE_WRITE */));
	TRY(mmap(0, HUGE, RW, MAP_SHARED, fd, 0));
	printf("written: %s\n", writing(p, 'S'));
	SHOW(fallocate(fd, 3, 0, HUGE));
	SHOW(munmap(p, HUGE));
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	TRY(mmap(0, HUGE, RW, MAP_SHARED, fd, 0));
	p = mmap(0, HUGE, PROT_READ, MAP_SHARED, fd, 0);
	printf("%s\n", p);
	SHOW(mprotect(p, HUGE, RW));
	SHOW(munmap(p, HUGE));
	p = mmap(0, HUGE, RW, MAP_PRIVATE, fd, 0);
	printf("%s, written: %s\n", p, writing(p, 's'));
	SHOW(munmap(p, HUGE));
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	SHOW(fcntl(fd, F_GET_SEALS));
	close(fd);
	pool("closed");
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	catch_faults();
	umask(022);
	SHOW(write_number(SURPLUS_AT, 0));
	SHOW(write_number(POOL_AT, 4));
	pool("set aside");
	flags_taken();
	contents();
	space();
	seals();
	SHOW(write_number(POOL_AT, 0));
	pool("after");
	return 0;
}
