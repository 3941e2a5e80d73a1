/* Covers: renameat2(2) with RENAME_WHITEOUT, and mknod(2) of a character device 0/0, in file systems that make no whiteouts, cannot move
 * names at all, or show them as something else.
 */
#include "overlay_case.h"

#define WHITEOUT 4

static void move(const char *old, const char *new)
{
	struct stat st;
	SHOW(syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, WHITEOUT));
	if (lstat(old, &st) == 0)
		printf("  old: %o %u:%u\n", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
	printf("  new: %s\n", lstat(new, &st) == 0 ? "is there" : error_name(errno));
}

static void make(void)
{
	SHOW(mknod("device", S_IFCHR | 0600, 0));
	SHOW(mknod("block", S_IFBLK | 0600, 0));
	SHOW(mknod("other", S_IFCHR | 0600, makedev(0, 1)));
	MUST(chmod(".", 0777));
	IN_CHILD({
		MUST(setuid(1000));
		SHOW(mknod("device by user", S_IFCHR | 0600, 0));
		SHOW(mknod("block by user", S_IFBLK | 0600, 0));
		SHOW(mknod("other by user", S_IFCHR | 0600, makedev(0, 1)));
	});
}

static void walk(const char *type, const char *options)
{
	printf("--- %s\n", type);
	if (mount("none", WORK, type, 0, options) == -1) {
		printf("%s\n", error_name(errno));
		return;
	}
	MUST(chdir(WORK));
	SHOW(mkdir("directory", 0755));
	int fd = open("file", O_CREAT | O_RDWR, 0644);
	printf("file: %s\n", fd < 0 ? error_name(errno) : "ok");
	close(fd);
	move("file", "new");
	move("directory", "moved");
	make();
	MUST(chdir("/"));
	TRY(umount2(WORK, MNT_DETACH));
}

int main(void)
{
	mkdir(BASE, 0755);
	mkdir(WORK, 0755);
	mkdir(UPPER, 0755);
	mkdir(LOWER, 0755);
	mkdir(MIDDLE, 0755);
	walk("tmpfs", NULL);
	walk("overlay", "lowerdir=" LOWER ",upperdir=" UPPER ",workdir=" MIDDLE);
	walk("ramfs", NULL);
	walk("bpf", NULL);
	walk("hugetlbfs", NULL);
	walk("cgroup2", NULL);
	printf("--- proc, sysfs, devpts, mqueue\n");
	MUST(mount("none", WORK, "proc", 0, NULL));
	move(WORK "/uptime", WORK "/new");
	move(WORK "/sys/kernel/ostype", WORK "/sys/kernel/new");
	TRY(umount(WORK));
	MUST(mount("none", WORK, "sysfs", 0, NULL));
	move(WORK "/kernel/notes", WORK "/kernel/new");
	TRY(umount(WORK));
	MUST(mount("none", WORK, "devpts", 0, NULL));
	move(WORK "/ptmx", WORK "/new");
	TRY(umount(WORK));
	MUST(mount("none", WORK, "mqueue", 0, NULL));
	put_file(WORK "/queue", "", 0644);
	move(WORK "/queue", WORK "/new");
	TRY(unlink(WORK "/queue"));
	TRY(umount(WORK));
	return 0;
}
