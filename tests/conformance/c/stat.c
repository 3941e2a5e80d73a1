/* Covers: stat, lstat, fstat, newfstatat (AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH), statx, link counts, types, sizes, device numbers. */
#include <sys/sysmacros.h>
#include "case.h"

static void show(const char *path, int flags)
{
	struct stat st;
	if (fstatat(AT_FDCWD, path, &st, flags) != 0) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	printf("%s: mode %o links %ld uid %d gid %d", path, st.st_mode, (long)st.st_nlink, st.st_uid, st.st_gid);
	if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
		printf(" size %ld blocks %ld blksize %ld", (long)st.st_size, (long)st.st_blocks, (long)st.st_blksize);
	if (S_ISCHR(st.st_mode))
		printf(" device %d:%d", major(st.st_rdev), minor(st.st_rdev));
	printf(" times %s\n", st.st_mtime > 0 && st.st_ctime > 0 && st.st_atime > 0 ? "set" : "unset");
}

int main(void)
{
	struct stat st, other;
	put_file("file", "some contents", 0640);
	MUST(mkdir("dir", 0751));
	MUST(mkdir("dir/sub", 0700));
	MUST(symlink("file", "link"));
	MUST(link("file", "second"));
	MUST(mkfifo("fifo", 0600));
	MUST(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	MUST(mknod("block", S_IFBLK | 0600, makedev(7, 0)));
	MUST(mknod("socket", S_IFSOCK | 0600, 0));
	MUST(mknod("plain", 0600, 0));
	const char *names[] = { "file", "dir", "dir/sub", "link", "second", "fifo", "null", "block", "socket", "plain", "none",
		"/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/console", "/", "/bin/sh", "file/x", "" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], "/") && strncmp(names[i], "/bin", 4))
			show(names[i], 0);
	show("link", AT_SYMLINK_NOFOLLOW);
	SHOW(stat("file", &st));
	SHOW(stat("second", &other));
	CHECK(st.st_ino == other.st_ino && st.st_dev == other.st_dev);
	MUST(unlink("second"));
	SHOW(stat("file", &st));
	printf("links %ld\n", (long)st.st_nlink);
	int fd = (int)MUST(open("file", O_RDONLY));
	SHOW(fstat(fd, &other));
	CHECK(st.st_ino == other.st_ino);
	MUST(unlink("file"));
	SHOW(fstat(fd, &other));
	printf("links %ld\n", (long)other.st_nlink);
	SHOW(fstat(99, &st));
	SHOW(stat("link", &st));
	SHOW(syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH));
	SHOW(syscall(SYS_newfstatat, fd, "", &st, 0));
	SHOW(syscall(SYS_newfstatat, fd, "x", &st, 0));
	SHOW(syscall(SYS_newfstatat, AT_FDCWD, "dir", &st, 0x40000000));
	SHOW(syscall(SYS_stat, "dir", (void *)8));
	SHOW(syscall(SYS_fstat, fd, (void *)8));
	int pipes[2];
	MUST(pipe(pipes));
	SHOW(fstat(pipes[0], &st));
	printf("pipe: mode %o size %ld\n", st.st_mode, (long)st.st_size);
	struct statx sx;
	memset(&sx, 0, sizeof sx);
	SHOW(statx(AT_FDCWD, "dir", 0, STATX_BASIC_STATS, &sx));
	printf("statx: mode %o links %u mask %#x\n", sx.stx_mode, sx.stx_nlink, sx.stx_mask & STATX_BASIC_STATS);
	SHOW(statx(AT_FDCWD, "none", 0, STATX_BASIC_STATS, &sx));
	SHOW(statx(AT_FDCWD, "dir", 0x40000000, STATX_BASIC_STATS, &sx));
	SHOW(statx(AT_FDCWD, "dir", 0, 0x80000000, &sx));
	return 0;
}
