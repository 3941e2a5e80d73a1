/* Covers: openat2: RESOLVE_NO_XDEV RESOLVE_NO_MAGICLINKS RESOLVE_NO_SYMLINKS RESOLVE_BENEATH RESOLVE_IN_ROOT RESOLVE_CACHED, sizes and unknown
 * flags of the structure. */
#define _GNU_SOURCE
#include "case.h"

struct how { uint64_t flags, mode, resolve, more; };

static long open2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct how how = { flags, mode, resolve, 0 };
	long fd = syscall(SYS_openat2, dir, path, &how, 24);
	if (fd >= 0) {
		close((int)fd);
		return 0;
	}
	return fd;
}

int main(void)
{
	enum { XDEV = 1, MAGIC = 2, SYMLINKS = 4, BENEATH = 8, ROOT = 16, CACHED = 32 };
	mkdir("dir", 0755);
	mkdir("dir/sub", 0755);
	put_file("file", "outside", 0644);
	put_file("dir/file", "inside", 0644);
	symlink("file", "dir/link");
	symlink("sub", "dir/sublink");
	symlink("../file", "dir/up");
	symlink("/file", "dir/absolute");
	symlink("sub/../file", "dir/round");
	int dir = (int)MUST(open("dir", O_RDONLY | O_DIRECTORY));
	SHOW(open2(dir, "file", O_RDONLY, 0, 0));
	SHOW(open2(dir, "link", O_RDONLY, 0, SYMLINKS));
	SHOW(open2(dir, "link", O_PATH | O_NOFOLLOW, 0, SYMLINKS));
	SHOW(open2(dir, "sublink/..", O_RDONLY, 0, SYMLINKS));
	SHOW(open2(dir, "link", O_RDONLY, 0, BENEATH));
	SHOW(open2(dir, "up", O_RDONLY, 0, BENEATH));
	SHOW(open2(dir, "..", O_RDONLY, 0, BENEATH));
	SHOW(open2(dir, "sub/..", O_RDONLY, 0, BENEATH));
	SHOW(open2(dir, "sub/../..", O_RDONLY, 0, BENEATH));
	SHOW(open2(dir, "round", O_RDONLY, 0, BENEATH));
	SHOW(open2(dir, "absolute", O_RDONLY, 0, BENEATH));
	SHOW(open2(dir, "/etc", O_RDONLY, 0, BENEATH));
	SHOW(open2(AT_FDCWD, "dir/up", O_RDONLY, 0, BENEATH));
	SHOW(open2(dir, "up", O_RDONLY, 0, ROOT));
	SHOW(open2(dir, "/file", O_RDONLY, 0, ROOT));
	SHOW(open2(dir, "absolute", O_RDONLY, 0, ROOT));
	SHOW(open2(dir, "../../../sub", O_RDONLY, 0, ROOT));
	SHOW(open2(dir, "../dir/file", O_RDONLY, 0, ROOT));
	SHOW(open2(dir, "/etc/passwd", O_RDONLY, 0, ROOT));
	SHOW(open2(dir, "file", O_RDONLY, 0, ROOT | BENEATH));
	SHOW(open2(AT_FDCWD, "/proc/self/status", O_RDONLY, 0, XDEV));
	SHOW(open2(AT_FDCWD, "/etc", O_RDONLY, 0, XDEV));
	SHOW(open2(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, MAGIC));
	SHOW(open2(AT_FDCWD, "/proc/self/cwd", O_RDONLY, 0, MAGIC));
	SHOW(open2(AT_FDCWD, "/proc/self/cwd", O_PATH | O_NOFOLLOW, 0, MAGIC));
	SHOW(open2(AT_FDCWD, "/proc/self/status", O_RDONLY, 0, MAGIC));
	SHOW(open2(AT_FDCWD, "/proc/self/status", O_RDONLY, 0, SYMLINKS));
	SHOW(open2(AT_FDCWD, "/proc/self/cwd/file", O_RDONLY, 0, BENEATH));
	SHOW(open2(dir, "file", O_RDONLY, 0, CACHED));
	SHOW(open2(dir, "new", O_RDWR | O_CREAT, 0644, CACHED));
	SHOW(open2(dir, "new", O_RDWR | O_CREAT, 0644, BENEATH));
	SHOW(open2(dir, "../new", O_RDWR | O_CREAT, 0644, BENEATH));
	SHOW(open2(dir, "up2", O_RDWR | O_CREAT | O_EXCL, 0644, ROOT));
	SHOW(open2(dir, "file", O_RDONLY, 0, 64));
	SHOW(open2(dir, "file", O_RDONLY, 0644, 0));
	SHOW(open2(dir, "new", O_RDWR | O_CREAT, 010000, 0));
	SHOW(open2(dir, "file", 1ull << 30, 0, 0));
	SHOW(open2(dir, "file", 1ull << 40, 0, 0));
	SHOW(open2(dir, "file", O_PATH | O_RDWR, 0, 0));
	SHOW(open2(dir, "file", O_PATH | O_CLOEXEC | O_DIRECTORY, 0, 0));
	SHOW(open2(dir, "", O_RDONLY, 0, 0));
	SHOW(open2(-1, "file", O_RDONLY, 0, 0));
	struct how how = { O_RDONLY, 0, 0, 0 };
	SHOW(syscall(SYS_openat2, dir, "file", &how, 23));
	SHOW(syscall(SYS_openat2, dir, "file", &how, 8));
	SHOW(syscall(SYS_openat2, dir, "file", &how, 32) >= 0);
	how.more = 1;
	SHOW(syscall(SYS_openat2, dir, "file", &how, 32));
	SHOW(syscall(SYS_openat2, dir, "file", &how, 5000));
	SHOW(syscall(SYS_openat2, dir, "file", NULL, 24));
	SHOW(syscall(SYS_openat2, dir, "file", &how, 0));
	return 0;
}
