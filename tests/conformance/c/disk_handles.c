/* File handles on tmpfs and ext2; umount2's MNT_EXPIRE; ustat, sysfs; fallocate's modes and sync_file_range on everything. */
#define _GNU_SOURCE
#include "case.h"

#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

struct handle {
	unsigned bytes;
	int type;
	unsigned char data[128];
};

static int get(const char *path, struct handle *handle, unsigned room, int flags)
{
	int mount = -1;
	handle->bytes = room;
	int result = (int)syscall(SYS_name_to_handle_at, AT_FDCWD, path, handle, &mount, flags);
	printf("handle of %s: %s, %u bytes, type %d, mount %d\n", path, result < 0 ? error_name(errno) : "ok", handle->bytes,
	       handle->type, mount > 0);
	return result;
}

static int reopen(int place, struct handle *handle, int flags)
{
	int fd = (int)syscall(SYS_open_by_handle_at, place, handle, flags);
	printf("reopened: %s\n", fd < 0 ? error_name(errno) : "ok");
	return fd;
}

static void reclose(int place, struct handle *handle, int flags)
{
	close(reopen(place, handle, flags));
}

static void handles(const char *outside)
{
	struct handle handle = {0}, copy;
	char text[100];
	int mount;
	MUST(mkdir("a", 0755));
	MUST(mkdir("a/b", 0755));
	MUST(mkdir("a/b/c", 0755));
	put_file("a/b/file", "contents", 0644);
	MUST(symlink("a/b/file", "link"));
	MUST(mkfifo("fifo", 0644));
	int here = MUST(open(".", O_RDONLY | O_DIRECTORY));
	get("a/b/file", &handle, 128, 0);
	int fd = reopen(here, &handle, O_RDWR);
	SHOW(pread(fd, text, 8, 0));
	printf("%.8s\n", text);
	SHOW(pwrite(fd, "CONTENTS", 8, 0));
	struct stat one, two;
	fstat(fd, &one);
	stat("a/b/file", &two);
	CHECK(one.st_ino == two.st_ino && one.st_dev == two.st_dev);
	close(fd);
	show_file("a/b/file");
	copy = handle;
	MUST(rename("a/b/file", "a/moved"));
	fd = reopen(AT_FDCWD, &handle, O_RDONLY);
	close(fd);
	reclose(here, &handle, O_RDONLY | O_DIRECTORY);
	fd = reopen(here, &handle, O_PATH);
	close(fd);
	handle.bytes = 4;
	reclose(here, &handle, O_RDONLY);
	handle.bytes = 0;
	reclose(here, &handle, O_RDONLY);
	handle.bytes = 129;
	reclose(here, &handle, O_RDONLY);
	handle = copy;
	handle.type = 77;
	reclose(here, &handle, O_RDONLY);
	reclose(-1, &copy, O_RDONLY);
	reclose(here, NULL, O_RDONLY);
	fd = MUST(open(outside, O_RDONLY));
	reclose(fd, &copy, O_RDONLY);
	close(fd);
	MUST(unlink("a/moved"));
	reclose(here, &copy, O_RDONLY);
	get("a/b/c", &handle, 128, 0);
	fd = reopen(here, &handle, O_RDONLY | O_DIRECTORY);
	int up = openat(fd, "../..", O_RDONLY);
	fstat(up, &one);
	stat("a", &two);
	CHECK(one.st_ino == two.st_ino);
	close(up);
	MUST(fchdir(fd));
	printf("%s\n", strrchr(getcwd(text, sizeof text), 'a') ?: "?");
	MUST(fchdir(here));
	SHOW(mkdirat(fd, "made", 0755));
	SHOW(access("a/b/c/made", F_OK));
	close(fd);
	MUST(rmdir("a/b/c/made"));
	MUST(rmdir("a/b/c"));
	reclose(here, &handle, O_RDONLY);
	get(".", &handle, 128, 0);
	fd = reopen(here, &handle, O_RDONLY);
	close(fd);
	get("link", &handle, 128, 0);
	reclose(here, &handle, O_RDONLY);
	fd = reopen(here, &handle, O_PATH);
	SHOW(readlinkat(fd, "", text, sizeof text));
	close(fd);
	get("fifo", &handle, 128, 0);
	fd = reopen(here, &handle, O_RDWR | O_NONBLOCK);
	close(fd);
	get("fifo", &handle, 4, 0);
	get("fifo", &handle, 0, 0);
	get("fifo", &handle, 129, 0);
	get("none", &handle, 128, 0);
	get("fifo", &handle, 128, 0x8000);
	get("link", &handle, 128, AT_SYMLINK_FOLLOW);
	MUST(symlink("fifo", "good"));
	get("good", &handle, 128, AT_SYMLINK_FOLLOW);
	get("", &handle, 128, 0);
	get("", &handle, 128, AT_EMPTY_PATH);
	SHOW(syscall(SYS_name_to_handle_at, AT_FDCWD, "fifo", NULL, &mount, 0));
	SHOW(syscall(SYS_name_to_handle_at, AT_FDCWD, "fifo", &handle, NULL, 0));
	IN_CHILD(MUST(setuid(5)); get("fifo", &handle, 128, 0); reclose(here, &handle, O_RDONLY | O_NONBLOCK));
	close(here);
}

static void expiry(const char *source, const char *type)
{
	MUST(mkdir("/tmp/expire", 0755));
	MUST(mount(source, "/tmp/expire", type, 0, ""));
	SHOW(umount2("/tmp/expire", MNT_EXPIRE | MNT_DETACH));
	SHOW(umount2("/tmp/expire", MNT_EXPIRE | MNT_FORCE));
	SHOW(umount2("/tmp/expire", 16));
	SHOW(umount2("/tmp", MNT_EXPIRE));
	SHOW(umount2("/", MNT_EXPIRE));
	int fd = MUST(open("/tmp/expire", O_RDONLY));
	SHOW(umount2("/tmp/expire", MNT_EXPIRE));
	close(fd);
	SHOW(umount2("/tmp/expire", MNT_EXPIRE));
	struct stat status;
	MUST(stat("/tmp/expire/.", &status));
	SHOW(umount2("/tmp/expire", MNT_EXPIRE));
	IN_CHILD(MUST(setuid(5)); SHOW(umount2("/tmp/expire", MNT_EXPIRE)));
	SHOW(umount2("/tmp/expire", MNT_EXPIRE));
	SHOW(umount2("/tmp/expire", MNT_EXPIRE));
	SHOW(umount2("/tmp/expire", MNT_EXPIRE));
	MUST(rmdir("/tmp/expire"));
}

static void old_calls(void)
{
	struct { int free; unsigned long files; char names[12]; } old;
	struct stat status;
	char name[100];
	memset(&old, 0xff, sizeof old);
	MUST(stat("/mnt", &status));
	SHOW(syscall(SYS_ustat, (unsigned)status.st_dev, &old));
	printf("%d %lu %d\n", old.free, old.files, old.names[0] | old.names[6]);
	SHOW(syscall(SYS_ustat, 0x7777, &old));
	SHOW(syscall(SYS_ustat, (unsigned)status.st_dev, NULL));
	long count = syscall(SYS_sysfs, 3, 0, 0), number = syscall(SYS_sysfs, 1, "ext2", 0);
	CHECK(count > 5);
	CHECK(number >= 0 && number < count);
	SHOW(syscall(SYS_sysfs, 2, number, name));
	printf("%s\n", name);
	SHOW(syscall(SYS_sysfs, 1, "nosuchfs", 0));
	SHOW(syscall(SYS_sysfs, 1, NULL, 0));
	SHOW(syscall(SYS_sysfs, 2, 1000, name));
	SHOW(syscall(SYS_sysfs, 2, number, NULL));
	SHOW(syscall(SYS_sysfs, 4, 0, 0));
}

static void allocations(const char *path)
{
	struct stat status;
	int fd = MUST(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644)), reader = MUST(open(path, O_RDONLY));
	printf("---- %s\n", path);
	MUST(pwrite(fd, "0123456789", 10, 8190));
	int modes[] = {0, 1, 2, 3, 4, 8, 9, 16, 17, 18, 32, 33, 64, 65, 128, 19, 11};
	for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
		printf("mode %d: ", modes[i]);
		if (fallocate(fd, modes[i], 4096, 4096) == 0) {
			fstat(fd, &status);
			printf("ok, size %ld blocks %ld\n", (long)status.st_size, (long)status.st_blocks);
		} else
			printf("%s\n", error_name(errno));
	}
	SHOW(fallocate(fd, 1, 20000, 5000));
	SHOW(fallocate(fd, 0, 20000, 5000));
	fstat(fd, &status);
	printf("size %ld\n", (long)status.st_size);
	SHOW(fallocate(fd, 3, 8191, 4));
	SHOW(fallocate(fd, 3, 100, 100));
	SHOW(fallocate(fd, 3, 1 << 20, 1 << 20));
	char text[11] = "";
	SHOW(pread(fd, text, 10, 8190));
	for (int i = 0; i < 10; i++)
		printf("%d ", text[i]);
	printf("\n");
	SHOW(lseek(fd, 0, SEEK_DATA));
	SHOW(lseek(fd, 0, SEEK_HOLE));
	SHOW(lseek(fd, 8192, SEEK_HOLE));
	SHOW(lseek(fd, 30000, SEEK_DATA));
	SHOW(fallocate(fd, 0, -1, 10));
	SHOW(fallocate(fd, 0, 0, 0));
	SHOW(fallocate(fd, 0, 0, -1));
	SHOW(fallocate(fd, 0, 0x7fffffffffffffff, 10));
	SHOW(fallocate(reader, 0, 0, 10));
	SHOW(fallocate(reader, 128, 0, 10));
	SHOW(fallocate(reader, 0, 0, 0));
	SHOW(sync_file_range(fd, 0, 0, 0));
	SHOW(sync_file_range(fd, 4096, 8192, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
	SHOW(sync_file_range(reader, 0, 0, 2));
	SHOW(sync_file_range(fd, -1, 0, 0));
	SHOW(sync_file_range(fd, 0, -1, 0));
	SHOW(sync_file_range(fd, 1, 0x7fffffffffffffff, 0));
	SHOW(sync_file_range(fd, 0, 0, 8));
	close(fd);
	close(reader);
}

static void others(void)
{
	int pipes[2];
	MUST(pipe(pipes));
	SHOW(fallocate(pipes[1], 0, 0, 10));
	SHOW(fallocate(pipes[0], 0, 0, 10));
	SHOW(sync_file_range(pipes[1], 0, 10, 0));
	int fd = MUST(open("/dev/null", O_RDWR));
	SHOW(fallocate(fd, 0, 0, 10));
	SHOW(sync_file_range(fd, 0, 10, 0));
	fd = MUST(open("/tmp", O_RDONLY));
	SHOW(fallocate(fd, 0, 0, 10));
	SHOW(sync_file_range(fd, 0, 10, 0));
	SHOW(fallocate(999, 0, 0, 10));
	SHOW(sync_file_range(999, 0, 10, 0));
}

int main(void)
{
	MUST(mkdir("/tmp/handles", 0755));
	MUST(mount("tmpfs", "/tmp/handles", "tmpfs", 0, ""));
	MUST(chdir("/tmp/handles"));
	handles("/proc");
	allocations("/tmp/handles/allocated");
	MUST(chdir("/"));
	MUST(umount("/tmp/handles"));
	MUST(rmdir("/tmp/handles"));
	MUST(system("mke2fs -F -b 1024 -m 0 /dev/vda 8192 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	MUST(chdir("/mnt"));
	old_calls();
	handles("/tmp");
	allocations("/mnt/allocated");
	MUST(chdir("/"));
	MUST(umount("/mnt"));
	expiry("/dev/vda", "ext2");
	expiry("tmpfs", "tmpfs");
	others();
	struct handle handle = {0};
	get("/proc/version", &handle, 128, 0);
	get("/sys/block", &handle, 128, 0);
	MUST(system("dd if=/dev/zero of=/dev/vda bs=64k count=1 2>/dev/null"));
	return 0;
}
