/*
 * Covers: mount(2): what a file system on a disk answers after MS_REMOUNT with "abort": reading, writing and changes of names through descriptions
 * that were open and new ones, fsync, statfs, further remounts, umount(2); and a new mount after that.
 */
#define _GNU_SOURCE
#include "case.h"
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define DISK "/dev/vda"
#define AT "/tmp/aborted"

static void show(void)
{
	char line[1024];
	FILE *file = fopen("/proc/self/mounts", "r");
	while (fgets(line, sizeof line, file)) {
		char place[256], type[64], shown[512];
		if (sscanf(line, "%*s %255s %63s %511s", place, type, shown) == 3 && !strcmp(place, AT))
			printf("%s %s\n", type, shown);
	}
	fclose(file);
}

static int make(const char *name)
{
	return open(name, O_RDWR | O_CREAT, 0644);
}

int main(void)
{
	char data[8192] = "";
	unsigned list[] = {2, 0x00060001, -1, 0x00060002, 1000, 0x00040004, -1, 0x00060010, -1, 0x00040020, -1}; /* user 1000: rw */
	MUST(mkdir(AT, 0755));
	if (system("mke2fs -F -b 1024 " DISK " > /dev/null 2>&1"))
		return 99;
	MUST(mount(DISK, AT, "ext2", 0, ""));
	int fd = (int)MUST(make(AT "/file"));
	MUST(write(fd, "contents", 8));
	MUST(ftruncate(fd, 6000));
	MUST(fsync(fd));
	close((int)MUST(make(AT "/other")));
	MUST(mkdir(AT "/dir", 0755));
	MUST(mkdir(AT "/empty", 0755));
	MUST(symlink("file", AT "/link"));
	char *area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	printf("%c\n", area[0]);
	MUST(setxattr(AT "/other", "system.posix_acl_access", list, sizeof list, 0));
	sync();
	SHOW(mount(NULL, AT, NULL, MS_REMOUNT, "abort"));
	show();
	puts("== open before");
	SHOW(pread(fd, data, 8, 0));
	SHOW(pread(fd, data, 8, 8000));
	SHOW(pwrite(fd, "more", 4, 0));
	SHOW(pwrite(fd, "more", 4, 100000));
	SHOW(pwrite(fd, "", 0, 0));
	printf("%c\n", area[0]);
	SHOW(ftruncate(fd, 10));
	SHOW(ftruncate(fd, 6000));
	SHOW(fchmod(fd, 0600));
	SHOW(fchown(fd, 1, 1));
	SHOW(futimens(fd, NULL));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	SHOW(syncfs(fd));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	SHOW(fsetxattr(fd, "user.a", "b", 1, 0));
	SHOW(fgetxattr(fd, "user.a", data, 10));
	SHOW(lseek(fd, 0, SEEK_END));
	struct stat status;
	SHOW(fstat(fd, &status));
	printf("%lld bytes, mode %o\n", (long long)status.st_size, status.st_mode);
	SHOW(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	puts("== new");
	SHOW(open(AT "/file", O_RDONLY));
	SHOW(open(AT "/file", O_RDWR));
	SHOW(open(AT "/file", O_RDONLY | O_TRUNC));
	SHOW(open(AT "/file", O_RDWR | O_CREAT, 0644));
	SHOW(open(AT "/file", O_RDWR | O_CREAT | O_EXCL, 0644));
	SHOW(open(AT "/missing", O_RDONLY));
	SHOW(open(AT "/missing", O_RDWR));
	SHOW(make(AT "/fresh"));
	SHOW(open(AT, O_RDONLY | O_TMPFILE, 0600));
	SHOW(open(AT, O_RDWR | O_TMPFILE, 0600));
	SHOW(open(AT "/link", O_RDONLY));
	int path = (int)MUST(open(AT "/file", O_PATH));
	close(path);
	int dir = (int)MUST(open(AT "/dir", O_RDONLY | O_DIRECTORY));
	SHOW(syscall(SYS_getdents64, dir, data, sizeof data) > 0);
	SHOW(fsync(dir));
	close(dir);
	SHOW(readlink(AT "/link", data, sizeof data));
	SHOW(access(AT "/file", R_OK));
	SHOW(access(AT "/file", W_OK));
	SHOW(truncate(AT "/file", 3));
	SHOW(truncate(AT "/missing", 3));
	SHOW(chmod(AT "/file", 0600));
	SHOW(chmod(AT "/missing", 0600));
	SHOW(lchown(AT "/link", 1, 1));
	SHOW(setxattr(AT "/file", "user.a", "b", 1, 0));
	SHOW(removexattr(AT "/file", "user.a"));
	SHOW(setxattr(AT "/file", "system.posix_acl_access", list, sizeof list, 0));
	SHOW(getxattr(AT "/file", "system.posix_acl_access", data, sizeof data));
	SHOW(removexattr(AT "/file", "system.posix_acl_access"));
	SHOW(removexattr(AT "/file", "system.posix_acl_default"));
	SHOW(mkdir(AT "/fresh", 0755));
	SHOW(mkdir(AT "/dir", 0755));
	SHOW(rmdir(AT "/empty"));
	SHOW(rmdir(AT "/missing"));
	SHOW(unlink(AT "/other"));
	SHOW(unlink(AT "/missing"));
	SHOW(unlink(AT "/dir"));
	SHOW(link(AT "/file", AT "/fresh"));
	SHOW(link(AT "/file", AT "/other"));
	SHOW(symlink("x", AT "/fresh"));
	SHOW(symlink("x", AT "/other"));
	SHOW(mknod(AT "/fresh", S_IFIFO | 0600, 0));
	SHOW(rename(AT "/file", AT "/fresh"));
	SHOW(rename(AT "/missing", AT "/fresh"));
	struct statfs about;
	SHOW(statfs(AT, &about));
	printf("flags %#lx\n", (unsigned long)about.f_flags);
	puts("== remounts");
	SHOW(mount(NULL, AT, NULL, MS_REMOUNT, "abort"));
	show();
	SHOW(mount(NULL, AT, NULL, MS_REMOUNT, ""));
	show();
	SHOW(mount(NULL, AT, NULL, MS_REMOUNT | MS_RDONLY, ""));
	show();
	SHOW(mount(NULL, AT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, ""));
	show();
	SHOW(make(AT "/fresh"));
	SHOW(mount(NULL, AT, NULL, MS_REMOUNT | MS_BIND, ""));
	SHOW(umount(AT));
	munmap(area, 4096);
	close(fd);
	SHOW(mount(NULL, AT, NULL, MS_REMOUNT | MS_RDONLY, ""));
	show();
	SHOW(umount(AT));
	puts("== mounted again");
	SHOW(mount(DISK, AT, "ext2", 0, ""));
	show();
	fd = open(AT "/file", O_RDWR);
	printf("%d\n", fd >= 0);
	close(fd);
	SHOW(stat(AT "/other", &status));
	SHOW(umount(AT));
	SHOW(mount(DISK, AT, "ext2", MS_RDONLY, "abort"));
	show();
	SHOW(umount(AT));
	SHOW(mount(DISK, AT, "ext2", 0, "abort"));
	show();
	fd = (int)MUST(make(AT "/fresh"));
	SHOW(mount(NULL, AT, NULL, MS_REMOUNT, ""));
	SHOW(write(fd, "more", 4));
	close(fd);
	SHOW(umount(AT));
	SHOW(mount(DISK, AT, "ext2", MS_RDONLY, ""));
	SHOW(mount(NULL, AT, NULL, MS_REMOUNT | MS_RDONLY, "abort"));
	show();
	fd = (int)MUST(open(AT "/file", O_RDONLY));
	SHOW(read(fd, data, 8));
	SHOW(make(AT "/another"));
	close(fd);
	SHOW(umount(AT));
	return 0;
}
