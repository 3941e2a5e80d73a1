/* Covers: hugetlbfs: mount with its options (size, min_size, nr_inodes, pagesize, mode, uid, gid), remount, umount,
 * /proc/filesystems, /proc/self/mounts, statfs, files, directories, links, names, limits on pages and on inodes. */
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include "huge_case.h"

#define AT "/tmp/huge_mount"

static int mount_huge(const char *options)
{
	return mount("none", AT, "hugetlbfs", 0, options);
}

static void options_of(void)
{
	char line[512];
	FILE *file = fopen("/proc/self/mounts", "r");
	while (file && fgets(line, sizeof line, file))
		if (strstr(line, AT))
			printf("  %s", line);
	if (file)
		fclose(file);
}

static void room(const char *when)
{
	struct statfs fs;
	statfs(AT, &fs);
	printf("%s: type %lx, block size %ld, %ld blocks, %ld free, %ld available, %ld files, %ld free, names %ld\n", when,
	       (long)fs.f_type, (long)fs.f_bsize, (long)fs.f_blocks, (long)fs.f_bfree, (long)fs.f_bavail, (long)fs.f_files,
	       (long)fs.f_ffree, (long)fs.f_namelen);
}

static void look(const char *path)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: mode %o, %ld links, owner %d %d, size %ld, %ld blocks, block size %ld\n", path, st.st_mode, (long)st.st_nlink,
		       st.st_uid, st.st_gid, (long)st.st_size, (long)st.st_blocks, (long)st.st_blksize);
}

static void try_options(void)
{
	static const char *all[] = {
		"", "size=4M", "size=5M", "size=1", "size=0", "size=50%", "size=M", "size=", "size", "size=x", "size=4Mx", "min_size=2M", "min_size=4M,size=2M",
		"min_size=2M,size=4M", "min_size=100M", "min_size=25%", "nr_inodes=5", "nr_inodes=1k", "nr_inodes=0", "nr_inodes=x",
		"pagesize=2M", "pagesize=2048k", "pagesize=2097152", "pagesize=1G", "pagesize=4k", "pagesize=", "pagesize=x", "mode=700", "mode=1777",
		"mode=7777", "mode=9", "mode=", "uid=5,gid=6", "uid=x", "uid=-1", "gid=4294967295", "other", "other=1", "size=2M,nr_inodes=3,mode=0711,uid=1,gid=2",
	};
	puts("--- options");
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		int result = mount_huge(all[i]);
		printf("%s: %s\n", all[i], result != 0 ? error_name(errno) : "ok");
		if (result != 0)
			continue;
		options_of();
		room("  it");
		look(AT);
		pool("  pages");
		umount(AT);
	}
	pool("unmounted");
}

static const char *made(const char *path, int pages)
{
	static char text[64];
	int fd = open(path, O_CREAT | O_RDWR, 0644);
	if (fd < 0)
		return error_name(errno);
	char *p = mmap(0, pages * HUGE, RW, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return error_name(errno);
	snprintf(text, sizeof text, "mapped, %s", writing(p, 'm'));
	munmap(p, pages * HUGE);
	return text;
}

static int by_name(const struct dirent **left, const struct dirent **right)
{
	return strcmp((*left)->d_name, (*right)->d_name);
}

static void list(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, 0, by_name);
	printf("%s:", path);
	for (int i = 0; i < count; i++) {
		printf(" %s(%d)", entries[i]->d_name, entries[i]->d_type);
		free(entries[i]);
	}
	puts("");
	free(entries);
}

static void names(void)
{
	puts("--- names");
	SHOW(mount_huge(0));
	umask(022);
	int fd = open(AT "/file", O_CREAT | O_RDWR, 0666);
	look(AT "/file");
	SHOW(write(fd, "x", 1));
	SHOW(ftruncate(fd, HUGE));
	SHOW(fcntl(fd, F_GET_SEALS));
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	char *p = mmap(0, HUGE, RW, MAP_SHARED, fd, 0);
	strcpy(p, "kept");
	look(AT "/file");
	SHOW(munmap(p, HUGE));
	close(fd);
	pool("closed");
	fd = open(AT "/file", O_RDONLY);
	char bytes[8];
	SHOW(read(fd, bytes, 5));
	printf("%s\n", bytes);
	close(fd);
	SHOW(truncate(AT "/file", PAGE));
	SHOW(truncate(AT "/file", 2 * HUGE));
	SHOW(mkdir(AT "/directory", 0777));
	SHOW(mkdir(AT "/directory/inner", 0777));
	SHOW(symlink("file", AT "/symbolic"));
	SHOW(link(AT "/file", AT "/directory/hard"));
	SHOW(mknod(AT "/fifo", S_IFIFO | 0644, 0));
	SHOW(mknod(AT "/null", S_IFCHR | 0644, 0x103));
	look(AT);
	look(AT "/file");
	look(AT "/directory");
	look(AT "/symbolic");
	look(AT "/fifo");
	list(AT);
	SHOW(rename(AT "/file", AT "/renamed"));
	SHOW(rename(AT "/renamed", AT "/directory/inner"));
	SHOW(renameat2(AT_FDCWD, AT "/renamed", AT_FDCWD, AT "/directory/other", 1));
	SHOW(renameat2(AT_FDCWD, AT "/fifo", AT_FDCWD, AT "/directory/other", 2));
	list(AT);
	list(AT "/directory");
	SHOW(rmdir(AT "/directory"));
	SHOW(unlink(AT "/directory/other"));
	SHOW(rmdir(AT "/directory/inner"));
	look(AT "/directory");
	SHOW(setxattr(AT "/fifo", "user.x", "1", 1, 0));
	SHOW(setxattr(AT "/directory", "user.x", "1", 1, 0));
	SHOW(setxattr(AT "/directory", "trusted.x", "1", 1, 0));
	SHOW(getxattr(AT "/directory", "system.posix_acl_access", bytes, 0));
	fd = open(AT "/fifo", O_RDWR | O_TRUNC);
	look(AT "/fifo");
	close(fd);
	pool("truncated by open");
	fd = open(AT, O_TMPFILE | O_RDWR, 0600);
	printf("without a name: %s\n", fd < 0 ? error_name(errno) : "ok");
	close(fd);
	fd = open(AT "/held", O_CREAT | O_RDWR, 0600);
	p = mmap(0, HUGE, RW, MAP_SHARED, fd, 0);
	strcpy(p, "held");
	SHOW(unlink(AT "/held"));
	SHOW(umount(AT));
	close(fd);
	SHOW(umount(AT));
	printf("%s\n", p);
	pool("unlinked");
	SHOW(munmap(p, HUGE));
	pool("unmapped");
	made(AT "/left", 2);
	pool("left");
	SHOW(umount(AT));
	pool("unmounted");
}

static void limits(void)
{
	puts("--- limits");
	SHOW(mount_huge("size=4M,nr_inodes=4"));
	room("empty");
	printf("a: %s\n", made(AT "/a", 1));
	room("a");
	pool("a");
	printf("b: %s\n", made(AT "/b", 2));
	look(AT "/b");
	room("b");
	int fd = open(AT "/b", O_RDWR);
	SHOW(fallocate(fd, 0, 0, 2 * HUGE));
	look(AT "/b");
	room("allocated");
	SHOW(ftruncate(fd, 0));
	room("truncated");
	char *p = mmap(0, HUGE, RW, MAP_PRIVATE, fd, 0);
	printf("private: %s\n", p == MAP_FAILED ? error_name(errno) : "ok");
	room("private");
	printf("c: %s\n", made(AT "/c", 1));
	printf("written: %s\n", writing(p, 1));
	room("written");
	pool("written");
	SHOW(munmap(p, HUGE));
	room("unmapped");
	p = mmap(0, 3 * HUGE, RW, MAP_SHARED | MAP_NORESERVE, fd, 0);
	printf("%s\n", writing(p, 1));
	printf("%s\n", writing(p + HUGE, 1));
	room("without a reservation");
	SHOW(munmap(p, 3 * HUGE));
	close(fd);
	printf("d: %s\n", made(AT "/d", 1));
	TRY(open(AT "/e", O_CREAT | O_RDWR, 0600));
	SHOW(mkdir(AT "/e", 0700));
	SHOW(symlink("a", AT "/e"));
	SHOW(unlink(AT "/d"));
	SHOW(unlink(AT "/a"));
	room("two less");
	SHOW(mount("none", AT, "hugetlbfs", MS_REMOUNT, "size=8M"));
	options_of();
	SHOW(mount("none", AT, "hugetlbfs", MS_REMOUNT, "other"));
	SHOW(mount("none", AT, "hugetlbfs", MS_REMOUNT | MS_RDONLY, 0));
	options_of();
	TRY(open(AT "/f", O_CREAT | O_RDWR, 0600));
	SHOW(umount(AT));
	pool("unmounted");

	puts("--- at least");
	SHOW(mount_huge("min_size=4M"));
	pool("two pages are its own");
	void *other = map_huge(3, RW, MAP_PRIVATE);
	printf("three others: %s\n", other == MAP_FAILED ? error_name(errno) : "ok");
	other = map_huge(2, RW, MAP_PRIVATE);
	printf("two others: %s\n", other == MAP_FAILED ? error_name(errno) : "ok");
	printf("a: %s\n", made(AT "/a", 1));
	pool("a");
	room("a");
	printf("b: %s\n", made(AT "/b", 1));
	pool("b");
	SHOW(unlink(AT "/a"));
	pool("a is gone");
	SHOW(munmap(other, 2 * HUGE));
	printf("c: %s\n", made(AT "/c", 3));
	pool("c");
	room("c");
	SHOW(unlink(AT "/c"));
	SHOW(unlink(AT "/b"));
	pool("all gone");
	SHOW(umount(AT));
	pool("unmounted");
}

static void as_user(void)
{
	setgid(1234);
	setuid(1234);
	SHOW(mount_huge(0));
	TRY(open(AT "/mine", O_CREAT | O_RDWR, 0600));
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	catch_faults();
	SHOW(write_number(SURPLUS_AT, 0));
	SHOW(write_number(POOL_AT, 4));
	mkdir(AT, 0755);
	char line[128];
	FILE *file = fopen("/proc/filesystems", "r");
	while (file && fgets(line, sizeof line, file))
		if (strstr(line, "hugetlbfs"))
			printf("%s", line);
	if (file)
		fclose(file);
	try_options();
	names();
	limits();
	puts("--- others");
	SHOW(mount_huge("mode=0755"));
	fflush(stdout);
	if (fork() == 0) {
		as_user();
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	SHOW(umount(AT));
	rmdir(AT);
	SHOW(write_number(POOL_AT, 0));
	pool("after");
	return 0;
}
