/* Covers: renameat2(2) with RENAME_WHITEOUT where there is no inode, or no block, for it: nothing is renamed; and what it leaves otherwise. */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include "case.h"

#define WHITEOUT 4

static void show(const char *name)
{
	struct stat status;
	if (lstat(name, &status) < 0)
		printf("  %s: %s\n", name, error_name(errno));
	else
		printf("  %s: mode %o, %d links, device %u:%u\n", name, status.st_mode, (int)status.st_nlink, major(status.st_rdev),
		       minor(status.st_rdev));
}

static void rename_all(void)
{
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "new", WHITEOUT));
	show("file");
	show("new");
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "directory/new", WHITEOUT));
	show("file");
	show("directory/new");
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "directory", AT_FDCWD, "moved", WHITEOUT));
	show("directory");
	show("moved");
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "other", WHITEOUT));
	show("file");
	show("other");
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "missing", AT_FDCWD, "other", WHITEOUT));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "other", WHITEOUT | 1));
}

static void fill(void)
{
	char name[32];
	int i = 0;
	do
		snprintf(name, sizeof name, "filler%d", i++);
	while (mknod(name, S_IFREG | 0600, 0) == 0);
	printf("full: %s\n", error_name(errno));
}

static void walk(const char *what)
{
	printf("--- %s\n", what);
	MUST(mkdir("directory", 0755));
	put_file("file", "text", 0644);
	put_file("other", "other text", 0600);
	fill();
	rename_all();
	puts(" with room");
	for (int i = 0; i < 8; i++) {
		char name[32];
		snprintf(name, sizeof name, "filler%d", i);
		MUST(unlink(name));
	}
	rename_all();
	show_file("new");
	MUST(chdir("/"));
}

int main(void)
{
	umask(0);
	MUST(mkdir("/tmp/full", 0755));
	MUST(mount("full", "/tmp/full", "tmpfs", 0, "nr_inodes=40"));
	MUST(chdir("/tmp/full"));
	walk("tmpfs");
	MUST(umount("/tmp/full"));
	MUST(system("mke2fs -F -b 1024 -N 64 /dev/vda 4096 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/tmp/full", "ext2", 0, 0));
	MUST(chdir("/tmp/full"));
	walk("ext2");
	MUST(umount("/tmp/full"));
	SHOW(system("e2fsck -fn /dev/vda >/dev/null 2>&1"));
	MUST(rmdir("/tmp/full"));
	return 0;
}
