/* Covers: statx: masks, flags, AT_EMPTY_PATH AT_SYMLINK_NOFOLLOW, AT_STATX_*; access, faccessat, faccessat2: AT_EACCESS AT_SYMLINK_NOFOLLOW AT_EMPTY_PATH;
 * umask; utimensat: UTIME_NOW UTIME_OMIT, flags; getdents64, getdents: buffers too small, removed directories, seeking; extended attributes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <sys/xattr.h>
#include "case.h"

#ifndef AT_EACCESS
#define AT_EACCESS 0x200
#endif

struct statx_time { int64_t sec; uint32_t nsec; int32_t pad; };
struct sx { uint32_t mask, blksize; uint64_t attributes; uint32_t nlink, uid, gid; uint16_t mode, pad; uint64_t ino, size, blocks, attributes_mask;
	struct statx_time atime, btime, ctime, mtime; uint32_t rdev_major, rdev_minor, dev_major, dev_minor; uint64_t rest[14]; };

static void show_statx(const char *what, int dir, const char *path, int flags, unsigned mask)
{
	struct sx x;
	memset(&x, 0xee, sizeof x);
	errno = 0;
	if (syscall(SYS_statx, dir, path, flags, mask, &x) == -1) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	printf("%s: mask %#x mode %o links %u size %ld block size %u rdev %u:%u uid %u birth %d\n", what, x.mask & 0xfff, x.mode, x.nlink, (long)x.size, x.blksize, x.rdev_major,
	       x.rdev_minor, x.uid, x.btime.sec > 0);
}

static void may(const char *path, int mode)
{
	errno = 0;
	int result = access(path, mode);
	printf(" %s", result == 0 ? "yes" : error_name(errno));
}

struct entry { uint64_t ino, off; unsigned short length; unsigned char type; char name[]; };

int main(void)
{
	put_file("file", "0123456789", 0640);
	mkdir("dir", 0755);
	symlink("file", "link");
	symlink("none", "dangling");
	int fd = (int)MUST(open("file", O_RDONLY)), dir = (int)MUST(open("dir", O_RDONLY | O_DIRECTORY));
	show_statx("all", AT_FDCWD, "file", 0, 0xfff);
	show_statx("basic", AT_FDCWD, "file", 0, 0x7ff);
	show_statx("nothing", AT_FDCWD, "file", 0, 0);
	show_statx("link", AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, 0x7ff);
	show_statx("through a link", AT_FDCWD, "link", 0, 0x7ff);
	show_statx("dir", AT_FDCWD, "dir", 0, 0x7ff & ~0x600);
	show_statx("null", AT_FDCWD, "/dev/null", 0, 0x7ff);
	show_statx("empty", fd, "", AT_EMPTY_PATH, 0x7ff);
	show_statx("empty without the flag", fd, "", 0, 0x7ff);
	show_statx("cwd", AT_FDCWD, "", AT_EMPTY_PATH, 0x1);
	show_statx("missing", AT_FDCWD, "missing", 0, 0x7ff);
	show_statx("both sync flags", AT_FDCWD, "file", 0x6000, 0x7ff);
	show_statx("force", AT_FDCWD, "file", 0x2000, 0x7ff);
	show_statx("unknown flag", AT_FDCWD, "file", 1, 0x7ff);
	show_statx("reserved mask", AT_FDCWD, "file", 0, 0x80000000u);
	show_statx("no descriptor", -1, "file", 0, 0x7ff);
	SHOW(syscall(SYS_statx, AT_FDCWD, "file", 0, 0x7ff, (void *)1));
	SHOW(syscall(SYS_statx, AT_FDCWD, (void *)1, 0, 0x7ff, (void *)1));

	/* access */
	static const char *names[] = { "file", "dir", "link", "dangling", "none", "file/x", "", "/dev/null" };
	put_file("script", "#!/bin/sh\n", 0711);
	for (size_t i = 0; i < 8; i++) {
		printf("access \"%s\":", names[i]);
		for (int mode = 0; mode < 8; mode++)
			may(names[i], mode);
		printf("\n");
	}
	SHOW(access("file", 8));
	SHOW(access("file", -1));
	SHOW(syscall(SYS_faccessat2, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
	SHOW(syscall(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH));
	SHOW(syscall(SYS_faccessat2, fd, "", R_OK, 0));
	SHOW(syscall(SYS_faccessat2, AT_FDCWD, "file", R_OK, 1));
	SHOW(syscall(SYS_faccessat2, dir, "../file", X_OK, AT_EACCESS));
	IN_CHILD(
		MUST(chown("file", 1000, 1000));
		MUST(setresuid(1000, 0, 0));
		SHOW(access("file", R_OK | W_OK));
		SHOW(access("script", R_OK));
		SHOW(access("script", X_OK));
		SHOW(syscall(SYS_faccessat2, AT_FDCWD, "script", R_OK, AT_EACCESS));
		SHOW(syscall(SYS_faccessat2, AT_FDCWD, "/proc/1/environ", R_OK, 0)));
	IN_CHILD(
		MUST(setresuid(2000, 2000, 2000));
		SHOW(access("file", R_OK));
		SHOW(access("file", F_OK));
		SHOW(access("script", X_OK)));

	/* umask */
	SHOW(umask(027));
	SHOW(umask(0));
	SHOW(umask(07777777));
	SHOW(umask(022));

	/* utimensat */
	struct timespec t[2] = { { 100, 5 }, { 200, 6 } };
	struct stat st;
	SHOW(utimensat(AT_FDCWD, "file", t, 0));
	stat("file", &st);
	printf("%ld.%ld %ld.%ld\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_sec = 300;
	SHOW(utimensat(AT_FDCWD, "file", t, 0));
	stat("file", &st);
	printf("%ld %ld\n", (long)st.st_atim.tv_sec, (long)st.st_mtim.tv_sec);
	t[1].tv_nsec = UTIME_NOW;
	SHOW(utimensat(AT_FDCWD, "file", t, 0));
	stat("file", &st);
	printf("%ld %d\n", (long)st.st_atim.tv_sec, st.st_mtim.tv_sec > 1000000000);
	t[1].tv_nsec = UTIME_OMIT;
	SHOW(utimensat(AT_FDCWD, "missing", t, 0));
	t[0].tv_nsec = 1000000000;
	SHOW(utimensat(AT_FDCWD, "file", t, 0));
	t[0].tv_nsec = t[1].tv_nsec = 0;
	SHOW(utimensat(AT_FDCWD, "dangling", t, AT_SYMLINK_NOFOLLOW));
	SHOW(utimensat(AT_FDCWD, "dangling", t, 0));
	SHOW(futimens(fd, t));
	SHOW(syscall(SYS_utimensat, fd, "", t, AT_EMPTY_PATH));
	SHOW(syscall(SYS_utimensat, fd, NULL, t, 0));
	SHOW(syscall(SYS_utimensat, AT_FDCWD, NULL, t, 0));
	SHOW(utimensat(AT_FDCWD, "file", t, 1));
	SHOW(syscall(SYS_utimensat, AT_FDCWD, "file", (void *)1, 0));
	IN_CHILD(
		MUST(setresuid(2000, 2000, 2000));
		SHOW(utimensat(AT_FDCWD, "file", t, 0));
		SHOW(utimensat(AT_FDCWD, "file", NULL, 0)));

	/* getdents */
	char name[16], buffer[4096];
	for (int i = 0; i < 30; i++) {
		sprintf(name, "dir/entry%d", i);
		put_file(name, "", 0644);
	}
	SHOW(syscall(SYS_getdents64, dir, buffer, 10));
	SHOW(syscall(SYS_getdents64, dir, (void *)1, 100));
	SHOW(syscall(SYS_getdents64, fd, buffer, sizeof buffer));
	SHOW(syscall(SYS_getdents64, -1, buffer, sizeof buffer));
	int seen = 0, dots = 0, files = 0, calls = 0;
	long n;
	while ((n = syscall(SYS_getdents64, dir, buffer, 200)) > 0) {
		calls++;
		for (long at = 0; at < n;) {
			struct entry *e = (struct entry *)(buffer + at);
			seen++;
			dots += e->name[0] == '.' && e->type == DT_DIR;
			files += e->type == DT_REG;
			CHECK(e->length % 8 == 0) ;
			at += e->length;
		}
	}
	printf("%d entries, %d dots, %d files, several calls %d, then %ld\n", seen, dots, files, calls > 3, n);
	SHOW(lseek(dir, 0, SEEK_SET));
	n = syscall(SYS_getdents64, dir, buffer, sizeof buffer);
	printf("after seeking back: %d\n", n > 500);
	n = syscall(SYS_getdents, dir, buffer, sizeof buffer);
	printf("at the end: %ld\n", n);
	SHOW(lseek(dir, 0, SEEK_SET));
	n = syscall(SYS_getdents, dir, buffer, sizeof buffer);
	printf("old form: %d, type of the first %d\n", n > 500, buffer[*(unsigned short *)(buffer + 16) - 1]);
	mkdir("gone", 0755);
	int gone = (int)MUST(open("gone", O_RDONLY));
	rmdir("gone");
	SHOW(syscall(SYS_getdents64, gone, buffer, sizeof buffer));
	SHOW(openat(gone, "new", O_CREAT | O_WRONLY, 0644));

	/* Extended attributes. */
	SHOW(setxattr("file", "user.one", "value", 5, 0));
	SHOW(getxattr("file", "user.one", buffer, sizeof buffer));
	SHOW(getxattr("file", "user.one", buffer, 2));
	SHOW(getxattr("file", "user.one", NULL, 0));
	SHOW(setxattr("file", "user.one", "v", 1, XATTR_CREATE));
	SHOW(setxattr("file", "user.two", "v", 1, XATTR_REPLACE));
	SHOW(setxattr("file", "user.one", "longer value", 12, XATTR_REPLACE));
	SHOW(getxattr("file", "user.one", buffer, sizeof buffer));
	SHOW(fsetxattr(fd, "user.three", "", 0, 0));
	SHOW(fgetxattr(fd, "user.three", buffer, 10));
	SHOW(listxattr("file", buffer, sizeof buffer));
	SHOW(listxattr("file", buffer, 3));
	SHOW(listxattr("file", NULL, 0));
	SHOW(flistxattr(fd, NULL, 0));
	SHOW(removexattr("file", "user.one"));
	SHOW(removexattr("file", "user.one"));
	SHOW(getxattr("file", "user.one", buffer, sizeof buffer));
	SHOW(setxattr("file", "trusted.one", "t", 1, 0));
	SHOW(getxattr("file", "trusted.one", buffer, 10));
	SHOW(setxattr("file", "nonsense", "t", 1, 0));
	SHOW(setxattr("file", "other.name", "t", 1, 0));
	SHOW(setxattr("file", "user.", "t", 1, 0));
	SHOW(setxattr("file", "", "t", 1, 0));
	SHOW(setxattr("file", "user.big", buffer, 70000, 0));
	SHOW(setxattr("file", "user.flags", "v", 1, 4));
	SHOW(setxattr("missing", "user.one", "v", 1, 0));
	SHOW(getxattr("missing", "user.one", NULL, 0));
	SHOW(listxattr("missing", NULL, 0));
	SHOW(setxattr("dir", "user.dir", "d", 1, 0));
	SHOW(getxattr("dir", "user.dir", buffer, 10));
	SHOW(lsetxattr("link", "user.link", "l", 1, 0));
	SHOW(lgetxattr("link", "user.link", buffer, 10));
	SHOW(llistxattr("link", NULL, 0));
	SHOW(lremovexattr("link", "user.link"));
	SHOW(fremovexattr(fd, "user.three"));
	SHOW(fremovexattr(-1, "user.three"));
	SHOW(getxattr("/proc/version", "user.x", NULL, 0));
	SHOW(setxattr("/dev/null", "user.x", "v", 1, 0));
	SHOW(getxattr("file", "system.posix_acl_access", NULL, 0));
	SHOW(getxattr("file", "security.capability", NULL, 0));
	IN_CHILD(
		MUST(setresuid(2000, 2000, 2000));
		SHOW(setxattr("script", "user.x", "v", 1, 0));
		SHOW(getxattr("script", "user.x", NULL, 0));
		SHOW(setxattr("script", "trusted.x", "v", 1, 0));
		SHOW(getxattr("script", "trusted.x", NULL, 0));
		SHOW(listxattr("script", NULL, 0)));
	return 0;
}
