/*
 * Calls about files with several bad arguments at once: which error wins, and what was written before it.
 */
#define BRIEF
#include "orders_case.h"
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

static char *edge; /* the end of memory: a page that is not there follows */
static char long_name[300], long_path[5000];

struct kind {
	const char *name;
	int fd;
};
static struct kind kinds[16];
static int kind_count, home;

static void add(const char *name, int fd)
{
	kinds[kind_count].name = name;
	kinds[kind_count++].fd = fd;
}

static void open_kinds(void)
{
	int pipe_ends[2], pair[2];
	put_file("f", "0123456789", 0666);
	MUST(chmod("f", 0666));
	if (mkdir("d", 0777) == 0)
		MUST(chmod("d", 0777));
	MUST(pipe(pipe_ends));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	add("file", (int)MUST(open("f", O_RDWR)));
	add("read-only", (int)MUST(open("f", O_RDONLY)));
	add("write-only", (int)MUST(open("f", O_WRONLY)));
	add("appending", (int)MUST(open("f", O_RDWR | O_APPEND)));
	add("path", (int)MUST(open("f", O_PATH)));
	add("directory", (int)MUST(open("d", O_RDONLY)));
	add("pipe's reader", pipe_ends[0]);
	add("pipe's writer", pipe_ends[1]);
	add("socket", pair[0]);
	add("null", (int)MUST(open("/dev/null", O_RDWR)));
	add("eventfd", (int)MUST(syscall(SYS_eventfd2, 0, O_NONBLOCK)));
	add("closed", 999);
	add("negative", -1);
	for (int i = 0; i < 9; i++)
		if (i >= 6)
			MUST(fcntl(kinds[i].fd, F_SETFL, O_NONBLOCK));
	(void)pair;
}

static void transfers(int f)
{
	char byte[8];
	struct iovec none[1] = { { 0, 0 } }, wrong[2] = { { KERNEL, 1 }, { 0, -1UL } }, far[1] = { { KERNEL, 1 } }, fine[1] = { { byte, 1 } };
	C(read, f, BAD, 0);
	C(read, f, BAD, -1L);
	C(read, f, KERNEL, 1);
	C(read, f, BAD, 1);
	C(write, f, BAD, 0);
	C(write, f, BAD, -1L);
	C(write, f, KERNEL, 1);
	C(pread64, f, BAD, 0, -1L);
	C(pread64, f, BAD, 1, -1L);
	C(pread64, f, BAD, 0, 0L);
	C(pread64, f, BAD, 1, 0L);
	C(pread64, f, BAD, -1L, 0L);
	C(pread64, f, KERNEL, 1, 0x7fffffffffffffff);
	C(pread64, f, byte, 2, 0x7fffffffffffffff);
	C(pwrite64, f, BAD, 0, -1L);
	C(pwrite64, f, BAD, 0, 0L);
	C(pwrite64, f, BAD, -1L, 0L);
	C(pwrite64, f, KERNEL, 1, 0L);
	C(pwrite64, f, byte, 1, 0x7fffffffffffffff);
	C(readv, f, BAD, 0);
	C(readv, f, BAD, 1025);
	C(readv, f, BAD, -1L);
	C(readv, f, BAD, 1);
	C(readv, f, none, 1);
	C(readv, f, wrong, 2);
	C(readv, f, far, 1);
	C(writev, f, BAD, 0);
	C(writev, f, BAD, 1025);
	C(writev, f, BAD, 1);
	C(writev, f, none, 1);
	C(writev, f, wrong, 2);
	C(writev, f, far, 1);
	C(preadv, f, BAD, 1, -1L, 0L);
	C(preadv, f, BAD, 1025, 0L, 0L);
	C(preadv, f, BAD, 1, 0L, 0L);
	C(preadv, f, none, 1, 0L, 0L);
	C(preadv, f, wrong, 2, 0L, 0L);
	C(pwritev, f, BAD, 1025, 0L, 0L);
	C(pwritev, f, BAD, 1, 0L, 0L);
	C(pwritev, f, wrong, 2, 0L, 0L);
	C(pwritev, f, far, 1, 0L, 0L);
	C(preadv2, f, BAD, 1, -2L, 0L, 0x1000);
	C(preadv2, f, BAD, 1, 0L, 0L, 0x1000);
	C(preadv2, f, BAD, 1025, -1L, 0L, 0x1000);
	C(preadv2, f, none, 1, 0L, 0L, 0x1000);
	C(preadv2, f, none, 1, -1L, 0L, 0x1000);
	C(preadv2, f, none, 0, -1L, 0L, -1);
	for (int bit = 0; bit < 10; bit++) {
		char before[100];
		memcpy(before, where, sizeof before);
		in("%.80sflag %d: ", before, bit);
		C(preadv2, f, far, 1, 0L, 0L, 1 << bit);
		C(preadv2, f, far, 1, -1L, 0L, 1 << bit);
		C(pwritev2, f, far, 1, 0L, 0L, 1 << bit);
		C(pwritev2, f, far, 1, -1L, 0L, 1 << bit);
		C(preadv2, f, fine, 1, 0L, 0L, 1 << bit);
		memcpy(where, before, sizeof before);
	}
	C(pwritev2, f, none, 1, 0L, 0L, 0x1000);
	C(pwritev2, f, BAD, 1, 0L, 0L, 0x1000);
	C(pwritev2, f, wrong, 2, 0L, 0L, 0x1000);
	C(pwritev2, f, far, 1, 0L, 0L, 0x30);
	C(pwritev2, f, far, 1, -1L, 0L, 0x1008);
	C(lseek, f, 0, 99);
	C(lseek, f, -1L, 0);
	C(lseek, f, -1L, 99);
	C(lseek, f, 0, 3);
	C(lseek, f, 100, 3);
	C(lseek, f, -1L, 4);
	C(lseek, f, 0x7fffffffffffffff, 0);
	C(lseek, f, 0, 0);
	C(getdents64, f, BAD, 0);
	C(getdents64, f, BAD, 1000);
	C(getdents64, f, byte, 1);
	C(getdents, f, BAD, 1000);
}

static void sizes(int f)
{
	long offset = -1;
	C(ftruncate, f, -1L);
	C(ftruncate, f, 0x7fffffffffffffff);
	C(ftruncate, f, 10L);
	C(fallocate, f, 0, -1L, 10);
	C(fallocate, f, 0, 0L, 0L);
	C(fallocate, f, 0, 0L, -5L);
	C(fallocate, f, 0x1000, 0L, 0L);
	C(fallocate, f, 0x1000, 0L, 10L);
	C(fallocate, f, 2, 0L, 10L);
	C(fallocate, f, 0x13, 0L, 10L);
	C(fallocate, f, 0x0b, 0L, 10L);
	C(fallocate, f, 9, 0L, 10L);
	C(fallocate, f, 0x21, 0L, 10L);
	C(fallocate, f, 0, 0x7fffffffffffffff, 10L);
	C(fallocate, f, 3, 0x7fffffffffffffff, 10L);
	C(fallocate, f, 0x40, 0L, 1L);
	C(sync_file_range, f, -1L, 0L, 8);
	C(sync_file_range, f, -1L, 0L, 7);
	C(sync_file_range, f, 0L, -1L, 7);
	C(sync_file_range, f, 0x7fffffffffffffff, 10L, 7);
	C(sync_file_range, f, 0L, 0L, 7);
	C(fadvise64, f, 0L, -1L, 99);
	C(fadvise64, f, 0L, 0L, 99);
	C(fadvise64, f, -1L, 0L, 0);
	C(fadvise64, f, 0L, -1L, 0);
	C(readahead, f, -1L, 0L);
	C(readahead, f, 0L, 10L);
	C(readahead, f, 0L, -1L);
	C(fsync, f);
	C(fdatasync, f);
	C(syncfs, f);
	C(flock, f, 0);
	C(flock, f, 3);
	C(flock, f, 64 | 32);
	C(flock, f, 0x80000008);
	C(cachestat, f, BAD, BAD, 1);
	C(cachestat, f, BAD, BAD, 0);
	C(cachestat, f, &offset, BAD, 0);
	C(fstat, f, BAD);
	C(fstatfs, f, BAD);
	if (f != kinds[9].fd)
		C(fchmod, f, 0777777);
	C(fchown, f, -1, -1);
	C(fchdir, f);
	MUST(fchdir(home));
	C(fgetxattr, f, BAD, BAD, 0);
	C(fgetxattr, f, long_name, BAD, 0);
	C(fgetxattr, f, "", BAD, 0);
	C(fgetxattr, f, "none", BAD, 0);
	C(fsetxattr, f, "user.x", BAD, 70000, 4);
	C(fsetxattr, f, BAD, BAD, 70000, 0);
	C(fsetxattr, f, "user.x", BAD, 70000, 0);
	C(fsetxattr, f, "user.x", BAD, 1, 0);
	C(fsetxattr, f, "none", BAD, 1, 0);
	C(fsetxattr, f, "none", "x", 1, 0);
	C(fremovexattr, f, "");
	C(fremovexattr, f, BAD);
	C(flistxattr, f, BAD, 1);
}

static void commands(int f)
{
	struct flock lock = { .l_type = 99, .l_whence = 99, .l_start = -1 };
	int owner[2] = { 99, 5 };
	long hint = 99;
	C(dup, f);
	C(dup2, f, -1);
	C(dup2, f, 1 << 20);
	C(dup3, f, f, 0);
	C(dup3, f, -1, 1);
	C(dup3, f, -1, 0);
	C(dup3, f, 5000000, 0);
	C(fcntl, f, F_DUPFD, -1L);
	C(fcntl, f, F_DUPFD, 1L << 20);
	C(fcntl, f, F_DUPFD_CLOEXEC, 1L << 20);
	C(fcntl, f, F_GETFD, BAD);
	C(fcntl, f, F_GETLK, BAD);
	C(fcntl, f, F_SETLK, BAD);
	C(fcntl, f, F_SETLK, &lock);
	C(fcntl, f, F_GETLK, &lock);
	C(fcntl, f, F_OFD_SETLK, BAD);
	lock.l_pid = 5;
	C(fcntl, f, F_OFD_SETLK, &lock);
	lock.l_type = F_WRLCK;
	C(fcntl, f, F_SETLK, &lock);
	C(fcntl, f, F_OFD_SETLK, &lock);
	C(fcntl, f, F_OFD_GETLK, &lock);
	lock.l_whence = SEEK_SET;
	C(fcntl, f, F_SETLK, &lock);
	C(fcntl, f, F_GETLK, &lock);
	lock.l_start = 0x7fffffffffffffff;
	lock.l_len = 2;
	C(fcntl, f, F_SETLK, &lock);
	lock.l_whence = SEEK_END;
	C(fcntl, f, F_SETLK, &lock);
	lock.l_type = F_UNLCK;
	C(fcntl, f, F_SETLK, &lock);
	C(fcntl, f, F_GETLK, &lock);
	lock.l_len = 0;
	lock.l_start = 0;
	C(fcntl, f, F_GETLK, &lock);
	C(fcntl, f, F_SETLK, &lock);
	C(fcntl, f, F_OFD_GETLK, &lock);
	C(fcntl, f, F_SETOWN, NOBODY);
	C(fcntl, f, F_SETOWN, -NOBODY);
	C(fcntl, f, F_SETOWN, 0x80000000);
	C(fcntl, f, F_GETOWN, BAD);
	C(fcntl, f, F_SETSIG, 65);
	C(fcntl, f, F_SETSIG, -1L);
	C(fcntl, f, F_GETSIG, 0);
	C(fcntl, f, F_SETOWN_EX, BAD);
	C(fcntl, f, F_SETOWN_EX, owner);
	owner[0] = 1;
	owner[1] = NOBODY;
	C(fcntl, f, F_SETOWN_EX, owner);
	C(fcntl, f, F_GETOWN_EX, BAD);
	C(fcntl, f, 17, BAD);
	C(fcntl, f, F_SETLEASE, 99);
	C(fcntl, f, F_GETLEASE, 0);
	C(fcntl, f, F_NOTIFY, 0);
	C(fcntl, f, F_GETPIPE_SZ, 0);
	C(fcntl, f, F_SETPIPE_SZ, 0);
	C(fcntl, f, F_SETPIPE_SZ, -1L);
	C(fcntl, f, F_ADD_SEALS, 0x1000);
	C(fcntl, f, F_ADD_SEALS, 1);
	C(fcntl, f, F_GET_SEALS, 0);
	C(fcntl, f, 1035, BAD);
	C(fcntl, f, 1036, BAD);
	C(fcntl, f, 1036, &hint);
	C(fcntl, f, 1037, BAD);
	C(fcntl, f, 1038, BAD);
	C(fcntl, f, 1027, f);
	C(fcntl, f, 1027, 999);
	C(fcntl, f, 1028, 0);
	C(fcntl, f, 1029, 0);
	C(fcntl, f, 12345, BAD);
	C(fcntl, f, -1, BAD);
	C(fcntl, f, F_SETFL, fcntl(f, F_GETFL) | O_DIRECT);
	C(ioctl, f, FIONBIO, BAD);
	C(ioctl, f, FIOASYNC, BAD);
	C(ioctl, f, FIONREAD, BAD);
	C(ioctl, f, FIOQSIZE, BAD);
	C(ioctl, f, TCGETS, BAD);
	C(ioctl, f, 0x1, BAD);
	C(ioctl, f, 0x2, BAD);
	C(ioctl, f, 0xc020660b, BAD);
	C(ioctl, f, 0x80086601, BAD);
	C(ioctl, f, 0x40086602, BAD);
	C(ioctl, f, 0x801c581f, BAD);
	C(ioctl, f, 0x40049409, 999);
	C(ioctl, f, 0xc0189436, BAD);
	C(ioctl, f, 0x40305839, BAD);
	C(ioctl, f, 0x80111500, BAD);
	C(ioctl, f, 0x123456, BAD);
	C(ioctl, f, -1, BAD);
}

static void two_files(int f, int g)
{
	long offset = -1, high = 0x7fffffffffffffff;
	C(sendfile, g, f, BAD, 0L);
	C(sendfile, g, f, BAD, -1L);
	C(sendfile, g, f, &offset, 1L);
	C(sendfile, g, f, &offset, 0L);
	C(sendfile, g, f, &high, 2L);
	C(sendfile, g, f, 0L, 0L);
	C(copy_file_range, f, BAD, g, BAD, 1L, 1);
	C(copy_file_range, f, BAD, g, BAD, 1L, 0);
	C(copy_file_range, f, &offset, g, BAD, 1L, 0);
	C(copy_file_range, f, &offset, g, 0L, 1L, 0);
	C(copy_file_range, f, &offset, g, &offset, 0L, 0);
	C(copy_file_range, f, &offset, g, &offset, 0L, 1);
	C(copy_file_range, f, 0L, g, 0L, 0L, 0);
	C(copy_file_range, f, 0L, g, 0L, -1L, 0);
	C(copy_file_range, f, 0L, g, &high, 1L, 0);
	C(copy_file_range, f, &high, g, 0L, 1L, 0);
	C(splice, f, BAD, g, BAD, 0L, 16);
	C(splice, f, BAD, g, BAD, 0L, 2);
	C(splice, f, BAD, g, BAD, 1L, 16);
	C(splice, f, BAD, g, BAD, 1L, 2);
	C(splice, f, BAD, g, 0L, 1L, 2);
	C(splice, f, 0L, g, BAD, 1L, 2);
	C(splice, f, &offset, g, 0L, 1L, 2);
	C(splice, f, 0L, g, &offset, 1L, 2);
	C(splice, f, &high, g, 0L, 2L, 2);
	C(splice, f, 0L, g, &high, 2L, 2);
	C(splice, f, BAD, g, BAD, -1L, 2);
	C(splice, f, 0L, g, 0L, -1L, 16);
	C(tee, f, g, 0L, 16);
	C(tee, f, g, 0L, 2);
	C(tee, f, g, 1L, 16);
	C(tee, f, g, 1L, 2);
	C(tee, f, g, -1L, 2);
}

static void each_kind(void)
{
	struct iovec wrong[2] = { { KERNEL, 1 }, { 0, -1UL } };
	for (int i = 0; i < kind_count; i++) {
		int f = kinds[i].fd;
		in("%s: ", kinds[i].name);
		transfers(f);
		sizes(f);
		commands(f);
		C(vmsplice, f, BAD, 1L, 16);
		C(vmsplice, f, BAD, 1L, 2);
		C(vmsplice, f, BAD, 0L, 2);
		C(vmsplice, f, BAD, 1025L, 2);
		C(vmsplice, f, wrong, 2L, 2);
		T(mmap, 0L, 4096, 1, 2, f, 1);
		T(mmap, 0L, 0L, 1, 2, f, 1);
		T(mmap, 0L, 0L, 1, 2, f, 0);
		T(mmap, 0L, 4096L, 1, 0, f, 0);
		T(mmap, 0L, 4096L, 1, 4, f, 0);
		T(mmap, 0L, 4096L, 1, 0x03 | 0x4000000, f, 0);
		T(mmap, 1L, 4096L, 1, 0x12, f, 0);
		T(mmap, 1L, -1L, 1, 0x12, f, 0);
		T(mmap, 1L, 4096L, 1, 0x42, f, 0);
		T(mmap, 0L, 4096L, 2, 1, f, 1L << 62);
		T(mmap, 0L, 4096L, 2, 1, f, -4096L);
		for (int j = 0; j < kind_count; j++) {
			if (strchr("rnes", kinds[i].name[0]) || strchr("rnes", kinds[j].name[0]))
				continue;
			in("%s to %s: ", kinds[i].name, kinds[j].name);
			two_files(f, kinds[j].fd);
		}
	}
}

static void names(void)
{
	static const char *const paths[] = { BAD, KERNEL, "", "f", "f/x", "none", "none/x", "d", long_name, long_path };
	struct { uint64_t flags, mode, resolve, more; } how;
	struct timespec times[2] = { { 0, -1 }, { 0, 0 } };
	int d = (int)MUST(open("d", O_RDONLY | O_DIRECTORY)), f = (int)MUST(open("f", O_RDONLY));
	for (int i = 0; i < 10; i++)
		for (int j = 0; j < 3; j++) {
			const char *p = paths[i];
			int at = j == 0 ? AT_FDCWD : j == 1 ? f : 999;
			in("path %d, directory %d: ", i, j);
			C(openat, at, p, O_RDONLY | O_CREAT | O_DIRECTORY, 0);
			C(openat, at, p, O_RDONLY | O_TMPFILE, 0);
			C(openat, at, p, O_WRONLY | O_DIRECTORY, 0);
			memset(&how, 0, sizeof how);
			C(openat2, at, p, &how, 23);
			C(openat2, at, p, BAD, 23);
			C(openat2, at, p, BAD, 24);
			C(openat2, at, p, BAD, 4097);
			how.more = 1;
			C(openat2, at, p, &how, 32);
			how.mode = 0644;
			C(openat2, at, p, &how, 24);
			how.mode = 0;
			how.flags = 1UL << 40;
			C(openat2, at, p, &how, 24);
			how.flags = O_CREAT;
			how.mode = 0100000;
			C(openat2, at, p, &how, 24);
			how.flags = 0;
			how.mode = 0;
			how.resolve = 0x100;
			C(openat2, at, p, &how, 24);
			how.resolve = 0x18;
			C(openat2, at, p, &how, 24);
			how.resolve = 0x20;
			how.flags = O_CREAT | O_TRUNC;
			C(openat2, at, p, &how, 24);
			C(statx, at, p, 0x6000, 0, BAD);
			C(statx, at, p, 0, 0x80000000, BAD);
			C(statx, at, p, 0x10000, 0, BAD);
			C(statx, at, p, 0, 0, BAD);
			C(statx, at, p, 0x1000, 0, BAD);
			C(newfstatat, at, p, BAD, 0x8000);
			C(newfstatat, at, p, BAD, 0);
			C(newfstatat, at, p, BAD, 0x1000);
			C(faccessat2, at, p, 8, 0x8000);
			C(faccessat2, at, p, 0, 0x8000);
			C(faccessat2, at, p, 8, 0);
			C(faccessat2, at, p, 0, 0x1000);
			C(faccessat, at, p, 8);
			C(fchmodat, at, p, 0777777);
			C(fchmodat2, at, p, 0666, 0x8000);
			C(fchmodat2, at, p, 0666, 0x100);
			C(fchownat, at, p, -1, -1, 0x8000);
			C(fchownat, at, p, -1, -1, 0x100);
			C(unlinkat, at, p, 0x8000);
			if (i != 3 && i != 7)
				C(unlinkat, at, p, 0x200);
			C(mkdirat, at, p, 0);
			if (i == 5 && j == 0)
				rmdir("none");
			C(mknodat, at, p, 0170000, 0);
			C(mknodat, at, p, 0040000, 0);
			C(mknodat, at, p, 0120000, 0);
			if (i != 5)
				C(mknodat, at, p, 0020000, 0);
			C(readlinkat, at, p, BAD, 0);
			C(readlinkat, at, p, BAD, -1);
			C(readlinkat, at, p, BAD, 1);
			C(utimensat, at, p, BAD, 0);
			C(utimensat, at, p, times, 0);
			C(utimensat, at, p, times, 0x8000);
			times[0].tv_nsec = times[1].tv_nsec = UTIME_OMIT;
			C(utimensat, at, p, times, 0);
			C(utimensat, at, p, times, 0x8000);
			times[0].tv_nsec = -1;
			times[1].tv_nsec = 0;
			C(name_to_handle_at, at, p, BAD, BAD, 0x8000);
			C(name_to_handle_at, at, p, BAD, BAD, 0);
			if (i != 5 && i != 3)
				C(symlinkat, p, at, p);
			for (int k = 0; k < 10; k++) {
				if (j == 1 || i == 1 || i == 4 || i == 9 || k == 1 || k == 4 || k == 9)
					continue;
				const char *q = paths[k];
				in("path %d, directory %d, other %d: ", i, j, k);
				C(renameat2, at, p, 999, q, 8);
				C(renameat2, at, p, 999, q, 3);
				C(renameat2, at, p, 999, q, 6);
				C(renameat2, at, p, 999, q, 0);
				C(linkat, at, p, 999, q, 0x8000);
				C(linkat, at, p, 999, q, 0);
				C(linkat, at, p, 999, q, 0x1000);
				if (j == 0 && (i != 3 || k != 5) && (i != 7 || k != 5)) {
					C(renameat2, at, p, at, q, 4);
					C(renameat2, at, p, at, q, 1);
				}
			}
		}
	in("");
	C(access, "none", 8);
	C(access, BAD, 8);
	C(chdir, BAD);
	C(truncate, BAD, -1L);
	C(truncate, "none", -1L);
	C(truncate, "d", -1L);
	C(truncate, "d", 1L);
	C(readlink, "f", BAD, 0);
	C(readlink, "f", BAD, 1);
	C(readlink, BAD, BAD, 0);
	C(utime, "none", BAD);
	C(utimes, "none", BAD);
	C(futimesat, 999, 0L, 0L);
	C(futimesat, f, 0L, BAD);
	C(utimensat, f, 0L, times, 0);
	C(utimensat, 999, 0L, times, 0x100);
	C(utimensat, f, 0L, 0L, 0x100);
	C(utimensat, AT_FDCWD, 0L, 0L, 0);
	C(newfstatat, f, 0L, BAD, 0x1000);
	C(statx, f, 0L, 0x1000, 0x7ff, BAD);
	C(getcwd, BAD, 0L);
	C(getcwd, BAD, 1L);
	C(getcwd, BAD, 4096L);
	C(statfs, BAD, BAD);
	C(statfs, "none", BAD);
	C(setxattr, "none", BAD, BAD, 1, 8);
	C(setxattr, "none", BAD, BAD, 1, 0);
	C(setxattr, BAD, BAD, BAD, 1, 0);
	C(setxattr, BAD, "user.x", "x", 1, 0);
	C(setxattr, "none", "user.x", BAD, 1, 0);
	C(setxattr, "none", "", BAD, 1, 0);
	C(getxattr, "none", BAD, BAD, 1);
	C(getxattr, BAD, BAD, BAD, 1);
	C(getxattr, "none", "", BAD, 1);
	C(listxattr, "none", BAD, 1);
	C(removexattr, "none", BAD);
	C(memfd_create, BAD, 0x100);
	C(memfd_create, BAD, 0x18);
	C(memfd_create, BAD, 0);
	C(memfd_create, long_name, 0x18);
	C(memfd_create, long_name, 0);
	C(memfd_create, "x", 1U << 26);
	C(memfd_create, "x", 21U << 26);
	C(memfd_create, BAD, 4 | 5U << 26);
	C(memfd_create, BAD, 4 | 8);
	long_name[250] = 0;
	C(memfd_create, long_name, 0);
	long_name[250] = 'n';
	C(pipe2, BAD, 0x1000);
	C(pipe2, BAD, 0);
	memset(edge - 4, 0x77, 4);
	C(pipe2, edge - 4, 0);
	CHECK(*(int *)(edge - 4) == 0x77777777);
	C(socketpair, 99, 99, 99, BAD);
	C(socketpair, AF_UNIX, SOCK_STREAM, 99, BAD);
	C(socketpair, AF_UNIX, SOCK_STREAM | 0x100, 0, BAD);
	C(socketpair, AF_UNIX, SOCK_STREAM, 0, BAD);
	C(socketpair, AF_UNIX, SOCK_STREAM, 0, edge - 4);
	CHECK(*(int *)(edge - 4) == 0x77777777);
	C(socket, 99, 99, 99);
	C(socket, AF_INET, 99, 99);
	C(socket, -1, SOCK_STREAM | 0x100, 0);
	C(close_range, 5, 4, 8);
	C(close_range, 5, 4, 0);
	C(close_range, 100000, -1, 8);
	C(close_range, 100000, -1, 6);
	C(close_range, 100000, 100001, 2);
	C(eventfd2, 0, 2);
	C(epoll_create, 0);
	C(epoll_create1, 1);
	C(inotify_init1, 1);
	C(epoll_ctl, 999, 99, 999, BAD);
	C(epoll_ctl, 999, 2, 999, BAD);
	C(epoll_ctl, f, 1, f, BAD);
	C(epoll_ctl, f, 2, 999, 0L);
	C(epoll_ctl, f, 2, d, 0L);
	int e = (int)MUST(syscall(SYS_epoll_create1, 0)), n = (int)MUST(syscall(SYS_inotify_init1, 0));
	long event[2] = { 0, 0 };
	C(epoll_ctl, e, 1, f, BAD);
	C(epoll_ctl, e, 1, f, event);
	C(epoll_ctl, e, 1, e, event);
	C(epoll_ctl, e, 1, e, BAD);
	C(epoll_ctl, e, 1, 999, event);
	C(epoll_ctl, e, 99, 999, event);
	C(epoll_ctl, e, 99, n, BAD);
	C(epoll_ctl, e, 99, n, event);
	C(epoll_ctl, e, 2, n, BAD);
	C(epoll_ctl, e, 3, n, BAD);
	C(epoll_ctl, e, 3, n, event);
	C(epoll_ctl, n, 99, n, event);
	C(epoll_wait, 999, BAD, 0, 0);
	C(epoll_wait, 999, KERNEL, 1, 0);
	C(epoll_wait, 999, BAD, 1, 0);
	C(epoll_wait, f, BAD, 1, 0);
	C(epoll_wait, e, BAD, 0x7fffffff, 0);
	C(epoll_wait, e, BAD, 1, 0);
	C(epoll_pwait, 999, BAD, 0, 0, BAD, 8);
	C(epoll_pwait, 999, BAD, 0, 0, &event, 4);
	C(epoll_pwait2, 999, BAD, 0, BAD, BAD, 8);
	C(epoll_pwait2, 999, BAD, 0, times, BAD, 8);
	C(inotify_add_watch, 999, BAD, 0);
	C(inotify_add_watch, 999, BAD, 1);
	C(inotify_add_watch, f, BAD, 1);
	C(inotify_add_watch, n, BAD, 0);
	C(inotify_add_watch, n, BAD, 1);
	C(inotify_add_watch, f, "none", 1);
	C(inotify_add_watch, n, "f", 1 | 0x30000000);
	C(inotify_rm_watch, 999, 1);
	C(inotify_rm_watch, f, 1);
	C(inotify_rm_watch, n, 1);
	C(poll, BAD, 0, 0);
	C(poll, BAD, 1, 0);
	C(poll, BAD, 0x7fffffff, 0);
	C(ppoll, BAD, 1, times, BAD, 4);
	C(ppoll, BAD, 1, BAD, BAD, 4);
	C(ppoll, BAD, 1, 0L, BAD, 4);
	C(ppoll, BAD, 1, 0L, BAD, 8);
	C(ppoll, BAD, 0x7fffffff, 0L, 0L, 0);
	C(select, -1, BAD, 0L, 0L, BAD);
	C(select, -1, 0L, 0L, 0L, times);
	C(select, 1, BAD, 0L, 0L, 0L);
	C(pselect6, -1, BAD, 0L, 0L, BAD, BAD);
	C(pselect6, -1, BAD, 0L, 0L, times, BAD);
	C(pselect6, -1, BAD, 0L, 0L, 0L, BAD);
	C(pselect6, -1, BAD, 0L, 0L, 0L, 0L);
	C(umask, 0x7f000012);
	C(umask, 022);
	C(sync);
	close(e);
	close(n);
	close(d);
	close(f);
}


static void all(void)
{
	open_kinds();
	each_kind();
	names();
}

int main(void)
{
	umask(0);
	home = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
	syncfs(home); /* it reports a write that failed before, and the files below do not */
	memset(long_name, 'n', sizeof long_name - 1);
	memset(long_path, '/', sizeof long_path - 1);
	edge = (char *)MUST(mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) + PAGE;
	MUST(munmap(edge, PAGE));
	MUST(signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0);
	IN_CHILD({ all(); });
	MUST(chmod(".", 0777));
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		names();
	});
	return 0;
}
