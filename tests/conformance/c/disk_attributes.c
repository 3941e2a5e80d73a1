/* Extended attributes and inode flags, on tmpfs and on ext2 with small and with large inodes. */
#define _GNU_SOURCE
#include "case.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static char value[70000];

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names and values, sorted. */
static void list(const char *path)
{
	char names[4096], *found[100];
	ssize_t size = llistxattr(path, names, sizeof names);
	int count = 0;
	printf("%s: list %zd\n", path, size);
	for (char *name = names; name < names + size; name += strlen(name) + 1)
		found[count++] = name;
	qsort(found, count, sizeof *found, compare);
	for (int i = 0; i < count; i++) {
		ssize_t length = lgetxattr(path, found[i], value, sizeof value);
		printf("  %s: %zd \"%.*s\"\n", found[i], length, (int)(length > 20 ? 20 : length), value);
	}
}

static void attributes(void)
{
	char name[300], small[4];
	put_file("file", "text", 0644);
	MUST(mkdir("dir", 0755));
	MUST(symlink("file", "link"));
	MUST(mkfifo("fifo", 0644));
	SHOW(setxattr("file", "user.one", "1", 1, 0));
	SHOW(setxattr("file", "user.one", "uno", 3, XATTR_CREATE));
	SHOW(setxattr("file", "user.one", "uno", 3, XATTR_REPLACE));
	SHOW(setxattr("file", "user.two", "2", 1, XATTR_REPLACE));
	SHOW(setxattr("file", "user.two", "", 0, XATTR_CREATE));
	SHOW(setxattr("file", "trusted.three", "three", 5, 0));
	SHOW(setxattr("file", "security.four", "four", 4, 0));
	SHOW(setxattr("file", "user.", "x", 1, 0));
	SHOW(setxattr("file", "other.x", "x", 1, 0));
	SHOW(setxattr("file", "user", "x", 1, 0));
	SHOW(setxattr("file", "", "x", 1, 0));
	SHOW(setxattr("file", "user.x", "x", 1, 4));
	SHOW(setxattr("file", "user.x", value, 65537, 0));
	memset(name, 'n', sizeof name);
	memcpy(name, "user.", 5);
	name[255] = 0;
	SHOW(setxattr("file", name, "long", 4, 0));
	SHOW(removexattr("file", name));
	name[255] = 'n';
	name[256] = 0;
	SHOW(setxattr("file", name, "longer", 6, 0));
	list("file");
	SHOW(getxattr("file", "user.one", NULL, 0));
	SHOW(getxattr("file", "user.one", small, 2));
	SHOW(getxattr("file", "user.none", small, 2));
	SHOW(getxattr("file", "system.posix_acl_access", value, 100));
	SHOW(getxattr("dir", "system.posix_acl_default", value, 100));
	SHOW(listxattr("file", small, 3));
	SHOW(setxattr("dir", "user.d", "directory", 9, 0));
	SHOW(lsetxattr("link", "user.l", "link", 4, 0));
	SHOW(lsetxattr("link", "trusted.l", "link", 4, 0));
	SHOW(setxattr("fifo", "user.f", "fifo", 4, 0));
	SHOW(setxattr("fifo", "trusted.f", "fifo", 4, 0));
	SHOW(lgetxattr("link", "user.one", value, 100));
	list("dir");
	list("link");
	list("fifo");
	SHOW(removexattr("file", "user.none"));
	SHOW(removexattr("file", "user.two"));
	memset(value, 'v', 900);
	SHOW(setxattr("file", "user.big", value, 600, 0));
	SHOW(setxattr("file", "user.one", "1", 1, 0));
	list("file");
	SHOW(removexattr("file", "user.big"));
	int fd = MUST(open("file", O_RDONLY));
	SHOW(fsetxattr(fd, "user.fd", "descriptor", 10, 0));
	SHOW(fgetxattr(fd, "user.fd", value, 100));
	SHOW(fremovexattr(fd, "user.fd"));
	close(fd);
	IN_CHILD({
		MUST(chmod("dir", 01777));
		MUST(setgid(5));
		MUST(setuid(5));
		list("file");
		SHOW(setxattr("file", "user.one", "2", 1, 0));
		SHOW(setxattr("file", "security.four", "5", 1, 0));
		SHOW(setxattr("file", "trusted.five", "5", 1, 0));
		SHOW(getxattr("file", "trusted.three", value, 100));
		SHOW(getxattr("file", "security.four", value, 100));
		SHOW(setxattr("dir", "user.sticky", "5", 1, 0));
		SHOW(removexattr("file", "trusted.three"));
	});
}

static int get_flags(const char *path)
{
	int flags = -1;
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
		flags = -errno;
	close(fd);
	return flags;
}

static void set(const char *path, int flags)
{
	int fd = MUST(open(path, O_RDONLY));
	int result = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	printf("%s: set %#x: %s, now %#x\n", path, flags, result < 0 ? error_name(errno) : "ok", get_flags(path));
	close(fd);
}

static void protected(const char *path)
{
	struct timespec times[2] = {{1, 1}, {2, 2}};
	SHOW(open(path, O_WRONLY));
	SHOW(open(path, O_RDWR | O_TRUNC | O_APPEND));
	SHOW(truncate(path, 0));
	SHOW(chmod(path, 0600));
	SHOW(chown(path, 1, 1));
	SHOW(utimensat(AT_FDCWD, path, times, 0));
	SHOW(utimensat(AT_FDCWD, path, NULL, 0));
	SHOW(unlink(path));
	SHOW(link(path, "another"));
	SHOW(rename(path, "renamed"));
	put_file("over", "", 0644);
	SHOW(rename("over", path));
	SHOW(setxattr(path, "user.p", "p", 1, 0));
	SHOW(access(path, W_OK));
	SHOW(access(path, R_OK));
}

static void flags(void)
{
	printf("fifo %d, file %#x, dir %#x\n", get_flags("fifo"), get_flags("file"), get_flags("dir"));
	int open_before = MUST(open("file", O_RDWR));
	set("file", FS_IMMUTABLE_FL);
	protected("file");
	SHOW(fallocate(open_before, 0, 0, 100));
	IN_CHILD({
		MUST(setuid(5));
		set("file", 0);
		SHOW(open("file", O_WRONLY));
	});
	set("file", FS_APPEND_FL);
	protected("file");
	int fd = MUST(open("file", O_RDWR | O_APPEND));
	SHOW(write(fd, " more", 5));
	SHOW(ftruncate(fd, 1));
	SHOW(pwrite(fd, "end", 3, 0));
	SHOW(fcntl(fd, F_SETFL, 0));
	SHOW(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
	SHOW(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	SHOW(map == MAP_FAILED ? -1 : 0);
	SHOW(umount2(getenv("PLACE"), 0));
	munmap(map, 4096);
	SHOW(fallocate(fd, 1, 0, 100));
	SHOW(fallocate(fd, 3, 0, 4));
	close(fd);
	show_file("file");
	set("file", 0);
	set("dir", FS_APPEND_FL);
	SHOW(mkdir("dir/new", 0755));
	SHOW(rmdir("dir/new"));
	SHOW(rename("dir/new", "dir/newer"));
	set("dir", FS_IMMUTABLE_FL);
	SHOW(mkdir("dir/other", 0755));
	SHOW(mkdir("dir/new/inner", 0755));
	SHOW(rmdir("dir"));
	set("dir", FS_NODUMP_FL | FS_NOATIME_FL);
	put_file("dir/heir", "", 0644);
	MUST(mkdir("dir/child", 0755));
	printf("heir %#x, child %#x\n", get_flags("dir/heir"), get_flags("dir/child"));
	set("file", FS_NOATIME_FL);
	struct stat before, after;
	stat("file", &before);
	sleep_ms(20);
	show_file("file");
	stat("file", &after);
	printf("access time moved: %d\n", before.st_atim.tv_nsec != after.st_atim.tv_nsec);
	set("file", 0x80000000);
	set("file", FS_COMPR_FL);
	set("dir", 0);
	MUST(rmdir("dir/child"));
	MUST(unlink("dir/heir"));
	struct fsxattr extended = {0};
	fd = MUST(open("file", O_RDONLY));
	SHOW(ioctl(fd, FS_IOC_SETFLAGS, NULL));
	SHOW(ioctl(fd, FS_IOC_GETFLAGS, NULL));
	SHOW(ioctl(fd, FS_IOC_FSGETXATTR, &extended));
	printf("%#x %u %u %u\n", extended.fsx_xflags, extended.fsx_extsize, extended.fsx_nextents, extended.fsx_projid);
	close(fd);
	close(open_before);
}

/* What only file systems on disks have. */
static void disk_flags(void)
{
	int number = 0;
	set("file", FS_SYNC_FL | FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL);
	set("file", FS_DIRSYNC_FL);
	set("file", FS_TOPDIR_FL);
	set("file", FS_EXTENT_FL);
	set("file", FS_JOURNAL_DATA_FL);
	set("file", FS_INDEX_FL);
	set("file", FS_DAX_FL);
	set("dir", FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_SYNC_FL);
	put_file("dir/f", "synchronous", 0644);
	SHOW(rename("dir/f", "dir/g"));
	SHOW(link("dir/g", "dir/h"));
	SHOW(mkdir("dir/d", 0755));
	printf("%#x %#x\n", get_flags("dir/g"), get_flags("dir/d"));
	int fd = MUST(open("file", O_RDWR));
	set("file", FS_IMMUTABLE_FL);
	SHOW(write(fd, "x", 1));
	SHOW(ftruncate(fd, 1));
	set("file", FS_IMMUTABLE_FL | FS_NODUMP_FL);
	set("file", 0);
	number = 12345;
	SHOW(ioctl(fd, FS_IOC_SETVERSION, &number));
	number = 0;
	SHOW(ioctl(fd, FS_IOC_GETVERSION, &number));
	printf("%d\n", number);
	SHOW(ioctl(fd, FIGETBSZ, &number));
	printf("%d\n", number);
	IN_CHILD(MUST(setuid(5)); SHOW(ioctl(fd, FS_IOC_SETVERSION, &number)));
	close(fd);
	SHOW(mount(NULL, "/mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	set("file", FS_NODUMP_FL);
	SHOW(setxattr("file", "user.ro", "x", 1, 0));
	SHOW(removexattr("file", "user.one"));
}

static void on(const char *options)
{
	char command[200];
	snprintf(command, sizeof command, "mke2fs -F %s /dev/vda >/dev/null 2>&1", options);
	printf("---- %s\n", options);
	MUST(system(command));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	MUST(chdir("/mnt"));
	attributes();
	flags();
	disk_flags();
	MUST(chdir("/"));
	MUST(umount("/mnt"));
	MUST(mount("/dev/vda", "/mnt", "ext2", MS_SYNCHRONOUS | MS_DIRSYNC, ""));
	MUST(system("grep /mnt /proc/mounts; sed -n 's/.*\\( .mnt .*\\)/\\1/p' /proc/self/mountinfo"));
	list("/mnt/file");
	put_file("/mnt/synchronous", "text", 0644);
	MUST(mount(NULL, "/mnt", NULL, MS_REMOUNT, NULL));
	MUST(system("grep /mnt /proc/mounts"));
	MUST(umount("/mnt"));
}

int main(void)
{
	MUST(mkdir("/tmp/attributes", 0777));
	setenv("PLACE", "/tmp/attributes", 1);
	MUST(mount("tmpfs", "/tmp/attributes", "tmpfs", 0, ""));
	MUST(chdir("/tmp/attributes"));
	attributes();
	flags();
	MUST(chdir("/"));
	MUST(umount("/tmp/attributes"));
	setenv("PLACE", "/mnt", 1);
	on("-b 1024 -I 128");
	on("-b 4096 -I 256");
	MUST(system("dd if=/dev/zero of=/dev/vda bs=64k count=1 2>/dev/null"));
	return 0;
}
