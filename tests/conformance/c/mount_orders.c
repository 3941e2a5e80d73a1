/*
 * Covers: the order of errors of mount(2): an option that the file system does not know or whose value is wrong, a caller who may not mount it,
 * a place that is no directory; as root, as another user, and as the root of a user namespace.
 */
#define _GNU_SOURCE
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

static const char *const types[] = {
	"tmpfs", "ramfs", "proc", "sysfs", "devpts", "devtmpfs", "mqueue", "cgroup2", "overlay", "fuse", "ext2", "ext3", "ext4", "hugetlbfs", "binfmt_misc",
	"configfs", "tracefs", "bpf", "absent", "", "tmpfs.", "tmpfs.x", "fuse.", "fuse.x",
};
static const char *const places[] = { "directory", "file", "absent", "fifo", "file/x" };
static const char *const options[] = {
	0, "", ",", ",,", "unknown", "unknown=1", "=x", "mode=9", "mode=700", "mode", "mode=", "ro", "rw", "ro=1", "sync", "async", "dirsync", "lazytime", "nolazytime",
	"mand", "size=x", "size=4k", "uid=x", "uid=0", "uid=-1", "gid=", "gid=0", "max=5", "nr_inodes=x", "hidepid=9", "hidepid=1", "errors=x", "errors=remount-ro",
	"source=x", "subtype=x", "lowerdir=a", "nsdelegate", "newinstance", "ptmxmode=666", "ptmxmode=9", "huge=never", "huge=x", "fd=x", "fd=99", "rootmode=x",
	"pagesize=2M", "pagesize=3", "unknown,mode=9", "mode=700,unknown",
};

static void try_all(void)
{
	for (unsigned t = 0; t < sizeof types / sizeof *types; t++)
		for (unsigned p = 0; p < sizeof places / sizeof *places; p++) {
			const char *last = "";
			printf("%s on %s:", types[t], places[p]);
			for (unsigned o = 0; o < sizeof options / sizeof *options; o++) {
				const char *now = "ok";
				if (mount("source", places[p], types[t], 0, options[o]) == -1)
					now = error_name(errno);
				else
					umount2(places[p], MNT_DETACH);
				if (strcmp(now, last))
					printf(" %s for", now);
				printf(" %s", options[o] ? options[o] : "none");
				last = now;
			}
			puts("");
		}
}

int main(void)
{
	mkdir("/tmp/orders", 0755);
	MUST(mount("none", "/tmp/orders", "tmpfs", 0, 0));
	MUST(chdir("/tmp/orders"));
	mkdir("directory", 0755);
	put_file("file", "text", 0644);
	MUST(mkfifo("fifo", 0644));
	puts("== root");
	try_all();
	puts("== a user");
	IN_CHILD(MUST(setuid(1000)); try_all());
	puts("== root of a user namespace");
	IN_CHILD(MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS)); try_all());
	puts("== root of a user namespace, and of others");
	IN_CHILD(MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWNET)); try_all());
	MUST(chdir("/"));
	MUST(umount("/tmp/orders"));
	return 0;
}
